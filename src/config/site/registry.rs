//! `[registry]`: where bundles come from and whose signature counts.

use std::time::Duration;

use super::{Site, Value};
use crate::config::{Bundles, https_url};

impl Site<'_> {
    pub(in crate::config) fn bundles(&mut self) -> Bundles {
        let public_keys = match self.value("registry.public_keys") {
            Some(Value::Texts(keys)) => keys,
            _ => Vec::new(),
        };
        let url = self.text("registry.url").and_then(|url| https_url::parse(&url).ok());
        if url.is_some() && public_keys.is_empty() {
            self.problem("registry.url", "needs registry.public_keys")
                .suggest("a bundle from the network counts only with head office's signature");
        }
        let number = |key| self.integer(key).and_then(|it| u64::try_from(it).ok()).unwrap_or(0);
        Bundles {
            public_keys,
            url,
            check_every: Duration::from_secs(number("registry.check_secs")),
            audit: Duration::from_hours(number("registry.audit_hours")),
        }
    }
}
