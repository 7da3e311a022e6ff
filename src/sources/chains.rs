//! Joins what extended advertising reports in fragments.
//!
//! Invariant: fragments of two advertisers, two advertising sets, two adapters or two advertising
//! events are never joined. Fragments do not end where AD structures end, so a wrong join, or a
//! fragment alone, could be read as something that no device has sent.

use std::time::Duration;

use super::report::{Pdu, Report, Status};
use crate::pipeline::advert::structure::Structures;
use crate::pipeline::event::Address;
use crate::pipeline::units::Dbm;

/// The longest time between two fragments of one advertising event: the largest `AuxPtr` offset,
/// 8,191 units of 300 µs, and the longest PDU, 17 ms on LE Coded S=8 (Core, Vol 6 Part B 2.3.4.5
/// and 2.1).
pub(super) const FRAGMENT_TIMEOUT: Duration = Duration::from_millis(2475);

/// The most advertising data of one set (Core, Vol 6 Part B 4.4.2.10).
const LONGEST_PAYLOAD: usize = 1650;

/// Chains that are followed at a time: one for each set in range that is sent in fragments.
const MAX_CHAINS: usize = 16;

/// The chains that have begun and not ended.
///
/// Memory is bounded: beyond sixteen chains the one that was silent for longest is dropped.
#[derive(Debug, Default)]
pub struct Chains {
    unfinished: Vec<Chain>,
    joined: Vec<u8>,
    dropped: u64,
}

/// The fragments of one advertising event that were received.
#[derive(Debug)]
struct Chain {
    adapter: u32,
    address: Address,
    set: Option<u16>,
    /// When the latest fragment came.
    latest: Duration,
    /// Where each fragment begins in `payload`, and its RSSI.
    fragments: Vec<(usize, Option<Dbm>)>,
    payload: Vec<u8>,
}

impl Chains {
    /// The advertisement that `report` completes; a complete report is returned as it is.
    ///
    /// `adapter` tells receivers apart, `at` is a time that does not go back. The RSSI of a joined
    /// report is that of its first fragment.
    pub fn join<'s>(
        &'s mut self,
        adapter: u32,
        at: Duration,
        report: Report<'s>,
    ) -> Option<Report<'s>> {
        let is_alone = self.unfinished.is_empty() && report.status != Status::MoreToCome;
        if is_alone || report.pdu != Pdu::Extended {
            return Some(report);
        }
        self.drop_expired(at);
        let is_own = |chain: &Chain| {
            (chain.adapter, chain.address, chain.set) == (adapter, report.address, report.set)
        };
        let begun = self.unfinished.iter().position(is_own);
        let chain = begun.map(|place| self.unfinished.remove(place));
        let chain = chain.filter(|chain| {
            let is_new = report.is_first || chain.begins_like(&report);
            self.dropped += u64::from(is_new);
            !is_new
        });
        if report.status == Status::MoreToCome {
            self.follow(chain.unwrap_or_else(|| Chain::new(adapter, &report)), at, &report);
            return None;
        }
        let Some(mut chain) = chain else { return Some(report) };
        chain.append(&report);
        let Some((start, rssi)) = chain.whole_from(report.status) else {
            self.dropped += 1;
            return None;
        };
        self.joined = chain.payload.split_off(start);
        Some(Report { rssi, payload: &self.joined, ..report })
    }

    /// Number of chains that had no end, or did not fit together.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Number of chains that wait for their end.
    pub fn unfinished(&self) -> usize {
        self.unfinished.len()
    }

    fn drop_expired(&mut self, at: Duration) {
        let before = self.unfinished.len();
        self.unfinished.retain(|chain| at.saturating_sub(chain.latest) <= FRAGMENT_TIMEOUT);
        self.dropped += (before - self.unfinished.len()) as u64;
    }

    /// Keeps `chain` as the latest, so that `unfinished` stays ordered by time.
    fn follow(&mut self, mut chain: Chain, at: Duration, report: &Report<'_>) {
        chain.append(report);
        chain.latest = at;
        if self.unfinished.len() == MAX_CHAINS {
            self.unfinished.remove(0);
            self.dropped += 1;
        }
        self.unfinished.push(chain);
    }
}

