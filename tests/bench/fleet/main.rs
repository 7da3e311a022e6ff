//! Head office with many gateways, on both databases: a minute's health messages, `fleet status`, the
//! page, and the space of ninety days.
//!
//! `GATEWAYS=10000 cargo nextest run --bench fleet --no-capture`
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::disallowed_methods,
    clippy::cast_precision_loss,
    reason = "a measurement that stops here has failed, and says so; it waits on real processes"
)]

#[path = "../../hostile/client.rs"]
#[allow(dead_code, reason = "tests/hostile uses the rest")]
mod client;
#[path = "../../common/mod.rs"]
mod common;
#[path = "../../tablets/http.rs"]
#[allow(dead_code, reason = "tests/tablets uses the rest")]
mod http;
#[path = "../../cluster/office.rs"]
#[allow(dead_code, reason = "tests/cluster uses the rest")]
mod office;

/// As `client` expects it.
mod mosquitto {
    pub use crate::common::waiting::PATIENCE;
}

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use grelot::fleet::FleetStore;
use grelot::payload::{HourReport, Report, ReportBatch, ReportKind, VisitLabel, VisitReport};
use grelot::pipeline::units::WallTime;
use serde_json::json;

use client::Client;
use common::free_port;
use common::mosquitto::{BrokerOptions, Mosquitto};
use common::postgres::Postgres;
use common::waiting::{eventually, eventually_while};
use office::{Office, grelot, start};

/// Connections over which gateways speak, as a broker bundles them.
const CONNECTIONS: u16 = 8;

/// Of the part that fills ninety days.
const STORES: u16 = 50;
const DAYS: u64 = 90;
const VISITS: u64 = 40;

enum Database {
    File(PathBuf),
    Server(Postgres),
}

impl Database {
    fn state(&self) -> String {
        match self {
            Self::File(path) => path.to_str().unwrap().to_owned(),
            Self::Server(server) => server.url(),
        }
    }

    fn count(&self, condition: &str) -> u32 {
        let sql = format!("SELECT count(*) FROM gateways WHERE {condition}");
        match self {
            Self::File(path) => file(path).query_row(&sql, [], |row| row.get(0)).unwrap(),
            Self::Server(server) => {
                server.sql(&format!("SET search_path TO grelot; {sql}")).parse().unwrap()
            }
        }
    }

    /// The days of this many stores, until today.
    fn fill_days(&self, stores: u16) {
        let today = now().unix_millis() / 86_400_000;
        let first = today - i64::try_from(DAYS).unwrap();
        let sql = format!(
            "INSERT INTO days WITH RECURSIVE
                 d(day) AS (SELECT {first} UNION ALL SELECT day + 1 FROM d WHERE day < {today}),
                 s(store) AS (SELECT 1 UNION ALL SELECT store + 1 FROM s WHERE store < {stores})
             SELECT day, store, 86400, 12, 50, 40, 40, 30, 900, 20, 2 FROM d, s"
        );
        match self {
            Self::File(path) => drop(file(path).execute(&sql, []).unwrap()),
            Self::Server(server) => drop(server.sql(&format!("SET search_path TO grelot; {sql}"))),
        }
    }

    /// Octets that a server has written to its log.
    fn logged(&self) -> Option<u64> {
        match self {
            Self::File(_) => None,
            Self::Server(server) => {
                server.sql("SELECT pg_current_wal_insert_lsn() - '0/0'").parse().ok()
            }
        }
    }

    fn octets(&self) -> u64 {
        match self {
            Self::File(path) => {
                file(path).pragma_update(None, "wal_checkpoint", "TRUNCATE").unwrap_or_default();
                std::fs::metadata(path).unwrap().len()
            }
            Self::Server(server) => {
                server.sql("SELECT pg_database_size('postgres')").parse().unwrap()
            }
        }
    }
}

fn file(path: &Path) -> rusqlite::Connection {
    let file = rusqlite::Connection::open(path).unwrap();
    file.busy_timeout(Duration::from_secs(10)).unwrap();
    file
}

