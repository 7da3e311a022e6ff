//! A whole `grelot run` with its page: check-ins, webhooks, a certificate of its own.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

use crate::common::daemon::Grelot;
use crate::common::free_port;
use crate::common::waiting::eventually;
use crate::http;

/// A shop's configuration in a folder; `more` is added to it.
fn configured(folder: &Path, port: u16, more: &str) -> PathBuf {
    let config = folder.join("grelot.toml");
    std::fs::copy("config/trial-customers.jsonl", folder.join("customers.jsonl")).unwrap();
    let text = format!(
        "[store]\nid = 42\n[gateway]\nname = \"door\"\nclock = \"trusted\"\n\
         [broker]\nlisten = \"127.0.0.1:0\"\n[registry]\npath = \"customers.jsonl\"\n\
         [[source]]\nkind = \"h4\"\npath = \"hci\"\n[state]\npath = \"state\"\n\
         [tablets]\nlisten = \"127.0.0.1:{port}\"\nentrance = true\n\
         crm_url = \"https://crm.example/{{client}}\"\n{more}"
    );
    std::fs::write(&config, text).unwrap();
    // A radio that receives nothing.
    assert!(Command::new("mkfifo").arg(folder.join("hci")).status().unwrap().success());
    config
}

pub fn is_up(port: u16) -> bool {
    let health = http::request(port, "GET", "/healthz", &[("Host", "127.0.0.1")], "");
    health.is_ok_and(|answer| answer.body.contains("\"broker\":\"live\""))
}

fn status(config: &Path) -> Value {
    let mut command = Command::new(env!("CARGO_BIN_EXE_grelot"));
    let output = command.arg("--json").arg("--config").arg(config).arg("status").output().unwrap();
    serde_json::from_slice(&output.stdout).unwrap_or_default()
}

#[test]
fn a_customer_is_checked_in_by_hand_and_a_till_learns_of_it_once() {
    let folder = tempfile::tempdir().unwrap();
    let till = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let hook = till.local_addr().unwrap();
    std::fs::write(folder.path().join("hook.secret"), "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n")
        .unwrap();
    let webhook =
        format!("[[webhook]]\nurl = \"http://{hook}/hooks\"\nsecret_file = \"hook.secret\"\n");
    let port = free_port();
    let config = configured(folder.path(), port, &webhook);
    let mut grelot = Grelot::start(config.clone());
    eventually("the page is up", || is_up(port));

    let check_in = |client: &str| {
        http::json(port, "POST", "/check-in", &json!({ "client": client, "by": "Léa" })).unwrap()
    };
    assert_eq!(check_in("c-unknown").problem().as_deref(), Some("unknown_customer"));
    assert_eq!(check_in(" c-trial ").body, r#"{"outcome":"welcome"}"#);
    assert_eq!(check_in("c-trial").body, r#"{"outcome":"already_here"}"#);

    // The till hangs up on the first attempt; the gateway is killed before the second one.
    drop(till.accept().unwrap());
    grelot.kill();
    grelot.restart();
    let (stream, _) = till.accept().unwrap();
    let mut reader = BufReader::new(stream);
    let mut head = Vec::new();
    for line in reader.by_ref().lines() {
        let line = line.unwrap();
        if line.is_empty() {
            break;
        }
        head.push(line.to_ascii_lowercase());
    }
    assert!(head.iter().any(|line| line.starts_with("webhook-signature: v1,")), "{head:?}");
    let length = head.iter().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
    let mut body = vec![0; length.parse().unwrap()];
    reader.read_exact(&mut body).unwrap();
    let body: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!((&body["type"], &body["data"]["client"]), (&json!("arrival"), &json!("c-trial")));
    reader.get_mut().write_all(b"HTTP/1.1 204 No Content\r\n\r\n").unwrap();
    eventually("the status says that it was taken", || {
        status(&config)["webhooks"][0]["delivered"] == 1
    });
}

#[test]
fn tls_init_makes_a_certificate_that_is_trusted_with_its_authority_and_renewed_without_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let port = free_port();
    let certificate = folder.path().join("state/tls/gateway.pem");
    let tls = format!(
        "[tls]\ncertificate = {certificate:?}\nkey = {:?}\n",
        folder.path().join("state/tls/gateway.key")
    );
    let config = configured(folder.path(), port, &tls);
    std::fs::create_dir(folder.path().join("state")).unwrap();
    let grelot = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_grelot"));
        let output =
            command.arg("--json").arg("--config").arg(&config).args(arguments).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice::<Value>(&output.stdout).unwrap()
    };
    let made = grelot(&["tls", "init"]);
    assert!(made["names"].as_array().unwrap().contains(&json!("127.0.0.1")), "{made}");
    let trust = grelot(&["tls", "trust"]);
    let authority = made["authority"].as_str().unwrap();

    let _grelot = Grelot::start(config.clone());
    // curl trusts this authority alone.
    let curl = |url: &str| {
        let mut command = Command::new("curl");
        let output = command.args(["-s", "--cacert", authority, url]).output().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let health = format!("https://127.0.0.1:{port}/healthz");
    eventually("the page is trusted", || curl(&health).contains("live"));

    let host = format!("127.0.0.1:{port}");
    let plain = |path: &str| http::request(port, "GET", path, &[("Host", &host)], "").unwrap();
    let page = plain("/trust");
    assert!(page.body.contains(trust["sha256"].as_str().unwrap()), "{}", page.body);
    assert_eq!(plain("/ca.crt").header("content-type"), Some("application/x-x509-ca-cert"));
    let elsewhere = plain("/?x=1");
    assert_eq!(elsewhere.status, 307);
    assert_eq!(elsewhere.header("location"), Some(format!("https://{host}/?x=1").as_str()));

    let serial = || {
        let script = format!(
            "openssl s_client -connect 127.0.0.1:{port} </dev/null 2>/dev/null | openssl x509 -noout -serial"
        );
        let output = Command::new("sh").arg("-c").arg(script).output().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let before = serial();
    assert!(before.starts_with("serial="), "{before}");
    grelot(&["tls", "init", "--name", "till.local"]);
    eventually("the new certificate is shown", || {
        std::thread::sleep(Duration::from_millis(200));
        let now = serial();
        now.starts_with("serial=") && now != before
    });
    assert!(curl(&health).contains("live"), "the authority is the same");
}
