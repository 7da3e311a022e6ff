//! What a device is, judged by its advertisement, and whose.

use crate::config::{self, Config};
use crate::pipeline::Now;
use crate::pipeline::advert::{Beacon, Description, Ours, describe};
use crate::pipeline::event::{GatewayIndex, Sighting};
use crate::pipeline::identity::{Identity, Registry};
use crate::sources::Advertisement;
use crate::text;

/// What is known of a device.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Recognised {
    pub client: Option<String>,
    /// In a few words.
    pub what: String,
}

/// The customers who may be recognised.
pub struct Who(Option<Identity>);

impl Who {
    /// The customers of the configuration's registry; none where there is none that loads
    /// (`grelot check` reports why).
    pub fn of(config: Option<&Config>, now: Now) -> Self {
        let registry = config.and_then(|config| {
            let (registry, _) =
                config::registry::load(config.registry.as_ref()?, config.store.id, now.clock)
                    .ok()?;
            Some(Identity::new(config.store.id, registry, now))
        });
        Self(registry)
    }

    /// The customers of `registry`.
    pub fn with(store: u16, registry: Registry, now: Now) -> Self {
        Self(Some(Identity::new(store, registry, now)))
    }

    /// Whether there is a registry.
    pub fn has_registry(&self) -> bool {
        self.0.is_some()
    }

    /// The customer who sent this, if one did.
    pub fn is(&mut self, now: Now, heard: &Advertisement) -> Option<String> {
        let identity = self.0.as_mut()?;
        while identity.next_deadline().is_some_and(|due| due <= now.tick) {
            identity.advance(now);
        }
        let Advertisement { address, rssi, payload, .. } = heard;
        let sighting =
            Sighting { gateway: GatewayIndex(0), address: *address, rssi: *rssi, payload };
        let found = identity.identify(now, &sighting)?;
        identity.customer(found.customer).map(|customer| customer.client.to_string())
    }

    pub fn says(&mut self, now: Now, heard: &Advertisement) -> Recognised {
        Recognised { client: self.is(now, heard), what: in_words(&describe(&heard.payload)) }
    }
}

fn in_words(said: &Description<'_>) -> String {
    let ours = said.ours.map(|ours| match ours {
        Ours::Token { .. } => "grelot token".to_owned(),
        Ours::OverflowHint => "maybe the app, in the background".to_owned(),
    });
    let beacon = || said.beacon.map(beacon_in_words);
    let name = || said.ad.local_name.as_ref().map(|name| printable(name));
    let company = || {
        let (company, _) = said.ad.manufacturer_data.first()?;
        Some(format!("company {company:04x}"))
    };
    let service = || {
        let data = said.ad.service_data.first().map(|(uuid, _)| uuid);
        let uuid = data.or_else(|| said.ad.service_uuids.first())?;
        Some(format!("service {uuid}"))
    };
    let first = ours.or_else(beacon).or_else(name).or_else(company).or_else(service);
    first.unwrap_or_default()
}

fn beacon_in_words(beacon: Beacon<'_>) -> String {
    let parts = beacon.identity().map(|identity| identity.parts()).unwrap_or_default();
    let words = std::iter::once(beacon.describe().name).chain(parts.iter().map(String::as_str));
    words.collect::<Vec<_>>().join(" ")
}

/// A name comes from a stranger: nothing of it may command the terminal.
fn printable(name: &str) -> String {
    text::displayable(name).chars().take(40).collect()
}
