//! Phones that are bonded with the machine: their keys, identity addresses and resolvable private
//! addresses (Core, Vol 6 Part B 1.3.2).

use aes::Aes128;
use aes::cipher::{BlockCipherEncrypt as _, KeyInit as _};

/// A key from hex, most significant octet first.
pub fn key(hex: &str) -> [u8; 16] {
    let octets = hex::decode(hex).expect("a key is hex");
    octets.try_into().expect("a key has 16 octets")
}

/// The hash of a private address, least significant octet first, as in HCI.
pub fn hash(irk: &str, prand: [u8; 3]) -> [u8; 3] {
    let mut block = [0; 16];
    block[13..].copy_from_slice(&reversed(prand));
    let mut block = block.into();
    Aes128::new(&key(irk).into()).encrypt_block(&mut block);
    [block[15], block[14], block[13]]
}

/// The public address of the phone with this key, as text.
pub fn identity_address(irk: &str) -> String {
    let [a, b, c, ..] = key(irk);
    format!("AC:DE:48:{a:02X}:{b:02X}:{c:02X}")
}

/// Whether a private address, as text, was made with this key.
pub fn resolves(irk: &str, address: &str) -> bool {
    let Ok(octets) = hex::decode(address.replace(':', "")) else { return false };
    let Ok(octets) = <[u8; 6]>::try_from(octets) else { return false };
    let [high, mid, low, hashed @ ..] = octets;
    hash(irk, [low, mid, high]) == reversed(hashed)
}

/// Reverses the order of octets: HCI has the least significant one first.
pub fn reversed<const N: usize>(mut octets: [u8; N]) -> [u8; N] {
    octets.reverse();
    octets
}
