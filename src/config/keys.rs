//! The one place that defines every key: form, unit, default and a sentence of explanation.
//! Reading, error messages, the reference (`docs/configuration.md`) and the sample
//! (`config/grelot.toml`) all come from these tables.

use super::detection::{self, Detection};
use super::form::{Form, Value};

/// A `[section]`.
#[derive(Debug)]
pub struct Section {
    /// Such as `presence`.
    pub name: &'static str,
    /// `[[section]]`: may be given several times.
    pub repeats: bool,
    /// What it is about.
    pub says: &'static str,
    /// In the order of the reference.
    pub keys: &'static [Key],
}

/// One key.
#[derive(Debug)]
pub struct Key {
    /// Within its section; `gateways.*` is a table whose names the user chooses.
    pub name: &'static str,
    /// Type and range.
    pub form: Form,
    /// Of a number; empty where it has none.
    pub unit: &'static str,
    /// What holds where it is absent.
    pub absent: Absent,
    /// As TOML, for the sample.
    pub example: &'static str,
    /// One sentence, without a full stop.
    pub says: &'static str,
    /// How to mend a bad value, where the sentence does not tell.
    pub hint: Option<&'static str>,
}

/// What holds where a key is absent.
#[derive(Debug, Clone, Copy)]
pub enum Absent {
    /// It must be there.
    Required,
    /// This value, as TOML.
    Is(&'static str),
    /// What the pipeline's own default says.
    Domain(detection::Access),
    /// Something that is no value, in words.
    Means(&'static str),
}

impl Key {
    const fn new(name: &'static str, form: Form, absent: Absent, says: &'static str) -> Self {
        Self { name, form, unit: "", absent, example: "", says, hint: None }
    }

    const fn unit(mut self, unit: &'static str) -> Self {
        self.unit = unit;
        self
    }

    const fn example(mut self, example: &'static str) -> Self {
        self.example = example;
        self
    }

    const fn hint(mut self, hint: &'static str) -> Self {
        self.hint = Some(hint);
        self
    }

    /// The default as a value, where it is one.
    pub fn default(&self) -> Option<Value> {
        match self.absent {
            Absent::Is(text) => {
                let value = toml::de::DeValue::parse(text).ok()?;
                self.form.read(value.get_ref(), self.unit).ok()
            }
            Absent::Domain(access) => Some((access.get)(&Detection::default())),
            Absent::Required | Absent::Means(_) => None,
        }
    }

    /// How the detection settings hold it, where they do.
    pub fn detection(&self) -> Option<detection::Access> {
        match self.absent {
            Absent::Domain(access) => Some(access),
            _ => None,
        }
    }
}

/// Finds a key by its full path, such as `store.gateways.door` or `source.kind`.
pub fn find(path: &str) -> Option<&'static Key> {
    let (section, name) = path.split_once('.')?;
    let section = section_named(section)?;
    section.keys.iter().find(|key| key.name == name).or_else(|| {
        let (table, _) = name.split_once('.')?;
        section.keys.iter().find(|key| key.name.strip_suffix(".*") == Some(table))
    })
}

/// Finds a section.
pub fn section_named(name: &str) -> Option<&'static Section> {
    SECTIONS.iter().copied().find(|section| section.name == name)
}

/// Whether `path` (`store.gateways`) is a table whose names the user chooses.
pub fn is_named_table(path: &str) -> bool {
    path.split_once('.').is_some_and(|(section, name)| {
        section_named(section).is_some_and(|section| {
            section.keys.iter().any(|key| key.name.strip_suffix(".*") == Some(name))
        })
    })
}

/// Every section in the order of the reference.
pub const SECTIONS: &[&Section] =
    &[&STORE, &GATEWAY, &BROKER, &TLS, &SOURCE, &REGISTRY, &TABLETS, &STATE, &PRESENCE, &POLICY];

const PLACES: Form = Form::Word(&["door", "outside", "inside"]);

