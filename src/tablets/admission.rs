//! Which requests are admitted: none that other sites make through a staff member's browser, and
//! none of unpaired tablets.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

use super::api_error::ApiError;
use super::connections::Connection;
use super::pairing::{Pairings, Tablet, Token};

/// Headers of every response that does not set them itself. Customers' names must not stay in a
/// cache, and the page must not load from or send to other origins.
const PROTECTIONS: [(HeaderName, &str); 6] = [
    (header::CACHE_CONTROL, "no-store"),
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
         connect-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none'; \
         frame-ancestors 'none'",
    ),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
];

/// Which requests are admitted.
#[derive(Debug, Clone)]
pub enum Admission {
    /// All: the address is the loopback's.
    Everyone,
    Paired {
        pairings: Arc<Pairings>,
        /// Whether the page is served over TLS; then its cookie is for TLS only.
        secure: bool,
    },
}

impl Admission {
    /// The token of an admitted request; `None` where tablets need no pairing.
    ///
    /// # Errors
    /// If the request has no cookie of a paired tablet.
    pub fn admits(&self, headers: &HeaderMap) -> Result<Option<Token>, ApiError> {
        let Self::Paired { pairings, .. } = self else { return Ok(None) };
        let token = cookie(headers, self.cookie_name()).map(Token::from_cookie);
        match token.filter(|token| pairings.knows(token)) {
            Some(token) => Ok(Some(token)),
            None => Err(ApiError::NotPaired),
        }
    }

    /// Whether an admitted token has not been revoked since.
    pub fn still_admits(&self, token: Option<&Token>) -> bool {
        match (self, token) {
            (Self::Everyone, _) => true,
            (Self::Paired { pairings, .. }, Some(token)) => pairings.knows(token),
            (Self::Paired { .. }, None) => false,
        }
    }

    /// The paired tablet of an admitted token.
    pub fn tablet(&self, token: Option<&Token>) -> Option<Tablet> {
        match (self, token) {
            (Self::Paired { pairings, .. }, Some(token)) => pairings.tablet(token),
            _ => None,
        }
    }

    /// The `Set-Cookie` header for `token`, hidden from scripts. Browsers keep a cookie for at most
    /// 400 days.
    pub fn set_cookie(&self, token: &Token) -> String {
        let secure = if self.secure() { "; Secure" } else { "" };
        format!(
            "{}={}; Path=/; Max-Age=34560000; HttpOnly; SameSite=Strict{secure}",
            self.cookie_name(),
            token.as_str()
        )
    }

    const fn secure(&self) -> bool {
        matches!(self, Self::Paired { secure: true, .. })
    }

    /// The prefix makes browsers refuse a cookie of this name that another host or plain HTTP
    /// has set.
    const fn cookie_name(&self) -> &'static str {
        if self.secure() { "__Host-grelot" } else { "grelot" }
    }
}

/// Middleware: rejects requests of other sites, and adds [`PROTECTIONS`] to every response.
pub async fn check(State(admission): State<Admission>, request: Request, next: Next) -> Response {
    let mut response = match foreign(&admission, request.method(), request.headers()) {
        None => answer(&admission, request, next).await,
        Some(problem) => problem.into_response(),
    };
    for (name, value) in PROTECTIONS {
        response.headers_mut().entry(name).or_insert(HeaderValue::from_static(value));
    }
    response
}

/// Answers a request; one that was admitted proves its connection, once it is answered.
async fn answer(admission: &Admission, request: Request, next: Next) -> Response {
    let admitted = admission.admits(request.headers());
    let connection = request.extensions().get::<Arc<Connection>>().cloned();
    let response = next.run(request).await;
    if let (Ok(token), Some(connection)) = (admitted, connection) {
        connection.prove(token.map(|token| token.tablet()));
    }
    response
}

