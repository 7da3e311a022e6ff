//! Levels into the configuration: two values change, and nothing else.

use std::fs;
use std::io::Write as _;
use std::path::Path;

use anyhow::{Context as _, bail};
use toml_edit::{DocumentMut, InlineTable, Item, TableLike, Value};

use crate::commands::customers::secret::Replacement;
use crate::config;

/// What to write for one gateway.
#[derive(Debug, Clone, PartialEq)]
pub struct Levels<'a> {
    pub gateway: &'a str,
    /// `presence.gateway_inside_dbm`
    pub inside_dbm: f64,
    /// `presence.gateway_outside_dbm`
    pub outside_dbm: f64,
}

impl Levels<'_> {
    fn keys(&self) -> [(&'static str, f64); 2] {
        [("gateway_inside_dbm", self.inside_dbm), ("gateway_outside_dbm", self.outside_dbm)]
    }

    /// As lines to be added to a configuration by hand.
    pub fn lines(&self) -> String {
        let mut document = DocumentMut::new();
        // An empty document takes everything.
        let _ = put(&mut document, self);
        document.to_string()
    }
}

/// `text` with the levels, comments and order as they were.
///
/// # Errors
/// The text is no TOML document with a `[presence]` that can be edited.
pub fn edited(text: &str, levels: &Levels<'_>) -> anyhow::Result<String> {
    let mut document: DocumentMut = text.parse().context("is not TOML")?;
    put(&mut document, levels)?;
    Ok(document.to_string())
}

fn put(document: &mut DocumentMut, levels: &Levels<'_>) -> anyhow::Result<()> {
    if !document.contains_key("presence") {
        let mut table = toml_edit::Table::new();
        if !document.is_empty() {
            table.decor_mut().set_prefix("\n");
        }
        document.insert("presence", Item::Table(table));
    }
    let presence = document.get_mut("presence").and_then(Item::as_table_like_mut);
    let Some(presence) = presence else { bail!("presence is no table") };
    for (key, dbm) in levels.keys() {
        let new = || Item::Value(Value::InlineTable(InlineTable::new()));
        let by_gateway = presence.entry(key).or_insert_with(new);
        let Some(table) = by_gateway.as_table_like_mut() else {
            bail!("presence.{key} is no table")
        };
        let is_new = set(table, levels.gateway, dbm);
        if let (true, Some(inline)) = (is_new, by_gateway.as_inline_table_mut()) {
            inline.fmt();
        }
    }
    Ok(())
}

/// A value that is there keeps what stands round it; true where there was none.
fn set(table: &mut dyn TableLike, key: &str, dbm: f64) -> bool {
    let mut value = Value::from(dbm);
    if let Some(old) = table.get_mut(key).and_then(Item::as_value_mut) {
        *value.decor_mut() = old.decor().clone();
        *old = value;
        return false;
    }
    table.insert(key, Item::Value(value));
    true
}

/// Writes the levels into the configuration at `path`: whole or not at all, and only if it counts
/// afterwards.
///
/// # Errors
/// The file cannot be read, edited or written.
pub fn write(path: &Path, levels: &Levels<'_>) -> anyhow::Result<()> {
    // A link stays a link.
    let path = fs::canonicalize(path)?;
    let text = fs::read_to_string(&path)?;
    let edited = edited(&text, levels)?;
    let folder = path.parent().unwrap_or(Path::new("/"));
    config::parse(&edited, &path.display().to_string(), folder)?;
    let mut file = Replacement::of(&path)?;
    file.file().write_all(edited.as_bytes())?;
    Ok(file.done()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEVELS: Levels<'static> =
        Levels { gateway: "door", inside_dbm: -62.5, outside_dbm: -75.0 };

    fn edit(text: &str) -> String {
        edited(text, &LEVELS).unwrap()
    }

    #[test]
    fn a_configuration_without_levels_gets_them_and_keeps_its_comments() {
        let text = "# ours\n[store]\nid = 42 # Rivoli\n\n[presence] # mind\ndwell_secs = 3\n\n[policy]\n# last\n";
        assert_eq!(
            edit(text),
            "# ours\n[store]\nid = 42 # Rivoli\n\n[presence] # mind\ndwell_secs = 3\n\
             gateway_inside_dbm = { door = -62.5 }\ngateway_outside_dbm = { door = -75.0 }\n\n\
             [policy]\n# last\n"
        );
        assert_eq!(
            edit("[store]\nid = 42\n"),
            "[store]\nid = 42\n\n[presence]\ngateway_inside_dbm = { door = -62.5 }\n\
             gateway_outside_dbm = { door = -75.0 }\n"
        );
        assert!(LEVELS.lines().starts_with("[presence]\ngateway_inside_dbm = { door = -62.5 }\n"));
    }

    #[test]
    fn levels_that_are_there_are_changed_in_their_place() {
        let text = "[presence]\ngateway_inside_dbm = { till = -50, door = -60.0 } # May\ndwell_secs = 1\n[presence.gateway_outside_dbm]\ntill = -70\ndoor = -80 # windy\n";
        assert_eq!(
            edit(text),
            "[presence]\ngateway_inside_dbm = { till = -50, door = -62.5 } # May\ndwell_secs = 1\n\
             [presence.gateway_outside_dbm]\ntill = -70\ndoor = -75.0 # windy\n"
        );
        let dotted = "presence.gateway_inside_dbm.door = -1\nstore.id = 42\n";
        let edited = edit(dotted);
        assert!(edited.starts_with("presence.gateway_inside_dbm.door = -62.5\n"), "{edited}");
        assert!(config::parse(&edited, "c", Path::new(".")).is_ok(), "{edited}");
    }

    #[test]
    fn what_would_not_count_is_not_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("grelot.toml");
        let text = "[store]\nid = 42\n[presence]\ndwell = 3\n";
        fs::write(&path, text).unwrap();
        let error = write(&path, &LEVELS).unwrap_err();
        assert!(error.is::<config::Problems>(), "{error}");
        assert_eq!(fs::read_to_string(&path).unwrap(), text);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_link_to_a_private_file_stays_a_link_to_a_private_file() {
        use std::os::unix::fs::{PermissionsExt as _, symlink};
        let folder = tempfile::tempdir().unwrap();
        let (path, link) = (folder.path().join("real.toml"), folder.path().join("link.toml"));
        fs::write(&path, "[store]\nid = 42\n").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        symlink(&path, &link).unwrap();
        write(&link, &LEVELS).unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
        assert!(fs::read_to_string(&path).unwrap().contains("door = -62.5"));
    }
}
