//! TLS for `mqtts`: trusted authorities and the client certificate.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::{CryptoProvider, ring};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use crate::config::Tls;
use crate::files;

/// Why TLS cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file is missing or no PEM of the right kind.
    #[error("{}: {problem}", path.display())]
    File {
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// A certificate without its key, or a key without its certificate.
    #[error("tls.certificate and tls.key belong together: {0} is missing")]
    Half(&'static str),
    /// The system offers no certificate authority at all.
    #[error("this system trusts no certificate authority; name the broker's in tls.ca")]
    NoAuthority,
    /// rustls refuses the certificate or the key.
    #[error(transparent)]
    Rustls(#[from] rustls::Error),
}

/// A client's TLS settings: authorities from `tls.ca`, else the system's; its own certificate
/// where there is one.
///
/// # Errors
/// A file cannot be read or used, or the system trusts no authority.
pub fn client(tls: &Tls) -> Result<Arc<ClientConfig>, TlsError> {
    let roots = match &tls.ca {
        Some(path) => authorities_in(path)?,
        None => system_authorities()?,
    };
    let builder = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots);
    Ok(Arc::new(match (&tls.certificate, &tls.key) {
        (Some(certificate), Some(key)) => {
            builder.with_client_auth_cert(certificates_in(certificate)?, key_in(key)?)?
        }
        (None, None) => builder.with_no_client_auth(),
        (None, Some(_)) => return Err(TlsError::Half("tls.certificate")),
        (Some(_), None) => return Err(TlsError::Half("tls.key")),
    }))
}

/// TLS settings for servers of others, such as webhooks: the system's authorities and those in
/// `tls.ca`, without a client certificate.
///
/// # Errors
/// If `tls.ca` cannot be read, or no authority is trusted at all.
pub fn of_the_web(tls: &Tls) -> Result<Arc<ClientConfig>, TlsError> {
    let roots = match (system_authorities(), &tls.ca) {
        (Ok(mut roots), Some(path)) => {
            roots.extend(authorities_in(path)?.roots);
            roots
        }
        (Err(_), Some(path)) => authorities_in(path)?,
        (roots, None) => roots?,
    };
    let builder = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots);
    Ok(Arc::new(builder.with_no_client_auth()))
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

fn authorities_in(path: &Path) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates_in(path)? {
        roots.add(certificate).map_err(|error| unusable(path, error))?;
    }
    Ok(roots)
}

fn system_authorities() -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    let (added, _) =
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if added == 0 { Err(TlsError::NoAuthority) } else { Ok(roots) }
}

fn certificates_in(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let certificates = files::pem_certificates(path).map_err(|error| unusable(path, error))?;
    if certificates.is_empty() {
        return Err(unusable(path, "holds no certificate"));
    }
    Ok(certificates)
}

fn key_in(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    files::pem_key(path).map_err(|error| unusable(path, error))
}

fn unusable(path: &Path, problem: impl std::fmt::Display) -> TlsError {
    TlsError::File { path: path.to_owned(), problem: problem.to_string() }
}
