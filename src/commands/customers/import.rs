//! `grelot customers import`: customers from a CSV file into the customer list.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, BufWriter, Write};
use std::path::PathBuf;
use std::str::FromStr;

use anyhow::{Context, bail};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::super::{Exit, Global, complain, print};
use super::csv::Rows;
use super::customer_list::{self, Object};
use super::secret::Replacement;
use crate::pipeline::units::WallTime;

/// What a column can be.
const FIELDS: &str = "client, tier, scheme, ck, ik, k, offset_s, irk, uuid, major, minor, \
                      namespace, instance, altbeacon, given_at, text, expires_at, show_name, \
                      stores, name, language, note, quiet, tx_db, rx_db";
/// Number of mistakes that are printed.
const MOST_SHOWN: usize = 20;

/// Arguments of `grelot customers import`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  grelot customers import crm.csv --into book.jsonl
  grelot customers import crm.csv --into book.jsonl --separator ';' \\
      --map client=Kundennummer,name=Name,expires_at='Einwilligung bis' \\
      --set tier=gold --set scheme=token --new-keys

Fields: client, tier, scheme, ck, ik, k, offset_s, irk, uuid, major, minor, namespace, instance,
altbeacon, given_at, text, expires_at, show_name, stores, name, language, note, quiet, tx_db,
rx_db. A column that is called like a field needs no --map; other columns are ignored. Dates without
a time count from midnight UTC, `stores` are numbers with spaces between them, `show_name` is true
or false, `tx_db` and `rx_db` say how loud the phone's model is (docs/app-protocol.md).
A customer who is in the customer list already keeps the long-term key, unless the file brings another.")]
pub struct Args {
    /// The CSV file, with a row of column names
    file: PathBuf,
    /// The customer list that takes the customers; made where there is none
    #[arg(long, value_name = "FILE")]
    into: PathBuf,
    /// Which column is which field
    #[arg(long, value_name = "FIELD=COLUMN,…", value_delimiter = ',', value_parser = pair)]
    map: Vec<(String, String)>,
    /// A field that is the same for all, where the file has none
    #[arg(long, value_name = "FIELD=VALUE", value_parser = constant)]
    set: Vec<(String, String)>,
    /// What stands between cells
    #[arg(long, default_value = ",", value_parser = separator)]
    separator: u8,
    /// Makes a long-term key for everybody of scheme token who has none
    #[arg(long)]
    new_keys: bool,
}

/// Runs the command.
///
/// # Errors
/// Where the CSV file cannot be read or the customer list cannot be written.
pub fn run(global: &Global, args: &Args) -> anyhow::Result<Exit> {
    let (mut new, mistakes) = rows(args)?;
    for (line, mistake) in mistakes.iter().take(MOST_SHOWN) {
        complain(&format!("{}:{line}: {mistake}", args.file.display()));
    }
    if mistakes.len() > MOST_SHOWN {
        complain(&format!("and {} more rows", mistakes.len() - MOST_SHOWN));
    }
    let count = new.len();
    let mut book =
        Replacement::of(&args.into).with_context(|| format!("writing {}", args.into.display()))?;
    let mut out = BufWriter::new(book.file().try_clone()?);
    let (mut kept, mut updated) = (0_usize, 0_usize);
    if args.into.exists() {
        customer_list::read(&args.into, |_, old| {
            if let Some(update) = new.remove(&identity(&old)) {
                updated += 1;
                write_line(&mut out, merged(&old, update))
            } else {
                kept += 1;
                write_line(&mut out, old)
            }
        })?;
    }
    for (_, mut object) in new {
        if args.new_keys && is_token(&object) && !object.contains_key("ck") {
            object.insert("ck".to_owned(), Value::from(random_key()?.as_str()));
        }
        write_line(&mut out, object)?;
    }
    out.flush()?;
    drop(out);
    book.done().with_context(|| format!("writing {}", args.into.display()))?;
    let added = count - updated;
    let refused = mistakes.len();
    if global.json {
        let report = json!({"added": added, "updated": updated, "kept": kept, "refused": refused});
        print(&report.to_string())?;
    } else {
        print(&format!(
            "{added} added, {updated} updated, {kept} kept as they were, {refused} refused"
        ))?;
    }
    Ok(if refused == 0 { Exit::Done } else { Exit::Failed })
}

