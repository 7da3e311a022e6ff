//! The transmitter of the walk: named, or the one whose RSSI followed it.

use std::collections::BTreeMap;

use anyhow::{Context as _, bail};

use super::beacons::Beacons;
use super::levels::LEAST_SECONDS;
use super::walk::{Loudness, Stand, Step};
use crate::pipeline::advert::beacon::{IDENTITIES, IdentityFormat};
use crate::pipeline::advert::{self, Identifier};
use crate::pipeline::event::Address;
use crate::pipeline::units::Dbm;

/// The RSSI of a transmitter that follows the walk changes by this many of its standard deviations.
const FOLLOWS: f64 = 1.5;

/// Another one that follows nearly as well makes the choice doubtful.
const NEARLY: f64 = 0.7;

/// Even a device that stands still varies by this standard deviation, dB.
const LEAST_SPREAD_DB: f64 = 1.0;

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Whom {
    Client(String),
    /// A beacon, by its identity as [`beacon`] writes it.
    Beacon(String),
    Address([u8; 6]),
    /// The transmitter that follows the walk.
    #[default]
    Follower,
}

/// The transmitter that the walk is about.
#[derive(Debug, Clone, PartialEq)]
pub struct Chosen {
    /// `client`, `beacon`, `address` or `followed`.
    pub by: &'static str,
    /// In words, addresses shortened.
    pub name: String,
    /// What may be wrong with the choice.
    pub doubt: Option<String>,
    /// Its RSSI at each place.
    pub loudness: Loudness,
    /// What it reports of the shop's beacons.
    pub beacons: Beacons,
}

/// A transmitter, as far as its advertisements distinguish it from others.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Transmitter {
    Client(String),
    Beacon(String),
    Device(Address),
}

impl Transmitter {
    fn of(step: &Step) -> Self {
        if let Some(client) = &step.client {
            return Self::Client(client.clone());
        }
        beacon(&step.heard.payload).map_or(Self::Device(step.heard.address), Self::Beacon)
    }

    fn name(&self) -> String {
        match self {
            Self::Client(client) => format!("customer {client}"),
            Self::Beacon(identity) => format!("beacon {identity}"),
            Self::Device(Address { octets: [first, .., last], .. }) => {
                format!("device {first:02x}:…:{last:02x}")
            }
        }
    }
}

/// Chooses a transmitter, and collects its RSSI.
///
/// # Errors
/// No device, or no device that followed the walk clearly, was received.
pub fn choose(whom: &Whom, steps: &[Step]) -> anyhow::Result<Chosen> {
    let named = |by, name: String, wanted: &dyn Fn(&Step) -> bool| {
        let loudness = gather(steps.iter().filter(|step| wanted(step)));
        if loudness == Loudness::default() {
            bail!(
                "{name} was not heard\n  \
                 hint: does it advertise? `grelot scan` shows what is received"
            );
        }
        let beacons = beacons(steps.iter().filter(|step| wanted(step)));
        Ok(Chosen { by, name, doubt: None, loudness, beacons })
    };
    match whom {
        Whom::Client(client) => named("client", format!("customer {client}"), &|step| {
            step.client.as_deref() == Some(client)
        }),
        Whom::Beacon(identity) => named("beacon", format!("beacon {identity}"), &|step| {
            beacon(&step.heard.payload).as_ref() == Some(identity)
        }),
        Whom::Address(octets) => {
            let name = octets.map(|octet| format!("{octet:02x}")).join(":");
            named("address", format!("device {name}"), &|s| s.heard.address.octets == *octets)
        }
        Whom::Follower => follower(steps),
    }
}

fn gather<'a>(steps: impl Iterator<Item = &'a Step>) -> Loudness {
    let mut loudness = Loudness::default();
    for step in steps {
        if let Some(rssi) = step.heard.rssi.map(Dbm::value) {
            loudness.add(step.stand, step.at, rssi.into());
        }
    }
    loudness
}

fn beacons<'a>(steps: impl Iterator<Item = &'a Step>) -> Beacons {
    let mut beacons = Beacons::default();
    for step in steps {
        if let Some(echo) = step.echo {
            beacons.add(step.stand, step.at, echo);
        }
    }
    beacons
}

/// The transmitter whose RSSI changed most between outside and inside, compared with its own spread
/// at either.
fn follower(steps: &[Step]) -> anyhow::Result<Chosen> {
    let mut by_transmitter: BTreeMap<Transmitter, Vec<&Step>> = BTreeMap::new();
    for step in steps {
        by_transmitter.entry(Transmitter::of(step)).or_default().push(step);
    }
    let devices = by_transmitter.len();
    let mut followers: Vec<(f64, Transmitter, Loudness)> = by_transmitter
        .into_iter()
        .map(|(who, steps)| (who, gather(steps.into_iter())))
        .filter_map(|(who, loudness)| Some((swing(&loudness)?, who, loudness)))
        .collect();
    followers.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
    let mut followers = followers.into_iter();
    let (swing, who, loudness) = followers
        .next()
        .filter(|(swing, ..)| *swing >= FOLLOWS)
        .with_context(|| format!("none of the {devices} devices received followed the walk\n  hint: name yours with --client, --beacon or --address"))?;
    let doubt =
        followers.next().filter(|(other, ..)| *other >= NEARLY * swing).map(|(_, who, _)| {
            format!(
                "{} followed nearly as well: if that is yours, name it with --client, --beacon or \
             --address",
                who.name()
            )
        });
    let beacons = beacons(steps.iter().filter(|step| Transmitter::of(step) == who));
    let name = format!("{}, which followed the walk best of {devices} received", who.name());
    Ok(Chosen { by: "followed", name, doubt, loudness, beacons })
}

