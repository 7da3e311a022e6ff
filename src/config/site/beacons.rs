//! `[wake_up]` and `[[beacon]]`: the shop's own beacons.

use std::sync::Arc;
use std::time::Duration;

use super::Site;
use crate::config::form;
use crate::pipeline::advert::ibeacon::IBeacon;
use crate::pipeline::beacons::OwnBeacon;

impl Site<'_> {
    /// What this gateway advertises for `store`.
    pub(in crate::config) fn wake_up(&mut self, store: u16) -> Option<IBeacon> {
        let uuid = uuid::Uuid::try_parse(&self.text("wake_up.uuid")?).ok()?;
        let number = |site: &Self, key: &str| site.integer(&format!("wake_up.{key}"));
        let epoch = u16::try_from(number(self, "epoch")?).ok()?;
        let zone = u16::try_from(number(self, "zone")?).ok()?;
        let tx_power = i8::try_from(number(self, "tx_power_dbm")?).ok()?;
        let minor = epoch << 4 | zone;
        Some(IBeacon { uuid: uuid.into_bytes(), major: store, minor, tx_power })
    }

    /// What this gateway watches.
    pub(in crate::config) fn beacons(&mut self) -> Vec<OwnBeacon> {
        let mut beacons: Vec<OwnBeacon> = Vec::new();
        for index in 0.. {
            let table = format!("beacon[{index}]");
            if !self.document.sections.contains_key(&table) {
                break;
            }
            let Some(beacon) = self.beacon(&table) else { continue };
            for (key, same) in [
                ("name", beacons.iter().any(|other| other.name == beacon.name)),
                ("identity", beacons.iter().any(|other| other.identity == beacon.identity)),
            ] {
                if same {
                    self.problem(&format!("{table}.{key}"), "is another [[beacon]]'s, too")
                        .suggest("each beacon has a name and an identity of its own");
                }
            }
            beacons.push(beacon);
        }
        beacons
    }

    fn beacon(&mut self, table: &str) -> Option<OwnBeacon> {
        for key in ["name", "identity"] {
            let path = format!("{table}.{key}");
            if self.found(&path).is_none() && !self.document.torn {
                self.problem(&path, "is missing")
                    .suggest("a [[beacon]] has a name and an identity");
            }
        }
        let name = self.text(&format!("{table}.name"))?;
        let identity = form::beacon_identity(&self.text(&format!("{table}.identity"))?).ok()?;
        let silence = self.number(&format!("{table}.missing_after_secs"))?;
        let missing_after = Duration::try_from_secs_f64(silence).ok()?;
        Some(OwnBeacon { name: Arc::from(name), identity, missing_after })
    }
}
