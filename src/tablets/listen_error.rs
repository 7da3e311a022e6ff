//! Why the page cannot be served.

use std::io;
use std::net::SocketAddr;

/// Why the page cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// The address is in use, not this machine's, or not permitted.
    #[error("cannot listen on {address} for the tablets' page")]
    Bind {
        /// `tablets.listen`
        address: SocketAddr,
        source: io::Error,
    },
    /// A PEM file cannot be read.
    #[error("cannot read {path}")]
    Pem {
        /// `tls.certificate` or `tls.key`
        path: String,
        source: rustls_pki_types::pem::Error,
    },
    /// Certificate and key are no pair, or of a kind that is not supported.
    #[error("cannot use {certificate} with {key}")]
    Tls {
        /// `tls.certificate`
        certificate: String,
        /// `tls.key`
        key: String,
        source: rustls::Error,
    },
}
