//! Whether a guarded document is taken back everywhere: because a share of its gateways has taken
//! it back, or because the alerts of its stores surely differ from those of the others.

use std::collections::BTreeMap;

use super::database::{FleetError, values};
use super::documents::Document;
use super::overview::GatewayOverview;
use super::store::FleetStore;
use crate::config::pushed::{Guard, Header, place};
use crate::payload::DocumentState;
use crate::pipeline::units::WallTime;
use crate::sequential::{Change, RateTest};
use crate::topics::Topic;

/// Weeks before the document, from which the ring's share of all alerts is known.
const WEEKS: i64 = 4;

const WEEK: i64 = 7 * 24;

const HOUR_S: i64 = 3_600;

/// Alerts of the ring in those weeks, without which its share is not known well enough.
const FEWEST: u64 = 200;

/// Share of a document's gateways that have taken it back, where it says none.
const GATEWAYS: f64 = 0.1;

/// Alerts of a ring of stores beside those of all others.
#[derive(Debug, Clone)]
pub struct Comparison {
    test: RateTest,
    /// The ring's share of all alerts, before.
    share: f64,
    ring: u64,
    others: u64,
}

impl Comparison {
    /// For differences of more than `factor`; `None` where the weeks before say too little.
    pub fn new(factor: f64, ring_before: u64, others_before: u64) -> Option<Self> {
        let known = ring_before >= FEWEST && others_before >= FEWEST;
        let float = super::statistics::float;
        let share = float(ring_before) / float(ring_before + others_before);
        known.then(|| Self { test: RateTest::new(factor), share, ring: 0, others: 0 })
    }

    /// Adds an hour: the events in the ring's stores, and in all others.
    pub fn add(&mut self, ring: u64, others: u64) {
        let small = |count: u64| u32::try_from(count).unwrap_or(u32::MAX);
        self.test.add(small(ring), small(others), self.share);
        self.ring += ring;
        self.others += others;
    }

    /// What is certain about the ring, if anything is.
    pub fn verdict(&self) -> Option<String> {
        let word = match self.test.sure()? {
            Change::More => "more",
            Change::Fewer => "fewer",
        };
        let Self { share, ring, others, .. } = self;
        let usual = super::statistics::float(*others) * share / (1.0 - share);
        Some(format!(
            "the ring had {ring} alerts where the other stores let expect {usual:.0}: surely {word}"
        ))
    }
}

/// What is known of open roll-outs.
#[derive(Debug, Default)]
pub struct RollOuts {
    /// By the document's number: the comparison, and the first hour that is not in it yet.
    comparisons: BTreeMap<u64, (Option<Comparison>, i64)>,
}

impl RollOuts {
    /// Whether a guarded document is to be taken back, and why.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub fn verdict(
        &mut self,
        store: &mut FleetStore,
        document: &Document,
        gateways: &[GatewayOverview],
        now: WallTime,
    ) -> Result<Option<String>, FleetError> {
        let Ok(header) = Header::read(&document.text, &document.topic, &[]) else {
            return Ok(None);
        };
        let Some(limits) = header.roll_back_if else { return Ok(None) };
        if let Some(why) = taken_back(document.serial, &limits, gateways) {
            return Ok(Some(why));
        }
        let is_for_all = document.topic == Topic::FleetSettings.of(&[]);
        let (Some(factor), Some(ring), true) = (limits.alerts, header.ring, is_for_all) else {
            return Ok(None);
        };
        self.compare(store, document, &header, (factor, ring), now)
    }

    fn compare(
        &mut self,
        store: &mut FleetStore,
        document: &Document,
        header: &Header,
        (factor, ring): (f64, f64),
        now: WallTime,
    ) -> Result<Option<String>, FleetError> {
        let pushed = WallTime::parse(&document.pushed_at).unwrap_or(now);
        let first = hour(header.from.map_or(pushed, |from| from.max(pushed))) + 1;
        let known = self.comparisons.remove(&document.serial);
        let (comparison, next) = if let Some(known) = known {
            known
        } else {
            let (in_ring, others) = store.alerts((first - WEEKS * WEEK)..(first - 1), ring)?;
            (Comparison::new(factor, in_ring, others), first)
        };
        let (mut comparison, mut next) = (comparison, next);
        // Reports of an hour come up to an hour after it, and some minutes later.
        let ready = hour(now) - 1;
        while next < ready {
            if let Some(comparison) = &mut comparison {
                let (in_ring, others) = store.alerts(next..next + 1, ring)?;
                comparison.add(in_ring, others);
            }
            next += 1;
        }
        let verdict = comparison.as_ref().and_then(Comparison::verdict);
        self.comparisons.insert(document.serial, (comparison, next));
        Ok(verdict)
    }
}

fn taken_back(serial: u64, limits: &Guard, gateways: &[GatewayOverview]) -> Option<String> {
    let of = gateways.iter().flat_map(|gateway| &gateway.documents);
    let of = of.filter(|document| document.serial == Some(serial));
    let (mut all, mut back, mut why) = (0_u32, 0_u32, None);
    for document in of {
        match document.state {
            DocumentState::InForce => all += 1,
            DocumentState::FellBack => {
                (all, back) = (all + 1, back + 1);
                why = why.or(document.why.as_deref());
            }
            DocumentState::Waits | DocumentState::OtherStores | DocumentState::Shadow => {}
        }
    }
    let limit = limits.gateways.unwrap_or(GATEWAYS);
    (back > 0 && f64::from(back) >= limit * f64::from(all)).then(|| {
        let why = why.unwrap_or("a limit was exceeded");
        format!("{back} of {all} gateways have taken it back, one of them because {why}")
    })
}