const STORE: Section = Section {
    name: "store",
    repeats: false,
    says: "The shop this gateway stands in.",
    keys: &[
        Key::new("id", Form::Integer { least: 1, most: 65_535 }, Absent::Required,
            "the store's number: the major of its iBeacon, part of every topic and key derivation")
            .example("42"),
        Key::new("name", Form::Text, Absent::Means("\"Store\" and its number"),
            "the store as staff call it")
            .example("\"Paris Rivoli\""),
        Key::new("group", Form::Name, Absent::Means("the store belongs to no group"),
            "whose settings the store follows: head office pushes them to `grelot/v1/config/group/<group>`")
            .example("\"ile-de-france\""),
        Key::new("time_zone", Form::TimeZone, Absent::Is("\"UTC\""),
            "the store's local time, for quiet hours and for customers who asked for quiet today")
            .example("\"Europe/Paris\""),
        Key::new("gateways.*", PLACES, Absent::Means("places are not known"),
            "where each of the store's gateways stands")
            .example("{ door = \"door\", street = \"outside\", till = \"inside\" }"),
        Key::new("zones.*", PLACES, Absent::Means("phones' echoes are not weighed"),
            "where the shop's beacons stand, by their zone (1 to 15)")
            .example("{ 1 = \"door\", 2 = \"inside\" }"),
    ],
};

const GATEWAY: Section = Section {
    name: "gateway",
    repeats: false,
    says: "This machine.",
    keys: &[Key::new(
        "name",
        Form::Name,
        Absent::Is("\"gateway\""),
        "its name, unique in the store: part of its topics",
    )
    .example("\"door\"")],
};

const BROKER: Section = Section {
    name: "broker",
    repeats: false,
    says: "The MQTT broker: inside this program, or elsewhere.",
    keys: &[
        Key::new(
            "embedded",
            Form::Flag,
            Absent::Means("true where there are no `urls`"),
            "whether this gateway is the store's broker",
        )
        .example("true"),
        Key::new(
            "listen",
            Form::Listen,
            Absent::Is("\"127.0.0.1:1883\""),
            "where the embedded broker listens",
        )
        .example("\"127.0.0.1:1883\""),
        Key::new(
            "urls",
            Form::BrokerUrls,
            Absent::Means("the embedded broker"),
            "brokers elsewhere, tried in turn: `mqtt://host:1883`, `mqtts://host:8883`",
        )
        .example("[\"mqtts://broker-a:8883\", \"mqtts://broker-b:8883\"]"),
        Key::new(
            "username",
            Form::Text,
            Absent::Means("none"),
            "who this gateway is to the broker",
        )
        .example("\"gateway-door\""),
        Key::new(
            "password",
            Form::Secret,
            Absent::Means("none"),
            "its password; better kept in a file of its own",
        )
        .example("\"…\""),
        Key::new(
            "password_file",
            Form::File,
            Absent::Means("none"),
            "a file whose first line is the password, readable by the service alone",
        )
        .example("\"broker.password\""),
    ],
};

const TLS: Section = Section {
    name: "tls",
    repeats: false,
    says: "PEM files for `mqtts://` brokers and for the tablets' page.",
    keys: &[
        Key::new(
            "ca",
            Form::File,
            Absent::Means("the system's authorities"),
            "the authorities that sign the broker's certificate",
        )
        .example("\"ca.pem\""),
        Key::new(
            "certificate",
            Form::File,
            Absent::Means("none: the page is served over plain HTTP"),
            "this gateway's own certificate chain, shown to the broker and to tablets",
        )
        .example("\"gateway.pem\""),
        Key::new(
            "key",
            Form::File,
            Absent::Means("none"),
            "the private key of that certificate, readable by the service alone",
        )
        .example("\"gateway.key\""),
    ],
};

const SPEED: Form = Form::Number { least: 0.001, most: 1_000_000.0 };

