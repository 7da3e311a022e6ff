//! Every topic of the interface, in one table: topics are built and parsed with it, the access
//! rules of the embedded broker name its rows, and a test compares `docs/asyncapi.json` with it.

use crate::text;

/// All topics begin with it; `v1` is the version of names and payloads.
pub const ROOT: &str = "grelot/v1";

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Topic {
    Arrivals,
    /// Visits that ended.
    Departures,
    /// Alerts that no one answered.
    Escalations,
    Visit,
    /// Staff claim, release or dismiss a visit.
    Claim,
    /// Staff say whether the customer was here.
    Feedback,
    /// What a gateway receives of matched customers.
    Contacts,
    /// The state of a gateway, and its last will.
    Status,
    Health,
    /// The state of one of the shop's beacons.
    Beacon,
    /// A customer withdrew consent.
    Withdrawn,
    /// Head office has a new registry for the store.
    Registry,
    /// Settings for all gateways.
    FleetSettings,
    /// Settings for a group of stores.
    GroupSettings,
    /// Settings for a store.
    StoreSettings,
    /// Settings for a gateway.
    GatewaySettings,
    /// A client asks for the current state.
    Sync,
    /// A gateway's answer to [`Self::Sync`].
    SyncAnswer,
    /// Which withdrawals a gateway knows, and its question for the rest.
    Consent,
    /// The answer to [`Self::Consent`].
    Withdrawals,
    /// A gateway's reports to head office.
    Reports,
    /// Head office has a gateway's reports.
    Reported,
    /// A document of settings that a gateway lacks, sent to it alone.
    MissedSettings,
    /// A gateway's synthetic customer has arrived.
    Canary,
}

/// What is fixed for a topic.
#[derive(Debug, Clone, Copy)]
pub struct Definition {
    pub topic: Topic,
    /// Name of the channel in `docs/asyncapi.json`.
    pub name: &'static str,
    /// Below `grelot/v1`; a level in braces is a parameter.
    pub pattern: &'static str,
    /// Quality of service of publications.
    pub qos: u8,
    /// Whether the broker keeps the last message.
    pub retained: bool,
}

const fn row(
    topic: Topic,
    name: &'static str,
    pattern: &'static str,
    qos: u8,
    retained: bool,
) -> Definition {
    Definition { topic, name, pattern, qos, retained }
}

/// The table. The index of a row is its [`Topic`].
pub const TABLE: [Definition; 24] = [
    row(Topic::Arrivals, "arrivals", "{store}/arrivals", 1, false),
    row(Topic::Departures, "departures", "{store}/departures", 1, false),
    row(Topic::Escalations, "escalations", "{store}/escalations", 1, false),
    row(Topic::Visit, "visit", "{store}/visits/{visit}", 1, true),
    row(Topic::Claim, "claim", "{store}/visits/{visit}/claim", 1, false),
    row(Topic::Feedback, "feedback", "{store}/visits/{visit}/feedback", 1, false),
    row(Topic::Contacts, "contacts", "{store}/contacts/{gateway}", 0, false),
    row(Topic::Status, "status", "{store}/gateways/{gateway}/status", 1, true),
    row(Topic::Health, "health", "{store}/gateways/{gateway}/health", 0, false),
    row(Topic::Beacon, "beacon", "{store}/beacons/{beacon}", 0, true),
    row(Topic::Withdrawn, "withdrawn", "{store}/withdrawn/{client}", 1, true),
    row(Topic::Registry, "registry", "{store}/registry", 1, false),
    row(Topic::FleetSettings, "fleetSettings", "config/fleet", 1, true),
    row(Topic::GroupSettings, "groupSettings", "config/group/{group}", 1, true),
    row(Topic::StoreSettings, "storeSettings", "{store}/config", 1, true),
    row(Topic::GatewaySettings, "gatewaySettings", "{store}/gateways/{gateway}/config", 1, true),
    row(Topic::Sync, "sync", "{store}/sync", 1, false),
    row(Topic::SyncAnswer, "syncAnswer", "{store}/sync/{client}", 1, false),
    row(Topic::Consent, "consent", "{store}/gateways/{gateway}/consent", 1, false),
    row(Topic::Withdrawals, "withdrawals", "{store}/gateways/{gateway}/withdrawals", 1, false),
    row(Topic::Reports, "reports", "{store}/gateways/{gateway}/reports", 1, false),
    row(Topic::Reported, "reported", "{store}/gateways/{gateway}/reported", 1, false),
    row(Topic::MissedSettings, "missedSettings", "{store}/gateways/{gateway}/missed", 1, false),
    row(Topic::Canary, "canary", "{store}/gateways/{gateway}/canary", 1, false),
];