fn foreign(admission: &Admission, method: &Method, headers: &HeaderMap) -> Option<ApiError> {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    // A foreign name that resolves to this address (DNS rebinding) would make a foreign page
    // same-origin. Where tablets are paired it has no cookie; elsewhere host names are rejected.
    if matches!(admission, Admission::Everyone) && !is_numeric_or_local(host) {
        return Some(ApiError::ForeignHost);
    }
    if method == Method::GET || method == Method::HEAD {
        return None;
    }
    let origin = headers.get(header::ORIGIN).map(|origin| origin.to_str().unwrap_or_default());
    let elsewhere = origin.is_some_and(|origin| {
        origin.split_once("://").map(|(_, host)| host) != Some(host) || host.is_empty()
    });
    let cross_site = headers.get("sec-fetch-site").is_some_and(|site| site != "same-origin");
    if elsewhere || cross_site {
        return Some(ApiError::ForeignOrigin);
    }
    // Forms of other sites cannot send this type without a preflight request.
    let json = headers.get(header::CONTENT_TYPE).is_some_and(|kind| {
        kind.to_str().is_ok_and(|kind| {
            kind.split(';').next().is_some_and(|kind| kind.trim() == "application/json")
        })
    });
    (!json).then_some(ApiError::NotJson)
}

fn is_numeric_or_local(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(v6) => v6.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok()
}

fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|cookies| cookies.to_str().ok())
        .flat_map(|cookies| cookies.split(';'))
        .filter_map(|cookie| cookie.trim().split_once('='))
        .find_map(|(found, value)| (found == name).then_some(value))
}

#[cfg(test)]
mod tests {
    use axum::http::StatusCode;

    use super::*;

    fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| {
                (name.parse::<HeaderName>().unwrap(), HeaderValue::from_str(value).unwrap())
            })
            .collect()
    }

    fn post(pairs: &[(&str, &str)]) -> Option<StatusCode> {
        foreign(&Admission::Everyone, &Method::POST, &headers(pairs)).map(ApiError::status)
    }

    #[test]
    fn the_page_itself_may_post() {
        let page = [
            ("host", "127.0.0.1:8080"),
            ("origin", "http://127.0.0.1:8080"),
            ("sec-fetch-site", "same-origin"),
            ("content-type", "application/json"),
        ];
        assert_eq!(post(&page), None);
        assert_eq!(post(&[("host", "[::1]:80"), page[3]]), None, "and a tool without an origin");
    }

    #[test]
    fn another_site_may_not_post() {
        let json = ("content-type", "application/json");
        let host = ("host", "127.0.0.1:8080");
        let forbidden = Some(StatusCode::FORBIDDEN);
        assert_eq!(post(&[host, json, ("origin", "http://evil.example")]), forbidden);
        assert_eq!(post(&[host, json, ("origin", "null")]), forbidden);
        assert_eq!(post(&[host, json, ("origin", "http://127.0.0.1:9")]), forbidden);
        assert_eq!(post(&[host, json, ("sec-fetch-site", "same-site")]), forbidden);
    }

    #[test]
    fn a_form_may_not_post() {
        let form = [("host", "localhost"), ("content-type", "text/plain")];
        assert_eq!(post(&form), Some(StatusCode::UNSUPPORTED_MEDIA_TYPE));
        assert_eq!(post(&[("host", "localhost")]), Some(StatusCode::UNSUPPORTED_MEDIA_TYPE));
    }

    #[test]
    fn a_foreign_name_for_this_address_is_turned_away() {
        for host in ["evil.example", "127.0.0.1.evil.example:80", "", "[evil]"] {
            let problem = foreign(&Admission::Everyone, &Method::GET, &headers(&[("host", host)]));
            assert_eq!(
                problem.map(ApiError::status),
                Some(StatusCode::MISDIRECTED_REQUEST),
                "{host}"
            );
        }
    }

    #[test]
    fn a_cookie_is_found_among_others() {
        let headers = headers(&[("cookie", "a=1; grelot=abc; b=2")]);
        assert_eq!(cookie(&headers, "grelot"), Some("abc"));
        assert_eq!(cookie(&headers, "relot"), None);
    }
}