impl Chain {
    fn new(adapter: u32, report: &Report<'_>) -> Self {
        Self {
            adapter,
            address: report.address,
            set: report.set,
            latest: Duration::ZERO,
            fragments: Vec::new(),
            payload: Vec::new(),
        }
    }

    /// Whether `report` repeats the first fragment: an advertiser sends the same event again and
    /// again, and controllers do not number fragments.
    fn begins_like(&self, report: &Report<'_>) -> bool {
        let first = self.fragments.get(1).map_or(self.payload.len(), |(second, _)| *second);
        first > 0 && self.payload.get(..first) == Some(report.payload)
    }

    /// Adds a fragment. What exceeds the longest payload is cut to one octet too many, which marks
    /// the chain as broken.
    fn append(&mut self, report: &Report<'_>) {
        let room = (LONGEST_PAYLOAD + 1).saturating_sub(self.payload.len());
        if room > 0 {
            self.fragments.push((self.payload.len(), report.rssi));
            self.payload.extend(report.payload.iter().take(room));
        }
    }

    /// Where the last event begins, and its RSSI: at the first fragment from which on everything is
    /// AD structures, because the end of an earlier event may be lost. `None` for a broken chain.
    fn whole_from(&self, status: Status) -> Option<(usize, Option<Dbm>)> {
        if self.payload.len() > LONGEST_PAYLOAD {
            return None;
        }
        if status == Status::Truncated {
            return self.fragments.first().copied();
        }
        let is_whole = |(start, _): &&(usize, _)| self.payload.get(*start..).is_some_and(is_whole);
        self.fragments.iter().find(is_whole).copied()
    }
}

