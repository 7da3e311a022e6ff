//! One line of a registry, as it is written.

mod identity;

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};

use self::identity::IdentityWire;
use crate::pipeline::advert::beacon::{BeaconIdentity, IDENTITIES};
use crate::pipeline::event::Card;
use crate::pipeline::identity::key::Key;
use crate::pipeline::identity::phone_model::{MOST_DB, PhoneModel};
use crate::pipeline::identity::{Consent, Credential, EidCard, Enrolment, Quiet};
use crate::pipeline::units::WallTime;

/// Days or temporary keys on one line: a month of a card's, at most.
const MOST_KEYS: usize = 64;

/// What a line is.
#[derive(Debug, PartialEq, Eq)]
pub enum Line {
    /// The first line of a signed bundle.
    Header(Header),
    Customer(Box<Enrolment>),
}

/// The header of a bundle: its first line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// The store it is for.
    pub store: u16,
    /// When it was made: a gateway takes no older one than it has.
    pub made_at: WallTime,
    /// When its keys end.
    pub expires_at: WallTime,
    /// It counts although the one in force was made later, up to this time: that was a mistake.
    pub supersedes: Option<WallTime>,
}

/// Reads a line.
///
/// # Errors
/// The reason, which repeats nothing of the line.
pub fn read(text: &[u8]) -> Result<Line, String> {
    let text = str::from_utf8(text)
        .map_err(|error| format!("not UTF-8 at octet {}", error.valid_up_to() + 1))?;
    let wire: Wire = serde_json::from_str(text).map_err(|error| reason(&error))?;
    match wire.grelot.as_deref() {
        None => Ok(Line::Customer(Box::new(wire.customer()?))),
        Some("registry") => Ok(Line::Header(wire.header()?)),
        Some(_) => Err("grelot: only \"registry\" is known here".to_owned()),
    }
}

/// What `serde_json` says, unless it would repeat a value.
fn reason(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let column = error.column();
    match error.classify() {
        serde_json::error::Category::Data
            if ["missing field", "duplicate field"].iter().any(|safe| text.starts_with(safe)) =>
        {
            text.split(" at line").next().unwrap_or_default().to_owned()
        }
        serde_json::error::Category::Data => {
            format!("a value of the wrong kind before column {column}")
        }
        _ => format!("not JSON at column {column}"),
    }
}

#[derive(Deserialize)]
struct Wire<'a> {
    #[serde(borrow)]
    grelot: Option<Cow<'a, str>>,
    version: Option<u32>,
    store: Option<u16>,
    made_at: Option<Cow<'a, str>>,
    expires_at: Option<Cow<'a, str>>,
    supersedes: Option<Cow<'a, str>>,
    client: Option<Cow<'a, str>>,
    tier: Option<Cow<'a, str>>,
    scheme: Option<Cow<'a, str>>,
    days: Option<Keys<u32>>,
    k: Option<u8>,
    offset_s: Option<i64>,
    offset_at: Option<Cow<'a, str>>,
    tks: Option<Keys<u16>>,
    ibeacon: Option<IdentityWire<'a>>,
    eddystone_uid: Option<IdentityWire<'a>>,
    altbeacon: Option<IdentityWire<'a>>,
    ruuvi: Option<IdentityWire<'a>>,
    irk: Option<Cow<'a, str>>,
    consent: Option<ConsentWire<'a>>,
    card: Option<CardWire<'a>>,
    quiet: Option<Cow<'a, str>>,
    phone: Option<PhoneWire>,
}

/// In dB.
#[derive(Deserialize)]
struct PhoneWire {
    #[serde(default)]
    tx_db: f64,
    #[serde(default)]
    rx_db: f64,
}

#[derive(Deserialize)]
struct ConsentWire<'a> {
    #[serde(borrow)]
    given_at: Option<Cow<'a, str>>,
    expires_at: Option<Cow<'a, str>>,
    withdrawn_at: Option<Cow<'a, str>>,
    #[serde(default)]
    show_name: bool,
    stores: Option<Vec<u16>>,
}

#[derive(Deserialize)]
struct CardWire<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
    language: Option<Cow<'a, str>>,
    note: Option<Cow<'a, str>>,
}

