//! What devices advertise: customers' phones and cards, the shop's beacons, strangers.

use super::random::Random;
use crate::pipeline::advert::{Echo, eddystone, token};
use crate::pipeline::event::{Address, AddressKind};
use crate::pipeline::identity::key::{ClientKey, Key, Message, Midstates};
use crate::pipeline::identity::{eid, window};
use crate::pipeline::units::WallTime;

/// A device's payload over time.
#[derive(Debug, Clone)]
pub enum Advertiser {
    /// The shop's app on a customer's phone.
    App(App),
    /// A loyalty card that advertises Eddystone-EID.
    EidCard(EidCard),
    /// A loyalty card or beacon with a fixed identity.
    Fixed(Vec<u8>),
    /// A stranger's device, whose payload changes with its address.
    Foreign(Foreign, Vec<u8>),
}

/// The shop's app: a token for each window of 600 s of the phone's own clock.
#[derive(Debug, Clone)]
pub struct App {
    /// The secret that it shares with head office.
    pub key: ClientKey,
    /// The store whose beacon woke it.
    pub store: u16,
    /// The form in which it advertises the token.
    pub carrier: token::Carrier,
    /// The phone's clock less the true time.
    pub skew_ms: i64,
    /// The window of the last token, and the token.
    pub said: Option<(window::Window, token::Token)>,
}

/// A card that advertises Eddystone-EID.
#[derive(Debug, Clone)]
pub struct EidCard {
    pub key: Key,
    /// A new identity each `2^k` seconds.
    pub k: u8,
    /// Its clock less Unix time, in seconds.
    pub offset_s: i64,
}

impl Advertiser {
    /// The advertisement at `now`; `echo` is the beacon of the shop that the phone receives best.
    pub fn payload(&mut self, now: WallTime, echo: Echo) -> Vec<u8> {
        match self {
            Self::App(app) => app.payload(now, echo),
            Self::EidCard(card) => card.payload(now).to_vec(),
            Self::Fixed(payload) | Self::Foreign(_, payload) => payload.clone(),
        }
    }

    /// Whether this advertisement starts a new advertising set: Android starts one when the
    /// identity changes, with a new address.
    pub fn restarts(&self, now: WallTime) -> bool {
        match self {
            Self::App(app) => app.said.is_some_and(|(window, _)| window != app.window(now)),
            _ => false,
        }
    }
}

impl App {
    fn window(&self, now: WallTime) -> window::Window {
        window::window_at(WallTime::from_unix_millis(now.unix_millis() + self.skew_ms))
    }

    fn payload(&mut self, now: WallTime, echo: Echo) -> Vec<u8> {
        let window = self.window(now);
        let token = match self.said {
            Some((said, token)) if said == window => token,
            _ => self.token(window),
        };
        self.said = Some((window, token));
        match self.carrier {
            token::Carrier::ServiceData => token::service_data(&token, echo).to_vec(),
            token::Carrier::ServiceUuid => token::service_uuid(&token, echo).to_vec(),
        }
    }

    fn token(&self, window: window::Window) -> token::Token {
        let key = self.key.store_day_key(window::day_of(window), self.store, 0);
        Midstates::new(&key.0).token(&Message::token(window))
    }
}

impl EidCard {
    fn payload(&self, now: WallTime) -> [u8; 21] {
        let clock = self.clock(now.unix_secs());
        let key = eid::temporary_key(&self.key.0, self.top(now.unix_secs()));
        let eid = eid::identity(&key, self.k, clock >> self.k << self.k);
        eddystone::Eid { eid, tx_power: -12 }.advertisement()
    }

    fn clock(&self, unix_secs: i64) -> u32 {
        u32::try_from(unix_secs + self.offset_s).unwrap_or_default()
    }

    /// The top half of the card's clock, which selects the temporary key.
    pub fn top(&self, unix_secs: i64) -> u16 {
        let [high, low, ..] = self.clock(unix_secs).to_be_bytes();
        u16::from_be_bytes([high, low])
    }
}

/// Strangers' devices, in the proportions of a shopping street (after the conference-room capture:
/// mostly Apple, then Microsoft, then others).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Foreign {
    /// Apple's "nearby" message, as phones and watches send it.
    AppleNearby,
    /// Apple's "Find My" message, as tags and lost devices send it.
    AppleFindMy,
    /// Microsoft's "connected devices" beacon.
    Microsoft,
    FastPair,
    /// Exposure Notification's layout, still found in other apps.
    ServiceData,
    /// Headphones, watches, televisions: a name and a maker's data, a fixed public address.
    Named,
}

