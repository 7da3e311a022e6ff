//! What head office pushes over MQTT: documents for the fleet, a group, a store and a gateway.
//!
//! The narrower scope wins key by key, the configuration file comes before them all, and the
//! whole is checked before any of it counts.

use super::detection::Detection;
use super::document::{self, Scope, Values};
use super::problem::Problems;
use super::{Config, Problem};
use crate::pipeline;
use crate::topics::Topic;

/// How far a pushed document reaches, widest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reach {
    /// `grelot/v1/config/fleet`
    Fleet,
    /// `grelot/v1/config/group/<group>`
    Group,
    /// `grelot/v1/<store>/config`
    Store,
    /// `grelot/v1/<store>/gateways/<gateway>/config`
    Gateway,
}

impl Reach {
    /// Widest first.
    pub const ALL: [Self; 4] = [Self::Fleet, Self::Group, Self::Store, Self::Gateway];

    /// The topic it comes by; a store of no group has no group topic.
    pub fn topic(self, config: &Config) -> Option<String> {
        let store = config.store.id.to_string();
        Some(match self {
            Self::Fleet => Topic::FleetSettings.of(&[]),
            Self::Group => Topic::GroupSettings.of(&[config.store.group.as_deref()?]),
            Self::Store => Topic::StoreSettings.of(&[&store]),
            Self::Gateway => Topic::GatewaySettings.of(&[&store, &config.gateway]),
        })
    }
}

/// The pushed documents, as they came.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Layers {
    /// By [`Reach`]; an empty (cleared) document is absent.
    texts: [Option<Vec<u8>>; 4],
}

/// Settings that count from now on.
#[derive(Debug, Clone, PartialEq)]
pub struct InForce {
    /// For the pipeline.
    pub settings: pipeline::Settings,
    /// 16 hexadecimal digits, equal where the settings are.
    pub hash: String,
}

impl Layers {
    /// Takes a retained message; an empty one clears its layer. What is too long to be honest is
    /// cut, and refused by [`Layers::in_force`].
    pub fn set(&mut self, reach: Reach, payload: &[u8]) {
        let payload = payload.get(..=document::LONGEST).unwrap_or(payload);
        let text = (!payload.is_empty()).then(|| payload.to_vec());
        if let Some(slot) = self.texts.get_mut(reach as usize) {
            *slot = text;
        }
    }

    /// The settings that the file and all layers together give; or, where anything is wrong in
    /// any of them, everything that is, and nothing counts.
    ///
    /// # Errors
    /// Everything that is wrong in any of the documents.
    pub fn in_force(&self, config: &Config) -> Result<InForce, Problems> {
        let mut values = Values::new();
        let mut problems = Problems::default();
        for (reach, text) in Reach::ALL.into_iter().zip(&self.texts) {
            let (Some(text), Some(topic)) = (text, reach.topic(config)) else { continue };
            match std::str::from_utf8(text) {
                Ok(text) => {
                    let document = document::read(text, &topic, Scope::Detection);
                    values.extend(document.values);
                    problems.extend(document.problems);
                }
                Err(_) => problems.push(Problem::of_file(topic, "is not UTF-8")),
            }
        }
        let detection = Detection::from(config).with(&values, &mut problems);
        if problems.errors() > 0 {
            problems.sort();
            return Err(problems);
        }
        let hash = detection.hash();
        Ok(InForce { settings: config.settings_with(detection), hash })
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

    fn layers(texts: &[(Reach, &str)]) -> Layers {
        let mut layers = Layers::default();
        for (reach, text) in texts {
            layers.set(*reach, text.as_bytes());
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
    fn one_bad_document_voids_them_all_and_every_problem_is_told() {
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
        layers.set(Reach::Store, b"");
        assert!(layers.in_force(&config()).is_ok());
    }

    #[test]
    fn hostile_payloads_are_refused() {
        let huge = vec![b'#'; 1_000_000];
        for payload in [&b"\xff\xfe"[..], b"[presence", b"\0", &huge] {
            let mut layers = Layers::default();
            layers.set(Reach::Fleet, payload);
            assert!(layers.in_force(&config()).is_err());
        }
    }
}