/// How far inside is from outside, in standard deviations of a second.
fn swing(loudness: &Loudness) -> Option<f64> {
    let at = |stand| loudness.at(stand).filter(|measured| measured.seconds >= LEAST_SECONDS);
    let (outside, inside) = (at(Stand::Outside)?, at(Stand::Inside)?);
    let spread = inside.pooled_spread_db(&outside).max(LEAST_SPREAD_DB);
    Some((inside.mean_dbm - outside.mean_dbm).abs() / spread)
}

/// The parts of a beacon's fixed identity, such as `UUID/major/minor`.
fn beacon(payload: &[u8]) -> Option<String> {
    advert::identifiers(payload).find_map(|said| match said {
        Identifier::Beacon { identity: Some(identity), .. } => Some(identity.parts().join("/")),
        _ => None,
    })
}

/// `--beacon` as it was typed, in the form of [`beacon`].
///
/// # Errors
/// The text is no beacon's identity.
pub fn beacon_named(text: &str) -> Result<String, String> {
    let parts: Vec<_> = text.split('/').collect();
    let identity = IDENTITIES.iter().find_map(|format| format.parse(&parts).ok());
    identity.map(|identity| identity.parts().join("/")).ok_or_else(|| {
        let form = |format: &&IdentityFormat| {
            let parts: Vec<_> = format.parts.iter().map(|(key, _)| *key).collect();
            format!("{} ({})", parts.join("/"), format.word)
        };
        IDENTITIES.iter().map(form).collect::<Vec<_>>().join(", ")
    })
}

/// `5a:11:22:33:44:55`
///
/// # Errors
/// The text is no address.
pub fn address(text: &str) -> Result<[u8; 6], String> {
    let mut octets = [0; 6];
    let mut pairs = text.split(':');
    for octet in &mut octets {
        let pair = pairs.next().filter(|pair| pair.len() == 2);
        *octet = pair.and_then(|pair| u8::from_str_radix(pair, 16).ok()).ok_or(ADDRESS)?;
    }
    if pairs.next().is_some() { Err(ADDRESS.to_owned()) } else { Ok(octets) }
}

const ADDRESS: &str = "an address is written 5a:11:22:33:44:55";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::event::AddressKind;
    use crate::sources::Advertisement;
    use std::time::Duration;

    fn steps(last: u8, levels: [i16; 3], wobble: i16) -> Vec<Step> {
        let mut steps = Vec::new();
        for (stand, level) in Stand::ALL.into_iter().zip(levels) {
            for second in 0..10_u64 {
                let rssi = level + if second % 2 == 0 { wobble } else { -wobble };
                let octets = [0xc0, 0, 0, 0, 0, last];
                steps.push(Step {
                    at: Duration::from_secs(second),
                    stand,
                    heard: Advertisement {
                        gateway: None,
                        address: Address { kind: AddressKind::Random, octets },
                        rssi: Dbm::measured(rssi),
                        payload: vec![2, 1, 6],
                    },
                    client: None,
                    echo: None,
                });
            }
        }
        steps
    }

    #[test]
    fn the_one_that_followed_is_found_among_louder_ones_that_did_not() {
        let mut all = steps(1, [-50, -50, -52], 1);
        all.extend(steps(2, [-80, -70, -62], 3));
        all.extend(steps(3, [-70, -75, -70], 6));
        let chosen = choose(&Whom::Follower, &all).unwrap();
        assert_eq!(chosen.name, "device c0:…:02, which followed the walk best of 3 received");
        assert_eq!(chosen.doubt, None);
    }

    #[test]
    fn where_two_followed_it_says_so_and_where_none_did_it_asks() {
        let mut all = steps(1, [-80, -70, -62], 3);
        all.extend(steps(2, [-82, -70, -62], 3));
        let chosen = choose(&Whom::Follower, &all).unwrap();
        assert!(chosen.doubt.unwrap().starts_with("device c0:…:01 followed nearly as well"));
        let error = choose(&Whom::Follower, &steps(1, [-50, -50, -52], 3)).unwrap_err();
        assert!(error.to_string().contains("name yours"), "{error}");
    }

    #[test]
    fn a_named_device_is_taken_and_one_that_was_not_received_is_reported() {
        let all = steps(7, [-50, -50, -52], 3);
        let chosen = choose(&Whom::Address([0xc0, 0, 0, 0, 0, 7]), &all).unwrap();
        assert_eq!((chosen.by, chosen.name.as_str()), ("address", "device c0:00:00:00:00:07"));
        assert!(choose(&Whom::Client("c-7f3a".into()), &all).is_err());
    }

    #[test]
    fn what_names_no_beacon_is_refused() {
        let name = "E2C56DB5-DFFB-48D2-B060-D0F5A71096E0/1/2";
        assert_eq!(beacon_named(name).unwrap(), name.to_lowercase());
        for wrong in ["", "x/1/2", "e2c56db5-dffb-48d2-b060-d0f5a71096e0/1/65536", "00/00"] {
            assert!(beacon_named(wrong).is_err(), "{wrong}");
        }
        assert!(address("5a:11:22:33:44").is_err() && address("5a:11:22:33:44:5g").is_err());
    }
}