impl Wire<'_> {
    fn header(&self) -> Result<Header, String> {
        if self.version != Some(1) {
            return Err("version: only 1 is known here".to_owned());
        }
        let time = |key: &str, text: &Option<Cow<'_, str>>| {
            text.as_deref().and_then(WallTime::parse).ok_or(format!("{key}: no RFC 3339 time"))
        };
        Ok(Header {
            store: self.store.ok_or("store: missing")?,
            made_at: time("made_at", &self.made_at)?,
            expires_at: time("expires_at", &self.expires_at)?,
            supersedes: match &self.supersedes {
                Some(_) => Some(time("supersedes", &self.supersedes)?),
                None => None,
            },
        })
    }

    fn customer(self) -> Result<Enrolment, String> {
        let client = self.client.as_deref().ok_or("client: missing")?;
        let tier = self.tier.as_deref().ok_or("tier: missing")?;
        Ok(Enrolment {
            client: handle(client)?.to_owned(),
            tier: text("tier", tier, 64)?.to_owned(),
            credential: self.credential()?,
            consent: self.consent.as_ref().map(ConsentWire::read).transpose()?,
            card: self.card.as_ref().map(CardWire::read).transpose()?,
            quiet: self.quiet.as_deref().map(quiet).transpose()?,
            phone: self.phone()?,
        })
    }

    fn credential(&self) -> Result<Credential, String> {
        match self.scheme.as_deref().ok_or("scheme: missing")? {
            "token" => {
                let days = self.days.as_ref().ok_or("days: missing")?;
                Ok(Credential::Token(days.read("days")?))
            }
            "eid" => self.eid_card().map(Credential::Eid),
            "beacon" => self.beacon().map(Credential::Beacon),
            "irk" => {
                let irk = self.irk.as_deref().ok_or("irk: missing")?;
                Ok(Credential::Irk(Key(octets("irk", irk)?)))
            }
            _ => Err("scheme: only token, eid, beacon and irk are known here".to_owned()),
        }
    }

    /// A card has no model of phone.
    fn phone(&self) -> Result<Option<PhoneModel>, String> {
        let Some(wire) = &self.phone else { return Ok(None) };
        if !matches!(self.scheme.as_deref(), Some("token" | "irk")) {
            return Err("phone: only with scheme token or irk".to_owned());
        }
        wire.read().map(Some)
    }

    fn eid_card(&self) -> Result<EidCard, String> {
        let offset_at = self.offset_at.as_deref();
        Ok(EidCard {
            k: self.k.filter(|k| *k <= 15).ok_or("k: 0 to 15 is needed")?,
            offset_s: self.offset_s.ok_or("offset_s: missing")?,
            keys: self.tks.as_ref().ok_or("tks: missing")?.read("tks")?,
            offset_at: offset_at.map(|text| time("offset_at", text)).transpose()?,
        })
    }

    /// The identity of a card, under the key of its format.
    fn beacon(&self) -> Result<BeaconIdentity, String> {
        let written = [
            ("ibeacon", &self.ibeacon),
            ("eddystone_uid", &self.eddystone_uid),
            ("altbeacon", &self.altbeacon),
            ("ruuvi", &self.ruuvi),
        ];
        let mut given = written.iter().filter_map(|(key, wire)| Some((*key, wire.as_ref()?)));
        let (Some((key, wire)), None) = (given.next(), given.next()) else {
            let keys: Vec<_> = written.iter().map(|(key, _)| *key).collect();
            return Err(format!("exactly one of {} is needed", keys.join(", ")));
        };
        let format = IDENTITIES.iter().find(|format| format.key == key);
        wire.read(format.ok_or_else(|| format!("{key}: not known here"))?)
    }
}

impl PhoneWire {
    fn read(&self) -> Result<PhoneModel, String> {
        Ok(PhoneModel {
            tx_db: whole_db("phone.tx_db", self.tx_db)?,
            rx_db: whole_db("phone.rx_db", self.rx_db)?,
        })
    }
}

/// To the whole dB.
fn whole_db(key: &str, db: f64) -> Result<i8, String> {
    if db.abs() > f64::from(MOST_DB) {
        return Err(format!("{key}: -{MOST_DB} to {MOST_DB} dB is allowed"));
    }
    #[expect(clippy::cast_possible_truncation, reason = "its range is checked")]
    Ok(db.round() as i8)
}

impl ConsentWire<'_> {
    fn read(&self) -> Result<Consent, String> {
        let expires_at = self.expires_at.as_deref().ok_or("consent.expires_at: missing")?;
        let given_at = self.given_at.as_deref();
        Ok(Consent {
            given_at: given_at.map(|at| time("consent.given_at", at)).transpose()?,
            expires_at: time("consent.expires_at", expires_at)?,
            show_name: self.show_name,
            stores: self.stores.clone(),
            withdrawn: self.withdrawn_at.is_some(),
        })
    }
}

