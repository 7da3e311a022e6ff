//! Customers and devices in logs, without names and addresses.

use std::fmt;
use std::sync::OnceLock;

use sha2::{Digest as _, Sha256};

use crate::pipeline::event::Address;

/// A customer in a log line: the same six digits for the same customer as long as this process
/// runs, and nothing that leads back to a handle, even for somebody who has the list of all.
#[derive(Debug, Clone, Copy)]
pub struct Client<'a>(pub &'a str);

impl fmt::Display for Client<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digest = Sha256::new().chain_update(salt()).chain_update(self.0.as_bytes()).finalize();
        f.write_str("client#")?;
        digest.iter().take(3).try_for_each(|octet| write!(f, "{octet:02x}"))
    }
}

/// Random for each process. Without randomness from the system all handles look the same.
fn salt() -> &'static [u8; 16] {
    static SALT: OnceLock<[u8; 16]> = OnceLock::new();
    SALT.get_or_init(|| {
        let mut salt = [0; 16];
        let _ = getrandom::fill(&mut salt);
        salt
    })
}

/// A device on an engineer's screen: its address's last two octets, `…:44:55`. Not for logs.
#[derive(Debug, Clone, Copy)]
pub struct Device(pub Address);

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [.., before_last, last] = self.0.octets;
        write!(f, "…:{before_last:02x}:{last:02x}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::event::AddressKind;

    #[test]
    fn a_customer_is_distinguished_and_not_named() {
        let shown = Client("c-7f3a").to_string();
        assert_eq!(shown, Client("c-7f3a").to_string());
        assert_ne!(shown, Client("c-7f3b").to_string());
        assert!(!shown.contains("7f3a"), "{shown}");
        let unsalted = hex::encode(&Sha256::digest(b"c-7f3a")[..3]);
        assert!(!shown.ends_with(&unsalted), "{shown}");
    }

    #[test]
    fn a_device_is_shown_by_its_last_two_octets() {
        let octets = [0x5a, 0x11, 0x22, 0x33, 0x44, 0x55];
        let address = Address { kind: AddressKind::Random, octets };
        assert_eq!(Device(address).to_string(), "…:44:55");
    }
}
