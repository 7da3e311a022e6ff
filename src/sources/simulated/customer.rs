//! Made-up customers: who they are, what they carry, and their lines in the registry.

use std::ops::Range;

use serde_json::{Value, json};

use super::advertiser::{Advertiser, App, EidCard};
use super::random::Random;
use crate::pipeline::advert::ibeacon::IBeacon;
use crate::pipeline::advert::token::Carrier;
use crate::pipeline::identity::eid;
use crate::pipeline::identity::key::{ClientKey, Key};
use crate::pipeline::units::WallTime;

/// Family names, French ones first; none belongs to a particular person.
const NAMES: [&str; 40] = [
    "Aubert", "Barbier", "Caron", "Delmas", "Étienne", "Fabre", "Garnier", "Hervé", "Imbert",
    "Jacquet", "Klein", "Lambert", "Marchand", "Noël", "Olivier", "Perrin", "Quentin", "Renard",
    "Salmon", "Thibault", "Urbain", "Vasseur", "Weber", "Yvon", "Abbott", "Bennett", "Clarke",
    "Dawson", "Ellis", "Foster", "Graham", "Hughes", "Irving", "Jensen", "Kapoor", "Larsen",
    "Morgan", "Okafor", "Price", "Walsh",
];

/// How many of them are French.
const FRENCH: usize = 24;

const NOTES_FR: [&str; 5] = [
    "Commande 1182 prête à retirer",
    "Retouches à essayer",
    "Préfère la cabine calme",
    "Anniversaire cette semaine",
    "Cherche un cadeau",
];

const NOTES_EN: [&str; 5] = [
    "Order 2041 is ready to collect",
    "Alterations to try on",
    "Prefers the quiet fitting room",
    "Birthday this week",
    "Asked for the new catalogue",
];

/// The UUID of the chain's loyalty cards with a fixed identity.
const CARD_UUID: [u8; 16] = 0x0f6b_2a6e_51c4_4e1f_9c62_7d1b_8a55_0c21_u128.to_be_bytes();

/// One made-up customer: always the same for the same seed and number.
#[derive(Debug, Clone)]
pub struct Customer {
    number: u32,
    seed: u64,
}

impl Customer {
    /// Customer `number` among those of `seed`.
    pub const fn new(seed: u64, number: u32) -> Self {
        Self { number, seed }
    }

    pub fn client(&self) -> String {
        format!("c-{}", hex::encode(self.random(b'h').octets::<4>()))
    }

    /// A random stream for one of the customer's traits.
    fn random(&self, of: u8) -> Random {
        Random::new(self.seed, &[u64::from(b'c'), u64::from(self.number), u64::from(of)])
    }

    /// Most carry the app, some a card. The first few all have the app, so that a short
    /// demonstration shows the usual case.
    fn scheme(&self) -> Scheme {
        match self.number % 12 {
            7 => Scheme::BeaconCard,
            10 => Scheme::EidCard,
            2 | 5 | 9 => Scheme::App(Carrier::ServiceUuid),
            _ => Scheme::App(Carrier::ServiceData),
        }
    }

    /// What the customer's phone or card advertises in `store`.
    pub fn advertiser(&self, store: u16) -> Advertiser {
        match self.scheme() {
            Scheme::App(carrier) => {
                // A phone sets its clock by the network, to within a few seconds.
                #[expect(clippy::cast_possible_truncation, reason = "a cast from f64 saturates")]
                let skew_ms = (self.random(b's').normal() * 4_000.0) as i64;
                Advertiser::App(App { key: self.app_key(), store, carrier, skew_ms, said: None })
            }
            Scheme::BeaconCard => Advertiser::Fixed(self.beacon_card().advertisement().to_vec()),
            Scheme::EidCard => Advertiser::EidCard(self.eid_card()),
        }
    }

    /// Whether it is a phone that receives the shop's beacons, rather than a card.
    pub fn has_the_app(&self) -> bool {
        matches!(self.scheme(), Scheme::App(_))
    }

    fn app_key(&self) -> ClientKey {
        ClientKey(self.random(b'k').octets())
    }

    fn eid_card(&self) -> EidCard {
        let mut random = self.random(b'e');
        let key = Key(random.octets());
        EidCard { key, k: 10, offset_s: i64::from(random.below(240)) - 120 }
    }

