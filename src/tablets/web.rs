//! HTTP routes: the page, the event stream, commands of staff, pairing.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{DefaultBodyLimit, Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router, middleware};
use serde::Deserialize;
use serde_json::json;

use super::admission::{self, Admission};
use super::api_error::ApiError;
use super::app_state::{Admitted, AppState, JsonBody};
use super::board::BrokerLink;
use super::board_state::BoardState;
use super::live::{self, Subscription};
use super::pairing::PairingError;
use super::staff::{Action, Feedback, Member};
use super::viewers::LookingOn;
use super::{bridge, check_in, page, trust};
use crate::clock::Clocks;
use crate::pipeline::VisitId;
use crate::text;

/// No request of the page is longer.
const LONGEST_BODY: usize = 1024;

pub fn pages(app: AppState) -> Router {
    let admission = app.admission.clone();
    let authority = app.authority.clone();
    let pages = Router::new()
        .merge(page::routes(app.words.clone()))
        .merge(check_in::routes())
        .merge(bridge::routes())
        .merge(trust::routes(authority))
        .route("/events", get(events))
        .route("/visits/{visit}/claim", post(claim))
        .route("/visits/{visit}/feedback", post(feedback))
        .route("/visits/{visit}/shown", post(shown))
        .route("/session", get(session))
        .route("/tablets", get(tablets))
        .route("/pair", post(pair))
        .route("/healthz", get(health))
        .fallback(async || ApiError::NotFound)
        .layer(DefaultBodyLimit::max(LONGEST_BODY))
        .with_state(app);
    protected(pages, admission)
}

/// Requests of other sites are rejected, and every response is protected.
pub fn protected(pages: Router, admission: Admission) -> Router {
    pages.layer(middleware::from_fn_with_state(admission, admission::check))
}

#[derive(Deserialize)]
struct EventsQuery {
    tab: String,
}

async fn events(
    State(app): State<AppState>,
    Admitted(token): Admitted,
    Query(EventsQuery { tab }): Query<EventsQuery>,
) -> Result<Response, ApiError> {
    if tab.is_empty() || tab.len() > 40 {
        return Err(ApiError::BadRequest);
    }
    let tablet = app.admission.tablet(token.as_ref());
    let now = app.clocks.now().clock.reading();
    let viewer = app.viewers.open(tablet.as_ref(), tab, now).ok_or(ApiError::Full)?;
    let admission = app.admission;
    let subscription = Subscription {
        board_state: app.board_state,
        clocks: app.clocks,
        viewer,
        viewers: app.viewers,
        admitted: Box::new(move || admission.still_admits(token.as_ref())),
        stop: app.stop,
    };
    let body = Body::from_stream(live::stream(subscription));
    Ok(([(header::CONTENT_TYPE, "text/event-stream")], body).into_response())
}

#[derive(Deserialize)]
struct ClaimBody {
    #[serde(flatten)]
    by: Member,
    action: Action,
    to: Option<Member>,
}

async fn claim(
    State(app): State<AppState>,
    _: Admitted,
    Path(visit): Path<String>,
    JsonBody(claim): JsonBody<ClaimBody>,
) -> Result<StatusCode, ApiError> {
    let by = claim.by.checked().ok_or(ApiError::BadRequest)?;
    let to = claim.to.map(|to| to.checked().ok_or(ApiError::BadRequest)).transpose()?;
    let over_too = claim.action == Action::Recall;
    let visit = on_the_board(&app.board_state, &visit, over_too)?;
    app.commands.claim(visit, &by, claim.action, to.as_ref()).await?;
    Ok(StatusCode::ACCEPTED)
}

#[derive(Deserialize)]
struct FeedbackBody {
    verdict: Feedback,
}

