//! What a beacon format is: one decoder, one description, one identity to be matched.
//!
//! To add a format: a file of its own in `beacon/` with a type that implements [`Format`], and
//! its line in [`formats`]. If cards or `[[beacon]]` can name its beacons, also its line in
//! [`IDENTITIES`] and its key in a registry's lines (`config/registry/line.rs`).

pub mod altbeacon;
pub mod eddystone;
pub mod exposure;
pub mod ibeacon;
pub mod ruuvi;
pub mod tracker;

use std::fmt;

use uuid::Uuid;

use super::structure::{Structure, kind};
use altbeacon::AltBeacon;
use eddystone::Frame;
use exposure::ExposureNotification;
use ibeacon::IBeacon;
use ruuvi::Ruuvi;
use tracker::Tracker;

/// A beacon format.
pub trait Format<'a>: Sized {
    /// What its advertisers are.
    const CLASS: Class = Class::Beacon;

    /// The beacon in a structure, if it is one of this format. Most structures are not: the first
    /// comparison decides.
    fn read(section: Section<'a>) -> Option<Self>;

    /// For people and tools.
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

/// What advertises a format: the key under which `decode --json` shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// It identifies a place or a card.
    Beacon,
    /// It reports measurements.
    Sensor,
    /// It can be detected by strangers.
    Tracker,
}

impl Class {
    /// Its key.
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
        let section = match structure.kind {
            kind::MANUFACTURER => Self::Manufacturer,
            kind::SERVICE_DATA_16 => Self::Service,
            _ => return None,
        };
        let (&number, data) = structure.data.split_first_chunk()?;
        Some(section(u16::from_le_bytes(number), data))
    }
}

macro_rules! formats {
    ($($(#[$doc:meta])* $name:ident($format:ty),)*) => {
        /// A beacon of a published format.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Beacon<'a> {
            $($(#[$doc])* $name($format),)*
        }

        impl<'a> Beacon<'a> {
            /// The beacon in a structure.
            #[inline]
            pub fn read(section: Section<'a>) -> Option<Self> {
                $(if let Some(beacon) = <$format as Format<'a>>::read(section) {
                    return Some(Self::$name(beacon));
                })*
                None
            }

            /// What it is.
            pub const fn class(&self) -> Class {
                match self { $(Self::$name(_) => <$format as Format<'a>>::CLASS,)* }
            }

            /// For people and tools.
            pub fn describe(&self) -> Described {
                match self { $(Self::$name(beacon) => beacon.describe(),)* }
            }

            /// What a registry's line or a `[[beacon]]` names it by; `None` where it changes.
            #[inline]
            pub fn identity(&self) -> Option<BeaconIdentity> {
                match self { $(Self::$name(beacon) => beacon.identity(),)* }
            }

            /// Battery and temperature, where it reports them.
            #[inline]
            pub fn health(&self) -> Option<BeaconHealth> {
                match self { $(Self::$name(beacon) => beacon.health(),)* }
            }
        }
    };
}

formats! {
    /// `AltBeacon`.
    AltBeacon(AltBeacon),
    /// iBeacon.
    IBeacon(IBeacon),
    /// Eddystone.
    Eddystone(Frame<'a>),
    /// Exposure Notification.
    ExposureNotification(ExposureNotification),
    /// A sensor of Ruuvi.
    Ruuvi(Ruuvi),
    /// A location tracker that strangers can detect.
    Tracker(Tracker),
}

/// The identities that a configuration can name.
pub const IDENTITIES: &[&IdentityFormat] =
    &[&ibeacon::IDENTITY, &eddystone::IDENTITY, &altbeacon::IDENTITY, &ruuvi::IDENTITY];

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
    /// Identifiers, addresses, hexadecimal.
    Text(String),
    /// A number or a count.
    Number(u32),
    /// A company identifier, or a code that is written in hexadecimal.
    Code(u16),
    /// Yes or no.
    Flag(bool),
    /// In dBm.
    Dbm(i8),
    /// In millivolts.
    Millivolts(u16),
    /// In tenths of a second.
    Deciseconds(u32),
    /// A measured value and its unit.
    Measured(f64, &'static str),
}

impl Value {
    /// Octets as hexadecimal.
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

/// The longest identity, an `AltBeacon`'s.
const LONGEST: usize = 20;

/// A fixed identity, as a card or a beacon advertises it: the number of its format, then its
/// octets, padded to the longest. No two identities have the same octets.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct BeaconIdentity([u8; 1 + LONGEST]);

impl fmt::Debug for BeaconIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BeaconIdentity")
    }
}

impl zeroize::DefaultIsZeroes for BeaconIdentity {}

impl Default for BeaconIdentity {
    fn default() -> Self {
        Self::NONE
    }
}

impl BeaconIdentity {
    /// Of no format: no beacon has it.
    pub const NONE: Self = Self([0; 1 + LONGEST]);

    /// As octets that no other identity has.
    pub const fn octets(&self) -> &[u8; 1 + LONGEST] {
        &self.0
    }

    /// The format it is of.
    pub fn format(&self) -> Option<&'static IdentityFormat> {
        let [number, ..] = self.0;
        IDENTITIES.iter().copied().find(|format| format.number == number)
    }

    /// An advertisement with this identity, for `grelot token` and simulations.
    pub fn advertisement(&self) -> Option<Vec<u8>> {
        let (format, [_, octets @ ..]) = (self.format()?, &self.0);
        Some((format.advertisement)(octets))
    }

    /// Its parts as they are written, without the format's word.
    pub fn parts(&self) -> Vec<String> {
        let [_, octets @ ..] = &self.0;
        let mut rest = octets.as_slice();
        let parts = self.format().map_or(&[][..], |format| format.parts);
        let written = parts.iter().map(|(_, part)| {
            let (octets, after) = rest.split_at_checked(part.octets()).unwrap_or_default();
            rest = after;
            part.write(octets)
        });
        written.collect()
    }
}

/// How the identities of one format are written.
#[derive(Debug)]
pub struct IdentityFormat {
    /// The first octet of its identities.
    pub number: u8,
    /// Its word in `[[beacon]]`.
    pub word: &'static str,
    /// Its key in a registry's line.
    pub key: &'static str,
    /// Its parts by their keys in a registry's line, in the order of their octets; a single part
    /// is the value itself.
    pub parts: &'static [(&'static str, Part)],
    /// An advertisement of the identity with these octets.
    pub advertisement: fn(&[u8; LONGEST]) -> Vec<u8>,
}

/// A part of an identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// A UUID.
    Uuid,
    /// 0 to 65535.
    Number,
    /// This many octets, in hexadecimal.
    Hex(usize),
    /// A device address, `aa:bb:cc:dd:ee:ff`.
    Address,
}

