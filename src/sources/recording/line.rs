//! One line of a recording: JSON to its parts, borrowed where possible.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use serde::de::{Deserializer, Visitor};
use serde_json::error::Category;

use super::header::{Header, MOST_GATEWAYS, VERSION};
use crate::pipeline::event::{Address, AddressKind};
use crate::pipeline::units::{Dbm, WallTime};
use crate::sources::GroundTruth;

/// The longest payload there can be (Core, Vol 6 Part B 4.4.2.10).
const LONGEST_PAYLOAD: usize = 1650;

/// The keys of a line; others are ignored.
#[derive(Deserialize)]
pub(super) struct Line<'a> {
    t: Option<f64>,
    #[serde(borrow)]
    gw: Option<Text<'a>>,
    addr: Option<Text<'a>>,
    kind: Option<Text<'a>>,
    rssi: Option<f64>,
    adv: Option<Text<'a>>,
    truth: Option<Text<'a>>,
    client: Option<Text<'a>>,
}

pub(super) enum LineContent<'a> {
    Advertisement {
        gateway: Option<&'a str>,
        address: Address,
        rssi: Option<Dbm>,
        payload: Vec<u8>,
    },
    GroundTruth(GroundTruth, String),
}

impl<'a> Line<'a> {
    pub(super) fn parse(line: &'a [u8]) -> Result<Self, String> {
        if line.trim_ascii_start().first() != Some(&b'{') {
            return Err("not an object".into());
        }
        serde_json::from_slice(line).map_err(|error| placed(&error))
    }

    /// Seconds since the start.
    pub(super) fn at(&self) -> Result<Duration, String> {
        let t = self.t.ok_or("no t")?;
        Duration::try_from_secs_f64(t).map_err(|_| "t is not a time".into())
    }

    /// `None` for a line without an advertisement or ground truth, and for unknown truth words.
    pub(super) fn content(&self) -> Result<Option<LineContent<'_>>, String> {
        if let Some(word) = &self.truth {
            let Some(word) = GroundTruth::of_word(&word.0) else { return Ok(None) };
            let client = self.client.as_ref().ok_or("no client")?;
            return Ok(Some(LineContent::GroundTruth(word, client.0.to_string())));
        }
        let Some(adv) = &self.adv else { return Ok(None) };
        let addr = self.addr.as_ref().ok_or("no addr")?;
        let octets = octets(&addr.0).ok_or("addr is not an address")?;
        let kind = match self.kind.as_ref().map(|kind| &*kind.0) {
            None | Some("random") => AddressKind::Random,
            Some("public") => AddressKind::Public,
            Some(_) => return Err("kind is neither public nor random".into()),
        };
        Ok(Some(LineContent::Advertisement {
            gateway: self.gw.as_ref().map(|gw| &*gw.0),
            address: Address { kind, octets },
            rssi: self.rssi.and_then(dbm),
            payload: payload(&adv.0)?,
        }))
    }
}

/// The place of the error only: the parser's message would quote the line.
fn placed(error: &serde_json::Error) -> String {
    match error.classify() {
        Category::Data => format!("of the wrong kind up to column {}", error.column()),
        _ => format!("not JSON from column {} on", error.column()),
    }
}

fn dbm(rssi: f64) -> Option<Dbm> {
    #[expect(clippy::cast_possible_truncation, reason = "a cast from f64 saturates")]
    Dbm::measured(rssi.round() as i16)
}

fn payload(adv: &str) -> Result<Vec<u8>, String> {
    if adv.len() > 2 * LONGEST_PAYLOAD {
        return Err(format!("adv is longer than {LONGEST_PAYLOAD} octets"));
    }
    hex::decode(adv).map_err(|_| "adv is not hexadecimal".into())
}

/// `5a:11:22:33:44:55`, most significant octet first.
fn octets(text: &str) -> Option<[u8; 6]> {
    let mut octets = [0; 6];
    let mut pairs = text.split(':');
    for octet in &mut octets {
        hex::decode_to_slice(pairs.next()?, std::slice::from_mut(octet)).ok()?;
    }
    pairs.next().is_none().then_some(octets)
}

/// Reads a recording's first line.
pub(super) fn header(line: &[u8]) -> Result<Header, String> {
    const NO_HEADER: &str = r#"no header: {"grelot":"recording",...}"#;
    #[derive(Deserialize)]
    struct Mark {
        grelot: String,
        version: u64,
    }
    #[derive(Deserialize)]
    struct Rest {
        started_at: String,
        store: Option<u16>,
        #[serde(default)]
        gateways: Vec<String>,
    }
    // Some editors put a byte-order mark in front.
    let line = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line);
    let mark: Mark = serde_json::from_slice(line).map_err(|_| NO_HEADER)?;
    if mark.grelot != "recording" {
        return Err(NO_HEADER.into());
    }
    if mark.version != VERSION {
        let version = mark.version;
        return Err(format!("recording version {version}, this grelot reads {VERSION}"));
    }
    let rest: Rest = serde_json::from_slice(line).map_err(|error| placed(&error))?;
    if rest.gateways.len() > MOST_GATEWAYS {
        return Err(format!("more than {MOST_GATEWAYS} gateways"));
    }
    Ok(Header {
        started_at: WallTime::parse(&rest.started_at)
            .ok_or("started_at is not a time (RFC 3339)")?,
        store: rest.store,
        gateways: rest.gateways.into_iter().map(Arc::from).collect(),
    })
}

/// A string, borrowed from the line unless it has escapes.
struct Text<'a>(Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Borrow;
        impl<'de> Visitor<'de> for Borrow {
            type Value = Text<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Borrowed(text)))
            }

            fn visit_str<E>(self, text: &str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(Borrow)
    }
}
