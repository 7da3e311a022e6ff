//! What a phone or card advertises, in each carrier, for people and as JSON.

use std::fmt::Write;

use serde_json::{Value, json};
use uuid::Uuid;

use crate::pipeline::advert::BeaconIdentity;
use crate::pipeline::advert::eddystone::Eid;
use crate::pipeline::advert::{Echo, token};
use crate::pipeline::identity::key::{Key, Message, Midstates};
use crate::pipeline::identity::window::{SKEW_MS, WINDOW_MS, Window, day_of, opens_at, window_at};
use crate::pipeline::identity::{EidCard, eid, irk};
use crate::pipeline::units::WallTime;

/// Calibration of a card where the card's own is not known: dBm at 1 m.
const TX_POWER: i8 = -59;

/// What a customer's phone or card advertises.
pub enum Spoken {
    /// Scheme `token`.
    Token {
        window: Window,
        token: [u8; 11],
        echo: Echo,
        /// The challenge and the answer to it.
        answer: Option<([u8; 16], [u8; 21])>,
    },
    /// Scheme `eid`; `k` is its rotation exponent, `counter` its time counter.
    Eid { eid: [u8; 8], k: u8, counter: u32, from: WallTime, until: WallTime },
    /// Scheme `beacon`: the format's name and the identity's octets.
    Beacon(&'static str, Vec<u8>),
    /// Scheme `irk`: one of the addresses that resolve.
    Irk([u8; 6]),
}

impl Spoken {
    /// What the app advertises at a time, and its answer to a challenge.
    pub fn token(key: &Key, at: WallTime, echo: Echo, nonce: Option<&[u8; 16]>) -> Self {
        let window = window_at(at);
        let states = Midstates::new(&key.0);
        let token = states.token(&Message::token(window));
        let answer = nonce.map(|nonce| {
            let proof = states.tag(&Message::challenge(nonce, echo.to_byte(), &token));
            let parts = [&[token::VERSION, echo.to_byte()][..], &token, &proof];
            let mut answer = [0; 21];
            for (to, from) in answer.iter_mut().zip(parts.concat()) {
                *to = from;
            }
            (*nonce, answer)
        });
        Self::Token { window, token, echo, answer }
    }

    /// What a card advertises at a time, if its keys cover it.
    pub fn eid(card: &EidCard, at: WallTime) -> Option<Self> {
        // The octets may be in either order: the keys show which one is meant, as when a registry
        // is loaded.
        let shown = |offset: i64| u32::try_from(at.unix_secs().checked_add(offset)?).ok();
        let (offset, counter, key) =
            [card.offset_s, card.offset_s.checked_neg()?].into_iter().find_map(|offset| {
                let counter = shown(offset)?;
                Some((offset, counter, key_for(card, counter)?))
            })?;
        let start = counter >> card.k << card.k;
        let eid = eid::identity(key, card.k, start);
        let from = WallTime::from_unix_secs(i64::from(start) - offset);
        let until = WallTime::from_unix_secs(i64::from(start) + (1 << card.k) - offset);
        Some(Self::Eid { eid, k: card.k, counter, from, until })
    }

    /// What a card with a fixed identity advertises.
    pub fn beacon(identity: &BeaconIdentity) -> Self {
        let key = identity.format().map_or("", |format| format.key);
        Self::Beacon(key, identity.advertisement().unwrap_or_default())
    }

    /// An address that resolves: phones choose a new random part about every 15 minutes, here
    /// it follows from the time.
    pub fn irk(key: &Key, at: WallTime) -> Self {
        let [.., high, middle, low] = (at.unix_secs() / 900).to_be_bytes();
        let prand = [0x40 | (high & 0x3f), middle, low];
        let hash = irk::hash(key, prand);
        let mut address = [0; 6];
        for (to, from) in address.iter_mut().zip(prand.into_iter().chain(hash)) {
            *to = from;
        }
        Self::Irk(address)
    }

