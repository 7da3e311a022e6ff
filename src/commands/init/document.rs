//! The configuration as text: answers change their keys, and comments and order stay as they are.

use std::fs;
use std::io;
use std::path::Path;

use anyhow::{Context as _, bail};
use toml_edit::{Array, DocumentMut, Item, Table, Value};

use super::answers::Answers;
use super::folder::Folder;
use crate::config;

/// Keys that name a file.
const FILES: [(&str, &str); 5] = [
    ("broker", "password_file"),
    ("tls", "ca"),
    ("tls", "certificate"),
    ("tls", "key"),
    ("registry", "path"),
];

const TRIAL_CUSTOMERS: &str = include_str!("../../../config/trial-customers.jsonl");
const CUSTOMERS: &str = "customers.jsonl";
/// Where a page needs neither TLS nor pairing.
const PAGE: &str = "127.0.0.1:8080";

/// A configuration that is being made.
pub struct Document(DocumentMut);

impl Document {
    /// Reads a file.
    ///
    /// # Errors
    /// It cannot be read, is too long, or is not TOML.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        let text = fs::read_to_string(path)?;
        if text.len() > config::LONGEST_DOCUMENT {
            bail!("is longer than a configuration can be");
        }
        Ok(Self(text.parse().context("is not TOML")?))
    }

    /// The configuration in place; an empty one where there is none.
    ///
    /// # Errors
    /// The file is there and cannot be read.
    pub fn read_or_new(path: &Path) -> anyhow::Result<Self> {
        match Self::read(path) {
            Err(error) if is_missing(&error) => Ok(Self(DocumentMut::new())),
            read => read.with_context(|| path.display().to_string()),
        }
    }

    pub fn text(&self) -> String {
        self.0.to_string()
    }

    pub fn has_store(&self) -> bool {
        self.value("store", "id").is_some()
    }

    pub fn has_registry(&self) -> bool {
        self.value("registry", "path").is_some() || self.value("registry", "url").is_some()
    }

    /// A key's value as a person would type it.
    pub fn shown(&self, table: &str, key: &str) -> Option<String> {
        let value = self.value(table, key)?;
        Some(value.as_str().map_or_else(|| value.to_string().trim().to_owned(), str::to_owned))
    }

    /// Where a gateway of the store stands.
    pub fn place(&self, gateway: &str) -> Option<String> {
        let gateways = self.0.get("store")?.as_table_like()?.get("gateways")?.as_table_like()?;
        Some(gateways.get(gateway)?.as_str()?.to_owned())
    }

    fn value(&self, table: &str, key: &str) -> Option<&Value> {
        self.0.get(table)?.as_table_like()?.get(key)?.as_value()
    }

    /// Sets the key of each answer; files go to `folder`.
    ///
    /// # Errors
    /// A section is no table; a file cannot be read.
    pub fn answer(&mut self, answers: &Answers, folder: &mut Folder) -> anyhow::Result<()> {
        let texts = [
            ("store", "name", &answers.store_name),
            ("store", "time_zone", &answers.time_zone),
            ("gateway", "name", &answers.gateway),
            ("broker", "username", &answers.username),
            ("tablets", "listen", &answers.tablets),
            ("registry", "url", &answers.registry_url),
        ];
        if let Some(store) = answers.store {
            self.set("store", "id", i64::from(store).into())?;
        }
        for (table, key, text) in texts {
            if let Some(text) = text {
                self.set(table, key, text.as_str().into())?;
            }
        }
        self.set_place(answers)?;
        self.set_broker(&answers.broker)?;
        if !answers.public_key.is_empty() {
            let keys: Array = answers.public_key.iter().collect();
            self.set("registry", "public_keys", keys.into())?;
        }
        let files = [&answers.password_file, &answers.ca, &answers.certificate, &answers.key];
        for ((table, key), file) in FILES.into_iter().zip(files) {
            if let Some(file) = file {
                let name = folder.take(file)?;
                self.set(table, key, name.into())?;
            }
        }
        if let Some(adapter) = &answers.adapter {
            self.set_adapter(adapter)?;
        }
        if self.value("tablets", "listen").is_none() {
            self.set("tablets", "listen", PAGE.into())?;
        }
        Ok(())
    }

    /// Takes along the files that the configuration names beside itself, in the folder `from`.
    ///
    /// # Errors
    /// One of them is named and cannot be read.
    pub fn take_files(&mut self, from: &Path, folder: &mut Folder) -> anyhow::Result<()> {
        for (table, key) in FILES {
            let Some(name) = self.shown(table, key) else { continue };
            let file = from.join(&name);
            let is_there_already = folder.holds(&name) && !file.exists();
            if Path::new(&name).is_relative() && !is_there_already {
                folder.take(&file)?;
            }
        }
        Ok(())
    }

    /// # Errors
    /// `[registry]` is no table.
    pub fn use_trial_customers(&mut self, folder: &mut Folder) -> anyhow::Result<()> {
        folder.add(CUSTOMERS, TRIAL_CUSTOMERS.into());
        self.set("registry", "path", CUSTOMERS.into())
    }

    /// `store.gateways.<gateway>`: the gateway's place belongs to the store.
    fn set_place(&mut self, answers: &Answers) -> anyhow::Result<()> {
        let Some(place) = &answers.place else { return Ok(()) };
        let gateway = self.shown("gateway", "name").unwrap_or_else(|| "gateway".to_owned());
        let gateways = self.table("store")?.entry("gateways");
        let gateways =
            gateways.or_insert(Item::Value(Value::InlineTable(toml_edit::InlineTable::default())));
        let Some(gateways) = gateways.as_table_like_mut() else {
            bail!("store.gateways is no table");
        };
        put(gateways, &gateway, place.as_str().into());
        Ok(())
    }

    fn set_broker(&mut self, brokers: &[String]) -> anyhow::Result<()> {
        if brokers.is_empty() {
            return Ok(());
        }
        let broker = self.table("broker")?;
        if brokers.iter().any(|one| one == "embedded") {
            broker.remove("urls");
            return self.set("broker", "embedded", true.into());
        }
        broker.remove("embedded");
        let urls: Array = brokers.iter().collect();
        self.set("broker", "urls", urls.into())
    }

    /// The first source of `BlueZ`, or a new one.
    fn set_adapter(&mut self, adapter: &str) -> anyhow::Result<()> {
        let sources = self.0.entry("source");
        let sources = sources.or_insert(Item::ArrayOfTables(toml_edit::ArrayOfTables::default()));
        let Some(sources) = sources.as_array_of_tables_mut() else {
            bail!("[[source]] is no list of tables");
        };
        let is_bluez = |source: &Table| source.get("kind").and_then(Item::as_str) == Some("bluez");
        if let Some(source) = sources.iter_mut().find(|source| is_bluez(source)) {
            put(source, "adapter", adapter.into());
            return Ok(());
        }
        let mut source = Table::new();
        put(&mut source, "kind", "bluez".into());
        put(&mut source, "adapter", adapter.into());
        sources.push(source);
        Ok(())
    }

    fn set(&mut self, table: &str, key: &str, value: Value) -> anyhow::Result<()> {
        put(self.table(table)?, key, value);
        Ok(())
    }

    fn table(&mut self, name: &str) -> anyhow::Result<&mut dyn toml_edit::TableLike> {
        let is_first = self.0.is_empty();
        let new = || {
            let mut table = Table::new();
            if !is_first {
                table.decor_mut().set_prefix("\n");
            }
            Item::Table(table)
        };
        let found = self.0.entry(name).or_insert_with(new).as_table_like_mut();
        found.with_context(|| format!("[{name}] is no table"))
    }
}

