//! What head office pushes over MQTT: documents for the fleet, a group, a store and a gateway.
//!
//! For each key the narrowest document that has it counts, before the configuration file. All
//! documents are checked before any of them counts.

use super::detection::Detection;
use super::document::{self, Scope, Values};
use super::problem::Problems;
use super::pushed::{self, Layer, Rules};
pub use super::reach::Reach;
use super::{Config, Problem};
use crate::pipeline;
use crate::pipeline::units::WallTime;

/// The documents that head office pushed, one layer for each [`Reach`].
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Layers {
    /// In the order of [`Reach`].
    layers: [Layer; 4],
}

/// Settings that count from now on.
#[derive(Debug, Clone, PartialEq)]
pub struct InForce {
    pub settings: pipeline::Settings,
    /// 16 hexadecimal digits, equal where the settings are.
    pub hash: String,
}

impl Layers {
    /// Takes a pushed document; an empty one clears its layer. Whether its settings are sound is for
    /// [`Layers::in_force`] and [`Layers::at_last`] to say.
    ///
    /// # Errors
    /// Where it is too long, unsigned, forged, or older than what was there.
    pub fn set(
        &mut self,
        reach: Reach,
        topic: &str,
        payload: &[u8],
        rules: &Rules<'_>,
    ) -> Result<(), Problems> {
        let refused = |what: String| {
            let mut problems = Problems::default();
            problems.push(Problem::of_file(topic, what));
            problems
        };
        if payload.len() > document::LONGEST {
            return Err(refused(format!("is larger than {} KiB", document::LONGEST / 1024)));
        }
        let text = std::str::from_utf8(payload).map_err(|_| refused("is not UTF-8".to_owned()))?;
        let Some(layer) = self.layers.get_mut(reach as usize) else { return Ok(()) };
        *layer = if text.is_empty() && rules.keys.is_empty() && layer.serial.is_none() {
            Layer::default()
        } else {
            let refuse = |unfit: pushed::Unfit| refused(unfit.to_string());
            layer.with(reach, topic, text, rules).map_err(refuse)?
        };
        Ok(())
    }

    /// Documents that waited and count from now on take their place; true if any did.
    pub fn pass_time(&mut self, now: Option<WallTime>) -> bool {
        let mut any = false;
        for layer in &mut self.layers {
            any |= layer.pass_time(now);
        }
        any
    }

    /// The layers once nothing waits any more.
    #[must_use]
    pub fn at_last(&self) -> Self {
        let mut last = self.clone();
        for layer in &mut last.layers {
            layer.current = layer.next.take().or_else(|| layer.current.take());
        }
        last
    }

    /// Each layer that a document came for.
    pub fn each(&self) -> impl Iterator<Item = (Reach, &Layer)> {
        let came = |(_, layer): &(Reach, &Layer)| **layer != Layer::default();
        Reach::ALL.into_iter().zip(&self.layers).filter(came)
    }

    /// The last candidate, with its number, and the settings that it would give.
    pub fn shadow(&self, config: &Config) -> Option<(u64, Result<InForce, Problems>)> {
        let serial = |layer: &Layer| layer.shadow.as_ref()?.header.serial.or(Some(0));
        let (place, serial) = (0..)
            .zip(&self.layers)
            .filter_map(|(place, layer)| Some((place, serial(layer)?)))
            .max_by_key(|(_, serial)| *serial)?;
        let mut with = self.clone();
        if let Some(layer) = with.layers.get_mut::<usize>(place) {
            layer.current = layer.shadow.take();
        }
        Some((serial, with.in_force(config)))
    }

    /// Takes back what is in force of a reach, if it may be; true if it did.
    pub fn fall_back(&mut self, reach: Reach, why: String) -> bool {
        self.layers.get_mut(reach as usize).is_some_and(|layer| layer.fall_back(why))
    }

    /// Puts a layer back that was kept over a restart.
    pub fn restore(&mut self, reach: Reach, layer: Layer) {
        if let Some(place) = self.layers.get_mut(reach as usize) {
            *place = layer;
        }
    }

    /// The settings that result from the file and all layers; if any layer has an error, all
    /// problems, and no settings.
    ///
    /// # Errors
    /// Everything that is wrong in any of the documents.
    pub fn in_force(&self, config: &Config) -> Result<InForce, Problems> {
        let detection = self.detection(config)?;
        let hash = detection.hash();
        Ok(InForce { settings: config.settings_with(detection), hash })
    }

