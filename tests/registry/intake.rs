//! Which bundles are accepted and which are refused.

use std::fs;

use super::gateway::{Shop, eventually, signature};

#[test]
fn a_signed_bundle_takes_effect_when_its_file_is_replaced_and_survives_a_restart() {
    let shop = Shop::new();
    shop.bundle(1, 42, "keys", "customers.jsonl.zst");
    shop.configure_signed();
    let grelot = shop.run();
    assert_eq!(shop.customers(), 1);
    shop.bundle(3, 42, "keys", "customers.jsonl.zst");
    eventually("the new bundle is in force", || shop.customers() == 3);
    assert_eq!(shop.trouble(), "");
    drop(grelot);

    // Even without the file: the last good one is kept.
    fs::write(shop.path("customers.jsonl.zst"), "").unwrap();
    let _grelot = shop.run();
    assert_eq!(shop.customers(), 3);
}

#[test]
fn a_tampered_truncated_foreign_or_stale_bundle_changes_nothing_and_is_reported() {
    let shop = Shop::new();
    shop.bundle(1, 42, "keys", "old.jsonl.zst");
    // Their times of making differ by a millisecond at least.
    std::thread::sleep(std::time::Duration::from_millis(5));
    shop.bundle(2, 42, "keys", "good.jsonl.zst");
    std::thread::sleep(std::time::Duration::from_millis(5));
    shop.bundle(5, 42, "keys", "newer.jsonl.zst");
    let newer = fs::read(shop.path("newer.jsonl.zst")).unwrap();
    shop.put(&shop.path("good.jsonl.zst"), "customers.jsonl.zst");
    shop.configure_signed();
    let grelot = shop.run();
    assert_eq!(shop.customers(), 2);

    let mut tampered = newer.clone();
    let middle = tampered.len() / 2;
    tampered[middle] ^= 1;
    fs::write(shop.path("tampered.zst"), tampered).unwrap();
    fs::write(shop.path("truncated.zst"), &newer[..newer.len() - 10]).unwrap();
    for name in ["tampered.zst", "truncated.zst"] {
        fs::copy(signature(&shop.path("newer.jsonl.zst")), signature(&shop.path(name))).unwrap();
    }
    shop.bundle(5, 42, "other", "stranger.zst");
    shop.bundle(5, 43, "keys", "foreign.zst");
    for (candidate, reason) in [
        ("tampered.zst", "its signature does not fit"),
        ("stranger.zst", "signed with a key that is not pinned"),
        ("truncated.zst", "its signature does not fit"),
        ("foreign.zst", "is for store 43, this is store 42"),
        ("old.jsonl.zst", "the one in force at"),
    ] {
        shop.put(&shop.path(candidate), "customers.jsonl.zst");
        eventually(candidate, || shop.trouble().contains(reason));
        assert_eq!(shop.customers(), 2, "{candidate}");
        let (verdict, says) = shop.doctor();
        assert!(verdict == "warn" && says.contains(reason), "{candidate}: {verdict}: {says}");
        // `grelot check` looks at the file alone, so it does not know what is in force.
        assert_eq!(shop.check().is_ok(), candidate == "old.jsonl.zst", "{candidate}");
    }
    fs::remove_file(signature(&shop.path("customers.jsonl.zst"))).unwrap();
    eventually("the missing signature is reported", || shop.trouble().contains("is missing"));
    assert!(shop.check().unwrap_err().contains("is missing"));

    // A restart does not accept an older one either.
    drop(grelot);
    shop.put(&shop.path("old.jsonl.zst"), "customers.jsonl.zst");
    let _grelot = shop.run();
    assert_eq!(shop.customers(), 2);
    shop.put(&shop.path("newer.jsonl.zst"), "customers.jsonl.zst");
    eventually("the good one is in force", || shop.customers() == 5);
    assert_eq!(shop.trouble(), "");
}

#[test]
fn a_plain_registry_is_read_again_when_it_changes() {
    let shop = Shop::new();
    let line = |n: u8| {
        format!(
            r#"{{"client":"c-{n}","tier":"gold","scheme":"beacon","altbeacon":"{}","consent":{{"expires_at":"2099-11-02T00:00:00Z"}}}}"#,
            format!("{n:02x}").repeat(20)
        )
    };
    fs::write(shop.path("customers.jsonl"), line(1)).unwrap();
    shop.configure("path = \"customers.jsonl\"");
    let _grelot = shop.run();
    assert_eq!(shop.customers(), 1);
    fs::write(shop.path("new"), [line(1), line(2), "nonsense".to_owned()].join("\n")).unwrap();
    fs::rename(shop.path("new"), shop.path("customers.jsonl")).unwrap();
    eventually("both are known", || shop.customers() == 2);
    assert_eq!(shop.status()["registry"]["refused_lines"], 1);
}
