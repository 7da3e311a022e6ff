//! What a gateway measures, as Prometheus and Grafana take it.

use serde_json::{Value, json};

use crate::browser::Chromium;
use crate::common::free_port;
use crate::common::mosquitto::{BrokerOptions, Mosquitto};
use crate::common::waiting::eventually;
use crate::http;
use crate::office::Gateway;
use crate::prometheus::{Prometheus, example, promtool};

#[test]
fn each_alert_rule_fires_when_it_should_and_not_before() {
    promtool(&["check", "rules", example("alerts.yml").to_str().unwrap()], "");
    promtool(&["test", "rules", example("alerts.test.yml").to_str().unwrap()], "");
    promtool(&["check", "config", example("prometheus.yml").to_str().unwrap()], "");
    let rules = std::fs::read_to_string(example("alerts.yml")).unwrap();
    let tests = std::fs::read_to_string(example("alerts.test.yml")).unwrap();
    for name in rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")) {
        let fires = format!("alertname: {name}\n        exp_alerts");
        assert!(tests.contains(&fires), "no test in which {name} fires");
    }
}

/// What the dashboard asks, by its panels' titles.
pub fn dashboard() -> Vec<(String, String)> {
    let text = std::fs::read_to_string(example("grafana.json")).unwrap();
    let dashboard: Value = serde_json::from_str(&text).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let asks = |panel: &Value| {
        let title = panel["title"].as_str().unwrap().to_owned();
        let targets = panel["targets"].as_array().unwrap().clone();
        targets.into_iter().map(move |target| {
            let expression = target["expr"].as_str().unwrap();
            let expression = expression
                .replace("$__rate_interval", "1m")
                .replace("$store", ".*")
                .replace("$gateway", ".*");
            (title.clone(), expression)
        })
    };
    panels.iter().flat_map(asks).collect()
}

#[test]
fn a_gateway_is_measured_and_every_expression_of_the_dashboard_has_an_answer() {
    let dir = tempfile::tempdir().unwrap();
    let broker = Mosquitto::start(dir.path(), &BrokerOptions::default());
    let (page, measures) = (free_port(), free_port());
    let lines = format!(
        "[tablets]\nlisten = \"127.0.0.1:{page}\"\n[metrics]\nlisten = \"127.0.0.1:{measures}\"\n"
    );
    let door = Gateway::start_with(dir.path(), "door", &[broker.port], &lines);
    let scrape = || {
        let answer =
            http::request(measures, "GET", "/metrics", &[("Host", "127.0.0.1")], "").unwrap();
        assert_eq!(answer.status, 200);
        answer.body
    };
    let value = |name: &str| {
        let text = scrape();
        let line = text
            .lines()
            .find(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' '])));
        line.and_then(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
            .unwrap_or_else(|| panic!("no {name} in\n{text}"))
    };
    let prometheus = Prometheus::start(dir.path(), &[format!("127.0.0.1:{measures}")]);

    let chromium = Chromium::start();
    let tablet = chromium.tablet("en", 1280, 800);
    tablet.open(&format!("http://127.0.0.1:{page}/"));
    eventually("all three are announced", || value("grelot_alerts_total") == 3.0);
    eventually("the page has drawn them", || value("grelot_alert_shown_seconds_count") == 3.0);
    let visit = door.status()["visits"][0]["visit"].as_str().unwrap().to_owned();
    let claim = json!({ "by": "Léa", "action": "claim" });
    let answer = http::json(page, "POST", &format!("/visits/{visit}/claim"), &claim).unwrap();
    assert_eq!(answer.status, 202);
    eventually("one is claimed", || value("grelot_alert_claimed_seconds_count") == 1.0);

    let text = scrape();
    promtool(&["check", "metrics"], &text);
    assert_eq!(value("grelot_receiving"), 1.0);
    assert_eq!(value("grelot_broker_connected"), 1.0);
    assert_eq!(value("grelot_tablets"), 1.0);
    assert_eq!(value("grelot_registry_customers"), 3.0);
    assert_eq!(value("grelot_recognition_seconds_count"), 3.0);
    assert!(!text.contains("c-1") && !text.contains("gold"), "a customer is named:\n{text}");

    for (panel, expression) in dashboard() {
        // A gateway that plays a recording has no radio to recover; the canary has its own test.
        let may_be_empty =
            expression.contains("radio_recovery_steps") || expression.contains("canary");
        eventually(&format!("{panel}: {expression} has an answer"), || {
            !prometheus.query(&expression).is_empty() || may_be_empty
        });
    }
    let rules = || prometheus.get("/api/v1/rules")["groups"][0]["rules"].clone();
    eventually("every alert rule is evaluated", || {
        rules().as_array().unwrap().iter().all(|rule| rule["health"] == "ok")
    });
    let firing =
        rules().as_array().unwrap().iter().filter(|rule| rule["state"] == "firing").count();
    assert_eq!(firing, 0, "all is well: {:#}", rules());
}
