//! A person or thing in the scene: a path through it and a device that advertises.

use std::collections::VecDeque;
use std::sync::Arc;

use super::advertiser::{Advertiser, random_address};
use super::floor_plan::Point;
use super::path::Path;
use super::radio::{Carried, Phone, RadioPath};
use super::random::Random;
use super::trajectory::Walk;
use crate::pipeline::advert::Echo;
use crate::pipeline::event::Address;
use crate::pipeline::units::{Dbm, WallTime};
use crate::sources::GroundTruth;

/// Random addresses last for about a quarter of an hour (Core, Vol 3 Part C 10.7; Android's and
/// Apple's choice).
const ADDRESS_S: f64 = 900.0;

/// A device adds up to this random delay to each interval (Core, Vol 6 Part B 4.4.2.2.1).
const JITTER_S: f64 = 0.010;

/// Interval at which the app ranges the beacons, as on iOS.
const RANGING_S: f64 = 1.0;

/// The app advertises for this long after it last received a beacon of the shop.
const ADVERTISES_AFTER_S: f64 = 20.0;

/// The beacons' power at 1 m, in dBm.
const BEACON_AT_1_M_DBM: f64 = -59.0;

/// A phone receives no beacon below this.
const PHONE_SENSITIVITY_DBM: f64 = -96.0;

/// A person or thing with one device.
#[derive(Debug)]
pub struct Agent {
    path: Path,
    truth: VecDeque<(f64, GroundTruth)>,
    client: Option<Arc<str>>,
    device: Device,
    /// One radio path for each gateway.
    receivers: Vec<RadioPath>,
}

#[derive(Debug)]
pub struct Device {
    pub advertiser: Advertiser,
    /// Where it is carried.
    pub carried: Carried,
    /// RSSI at 1 m in the open, in dBm.
    pub at_1_m_dbm: f64,
    /// Seconds between two advertisements.
    pub interval_s: f64,
    /// Its current address.
    pub address: Address,
    /// When it changes its address; never, for most things that are not phones.
    pub next_address_s: f64,
    /// When it advertises next.
    pub next_s: f64,
    /// The shop's beacons that it receives, if it ranges them.
    pub ranging: Option<Ranging>,
    /// Random numbers of this device alone.
    pub random: Random,
}

/// An app that listens for the shop's beacons.
#[derive(Debug)]
pub struct Ranging {
    /// Each beacon with its zone.
    pub beacons: Vec<(u8, RadioPath)>,
    /// How long the phone takes to wake the app after it receives a beacon.
    pub wake_s: f64,
    /// When it ranges again.
    pub next_s: f64,
    /// From when to when it advertises.
    pub speaks: Option<(f64, f64)>,
    /// The echo that it advertises.
    pub echo: Echo,
}

/// The next event of an agent.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Next {
    /// The ground truth changes at this time.
    GroundTruth(f64),
    /// Its device advertises at this time.
    Advertises(f64),
    /// It has left the scene.
    Gone,
}

impl Agent {
    /// A person on `walk`, received by `receivers`.
    pub fn new(
        walk: Walk,
        client: Option<Arc<str>>,
        device: Device,
        receivers: Vec<RadioPath>,
    ) -> Self {
        let truth = if client.is_some() { walk.truth.into() } else { VecDeque::new() };
        Self { path: walk.path, truth, client, device, receivers }
    }

    pub fn next(&self) -> Next {
        let advertises = self.device.next_s;
        match self.truth.front() {
            Some((at, _)) if *at <= advertises => Next::GroundTruth(*at),
            _ if advertises > self.path.end_s() => Next::Gone,
            _ => Next::Advertises(advertises),
        }
    }

    /// Takes the next change of the ground truth.
    pub fn tell(&mut self) -> Option<(GroundTruth, Arc<str>)> {
        let (_, word) = self.truth.pop_front()?;
        Some((word, Arc::clone(self.client.as_ref()?)))
    }

