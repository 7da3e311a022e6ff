//! What the server answers: the page, the live stream, and what staff say about a visit.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{DefaultBodyLimit, FromRequest, FromRequestParts, Path, Query, Request, State};
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router, middleware};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::admission::{self, Admission};
use super::board::Link;
use super::feed::{Mouth, NotSent};
use super::hub::Hub;
use super::live::{self, SseClients, Subscription};
use super::pairing::{Refusal, Token};
use super::{page, words};
use crate::clock::Clocks;
use crate::pipeline::VisitId;
use crate::text;

/// No request of the page is longer.
const LONGEST_BODY: usize = 1024;

/// A kilobyte that takes longer is not on its way.
const BODY_TIMEOUT: Duration = Duration::from_secs(5);

/// What every answer needs.
#[derive(Clone)]
pub struct Shop {
    /// Where the board is.
    pub hub: Arc<Hub>,
    /// The open event streams.
    pub clients: Arc<SseClients>,
    /// The way to the gateways.
    pub mouth: Mouth,
    /// Who is let in.
    pub admission: Admission,
    /// Held by the one attempt at pairing that is being checked.
    pub pairing_turn: Arc<tokio::sync::Mutex<()>>,
    /// What time it is.
    pub clocks: Clocks,
    /// When the server stops.
    pub stop: CancellationToken,
}

/// Everything that can be asked for.
pub fn pages(shop: Shop) -> Router {
    let admission = shop.admission.clone();
    Router::new()
        .merge(page::routes())
        .route("/events", get(events))
        .route("/visits/{visit}/claim", post(claim))
        .route("/visits/{visit}/feedback", post(feedback))
        .route("/session", get(session))
        .route("/pair", post(pair))
        .route("/healthz", get(health))
        .fallback(async || Problem::NotFound)
        .layer(DefaultBodyLimit::max(LONGEST_BODY))
        .layer(middleware::from_fn_with_state(admission, admission::check))
        .with_state(shop)
}

/// Why something was not done, in a word that the page puts into the staff's language.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Problem {
    /// The tablet is not paired, or was revoked.
    NotPaired,
    /// No pairing code is waiting.
    NoCode,
    /// Wrong pairing code.
    WrongCode,
    /// Too many wrong pairing codes.
    TooManyCodes,
    /// Called by a name that is not this server's.
    ForeignHost,
    /// Sent by another site.
    ForeignOrigin,
    /// Not sent as JSON.
    NotJson,
    /// Not understood.
    BadRequest,
    /// The body did not arrive in time.
    TooSlow,
    /// Nothing is there.
    NotFound,
    /// The visit is over.
    VisitOver,
    /// All seats are taken.
    Full,
    /// The broker cannot be reached.
    BrokerAway,
    /// No gateway listens.
    NoGateway,
    /// The server itself is at fault.
    Failed,
}

impl Problem {
    /// The HTTP status.
    pub const fn status(self) -> StatusCode {
        match self {
            Self::NotPaired => StatusCode::UNAUTHORIZED,
            Self::NoCode | Self::WrongCode | Self::ForeignOrigin => StatusCode::FORBIDDEN,
            Self::TooManyCodes => StatusCode::TOO_MANY_REQUESTS,
            Self::ForeignHost => StatusCode::MISDIRECTED_REQUEST,
            Self::NotJson => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::BadRequest => StatusCode::BAD_REQUEST,
            Self::TooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::VisitOver => StatusCode::GONE,
            Self::Full | Self::BrokerAway | Self::NoGateway => StatusCode::SERVICE_UNAVAILABLE,
            Self::Failed => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    const fn word(self) -> &'static str {
        match self {
            Self::NotPaired => "not_paired",
            Self::NoCode => "no_code",
            Self::WrongCode => "wrong_code",
            Self::TooManyCodes => "too_many_codes",
            Self::ForeignHost => "foreign_host",
            Self::ForeignOrigin => "foreign_origin",
            Self::NotJson => "not_json",
            Self::BadRequest => "bad_request",
            Self::TooSlow => "too_slow",
            Self::NotFound => "not_found",
            Self::VisitOver => "visit_over",
            Self::Full => "full",
            Self::BrokerAway => "broker_away",
            Self::NoGateway => "no_gateway",
            Self::Failed => "failed",
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        (self.status(), Json(json!({ "error": self.word() }))).into_response()
    }
}

impl From<NotSent> for Problem {
    fn from(reason: NotSent) -> Self {
        match reason {
            NotSent::BrokerAway => Self::BrokerAway,
            NotSent::NobodyListens => Self::NoGateway,
        }
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::NoCode => Self::NoCode,
            Refusal::Wrong => Self::WrongCode,
            Refusal::TooMany => Self::TooManyCodes,
            Refusal::Storage(_) => Self::Failed,
        }
    }
}

/// Somebody who may pass; looked at before anything else of a request.
struct Admitted(Option<Token>);

impl FromRequestParts<Shop> for Admitted {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, shop: &Shop) -> Result<Self, Problem> {
        shop.admission.admits(&parts.headers).map(Self)
    }
}

