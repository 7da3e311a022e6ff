//! The files of a page, compiled in, as they are sent: compressed, and with a version in their path
//! (`/page/<version>/main.js`), so that a browser keeps them for good and loads all of them again
//! after an update.

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

/// `Content-Type` of a page, which names files under [`FOLDER`].
pub const HTML: &str = "text/html; charset=utf-8";

/// `Content-Type` of a style sheet.
pub const CSS: &str = "text/css; charset=utf-8";

/// `Content-Type` of a script.
pub const SCRIPT: &str = "text/javascript; charset=utf-8";

/// `Content-Type` of a picture.
pub const SVG: &str = "image/svg+xml";

/// Where the files are, without their version.
pub const FOLDER: &str = "/page/";

/// The version is in the path, so the content never changes.
const FOREVER: &str = "public, max-age=31536000, immutable";
/// Kept, and validated at each use.
const REVALIDATED: &str = "no-cache";

/// All files as they are sent.
pub struct Assets {
    /// A hash of all of them.
    pub version: String,
    pub files: Vec<Asset>,
}

pub struct Asset {
    /// Without its version.
    pub path: &'static str,
    kind: &'static str,
    /// Not compressed.
    pub plain: Bytes,
    /// Compressed with gzip.
    pub gzip: Bytes,
}

impl Assets {
    /// Assets of `path`, `Content-Type` and content.
    pub fn new(
        files: impl IntoIterator<Item = (&'static str, &'static str, Bytes)> + Clone,
    ) -> Self {
        let hash = files.clone().into_iter().fold(Sha256::new(), |hash, (path, _, content)| {
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
        Self { files: files.into_iter().map(file).collect(), version }
    }

    /// Routes of all of them; other paths are answered by `missing`.
    pub fn routes<S: Clone + Send + Sync + 'static>(self, missing: fn() -> Response) -> Router<S> {
        let assets = Arc::new(self);
        let outside: Vec<&'static str> = assets
            .files
            .iter()
            .map(|file| file.path)
            .filter(|path| !path.starts_with(FOLDER))
            .collect();
        let routes = outside.into_iter().fold(Router::new(), |routes, path| {
            let assets = Arc::clone(&assets);
            let file = async move |headers: HeaderMap| {
                assets.answer(path, REVALIDATED, &headers).unwrap_or_else(missing)
            };
            routes.route(path, get(file))
        });
        let in_folder = async move |Path(path): Path<String>, headers: HeaderMap| {
            let (version, name) = path.split_once('/').unwrap_or(("", &path));
            let cache = if version == assets.version { FOREVER } else { REVALIDATED };
            let path = format!("{FOLDER}{name}");
            assets.answer(&path, cache, &headers).unwrap_or_else(missing)
        };
        routes.route("/page/{*path}", get(in_folder))
    }

    fn answer(&self, path: &str, cache: &'static str, asked: &HeaderMap) -> Option<Response> {
        let asset = self.files.iter().find(|asset| asset.path == path)?;
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
            return Some((StatusCode::NOT_MODIFIED, head).into_response());
        }
        if asks(header::ACCEPT_ENCODING, "gzip") && asset.gzip.len() < asset.plain.len() {
            let encoding = [(header::CONTENT_ENCODING, "gzip")];
            return Some((head, encoding, asset.gzip.clone()).into_response());
        }
        Some((head, asset.plain.clone()).into_response())
    }
}

/// The page with the version in the paths of its files.
fn versioned(page: &[u8], version: &str) -> String {
    let page = String::from_utf8_lossy(page);
    page.replace(&format!("\"{FOLDER}"), &format!("\"{FOLDER}{version}/"))
}

fn compressed(content: &[u8]) -> Bytes {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    // Writing to memory cannot fail. An empty result is longer than no file and never sent.
    match encoder.write_all(content).and_then(|()| encoder.finish()) {
        Ok(gzip) => Bytes::from(gzip),
        Err(_) => Bytes::copy_from_slice(content),
    }
}
