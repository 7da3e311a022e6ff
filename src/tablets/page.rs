//! The page's files, compiled in: the page loads nothing from other origins.

use axum::Router;
use axum::http::header;
use axum::response::IntoResponse;
use axum::routing::get;

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";
const MANIFEST: &str = "application/manifest+json";

/// Path, type and content of each.
const FILES: [(&str, &str, &[u8]); 9] = [
    ("/", HTML, include_bytes!("page/index.html")),
    ("/page/style.css", CSS, include_bytes!("page/style.css")),
    ("/page/main.js", SCRIPT, include_bytes!("page/main.js")),
    ("/page/i18n.js", SCRIPT, include_bytes!("page/i18n.js")),
    ("/page/link.js", SCRIPT, include_bytes!("page/link.js")),
    ("/page/cards.js", SCRIPT, include_bytes!("page/cards.js")),
    ("/page/bell.js", SCRIPT, include_bytes!("page/bell.js")),
    ("/page/bell.svg", SVG, include_bytes!("page/bell.svg")),
    ("/page/manifest.webmanifest", MANIFEST, include_bytes!("page/manifest.webmanifest")),
];

/// Routes of [`FILES`]. They hold no data of customers, so they need no pairing.
pub fn routes<S: Clone + Send + Sync + 'static>() -> Router<S> {
    FILES.into_iter().fold(Router::new(), |routes, (path, kind, content)| {
        let file = async move || ([(header::CONTENT_TYPE, kind)], content).into_response();
        routes.route(path, get(file))
    })
}
