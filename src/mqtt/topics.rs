//! Where each message is published. The names are promises: tablets, tools and head office rely on
//! them.

use crate::config::layers::Reach;
use crate::pipeline::VisitId;
use crate::store::{Kind, MessageKind, OutboundMessage, Published};

pub use crate::topics::{Definition, ROOT, TABLE, Topic, is_level};

/// The topics of one store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topics {
    store: u16,
}

impl Topics {
    /// Those of the store of this number.
    pub const fn of(store: u16) -> Self {
        Self { store }
    }

    pub const fn store(&self) -> u16 {
        self.store
    }

    /// The client id of a gateway at its store's broker.
    pub fn client_id(&self, gateway: &str) -> String {
        format!("grelot-{}-{gateway}", self.store)
    }

    /// The client id of a gateway's line to head office.
    pub fn office_client_id(&self, gateway: &str) -> String {
        self.client_id(gateway) + "-office"
    }

    /// Such as `grelot/v1/42/<below>`.
    pub fn under(&self, below: &str) -> String {
        format!("{ROOT}/{}/{below}", self.store)
    }

    /// A topic of this store, with the parameters after the store; without them, the filter for all.
    pub fn topic(&self, topic: Topic, parameters: &[&str]) -> String {
        let store = self.store.to_string();
        let all: Vec<&str> =
            [store.as_str()].into_iter().chain(parameters.iter().copied()).collect();
        topic.of(&all)
    }

    /// Alerts for staff. The gateway itself never subscribes here: it would be the subscriber that
    /// makes the broker acknowledge an alert that no one sees.
    pub fn arrivals(&self) -> String {
        self.topic(Topic::Arrivals, &[])
    }

    /// Alerts that no one answered.
    pub fn escalations(&self) -> String {
        self.topic(Topic::Escalations, &[])
    }

    /// Customers who have left.
    pub fn departures(&self) -> String {
        self.topic(Topic::Departures, &[])
    }

    /// The retained state of a visit.
    pub fn visit(&self, visit: VisitId) -> String {
        self.topic(Topic::Visit, &[&visit.to_string()])
    }

    /// Where staff claim, release and dismiss a visit.
    pub fn claim(&self, visit: VisitId) -> String {
        self.topic(Topic::Claim, &[&visit.to_string()])
    }

    /// Staff's feedback: whether the customer was here.
    pub fn feedback(&self, visit: VisitId) -> String {
        self.topic(Topic::Feedback, &[&visit.to_string()])
    }

    /// What a gateway receives of matched customers.
    pub fn contacts(&self, gateway: &str) -> String {
        self.topic(Topic::Contacts, &[gateway])
    }

    /// The retained state of a gateway, and its last will.
    pub fn status(&self, gateway: &str) -> String {
        self.topic(Topic::Status, &[gateway])
    }

    /// A gateway's counts and gauges.
    pub fn health(&self, gateway: &str) -> String {
        self.topic(Topic::Health, &[gateway])
    }

    /// The state of one of the shop's beacons.
    pub fn beacon(&self, beacon: &str) -> String {
        self.topic(Topic::Beacon, &[beacon])
    }

    /// Where the state of something that the broker keeps is.
    pub fn published(published: &Published) -> String {
        let topics = Self::of(published.store);
        match published.kind {
            Kind::Gateway => topics.status(&published.name),
            Kind::Beacon => topics.beacon(&published.name),
        }
    }

    /// Requests for the current state.
    pub fn sync(&self) -> String {
        self.topic(Topic::Sync, &[])
    }

    /// Answers to a gateway that asks for withdrawals.
    pub fn withdrawals(&self, gateway: &str) -> String {
        self.topic(Topic::Withdrawals, &[gateway])
    }

    /// The withdrawal of a customer's consent.
    pub fn withdrawn(&self, client: &str) -> String {
        self.topic(Topic::Withdrawn, &[client])
    }
}

/// A gateway, as the messages that are meant for it know it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Addressee {
    pub topics: Topics,
    pub gateway: String,
    /// The group of stores it belongs to, if any.
    pub group: Option<String>,
}

impl Addressee {
    /// What it subscribes to, packet by packet.
    ///
    /// Withdrawals come first. The retained ones are asked for at `QoS` 0: a broker drops what a
    /// client's queue cannot hold (mosquitto keeps 1,020 of any number at `QoS` 1), and what a
    /// broken connection loses comes again with the next. New ones come at `QoS` 1.
    pub fn subscriptions(&self) -> [Vec<Filter>; 2] {
        let all = |topic| Filter::new(self.topics.topic(topic, &[]));
        let own = |topic| Filter::new(self.topics.topic(topic, &[self.gateway.as_str()]));
        let mut filters = vec![
            Filter { retained: Retained::Skip, ..all(Topic::Withdrawn) },
            self.every_status(),
            Filter { no_local: true, ..all(Topic::Visit) },
            all(Topic::Claim),
            all(Topic::Feedback),
            Filter { no_local: true, ..all(Topic::Contacts) },
            all(Topic::Registry),
            all(Topic::Sync),
            own(Topic::SyncAnswer),
            all(Topic::Consent),
            own(Topic::Withdrawals),
            Filter { retained: Retained::Skip, ..own(Topic::Canary) },
        ];
        filters.extend(self.settings());
        [vec![Filter { qos: Qos::AtMostOnce, ..all(Topic::Withdrawn) }], filters]
    }