impl Part {
    const fn octets(self) -> usize {
        match self {
            Self::Uuid => 16,
            Self::Number => 2,
            Self::Hex(octets) => octets,
            Self::Address => 6,
        }
    }

    /// What has to be written.
    pub const fn expectation(self) -> &'static str {
        match self {
            Self::Uuid => "no UUID",
            Self::Number => "no number of 0 to 65535",
            Self::Hex(_) => "not that many octets in hexadecimal",
            Self::Address => "no address",
        }
    }

    fn read(self, text: &str) -> Option<Vec<u8>> {
        match self {
            Self::Uuid => Uuid::try_parse(text).ok().map(|uuid| uuid.as_bytes().to_vec()),
            Self::Number => text.parse::<u16>().ok().map(|number| number.to_be_bytes().to_vec()),
            Self::Hex(length) => hex::decode(text).ok().filter(|octets| octets.len() == length),
            Self::Address => {
                let octets = hex::decode(text.replace(':', "")).ok()?;
                (octets.len() == 6 && text.matches(':').count() == 5).then_some(octets)
            }
        }
    }

    fn write(self, octets: &[u8]) -> String {
        match (self, octets) {
            (Self::Uuid, octets) => {
                Uuid::from_slice(octets).map(|uuid| uuid.to_string()).unwrap_or_default()
            }
            (Self::Number, &[high, low]) => u16::from_be_bytes([high, low]).to_string(),
            (Self::Address, octets) => {
                let octets: Vec<_> = octets.iter().map(|octet| hex::encode([*octet])).collect();
                octets.join(":")
            }
            (_, octets) => hex::encode(octets),
        }
    }
}

impl IdentityFormat {
    /// The identity with these octets.
    #[inline]
    pub fn identity(&self, parts: &[&[u8]]) -> BeaconIdentity {
        let mut octets = BeaconIdentity::NONE.0;
        let [number, rest @ ..] = &mut octets;
        *number = self.number;
        for (to, from) in rest.iter_mut().zip(parts.iter().copied().flatten()) {
            *to = *from;
        }
        BeaconIdentity(octets)
    }

    /// The identity that is written so, part by part.
    ///
    /// # Errors
    /// The place of the part that is not as it has to be, or of the first that is missing.
    pub fn parse(&self, parts: &[&str]) -> Result<BeaconIdentity, usize> {
        let mut octets = Vec::with_capacity(LONGEST);
        for (place, (_, part)) in self.parts.iter().enumerate() {
            let read = parts.get(place).and_then(|text| part.read(text));
            octets.extend(read.ok_or(place)?);
        }
        if parts.len() > self.parts.len() {
            return Err(self.parts.len());
        }
        Ok(self.identity(&[&octets]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::advert::{Identifier, identifiers};

    #[test]
    fn every_identity_is_written_as_it_is_read_and_advertised_as_it_is_recognised() {
        for format in IDENTITIES {
            let identity = format.identity(&[&[7; LONGEST][..format_octets(format)]]);
            let parts = identity.parts();
            let parts: Vec<_> = parts.iter().map(String::as_str).collect();
            assert_eq!(format.parse(&parts), Ok(identity), "{}", format.word);
            let payload = identity.advertisement().unwrap();
            let heard: Vec<_> = identifiers(&payload).collect();
            assert!(
                matches!(heard.as_slice(), [Identifier::Beacon { identity: Some(it), .. }] if *it == identity),
                "{}: {heard:?}",
                format.word
            );
            assert_eq!(format.parse(&parts[1..]).is_err(), true, "{}", format.word);
        }
    }

    fn format_octets(format: &IdentityFormat) -> usize {
        format.parts.iter().map(|(_, part)| part.octets()).sum()
    }

    #[test]
    fn formats_do_not_share_a_number_or_a_word() {
        for (place, format) in IDENTITIES.iter().enumerate() {
            for other in &IDENTITIES[place + 1..] {
                assert_ne!(format.number, other.number);
                assert_ne!(format.word, other.word);
                assert_ne!(format.key, other.key);
            }
        }
    }
}