    /// Packets a second on each advertising channel.
    pub fn load(&self) -> f64 {
        1.0 / self.device.interval_s
    }

    /// The device advertises: address and payload, and the RSSI at each gateway that receives it.
    pub fn advertise(
        &mut self,
        now: WallTime,
        packets_per_s: f64,
        mut heard: impl FnMut(usize, Address, Dbm, &[u8]),
    ) {
        let device = &mut self.device;
        let at_s = device.next_s;
        let (place, facing) = self.path.at(at_s);
        device.next_s += device.interval_s + device.random.between(0.0, JITTER_S);
        let Some(echo) = device.range(at_s, place, facing) else { return };
        device.hide(at_s, now);
        let payload = device.advertiser.payload(now, echo);
        let phone = device.phone(at_s, place, facing);
        for (gateway, receiver) in self.receivers.iter_mut().enumerate() {
            if let Some(rssi) = receiver.hear(&phone, packets_per_s) {
                heard(gateway, device.address, rssi, &payload);
            }
        }
    }
}

impl Device {
    const fn phone(&self, at_s: f64, place: Point, facing: Point) -> Phone {
        Phone { at_s, place, facing, carried: self.carried, at_1_m_dbm: self.at_1_m_dbm }
    }

    /// Ranges the beacons; the echo to advertise, or `None` while the app does not advertise.
    fn range(&mut self, at_s: f64, place: Point, facing: Point) -> Option<Echo> {
        const NONE: Echo = Echo { zone: 0, level: 0 };
        let mut phone = self.phone(at_s, place, facing);
        phone.at_1_m_dbm = BEACON_AT_1_M_DBM;
        let Some(ranging) = &mut self.ranging else { return Some(NONE) };
        if at_s >= ranging.next_s {
            ranging.next_s = at_s + RANGING_S;
            ranging.look(&phone);
        }
        let (from, until) = ranging.speaks?;
        (at_s >= from && at_s <= until).then_some(ranging.echo)
    }

    /// Changes the address when it is time, or when a new advertising set starts.
    fn hide(&mut self, at_s: f64, now: WallTime) {
        let restarts = self.advertiser.restarts(now);
        if at_s < self.next_address_s && !restarts {
            return;
        }
        self.next_address_s = at_s + ADDRESS_S + self.random.between(-30.0, 30.0);
        match &mut self.advertiser {
            Advertiser::Foreign(kind, payload) => {
                self.address = kind.address(&mut self.random);
                *payload = kind.payload(&mut self.random);
            }
            _ => self.address = random_address(&mut self.random, 0b01),
        }
    }
}

impl Ranging {
    /// The level of each beacon is the mean of a few packets, as ranging gives it.
    fn look(&mut self, phone: &Phone) {
        const PACKETS: u8 = 3;
        let levels = self.beacons.iter_mut().map(|(zone, link)| {
            let sum: f64 = (0..PACKETS).map(|_| link.level_dbm(phone)).sum();
            (*zone, sum / f64::from(PACKETS))
        });
        let best = levels.max_by(|(_, one), (_, other)| one.total_cmp(other));
        let heard = best.filter(|(_, level)| *level >= PHONE_SENSITIVITY_DBM);
        let Some((zone, level)) = heard else {
            self.echo = Echo { zone: 0, level: 0 };
            return;
        };
        #[expect(clippy::cast_possible_truncation, reason = "a cast from f64 saturates")]
        let level = Dbm::measured(level.round() as i16);
        self.echo = level.map_or(Echo { zone, level: 0 }, |level| Echo::hearing(zone, level));
        let until = phone.at_s + ADVERTISES_AFTER_S;
        let from = match self.speaks {
            Some((from, spoke_until)) if phone.at_s <= spoke_until => from,
            _ => phone.at_s + self.wake_s,
        };
        self.speaks = Some((from, until));
    }
}
