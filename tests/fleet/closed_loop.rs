//! The loop closed: a shop plays four days, staff say on tablets who was there, head office gets traces
//! of contacts without whose they were, and finds better settings on them.
//!
//! What it cannot show: how well the settings do in a shop of stone.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use grelot::config::detection::Detection;
use grelot::daemon::trace_playback;
use grelot::fleet::{FleetStore, StoredTrace};
use grelot::payload::Trace;
use serde_json::Value;

use crate::common::mosquitto::{BrokerOptions, Mosquitto};
use crate::common::process::Running;
use crate::common::waiting::eventually;
use crate::office::{Office, grelot, start, status};

const DAYS: u32 = 4;

/// Customers of one day: some come in, some stop at the window and ring, some pass at a distance.
const A_DAY: u32 = 8;

/// Between two customers, in seconds.
const EVERY: u32 = 60;

#[derive(Clone, Copy, PartialEq)]
enum Walk {
    In,
    Window,
    Past,
}

fn walk(n: u32) -> Walk {
    match n % 8 {
        0 | 1 | 4 | 5 => Walk::In,
        3 => Walk::Past,
        _ => Walk::Window,
    }
}

/// Seconds since the beginning of the customer's day; the gateway has started by then.
fn begins(n: u32) -> u32 {
    600 + n % A_DAY * EVERY
}

/// Octets of every customer's advertisement, with their own minor, and of a stranger's.
const UUID: &str = "e2c56db5dffb48d2b060d0f5a71096e0";
const STRANGER: &str = "5a11223344ff";
/// What must not go up or stay on disk of who was received. Of hex digits in a row there are at least
/// eight, which no random id of a report has by chance.
const PERSONAL: [&str; 10] = [
    "guest",
    "platinum",
    "visible",
    UUID,
    "e2c56db5-",
    "decafe00",
    "de:ca",
    STRANGER,
    "5a:11",
    "ff990142",
];

fn recording(day: u32) -> String {
    let mut lines = Vec::new();
    for n in day * A_DAY..(day + 1) * A_DAY {
        let (lasts, level) = match walk(n) {
            Walk::In => (40 + n % 5 * 3, -55),
            Walk::Window => (13, -55),
            Walk::Past => (12, -88),
        };
        for step in 0..lasts * 2 {
            let t = f64::from(begins(n)) + f64::from(step) * 0.5;
            let far = (6 - i32::try_from(step.min(lasts * 2 - step)).unwrap()).max(0) * 5;
            let noise = i32::try_from((n * 31 + step * 17) % 7).unwrap() - 3;
            let mut heard = |address: &str, rssi: i32, adv: &str| {
                let line = format!(
                    "{{\"t\":{t:.3},\"gw\":\"door\",\"addr\":\"{address}\",\"kind\":\"random\",\"rssi\":{rssi},\"adv\":\"{adv}\"}}\n"
                );
                lines.push((t, line));
            };
            let address = format!("c0:de:ca:fe:00:{n:02x}");
            heard(&address, level - far + noise, &format!("1aff4c000215{UUID}0001{n:04x}c5"));
            heard("5a:11:22:33:44:ff", -50, "03ff990142");
        }
    }
    lines.sort_by(|(a, _), (b, _)| a.total_cmp(b));
    let header = format!(
        "{{\"grelot\":\"recording\",\"version\":1,\"started_at\":\"2026-01-{:02}T10:00:00Z\",\"store\":42,\"gateways\":[\"door\"]}}\n",
        day + 5
    );
    header + &lines.into_iter().map(|(_, line)| line).collect::<String>()
}

fn customers() -> String {
    let customer = |n: u32| {
        format!(
            r#"{{"client":"c-guest-{n}","tier":"platinum","scheme":"beacon","ibeacon":{{"uuid":"{UUID}","major":1,"minor":{n}}},"consent":{{"expires_at":"2099-11-02T00:00:00Z","show_name":true}},"name":"Madame Visible {n}"}}"#
        ) + "\n"
    };
    (0..DAYS * A_DAY).map(customer).collect()
}

