//! Statistics of the shop's own traffic: for each gateway and beacon, the levels of customers who
//! stay and of those who pass. Counts and means only, no customers.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::pipeline::gateway::{Gateway, GatewayIndex, Place};
use crate::pipeline::units::Tick;

/// A customer of whom staff say nothing counts as staying if received for at least this long ...
const STAYS: Duration = Duration::from_secs(100);
/// ... and as passing if received for at most this long.
const PASSES: Duration = Duration::from_secs(40);
/// A reading counts for the time since the last one, at most this many seconds.
const SPEAKS_FOR_S: f32 = 5.0;
/// Customers that a mean covers: weeks in a small shop.
const MOST: f32 = 300.0;
/// Customers that the recent mean covers, which shows that a gateway was moved ...
const RECENT: f32 = 15.0;
/// ... if it differs from the mean of all by this much, in dB, once there are this many customers.
const MOVED_DB: f32 = 9.0;
const MOVED_AFTER: f32 = 40.0;

/// Gateways whose levels are kept for each customer.
pub const GATEWAYS: usize = 4;
pub const KINDS: usize = 3;

/// A running mean and the number of customers in it.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Mean {
    /// Customers, at most `MOST`.
    pub count: f32,
    /// In dBm; a fraction (0 to 1) where it is one of echoes.
    pub mean: f32,
}

impl Mean {
    /// The mean of a fraction as log-odds.
    #[must_use]
    pub fn log_odds(self) -> Self {
        let part = self.mean.clamp(0.02, 0.98);
        Self { mean: (part / (1.0 - part)).ln(), ..self }
    }

    fn add(&mut self, value: f32, most: f32) {
        self.count = (self.count + 1.0).min(most);
        self.mean += (value - self.mean) / self.count;
    }
}

/// Statistics of one gateway.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct GatewayTraffic {
    /// Mean level of customers who stay.
    pub stays: Mean,
    /// Highest level of customers who stay.
    pub stay_peaks: Mean,
    /// Highest level of customers who pass.
    pub passes: Mean,
    /// Mean level of the last few customers who stayed.
    pub recent: Mean,
}

/// Statistics of the beacons at one kind of place.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct BeaconTraffic {
    /// Level at which phones of customers who stay report it.
    pub stays: Mean,
    /// Fraction of the echoes of customers who stay that name it.
    pub stay_share: Mean,
    /// Level at which phones of customers who pass report it.
    pub passes: Mean,
    /// Fraction of the echoes of customers who pass that name it.
    pub pass_share: Mean,
}

/// The statistics of one shop.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Survey {
    /// By the gateways' names.
    pub gateways: BTreeMap<String, GatewayTraffic>,
    /// By [`kind`] of place.
    pub beacons: [BeaconTraffic; KINDS],
    /// Number of customers who stayed.
    pub stays: f32,
    /// Number of customers who passed.
    pub passes: f32,
}

/// Index of a kind of place.
pub const fn kind(place: Place) -> usize {
    match place {
        Place::Door => 0,
        Place::Inside => 1,
        Place::Outside => 2,
    }
}

/// The levels of one customer at one gateway, in a compact form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Level {
    /// In 1/128 dB.
    mean: i16,
    /// Time that the mean covers, in tenths of a second.
    tenths: u16,
}

impl Level {
    fn add(&mut self, dbm: f32, seconds: f32) {
        let tenths = (seconds * 10.0).max(1.0);
        let all = f32::from(self.tenths) + tenths;
        let mean = f32::from(self.mean) + (dbm * 128.0 - f32::from(self.mean)) * tenths / all;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "they saturate"
        )]
        {
            self.mean = mean as i16;
            self.tenths = all as u16;
        }
    }

    fn mean_dbm(self) -> f32 {
        f32::from(self.mean) / 128.0
    }
}

/// What one customer, who is received now, will add to the survey.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Heard {
    /// In milliseconds, which wrap; not valid while there are no levels.
    first_ms: u32,
    last_ms: u32,
    begun: bool,
    gateways: [Level; GATEWAYS],
    /// The highest level at each gateway, in dBm; 0 is none.
    peaks: [i8; GATEWAYS],
    beacons: [Level; KINDS],
}

impl Heard {
    pub const fn nothing() -> Self {
        const NONE: Level = Level { mean: 0, tenths: 0 };
        Self {
            first_ms: 0,
            last_ms: 0,
            begun: false,
            gateways: [NONE; GATEWAYS],
            peaks: [0; GATEWAYS],
            beacons: [NONE; KINDS],
        }
    }

