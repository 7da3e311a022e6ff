//! Who is recognised, when and where, and who never is: lines of a registry in, matches out.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;
use std::time::Duration;

use grelot::config::registry::Reading;
use grelot::pipeline::advert::{Echo, eddystone, ibeacon, token};
use grelot::pipeline::event::{Address, AddressKind, GatewayIndex, Input, Sighting, Start};
use grelot::pipeline::identity::key::{ClientKey, Message, Midstates};
use grelot::pipeline::identity::window::{day_of, opens_at, window_at};
use grelot::pipeline::identity::{Identity, Registry, eid};
use grelot::pipeline::restored::Restored;
use grelot::pipeline::units::{Clock, Dbm, Tick, WallTime};
use grelot::pipeline::{Now, Pipeline, Settings, policy, presence};
use proptest::prelude::*;

const STORE: u16 = 42;
/// 2026-01-01T00:00:00Z, the first window of a day.
const W: u32 = 2_945_376;
const ECHO: Echo = Echo { zone: 1, level: 10 };

fn at(window: u32, ms: i64) -> WallTime {
    WallTime::from_unix_millis(opens_at(window).unix_millis() + ms)
}

fn now(clock: Clock) -> Now {
    let since = clock.reading().unix_millis() - opens_at(W - 144 * 40).unix_millis();
    Now { tick: Tick::from_micros(u64::try_from(since.max(0)).unwrap() * 1000), clock }
}

fn set(time: WallTime) -> Now {
    now(Clock::Set(time))
}

fn consent() -> &'static str {
    r#""consent":{"given_at":"2025-11-02T10:14:00Z","expires_at":"2028-11-02T00:00:00Z"}"#
}

fn client_key(n: u8) -> ClientKey {
    ClientKey([n; 32])
}

fn token_line(n: u8, days: std::ops::Range<u32>) -> String {
    let key = |day| {
        format!("\"{day}\":\"{}\"", hex::encode(client_key(n).store_day_key(day, STORE, 0).0))
    };
    let days = days.map(key).collect::<Vec<_>>().join(",");
    format!(
        r#"{{"client":"c-{n}","tier":"gold","scheme":"token","days":{{{days}}},{}}}"#,
        consent()
    )
}

fn load(lines: &[String], clock: Clock) -> Registry {
    let text = lines.join("\n");
    let reading = Reading::new(STORE, clock);
    let (registry, report) = reading.load_from(text.as_bytes(), Path::new("test")).unwrap();
    assert_eq!(report.refusals, []);
    registry
}

/// A gateway that has run since `now` with that registry.
fn gateway(lines: &[String], now: Now) -> Identity {
    Identity::new(STORE, load(lines, now.clock), now)
}

fn heard(identity: &mut Identity, now: Now, payload: &[u8]) -> Option<String> {
    from(identity, now, payload, Address { kind: AddressKind::Random, octets: [0xc0; 6] })
}

fn from(identity: &mut Identity, now: Now, payload: &[u8], address: Address) -> Option<String> {
    let sighting = Sighting { gateway: GatewayIndex(0), address, rssi: None, payload };
    let found = identity.identify(now, &sighting)?;
    Some(identity.customer(found.customer).unwrap().client.to_string())
}

/// What the app of customer `n` advertises in `window` when it receives `store`'s beacon.
fn identifiers(n: u8, store: u16, epoch: u16, window: u32) -> [u8; 31] {
    let key = client_key(n).store_day_key(day_of(window), store, epoch);
    token::service_data(&Midstates::new(&key.0).token(&Message::token(window)), ECHO)
}

/// Lets the gateway do all it wants to have done by `until`, as its event loop would.
fn run_until(identity: &mut Identity, until: Now) {
    let mut slices = 0;
    while let Some(due) = identity.next_deadline().filter(|due| *due <= until.tick) {
        let left = until.tick.since(due);
        let clock = until.clock.reading().unix_millis() - i64::try_from(left.as_millis()).unwrap();
        let time = WallTime::from_unix_millis(clock);
        let clock = match until.clock {
            Clock::Set(_) => Clock::Set(time),
            Clock::Unset(_) => Clock::Unset(time),
        };
        identity.advance(Now { tick: due, clock });
        slices += 1;
        assert!(slices < 100_000, "the tables are never finished");
    }
}

