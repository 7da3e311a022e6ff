//! Messages from the broker, and which of them the event loop receives.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::sync::mpsc;

use super::{Client, Phase};
use crate::mqtt::inbound::{self, Inbound};
use crate::pipeline::event::PeerState;

/// Most gateways of one store. A new one takes the place of the one that has been silent for
/// longest, so that made-up names do not keep a real one out.
const MOST_OTHERS: usize = 64;

/// A message and what came with it.
#[derive(Debug)]
pub(super) struct Received {
    pub(super) topic: Vec<u8>,
    pub(super) payload: Vec<u8>,
    pub(super) retained: bool,
    pub(super) expiry: Option<Duration>,
    pub(super) response_topic: Option<String>,
}

impl Client {
    pub(super) fn on_received(&mut self, message: Received) {
        let Received { topic, payload, retained, expiry, response_topic } = message;
        match inbound::parse(&self.peer.here, &topic, &payload) {
            Ok(Inbound::Sync) => self.on_sync(response_topic),
            Ok(Inbound::SyncAnswer(answer)) => {
                let all = self.on_sync_answer(answer);
                self.pending.extend(all);
            }
            Ok(Inbound::Consent { gateway, consent }) if !retained => {
                self.on_consent(gateway, consent, expiry);
            }
            Ok(Inbound::Withdrawals(part)) if !retained => {
                let all = self.on_withdrawals(part);
                self.pending.extend(all);
            }
            Ok(inbound) => {
                let relevant = self.relevant(inbound, retained);
                self.pending.extend(relevant);
            }
            Err(refused) => {
                self.channels.counts.refused.one();
                tracing::warn!(%refused, "a message from the broker is refused");
            }
        }
    }

    /// Passes on what the event loop needs: no retained actions, and none of this gateway's own
    /// messages.
    pub(super) fn relevant(&mut self, inbound: Inbound, retained: bool) -> Option<Inbound> {
        match &inbound {
            Inbound::Staff { .. } | Inbound::Feedback { .. } | Inbound::CanaryReturned(_) => {
                (!retained).then_some(inbound)
            }
            Inbound::Contacts { gateway, .. } => {
                (!retained && *gateway != self.peer.here.gateway).then_some(inbound)
            }
            Inbound::Visit { visit, state } => match state {
                Some(state) if state.arrival.gateway == self.peer.here.gateway => {
                    let topic = self.peer.here.topics.visit(*visit);
                    if self.retained.get(&topic).is_none() {
                        // An unknown visit of this gateway: an earlier process left it behind.
                        self.republish(topic);
                        return None;
                    }
                    // Another gateway published it while this one was away.
                    Some(inbound)
                }
                Some(state) if self.others.contains(&state.arrival.gateway) => {
                    // Published for another gateway while it was away; that one publishes it again.
                    self.retained.forget(&self.peer.here.topics.visit(*visit));
                    Some(inbound)
                }
                _ => Some(inbound),
            },
            Inbound::Peer { gateway, state } => {
                if *gateway == self.peer.here.gateway {
                    self.on_own_status(*state, retained);
                    return None;
                }
                self.others.retain(|other| other != gateway);
                if self.others.len() >= MOST_OTHERS {
                    self.others.pop_front();
                }
                self.others.push_back(gateway.clone());
                Some(inbound)
            }
            Inbound::Withdrawn { .. } => {
                let Inbound::Withdrawn { client, number } = inbound else { return None };
                self.withdrawn(client, number)
            }
            Inbound::WithdrawalCleared { .. }
            | Inbound::Sync
            | Inbound::SyncAnswer(_)
            | Inbound::Consent { .. }
            | Inbound::Withdrawals(_)
            | Inbound::CanaryAcknowledged(_)
            | Inbound::Reported(_) => None,
            Inbound::Configuration { .. } | Inbound::RegistryAnnounced => Some(inbound),
        }
    }
}

impl Client {
    /// This gateway's own status comes back. If it is retained, retained messages arrive. If it
    /// says offline, it is a late last will or another client's error, and is published again.
    fn on_own_status(&mut self, state: PeerState, retained: bool) {
        if retained {
            self.probe_succeeded();
        } else if state == PeerState::Offline && self.phase == Phase::Working {
            self.republish(self.peer.here.status());
        }
    }
}

/// Waits for the event loop to accept what was received; dropped once the loop has ended.
pub(super) async fn hand_over(received: &mut VecDeque<Inbound>, to: &mpsc::Sender<Inbound>) {
    let place = to.reserve().await;
    if let (Some(inbound), Ok(place)) = (received.pop_front(), place) {
        place.send(inbound);
    }
}
