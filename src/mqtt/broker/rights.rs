//! Which topics each role may read and write. `docs/mqtt.md` has the same rules for an external
//! broker.

use crate::mqtt::role::Role;
use crate::mqtt::topics::{ROOT, Topic, Topics};

/// Of a store; the last two to retire a gateway or beacon that is gone.
const HEAD_OFFICE_WRITES: [Topic; 10] = [
    Topic::StoreSettings,
    Topic::GatewaySettings,
    Topic::Registry,
    Topic::Withdrawn,
    Topic::Withdrawals,
    Topic::Reported,
    Topic::MissedSettings,
    Topic::Sync,
    Topic::Status,
    Topic::Beacon,
];

/// Topic filters that a client may subscribe to and publish under.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rights {
    reads: Vec<String>,
    writes: Vec<String>,
}

impl Rights {
    /// Everything: this gateway's own login.
    pub fn all() -> Self {
        Self { reads: vec!["#".to_owned()], writes: vec!["#".to_owned()] }
    }

    /// Of a login of that role and name.
    pub fn of(role: Role, name: &str, topics: &Topics) -> Self {
        let all = |rows: &[Topic]| rows.iter().map(|row| topics.topic(*row, &[])).collect();
        let everything = || vec![topics.under("#")];
        let fleet = format!("{ROOT}/config/#");
        let (mut reads, mut writes): (Vec<String>, Vec<String>) = match role {
            Role::Gateway => {
                let answers = [Topic::Sync, Topic::SyncAnswer, Topic::Withdrawals];
                let of_visits =
                    [Topic::Arrivals, Topic::Departures, Topic::Escalations, Topic::Visit];
                (everything(), all(&[&of_visits[..], &answers].concat()))
            }
            Role::Tablet => (
                all(&[
                    Topic::Arrivals,
                    Topic::Departures,
                    Topic::Escalations,
                    Topic::Visit,
                    Topic::Status,
                    Topic::SyncAnswer,
                ]),
                all(&[Topic::Claim, Topic::Feedback, Topic::Sync]),
            ),
            Role::HeadOffice => (everything(), all(&HEAD_OFFICE_WRITES)),
            Role::Reader => (everything(), Vec::new()),
        };
        match role {
            Role::Gateway => {
                reads.push(fleet);
                writes.extend([topics.contacts(name), topics.status(name), topics.health(name)]);
                let own = [Topic::Consent, Topic::Reports, Topic::Canary];
                writes.extend(own.map(|row| topics.topic(row, &[name])));
                writes.push(topics.beacon("+"));
            }
            Role::HeadOffice => {
                reads.push(fleet.clone());
                writes.push(fleet);
            }
            Role::Tablet | Role::Reader => {}
        }
        Self { reads, writes }
    }

    /// Of head office for the gateways of all stores.
    pub fn of_fleet() -> Self {
        let fleet = format!("{ROOT}/config/#");
        let writes = HEAD_OFFICE_WRITES.iter().map(|row| row.of(&[]));
        Self {
            reads: vec![format!("{ROOT}/#")],
            writes: [fleet].into_iter().chain(writes).collect(),
        }
    }

    /// Topic filters that may be subscribed to.
    pub fn reads(&self) -> &[String] {
        &self.reads
    }

    /// Topic filters that may be published under.
    pub fn writes(&self) -> &[String] {
        &self.writes
    }

    /// Of a bridge between a store's broker and a central one: it passes on the store's messages,
    /// and receives those of head office and of staff elsewhere.
    pub fn of_bridge(topics: &Topics) -> Self {
        let all = |rows: &[Topic]| rows.iter().map(|row| topics.topic(*row, &[])).collect();
        let mut reads: Vec<String> = all(&[
            Topic::StoreSettings,
            Topic::GatewaySettings,
            Topic::MissedSettings,
            Topic::Registry,
            Topic::Withdrawn,
            Topic::Withdrawals,
            Topic::Claim,
            Topic::Feedback,
        ]);
        reads.push(format!("{ROOT}/config/#"));
        let writes = all(&[
            Topic::Arrivals,
            Topic::Departures,
            Topic::Escalations,
            Topic::Visit,
            Topic::Contacts,
            Topic::Status,
            Topic::Health,
            Topic::Beacon,
            Topic::Consent,
        ]);
        Self { reads, writes }
    }

    /// The same rights in an ACL file of mosquitto, for the user of that name.
    pub fn mosquitto(&self, user: &str) -> String {
        let mut text = format!("user {user}\n");
        let lines = |access: &str, filters: &[String]| {
            let lines = filters.iter().map(|filter| format!("topic {access} {filter}\n"));
            lines.collect::<String>()
        };
        text.push_str(&lines("read", &self.reads));
        text.push_str(&lines("write", &self.writes));
        text
    }

    /// Whether messages may be published on `topic`.
    pub fn may_write(&self, topic: &str) -> bool {
        self.writes.iter().any(|allowed| covers(allowed, topic))
    }

