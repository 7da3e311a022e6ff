//! The keys of detection, which are head office's.

use super::super::detection;
use super::super::form::Form;
use super::key::{Absent, Key, Section};

/// `[presence]`
pub const PRESENCE: Section = Section {
    name: "presence",
    repeats: false,
    says: "When a customer counts as present. Head office may push these keys.",
    keys: &[
        Key::new(
            "arrive_rssi_dbm",
            Form::Number { least: -100.0, most: -30.0 },
            Absent::Domain(detection::ARRIVE_RSSI),
            "a contact at or above this is evidence of being inside",
        )
        .unit("dBm"),
        Key::new(
            "arrive_confidence",
            Form::Number { least: 0.5, most: 0.999 },
            Absent::Domain(detection::ARRIVE_CONFIDENCE),
            "how sure to be before a visit opens",
        )
        .hint("0.9 announces sooner, 0.99 errs less often"),
        Key::new(
            "leave_rssi_dbm",
            Form::Number { least: -110.0, most: -33.0 },
            Absent::Domain(detection::LEAVE_RSSI),
            "a contact below this is evidence of being outside; at least 3 dB below `arrive_rssi_dbm`, which it follows at the default distance if only that key is set",
        )
        .unit("dBm"),
        Key::new(
            "leave_after_secs",
            Form::Number { least: 1.0, most: 7200.0 },
            Absent::Domain(detection::LEAVE_AFTER),
            "silence or weakness that closes a visit",
        )
        .unit("s"),
        Key::new(
            "dwell_secs",
            Form::Number { least: 0.0, most: 3600.0 },
            Absent::Domain(detection::DWELL),
            "least time inside before the alert goes out",
        )
        .unit("s"),
        Key::new(
            "rejoin_secs",
            Form::Number { least: 0.0, most: 86_400.0 },
            Absent::Domain(detection::REJOIN),
            "coming back within this continues the visit",
        )
        .unit("s"),
        Key::new(
            "warm_up_secs",
            Form::Number { least: 0.0, most: 3600.0 },
            Absent::Domain(detection::WARM_UP),
            "a customer who is first received within this time after the radio started was here already",
        )
        .unit("s"),
        Key::new(
            "longest_visit_hours",
            Form::Number { least: 0.1, most: 168.0 },
            Absent::Domain(detection::LONGEST_VISIT),
            "a visit that is still open then is closed",
        )
        .unit("h"),
        Key::new(
            "gateway_offset_db.*",
            Form::Number { least: -40.0, most: 40.0 },
            Absent::Means("0 for every gateway"),
            "added to every RSSI a gateway measures, by gateway, from its walk test",
        )
        .unit("dB")
        .example("{ door = -3.5 }"),
        Key::new(
            "gateway_inside_dbm.*",
            Form::Number { least: -127.0, most: 20.0 },
            Absent::Means("presence.arrive_rssi_dbm (presence.leave_rssi_dbm where the gateway stands outside)"),
            "what a gateway usually measures of customers inside, offset added, from its walk test",
        )
        .unit("dBm")
        .example("{ door = -64 }"),
        Key::new(
            "gateway_outside_dbm.*",
            Form::Number { least: -127.0, most: 20.0 },
            Absent::Means("presence.leave_rssi_dbm (presence.arrive_rssi_dbm where the gateway stands outside)"),
            "what a gateway usually measures of passers-by, offset added; counts together with gateway_inside_dbm",
        )
        .unit("dBm")
        .example("{ door = -76 }"),
    ],
};

/// `[policy]`
pub const POLICY: Section = Section {
    name: "policy",
    repeats: false,
    says: "When staff are alerted, and about which customers. Head office may push these keys.",
    keys: &[
        Key::new(
            "alerts_per_visit",
            Form::Integer { least: 0, most: 100 },
            Absent::Domain(detection::ALERTS_PER_VISIT),
            "the most alerts for one visit; 0 never alerts",
        ),
        Key::new(
            "min_hours_between_alerts",
            Form::Number { least: 0.0, most: 8760.0 },
            Absent::Domain(detection::BETWEEN_ALERTS),
            "least time between two alerts for one customer",
        )
        .unit("h"),
        Key::new(
            "quiet_hours",
            Form::QuietHours,
            Absent::Domain(detection::QUIET_HOURS),
            "when no alert is sent, in the store's local time",
        )
        .example("\"21:00-09:00\""),
        Key::new(
            "tiers",
            Form::Names,
            Absent::Domain(detection::TIERS),
            "tiers whose arrivals alert staff; an empty list means every tier",
        )
        .example("[\"gold\", \"platinum\"]"),
        Key::new(
            "tier_names.*",
            Form::Text,
            Absent::Means("the page's words for platinum, gold, silver and bronze; else the tier"),
            "what staff call a tier",
        )
        .example("{ vip = \"Maison\" }"),
        Key::new(
            "alert_ttl_secs",
            Form::Number { least: 1.0, most: 86_400.0 },
            Absent::Domain(detection::ALERT_TTL),
            "an alert older than this is worth nothing: it is dropped, never delivered late",
        )
        .unit("s"),
    ],
};
