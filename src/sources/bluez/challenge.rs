//! GATT challenges: an iPhone whose app is in the background advertises one bit of the overflow
//! area and nothing else, so it has to be connected to.
//!
//! The pipeline decides whether an answer is valid; here it is only fetched.

mod candidates;
mod gatt;

use std::collections::BTreeMap;
use std::time::Duration;

use btleplug::platform::Manager;
use futures::StreamExt as _;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use tokio::sync::{Mutex, mpsc, watch};

use super::super::live::SourceEvent;
use super::adapter::{Hci, Selection};
use super::mux::AdvertisementMux;
use crate::clock::Clocks;
use crate::pipeline::advert::{Identifier, identifiers};
use crate::pipeline::event::{Address, Answer, GatewayIndex};
use crate::pipeline::units::Dbm;
use crate::sources::Advertisement;
use crate::sources::status::Status;
use candidates::{BUDGET, BUDGET_ALONE, Candidates, Outcome};
use gatt::{Found, NoAnswer};

/// Observations that may wait. One that finds no room is dropped: the phone is received again
/// within a second.
const WAITING: usize = 64;
/// Challenges at a time through one adapter while another one scans. The kernel waits for all of
/// these phones at once and connects to them one by one, each at its next advertisement.
const MAX_PARALLEL: usize = 3;
/// Interval at which phones whose pause has ended are looked for.
const LOOK: Duration = Duration::from_millis(250);
/// Pause between attempts to reach the bus.
const RECONNECT: Duration = Duration::from_secs(2);

/// A phone that advertises the app's bit.
#[derive(Debug, Clone, Copy)]
pub struct Observation {
    address: Address,
    rssi: Option<Dbm>,
}

/// Picks the phones to challenge from received advertisements.
#[derive(Debug, Clone)]
pub struct Observer(mpsc::Sender<Observation>);

impl Observer {
    /// Passes on the advertisements in `batch` that may be the app in the background.
    pub fn observe(&self, batch: &[Advertisement]) {
        for Advertisement { address, rssi, payload, .. } in batch {
            if identifiers(payload).any(|said| said == Identifier::OverflowHint) {
                let _ = self.0.try_send(Observation { address: *address, rssi: *rssi });
            }
        }
    }
}

/// The sender and the receiver of observations.
pub fn channel() -> (Observer, mpsc::Receiver<Observation>) {
    let (sender, receiver) = mpsc::channel(WAITING);
    (Observer(sender), receiver)
}

/// Challenges phones as long as they are observed.
pub struct Challenger<'r> {
    /// Adapters to connect through.
    pub selection: &'r Selection,
    /// Longest attempt to connect where no other adapter scans meanwhile.
    pub pause: Duration,
    /// Reports the next advertisement of a phone.
    pub mux: &'r AdvertisementMux,
    /// Tells how many adapters scan.
    pub status: watch::Receiver<Status>,
    /// Times attempts and pauses.
    pub clocks: &'r Clocks,
}

/// A challenge that has ended.
struct Ended {
    address: Address,
    rssi: Option<Dbm>,
    nonce: [u8; 16],
    /// A connection that must still be closed.
    found: Option<Found>,
    answer: Result<[u8; 21], NoAnswer>,
}

/// One connection to the bus.
struct Session {
    manager: Manager,
    /// Challenges under way by adapter; a lookup holds it until it has chosen one.
    busy: Mutex<BTreeMap<Hci, usize>>,
}

impl Session {
    /// A challenge through `hci` has ended.
    async fn release(&self, hci: Hci) {
        let mut busy = self.busy.lock().await;
        if let Some(count) = busy.get_mut(&hci) {
            *count -= 1;
        }
        busy.retain(|_, count| *count > 0);
    }
}

