//! `--report`: one archive for support, without names of persons and without secrets.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, ensure};
use serde_json::Value;
use toml_edit::{DocumentMut, Item};

use crate::commands::{Exit, Global, print, status};
use crate::config;

/// Keys of the configuration whose values are secrets.
const SECRETS: [&str; 4] = ["password", "secret", "token", "key"];
/// Fields of a status that are about a person.
const PERSONAL: [&str; 8] =
    ["client", "card", "name", "note", "claimed_by", "by", "visit", "address"];
/// Fields of the log about a person, or an address.
const PERSONAL_LOG: [&str; 6] = ["client", "visit", "by", "address", "username", "tablet"];
const REMOVED: &str = "(removed)";
const JOURNAL_LINES: &str = "2000";

/// Writes the archive (tar, gzip) to `file`.
///
/// # Errors
/// It cannot be written. What cannot be asked is left out, and the archive says why.
pub(super) fn write(global: &Global, file: &Path) -> anyhow::Result<Exit> {
    let parent = file.parent().filter(|parent| !parent.as_os_str().is_empty());
    let folder = parent.unwrap_or(Path::new(".")).join(format!(".grelot-{}", std::process::id()));
    crate::private::create_folder(&folder).with_context(|| folder.display().to_string())?;
    let written = fill(global, &folder).and_then(|()| pack(&folder, file));
    fs::remove_dir_all(&folder)?;
    written?;
    print(&format!("{}: look into it before you send it", file.display()))?;
    Ok(Exit::Done)
}

fn fill(global: &Global, folder: &Path) -> anyhow::Result<()> {
    let put = |name: &str, text: String| fs::write(folder.join(name), text);
    put("findings.json", without_people(&findings(global)))?;
    put("status.json", without_people(&daemon(global)))?;
    let text = fs::read_to_string(&global.config).unwrap_or_else(|error| error.to_string());
    put("grelot.toml", without_secrets(&text))?;
    let journal = run("journalctl", &["--no-pager", "-u", "grelot", "-n", JOURNAL_LINES]);
    put("journal", journal.lines().map(|line| without_fields(line) + "\n").collect())?;
    let machine = [
        format!("grelot {}\n", env!("CARGO_PKG_VERSION")),
        run("uname", &["-srvm"]),
        fs::read_to_string("/etc/os-release").unwrap_or_default(),
        run("bluetoothctl", &["--version"]),
        run("systemctl", &["--no-pager", "list-units", "grelot*", "bluetooth.service"]),
        fs::read_to_string("/proc/device-tree/model").unwrap_or_default(),
    ];
    Ok(put("machine", machine.join("\n"))?)
}

fn pack(folder: &Path, file: &Path) -> anyhow::Result<()> {
    let packed = Command::new("tar").arg("-czf").arg(file).arg("-C").arg(folder).arg(".").status();
    ensure!(packed.context("tar")?.success(), "tar cannot write {}", file.display());
    Ok(())
}

fn findings(global: &Global) -> String {
    let program = std::env::current_exe().unwrap_or_else(|_| "grelot".into());
    let config = global.config.to_string_lossy();
    run(&program.to_string_lossy(), &["--config", &config, "--json", "doctor"])
}

fn daemon(global: &Global) -> String {
    let config = config::load_for_replay(&global.config).map_err(anyhow::Error::from);
    let asked = config.and_then(|config| status::json(&config.state));
    asked.unwrap_or_else(|error| format!("{error:#}"))
}

/// What a program prints, or why it does not.
fn run(program: &str, arguments: &[&str]) -> String {
    match Command::new(program).args(arguments).output() {
        Ok(output) => String::from_utf8_lossy(&output.stdout).into_owned(),
        Err(error) => format!("{program}: {error}\n"),
    }
}

/// JSON without the fields about persons; other text is an error message and stays as it is.
fn without_people(text: &str) -> String {
    match serde_json::from_str::<Value>(text) {
        Ok(mut value) => {
            remove(&mut value, "");
            format!("{value:#}\n")
        }
        Err(_) => text.to_owned(),
    }
}