struct Shop {
    folder: PathBuf,
}

impl Shop {
    fn new(folder: &Path, broker: u16, cluster: u16, speed: u32) -> Self {
        fs::create_dir_all(folder).unwrap();
        fs::write(folder.join("customers.jsonl"), customers()).unwrap();
        let text = format!(
            "[store]\nid = 42\ngateways = {{ door = \"door\" }}\n[gateway]\nname = \"door\"\n\
             [broker]\nurls = [\"mqtt://127.0.0.1:{broker}\"]\n\
             [head_office]\nurls = [\"mqtt://127.0.0.1:{cluster}\"]\nlongest_wait_secs = 1\n\
             traces = true\ntrace_days = 30\n\
             [[source]]\nkind = \"recording\"\npath = \"day.jsonl\"\nspeed = {speed}.0\n\
             [registry]\npath = \"customers.jsonl\"\n[state]\npath = \"state\"\n\
             [policy]\nalert_ttl_secs = 3600\n"
        );
        fs::write(folder.join("grelot.toml"), text).unwrap();
        Self { folder: folder.to_owned() }
    }

    fn run(&self, day: u32) -> Running {
        fs::write(self.folder.join("day.jsonl"), recording(day)).unwrap();
        let process = start(&self.folder, &["--config", "grelot.toml", "run"]);
        eventually("the gateway answers", || !status(&self.folder).is_null());
        process
    }

    /// What `grelot replay` announces of the day: whom, and milliseconds since the first contact.
    fn replayed(&self) -> Vec<(String, f64)> {
        let arguments = ["--config", "grelot.toml", "--json", "replay", "day.jsonl"];
        let output = grelot(&self.folder, &arguments);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let lines = String::from_utf8(output.stdout).unwrap();
        let arrival = |line: &str| {
            let event: Value = serde_json::from_str(line).unwrap();
            let client = event["client"].as_str()?.to_owned();
            let n: u32 = client.rsplit('-').next()?.parse().ok()?;
            let since = event["t"].as_f64()? - f64::from(begins(n));
            (event["event"] == "arrival").then(|| (client, (since * 1000.0).round()))
        };
        lines.lines().filter_map(arrival).collect()
    }
}

/// Everything that is published on a broker, into a file.
fn listen(port: u16, topic: &str, file: &Path) -> Running {
    let mut command = Command::new("mosquitto_sub");
    command.args(["-V", "5", "-h", "127.0.0.1", "-p", &port.to_string(), "-t", topic, "-v"]);
    Running(command.stdout(File::create(file).unwrap()).stderr(Stdio::null()).spawn().unwrap())
}

fn publish(port: u16, topic: &str, payload: &[u8]) {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), payload).unwrap();
    let mut command = Command::new("mosquitto_pub");
    command.args(["-V", "5", "-h", "127.0.0.1", "-p", &port.to_string(), "-q", "1", "-t", topic]);
    assert!(command.arg("-f").arg(file.path()).status().unwrap().success());
}

/// Staff tap on every notification: whether the customer was here.
fn tap(port: u16, notifications: &Path, tapped: &mut BTreeSet<String>) {
    for line in fs::read_to_string(notifications).unwrap().lines() {
        let Some((_, payload)) = line.split_once(' ') else { continue };
        let Ok(arrival) = serde_json::from_str::<Value>(payload) else { continue };
        let visit = arrival["visit"].as_str().unwrap();
        let client = arrival["client"].as_str().unwrap();
        if tapped.insert(client.to_owned()) {
            let n: u32 = client.rsplit('-').next().unwrap().parse().unwrap();
            let verdict = if walk(n) == Walk::In { "was_here" } else { "was_not_here" };
            let topic = format!("grelot/v1/42/visits/{visit}/feedback");
            publish(port, &topic, format!("{{\"v\":1,\"verdict\":\"{verdict}\"}}").as_bytes());
        }
    }
}

