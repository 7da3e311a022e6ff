//! The devices received lately, one row each.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::fmt::Write as _;
use std::time::Duration;

use serde_json::json;

use super::who::Recognised;
use crate::pipeline::event::{Address, AddressKind};
use crate::pipeline::units::{Dbm, Tick};
use crate::sources::Advertisement;
use crate::telemetry::redact;

/// More than fit on any screen; beyond it the device received longest ago is removed.
const MOST_DEVICES: usize = 4_096;
/// A device that was not received for this long is not shown.
const SHOWN_FOR: Duration = Duration::from_mins(1);

/// The order of the rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Order {
    /// Customers first, then the strongest.
    Rssi,
    /// The most recently received first.
    Seen,
    /// The most often received first.
    #[value(name = "heard")]
    Count,
}

/// Devices by address, bounded in number.
#[derive(Debug)]
pub struct Table {
    rows: HashMap<Address, Row>,
    now: Tick,
}

#[derive(Debug, Clone)]
pub struct Row {
    address: Address,
    rssi: Option<Dbm>,
    first: Tick,
    last: Tick,
    heard: u64,
    payload: Vec<u8>,
    said: Recognised,
}

impl Table {
    pub fn new() -> Self {
        Self { rows: HashMap::new(), now: Tick::ZERO }
    }

    /// Adds an advertisement; `says` is called only where its payload is a new one.
    pub fn add(&mut self, now: Tick, received: &Advertisement, says: impl FnOnce() -> Recognised) {
        self.now = now;
        if self.rows.len() >= MOST_DEVICES && !self.rows.contains_key(&received.address) {
            self.make_room();
        }
        let row = self.rows.entry(received.address).or_insert_with(|| Row {
            address: received.address,
            rssi: None,
            first: now,
            last: now,
            heard: 0,
            payload: Vec::new(),
            said: Recognised::default(),
        });
        row.rssi = received.rssi.or(row.rssi);
        row.last = now;
        row.heard += 1;
        if row.payload != received.payload {
            row.payload.clone_from(&received.payload);
            let said = says();
            // A token's address stays a customer's between two tokens.
            row.said.client = said.client.or(row.said.client.take());
            if !said.what.is_empty() {
                row.said.what = said.what;
            }
        }
    }

    /// How many devices are shown.
    pub fn len(&self) -> usize {
        self.rows.values().filter(|row| self.is_shown(row)).count()
    }

    /// The first `top` of them.
    pub fn rows(&self, order: Order, top: usize) -> impl Iterator<Item = &Row> {
        let mut rows: Vec<&Row> = self.rows.values().filter(|row| self.is_shown(row)).collect();
        rows.sort_by_key(|row| {
            let by = match order {
                Order::Rssi => {
                    (row.said.client.is_some(), i64::from(row.rssi.map_or(-128, Dbm::value)))
                }
                Order::Seen => (false, i64::try_from(row.last.as_micros()).unwrap_or(i64::MAX)),
                Order::Count => (false, i64::try_from(row.heard).unwrap_or(i64::MAX)),
            };
            (Reverse(by), row.address)
        });
        rows.into_iter().take(top)
    }

    pub fn text(&self, order: Order, top: usize, full: bool) -> String {
        let mut text = format!(
            "{:<17} {:<6} {:>4} {:>7} {:>6} {:>5}  what\n",
            "address", "kind", "dBm", "heard", "per s", "ago"
        );
        for row in self.rows(order, top) {
            let rssi = row.rssi.map_or_else(|| "?".to_owned(), |rssi| rssi.value().to_string());
            let ago = self.now.since(row.last).as_secs();
            let mark = row.said.client.as_ref().map(|client| format!("★ {client}  "));
            let (address, kind, heard) = (row.shown_address(full), row.kind(), row.heard);
            let (rate, what) = (row.per_second(), &row.said.what);
            let mark = mark.unwrap_or_default();
            // Writing to a string cannot fail.
            let _ = writeln!(
                text,
                "{address:<17} {kind:<6} {rssi:>4} {heard:>7} {rate:>6.1} {ago:>4}s  {mark}{what}"
            );
        }
        text
    }

    fn is_shown(&self, row: &Row) -> bool {
        self.now.since(row.last) < SHOWN_FOR
    }

    fn make_room(&mut self) {
        let silent = self.rows.values().min_by_key(|row| row.last).map(|row| row.address);
        if let Some(address) = silent {
            self.rows.remove(&address);
        }
    }
}

impl Row {
    pub fn json(&self, full: bool) -> serde_json::Value {
        json!({
            "address": self.shown_address(full),
            "kind": self.kind(),
            "rssi": self.rssi.map(Dbm::value),
            "heard": self.heard,
            "per_second": (self.per_second() * 10.0).round() / 10.0,
            "client": self.said.client,
            "what": self.said.what,
        })
    }

    fn shown_address(&self, full: bool) -> String {
        if full {
            self.address.octets.map(|octet| format!("{octet:02x}")).join(":")
        } else {
            redact::Device(self.address).to_string()
        }
    }

    const fn kind(&self) -> &'static str {
        match self.address.kind {
            AddressKind::Public => "public",
            AddressKind::Random => "random",
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "a count of advertisements, for show")]
    fn per_second(&self) -> f64 {
        let over = self.last.since(self.first).as_secs_f64();
        if over > 0.0 { (self.heard - 1) as f64 / over } else { 0.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(n: u8, rssi: i16) -> Advertisement {
        let address =
            Address { kind: AddressKind::Random, octets: [0x5a, 0x11, 0x22, 0x33, 0x44, n] };
        Advertisement { gateway: None, address, rssi: Dbm::measured(rssi), payload: vec![n] }
    }

    fn at(secs: u64) -> Tick {
        Tick::from_micros(secs * 1_000_000)
    }

    #[test]
    fn customers_come_first_then_the_loudest_and_the_silent_go() {
        let mut table = Table::new();
        table.add(at(0), &heard(1, -40), Recognised::default);
        for second in 30..70 {
            table.add(at(second), &heard(2, -70), Recognised::default);
            table.add(at(second), &heard(3, -60), Recognised::default);
            let customer =
                || Recognised { client: Some("c-7f3a".to_owned()), what: "token".to_owned() };
            table.add(at(second), &heard(4, -80), customer);
        }
        let shown: Vec<u8> = table.rows(Order::Rssi, 10).map(|row| row.address.octets[5]).collect();
        assert_eq!(shown, [4, 3, 2]);
        let text = table.text(Order::Rssi, 1, false);
        assert!(text.contains("…:44:04") && text.contains("★ c-7f3a"), "{text}");
        assert!(!text.contains("5a:11"), "{text}");
        assert!(table.text(Order::Rssi, 1, true).contains("5a:11:22:33:44:04"));
    }

    #[test]
    fn a_crowd_that_changes_its_addresses_takes_bounded_memory() {
        let mut table = Table::new();
        for n in 0..10_000u32 {
            let [.., a, b] = n.to_be_bytes();
            let mut heard = heard(a, -60);
            heard.address.octets[4] = b;
            table.add(at(u64::from(n)), &heard, Recognised::default);
        }
        assert!(table.rows.len() <= MOST_DEVICES);
    }
}