    /// Adds one reading: the gateway, the level, and the kind of place and level of the beacon in
    /// the echo. Returns the seconds since the last reading; 0 for the first.
    pub fn add(
        &mut self,
        now: Tick,
        gateway: GatewayIndex,
        dbm: Option<f32>,
        echo: Option<(usize, f32)>,
    ) -> f32 {
        let now_ms = millis(now);
        if !self.begun {
            (self.first_ms, self.last_ms, self.begun) = (now_ms, now_ms, true);
        }
        let since_ms = now_ms.wrapping_sub(std::mem::replace(&mut self.last_ms, now_ms));
        let gap_s = Duration::from_millis(since_ms.into()).as_secs_f32();
        let seconds = gap_s.min(SPEAKS_FOR_S);
        let nth = usize::from(gateway.0);
        let at = self.gateways.get_mut(nth).zip(self.peaks.get_mut(nth));
        if let (Some((level, peak)), Some(dbm)) = (at, dbm.map(|dbm| dbm.clamp(-127.0, -1.0))) {
            level.add(dbm, seconds);
            *peak = follow(*peak, dbm);
        }
        if let Some((kind, dbm)) = echo
            && let Some(level) = self.beacons.get_mut(kind)
        {
            level.add(dbm, seconds);
        }
        gap_s
    }

    /// Whether the customer stays, by the time of reception alone; `None` where that decides
    /// nothing.
    pub fn stays(&self) -> Option<bool> {
        let lasted = Duration::from_millis(self.last_ms.wrapping_sub(self.first_ms).into());
        (self.begun && (lasted >= STAYS || lasted <= PASSES)).then_some(lasted >= STAYS)
    }

    /// Deletes the levels at one gateway, or all.
    pub fn forget(&mut self, gateway: Option<GatewayIndex>) {
        let Some(gateway) = gateway else {
            (self.gateways, self.beacons) = ([Level::default(); _], [Level::default(); _]);
            self.peaks = [0; _];
            return;
        };
        let nth = usize::from(gateway.0);
        if let Some((level, peak)) = self.gateways.get_mut(nth).zip(self.peaks.get_mut(nth)) {
            (*level, *peak) = (Level::default(), 0);
        }
    }
}

/// A highest level that follows single readings half-way, because one may be an accident of fading.
#[expect(clippy::cast_possible_truncation, reason = "a level")]
fn follow(peak: i8, dbm: f32) -> i8 {
    match f32::from(peak) {
        0.0 => dbm as i8,
        before if dbm > before => f32::midpoint(before, dbm).ceil() as i8,
        _ => peak,
    }
}

/// The lower half of the milliseconds since the start: the difference of two moments within weeks
/// is right.
pub fn millis(now: Tick) -> u32 {
    let [.., a, b, c, d] = (now.as_micros() / 1000).to_be_bytes();
    u32::from_be_bytes([a, b, c, d])
}

impl Survey {
    /// Adds one customer of the store with these gateways, who stayed or passed. Returns whether
    /// the survey changed.
    pub fn add(&mut self, heard: &Heard, stays: bool, gateways: &[Gateway]) -> bool {
        if !heard.begun {
            return false;
        }
        let count = if stays { &mut self.stays } else { &mut self.passes };
        *count += 1.0;
        if self.stays + self.passes > 2.0 * MOST {
            (self.stays, self.passes) = (self.stays * 0.9, self.passes * 0.9);
        }
        for ((gateway, level), peak) in gateways.iter().zip(&heard.gateways).zip(&heard.peaks) {
            if level.tenths == 0 {
                continue;
            }
            let traffic = self.gateways.entry(gateway.name.clone()).or_default();
            if !stays {
                traffic.passes.add((*peak).into(), MOST);
                continue;
            }
            traffic.stays.add(level.mean_dbm(), MOST);
            traffic.stay_peaks.add((*peak).into(), MOST);
            traffic.recent.add(level.mean_dbm(), RECENT);
            let off_db = traffic.recent.mean - traffic.stays.mean;
            if traffic.stays.count >= MOVED_AFTER && off_db.abs() > MOVED_DB {
                *traffic = GatewayTraffic::default();
            }
        }
        let echoed: f32 = heard.beacons.iter().map(|level| f32::from(level.tenths)).sum();
        if echoed > 0.0 {
            for (traffic, level) in self.beacons.iter_mut().zip(&heard.beacons) {
                let (mean, share) = if stays {
                    (&mut traffic.stays, &mut traffic.stay_share)
                } else {
                    (&mut traffic.passes, &mut traffic.pass_share)
                };
                share.add(f32::from(level.tenths) / echoed, MOST);
                if level.tenths > 0 {
                    mean.add(level.mean_dbm(), MOST);
                }
            }
        }
        true
    }

    /// Deletes what was learned of one gateway; without a name, of all gateways and beacons.
    pub fn forget(&mut self, gateway: Option<&str>) {
        match gateway {
            Some(gateway) => drop(self.gateways.remove(gateway)),
            None => *self = Self::default(),
        }
    }

    /// Deletes gateways that the store no longer has.
    pub fn keep(&mut self, gateways: &[Gateway]) {
        self.gateways.retain(|name, _| gateways.iter().any(|gateway| gateway.name == *name));
    }
}
