//! Configuration documents of head office, and which of them are in force.

use crate::config::Config;
use crate::config::layers::{InForce, Layers, Reach};
use crate::telemetry::brief;

/// The documents of head office, and why the last one was refused.
#[derive(Debug, Default)]
pub struct HeadOffice {
    layers: Layers,
    /// Equal where the settings are.
    hash: String,
    /// Why the last document was refused, one line a problem.
    refused: Vec<String>,
}

impl HeadOffice {
    /// Nothing pushed yet: the file alone is in force.
    pub fn new(config: &Config) -> Self {
        let mut this = Self::default();
        if let Ok(in_force) = this.layers.in_force(config) {
            this.hash = in_force.hash;
        }
        this
    }

    /// Takes a document, and returns the settings that are in force from now on. A document with an
    /// error changes nothing; [`HeadOffice::refused`] says why.
    pub fn push(
        &mut self,
        config: &Config,
        reach: Reach,
        document: &[u8],
    ) -> Option<Box<crate::pipeline::Settings>> {
        let mut layers = self.layers.clone();
        layers.set(reach, document);
        match layers.in_force(config) {
            Ok(InForce { settings, hash }) => {
                self.layers = layers;
                self.refused.clear();
                tracing::info!(config = hash, "settings of head office are in force");
                self.hash = hash;
                Some(Box::new(settings))
            }
            Err(problems) => {
                self.refused = brief::lines(&problems);
                let problems = self.refused.join("\n");
                tracing::error!(problems, "settings of head office are refused");
                None
            }
        }
    }

    /// A hash of the settings in force.
    pub fn hash(&self) -> &str {
        &self.hash
    }

    /// Why the last document was refused: the first problems, and how many more there are.
    pub fn refused(&self) -> &[String] {
        &self.refused
    }
}
