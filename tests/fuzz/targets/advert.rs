//! AD structures, on the radio's path and described in full: the two must agree.
#![no_main]

use grelot::pipeline::advert::{Identifier, describe, identifiers};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|payload: &[u8]| {
    let to_grelot = |said: &Identifier| matches!(said, Identifier::Token { .. } | Identifier::OverflowHint);
    let (ours, beacons): (Vec<_>, Vec<_>) = identifiers(payload).partition(to_grelot);
    let description = describe(payload);
    assert!(ours.is_empty() || description.ours.is_some());
    assert!(beacons.is_empty() || description.beacon.is_some());
    // Structures cannot hold more than was on the air.
    let structures = &description.ad.structures;
    let octets: usize = structures.iter().map(|structure| structure.data.len() + 2).sum();
    assert!(octets <= payload.len());
    assert!(description.malformed.is_some() || payload[octets..].iter().all(|&octet| octet == 0));
});
