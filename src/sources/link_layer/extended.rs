//! Extended advertising on the air: finds the advertiser of a packet that an `AuxPtr` points to.
//!
//! `ADV_EXT_IND` on a primary channel points to `AUX_ADV_IND` on another channel, which may point
//! to `AUX_CHAIN_IND`. The advertiser's address is in one of the first two only; all carry the same
//! advertising data info (ADI), by which they are matched (Core, Vol 6 Part B 2.3.4).

use std::time::Duration;

use super::{Packet, SENDER_IS_RANDOM};
use crate::pipeline::event::{Address, AddressKind};
use crate::sources::byte_reader::{CutShort, take, take_address, take_slice};
use crate::sources::chains::FRAGMENT_TIMEOUT;
use crate::sources::report::{Pdu, Report, Status};

/// Pointers that are kept at a time; each is valid for milliseconds, or seconds at most.
const MAX_POINTERS: usize = 64;

/// The address of anonymous advertising, as HCI writes it.
const ANONYMOUS: Address = Address { kind: AddressKind::Random, octets: [0; 6] };

/// The pointers whose packets may still come.
#[derive(Debug, Default)]
pub struct AuxPointers {
    pointers: Vec<Pointer>,
    orphans: u64,
}

/// A received `AuxPtr` and what its packet does not repeat.
#[derive(Debug, Clone, Copy)]
struct Pointer {
    adapter: u32,
    data_info: u16,
    address: Option<Address>,
    /// It was in a packet without data (`ADV_EXT_IND`): the data begins in the packet that it
    /// points to.
    announces: bool,
    channel: u8,
    received_at: Duration,
    due_at: Duration,
}

impl AuxPointers {
    /// The report of an extended advertising packet whose advertiser is known.
    ///
    /// `None` for a packet that only points to another one, and for one whose beginning was not
    /// received.
    pub fn report<'a>(
        &mut self,
        adapter: u32,
        at: Duration,
        packet: &Packet<'a>,
    ) -> Option<Report<'a>> {
        let header = Header::read(packet)?;
        self.pointers.retain(|p| at.saturating_sub(p.received_at) <= FRAGMENT_TIMEOUT);
        let pointer = self.take(adapter, at, packet.channel, &header);
        let address = header.address.or_else(|| pointer.and_then(|pointer| pointer.address));
        let announces = header.payload.is_empty() && header.aux.is_some();
        if let (Some((channel, offset)), Some(data_info)) = (header.aux, header.data_info) {
            let due_at = at + offset;
            let received_at = at;
            self.remember(Pointer {
                adapter,
                data_info,
                address,
                announces,
                channel,
                received_at,
                due_at,
            });
        }
        if announces {
            return None;
        }
        let anonymous = pointer.filter(|pointer| pointer.announces).map(|_| ANONYMOUS);
        let Some(address) = address.or(anonymous) else {
            self.orphans += 1;
            return None;
        };
        Some(Report {
            pdu: Pdu::Extended,
            address,
            rssi: packet.rssi,
            payload: header.payload,
            status: if header.aux.is_some() { Status::MoreToCome } else { Status::Complete },
            set: header.data_info,
            is_first: header.address.is_some() || pointer.is_some_and(|pointer| pointer.announces),
        })
    }

    /// Number of packets with data whose advertiser is unknown, because the pointer to them was not
    /// received.
    pub fn orphans(&self) -> u64 {
        self.orphans
    }

    /// The pointer that announced `header`'s packet: of the same adapter, ADI and channel, and of
    /// those the one whose time is closest to `at`.
    fn take(
        &mut self,
        adapter: u32,
        at: Duration,
        channel: Option<u8>,
        header: &Header<'_>,
    ) -> Option<Pointer> {
        let data_info = header.data_info?;
        let fits = |pointer: &Pointer| {
            (pointer.adapter, pointer.data_info) == (adapter, data_info)
                && channel.is_none_or(|channel| channel == pointer.channel)
                && header.address.is_none_or(|own| pointer.address.is_none_or(|p| p == own))
        };
        let fitting = self.pointers.iter().enumerate().filter(|(_, pointer)| fits(pointer));
        let (place, _) = fitting.min_by_key(|(_, pointer)| pointer.due_at.abs_diff(at))?;
        Some(self.pointers.remove(place))
    }

    /// One event is announced on three primary channels, so the latest pointer replaces the others.
    fn remember(&mut self, pointer: Pointer) {
        let key = |p: &Pointer| (p.adapter, p.data_info, p.address, p.channel);
        self.pointers.retain(|other| key(other) != key(&pointer));
        if self.pointers.len() == MAX_POINTERS {
            self.pointers.remove(0);
        }
        self.pointers.push(pointer);
    }
}

