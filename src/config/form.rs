//! The forms a value can take: type, range and unit, checked in one place.

use std::fmt;
use std::net::SocketAddr;

use toml::de::DeValue;

use super::{broker_url, crm_url, https_url, quiet_hours, web_url};
use crate::pipeline::advert::beacon::{BeaconIdentity, IDENTITIES};
use crate::text;

/// What a key's value must look like.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Form {
    Integer {
        /// Inclusive.
        least: i64,
        /// Inclusive.
        most: i64,
    },
    /// A number, with or without a fraction.
    Number {
        /// Inclusive.
        least: f64,
        /// Inclusive.
        most: f64,
    },
    Flag,
    /// Free text for people.
    Text,
    /// A name that becomes part of a topic.
    Name,
    /// Several names that people gave, such as tiers.
    Names,
    /// A password; never repeated in a message.
    Secret,
    /// One of these words.
    Word(&'static [&'static str]),
    /// A file or folder, relative to the configuration's folder.
    File,
    /// An address and a port to listen on.
    Listen,
    /// Addresses of brokers: `mqtt://` or `mqtts://`.
    BrokerUrls,
    /// A file on an HTTPS server.
    HttpsUrl,
    /// An address of a web server.
    WebUrl,
    /// An address with `{client}` in it.
    CrmUrl,
    /// Public keys of minisign.
    PublicKeys,
    /// An IANA time zone.
    TimeZone,
    /// A daily span, or `none`.
    QuietHours,
    /// A time of the day.
    TimeOfDay,
    Uuid,
    /// What one of the shop's beacons advertises.
    BeaconIdentity,
}

/// A value of the right form.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    Integer(i64),
    /// A number, with or without a fraction.
    Number(f64),
    Flag(bool),
    Text(String),
    Texts(Vec<String>),
}

/// Writes the value as TOML.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Integer(value) => value.fmt(f),
            Self::Number(value) => value.fmt(f),
            Self::Flag(value) => value.fmt(f),
            Self::Text(value) => toml::Value::String(value.clone()).fmt(f),
            Self::Texts(values) => {
                let values = values.iter().cloned().map(toml::Value::String).collect();
                toml::Value::Array(values).fmt(f)
            }
        }
    }
}

/// Why a value does not have its form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Misfit {
    pub what: String,
    /// What to do, if the key's own sentence does not say it.
    pub hint: Option<String>,
}

impl Misfit {
    fn new(what: impl Into<String>) -> Self {
        Self { what: what.into(), hint: None }
    }

    fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// Long enough for any name, short enough for a topic and a line on a tablet.
const LONGEST_NAME: usize = 64;

const LONGEST_TEXT: usize = 200;

impl Form {
    /// Takes a value of this form; `unit` is what its numbers count, for messages.
    ///
    /// # Errors
    /// The value has another type or is out of range; the error says what is expected.
    pub fn read(self, value: &DeValue<'_>, unit: &str) -> Result<Value, Misfit> {
        match self {
            Self::Integer { .. } | Self::Number { .. } => self.read_number(value, unit),
            Self::Flag => value.as_bool().map(Value::Flag).ok_or_else(|| self.other_type(value)),
            Self::Names => self.read_texts(value, plain_text),
            Self::BrokerUrls => self
                .read_texts(value, |text| broker_url::parse(text).map(|_| ()).map_err(Misfit::new)),
            Self::PublicKeys => self.read_texts(value, public_key),
            _ => {
                let text = value.as_str().ok_or_else(|| self.other_type(value))?;
                self.read_text(text)?;
                Ok(Value::Text(text.to_owned()))
            }
        }
    }

    fn read_number(self, value: &DeValue<'_>, unit: &str) -> Result<Value, Misfit> {
        let counted = if unit.is_empty() { String::new() } else { format!(" {unit}") };
        let out_of_range = || Misfit::new(format!("must be {self}{counted}"));
        match (self, value) {
            (Self::Integer { least, most }, DeValue::Integer(digits)) => {
                i64::from_str_radix(digits.as_str(), digits.radix())
                    .ok()
                    .filter(|number| (least..=most).contains(number))
                    .map(Value::Integer)
                    .ok_or_else(out_of_range)
            }
            (Self::Number { least, most }, DeValue::Integer(_) | DeValue::Float(_)) => {
                decimal(value)
                    .filter(|number| (least..=most).contains(number))
                    .map(Value::Number)
                    .ok_or_else(out_of_range)
            }
            _ => Err(self.other_type(value)),
        }
    }

