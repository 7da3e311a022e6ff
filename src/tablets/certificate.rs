//! TLS of the page's socket: the certificate in force, which follows its files.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use rustls::crypto::ring;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio_rustls::TlsAcceptor;

use super::listen_error::ListenError;
use super::settings::TlsFiles;
use crate::files;

/// Interval of checks of the files.
pub const LOOK_EVERY: Duration = Duration::from_secs(5);

/// The certificate of new connections.
#[derive(Debug)]
pub struct Certificate {
    files: TlsFiles,
    in_force: Mutex<(Stamp, Arc<CertifiedKey>)>,
}

/// When the two files were last written.
type Stamp = [Option<SystemTime>; 2];

impl Certificate {
    /// Reads certificate and key.
    ///
    /// # Errors
    /// If one cannot be read, or they do not belong together.
    pub fn open(files: TlsFiles) -> Result<Arc<Self>, ListenError> {
        let stamp = stamp(&files);
        let pair = read(&files)?;
        Ok(Arc::new(Self { files, in_force: Mutex::new((stamp, Arc::new(pair))) }))
    }

    /// Accepts connections with the certificate in force.
    ///
    /// # Errors
    /// If this program's TLS versions do not fit its ciphers, which is a fault of the build.
    pub fn acceptor(self: &Arc<Self>) -> Result<TlsAcceptor, ListenError> {
        let provider = Arc::new(ring::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|source| unusable(&self.files, source))?;
        let resolver: Arc<dyn ResolvesServerCert> = Arc::clone(self) as _;
        let mut config = config.with_no_client_auth().with_cert_resolver(resolver);
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(TlsAcceptor::from(Arc::new(config)))
    }

    /// Takes up files that have changed. Where they cannot be used, what was in force stays.
    pub fn look(&self) {
        let stamp = stamp(&self.files);
        let mut in_force = self.in_force.lock().unwrap_or_else(PoisonError::into_inner);
        if in_force.0 == stamp {
            return;
        }
        match read(&self.files) {
            Ok(pair) => {
                *in_force = (stamp, Arc::new(pair));
                tracing::info!("the page has a new certificate");
            }
            // The other file may be on its way.
            Err(error) => tracing::warn!(%error, "the page keeps its certificate"),
        }
    }
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let in_force = self.in_force.lock().unwrap_or_else(PoisonError::into_inner);
        Some(Arc::clone(&in_force.1))
    }
}

fn stamp(files: &TlsFiles) -> Stamp {
    let written = |path: &Path| std::fs::metadata(path).and_then(|found| found.modified()).ok();
    [written(&files.certificate), written(&files.key)]
}

fn read(pair: &TlsFiles) -> Result<CertifiedKey, ListenError> {
    let pem = |path: &Path, source| ListenError::Pem { path: path.display().to_string(), source };
    let chain = files::pem_certificates(&pair.certificate)
        .map_err(|source| pem(&pair.certificate, source))?;
    let key = files::pem_key(&pair.key).map_err(|source| pem(&pair.key, source))?;
    CertifiedKey::from_der(chain, key, &ring::default_provider())
        .map_err(|source| unusable(pair, source))
}

fn unusable(pair: &TlsFiles, source: rustls::Error) -> ListenError {
    ListenError::Tls {
        certificate: pair.certificate.display().to_string(),
        key: pair.key.display().to_string(),
        source,
    }
}
