//! The description of an advertisement as one JSON object; a promise to others, whose keys are
//! never missing.

use std::io::{self, Write};

use serde::Serialize;
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::pipeline::advert::apple::Message;
use crate::pipeline::advert::eddystone::Frame;
use crate::pipeline::advert::structure::Structure;
use crate::pipeline::advert::token::VERSION;
use crate::pipeline::advert::{Ad, Beacon, Description, Ours};

/// Writes one line.
pub(super) fn write(
    out: &mut impl Write,
    payload: &[u8],
    description: &Description<'_>,
) -> io::Result<()> {
    let line = Line {
        hex: hex::encode(payload),
        malformed: description.malformed.map(|fault| fault.to_string()),
        ad: (&description.ad).into(),
        beacon: description.beacon.map(Into::into),
        apple: description.apple.iter().map(Into::into).collect(),
        grelot: description.ours.map(Into::into),
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

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum BeaconObject {
    #[serde(rename = "ibeacon")]
    IBeacon {
        uuid: UuidText,
        major: u16,
        minor: u16,
        tx_power: i8,
    },
    #[serde(rename = "altbeacon")]
    AltBeacon {
        company: u16,
        uuid: UuidText,
        major: u16,
        minor: u16,
        tx_power: i8,
        mfg_reserved: u8,
    },
    EddystoneUid {
        namespace: String,
        instance: String,
        tx_power: i8,
    },
    EddystoneUrl {
        url: String,
        tx_power: i8,
    },
    EddystoneTlm {
        voltage_mv: u16,
        temperature_c: Option<f64>,
        adv_count: u32,
        uptime_ds: u32,
    },
    EddystoneEtlm {
        etlm_hex: String,
        salt: u16,
        mic: u16,
    },
    EddystoneEid {
        eid: String,
        tx_power: i8,
    },
    ExposureNotification {
        identifier: String,
        encrypted_metadata: String,
    },
}

/// In text form.
#[derive(Serialize)]
struct UuidText(String);

impl From<[u8; 16]> for UuidText {
    fn from(octets: [u8; 16]) -> Self {
        Self(Uuid::from_bytes(octets).to_string())
    }
}

impl From<Beacon<'_>> for BeaconObject {
    fn from(beacon: Beacon<'_>) -> Self {
        match beacon {
            Beacon::IBeacon(it) => Self::IBeacon {
                uuid: it.uuid.into(),
                major: it.major,
                minor: it.minor,
                tx_power: it.tx_power,
            },
            Beacon::AltBeacon(it) => Self::AltBeacon {
                company: it.company,
                uuid: it.uuid().into(),
                major: it.major(),
                minor: it.minor(),
                tx_power: it.tx_power,
                mfg_reserved: it.mfg_reserved,
            },
            Beacon::Eddystone(frame) => frame.into(),
            Beacon::ExposureNotification(it) => Self::ExposureNotification {
                identifier: hex::encode(it.identifier),
                encrypted_metadata: hex::encode(it.encrypted_metadata),
            },
        }
    }
}

impl From<Frame<'_>> for BeaconObject {
    fn from(frame: Frame<'_>) -> Self {
        match frame {
            Frame::Uid(it) => Self::EddystoneUid {
                namespace: hex::encode(it.namespace),
                instance: hex::encode(it.instance),
                tx_power: it.tx_power,
            },
            Frame::Url(it) => Self::EddystoneUrl { url: it.url(), tx_power: it.tx_power },
            Frame::Tlm(it) => Self::EddystoneTlm {
                voltage_mv: it.voltage_mv,
                temperature_c: it.temperature_c().map(f64::from),
                adv_count: it.adv_count,
                uptime_ds: it.uptime_ds,
            },
            Frame::EncryptedTlm(it) => {
                Self::EddystoneEtlm { etlm_hex: hex::encode(it.etlm), salt: it.salt, mic: it.mic }
            }
            Frame::Eid(it) => {
                Self::EddystoneEid { eid: hex::encode(it.eid), tx_power: it.tx_power }
            }
        }
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