/// Lets the gateway do what somebody waits for; returns in how many slices.
fn settle(identity: &mut Identity, now: Now) -> usize {
    let mut slices = 0;
    let soon = |due: Tick| due.since(now.tick) < Duration::from_millis(10);
    while let Some(due) = identity.next_deadline().filter(|due| soon(*due)) {
        identity.advance(Now { tick: due, ..now });
        slices += 1;
        assert!(slices < 10_000, "it is never finished");
    }
    slices
}

#[test]
fn a_token_is_recognised_in_its_window_and_two_minutes_around() {
    for (ms, expected) in
        [(-120_001, false), (-120_000, true), (300_000, true), (720_000, true), (720_001, false)]
    {
        let time = at(W + 10, ms);
        let mut gateway = gateway(&[token_line(1, 20454..20456)], set(time));
        let found = heard(&mut gateway, set(time), &identifiers(1, STORE, 0, W + 10));
        assert_eq!(found.is_some(), expected, "{ms} ms");
    }
}

#[test]
fn the_echo_comes_with_the_match_in_both_carriers() {
    let time = at(W, 1000);
    let mut gateway = gateway(&[token_line(1, 20454..20455)], set(time));
    let key = client_key(1).store_day_key(20454, STORE, 0);
    let token = Midstates::new(&key.0).token(&Message::token(W));
    let payloads = [&token::service_data(&token, ECHO)[..], &token::service_uuid(&token, ECHO)[..]];
    for payload in payloads {
        let sighting = Sighting {
            gateway: GatewayIndex(0),
            address: Address { kind: AddressKind::Random, octets: [0x40; 6] },
            rssi: None,
            payload,
        };
        assert_eq!(gateway.identify(set(time), &sighting).unwrap().echo, Some(ECHO));
    }
}

#[test]
fn the_newest_of_several_echoes_counts_whether_listed_together_or_apart() {
    let time = at(W, 1000);
    let mut gateway = gateway(&[token_line(1, 20454..20455)], set(time));
    let key = client_key(1).store_day_key(20454, STORE, 0);
    let token = Midstates::new(&key.0).token(&Message::token(W));
    let on_air = |zone| {
        let mut uuid = token::uuid(&token, Echo { zone, level: 9 });
        uuid.reverse();
        uuid
    };
    let apart: Vec<u8> =
        (1..=3).flat_map(|zone| [&[17, 0x07], &on_air(zone)[..]].concat()).collect();
    let together = [&[49, 0x07], &on_air(1)[..], &on_air(2), &on_air(3)].concat();
    for payload in [apart, together] {
        let sighting = Sighting {
            gateway: GatewayIndex(0),
            address: Address { kind: AddressKind::Random, octets: [0x40; 6] },
            rssi: None,
            payload: &payload,
        };
        assert_eq!(gateway.identify(set(time), &sighting).unwrap().echo.map(|e| e.zone), Some(3));
    }
}

#[test]
fn a_clock_that_was_never_set_accepts_a_window_more_on_either_side() {
    for (ms, expected) in
        [(-720_001, false), (-720_000, true), (1_320_000, true), (1_320_001, false)]
    {
        let clock = Clock::Unset(at(W + 10, ms));
        let mut gateway = gateway(&[token_line(1, 20454..20456)], now(clock));
        let found = heard(&mut gateway, now(clock), &identifiers(1, STORE, 0, W + 10));
        assert_eq!(found.is_some(), expected, "{ms} ms");
    }
}

#[test]
fn a_phone_is_recognised_all_day_long_and_over_midnight() {
    let start = at(W + 140, 0);
    let mut gateway = gateway(&[token_line(1, 20454..20456)], set(start));
    for minute in 0..120 {
        let time = start.plus(Duration::from_secs(60 * minute));
        run_until(&mut gateway, set(time));
        let window = window_at(time);
        assert!(
            heard(&mut gateway, set(time), &identifiers(1, STORE, 0, window)).is_some(),
            "{time}"
        );
        assert!(heard(&mut gateway, set(time), &identifiers(1, STORE, 0, window - 2)).is_none());
        assert!(heard(&mut gateway, set(time), &identifiers(1, STORE, 0, window + 2)).is_none());
    }
}