impl Foreign {
    /// Draws a kind in these proportions.
    pub fn any(random: &mut Random) -> Self {
        match random.below(20) {
            0..9 => Self::AppleNearby,
            9..12 => Self::AppleFindMy,
            12..15 => Self::Microsoft,
            15..16 => Self::FastPair,
            16..17 => Self::ServiceData,
            _ => Self::Named,
        }
    }

    /// The payload of a device of this kind until its address changes.
    pub fn payload(self, random: &mut Random) -> Vec<u8> {
        let parts: [&[u8]; 2] = match self {
            Self::AppleNearby => {
                [&[2, 0x01, 0x1a, 2, 0x0a, 12, 10, 0xff, 0x4c, 0, 0x10, 5], &random.octets::<5>()]
            }
            Self::AppleFindMy => [&[30, 0xff, 0x4c, 0, 0x12, 25], &random.octets::<25>()],
            Self::Microsoft => [&[30, 0xff, 0x06, 0, 1, 9, 0x20, 2], &random.octets::<23>()],
            Self::FastPair => [&[2, 0x01, 0x06, 6, 0x16, 0x2c, 0xfe], &random.octets::<3>()],
            Self::ServiceData => [
                &[2, 0x01, 0x1a, 3, 0x03, 0x6f, 0xfd, 23, 0x16, 0x6f, 0xfd],
                &random.octets::<20>(),
            ],
            Self::Named => return named(random),
        };
        parts.concat()
    }

    /// Whether it changes its address every quarter of an hour.
    pub const fn hides(self) -> bool {
        !matches!(self, Self::Named)
    }

    /// A new address of its kind, most significant octet first.
    pub fn address(self, random: &mut Random) -> Address {
        match self {
            Self::Named => Address { kind: AddressKind::Public, octets: random.octets() },
            Self::AppleFindMy => random_address(random, 0b11),
            _ => random_address(random, 0b01),
        }
    }
}

/// A random address; its two top bits are 01 for resolvable, 11 for static ones.
pub fn random_address(random: &mut Random, top_bits: u8) -> Address {
    let mut octets: [u8; 6] = random.octets();
    let [first, ..] = &mut octets;
    *first = *first & 0x3f | top_bits << 6;
    Address { kind: AddressKind::Random, octets }
}

/// Flags, a complete local name that no two devices share, and a maker's data.
fn named(random: &mut Random) -> Vec<u8> {
    let model = random.pick(&["Buds", "Watch", "Speaker", "TV", "Scale", "Toothbrush"]);
    let name = format!("{} {}", model.unwrap_or_default(), hex::encode(random.octets::<3>()));
    let length = u8::try_from(name.len() + 1).unwrap_or(u8::MAX);
    let [low, high] = random.octets::<2>();
    let maker = [7, 0xff, low, high & 0x0f];
    let serial = random.octets::<4>();
    [&[2, 0x01, 0x06, length, 0x09], name.as_bytes(), &maker, &serial].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::advert::{Identifier, describe, identifiers};

    fn vector_key() -> ClientKey {
        ClientKey(std::array::from_fn(|at| u8::try_from(at).unwrap()))
    }

    #[test]
    fn the_app_says_the_protocols_vector_and_a_new_token_with_each_window() {
        let mut app = Advertiser::App(App {
            key: vector_key(),
            store: 42,
            carrier: token::Carrier::ServiceData,
            skew_ms: 0,
            said: None,
        });
        let start = WallTime::from_unix_secs(1_767_225_600);
        let echo = Echo { zone: 1, level: 10 };
        for (after, token) in [(0, "e3d4576d362c08e9eb802c"), (600, "c832cfc701c868a7cf77bd")] {
            let now = start.plus(std::time::Duration::from_secs(after));
            assert_eq!(app.restarts(now), after > 0);
            let payload = app.payload(now, echo);
            let Some(Identifier::Token { token: heard, echo: back }) = identifiers(&payload).next()
            else {
                panic!("no token")
            };
            assert_eq!((hex::encode(heard), back), (token.to_owned(), echo));
        }
    }

    #[test]
    fn strangers_say_sound_structures_and_nothing_that_could_be_a_customer() {
        let mut random = Random::new(5, &[]);
        for _ in 0..500 {
            let kind = Foreign::any(&mut random);
            let payload = kind.payload(&mut random);
            assert!(payload.len() <= 31, "{kind:?}");
            assert_eq!(describe(&payload).malformed, None, "{kind:?}");
            assert_eq!(identifiers(&payload).count(), 0, "{kind:?}");
        }
    }
}