fn now() -> WallTime {
    let since = std::time::UNIX_EPOCH.elapsed().unwrap();
    WallTime::from_unix_millis(i64::try_from(since.as_millis()).unwrap())
}

fn status() -> String {
    json!({
        "v": 1, "state": "online", "version": "0.1.0", "config": "0011223344556677",
        "since": "2026-01-05T09:00:00Z",
        "documents": [{"reach": "fleet", "serial": 18, "state": "in_force"}],
    })
    .to_string()
}

fn health(n: u64) -> String {
    let delivery = json!({
        "queued": 0, "delivered": 3 * n, "repeated": 0, "expired": 0, "shed": 0, "refused": 0,
        "connections": 1, "store": null,
    });
    json!({
        "v": 1, "at": now().to_string(), "uptime_s": 60 * n, "clock_set": true,
        "advertisements": 90_000 * n, "contacts": 40 * n, "shed": 0, "visits": 3, "alerts": n,
        "registry": {"customers": 10_000, "refused_lines": 0}, "delivery": delivery,
    })
    .to_string()
}

/// Every gateway says that, a store each.
fn say(broker: u16, gateways: u16, what: &str, text: &str) {
    std::thread::scope(|scope| {
        for connection in 0..CONNECTIONS {
            scope.spawn(move || {
                let id = format!("gateways-{connection}");
                let mut client = Client::log_in(broker, &id, ("", "")).unwrap().ok().unwrap();
                for store in (1..=gateways).filter(|store| store % CONNECTIONS == connection) {
                    let topic = format!("grelot/v1/{store}/gateways/door/{what}");
                    client.publish(&topic, text.as_bytes(), false).unwrap();
                }
            });
        }
    });
}

fn a_minute(name: &str, folder: &Path, database: &Database, gateways: u16) {
    let broker = Mosquitto::start(
        folder,
        &BrokerOptions { lines: "max_queued_messages 0\n", ..BrokerOptions::default() },
    );
    let office = Office::new(&folder.join("office"), &[broker.port]);
    let (port, state) = (free_port(), database.state());
    let listen = format!("127.0.0.1:{port}");
    let serving = start(
        &office.folder,
        &["--config", "grelot.toml", "fleet", "serve", "--state", &state, "--listen", &listen],
    );
    let get = |path: &str| http::request(port, "GET", path, &[("Host", "127.0.0.1")], "");
    eventually("the page is up", || get("/stores.json").is_ok_and(|answer| answer.status == 200));
    let all = u32::from(gateways);
    let arrived = |condition: &str| {
        eventually_while(
            condition,
            || database.count(condition),
            || database.count(condition) == all,
        );
    };
    say(broker.port, gateways, "status", &status());
    arrived("status IS NOT NULL");
    for minute in 1..=3 {
        let (begun, ticks, logged) =
            (Instant::now(), serving.processor_time(), database.logged().unwrap_or(0));
        let condition = format!("health IS NOT NULL AND seen_at >= {}", now().unix_millis());
        say(broker.port, gateways, "health", &health(minute));
        let sent = begun.elapsed();
        arrived(&condition);
        println!(
            "{name}: minute {minute} of {gateways} gateways: sent in {:.1} s, in the database after \
             {:.1} s; fleet serve used {:.1} s of processor time, {} MiB; log {:.1} MB",
            sent.as_secs_f64(),
            begun.elapsed().as_secs_f64(),
            (serving.processor_time() - ticks) as f64 / 100.0,
            serving.memory() >> 20,
            (database.logged().unwrap_or(0) - logged) as f64 / 1e6,
        );
    }
    for _ in 0..3 {
        let begun = Instant::now();
        let shown = grelot(&office.folder, &["fleet", "status", "--attention", "--state", &state]);
        let text = String::from_utf8_lossy(&shown.stdout);
        assert!(text.starts_with(&format!("{gateways} gateways")), "{text}");
        println!("{name}: fleet status: {:.2} s", begun.elapsed().as_secs_f64());
    }
    database.fill_days(gateways);
    let mut store = FleetStore::open(&state).unwrap();
    for _ in 0..3 {
        let begun = Instant::now();
        let stores = store.stores(now()).unwrap();
        assert!(stores.iter().all(|one| one.figures.arrivals == 7 * 50), "seven of {DAYS} days");
        println!("{name}: the page's stores: {:.2} s", begun.elapsed().as_secs_f64());
    }
    let begun = Instant::now();
    let answer = get("/stores.json").unwrap();
    assert_eq!(answer.status, 200);
    println!("{name}: the page's first answer: {:.2} s", begun.elapsed().as_secs_f64());
}