/// A value that is there keeps what stands round it.
fn put(table: &mut dyn toml_edit::TableLike, key: &str, mut value: Value) {
    match table.get_mut(key).and_then(Item::as_value_mut) {
        Some(old) => {
            *value.decor_mut() = old.decor().clone();
            *old = value;
        }
        None => {
            table.insert(key, Item::Value(value));
        }
    }
}

fn is_missing(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|it| it.kind() == io::ErrorKind::NotFound)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_change_their_keys_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let mut files = Folder::of(&folder.path().join("grelot.toml")).unwrap();
        let text = "# ours\n[store]\nid = 7 # Rivoli\n\n[broker]\nurls = [\"mqtt://old:1883\"]\n";
        let mut document = Document(text.parse().unwrap());
        let answers = Answers {
            store: Some(42),
            gateway: Some("till".to_owned()),
            place: Some("inside".to_owned()),
            broker: vec!["embedded".to_owned()],
            tablets: Some("0.0.0.0:8443".to_owned()),
            ..Answers::default()
        };

        document.answer(&answers, &mut files).unwrap();

        let once = document.text();
        assert_eq!(
            once,
            "# ours\n[store]\nid = 42 # Rivoli\ngateways = { till = \"inside\" }\n\n[broker]\n\
             embedded = true\n\n[gateway]\nname = \"till\"\n\n[tablets]\nlisten = \"0.0.0.0:8443\"\n"
        );
        document.answer(&answers, &mut files).unwrap();
        assert_eq!(document.text(), once, "a second time changes nothing");
        config::parse(&once, "grelot.toml", folder.path()).unwrap();
    }
}
