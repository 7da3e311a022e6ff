//! The synthetic customer: through a real broker, measured by a real Prometheus, and seen by no one.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use grelot::mqtt::Role;
use grelot::mqtt::broker::Rights;
use grelot::mqtt::topics::Topics;
use grelot::payload::{Report, ReportKind};
use serde_json::{Value, json};

use crate::common::free_port;
use crate::common::mosquitto::{BrokerOptions, Mosquitto};
use crate::common::process::Running;
use crate::common::waiting::eventually;
use crate::http;
use crate::measures::dashboard;
use crate::office::{grelot, start, status};
use crate::prometheus::{Prometheus, promtool};

/// A gateway without a radio and without customers.
fn gateway(folder: &Path, broker: &str, lines: &str) -> (PathBuf, Running) {
    let folder = folder.join("door");
    fs::create_dir_all(&folder).unwrap();
    let text = format!(
        "[store]\nid = 42\n[gateway]\nname = \"door\"\nclock = \"trusted\"\n[broker]\n{broker}\n\
         [[source]]\nkind = \"mqtt\"\n[state]\npath = \"state\"\n{lines}"
    );
    fs::write(folder.join("grelot.toml"), text).unwrap();
    let process = start(&folder, &["--config", "grelot.toml", "run"]);
    eventually("the gateway answers", || !status(&folder).is_null());
    (folder, process)
}

fn successes(folder: &Path) -> u64 {
    status(folder)["canary"]["successes"].as_u64().unwrap_or_default()
}

fn comes_through_again(folder: &Path) {
    let before = successes(folder);
    eventually("the canary comes through", || successes(folder) > before);
}

/// With the rights alone that `grelot broker rules` prints.
#[test]
fn a_broker_that_dies_is_noticed_by_it_and_its_return_too() {
    let dir = tempfile::tempdir().unwrap();
    let rights = Rights::of(Role::Gateway, "door", &Topics::of(42)).mosquitto("42-door");
    let options = BrokerOptions {
        login: Some(("42-door", "secret")),
        access: Some(&rights),
        ..BrokerOptions::default()
    };
    let mut broker = Mosquitto::start(dir.path(), &options);
    let measures = free_port();
    let urls = format!(
        "urls = [\"mqtt://127.0.0.1:{}\"]\nusername = \"42-door\"\npassword = \"secret\"",
        broker.port
    );
    let lines = format!(
        "[policy]\nalert_ttl_secs = 5\n[metrics]\nlisten = \"127.0.0.1:{measures}\"\ncanary_secs = 15\n"
    );
    let (folder, _door) = gateway(dir.path(), &urls, &lines);
    let prometheus = Prometheus::start(dir.path(), &[format!("127.0.0.1:{measures}")]);
    let fires = || {
        let alerts = "ALERTS{alertname=\"GrelotCanaryFails\",alertstate=\"firing\"}";
        !prometheus.query(alerts).is_empty()
    };
    comes_through_again(&folder);
    let canary = status(&folder)["canary"].clone();
    let seconds = |key: &str| canary[key].as_f64().unwrap();
    assert!(seconds("returned_s") < 60.0 && seconds("acknowledged_s") > 0.25, "{canary}");
    for (panel, expression) in dashboard() {
        if expression.contains("canary") {
            eventually(&panel, || !prometheus.query(&expression).is_empty());
        }
    }
    let text = http::request(measures, "GET", "/metrics", &[("Host", "127.0.0.1")], "");
    promtool(&["check", "metrics"], &text.unwrap().body);
    eventually("no alert fires", || !fires());

    broker.kill();
    eventually("the stage is named", || {
        status(&folder)["canary"]["failed"]["stage"] == "acknowledged"
    });
    let says = |arguments: &[&str]| {
        let output = grelot(&folder, &[&["--config", "grelot.toml"], arguments].concat());
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    for command in ["status", "doctor"] {
        let shown = says(&[command]);
        assert!(shown.contains("the broker does not acknowledge the canary"), "{shown}");
        assert!(shown.contains("grelot broker rules"), "{shown}");
    }
    eventually("the alert fires", fires);
    let failed = prometheus.query("grelot_canary_failures_total{stage=\"acknowledged\"} > 0");
    assert_eq!(failed.len(), 1);

    broker.restart();
    comes_through_again(&folder);
    assert_eq!(status(&folder)["canary"]["failed"], Value::Null);
    eventually("the alert ends", || !fires());
}

/// What an event stream of the page says, as it comes.
pub fn listen(port: u16) -> Arc<Mutex<Vec<Value>>> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    write!(stream, "GET /events?tab=a HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n").unwrap();
    let boards = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&boards);
    std::thread::spawn(move || {
        let lines = BufReader::new(stream).lines().map_while(Result::ok);
        let data = lines.filter_map(|line| serde_json::from_str(line.strip_prefix("data: ")?).ok());
        data.for_each(|board| seen.lock().unwrap().push(board));
    });
    boards
}

