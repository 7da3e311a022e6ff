//! Grelot's own carriers: how a customer's phone advertises its rotating token and its echo.
//!
//! Android advertises them in service data of a 128-bit UUID, an exact fit of the 31 octets. iOS in
//! the foreground can advertise service UUIDs only, so the token is one. iOS in the background
//! shows only the service's bit of the overflow area: then the gateway must challenge the phone
//! (GATT).

use super::apple::{OverflowMask, overflow_bit};
use super::echo::Echo;
use super::structure::joined;

/// The service, `47eaa099-2cb6-416d-86dc-283cf0480ff9`, in text order.
pub const SERVICE: [u8; 16] = SERVICE_UUID.to_be_bytes();

/// The characteristic the gateway writes its challenge to, in text order.
pub const CHALLENGE: [u8; 16] = (SERVICE_UUID + (1 << 96)).to_be_bytes();

/// The characteristic the gateway reads the answer from, in text order.
pub const ANSWER: [u8; 16] = (SERVICE_UUID + (2 << 96)).to_be_bytes();

/// The protocol's version, in service data and in the answer.
pub const VERSION: u8 = 1;

/// The bit of Apple's overflow area that [`SERVICE`] sets.
pub const OVERFLOW_BIT: u8 = overflow_bit(&SERVICE);

const SERVICE_UUID: u128 = 0x47ea_a099_2cb6_416d_86dc_283c_f048_0ff9;
const SERVICE_ON_AIR: [u8; 16] = SERVICE_UUID.to_le_bytes();

/// The first octets, in text order, of a service UUID that is a token.
const UUID_PREFIX: [u8; 4] = [0x59, 0x39, 0x42, 0xa4];
const UUID_PREFIX_ON_AIR: [u8; 4] = u32::from_be_bytes(UUID_PREFIX).to_le_bytes();

/// A customer's token for one window of 600 s, as derived.
pub type Token = [u8; 11];

/// The form in which a token was advertised.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Carrier {
    /// Android.
    ServiceData,
    /// iOS, in the foreground.
    ServiceUuid,
}

impl Carrier {
    /// The word in `grelot decode --json`.
    pub const fn word(self) -> &'static str {
        match self {
            Self::ServiceData => "service_data",
            Self::ServiceUuid => "service_uuid",
        }
    }
}

/// A token and its echo, from service data of a 128-bit UUID (with the UUID, as on the air).
#[inline]
pub(super) fn from_service_data(data: &[u8]) -> Option<(Token, Echo)> {
    let (&[VERSION, echo], token) = data.strip_prefix(&SERVICE_ON_AIR)?.split_first_chunk()? else {
        return None;
    };
    Some((token.try_into().ok()?, Echo::from_byte(echo)))
}

/// A token and its echo, from a list of 128-bit service UUIDs: the last that is one.
///
/// A phone advertises one token. A list with several has been merged on its way (`BlueZ` appends
/// new service UUIDs to those that it knows of a device), so the last token is the newest.
#[inline]
pub(super) fn from_service_uuids(list: &[u8]) -> Option<(Token, Echo)> {
    let (uuids, _cut_short) = list.as_chunks::<16>();
    uuids.iter().rev().find_map(from_service_uuid)
}

#[inline]
fn from_service_uuid(on_air: &[u8; 16]) -> Option<(Token, Echo)> {
    let [token @ .., echo, a, b, c, d] = on_air;
    if [*a, *b, *c, *d] != UUID_PREFIX_ON_AIR {
        return None;
    }
    let mut token: Token = *token;
    token.reverse();
    Some((token, Echo::from_byte(*echo)))
}

/// Android's advertisement: not connectable, no Flags.
pub fn service_data(token: &Token, echo: Echo) -> [u8; 31] {
    joined(&[&[30, 0x21], &SERVICE_ON_AIR, &[VERSION, echo.to_byte()], token])
}

/// The service UUID that an iOS app in the foreground advertises, in text order.
pub fn uuid(token: &Token, echo: Echo) -> [u8; 16] {
    joined(&[&UUID_PREFIX, &[echo.to_byte()], token])
}

/// The advertisement of an iOS app in the foreground, with the Flags that iOS sets.
pub fn service_uuid(token: &Token, echo: Echo) -> [u8; 21] {
    let mut on_air = uuid(token, echo);
    on_air.reverse();
    joined(&[&[2, 0x01, 0x1a, 17, 0x07], &on_air])
}

/// The advertisement of an iOS app in the background that contains only grelot's service.
pub fn overflow() -> [u8; 21] {
    OverflowMask::showing(&[SERVICE]).advertisement()
}

#[cfg(test)]
mod tests {
    use super::super::{Identifier, identifiers};
    use super::*;

    /// The protocol's vector: unix time 1767225600, store 42, epoch 0.
    const TOKEN: Token = [0xe3, 0xd4, 0x57, 0x6d, 0x36, 0x2c, 0x08, 0xe9, 0xeb, 0x80, 0x2c];
    const ECHO: Echo = Echo { zone: 1, level: 10 };

    #[test]
    fn service_data_is_an_exact_fit() {
        assert_eq!(
            hex::encode(service_data(&TOKEN, ECHO)),
            "1e21f90f48f03c28dc866d41b62c99a0ea47011ae3d4576d362c08e9eb802c"
        );
    }

    #[test]
    fn a_service_uuid_is_byte_reversed_on_the_air() {
        assert_eq!(
            hex::encode(service_uuid(&TOKEN, ECHO)),
            "02011a11072c80ebe9082c366d57d4e31aa4423959"
        );
        assert_eq!(hex::encode(uuid(&TOKEN, ECHO)), "593942a41ae3d4576d362c08e9eb802c");
    }

    #[test]
    fn the_background_shows_bit_106() {
        assert_eq!(OVERFLOW_BIT, 106);
        assert_eq!(hex::encode(overflow()), "14ff4c000100000000000000000000000000040000");
        assert_eq!(identifiers(&overflow()).collect::<Vec<_>>(), [Identifier::OverflowHint]);
    }

    #[test]
    fn characteristics_count_up_from_the_service() {
        let text = |uuid| uuid::Uuid::from_bytes(uuid).to_string();
        assert_eq!(text(SERVICE), "47eaa099-2cb6-416d-86dc-283cf0480ff9");
        assert_eq!(text(CHALLENGE), "47eaa09a-2cb6-416d-86dc-283cf0480ff9");
        assert_eq!(text(ANSWER), "47eaa09b-2cb6-416d-86dc-283cf0480ff9");
    }

    #[test]
    fn both_carriers_say_the_same() {
        let expected = [Identifier::Token { token: TOKEN, echo: ECHO }];
        assert_eq!(identifiers(&service_data(&TOKEN, ECHO)).collect::<Vec<_>>(), expected);
        assert_eq!(identifiers(&service_uuid(&TOKEN, ECHO)).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn another_version_or_length_is_not_understood() {
        let mut advertisement = service_data(&TOKEN, ECHO);
        advertisement[18] = 2;
        assert_eq!(identifiers(&advertisement).count(), 0);
        let mut short = service_data(&TOKEN, ECHO)[..30].to_vec();
        short[0] -= 1;
        assert_eq!(identifiers(&short).count(), 0);
    }
}