/// The common extended advertising payload; only the fields that are used here.
struct Header<'a> {
    address: Option<Address>,
    data_info: Option<u16>,
    /// The channel of the next packet, and the time from the start of this one to its start.
    aux: Option<(u8, Duration)>,
    payload: &'a [u8],
}

impl<'a> Header<'a> {
    fn read(packet: &Packet<'a>) -> Option<Self> {
        let mut rest = packet.body;
        // Length (6 bits) and mode.
        let [length] = take(&mut rest).ok()?;
        let header = take_slice(&mut rest, usize::from(length & 0x3f)).ok()?;
        let mut fields = Self { address: None, data_info: None, aux: None, payload: rest };
        fields.read_fields(packet, header).ok()?;
        Some(fields)
    }

    /// Flags, then the fields that they announce, in the order of their bits.
    fn read_fields(&mut self, packet: &Packet<'_>, mut header: &[u8]) -> Result<(), CutShort> {
        let Ok([flags]) = take(&mut header) else { return Ok(()) };
        let has = |bit: u8| flags & (1 << bit) != 0;
        if has(0) {
            self.address = Some(packet.address(take_address(&mut header)?, SENDER_IS_RANDOM));
        }
        if has(1) {
            take_address(&mut header)?;
        }
        // CTEInfo.
        if has(2) {
            take::<1>(&mut header)?;
        }
        if has(3) {
            self.data_info = Some(u16::from_le_bytes(take(&mut header)?));
        }
        if has(4) {
            self.aux = Some(pointer(take(&mut header)?));
        }
        Ok(())
    }
}

