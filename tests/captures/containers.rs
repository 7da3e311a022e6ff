//! One advertisement in every container and behind every header that tools put before it.

use std::time::Duration;

use grelot::pipeline::event::{Address, AddressKind};
use grelot::pipeline::units::Dbm;
use grelot::sources::skipped::Skipped;
use grelot::sources::{self, Advertisement, Record, RecordKind, ReplayError};

/// Wall time of the first frame: 2026-01-05T09:00:00.25Z.
const UNIX_MICROS: u64 = 1_767_603_600_250_000;

const STRUCTURES: [u8; 5] = [4, 9, b'g', b'r', b'e'];
const AIR_ADDRESS: [u8; 6] = [0x55, 0x44, 0x33, 0x22, 0x11, 0x5a];
const ACCESS_ADDRESS: [u8; 4] = [0xd6, 0xbe, 0x89, 0x8e];

fn heard(rssi: Option<i16>) -> RecordKind {
    RecordKind::Received(Advertisement {
        gateway: None,
        address: Address {
            kind: AddressKind::Random,
            octets: [0x5a, 0x11, 0x22, 0x33, 0x44, 0x55],
        },
        rssi: rssi.and_then(Dbm::measured),
        payload: STRUCTURES.to_vec(),
    })
}

/// An LE advertising report, from its event code on.
pub fn event() -> Vec<u8> {
    let mut event = vec![0x3e, 17, 0x02, 1, 3, 1];
    event.extend(AIR_ADDRESS);
    event.push(5);
    event.extend(STRUCTURES);
    event.push(0xb9);
    event
}

/// `ADV_NONCONN_IND`, its CRC as sniffers write it that do not keep it.
pub fn packet() -> Vec<u8> {
    [&ACCESS_ADDRESS[..], &[0x42, 11], &AIR_ADDRESS, &STRUCTURES, &[0, 0, 0]].concat()
}

/// The same on LE Coded: a coding indicator after the access address.
fn coded_packet() -> Vec<u8> {
    let mut packet = packet();
    packet.insert(4, 1);
    packet
}

pub fn nordic(version: u8, event: u8, flags: u8, packet: &[u8]) -> Vec<u8> {
    let length = u8::try_from(packet.len()).unwrap() + 10;
    let lengths = if version == 1 { [6, length] } else { [length, 0] };
    let header = [9, lengths[0], lengths[1], version, 1, 0, event];
    [&header[..], &[10, flags, 37, 71, 0, 0, 0, 0, 0, 0], packet].concat()
}

fn received(flags: u16, packet: &[u8]) -> Vec<u8> {
    let [low, high] = flags.to_le_bytes();
    [&[37, 0xb9, 0x80, 0, 0, 0, 0, 0, low, high], packet].concat()
}

/// As Ubertooth writes it: one field of another kind, then its own.
fn per_packet_information(datalink: u32, packet: &[u8]) -> Vec<u8> {
    let other = [&2_u16.to_le_bytes()[..], &3_u16.to_le_bytes(), &[9; 3]].concat();
    let mut field = [30_006_u16.to_le_bytes(), 15_u16.to_le_bytes()].concat();
    field.extend(
        [&[0][..], &2402_u16.to_le_bytes(), &[0; 5], &[0xc0, 0xa0, 0xb9, 1, 0, 0, 0]].concat(),
    );
    let length = u16::try_from(8 + other.len() + field.len()).unwrap();
    let head = [&[0, 0][..], &length.to_le_bytes(), &datalink.to_le_bytes()].concat();
    [&head, &other, &field, packet].concat()
}

/// Link type, a frame of it, and the RSSI that can be read from it.
fn frames() -> Vec<(u16, Vec<u8>, Option<i16>)> {
    let h4 = [&[4], &event()[..]].concat();
    let loud = Some(-71);
    vec![
        (187, h4.clone(), loud),
        (201, [&[0, 0, 0, 1], &h4[..]].concat(), loud),
        (254, [&[0, 0, 0, 3], &event()[..]].concat(), loud),
        (251, packet(), None),
        (256, received(0x0c03, &packet()), loud),
        (256, received(0x0003, &packet()), loud),
        (256, received(0x0001, &packet()), None),
        (256, received(0x8c03, &coded_packet()), loud),
        (272, nordic(1, 6, 1, &packet()), loud),
        (272, nordic(2, 6, 1, &packet()), loud),
        (272, nordic(3, 2, 1, &packet()), loud),
        (272, nordic(3, 2, 0x21, &coded_packet()), loud),
        (272, nordic(2, 0, 1, &packet()), loud),
        (192, per_packet_information(251, &packet()), loud),
        (192, per_packet_information(147, &packet()), loud),
    ]
}

