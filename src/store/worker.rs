//! The thread that owns the store, so that the disk does not block the event loop.
//!
//! Invariant: changes are on the disk before they are passed on. Only while the disk takes nothing
//! (full, read-only) are they passed on first, with an error in the log, and kept here until it
//! does: staff are alerted, and nothing is lost unless the power fails too.

use tokio::sync::{mpsc, oneshot, watch};

use super::{Change, Label, Store};

/// Batches that may wait for the disk; then their senders wait.
pub const QUEUE: usize = 256;

/// Batches written in one transaction, at most.
const TOGETHER: usize = 64;

/// Changes that are kept while the disk cannot be written: days of a busy store. Beyond that, the
/// oldest are dropped.
const BACKLOG: usize = 10_000;

/// Requests to the store worker.
#[derive(Debug)]
pub enum Request {
    /// Make changes durable, and pass them on: the changes of an input.
    Commit(Vec<Change>),
    /// Make changes durable: the progress of the outbox itself. An empty list only tries the
    /// backlog again.
    Record(Vec<Change>),
    Labels(oneshot::Sender<Vec<Label>>),
    /// No more commits follow: the outbox may finish.
    Close,
}

pub struct StoreWorker {
    store: Store,
    requests: mpsc::Receiver<Request>,
    /// To the outbox; `None` once closed.
    committed: Option<mpsc::Sender<Vec<Change>>>,
    /// To the webhooks, if there are any.
    webhooks: Option<mpsc::Sender<Vec<Change>>>,
    /// What is wrong with the disk, if anything.
    trouble: watch::Sender<Option<String>>,
    backlog: Vec<Change>,
    /// Callers that wait for the labels, until earlier changes are written.
    label_waiters: Vec<oneshot::Sender<Vec<Label>>>,
}

impl StoreWorker {
    /// A worker for `store` that passes durable changes to `committed`.
    pub const fn new(
        store: Store,
        requests: mpsc::Receiver<Request>,
        committed: mpsc::Sender<Vec<Change>>,
        trouble: watch::Sender<Option<String>>,
    ) -> Self {
        Self {
            store,
            requests,
            committed: Some(committed),
            webhooks: None,
            trouble,
            backlog: Vec::new(),
            label_waiters: Vec::new(),
        }
    }

    /// Also passes durable changes that concern webhooks to `webhooks`.
    #[must_use]
    pub fn beside(mut self, webhooks: Option<mpsc::Sender<Vec<Change>>>) -> Self {
        self.webhooks = webhooks;
        self
    }

    /// Runs until all senders are dropped. It blocks.
    pub fn run(mut self) {
        if let Some(trouble) = self.store.unwritable() {
            self.trouble.send_replace(Some(trouble.to_owned()));
        }
        while let Some(first) = self.requests.blocking_recv() {
            let mut pass_on = Vec::new();
            let mut close = self.take(first, &mut pass_on);
            for _ in 1..TOGETHER {
                let Ok(next) = self.requests.try_recv() else { break };
                close |= self.take(next, &mut pass_on);
            }
            self.write();
            self.pass_on(pass_on);
            self.answer_label_waiters();
            if close {
                (self.committed, self.webhooks) = (None, None);
            }
        }
    }

    fn take(&mut self, request: Request, pass_on: &mut Vec<Change>) -> bool {
        match request {
            Request::Commit(changes) => {
                self.backlog.extend_from_slice(&changes);
                pass_on.extend(changes);
                false
            }
            Request::Record(changes) => {
                self.backlog.extend(changes);
                false
            }
            Request::Labels(answer) => {
                self.label_waiters.push(answer);
                false
            }
            Request::Close => true,
        }
    }

    fn write(&mut self) {
        if self.backlog.is_empty() {
            return;
        }
        match self.store.commit(&self.backlog) {
            Ok(()) => {
                self.backlog.clear();
                let note = self.store.note();
                if self.trouble.send_replace(note.clone()).is_some() && note.is_none() {
                    tracing::info!("the store can be written again");
                }
            }
            Err(error) => {
                let trouble = Some(error.to_string());
                if self.trouble.send_replace(trouble.clone()) != trouble {
                    tracing::error!(
                        %error,
                        "the store takes no changes; alerts still go out, but would not survive a restart"
                    );
                }
                self.shorten_backlog();
            }
        }
    }

    fn answer_label_waiters(&mut self) {
        for answer in self.label_waiters.drain(..) {
            match self.store.labels() {
                // The requester may have disconnected.
                Ok(labels) => drop(answer.send(labels)),
                Err(error) => tracing::warn!(%error, "the labels cannot be read"),
            }
        }
    }

    /// Drops the oldest changes, except deletions.
    fn shorten_backlog(&mut self) {
        let mut excess = self.backlog.len().saturating_sub(BACKLOG);
        self.backlog.retain(|change| {
            let droppable = !matches!(
                change,
                Change::Erased(_)
                    | Change::Unlearned(_)
                    | Change::Forgotten(_)
                    | Change::Withdrawn { .. }
            );
            let drop = excess > 0 && droppable;
            excess -= usize::from(drop);
            !drop
        });
    }

    fn pass_on(&self, changes: Vec<Change>) {
        let concerns = |change: &&Change| {
            matches!(change, Change::WebhookQueued(_) | Change::Erased(_) | Change::Forgotten(_))
        };
        let of_webhooks: Vec<Change> = changes.iter().filter(concerns).cloned().collect();
        if let (Some(webhooks), false) = (&self.webhooks, of_webhooks.is_empty()) {
            // The webhooks' task never waits for the store, so this cannot deadlock.
            let _ = webhooks.blocking_send(of_webhooks);
        }
        if let (Some(committed), false) = (&self.committed, changes.is_empty()) {
            // The receiver is gone only when the outbox is: at the end.
            let _ = committed.blocking_send(changes);
        }
    }
}
