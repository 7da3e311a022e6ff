//! The keys of webhooks, which are IT's.

use super::super::form::Form;
use super::key::{Absent, Key, Section};

pub(super) const WEBHOOK: Section = Section {
    name: "webhook",
    repeats: true,
    says: "Other systems that receive events, signed as the Standard Webhooks specification defines: one section each.",
    keys: &[
        Key::new("url", Form::WebUrl, Absent::Required, "where messages are posted")
            .example("\"https://till.example/hooks\""),
        Key::new(
            "secret_file",
            Form::File,
            Absent::Required,
            "a file whose first line is the secret that signs the messages (`whsec_…`), readable by \
             the service alone",
        )
        .example("\"hook.secret\""),
        Key::new(
            "events",
            Form::Names,
            Absent::Means("all"),
            "which events: `arrival`, `claim`, `departure`, `escalation`",
        )
        .example("[\"arrival\", \"claim\", \"departure\", \"escalation\"]"),
        Key::new(
            "give_up_hours",
            Form::Number { least: 0.001, most: 168.0 },
            Absent::Is("24.0"),
            "how long a message is tried, less and less often, until the receiver answers with 2xx",
        )
        .unit("h")
        .example("24.0"),
    ],
};
