//! All stores on a page, in a real browser, with ten thousand of them.

use std::path::Path;
use std::time::Duration;

use grelot::fleet::FleetStore;
use grelot::payload::{HourReport, Report, ReportBatch, ReportKind, VisitLabel, VisitReport};
use grelot::pipeline::units::WallTime;
use serde_json::json;

use crate::browser::Chromium;
use crate::common::free_port;
use crate::common::mosquitto::{BrokerOptions, Mosquitto};
use crate::common::process::Running;
use crate::common::waiting::eventually;
use crate::http;
use crate::office::{Office, start};
use crate::prometheus::promtool;

const STORES: u16 = 10_000;

fn now() -> WallTime {
    let since = std::time::UNIX_EPOCH.elapsed().unwrap();
    WallTime::from_unix_millis(i64::try_from(since.as_millis()).unwrap())
}

fn status(store: u16) -> String {
    let (state, warnings) = match store % 100 {
        7 => ("blind", json!([])),
        13 => ("online", json!(["the disk is full <img src=x onerror=alert(1)>"])),
        _ => ("online", json!([])),
    };
    let place = if store.is_multiple_of(10) { "in_force" } else { "other_stores" };
    json!({
        "v": 1, "state": state, "version": "0.1.0", "config": "0011223344556677", "since": null,
        "warnings": warnings,
        "documents": [{"reach": "fleet", "serial": 18, "state": place}],
    })
    .to_string()
}

/// A gateway in each store, some of them last received an hour ago; a day's reports of a hundred
/// stores.
fn fill(path: &Path) {
    let mut store = FleetStore::open(path).unwrap();
    let now = now();
    let earlier = WallTime::from_unix_millis(now.unix_millis() - 3_600_000);
    let mut file = rusqlite::Connection::open(path).unwrap();
    let all = file.transaction().unwrap();
    for number in 1..=STORES {
        let at = if number % 100 == 23 { earlier } else { now };
        let sql = "INSERT INTO gateways (store, name, seen_at, status) VALUES (?1, 'door', ?2, ?3)";
        all.execute(sql, rusqlite::params![number, at.unix_millis(), status(number)]).unwrap();
    }
    all.commit().unwrap();
    for number in 1..=100 {
        store.report(number, "door", &day(number, now)).unwrap();
    }
}

fn day(store: u16, now: WallTime) -> ReportBatch {
    let at =
        |hours: i64| WallTime::from_unix_millis(now.unix_millis() - hours * 3_600_000).to_string();
    let hour = |hours: i64| {
        let arrivals = u64::try_from((hours % 12) * (i64::from(store) % 7 + 1)).unwrap();
        let blind_s = if hours == 5 { 3_000 } else { 0 };
        ReportKind::Hour(HourReport {
            seconds: 3_600,
            blind_s,
            advertisements: 90_000,
            contacts: arrivals * 40,
            arrivals,
            alerts: arrivals / 2,
            departures: arrivals,
        })
    };
    let visit = |n: i64| {
        ReportKind::Visit(VisitReport {
            visit: format!("{n:x}"),
            stayed_s: 600,
            confidence: 0.97,
            announced: true,
            dismissed: false,
            claimed_after_s: (n % 3 > 0).then_some(u64::try_from(20 + n).unwrap()),
            reason: "left".to_owned(),
        })
    };
    let label = |n: i64| {
        let was_here = n % 10 > i64::from(store % 5);
        ReportKind::Label(VisitLabel { visit: format!("{n:x}"), was_here })
    };
    let all =
        (0..24).map(|n| (n, hour(n))).chain((0..20).flat_map(|n| [(n, visit(n)), (n, label(n))]));
    let reports = all.zip(1..).map(|((hours, what), n)| Report { n, at: at(hours), what });
    ReportBatch { v: 1, queue: "q".to_owned(), dropped: 0, reports: reports.collect() }
}

/// Head office with its page; returns the page's port.
pub fn serve(office: &Office) -> (Running, u16) {
    let port = free_port();
    let listen = format!("127.0.0.1:{port}");
    let serving = start(
        &office.folder,
        &["--config", "grelot.toml", "fleet", "serve", "--state", "fleet.db", "--listen", &listen],
    );
    (serving, port)
}

#[test]
fn ten_thousand_stores_are_sorted_searched_and_told_on_one_page() {
    let dir = tempfile::tempdir().unwrap();
    let broker = Mosquitto::start(dir.path(), &BrokerOptions::default());
    let office = Office::new(&dir.path().join("office"), &[broker.port]);
    fill(&office.folder.join("fleet.db"));
    let (_serving, port) = serve(&office);
    let get = |path: &str| http::request(port, "GET", path, &[("Host", "127.0.0.1")], "");
    eventually("the page is up", || get("/stores.json").is_ok_and(|answer| answer.status == 200));

    let measures = get("/metrics").unwrap().body;
    promtool(&["check", "metrics"], &measures);
    assert!(measures.contains("grelot_fleet_gateways{condition=\"blind\"} 100"), "the blind ones");

    let patience = Duration::from_mins(2);
    let chromium = Chromium::start();
    let page = chromium.tablet("en", 1280, 900);
    page.open(&format!("http://127.0.0.1:{port}/"));
    page.shows_within("10000 stores", patience);
    page.until("document.querySelectorAll('#stores [data-store]').length === 100", patience);
    page.until("document.querySelectorAll('#map path').length === 5", patience);
    page.shows("blind 100");
    page.shows("silent 100");
    page.shows("warns 100");
    page.shows("well 9700");
    for dark in [false, true] {
        page.dark(dark);
        page.picture(if dark { "fleet-dark" } else { "fleet" });
        assert_eq!(page.violations(), Vec::<String>::new());
    }
    page.dark(false);

    // What a gateway says is text.
    page.tap("[data-choice='warns']");
    page.shows_within("the disk is full <img src=x", patience);
    assert_eq!(page.run("return document.querySelectorAll('#stores img').length"), 0);
    page.tap("[data-choice='']");
    page.tap("[data-sort='arrivals']");
    page.until("document.querySelector('[data-sort=arrivals]').dataset.order === 'down'", patience);
    page.until(
        "Number(document.querySelector('#stores tr td:nth-child(3)').textContent) > 100",
        patience,
    );
    page.picture("fleet-arrivals");
    page.tap("#more");
    page.until("document.querySelectorAll('#stores [data-store]').length === 200", patience);

    page.type_into("#search", "97");
    page.until("document.querySelector('#matching').textContent === '111'", patience);
    page.tap("#stores [data-store='97']");
    page.until("document.querySelector('#story').open", patience);
    page.shows("Store 97");
    page.until("document.querySelectorAll('#story-hours rect').length > 20", patience);
    page.shows("was not here");
    page.picture("fleet-story");
    assert_eq!(page.violations(), Vec::<String>::new());
    page.tap("#story-close");

    page.resize(360, 740);
    page.picture("fleet-phone");
    assert_eq!(
        page.run("return document.documentElement.scrollWidth <= innerWidth"),
        true,
        "nothing but the table scrolls sideways"
    );
}
