//! `[[webhook]]`: the shop's other systems.

use std::io::Read as _;
use std::time::Duration;

use super::{Site, Value};
use crate::config::webhook::{WEBHOOK_EVENTS, Webhook, WebhookSecret};
use crate::config::{nearest, web_url};
use crate::files;

/// Octets of a secret's file that are read.
const LONGEST_SECRET: u64 = 256;

impl Site<'_> {
    /// The webhooks; without their secrets where `files` are on another machine.
    pub(in crate::config) fn webhooks(&mut self, files: bool) -> Vec<Webhook> {
        let mut webhooks: Vec<Webhook> = Vec::new();
        for index in 0.. {
            let table = format!("webhook[{index}]");
            if !self.document.sections.contains_key(&table) {
                break;
            }
            let Some(mut webhook) = self.webhook(&table) else { continue };
            if webhooks.iter().any(|other| other.url == webhook.url) {
                self.problem(&format!("{table}.url"), "is another [[webhook]]'s, too")
                    .suggest("one [[webhook]] with all its events");
            }
            if files {
                webhook.secret = self.webhook_secret(&table);
            }
            webhooks.push(webhook);
        }
        webhooks
    }

    fn webhook(&mut self, table: &str) -> Option<Webhook> {
        for key in ["url", "secret_file"] {
            let path = format!("{table}.{key}");
            if self.found(&path).is_none() && !self.document.torn {
                self.problem(&path, "is missing")
                    .suggest("a [[webhook]] has an address and a secret that signs its messages");
            }
        }
        let url = web_url::parse(&self.text(&format!("{table}.url"))?).ok()?;
        let hours = self.number(&format!("{table}.give_up_hours"))?;
        Some(Webhook {
            url,
            secret_file: self.file(&format!("{table}.secret_file"))?,
            secret: None,
            events: self.webhook_events(table),
            lifetime: Duration::try_from_secs_f64(hours * 3600.0).ok()?,
        })
    }

    fn webhook_events(&mut self, table: &str) -> Vec<&'static str> {
        let path = format!("{table}.events");
        let Some(Value::Texts(words)) = self.value(&path) else { return WEBHOOK_EVENTS.to_vec() };
        let known = |word: &str| WEBHOOK_EVENTS.into_iter().find(|event| *event == word);
        for word in words.iter().filter(|word| known(word).is_none()) {
            let near = nearest::of(word, WEBHOOK_EVENTS.into_iter());
            let hint = near.map(|near| format!("did you mean {near:?}?"));
            let all = format!("the events are {}", WEBHOOK_EVENTS.join(", "));
            self.problem(&path, format!("{word:?} is no event")).suggest(hint.unwrap_or(all));
        }
        words.iter().filter_map(|word| known(word)).collect()
    }

    fn webhook_secret(&mut self, table: &str) -> Option<WebhookSecret> {
        let path = format!("{table}.secret_file");
        if !self.readable(&path) {
            return None;
        }
        self.private_at(&path);
        let mut text = String::new();
        let read = files::open_regular(&self.file(&path)?)
            .and_then(|file| file.take(LONGEST_SECRET).read_to_string(&mut text));
        let secret = read.ok().and_then(|_| WebhookSecret::parse(text.lines().next()?));
        if secret.is_none() {
            self.problem(
                &path,
                "has no secret on its first line: `whsec_` and 24 to 64 octets in base64",
            )
            .suggest("such as the output of: echo whsec_$(openssl rand -base64 32)");
        }
        secret
    }
}