impl CardWire<'_> {
    fn read(&self) -> Result<Card, String> {
        let language = self.language.as_deref();
        let note = self.note.as_deref();
        Ok(Card {
            name: text("card.name", &self.name, 128)?.to_owned(),
            language: language
                .map(|it| text("card.language", it, 35).map(str::to_owned))
                .transpose()?,
            note: note.map(|it| text("card.note", it, 512).map(str::to_owned)).transpose()?,
        })
    }
}

/// A handle becomes a level of MQTT topics, so it has none of their special characters.
fn handle(text: &str) -> Result<&str, String> {
    let fits = |octet: u8| octet.is_ascii_graphic() && !b"/+#\"\\".contains(&octet);
    if text.is_empty() || text.len() > 64 || !text.bytes().all(fits) {
        return Err(
            "client: 1 to 64 visible ASCII characters without / + # \" \\ are needed".to_owned()
        );
    }
    Ok(text)
}

/// Text that a tablet can show on one line.
fn text<'a>(key: &str, text: &'a str, longest: usize) -> Result<&'a str, String> {
    if text.is_empty() || text.len() > longest {
        return Err(format!("{key}: 1 to {longest} octets are needed"));
    }
    if !crate::text::is_displayable(text) {
        return Err(format!("{key}: control characters are not allowed"));
    }
    Ok(text)
}

fn time(key: &str, text: &str) -> Result<WallTime, String> {
    WallTime::parse(text).ok_or_else(|| format!("{key}: no RFC 3339 time"))
}

fn quiet(text: &str) -> Result<Quiet, String> {
    match text.split_once(':') {
        None if text == "greet_only_if_asked" => Ok(Quiet::GreetOnlyIfAsked),
        Some(("today", date)) => {
            date.parse().map(Quiet::Today).map_err(|_| "quiet: no date after today:".to_owned())
        }
        Some(("until", until)) => time("quiet", until).map(Quiet::Until),
        _ => Err(
            "quiet: null, \"today:<date>\", \"until:<time>\" or \"greet_only_if_asked\" is needed"
                .to_owned(),
        ),
    }
}

fn octets<const N: usize>(key: &str, text: &str) -> Result<[u8; N], String> {
    let mut octets = [0; N];
    hex::decode_to_slice(text, &mut octets)
        .map_err(|_| format!("{key}: {} hex digits are needed", 2 * N))?;
    Ok(octets)
}

/// Keys by number (of a day, or of a clock's top half), as they stand in the file.
struct Keys<N>(Vec<(N, Result<Key, ()>)>);

impl<N: Copy + fmt::Display + Ord> Keys<N> {
    fn read(&self, of: &str) -> Result<Vec<(N, Key)>, String> {
        let mut keys = Vec::with_capacity(self.0.len());
        for (number, key) in &self.0 {
            let key =
                key.clone().map_err(|()| format!("{of}.{number}: 32 hex digits are needed"))?;
            keys.push((*number, key));
        }
        keys.sort_by_key(|(number, _)| *number);
        match keys.windows(2).find(|pair| matches!(pair, [(a, _), (b, _)] if a == b)) {
            Some([(number, _), _]) => Err(format!("{of}.{number}: stands there twice")),
            _ if keys.is_empty() => Err(format!("{of}: empty")),
            _ => Ok(keys),
        }
    }
}

impl<'de, N: std::str::FromStr> Deserialize<'de> for Keys<N> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(KeysVisitor(std::marker::PhantomData))
    }
}

struct KeysVisitor<N>(std::marker::PhantomData<N>);

impl<'de, N: std::str::FromStr> Visitor<'de> for KeysVisitor<N> {
    type Value = Keys<N>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at most {MOST_KEYS} keys by number")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Keys<N>, A::Error> {
        let mut keys = Vec::with_capacity(2);
        while let Some((number, key)) = map.next_entry::<Cow<'de, str>, Cow<'de, str>>()? {
            let number = number.parse().ok().filter(|_| keys.len() < MOST_KEYS);
            let number = number.ok_or_else(|| serde::de::Error::custom("keys"))?;
            keys.push((number, octets("", &key).map(Key).map_err(|_| ())));
        }
        Ok(Keys(keys))
    }
}