async fn feedback(
    State(app): State<AppState>,
    _: Admitted,
    Path(visit): Path<String>,
    JsonBody(feedback): JsonBody<FeedbackBody>,
) -> Result<StatusCode, ApiError> {
    let visit = on_the_board(&app.board_state, &visit, true)?;
    app.commands.feedback(visit, feedback.verdict).await?;
    Ok(StatusCode::ACCEPTED)
}

/// The page has drawn the visit: measures how long the alert took.
async fn shown(
    State(app): State<AppState>,
    _: Admitted,
    Path(visit): Path<String>,
) -> Result<StatusCode, ApiError> {
    let visit = on_the_board(&app.board_state, &visit, false)?;
    app.timings.shown(visit, app.clocks.now().tick);
    Ok(StatusCode::NO_CONTENT)
}

/// `over_too`: also a visit that is over, as long as the page lists it.
fn on_the_board(
    board_state: &BoardState,
    visit: &str,
    over_too: bool,
) -> Result<VisitId, ApiError> {
    let visit: VisitId = visit.parse().map_err(|_| ApiError::NotFound)?;
    let board = board_state.board();
    let known = board.knows(visit) || (over_too && board.lists(visit));
    if known { Ok(visit) } else { Err(ApiError::VisitOver) }
}

#[derive(Deserialize)]
struct SessionQuery {
    tab: Option<String>,
}

/// Whether this tablet is admitted; with a tab's id, also whether there is a place for its event
/// stream. A browser does not tell a page why an event stream was refused.
async fn session(
    State(app): State<AppState>,
    Admitted(token): Admitted,
    Query(SessionQuery { tab }): Query<SessionQuery>,
) -> Result<StatusCode, ApiError> {
    let tablet = app.admission.tablet(token.as_ref());
    let has_place = tab.is_none_or(|tab| app.viewers.has_place(tablet.as_ref(), &tab));
    if has_place { Ok(StatusCode::NO_CONTENT) } else { Err(ApiError::Full) }
}

/// The tablets that are connected here.
async fn tablets(State(app): State<AppState>, _: Admitted) -> Json<Vec<LookingOn>> {
    Json(app.viewers.list())
}

#[derive(Deserialize)]
struct PairBody {
    code: String,
    label: String,
}

async fn pair(
    State(app): State<AppState>,
    JsonBody(pair): JsonBody<PairBody>,
) -> Result<Response, ApiError> {
    let Admission::Paired { pairings, .. } = &app.admission else {
        return Ok(StatusCode::NO_CONTENT.into_response());
    };
    let pairings = Arc::clone(pairings);
    // Another process has made the code by the machine's clock; that of a simulation may be elsewhere.
    let now = Clocks::machine().now().clock.reading();
    let code: String = pair.code.chars().filter(char::is_ascii_digit).collect();
    let label: String = text::displayable(&pair.label).chars().take(40).collect();
    // In turn: guessers occupy one thread, and wait as long as others.
    let _turn = app.pairing_turn.lock().await;
    let paired = tokio::task::spawn_blocking(move || pairings.pair(now, &code, label.trim()));
    let token = paired.await.map_err(|_| ApiError::Failed)?.inspect_err(not_paired)?;
    tracing::info!("a tablet was paired");
    let cookie = [(header::SET_COOKIE, app.admission.set_cookie(&token))];
    Ok((StatusCode::NO_CONTENT, cookie).into_response())
}

fn not_paired(refusal: &PairingError) {
    match refusal {
        PairingError::Storage(error) => tracing::error!(%error, "cannot keep a tablet's pairing"),
        PairingError::TooMany => tracing::warn!("wrong pairing codes withdrew the waiting code"),
        PairingError::Wrong | PairingError::NoCode => {
            tracing::debug!(%refusal, "a tablet was not paired");
        }
    }
}

async fn health(State(app): State<AppState>) -> Json<serde_json::Value> {
    let broker = match app.board_state.board().broker().0 {
        BrokerLink::Live => "live",
        BrokerLink::Away => "away",
    };
    Json(json!({ "page": "live", "broker": broker }))
}