/// `AuxPtr`: channel (6 bits), clock accuracy, offset's unit, offset (13 bits), PHY (3 bits).
fn pointer([channel, offset_low, offset_high]: [u8; 3]) -> (u8, Duration) {
    let unit = if channel & 0x80 == 0 { 30 } else { 300 };
    let offset = u64::from(u16::from_le_bytes([offset_low, offset_high]) & 0x1fff);
    (channel & 0x3f, Duration::from_micros(offset * unit))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sources::chains::Chains;
    use crate::sources::link_layer::{ADVERTISING, Reception};

    const ADVERTISER: [u8; 6] = [1, 2, 3, 4, 5, 0xc6];
    const DATA_INFO: [u8; 2] = [0x34, 0x12];
    /// Channel 5, 300 µs later.
    const POINTER: [u8; 3] = [5, 10, 0];
    const HEAD: &[u8] = b"\x29\x09aaaaaaaaaaaaaaaaaaaa";
    const TAIL: &[u8] = b"bbbbbbbbbbbbbbbbbbbb\x02\x01\x06";

    /// A packet of type 7 with the address, ADI and pointer that are asked for.
    fn extended(address: bool, points: bool, payload: &[u8]) -> Vec<u8> {
        let flags = u8::from(address) | 1 << 3 | u8::from(points) << 4;
        let mut header = vec![flags];
        if address {
            header.extend(ADVERTISER);
        }
        header.extend(DATA_INFO);
        if points {
            header.extend(POINTER);
        }
        let length = u8::try_from(header.len()).unwrap();
        let body = [&[length][..], &header, payload].concat();
        let lengths = [0x47, u8::try_from(body.len()).unwrap()];
        [&ADVERTISING[..], &lengths, &body].concat()
    }

    /// The reports of `packets`, a millisecond apart from `start` on, each on its channel.
    fn said(
        air: &mut (AuxPointers, Chains),
        start: u64,
        packets: &[(u8, Vec<u8>)],
    ) -> Vec<([u8; 6], Vec<u8>)> {
        let mut said = Vec::new();
        for (at, (channel, octets)) in (start..).zip(packets) {
            let reception = Reception { channel: Some(*channel), ..Reception::default() };
            let packet = Packet::read(octets, reception).unwrap();
            let at = Duration::from_millis(at);
            let report = air.0.report(0, at, &packet);
            let whole = report.and_then(|report| air.1.join(0, at, report));
            said.extend(whole.map(|whole| (whole.address.octets, whole.payload.to_vec())));
        }
        said
    }

    fn written() -> [u8; 6] {
        let mut written = ADVERTISER;
        written.reverse();
        written
    }

    #[test]
    fn an_address_in_adv_ext_ind_belongs_to_the_data_in_aux_adv_ind() {
        let mut air = Default::default();
        let announced = extended(true, true, b"");
        let packets = [
            (37, announced.clone()),
            (38, announced),
            (5, extended(false, false, b"\x02\x01\x06")),
        ];
        assert_eq!(said(&mut air, 0, &packets), [(written(), vec![2, 1, 6])]);
        assert_eq!(air.0.orphans(), 0);
    }

    #[test]
    fn a_chain_on_the_air_is_joined_with_the_address_in_either_packet() {
        for named_first in [true, false] {
            let packets = [
                (37, extended(named_first, true, b"")),
                (5, extended(!named_first, true, HEAD)),
                (5, extended(false, false, TAIL)),
            ];
            let said = said(&mut Default::default(), 0, &packets);
            assert_eq!(said, [(written(), [HEAD, TAIL].concat())], "{named_first}");
        }
    }

    #[test]
    fn a_lost_end_of_a_chain_on_the_air_does_not_spoil_the_next_event() {
        let event = [
            (37, extended(true, true, b"")),
            (5, extended(false, true, HEAD)),
            (5, extended(false, false, TAIL)),
        ];
        let mut air = Default::default();
        assert_eq!(said(&mut air, 0, &event[..2]), []);
        assert_eq!(said(&mut air, 100, &event), [(written(), [HEAD, TAIL].concat())]);
        assert_eq!(air.1.dropped(), 1);
    }

    #[test]
    fn an_end_whose_beginning_was_lost_says_nothing() {
        let mut air = Default::default();
        assert_eq!(said(&mut air, 0, &[(5, extended(false, false, b"\x02\x01\x06"))]), []);
        // The end comes on another channel than the announced one.
        let packets =
            [(37, extended(true, true, b"")), (9, extended(false, false, b"\x02\x01\x06"))];
        assert_eq!(said(&mut air, 0, &packets), []);
        // Far too late.
        assert_eq!(said(&mut air, 5000, &[(5, extended(false, false, b"\x02\x01\x06"))]), []);
        assert_eq!(air.0.orphans(), 3);
    }

    #[test]
    fn an_advertisement_without_any_address_is_anonymous() {
        let packets =
            [(37, extended(false, true, b"")), (5, extended(false, false, b"\x02\x01\x06"))];
        assert_eq!(said(&mut Default::default(), 0, &packets), [([0; 6], vec![2, 1, 6])]);
    }

    #[test]
    fn a_crowd_of_pointers_takes_bounded_memory() {
        let mut pointers = AuxPointers::default();
        for set in 0..1000_u16 {
            let mut octets = extended(true, true, b"");
            octets[14..16].copy_from_slice(&set.to_le_bytes());
            let packet = Packet::read(&octets, Reception::default()).unwrap();
            pointers.report(0, Duration::ZERO, &packet);
        }
        assert_eq!(pointers.pointers.len(), MAX_POINTERS);
    }
}