fn traces(office: &Office) -> Vec<StoredTrace> {
    FleetStore::open(office.folder.join("fleet.db")).unwrap().traces(42).unwrap()
}

/// A shop, its staff, and head office.
struct World {
    shop: Shop,
    broker: Mosquitto,
    cluster: Mosquitto,
    office: Office,
    notifications: PathBuf,
    /// Everything on head office's cluster.
    wire: PathBuf,
    processes: [Running; 3],
}

impl World {
    fn new(dir: &Path) -> Self {
        let [broker, cluster] = ["broker", "cluster"].map(|name| {
            fs::create_dir_all(dir.join(name)).unwrap();
            Mosquitto::start(&dir.join(name), &BrokerOptions::default())
        });
        let office = Office::new(&dir.join("office"), &[cluster.port]);
        let (notifications, wire) = (dir.join("notifications"), dir.join("wire"));
        let staff = listen(broker.port, "grelot/v1/42/arrivals", &notifications);
        let processes = [office.serve(), staff, listen(cluster.port, "#", &wire)];
        let shop = Shop::new(&dir.join("door"), broker.port, cluster.port, 400);
        Self { shop, broker, cluster, office, notifications, wire, processes }
    }

    /// What head office has in the end.
    fn live(&self) -> Vec<StoredTrace> {
        let mut tapped = BTreeSet::new();
        for day in 0..DAYS {
            let mut door = self.shop.run(day);
            // Staff say so once the day is over: what they say before changes what is decided then.
            eventually("head office has every trace", || {
                traces(&self.office).len() == ((day + 1) * A_DAY) as usize
            });
            eventually("head office has what staff said", || {
                tap(self.broker.port, &self.notifications, &mut tapped);
                let all = traces(&self.office);
                all.iter().filter(|one| one.was_here.is_some()).count() == tapped.len()
            });
            door.stop();
        }
        traces(&self.office)
    }

    fn heard(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.wire).unwrap()).into_owned()
    }

    fn tune(&self, arguments: &str) -> Value {
        let (report, _) = self.office.run(&format!("--json tune --fleet fleet.db {arguments}"));
        let mut report: Value = serde_json::from_str(&report).unwrap();
        report["tune"].take()
    }

    /// The page of `grelot fleet serve` shows the last one for the same stores.
    fn proposals_are_kept(&self, first: &Value, last: &Value) {
        let mut store = FleetStore::open(self.office.folder.join("fleet.db")).unwrap();
        let kept = store.proposals(9).unwrap();
        let group = |report: &Value| report["group"].as_str().unwrap().to_owned();
        let names: Vec<String> = kept.iter().map(|one| one.name.clone()).collect();
        assert_eq!(names, [group(last), group(first)]);
        let found = kept[1].found().unwrap();
        assert_eq!(Some(found.now.falsely), first["now"]["false"].as_u64());
        assert_eq!(found.unseen.unwrap().better_than_now, first["unseen"]["better_than_now"]);
        assert!(kept[1].document.contains("[presence]"), "{}", kept[1].document);
    }

    /// Runs a command as it is printed.
    fn say(&self, command: &Value) {
        let command = command.as_str().unwrap();
        let arguments: Vec<&str> = command.split_whitespace().skip(1).collect();
        let output = grelot(&self.office.folder, &arguments);
        assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn taps_and_traces_of_contacts_become_better_settings_and_name_no_one() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::new(dir.path());
    let all = world.live();
    let said = |what| all.iter().filter(|one| one.was_here == Some(what)).count();
    assert_eq!(said(true), (0..DAYS * A_DAY).filter(|n| walk(*n) == Walk::In).count());
    assert!(said(false) >= DAYS as usize, "the settings in force ring at the window, too");
    assert_eq!(all.iter().map(|one| one.day).collect::<BTreeSet<_>>().len(), DAYS as usize);

    they_replay_to_the_tick(&world, &all);
    they_name_no_one(&world, &all);
    garbage_neither_counts_nor_hinders(&world, &all);
    settings_are_found_shadowed_and_pushed(&world, said(false));

    // A customer withdraws: their trace is deleted at head office, too.
    let _door = world.shop.run(0);
    world.office.run("customers withdraw c-guest-0 --fleet fleet.db");
    let text = |one: &StoredTrace| serde_json::to_string(&one.trace).unwrap();
    eventually("the trace of the first customer is deleted", || {
        let left: BTreeSet<String> = traces(&world.office).iter().map(text).collect();
        all.iter().filter(|one| !left.contains(&text(one))).count() == 1
    });
    assert!(world.processes.into_iter().all(|mut one| !one.has_ended()), "all worked to the end");
}

