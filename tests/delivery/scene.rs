//! A recording of customers with loyalty cards who come in one by one and stay.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use crate::common::daemon::Grelot;

/// What the scene's files say.
pub struct Scene {
    pub store: u16,
    pub customers: u16,
    /// Between two customers who come in, in the recording's time.
    pub every: Duration,
    /// How fast the recording is played.
    pub speed: u32,
}

impl Scene {
    /// Real time until the last customer has been announced, with a margin.
    pub fn real_time(&self) -> Duration {
        (self.every * u32::from(self.customers) + Duration::from_secs(20)) / self.speed
    }

    /// Writes configuration, registry and recording, and names the configuration.
    pub fn write(&self, dir: &Path, broker: &str) -> PathBuf {
        self.write_from(dir, broker, "door", -45)
    }

    /// The same, as the gateway of this name receives it.
    pub fn write_from(&self, dir: &Path, broker: &str, gateway: &str, rssi: i8) -> PathBuf {
        fs::write(dir.join("customers.jsonl"), self.registry()).unwrap();
        fs::write(dir.join("scene.jsonl"), self.recording(gateway, rssi)).unwrap();
        let config = dir.join("grelot.toml");
        let Self { store, speed, .. } = self;
        let text = format!(
            r#"
[store]
id = {store}
[gateway]
name = "{gateway}"
[broker]
{broker}
[[source]]
kind = "recording"
path = "scene.jsonl"
speed = {speed}.0
[registry]
path = "customers.jsonl"
[state]
path = "state"
[policy]
alert_ttl_secs = 3600
"#
        );
        fs::write(&config, text).unwrap();
        config
    }

    fn registry(&self) -> String {
        let mut lines = String::new();
        for n in 1..=self.customers {
            writeln!(
                lines,
                r#"{{"client":"c-{n}","tier":"gold","scheme":"beacon","ibeacon":{{"uuid":"5a4bcfce-174e-4bac-a814-092e77f6b7e5","major":7,"minor":{n}}},"consent":{{"given_at":"2025-11-02T10:14:00Z","text":"en-2025-10","expires_at":"2099-11-02T00:00:00Z","show_name":false}},"quiet":null}}"#
            )
            .unwrap();
        }
        lines
    }

    fn recording(&self, gateway: &str, rssi: i8) -> String {
        let store = self.store;
        let mut lines = format!(
            r#"{{"grelot":"recording","version":1,"started_at":"2026-01-05T09:00:00Z","store":{store},"gateways":["{gateway}"]}}"#
        );
        let end = self.every * u32::from(self.customers) + Duration::from_secs(10);
        let mut at = Duration::ZERO;
        while at < end {
            let here = (1..=self.customers).take_while(|n| self.every * u32::from(*n - 1) <= at);
            for n in here {
                write!(
                    lines,
                    "\n{{\"t\":{:.3},\"gw\":\"{gateway}\",\"addr\":\"c0:00:00:00:{:02x}:{:02x}\",\"kind\":\"random\",\"rssi\":{rssi},\"adv\":\"0201061aff4c0002155a4bcfce174e4baca814092e77f6b7e50007{n:04x}c5\"}}",
                    at.as_secs_f64(), n >> 8, n & 0xff
                )
                .unwrap();
            }
            at += Duration::from_millis(250);
        }
        lines.push('\n');
        lines
    }
}
