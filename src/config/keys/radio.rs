//! The keys of the shop's own beacons, which are IT's.

use super::super::form::Form;
use super::key::{Absent, Key, Section};

pub(super) const WAKE_UP: Section = Section {
    name: "wake_up",
    repeats: false,
    says: "The store's own iBeacon, advertised by this gateway itself, which wakes the customers' app.",
    keys: &[
        Key::new(
            "uuid",
            Form::Uuid,
            Absent::Means("this gateway advertises nothing"),
            "the chain's UUID; the major is the store's number, the minor made of epoch and zone",
        )
        .example("\"426c7565-4368-6172-6d42-6561636f6e73\""),
        Key::new(
            "epoch",
            Form::Integer { least: 0, most: 4_095 },
            Absent::Is("0"),
            "the epoch of the customers' keys for this store: the high 12 bits of the minor",
        )
        .example("0"),
        Key::new(
            "zone",
            Form::Integer { least: 1, most: 15 },
            Absent::Is("1"),
            "where this gateway stands, as a zone: the low 4 bits of the minor",
        )
        .example("1"),
        Key::new(
            "tx_power_dbm",
            Form::Integer { least: -100, most: 20 },
            Absent::Is("-59"),
            "the RSSI that a phone measures at 1 m",
        )
        .unit("dBm")
        .example("-59"),
    ],
};

pub(super) const BEACON: Section = Section {
    name: "beacon",
    repeats: true,
    says: "The shop's own beacons, to be watched: one section each.",
    keys: &[
        Key::new("name", Form::Name, Absent::Required,
            "as IT calls it: part of its topic")
            .example("\"door\""),
        Key::new("identity", Form::BeaconIdentity, Absent::Required,
            "what it advertises: `ibeacon <uuid> <major> <minor>`, `eddystone <namespace> <instance>` or `altbeacon <40 hex digits>`")
            .example("\"ibeacon 426c7565-4368-6172-6d42-6561636f6e73 42 1\""),
        Key::new("missing_after_secs", Form::Number { least: 5.0, most: 86_400.0 }, Absent::Is("120.0"),
            "silence after which it counts as missing: its battery is empty, or it is gone")
            .unit("seconds")
            .example("120.0"),
    ],
};
