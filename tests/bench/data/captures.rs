//! Captures of the field, against what other tools read in them.

use std::fs::{self, File};
use std::io::BufReader;
use std::path::Path;
use std::time::Duration;

use grelot::pipeline::advert::describe;
use grelot::pipeline::event::{Address, AddressKind};
use grelot::pipeline::units::Dbm;
use grelot::sources::capture::{Content, Format, Frame};
use grelot::sources::link_layer::Crc;
use grelot::sources::report::Pdu;
use grelot::sources::{self, Advertisement, Record, RecordKind};

use crate::common;

/// What the oracle's columns say of a frame: number, sender, RSSI, TX power, PDU type, company.
/// Names of devices, between the sender and the RSSI, are in any encoding.
fn oracle(path: &Path) -> Vec<[String; 6]> {
    let text: String = fs::read(path).unwrap().into_iter().map(char::from).collect();
    let row = |line: &str| {
        let (head, tail) = line.split_at(line.match_indices(',').nth(2).unwrap().0);
        let mut tail: Vec<_> = tail.rsplitn(5, ',').take(4).map(str::to_owned).collect();
        let mut head = head.split(',').map(str::to_owned);
        let (frame, sender) = (head.next().unwrap(), head.nth(1).unwrap());
        let mut last = || tail.pop().unwrap();
        [frame, sender, last(), last(), last(), last()]
    };
    text.lines().skip(1).map(row).collect()
}

/// The same columns, as this program decodes them.
fn decoded(frame: Frame<'_>) -> ([String; 6], Crc, bool) {
    let Content::Packet(packet) = frame.link.read(frame.octets) else {
        panic!("frame {} is no packet on an advertising channel", frame.number)
    };
    let ad = describe(packet.legacy_payload()).ad;
    let text = |value: Option<String>| value.unwrap_or_default();
    let columns = [
        frame.number.to_string(),
        text(packet.advertiser().map(written)),
        text(packet.rssi.map(|rssi| rssi.value().to_string())),
        text(ad.tx_power.map(|power| power.to_string())),
        packet.pdu_type.to_string(),
        text(ad.manufacturer_data.first().map(|(company, _)| company.to_string())),
    ];
    (columns, packet.crc, packet.is_damaged())
}

fn written(address: Address) -> String {
    address.octets.map(|octet| format!("{octet:02x}")).join(":")
}

fn each_frame(path: &Path, mut each: impl FnMut(Frame<'_>)) {
    let head = fs::read(path).unwrap();
    let input = BufReader::new(File::open(path).unwrap());
    let mut frames = Format::of(&head).unwrap().frames(input).unwrap();
    while let Some(frame) = frames.next_frame().unwrap() {
        each(frame);
    }
}

#[test]
fn the_conference_room_decodes_to_its_oracle_frame_by_frame() {
    let name = "captures/5-May_Conference_Room_nRF52_nrf52_capture_0.pcapng";
    let path = common::shared_data(name);
    let oracle = oracle(&path.with_extension("csv"));
    let (mut frames, mut undamaged) = (0, 0);
    each_frame(&path, |frame| {
        let (columns, crc, damaged) = decoded(frame);
        let expected = &oracle[frames];
        frames += 1;
        if crc == Crc::Correct {
            assert_eq!(&columns, expected);
            undamaged += 1;
        } else {
            // The content of a damaged packet is not reliable, so nothing of it is decoded.
            let [number, _, rssi, _, pdu, _] = &columns;
            assert_eq!([number, rssi, pdu], [&expected[0], &expected[2], &expected[4]]);
            assert!(damaged, "frame {number}");
        }
    });
    assert_eq!((frames, undamaged), (oracle.len(), 13_621));
}

#[test]
fn the_conference_room_is_a_script_without_its_requests_and_damaged_packets() {
    let name = "captures/5-May_Conference_Room_nRF52_nrf52_capture_0.pcapng";
    let path = common::shared_data(name);
    let replay = sources::open(&path).unwrap();
    assert_eq!(replay.started_at().to_string(), "2020-05-05T18:48:50.551Z");
    let records: Vec<_> = replay.map(Result::unwrap).collect();
    // As Wireshark counts them: `nordic_ble.crcok == 1` of PDU types 0, 1, 2, 4 and 6.
    assert_eq!(records.len(), 12_607);
    assert!(records.is_sorted_by_key(|record| record.at));
}

/// Rows of the second oracle: time, event type, address type, address, RSSI, extended, octets.
fn row_as_record(row: &str) -> Record {
    let [t, _, kind, address, rssi, _, data] = row.split(',').collect::<Vec<_>>()[..] else {
        panic!("{row}")
    };
    let kind = if kind == "0" { AddressKind::Public } else { AddressKind::Random };
    let octets = hex::decode(address.replace(':', "")).unwrap().try_into().unwrap();
    let heard = Advertisement {
        gateway: None,
        address: Address { kind, octets },
        rssi: Dbm::measured(rssi.parse().unwrap()),
        payload: hex::decode(data).unwrap(),
    };
    let seconds = Duration::try_from_secs_f64(t.parse().unwrap()).unwrap();
    Record { at: seconds, what: RecordKind::Received(heard) }
}

#[test]
fn the_phones_log_decodes_to_its_oracle_frame_by_frame() {
    let name = "captures/csacca+horizon-74-at-ble_advonly.btsnoop";
    let path = common::shared_data(name);
    let oracle = fs::read_to_string(path.with_extension("csv")).unwrap();
    let expected: Vec<_> = oracle.lines().skip(1).map(row_as_record).collect();
    let read: Vec<_> = sources::open(&path).unwrap().map(Result::unwrap).collect();
    assert_eq!(read.len(), 412);
    assert_eq!(read, expected);
    let mut rows = oracle.lines().skip(1);
    each_frame(&path, |frame| {
        let Content::Event(mut reports) = frame.link.read(frame.octets) else { panic!("no event") };
        let report = reports.next().unwrap().unwrap();
        let event_type = rows.next().unwrap().split(',').nth(1).unwrap();
        assert_eq!(Some(report.pdu), Pdu::from_hci(event_type.parse().unwrap()));
    });
}
