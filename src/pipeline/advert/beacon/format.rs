//! What a beacon format consists of: a decoder, a description, an identity to match.

use uuid::Uuid;

use super::identity::BeaconIdentity;
use crate::pipeline::advert::structure::{Structure, kind};

pub trait Format<'a>: Sized {
    /// The kind of device that advertises the format.
    const CLASS: Class = Class::Beacon;

    /// The beacon in a structure, if it is one of this format. Most structures are not: the first
    /// comparison decides.
    fn read(section: Section<'a>) -> Option<Self>;

    /// The beacon's fields, for people and tools.
    fn describe(&self) -> Described;

    /// What a registry's line or a `[[beacon]]` names it by; `None` where it changes.
    fn identity(&self) -> Option<BeaconIdentity> {
        None
    }

    /// Battery and temperature, where it reports them.
    fn health(&self) -> Option<BeaconHealth> {
        None
    }
}

/// What kind of device advertises a format: the key under which `decode --json` shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// It identifies a place or a card.
    Beacon,
    Sensor,
    /// It is made to be detected by strangers too.
    Tracker,
}

impl Class {
    /// The key in `decode --json`.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Beacon => "beacon",
            Self::Sensor => "sensor",
            Self::Tracker => "tracker",
        }
    }
}

/// A structure that can hold a beacon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Section<'a> {
    /// Manufacturer data: company identifier, and what follows.
    Manufacturer(u16, &'a [u8]),
    /// Service data of a 16-bit UUID, and what follows.
    Service(u16, &'a [u8]),
}

impl<'a> Section<'a> {
    /// `None` for structures that hold no beacons.
    #[inline]
    pub fn of(structure: Structure<'a>) -> Option<Self> {
        let numbered = || {
            let (&number, data) = structure.data.split_first_chunk()?;
            Some((u16::from_le_bytes(number), data))
        };
        match structure.kind {
            kind::MANUFACTURER => {
                numbered().map(|(company, data)| Self::Manufacturer(company, data))
            }
            kind::SERVICE_DATA_16 => numbered().map(|(uuid, data)| Self::Service(uuid, data)),
            _ => None,
        }
    }
}

/// A beacon as `decode` and `scan` show it.
#[derive(Debug, Clone, PartialEq)]
pub struct Described {
    /// The type's word in JSON.
    pub kind: &'static str,
    /// Its name for people.
    pub name: &'static str,
    /// Its fields by their keys in JSON.
    pub fields: Vec<(&'static str, Value)>,
}

/// A field's value, with its unit.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// The beacon does not report it.
    Absent,
    /// An identifier, an address or octets in hexadecimal.
    Text(String),
    /// A number or a count.
    Number(u32),
    /// A company identifier, or a code that is written in hexadecimal.
    Code(u16),
    Flag(bool),
    Dbm(i8),
    Millivolts(u16),
    /// In tenths of a second.
    Deciseconds(u32),
    /// A measured value and its unit.
    Measured(f64, &'static str),
}

impl Value {
    pub fn hex(octets: &[u8]) -> Self {
        Self::Text(hex::encode(octets))
    }

    /// A UUID in its text form.
    pub fn uuid(octets: [u8; 16]) -> Self {
        Self::Text(Uuid::from_bytes(octets).to_string())
    }
}

/// What a beacon reports of its condition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BeaconHealth {
    /// Battery, in millivolts; `None` where there is none or it is not reported.
    pub battery_mv: Option<u16>,
    /// In thousandths of a degree Celsius.
    pub temperature_mc: Option<i32>,
}
