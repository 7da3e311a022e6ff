//! Certificates: usable, and for how long.

use std::path::Path;

use super::{Finding, x509};
use crate::clock::Clocks;
use crate::config::Tls;
use crate::files;
use crate::mqtt::tls;
use crate::pipeline::units::WallTime;

/// Warn before, so that IT has time.
const SOON_DAYS: i64 = 30;

const DAY_SECS: i64 = 86_400;

/// One finding for each file of `[tls]`, and one for their fitting together.
pub(super) fn findings(tls: &Tls) -> Vec<Finding> {
    let now = Clocks::machine().now().clock.reading();
    let mut findings = Vec::new();
    findings.extend(tls.ca.as_deref().map(|path| dates(path, now, Iterator::max)));
    findings.extend(tls.certificate.as_deref().map(|path| dates(path, now, Iterator::min)));
    if !findings.is_empty()
        && let Err(error) = tls::client(tls)
    {
        let remedy = "both must be PEM, and the key must be the certificate's own";
        findings.push(Finding::fail("certificates", error.to_string(), remedy));
    }
    findings
}

/// Which of a file's certificates decides: of a chain the first to expire, of a bundle of
/// authorities the last: bundles keep authorities that are no longer used.
type Deciding = fn(std::vec::IntoIter<WallTime>) -> Option<WallTime>;

fn dates(path: &Path, now: WallTime, deciding: Deciding) -> Finding {
    let about = "certificate";
    let name = path.display();
    let read = files::pem_certificates(path);
    let validities: Option<Vec<_>> = match &read {
        Ok(certificates) => certificates.iter().map(|der| x509::validity(der)).collect(),
        Err(error) => {
            let remedy = "grelot wants PEM: -----BEGIN CERTIFICATE-----";
            return Finding::fail(about, format!("{name}: {error}"), remedy);
        }
    };
    let Some(validities) = validities.filter(|all| !all.is_empty()) else {
        return Finding::fail(about, format!("{name} holds no certificate"), "see [tls]");
    };
    let ends: Vec<WallTime> = validities.iter().map(|validity| validity.until).collect();
    let begins = validities.iter().map(|validity| validity.from).min();
    let ends = deciding(ends.into_iter());
    match (begins, ends) {
        (Some(begins), _) if begins > now => {
            Finding::fail(about, format!("{name} counts only from {begins}"), "is the clock right?")
        }
        (_, Some(ends)) if ends <= now => {
            Finding::fail(about, format!("{name} expired at {ends}"), "renew it")
        }
        (_, Some(ends)) => {
            let days = (ends.unix_secs() - now.unix_secs()) / DAY_SECS;
            let says = format!("{name} counts for {days} days");
            if days < SOON_DAYS {
                Finding::warn(about, says, "renew it in time")
            } else {
                Finding::ok(about, says)
            }
        }
        (_, None) => Finding::fail(about, format!("{name} holds no certificate"), "see [tls]"),
    }
}
