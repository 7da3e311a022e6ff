//! A trace of contacts: one stay of a customer near the shop as the presence filter received it,
//! without the customer. Enough for the same filter to decide the same again.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::pipeline::Place;
use crate::pipeline::presence::survey::{self, Mean};
use crate::pipeline::presence::{PERIOD_US, Survey};
use crate::pipeline::units::Dbm;

/// Contacts of one trace: a minute of ten a second, then half an hour of one in two seconds. About
/// 30 kB.
pub const MOST_CONTACTS: usize = 1_500;

/// Decisions, surveys and changes of reception of one trace.
pub const MOST_CHANGES: usize = 50;

/// Ids of traces in one report of a withdrawal.
pub const MOST_WITHDRAWN: usize = 500;

/// The longest trace.
pub const LONGEST: Duration = Duration::from_hours(24);

/// The filter distinguishes no more.
const MOST_GATEWAYS: usize = 64;

/// Of a gateway's name, in octets.
const LONGEST_NAME: usize = 64;

/// One stay, from the first contact until the customer was followed no longer. Times are in
/// microseconds since its beginning.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Trace {
    /// Random: 16 hexadecimal digits.
    pub trace: String,
    /// The reference in the visit's own report; absent where no visit was opened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub visit: Option<String>,
    /// The store's gateways; the first is the one that reports.
    pub gateways: Vec<TraceGateway>,
    /// Where the shop's beacons stand.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub zones: Vec<TraceZone>,
    /// Where in the filter's period of 1,048.576 s it began: not a time of day.
    pub phase_us: u64,
    /// The RSSI offset of the phone from earlier visits, in whole dB from -6 to 6.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub phone_db: i8,
    /// Whether the registry says how loud the phone's model is; levels are then an average phone's.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub phone_model_known: bool,
    /// Gateways, by index, whose silence meant something from the beginning.
    pub listening: Vec<u8>,
    /// Gateways that stopped receiving, or received again.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reception: Vec<TraceReception>,
    /// The shop's statistics at the beginning, and whenever they changed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub surveys: Vec<TraceSurvey>,
    pub received: Vec<TraceContact>,
    /// What the gateway decided.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub decisions: Vec<TraceDecision>,
    /// When the customer was followed no longer, or the trace was cut.
    pub ended_us: u64,
    /// Why it is not whole; absent where it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cut: Option<TraceCut>,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct TraceGateway {
    pub name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<TracePlace>,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct TraceZone {
    /// 1 to 15.
    pub zone: u8,
    pub place: TracePlace,
}

/// Where a gateway or a beacon stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TracePlace {
    Door,
    Inside,
    Outside,
}

/// One contact, on the wire an array of four: microseconds since the contact before, the gateway's
/// index, RSSI in dBm (null where unknown), the phone's echo of a beacon (zone and level in one
/// octet, or null).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TraceContact(pub u64, pub u8, pub Option<i8>, pub Option<u8>);

/// A gateway's radio stopped receiving, or received again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TraceReception {
    pub at_us: u64,
    /// Its index.
    pub gateway: u8,
    pub blind: bool,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TraceDecision {
    pub at_us: u64,
    pub what: TraceEvent,
    /// Probability of being inside; of arrivals and returns.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confidence: Option<f64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TraceEvent {
    Arrived,
    Returned,
    Departed,
}

/// Why a trace is not whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TraceCut {
    /// There were more contacts, or more changes, than a trace takes.
    Full,
    /// It lasted for longer than a day.
    Long,
}

/// Statistics of the shop's traffic: no customers. A mean is an array of two: the number of
/// customers, and the mean.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct TraceSurvey {
    pub at_us: u64,
    /// Customers who stayed.
    pub stays: f32,
    /// Customers who passed.
    pub passes: f32,
    pub gateways: Vec<TraceTraffic>,
    /// Of the beacons at the door, inside and outside: level and share of customers who stay, level
    /// and share of customers who pass.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub beacons: Vec<[(f32, f32); 4]>,
}

