//! A visit's trace, as a collector of OpenTelemetry receives it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value::StringValue;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message as _;
use serde_json::json;

use crate::canary::listen;
use crate::common::free_port;
use crate::common::mosquitto::{BrokerOptions, Mosquitto};
use crate::common::waiting::eventually;
use crate::http;
use crate::office::{start, status};

/// Bodies as they came.
type Bodies = Arc<Mutex<Vec<Vec<u8>>>>;

/// A collector on a port of its own.
fn collector() -> (u16, Bodies) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let bodies = Bodies::default();
    let received = Arc::clone(&bodies);
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let body = take(stream);
            received.lock().unwrap().push(body);
        }
    });
    (port, bodies)
}

/// Reads one request, holds its head to the protocol, and answers.
fn take(stream: TcpStream) -> Vec<u8> {
    let mut reader = BufReader::new(stream);
    let mut head = Vec::new();
    for line in reader.by_ref().lines().map_while(Result::ok) {
        if line.is_empty() {
            break;
        }
        head.push(line.to_ascii_lowercase());
    }
    assert_eq!(head[0], "post /v1/traces http/1.1");
    assert!(head.contains(&"content-type: application/x-protobuf".to_owned()), "{head:?}");
    let length = head.iter().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
    let mut body = vec![0; length.parse().unwrap()];
    reader.read_exact(&mut body).unwrap();
    let _ = reader.get_mut().write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    body
}

/// The spans by name, and the attributes that all of them have.
fn decoded(bodies: &Bodies) -> (BTreeMap<String, Span>, BTreeSet<(String, String)>) {
    let (mut spans, mut attributes) = (BTreeMap::new(), BTreeSet::new());
    for body in bodies.lock().unwrap().iter() {
        let request = ExportTraceServiceRequest::decode(&body[..]).unwrap();
        assert_eq!(&request.encode_to_vec(), body, "as OpenTelemetry's own types are encoded");
        for of_gateway in request.resource_spans {
            for one in of_gateway.resource.unwrap().attributes {
                let Some(StringValue(value)) = one.value.unwrap().value else { panic!("no text") };
                attributes.insert((one.key, value));
            }
            let all = of_gateway.scope_spans.into_iter().flat_map(|scope| scope.spans);
            spans.extend(all.map(|span| (span.name.clone(), span)));
        }
    }
    (spans, attributes)
}

/// Stays for forty seconds.
fn recording() -> String {
    let mut text =
        r#"{"grelot":"recording","version":1,"started_at":"2026-01-05T09:00:00Z","store":42,"gateways":["door"]}"#
            .to_owned();
    for step in 0..160 {
        let t = f64::from(step) * 0.25;
        text.push_str(&format!(
            "\n{{\"t\":{t:.3},\"gw\":\"door\",\"addr\":\"c0:00:00:00:00:01\",\"kind\":\"random\",\"rssi\":-55,\"adv\":\"1aff4c000215e2c56db5dffb48d2b060d0f5a71096e000010001c5\"}}"
        ));
    }
    text + "\n"
}

#[test]
fn a_visit_is_a_trace_from_the_first_contact_to_its_end_that_names_no_one() {
    let dir = tempfile::tempdir().unwrap();
    let broker = Mosquitto::start(dir.path(), &BrokerOptions::default());
    let (port, bodies) = collector();
    let page = free_port();
    let folder = dir.path();
    let customer = r#"{"client":"c-1","tier":"gold","scheme":"beacon","ibeacon":{"uuid":"e2c56db5-dffb-48d2-b060-d0f5a71096e0","major":1,"minor":1},"consent":{"expires_at":"2099-11-02T00:00:00Z"}}"#;
    fs::write(folder.join("customers.jsonl"), format!("{customer}\n")).unwrap();
    fs::write(folder.join("shop.jsonl"), recording()).unwrap();
    let text = format!(
        "[store]\nid = 42\n[gateway]\nname = \"door\"\n[broker]\nurls = [\"mqtt://127.0.0.1:{}\"]\n\
         [[source]]\nkind = \"recording\"\npath = \"shop.jsonl\"\n\
         [registry]\npath = \"customers.jsonl\"\n[state]\npath = \"state\"\n\
         [tablets]\nlisten = \"127.0.0.1:{page}\"\n[presence]\nleave_after_secs = 5\n\
         [metrics]\ntraces = \"http://127.0.0.1:{port}/v1/traces\"\n",
        broker.port
    );
    fs::write(folder.join("grelot.toml"), text).unwrap();
    let _door = start(folder, &["--config", "grelot.toml", "run"]);
    eventually("the page is up", || TcpStream::connect(("127.0.0.1", page)).is_ok());
    let _boards = listen(page);
    let visit = || status(folder)["visits"][0]["visit"].as_str().map(str::to_owned);
    eventually("a visit is open", || visit().is_some());
    let visit = visit().unwrap();
    let say = |below: &str, body| {
        let answer = http::json(page, "POST", &format!("/visits/{visit}/{below}"), &body);
        answer.map_or(0, |answer| answer.status)
    };
    eventually("the page has drawn it", || say("shown", json!({})) == 204);
    eventually("it is claimed", || say("claim", json!({"by": "Léa", "action": "claim"})) == 202);
    eventually("all spans have come", || decoded(&bodies).0.len() == 5);

    let (spans, attributes) = decoded(&bodies);
    let names: Vec<&str> = spans.keys().map(String::as_str).collect();
    assert_eq!(names, ["claim", "deliver", "recognise", "show", "visit"]);
    let whole = &spans["visit"];
    assert_eq!((whole.trace_id.len(), whole.span_id.len()), (16, 8));
    assert!(whole.parent_span_id.is_empty());
    let alerted_at = spans["recognise"].end_time_unix_nano;
    for (name, span) in &spans {
        assert!(span.attributes.is_empty(), "{span:?}");
        assert_eq!(span.trace_id, whole.trace_id);
        assert!(whole.start_time_unix_nano <= span.start_time_unix_nano);
        assert!(span.start_time_unix_nano <= span.end_time_unix_nano);
        assert!(span.end_time_unix_nano <= whole.end_time_unix_nano);
        if name != "visit" {
            assert_eq!(span.parent_span_id, whole.span_id);
        }
        if ["claim", "deliver", "show"].contains(&name.as_str()) {
            assert_eq!(span.start_time_unix_nano, alerted_at, "{name}");
        }
    }
    // The recording's first line is of nine o'clock.
    assert!(whole.start_time_unix_nano.abs_diff(1_767_603_600_000_000_000) < 60_000_000_000);
    let keys: Vec<&str> = attributes.iter().map(|(key, _)| key.as_str()).collect();
    assert_eq!(keys, ["grelot.gateway", "grelot.store", "service.name", "service.version"]);
    for body in bodies.lock().unwrap().iter() {
        for secret in ["c-1", "gold", "Léa", visit.as_str()] {
            let found = body.windows(secret.len()).any(|octets| octets == secret.as_bytes());
            assert!(!found, "{secret} is in what was sent");
        }
    }
}
