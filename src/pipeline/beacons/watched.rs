//! One beacon's state: when it was received, its usual RSSI, its addresses.

use std::sync::Arc;
use std::time::Duration;

use super::state::{BeaconState, OwnBeacon};
use crate::pipeline::address::Address;
use crate::pipeline::advert::BeaconHealth;
use crate::pipeline::units::{Now, Tick};

/// Deviation from the usual RSSI that means that the beacon was moved, or something was put in
/// front of it: more than fading makes of an average over [`RECENT`] readings.
const MOVED_DB: f32 = 12.0;
/// How long the deviation must last.
const MOVED_FOR: Duration = Duration::from_mins(2);
/// Readings in the recent mean, and in the usual one.
const RECENT: f32 = 16.0;
const USUAL: f32 = 512.0;
/// Readings after which the usual mean is valid.
const LEARNED: u32 = 64;
/// A beacon that changes its address does not go back to the old one; two beacons with the same
/// identity take turns.
const TURNS_WITHIN: Duration = Duration::from_secs(30);
/// How long after the last turn there are taken to be two.
const CLONED_FOR: Duration = Duration::from_mins(10);
/// How often `last_heard` is reported.
const REPORT_EVERY: Duration = Duration::from_mins(5);
/// Change of the battery voltage that is reported: above a hundredth of a coin cell's 3 V.
const BATTERY_STEP_MV: u16 = 50;

#[derive(Debug)]
pub struct Watched {
    pub beacon: OwnBeacon,
    pub state: BeaconState,
    /// When it was received last, or when listening began.
    since: Tick,
    reported_at: Tick,
    usual: Average,
    recent: Average,
    apart_since: Option<Tick>,
    sender: Option<Address>,
    before: Option<(Address, Tick)>,
    cloned_at: Option<Tick>,
}

impl Watched {
    /// A beacon to watch from `now` on.
    pub fn new(beacon: OwnBeacon, now: Tick) -> Self {
        let state = BeaconState {
            name: Arc::clone(&beacon.name),
            last_heard: None,
            missing: false,
            moved: false,
            cloned: false,
            rssi: None,
            battery_mv: None,
            temperature_c: None,
        };
        Self {
            beacon,
            state,
            since: now,
            reported_at: now,
            usual: Average::new(USUAL),
            recent: Average::new(RECENT),
            apart_since: None,
            sender: None,
            before: None,
            cloned_at: None,
        }
    }

    /// When it will be missing if it stays silent; `None` where it is missing already.
    pub fn missing_at(&self) -> Option<Tick> {
        (!self.state.missing).then(|| self.since.plus(self.beacon.missing_after))
    }

    /// Marks it as missing.
    pub fn go_missing(&mut self, now: Tick) -> BeaconState {
        self.state.missing = true;
        self.report(now)
    }

    /// Silence before `now` does not count.
    pub fn listen_from(&mut self, now: Tick) {
        self.since = self.since.max(now);
    }

    /// Takes its advertisement; returns its state where that must be reported.
    pub fn hear(&mut self, now: Now, sender: Address, rssi: Option<f32>) -> Option<BeaconState> {
        let first = self.state.last_heard.is_none();
        let before = (self.state.missing, self.state.moved, self.state.cloned);
        self.since = now.tick;
        self.state.last_heard = Some(now.clock.reading());
        self.state.missing = false;
        self.judge_sender(now.tick, sender);
        if let Some(rssi) = rssi {
            self.judge_loudness(now.tick, rssi);
        }
        let changed = before != (self.state.missing, self.state.moved, self.state.cloned);
        let due = first || changed || now.tick.since(self.reported_at) >= REPORT_EVERY;
        due.then(|| self.report(now.tick))
    }

    fn judge_sender(&mut self, now: Tick, sender: Address) {
        if let Some(last) = self.sender.filter(|last| *last != sender) {
            let back = self.before.is_some_and(|(address, heard)| {
                address == sender && now.since(heard) < TURNS_WITHIN
            });
            if back {
                self.cloned_at = Some(now);
            }
            self.before = Some((last, now));
        }
        self.sender = Some(sender);
        self.state.cloned = self.cloned_at.is_some_and(|at| now.since(at) < CLONED_FOR);
    }

    fn judge_loudness(&mut self, now: Tick, rssi: f32) {
        let recent = self.recent.add(rssi);
        self.state.rssi = Some(recent);
        let far = self.usual.count >= LEARNED && (recent - self.usual.mean).abs() >= MOVED_DB;
        if far {
            let since = *self.apart_since.get_or_insert(now);
            self.state.moved = now.since(since) >= MOVED_FOR;
        } else {
            self.apart_since = None;
            self.state.moved = false;
            self.usual.add(rssi);
        }
    }

    /// Takes its battery voltage and temperature; returns its state where that must be reported.
    pub fn read(&mut self, now: Tick, health: &BeaconHealth) -> Option<BeaconState> {
        let battery = health.battery_mv;
        let step = match (battery, self.state.battery_mv) {
            (Some(new), Some(old)) => new.abs_diff(old) >= BATTERY_STEP_MV,
            (new, old) => new != old,
        };
        if step {
            self.state.battery_mv = battery;
        }
        // Thousandths of a degree below a million are exact.
        #[expect(clippy::cast_precision_loss, reason = "thermometers end long before")]
        let celsius = |millis: i32| millis as f32 / 1000.0;
        self.state.temperature_c = health.temperature_mc.map(celsius);
        step.then(|| self.report(now))
    }

    fn report(&mut self, now: Tick) -> BeaconState {
        self.reported_at = now;
        self.state.clone()
    }
}

/// A moving mean.
#[derive(Debug)]
struct Average {
    mean: f32,
    count: u32,
    over: f32,
}

impl Average {
    const fn new(over: f32) -> Self {
        Self { mean: 0.0, count: 0, over }
    }

    #[expect(clippy::cast_precision_loss, reason = "only counts below `over` differ")]
    fn add(&mut self, value: f32) -> f32 {
        self.count = self.count.saturating_add(1);
        self.mean += (value - self.mean) / (self.count as f32).min(self.over);
        self.mean
    }
}