/// Of one gateway: mean and highest levels of customers who stay, highest levels of those who pass,
/// mean levels of the last few who stayed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TraceTraffic {
    pub name: String,
    pub means: [(f32, f32); 4],
}

/// The traces of a customer who withdrew consent: head office deletes them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WithdrawnTraces {
    pub traces: Vec<String>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks by reference")]
fn is_zero(number: &i8) -> bool {
    *number == 0
}

/// Whether it is an id or a reference as gateways make them: 16 hexadecimal digits.
pub fn is_reference(text: &str) -> bool {
    text.len() == 16 && text.bytes().all(|c| c.is_ascii_hexdigit())
}

impl Trace {
    /// Refuses what no gateway makes.
    ///
    /// # Errors
    /// What is wrong, in a few words.
    pub fn check(&self) -> Result<(), &'static str> {
        let longest = u64::try_from(LONGEST.as_micros()).unwrap_or(u64::MAX);
        let demand = |holds: bool, what| if holds { Ok(()) } else { Err(what) };
        let is_gateway = |index: u8| usize::from(index) < self.gateways.len();
        demand(is_reference(&self.trace), "its id is not one")?;
        demand(self.visit.as_deref().is_none_or(is_reference), "its visit is no reference")?;
        demand((1..=MOST_GATEWAYS).contains(&self.gateways.len()), "the number of gateways")?;
        let named = self.gateways.iter().all(|one| is_name(&one.name));
        demand(named, "a gateway's name")?;
        demand(self.zones.iter().all(|one| (1..=15).contains(&one.zone)), "a zone")?;
        demand(self.zones.len() <= 15, "the number of zones")?;
        demand(self.phase_us < PERIOD_US, "phase_us")?;
        demand((-6..=6).contains(&self.phone_db), "phone_db")?;
        demand(self.ended_us <= longest, "it is too long")?;
        demand((1..=MOST_CONTACTS).contains(&self.received.len()), "the number of contacts")?;
        let sum = self.received.iter().try_fold(0_u64, |sum, one| sum.checked_add(one.0));
        demand(sum.is_some_and(|sum| sum <= self.ended_us), "contacts after its end")?;
        let sound = |one: &TraceContact| {
            is_gateway(one.1) && one.2.is_none_or(|rssi| Dbm::measured(rssi.into()).is_some())
        };
        demand(self.received.iter().all(sound), "a contact")?;
        let listening = self.listening.len() <= MOST_GATEWAYS;
        demand(listening && self.listening.iter().all(|one| *one < 64), "listening")?;
        let times = self.reception.iter().map(|one| one.at_us);
        demand(
            self.are_times(times) && self.reception.iter().all(|one| one.gateway < 64),
            "reception",
        )?;
        demand(self.are_times(self.decisions.iter().map(|one| one.at_us)), "decisions")?;
        let shares = self.decisions.iter().filter_map(|one| one.confidence);
        demand(shares.into_iter().all(|share| (0.0..=1.0).contains(&share)), "a confidence")?;
        demand(self.are_times(self.surveys.iter().map(|one| one.at_us)), "surveys")?;
        demand(self.surveys.iter().all(TraceSurvey::is_sound), "a survey")
    }

    /// Not too many, in order, and within the trace.
    fn are_times(&self, times: impl ExactSizeIterator<Item = u64>) -> bool {
        let mut last = 0;
        times.len() <= MOST_CHANGES
            && times.into_iter().all(|at| {
                let fits = last <= at && at <= self.ended_us;
                last = at;
                fits
            })
    }

    /// When staff were or could be alerted.
    pub fn arrived(&self) -> Option<Duration> {
        let arrived = self.decisions.iter().find(|one| one.what == TraceEvent::Arrived);
        arrived.map(|one| Duration::from_micros(one.at_us))
    }
}

