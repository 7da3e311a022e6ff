//! The registry at rest: for the service alone, encrypted where systemd hands it a key, and whole
//! whenever the power goes.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::gateway::{Shop, eventually, signature};

fn modes(shop: &Shop, folder: &str) -> Vec<(String, u32)> {
    let mode = |path: &std::path::Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let folder = shop.path(folder);
    let mut found = vec![(folder.display().to_string(), mode(&folder) & !0o700)];
    for entry in fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        let owner = if path.is_dir() { 0o700 } else { 0o600 };
        found.push((path.display().to_string(), mode(&path) & !owner));
    }
    found
}

#[test]
fn what_is_kept_is_readable_by_the_service_only() {
    let shop = Shop::new();
    shop.bundle(2, 42, "keys", "customers.jsonl.zst");
    shop.configure_signed();
    let _grelot = shop.run();
    assert_eq!(shop.customers(), 2);
    for (path, others) in [modes(&shop, "state"), modes(&shop, "state/registry")].concat() {
        // A signature is no secret, but lies in a folder that is.
        assert!(others == 0 || path.ends_with(".minisig"), "{path}: others may {others:o}");
    }
}

#[test]
fn a_state_folder_that_was_open_before_is_closed() {
    let shop = Shop::new();
    shop.bundle(2, 42, "keys", "customers.jsonl.zst");
    shop.configure_signed();
    fs::create_dir_all(shop.path("state/registry")).unwrap();
    for (path, open) in [("state", 0o777), ("state/registry", 0o755)] {
        fs::set_permissions(shop.path(path), fs::Permissions::from_mode(open)).unwrap();
    }
    let old = shop.path("state/registry/accepted.etag");
    fs::write(&old, "\"1\"").unwrap();
    fs::set_permissions(&old, fs::Permissions::from_mode(0o666)).unwrap();
    let _grelot = shop.run();
    for (path, others) in [modes(&shop, "state"), modes(&shop, "state/registry")].concat() {
        assert_eq!(others, 0, "{path}: others may {others:o}");
    }
}

#[test]
fn with_a_credential_the_kept_registry_is_encrypted() {
    let shop = Shop::new();
    shop.bundle(2, 42, "keys", "customers.jsonl.zst");
    shop.configure_signed();
    for (folder, octet) in [("credentials", 1_u8), ("others", 2)] {
        fs::create_dir(shop.path(folder)).unwrap();
        fs::write(shop.path(folder).join("registry.key"), [octet; 32]).unwrap();
    }
    let grelot = shop.run_with_credentials("credentials");
    assert_eq!(shop.customers(), 2);
    drop(grelot);
    let kept = fs::read(shop.path("state/registry/accepted")).unwrap();
    let plain = fs::read(shop.path("customers.jsonl.zst")).unwrap();
    assert!(kept.starts_with(b"grelot sealed 1\n"));
    assert!(!kept.windows(16).any(|part| part == &plain[..16]), "no zstd frame begins in it");

    // What was dropped need not stay.
    for file in [shop.path("customers.jsonl.zst"), signature(&shop.path("customers.jsonl.zst"))] {
        fs::remove_file(file).unwrap();
    }
    let grelot = shop.run_with_credentials("credentials");
    assert_eq!((shop.customers(), shop.trouble()), (2, String::new()));
    drop(grelot);
    // The disk alone, in another machine.
    for credentials in [Some("others"), None] {
        let _grelot = match credentials {
            Some(folder) => shop.run_with_credentials(folder),
            None => shop.run(),
        };
        assert_eq!(shop.customers(), 0);
        assert!(!shop.trouble().is_empty());
    }
}

#[test]
fn a_power_cut_during_a_bundles_replacement_loses_no_customer() {
    let shop = Shop::new();
    shop.bundle(2, 42, "keys", "customers.jsonl.zst");
    shop.configure_signed();
    drop(shop.run());
    fs::remove_file(shop.path("customers.jsonl.zst")).unwrap();
    let (accepted, incoming) =
        (shop.path("state/registry/accepted"), shop.path("state/registry/incoming"));
    fs::rename(&accepted, &incoming).unwrap();
    let _grelot = shop.run();
    assert_eq!((shop.customers(), shop.trouble()), (2, String::new()));
    eventually("it is in its place", || accepted.exists() && !incoming.exists());
}
