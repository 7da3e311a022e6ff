//! The board, shared between the subscriber and the event streams.

use std::sync::{Mutex, MutexGuard, PoisonError};

use axum::body::Bytes;
use tokio::sync::watch;

use super::board::{Board, InboundMessage};
use super::page_settings::PageSettings;
use super::settings::StoreLabel;
use super::view;
use crate::config::CrmUrl;
use crate::pipeline::units::WallTime;

/// One board for all streams. Each change wakes them; each then reads the whole board, so a slow
/// tablet skips outdated boards and needs no queue.
#[derive(Debug)]
pub struct BoardState {
    store: StoreLabel,
    crm_url: Option<CrmUrl>,
    settings: PageSettings,
    board: Mutex<Board>,
    /// The board's JSON and its version, written once for all streams.
    written: Mutex<(u64, Bytes)>,
    version: watch::Sender<u64>,
}

impl BoardState {
    pub fn new(
        store: StoreLabel,
        settings: PageSettings,
        crm_url: Option<CrmUrl>,
        board: Board,
    ) -> Self {
        Self {
            store,
            crm_url,
            settings,
            board: Mutex::new(board),
            written: Mutex::new((0, Bytes::new())),
            version: watch::Sender::new(1),
        }
    }

    pub fn apply(&self, now: WallTime, message: InboundMessage) {
        lock(&self.board).apply(now, message);
        self.version.send_modify(|version| *version += 1);
    }

    /// Removes visits that ended a while ago.
    pub fn tidy(&self, now: WallTime) {
        if lock(&self.board).tidy(now) {
            self.version.send_modify(|version| *version += 1);
        }
    }

    /// The board's version, at each change.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.version.subscribe()
    }

    /// The board's JSON, and its version.
    pub fn json(&self, now: WallTime) -> (u64, Bytes) {
        let mut written = lock(&self.written);
        let version = *self.version.borrow();
        if written.0 != version {
            let (settings, crm) = (&self.settings, self.crm_url.as_ref());
            let json = view::json(&self.store, settings, crm, &lock(&self.board), now);
            *written = (version, Bytes::from(json));
        }
        written.clone()
    }

    /// What customers and staff call the store.
    pub fn store_name(&self) -> &str {
        &self.store.name
    }

    pub fn board(&self) -> MutexGuard<'_, Board> {
        lock(&self.board)
    }
}

/// A poisoned lock still holds a whole board: changes are made at the end of each method.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
