//! How a tablet comes to trust the gateway's own certificate authority: a page and the authority's
//! certificate. Both are public, and are served in clear, too.

use std::path::PathBuf;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use super::api_error::ApiError;
use crate::certificates::fingerprint;
use crate::files;

/// What Android and iOS install as an authority.
const AUTHORITY: &str = "application/x-x509-ca-cert";

/// Where the authority's certificate is, if this gateway has an authority.
#[derive(Debug, Clone, Default)]
pub struct Authority(Option<Arc<PathBuf>>);

impl Authority {
    /// The authority in a PEM file, read at each request.
    pub fn at(path: Option<PathBuf>) -> Self {
        Self(path.map(Arc::new))
    }

    fn der(&self) -> Result<Vec<u8>, ApiError> {
        let path = self.0.as_ref().ok_or(ApiError::NotFound)?;
        let certificates = files::pem_certificates(path).map_err(|_| ApiError::NotFound)?;
        certificates.first().map(|der| der.to_vec()).ok_or(ApiError::NotFound)
    }
}

/// The page, its style, and the certificate.
pub fn routes<S: Clone + Send + Sync + 'static>(authority: Authority) -> Router<S> {
    Router::new()
        .route("/trust", get(page))
        .route("/plain.css", get(style))
        .route("/ca.crt", get(certificate))
        .with_state(authority)
}

/// What is answered in clear on a port that speaks TLS: how to trust it, and where it is.
pub fn in_clear(authority: Authority) -> Router {
    routes(authority).fallback(redirect)
}

async fn certificate(State(authority): State<Authority>) -> Result<Response, ApiError> {
    let head = [
        (header::CONTENT_TYPE, AUTHORITY),
        (header::CONTENT_DISPOSITION, "attachment; filename=\"grelot-ca.crt\""),
    ];
    Ok((head, authority.der()?).into_response())
}

/// Of the pages that are plain text: this one, and those for customers' phones.
async fn style() -> Response {
    ([(header::CONTENT_TYPE, "text/css; charset=utf-8")], include_str!("plain.css")).into_response()
}

async fn page(
    State(authority): State<Authority>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let fingerprint = fingerprint(&authority.der()?);
    let french = headers
        .get(header::ACCEPT_LANGUAGE)
        .and_then(|languages| languages.to_str().ok())
        .is_some_and(|languages| languages.trim_start().starts_with("fr"));
    let page = if french { include_str!("trust_fr.html") } else { include_str!("trust_en.html") };
    let page = page.replace("{fingerprint}", &fingerprint);
    Ok(([(header::CONTENT_TYPE, "text/html; charset=utf-8")], page).into_response())
}

/// To the same address over TLS.
async fn redirect(headers: HeaderMap, request: Request) -> Response {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let is_host = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | ':' | '[' | ']');
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
    let target = format!("https://{host}{path}");
    if host.is_empty() || !host.chars().all(is_host) || target.parse::<Uri>().is_err() {
        return ApiError::BadRequest.into_response();
    }
    (StatusCode::TEMPORARY_REDIRECT, [(header::LOCATION, target)]).into_response()
}