    fn read_texts(
        self,
        value: &DeValue<'_>,
        check: impl Fn(&str) -> Result<(), Misfit>,
    ) -> Result<Value, Misfit> {
        let values = value.as_array().ok_or_else(|| self.other_type(value))?;
        let mut texts = Vec::new();
        for value in values {
            let text = value.get_ref().as_str().ok_or_else(|| self.other_type(value.get_ref()))?;
            check(text)?;
            texts.push(text.to_owned());
        }
        Ok(Value::Texts(texts))
    }

    fn read_text(self, text: &str) -> Result<(), Misfit> {
        match self {
            Self::Name => name(text),
            Self::Word(words) if !words.contains(&text) => Err(unknown_word(text, words)),
            Self::Listen => listen(text),
            Self::TimeZone => time_zone(text),
            Self::HttpsUrl => https_url::parse(text).map(|_| ()).map_err(Misfit::new),
            Self::WebUrl => web_url::parse(text).map(|_| ()).map_err(Misfit::new),
            Self::CrmUrl => crm_url::parse(text)
                .map(|_| ())
                .map_err(|what| Misfit::new(what).hint("such as \"https://crm.example/{client}\"")),
            Self::QuietHours => quiet_hours::parse(text).map(|_| ()).map_err(|what| {
                Misfit::new(what).hint("such as \"21:00-09:00\", in the store's local time")
            }),
            Self::TimeOfDay => quiet_hours::minute(text).map(drop).ok_or_else(|| {
                Misfit::new("must be `HH:MM`").hint("such as \"20:00\", in the store's local time")
            }),
            Self::Uuid => uuid::Uuid::try_parse(text).map(drop).map_err(|_| {
                Misfit::new("is no UUID").hint("32 hexadecimal digits, with hyphens or without")
            }),
            Self::BeaconIdentity => beacon_identity(text).map(drop),
            Self::Secret | Self::File if text.is_empty() => Err(Misfit::new("must not be empty")),
            Self::File if text.contains('\0') => Err(Misfit::new("is no path")),
            Self::Text => plain_text(text),
            _ => Ok(()),
        }
    }

    fn other_type(self, value: &DeValue<'_>) -> Misfit {
        let found = match value {
            DeValue::String(_) => "text",
            DeValue::Integer(_) => "a whole number",
            DeValue::Float(_) => "a number with a fraction",
            DeValue::Boolean(_) => "true or false",
            DeValue::Datetime(_) => "a date or time",
            DeValue::Array(_) => "a list",
            DeValue::Table(_) => "a table",
        };
        let misfit = Misfit::new(format!("must be {self}, not {found}"));
        match (self, value) {
            (Self::Integer { .. } | Self::Number { .. } | Self::Flag, DeValue::String(_)) => {
                misfit.hint("write it without quotes")
            }
            (Self::Integer { .. }, DeValue::Float(_)) => misfit.hint("write it without a fraction"),
            (Self::Names | Self::BrokerUrls | Self::PublicKeys, DeValue::String(_)) => {
                misfit.hint("put it in square brackets: [\"…\"]")
            }
            (Self::Integer { .. } | Self::Number { .. } | Self::Flag, _) => misfit,
            (_, DeValue::Integer(_) | DeValue::Float(_) | DeValue::Boolean(_)) => {
                misfit.hint("put it in double quotes")
            }
            _ => misfit,
        }
    }
}

/// What a value of this form is, for messages and the reference.
impl fmt::Display for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Integer { least, most } => write!(f, "a whole number from {least} to {most}"),
            Self::Number { least, most } => write!(f, "a number from {least} to {most}"),
            Self::Flag => f.write_str("true or false"),
            Self::Text | Self::Secret => f.write_str("text"),
            Self::Name => f.write_str("a name of letters, digits, `-`, `_` and `.`"),
            Self::Names => f.write_str("a list of names"),
            Self::Word(words) => {
                for (index, word) in words.iter().enumerate() {
                    let before = match index {
                        0 => "",
                        _ if index + 1 == words.len() => " or ",
                        _ => ", ",
                    };
                    write!(f, "{before}\"{word}\"")?;
                }
                Ok(())
            }
            Self::File => f.write_str("a path"),
            Self::Listen => f.write_str("an IP address and port"),
            Self::BrokerUrls => f.write_str("a list of `mqtt://` or `mqtts://` addresses"),
            Self::HttpsUrl => f.write_str("an `https://` address"),
            Self::WebUrl => f.write_str("an `https://` or `http://` address"),
            Self::CrmUrl => f.write_str("an `https://` or `http://` address with `{client}`"),
            Self::PublicKeys => f.write_str("a list of minisign's public keys"),
            Self::TimeZone => f.write_str("an IANA time zone"),
            Self::QuietHours => f.write_str("a daily span, `HH:MM-HH:MM`, or `none`"),
            Self::TimeOfDay => f.write_str("a time, `HH:MM`"),
            Self::Uuid => f.write_str("a UUID"),
            Self::BeaconIdentity => f.write_str("a beacon's kind and its numbers"),
        }
    }
}

