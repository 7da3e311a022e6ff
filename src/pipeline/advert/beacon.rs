//! The beacon formats: which there are, and by which octets each is found.
//!
//! To add a format: a file of its own in `beacon/` with a type that implements [`Format`], and
//! its line in `formats!`. If cards or `[[beacon]]` can name its beacons, also its line in
//! [`IDENTITIES`] and its key in a registry's lines (`config/registry/line.rs`).

pub mod altbeacon;
pub mod eddystone;
pub mod exposure;
mod format;
pub mod ibeacon;
mod identity;
pub mod ruuvi;
pub mod tracker;

pub use format::{BeaconHealth, Class, Described, Format, Section, Value};
pub use identity::{BeaconIdentity, IdentityFormat, Part};

use super::apple;
use altbeacon::AltBeacon;
use eddystone::Frame;
use exposure::ExposureNotification;
use ibeacon::IBeacon;
use ruuvi::Ruuvi;
use tracker::Tracker;

macro_rules! formats {
    ($($(#[$doc:meta])* $name:ident($format:ty): $found_in:pat,)*) => {
        /// A beacon of a published format.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Beacon<'a> {
            $($(#[$doc])* $name($format),)*
        }

        impl<'a> Beacon<'a> {
            /// The beacon in a structure. Its first octets decide which decoder is asked, so that a
            /// structure of no format costs one comparison with each number.
            #[inline]
            pub fn read(section: Section<'a>) -> Option<Self> {
                match section {
                    $($found_in => <$format as Format<'a>>::read(section).map(Self::$name),)*
                    _ => None,
                }
            }

            pub const fn class(&self) -> Class {
                match self { $(Self::$name(_) => <$format as Format<'a>>::CLASS,)* }
            }

            /// The fields of the beacon, for people and tools.
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

// The first line that fits counts.
formats! {
    AltBeacon(AltBeacon): Section::Manufacturer(_, [0xbe, 0xac, ..]),
    IBeacon(IBeacon): Section::Manufacturer(apple::COMPANY, _),
    Eddystone(Frame<'a>): Section::Service(eddystone::UUID, [0x00..0x40, ..]),
    ExposureNotification(ExposureNotification): Section::Service(exposure::UUID, _),
    /// A sensor of Ruuvi.
    Ruuvi(Ruuvi): Section::Manufacturer(ruuvi::COMPANY, _),
    /// A location tracker that strangers can detect.
    Tracker(Tracker): Section::Service(tracker::DULT | tracker::FIND_HUB, _),
}

/// The identities that a configuration can name.
pub const IDENTITIES: &[&IdentityFormat] =
    &[&ibeacon::IDENTITY, &eddystone::IDENTITY, &altbeacon::IDENTITY, &ruuvi::IDENTITY];

impl BeaconIdentity {
    /// The format that the identity belongs to; `None` for [`BeaconIdentity::NONE`].
    pub fn format(&self) -> Option<&'static IdentityFormat> {
        let [number, ..] = *self.octets();
        IDENTITIES.iter().copied().find(|format| format.number == number)
    }

    /// An advertisement with this identity, for `grelot token` and simulations.
    pub fn advertisement(&self) -> Option<Vec<u8>> {
        let (format, [_, octets @ ..]) = (self.format()?, self.octets());
        Some((format.advertisement)(octets))
    }

    /// Its parts as they are written, without the format's word.
    pub fn parts(&self) -> Vec<String> {
        let [_, octets @ ..] = self.octets();
        self.format().map_or_else(Vec::new, |format| format.write(octets))
    }
}

#[cfg(test)]
mod tests {
    use super::identity::LONGEST;
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
            assert!(format.parse(&parts[1..]).is_err(), "{}", format.word);
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
