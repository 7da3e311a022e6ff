//! The page's files: it loads nothing from other origins.

use axum::Router;
use axum::body::Bytes;
use axum::response::IntoResponse as _;

use super::api_error::ApiError;
use crate::assets::{Assets, CSS, HTML, SCRIPT, SVG};

const JSON: &str = "application/json";
const MANIFEST: &str = "application/manifest+json";

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

/// The page's words in every language, which the configuration says.
const WORDS: &str = "/page/words.json";

/// Routes of [`FILES`] and of the page's `words`, which are JSON. They hold no data of customers, so
/// they need no pairing.
pub fn routes<S: Clone + Send + Sync + 'static>(words: Bytes) -> Router<S> {
    assets(words).routes(|| ApiError::NotFound.into_response())
}

fn assets(words: Bytes) -> Assets {
    let files = FILES.map(|(path, kind, content)| (path, kind, Bytes::from_static(content)));
    Assets::new(files.into_iter().chain([(WORDS, JSON, words)]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::assets::FOLDER;

    /// What a tablet loads at the first visit, in octets on the wire without heads.
    const LONGEST_PAGE: usize = 45_000;

    fn assets() -> Assets {
        super::assets(crate::config::Words::default().json().into())
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
