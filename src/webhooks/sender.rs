//! The task that sends to all webhooks. It owns their backlogs and waits only for the next event.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use tokio::sync::{mpsc, watch};
use tokio::time::{MissedTickBehavior, interval};

use super::backlog::Backlog;
use super::post::{Outcome, post};
use super::{Receivers, Report, Webhook, WebhookHealth};
use crate::clock::Clocks;
use crate::store::worker::Request;
use crate::store::{Change, DeadMessage, MOST_WAITING, WebhookMessage};

/// Interval of checks of the backlogs for messages that are due.
const TICK: Duration = Duration::from_millis(250);

/// Dead messages in a report.
const MOST_REPORTED: usize = 20;

/// The channels of the task.
pub struct Channels {
    /// What the store has made durable; closed when the daemon stops.
    pub committed: mpsc::Receiver<Vec<Change>>,
    pub store_requests: mpsc::Sender<Request>,
    /// The state of the receivers.
    pub report: watch::Sender<Report>,
}

pub struct Sender {
    hooks: BTreeMap<Arc<str>, Receiver>,
    channels: Channels,
    clocks: Clocks,
    tls: Option<Arc<rustls::ClientConfig>>,
    /// What the store does not know yet.
    unrecorded: Vec<Change>,
    /// The last messages that were given up, the latest first.
    dead: Vec<DeadMessage>,
}

struct Receiver {
    hook: Arc<Webhook>,
    backlog: Backlog,
    health: WebhookHealth,
}

/// An attempt on its way.
type Attempt = Pin<Box<dyn Future<Output = (WebhookMessage, Outcome)> + Send>>;

impl Sender {
    /// A sender to `receivers`, with the messages that have been `waiting` on the disk since an earlier
    /// start, and those that are `dead`. Messages for webhooks that are no longer configured are given
    /// up.
    pub fn new(
        receivers: Receivers,
        waiting: Vec<WebhookMessage>,
        dead: Vec<DeadMessage>,
        channels: Channels,
        clocks: Clocks,
    ) -> Self {
        let receiver = |hook: Webhook| {
            let health = WebhookHealth { place: hook.url.place(), ..WebhookHealth::default() };
            let name = Arc::clone(&hook.name);
            (name, Receiver { hook: Arc::new(hook), backlog: Backlog::default(), health })
        };
        let Receivers { webhooks, tls } = receivers;
        let hooks = webhooks.into_iter().map(receiver).collect();
        let mut sender = Self { hooks, channels, clocks, tls, unrecorded: Vec::new(), dead };
        for message in waiting {
            sender.add(message);
        }
        sender
    }