fn they_replay_to_the_tick(world: &World, all: &[StoredTrace]) {
    let registry = trace_playback::registry().unwrap();
    let mut arrived = Vec::new();
    let first = all[0].day;
    for one in all {
        let registry = registry.without_credentials();
        let again = trace_playback::arrivals(&one.trace, Detection::default(), registry);
        assert_eq!(again.first().copied(), one.trace.arrived());
        let millis = again.iter().map(|at| (at.as_secs_f64() * 1000.0).round());
        arrived.extend(millis.filter(|_| one.day == first));
    }
    // On later days the gateway knows more of the shop's radio than a replay.
    fs::write(world.shop.folder.join("day.jsonl"), recording(0)).unwrap();
    let mut replayed: Vec<f64> = world.shop.replayed().iter().map(|(_, since)| *since).collect();
    arrived.sort_by(f64::total_cmp);
    replayed.sort_by(f64::total_cmp);
    assert_eq!(arrived, replayed);
}

fn they_name_no_one(world: &World, all: &[StoredTrace]) {
    let wire = world.heard();
    assert!(wire.matches("\"kind\":\"trace\"").count() >= all.len());
    let lower = wire.to_lowercase();
    for octets in PERSONAL {
        assert!(!lower.contains(octets), "{octets} went up");
    }
}

fn garbage_neither_counts_nor_hinders(world: &World, all: &[StoredTrace]) {
    let strange = |n: u32, trace: &Trace| {
        let mut trace = serde_json::to_value(trace).unwrap();
        trace["n"] = n.into();
        trace["at"] = "2026-01-05T00:00:00Z".into();
        trace["kind"] = "trace".into();
        trace
    };
    let of = |trace: &str| Trace {
        trace: trace.to_owned(),
        // Staff said nothing of it.
        visit: Some("ffffffffffffffff".to_owned()),
        ..all[0].trace.clone()
    };
    let mut overfull = of("00000000000000aa");
    overfull.received = vec![overfull.received[0]; 50_000];
    let fresh = of("00000000000000bb");
    let batch = serde_json::json!({"v": 1, "queue": "evil", "dropped": 0, "reports": [
        strange(1, &overfull),
        {"n": 2, "at": "yesterday", "kind": "trace", "received": "\u{0}"},
        {"n": 3, "at": "2026-01-05T00:00:00Z", "kind": "of a later version"},
        strange(4, &fresh),
        {"n": 5, "at": "2026-01-05T00:00:00Z", "kind": "trace"},
    ]});
    let topic = "grelot/v1/42/gateways/evil/reports";
    for garbage in [&b"\0\xff"[..], b"{}", b"{\"v\":1,\"reports\":[]}", b"[[[[[[[["] {
        publish(world.cluster.port, topic, garbage);
    }
    publish(world.cluster.port, topic, batch.to_string().as_bytes());
    eventually("what is sound of it is taken", || traces(&world.office).len() == all.len() + 1);
    eventually("all of it is answered", || {
        let wire = world.heard();
        wire.lines().any(|line| line.contains("/evil/reported") && line.contains("\"n\":5"))
    });
    let mut kept = traces(&world.office);
    kept.retain(|one| one.trace.trace != "00000000000000bb");
    assert_eq!(kept, all);
}