impl Challenger<'_> {
    /// Runs until the daemon takes no more `events`; for ever where nothing is observed.
    pub async fn run(
        self,
        mut observed: mpsc::Receiver<Observation>,
        events: &mpsc::Sender<SourceEvent>,
    ) {
        let mut candidates = Candidates::default();
        while !events.is_closed() {
            // The connection to the bus is made at the first observation: until then it is not
            // needed.
            let Some(Observation { address, rssi }) = observed.recv().await else {
                return std::future::pending().await;
            };
            candidates.observe(self.clocks.now().tick, address, rssi);
            match Manager::new().await {
                Ok(manager) => self.session(manager, &mut candidates, &mut observed, events).await,
                Err(error) => tracing::debug!(%error, "no connection for GATT challenges"),
            }
            tokio::time::sleep(RECONNECT).await;
        }
    }

    /// Challenges over one connection to the bus, until that fails.
    async fn session(
        &self,
        manager: Manager,
        candidates: &mut Candidates,
        observed: &mut mpsc::Receiver<Observation>,
        events: &mpsc::Sender<SourceEvent>,
    ) {
        let session = &Session { manager, busy: Mutex::default() };
        candidates.reset(self.clocks.now().tick);
        let mut look = tokio::time::interval(LOOK);
        let mut running: FuturesUnordered<BoxFuture<'_, Ended>> = FuturesUnordered::new();
        let mut disconnecting: FuturesUnordered<BoxFuture<'_, (Address, Outcome)>> =
            FuturesUnordered::new();
        loop {
            let mut lost = false;
            tokio::select! {
                Some(Observation { address, rssi }) = observed.recv() => {
                    candidates.observe(self.clocks.now().tick, address, rssi);
                }
                Some(ended) = running.next() => {
                    let Ended { address, rssi, nonce, found, answer } = ended;
                    let outcome = outcome(&answer);
                    // The phone is left alone until it is disconnected: BlueZ would disconnect the
                    // next attempt as well. So is the adapter, which may still be trying to
                    // connect. An answer counts now.
                    disconnecting.push(Box::pin(async move {
                        if let Some(found) = found {
                            found.hang_up().await;
                            if outcome != Outcome::Answered {
                                session.release(found.hci).await;
                            }
                        }
                        (address, outcome)
                    }));
                    match answer {
                        Ok(octets) => {
                            let gateway = GatewayIndex(0);
                            let answer = Answer { gateway, address, rssi, nonce, octets };
                            lost = events.send(SourceEvent::Answered(answer)).await.is_err();
                        }
                        Err(error) => lost = matches!(error, NoAnswer::NoReply),
                    }
                }
                Some((address, outcome)) = disconnecting.next() => {
                    candidates.settle(self.clocks.now().tick, address, outcome);
                }
                _ = look.tick() => {}
            }
            if lost {
                return;
            }
            let (parallel, budget) = match self.scanning() {
                0 | 1 => (1, BUDGET_ALONE),
                adapters => (MAX_PARALLEL * (adapters - 1), BUDGET),
            };
            while running.len() < parallel
                && let Some((address, rssi)) = candidates.next(self.clocks.now().tick, budget)
            {
                running.push(Box::pin(self.challenge(session, address, rssi)));
            }
        }
    }

    async fn challenge(&self, session: &Session, address: Address, rssi: Option<Dbm>) -> Ended {
        tracing::debug!("a near phone may have the app in the background");
        let mut nonce = [0; 16];
        let (found, answer) = match self.find(session, address).await {
            Ok(found) if getrandom::fill(&mut nonce).is_ok() => {
                let pause = (self.scanning() < 2).then_some(self.pause);
                let answer = found.challenge(&nonce, address, self.mux, pause).await;
                if answer.is_ok() {
                    session.release(found.hci).await;
                }
                (Some(found), answer)
            }
            // Without randomness a challenge proves nothing.
            Ok(found) => {
                session.release(found.hci).await;
                (None, Err(NoAnswer::NotConnected))
            }
            Err(error) => (None, Err(error)),
        };
        match &answer {
            Ok(_) => tracing::debug!("a phone answered its challenge"),
            // Most hints come from other apps: that is no fault.
            Err(error) => tracing::debug!(%error, "a phone did not answer its challenge"),
        }
        Ended { address, rssi, nonce, found, answer }
    }

    /// The phone through an adapter that has room for a challenge; one adapter always scans, if
    /// there are two.
    async fn find(&self, session: &Session, address: Address) -> Result<Found, NoAnswer> {
        let mut busy = session.busy.lock().await;
        let all_but_one = self.scanning().saturating_sub(1).max(1);
        let has_room = |hci: Hci| match busy.get(&hci) {
            Some(count) => *count < MAX_PARALLEL,
            None => busy.len() < all_but_one,
        };
        let usable = |hci: Hci| self.selection.includes(hci) && has_room(hci);
        let found = gatt::find(&session.manager, address, usable).await?;
        *busy.entry(found.hci).or_default() += 1;
        Ok(found)
    }

    /// How many adapters scan.
    fn scanning(&self) -> usize {
        self.status.borrow().listening()
    }
}

fn outcome(answer: &Result<[u8; 21], NoAnswer>) -> Outcome {
    match answer {
        Ok(_) => Outcome::Answered,
        Err(NoAnswer::NoApp) => Outcome::NoApp,
        Err(_) => Outcome::Failed,
    }
}
