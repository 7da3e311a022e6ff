//! What recognising customers costs, by number of customers: `cargo bench --bench identity`.
//!
//! Prints a table; asserts nothing, since times are the machine's. `-- irk` prints the second
//! table alone; with `RUSTFLAGS='--cfg aes_backend="soft"'` and a Python that has
//! bluetooth-data-tools (`GRELOT_PYTHON`) it compares `irk` with that in the same run.
#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::cast_precision_loss,
    reason = "a benchmark reads clocks and prints"
)]

#[path = "irk.rs"]
mod irk;

use std::hint::black_box;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use grelot::config::registry;
use grelot::pipeline::Now;
use grelot::pipeline::advert::{Echo, token};
use grelot::pipeline::event::{Address, AddressKind, GatewayIndex, Sighting};
use grelot::pipeline::identity::key::{Message, Midstates};
use grelot::pipeline::identity::{Identity, Registry, eid};
use grelot::pipeline::units::{Clock, Tick, WallTime};

/// 2026-01-01T00:00:00Z.
const START: i64 = 1_767_225_600;
const STORE: u16 = 42;

fn main() {
    let only_irk = std::env::args().any(|argument| argument == "irk");
    if !only_irk {
        println!("{:<44}{:>14}{:>14}", "scheme token, customers", "10,000", "1,000,000");
        let columns: Vec<_> = [10_000, 1_000_000].map(tokens).into();
        print_columns(&columns);
        println!();
        println!("{:<44}{:>14}{:>14}", "other schemes, customers", "10,000", "1,000,000");
        let columns: Vec<_> = [10_000, 1_000_000].map(cards).into();
        print_columns(&columns);
        println!();
    }
    irk::run();
}

fn print_columns(columns: &[Vec<(&'static str, String)>]) {
    for row in 0..columns[0].len() {
        print!("{:<44}", columns[0][row].0);
        for column in columns {
            print!("{:>14}", column[row].1);
        }
        println!();
    }
}

fn now(ms: i64) -> Now {
    let clock = Clock::Set(WallTime::from_unix_millis(START * 1000 + ms));
    Now { tick: Tick::from_micros(u64::try_from(ms).unwrap() * 1000), clock }
}

/// Pseudo-random octets, the same each run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn octets<const N: usize>(&mut self) -> [u8; N] {
        std::array::from_fn(|_| self.next().to_le_bytes()[0])
    }
}

fn key(n: usize, day: u64) -> [u8; 16] {
    Random(n as u64 * 64 + day).octets()
}

fn write_registry(path: &Path, count: usize, credential: impl Fn(usize) -> String) {
    let mut file = std::io::BufWriter::new(std::fs::File::create(path).unwrap());
    for n in 0..count {
        writeln!(
            file,
            r#"{{"client":"c-{n:06x}","tier":"gold",{},"consent":{{"given_at":"2025-11-02T10:14:00Z","text":"fr-2025-10","expires_at":"2028-11-02T00:00:00Z","show_name":true}},"card":{{"name":"Mme {:04x}.","language":"fr"}},"quiet":null}}"#,
            credential(n),
            n % 65536
        )
        .unwrap();
    }
}

fn resident_mb() -> f64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: f64 = statm.split(' ').nth(1).unwrap().parse().unwrap();
    pages * 4096.0 / 1e6
}

fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let start = Instant::now();
    let done = work();
    (done, start.elapsed())
}

/// The best of some rounds: what the machine can do when it is idle.
fn ns_each(rounds: usize, count: usize, mut work: impl FnMut()) -> f64 {
    let best = (0..rounds).map(|_| timed(&mut work).1).min().unwrap();
    best.as_secs_f64() * 1e9 / count as f64
}

struct Loaded {
    identity: Identity,
    load: Duration,
    octets: usize,
    resident: f64,
}

fn load(count: usize, credential: impl Fn(usize) -> String) -> Loaded {
    let before = resident_mb();
    let start = now(3_600_000);
    let (registry, load) = read(count, start, credential);
    let octets = registry.octets();
    let identity = Identity::new(STORE, registry, start);
    Loaded { identity, load, octets, resident: resident_mb() - before }
}

