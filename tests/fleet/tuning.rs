//! The page on tuning in a real browser: what staff say, a proposal, and how far it has come.

use std::path::Path;
use std::time::Duration;

use grelot::fleet::store::Said;
use grelot::fleet::{FleetError, FleetStore, Proposal};
use grelot::payload::trace::{TraceContact, TraceGateway, TracePlace};
use grelot::payload::{Report, ReportBatch, ReportKind, ShadowReport, Trace, VisitLabel};
use grelot::pipeline::units::WallTime;
use serde_json::{Value, json};

use crate::browser::Chromium;
use crate::common::mosquitto::{BrokerOptions, Mosquitto};
use crate::common::waiting::eventually;
use crate::http;
use crate::office::Office;
use crate::page;

const STORES: u16 = 60;

/// What must stay text wherever it comes from.
const HOSTILE: &str = "<img src=x onerror=alert(1)>\"'><script>alert(2)</script>";

fn now() -> WallTime {
    let since = std::time::UNIX_EPOCH.elapsed().unwrap();
    WallTime::from_unix_millis(i64::try_from(since.as_millis()).unwrap())
}

fn report(store: &mut FleetStore, number: u16, what: Vec<ReportKind>) {
    let at = now().to_string();
    let reports = (1..).zip(what).map(|(n, what)| Report { n, at: at.clone(), what }).collect();
    let batch = ReportBatch { v: 1, queue: "q".to_owned(), dropped: 0, reports };
    store.report(number, "door", &batch).unwrap();
}

/// Labels of a store, and for two of three stores a trace that shows its layout.
fn said(number: u16) -> Vec<ReportKind> {
    let label = |n: u16| {
        let visit = format!("{:016x}", u32::from(number) * 1000 + u32::from(n));
        ReportKind::Label(VisitLabel { visit, was_here: n % 12 >= number % 5 })
    };
    let mut all: Vec<ReportKind> = (0..number % 7 * 8 + 2).map(label).collect();
    let places: &[TracePlace] = match number % 3 {
        0 => return all,
        1 => &[TracePlace::Door],
        _ => &[TracePlace::Door, TracePlace::Inside],
    };
    let gateway = |place: &TracePlace| TraceGateway { name: "g".to_owned(), place: Some(*place) };
    all.push(ReportKind::Trace(Box::new(Trace {
        trace: format!("{number:016x}"),
        gateways: places.iter().map(gateway).collect(),
        received: vec![TraceContact(0, 0, Some(-60), None)],
        ..Trace::default()
    })));
    all
}

fn offer(falsely: u32, found: u32, level: &Value) -> Value {
    json!({
        "visits": 400, "found": found, "missed": 400 - found, "false": falsely, "dropped": 0,
        "arrival_delay_s": {"p50": if falsely == 51 { 0.0 } else { 0.4 }, "p95": 3.0},
        "settings": {"arrive_rssi_dbm": level, "dwell_secs": 3.0},
    })
}

/// As `grelot tune` reports it.
fn found(level: &Value, better: f64) -> Value {
    let front: Vec<Value> = [(51, 400), (30, 398), (17, 395), (9, 391), (4, 380), (1, 352)]
        .into_iter()
        .map(|(falsely, found)| offer(falsely, found, &json!(-70)))
        .collect();
    let mut unseen = offer(12, 388, &json!(0));
    unseen["folds"] = json!(10);
    unseen["found_share_wilson95"] = json!([0.948, 0.983]);
    unseen["false_garwood95"] = json!([6.2, 21.0]);
    unseen["better_than_now"] = json!(better);
    json!({
        "recordings": 24, "notes": [], "now": offer(51, 400, &json!(-78)),
        "chosen": offer(9, 391, level), "unseen": unseen, "front": front,
        "group": "stores with 1 gateway (door)", "stores": [1, 4, 7],
    })
}

