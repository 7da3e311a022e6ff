//! Renews the certificate that `grelot tls init` made, before it ends or when this machine's addresses
//! change.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::certificates::{Certificates, own_names};
use crate::clock::Clocks;

/// An address may change at any time; a certificate lasts a year.
const LOOK_EVERY: Duration = Duration::from_mins(10);

/// Checks until stopped. The page takes up the new certificate by itself.
pub async fn keep(certificates: Certificates, clocks: Clocks, stop: CancellationToken) {
    let mut look = tokio::time::interval(LOOK_EVERY);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = look.tick() => {}
        }
        // With a wrong date the certificate would not count.
        let Some(now) = clocks.now().clock.known() else { continue };
        match certificates.renew(&own_names(), now.unix_secs()) {
            Ok(true) => tracing::info!("the page's certificate was renewed"),
            Ok(false) => {}
            Err(error) => tracing::error!(%error, "the page's certificate cannot be renewed"),
        }
    }
}