fn read(count: usize, at: Now, credential: impl Fn(usize) -> String) -> (Registry, Duration) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("customers.jsonl");
    write_registry(&path, count, credential);
    let ((registry, report), load) = timed(|| registry::load(&path, STORE, at.clock).unwrap());
    assert_eq!(report.loaded, count);
    (registry, load)
}

/// Builds the next window as the event loop would; returns how long each slice took.
fn next_window(identity: &mut Identity, window: i64) -> Vec<Duration> {
    slices(identity, now(3_600_000 + window * 600_000 + 120_001))
}

/// All that is to be done soon, as the event loop would; returns how long each slice took.
fn slices(identity: &mut Identity, after: Now) -> Vec<Duration> {
    let mut taken = Vec::new();
    let mut tick = after.tick;
    loop {
        taken.push(timed(|| identity.advance(Now { tick, clock: after.clock })).1);
        match identity.next_deadline() {
            Some(due) if due.since(tick) < Duration::from_secs(1) => tick = due,
            _ => return taken,
        }
    }
}

/// The sum and the longest of slices that did the same work several times: of each the shortest,
/// so that it is not the machine's other work that is measured.
fn undisturbed(rounds: &[Vec<Duration>]) -> (Duration, Duration) {
    let count = rounds.iter().map(Vec::len).min().unwrap();
    let each: Vec<_> = (0..count).map(|at| rounds.iter().map(|r| r[at]).min().unwrap()).collect();
    (each.iter().sum(), each.into_iter().max().unwrap())
}

fn heard(identity: &mut Identity, at: Now, payload: &[u8]) -> bool {
    let address = Address { kind: AddressKind::Random, octets: [0xc0; 6] };
    let sighting = Sighting { gateway: GatewayIndex(0), address, rssi: None, payload };
    identity.identify(at, &sighting).is_some()
}

/// Look-ups of advertisements in random order: nanoseconds each, decoding included.
fn look_ups(identity: &mut Identity, at: Now, payloads: &[Vec<u8>], expected: bool) -> f64 {
    typical_ns(payloads, |payload| assert_eq!(heard(identity, at, payload), expected))
}

/// Nanoseconds each: the median of short spans, since the machine has other work, too. No payload
/// comes again before all others did, so none is warm in a cache that holds not all.
fn typical_ns(payloads: &[Vec<u8>], mut work: impl FnMut(&[u8])) -> f64 {
    let mut spans = Vec::new();
    for _ in 0..3 {
        for span in payloads.chunks_exact(500) {
            let ((), taken) = timed(|| span.iter().for_each(|payload| work(black_box(payload))));
            spans.push(taken);
        }
    }
    spans.sort_unstable();
    spans[spans.len() / 2].as_secs_f64() * 1e9 / 500.0
}

const ECHO: Echo = Echo { zone: 1, level: 10 };

