//! Asking phones who they are: an iPhone whose app is in the background shows one bit of a hint
//! and nothing else, and has to be connected to.
//!
//! What an answer is worth is decided in the pipeline; here it is only fetched.

mod gatt;
mod plan;

use std::time::Duration;

use tokio::sync::{mpsc, watch};

use super::ears::Ears;
use super::{RadioEvent, Status};
use crate::clock::Clocks;
use crate::pipeline::advert::{Said, said};
use crate::pipeline::event::{Address, Answer, GatewayIndex};
use crate::pipeline::units::Dbm;
use crate::sources::Heard;
use plan::Plan;

/// Hints that wait while a phone is being asked; more would be stale when their turn comes.
const WAITING: usize = 4;

/// A phone that may be a customer's.
#[derive(Debug, Clone, Copy)]
pub struct Hint {
    address: Address,
    rssi: Option<Dbm>,
}

/// Where hints are dropped.
pub type Hints = mpsc::Sender<Hint>;

/// A place to drop hints, and where they are taken up.
pub fn channel() -> (Hints, mpsc::Receiver<Hint>) {
    mpsc::channel(WAITING)
}

/// Picks the hints out of a batch. What finds no room is heard again in a second.
pub fn drop_hints(batch: &[Heard], hints: &Hints) {
    for heard in batch {
        if said(&heard.payload).any(|said| said == Said::OverflowHint) {
            let _ = hints.try_send(Hint { address: heard.address, rssi: heard.rssi });
        }
    }
}

/// Asks, one phone after the other, as long as hints come. An adapter that connects is deaf: where
/// no other listens meanwhile, for `deaf` at most.
pub async fn ask(
    mut hints: mpsc::Receiver<Hint>,
    clocks: &Clocks,
    ears: &Ears,
    status: watch::Receiver<Status>,
    deaf: Duration,
    events: &mpsc::Sender<RadioEvent>,
) {
    let mut plan = Plan::default();
    while let Some(Hint { address, rssi }) = hints.recv().await {
        if !plan.accepts(clocks.now().tick, address, rssi) {
            continue;
        }
        let mut nonce = [0; 16];
        if getrandom::fill(&mut nonce).is_err() {
            // Without chance a challenge proves nothing.
            continue;
        }
        tracing::debug!("a phone hints and is near");
        let alone = status.borrow().listening() < 2;
        match gatt::ask(address, &nonce, ears, alone.then_some(deaf)).await {
            Ok(octets) => {
                tracing::debug!("a phone was asked and answered");
                let gateway = GatewayIndex(0);
                let answer = Answer { gateway, address, rssi, nonce, octets };
                if events.send(RadioEvent::Answered(answer)).await.is_err() {
                    return;
                }
            }
            // Most hints are of other apps: that is no fault.
            Err(error) => tracing::debug!(%error, "a phone was asked and did not answer"),
        }
    }
    std::future::pending::<()>().await;
}
