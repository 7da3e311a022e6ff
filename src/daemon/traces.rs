//! `[metrics] traces`: spans to a collector of OpenTelemetry, by OTLP over HTTP.
//!
//! A collector that does not answer delays nothing: its spans are dropped.

use std::sync::Arc;
use std::time::Duration;

use hyper::body::Bytes;
use prost::Message as _;
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::clock::Clocks;
use crate::config::{Config, WebUrl};
use crate::http::{self, Connection};
use crate::pipeline::Now;
use crate::pipeline::units::Tick;
use crate::telemetry::spans::{self, Span};
use wire::{AnyValue, KeyValue, Request, Resource, ResourceSpans, Scope, ScopeSpans};

/// Spans that end within this time are sent together.
const TOGETHER: Duration = Duration::from_secs(1);
/// For the collector's answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Where spans go, and whose they are.
pub struct Exporter {
    pub url: WebUrl,
    /// TLS settings; `None` where the address needs none.
    pub tls: Option<Arc<rustls::ClientConfig>>,
    pub resource: Resource,
    pub clocks: Clocks,
}

/// The gateway, as all of its spans name it.
pub fn resource(config: &Config) -> Resource {
    let attributes = [
        ("service.name", "grelot".to_owned()),
        ("service.version", env!("CARGO_PKG_VERSION").to_owned()),
        ("grelot.store", config.store.id.to_string()),
        ("grelot.gateway", config.gateway.clone()),
    ];
    let attributes = attributes.map(|(key, value)| attribute(key, value)).into();
    Resource { attributes }
}

impl Exporter {
    /// Sends what `spans` brings until stopped.
    pub async fn run(self, mut spans: mpsc::Receiver<Span>, stop: CancellationToken) {
        let mut batch = Vec::new();
        let mut answers = true;
        let mut zero = Zero::default();
        while let Some(1..) =
            stop.run_until_cancelled(spans.recv_many(&mut batch, spans::WAITING)).await
        {
            let _ = stop.run_until_cancelled(sleep(TOGETHER)).await;
            while let Ok(span) = spans.try_recv() {
                batch.push(span);
            }
            let sent = match timeout(PATIENCE, self.send(self.encode(&batch, &mut zero))).await {
                Ok(sent) => sent.map_err(|error| error.to_string()),
                Err(_) => Err(format!("no answer within {} s", PATIENCE.as_secs())),
            };
            if let (Err(why), true) = (&sent, answers) {
                let collector = self.url.place();
                tracing::warn!(collector, why, "the collector takes no traces: they are dropped");
            }
            answers = sent.is_ok();
            batch.clear();
        }
    }

    async fn send(&self, message: Bytes) -> std::io::Result<()> {
        let WebUrl { host, port, path, .. } = &self.url;
        let request = http::post(&self.url.authority(), path, "application/x-protobuf", message);
        let mut connection = Connection::open(host, *port, self.tls.clone()).await?;
        let status = connection.exchange(request).await?.status;
        if status.is_success() {
            Ok(())
        } else {
            Err(std::io::Error::other(format!("the collector answers {status}")))
        }
    }

    fn encode(&self, spans: &[Span], zero: &mut Zero) -> Bytes {
        zero.follow(self.clocks.now());
        let spans = ScopeSpans {
            scope: Some(Scope { name: "grelot".to_owned() }),
            spans: spans.iter().map(|span| on_the_wire(span, zero)).collect(),
        };
        let of_gateway =
            ResourceSpans { resource: Some(self.resource.clone()), scope_spans: vec![spans] };
        Request { resource_spans: vec![of_gateway] }.encode_to_vec().into()
    }
}

/// What the wall clock said at [`Tick::ZERO`], in nanoseconds. The clock has milliseconds; that of the first
/// spans serves until it is set, so that the spans of a trace fit together.
#[derive(Debug, Default)]
struct Zero(Option<i128>);