impl Topic {
    fn pattern(self) -> &'static str {
        TABLE.get(self as usize).map_or("", |definition| definition.pattern)
    }

    /// The topic with `parameters` in the order of the pattern, `+` for any that is missing.
    pub fn of(self, parameters: &[&str]) -> String {
        let mut parameters = parameters.iter();
        let mut topic = ROOT.to_owned();
        for level in self.pattern().split('/') {
            topic.push('/');
            let mut parameter = || parameters.next().copied().unwrap_or("+");
            topic.push_str(if level.starts_with('{') { parameter() } else { level });
        }
        topic
    }

    /// The row of a topic and the levels that are parameters, in their order.
    pub fn parse(topic: &str) -> Option<(Self, Vec<&str>)> {
        let below = topic.strip_prefix(ROOT)?.strip_prefix('/')?;
        let found = TABLE.iter().find_map(|row| Some((row.topic, parameters(row.pattern, below)?)));
        found.filter(|(_, parameters)| parameters.iter().all(|level| is_level(level)))
    }
}

/// The parameters of `topic`, where it has this pattern.
fn parameters<'a>(pattern: &str, topic: &'a str) -> Option<Vec<&'a str>> {
    let (mut pattern, mut topic) = (pattern.split('/'), topic.split('/'));
    let mut parameters = Vec::new();
    loop {
        match (pattern.next(), topic.next()) {
            (None, None) => return Some(parameters),
            (Some(pattern), Some(level)) if pattern.starts_with('{') => parameters.push(level),
            (Some(pattern), Some(level)) if pattern == level => {}
            _ => return None,
        }
    }
}

/// Whether a name can be one level of a topic: not empty, no separator, no wildcard, no control
/// character, not too long for the 65,535 octets a topic may have.
pub fn is_level(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 128
        && !name.contains(['/', '+', '#'])
        && text::is_displayable(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_at_its_place_and_is_parsed_as_it_is_built() {
        for (place, row) in TABLE.iter().enumerate() {
            assert_eq!(row.topic as usize, place);
            let parameters = ["42", "x"];
            let used = row.pattern.matches('{').count();
            let store = row.pattern.starts_with("{store}");
            let parameters = &parameters[usize::from(!store)..][..used];
            let topic = row.topic.of(parameters);
            assert_eq!(Topic::parse(&topic), Some((row.topic, parameters.to_vec())), "{topic}");
        }
    }

    #[test]
    fn what_is_no_topic_of_the_interface_is_not_parsed() {
        for topic in ["", "grelot/v2/42/config", "grelot/v1/42", "grelot/v1/42/visits/a/claim/x"] {
            assert_eq!(Topic::parse(topic), None, "{topic}");
        }
        assert_eq!(Topic::parse("grelot/v1/42/withdrawn/+"), None, "a wildcard");
        assert_eq!(Topic::Claim.of(&["42"]), "grelot/v1/42/visits/+/claim");
    }

    #[test]
    fn a_name_with_a_wildcard_is_no_level() {
        assert!(is_level("c-7f3a"));
        for bad in ["", "a/b", "a+", "#", "a\0", &"x".repeat(129)] {
            assert!(!is_level(bad), "{bad:?}");
        }
    }
}
