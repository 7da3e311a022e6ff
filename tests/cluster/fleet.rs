//! Settings from head office: numbered, signed, kept; forged and older ones refused and reported.

use std::fs;

use crate::common::mosquitto::{BrokerOptions, Mosquitto};
use crate::common::waiting::eventually;
use crate::mosquitto::publish;
use crate::office::{Gateway, Office, grelot};

const TOPIC: &str = "grelot/v1/config/fleet";

/// A command's exit code and what it prints.
fn ended(office: &Office, arguments: &str) -> (Option<i32>, String) {
    let mut all = vec!["--config", "grelot.toml"];
    all.extend(arguments.split_whitespace());
    let output = grelot(&office.folder, &all);
    let text = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8_lossy(&text).into_owned())
}

#[tokio::test]
async fn pushed_settings_are_numbered_signed_and_kept_and_forged_ones_refused_and_reported() {
    let dir = tempfile::tempdir().unwrap();
    let mut broker =
        Mosquitto::start(dir.path(), &BrokerOptions { durable: true, ..BrokerOptions::default() });
    let office = Office::new(&dir.path().join("office"), &[broker.port]);
    grelot(&office.folder, &["customers", "keygen", "--out", "keys", "--no-password"]);
    grelot(&office.folder, &["customers", "keygen", "--out", "other", "--no-password"]);
    let public = fs::read_to_string(office.folder.join("keys/grelot.pub")).unwrap();
    let pinned = format!("[head_office]\npublic_keys = [{:?}]\n", public.lines().nth(1).unwrap());
    let serving = office.serve();
    let door = Gateway::start_with(dir.path(), "door", &[broker.port], &pinned);
    let hash = |gateway: &Gateway| gateway.status()["configuration"]["hash"].clone();
    let original = hash(&door);
    let known = "fleet status --state fleet.db";
    eventually("head office knows the gateway", || ended(&office, known).1.contains("42/door"));
    assert_eq!(ended(&office, known).0, Some(0), "{}", ended(&office, known).1);

    // A file with a mistake is not pushed.
    fs::write(office.folder.join("bad.toml"), "[presence]\ndwel_secs = 4\n").unwrap();
    let (code, output) = ended(&office, "fleet push bad.toml --key keys/grelot.key");
    assert!(code == Some(78) && output.contains("did you mean `presence.dwell_secs`?"), "{output}");

    fs::write(office.folder.join("one.toml"), "[presence]\ndwell_secs = 4\n").unwrap();
    let push = "fleet push one.toml --key keys/grelot.key --note levels --wait 60";
    let (code, output) = ended(&office, push);
    assert!(code == Some(0) && output.contains("in force at 1 gateways"), "{output}");
    let pushed = hash(&door);
    assert_ne!(pushed, original);

    // Unsigned, of another key, older: refused, with the reason, and nothing changes.
    let first = ended(&office, "fleet history --show 1").1;
    fs::write(office.folder.join("two.toml"), "[presence]\ndwell_secs = 9\n").unwrap();
    let of_other = ended(&office, "fleet push two.toml --key other/grelot.key --wait 3");
    assert!(
        of_other.0 == Some(1) && of_other.1.contains("none of the pinned keys"),
        "{of_other:?}"
    );
    let trouble = || ended(&office, known);
    eventually("head office sees it", || {
        let (code, output) = trouble();
        code == Some(1)
            && output.contains("refused: grelot/v1/config/fleet")
            && output.contains("warns")
    });
    office.run("fleet acknowledge 42 door --note forged");
    assert_eq!(trouble().0, Some(0), "{}", trouble().1);

    // Head office, which would repeat its own document meanwhile, is away.
    drop(serving);
    let of_other = ended(&office, "fleet history --show 2").1;
    for (document, why) in [
        ("[document]\nserial = 99\n[presence]\ndwell_secs = 1\n", "is not signed"),
        (of_other.trim_end_matches('\n'), "none of the pinned keys"),
        ("", "is not signed"),
    ] {
        publish(broker.port, &["-t", TOPIC, "-m", document]).await;
        eventually(why, || door.status()["configuration"]["refused"].to_string().contains(why));
    }
    assert_eq!(hash(&door), pushed);
    let serving = office.serve();

    // A document of the pinned key counts again, after the other's number; the first is older now.
    office.run("fleet push one.toml --key keys/grelot.key --wait 60");
    drop(serving);
    publish(broker.port, &["-t", TOPIC, "-m", first.trim_end_matches('\n')]).await;
    eventually("the older one is refused", || {
        door.status()["configuration"]["refused"].to_string().contains("never go back")
    });
    let _serving = office.serve();

    // It is kept: with the broker away the gateway starts with the settings that it had.
    drop(door);
    broker.kill();
    let door = Gateway::start_with(dir.path(), "door", &[broker.port], &pinned);
    assert_eq!(hash(&door), pushed);
    broker.restart();

    // Back to what another document said, for all; and to a share of stores that this is not in.
    office.run("fleet push two.toml --key keys/grelot.key --ring 0 --wait 60");
    assert_eq!(hash(&door), pushed, "the ring is without this store");
    office.run("fleet push two.toml --key keys/grelot.key --from 2099-01-01T00:00:00Z --wait 60");
    assert_eq!(hash(&door), pushed, "its time has not come");
    assert!(door.shown().contains("waits for 2099-01-01"), "{}", door.shown());
    office.run("fleet push two.toml --key keys/grelot.key --wait 60");
    assert_ne!(hash(&door), pushed);
    office.run("fleet roll-back 1 --key keys/grelot.key");
    eventually("the earlier settings are in force", || hash(&door) == pushed);

    let (history, _) = office.run("fleet history");
    assert!(history.contains("levels") && history.contains("document 1 again"), "{history}");
    let (difference, _) = office.run("fleet diff 1 two.toml");
    assert_eq!(difference, "- presence.dwell_secs = 4\n+ presence.dwell_secs = 9\n");
}
