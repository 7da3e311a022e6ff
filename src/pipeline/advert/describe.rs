//! The full description of an advertisement, for people and tools: everything that
//! [`super::identifiers`] finds, and the meaning of all other structures.

use std::borrow::Cow;
use std::fmt;

use uuid::Uuid;

use super::Echo;
use super::apple::{self, Message, Messages};
use super::beacon::{Beacon, Section};
use super::structure::{self, Malformed, Structure, Structures, kind};
use super::token::{self, Carrier, Token};

/// What an advertisement is.
#[derive(Debug, Clone, PartialEq)]
pub struct Description<'a> {
    /// The first fault; `None` where the advertisement is well formed.
    pub malformed: Option<Malformed>,
    /// What its AD structures say.
    pub ad: Ad<'a>,
    /// The first beacon in it.
    pub beacon: Option<Beacon<'a>>,
    /// Apple's Continuity messages in it.
    pub apple: Vec<Message<'a>>,
    /// What the shop's app put into it.
    pub ours: Option<Ours>,
}

/// The content of the AD structures. Of a structure that should come once, the first counts.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Ad<'a> {
    /// The first octet of the Flags.
    pub flags: Option<u8>,
    /// The complete name, else the shortened one.
    pub local_name: Option<Cow<'a, str>>,
    /// TX power level, in dBm.
    pub tx_power: Option<i8>,
    /// A value of the Assigned Numbers, "Appearance Values".
    pub appearance: Option<u16>,
    /// URI, its scheme expanded where it is one of the web's.
    pub uri: Option<String>,
    /// All service UUIDs, whether the list is complete or not.
    pub service_uuids: Vec<ServiceUuid>,
    pub service_data: Vec<(ServiceUuid, &'a [u8])>,
    /// All manufacturer data, by company identifier.
    pub manufacturer_data: Vec<(u16, &'a [u8])>,
    /// Every structure, as it was on the air.
    pub structures: Vec<Structure<'a>>,
}

/// A service UUID, as short as its value allows: a 32-bit UUID whose upper half is zero is, by
/// the Core specification, the 16-bit one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServiceUuid {
    /// A 16-bit UUID.
    Short(u16),
    /// A 32-bit UUID.
    Medium(u32),
    /// A 128-bit UUID.
    Long(Uuid),
}

impl From<u32> for ServiceUuid {
    fn from(value: u32) -> Self {
        u16::try_from(value).map_or(Self::Medium(value), Self::Short)
    }
}

/// 4 digits, 8 digits, or the text form.
impl fmt::Display for ServiceUuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Short(value) => write!(f, "{value:04x}"),
            Self::Medium(value) => write!(f, "{value:08x}"),
            Self::Long(value) => value.fmt(f),
        }
    }
}

/// What the shop's app advertises.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ours {
    Token {
        token: Token,
        /// The beacon of the shop that the phone receives best.
        echo: Echo,
        /// Where in the advertisement it was.
        carrier: Carrier,
    },
    /// The overflow area shows the service's bit: it may be the app in the background.
    OverflowHint,
}

/// Describes `payload`, AD structures as they were on the air.
pub fn describe(payload: &[u8]) -> Description<'_> {
    let mut described = Description {
        malformed: structure::fault(payload),
        ad: Ad::default(),
        beacon: None,
        apple: Vec::new(),
        ours: None,
    };
    for structure in Structures::new(payload) {
        described.ad.read(structure);
        described.recognise(structure);
    }
    described
}

impl<'a> Description<'a> {
    /// The formats inside a structure.
    fn recognise(&mut self, structure: Structure<'a>) {
        if let Some(section) = Section::of(structure) {
            self.beacon = self.beacon.or_else(|| Beacon::read(section));
            if let Section::Manufacturer(apple::COMPANY, data) = section {
                self.recognise_apple(data);
            }
        }
        let Structure { kind, data } = structure;
        match kind {
            kind::SERVICE_DATA_128 => {
                self.hear(token::from_service_data(data), Carrier::ServiceData);
            }
            kind::UUIDS_128_SOME | kind::UUIDS_128_ALL => {
                self.hear(token::from_service_uuids(data), Carrier::ServiceUuid);
            }
            _ => {}
        }
    }

