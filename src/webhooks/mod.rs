//! Webhooks: arrivals, claims, departures and escalations for the shop's other systems, signed after
//! the Standard Webhooks specification.
//!
//! ```text
//! effects ──► events ──► store (disk) ──► backlog ──► sender ──► the receivers
//! ```
//!
//! Invariant: a message is on the disk before it is sent, and stays there until its receiver has
//! answered with 2xx, its life is over or its customer withdrew. It may be sent twice, always under
//! the same `webhook-id`, never without a signature.

mod backlog;
mod events;
mod post;
mod sender;
mod signature;

pub use events::messages;
pub use sender::{Channels, Sender};

use std::sync::Arc;
use std::time::Duration;

use crate::config::{self, WebUrl, WebhookSecret};
use crate::store::DeadMessage;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Webhook {
    pub url: WebUrl,
    /// The same, as text: what messages are kept under.
    pub name: Arc<str>,
    /// The secret that signs its messages.
    pub secret: WebhookSecret,
    /// Which events it gets.
    pub events: Vec<&'static str>,
    /// How long a message is tried.
    pub lifetime: Duration,
}

impl Webhook {
    /// The webhooks of a configuration whose files were read.
    pub fn configured(webhooks: &[config::Webhook]) -> Vec<Self> {
        let webhook = |webhook: &config::Webhook| {
            Some(Self {
                url: webhook.url.clone(),
                name: webhook.url.to_string().into(),
                secret: webhook.secret.clone()?,
                events: webhook.events.clone(),
                lifetime: webhook.lifetime,
            })
        };
        webhooks.iter().filter_map(webhook).collect()
    }
}

#[derive(Debug, Clone, Default)]
pub struct Receivers {
    pub webhooks: Vec<Webhook>,
    /// TLS settings; `None` where none of them needs any.
    pub tls: Option<Arc<rustls::ClientConfig>>,
}

/// The state of all receivers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    pub webhooks: Vec<WebhookHealth>,
    /// The last messages that were given up, the latest first.
    pub dead: Vec<DeadMessage>,
}

/// The state of a receiver.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WebhookHealth {
    /// Where it is, without path and query, which may be a password.
    pub place: String,
    pub waiting: u64,
    /// Messages that it took since the start.
    pub delivered: u64,
    /// Attempts that failed since the start.
    pub failed: u64,
    /// Messages that were given up since the start.
    pub dead: u64,
    /// Why the last attempt failed; `None` once one has succeeded.
    pub trouble: Option<String>,
}
