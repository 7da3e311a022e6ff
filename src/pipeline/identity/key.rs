//! Keys and their derivation (grelot/1, see `docs/app-protocol.md`).

use std::fmt;

use hkdf::Hkdf;
use sha2::Sha256;
use sha2::block_api::compress256;
use zeroize::{Zeroize, ZeroizeOnDrop};

/// A 128-bit secret: a store's day key, an Eddystone-EID temporary key, an identity resolving
/// key. Wiped when dropped, never shown.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct Key(pub [u8; 16]);

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key")
    }
}

/// `CK`: the secret that one installation of the app and head office share. No gateway ever has it.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct ClientKey(pub [u8; 32]);

impl fmt::Debug for ClientKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClientKey")
    }
}

impl ClientKey {
    /// `SDK`: the key of this customer that the gateways of `store` have for one `day`.
    pub fn store_day_key(&self, day: u32, store: u16, epoch: u16) -> Key {
        self.day_key(day).for_store(&Message::store(store, epoch))
    }

    /// `DK`: the key from which the keys of all stores for one `day` follow.
    pub fn day_key(&self, day: u32) -> DayKey {
        let mut info = [0; 16];
        put(&mut info, &[b"grelot/1/day", &day.to_be_bytes()]);
        let mut day_key = [0; 16];
        // HKDF-SHA256 can always expand to 16 octets.
        let expanded = Hkdf::<Sha256>::new(None, &self.0).expand(&info, &mut day_key);
        debug_assert!(expanded.is_ok());
        let absorbed = Midstates::new(&day_key);
        day_key.zeroize();
        DayKey(absorbed)
    }
}

/// `DK`, absorbed: a customer's key for one day. Never leaves head office.
#[derive(Debug, Clone, Copy, Zeroize)]
pub struct DayKey(Midstates);

impl DayKey {
    /// The key for the store (and epoch) of [`Message::store`].
    pub fn for_store(&self, store: &Message) -> Key {
        let mut key = [0; 16];
        put(&mut key, &[&self.0.tag(store)]);
        Key(key)
    }
}

/// Copies `parts` one after the other to the front of `into`, as far as there is room.
pub(super) fn put(into: &mut [u8], parts: &[&[u8]]) {
    for (to, from) in into.iter_mut().zip(parts.iter().copied().flatten()) {
        *to = *from;
    }
}

/// SHA-256's initial state (FIPS 180-4, 5.3.3).
const INITIAL: [u32; 8] = [
    0x6a09_e667,
    0xbb67_ae85,
    0x3c6e_f372,
    0xa54f_f53a,
    0x510e_527f,
    0x9b05_688c,
    0x1f83_d9ab,
    0x5be0_cd19,
];

/// HMAC-SHA256 with its key already absorbed: two compressions instead of four, 64 octets.
#[derive(Clone, Copy, Zeroize)]
pub struct Midstates {
    inner: [u32; 8],
    outer: [u32; 8],
}

impl fmt::Debug for Midstates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Midstates")
    }
}

impl Midstates {
    pub fn new(key: &[u8; 16]) -> Self {
        Self { inner: absorb(key, 0x36), outer: absorb(key, 0x5c) }
    }

    /// The tag of a message that fits one block.
    pub fn tag(&self, message: &Message) -> [u8; 32] {
        let mut inner = self.inner;
        compress256(&mut inner, &[message.0]);
        let mut outer = self.outer;
        compress256(&mut outer, &[Message::closed(&[&octets(&inner)]).0]);
        octets(&outer)
    }

    /// `T` for the window whose [`Message::token`] this is.
    pub fn token(&self, message: &Message) -> [u8; 11] {
        let mut token = [0; 11];
        put(&mut token, &[&self.tag(message)]);
        token
    }
}

fn absorb(key: &[u8; 16], pad: u8) -> [u32; 8] {
    let mut block = [pad; 64];
    for (to, from) in block.iter_mut().zip(key) {
        *to ^= from;
    }
    let mut state = INITIAL;
    compress256(&mut state, &[block]);
    state
}

fn octets(state: &[u32; 8]) -> [u8; 32] {
    let mut out = [0; 32];
    for (to, from) in out.as_chunks_mut::<4>().0.iter_mut().zip(state) {
        *to = from.to_be_bytes();
    }
    out
}

/// The only message block of an HMAC, padded: the same for every customer of a window.
#[derive(Debug, Clone, Copy)]
pub struct Message([u8; 64]);

impl Message {
    /// The message whose tag is a store's key.
    pub fn store(store: u16, epoch: u16) -> Self {
        let store = u32::from(store).to_be_bytes();
        Self::closed(&[b"grelot/1/store", &store, &epoch.to_be_bytes()])
    }

    /// The message whose tag is the token of window `w`.
    pub fn token(window: u32) -> Self {
        Self::closed(&[b"grelot/1/token", &window.to_be_bytes()])
    }

    /// The message whose tag proves a phone's answer over GATT.
    pub fn challenge(nonce: &[u8; 16], echo: u8, token: &[u8; 11]) -> Self {
        Self::closed(&[b"grelot/1/challenge", nonce, &[echo], token])
    }

    /// Pads `parts` (at most 55 octets) as the second block of a SHA-256 whose first block was a
    /// key.
    fn closed(parts: &[&[u8]]) -> Self {
        let length = parts.iter().map(|part| part.len()).sum::<usize>();
        debug_assert!(length <= 55);
        let mut block = [0; 64];
        put(&mut block, parts);
        if let Some(end) = block.get_mut(length) {
            *end = 0x80;
        }
        let bits = (64 + length as u64) * 8;
        if let Some(tail) = block.last_chunk_mut::<8>() {
            *tail = bits.to_be_bytes();
        }
        Self(block)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hmac::{Hmac, KeyInit, Mac};

    fn hmac(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
        let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
        for part in parts {
            mac.update(part);
        }
        mac.finalize().into_bytes().into()
    }

    fn ck() -> ClientKey {
        ClientKey(std::array::from_fn(|i| u8::try_from(i).unwrap()))
    }

    #[test]
    fn the_published_vector_of_the_token_scheme_holds() {
        let sdk = ck().store_day_key(20454, 42, 0);
        assert_eq!(hex::encode(sdk.0), "09105c3e5587169051414225f96c0d79");
        let states = Midstates::new(&sdk.0);
        let token = |window| hex::encode(states.token(&Message::token(window)));
        assert_eq!(token(2_945_376), "e3d4576d362c08e9eb802c");
        assert_eq!(token(2_945_377), "c832cfc701c868a7cf77bd");
    }

    #[test]
    fn midstates_give_the_tags_of_the_hmac_crate() {
        let key = [0xa5; 16];
        let (nonce, token) = ([7; 16], [9; 11]);
        let message = Message::challenge(&nonce, 0x1a, &token);
        let expected = hmac(&key, &[b"grelot/1/challenge", &nonce, &[0x1a], &token]);
        assert_eq!(Midstates::new(&key).tag(&message), expected);
    }

    #[test]
    fn store_and_epoch_are_derived_as_u32_and_u16() {
        let mut message = b"grelot/1/store".to_vec();
        message.extend([0, 0, 0xff, 0xff, 0x0f, 0xff]);
        let day_key = {
            let mut out = [0; 16];
            let mut info = b"grelot/1/day".to_vec();
            info.extend(20454u32.to_be_bytes());
            Hkdf::<Sha256>::new(None, &ck().0).expand(&info, &mut out).unwrap();
            out
        };
        let expected = hmac(&day_key, &[&message]);
        assert_eq!(ck().store_day_key(20454, 65535, 4095).0, expected[..16]);
    }
}
