//! The live radio: hears through BlueZ, and never goes deaf for long.
//!
//! ```text
//! BlueZ ──signals──► air ──► ears ──► intake ──batches──► the daemon
//!   ▲                         │ pulse
//!   └──calls── scan ◄── ladder ◄── liveness
//! ```
//!
//! No call is made per advertisement: all that BlueZ has to say is in its signals. Whether an
//! adapter hears is decided by what it hears ([`liveness`]); what to do about one that does not
//! is decided by a ladder of ever dearer steps ([`ladder`]). Both are pure.

mod adapter;
mod air;
mod bus;
mod device;
mod ears;
mod ladder;
mod liveness;
mod scan;
mod session;
mod status;
mod values;

pub use adapter::Hci;
pub use ladder::Step;
pub use status::{AdapterStatus, Status};

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::Heard;
use crate::daemon::clock::Clocks;
use crate::pipeline::event::Hearing;
use ears::Ears;
use session::{Over, Session};

/// Between attempts to reach the bus.
const RECONNECT: Duration = Duration::from_secs(2);

/// What the radio tells the daemon.
#[derive(Debug)]
pub enum RadioEvent {
    /// Advertisements, in the order they were heard.
    Heard(Vec<Heard>),
    /// The gateway's hearing changed; the reason is for IT's eyes.
    Hearing(Hearing, Option<String>),
    /// Nothing the radio can do itself is left: a fresh process may help.
    GiveUp,
}

/// The live radio of this gateway.
#[derive(Debug)]
pub struct Radio {
    /// The only adapter to listen to; all where `None`.
    adapter: Option<Hci>,
    clocks: Clocks,
    status: watch::Sender<Status>,
}

impl Radio {
    /// A radio that listens through `adapter`, or through all there are and will be.
    pub fn new(adapter: Option<Hci>, clocks: Clocks) -> Self {
        Self { adapter, clocks, status: watch::Sender::new(Status::unheard()) }
    }

    /// What the radio says of itself; brought up to date each second.
    pub fn status(&self) -> watch::Receiver<Status> {
        self.status.subscribe()
    }

    /// Listens until `stop`. `events` may be slow: what it cannot take in time is shed, oldest
    /// first, and counted.
    pub async fn run(self, events: mpsc::Sender<RadioEvent>, stop: CancellationToken) {
        let ears = Arc::new(Ears::default());
        let hand_over = hand_over(&ears, self.status.subscribe(), &events);
        let listen = self.listen(&ears, &events);
        tokio::select! {
            () = stop.cancelled() => {}
            () = hand_over => {}
            () = listen => {}
        }
    }

    /// One session with BlueZ after the other: each ends with its connection to the bus.
    async fn listen(&self, ears: &Arc<Ears>, events: &mpsc::Sender<RadioEvent>) {
        loop {
            let session = Session::new(self.adapter, &self.clocks, ears, &self.status);
            match session.run().await {
                Over::Lost(reason) => {
                    tracing::warn!(reason, "not connected to the system bus");
                    session::tell_blind(&self.status, format!("D-Bus: {reason}"));
                }
                Over::GaveUp => {
                    if events.send(RadioEvent::GiveUp).await.is_err() {
                        return;
                    }
                }
            }
            tokio::time::sleep(RECONNECT).await;
        }
    }
}

/// Carries batches and changes of hearing to the daemon, until it wants no more.
async fn hand_over(
    ears: &Ears,
    mut status: watch::Receiver<Status>,
    events: &mpsc::Sender<RadioEvent>,
) {
    let mut told = None;
    loop {
        let event = tokio::select! {
            biased;
            Ok(()) = status.changed() => {
                let status = status.borrow_and_update();
                let now = (status.hearing, status.reason.clone());
                if told.as_ref() == Some(&now) {
                    continue;
                }
                told = Some(now.clone());
                RadioEvent::Hearing(now.0, now.1)
            }
            batch = ears.intake.batch() => RadioEvent::Heard(batch),
        };
        if events.send(event).await.is_err() {
            return;
        }
    }
}
