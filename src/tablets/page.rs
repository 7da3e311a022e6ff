//! The page's files, compiled in: the page loads nothing from other origins.
//!
//! The page names its files under their version (`/page/<version>/main.js`), so that a browser keeps
//! them for good and loads all of them again after an update. They travel compressed.

use std::io::Write as _;
use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::Path;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use flate2::Compression;
use flate2::write::GzEncoder;
use sha2::{Digest as _, Sha256};

use super::api_error::ApiError;

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";
const JSON: &str = "application/json";
const MANIFEST: &str = "application/manifest+json";

/// Where the files are, without their version.
const FOLDER: &str = "/page/";

/// Path, type and content of each.
const FILES: [(&str, &str, &[u8]); 15] = [
    ("/", HTML, include_bytes!("page/index.html")),
    ("/page/style.css", CSS, include_bytes!("page/style.css")),
    // From the root, as a service worker serves only what is below it.
    ("/sw.js", SCRIPT, include_bytes!("page/sw.js")),
    ("/page/main.js", SCRIPT, include_bytes!("page/main.js")),
    ("/page/attention.js", SCRIPT, include_bytes!("page/attention.js")),
    ("/page/bell.js", SCRIPT, include_bytes!("page/bell.js")),
    ("/page/cards.js", SCRIPT, include_bytes!("page/cards.js")),
    ("/page/desk.js", SCRIPT, include_bytes!("page/desk.js")),
    ("/page/link.js", SCRIPT, include_bytes!("page/link.js")),
    ("/page/notices.js", SCRIPT, include_bytes!("page/notices.js")),
    ("/page/people.js", SCRIPT, include_bytes!("page/people.js")),
    ("/page/truth.js", SCRIPT, include_bytes!("page/truth.js")),
    ("/page/words.js", SCRIPT, include_bytes!("page/words.js")),
    ("/page/bell.svg", SVG, include_bytes!("page/bell.svg")),
    ("/page/manifest.webmanifest", MANIFEST, include_bytes!("page/manifest.webmanifest")),
];

/// The version is in the path: what is there never changes.
const FOREVER: &str = "public, max-age=31536000, immutable";
/// Kept, and asked for again each time.
const REVALIDATED: &str = "no-cache";

/// All files as they are sent.
struct Assets {
    version: String,
    files: Vec<Asset>,
}

struct Asset {
    path: &'static str,
    kind: &'static str,
    plain: Bytes,
    gzip: Bytes,
}

/// The page's words in every language, which the configuration says.
const WORDS: &str = "/page/words.json";

/// Routes of [`FILES`] and of the page's `words`, which are JSON. They hold no data of customers, so
/// they need no pairing.
pub fn routes<S: Clone + Send + Sync + 'static>(words: Bytes) -> Router<S> {
    let assets = Arc::new(Assets::new(words));
    let outside = FILES.into_iter().map(|(path, ..)| path).filter(|path| !path.starts_with(FOLDER));
    let routes = outside.fold(Router::new(), |routes, path| {
        let assets = Arc::clone(&assets);
        let file = async move |headers: HeaderMap| assets.answer(path, REVALIDATED, &headers);
        routes.route(path, get(file))
    });
    let in_folder = async move |Path(path): Path<String>, headers: HeaderMap| {
        let (version, name) = path.split_once('/').unwrap_or(("", &path));
        let cache = if version == assets.version { FOREVER } else { REVALIDATED };
        assets.answer(&format!("{FOLDER}{name}"), cache, &headers)
    };
    routes.route("/page/{*path}", get(in_folder))
}

impl Assets {
    fn new(words: Bytes) -> Self {
        let files = FILES.map(|(path, kind, content)| (path, kind, Bytes::from_static(content)));
        let files = files.into_iter().chain([(WORDS, JSON, words)]);
        let hash = files.clone().fold(Sha256::new(), |hash, (path, _, content)| {
            hash.chain_update(path).chain_update(content)
        });
        let version: String = hex::encode(hash.finalize()).chars().take(12).collect();
        let file = |(path, kind, content): (&'static str, &'static str, Bytes)| {
            let plain = match kind {
                HTML => Bytes::from(versioned(&content, &version)),
                _ => content,
            };
            Asset { path, kind, gzip: compressed(&plain), plain }
        };
        Self { files: files.map(file).collect(), version }
    }

    fn answer(&self, path: &str, cache: &'static str, asked: &HeaderMap) -> Response {
        let Some(asset) = self.files.iter().find(|asset| asset.path == path) else {
            return ApiError::NotFound.into_response();
        };
        let tag = format!("\"{}\"", self.version);
        let head = [
            (header::CONTENT_TYPE, asset.kind),
            (header::CACHE_CONTROL, cache),
            (header::ETAG, tag.as_str()),
            (header::VARY, "Accept-Encoding"),
        ];
        let asks = |name, word: &str| {
            asked.get(name).and_then(|value| value.to_str().ok()).is_some_and(|v| v.contains(word))
        };
        if asks(header::IF_NONE_MATCH, &tag) {
            return (StatusCode::NOT_MODIFIED, head).into_response();
        }
        if asks(header::ACCEPT_ENCODING, "gzip") && asset.gzip.len() < asset.plain.len() {
            let encoding = [(header::CONTENT_ENCODING, "gzip")];
            return (head, encoding, asset.gzip.clone()).into_response();
        }
        (head, asset.plain.clone()).into_response()
    }
}

/// The page with the version in the paths of its files.
fn versioned(page: &[u8], version: &str) -> String {
    let page = String::from_utf8_lossy(page);
    page.replace(&format!("\"{FOLDER}"), &format!("\"{FOLDER}{version}/"))
}

fn compressed(content: &[u8]) -> Bytes {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    // To memory: this cannot fail. An empty answer is longer than no file and never sent.
    match encoder.write_all(content).and_then(|()| encoder.finish()) {
        Ok(gzip) => Bytes::from(gzip),
        Err(_) => Bytes::copy_from_slice(content),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a tablet loads at the first visit, in octets on the wire without heads.
    const LONGEST_PAGE: usize = 45_000;

    fn assets() -> Assets {
        Assets::new(crate::config::Words::default().json().into())
    }

    #[test]
    fn the_whole_page_is_short() {
        let octets: usize = assets().files.iter().map(|asset| asset.gzip.len()).sum();
        assert!(octets < LONGEST_PAGE, "{octets}");
    }

    #[test]
    fn the_page_names_its_files_by_version_and_they_are_there() {
        let assets = assets();
        let page = assets.files.iter().find(|asset| asset.path == "/").unwrap();
        let page = String::from_utf8(page.plain.to_vec()).unwrap();
        let prefix = format!("{FOLDER}{}/", assets.version);
        let named: Vec<&str> = page.split('"').filter(|text| text.starts_with(FOLDER)).collect();
        assert!(named.len() >= 4, "{named:?}");
        for path in named {
            let name = path.strip_prefix(&prefix).expect(path);
            let path = format!("{FOLDER}{name}");
            assert!(assets.files.iter().any(|asset| asset.path == path), "{path}");
        }
    }
}
