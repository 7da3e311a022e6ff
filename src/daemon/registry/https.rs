//! A bundle from head office's server: fetched when it has changed, resumed where it broke off.
//!
//! The content is not trusted: the signature is checked afterwards. TLS keeps it confidential, and
//! identifies this gateway to the server if `[tls]` has a certificate.

use std::io::{self, Write};
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::header::{
    ACCEPT_ENCODING, CONTENT_RANGE, ETAG, HOST, HeaderValue, IF_NONE_MATCH, IF_RANGE, RANGE,
    USER_AGENT,
};
use hyper::{Request, Response, StatusCode};
use thiserror::Error;

use super::check::{LONGEST_BUNDLE, Rules};
use crate::config::HttpsUrl;
use crate::http;

/// To connect, and between two parts of an answer.
const PATIENCE: Duration = Duration::from_secs(20);
/// A signature has four lines.
const LONGEST_SIGNATURE: u64 = 4096;

/// Why nothing was fetched.
#[derive(Debug, Error)]
pub enum FetchError {
    /// No connection, or it broke off.
    #[error("{url}: {source}")]
    Connection { url: String, source: io::Error },
    /// The server sends more than there can be.
    #[error("{url}: the server sends more than {longest} octets")]
    TooLong {
        url: String,
        /// How much there can be.
        longest: u64,
    },
    /// The server refuses.
    #[error("{url}: the server answers {status}")]
    Status { url: String, status: StatusCode },
}

/// The result of a request.
#[derive(Debug, PartialEq, Eq)]
pub enum Fetched {
    /// The known version is the newest.
    Unchanged,
    /// A new one is in the place of [`Rules::incoming`].
    New {
        /// Not verified yet.
        signature: String,
        /// The server's name for this version.
        etag: Option<String>,
    },
}

/// A place to fetch from.
pub struct Remote {
    url: HttpsUrl,
    tls: Arc<rustls::ClientConfig>,
    /// `ETag` of the version that is partly downloaded.
    half: Option<String>,
}

impl std::fmt::Debug for Remote {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Remote({})", self.url)
    }
}

impl Remote {
    pub const fn new(url: HttpsUrl, tls: Arc<rustls::ClientConfig>) -> Self {
        Self { url, tls, half: None }
    }

    /// The address, for messages.
    pub fn place(&self) -> String {
        self.url.to_string()
    }

    /// Fetches what is there, unless its `ETag` is `known`. What cannot be resumed is not left on
    /// the disk.
    ///
    /// # Errors
    /// Where there is no connection, or the server does not answer or sends too much.
    pub async fn fetch(
        &mut self,
        known: Option<&str>,
        rules: &Rules,
    ) -> Result<Fetched, FetchError> {
        let fetched = self.fetch_bundle(known, rules).await;
        if fetched.is_err() && self.half.is_none() {
            rules.discard_incoming();
        }
        fetched
    }

    async fn fetch_bundle(
        &mut self,
        known: Option<&str>,
        rules: &Rules,
    ) -> Result<Fetched, FetchError> {
        let mut connection = self.connect().await?;
        let half = self.half.clone().filter(|_| rules.incoming().exists());
        let resumed = half.as_ref().and_then(|_| rules.vault.resume(&rules.incoming()).ok());
        let mut request = self.request(&self.url.path);
        let headers = request.headers_mut();
        match (&half, &resumed) {
            (Some(etag), Some((_, length))) if *length > 0 => {
                headers.insert(RANGE, header(&format!("bytes={length}-")));
                headers.insert(IF_RANGE, header(etag));
            }
            _ => headers.extend(known.map(|etag| (IF_NONE_MATCH, header(etag)))),
        }
        let answer = self.say(&mut connection, request).await?;
        let etag =
            answer.headers().get(ETAG).and_then(|etag| etag.to_str().ok()).map(str::to_owned);
        let (mut file, already) = match (answer.status(), resumed) {
            (StatusCode::NOT_MODIFIED, _) => return Ok(Fetched::Unchanged),
            (StatusCode::PARTIAL_CONTENT, Some((file, length))) if begins_at(&answer, length) => {
                (file, length)
            }
            (StatusCode::OK, _) => {
                let file = rules.vault.create(&rules.incoming()).map_err(|e| self.broken(e))?;
                (file, 0)
            }
            (status, _) => {
                self.half = None;
                return Err(FetchError::Status { url: self.place(), status });
            }
        };
        // A weak ETag names no octets, so nothing can be resumed by it.
        self.half = etag.clone().filter(|etag| !etag.starts_with("W/"));
        let taken = self.take(answer.into_body(), &mut file, already, LONGEST_BUNDLE).await;
        if matches!(&taken, Err(FetchError::TooLong { .. })) {
            self.half = None;
        }
        taken?;
        file.finish().map_err(|error| self.broken(error))?;
        self.half = None;
        let signature = self.signature(&mut connection).await?;
        Ok(Fetched::New { signature, etag })
    }