fn remove(value: &mut Value, within: &str) {
    match value {
        Value::Object(fields) => {
            for (key, field) in fields {
                // A source's and an adapter's name and note are about the machine.
                let of_visit = within == "visits" || key == "client" || key == "address";
                if of_visit && PERSONAL.contains(&key.as_str()) && !field.is_null() {
                    *field = REMOVED.into();
                } else {
                    remove(field, if within == "visits" { within } else { key });
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| remove(item, within)),
        _ => {}
    }
}

/// A configuration without passwords; comments go, too: people write them into comments.
fn without_secrets(text: &str) -> String {
    let Ok(mut document) = text.parse::<DocumentMut>() else {
        return "(not TOML: left out)\n".to_owned();
    };
    hide(document.as_item_mut());
    let lines = document.to_string();
    let lines = lines.split_inclusive('\n').filter(|line| !line.trim_start().starts_with('#'));
    lines.collect()
}

fn hide(item: &mut Item) {
    if let Some(tables) = item.as_array_of_tables_mut() {
        for table in tables.iter_mut() {
            table.iter_mut().for_each(|(key, value)| hide_one(key.get(), value));
        }
    } else if let Some(table) = item.as_table_like_mut() {
        table.iter_mut().for_each(|(key, value)| hide_one(key.get(), value));
    }
}

fn names_a_key(text: &str) -> bool {
    Path::new(text).extension().is_some_and(|extension| extension == "key")
}

fn hide_one(key: &str, value: &mut Item) {
    if value.is_table_like() || value.is_array_of_tables() {
        return hide(value);
    }
    // `key` of `[tls]` names a file.
    if SECRETS.contains(&key) && !value.as_str().is_some_and(names_a_key) {
        *value = toml_edit::value(REMOVED);
        return;
    }
    // `a = 1 # a comment` and `mqtts://user:password@host` carry what does not belong here.
    if let Some(one) = value.as_value_mut() {
        one.decor_mut().set_suffix("");
    }
    let has_login = value.as_value().is_some_and(|one| one.to_string().contains('@'));
    if has_login {
        *value = toml_edit::value(REMOVED);
    }
}

/// A line of the journal without fields about a person (`client=c-7f3a`).
fn without_fields(line: &str) -> String {
    let words = line.split(' ').map(|word| match word.split_once('=') {
        Some((field, _)) if PERSONAL_LOG.contains(&field) => format!("{field}={REMOVED}"),
        _ => word.to_owned(),
    });
    words.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_report_names_a_person_or_opens_a_door() {
        let status = r#"{"gateway":"door","visits":[{"visit":"v-1","client":"c-7f3a","tier":"gold",
            "claimed_by":"Lea","card":{"name":"Ada"}}],"sources":[{"name":"bluez","adapters":[
            {"name":"hci0","address":"AA:BB"}]}]}"#;
        let text = without_people(status);
        for gone in ["v-1", "c-7f3a", "Lea", "Ada", "AA:BB"] {
            assert!(!text.contains(gone), "{text}");
        }
        assert!(text.contains("bluez") && text.contains("hci0") && text.contains("gold"), "{text}");

        let toml = "# call Bob\n[broker]\nurls = [\"mqtts://a:8883\"] # or Eve\n\
                    password = \"hunter2\"\n[tls]\nkey = \"tls.key\"\n[[webhook]]\nsecret = \"s3\"\n\
                    url = \"https://u:p4ss@host\"\n";
        let text = without_secrets(toml);
        for gone in ["Bob", "Eve", "hunter2", "s3\"", "p4ss"] {
            assert!(!text.contains(gone), "{text}");
        }
        assert!(text.contains("tls.key") && text.contains("mqtts://a:8883"), "{text}");

        let line = "grelot[9]: INFO arrived client=c-7f3a visit=v-1 confidence=0.9";
        let kept = "grelot[9]: INFO arrived client=(removed) visit=(removed) confidence=0.9";
        assert_eq!(without_fields(line), kept);
    }
}