/// A customer may have a phone and a card.
fn identity(object: &Object) -> (String, String) {
    let text = |name: &str| object.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    (text("client"), text("scheme"))
}

fn is_token(object: &Object) -> bool {
    object.get("scheme").and_then(Value::as_str) == Some("token")
}

/// Long-term keys stay, and so does a withdrawal that no newer consent has followed.
fn merged(old: &Object, mut update: Object) -> Object {
    for key in ["ck", "ik", "irk"] {
        if let Some(secret) = old.get(key).filter(|_| !update.contains_key(key)) {
            update.insert(key.to_owned(), secret.clone());
        }
    }
    let at = |object: &Object, name: &str| {
        object.get("consent")?.get(name)?.as_str().and_then(WallTime::parse)
    };
    let withdrawn = at(old, "withdrawn_at");
    if withdrawn.is_some() && at(&update, "given_at") <= withdrawn {
        let old = old.get("consent").cloned();
        update.extend(old.map(|consent| ("consent".to_owned(), consent)));
    }
    update
}

fn write_line(out: &mut impl Write, object: Object) -> anyhow::Result<()> {
    let line = Zeroizing::new(serde_json::to_vec(&Value::Object(object))?);
    out.write_all(&line)?;
    out.write_all(b"\n")?;
    Ok(())
}

fn random_key() -> anyhow::Result<Zeroizing<String>> {
    let mut key = Zeroizing::new([0; 32]);
    getrandom::fill(key.as_mut()).map_err(|error| anyhow::anyhow!("no randomness: {error}"))?;
    Ok(Zeroizing::new(hex::encode(*key)))
}

type Imported = (BTreeMap<(String, String), Object>, Vec<(u32, String)>);

fn rows(args: &Args) -> anyhow::Result<Imported> {
    let file =
        File::open(&args.file).with_context(|| format!("reading {}", args.file.display()))?;
    let mut rows = Rows::new(BufReader::new(file), args.separator);
    let in_file = |error: String| anyhow::anyhow!("{}: {error}", args.file.display());
    let (_, header) = rows
        .next()
        .map_err(in_file)?
        .with_context(|| format!("{} is empty", args.file.display()))?;
    let columns = columns(args, &header)?;
    let (mut objects, mut mistakes) = (BTreeMap::new(), Vec::new());
    while let Some((line, cells)) = rows.next().map_err(in_file)? {
        if cells.iter().all(String::is_empty) {
            continue;
        }
        let cell = |field: &str| {
            let own = columns.get(field).and_then(|at| cells.get(*at)).map(|cell| cell.trim());
            let set =
                || args.set.iter().find(|(name, _)| name == field).map(|(_, value)| value.as_str());
            own.filter(|cell| !cell.is_empty()).or_else(set)
        };
        match object(cell) {
            Ok(object) => {
                if objects.insert(identity(&object), object).is_some() {
                    mistakes
                        .push((line, "client: stands there twice; the last row counts".to_owned()));
                }
            }
            Err(mistake) => mistakes.push((line, mistake)),
        }
    }
    Ok((objects, mistakes))
}

/// Where each field stands.
fn columns(args: &Args, header: &[String]) -> anyhow::Result<BTreeMap<String, usize>> {
    let mut columns = BTreeMap::new();
    for (at, name) in header.iter().enumerate() {
        if is_field(name.trim()) {
            columns.insert(name.trim().to_owned(), at);
        }
    }
    for (field, column) in &args.map {
        let at = header.iter().position(|name| name.trim() == column);
        let at = at.with_context(|| format!("{} has no column {column}", args.file.display()))?;
        columns.insert(field.clone(), at);
    }
    if !columns.contains_key("client") {
        bail!("no column is the client; name it with --map client=COLUMN");
    }
    Ok(columns)
}

fn is_field(name: &str) -> bool {
    FIELDS.split(", ").any(|field| field == name)
}

/// A cell's value; `wrong` says what is wrong with one that is none.
fn parsed<T: FromStr>(name: &str, cell: Option<&str>, wrong: &str) -> Result<Option<T>, String> {
    cell.map(|text| text.parse().map_err(|_| format!("{name}: {wrong}"))).transpose()
}

