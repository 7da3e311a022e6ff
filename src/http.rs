//! One connection to an HTTP server, in clear or over TLS.

use std::io;
use std::sync::Arc;

use http_body_util::{BodyExt as _, Full};
use hyper::body::{Body, Bytes, Incoming};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{CONNECTION, CONTENT_TYPE, HOST, HeaderValue};
use hyper::http::response::Parts;
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::tasks::{self, Task};

/// Octets that [`Connection::exchange`] reads of an answer.
const LONGEST_ANSWER: usize = 64 * 1024;

/// A POST that ends its connection. `authority` is the host and port as the `Host` header has them.
pub fn post(
    authority: &str,
    path: &str,
    content_type: &'static str,
    payload: Bytes,
) -> Request<Full<Bytes>> {
    let mut request = Request::new(Full::new(payload));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = path.parse().unwrap_or_default();
    let headers = request.headers_mut();
    headers.insert(HOST, header(authority));
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CONNECTION, HeaderValue::from_static("close"));
    request
}

/// A header's value; empty where HTTP allows no such text.
pub fn header(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).unwrap_or(HeaderValue::from_static(""))
}

/// A connection; dropping it closes it.
pub struct Connection<B> {
    sender: SendRequest<B>,
    /// The task that drives the connection.
    _task: Task<()>,
}

impl<B> Connection<B>
where
    B: Body + Send + Unpin + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    /// Connects to `host`, over TLS where `tls` is given.
    ///
    /// # Errors
    /// There is no connection, or the server's certificate is not valid.
    pub async fn open(
        host: &str,
        port: u16,
        tls: Option<Arc<rustls::ClientConfig>>,
    ) -> io::Result<Self> {
        let stream = TcpStream::connect((host, port)).await?;
        let Some(tls) = tls else { return Self::over(stream).await };
        let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
        Self::over(TlsConnector::from(tls).connect(name, stream).await?).await
    }

    async fn over<S>(stream: S) -> io::Result<Self>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let handshake = http1::handshake(TokioIo::new(stream)).await;
        let (sender, connection) = handshake.map_err(io::Error::other)?;
        let task = tasks::spawn("http-client", async move {
            // The request reports the error.
            let _ = connection.await;
        });
        Ok(Self { sender, _task: task })
    }

    /// Sends a request and waits for the head of the response.
    ///
    /// # Errors
    /// The connection is lost.
    pub async fn send(&mut self, request: Request<B>) -> io::Result<Response<Incoming>> {
        let answer = async {
            self.sender.ready().await?;
            self.sender.send_request(request).await
        };
        answer.await.map_err(io::Error::other)
    }

    /// Sends a request whose answer's content means nothing, and waits for its end: only then is the server
    /// done. Returns the head of the answer.
    ///
    /// # Errors
    /// The connection is lost.
    pub async fn exchange(&mut self, request: Request<B>) -> io::Result<Parts> {
        let (head, mut body) = self.send(request).await?.into_parts();
        let mut read = 0;
        while read < LONGEST_ANSWER
            && let Some(frame) = body.frame().await
        {
            read += frame.map_err(io::Error::other)?.data_ref().map_or(0, Bytes::len);
        }
        Ok(head)
    }
}