    /// The last token counts, as in identification; a token counts before a hint.
    fn hear(&mut self, said: Option<(Token, Echo)>, carrier: Carrier) {
        if let Some((token, echo)) = said {
            self.ours = Some(Ours::Token { token, echo, carrier });
        }
    }

    fn recognise_apple(&mut self, data: &'a [u8]) {
        for message in Messages::new(data) {
            self.apple.push(message);
            if matches!(message, Message::Overflow(mask) if mask.shows(token::OVERFLOW_BIT)) {
                self.ours = self.ours.or(Some(Ours::OverflowHint));
            }
        }
    }
}

impl<'a> Ad<'a> {
    fn read(&mut self, structure: Structure<'a>) {
        self.structures.push(structure);
        let Structure { kind, data } = structure;
        match kind {
            kind::FLAGS => self.flags = self.flags.or(data.first().copied()),
            kind::NAME => self.local_name = Some(String::from_utf8_lossy(data)),
            kind::NAME_SHORT if self.local_name.is_none() => {
                self.local_name = Some(String::from_utf8_lossy(data));
            }
            kind::TX_POWER => {
                let level = data.first().map(|octet| octet.cast_signed());
                self.tx_power = self.tx_power.or(level);
            }
            kind::APPEARANCE => {
                let appearance = data.first_chunk().map(|&octets| u16::from_le_bytes(octets));
                self.appearance = self.appearance.or(appearance);
            }
            kind::URI => self.uri = self.uri.take().or_else(|| uri(data)),
            kind::MANUFACTURER => {
                if let Some((&company, data)) = data.split_first_chunk() {
                    self.manufacturer_data.push((u16::from_le_bytes(company), data));
                }
            }
            _ => self.read_services(kind, data),
        }
    }

    fn read_services(&mut self, kind: u8, data: &'a [u8]) {
        match kind {
            kind::UUIDS_16_SOME | kind::UUIDS_16_ALL => {
                self.service_uuids.extend(data.as_chunks().0.iter().map(|&on_air| uuid_16(on_air)));
            }
            kind::UUIDS_32_SOME | kind::UUIDS_32_ALL => {
                self.service_uuids.extend(data.as_chunks().0.iter().map(|&on_air| uuid_32(on_air)));
            }
            kind::UUIDS_128_SOME | kind::UUIDS_128_ALL => {
                self.service_uuids
                    .extend(data.as_chunks().0.iter().map(|&on_air| uuid_128(on_air)));
            }
            kind::SERVICE_DATA_16 => self.service_data.extend(with_uuid(data, uuid_16)),
            kind::SERVICE_DATA_32 => self.service_data.extend(with_uuid(data, uuid_32)),
            kind::SERVICE_DATA_128 => self.service_data.extend(with_uuid(data, uuid_128)),
            _ => {}
        }
    }
}

fn uuid_16(on_air: [u8; 2]) -> ServiceUuid {
    ServiceUuid::Short(u16::from_le_bytes(on_air))
}

fn uuid_32(on_air: [u8; 4]) -> ServiceUuid {
    ServiceUuid::from(u32::from_le_bytes(on_air))
}

fn uuid_128(on_air: [u8; 16]) -> ServiceUuid {
    ServiceUuid::Long(Uuid::from_u128(u128::from_le_bytes(on_air)))
}

/// Service data: its UUID, as long as `read` takes, and what follows.
fn with_uuid<const N: usize>(
    data: &[u8],
    read: fn([u8; N]) -> ServiceUuid,
) -> Option<(ServiceUuid, &[u8])> {
    let (&uuid, rest) = data.split_first_chunk()?;
    Some((read(uuid), rest))
}

/// A URI whose first character is its scheme's code (Assigned Numbers, "URI Scheme Name String
/// Mapping"): 1 is none, the web's two are 0x16 and 0x17. Other codes are left as they are.
fn uri(data: &[u8]) -> Option<String> {
    let (scheme, rest) = match data {
        [0x01, rest @ ..] => ("", rest),
        [0x16, rest @ ..] => ("http:", rest),
        [0x17, rest @ ..] => ("https:", rest),
        [] => return None,
        all => ("", all),
    };
    Some(format!("{scheme}{}", String::from_utf8_lossy(rest)))
}
