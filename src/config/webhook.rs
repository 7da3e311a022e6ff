//! `[[webhook]]`: where events of the store go besides the tablets.

use std::path::PathBuf;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroize as _;

use super::WebUrl;

/// The events there are.
pub const WEBHOOK_EVENTS: [&str; 4] = ["arrival", "claim", "departure", "escalation"];

/// One `[[webhook]]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Webhook {
    pub url: WebUrl,
    /// Where its secret is.
    pub secret_file: PathBuf,
    /// Its secret; `None` where the files are on another machine.
    pub secret: Option<WebhookSecret>,
    /// Which events it gets.
    pub events: Vec<&'static str>,
    /// How long a message is tried.
    pub lifetime: Duration,
}

/// With what messages are signed; its `Debug` output is empty.
#[derive(Clone, PartialEq, Eq)]
pub struct WebhookSecret(Vec<u8>);

impl WebhookSecret {
    /// What a secret begins with, in text.
    const PREFIX: &str = "whsec_";

    /// Octets; Standard Webhooks asks for 24 to 64.
    const LENGTHS: std::ops::RangeInclusive<usize> = 24..=64;

    /// Reads `whsec_` and 24 to 64 octets in base64.
    pub fn parse(text: &str) -> Option<Self> {
        let octets = STANDARD.decode(text.trim().strip_prefix(Self::PREFIX)?).ok()?;
        Self::LENGTHS.contains(&octets.len()).then_some(Self(octets))
    }

    /// The key of the signature.
    pub fn octets(&self) -> &[u8] {
        &self.0
    }
}

impl std::fmt::Debug for WebhookSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("WebhookSecret")
    }
}

impl Drop for WebhookSecret {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_long_enough_and_marked_as_one() {
        assert!(WebhookSecret::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n").is_some());
        for bad in ["", "whsec_", "whsec_c2hvcnQ=", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"] {
            assert!(WebhookSecret::parse(bad).is_none(), "{bad}");
        }
    }
}
