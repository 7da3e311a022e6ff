//! What head office pushes over MQTT: documents for the fleet, a group, a store and a gateway.
//!
//! The narrower scope wins key by key, the configuration file comes before them all, and the
//! whole is checked before any of it counts.

use super::detection::Detection;
use super::document::{self, Scope, Values};
use super::problem::Problems;
use super::{Config, Problem};
use crate::pipeline;

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
        let store = config.store.id;
        match self {
            Self::Fleet => Some("grelot/v1/config/fleet".to_owned()),
            Self::Group => {
                config.store.group.as_ref().map(|group| format!("grelot/v1/config/group/{group}"))
            }
            Self::Store => Some(format!("grelot/v1/{store}/config")),
            Self::Gateway => Some(format!("grelot/v1/{store}/gateways/{}/config", config.gateway)),
        }
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
