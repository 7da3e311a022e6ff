//! Why a request failed, as the page and other clients see it.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::pairing::PairingError;
use super::subscriber::NotSent;

/// Why a request failed; its code is a key of the page's translations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ApiError {
    /// The tablet is not paired, or was revoked.
    NotPaired,
    /// No pairing code is waiting.
    NoCode,
    WrongCode,
    /// Too many wrong pairing codes.
    TooManyCodes,
    /// The `Host` header names another host.
    ForeignHost,
    /// Sent by a page of another origin.
    ForeignOrigin,
    /// The content type is not JSON.
    NotJson,
    /// Malformed, too long, or out of range.
    BadRequest,
    /// The body did not arrive in time.
    TooSlow,
    /// No such route or visit id.
    NotFound,
    /// The visit is over.
    VisitOver,
    /// No customer of that handle or link may be recognised now.
    UnknownCustomer,
    /// All event streams, or all of this tablet, are taken.
    Full,
    /// The broker cannot be reached.
    BrokerAway,
    /// No gateway has subscribed.
    NoGateway,
    /// An error of the server, which is in the log.
    Failed,
}

impl ApiError {
    pub const fn status(self) -> StatusCode {
        match self {
            Self::NotPaired => StatusCode::UNAUTHORIZED,
            Self::NoCode | Self::WrongCode | Self::ForeignOrigin => StatusCode::FORBIDDEN,
            Self::TooManyCodes => StatusCode::TOO_MANY_REQUESTS,
            Self::ForeignHost => StatusCode::MISDIRECTED_REQUEST,
            Self::NotJson => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::BadRequest => StatusCode::BAD_REQUEST,
            Self::TooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::NotFound | Self::UnknownCustomer => StatusCode::NOT_FOUND,
            Self::VisitOver => StatusCode::GONE,
            Self::Full | Self::BrokerAway | Self::NoGateway => StatusCode::SERVICE_UNAVAILABLE,
            Self::Failed => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    const fn code(self) -> &'static str {
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
            Self::UnknownCustomer => "unknown_customer",
            Self::Full => "full",
            Self::BrokerAway => "broker_away",
            Self::NoGateway => "no_gateway",
            Self::Failed => "failed",
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        (self.status(), Json(json!({ "error": self.code() }))).into_response()
    }
}

impl From<NotSent> for ApiError {
    fn from(reason: NotSent) -> Self {
        match reason {
            NotSent::BrokerAway => Self::BrokerAway,
            NotSent::NoSubscriber => Self::NoGateway,
        }
    }
}

impl From<PairingError> for ApiError {
    fn from(refusal: PairingError) -> Self {
        match refusal {
            PairingError::NoCode => Self::NoCode,
            PairingError::Wrong => Self::WrongCode,
            PairingError::TooMany => Self::TooManyCodes,
            PairingError::Storage(_) => Self::Failed,
        }
    }
}
