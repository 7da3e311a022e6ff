//! Text to checked settings; all problems at once, with line, key and hint.
//!
//! ```text
//! text ──► document ──► site ───────► Config ──► layers ──► pipeline::Settings
//!          (values      detection                (pushed
//!           with lines) files                     over MQTT)
//!              ▲
//!             keys: the one table of every key
//! ```

mod broker_url;
mod crm_url;
pub mod detection;
mod document;
mod exposure;
mod files;
pub mod form;
mod https_url;
pub mod keys;
pub mod layers;
mod load;
mod nearest;
mod overrides;
mod problem;
pub mod pushed;
mod quiet_hours;
mod reach;
mod site;
mod web_url;
mod webhook;
mod words;

pub use broker_url::BrokerUrl;
pub use crm_url::CrmUrl;
pub use document::LONGEST as LONGEST_DOCUMENT;
pub use files::world_readable;
pub use https_url::HttpsUrl;
pub use load::{Examined, examine, load, load_for_replay, parse};
pub use problem::{Problem, Problems, Severity};
pub use web_url::WebUrl;
pub use webhook::{WEBHOOK_EVENTS, Webhook, WebhookSecret};
pub use words::Words;

pub mod registry;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::clock::WallClock;
use crate::pipeline::advert::ibeacon::IBeacon;
use crate::pipeline::beacons::OwnBeacon;
use crate::pipeline::{self, Place, policy, presence};
use crate::sources::live;
use detection::Detection;

/// A whole, checked configuration. Paths are absolute or relative to the working directory
/// (the loader has already resolved them against the configuration's folder).
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// `[store]`
    pub store: Store,
    /// `[gateway] name`
    pub gateway: String,
    /// `[gateway] label`: what people call it.
    pub label: Option<String>,
    /// `[gateway] clock`: when this machine's wall clock counts.
    pub wall_clock: WallClock,
    /// `[presence.gateway_offset_db]`, by gateway.
    pub gateway_offset_db: BTreeMap<String, f32>,
    /// `[presence.gateway_inside_dbm]`, by gateway.
    pub gateway_inside_dbm: BTreeMap<String, f32>,
    /// `[presence.gateway_outside_dbm]`, by gateway.
    pub gateway_outside_dbm: BTreeMap<String, f32>,
    /// `[broker]`
    pub broker: Broker,
    /// `[tls]`
    pub tls: Tls,
    /// `[[source]]`
    pub sources: Vec<Source>,
    /// `[wake_up]`: what this gateway advertises itself.
    pub wake_up: Option<IBeacon>,
    /// `[[beacon]]`: the shop's beacons that this gateway watches.
    pub beacons: Vec<OwnBeacon>,
    /// `[registry] path`; without it and without a URL no customer is recognised.
    pub registry: Option<PathBuf>,
    /// The rest of `[registry]`: signed bundles, and how long the audit is kept.
    pub bundles: Bundles,
    /// `[head_office]`; without it there is no second line.
    pub head_office: Option<HeadOffice>,
    /// `[head_office] public_keys`: with any, only settings that one of them signed count.
    pub settings_keys: Vec<String>,
    /// `[tablets]`; without it the gateway serves no page.
    pub tablets: Option<Tablets>,
    /// `[[webhook]]`
    pub webhooks: Vec<Webhook>,
    /// `[metrics] listen`: where measures are served; without it none are.
    pub metrics: Option<SocketAddr>,
    /// `[metrics] traces`: the collector of traces; without it none are sent.
    pub traces: Option<WebUrl>,
    /// `[metrics] canary_secs`: between two runs of the canary; without it none runs.
    pub canary_every: Option<Duration>,
    /// `[state] path`: where what survives a restart lives. By default `$STATE_DIRECTORY`, else
    /// `/var/lib/grelot` for a configuration under `/etc`, else `state` beside the configuration.
    pub state: PathBuf,
    /// `[presence]`
    pub presence: presence::Settings,
    /// `[policy]`
    pub policy: policy::Settings,
}

impl Config {
    /// What the pipeline needs of it; this gateway comes first.
    pub fn settings(&self) -> pipeline::Settings {
        self.settings_with(Detection::from(self))
    }

    /// The same with other detection settings, which never change the store's time zone.
    pub fn settings_with(&self, detection: Detection) -> pipeline::Settings {
        let mut names = vec![self.gateway.as_str()];
        names.extend(self.store.gateways.keys().map(String::as_str).filter(|n| *n != self.gateway));
        let gateway = |name: &str| pipeline::Gateway {
            name: name.to_owned(),
            place: self.store.gateways.get(name).copied(),
            offset_db: detection.gateway_offset_db.get(name).copied().unwrap_or_default(),
            levels: detection.levels(name),
        };
        pipeline::Settings {
            store: self.store.id,
            gateways: names.into_iter().map(gateway).collect(),
            zones: self.store.zones,
            beacons: self.beacons.clone(),
            presence: presence::Settings { known_for: self.bundles.audit, ..detection.presence },
            policy: policy::Settings {
                time_zone: self.policy.time_zone.clone(),
                escalate_after: self.policy.escalate_after,
                ..detection.policy
            },
        }
    }
}