    pub fn json(&self, client: Option<&str>) -> Value {
        match self {
            Self::Token { window, token, echo, answer } => json!({
                "client": client, "scheme": "token",
                "day": day_of(*window), "window": window,
                "valid_from": opens_at(*window).to_string(),
                "valid_until": opens_at(window + 1).to_string(),
                "accepted_from": moved(opens_at(*window), -SKEW_MS).to_string(),
                "accepted_until": moved(opens_at(*window), WINDOW_MS + SKEW_MS).to_string(),
                "token": hex::encode(token),
                "echo": {"zone": echo.zone, "level": echo.level, "hex": hex::encode([echo.to_byte()])},
                "carriers": {
                    "service_data": hex::encode(token::service_data(token, *echo)),
                    "service_uuid": hex::encode(token::service_uuid(token, *echo)),
                    "overflow": hex::encode(token::overflow()),
                },
                "service_uuid": Uuid::from_bytes(token::uuid(token, *echo)).to_string(),
                "gatt": {
                    "service": Uuid::from_bytes(token::SERVICE).to_string(),
                    "challenge": Uuid::from_bytes(token::CHALLENGE).to_string(),
                    "answer": Uuid::from_bytes(token::ANSWER).to_string(),
                    "nonce": answer.map(|(nonce, _)| hex::encode(nonce)),
                    "value": answer.map(|(_, answer)| hex::encode(answer)),
                },
            }),
            Self::Eid { eid, k, counter, from, until } => json!({
                "client": client, "scheme": "eid", "k": k, "counter": counter,
                "valid_from": from.to_string(), "valid_until": until.to_string(),
                "eid": hex::encode(eid),
                "carriers": {"eddystone_eid": hex::encode(eid_frame(*eid))},
            }),
            Self::Beacon(kind, payload) => json!({
                "client": client, "scheme": "beacon",
                "carriers": {*kind: hex::encode(payload)},
            }),
            Self::Irk(address) => json!({
                "client": client, "scheme": "irk", "address": colons(*address),
            }),
        }
    }

    /// For people: a label and a value a line.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for (label, value) in self.lines() {
            // A String takes everything.
            let _ = writeln!(text, "{label:<14}{value}");
        }
        text
    }

    fn lines(&self) -> Vec<(&'static str, String)> {
        match self {
            Self::Token { window, token, echo, answer } => {
                let accepted = format!(
                    "{} until {}",
                    moved(opens_at(*window), -SKEW_MS),
                    moved(opens_at(*window), WINDOW_MS + SKEW_MS)
                );
                let mut lines = vec![
                    ("said", format!("{} until {}", opens_at(*window), opens_at(window + 1))),
                    ("accepted", accepted),
                    ("window", format!("{window}, day {}", day_of(*window))),
                    ("token", hex::encode(token)),
                    ("service data", hex::encode(token::service_data(token, *echo))),
                    ("service UUID", hex::encode(token::service_uuid(token, *echo))),
                    ("", Uuid::from_bytes(token::uuid(token, *echo)).to_string()),
                    ("overflow", hex::encode(token::overflow())),
                ];
                lines.extend(answer.map(|(_, answer)| ("GATT answer", hex::encode(answer))));
                lines
            }
            Self::Eid { eid, k, counter, from, until } => vec![
                ("said", format!("{from} until {until}")),
                ("clock", format!("{counter}, a new identity every {} s", 1_u32 << k)),
                ("EID", hex::encode(eid)),
                ("service data", hex::encode(eid_frame(*eid))),
            ],
            Self::Beacon(kind, payload) => vec![(*kind, hex::encode(payload))],
            Self::Irk(address) => vec![("address", colons(*address))],
        }
    }
}

fn key_for(card: &EidCard, counter: u32) -> Option<&[u8; 16]> {
    card.keys.iter().find(|(top, _)| u32::from(*top) == counter >> 16).map(|(_, key)| &key.0)
}

fn eid_frame(eid: [u8; 8]) -> [u8; 21] {
    Eid { eid, tx_power: TX_POWER + 41 }.advertisement()
}

fn moved(time: WallTime, ms: i64) -> WallTime {
    WallTime::from_unix_millis(time.unix_millis() + ms)
}

fn colons(address: [u8; 6]) -> String {
    address.map(|octet| format!("{octet:02x}")).join(":")
}
