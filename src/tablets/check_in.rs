//! Check-ins: by the customer, with a link at the entrance, or by staff, by hand. The pipeline decides.

use axum::extract::{Path, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::json;
use tokio::time::{Duration, sleep};

use super::api_error::ApiError;
use super::app_state::{Admitted, AppState, JsonBody};
use super::desk::{Outcome, Who};
use super::staff;
use crate::pipeline::advert::token::Token;

/// Pause after a link that is not valid. Links are checked one at a time, so that none can be guessed.
const AFTER_A_WRONG_LINK: Duration = Duration::from_millis(250);

/// Octets: a handle is a name of the shop's own choice.
const LONGEST_HANDLE: usize = 128;

/// The routes.
pub fn routes() -> Router<AppState> {
    Router::new()
        .route("/check-in", post(by_hand))
        .route("/here", get(entrance))
        .route("/here/", get(entrance))
        .route("/here/{token}", get(by_link))
}

#[derive(Deserialize)]
struct CheckInBody {
    client: String,
    by: String,
}

async fn by_hand(
    State(app): State<AppState>,
    _: Admitted,
    JsonBody(body): JsonBody<CheckInBody>,
) -> Result<Response, ApiError> {
    staff::first_name(&body.by).ok_or(ApiError::BadRequest)?;
    let client = body.client.trim();
    if client.is_empty() || client.len() > LONGEST_HANDLE {
        return Err(ApiError::BadRequest);
    }
    let outcome =
        match app.desk.check_in(Who::Client(client.to_owned())).await.ok_or(ApiError::Failed)? {
            Outcome::Welcome => "welcome",
            Outcome::AlreadyHere => "already_here",
            Outcome::Unknown => return Err(ApiError::UnknownCustomer),
        };
    Ok(Json(json!({ "outcome": outcome })).into_response())
}

async fn entrance(State(app): State<AppState>) -> Result<Response, ApiError> {
    if !app.desk.entrance {
        return Err(ApiError::NotFound);
    }
    Ok(page(
        "Please scan this code with the shop's app, or give the staff your name.",
        "Scannez ce code avec l'application du magasin, ou donnez votre nom à l'équipe.",
    ))
}

async fn by_link(
    State(app): State<AppState>,
    Path(token): Path<String>,
) -> Result<Response, ApiError> {
    if !app.desk.entrance {
        return Err(ApiError::NotFound);
    }
    let mut octets = Token::default();
    hex::decode_to_slice(&token, &mut octets).map_err(|_| ApiError::NotFound)?;
    let _turn = app.check_in_turn.lock().await;
    match app.desk.check_in(Who::Token(octets)).await.ok_or(ApiError::Failed)? {
        Outcome::Welcome | Outcome::AlreadyHere => Ok(page(
            "Thank you. The staff know that you are here.",
            "Merci. L'équipe sait que vous êtes là.",
        )),
        Outcome::Unknown => {
            sleep(AFTER_A_WRONG_LINK).await;
            Err(ApiError::UnknownCustomer)
        }
    }
}

/// A page for a customer's phone. It loads nothing.
fn page(english: &str, french: &str) -> Response {
    let text = format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <title>Grelot</title><p>{english}</p><p lang=\"fr\">{french}</p></html>"
    );
    ([(header::CONTENT_TYPE, "text/html; charset=utf-8")], text).into_response()
}