/// Frames that hold no advertisement that can be relied on, though their link type may.
fn silent_frames() -> Vec<(u16, Vec<u8>, Skipped)> {
    let mut damaged = packet();
    *damaged.last_mut().unwrap() = 1;
    let too_long = [&ACCESS_ADDRESS[..], &[0x42, 38], &[0; 38], &[0, 0, 0]].concat();
    let none = Skipped::default();
    let other = Skipped { not_advertising: 2, ..none };
    let damage = Skipped { damaged: 2, ..none };
    let unsupported = Skipped { unsupported: 2, ..none };
    let data_channel = [&[0x11; 4], &packet()[4..]].concat();
    vec![
        (187, vec![2, 1, 2, 3], other),
        (187, Vec::new(), other),
        (201, vec![0, 0], other),
        (254, [&[0, 0, 0, 2], &event()[..]].concat(), other),
        (251, damaged.clone(), damage),
        (251, too_long, damage),
        (251, data_channel, other),
        (256, received(0x0403, &packet()), damage),
        (256, received(0x0c03, &damaged), damage),
        (256, received(0x0c02, &packet()), unsupported),
        (256, vec![37; 9], unsupported),
        (272, nordic(2, 6, 0, &packet()), damage),
        (272, nordic(2, 6, 1, &damaged), damage),
        (272, nordic(3, 6, 1, &packet()), other),
        (272, nordic(9, 6, 1, &packet()), unsupported),
        (272, vec![9; 5], unsupported),
        (192, per_packet_information(105, &packet()), unsupported),
        (192, vec![0, 0, 200, 0, 251, 0, 0, 0], unsupported),
    ]
}

pub fn pcap(linktype: u16, frames: &[&[u8]], little: bool, nanoseconds: bool) -> Vec<u8> {
    let word = |word: u32| if little { word.to_le_bytes() } else { word.to_be_bytes() };
    let magic = if nanoseconds { 0xa1b2_3c4d } else { 0xa1b2_c3d4 };
    let head = [magic, 0x0004_0002, 0, 0, 65_535, u32::from(linktype)];
    let mut file: Vec<u8> = head.into_iter().flat_map(word).collect();
    for (index, frame) in frames.iter().enumerate() {
        let micros = UNIX_MICROS + 1_500_000 * index as u64;
        let fraction = micros % 1_000_000 * if nanoseconds { 1000 } else { 1 };
        let length = u32::try_from(frame.len()).unwrap();
        let seconds = u32::try_from(micros / 1_000_000).unwrap();
        file.extend([seconds, fraction as u32, length, length].into_iter().flat_map(word));
        file.extend(*frame);
    }
    file
}

fn block(kind: u32, body: &[u8], little: bool) -> Vec<u8> {
    let word = |word: u32| if little { word.to_le_bytes() } else { word.to_be_bytes() };
    let padding = vec![0; body.len().next_multiple_of(4) - body.len()];
    let length = word(u32::try_from(body.len() + padding.len()).unwrap() + 12);
    [&word(kind), &length, body, &padding, &length].concat()
}

/// A section with an interface of another medium first, then one of `linktype` whose clock
/// counts in `resolution` (`ticks` a second).
fn pcapng(linktype: u16, frames: &[&[u8]], little: bool, resolution: u8, ticks: u64) -> Vec<u8> {
    let word = |word: u32| if little { word.to_le_bytes() } else { word.to_be_bytes() };
    let half = |half: u16| if little { half.to_le_bytes() } else { half.to_be_bytes() };
    let interface = |linktype| [half(linktype), [0; 2], half(0), [0; 2]].concat();
    let section = [&word(0x1a2b_3c4d)[..], &[0; 4], &[0xff; 8]].concat();
    let options = [&half(2)[..], &half(3), b"abc\0", &half(9), &half(1), &[resolution, 0, 0, 0]];
    let mut file = block(0x0a0d_0d0a, &section, little);
    file.extend(block(1, &interface(1), little));
    file.extend(block(1, &[interface(linktype), options.concat()].concat(), little));
    file.extend(block(5, b"statistics", little));
    for (index, frame) in frames.iter().enumerate() {
        let micros = u128::from(UNIX_MICROS + 1_500_000 * index as u64);
        let time = u64::try_from(micros * u128::from(ticks) / 1_000_000).unwrap();
        let length = u32::try_from(frame.len()).unwrap();
        let head = |interface| {
            let (high, low) = ((time >> 32) as u32, time as u32);
            [interface, high, low, length, length].into_iter().flat_map(word).collect::<Vec<u8>>()
        };
        file.extend(block(6, &[&head(0), *frame].concat(), little));
        file.extend(block(6, &[&head(1), *frame].concat(), little));
    }
    file
}

fn btsnoop(datalink: u32, flags: u32, frames: &[&[u8]]) -> Vec<u8> {
    let timed: Vec<_> = (0..).step_by(1500).zip(frames).map(|(at, f)| (at, flags, *f)).collect();
    timed_btsnoop(datalink, &timed)
}

