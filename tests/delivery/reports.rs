//! Reports of the whole `grelot run` stay true and short.

use std::path::Path;
use std::time::Duration;

use crate::mosquitto::{BrokerOptions, Mosquitto, Subscriber};
use crate::scene::{Grelot, Scene};

const SCENE: Scene =
    Scene { store: 42, customers: 1, every: Duration::from_millis(500), speed: 10 };
const STATUS: &str = "grelot/v1/42/gateways/door/status";

/// No report is longer.
const LONGEST: usize = 16 * 1024;

fn start(dir: &Path, broker: &Mosquitto) -> Grelot {
    Grelot::start(SCENE.write(dir, &format!("urls = [\"mqtt://127.0.0.1:{}\"]", broker.port)))
}

async fn status(
    it: &mut Subscriber,
    wanted: impl Fn(&serde_json::Value) -> bool,
) -> serde_json::Value {
    loop {
        let said = it.next().await;
        assert!(said.payload.len() < LONGEST, "{} octets", said.payload.len());
        let status = said.json();
        if wanted(&status) {
            return status;
        }
    }
}

#[tokio::test]
async fn a_refused_configuration_of_ten_thousand_lines_leaves_the_gateway_online() {
    let dir = tempfile::tempdir().unwrap();
    let broker = Mosquitto::start(dir.path(), &BrokerOptions::default());
    let mut it = broker.subscribe(&["-t", STATUS]).await;
    let grelot = start(dir.path(), &broker);
    status(&mut it, |status| status["state"] != "offline").await;
    let document = dir.path().join("document.toml");
    let lines: String = (0..10_919).map(|n| format!("presence.k{n} = 1\n")).collect();
    std::fs::write(&document, lines).unwrap();

    broker.publish(&["-r", "-t", "grelot/v1/42/config", "-f", document.to_str().unwrap()]).await;

    let refused = status(&mut it, |status| status["refused"].is_array()).await;
    let refused = refused["refused"].as_array().unwrap();
    assert!(refused.last().unwrap().as_str().unwrap().ends_with("more"), "{refused:?}");
    assert!(grelot.log().len() < 64 * 1024, "{} octets of log", grelot.log().len());
}

#[tokio::test]
async fn a_document_of_seventy_kilobytes_arrives_and_one_that_is_too_long_is_reported() {
    let dir = tempfile::tempdir().unwrap();
    let broker = Mosquitto::start(dir.path(), &BrokerOptions::default());
    let mut it = broker.subscribe(&["-t", STATUS]).await;
    let _grelot = start(dir.path(), &broker);
    let before = status(&mut it, |status| status["state"] != "offline").await;
    let document = dir.path().join("document.toml");
    let comment = |octets: usize| format!("# {}\n", "x".repeat(octets));
    let text = format!("{}[presence]\ndwell_secs = 7\n", comment(70_000));
    std::fs::write(&document, text).unwrap();
    let push = ["-r", "-t", "grelot/v1/42/config", "-f", document.to_str().unwrap()];

    broker.publish(&push).await;

    status(&mut it, |status| status["config"] != before["config"]).await;
    std::fs::write(&document, comment(300_000)).unwrap();
    broker.publish(&push).await;
    status(&mut it, |status| status["refused"].is_array()).await;
}

/// A gateway that receives from other gateways alone, and whose clock counts: no time server may have
/// set this machine's.
fn start_without_radio(dir: &Path, broker: &Mosquitto) -> Grelot {
    let config = SCENE.write(dir, &format!("urls = [\"mqtt://127.0.0.1:{}\"]", broker.port));
    let text = std::fs::read_to_string(&config).unwrap();
    let (before, after) = text.split_once("[[source]]").unwrap();
    let (_, after) = after.split_once("[registry]").unwrap();
    let text = format!("{before}[[source]]\nkind = \"mqtt\"\n[registry]{after}");
    let text = text.replacen("[gateway]", "[gateway]\nclock = \"trusted\"", 1);
    std::fs::write(&config, text).unwrap();
    Grelot::start(config)
}