/// A row as a line of the customer list.
fn object<'a>(cell: impl Fn(&str) -> Option<&'a str>) -> Result<Object, String> {
    let number = |name: &str| parsed::<i64>(name, cell(name), "no whole number");
    let mut object = Object::new();
    object.insert("client".to_owned(), json!(cell("client").ok_or("client: missing")?));
    object.insert("tier".to_owned(), json!(cell("tier").unwrap_or("standard")));
    object.insert("scheme".to_owned(), json!(cell("scheme").unwrap_or("token")));
    for name in ["ck", "ik", "irk", "altbeacon", "quiet"] {
        object.extend(cell(name).map(|value| (name.to_owned(), json!(value))));
    }
    for name in ["k", "offset_s"] {
        object.extend(number(name)?.map(|value| (name.to_owned(), json!(value))));
    }
    if let Some(uuid) = cell("uuid") {
        let beacon = json!({"uuid": uuid, "major": number("major")?, "minor": number("minor")?});
        object.insert("ibeacon".to_owned(), beacon);
    }
    if let (Some(namespace), Some(instance)) = (cell("namespace"), cell("instance")) {
        let uid = json!({"namespace": namespace, "instance": instance});
        object.insert("eddystone_uid".to_owned(), uid);
    }
    let decibels = |name: &str| parsed::<f64>(name, cell(name), "no number of dB");
    let (tx_db, rx_db) = (decibels("tx_db")?, decibels("rx_db")?);
    if tx_db.is_some() || rx_db.is_some() {
        let phone = json!({"tx_db": tx_db.unwrap_or(0.0), "rx_db": rx_db.unwrap_or(0.0)});
        object.insert("phone".to_owned(), phone);
    }
    if let Some(consent) = consent(&cell)? {
        object.insert("consent".to_owned(), consent);
    }
    if let Some(name) = cell("name") {
        let card = json!({"name": name, "language": cell("language"), "note": cell("note")});
        object.insert("card".to_owned(), card);
    }
    Ok(object)
}

/// Without an end there is no consent.
fn consent<'a>(cell: &impl Fn(&str) -> Option<&'a str>) -> Result<Option<Value>, String> {
    let Some(expires_at) = cell("expires_at") else { return Ok(None) };
    let mut consent = Object::new();
    consent.extend(cell("given_at").map(|at| ("given_at".to_owned(), json!(time(at)))));
    consent.extend(cell("text").map(|text| ("text".to_owned(), json!(text))));
    consent.insert("expires_at".to_owned(), json!(time(expires_at)));
    let show = match cell("show_name").unwrap_or("false").to_ascii_lowercase().as_str() {
        "true" | "yes" | "1" => true,
        "false" | "no" | "0" => false,
        _ => return Err("show_name: true or false is needed".to_owned()),
    };
    consent.insert("show_name".to_owned(), json!(show));
    if let Some(stores) = cell("stores") {
        let stores: Result<Vec<u16>, _> = stores.split_whitespace().map(str::parse).collect();
        let stores = stores.map_err(|_| "stores: numbers with spaces between them are needed")?;
        consent.insert("stores".to_owned(), json!(stores));
    }
    Ok(Some(Value::Object(consent)))
}

fn time(text: &str) -> String {
    match text.parse::<jiff::civil::Date>() {
        Ok(date) if text.len() == 10 => format!("{date}T00:00:00Z"),
        _ => text.to_owned(),
    }
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (field, value) = text.split_once('=').ok_or("FIELD=… is needed")?;
    if !is_field(field) {
        return Err(format!("{field} is no field; fields are {FIELDS}"));
    }
    Ok((field.to_owned(), value.to_owned()))
}

/// Keys as arguments would show in the list of processes.
fn constant(text: &str) -> Result<(String, String), String> {
    let (field, value) = pair(text)?;
    if ["ck", "ik", "irk"].contains(&field.as_str()) {
        return Err(format!("{field} is secret: only a file may bring it"));
    }
    Ok((field, value))
}

fn separator(text: &str) -> Result<u8, String> {
    match text.as_bytes() {
        [one] if *one != b'"' => Ok(*one),
        b"\\t" | b"tab" => Ok(b'\t'),
        _ => Err("one character is needed, or tab".to_owned()),
    }
}
