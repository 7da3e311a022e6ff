//! One attempt: a signed POST, and what its answer means.

use std::sync::Arc;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{HeaderMap, HeaderValue, RETRY_AFTER, USER_AGENT};
use hyper::{Request, StatusCode};

use super::Webhook;
use super::signature::signature;
use crate::http::{self, Connection, header};
use crate::pipeline::units::WallTime;
use crate::store::WebhookMessage;

/// For one attempt, from the connection to the end of the answer. The specification advises 15 to
/// 30 s.
const PATIENCE: Duration = Duration::from_secs(20);

/// The longest pause that a receiver may ask for.
const LONGEST_ASKED: Duration = Duration::from_hours(1);

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The receiver has it.
    Taken,
    /// Not this time. It may ask for a pause.
    Failed(String, Option<Duration>),
    /// The receiver wants no such messages any more.
    Gone,
}

/// Sends a message once.
pub async fn post(
    hook: &Webhook,
    message: &WebhookMessage,
    now: WallTime,
    tls: Option<Arc<rustls::ClientConfig>>,
) -> Outcome {
    let request = request(hook, message, now);
    match tokio::time::timeout(PATIENCE, attempt(hook, request, tls)).await {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(error)) => Outcome::Failed(error.to_string(), None),
        Err(_) => Outcome::Failed(format!("no answer within {} s", PATIENCE.as_secs()), None),
    }
}

async fn attempt(
    hook: &Webhook,
    request: Request<Full<Bytes>>,
    tls: Option<Arc<rustls::ClientConfig>>,
) -> std::io::Result<Outcome> {
    let mut connection =
        Connection::open(&hook.url.host, hook.url.port, tls.filter(|_| hook.url.tls)).await?;
    let head = connection.exchange(request).await?;
    Ok(outcome(head.status, &head.headers))
}

fn outcome(status: StatusCode, headers: &HeaderMap) -> Outcome {
    if status.is_success() {
        return Outcome::Taken;
    }
    if status == StatusCode::GONE {
        return Outcome::Gone;
    }
    let asked = headers.get(RETRY_AFTER).and_then(|seconds| seconds.to_str().ok()?.parse().ok());
    let asked = asked.map(|seconds| Duration::from_secs(seconds).min(LONGEST_ASKED));
    Outcome::Failed(format!("the receiver answers {status}"), asked)
}

fn request(hook: &Webhook, message: &WebhookMessage, now: WallTime) -> Request<Full<Bytes>> {
    let payload = Bytes::copy_from_slice(&message.payload);
    let timestamp = now.unix_secs();
    let signature = signature(&hook.secret, &message.key, timestamp, &payload);
    let url = &hook.url;
    let mut request = http::post(&url.authority(), &url.path, "application/json", payload);
    let headers = request.headers_mut();
    headers.insert(
        USER_AGENT,
        HeaderValue::from_static(concat!("grelot/", env!("CARGO_PKG_VERSION"))),
    );
    headers.insert("webhook-id", header(&message.key));
    headers.insert("idempotency-key", header(&message.key));
    headers.insert("webhook-timestamp", header(&timestamp.to_string()));
    headers.insert("webhook-signature", header(&signature));
    request
}