#[test]
fn a_restart_just_after_midnight_still_accepts_yesterdays_last_window() {
    let midnight = at(W + 144, 60_000);
    let mut gateway = gateway(&[token_line(1, 20454..20456)], set(midnight));
    assert!(heard(&mut gateway, set(midnight), &identifiers(1, STORE, 0, W + 143)).is_some());
    assert!(heard(&mut gateway, set(midnight), &identifiers(1, STORE, 0, W + 144)).is_some());
}

#[test]
fn a_stepped_clock_loses_no_customer_once_the_tables_are_built() {
    let start = at(W + 72, 0);
    let mut gateway =
        gateway(&[token_line(1, 20454..20456), token_line(2, 20454..20456)], set(start));
    let hour = Duration::from_hours(1);
    let steps = [
        start.plus(hour),
        at(W + 60, 0),
        start.plus(24 * hour),
        start,
        at(W + 144, 0),
        at(W + 143, 599_000),
    ];
    for time in steps {
        let stepped = set(time);
        // The first advertisement after the step may go unrecognised: it shows the step.
        let _ = heard(&mut gateway, stepped, &identifiers(1, STORE, 0, window_at(time)));
        assert!(settle(&mut gateway, stepped) > 0, "{time}");
        for n in [1, 2] {
            let found = heard(&mut gateway, stepped, &identifiers(n, STORE, 0, window_at(time)));
            assert_eq!(found, Some(format!("c-{n}")), "{time}");
        }
        assert_eq!(
            heard(&mut gateway, stepped, &identifiers(1, STORE, 0, window_at(time) + 3)),
            None
        );
    }
}

#[test]
fn a_clock_that_gets_set_narrows_what_is_accepted_at_once() {
    let unset = Clock::Unset(at(W + 72, 0));
    let mut gateway = gateway(&[token_line(1, 20454..20456)], now(unset));
    assert!(heard(&mut gateway, now(unset), &identifiers(1, STORE, 0, W + 73)).is_some());
    let set = set(at(W + 72, 0));
    assert!(heard(&mut gateway, set, &identifiers(1, STORE, 0, W + 73)).is_none());
    assert!(heard(&mut gateway, set, &identifiers(1, STORE, 0, W + 72)).is_some());
}

#[test]
fn consent_that_runs_out_while_the_gateway_runs_ends_recognition() {
    let line = token_line(1, 20454..20456).replace("2028-11-02T00:00:00Z", "2026-01-01T12:00:00Z");
    let noon = at(W + 72, 0);
    let before = noon.plus(Duration::ZERO);
    let mut gateway = gateway(&[line], set(at(W + 71, 599_000)));
    let last = set(at(W + 71, 599_999));
    assert!(heard(&mut gateway, last, &identifiers(1, STORE, 0, W + 71)).is_some());
    assert!(heard(&mut gateway, set(before), &identifiers(1, STORE, 0, W + 71)).is_none());
}

#[test]
fn consent_ends_to_the_second_however_long_ago_the_registry_was_loaded() {
    let card = r#""eddystone_uid":{"namespace":"00010203040506070809","instance":"0a0b0c0d0e0f"}"#;
    let frame = eddystone::Uid {
        namespace: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9],
        instance: [10, 11, 12, 13, 14, 15],
        tx_power: -20,
    };
    for days in [0, 2, 3, 4, 1000] {
        for second in [-1, 0, 1, 3600] {
            let end = at(W + 144 * days, 7_200_000 + second * 1000);
            let line = beacon_line(1, card).replace("2028-11-02T00:00:00Z", &end.to_string());
            let loaded = set(at(W, 7_200_000 - 3_600_000));
            let mut gateway = gateway(&[line], loaded);
            let mut is_known = |ms| {
                let time = WallTime::from_unix_millis(end.unix_millis() + ms);
                heard(&mut gateway, set(time), &frame.advertisement()).is_some()
            };
            assert!(is_known(-3_000_000) && is_known(-1), "{days} days and {second} s");
            assert!(!is_known(0) && !is_known(1), "{days} days and {second} s");
            assert!(!is_known(400 * 86_400_000), "{days} days and {second} s");
        }
    }
}