    /// Sends until the store is closed. Attempts that are on their way then are made again after the
    /// next start.
    pub async fn run(mut self) {
        let mut attempts: FuturesUnordered<Attempt> = FuturesUnordered::new();
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            self.expire();
            self.begin(&mut attempts);
            self.record();
            self.report();
            tokio::select! {
                committed = self.channels.committed.recv() => match committed {
                    Some(changes) => changes.into_iter().for_each(|change| self.follow(change)),
                    None => return self.record(),
                },
                Some((message, outcome)) = attempts.next() => self.ended(&message, outcome),
                _ = tick.tick(), if !self.is_idle() => {}
            }
        }
    }

    fn is_idle(&self) -> bool {
        self.unrecorded.is_empty() && self.hooks.values().all(|to| to.backlog.is_empty())
    }

    fn follow(&mut self, change: Change) {
        match change {
            Change::WebhookQueued(message) => self.add(message),
            gone => self.hooks.values_mut().for_each(|to| to.backlog.apply(&gone)),
        }
    }

    fn add(&mut self, message: WebhookMessage) {
        let now = self.clocks.now();
        let total: usize = self.hooks.values().map(|to| to.backlog.len()).sum();
        let Some(to) = self.hooks.get_mut(&message.hook) else {
            return self.bury(message, "the webhook is configured no longer");
        };
        to.backlog.add(message, now);
        if total < MOST_WAITING {
            return;
        }
        let longest = self.hooks.iter().max_by_key(|(_, to)| to.backlog.len());
        let oldest = longest.and_then(|(hook, to)| Some((Arc::clone(hook), to.backlog.oldest()?)));
        if let Some((hook, id)) = oldest {
            self.give_up(&hook, id, "too many messages wait");
        }
    }

    fn give_up(&mut self, hook: &str, id: u64, why: &str) {
        let Some(to) = self.hooks.get_mut(hook) else { return };
        let Some(message) = to.backlog.give_up(id) else { return };
        to.health.dead += 1;
        tracing::error!(webhook = to.health.place, why, "a message for a webhook is given up");
        self.bury(message, why);
    }

    /// Notes that a message was never taken.
    fn bury(&mut self, message: WebhookMessage, why: &str) {
        let (id, at, why) = (message.id, self.clocks.now().clock.reading(), why.to_owned());
        let WebhookMessage { hook, event, visit, .. } = message;
        let (hook, event, visit) = (hook.to_string(), event.to_owned(), visit.to_string());
        self.dead.insert(0, DeadMessage { hook, event, visit, at, why: why.clone() });
        self.dead.truncate(MOST_REPORTED);
        self.unrecorded.push(Change::WebhookDead { id, at, why });
    }

    fn expire(&mut self) {
        let now = self.clocks.now().tick;
        let mut over = Vec::new();
        for (hook, to) in &self.hooks {
            let why = to.health.trouble.as_deref().unwrap_or("it was never tried");
            let ids = to.backlog.expired(now).into_iter();
            over.extend(ids.map(|id| (Arc::clone(hook), id, why.to_owned())));
        }
        for (hook, id, why) in over {
            self.give_up(&hook, id, &why);
        }
    }

    fn begin(&mut self, attempts: &mut FuturesUnordered<Attempt>) {
        let now = self.clocks.now();
        for to in self.hooks.values_mut() {
            while let Some(message) = to.backlog.next(now.tick) {
                let (hook, tls, at) = (Arc::clone(&to.hook), self.tls.clone(), now.clock.reading());
                attempts.push(Box::pin(async move {
                    let outcome = post(&hook, &message, at, tls).await;
                    (message, outcome)
                }));
            }
        }
    }

    fn ended(&mut self, message: &WebhookMessage, outcome: Outcome) {
        let now = self.clocks.now().tick;
        let Some(to) = self.hooks.get_mut(&message.hook) else { return };
        match outcome {
            Outcome::Taken => {
                to.health.delivered += u64::from(to.backlog.succeeded(message.id));
                if to.health.trouble.take().is_some() {
                    tracing::info!(webhook = to.health.place, "the webhook takes messages again");
                }
                self.unrecorded.push(Change::WebhookDone(message.id));
            }
            Outcome::Failed(why, pause) => {
                to.health.failed += 1;
                to.backlog.failed(message.id, now, pause);
                if to.health.trouble.as_ref() != Some(&why) {
                    tracing::warn!(webhook = to.health.place, why, "a webhook takes no message");
                }
                to.health.trouble = Some(why);
            }
            Outcome::Gone => {
                self.give_up(&message.hook, message.id, "the receiver answers 410 Gone");
            }
        }
    }

    /// Never waits for the store, which may wait for this task.
    fn record(&mut self) {
        if self.unrecorded.is_empty() {
            return;
        }
        let changes = std::mem::take(&mut self.unrecorded);
        if let Err(error) = self.channels.store_requests.try_send(Request::Record(changes))
            && let Request::Record(changes) = error.into_inner()
        {
            self.unrecorded = changes;
        }
    }

    fn report(&mut self) {
        for to in self.hooks.values_mut() {
            to.health.waiting = u64::try_from(to.backlog.len()).unwrap_or(u64::MAX);
        }
        let webhooks = self.hooks.values().map(|to| to.health.clone()).collect();
        let report = Report { webhooks, dead: self.dead.clone() };
        self.channels.report.send_if_modified(|before| {
            let changed = *before != report;
            *before = report;
            changed
        });
    }
}
