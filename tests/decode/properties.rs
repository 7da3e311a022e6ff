//! Properties that hold for any octets.

use grelot::pipeline::advert::altbeacon::AltBeacon;
use grelot::pipeline::advert::eddystone::{Eid, Frame, Telemetry, Uid};
use grelot::pipeline::advert::ibeacon::IBeacon;
use grelot::pipeline::advert::structure::Structures;
use grelot::pipeline::advert::{Beacon, Echo, Identifier, Ours, describe, identifiers, token};
use proptest::prelude::*;

/// The same cases each time: looking for new ones is the fuzzer's business.
fn settled() -> ProptestConfig {
    ProptestConfig {
        cases: 2000,
        failure_persistence: None,
        rng_seed: proptest::test_runner::RngSeed::Fixed(1),
        ..ProptestConfig::default()
    }
}

/// Bytes as hostile as they come: noise, or structures of the types that are looked into, with
/// contents that begin as those formats do.
fn payloads() -> impl Strategy<Value = Vec<u8>> {
    let kinds = prop::sample::select(vec![
        0x01, 0x02, 0x03, 0x05, 0x06, 0x07, 0x08, 0x09, 0x0a, 0x16, 0x19, 0x20, 0x21, 0x24, 0xff,
        0x30,
    ]);
    let heads = prop::sample::select(vec![
        vec![],
        vec![0x4c, 0],
        vec![0x4c, 0, 2, 21],
        vec![0x4c, 0, 1],
        vec![0x18, 1, 0xbe, 0xac],
        vec![0xaa, 0xfe, 0],
        vec![0xaa, 0xfe, 0x10],
        vec![0xaa, 0xfe, 0x20],
        vec![0xaa, 0xfe, 0x30],
        vec![0x6f, 0xfd],
        token::service_data(&[0; 11], Echo::from_byte(0))[2..18].to_vec(),
    ]);
    // Now and then a length octet is off by one.
    let lies = prop::sample::select(vec![0, 0, 0, 0, 1, -1_i16]);
    let structure = (kinds, heads, prop::collection::vec(any::<u8>(), 0..30), lies).prop_map(
        |(kind, head, tail, lie)| {
            let truth = i16::try_from(1 + head.len() + tail.len()).unwrap();
            let length = u8::try_from(truth + lie).unwrap();
            [vec![length, kind], head, tail].concat()
        },
    );
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..256),
        prop::collection::vec(structure, 0..6).prop_map(|structures| structures.concat()),
    ]
}

/// What the radio's path decodes of a described beacon.
fn said_of(beacon: Beacon<'_>) -> Option<Identifier> {
    let (identity, health) = (beacon.identity(), beacon.health());
    match beacon {
        Beacon::Eddystone(Frame::Eid(it)) => Some(Identifier::Eid(it.eid)),
        _ => (identity.is_some() || health.is_some())
            .then_some(Identifier::Beacon { identity, health }),
    }
}

fn survives(advertisement: &[u8], beacon: Beacon<'_>) -> Result<(), TestCaseError> {
    let description = describe(advertisement);
    prop_assert_eq!(description.beacon, Some(beacon));
    prop_assert_eq!(description.malformed, None);
    Ok(())
}

proptest! {
    #![proptest_config(settled())]

    #[test]
    fn the_radios_path_and_the_description_agree(payload in payloads()) {
        let to_grelot = |said: &Identifier| matches!(said, Identifier::Token { .. } | Identifier::OverflowHint);
        let (ours, beacons): (Vec<_>, Vec<_>) = identifiers(&payload).partition(to_grelot);
        let description = describe(&payload);
        match description.ours {
            Some(Ours::Token { token, echo, .. }) => {
                let token = Identifier::Token { token, echo };
                prop_assert!(ours.contains(&token));
            }
            // An iBeacon in the same manufacturer data counts before the hint.
            Some(Ours::OverflowHint) => prop_assert!(ours.len() + beacons.len() > 0),
            None => prop_assert_eq!(ours, []),
        }
        match description.beacon.map(said_of) {
            Some(Some(said)) => prop_assert!(beacons.contains(&said)),
            // Of a format without an identity: others may follow it.
            Some(None) => {}
            None => prop_assert_eq!(beacons, []),
        }
    }

    #[test]
    fn structures_and_what_is_left_are_the_whole_payload(payload in payloads()) {
        let mut structures = Structures::new(&payload);
        let mut whole = Vec::new();
        for structure in structures.by_ref() {
            whole.push(u8::try_from(structure.data.len() + 1).unwrap());
            whole.push(structure.kind);
            whole.extend(structure.data);
        }
        whole.extend(structures.rest());
        prop_assert_eq!(whole, payload);
    }

    #[test]
    fn a_token_survives_its_carriers(token: token::Token, echo: u8) {
        let echo = Echo::from_byte(echo);
        let expected = vec![Identifier::Token { token, echo }];
        prop_assert_eq!(identifiers(&token::service_data(&token, echo)).collect::<Vec<_>>(), expected.clone());
        prop_assert_eq!(identifiers(&token::service_uuid(&token, echo)).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn beacons_survive_their_advertisements(
        uuid: [u8; 16], major: u16, minor: u16, tx_power: i8, id: [u8; 20], mfg_reserved: u8,
    ) {
        let beacon = IBeacon { uuid, major, minor, tx_power };
        survives(&beacon.advertisement(), Beacon::IBeacon(beacon))?;
        let beacon = AltBeacon { company: major, id, tx_power, mfg_reserved };
        survives(&beacon.advertisement(), Beacon::AltBeacon(beacon))?;
    }

    #[test]
    fn eddystone_frames_survive_their_advertisements(
        tx_power: i8, eid: [u8; 8], namespace: [u8; 10], instance: [u8; 6], voltage_mv: u16,
        temperature in prop::option::of(-32767..=i16::MAX), adv_count: u32, uptime_ds: u32,
    ) {
        let frame = Uid { namespace, instance, tx_power };
        survives(&frame.advertisement(), Beacon::Eddystone(Frame::Uid(frame)))?;
        let frame = Eid { eid, tx_power };
        survives(&frame.advertisement(), Beacon::Eddystone(Frame::Eid(frame)))?;
        let frame = Telemetry { voltage_mv, temperature_256: temperature, adv_count, uptime_ds };
        survives(&frame.advertisement(), Beacon::Eddystone(Frame::Tlm(frame)))?;
    }
}
