//! Fixed identities: how they are stored, and how the parts of one are written and read.

use std::fmt;

use uuid::Uuid;

/// The longest identity, an `AltBeacon`'s.
pub(super) const LONGEST: usize = 20;

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
    /// Belongs to no format, so no beacon has it.
    pub const NONE: Self = Self([0; 1 + LONGEST]);

    /// As octets that no other identity has.
    pub const fn octets(&self) -> &[u8; 1 + LONGEST] {
        &self.0
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

/// How a part of an identity is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    Uuid,
    /// 0 to 65535.
    Number,
    /// This many octets, in hexadecimal.
    Hex(usize),
    /// A device address, `aa:bb:cc:dd:ee:ff`.
    Address,
}

impl Part {
    pub(super) const fn octets(self) -> usize {
        match self {
            Self::Uuid => 16,
            Self::Number => 2,
            Self::Hex(octets) => octets,
            Self::Address => 6,
        }
    }

    /// What a person has to write, for an error message.
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
    /// The identity with these octets, part by part.
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

    /// The parts of an identity with these octets, as they are written.
    pub fn write(&self, octets: &[u8]) -> Vec<String> {
        let mut rest = octets;
        let written = self.parts.iter().map(|(_, part)| {
            let (octets, after) = rest.split_at_checked(part.octets()).unwrap_or_default();
            rest = after;
            part.write(octets)
        });
        written.collect()
    }

    /// Reads an identity, part by part.
    ///
    /// # Errors
    /// The place of the part that cannot be read, or of the first that is missing.
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