#[test]
fn a_withdrawn_customer_is_a_stranger_at_once() {
    let time = set(at(W, 0));
    let lines = [token_line(1, 20454..20456), token_line(2, 20454..20456)];
    let mut gateway = gateway(&lines, time);
    let index = gateway.index_of("c-1").unwrap();
    gateway.withdraw("c-1");
    assert_eq!(heard(&mut gateway, time, &identifiers(1, STORE, 0, W)), None);
    assert_eq!(heard(&mut gateway, time, &identifiers(2, STORE, 0, W)), Some("c-2".into()));
    assert!(gateway.customer(index).is_none());
    assert_eq!(gateway.index_of("c-1"), None);
    // nor in the windows to come
    let later = set(at(W + 3, 0));
    run_until(&mut gateway, later);
    assert_eq!(heard(&mut gateway, later, &identifiers(1, STORE, 0, W + 3)), None);
    assert_eq!(heard(&mut gateway, later, &identifiers(2, STORE, 0, W + 3)), Some("c-2".into()));
}

#[test]
fn a_new_registry_serves_from_the_next_advertisement_on() {
    let time = set(at(W, 0));
    let mut gateway = gateway(&[token_line(1, 20454..20456)], time);
    gateway.replace(load(&[token_line(2, 20454..20456)], time.clock), time);
    assert_eq!(heard(&mut gateway, time, &identifiers(1, STORE, 0, W)), None);
    assert_eq!(heard(&mut gateway, time, &identifiers(2, STORE, 0, W)), Some("c-2".into()));
}

#[test]
fn an_answer_over_gatt_must_prove_that_it_knows_the_key() {
    let time = set(at(W, 0));
    let gateway = gateway(&[token_line(1, 20454..20456)], time);
    let key = client_key(1).store_day_key(20454, STORE, 0);
    let states = Midstates::new(&key.0);
    let token = states.token(&Message::token(W));
    let nonce = [7; 16];
    let proof = states.tag(&Message::challenge(&nonce, ECHO.to_byte(), &token));
    let mut answer = [0; 21];
    answer[0] = 1;
    answer[1] = ECHO.to_byte();
    answer[2..13].copy_from_slice(&token);
    answer[13..].copy_from_slice(&proof[..8]);
    assert_eq!(gateway.check_answer(time, &nonce, &answer).unwrap().echo, Some(ECHO));
    assert_eq!(gateway.check_answer(time, &[8; 16], &answer), None, "another challenge");
    for at in 0..21 {
        let mut forged = answer;
        forged[at] ^= 1;
        assert_eq!(gateway.check_answer(time, &nonce, &forged), None, "octet {at}");
    }
}

