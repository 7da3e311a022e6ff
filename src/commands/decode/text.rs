//! The description of an advertisement for people at a terminal. Radio bytes are hostile: names
//! and addresses are written with their control characters escaped.

use std::fmt::{Display, Write as _};
use std::io::{self, Write};

use crate::pipeline::advert::apple::{self, Message};
use crate::pipeline::advert::beacon::{Described, Value};
use crate::pipeline::advert::token::Carrier;
use crate::pipeline::advert::{Ad, Description, Ours};

/// Writes the advertisement, and below it a line for each of its parts.
pub(super) fn write(
    out: &mut impl Write,
    payload: &[u8],
    description: &Description<'_>,
) -> io::Result<()> {
    if payload.is_empty() {
        return writeln!(out, "(empty)");
    }
    writeln!(out, "{}", hex::encode(payload))?;
    if let Some(fault) = description.malformed {
        line(out, "malformed", fault)?;
    }
    write_ad(out, &description.ad)?;
    for message in &description.apple {
        line(out, "apple", AppleText(message))?;
    }
    if let Some(beacon) = description.beacon {
        line(out, beacon.class().word(), beacon_text(&beacon.describe()))?;
    }
    if let Some(ours) = description.ours {
        line(out, "grelot", ours_text(ours))?;
    }
    Ok(())
}

fn line(out: &mut impl Write, subject: &str, said: impl Display) -> io::Result<()> {
    writeln!(out, "  {subject:<13} {said}")
}

fn write_ad(out: &mut impl Write, ad: &Ad<'_>) -> io::Result<()> {
    if let Some(flags) = ad.flags {
        line(out, "flags", flags_text(flags))?;
    }
    if let Some(name) = &ad.local_name {
        line(out, "name", name.escape_debug())?;
    }
    if let Some(level) = ad.tx_power {
        line(out, "tx power", format_args!("{level} dBm"))?;
    }
    if let Some(appearance) = ad.appearance {
        line(out, "appearance", format_args!("{appearance:#06x}"))?;
    }
    if let Some(uri) = &ad.uri {
        line(out, "uri", uri.escape_debug())?;
    }
    for uuid in &ad.service_uuids {
        line(out, "service", uuid)?;
    }
    for (uuid, data) in &ad.service_data {
        line(out, "service data", format_args!("{uuid}: {}", hex::encode(data)))?;
    }
    for (company, data) in &ad.manufacturer_data {
        line(out, "manufacturer", format_args!("{company:04x}: {}", hex::encode(data)))?;
    }
    Ok(())
}

fn flags_text(flags: u8) -> String {
    const MEANINGS: [&str; 5] = [
        "LE limited discoverable",
        "LE general discoverable",
        "BR/EDR not supported",
        "LE and BR/EDR controller",
        "LE and BR/EDR host",
    ];
    let set = (0..).zip(MEANINGS).filter(|(bit, _)| flags >> bit & 1 == 1);
    let meanings: Vec<_> = set.map(|(_, meaning)| meaning).collect();
    format!("{flags:#04x} {}", meanings.join(", "))
}

struct AppleText<'a>(&'a Message<'a>);

impl Display for AppleText<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let kind = self.0.kind();
        write!(f, "{kind:#04x} {}", apple::name(kind))?;
        match self.0 {
            Message::Overflow(mask) => {
                f.write_str(", bits")?;
                (0..128).filter(|&bit| mask.shows(bit)).try_for_each(|bit| write!(f, " {bit}"))
            }
            Message::Other { data, .. } => write!(f, ": {}", hex::encode(data)),
        }
    }
}

/// The name, then each field with its unit; a unit in the key is left out there.
fn beacon_text(beacon: &Described) -> String {
    let mut text = beacon.name.to_owned();
    for (key, value) in &beacon.fields {
        let value = match value {
            Value::Absent => "-".to_owned(),
            Value::Text(text) => text.escape_debug().to_string(),
            Value::Number(number) => number.to_string(),
            Value::Code(code) => format!("{code:04x}"),
            Value::Flag(flag) => if *flag { "yes" } else { "no" }.to_owned(),
            Value::Dbm(power) => format!("{power} dBm"),
            Value::Millivolts(voltage) => format!("{voltage} mV"),
            Value::Deciseconds(time) => format!("{} s", time / 10),
            Value::Measured(value, unit) => format!("{value:.1} {unit}"),
        };
        let units = ["_mv", "_c", "_ds", "_hex", "_percent", "_hpa", "_mg"];
        let key = units.iter().find_map(|unit| key.strip_suffix(unit)).unwrap_or(key);
        // Writing to a string cannot fail.
        let _ = write!(text, ", {} {value}", key.replace('_', " "));
    }
    text
}

fn ours_text(ours: Ours) -> String {
    match ours {
        Ours::Token { token, echo, carrier } => {
            let carrier = match carrier {
                Carrier::ServiceData => "service data",
                Carrier::ServiceUuid => "a service UUID",
            };
            let hears = match (echo.zone, echo.rssi()) {
                (0, _) => "hears no beacon of the shop".into(),
                (zone, None) => format!("hears zone {zone}"),
                (zone, Some(rssi)) => format!("hears zone {zone} at about {} dBm", rssi.value()),
            };
            format!("token {} in {carrier}; {hears}", hex::encode(token))
        }
        Ours::OverflowHint => "perhaps our app in the background: overflow bit 106 is set".into(),
    }
}