    /// The detection settings alone that result from the file and all layers.
    ///
    /// # Errors
    /// Everything that is wrong in any of the documents.
    pub fn detection(&self, config: &Config) -> Result<Detection, Problems> {
        let mut values = Values::new();
        let mut problems = Problems::default();
        for (reach, layer) in Reach::ALL.into_iter().zip(&self.layers) {
            let (Some(pushed), Some(topic)) = (&layer.current, reach.topic(config)) else {
                continue;
            };
            let document = document::read(&pushed.text, &topic, Scope::Detection);
            values.extend(document.values);
            problems.extend(document.problems);
        }
        let detection = Detection::from(config).with(&values, &mut problems);
        if problems.errors() > 0 {
            problems.sort();
            return Err(problems);
        }
        Ok(detection)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn config() -> Config {
        let text = "[store]\nid = 42\ngroup = \"west\"\n[gateway]\nname = \"door\"\n\
                    [presence]\ndwell_secs = 5\nrejoin_secs = 100\n";
        crate::config::parse(text, "grelot.toml", Path::new("/shop")).unwrap()
    }

    fn set(layers: &mut Layers, reach: Reach, payload: &[u8]) -> Result<(), Problems> {
        let topic = reach.topic(&config()).unwrap();
        layers.set(reach, &topic, payload, &Rules { store: 42, keys: &[], now: None })
    }

    fn layers(texts: &[(Reach, &str)]) -> Layers {
        let mut layers = Layers::default();
        for (reach, text) in texts {
            set(&mut layers, *reach, text.as_bytes()).unwrap();
        }
        layers
    }

    #[test]
    fn the_narrower_scope_wins_key_by_key() {
        let layers = layers(&[
            (Reach::Gateway, "[presence]\ngateway_offset_db = { door = -2 }\n"),
            (Reach::Fleet, "[presence]\ndwell_secs = 1\narrive_rssi_dbm = -75\n"),
            (Reach::Store, "[presence]\narrive_rssi_dbm = -72\n[policy]\ntiers = [\"gold\"]\n"),
            (Reach::Group, "[presence]\narrive_rssi_dbm = -60\n"),
        ]);
        let in_force = layers.in_force(&config()).unwrap();
        let presence = &in_force.settings.presence;
        assert_eq!(presence.dwell.as_secs(), 1, "pushed over the file");
        assert_eq!(presence.rejoin.as_secs(), 100, "it was not pushed: the file");
        assert!((presence.arrive_rssi_dbm + 72.0).abs() < f32::EPSILON, "the store");
        assert_eq!(in_force.settings.policy.tiers, ["gold"]);
        assert!((in_force.settings.gateways[0].offset_db + 2.0).abs() < f32::EPSILON);
    }

    #[test]
    fn the_hash_is_of_the_settings_not_of_their_spelling() {
        let one = layers(&[(Reach::Fleet, "[presence]\ndwell_secs = 7\nrejoin_secs = 300\n")]);
        let other = layers(&[
            (Reach::Fleet, "# comment\n[presence]\nrejoin_secs = 300.0\n"),
            (Reach::Store, "presence.dwell_secs = 7\n"),
        ]);
        let hash = |layers: &Layers| layers.in_force(&config()).unwrap().hash;
        assert_eq!(hash(&one), hash(&other));
        assert_ne!(hash(&one), hash(&Layers::default()));
        assert_eq!(hash(&one).len(), 16);
    }

    #[test]
    fn one_bad_document_voids_them_all_and_every_problem_is_reported() {
        let layers = layers(&[
            (Reach::Fleet, "[presence]\narrive_rssi_dbm = -80\n"),
            (Reach::Store, "[store]\nid = 7\n[presence]\nleave_rssi_dbm = -78\ndwel_secs = 2\n"),
        ]);
        let problems = layers.in_force(&config()).unwrap_err().to_string();
        assert_eq!(
            problems,
            "grelot/v1/42/config:1: store\n  only [presence] and [policy] can be pushed\n  \
             hint: the rest is the site's own business\n\
             grelot/v1/42/config:4: presence.leave_rssi_dbm = -78\n  must be at least 3 dB below \
             presence.arrive_rssi_dbm (-80, grelot/v1/config/fleet:2)\n  \
             hint: 6 to 10 dB between them keep presence from flapping\n\
             grelot/v1/42/config:5: presence.dwel_secs\n  is not a known key\n  \
             hint: did you mean `presence.dwell_secs`?"
        );
    }

    #[test]
    fn an_empty_message_takes_a_document_back() {
        let mut layers = layers(&[(Reach::Store, "nonsense")]);
        assert!(layers.in_force(&config()).is_err());
        set(&mut layers, Reach::Store, b"").unwrap();
        assert!(layers.in_force(&config()).is_ok());
    }

    #[test]
    fn what_waits_is_checked_with_all_that_will_be_in_force() {
        let layers = layers(&[
            (
                Reach::Fleet,
                "[document]\nserial = 1\nfrom = \"2099-01-01T00:00:00Z\"\n[presence]\narrive_rssi_dbm = -80\n",
            ),
            (Reach::Store, "[presence]\nleave_rssi_dbm = -78\narrive_rssi_dbm = -70\n"),
        ]);
        assert!(layers.in_force(&config()).is_ok());
        assert!(layers.at_last().in_force(&config()).is_ok(), "the narrower one wins");
        let layers = self::layers(&[(
            Reach::Fleet,
            "[document]\nserial = 1\nfrom = \"2099-01-01T00:00:00Z\"\n[presence]\ndwel_secs = 1\n",
        )]);
        assert!(layers.in_force(&config()).is_ok());
        assert!(layers.at_last().in_force(&config()).is_err());
    }

    #[test]
    fn hostile_payloads_are_refused() {
        let huge = vec![b'#'; 1_000_000];
        for payload in [&b"\xff\xfe"[..], b"[presence", b"\0", &huge] {
            let mut layers = Layers::default();
            let refused = set(&mut layers, Reach::Fleet, payload).is_err();
            assert!(refused || layers.in_force(&config()).is_err());
        }
    }
}
