//! The `bluez` source: receives through BlueZ and the HCI monitor, and recovers by itself.
//!
//! ```text
//! BlueZ ──signals──► device cache ──► mux ──► drop-oldest queue ──batches──► the daemon
//!   ▲                                  │ activity samples
//!   └──calls── scan ◄── supervisor ◄── scan health
//! ```
//!
//! No call is made per advertisement: BlueZ's signals carry everything. Whether an adapter
//! receives is decided by its advertisements ([`scan_health`](super::scan_health)). A supervisor for each adapter
//! (`supervisor`) decides what to do about one that does not (`recovery`), and one for
//! bluetoothd (`service`) starts it. They are pure, as is what detects a controller that reports
//! each device only once in a scan (`duplicate_filter`).

mod adapter;
mod bus;
mod challenge;
mod device;
mod device_cache;
mod duplicate_filter;
mod exported;
mod mux;
mod objects;
mod recovery;
pub(crate) mod rfkill;
mod scan;
mod service;
mod session;
mod supervisor;
mod values;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::capture_path::CapturePath;
use super::live::{self, Kind, Receive, SourceEvent};
use super::monitor::Monitor;
use super::report::Report;
use super::status::Status;
use crate::clock::Clocks;
use crate::pipeline::event::Hearing;
use adapter::{Choice, Hci, Selection};
use challenge::{Challenger, Observer};
use mux::AdvertisementMux;
use session::{Session, SessionEnd};

/// Pause between the first attempts to open the monitor, doubled up to [`LONGEST_REOPEN`]: the
/// kernel's Bluetooth module may be loaded at any time.
const REOPEN: Duration = Duration::from_secs(30);
const LONGEST_REOPEN: Duration = Duration::from_hours(1);
/// Pause between a fault and the monitor's next opening: faults seldom come alone.
const SETTLE: Duration = Duration::from_secs(1);
/// Pause between attempts to reach the bus.
const RECONNECT: Duration = Duration::from_secs(2);

/// The radio through BlueZ.
pub const KIND: Kind = Kind {
    word: "bluez",
    keys: &["adapter", "ask", "ask_deaf_ms"],
    limits: None,
    names_adapter: |name| name.parse::<Choice>().is_ok(),
    open: |settings, clocks| Box::new(Radio::new(settings.clone(), clocks.clone())),
};

/// The live radio of this gateway.
#[derive(Debug)]
pub struct Radio {
    settings: live::Settings,
    selection: Arc<Selection>,
    clocks: Clocks,
    status: watch::Sender<Status>,
}

impl Radio {
    /// A radio that does not receive yet.
    pub fn new(settings: live::Settings, clocks: Clocks) -> Self {
        let selection = Arc::new(Selection::new(
            settings.adapter.as_deref().and_then(|name| name.parse().ok()),
        ));
        Self { settings, selection, clocks, status: watch::Sender::new(Status::starting()) }
    }

    /// Runs the HCI monitor where this process may open it.
    async fn monitor(&self, mux: &AdvertisementMux) {
        if self.settings.capture_path == Some(CapturePath::Dbus) {
            return std::future::pending().await;
        }
        let mut status = self.status.subscribe();
        let mut pause = REOPEN;
        loop {
            match Monitor::open(self.clocks.clone()).await {
                Ok(monitor) => {
                    pause = REOPEN;
                    let error = self.listen(monitor, mux, &mut status).await;
                    tracing::warn!(%error, "the HCI monitor failed");
                    tokio::time::sleep(SETTLE).await;
                }
                Err(error) => {
                    if pause == REOPEN {
                        tracing::info!(%error, "no HCI monitor: receiving through BlueZ alone");
                    }
                    tokio::select! {
                        () = tokio::time::sleep(pause) => {}
                        () = changed(&mut status, is_new_adapter) => {}
                    }
                    pause = (pause * 2).min(LONGEST_REOPEN);
                }
            }
        }
    }