fn tokens(count: usize) -> Vec<(&'static str, String)> {
    let day = u64::try_from(START / 86_400).unwrap();
    let credential = |n| {
        let (today, tomorrow) = (hex::encode(key(n, 0)), hex::encode(key(n, 1)));
        format!(r#""scheme":"token","days":{{"{day}":"{today}","{}":"{tomorrow}"}}"#, day + 1)
    };
    let mut loaded = load(count, credential);
    let resident_after_load = loaded.resident;
    let windows: Vec<_> = (0..5).map(|w| next_window(&mut loaded.identity, w)).collect();
    let (window, longest) = undisturbed(&windows);
    let bare = bare_window(count);

    let at = now(3_600_000 + 4 * 600_000 + 300_000);
    let message = Message::token(u32::try_from(START / 600 + 6 + 4).unwrap());
    let mut random = Random(7);
    let sample = 200_000;
    let hits: Vec<_> = (0..sample)
        .map(|_| usize::try_from(random.next()).unwrap() % count)
        .map(|n| token::service_data(&Midstates::new(&key(n, 0)).token(&message), ECHO).to_vec())
        .collect();
    let foreign: Vec<_> =
        (0..sample).map(|_| token::service_data(&random.octets(), ECHO).to_vec()).collect();
    let other: Vec<_> = (0..sample)
        .map(|_| [&[2, 1, 6, 0x1b, 0xff, 0x75, 0][..], &random.octets::<24>()].concat())
        .collect();
    let decode = typical_ns(&foreign, |payload| {
        black_box(grelot::pipeline::advert::identifiers(payload).next());
    });
    let hit = look_ups(&mut loaded.identity, at, &hits, true);
    let foreign = look_ups(&mut loaded.identity, at, &foreign, false);
    let other = look_ups(&mut loaded.identity, at, &other, false);
    let swaps = (0..3).map(|_| {
        let (newer, _) = read(count, at, credential);
        let ((), swap) = timed(|| loaded.identity.replace(newer, at));
        (slices(&mut loaded.identity, at), swap)
    });
    let (wiping, swaps): (Vec<_>, Vec<_>) = swaps.unzip();
    let (swap, (_, wiping)) = (swaps.iter().min().unwrap(), undisturbed(&wiping));
    vec![
        ("load from file, s", format!("{:.2}", loaded.load.as_secs_f64())),
        ("registry and two tables, MB", format!("{:.1}", loaded.octets as f64 / 1e6)),
        ("resident, MB", format!("{resident_after_load:.1}")),
        ("next window, ms", format!("{:.1}", window.as_secs_f64() * 1e3)),
        ("  its HMACs and inserts alone, ms", format!("{:.1}", bare.as_secs_f64() * 1e3)),
        ("  ratio", format!("{:.2}", window.as_secs_f64() / bare.as_secs_f64())),
        ("  longest slice, us", format!("{:.0}", longest.as_secs_f64() * 1e6)),
        ("customer's advertisement, ns", format!("{hit:.0}")),
        ("foreign token, ns", format!("{foreign:.0}")),
        ("  of that decoding, ns", format!("{decode:.0}")),
        ("  one read anywhere in such a table, ns", format!("{:.0}", one_read(count * TABLE))),
        ("other advertisement, ns", format!("{other:.0}")),
        ("a new registry takes its place, us", format!("{:.0}", swap.as_secs_f64() * 1e6)),
        ("  wiping the old one, longest slice, us", format!("{:.0}", wiping.as_secs_f64() * 1e6)),
    ]
}

/// Octets of a window's table, for each customer.
const TABLE: usize = 16;

/// The time of one dependent read anywhere in a table of this many octets: no look-up in a table of
/// this size can be faster.
fn one_read(octets: usize) -> f64 {
    let mut random = Random(11);
    let mut next: Vec<u32> = (0..u32::try_from(octets / 4).unwrap()).collect();
    // One cycle through all of it (Sattolo's shuffle).
    for at in (1..next.len()).rev() {
        next.swap(at, usize::try_from(random.next()).unwrap() % at);
    }
    let mut at = 0;
    let mut spans: Vec<_> = (0..400)
        .map(|_| timed(|| (0..500).for_each(|_| at = black_box(next[at]) as usize)).1)
        .collect();
    spans.sort_unstable();
    spans[spans.len() / 2].as_secs_f64() * 1e9 / 500.0
}

/// The HMACs and inserts that a window cannot do without: no slices, no checks, one table.
fn bare_window(count: usize) -> Duration {
    let keys: Vec<_> = (0..count).map(|n| key(n, 0)).collect();
    let message = Message::token(u32::try_from(START / 600).unwrap());
    let keep = count <= 1 << 18;
    let states: Vec<_> = if keep { keys.iter().map(Midstates::new).collect() } else { Vec::new() };
    let size = count * 5 / 4 + 16;
    let mut slots = vec![u32::MAX; size];
    let mut tokens = vec![[0; 11]; count];
    let mut rounds = (0..5).map(|_| {
        timed(|| {
            slots.fill(u32::MAX);
            for (n, key) in keys.iter().enumerate() {
                let token = if keep {
                    states[n].token(&message)
                } else {
                    Midstates::new(key).token(&message)
                };
                let hash = u64::from_be_bytes(*token.first_chunk().unwrap());
                let home = ((hash >> 32) * size as u64) >> 32;
                let mut at = usize::try_from(home).unwrap();
                while slots[at] != u32::MAX {
                    at = if at + 1 == size { 0 } else { at + 1 };
                }
                slots[at] = u32::try_from(n).unwrap();
                tokens[n] = token;
            }
        })
        .1
    });
    rounds.by_ref().min().unwrap()
}

fn cards(count: usize) -> Vec<(&'static str, String)> {
    let top = u16::try_from(START >> 16).unwrap();
    let eid_key = |n: usize, t: u16| eid::temporary_key(&key(n, 0), t);
    let mut eids = load(count, |n| {
        let keys: Vec<_> =
            (top..top + 3).map(|t| format!("\"{t}\":\"{}\"", hex::encode(eid_key(n, t)))).collect();
        format!(r#""scheme":"eid","k":10,"offset_s":{},"tks":{{{}}}"#, n % 600, keys.join(","))
    });
    let windows: Vec<_> = (0..3).map(|w| next_window(&mut eids.identity, w)).collect();
    let (window, longest) = undisturbed(&windows);
    let at = now(3_600_000 + 2 * 600_000 + 300_000);
    let mut random = Random(9);
    let frame = |eid| grelot::pipeline::advert::eddystone::Eid { eid, tx_power: 0 }.advertisement();
    let foreign: Vec<_> = (0..100_000).map(|_| frame(random.octets()).to_vec()).collect();
    let unix = at.clock.reading().unix_secs();
    let own: Vec<_> = (0..20_000)
        .map(|_| {
            let n = usize::try_from(random.next()).unwrap() % count;
            let ts = u32::try_from(unix + i64::try_from(n % 600).unwrap()).unwrap() >> 10 << 10;
            let top = u16::try_from(ts >> 16).unwrap();
            frame(eid::identity(&eid_key(n, top), 10, ts)).to_vec()
        })
        .collect();
    let rows = vec![
        ("eid: load from file, s", format!("{:.2}", eids.load.as_secs_f64())),
        ("eid: registry and tables, MB", format!("{:.1}", eids.octets as f64 / 1e6)),
        ("eid: next window, ms", format!("{:.1}", window.as_secs_f64() * 1e3)),
        ("eid:   longest slice, us", format!("{:.0}", longest.as_secs_f64() * 1e6)),
        (
            "eid: card's advertisement, ns",
            format!("{:.0}", look_ups(&mut eids.identity, at, &own, true)),
        ),
        (
            "eid: foreign EID, ns",
            format!("{:.0}", look_ups(&mut eids.identity, at, &foreign, false)),
        ),
    ];
    drop(eids);
    let beacon = |n: usize| {
        let [uuid, _] = [key(n / 1000, 5), key(n, 5)];
        grelot::pipeline::advert::ibeacon::IBeacon {
            uuid,
            major: u16::try_from(n % 1000).unwrap(),
            minor: 7,
            tx_power: -59,
        }
    };
    let mut beacons = load(count, |n| {
        let b = beacon(n);
        let uuid = uuid::Uuid::from_bytes(b.uuid);
        format!(r#""scheme":"beacon","ibeacon":{{"uuid":"{uuid}","major":{},"minor":7}}"#, b.major)
    });
    let own: Vec<_> = (0..100_000)
        .map(|_| usize::try_from(random.next()).unwrap() % count)
        .map(|n| beacon(n).advertisement().to_vec())
        .collect();
    let foreign: Vec<_> = (0..100_000)
        .map(|_| {
            let b =
                grelot::pipeline::advert::ibeacon::IBeacon { uuid: random.octets(), ..beacon(1) };
            b.advertisement().to_vec()
        })
        .collect();
    let mut rows = rows;
    rows.extend([
        ("beacon: registry and table, MB", format!("{:.1}", beacons.octets as f64 / 1e6)),
        (
            "beacon: card's advertisement, ns",
            format!("{:.0}", look_ups(&mut beacons.identity, at, &own, true)),
        ),
        (
            "beacon: foreign iBeacon, ns",
            format!("{:.0}", look_ups(&mut beacons.identity, at, &foreign, false)),
        ),
    ]);
    rows
}
