//! One customer as head office enrols them: what a registry line means.

use std::fmt;

use super::key::Key;
use super::phone_model::PhoneModel;
use crate::pipeline::advert::BeaconIdentity;
use crate::pipeline::card::Card;
use crate::pipeline::identity::customer::Quiet;
use crate::pipeline::units::WallTime;

/// The content of a registry line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Enrolment {
    pub client: String,
    pub tier: String,
    /// How the customer is recognised.
    pub credential: Credential,
    /// `None` where the customer consented to nothing.
    pub consent: Option<Consent>,
    /// What staff may see, if consent allows it.
    pub card: Option<Card>,
    /// The customer's wish not to be greeted, if any.
    pub quiet: Option<Quiet>,
    /// Their phone's model, where the app reported it.
    pub phone: Option<PhoneModel>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Consent {
    /// When it begins, where the line says so.
    pub given_at: Option<WallTime>,
    pub expires_at: WallTime,
    /// Whether staff may see the card.
    pub show_name: bool,
    /// The stores it is for; `None` for every store.
    pub stores: Option<Vec<u16>>,
    /// It was taken back.
    pub withdrawn: bool,
}

/// How a customer is recognised.
#[derive(Clone, PartialEq, Eq)]
pub enum Credential {
    /// The shop's own app: this store's key for each day (since 1970).
    Token(Vec<(u32, Key)>),
    /// A card that advertises Eddystone-EID.
    Eid(EidCard),
    /// A card with a fixed identity.
    Beacon(BeaconIdentity),
    /// A paired phone's Identity Resolving Key, most significant octet first.
    Irk(Key),
}

impl Credential {
    /// The scheme's word in the registry.
    pub const fn scheme(&self) -> &'static str {
        match self {
            Self::Token(_) => "token",
            Self::Eid(_) => "eid",
            Self::Beacon(_) => "beacon",
            Self::Irk(_) => "irk",
        }
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Credential({})", self.scheme())
    }
}

/// What a gateway knows of a card that advertises Eddystone-EID.
#[derive(Clone, PartialEq, Eq)]
pub struct EidCard {
    /// 0 to 15: a new identity every 2^k seconds.
    pub k: u8,
    /// The card's clock less Unix time, in seconds.
    pub offset_s: i64,
    /// Temporary keys by the top 16 bits of the card's clock.
    pub keys: Vec<(u16, Key)>,
    /// When the offset was measured, if head office knows.
    pub offset_at: Option<WallTime>,
}