    /// Whether a subscription to `filter` delivers only topics that may be read.
    pub fn may_read(&self, filter: &str) -> bool {
        let filter = match filter.strip_prefix("$share/").map(|shared| shared.split_once('/')) {
            Some(Some((_, filter))) => filter,
            Some(None) => return false,
            None => filter,
        };
        self.reads.iter().any(|allowed| covers(allowed, filter))
    }
}

/// Whether every topic that `filter` matches is matched by `allowed`, too. A topic is a filter
/// without wildcards.
fn covers(allowed: &str, filter: &str) -> bool {
    let (mut allowed, mut filter) = (allowed.split('/'), filter.split('/'));
    loop {
        match (allowed.next(), filter.next()) {
            (Some("#"), _) | (None, None) => return true,
            (Some("+"), Some(level)) if level != "#" => {}
            (Some(allowed), Some(level)) if allowed == level => {}
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mqtt::topics::Addressee;

    const VISIT: &str = "visits/6d0b";

    fn of(role: Role) -> (Rights, impl Fn(&str) -> String) {
        let topics = Topics::of(42);
        (Rights::of(role, "till", &topics), move |below: &str| topics.under(below))
    }

    #[test]
    fn a_filter_is_covered_only_if_all_it_matches_is() {
        for (allowed, filter, covered) in [
            ("a/#", "a/b/c", true),
            ("a/#", "a/+/#", true),
            ("a/#", "a", true),
            ("a/#", "b", false),
            ("a/#", "#", false),
            ("a/+", "a/b", true),
            ("a/+", "a/+", true),
            ("a/+", "a/#", false),
            ("a/+", "a/b/c", false),
            ("a/+", "a", false),
            ("a/+/c", "a/b/c", true),
            ("a/b", "a/+", false),
            ("a/b", "a/b", true),
        ] {
            assert_eq!(covers(allowed, filter), covered, "{allowed} {filter}");
        }
    }

    #[test]
    fn a_tablet_reads_alerts_and_writes_claims_and_nothing_else() {
        let (rights, topic) = of(Role::Tablet);
        for below in ["arrivals", "departures", "visits/+", VISIT, "gateways/+/status"] {
            assert!(rights.may_read(&topic(below)), "{below}");
        }
        for below in ["#", "+", "visits/#", "contacts/+", "withdrawn/+", "config", "visits/+/claim"]
        {
            assert!(!rights.may_read(&topic(below)), "{below}");
        }
        for below in ["visits/6d0b/claim", "visits/6d0b/feedback"] {
            assert!(rights.may_write(&topic(below)), "{below}");
        }
        for below in ["arrivals", VISIT, "contacts/till", "withdrawn/c-1", "config", "registry"] {
            assert!(!rights.may_write(&topic(below)), "{below}");
        }
    }

    #[test]
    fn a_gateway_writes_its_own_topics_in_its_own_store() {
        let (rights, topic) = of(Role::Gateway);
        let here = Addressee {
            topics: Topics::of(42),
            gateway: "till".to_owned(),
            group: Some("north".to_owned()),
        };
        for filter in here.subscriptions().into_iter().flatten() {
            assert!(rights.may_read(&filter.path), "{}", filter.path);
        }
        for below in [
            "arrivals",
            VISIT,
            "contacts/till",
            "gateways/till/status",
            "gateways/till/canary",
            "beacons/window",
        ] {
            assert!(rights.may_write(&topic(below)), "{below}");
        }
        for below in [
            "contacts/door",
            "gateways/door/status",
            "gateways/door/canary",
            "gateways/till/config",
            "config",
        ] {
            assert!(!rights.may_write(&topic(below)), "{below}");
        }
        assert!(!rights.may_write("grelot/v1/43/arrivals"));
        assert!(!rights.may_read("grelot/v1/43/visits/+"));
        assert!(!rights.may_read("grelot/v1/#"));
    }

    #[test]
    fn head_office_configures_and_withdraws_and_announces_no_one() {
        let (rights, topic) = of(Role::HeadOffice);
        for below in
            ["config", "gateways/till/config", "gateways/till/missed", "registry", "withdrawn/c-1"]
        {
            assert!(rights.may_write(&topic(below)), "{below}");
        }
        assert!(rights.may_write("grelot/v1/config/fleet"));
        assert!(rights.may_write("grelot/v1/config/group/north"));
        for below in ["arrivals", VISIT, "visits/6d0b/claim", "contacts/till"] {
            assert!(!rights.may_write(&topic(below)), "{below}");
        }
    }

    #[test]
    fn a_reader_only_reads() {
        let (rights, topic) = of(Role::Reader);
        assert!(rights.may_read(&topic("#")) && rights.may_read(&topic("contacts/+")));
        assert!(rights.may_read(&format!("$share/board/{}", topic("arrivals"))));
        assert!(!rights.may_read("$share/board") && !rights.may_read("$share/board/#"));
        for below in ["arrivals", "visits/6d0b/claim", "config", "contacts/till"] {
            assert!(!rights.may_write(&topic(below)), "{below}");
        }
    }
}