/// The number that is written, also where it is a whole one; no infinity, no "not a number".
fn decimal(value: &DeValue<'_>) -> Option<f64> {
    let number = match value {
        DeValue::Integer(digits) if digits.radix() == 10 => digits.as_str().parse().ok()?,
        DeValue::Float(digits) => digits.as_str().parse::<f64>().ok()?,
        _ => return None,
    };
    number.is_finite().then_some(number)
}

/// A name becomes a topic level: `/`, `+`, `#` and blanks would make it another topic.
pub(super) fn name(text: &str) -> Result<(), Misfit> {
    let fits = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.');
    if text.is_empty() || text.chars().count() > LONGEST_NAME || !text.chars().all(fits) {
        return Err(Misfit::new(format!(
            "must be 1 to {LONGEST_NAME} letters, digits, `-`, `_` or `.`"
        ))
        .hint("names are parts of MQTT topics"));
    }
    Ok(())
}

/// A format's word and its parts: `ibeacon <uuid> <major> <minor>`.
pub(super) fn beacon_identity(text: &str) -> Result<BeaconIdentity, Misfit> {
    let words: Vec<_> = text.split_whitespace().collect();
    let format = words.split_first().and_then(|(word, parts)| {
        Some((IDENTITIES.iter().find(|format| format.word == *word)?, parts))
    });
    format.and_then(|(format, parts)| format.parse(parts).ok()).ok_or_else(|| {
        Misfit::new("is no beacon's identity")
            .hint("such as \"ibeacon 426c7565-4368-6172-6d42-6561636f6e73 42 1\"")
    })
}

fn plain_text(text: &str) -> Result<(), Misfit> {
    let length = text.chars().count();
    if length == 0 || length > LONGEST_TEXT || !text::is_displayable(text) {
        return Err(Misfit::new(format!(
            "must be one line of 1 to {LONGEST_TEXT} characters, none of them invisible"
        )));
    }
    Ok(())
}

fn listen(text: &str) -> Result<(), Misfit> {
    if text.parse::<SocketAddr>().is_ok() {
        return Ok(());
    }
    let misfit = Misfit::new("must be an IP address and a port");
    Err(match text.strip_prefix("localhost") {
        Some(port) => misfit.hint(format!("such as \"127.0.0.1{port}\"")),
        None => misfit.hint("such as \"127.0.0.1:8443\", or \"0.0.0.0:8443\" for every network"),
    })
}

fn public_key(text: &str) -> Result<(), Misfit> {
    match minisign_verify::PublicKey::from_base64(text) {
        Ok(_) => Ok(()),
        Err(_) => Err(Misfit::new("is no public key of minisign")
            .hint("`grelot customers keygen` prints it: 56 characters that begin with RW")),
    }
}

fn time_zone(text: &str) -> Result<(), Misfit> {
    if text == "UTC" || jiff::tz::TimeZone::get(text).is_ok() {
        return Ok(());
    }
    let misfit = Misfit::new("is not a time zone this machine knows");
    let city = |zone: &str| zone.rsplit('/').next().unwrap_or_default().to_lowercase();
    let meant = jiff::tz::db().available().find(|zone| city(zone.as_str()) == text.to_lowercase());
    Err(match meant {
        Some(zone) => misfit.hint(format!("did you mean \"{zone}\"?")),
        None => misfit.hint("such as \"Europe/Paris\"; Debian's package tzdata has them all"),
    })
}

fn unknown_word(text: &str, words: &'static [&'static str]) -> Misfit {
    let misfit = Misfit::new(format!("must be {}", Form::Word(words)));
    match super::nearest::of(text, words.iter().copied()) {
        Some(word) => misfit.hint(format!("did you mean \"{word}\"?")),
        None => misfit,
    }
}