#[tokio::test]
async fn a_status_has_the_time_since_which_the_gateway_is_blind() {
    let dir = tempfile::tempdir().unwrap();
    let broker = Mosquitto::start(dir.path(), &BrokerOptions::default());
    let mut it = broker.subscribe(&["-t", STATUS]).await;
    let _grelot = start_without_radio(dir.path(), &broker);
    let blind = status(&mut it, |status| status["state"] == "blind").await;

    let till = r#"{"v":1,"state":"online","version":"1","config":"","since":null}"#;
    broker.publish(&["-r", "-t", "grelot/v1/42/gateways/till/status", "-m", till]).await;

    let online = status(&mut it, |status| status["state"] == "online").await;
    let since = |status: &serde_json::Value| -> jiff::Timestamp {
        status["since"].as_str().unwrap().parse().unwrap()
    };
    assert!(since(&online) > since(&blind), "{online} after {blind}");
}

#[tokio::test]
async fn a_removed_state_folder_is_reported() {
    let dir = tempfile::tempdir().unwrap();
    let broker = Mosquitto::start(dir.path(), &BrokerOptions::default());
    let mut it = broker.subscribe(&["-t", STATUS]).await;
    let mut grelot = start(dir.path(), &broker);
    status(&mut it, |status| status["state"] != "offline").await;
    let state = dir.path().join("state");

    std::fs::remove_dir_all(&state).unwrap();
    let client = "grelot/v1/42/withdrawn/c-1";
    broker.publish(&["-r", "-t", client, "-m", r#"{"v":1}"#]).await;

    let warned = status(&mut it, |status| status["warnings"].is_array()).await;
    let warnings = warned["warnings"].to_string();
    assert!(warnings.contains("removed") && warnings.contains("restart"), "{warnings}");
    assert_eq!(grelot.stop().await, Some(0), "{}", grelot.log());
    let store = grelot::store::Store::open(&state).unwrap();
    let restored = store.restored(&crate::shop::settings(), crate::shop::OPENING).unwrap();
    assert_eq!(restored.withdrawn, ["c-1".into()], "what was known is on the disk again");
}

#[tokio::test]
async fn a_gateway_that_is_gone_is_retired_and_one_that_is_online_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let broker = Mosquitto::start(dir.path(), &BrokerOptions::default());
    let mut it = broker.subscribe(&["-t", "grelot/v1/42/gateways/+/status"]).await;
    let url = format!("urls = [\"mqtt://127.0.0.1:{}\"]", broker.port);
    let config = SCENE.write(dir.path(), &url);
    let say = async |name: &str, state: &str| {
        let topic = format!("grelot/v1/42/gateways/{name}/status");
        let status =
            format!(r#"{{"v":1,"state":"{state}","version":"","config":"","since":null}}"#);
        broker.publish(&["-r", "-t", &topic, "-m", &status]).await;
    };
    say("attic", "offline").await;
    say("till", "online").await;
    let retire = |name: &str| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_grelot"));
        command.args(["status", "--retire", name, "--config"]).arg(&config).output().unwrap()
    };

    let retired = retire("attic");
    assert!(retired.status.success(), "{retired:?}");
    for (name, reason) in
        [("till", "not offline"), ("cellar", "retains no state"), ("door", "itself")]
    {
        let refused = retire(name);
        assert_eq!(refused.status.code(), Some(1), "{refused:?}");
        assert!(String::from_utf8_lossy(&refused.stderr).contains(reason), "{refused:?}");
    }
    while !it.next_on("gateways/attic/status").await.payload.is_empty() {}
}

#[tokio::test]
async fn a_hundred_made_up_gateways_do_not_keep_a_real_one_out() {
    let dir = tempfile::tempdir().unwrap();
    let broker = Mosquitto::start(dir.path(), &BrokerOptions::default());
    let mut it = broker.subscribe(&["-t", STATUS]).await;
    let _grelot = start_without_radio(dir.path(), &broker);
    status(&mut it, |status| status["state"] == "blind").await;
    for n in 0..100 {
        let topic = format!("grelot/v1/42/gateways/junk-{n}/status");
        let status = r#"{"v":1,"state":"offline","version":"","config":"","since":null}"#;
        broker.publish(&["-t", &topic, "-m", status]).await;
    }

    let till = r#"{"v":1,"state":"online","version":"","config":"","since":null}"#;
    broker.publish(&["-t", "grelot/v1/42/gateways/till/status", "-m", till]).await;

    status(&mut it, |status| status["state"] == "online").await;
}