impl TraceSurvey {
    /// `survey`, as it was `at_us` after the beginning.
    pub fn of(survey: &Survey, at_us: u64) -> Self {
        let pair = |mean: Mean| (mean.count, mean.mean);
        let gateways = survey.gateways.iter().map(|(name, of)| TraceTraffic {
            name: name.clone(),
            means: [of.stays, of.stay_peaks, of.passes, of.recent].map(pair),
        });
        let beacons = survey
            .beacons
            .iter()
            .map(|of| [of.stays, of.stay_share, of.passes, of.pass_share].map(pair));
        let any = survey.beacons.iter().any(|of| *of != survey::BeaconTraffic::default());
        Self {
            at_us,
            stays: survey.stays,
            passes: survey.passes,
            gateways: gateways.collect(),
            beacons: if any { beacons.collect() } else { Vec::new() },
        }
    }

    /// The survey that it says.
    pub fn survey(&self) -> Survey {
        let mean = |(count, mean): (f32, f32)| Mean { count, mean };
        let gateways = self.gateways.iter().map(|one| {
            let [stays, stay_peaks, passes, recent] = one.means.map(mean);
            (one.name.clone(), survey::GatewayTraffic { stays, stay_peaks, passes, recent })
        });
        let mut survey = Survey {
            gateways: gateways.collect(),
            stays: self.stays,
            passes: self.passes,
            ..Survey::default()
        };
        for (of, means) in survey.beacons.iter_mut().zip(&self.beacons) {
            let [stays, stay_share, passes, pass_share] = means.map(mean);
            *of = survey::BeaconTraffic { stays, stay_share, passes, pass_share };
        }
        survey
    }

    fn is_sound(&self) -> bool {
        let is_count = |count: f32| count.is_finite() && count >= 0.0;
        let is_mean = |(count, mean): &(f32, f32)| is_count(*count) && mean.is_finite();
        let of_gateway = |one: &TraceTraffic| is_name(&one.name) && one.means.iter().all(is_mean);
        is_count(self.stays)
            && is_count(self.passes)
            && self.gateways.len() <= MOST_GATEWAYS
            && self.gateways.iter().all(of_gateway)
            && self.beacons.len() <= survey::KINDS
            && self.beacons.iter().flatten().all(is_mean)
    }
}

fn is_name(name: &str) -> bool {
    (1..=LONGEST_NAME).contains(&name.len())
}

impl From<Place> for TracePlace {
    fn from(place: Place) -> Self {
        match place {
            Place::Door => Self::Door,
            Place::Inside => Self::Inside,
            Place::Outside => Self::Outside,
        }
    }
}

impl From<TracePlace> for Place {
    fn from(place: TracePlace) -> Self {
        match place {
            TracePlace::Door => Self::Door,
            TracePlace::Inside => Self::Inside,
            TracePlace::Outside => Self::Outside,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sound() -> Trace {
        Trace {
            trace: "0123456789abcdef".to_owned(),
            gateways: vec![TraceGateway { name: "door".to_owned(), place: None }],
            received: vec![TraceContact(0, 0, Some(-60), None), TraceContact(500, 0, None, None)],
            ended_us: 1_000,
            ..Trace::default()
        }
    }

    #[test]
    fn what_no_gateway_makes_is_refused() {
        assert_eq!(sound().check(), Ok(()));
        let spoilers: [fn(&mut Trace); 12] = [
            |one| one.trace = "c-7f3a".to_owned(),
            |one| one.visit = Some("c-7f3a".to_owned()),
            |one| one.gateways.clear(),
            |one| one.received.clear(),
            |one| one.received = vec![TraceContact(0, 0, None, None); MOST_CONTACTS + 1],
            |one| one.received = vec![TraceContact(u64::MAX, 0, None, None); 2],
            |one| one.received = vec![TraceContact(0, 1, None, None)],
            |one| one.received = vec![TraceContact(0, 0, Some(i8::MIN), None)],
            |one| one.phone_db = 60,
            |one| one.phase_us = u64::MAX,
            |one| one.ended_us = u64::MAX,
            |one| {
                one.surveys = vec![TraceSurvey { stays: f32::NAN, ..TraceSurvey::default() }];
            },
        ];
        for (nth, spoil) in spoilers.iter().enumerate() {
            let mut trace = sound();
            spoil(&mut trace);
            assert!(trace.check().is_err(), "{nth}: {trace:?}");
        }
    }
}
