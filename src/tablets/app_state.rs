//! What the handlers of the page's server share, and what they extract from requests.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use serde::de::DeserializeOwned;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::admission::Admission;
use super::api_error::ApiError;
use super::board_state::BoardState;
use super::connections::DeviceConnection;
use super::desk::Desk;
use super::pairing::{Pairings, Token};
use super::settings::BridgeAccess;
use super::subscriber::CommandSender;
use super::trust::Authority;
use super::used_links::UsedLinks;
use super::viewers::Viewers;
use crate::clock::Clocks;
use crate::telemetry::Timings;

/// A kilobyte that takes longer is not on its way.
const BODY_TIMEOUT: Duration = Duration::from_secs(5);

/// What the handlers share.
#[derive(Clone)]
pub struct AppState {
    pub board_state: Arc<BoardState>,
    pub viewers: Arc<Viewers>,
    /// Commands to the gateways.
    pub commands: CommandSender,
    /// How long alerts take to a page.
    pub timings: Timings,
    /// Which requests are admitted.
    pub admission: Admission,
    /// Held by the one attempt at pairing that is being checked.
    pub pairing_turn: Arc<tokio::sync::Mutex<()>>,
    /// The way of check-ins to the pipeline.
    pub desk: Desk,
    /// Held by the one check-in by link that is being tried.
    pub used_links: Arc<tokio::sync::Mutex<UsedLinks>>,
    /// The broker of other staff devices.
    pub bridge: BridgeAccess,
    /// To the owner of all connections.
    pub devices: mpsc::Sender<DeviceConnection>,
    pub pairings: Arc<Pairings>,
    /// The gateway's own certificate authority.
    pub authority: Authority,
    /// The page's words in every language.
    pub words: Bytes,
    pub clocks: Clocks,
    /// Cancelled when the server stops.
    pub stop: CancellationToken,
}

/// An admitted request's token; extracted before the rest of the request.
pub struct Admitted(pub Option<Token>);

impl FromRequestParts<AppState> for Admitted {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &AppState) -> Result<Self, ApiError> {
        app.admission.admits(&parts.headers).map(Self)
    }
}

/// A JSON body that arrives within [`BODY_TIMEOUT`].
pub struct JsonBody<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for JsonBody<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        match timeout(BODY_TIMEOUT, Json::from_request(request, state)).await {
            Ok(Ok(Json(body))) => Ok(Self(body)),
            Ok(Err(_)) => Err(ApiError::BadRequest),
            Err(_) => Err(ApiError::TooSlow),
        }
    }
}
