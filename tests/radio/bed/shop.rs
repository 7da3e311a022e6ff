//! A shop for `grelot run`: a configuration, and the customers who are on the air.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::Path;
use std::time::SystemTime;

use serde_json::json;

/// Where the shop is.
const FOLDER: &str = "/tmp/shop";
pub const CONFIGURED: &str = "/tmp/shop/grelot.toml";
/// The socket of its daemon.
pub const STATUS: &str = "/tmp/shop/state/status.sock";
/// The chain's UUID, in its wake-up beacon and on its loyalty cards.
const UUID: &str = "426c7565-4368-6172-6d42-6561636f6e73";

const CONFIGURATION: &str = r#"
[store]
id = 42
[gateway]
name = "door"
[[source]]
SOURCE
[registry]
path = "customers.jsonl"
[state]
path = "state"
[wake_up]
uuid = "426c7565-4368-6172-6d42-6561636f6e73"
"#;

/// Sets it up from the start, for the user `owner`; phones hold the day keys `keys`. `source` is
/// the of its radio.
pub fn open<'k>(owner: u32, source: &str, keys: impl Iterator<Item = &'k str>) {
    fs::remove_dir_all(FOLDER).ok();
    fs::create_dir_all(FOLDER).expect("a folder can be made");
    let consent = json!({
        "given_at": "2025-01-01T00:00:00Z", "text": "en-2025-01",
        "expires_at": "2099-01-01T00:00:00Z", "show_name": false,
    });
    let card = json!({
        "client": "c-card", "tier": "gold", "scheme": "beacon",
        "ibeacon": { "uuid": UUID, "major": 7, "minor": 9 },
        "consent": consent, "card": null, "quiet": null,
    });
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    let today = now / 86_400;
    let phones = keys.enumerate().map(|(number, key)| {
        // A stepped clock and midnight find their keys, too.
        let days: serde_json::Map<_, _> =
            (today - 1..=today + 1).map(|day| (day.to_string(), json!(key))).collect();
        json!({
            "client": format!("c-phone-{number}"), "tier": "gold", "scheme": "token",
            "days": days, "consent": consent, "card": null, "quiet": null,
        })
    });
    let lines: Vec<String> = std::iter::once(card).chain(phones).map(|c| c.to_string()).collect();
    write("grelot.toml", &CONFIGURATION.replace("SOURCE", source), owner);
    write("customers.jsonl", &(lines.join("\n") + "\n"), owner);
    chown(FOLDER, Some(owner), None).expect("root may give files away");
}

fn write(name: &str, text: &str, owner: u32) {
    let file = Path::new(FOLDER).join(name);
    fs::write(&file, text).expect("a file can be written");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).expect("its owner's alone");
    chown(&file, Some(owner), None).expect("root may give files away");
}
