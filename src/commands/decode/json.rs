//! The description of an advertisement as one JSON object; a promise to others, whose keys are
//! never missing, except `sensor` and `tracker`, which are present only if they apply.

use std::io::{self, Write};

use serde::ser::SerializeMap as _;
use serde::{Serialize, Serializer};
use serde_json::{Map, Value};

use crate::pipeline::advert::apple::Message;
use crate::pipeline::advert::beacon::{Class, Described, Value as Field};
use crate::pipeline::advert::structure::Structure;
use crate::pipeline::advert::token::VERSION;
use crate::pipeline::advert::{Ad, Description, Ours};

pub(super) fn write(
    out: &mut impl Write,
    payload: &[u8],
    description: &Description<'_>,
) -> io::Result<()> {
    let line = Line {
        hex: hex::encode(payload),
        malformed: description.malformed.map(|fault| fault.to_string()),
        ad: (&description.ad).into(),
        beacon: of_class(description, Class::Beacon),
        apple: description.apple.iter().map(Into::into).collect(),
        grelot: description.ours.map(Into::into),
        sensor: of_class(description, Class::Sensor),
        tracker: of_class(description, Class::Tracker),
    };
    serde_json::to_writer(&mut *out, &line)?;
    writeln!(out)
}

#[derive(Serialize)]
struct Line<'a> {
    hex: String,
    malformed: Option<String>,
    ad: AdObject<'a>,
    beacon: Option<BeaconObject>,
    apple: Vec<AppleObject>,
    grelot: Option<GrelotObject>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sensor: Option<BeaconObject>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tracker: Option<BeaconObject>,
}

fn of_class(description: &Description<'_>, class: Class) -> Option<BeaconObject> {
    let beacon = description.beacon.filter(|beacon| beacon.class() == class)?;
    Some(BeaconObject(beacon.describe()))
}

#[derive(Serialize)]
struct AdObject<'a> {
    flags: Option<u8>,
    local_name: Option<&'a str>,
    tx_power: Option<i8>,
    service_uuids: Vec<String>,
    service_data: Map<String, Value>,
    manufacturer_data: Map<String, Value>,
    appearance: Option<u16>,
    uri: Option<&'a str>,
    structures: Vec<StructureObject>,
}

impl<'a> From<&'a Ad<'_>> for AdObject<'a> {
    fn from(ad: &'a Ad<'_>) -> Self {
        let service_data = ad.service_data.iter().map(|(uuid, data)| (uuid.to_string(), *data));
        let manufacturer_data =
            ad.manufacturer_data.iter().map(|(company, data)| (format!("{company:04x}"), *data));
        Self {
            flags: ad.flags,
            local_name: ad.local_name.as_deref(),
            tx_power: ad.tx_power,
            service_uuids: ad.service_uuids.iter().map(ToString::to_string).collect(),
            service_data: by_first(service_data),
            manufacturer_data: by_first(manufacturer_data),
            appearance: ad.appearance,
            uri: ad.uri.as_deref(),
            structures: ad.structures.iter().map(Into::into).collect(),
        }
    }
}

/// An object of hexadecimal values; of a key that comes again, the first counts (`structures`
/// has them all).
fn by_first<'a>(entries: impl Iterator<Item = (String, &'a [u8])>) -> Map<String, Value> {
    let mut object = Map::new();
    for (key, data) in entries {
        object.entry(key).or_insert_with(|| hex::encode(data).into());
    }
    object
}

#[derive(Serialize)]
struct StructureObject {
    #[serde(rename = "type")]
    kind: u8,
    data_hex: String,
}

impl From<&Structure<'_>> for StructureObject {
    fn from(structure: &Structure<'_>) -> Self {
        Self { kind: structure.kind, data_hex: hex::encode(structure.data) }
    }
}

/// A beacon: its type, then its fields.
struct BeaconObject(Described);

impl Serialize for BeaconObject {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Described { kind, fields, .. } = &self.0;
        let mut object = serializer.serialize_map(Some(1 + fields.len()))?;
        object.serialize_entry("type", kind)?;
        for (key, value) in fields {
            match value {
                Field::Absent => object.serialize_entry(key, &())?,
                Field::Text(text) => object.serialize_entry(key, text)?,
                Field::Number(number) | Field::Deciseconds(number) => {
                    object.serialize_entry(key, number)?;
                }
                Field::Code(code) | Field::Millivolts(code) => object.serialize_entry(key, code)?,
                Field::Flag(flag) => object.serialize_entry(key, flag)?,
                Field::Dbm(power) => object.serialize_entry(key, power)?,
                Field::Measured(value, _) => object.serialize_entry(key, value)?,
            }
        }
        object.end()
    }
}

#[derive(Serialize)]
#[serde(untagged)]
enum AppleObject {
    Overflow {
        #[serde(rename = "type")]
        kind: u8,
        overflow_hex: String,
    },
    Other {
        #[serde(rename = "type")]
        kind: u8,
        data_hex: String,
    },
}

impl From<&Message<'_>> for AppleObject {
    fn from(message: &Message<'_>) -> Self {
        let kind = message.kind();
        match message {
            Message::Overflow(mask) => Self::Overflow { kind, overflow_hex: hex::encode(mask.0) },
            Message::Other { data, .. } => Self::Other { kind, data_hex: hex::encode(data) },
        }
    }
}

#[derive(Serialize)]
#[serde(untagged)]
enum GrelotObject {
    Token { version: u8, token: String, zone: u8, level: u8, carrier: &'static str },
    Hint { overflow_hint: bool },
}

impl From<Ours> for GrelotObject {
    fn from(ours: Ours) -> Self {
        match ours {
            Ours::Token { token, echo, carrier } => Self::Token {
                version: VERSION,
                token: hex::encode(token),
                zone: echo.zone,
                level: echo.level,
                carrier: carrier.word(),
            },
            Ours::OverflowHint => Self::Hint { overflow_hint: true },
        }
    }
}
