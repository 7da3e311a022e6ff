//! Eddystone (Google, github.com/google/eddystone): service data of UUID `feaa`, one frame per
//! advertisement. The whole first octet is the frame's type: other services of Google (Find Hub:
//! 0x40, 0x41) share the UUID.
//!
//! Octets beyond a frame's format are ignored, as its reserved ones are.

use super::format::{BeaconHealth, Described, Format, Section, Value};
use super::identity::{BeaconIdentity, IdentityFormat, Part};
use crate::pipeline::advert::structure::joined;

/// 16-bit service UUID, assigned to Google.
pub(super) const UUID: u16 = 0xfeaa;

/// Namespace and instance of Eddystone-UID.
pub(super) const IDENTITY: IdentityFormat = IdentityFormat {
    number: 2,
    word: "eddystone",
    key: "eddystone_uid",
    parts: &[("namespace", Part::Hex(10)), ("instance", Part::Hex(6))],
    advertisement: |octets| {
        let namespace = octets.first_chunk().copied().unwrap_or_default();
        let [_, _, _, _, _, _, _, _, _, _, instance @ .., _, _, _, _] = *octets;
        // At 0 m, 41 dB above what is usual at 1 m.
        Uid { namespace, instance, tx_power: -18 }.advertisement().into()
    },
};

/// The AD structures before every frame: Flags, and the list of service UUIDs.
const HEAD: [u8; 7] = [2, 0x01, 0x06, 3, 0x03, 0xaa, 0xfe];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Frame<'a> {
    /// An identity that does not change.
    Uid(Uid),
    Url(Url<'a>),
    /// The beacon's condition.
    Tlm(Telemetry),
    /// The beacon's condition, readable only with its owner's key.
    EncryptedTlm(EncryptedTelemetry),
    /// An identity that changes with each rotation period.
    Eid(Eid),
}

