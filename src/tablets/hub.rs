//! The board, shared between the feed that hears notices and the tablets that look on.

use std::sync::{Mutex, MutexGuard, PoisonError};

use axum::body::Bytes;
use tokio::sync::watch;

use super::StoreLabel;
use super::board::{Board, Notice};
use super::view;
use crate::pipeline::units::WallTime;

/// One board for all tablets. Each change wakes them; each then reads the whole board when it
/// can, so a slow tablet skips what is outdated and nobody queues anything for it.
#[derive(Debug)]
pub struct Hub {
    store: StoreLabel,
    board: Mutex<Board>,
    /// The board's JSON as of a version, written once for all tablets.
    written: Mutex<(u64, Bytes)>,
    version: watch::Sender<u64>,
}

impl Hub {
    /// Around an empty board.
    pub fn new(store: StoreLabel, board: Board) -> Self {
        Self {
            store,
            board: Mutex::new(board),
            written: Mutex::new((0, Bytes::new())),
            version: watch::Sender::new(1),
        }
    }

    /// Takes in what the store said.
    pub fn hear(&self, now: WallTime, notice: Notice) {
        lock(&self.board).hear(now, notice);
        self.version.send_modify(|version| *version += 1);
    }

    /// Forgets those who left a while ago.
    pub fn tidy(&self, now: WallTime) {
        if lock(&self.board).tidy(now) {
            self.version.send_modify(|version| *version += 1);
        }
    }

    /// Wakes whoever looks on at each change.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.version.subscribe()
    }

    /// The board as of now.
    pub fn json(&self) -> (u64, Bytes) {
        let mut written = lock(&self.written);
        let version = *self.version.borrow();
        if written.0 != version {
            *written = (version, Bytes::from(view::json(&self.store, &lock(&self.board))));
        }
        written.clone()
    }

    /// Looks at the board.
    pub fn board(&self) -> MutexGuard<'_, Board> {
        lock(&self.board)
    }
}

/// A panic elsewhere leaves the board as it was before the notice: still a board.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
