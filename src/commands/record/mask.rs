//! Removes what identifies a stranger from an advertisement.
//!
//! Addresses and data become keyed hashes: equal values have equal hashes within one recording. The
//! key is drawn at its start and not stored, so that later even the person who recorded cannot find
//! out whether a given device is in it.

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::pipeline::advert::structure::{Structures, kind};
use crate::pipeline::event::AddressKind;
use crate::sources::Advertisement;

/// The two top bits of a random address; 00 is "non-resolvable private". No key resolves
/// such an address.
const NON_RESOLVABLE: u8 = 0b0011_1111;

/// One recording's mask: a key of HMAC-SHA-256's own block size.
pub struct Mask(Zeroizing<[u8; 64]>);

impl Mask {
    /// With a key drawn now.
    ///
    /// # Errors
    /// The system has no random numbers.
    pub fn new() -> Result<Self, getrandom::Error> {
        let mut key = Zeroizing::new([0; 64]);
        getrandom::fill(&mut *key)?;
        Ok(Self(key))
    }

    pub fn apply(&self, heard: &mut Advertisement) {
        let address = &mut heard.address;
        let hash = self.hash(b"address", &[address.kind as u8], &address.octets);
        for (octet, masked) in address.octets.iter_mut().zip(hash) {
            *octet = masked;
        }
        if let ([first, ..], AddressKind::Random) = (&mut address.octets, address.kind) {
            *first &= NON_RESOLVABLE;
        }
        heard.payload = self.masked(&heard.payload);
    }

    /// The same structures, their lengths and types, with other data. Flags and TX power
    /// distinguish devices no more than lengths do.
    fn masked(&self, payload: &[u8]) -> Vec<u8> {
        let mut masked = Vec::with_capacity(payload.len());
        for structure in Structures::new(payload) {
            let data = structure.data;
            let Ok(length) = u8::try_from(data.len() + 1) else { continue };
            masked.extend([length, structure.kind]);
            match structure.kind {
                kind::FLAGS | kind::TX_POWER => masked.extend_from_slice(data),
                _ => masked.extend(self.stream(structure.kind, data).take(data.len())),
            }
        }
        // Padding, or what is no structure.
        masked.resize(payload.len(), 0);
        masked
    }

    /// As much hash of `data` as is wanted.
    fn stream(&self, kind: u8, data: &[u8]) -> impl Iterator<Item = u8> {
        (0..=u8::MAX).flat_map(move |block| self.hash(b"data", &[kind, block], data))
    }

    fn hash(&self, what: &[u8], how: &[u8], data: &[u8]) -> [u8; 32] {
        let mut mac = <Hmac<Sha256>>::new(&(*self.0).into());
        mac.update(what);
        mac.update(how);
        mac.update(data);
        mac.finalize().into_bytes().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::advert::identifiers;
    use crate::pipeline::event::Address;

    fn heard(payload: &str) -> Advertisement {
        let octets = [0x5a, 0x11, 0x22, 0x33, 0x44, 0x55];
        let address = Address { kind: AddressKind::Random, octets };
        Advertisement { gateway: None, address, rssi: None, payload: hex::decode(payload).unwrap() }
    }

    const BEACON: &str = "0201061aff4c000215426c7565436861726d426561636f6e730efe1355c5";

    #[test]
    fn only_lengths_and_structure_of_a_stranger_are_left() {
        let (before, mut after) = (heard(BEACON), heard(BEACON));
        Mask::new().unwrap().apply(&mut after);
        assert_eq!(after.payload.len(), before.payload.len());
        assert_eq!(after.payload[..5], before.payload[..5]);
        let same = before.payload[5..].iter().zip(&after.payload[5..]).filter(|(a, b)| a == b);
        assert!(same.count() < 6);
        assert_ne!(after.address, before.address);
        assert_eq!(after.address.octets[0] >> 6, 0);
        assert_eq!(identifiers(&after.payload).count(), 0, "a mask is no beacon's");
    }

    #[test]
    fn the_same_stays_the_same_within_a_recording_and_in_no_other() {
        let (mask, other) = (Mask::new().unwrap(), Mask::new().unwrap());
        let (mut first, mut second, mut elsewhere) = (heard(BEACON), heard(BEACON), heard(BEACON));
        mask.apply(&mut first);
        mask.apply(&mut second);
        other.apply(&mut elsewhere);
        assert!(first == second && first != elsewhere);
    }

    #[test]
    fn structures_that_end_early_keep_their_length() {
        for payload in ["", "00", "0000000000", "05ff4c00", "0201060000"] {
            let mut masked = heard(payload);
            Mask::new().unwrap().apply(&mut masked);
            assert_eq!(masked.payload.len(), payload.len() / 2, "{payload}");
        }
    }
}