/// A month of judgements, two proposals, and the first one's way: a shadow that has ended, and a ring
/// in which a gateway took the settings back.
fn fill(path: &Path) {
    let mut store = FleetStore::open(path).unwrap();
    for number in 1..=STORES {
        report(&mut store, number, said(number));
    }
    let document = "[presence]\narrive_rssi_dbm = -70\n";
    for (name, level, better) in [
        ("stores with 1 gateway (door)".to_owned(), json!(-70), 0.97),
        (format!("store 8 {HOSTILE}"), json!(HOSTILE), 0.6),
    ] {
        let document = if better > 0.9 { document } else { "[presence]\ndwell_secs = 3\n" };
        let (at, report) = (now().to_string(), found(&level, better).to_string());
        store.propose(&Proposal { name, at, report, document: document.to_owned() }).unwrap();
    }
    let garbage = "[\"of another version\"]".to_owned();
    let (name, at) = ("store 9".to_owned(), HOSTILE.to_owned());
    store.propose(&Proposal { name, at, report: garbage, document: HOSTILE.to_owned() }).unwrap();
    for head in ["shadow = true\n", "ring = 10\n"] {
        let text = |serial| {
            Ok::<_, FleetError>(format!("[document]\nserial = {serial}\n{head}{document}"))
        };
        store.push("grelot/v1/config/fleet", &now().to_string(), HOSTILE, text).unwrap();
    }
    for number in 1..=STORES {
        let what =
            ShadowReport { serial: 1, same: 20, more: 1, fewer: 3, ..ShadowReport::default() };
        let batch = ReportBatch {
            v: 1,
            queue: "shadow".to_owned(),
            dropped: 0,
            reports: vec![Report { n: 1, at: now().to_string(), what: ReportKind::Shadow(what) }],
        };
        store.report(number, "door", &batch).unwrap();
        let (state, why) = match number % 10 {
            0 if number == 10 => ("fell_back", Some(format!("alerts {HOSTILE}"))),
            0 => ("in_force", None),
            _ => ("other_stores", None),
        };
        let status = json!({
            "v": 1, "state": "online", "version": "0.1.0", "config": "0011223344556677",
            "since": null, "warnings": [],
            "documents": [{"reach": "fleet", "serial": 2, "state": state, "why": why}],
        });
        store.heard(number, "door", Said::Status(&status.to_string()), now()).unwrap();
    }
}

#[test]
fn the_page_on_tuning_says_what_staff_say_what_is_proposed_and_how_far_it_has_come() {
    let dir = tempfile::tempdir().unwrap();
    let broker = Mosquitto::start(dir.path(), &BrokerOptions::default());
    let office = Office::new(&dir.path().join("office"), &[broker.port]);
    let (_serving, port) = page::serve(&office);
    let get = |path: &str| http::request(port, "GET", path, &[("Host", "127.0.0.1")], "");
    eventually("the page is up", || get("/stores.json").is_ok_and(|answer| answer.status == 200));
    fill(&office.folder.join("fleet.db"));

    let page = get("/tuning").unwrap();
    assert_eq!(page.status, 200);
    let markup = ["<img src=x", "<script", "onerror=alert(1)>\"", "javascript:", "style="];
    for what in markup {
        assert!(!page.body.contains(what), "{what}: {}", page.body);
    }

    let patience = Duration::from_mins(2);
    let chromium = Chromium::start();
    let tablet = chromium.tablet("en", 1280, 900);
    tablet.open(&format!("http://127.0.0.1:{port}/"));
    tablet.tap("a.way");
    for text in [
        "staff of 60 stores judged",
        "2 gateways (door, inside), 20 stores",
        "layout not known, 20 stores",
        "Settings in force: 12.8 alerts without a customer for 100 visits, and 100 of 100",
        "Proposed settings: 2.3 alerts without a customer for 100 visits, and 97.8 of 100",
        "Half of the alerts come 0.4 s later",
        "in 97 of 100 comparisons: it is worth a try",
        "in 60 of 100 comparisons: that is not sure",
        "Another version of grelot made this proposal",
        "has ended. At 60 stores it would have announced 60 more customers and 180 fewer",
        "10 % of the stores: in force at 5 gateways, not meant for 54 gateways, taken back at 1 gateway",
        "alerts <img src=x onerror=alert(1)>",
    ] {
        tablet.shows_within(text, patience);
    }
    assert_eq!(tablet.run("return document.querySelectorAll('main img, script').length"), 0);
    let pictures = "return [...document.querySelectorAll('svg.trade')].map((svg) => \
                    [svg.querySelectorAll('.offer').length, svg.querySelectorAll('.now').length, \
                    svg.querySelectorAll('.chosen').length, svg.querySelectorAll('.sure').length])";
    assert_eq!(tablet.run(pictures), json!([[6, 1, 1, 2], [6, 1, 1, 2]]));

    let whole = "document.documentElement.scrollHeight";
    for (width, dark, name) in
        [(1280, false, "tuning"), (1280, true, "tuning-dark"), (360, false, "tuning-phone")]
    {
        tablet.resize(width, 900);
        tablet.dark(dark);
        let high = tablet.run(&format!("return {whole}")).as_u64().unwrap();
        tablet.resize(width, u32::try_from(high).unwrap());
        tablet.picture(name);
        assert_eq!(tablet.violations(), Vec::<String>::new(), "{name}");
        let fits = "return document.documentElement.scrollWidth <= innerWidth";
        assert_eq!(tablet.run(fits), true, "{name}: nothing scrolls sideways");
    }
}
