//! A pipeline that runs beside another one with its own settings and takes that one's contacts. It
//! shows what the settings would change, at a fraction of the cost.

use std::sync::Arc;

use super::Pipeline;
use crate::pipeline::event::CustomerContact;
use crate::pipeline::identity::customer::{Match, Sender};
use crate::pipeline::presence::Survey;
use crate::pipeline::restored::{Restored, RestoredVisit};
use crate::pipeline::settings::Settings;
use crate::pipeline::start::Start;
use crate::pipeline::units::Now;
use crate::pipeline::visit::Visit;

impl Pipeline {
    /// The contact in the last input, if it was one.
    pub fn last_contact(&self) -> Option<CustomerContact> {
        let (found, gateway, rssi) = self.last_contact?;
        let client = self.identity.customer(found.customer)?.client;
        Some(CustomerContact { client, gateway, rssi, echo: found.echo })
    }

    /// Whether presence tracks the customer of that handle, inside or not.
    pub fn follows(&self, client: &str) -> bool {
        self.identity.index_of(client).is_some_and(|who| self.presence.follows(who))
    }

    /// The RSSI offset of a customer's phone, in whole dB; 0 where it is not known.
    pub fn discount_db(&self, client: &str) -> i8 {
        let who = self.identity.index_of(client);
        who.map_or(0, |who| self.presence.discount_db(who, self.latest.tick))
    }

    /// Whether the registry says how loud the model of the customer's phone is.
    pub fn knows_model(&self, client: &str) -> bool {
        let who = self.identity.index_of(client);
        who.is_some_and(|who| self.identity.knows_model(&Match::new(who, Sender::Phone)))
    }

    /// The gateways whose silence means something, and those that receive nothing: a bit for each.
    pub fn receiving(&self) -> (u64, u64) {
        self.presence.receiving()
    }

    /// Replaces what is known of the shop's radio.
    pub fn learn_site(&mut self, survey: Survey) {
        self.presence.learn_site(survey);
    }

    /// A pipeline with other settings, and the customers and open visits of this one.
    #[must_use]
    pub fn beside(&self, settings: Settings, start: Start, now: Now) -> Self {
        let visit = |visit: &Visit| RestoredVisit { visit: visit.clone(), departed_at: None };
        let restored = Restored {
            visits: self.visits.open().map(visit).collect(),
            last_alerts: self.caps.last_alerts(),
            withdrawn: self.withdrawn.iter().map(Arc::clone).collect(),
            clock_since: Some(self.clock_since),
            survey: self.survey().clone(),
            ..Restored::default()
        };
        let registry = self.identity.registry().without_credentials();
        Self::new(settings, registry, restored, start, now).0
    }
}