    fn beacon_card(&self) -> IBeacon {
        let [high, low] = self.random(b'b').octets();
        let major = u16::from_be_bytes([high, low]);
        let minor = u16::try_from(self.number & 0xffff).unwrap_or_default();
        IBeacon { uuid: CARD_UUID, major, minor, tx_power: -59 }
    }

    /// The registry's line, with keys for `days` (since 1970).
    pub fn registry_line(&self, store: u16, days: Range<u32>) -> String {
        let mut line = json!({ "client": self.client(), "tier": self.tier() });
        if let Some(line) = line.as_object_mut() {
            line.extend(self.credential(store, &days));
            line.insert("consent".into(), self.consent(days.start));
            line.extend(self.card().map(|card| ("card".into(), card)));
            let quiet =
                if self.number % 9 == 6 { json!("greet_only_if_asked") } else { Value::Null };
            line.insert("quiet".into(), quiet);
        }
        line.to_string()
    }

    fn credential(&self, store: u16, days: &Range<u32>) -> serde_json::Map<String, Value> {
        let credential = match self.scheme() {
            Scheme::App(_) => {
                let key = |day: u32| hex::encode(self.app_key().store_day_key(day, store, 0).0);
                let keys = days.clone().map(|day| (day.to_string(), json!(key(day))));
                let days: serde_json::Map<_, _> = keys.collect();
                json!({ "scheme": "token", "days": days })
            }
            Scheme::BeaconCard => {
                let IBeacon { uuid, major, minor, .. } = self.beacon_card();
                let uuid = uuid::Uuid::from_bytes(uuid).to_string();
                json!({ "scheme": "beacon",
                        "ibeacon": { "uuid": uuid, "major": major, "minor": minor } })
            }
            Scheme::EidCard => {
                let card = self.eid_card();
                let top = |day: u32| card.top(i64::from(day) * 86_400);
                let key = |top| hex::encode(eid::temporary_key(&card.key.0, top));
                let tops = top(days.start)..=top(days.end);
                let tks: serde_json::Map<_, _> =
                    tops.map(|top| (top.to_string(), json!(key(top)))).collect();
                json!({ "scheme": "eid", "k": card.k, "offset_s": card.offset_s, "tks": tks })
            }
        };
        match credential {
            Value::Object(keys) => keys,
            _ => serde_json::Map::new(),
        }
    }

    fn tier(&self) -> &'static str {
        match self.number % 5 {
            0 | 3 => "gold",
            1 => "platinum",
            _ => "silver",
        }
    }

    fn consent(&self, first_day: u32) -> Value {
        let on = |day: u32| WallTime::from_unix_secs(i64::from(day) * 86_400).to_string();
        let text = if self.is_french() { "fr-2025-10" } else { "en-2025-10" };
        json!({
            "given_at": on(first_day.saturating_sub(60)),
            "text": text,
            "expires_at": on(first_day.saturating_add(730)),
            "show_name": self.number % 6 != 4,
        })
    }

    fn is_french(&self) -> bool {
        self.name() < FRENCH
    }

    /// Customers with neighbouring numbers have different names, and the languages alternate.
    fn name(&self) -> usize {
        (self.number as usize * 13 + usize::try_from(self.seed % 40).unwrap_or(0)) % NAMES.len()
    }

    fn card(&self) -> Option<Value> {
        let mut random = self.random(b'n');
        let name = NAMES.get(self.name())?;
        let (title, language, notes) = match (self.is_french(), random.chance(0.6)) {
            (true, true) => ("Mme", "fr", NOTES_FR),
            (true, false) => ("M.", "fr", NOTES_FR),
            (false, true) => ("Ms", "en", NOTES_EN),
            (false, false) => ("Mr", "en", NOTES_EN),
        };
        let mut card = json!({ "name": format!("{title} {name}"), "language": language });
        if let (Some(card), true) = (card.as_object_mut(), random.chance(0.5)) {
            card.insert("note".into(), json!(random.pick(&notes)));
        }
        Some(card)
    }
}

/// What a customer carries.
enum Scheme {
    App(Carrier),
    BeaconCard,
    EidCard,
}