impl Zero {
    fn follow(&mut self, now: Now) {
        /// Nanoseconds.
        const NEGLIGIBLE: u128 = 1_000_000_000;
        let reading = i128::from(now.clock.reading().unix_millis()) * 1_000_000;
        let zero = reading - i128::from(now.tick.as_micros()) * 1_000;
        if self.0.is_none_or(|before| before.abs_diff(zero) > NEGLIGIBLE) {
            self.0 = Some(zero);
        }
    }

    fn nanos(&self, tick: Tick) -> u64 {
        let nanos = self.0.unwrap_or_default() + i128::from(tick.as_micros()) * 1_000;
        u64::try_from(nanos).unwrap_or(0)
    }
}

fn on_the_wire(span: &Span, zero: &Zero) -> wire::Span {
    wire::Span {
        trace_id: span.trace.to_vec(),
        id: span.id.to_vec(),
        parent: span.parent.map(Vec::from).unwrap_or_default(),
        name: span.name.to_owned(),
        kind: wire::INTERNAL,
        start_time_unix_nano: zero.nanos(span.from),
        end_time_unix_nano: zero.nanos(span.until),
    }
}

fn attribute(key: &str, value: String) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(AnyValue { string_value: Some(value) }) }
}

/// What is sent of OTLP 1.10's messages: `opentelemetry/proto/{common,resource,trace}/v1` and
/// `collector/trace/v1/trace_service.proto` of opentelemetry-proto. The crate of that name brings all of them,
/// with OpenTelemetry's SDK; the tests read what is sent with it.
mod wire {
    use prost::Message;

    /// `SPAN_KIND_INTERNAL`.
    pub const INTERNAL: i32 = 1;

    /// `ExportTraceServiceRequest`.
    #[derive(Clone, PartialEq, Message)]
    pub struct Request {
        #[prost(message, repeated, tag = "1")]
        pub resource_spans: Vec<ResourceSpans>,
    }

    #[derive(Clone, PartialEq, Message)]
    pub struct ResourceSpans {
        #[prost(message, optional, tag = "1")]
        pub resource: Option<Resource>,
        #[prost(message, repeated, tag = "2")]
        pub scope_spans: Vec<ScopeSpans>,
    }

    #[derive(Clone, PartialEq, Message)]
    pub struct Resource {
        #[prost(message, repeated, tag = "1")]
        pub attributes: Vec<KeyValue>,
    }

    #[derive(Clone, PartialEq, Message)]
    pub struct KeyValue {
        #[prost(string, tag = "1")]
        pub key: String,
        #[prost(message, optional, tag = "2")]
        pub value: Option<AnyValue>,
    }

    /// Of the kinds of value the one that is sent.
    #[derive(Clone, PartialEq, Message)]
    pub struct AnyValue {
        #[prost(string, optional, tag = "1")]
        pub string_value: Option<String>,
    }

    #[derive(Clone, PartialEq, Message)]
    pub struct ScopeSpans {
        #[prost(message, optional, tag = "1")]
        pub scope: Option<Scope>,
        #[prost(message, repeated, tag = "2")]
        pub spans: Vec<Span>,
    }

    /// `InstrumentationScope`.
    #[derive(Clone, PartialEq, Message)]
    pub struct Scope {
        #[prost(string, tag = "1")]
        pub name: String,
    }

    #[derive(Clone, PartialEq, Message)]
    pub struct Span {
        #[prost(bytes = "vec", tag = "1")]
        pub trace_id: Vec<u8>,
        #[prost(bytes = "vec", tag = "2")]
        pub id: Vec<u8>,
        #[prost(bytes = "vec", tag = "4")]
        pub parent: Vec<u8>,
        #[prost(string, tag = "5")]
        pub name: String,
        /// `SpanKind`.
        #[prost(int32, tag = "6")]
        pub kind: i32,
        #[prost(fixed64, tag = "7")]
        pub start_time_unix_nano: u64,
        #[prost(fixed64, tag = "8")]
        pub end_time_unix_nano: u64,
    }
}
