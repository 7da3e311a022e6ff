//! What `instructions.sh` counts the instructions of: advertisements of real captures through the
//! decoder alone, or through the whole pipeline with 10,000 customers enrolled.
//!
//! ```text
//! instructions MEASURE ROUNDS [--new-addresses] CAPTURE…
//! ```
//!
//! The same captures are fed ROUNDS times, 500 advertisements a second, so that the difference
//! between two runs with different ROUNDS leaves out the start and the first contacts.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::indexing_slicing,
    reason = "a measuring tool: it talks to the terminal and stops at the first mistake"
)]

use std::hint::black_box;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, bail};
use grelot::pipeline::advert::{self, Echo, token};
use grelot::pipeline::event::{
    Address, AddressKind, GatewayIndex, Hearing, Input, Restored, Sighting, Start,
};
use grelot::pipeline::identity::key::{ClientKey, Message, Midstates};
use grelot::pipeline::identity::window::{opens_at, window_at};
use grelot::pipeline::identity::{Consent, Credential, Enrolment, Loader, Registry};
use grelot::pipeline::units::{Clock, Dbm, Now, Tick, WallTime};
use grelot::pipeline::{Gateway, Pipeline, Settings, policy, presence};
use grelot::sources::{self, Advertisement, RecordKind};

const STORE: u16 = 42;
const CUSTOMERS: u32 = 10_000;
/// Those of them who are in the shop in the measure `customers`.
const PRESENT: u32 = 50;
/// In that measure one of this many advertisements is a customer's.
const ONE_IN: usize = 10;
/// 500 advertisements a second.
const PACE: Duration = Duration::from_millis(2);

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (flags, words): (Vec<_>, Vec<_>) = arguments.into_iter().partition(|a| a.starts_with("--"));
    let [measure, rounds, captures @ ..] = words.as_slice() else {
        bail!("usage: instructions said|pipeline|customers|dump ROUNDS [--new-addresses] CAPTURE…");
    };
    let rounds: u32 = rounds.parse().context("ROUNDS")?;
    let new_addresses = flags.iter().any(|flag| flag == "--new-addresses");
    let mut mix = Vec::new();
    for capture in captures {
        mix.extend(read(Path::new(capture))?);
    }
    match measure.as_str() {
        "said" => say(&mix, rounds),
        "pipeline" => follow(&mix, rounds, new_addresses),
        "customers" => {
            replace_by_customers(&mut mix);
            follow(&mix, rounds, new_addresses);
        }
        "dump" => dump(&mix),
        other => bail!("unknown measure {other}"),
    }
    Ok(())
}

/// The advertisements of a capture.
fn read(path: &Path) -> anyhow::Result<Vec<Advertisement>> {
    let replay = sources::open(path).with_context(|| path.display().to_string())?;
    Ok(replay
        .filter_map(|record| match record.ok()?.what {
            RecordKind::Received(heard) => Some(heard),
            RecordKind::GroundTruth { .. } => None,
        })
        .collect())
}

/// For the peer: seconds, address, RSSI and payload.
fn dump(mix: &[Advertisement]) {
    for (place, heard) in (0..).zip(mix) {
        let address = heard.address.octets.map(|octet| format!("{octet:02x}")).join(":");
        let rssi = heard.rssi.map_or(-100, Dbm::value);
        println!(
            "{:.3} {address} {rssi} {}",
            (PACE * place).as_secs_f64(),
            hex::encode(&heard.payload)
        );
    }
}

fn say(mix: &[Advertisement], rounds: u32) {
    let mut said = 0;
    for _ in 0..rounds {
        for heard in mix {
            said += advert::identifiers(black_box(&heard.payload)).count();
        }
    }
    eprintln!("{} advertisements, {said} said something", mix.len() * rounds as usize);
}

fn follow(mix: &[Advertisement], rounds: u32, new_addresses: bool) {
    let (mut pipeline, effects) =
        Pipeline::new(settings(), registry(), Restored::default(), Start::Followed, moment(0));
    assert!(effects.is_empty());
    pipeline.handle(moment(0), Input::Hearing(GatewayIndex(0), Hearing::Listening));
    let mut place = 0_u32;
    let mut effects = 0;
    for _ in 0..rounds {
        for heard in mix {
            place += 1;
            let now = moment(place);
            let address = if new_addresses { numbered(place) } else { heard.address };
            let sighting = Sighting {
                gateway: GatewayIndex(0),
                address,
                rssi: heard.rssi,
                payload: &heard.payload,
            };
            effects += pipeline.handle(now, Input::Advertisement(sighting)).len();
            while pipeline.next_deadline().is_some_and(|due| due <= now.tick) {
                effects += pipeline.handle(now, Input::Deadline).len();
            }
        }
    }
    let followed = pipeline.followed();
    eprintln!("{place} advertisements, {followed} customers followed, {effects} effects");
}

/// Every tenth advertisement becomes one of the customers who are in the shop.
fn replace_by_customers(mix: &mut [Advertisement]) {
    let window = window_at(began());
    for (number, heard) in (0..PRESENT).cycle().zip(mix.iter_mut().step_by(ONE_IN)) {
        let key = client_key(number).store_day_key(window / 144, STORE, 0);
        let token = Midstates::new(&key.0).token(&Message::token(window));
        heard.payload = token::service_data(&token, Echo { zone: 1, level: 9 }).to_vec();
        heard.address = numbered(number);
        heard.rssi = Dbm::measured(-62);
    }
}

/// Long enough into a window for the one before it to be out of date, long before the next one's
/// table is built.
fn began() -> WallTime {
    let window = window_at(WallTime::from_unix_millis(1_767_603_600_000));
    opens_at(window).plus(Duration::from_mins(3))
}

fn moment(place: u32) -> Now {
    let passed = PACE * place;
    Now { tick: Tick::ZERO.plus(passed), clock: Clock::Set(began().plus(passed)) }
}

/// A resolvable private address for each number.
fn numbered(number: u32) -> Address {
    let [a, b, c, d] = number.to_be_bytes();
    Address { kind: AddressKind::Random, octets: [0x40, a, b, c, d, 1] }
}

fn client_key(number: u32) -> ClientKey {
    let mut key = [7; 32];
    key[..4].copy_from_slice(&number.to_be_bytes());
    ClientKey(key)
}

fn registry() -> Registry {
    let clock = Clock::Set(began());
    let day = window_at(began()) / 144;
    let mut loader = Loader::new(STORE, clock);
    for number in 0..CUSTOMERS {
        let keys = [day, day + 1].map(|day| (day, client_key(number).store_day_key(day, STORE, 0)));
        let enrolment = Enrolment {
            client: format!("c-{number:06}"),
            tier: "gold".into(),
            credential: Credential::Token(keys.into()),
            consent: Some(Consent {
                given_at: None,
                expires_at: began().plus(Duration::from_hours(1000)),
                show_name: false,
                stores: None,
                withdrawn: false,
            }),
            card: None,
            quiet: None,
            phone: None,
        };
        loader.enrol(number + 1, &enrolment);
    }
    let Ok((registry, report)) = loader.finish() else { unreachable!("no irk is enrolled") };
    assert_eq!(report.loaded, CUSTOMERS as usize);
    registry
}

fn settings() -> Settings {
    let door = Gateway { name: "door".into(), place: None, offset_db: 0.0, levels: None };
    Settings {
        store: STORE,
        gateways: vec![door],
        zones: [None; 16],
        beacons: Vec::new(),
        presence: presence::Settings::default(),
        policy: policy::Settings::default(),
    }
}