    /// The state of every gateway of the store.
    pub fn every_status(&self) -> Filter {
        Filter::new(self.topics.topic(Topic::Status, &[]))
    }

    /// Where a stored message is published.
    pub fn of_message(&self, message: &OutboundMessage) -> String {
        match message.kind {
            MessageKind::Arrival => self.topics.arrivals(),
            MessageKind::Escalation => self.topics.escalations(),
            MessageKind::Departure => self.topics.departures(),
            MessageKind::VisitState => self.topics.visit(message.visit),
            MessageKind::Canary => self.topics.topic(Topic::Canary, &[&self.gateway]),
        }
    }

    pub fn status(&self) -> String {
        self.topics.status(&self.gateway)
    }

    /// Its report of the withdrawals that it knows.
    pub fn consent(&self) -> String {
        self.topics.topic(Topic::Consent, &[&self.gateway])
    }

    /// Where it reports to head office.
    pub fn reports(&self) -> String {
        self.topics.topic(Topic::Reports, &[&self.gateway])
    }

    /// What it subscribes to at head office's cluster, packet by packet.
    pub fn office_subscriptions(&self) -> [Vec<Filter>; 2] {
        let all = |topic| Filter::new(self.topics.topic(topic, &[]));
        let own = |topic| Filter::new(self.topics.topic(topic, &[self.gateway.as_str()]));
        let mut filters = vec![
            Filter { retained: Retained::Skip, ..all(Topic::Withdrawn) },
            own(Topic::Withdrawals),
            own(Topic::Reported),
            all(Topic::Sync),
            all(Topic::Registry),
        ];
        filters.extend(self.settings());
        [vec![Filter { qos: Qos::AtMostOnce, ..all(Topic::Withdrawn) }], filters]
    }

    /// How far settings reach that are published on this topic; `None` where it has none for this
    /// gateway.
    pub fn reach(&self, topic: Topic, parameters: &[&str]) -> Option<Reach> {
        let here = |store: &str| store.parse() == Ok(self.topics.store());
        match (topic, parameters) {
            (Topic::FleetSettings, []) => Some(Reach::Fleet),
            (Topic::GroupSettings, [group]) if self.group.as_deref() == Some(*group) => {
                Some(Reach::Group)
            }
            (Topic::StoreSettings, [store]) if here(store) => Some(Reach::Store),
            (Topic::GatewaySettings, [store, gateway])
                if here(store) && *gateway == self.gateway =>
            {
                Some(Reach::Gateway)
            }
            _ => None,
        }
    }

    /// Head office's settings for it.
    fn settings(&self) -> Vec<Filter> {
        let group = self.group.as_ref().map(|group| Topic::GroupSettings.of(&[group.as_str()]));
        let all = [
            Some(Topic::FleetSettings.of(&[])),
            group,
            Some(self.topics.topic(Topic::StoreSettings, &[])),
            Some(self.topics.topic(Topic::GatewaySettings, &[&self.gateway])),
            Some(self.topics.topic(Topic::MissedSettings, &[&self.gateway])),
        ];
        all.into_iter().flatten().map(Filter::new).collect()
    }

    /// Where the answers to its `sync` come.
    pub fn sync_answers(&self) -> String {
        self.topics.topic(Topic::SyncAnswer, &[&self.gateway])
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter {
    pub path: String,
    /// The most that messages come with.
    pub qos: Qos,
    /// Whether this client's own messages stay away.
    pub no_local: bool,
    /// Retain Handling of the subscription.
    pub retained: Retained,
}

/// Quality of service, as far as grelot uses it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Qos {
    /// `QoS` 0.
    AtMostOnce,
    /// `QoS` 1.
    AtLeastOnce,
}

/// What a subscription does with retained messages (Retain Handling).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retained {
    /// The broker sends them at each subscription.
    Send,
    /// The broker does not send them.
    Skip,
}

impl Filter {
    /// Everything that matches `path`, at `QoS` 1.
    pub const fn new(path: String) -> Self {
        Self { path, qos: Qos::AtLeastOnce, no_local: false, retained: Retained::Send }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_are_spelled_as_promised() {
        let topics = Topics::of(42);
        let visit = VisitId(uuid::Uuid::nil());
        assert_eq!(topics.arrivals(), "grelot/v1/42/arrivals");
        assert_eq!(topics.visit(visit), format!("grelot/v1/42/visits/{visit}"));
        assert_eq!(topics.status("door"), "grelot/v1/42/gateways/door/status");
        assert_eq!(topics.withdrawn("c-7f3a"), "grelot/v1/42/withdrawn/c-7f3a");
    }

    #[test]
    fn a_gateway_never_listens_for_its_own_alerts() {
        let group = Some("north".to_owned());
        let door = Addressee { topics: Topics::of(42), gateway: "door".to_owned(), group };
        let filters: Vec<String> =
            door.subscriptions().into_iter().flatten().map(|filter| filter.path).collect();
        assert!(!filters.iter().any(|f| f.ends_with("/#") || f.ends_with("/arrivals")));
        assert!(filters.contains(&"grelot/v1/config/group/north".to_owned()));
    }
}