/// Milliseconds, flags and octets of each frame.
pub fn timed_btsnoop(datalink: u32, frames: &[(u64, u32, &[u8])]) -> Vec<u8> {
    let mut file = b"btsnoop\0".to_vec();
    file.extend([1, datalink].into_iter().flat_map(u32::to_be_bytes));
    for (at, flags, frame) in frames {
        let length = u32::try_from(frame.len()).unwrap();
        file.extend([length, length, *flags, 0].into_iter().flat_map(u32::to_be_bytes));
        file.extend((UNIX_MICROS + 1000 * at + 0x00dc_ddb3_0f2f_8000).to_be_bytes());
        file.extend(*frame);
    }
    file
}

fn assert_read_twice(file: Vec<u8>, rssi: Option<i16>, what: &str) {
    let replay = sources::open_bytes(file).unwrap();
    assert_eq!(replay.started_at().to_string(), "2026-01-05T09:00:00.25Z", "{what}");
    let read: Vec<_> = replay.map(Result::unwrap).collect();
    let times = [Duration::ZERO, Duration::from_millis(1500)];
    assert_eq!(read, times.map(|at| Record { at, what: heard(rssi) }), "{what}");
}

#[test]
fn an_advertisement_is_read_from_every_link_in_pcap_of_any_order() {
    for (linktype, frame, rssi) in frames() {
        for (little, nanoseconds) in [(true, false), (false, true)] {
            let file = pcap(linktype, &[&frame, &frame], little, nanoseconds);
            assert_read_twice(file, rssi, &format!("link type {linktype}, little {little}"));
        }
    }
}

#[test]
fn an_advertisement_is_read_from_every_link_in_pcapng_of_any_clock() {
    for (linktype, frame, rssi) in frames() {
        for (little, resolution, ticks) in [(true, 9, 1_000_000_000), (false, 0x94, 1 << 20)] {
            let file = pcapng(linktype, &[&frame, &frame], little, resolution, ticks);
            let what = format!("link type {linktype}, resolution {resolution}");
            if ticks.is_power_of_two() {
                // Such a clock cannot show a quarter of a second and a microsecond exactly.
                assert_eq!(sources::open_bytes(file).unwrap().flatten().count(), 2, "{what}");
            } else {
                assert_read_twice(file, rssi, &what);
            }
        }
    }
}

#[test]
fn an_advertisement_is_read_from_every_link_in_btsnoop() {
    let h4 = [&[4], &event()[..]].concat();
    for (datalink, flags, frame) in [(1002, 3, h4), (1001, 3, event()), (2001, 3, event())] {
        let file = btsnoop(datalink, flags, &[&frame, &frame]);
        assert_read_twice(file, Some(-71), &format!("data link {datalink}"));
    }
    let sent = btsnoop(1001, 2, &[&event()]);
    assert_eq!(sources::open_bytes(sent).unwrap().count(), 0);
}

#[test]
fn what_holds_no_sound_advertisement_is_counted_with_the_reason() {
    for (linktype, frame, skipped) in silent_frames() {
        let file = pcap(linktype, &[&frame, &frame], true, false);
        let mut replay = sources::open_bytes(file).unwrap();
        let read: Vec<_> = replay.by_ref().collect();
        assert!(read.is_empty(), "link type {linktype}: {read:?}");
        assert_eq!(replay.skipped(), skipped, "link type {linktype}: {frame:02x?}");
    }
}

#[test]
fn a_capture_of_another_medium_is_refused_by_its_link_type() {
    let ethernet = pcap(1, &[&[0; 60]], true, false);
    let error = sources::open_bytes(ethernet).map(|_| ()).unwrap_err().to_string();
    assert!(error.starts_with("link type 1 holds no Bluetooth advertisements"), "{error}");
    let ethernet = pcapng(1, &[&[0; 60]], true, 6, 1_000_000);
    let read: Vec<_> = sources::open_bytes(ethernet).unwrap().collect();
    assert!(matches!(read.as_slice(), [Err(ReplayError::NotARecording(_))]), "{read:?}");
}

#[test]
fn a_capture_cut_short_is_read_up_to_there_and_ends_in_one_error() {
    let h4 = [&[4], &event()[..]].concat();
    let files = [
        pcap(187, &[&h4, &h4], true, false),
        pcapng(187, &[&h4, &h4], true, 6, 1_000_000),
        btsnoop(1002, 3, &[&h4, &h4]),
    ];
    for file in files {
        let cut = file[..file.len() - 7].to_vec();
        let read: Vec<_> = sources::open_bytes(cut).unwrap().collect();
        let [Ok(_), Err(error)] = read.as_slice() else { panic!("{read:?}") };
        assert_eq!(error.to_string(), "the file ends in the middle of a frame");
    }
}

#[test]
fn a_length_that_cannot_be_is_the_end_of_the_capture() {
    let h4 = [&[4], &event()[..]].concat();
    let mut file = btsnoop(1002, 3, &[&h4, &h4]);
    let second = 16 + 24 + h4.len() + 4;
    file[second..second + 4].copy_from_slice(&[0xff; 4]);
    let read: Vec<_> = sources::open_bytes(file).unwrap().collect();
    assert!(matches!(read.as_slice(), [Ok(_), Err(ReplayError::Line { line: 2, .. })]), "{read:?}");
}
