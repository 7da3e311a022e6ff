//! A bundle from a machine whose clock was ahead.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use grelot::clock::{Clocks, WallClock};
use grelot::daemon::registry::check::Rules;
use grelot::daemon::registry::vault::Vault;
use grelot::pipeline::units::{Clock, Now, Tick, WallTime};

use super::gateway::{Shop, signature};

const AHEAD: &str = "2099-01-01T00:00:00Z";

fn now() -> Clock {
    Clocks::machine().now().clock
}

/// A bundle with one customer, made at `made_at` and signed by head office.
fn bundle(shop: &Shop, name: &str, made_at: &str, more: &str) -> PathBuf {
    let path = shop.path(name);
    let header = format!(
        r#"{{"grelot":"registry","version":1,"store":42,"made_at":"{made_at}","expires_at":"2099-01-03T00:00:00Z"{more}}}"#
    );
    let customer = r#"{"client":"c-1","tier":"gold","scheme":"beacon","altbeacon":"0102030405060708090a0b0c0d0e0f1011121314","consent":{"expires_at":"2099-11-02T00:00:00Z"}}"#;
    fs::write(&path, format!("{header}\n{customer}\n")).unwrap();
    let key = fs::read_to_string(shop.path("keys/grelot.key")).unwrap();
    let key = minisign::SecretKeyBox::from_string(&key).unwrap();
    let key = key.into_unencrypted_secret_key().unwrap();
    let file = fs::File::open(&path).unwrap();
    let signed = minisign::sign(None, &key, file, None, None).unwrap();
    fs::write(signature(&path), signed.to_bytes()).unwrap();
    path
}

fn rules(shop: &Shop, folder: &Path) -> Rules {
    Rules::new(42, &[shop.public_key()], folder.to_owned(), Vault::default()).by(WallClock::Trusted)
}

/// The same on a machine that no time server has reached.
fn unset(rules: &Rules) -> Rules {
    let clock = Clock::Unset(now().reading());
    Rules { machine: Clocks::new(move || Now { tick: Tick::ZERO, clock }), ..rules.clone() }
}

#[test]
fn a_bundle_dated_in_the_future_is_refused_and_keeps_no_later_one_out() {
    let shop = Shop::new();
    let folder = tempfile::tempdir().unwrap();
    let rules = rules(&shop, folder.path());
    let future = bundle(&shop, "future", AHEAD, "");
    let today = bundle(&shop, "today", &now().reading().to_string(), "");
    let error = rules.take_in(&future, None, now()).unwrap_err().to_string();
    assert!(error.contains("in the future"), "{error}");
    assert!(!rules.keeps_accepted() && !rules.incoming().exists());

    // On a machine that could not judge it, it came into force: until the clock was set.
    let unset = unset(&rules);
    let loaded = unset.take_in(&future, None, now()).unwrap();
    let in_force = loaded.header.map(|header| header.made_at);
    assert_eq!(in_force, WallTime::parse(AHEAD));
    let error = unset.take_in(&today, in_force, now()).unwrap_err().to_string();
    assert!(error.contains("the one in force at"), "{error}");
    rules.take_in(&today, in_force, now()).unwrap();
}

#[test]
fn a_signed_bundle_recovers_gateways_that_took_one_from_the_future() {
    let shop = Shop::new();
    let folder = tempfile::tempdir().unwrap();
    let unset = unset(&rules(&shop, folder.path()));
    let today = now().reading().to_string();
    let until = format!(r#","supersedes":"{AHEAD}""#);
    let recovering = bundle(&shop, "recovering", &today, &until);
    let taken = unset.take_in(&recovering, WallTime::parse(AHEAD), now()).unwrap();
    assert_eq!(taken.registry.len(), 1);

    // Head office's tool makes such a bundle.
    shop.bundle(1, 42, "keys", "plain.zst");
    shop.bundle_book(42, "keys", "made.zst", &format!("--supersede {AHEAD}"));
    let taken = unset.take_in(&shop.path("made.zst"), WallTime::parse(AHEAD), now()).unwrap();
    assert_eq!(taken.header.unwrap().supersedes, WallTime::parse(AHEAD));
}

#[test]
fn a_local_command_forgets_a_bundle_from_the_future_and_doctor_reports_it() {
    let shop = Shop::new();
    shop.configure_signed();
    let config = fs::read_to_string(shop.path("grelot.toml")).unwrap();
    let trusted = config.replace("name = \"door\"", "name = \"door\"\nclock = \"trusted\"");
    fs::write(shop.path("grelot.toml"), trusted).unwrap();
    let folder = shop.path("state/registry");
    fs::create_dir_all(&folder).unwrap();
    let future = bundle(&shop, "future", AHEAD, "");
    unset(&rules(&shop, &folder)).take_in(&future, None, now()).unwrap();
    let _grelot = shop.run();
    let (verdict, says) = shop.doctor();
    assert!(verdict == "warn" && says.contains("in the future"), "{verdict}: {says}");

    let forget = Command::new(env!("CARGO_BIN_EXE_grelot"))
        .args(["customers", "forget-bundle", "--config"])
        .arg(shop.path("grelot.toml"))
        .output()
        .unwrap();
    assert!(forget.status.success(), "{forget:?}");
    assert!(!folder.join("accepted").exists());
    super::gateway::eventually("the gateway notices", || {
        shop.log().contains("the kept registry was removed")
    });
    assert_eq!(shop.customers(), 1, "and serves on");
}
