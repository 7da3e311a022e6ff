//! Check-ins: by the customer, with a link at the entrance, or by staff, by hand. The pipeline decides.

use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
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
        &app,
        StatusCode::OK,
        "Please scan this code with the shop’s app, or give the staff your name.",
        "Scannez ce code avec l’application du magasin, ou donnez votre nom à l’équipe.",
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
    if hex::decode_to_slice(&token, &mut octets).is_err() {
        return Ok(counts_no_more(&app));
    }
    let mut used = app.used_links.lock().await;
    let now = app.clocks.now().tick;
    if used.contains(&octets, now) {
        return Ok(page(
            &app,
            StatusCode::GONE,
            "This link has already been used. If you are waiting, the staff know that you are here.",
            "Ce lien a déjà servi. Si vous attendez, l’équipe sait que vous êtes là.",
        ));
    }
    match app.desk.check_in(Who::Token(octets)).await {
        Some(Outcome::Welcome | Outcome::AlreadyHere) => {
            used.add(octets, now);
            Ok(page(
                &app,
                StatusCode::OK,
                "Thank you. The staff know that you are here.",
                "Merci. L’équipe sait que vous êtes là.",
            ))
        }
        Some(Outcome::Unknown) => {
            sleep(AFTER_A_WRONG_LINK).await;
            Ok(counts_no_more(&app))
        }
        None => Ok(page(
            &app,
            StatusCode::SERVICE_UNAVAILABLE,
            "That did not work. Please give the staff your name.",
            "Cela n’a pas fonctionné. Donnez votre nom à l’équipe.",
        )),
    }
}

/// Expired, forged, withdrawn, of another shop: the answer does not say which.
fn counts_no_more(app: &AppState) -> Response {
    page(
        app,
        StatusCode::NOT_FOUND,
        "This link does not count, or no longer. Please scan the code at the entrance again with the \
         shop’s app, or give the staff your name.",
        "Ce lien n’est pas ou plus valable. Scannez de nouveau le code à l’entrée avec l’application \
         du magasin, ou donnez votre nom à l’équipe.",
    )
}

/// A page for a customer's phone.
fn page(app: &AppState, status: StatusCode, english: &str, french: &str) -> Response {
    let text = include_str!("here.html")
        .replace("{store}", &escaped(app.board_state.store_name()))
        .replace("{english}", english)
        .replace("{french}", french);
    (status, [(header::CONTENT_TYPE, "text/html; charset=utf-8")], text).into_response()
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}
