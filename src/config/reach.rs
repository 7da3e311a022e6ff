//! How far a pushed document reaches, and the topic it comes by.

use super::Config;
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

    /// The word for it in reports.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Fleet => "fleet",
            Self::Group => "group",
            Self::Store => "store",
            Self::Gateway => "gateway",
        }
    }

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
