//! Extended advertisements that come in fragments, through whole captures.

use grelot::pipeline::units::Dbm;
use grelot::sources::skipped::Skipped;
use grelot::sources::{self, RecordKind};

use crate::containers::timed_btsnoop;

const BEACON: &[u8] = b"\x02\x01\x06\x1a\xff\x4c\x00\x02\x15BlueCharmBeacons\x00\x01\x00\x01\xc5";
const COMPLETE: u8 = 0;
const MORE: u8 = 0x20;

/// An LE Extended Advertising Report from its event code on, of one advertiser's set 2.
fn report(status: u8, rssi: i8, data: &[u8]) -> Vec<u8> {
    let length = u8::try_from(data.len()).unwrap();
    let mut event = vec![0x3e, length + 26, 0x0d, 1, status, 0, 1];
    event.extend([1, 0, 0, 0, 0, 0xd0, 1, 0, 2, 0x7f, rssi.cast_unsigned()]);
    event.extend([0; 9]);
    event.push(length);
    event.extend(data);
    event
}

/// Each with its RSSI.
type Payloads = Vec<(Vec<u8>, Option<Dbm>)>;

/// Payloads of a log of Linux' monitor; each frame has milliseconds, adapter and event.
fn read(frames: &[(u64, u32, Vec<u8>)]) -> (Payloads, Skipped) {
    let frames: Vec<_> = frames.iter().map(|(at, a, f)| (*at, a << 16 | 3, &f[..])).collect();
    let mut source = sources::open_bytes(timed_btsnoop(2001, &frames)).unwrap();
    let mut advertisements = Vec::new();
    for record in source.by_ref() {
        let RecordKind::Received(heard) = record.unwrap().what else { panic!("no advertisement") };
        advertisements.push((heard.payload, heard.rssi));
    }
    (advertisements, source.skipped())
}

fn whole(rssi: i16) -> (Vec<u8>, Option<Dbm>) {
    (BEACON.to_vec(), Dbm::measured(rssi))
}

#[test]
fn a_lost_tail_does_not_swallow_the_advertisement_of_ten_minutes_later() {
    let frames =
        [(0, 0, report(MORE, -60, &BEACON[..15])), (600_000, 0, report(COMPLETE, -80, BEACON))];
    let (advertisements, skipped) = read(&frames);
    assert_eq!(advertisements, [whole(-80)]);
    assert_eq!(skipped.incomplete, 1);
}

#[test]
fn an_event_whose_tail_was_lost_does_not_double_the_head_of_the_next() {
    let frames = [
        (0, 0, report(MORE, -60, &BEACON[..15])),
        (100, 0, report(MORE, -70, &BEACON[..15])),
        (101, 0, report(COMPLETE, -71, &BEACON[15..])),
    ];
    assert_eq!(read(&frames).0, [whole(-70)]);
}

#[test]
fn two_adapters_in_one_log_do_not_mix_their_fragments() {
    let frames = [
        (0, 0, report(MORE, -60, &BEACON[..15])),
        (1, 1, report(MORE, -80, &BEACON[..9])),
        (2, 0, report(COMPLETE, -60, &BEACON[15..])),
        (3, 1, report(COMPLETE, -80, &BEACON[9..])),
    ];
    let (advertisements, skipped) = read(&frames);
    assert_eq!(advertisements, [whole(-60), whole(-80)]);
    assert!(skipped.is_empty());
}
