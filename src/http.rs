//! One connection to an HTTP server, in clear or over TLS.

use std::io;
use std::sync::Arc;

use hyper::body::{Body, Incoming};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::tasks::{self, Task};

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
}
