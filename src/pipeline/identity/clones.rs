//! Loyalty cards with a fixed identity can be copied: this module decides which of two senders
//! counts.
//!
//! A card that changes its address does not go back to the old one. Two senders of one identity
//! take turns: then the fainter one is ignored, so that a copy somewhere else neither keeps the
//! original's alert away nor ends its visit.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::pipeline::address::Address;
use crate::pipeline::gateway::GatewayIndex;
use crate::pipeline::identity::customer::CustomerIndex;
use crate::pipeline::units::{Dbm, Tick};

/// Two addresses received in turns within this are two senders: a card that changes its address
/// does not use the old one again.
const TURNS_WITHIN: Duration = Duration::from_secs(30);
/// A card counts as copied for this long after the last turn.
const COPIED_FOR: Duration = Duration::from_mins(10);
/// A sender that is silent for this long gives way to a fainter one.
const GIVES_WAY_AFTER: Duration = Duration::from_secs(10);
/// The level of a sender is the mean RSSI of about this many advertisements.
const MEAN_OVER: f32 = 8.0;
/// How much louder another sender must be to be followed instead, in dB.
const LOUDER_BY_DB: f32 = 3.0;
/// Senders of one card remembered; the one silent for longest makes room.
const MOST_SENDERS: usize = 4;
/// Cards remembered: more than one gateway receives within [`COPIED_FOR`].
const MOST_CARDS: usize = 1_024;

/// What to do with an advertisement of a card.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Counts {
    Yes,
    /// It does not count: a louder sender of the same identity is here.
    No,
}

/// The senders of each card, by the gateway that receives them.
#[derive(Debug, Default)]
pub struct Cards(BTreeMap<(CustomerIndex, GatewayIndex), Card>);

#[derive(Debug, Default)]
struct Card {
    senders: Vec<Sender>,
    /// Address of the last sender.
    last: Option<Address>,
    copied_at: Option<Tick>,
}

#[derive(Debug, Clone, Copy)]
struct Sender {
    address: Address,
    mean_dbm: Option<f32>,
    received: Tick,
}

impl Cards {
    /// Takes an advertisement of `who`'s card. The flag says whether this one showed that the card
    /// was copied.
    pub fn receive(
        &mut self,
        who: CustomerIndex,
        gateway: GatewayIndex,
        address: Address,
        rssi: Option<Dbm>,
        now: Tick,
    ) -> (Counts, bool) {
        if self.0.len() >= MOST_CARDS && !self.0.contains_key(&(who, gateway)) {
            self.0.retain(|_, card| card.is_recent(now));
            if self.0.len() >= MOST_CARDS {
                return (Counts::Yes, false);
            }
        }
        self.0.entry((who, gateway)).or_default().receive(address, rssi, now)
    }

    /// The registry has changed, so customers have other indices: each card is learned again.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    pub fn forget(&mut self, who: CustomerIndex) {
        self.0.retain(|(of, _), _| *of != who);
    }
}

impl Card {
    fn receive(&mut self, address: Address, rssi: Option<Dbm>, now: Tick) -> (Counts, bool) {
        let turn = self.last != Some(address)
            && self.sender(address).is_some_and(|s| now.since(s.received) < TURNS_WITHIN);
        let was_copied = self.is_copied(now);
        if turn {
            self.copied_at = Some(now);
        }
        self.last = Some(address);
        let own = self.update(address, rssi, now);
        let counts =
            if self.is_copied(now) && self.is_outdone(own, now) { Counts::No } else { Counts::Yes };
        (counts, turn && !was_copied)
    }

    fn sender(&self, address: Address) -> Option<&Sender> {
        self.senders.iter().find(|sender| sender.address == address)
    }

    fn update(&mut self, address: Address, rssi: Option<Dbm>, now: Tick) -> Sender {
        let rssi = rssi.map(f32::from);
        if let Some(sender) = self.senders.iter_mut().find(|sender| sender.address == address) {
            sender.received = now;
            sender.mean_dbm = match (sender.mean_dbm, rssi) {
                (Some(mean), Some(rssi)) => Some(mean + (rssi - mean) / MEAN_OVER),
                (mean, rssi) => rssi.or(mean),
            };
            return *sender;
        }
        if self.senders.len() >= MOST_SENDERS
            && let Some(oldest) =
                (0..).zip(&self.senders).min_by_key(|(_, s)| s.received).map(|(at, _)| at)
        {
            self.senders.swap_remove(oldest);
        }
        let sender = Sender { address, mean_dbm: rssi, received: now };
        self.senders.push(sender);
        sender
    }

    fn is_outdone(&self, own: Sender, now: Tick) -> bool {
        let loudness = |sender: &Sender| sender.mean_dbm.unwrap_or(f32::MIN);
        self.senders.iter().any(|other| {
            other.address != own.address
                && now.since(other.received) < GIVES_WAY_AFTER
                && loudness(other) > loudness(&own) + LOUDER_BY_DB
        })
    }

    fn is_copied(&self, now: Tick) -> bool {
        self.copied_at.is_some_and(|at| now.since(at) < COPIED_FOR)
    }

    fn is_recent(&self, now: Tick) -> bool {
        self.senders.iter().any(|sender| now.since(sender.received) < COPIED_FOR)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::address::AddressKind;

    fn receive(cards: &mut Cards, secs: u64, sender: u8, dbm: i16) -> (Counts, bool) {
        let address = Address { kind: AddressKind::Random, octets: [0xc0, 0, 0, 0, 0, sender] };
        let now = Tick::ZERO.plus(Duration::from_secs(secs));
        cards.receive(CustomerIndex(1), GatewayIndex(0), address, Dbm::measured(dbm), now)
    }

    #[test]
    fn a_card_that_changes_its_address_is_not_copied() {
        let mut cards = Cards::default();
        for secs in 0..60 {
            let sender = if secs < 30 { 1 } else { 2 };
            assert_eq!(receive(&mut cards, secs, sender, -70), (Counts::Yes, false), "{secs}");
        }
    }

    #[test]
    fn two_senders_in_turns_are_noticed_once_and_the_louder_one_counts() {
        let mut cards = Cards::default();
        assert_eq!(receive(&mut cards, 0, 1, -60), (Counts::Yes, false));
        assert_eq!(receive(&mut cards, 1, 2, -90), (Counts::Yes, false));
        assert_eq!(receive(&mut cards, 2, 1, -60), (Counts::Yes, true));
        for secs in 3..60 {
            assert_eq!(receive(&mut cards, secs, 2, -90), (Counts::No, false), "{secs}");
            assert_eq!(receive(&mut cards, secs, 1, -60), (Counts::Yes, false), "{secs}");
        }
        assert_eq!(receive(&mut cards, 75, 2, -90), (Counts::Yes, false), "the other one is gone");
    }
}
