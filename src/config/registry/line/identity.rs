//! A beacon's identity in a registry's line: text, or an object with a value for each part.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};

use crate::pipeline::advert::beacon::{BeaconIdentity, IdentityFormat};

/// The parts by their keys; text alone has no key.
pub(super) struct IdentityWire<'a>(Vec<(Option<Cow<'a, str>>, Cow<'a, str>)>);

impl IdentityWire<'_> {
    /// The identity, as `format` writes it. What stands in the line is not repeated.
    pub(super) fn read(&self, format: &IdentityFormat) -> Result<BeaconIdentity, String> {
        let is_text = format.parts.len() == 1;
        let part = |name: &str| {
            let is_it = |key: &Option<Cow<'_, str>>| match key {
                Some(key) => !is_text && key == name,
                None => is_text,
            };
            self.0.iter().find(|(key, _)| is_it(key)).map(|(_, value)| &**value)
        };
        let parts: Vec<_> = format.parts.iter().map_while(|(name, _)| part(name)).collect();
        format.parse(&parts).map_err(|place| match format.parts.get(place) {
            Some((_, part)) if is_text => format!("{}: {}", format.key, part.expectation()),
            Some((name, part)) => format!("{}.{name}: {}", format.key, part.expectation()),
            None => format!("{}: more parts than it has", format.key),
        })
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for IdentityWire<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Parts;
        impl<'de> Visitor<'de> for Parts {
            type Value = IdentityWire<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an identity")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(IdentityWire(vec![(None, Cow::Borrowed(text))]))
            }

            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(IdentityWire(vec![(None, Cow::Owned(text.to_owned()))]))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut parts = Vec::new();
                while let Some((Text(key), Text(value))) = map.next_entry()? {
                    parts.push((Some(key), value));
                }
                Ok(IdentityWire(parts))
            }
        }
        deserializer.deserialize_any(Parts)
    }
}

/// Text, or a number as it is written.
struct Text<'a>(Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Written;
        impl<'de> Visitor<'de> for Written {
            type Value = Text<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("text or a number")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Borrowed(text)))
            }

            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }

            fn visit_u64<E>(self, number: u64) -> Result<Self::Value, E> {
                Ok(Text(Cow::Owned(number.to_string())))
            }
        }
        deserializer.deserialize_any(Written)
    }
}
