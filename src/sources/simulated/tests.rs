//! The simulated shop against the real registry and identity layer, and its own guarantees.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use sha2::{Digest, Sha256};

use super::*;
use crate::config::registry::Reading;
use crate::pipeline::Place;
use crate::pipeline::advert::{Identifier, identifiers};
use crate::pipeline::event::{GatewayIndex, Sighting};
use crate::pipeline::identity::{Identity, Registry};
use crate::pipeline::units::{Clock, Now, Tick};
use crate::sources::GroundTruth;
use crate::sources::recording::{Header, Writer};

const STARTED_AT: WallTime = WallTime::from_unix_secs(1_767_603_600);

fn daily() -> Scene {
    let gateways = [("door", Some(Place::Door)), ("till", Some(Place::Inside))];
    let zones = [None, Some(Place::Door), Some(Place::Inside)];
    Scene::daily(42, &gateways, &zones)
}

fn records(scene: Scene, seed: u64, seconds: u64) -> Vec<Record> {
    let shop = Shop::new(scene, seed, STARTED_AT).map(Result::unwrap);
    shop.take_while(|record| record.at < Duration::from_secs(seconds)).collect()
}

fn registry(shop: &Shop) -> Registry {
    let lines: Vec<_> = shop.registry_lines(2).collect();
    let reading = Reading::new(42, Clock::Set(STARTED_AT));
    let (registry, report) =
        reading.load_from(lines.join("\n").as_bytes(), Path::new("made-up")).unwrap();
    assert_eq!((report.loaded, report.refused), (240, 0), "{:?}", report.refusals);
    registry
}

/// How often each customer is recognised, by handle.
fn recognised(records: &[Record], shop: &Shop) -> BTreeMap<String, usize> {
    let moment = |at| Now { tick: Tick::ZERO.plus(at), clock: Clock::Set(STARTED_AT.plus(at)) };
    let mut identity = Identity::new(42, registry(shop), moment(Duration::ZERO));
    let mut found = BTreeMap::new();
    for record in records {
        let RecordKind::Received(heard) = &record.what else { continue };
        let now = moment(record.at);
        while identity.next_deadline().is_some_and(|due| due <= now.tick) {
            identity.advance(now);
        }
        let sighting = Sighting {
            gateway: GatewayIndex(0),
            address: heard.address,
            rssi: heard.rssi,
            payload: &heard.payload,
        };
        if let Some(found_customer) = identity.identify(now, &sighting) {
            let customer = identity.customer(found_customer.customer).unwrap();
            *found.entry(customer.client.to_string()).or_default() += 1;
        }
    }
    found
}

#[test]
fn a_seed_gives_the_same_bytes_on_every_machine() {
    let header = Header { started_at: STARTED_AT, store: Some(42), gateways: Vec::new() };
    let mut writer = Writer::new(Vec::new(), &header).unwrap();
    for record in records(daily(), 7, 120) {
        writer.write(&record).unwrap();
    }
    let digest = hex::encode(Sha256::digest(writer.into_inner()));
    assert_eq!(digest, "795b7e0622ea246c7a98ad8ea259903af5b90bb3aa40f2f3bd2025d47d7a75a2");
    assert_ne!(records(daily(), 7, 20), records(daily(), 8, 20));
}

#[test]
fn the_first_customer_of_the_day_crosses_the_door_within_fifteen_seconds() {
    for seed in 0..20 {
        let truth = records(daily(), seed, 60).into_iter().find_map(|record| match record.what {
            RecordKind::GroundTruth { word, client } => Some((record.at, word, client)),
            RecordKind::Received(_) => None,
        });
        let (at, word, client) = truth.unwrap();
        let first = Shop::new(daily(), seed, STARTED_AT).client(0);
        assert_eq!((word, client), (GroundTruth::Enter, first), "seed {seed}");
        assert!((5..15).contains(&at.as_secs()), "seed {seed}: {at:?}");
    }
}

#[test]
fn customers_are_recognised_by_the_registry_and_strangers_are_not() {
    let shop = Shop::new(daily(), 3, STARTED_AT);
    // Long enough for tokens and addresses to change.
    let records = records(daily(), 3, 1500);
    let recognised = recognised(&records, &shop);
    let present: BTreeSet<_> = records
        .iter()
        .filter_map(|record| match &record.what {
            RecordKind::GroundTruth { client, .. } => Some(client.clone()),
            RecordKind::Received(_) => None,
        })
        .collect();
    assert!(present.len() > 15, "{}", present.len());
    let unheard: Vec<_> = present.iter().filter(|c| !recognised.contains_key(*c)).collect();
    assert!(unheard.is_empty(), "{unheard:?}");
    assert!(recognised.values().sum::<usize>() < records.len());
    assert!(recognised.values().all(|sightings| *sightings > 3), "{recognised:?}");
}

#[test]
fn phones_say_which_beacon_they_hear_best() {
    let echoes: BTreeSet<u8> = records(daily(), 3, 600)
        .iter()
        .filter_map(|record| match &record.what {
            RecordKind::Received(heard) => {
                identifiers(&heard.payload).find_map(|said| match said {
                    Identifier::Token { echo, .. } => Some(echo.zone),
                    _ => None,
                })
            }
            RecordKind::GroundTruth { .. } => None,
        })
        .collect();
    assert!(echoes.is_superset(&[1, 2].into()), "{echoes:?}");
}

#[test]
fn one_more_gateway_changes_nothing_for_the_others() {
    let more = |record: &Record| match &record.what {
        RecordKind::Received(heard) => heard.gateway.as_deref() == Some("yard"),
        RecordKind::GroundTruth { .. } => false,
    };
    let mut scene = daily();
    scene.gateways.push(("yard".into(), floor_plan::Point::at(3.0, 12.0)));
    let mut with = records(scene, 5, 120);
    assert!(with.iter().any(more));
    with.retain(|record| !more(record));
    assert_eq!(with, records(daily(), 5, 120));
}

#[test]
fn a_crowd_of_strangers_has_no_customer_and_changes_addresses() {
    let scene = Scene::crowd(500, Duration::from_secs(20));
    let records = records(scene, 1, 100);
    let mut addresses = BTreeSet::new();
    for record in &records {
        assert!(record.at <= Duration::from_secs(20));
        let RecordKind::Received(heard) = &record.what else { panic!("{record:?}") };
        assert_eq!(identifiers(&heard.payload).count(), 0);
        addresses.insert(heard.address);
    }
    assert!(addresses.len() >= 400, "{}", addresses.len());
}

#[test]
fn time_never_goes_back() {
    assert!(records(daily(), 11, 900).is_sorted_by_key(|record| record.at));
}