impl From<&Config> for Detection {
    fn from(config: &Config) -> Self {
        Self {
            presence: config.presence.clone(),
            policy: config.policy.clone(),
            gateway_offset_db: config.gateway_offset_db.clone(),
            gateway_inside_dbm: config.gateway_inside_dbm.clone(),
            gateway_outside_dbm: config.gateway_outside_dbm.clone(),
        }
    }
}

/// `[store]`
#[derive(Debug, Clone, PartialEq)]
pub struct Store {
    /// 1 to 65535.
    pub id: u16,
    /// As staff call it.
    pub name: String,
    /// The group whose pushed settings it uses.
    pub group: Option<String>,
    /// Where each gateway stands.
    pub gateways: BTreeMap<String, Place>,
    /// Where the shop's beacons stand, by zone (index 1 to 15).
    pub zones: [Option<Place>; 16],
}

/// `[broker]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broker {
    pub location: BrokerLocation,
    pub username: Option<String>,
    /// `password` or the content of `password_file`.
    pub password: Option<Secret>,
}

/// `[head_office]`: the line to head office's cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeadOffice {
    /// The cluster's addresses, tried in turn.
    pub urls: Vec<BrokerUrl>,
    pub username: Option<String>,
    /// The content of `password_file`.
    pub password: Option<Secret>,
    /// Its own files, else those of `[tls]`.
    pub tls: Tls,
    /// Longest interval between two attempts to connect.
    pub longest_wait: std::time::Duration,
    /// For how long traces of contacts wait, and are known as their customer's; `None` where none
    /// are made.
    pub keep_traces: Option<std::time::Duration>,
}

/// Where the broker is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BrokerLocation {
    /// Inside this process, listening on `broker.listen` (default 127.0.0.1:1883).
    Embedded(SocketAddr),
    /// Elsewhere, tried in turn.
    External(Vec<BrokerUrl>),
}

/// A password; its `Debug` output is empty.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(pub String);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret")
    }
}

/// `[registry]`, except its path.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Bundles {
    /// minisign's public keys, base64; with any, only signed bundles count.
    pub public_keys: Vec<String>,
    /// Where bundles are fetched from.
    pub url: Option<HttpsUrl>,
    /// Interval of checks for a new bundle.
    pub check_every: Duration,
    /// How long it is kept which customers were recognised, and when.
    pub audit: Duration,
}

/// `[tls]`: PEM files. `ca` checks the broker (default: the system's); certificate and key are
/// this gateway's own, for the broker and for the tablets' page.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tls {
    /// Certificate authorities that sign the broker's certificate.
    pub ca: Option<PathBuf>,
    /// Certificate chain of this gateway.
    pub certificate: Option<PathBuf>,
    /// Private key of the first certificate.
    pub key: Option<PathBuf>,
}

/// `[[source]]`
#[derive(Debug, Clone, PartialEq)]
pub enum Source {
    Live(live::Settings),
    /// `kind = "recording"`: a recording or capture.
    Recording {
        path: PathBuf,
        /// `speed`: 1 is real time.
        speed: f64,
    },
    /// `kind = "simulated"`: the simulated shop.
    Simulated {
        seed: u64,
        /// `speed`: 1 is real time.
        speed: f64,
    },
    /// `kind = "mqtt"`: other gateways of the store, over the broker.
    Mqtt,
}

/// `[tablets]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tablets {
    /// Where the page is served.
    pub listen: SocketAddr,
    /// How tablets reach it, where that is not one of this machine's addresses.
    pub address: Option<WebUrl>,
    /// When at least one tablet must be connected.
    pub opening_hours: Option<policy::QuietHours>,
    /// Where a customer is in the shop's customer database.
    pub crm_url: Option<CrmUrl>,
    /// How long a customer who was checked in stays if nothing is received of them.
    pub check_in: Duration,
    /// Whether customers may check in with a link at the entrance.
    pub entrance: bool,
    /// `repeat_secs`: interval of rings for a customer who waits; zero rings once.
    pub repeat: Duration,
    /// `late_secs`: a customer who waits longer is shown as waiting too long.
    pub late: Duration,
    /// `idle_mins`: a tablet that no one touches for this time forgets who used it; zero means
    /// never.
    pub idle: Duration,
    /// `shift_end`: minute of the store's day.
    pub shift_end: Option<u16>,
    /// The page's words, with those of the file `words`.
    pub words: Words,
}

#[cfg(test)]
mod tests;

#[cfg(test)]
mod reference;
