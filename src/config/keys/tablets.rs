//! The keys of the staff's page, which are IT's.

use super::super::form::Form;
use super::key::{Absent, Key, Section};

pub(super) const TABLETS: Section = Section {
    name: "tablets",
    repeats: false,
    says: "The staff's page.",
    keys: &[
        Key::new(
            "listen",
            Form::Listen,
            Absent::Means("no page is served"),
            "where the page is served; HTTPS where `[tls]` has a certificate",
        )
        .example("\"0.0.0.0:8443\""),
        Key::new(
            "address",
            Form::WebUrl,
            Absent::Means("this machine's addresses"),
            "how tablets reach the page, for QR codes: where it has a name, or is behind a proxy",
        )
        .example("\"https://grelot.rivoli.example:8443\""),
        Key::new(
            "opening_hours",
            Form::QuietHours,
            Absent::Is("\"none\""),
            "when at least one tablet must be connected, in the store's local time: this gateway \
             reports it where none has for five minutes",
        )
        .example("\"09:00-20:00\""),
        Key::new(
            "crm_url",
            Form::CrmUrl,
            Absent::Means("no link"),
            "where a customer is in the shop's customer database: a link on the card",
        )
        .example("\"https://crm.example/{client}\""),
        Key::new(
            "check_in_mins",
            Form::Integer { least: 1, most: 480 },
            Absent::Is("30"),
            "how long a customer who was checked in by hand or at the entrance is shown if nothing is \
             received of them; what is received takes over",
        )
        .unit("minutes"),
        Key::new(
            "entrance",
            Form::Flag,
            Absent::Is("false"),
            "whether the customers' app may check in with a link: `/here/<token>`, from a QR code at \
             the entrance (`grelot tablets entrance`)",
        )
        .example("true"),
        Key::new(
            "repeat_secs",
            Form::Integer { least: 0, most: 3_600 },
            Absent::Is("20"),
            "interval of gentle rings for a customer who is not claimed yet; 0 rings once",
        )
        .unit("seconds"),
        Key::new(
            "escalate_secs",
            Form::Integer { least: 0, most: 86_400 },
            Absent::Is("120"),
            "an alert that no one answers for this long rings urgently on every tablet and is \
             published on `escalations`; 0 switches this off",
        )
        .unit("seconds"),
        Key::new(
            "late_secs",
            Form::Integer { least: 60, most: 1_800 },
            Absent::Is("300"),
            "a customer who waits longer is shown as waiting too long",
        )
        .unit("seconds"),
        Key::new(
            "shift_end",
            Form::TimeOfDay,
            Absent::Means("names stay until the tablet is handed over"),
            "when tablets forget who uses them, in the store's local time",
        )
        .example("\"20:00\""),
        Key::new(
            "idle_mins",
            Form::Integer { least: 0, most: 1_440 },
            Absent::Is("240"),
            "a tablet that no one touches for this long forgets who uses it; 0 means never",
        )
        .unit("minutes"),
        Key::new(
            "words",
            Form::File,
            Absent::Means("English and French"),
            "a file with the page's words in a further language, as `words/de.toml`",
        )
        .example("\"words/de.toml\""),
    ],
};