fn beacon_line(n: u8, identity: &str) -> String {
    format!(r#"{{"client":"c-{n}","tier":"gold","scheme":"beacon",{identity},{}}}"#, consent())
}

#[test]
fn cards_with_a_fixed_identity_are_recognised_by_all_of_it() {
    let uuid = [0xab; 16];
    let lines = [
        beacon_line(
            1,
            &format!(
                r#""ibeacon":{{"uuid":"{}","major":1,"minor":2}}"#,
                uuid::Uuid::from_bytes(uuid)
            ),
        ),
        beacon_line(
            2,
            r#""eddystone_uid":{"namespace":"00010203040506070809","instance":"0a0b0c0d0e0f"}"#,
        ),
        beacon_line(3, &format!(r#""altbeacon":"{}""#, "5a".repeat(20))),
    ];
    let time = set(at(W, 0));
    let mut gateway = gateway(&lines, time);
    let card =
        |major, minor| ibeacon::IBeacon { uuid, major, minor, tx_power: -59 }.advertisement();
    assert_eq!(heard(&mut gateway, time, &card(1, 2)), Some("c-1".into()));
    assert_eq!(heard(&mut gateway, time, &card(1, 3)), None);
    assert_eq!(heard(&mut gateway, time, &card(2, 1)), None);
    let frame = |last| eddystone::Uid {
        namespace: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9],
        instance: [10, 11, 12, 13, 14, last],
        tx_power: 0,
    };
    assert_eq!(heard(&mut gateway, time, &frame(15).advertisement()), Some("c-2".into()));
    assert_eq!(heard(&mut gateway, time, &frame(16).advertisement()), None);
    let mut alt = vec![27, 0xff, 0x18, 0x01, 0xbe, 0xac];
    alt.extend([0x5a; 20]);
    alt.extend([0xc5, 0]);
    assert_eq!(heard(&mut gateway, time, &alt), Some("c-3".into()));
}

const IK: [u8; 16] = [0x11; 16];

fn eid_line(k: u8, offset_s: i64, tops: std::ops::RangeInclusive<u16>) -> String {
    let key = |top| format!("\"{top}\":\"{}\"", hex::encode(eid::temporary_key(&IK, top)));
    let keys = tops.map(key).collect::<Vec<_>>().join(",");
    format!(
        r#"{{"client":"c-card","tier":"gold","scheme":"eid","k":{k},"offset_s":{offset_s},"tks":{{{keys}}},{}}}"#,
        consent()
    )
}

/// What a card whose clock shows `ts` says.
fn card_says(k: u8, ts: i64) -> [u8; 21] {
    let start = u32::try_from(ts >> k << k).unwrap();
    let key = eid::temporary_key(&IK, u16::try_from(start >> 16).unwrap());
    eddystone::Eid { eid: eid::identity(&key, k, start), tx_power: 0 }.advertisement()
}

#[test]
fn a_card_may_be_one_rotation_off_and_no_more() {
    let unix = at(W, 300_000).unix_secs();
    for (k, offset) in [(10, 65_000 - unix), (4, -37), (0, 100), (15, 200_000 - unix)] {
        let ts = unix + offset;
        let top = u16::try_from(ts >> 16).unwrap();
        let line = eid_line(k, offset, top.saturating_sub(1)..=top + 3);
        let time = set(WallTime::from_unix_secs(unix));
        for off in -3_i64..=3 {
            // A fresh gateway for each: a match teaches it the card's clock.
            let mut gateway = gateway(std::slice::from_ref(&line), time);
            let found = heard(&mut gateway, time, &card_says(k, ts + (off << k)));
            assert_eq!(found.is_some(), off.abs() <= 1, "k {k}, {off} rotations off");
        }
    }
}

#[test]
fn the_sign_of_the_offset_follows_from_the_keys() {
    let unix = at(W, 0).unix_secs();
    let time = set(WallTime::from_unix_secs(unix));
    let ts = 1_800_000;
    for offset in [ts - unix, unix - ts] {
        let mut gateway = gateway(&[eid_line(10, offset, 27..=28)], time);
        assert!(heard(&mut gateway, time, &card_says(10, ts)).is_some());
    }
}

#[test]
fn a_card_that_drifts_away_is_followed() {
    let start = at(W, 0).unix_secs();
    let top = |secs: i64| u16::try_from(secs >> 16).unwrap();
    let line = eid_line(8, 0, top(start)..=top(start) + 3);
    let mut gateway = gateway(&[line], set(WallTime::from_unix_secs(start)));
    // 2 % fast: after a day five rotations ahead, were its clock not learned.
    for minute in 0..24 * 60 {
        let unix = start + minute * 60;
        let time = set(WallTime::from_unix_secs(unix));
        run_until(&mut gateway, time);
        let shown = unix + minute * 60 / 50;
        assert!(heard(&mut gateway, time, &card_says(8, shown)).is_some(), "minute {minute}");
    }
}

#[test]
fn a_card_unheard_for_thirty_days_may_be_six_rotations_off() {
    let start = at(W, 0).unix_secs();
    let top = |secs: i64| u16::try_from(secs >> 16).unwrap();
    let line = |day: i64| {
        let first = top(start + day * 86_400);
        eid_line(10, 0, first - 1..=first + 3)
    };
    for (days, off, expected) in
        [(29, 2, false), (30, 2, true), (30, 6, true), (30, -6, true), (30, 7, false)]
    {
        let first = set(WallTime::from_unix_secs(start));
        let mut gateway = gateway(&[line(0)], first);
        assert!(heard(&mut gateway, first, &card_says(10, start)).is_some());
        let unix = start + days * 86_400;
        let time = set(WallTime::from_unix_secs(unix));
        gateway.replace(load(&[line(days)], time.clock), time);
        run_until(&mut gateway, time);
        let found = heard(&mut gateway, time, &card_says(10, unix + (off << 10)));
        // What was learned on day 0 goes on into the registry of a later day.
        assert_eq!(found.is_some(), expected, "{days} days, {off} rotations");
    }
}

fn irk_line(n: u16) -> String {
    let irk =
        if n == 0 { "ec0234a357c8ad05341010a60a397d9b".to_owned() } else { format!("{n:032x}") };
    format!(r#"{{"client":"c-{n}","tier":"gold","scheme":"irk","irk":"{irk}",{}}}"#, consent())
}

fn address(text: &str, kind: AddressKind) -> Address {
    let octets: Vec<u8> =
        text.split(':').map(|octet| u8::from_str_radix(octet, 16).unwrap()).collect();
    Address { kind, octets: octets.try_into().unwrap() }
}

#[test]
fn a_paired_phone_is_known_by_its_resolvable_address_alone() {
    let time = set(at(W, 0));
    let mut gateway = gateway(&[irk_line(0)], time);
    let nothing = [2, 1, 6];
    // Bluetooth Core, Vol 3, Part H, D.7, and Fuchsia's cases.
    for (text, kind, expected) in [
        ("70:81:94:0d:fb:aa", AddressKind::Random, true),
        ("70:81:94:0d:fb:aa", AddressKind::Public, false),
        ("70:81:94:0d:fb:a9", AddressKind::Random, false),
        ("f0:81:94:0d:fb:a9", AddressKind::Random, false),
        ("00:81:94:0d:fb:a9", AddressKind::Random, false),
    ] {
        let found = from(&mut gateway, time, &nothing, address(text, kind));
        assert_eq!(found.is_some(), expected, "{text}");
    }
}

#[test]
fn with_many_keys_an_address_is_known_from_its_next_advertisement_on() {
    let time = set(at(W, 0));
    let lines: Vec<String> = (0..3000).rev().map(irk_line).collect();
    let mut gateway = gateway(&lines, time);
    let phone = address("70:81:94:0d:fb:aa", AddressKind::Random);
    let stranger = address("70:81:94:0d:fb:ab", AddressKind::Random);
    assert_eq!(from(&mut gateway, time, &[2, 1, 6], stranger), None);
    assert_eq!(from(&mut gateway, time, &[2, 1, 6], phone), None, "waits to be tried");
    let slices = settle(&mut gateway, time);
    assert!((15..=30).contains(&slices), "{slices} slices for two addresses");
    assert_eq!(from(&mut gateway, time, &[2, 1, 6], phone), Some("c-0".into()));
    assert_eq!(from(&mut gateway, time, &[2, 1, 6], stranger), None);
    assert_eq!(settle(&mut gateway, time), 0, "the stranger is not tried again");
}

#[test]
fn an_address_that_two_keys_fit_matches_no_customer() {
    // Found by search: both hash 40:00:01 to the same three octets.
    use grelot::pipeline::identity::irk::hash;
    use grelot::pipeline::identity::key::Key;
    let key = |n: u32| {
        let mut octets = [0; 16];
        octets[..4].copy_from_slice(&n.to_be_bytes());
        octets[15] = 1;
        Key(octets)
    };
    let mut seen = std::collections::HashMap::new();
    let (prand, mut pair) = ([0x40, 0, 1], None);
    for n in 0..60_000 {
        if let Some(other) = seen.insert(hash(&key(n), prand), n) {
            pair = Some((other, n));
            break;
        }
    }
    let (a, b) = pair.expect("a collision of 24 bits among 60,000");
    let line = |name: &str, n| {
        let irk = hex::encode(key(n).0);
        format!(r#"{{"client":"{name}","tier":"gold","scheme":"irk","irk":"{irk}",{}}}"#, consent())
    };
    let time = set(at(W, 0));
    let hash = hash(&key(a), prand);
    let octets = [prand[0], prand[1], prand[2], hash[0], hash[1], hash[2]];
    let address = Address { kind: AddressKind::Random, octets };
    let mut alone = gateway(&[line("a", a)], time);
    assert_eq!(from(&mut alone, time, &[], address), Some("a".into()));
    let mut both = gateway(&[line("a", a), line("b", b)], time);
    assert_eq!(from(&mut both, time, &[], address), None);
}

#[derive(Debug, Clone)]
struct Phone {
    customer: u8,
    store: u16,
    epoch: u16,
    /// When it advertises, in ms since W opened.
    speaks: i64,
    /// When it, or the device that recorded it, is received.
    heard: i64,
}

fn phone() -> impl Strategy<Value = Phone> {
    let ms = -3_600_000..2 * 86_400_000_i64;
    let near = prop_oneof![4 => -1_500_000..1_500_000_i64, 1 => -90_000_000..90_000_000_i64];
    (
        1..7_u8,
        prop_oneof![4 => Just(STORE), 1 => 1..100_u16],
        prop_oneof![6 => Just(0), 1 => 1..9_u16],
        ms,
        near,
    )
        .prop_map(|(customer, store, epoch, speaks, near)| Phone {
            customer,
            store,
            epoch,
            speaks,
            heard: (speaks + near).max(-3_600_000),
        })
}

/// Customers 1 to 3 are enrolled here; 4 has no consent, 5 consented for another store, 6 is not
/// in the registry.
fn lines() -> Vec<String> {
    let line = |n| token_line(n, 20453..20456);
    let without = line(4).replace(consent(), r#""consent":null"#);
    let elsewhere = line(5).replace("\"given_at\"", "\"stores\":[43],\"given_at\"");
    vec![line(1), line(2), line(3), without, elsewhere]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_token_is_matched_if_and_only_if_an_enrolled_customer_could_have_sent_it_here_and_now(
        phone in phone(),
        unset in any::<bool>(),
        started in 0..7_200_000_i64,
    ) {
        let wall = |ms: i64| at(W, ms);
        let clock = |ms| if unset { Clock::Unset(wall(ms)) } else { Clock::Set(wall(ms)) };
        let start = now(clock(phone.heard - started));
        let heard_at = now(clock(phone.heard));
        let mut gateway = gateway(&lines(), start);
        run_until(&mut gateway, heard_at);

        let window = window_at(wall(phone.speaks));
        let skew = if unset { 720_000 } else { 120_000 };
        let opens = opens_at(window).unix_millis() - opens_at(W).unix_millis();
        let in_time = (opens - skew..=opens + 600_000 + skew).contains(&phone.heard);
        // Keys are kept for the day at which the gateway started and the next one (and for the
        // last minutes of the day before).
        let key = gateway.registry().days().any(|day| day == day_of(window));
        let expected = (1..=3).contains(&phone.customer)
            && phone.store == STORE && phone.epoch == 0 && in_time && key;

        let payload = identifiers(phone.customer, phone.store, phone.epoch, window);
        let found = heard(&mut gateway, heard_at, &payload);
        prop_assert_eq!(found, expected.then(|| format!("c-{}", phone.customer)));
    }

    #[test]
    fn a_replay_in_another_store_or_after_its_time_matches_no_customer(
        customer in 1..4_u8,
        store in (1..=u16::MAX).prop_filter("another store", |store| *store != STORE),
        later in 1_320_001..90_000_000_i64,
    ) {
        let time = set(at(W, 0));
        let mut here = gateway(&lines(), time);
        prop_assert_eq!(heard(&mut here, time, &identifiers(customer, store, 0, W)), None);
        let after = set(at(W, later));
        run_until(&mut here, after);
        prop_assert_eq!(heard(&mut here, after, &identifiers(customer, STORE, 0, W)), None);
    }

    #[test]
    fn no_customer_is_found_in_noise(payload in proptest::collection::vec(any::<u8>(), 0..62)) {
        let time = set(at(W, 0));
        let mut gateway = gateway(&lines(), time);
        prop_assert_eq!(heard(&mut gateway, time, &payload), None);
    }
}

/// What the gateway hears of the phone of customer 1 in ten minutes, and announces.
fn walked_in(lines: &[String], rssi: i16) -> Vec<String> {
    let begun = set(at(W, 1000));
    let settings = Settings {
        store: STORE,
        gateways: Vec::new(),
        zones: [None; 16],
        beacons: Vec::new(),
        presence: presence::Settings::default(),
        policy: policy::Settings::default(),
    };
    let registry = load(lines, begun.clock);
    let (mut pipeline, _) =
        Pipeline::new(settings, registry, Restored::default(), Start::Followed, begun);
    let payload = identifiers(1, STORE, 0, W);
    let address = Address { kind: AddressKind::Random, octets: [0xc0; 6] };
    let mut happened = Vec::new();
    for second in 1..=500 {
        let now = set(at(W, 1000 + second * 1000));
        let level = if second < 60 { rssi - 25 } else { rssi };
        let rssi = Dbm::measured(level);
        let heard = Sighting { gateway: GatewayIndex(0), address, rssi, payload: &payload };
        let effects = pipeline.handle(now, Input::Advertisement(heard));
        happened.extend(effects.iter().map(|effect| format!("{second}: {effect:?}")));
    }
    happened
}

fn of_model(line: &str, tx_db: f64, rx_db: f64) -> String {
    line.replace(
        r#""consent""#,
        &format!(r#""phone":{{"tx_db":{tx_db},"rx_db":{rx_db}}},"consent""#),
    )
}

#[test]
fn a_loud_model_of_phone_counts_as_an_average_one_would() {
    let line = token_line(1, 20454..20455);
    let average = walked_in(std::slice::from_ref(&line), -58);
    assert!(average.iter().any(|effect| effect.contains("Arrived")), "{average:?}");
    assert_eq!(walked_in(&[of_model(&line, 9.4, 0.0)], -49), average);
    assert_ne!(walked_in(&[line], -49), average);
}

#[test]
fn the_model_is_the_phones_and_no_cards() {
    let time = at(W, 1000);
    let card = format!(
        r#"{{"client":"c-1","tier":"gold","scheme":"beacon","altbeacon":"{}",{}}}"#,
        "ab".repeat(20),
        consent()
    );
    let token = of_model(&token_line(1, 20454..20455), -7.0, 4.0);
    let reading = Reading::new(STORE, set(time).clock);
    let both = format!("{token}\n{}", of_model(&card, 3.0, 0.0));
    let (_, report) = reading.load_from(both.as_bytes(), Path::new("test")).unwrap();
    let refusals: Vec<_> = report.refusals.iter().map(ToString::to_string).collect();
    assert_eq!(refusals, ["line 2: phone: only with scheme token or irk"]);

    let mut gateway = gateway(&[card, token], set(time));
    let mut levels = |payload: &[u8]| {
        let address = Address { kind: AddressKind::Random, octets: [0xc0; 6] };
        let rssi = Dbm::measured(-60);
        let sighting = Sighting { gateway: GatewayIndex(0), address, rssi, payload };
        let found = gateway.identify(set(time), &sighting).unwrap();
        let (found, rssi) = gateway.as_average(found, rssi);
        (rssi.unwrap().value(), found.echo)
    };
    let card = [&hex::decode("1bff1801beac").unwrap()[..], &[0xab; 20], &[0xc5, 0]].concat();
    assert_eq!(levels(&card), (-60, None));
    let quieter = Echo { level: ECHO.level - 1, ..ECHO };
    assert_eq!(levels(&identifiers(1, STORE, 0, W)), (-53, Some(quieter)));
}
