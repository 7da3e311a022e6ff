//! Head office's customer list: a registry whose customers have their long-term keys.

use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;

use anyhow::Context;
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use crate::config::registry::line::{self, Line};
use crate::config::registry::open;
use crate::pipeline::identity::key::{ClientKey, Message};
use crate::pipeline::identity::window::Day;
use crate::pipeline::identity::{Enrolment, eid};

/// One line of the list: a JSON object.
pub type Object = Map<String, Value>;

/// A customer with the keys of some days, ready for the registries of several stores.
pub struct Prepared {
    /// What the customer's line means, for the first store it was asked for.
    pub enrolment: Enrolment,
    /// The line, without credential and closing brace: what is the same for every store.
    common: Vec<u8>,
    credential: Credential,
}

enum Credential {
    /// The same in every store.
    Common,
    App(Vec<(Day, crate::pipeline::identity::key::DayKey)>),
}

/// Ten times what a customer with a card and a photograph's address takes.
const LONGEST_LINE: u64 = 64 * 1024;

/// Calls `each` with every line's number and object; stops at the first line that is none.
///
/// # Errors
/// Where the file cannot be read, or `each` fails.
pub fn read(
    path: &Path,
    mut each: impl FnMut(u32, Object) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let file = open(path).with_context(|| format!("reading {}", path.display()))?;
    let mut lines = BufReader::new(file);
    let mut text = Zeroizing::new(String::new());
    for number in 1.. {
        text.clear();
        let mut bounded = lines.by_ref().take(LONGEST_LINE);
        if bounded.read_line(&mut text).with_context(|| format!("reading {}", path.display()))? == 0
        {
            break;
        }
        anyhow::ensure!(
            (text.len() as u64) < LONGEST_LINE,
            "{}:{number}: longer than {LONGEST_LINE} octets",
            path.display()
        );
        if text.trim().is_empty() {
            continue;
        }
        let object: Object = serde_json::from_str(&text).map_err(|error| {
            // What stands there may be a key.
            anyhow::anyhow!(
                "{}:{number}: not a JSON object (column {})",
                path.display(),
                error.column()
            )
        })?;
        if !object.contains_key("grelot") {
            each(number, object)?;
        }
    }
    Ok(())
}

/// Takes `object` apart into what every store's registry says and what only one's does.
///
/// # Errors
/// Where a gateway could not read the line; the text is the reason.
pub fn prepare(mut object: Object, days: &[Day]) -> Result<Prepared, String> {
    let credential = match object.remove("ck") {
        Some(ck) => {
            let ck = client_key(&ck).ok_or("ck: 64 hex digits are needed")?;
            Credential::App(days.iter().map(|day| (*day, ck.day_key(*day))).collect())
        }
        None => Credential::Common,
    };
    if let Some(ik) = object.remove("ik") {
        let tks = temporary_keys(&ik, &object, days)?;
        object.insert("tks".to_owned(), tks);
    }
    let enrolment = understood(&object, &credential)?;
    // A store's line leaves out other stores, and what the customer does not want shown.
    if let Some(Value::Object(consent)) = object.get_mut("consent") {
        consent.remove("stores");
    }
    if enrolment.consent.as_ref().is_some_and(|consent| !consent.show_name) {
        object.remove("card");
    }
    let mut common = serde_json::to_vec(&object).map_err(|error| error.to_string())?;
    common.pop();
    Ok(Prepared { enrolment, common, credential })
}

impl Prepared {
    /// The customer's line in the registry of the store of `store` ([`Message::store`]).
    pub fn line(&self, store: &Message, line: &mut Vec<u8>) {
        line.clear();
        line.extend_from_slice(&self.common);
        if let Credential::App(days) = &self.credential {
            line.extend_from_slice(b",\"days\":{");
            for (number, (day, key)) in days.iter().enumerate() {
                let key = Zeroizing::new(hex::encode(key.for_store(store).0));
                let comma = if number == 0 { "" } else { "," };
                line.extend_from_slice(format!("{comma}\"{day}\":\"{}\"", *key).as_bytes());
            }
            line.push(b'}');
        }
        line.extend_from_slice(b"}\n");
    }
}

/// The line as a gateway reads it, so that mistakes are reported before a bundle is made.
fn understood(object: &Object, credential: &Credential) -> Result<Enrolment, String> {
    let mut object = object.clone();
    if let Credential::App(days) = credential {
        // Any key will do here.
        let key = |day: &Day| (day.to_string(), Value::from("11".repeat(16)));
        object.insert("days".to_owned(), days.iter().map(|(day, _)| key(day)).collect());
    }
    let text = serde_json::to_vec(&object).map_err(|error| error.to_string())?;
    match line::read(&text)? {
        Line::Customer(enrolment) => Ok(*enrolment),
        Line::Header(_) => Err("a header among customers".to_owned()),
    }
}

fn client_key(ck: &Value) -> Option<ClientKey> {
    let mut key = [0; 32];
    hex::decode_to_slice(ck.as_str()?, &mut key).ok()?;
    Some(ClientKey(key))
}

/// The temporary keys that a card needs during `days`, with its drift.
fn temporary_keys(ik: &Value, object: &Object, days: &[Day]) -> Result<Value, String> {
    let mut key = Zeroizing::new([0; 16]);
    let hex = ik.as_str().unwrap_or_default();
    hex::decode_to_slice(hex, key.as_mut()).map_err(|_| "ik: 32 hex digits are needed")?;
    let number = |name: &str| object.get(name).and_then(Value::as_i64);
    let offset = number("offset_s").ok_or("offset_s: missing")?;
    let k = number("k").filter(|k| (0..=15).contains(k)).ok_or("k: 0 to 15 is needed")?;
    let (Some(first), Some(last)) = (days.iter().min(), days.iter().max()) else {
        return Err("no days".to_owned());
    };
    let margin = 7_i64 << k;
    let from = i64::from(*first) * 86_400 + offset - margin;
    let until = (i64::from(*last) + 1) * 86_400 + offset + margin;
    let top = |counter: i64| u16::try_from(counter.max(0) >> 16);
    let (Ok(from), Ok(until)) = (top(from), top(until)) else {
        return Err("offset_s: the card's clock is beyond 32 bits".to_owned());
    };
    let temporary = |top| (top, Zeroizing::new(hex::encode(eid::temporary_key(&key, top))));
    let keys = (from..=until).map(temporary);
    Ok(Value::Object(keys.map(|(top, key)| (top.to_string(), Value::from(key.as_str()))).collect()))
}