    /// Receives through the monitor until it fails. It is opened again after each fault, and read
    /// until then: it may still work.
    async fn listen(
        &self,
        mut monitor: Monitor,
        mux: &AdvertisementMux,
        status: &mut watch::Receiver<Status>,
    ) -> io::Error {
        let receive = |index, report: Report<'_>| {
            let hci = Hci(index);
            if self.selection.includes(hci) {
                mux.receive(hci, CapturePath::Monitor, report.into());
            }
        };
        let lose = |lost| mux.queue.count_lost(lost);
        loop {
            tracing::info!("receiving through the HCI monitor");
            let opened = tokio::select! {
                error = monitor.listen(receive, lose) => return error,
                opened = self.open_after_fault(status) => opened,
            };
            match opened {
                Ok(mut another) => {
                    monitor.drain(receive);
                    // Since it was opened it has the same.
                    another.drain(|_, _| {});
                    monitor = another;
                }
                Err(error) => tracing::warn!(%error, "the HCI monitor was not opened again"),
            }
        }
    }

    async fn open_after_fault(&self, status: &mut watch::Receiver<Status>) -> io::Result<Monitor> {
        changed(status, is_fault).await;
        tokio::time::sleep(SETTLE).await;
        tracing::debug!("a fault: opening the HCI monitor again");
        Monitor::open(self.clocks.clone()).await
    }

    /// Runs one session with BlueZ after the other; each ends with its connection to the bus.
    async fn sessions(&self, mux: &Arc<AdvertisementMux>, events: &mpsc::Sender<SourceEvent>) {
        let mut session =
            Session::new(&self.settings, &self.clocks, mux, &self.selection, &self.status);
        let mut pause = Duration::ZERO;
        loop {
            pause = match session.run(pause).await {
                SessionEnd::Lost(reason) => {
                    tracing::warn!(reason, "not connected to the system bus");
                    RECONNECT
                }
                SessionEnd::Reconnect => Duration::ZERO,
                SessionEnd::GaveUp => {
                    if events.send(SourceEvent::GiveUp).await.is_err() {
                        return;
                    }
                    RECONNECT
                }
            };
        }
    }
}

impl Receive for Radio {
    /// Receives until `stop`. `events` may be slow: what it cannot take in time is dropped, oldest
    /// first, and counted.
    async fn receive(self, events: mpsc::Sender<SourceEvent>, stop: CancellationToken) {
        let mux = Arc::new(AdvertisementMux::new(self.settings.capture_path));
        let (observer, candidates) = challenge::channel();
        let observer = self.settings.challenge_pause.map(|_| observer);
        let hand_over = hand_over(&mux, self.status.subscribe(), observer, &events);
        let challenger = Challenger {
            selection: &self.selection,
            pause: self.settings.challenge_pause.unwrap_or_default(),
            mux: &mux,
            status: self.status.subscribe(),
            clocks: &self.clocks,
        };
        let challenge = challenger.run(candidates, &events);
        let sessions = self.sessions(&mux, &events);
        let monitor = self.monitor(&mux);
        tokio::select! {
            () = stop.cancelled() => {}
            () = hand_over => {}
            () = sessions => {}
            () = monitor => {}
            () = challenge => {}
        }
    }
}

/// Waits until `concerns` holds for a status and the one after it.
async fn changed(status: &mut watch::Receiver<Status>, concerns: fn(&Status, &Status) -> bool) {
    let mut before = status.borrow_and_update().clone();
    while status.changed().await.is_ok() {
        let now = status.borrow_and_update().clone();
        if concerns(&before, &now) {
            return;
        }
        before = now;
    }
    std::future::pending::<()>().await;
}

/// An adapter is gone, or nothing is received any more.
fn is_fault(before: &Status, now: &Status) -> bool {
    before.adapters.keys().any(|hci| !now.adapters.contains_key(hci))
        || (before.hearing, now.hearing) == (Hearing::Listening, Hearing::Blind)
}

fn is_new_adapter(before: &Status, now: &Status) -> bool {
    now.adapters.keys().any(|hci| !before.adapters.contains_key(hci))
}

/// Sends batches and changes of the status to the daemon, until it takes no more.
async fn hand_over(
    mux: &AdvertisementMux,
    mut status: watch::Receiver<Status>,
    observer: Option<Observer>,
    events: &mpsc::Sender<SourceEvent>,
) {
    let mut reported = Status::starting();
    loop {
        let event = tokio::select! {
            biased;
            Ok(()) = status.changed() => {
                let now = status.borrow_and_update().clone();
                match change(&reported, &now) {
                    Some(event) => {
                        reported = now;
                        event
                    }
                    None => continue,
                }
            }
            batch = mux.queue.batch() => {
                if let Some(observer) = &observer {
                    observer.observe(&batch);
                }
                SourceEvent::Received(batch)
            }
        };
        if events.send(event).await.is_err() {
            return;
        }
    }
}

/// The event of a changed status; `None` where only a count of advertisements changed.
fn change(reported: &Status, now: &Status) -> Option<SourceEvent> {
    let unchanged = Status { heard: reported.heard, ..now.clone() } == *reported;
    (!unchanged).then(|| SourceEvent::Radio(Box::new(now.clone())))
}