/// Whether `payload` is AD structures to its end, or to the zero length that ends them.
fn is_whole(payload: &[u8]) -> bool {
    let mut structures = Structures::new(payload);
    structures.by_ref().for_each(drop);
    structures.rest().first().is_none_or(|length| *length == 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::event::AddressKind;

    /// A name of 40 octets, cut in the middle, and flags.
    const HEAD: &[u8] = b"\x29\x09aaaaaaaaaaaaaaaaaaaa";
    const TAIL: &[u8] = b"bbbbbbbbbbbbbbbbbbbb\x02\x01\x06";

    fn fragment(sender: u8, status: Status, payload: &[u8]) -> Report<'_> {
        Report {
            pdu: Pdu::Extended,
            address: Address { kind: AddressKind::Random, octets: [sender; 6] },
            rssi: Dbm::measured(-60),
            payload,
            status,
            set: Some(1),
            is_first: false,
        }
    }

    fn quiet(report: Report<'_>) -> Report<'_> {
        Report { rssi: Dbm::measured(-90), ..report }
    }

    fn payload(report: Option<Report<'_>>) -> Option<Vec<u8>> {
        report.map(|report| report.payload.to_vec())
    }

    const fn ms(at: u64) -> Duration {
        Duration::from_millis(at)
    }

    #[test]
    fn interleaved_fragments_are_joined_to_their_own_senders() {
        let mut chains = Chains::default();
        assert_eq!(chains.join(0, ms(0), fragment(1, Status::MoreToCome, HEAD)), None);
        assert_eq!(chains.join(0, ms(1), fragment(2, Status::MoreToCome, b"\x05\x09x")), None);
        let second = payload(chains.join(0, ms(2), fragment(2, Status::Complete, b"xxx")));
        assert_eq!(second.as_deref(), Some(&b"\x05\x09xxxx"[..]));
        let first = payload(chains.join(0, ms(3), fragment(1, Status::Complete, TAIL)));
        assert_eq!(first, Some([HEAD, TAIL].concat()));
        assert_eq!(chains.dropped(), 0);
    }

    #[test]
    fn an_advertisement_does_not_get_the_head_of_one_whose_tail_was_lost() {
        let mut chains = Chains::default();
        chains.join(0, ms(0), fragment(1, Status::MoreToCome, HEAD));
        let late = ms(0) + FRAGMENT_TIMEOUT + ms(1);
        let whole = chains.join(0, late, quiet(fragment(1, Status::Complete, b"\x02\x01\x06")));
        assert_eq!(whole, Some(quiet(fragment(1, Status::Complete, b"\x02\x01\x06"))));
        assert_eq!((chains.dropped(), chains.unfinished()), (1, 0));
        // Within the time-out again: head and advertisement do not fit together.
        chains.join(0, late, fragment(1, Status::MoreToCome, HEAD));
        let whole = chains.join(0, late, quiet(fragment(1, Status::Complete, b"\x02\x01\x06")));
        let whole = whole.map(|report| (report.payload.to_vec(), report.rssi));
        assert_eq!(whole, Some((vec![2, 1, 6], Dbm::measured(-90))));
    }

    #[test]
    fn a_second_head_begins_the_chain_again() {
        let mut chains = Chains::default();
        chains.join(0, ms(0), fragment(1, Status::MoreToCome, HEAD));
        chains.join(0, ms(100), quiet(fragment(1, Status::MoreToCome, HEAD)));
        let whole = chains.join(0, ms(101), fragment(1, Status::Complete, TAIL));
        let whole = whole.map(|report| (report.payload.to_vec(), report.rssi));
        assert_eq!(whole, Some(([HEAD, TAIL].concat(), Dbm::measured(-90))));
        // Another payload meanwhile: the second head and the tail fit together.
        let changed = &b"\x29\x09cccccccccccccccccccc"[..];
        chains.join(0, ms(200), fragment(1, Status::MoreToCome, HEAD));
        chains.join(0, ms(300), quiet(fragment(1, Status::MoreToCome, changed)));
        let whole = chains.join(0, ms(301), fragment(1, Status::Complete, TAIL));
        let whole = whole.map(|report| (report.payload.to_vec(), report.rssi));
        assert_eq!(whole, Some(([changed, TAIL].concat(), Dbm::measured(-90))));
    }

    #[test]
    fn two_adapters_that_receive_one_advertiser_do_not_share_a_chain() {
        let mut chains = Chains::default();
        chains.join(0, ms(0), fragment(1, Status::MoreToCome, HEAD));
        chains.join(1, ms(0), quiet(fragment(1, Status::MoreToCome, HEAD)));
        let first = chains.join(0, ms(1), fragment(1, Status::Complete, TAIL)).map(|r| r.rssi);
        let second = chains.join(1, ms(1), fragment(1, Status::Complete, TAIL)).map(|r| r.rssi);
        assert_eq!((first, second), (Some(Dbm::measured(-60)), Some(Dbm::measured(-90))));
    }

    #[test]
    fn two_sets_of_one_advertiser_do_not_share_a_chain() {
        let mut chains = Chains::default();
        chains.join(0, ms(0), fragment(1, Status::MoreToCome, HEAD));
        let other = Report { set: Some(2), ..fragment(1, Status::Complete, b"\x02\x01\x06") };
        assert_eq!(chains.join(0, ms(1), other), Some(other));
    }

    #[test]
    fn what_the_controller_received_of_a_truncated_chain_is_kept() {
        let mut chains = Chains::default();
        chains.join(0, ms(0), fragment(1, Status::MoreToCome, HEAD));
        let cut = payload(chains.join(0, ms(1), fragment(1, Status::Truncated, b"")));
        assert_eq!(cut.as_deref(), Some(HEAD));
    }

    #[test]
    fn a_chain_that_does_not_fit_together_says_nothing() {
        let mut chains = Chains::default();
        chains.join(0, ms(0), fragment(1, Status::MoreToCome, HEAD));
        assert_eq!(chains.join(0, ms(1), fragment(1, Status::Complete, b"\x07tail")), None);
        assert_eq!(chains.dropped(), 1);
    }

    #[test]
    fn a_crowd_of_unfinished_chains_takes_bounded_memory() {
        let mut chains = Chains::default();
        for sender in 0..100 {
            for piece in 0..20 {
                chains.join(0, ms(0), fragment(sender, Status::MoreToCome, &[piece; 229]));
            }
        }
        assert_eq!(chains.unfinished.len(), MAX_CHAINS);
        assert!(chains.unfinished.iter().all(|c| c.payload.len() <= LONGEST_PAYLOAD + 1));
        assert_eq!(chains.join(0, ms(1), fragment(99, Status::Complete, &[0])), None, "too long");
    }
}