fn hour(at: WallTime) -> i64 {
    at.unix_millis().div_euclid(HOUR_S * 1000)
}

impl FleetStore {
    /// Alerts in these hours: of the stores in the ring, and of all others.
    fn alerts(&mut self, hours: std::ops::Range<i64>, ring: f64) -> Result<(u64, u64), FleetError> {
        let sql = "SELECT store, CAST(sum(alerts) AS BIGINT) FROM hours
                   WHERE at > ?1 AND at <= ?2 GROUP BY store";
        let (after, until) = (hours.start * HOUR_S, hours.end * HOUR_S);
        let all: Vec<(u16, u64)> =
            self.db().query(sql, values![after, until], |row| (row.number(0), row.number(1)))?;
        let (mut in_ring, mut others) = (0, 0);
        for (store, alerts) in all {
            *if place(store) < ring { &mut in_ring } else { &mut others } += alerts;
        }
        Ok((in_ring, others))
    }
}

#[cfg(test)]
mod tests {
    use rand_xoshiro::Xoshiro256PlusPlus;
    use rand_xoshiro::rand_core::{Rng as _, SeedableRng as _};

    use super::*;

    struct Random(Xoshiro256PlusPlus);

    impl Random {
        fn uniform(&mut self) -> f64 {
            (f64::from(self.0.next_u32()) + 0.5) / (f64::from(u32::MAX) + 1.0)
        }

        /// Knuth's, in parts, as its product underflows.
        fn poisson(&mut self, mean: f64) -> u64 {
            let (mut count, mut left) = (0, mean);
            while left > 0.0 {
                let part = left.min(30.0);
                left -= part;
                let (limit, mut product) = ((-part).exp(), self.uniform());
                while product > limit {
                    product *= self.uniform();
                    count += 1;
                }
            }
            count
        }

        /// Around 1, with a standard deviation of about a tenth: weather, a fair, a colleague who is ill.
        fn mood(&mut self) -> f64 {
            1.0 + 0.1 * ((0..12).map(|_| self.uniform()).sum::<f64>() - 6.0)
        }
    }

    /// Two hundred stores with twelve opening hours; twenty get settings that change their alerts
    /// by `factor`; after how many days they are taken back, if within two weeks.
    fn days_until_taken_back(seed: u64, factor: f64) -> Option<u32> {
        let mut random = Random(Xoshiro256PlusPlus::seed_from_u64(seed));
        let sizes: Vec<f64> = (0..200).map(|_| 1.0 + 3.0 * random.uniform()).collect();
        let day = |random: &mut Random, changed: f64| {
            let weather = random.mood();
            let moods: Vec<f64> = sizes.iter().map(|size| size * weather * random.mood()).collect();
            let (ring, others) = moods.split_at(20);
            let (ring, others) = (ring.iter().sum::<f64>() * changed, others.iter().sum::<f64>());
            [(); 12].map(|()| (random.poisson(ring), random.poisson(others)))
        };
        let before: Vec<(u64, u64)> = (0..28).flat_map(|_| day(&mut random, 1.0)).collect();
        let sum = |of: fn(&(u64, u64)) -> u64| before.iter().map(of).sum::<u64>();
        let mut comparison = Comparison::new(1.5, sum(|one| one.0), sum(|one| one.1)).unwrap();
        (1..=14).find(|_| {
            for (ring, others) in day(&mut random, factor) {
                comparison.add(ring, others);
            }
            comparison.verdict().is_some()
        })
    }

    /// Over 100 seeds; the figures stand in `docs/fleet.md`.
    #[test]
    fn settings_that_double_the_alerts_are_taken_back_and_good_ones_are_not() {
        for (factor, least, most) in [
            (1.0, 0, 1),
            (1.25, 0, 1),
            (1.5, 0, 10),
            (2.0, 99, 100),
            (4.0, 99, 100),
            (0.4, 99, 100),
        ] {
            let days: Vec<u32> =
                (0..100).filter_map(|seed| days_until_taken_back(seed, factor)).collect();
            let mean = f64::from(days.iter().sum::<u32>())
                / f64::from(u32::try_from(days.len().max(1)).unwrap());
            println!(
                "alerts times {factor}: taken back in {} of 100, after {mean:.1} days",
                days.len()
            );
            assert!((least..=most).contains(&days.len()), "times {factor}: {}", days.len());
        }
    }

    #[test]
    fn one_gateway_of_five_is_enough_for_a_fifth_and_not_for_a_quarter() {
        let text = |state: &str| {
            format!(
                r#"{{"v":1,"state":"online","version":"0.1.0","config":"cafe","since":null,
                    "documents":[{{"reach":"fleet","serial":7,"state":"{state}","why":"x"}}]}}"#
            )
        };
        let folder = tempfile::tempdir().unwrap();
        let mut store = FleetStore::open(folder.path().join("fleet.db")).unwrap();
        let now = WallTime::from_unix_secs(1_767_603_600);
        for number in 1..=5 {
            let state = if number == 3 { "fell_back" } else { "in_force" };
            store
                .heard(number, "door", super::super::store::Said::Status(&text(state)), now)
                .unwrap();
        }
        let all = store.overview(now).unwrap();
        let verdict =
            |share| taken_back(7, &Guard { gateways: Some(share), ..Guard::default() }, &all);
        assert!(verdict(0.2).unwrap().contains("1 of 5"));
        assert_eq!(verdict(0.25), None);
    }
}