    async fn signature(&self, connection: &mut Connection) -> Result<String, FetchError> {
        let (path, query) = self.url.path.split_once('?').unwrap_or((&self.url.path, ""));
        let mark = if query.is_empty() { "" } else { "?" };
        let request = self.request(&format!("{path}.minisig{mark}{query}"));
        let answer = self.say(connection, request).await?;
        if answer.status() != StatusCode::OK {
            return Err(FetchError::Status {
                url: format!("{}.minisig", self.place()),
                status: answer.status(),
            });
        }
        let mut signature = Vec::new();
        self.take(answer.into_body(), &mut signature, 0, LONGEST_SIGNATURE).await?;
        Ok(String::from_utf8_lossy(&signature).into_owned())
    }

    /// Writes a body as it arrives, up to `longest` octets with those that are `already` there.
    async fn take(
        &self,
        mut body: Incoming,
        to: &mut impl Write,
        already: u64,
        longest: u64,
    ) -> Result<(), FetchError> {
        let mut length = already;
        loop {
            let frame = self.in_time(body.frame()).await?;
            let Some(frame) = frame else { return Ok(()) };
            let frame = frame.map_err(|error| self.broken(io::Error::other(error)))?;
            let Ok(data) = frame.into_data() else { continue };
            length += data.len() as u64;
            if length > longest {
                return Err(FetchError::TooLong { url: self.place(), longest });
            }
            to.write_all(&data).map_err(|error| self.broken(error))?;
        }
    }

    async fn connect(&self) -> Result<Connection, FetchError> {
        let HttpsUrl { host, port, .. } = &self.url;
        let opened = Connection::open(host, *port, Some(Arc::clone(&self.tls)));
        self.in_time(opened).await?.map_err(|error| self.broken(error))
    }

    async fn say(
        &self,
        connection: &mut Connection,
        request: Request<Empty<Bytes>>,
    ) -> Result<Response<Incoming>, FetchError> {
        let answer = self.in_time(connection.send(request)).await?;
        answer.map_err(|error| self.broken(error))
    }

    fn request(&self, path: &str) -> Request<Empty<Bytes>> {
        let mut request = Request::new(Empty::new());
        *request.uri_mut() = path.parse().unwrap_or_default();
        let HttpsUrl { host, port, .. } = &self.url;
        let host =
            if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
        let headers = request.headers_mut();
        headers.insert(HOST, header(&host));
        headers.insert(
            USER_AGENT,
            HeaderValue::from_static(concat!("grelot/", env!("CARGO_PKG_VERSION"))),
        );
        // Bundles are compressed already, and an ETag is of what is sent.
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        request
    }

    async fn in_time<T>(&self, work: impl Future<Output = T>) -> Result<T, FetchError> {
        let late = || io::Error::new(io::ErrorKind::TimedOut, "no answer in time");
        tokio::time::timeout(PATIENCE, work).await.map_err(|_| self.broken(late()))
    }

    fn broken(&self, source: io::Error) -> FetchError {
        FetchError::Connection { url: self.place(), source }
    }
}

type Connection = http::Connection<Empty<Bytes>>;

fn header(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).unwrap_or(HeaderValue::from_static(""))
}

/// Whether a `Content-Range: bytes 1000-1999/2000` begins at `length`.
fn begins_at(answer: &Response<Incoming>, length: u64) -> bool {
    let range = answer.headers().get(CONTENT_RANGE).and_then(|range| range.to_str().ok());
    let begin = range.and_then(|range| range.strip_prefix("bytes ")?.split_once('-'));
    begin.is_some_and(|(begin, _)| begin.parse() == Ok(length))
}