/// A JSON body that arrives within [`BODY_TIMEOUT`].
struct JsonBody<T>(T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for JsonBody<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        match timeout(BODY_TIMEOUT, Json::from_request(request, state)).await {
            Ok(Ok(Json(body))) => Ok(Self(body)),
            Ok(Err(_)) => Err(Problem::BadRequest),
            Err(_) => Err(Problem::TooSlow),
        }
    }
}

#[derive(Deserialize)]
struct Tab {
    tab: String,
}

async fn events(
    State(shop): State<Shop>,
    Admitted(token): Admitted,
    Query(Tab { tab }): Query<Tab>,
) -> Result<Response, Problem> {
    if tab.is_empty() || tab.len() > 40 {
        return Err(Problem::BadRequest);
    }
    let tablet = token.as_ref().map(Token::tablet);
    let client = shop.clients.open(tablet, tab).ok_or(Problem::Full)?;
    let admission = shop.admission;
    let subscription = Subscription {
        hub: shop.hub,
        clocks: shop.clocks,
        client,
        admitted: Box::new(move || admission.still_admits(token.as_ref())),
        stop: shop.stop,
    };
    let body = Body::from_stream(live::stream(subscription));
    Ok(([(header::CONTENT_TYPE, "text/event-stream")], body).into_response())
}

#[derive(Deserialize)]
struct Claim {
    by: String,
    action: words::Action,
}

async fn claim(
    State(shop): State<Shop>,
    _: Admitted,
    Path(visit): Path<String>,
    JsonBody(claim): JsonBody<Claim>,
) -> Result<StatusCode, Problem> {
    let by = words::first_name(&claim.by).ok_or(Problem::BadRequest)?;
    let visit = on_the_board(&shop.hub, &visit)?;
    shop.mouth.claim(visit, &by, claim.action).await?;
    Ok(StatusCode::ACCEPTED)
}

#[derive(Deserialize)]
struct Feedback {
    verdict: words::Verdict,
}

async fn feedback(
    State(shop): State<Shop>,
    _: Admitted,
    Path(visit): Path<String>,
    JsonBody(feedback): JsonBody<Feedback>,
) -> Result<StatusCode, Problem> {
    let visit = on_the_board(&shop.hub, &visit)?;
    shop.mouth.feedback(visit, feedback.verdict).await?;
    Ok(StatusCode::ACCEPTED)
}

fn on_the_board(hub: &Hub, visit: &str) -> Result<VisitId, Problem> {
    let visit: VisitId = visit.parse().map_err(|_| Problem::NotFound)?;
    if hub.board().knows(visit) { Ok(visit) } else { Err(Problem::VisitOver) }
}

async fn session(_: Admitted) -> StatusCode {
    StatusCode::NO_CONTENT
}

#[derive(Deserialize)]
struct Pair {
    code: String,
    label: String,
}

async fn pair(
    State(shop): State<Shop>,
    JsonBody(pair): JsonBody<Pair>,
) -> Result<Response, Problem> {
    let Admission::Paired { pairings, .. } = &shop.admission else {
        return Ok(StatusCode::NO_CONTENT.into_response());
    };
    let pairings = Arc::clone(pairings);
    let now = shop.clocks.now().clock.reading();
    let code: String = pair.code.chars().filter(char::is_ascii_digit).collect();
    let label: String = text::displayable(&pair.label).chars().take(40).collect();
    // In turn: guessers take no more than one thread, and wait no less than others.
    let _turn = shop.pairing_turn.lock().await;
    let paired = tokio::task::spawn_blocking(move || pairings.pair(now, &code, label.trim()));
    let token = paired.await.map_err(|_| Problem::Failed)?.inspect_err(not_paired)?;
    tracing::info!("a tablet was paired");
    let cookie = [(header::SET_COOKIE, shop.admission.set_cookie(&token))];
    Ok((StatusCode::NO_CONTENT, cookie).into_response())
}

fn not_paired(refusal: &Refusal) {
    match refusal {
        Refusal::Storage(error) => tracing::error!(%error, "cannot keep a tablet's pairing"),
        Refusal::TooMany => tracing::warn!("wrong pairing codes withdrew the waiting code"),
        Refusal::Wrong | Refusal::NoCode => tracing::debug!(%refusal, "a tablet was not paired"),
    }
}

async fn health(State(shop): State<Shop>) -> Json<serde_json::Value> {
    let broker = match shop.hub.board().broker().0 {
        Link::Live => "live",
        Link::Away => "away",
    };
    Json(json!({ "page": "live", "broker": broker }))
}
