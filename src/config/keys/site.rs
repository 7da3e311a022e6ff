//! The site's keys, which are IT's.

use super::super::form::Form;
use super::key::{Absent, Key, Section};
use crate::sources::kinds;

const PLACES: Form = Form::Word(&["door", "outside", "inside"]);

pub(super) const STORE: Section = Section {
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

pub(super) const GATEWAY: Section = Section {
    name: "gateway",
    repeats: false,
    says: "This machine.",
    keys: &[
        Key::new(
            "name",
            Form::Name,
            Absent::Means(
                "the one of `store.gateways` at the door; `gateway` where there are none",
            ),
            "its name, unique in the store: part of its topics",
        )
        .example("\"door\""),
        Key::new(
            "label",
            Form::Text,
            Absent::Means("its name"),
            "what staff call the place where it stands",
        )
        .example("\"Main entrance\""),
        Key::new(
            "clock",
            Form::Word(&["synchronised", "trusted"]),
            Absent::Is("\"synchronised\""),
            "when this machine's clock counts: once a time server has set it since the boot, or always, for a machine with a real-time clock and no time server",
        ),
    ],
};

pub(super) const BROKER: Section = Section {
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
            "this gateway's username at the broker",
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

pub(super) const TLS: Section = Section {
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

/// The live kinds, and those that are not live.
#[expect(clippy::indexing_slicing, reason = "evaluated when it is compiled")]
const SOURCE_KINDS: [&str; kinds::LIVE.len() + 3] = {
    let mut words = ["recording"; kinds::LIVE.len() + 3];
    let mut at = 0;
    while at < kinds::LIVE.len() {
        words[at] = kinds::LIVE[at].word;
        at += 1;
    }
    words[at + 1] = "simulated";
    words[at + 2] = "mqtt";
    words
};

pub(super) const SOURCE: Section = Section {
    name: "source",
    repeats: true,
    says: "Where advertisements come from; without any, the radio of this machine.",
    keys: &[
        Key::new(
            "kind",
            Form::Word(&SOURCE_KINDS),
            Absent::Required,
            "the radio, the radio of a machine without BlueZ, an HCI stream, a recording or capture, a simulated shop, or other gateways",
        )
        .example("\"bluez\""),
        Key::new(
            "adapter",
            Form::Text,
            Absent::Means("every adapter; the first for `btleplug`"),
            "`bluez`, `btleplug`: the adapter to scan with, by its name or (better: names change) its address",
        )
        .example("\"hci0\""),
        Key::new(
            "ask",
            Form::Flag,
            Absent::Is("true"),
            "`bluez`: whether phones that may have the app in the background are connected to and challenged",
        )
        .example("true"),
        Key::new(
            "ask_deaf_ms",
            Form::Integer { least: 50, most: 5_000 },
            Absent::Is("100"),
            "`bluez`: for how long the only adapter may stop scanning to connect to such a phone; that takes as long as the phone's advertising interval",
        )
        .example("1000"),
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

pub(super) const REGISTRY: Section = Section {
    name: "registry",
    repeats: false,
    says: "The customers who asked to be recognised.",
    keys: &[
        Key::new(
            "path",
            Form::File,
            Absent::Means("no customer is recognised, unless `url` brings a registry"),
            "the registry (`customers.jsonl` or `.jsonl.zst`), readable by the service alone; \
             read again whenever it changes",
        )
        .example("\"customers.jsonl\""),
        Key::new(
            "public_keys",
            Form::PublicKeys,
            Absent::Means("registries need no signature"),
            "head office's public keys: only bundles that one of them signed count, beside the \
             registry as `.minisig`, for this store, not expired and never older than the last",
        )
        .example("[\"RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3\"]"),
        Key::new(
            "url",
            Form::HttpsUrl,
            Absent::Means("bundles come as a file only"),
            "where bundles are fetched from, with their `.minisig`; `[tls]` has the authorities \
             and the client certificate",
        )
        .example("\"https://office.example/42/customers.jsonl.zst\""),
        Key::new(
            "check_secs",
            Form::Integer { least: 10, most: 86_400 },
            Absent::Is("300"),
            "how often `url` is checked; head office can announce a bundle over MQTT as well",
        )
        .unit("seconds"),
        Key::new(
            "audit_hours",
            Form::Integer { least: 0, most: 720 },
            Absent::Is("24"),
            "for how long this gateway keeps which customers it recognised and when, for customers \
             who ask, and the learned signal strength of their phones",
        )
        .unit("hours"),
    ],
};

pub(super) const HEAD_OFFICE: Section = Section {
    name: "head_office",
    repeats: false,
    says: "A second line, to head office's broker cluster. Head office sends settings, hints of new registries and withdrawals; the gateway sends status, health and reports that name no customer. The shop works without it.",
    keys: &[
        Key::new(
            "urls",
            Form::BrokerUrls,
            Absent::Means("there is no such line"),
            "the cluster's addresses, tried in turn",
        )
        .example("[\"mqtts://a.example:8883\", \"mqtts://b.example:8883\"]"),
        Key::new(
            "username",
            Form::Text,
            Absent::Means("none"),
            "this gateway's username at the cluster",
        )
        .example("\"store-42-door\""),
        Key::new(
            "password_file",
            Form::File,
            Absent::Means("none"),
            "a file whose first line is the password, readable by the service alone",
        )
        .example("\"head-office.password\""),
        Key::new(
            "ca",
            Form::File,
            Absent::Means("`tls.ca`; else the system's authorities"),
            "the authorities that sign the cluster's certificates",
        )
        .example("\"head-office-ca.pem\""),
        Key::new(
            "certificate",
            Form::File,
            Absent::Means("`tls.certificate`"),
            "this gateway's certificate for the cluster",
        )
        .example("\"head-office.pem\""),
        Key::new(
            "key",
            Form::File,
            Absent::Means("`tls.key`"),
            "the private key of that certificate, readable by the service alone",
        )
        .example("\"head-office.key\""),
        Key::new(
            "public_keys",
            Form::PublicKeys,
            Absent::Means("settings need no signature"),
            "head office's public keys, for settings on either line: only documents that one of them signed count (`grelot fleet push --key`)",
        )
        .example("[\"RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3\"]"),
        Key::new(
            "longest_wait_secs",
            Form::Integer { least: 1, most: 3_600 },
            Absent::Is("60"),
            "longest interval between two attempts to connect: all stores' attempts are spread over this time",
        )
        .unit("seconds"),
        Key::new(
            "traces",
            Form::Flag,
            Absent::Is("false"),
            "whether head office gets traces of contacts, for `grelot tune --fleet`: of each recognised customer how strong the phone was and when, without an address, a handle or a name. Personal data: see docs/privacy.md",
        ),
        Key::new(
            "trace_days",
            Form::Integer { least: 1, most: 30 },
            Absent::Is("1"),
            "for how long a trace waits for head office, and this gateway knows whose it is, so that a withdrawal deletes it here and at head office",
        )
        .unit("days"),
    ],
};

pub(super) const METRICS: Section = Section {
    name: "metrics",
    repeats: false,
    says: "Measures of this gateway for Prometheus, at `/metrics`. They name no customer.",
    keys: &[
        Key::new(
            "listen",
            Form::Listen,
            Absent::Means("none are served"),
            "where they are served, in clear and without a password: to this machine alone, or to the monitoring network",
        )
        .example("\"127.0.0.1:9464\""),
        Key::new(
            "canary_secs",
            Form::Integer { least: 0, most: 86_400 },
            Absent::Is("0"),
            "between two runs of a synthetic customer, unseen by staff, who proves the whole way from an advertisement to the broker and back; 0 runs none",
        )
        .unit("seconds"),
        Key::new(
            "traces",
            Form::WebUrl,
            Absent::Means("none are sent"),
            "a collector of OpenTelemetry (OTLP over HTTP) that gets a trace of each visit that alerts staff: when and how long, and no one's identity",
        )
        .example("\"http://127.0.0.1:4318/v1/traces\""),
    ],
};

pub(super) const STATE: Section = Section {
    name: "state",
    repeats: false,
    says: "What survives a restart.",
    keys: &[Key::new("path", Form::File,
        Absent::Means("`$STATE_DIRECTORY`; else `/var/lib/grelot` for a configuration under `/etc`; else `state` beside the configuration"),
        "a folder for visits, unsent alerts and withdrawals, writable by the service alone")
        .example("\"/var/lib/grelot\"")],
};
