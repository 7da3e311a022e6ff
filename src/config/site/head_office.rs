//! `[head_office]`: the second line.

use std::time::Duration;

use super::super::form::Value;
use super::super::{HeadOffice, Tls, broker_url};
use super::Site;

impl Site<'_> {
    /// Keys whose signatures count; without any, settings need no signature.
    pub(in crate::config) fn settings_keys(&self) -> Vec<String> {
        match self.value("head_office.public_keys") {
            Some(Value::Texts(keys)) => keys,
            _ => Vec::new(),
        }
    }

    /// The line, where one is named; `tls` serves where it has no files of its own.
    pub(in crate::config) fn head_office(&mut self, tls: &Tls) -> Option<HeadOffice> {
        const KEYS: [&str; 8] = [
            "username",
            "password_file",
            "ca",
            "certificate",
            "key",
            "longest_wait_secs",
            "traces",
            "trace_days",
        ];
        let Some(Value::Texts(urls)) = self.value("head_office.urls") else {
            let path = |key| format!("head_office.{key}");
            if let Some(given) = KEYS.into_iter().map(path).find(|path| self.found(path).is_some())
            {
                self.problem(&given, "needs head_office.urls");
            }
            return None;
        };
        if urls.is_empty() {
            self.problem("head_office.urls", "is empty")
                .suggest("name an address, or leave it out");
        }
        if self.found("head_office.password_file").is_some()
            && self.found("head_office.username").is_none()
        {
            self.problem("head_office.password_file", "needs head_office.username");
        }
        let own = (self.file("head_office.certificate"), self.file("head_office.key"));
        let (certificate, key) = match own {
            (None, None) => (tls.certificate.clone(), tls.key.clone()),
            (certificate, key) => {
                if certificate.is_none() {
                    self.problem("head_office.key", "needs head_office.certificate");
                }
                if key.is_none() {
                    self.problem("head_office.certificate", "needs head_office.key");
                }
                (certificate, key)
            }
        };
        let longest_wait = self.integer("head_office.longest_wait_secs");
        let longest_wait = longest_wait.and_then(|secs| u64::try_from(secs).ok()).unwrap_or(60);
        let traces = self.flag("head_office.traces") == Some(true);
        if self.found("head_office.trace_days").is_some() && !traces {
            self.problem("head_office.trace_days", "needs head_office.traces = true");
        }
        let days = self.integer("head_office.trace_days");
        let days = days.and_then(|days| u64::try_from(days).ok()).unwrap_or(1);
        Some(HeadOffice {
            urls: urls.iter().filter_map(|url| broker_url::parse(url).ok()).collect(),
            username: self.text("head_office.username"),
            password: None,
            tls: Tls {
                ca: self.file("head_office.ca").or_else(|| tls.ca.clone()),
                certificate,
                key,
            },
            longest_wait: Duration::from_secs(longest_wait),
            keep_traces: traces.then(|| Duration::from_hours(24 * days)),
        })
    }
}