#[test]
fn staff_customers_and_counts_know_nothing_of_it() {
    let dir = tempfile::tempdir().unwrap();
    let broker = Mosquitto::start(dir.path(), &BrokerOptions::default());
    let hook = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    hook.set_nonblocking(true).unwrap();
    fs::create_dir_all(dir.path().join("door")).unwrap();
    let secret = dir.path().join("door/hook.secret");
    fs::write(&secret, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n").unwrap();
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).unwrap();
    let (page, measures) = (free_port(), free_port());
    let urls = format!("urls = [\"mqtt://127.0.0.1:{}\"]", broker.port);
    let lines = format!(
        "[tablets]\nlisten = \"127.0.0.1:{page}\"\n[head_office]\nurls = [\"mqtt://127.0.0.1:1\"]\n\
         [[webhook]]\nurl = \"http://{}/hooks\"\nsecret_file = \"hook.secret\"\n\
         [metrics]\nlisten = \"127.0.0.1:{measures}\"\ncanary_secs = 1\n",
        hook.local_addr().unwrap()
    );
    let (folder, mut door) = gateway(dir.path(), &urls, &lines);
    eventually("the page is up", || TcpStream::connect(("127.0.0.1", page)).is_ok());
    let boards = listen(page);
    eventually("the page shows the shop", || {
        boards.lock().unwrap().iter().any(|board| board["broker"]["state"] == "live")
    });
    comes_through_again(&folder);
    comes_through_again(&folder);

    let now = status(&folder);
    for count in ["contacts", "arrivals", "alerts"] {
        assert_eq!(now[count], 0, "{now}");
    }
    assert_eq!(now["visits"], json!([]));
    for count in ["queued", "delivered", "repeated", "expired", "shed"] {
        assert_eq!(now["delivery"][count], 0, "{now}");
    }
    for count in ["waiting", "delivered", "failed", "dead"] {
        assert_eq!(now["webhooks"][0][count], 0, "{now}");
    }
    assert!(hook.accept().is_err(), "the webhook was called");
    let text = http::request(measures, "GET", "/metrics", &[("Host", "127.0.0.1")], "");
    let text = text.unwrap().body;
    for measure in ["contacts_total", "alerts_total", "alert_shown_seconds_count"] {
        let line = text.lines().find(|line| line.starts_with(&format!("grelot_{measure}{{")));
        assert!(line.is_some_and(|line| line.ends_with(" 0")), "{line:?}");
    }
    let boards = boards.lock().unwrap().clone();
    for board in boards.iter().filter(|board| board.get("visits").is_some()) {
        for list in ["visits", "hidden", "left"] {
            assert_eq!(board[list], json!([]), "{board}");
        }
    }

    door.stop();
    let state = folder.join("state");
    let kept = rusqlite::Connection::open(state.join("grelot.db")).unwrap();
    for table in ["outbox", "visits", "caps", "phones", "labels", "webhooks", "withdrawals"] {
        let rows = kept.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0));
        assert_eq!(rows, Ok(0_i64), "{table}");
    }
    let reports = rusqlite::Connection::open(state.join("reports.db")).unwrap();
    let mut query = reports.prepare("SELECT report FROM reports").unwrap();
    for text in query.query_map([], |row| row.get::<_, String>(0)).unwrap() {
        match serde_json::from_str::<Report>(&text.unwrap()).unwrap().what {
            ReportKind::Hour(hour) => {
                assert_eq!((hour.contacts, hour.arrivals, hour.alerts), (0, 0, 0));
            }
            other => panic!("reported: {other:?}"),
        }
    }
}