impl<'a> Format<'a> for Frame<'a> {
    #[inline]
    fn read(section: Section<'a>) -> Option<Self> {
        let Section::Service(UUID, data) = section else { return None };
        match *data {
            [0x00, tx_power, ref rest @ ..] => Uid::read(tx_power, rest).map(Self::Uid),
            [0x10, tx_power, ref rest @ ..] => Url::read(tx_power, rest).map(Self::Url),
            [0x20, 0x00, ref rest @ ..] => Telemetry::read(rest).map(Self::Tlm),
            [0x20, 0x01, ref rest @ ..] => EncryptedTelemetry::read(rest).map(Self::EncryptedTlm),
            [0x30, tx_power, ref rest @ ..] => Eid::read(tx_power, rest).map(Self::Eid),
            _ => None,
        }
    }

    fn describe(&self) -> Described {
        match self {
            Self::Uid(it) => Described {
                kind: "eddystone_uid",
                name: "Eddystone-UID",
                fields: vec![
                    ("namespace", Value::hex(&it.namespace)),
                    ("instance", Value::hex(&it.instance)),
                    ("tx_power", Value::Dbm(it.tx_power)),
                ],
            },
            Self::Url(it) => Described {
                kind: "eddystone_url",
                name: "Eddystone-URL",
                fields: vec![("url", Value::Text(it.url())), ("tx_power", Value::Dbm(it.tx_power))],
            },
            Self::Tlm(it) => it.describe(),
            Self::EncryptedTlm(it) => Described {
                kind: "eddystone_etlm",
                name: "Eddystone-eTLM",
                fields: vec![
                    ("etlm_hex", Value::hex(&it.etlm)),
                    ("salt", Value::Number(it.salt.into())),
                    ("mic", Value::Number(it.mic.into())),
                ],
            },
            Self::Eid(it) => Described {
                kind: "eddystone_eid",
                name: "Eddystone-EID",
                fields: vec![("eid", Value::hex(&it.eid)), ("tx_power", Value::Dbm(it.tx_power))],
            },
        }
    }

    #[inline]
    fn identity(&self) -> Option<BeaconIdentity> {
        let Self::Uid(Uid { namespace, instance, .. }) = self else { return None };
        Some(IDENTITY.identity(&[namespace, instance]))
    }

    #[inline]
    fn health(&self) -> Option<BeaconHealth> {
        let Self::Tlm(telemetry) = self else { return None };
        Some(BeaconHealth {
            battery_mv: (telemetry.voltage_mv != 0).then_some(telemetry.voltage_mv),
            temperature_mc: telemetry.temperature_256.map(|raw| i32::from(raw) * 1000 / 256),
        })
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Uid {
    /// Identifies the beacon's owner.
    pub namespace: [u8; 10],
    /// Identifies the beacon within the namespace.
    pub instance: [u8; 6],
    /// Power at 0 m, in dBm.
    pub tx_power: i8,
}

impl Uid {
    /// `None` for a frame that is too short. Some beacons on the market leave out the two reserved
    /// octets.
    #[inline]
    fn read(tx_power: u8, rest: &[u8]) -> Option<Self> {
        let (&namespace, rest) = rest.split_first_chunk()?;
        let &instance = rest.first_chunk()?;
        Some(Self { namespace, instance, tx_power: tx_power.cast_signed() })
    }

    /// AD structures of a whole advertisement, Flags included.
    pub fn advertisement(&self) -> [u8; 31] {
        joined(&[
            &HEAD,
            &[23, 0x16, 0xaa, 0xfe, 0x00],
            &self.tx_power.to_be_bytes(),
            &self.namespace,
            &self.instance,
            &[0, 0],
        ])
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Eid {
    /// The identity of this rotation period.
    pub eid: [u8; 8],
    /// Power at 0 m, in dBm.
    pub tx_power: i8,
}

impl Eid {
    #[inline]
    fn read(tx_power: u8, rest: &[u8]) -> Option<Self> {
        let &eid = rest.first_chunk()?;
        Some(Self { eid, tx_power: tx_power.cast_signed() })
    }

    /// AD structures of a whole advertisement, Flags included.
    pub fn advertisement(&self) -> [u8; 21] {
        joined(&[&HEAD, &[13, 0x16, 0xaa, 0xfe, 0x30], &self.tx_power.to_be_bytes(), &self.eid])
    }
}

/// Unencrypted telemetry (version 0x00).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Telemetry {
    /// Battery, in millivolts; 0 where there is none (mains).
    pub voltage_mv: u16,
    /// In 1/256 degree Celsius; `None` where the beacon has no thermometer.
    pub temperature_256: Option<i16>,
    /// Advertisements since power-up.
    pub adv_count: u32,
    /// Time since power-up, in tenths of a second.
    pub uptime_ds: u32,
}

/// The value that means "no thermometer".
const NO_TEMPERATURE: i16 = i16::MIN;

impl Telemetry {
    #[inline]
    fn read(rest: &[u8]) -> Option<Self> {
        let (&voltage, rest) = rest.split_first_chunk()?;
        let (&temperature, rest) = rest.split_first_chunk()?;
        let (&count, rest) = rest.split_first_chunk()?;
        let &uptime = rest.first_chunk()?;
        let temperature = i16::from_be_bytes(temperature);
        Some(Self {
            voltage_mv: u16::from_be_bytes(voltage),
            temperature_256: (temperature != NO_TEMPERATURE).then_some(temperature),
            adv_count: u32::from_be_bytes(count),
            uptime_ds: u32::from_be_bytes(uptime),
        })
    }

    fn describe(&self) -> Described {
        let celsius = |raw| Value::Measured(f64::from(raw) / 256.0, "°C");
        let fields = vec![
            ("voltage_mv", Value::Millivolts(self.voltage_mv)),
            ("temperature_c", self.temperature_256.map_or(Value::Absent, celsius)),
            ("adv_count", Value::Number(self.adv_count)),
            ("uptime_ds", Value::Deciseconds(self.uptime_ds)),
        ];
        Described { kind: "eddystone_tlm", name: "Eddystone-TLM", fields }
    }

    /// AD structures of a whole advertisement, Flags included.
    pub fn advertisement(&self) -> [u8; 25] {
        joined(&[
            &HEAD,
            &[17, 0x16, 0xaa, 0xfe, 0x20, 0x00],
            &self.voltage_mv.to_be_bytes(),
            &self.temperature_256.unwrap_or(NO_TEMPERATURE).to_be_bytes(),
            &self.adv_count.to_be_bytes(),
            &self.uptime_ds.to_be_bytes(),
        ])
    }
}

/// Encrypted telemetry (version 0x01): recognised, not decrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EncryptedTelemetry {
    /// The encrypted fields of a [`Telemetry`].
    pub etlm: [u8; 12],
    pub salt: u16,
    /// Message integrity check of `etlm`.
    pub mic: u16,
}

impl EncryptedTelemetry {
    #[inline]
    fn read(rest: &[u8]) -> Option<Self> {
        let (&etlm, rest) = rest.split_first_chunk()?;
        let (&salt, rest) = rest.split_first_chunk()?;
        let &mic = rest.first_chunk()?;
        Some(Self { etlm, salt: u16::from_be_bytes(salt), mic: u16::from_be_bytes(mic) })
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Url<'a> {
    /// Power at 0 m, in dBm.
    pub tx_power: i8,
    scheme: &'static str,
    encoded: &'a [u8],
}

/// URL schemes, indexed by their code.
const SCHEMES: [&str; 4] = ["http://www.", "https://www.", "http://", "https://"];

/// Expansions of a URL, indexed by their code: each with a slash, then each without.
const EXPANSIONS: [&str; 14] = [
    ".com/", ".org/", ".edu/", ".net/", ".info/", ".biz/", ".gov/", ".com", ".org", ".edu", ".net",
    ".info", ".biz", ".gov",
];

impl<'a> Url<'a> {
    #[inline]
    fn read(tx_power: u8, rest: &'a [u8]) -> Option<Self> {
        let (&scheme, encoded) = rest.split_first()?;
        let &scheme = SCHEMES.get(usize::from(scheme))?;
        let legal = |&octet: &u8| usize::from(octet) < EXPANSIONS.len() || octet.is_ascii_graphic();
        encoded.iter().all(legal).then_some(Self {
            tx_power: tx_power.cast_signed(),
            scheme,
            encoded,
        })
    }

    /// The address in full: printable ASCII, no space.
    pub fn url(&self) -> String {
        let mut url = String::from(self.scheme);
        for &octet in self.encoded {
            match EXPANSIONS.get(usize::from(octet)) {
                Some(expansion) => url.push_str(expansion),
                None => url.push(char::from(octet)),
            }
        }
        url
    }
}