fn a_day(store: u16, day: u64) -> ReportBatch {
    let midnight = 1_767_571_200 + day * 86_400;
    let at = |second: u64| WallTime::from_unix_secs(i64::try_from(midnight + second).unwrap());
    let hours = (1..=24).map(|hour| {
        let what = ReportKind::Hour(HourReport {
            seconds: 3_600,
            blind_s: 12,
            advertisements: 90_000,
            contacts: 400,
            arrivals: 2,
            alerts: 2,
            departures: 2,
        });
        (hour * 3_600, what)
    });
    let visits = (0..VISITS).flat_map(|n| {
        let visit = format!("{:016x}", (u64::from(store) << 32) + day * VISITS + n);
        let second = 30_000 + n * 900;
        let label = VisitLabel { visit: visit.clone(), was_here: n % 10 > 0 };
        let ended = ReportKind::Visit(VisitReport {
            visit,
            stayed_s: 600 + n,
            confidence: 0.97,
            announced: true,
            dismissed: false,
            claimed_after_s: (n % 3 > 0).then_some(20 + n),
            reason: "left".to_owned(),
        });
        let label = (n % 5 == 0).then_some((second, ReportKind::Label(label)));
        [(second, ended)].into_iter().chain(label)
    });
    let first = day * 200;
    let reports = (first..).zip(hours.chain(visits));
    let reports = reports.map(|(n, (second, what))| Report { n, at: at(second).to_string(), what });
    let reports = reports.collect();
    ReportBatch { v: 1, queue: "0123456789abcdef".to_owned(), dropped: 0, reports }
}

fn ninety_days(name: &str, database: &Database) {
    let before = database.octets();
    let mut store = FleetStore::open(database.state()).unwrap();
    let begun = Instant::now();
    let mut reports = 0;
    for day in 0..DAYS {
        for number in 1..=STORES {
            reports += store.report(number, "door", &a_day(number, day)).unwrap();
        }
    }
    let (took, octets) = (begun.elapsed().as_secs_f64(), database.octets() - before);
    println!(
        "{name}: {STORES} stores, {DAYS} days of {VISITS} visits: {reports} reports in {took:.1} s, \
         {:.1} MB; ten thousand such stores: {:.1} GB",
        octets as f64 / 1e6,
        octets as f64 / 1e9 * 10_000.0 / f64::from(STORES),
    );
    let begun = Instant::now();
    assert_eq!(store.latest_reports(STORES, 50).unwrap().len(), 50);
    assert!(!store.hours(STORES, 0).unwrap().is_empty());
    println!("{name}: a store's history: {:.3} s", begun.elapsed().as_secs_f64());
}

#[test]
fn ten_thousand_gateways_on_both_databases() {
    let count = std::env::var("GATEWAYS").unwrap_or_else(|_| "10000".to_owned());
    let gateways: u16 = count.parse().expect("GATEWAYS is a number");
    for name in ["SQLite", "PostgreSQL"] {
        let dir = tempfile::tempdir().unwrap();
        let database = |file: &str| match name {
            "SQLite" => Database::File(dir.path().join(file)),
            _ => Database::Server(Postgres::start(None, true)),
        };
        a_minute(name, dir.path(), &database("fleet.db"), gateways);
        ninety_days(name, &database("days.db"));
    }
}
