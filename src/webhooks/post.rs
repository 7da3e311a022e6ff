//! One attempt: a signed POST, and what its answer means.

use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper::header::{
    CONNECTION, CONTENT_TYPE, HOST, HeaderMap, HeaderValue, RETRY_AFTER, USER_AGENT,
};
use hyper::{Method, Request, StatusCode};

use super::Webhook;
use super::signature::signature;
use crate::http::Connection;
use crate::pipeline::units::WallTime;
use crate::store::WebhookMessage;

/// For one attempt, from the connection to the end of the answer. The specification advises 15 to
/// 30 s.
const PATIENCE: Duration = Duration::from_secs(20);

/// The longest pause that a receiver may ask for.
const LONGEST_ASKED: Duration = Duration::from_hours(1);

/// Octets of an answer that are read; it means nothing.
const LONGEST_ANSWER: usize = 64 * 1024;

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
    let answer = connection.send(request).await?;
    let outcome = outcome(answer.status(), answer.headers());
    // A receiver is done once it has answered in full.
    let mut body = answer.into_body();
    let mut read = 0;
    while read < LONGEST_ANSWER
        && let Some(frame) = body.frame().await
    {
        read += frame.map_err(std::io::Error::other)?.data_ref().map_or(0, Bytes::len);
    }
    Ok(outcome)
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
    let mut request = Request::new(Full::new(payload));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = hook.url.path.parse().unwrap_or_default();
    let headers = request.headers_mut();
    headers.insert(HOST, header(&hook.url.authority()));
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CONNECTION, HeaderValue::from_static("close"));
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

fn header(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).unwrap_or(HeaderValue::from_static(""))
}