const SOURCE: Section = Section {
    name: "source",
    repeats: true,
    says: "Where advertisements come from; without any, the radio of this machine.",
    keys: &[
        Key::new(
            "kind",
            Form::Word(&["bluez", "recording", "simulated", "h4", "mqtt"]),
            Absent::Required,
            "the radio, a recording or capture, a simulated shop, an HCI stream, or other gateways",
        )
        .example("\"bluez\""),
        Key::new(
            "adapter",
            Form::Name,
            Absent::Means("every adapter"),
            "`bluez`: the adapter to listen with",
        )
        .example("\"hci0\""),
        Key::new(
            "path",
            Form::File,
            Absent::Means("required for `recording` and `h4`"),
            "`recording`, `h4`: the file or pipe to read",
        )
        .example("\"monday.jsonl\""),
        Key::new(
            "speed",
            SPEED,
            Absent::Is("1.0"),
            "`recording`, `simulated`: how fast time passes; 1 is real time",
        )
        .example("1.0"),
        Key::new(
            "seed",
            Form::Integer { least: 0, most: 4_294_967_295 },
            Absent::Is("1"),
            "`simulated`: the same seed gives the same shop",
        )
        .example("1"),
    ],
};

const REGISTRY: Section = Section {
    name: "registry",
    repeats: false,
    says: "The customers who asked to be recognised.",
    keys: &[Key::new(
        "path",
        Form::File,
        Absent::Means("nobody is recognised"),
        "the registry (`customers.jsonl` or `.jsonl.zst`), readable by the service alone",
    )
    .example("\"customers.jsonl\"")],
};

const TABLETS: Section = Section {
    name: "tablets",
    repeats: false,
    says: "The staff's page.",
    keys: &[Key::new(
        "listen",
        Form::Listen,
        Absent::Means("no page is served"),
        "where the page is served; HTTPS where `[tls]` has a certificate",
    )
    .example("\"0.0.0.0:8443\"")],
};

const STATE: Section = Section {
    name: "state",
    repeats: false,
    says: "What survives a restart.",
    keys: &[Key::new("path", Form::File,
        Absent::Means("`$STATE_DIRECTORY`; else `/var/lib/grelot` for a configuration under `/etc`; else `state` beside the configuration"),
        "a folder for visits, unsent alerts and withdrawals, writable by the service alone")
        .example("\"/var/lib/grelot\"")],
};

/// `[presence]`
pub const PRESENCE: Section = Section {
    name: "presence",
    repeats: false,
    says: "When somebody counts as here. Head office may push these keys.",
    keys: &[
        Key::new(
            "arrive_rssi_dbm",
            Form::Number { least: -100.0, most: -30.0 },
            Absent::Domain(detection::ARRIVE_RSSI),
            "a sighting at or above this speaks for being inside",
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
            "below this a sighting speaks for being outside; at least 3 dB under `arrive_rssi_dbm`, and as far under it as by default where only that one is given",
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
            "whoever is heard so soon after the radio started was here already",
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
    says: "When and for whom staff are alerted. Head office may push these keys.",
    keys: &[
        Key::new(
            "alerts_per_visit",
            Form::Integer { least: 0, most: 100 },
            Absent::Domain(detection::ALERTS_PER_VISIT),
            "at most so many alerts for one visit; 0 never alerts",
        ),
        Key::new(
            "min_hours_between_alerts",
            Form::Number { least: 0.0, most: 8760.0 },
            Absent::Domain(detection::BETWEEN_ALERTS),
            "at least so long between two alerts for one customer",
        )
        .unit("h"),
        Key::new(
            "quiet_hours",
            Form::QuietHours,
            Absent::Domain(detection::QUIET_HOURS),
            "when nobody is alerted, in the store's local time",
        )
        .example("\"21:00-09:00\""),
        Key::new(
            "tiers",
            Form::Names,
            Absent::Domain(detection::TIERS),
            "whose arrival alerts; an empty list is every tier's",
        )
        .example("[\"gold\", \"platinum\"]"),
        Key::new(
            "alert_ttl_secs",
            Form::Number { least: 1.0, most: 86_400.0 },
            Absent::Domain(detection::ALERT_TTL),
            "an alert older than this is worth nothing: it is dropped, never delivered late",
        )
        .unit("s"),
    ],
};