fn settings_are_found_shadowed_and_pushed(world: &World, rang_at_the_window: usize) {
    let report = world.tune("--store 42 --points 12 --out tuned.toml --shadow");
    let (now, chosen) = (&report["now"], &report["chosen"]);
    assert_eq!((&report["stores"][0], report["recordings"].as_u64()), (&42.into(), Some(4)));
    // Those in force are what staff saw.
    assert_eq!(now["missed"], 0);
    assert_eq!(now["false"].as_u64(), Some(rang_at_the_window as u64));
    assert_eq!(now["arrival_delay_s"]["p95"], 0.0);
    assert!(chosen["false"].as_u64() <= Some(1) && chosen["missed"] == 0, "{chosen}");
    let unseen = &report["unseen"];
    assert!(unseen["folds"] == 4 && unseen["better_than_now"].as_f64() > Some(0.9), "{unseen}");

    // The shadow is opened, and the commands that follow work as they are printed.
    let mut door = world.shop.run(0);
    let document = || status(&world.shop.folder)["configuration"]["documents"][0].clone();
    let opened = serde_json::json!([{"serial": 1, "topic": "grelot/v1/42/config"}]);
    assert_eq!(report["shadows"], opened);
    let [results, push] = &report["next"].as_array().unwrap()[..] else { panic!("{report}") };
    eventually("it runs in the shadow", || document()["state"] == "shadow");
    world.say(results);
    world.say(push);
    eventually("it is in force", || document()["state"] == "in_force");
    door.stop();
    let again = world.tune("--points 2 --out next.toml");
    assert_eq!(again["now"]["false"], chosen["false"], "the search begins with it");
    assert_eq!(again["group"], "stores with 1 gateway (door)");
    assert_eq!(again["next"][0], "grelot fleet diff 2 next.toml --state fleet.db");
    assert!(again["next"][1].as_str().unwrap().contains("fleet shadow"), "{again}");
    assert_eq!(again["shadows"], serde_json::json!([]));
    world.say(&again["next"][0]);
    world.say(&again["next"][1]);
    world.proposals_are_kept(&report, &again);
}

#[test]
fn a_withdrawal_deletes_traces_that_wait_for_head_office() {
    let dir = tempfile::tempdir().unwrap();
    let broker = Mosquitto::start(dir.path(), &BrokerOptions::default());
    let shop = Shop::new(&dir.path().join("door"), broker.port, 1, 600);
    let _door = shop.run(0);
    let file = shop.folder.join("state/reports.db");
    let waiting = |sql: &str| {
        let file = rusqlite::Connection::open(&file).unwrap();
        file.query_row(sql, [], |row| row.get::<_, u32>(0)).unwrap_or_default()
    };
    let traces = "SELECT count(*) FROM reports WHERE trace IS NOT NULL";
    eventually("traces of the first day wait", || waiting(traces) >= A_DAY);
    let before = waiting("SELECT count(*) FROM traces");
    publish(broker.port, "grelot/v1/42/withdrawn/c-guest-0", b"{\"v\":1}");
    eventually("one of them is deleted", || {
        waiting("SELECT count(*) FROM reports WHERE report LIKE '%withdrawn_traces%'") == 1
    });
    assert!(waiting("SELECT count(*) FROM traces") >= before - 1);
    let links = "SELECT count(*) FROM traces";
    assert_eq!(waiting(traces), waiting(links), "whose they are, and they themselves");
    for name in ["reports.db", "reports.db-wal"] {
        let octets = fs::read(shop.folder.join("state").join(name)).unwrap_or_default();
        for known in PERSONAL {
            let found =
                octets.windows(known.len()).any(|some| some.eq_ignore_ascii_case(known.as_bytes()));
            assert!(!found, "{known} is in {name}");
        }
    }
}
