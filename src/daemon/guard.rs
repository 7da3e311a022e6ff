//! Watches settings that may be taken back (`roll_back_if`): counts their effects at this gateway,
//! and reports when a limit is surely exceeded.
//!
//! Alerts are compared with those of the same hours of other weeks. The counts are kept over a
//! restart, except those of the current hour.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;

use serde::{Deserialize, Serialize};

use super::head_office::Guarded;
use crate::pipeline::event::Hearing;
use crate::pipeline::units::WallTime;
use crate::sequential::{Change, RateTest, ShareTest};
use crate::{state_file, tasks};

/// In the state folder.
const FILE: &str = "hours.json";

/// What a damaged file means.
const LOST: &str = "new settings are compared with fewer weeks";

/// Other weeks that an hour is compared with.
const WEEKS: i64 = 4;

const WEEK: i64 = 7 * 24;

const HOUR_MS: i64 = 3_600_000;

/// Blind minutes before blind time counts: someone may replug an adapter.
const BLIND_AFTER: u32 = 60;

/// What is counted at this gateway.
#[derive(Debug)]
pub struct GuardWatch {
    path: PathBuf,
    counts: Counts,
    /// The hour that runs, and the alerts in it; `None` where its beginning was missed.
    hour: Option<(i64, u32)>,
    /// The last time that was seen.
    at: Option<i64>,
    /// Something was counted since the last verdict.
    is_new: bool,
    /// Writes what was counted before.
    writer: Option<JoinHandle<()>>,
}

/// What is kept over a restart.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Counts {
    v: u8,
    /// Alerts in each whole hour since the Unix epoch.
    alerts: BTreeMap<i64, u32>,
    watched: Option<Watched>,
}

/// Of the settings that are watched.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Watched {
    reach: String,
    serial: u64,
    /// The first hour that is not of the settings before.
    since: i64,
    not_here: u32,
    judged: u32,
    unclaimed: u32,
    ended: u32,
    blind: u32,
    minutes: u32,
}

impl GuardWatch {
    /// With what was counted before, in the state folder.
    pub fn new(state: &Path) -> Self {
        let path = state.join(FILE);
        let counts = state_file::read(&path, LOST).unwrap_or_else(|error| {
            tracing::error!(%error, "alerts of other weeks are not known");
            None
        });
        Self {
            path,
            counts: counts.unwrap_or_default(),
            hour: None,
            at: None,
            is_new: false,
            writer: None,
        }
    }

    /// Time passes; `guarded` is in force.
    pub fn pass_time(&mut self, guarded: Option<&Guarded>, now: Option<WallTime>) {
        let Some(now) = now else { return };
        let hour = now.unix_millis().div_euclid(HOUR_MS);
        self.follow(guarded, hour);
        let before = self.at.replace(hour);
        if before == Some(hour) {
            return;
        }
        if let Some((whole, alerts)) = self.hour.take() {
            self.counts.alerts.insert(whole, alerts);
            self.counts.alerts.retain(|old, _| *old >= hour - (WEEKS + 1) * WEEK);
            self.is_new = true;
            self.keep();
        }
        // The one that the gateway was started in is not whole.
        self.hour = before.map(|_| (hour, 0));
    }

    fn follow(&mut self, guarded: Option<&Guarded>, hour: i64) {
        let watched = self.counts.watched.as_ref();
        if watched.map(|watched| watched.serial) == guarded.map(|guarded| guarded.serial) {
            return;
        }
        self.counts.watched = guarded.map(|guarded| Watched {
            reach: guarded.reach.word().to_owned(),
            serial: guarded.serial,
            since: hour + 1,
            ..Watched::default()
        });
        self.keep();
    }

    /// Counts an alert to staff.
    pub fn alerted(&mut self) {
        if let Some((_, alerts)) = &mut self.hour {
            *alerts += 1;
        }
    }

    /// A visit that alerted staff ended.
    pub fn ended(&mut self, claimed: bool) {
        if let Some(watched) = &mut self.counts.watched {
            watched.ended += 1;
            watched.unclaimed += u32::from(!claimed);
            self.is_new = true;
        }
    }

    /// Staff said whether a customer was here.
    pub fn judged(&mut self, was_here: bool) {
        if let Some(watched) = &mut self.counts.watched {
            watched.judged += 1;
            watched.not_here += u32::from(!was_here);
            self.is_new = true;
        }
    }

    /// A minute has passed.
    pub fn minute(&mut self, hearing: Hearing) {
        if let Some(watched) = &mut self.counts.watched {
            watched.minutes += 1;
            watched.blind += u32::from(hearing == Hearing::Blind);
            self.is_new = true;
        }
    }

    /// Which limit is surely exceeded, if anything was counted since this was asked last.
    pub fn take_verdict(&mut self, guarded: &Guarded) -> Option<String> {
        if std::mem::take(&mut self.is_new) { self.verdict(guarded) } else { None }
    }

    fn verdict(&self, guarded: &Guarded) -> Option<String> {
        let watched = self.counts.watched.as_ref()?;
        let limits = &guarded.limits;
        let shares = [
            (limits.not_here, watched.not_here, watched.judged, "judged visits were none"),
            (limits.unclaimed, watched.unclaimed, watched.ended, "alerts were not claimed"),
        ];
        for (limit, count, of, what) in shares {
            let Some(limit) = limit else { continue };
            let mut test = ShareTest::new(limit);
            test.add(count, of);
            if test.is_sure() {
                return Some(format!("{count} of {of} {what}; the limit is a share of {limit}"));
            }
        }
        let (blind, minutes) = (watched.blind, watched.minutes);
        let exceeded = limits.blind.filter(|limit| f64::from(blind) > limit * f64::from(minutes));
        if let Some(limit) = exceeded.filter(|_| minutes >= BLIND_AFTER) {
            return Some(format!(
                "nothing was received in {blind} of {minutes} minutes; the limit is a share of {limit}"
            ));
        }
        self.alerts(limits.alerts?, watched.since)
    }

    /// Compares the hours since `since` with the same hours of the weeks before.
    fn alerts(&self, factor: f64, since: i64) -> Option<String> {
        let mut test = RateTest::new(factor);
        let (mut here, mut usual) = (0, 0.0);
        for (hour, alerts) in self.counts.alerts.range(since..) {
            let others = (1..=WEEKS + 1).map(|weeks| hour - weeks * WEEK);
            let others = others.filter(|other| *other < since);
            let others: Vec<u32> =
                others.filter_map(|other| self.counts.alerts.get(&other).copied()).collect();
            let (weeks, sum) = (u32::try_from(others.len()).unwrap_or(0), others.iter().sum());
            test.add(*alerts, sum, 1.0 / f64::from(weeks + 1));
            if weeks > 0 {
                here += alerts;
                usual += f64::from(sum) / f64::from(weeks);
            }
            if let Some(change) = test.sure() {
                let word = match change {
                    Change::More => "more",
                    Change::Fewer => "fewer",
                };
                return Some(format!(
                    "{here} alerts where {usual:.0} are usual: surely {factor} times {word}"
                ));
            }
        }
        None
    }

    /// Writes on a thread of its own, because the disk may be slow; if it still writes, the next
    /// hour's write includes this one.
    fn keep(&mut self) {
        if self.writer.as_ref().is_some_and(|writer| !writer.is_finished()) {
            return;
        }
        let (path, counts) = (self.path.clone(), self.counts.clone());
        match tasks::thread("hours", move || write(&path, counts)) {
            Ok(writer) => self.writer = Some(writer),
            Err(error) => tracing::warn!(%error, "no thread to keep the alerts of this hour"),
        }
    }

    /// Writes the counts before the daemon stops.
    pub fn stop(&mut self) {
        // What it could not write is written now.
        let _ = self.writer.take().map(JoinHandle::join);
        write(&self.path, self.counts.clone());
    }
}

fn write(path: &Path, counts: Counts) {
    if let Err(error) = state_file::write(path, &Counts { v: 1, ..counts }) {
        tracing::warn!(%error, "alerts of this hour are not kept");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::layers::Reach;
    use crate::config::pushed::Guard;

    const OPENING: i64 = 1_767_603_600_000;

    fn guarded(limits: Guard) -> Guarded {
        Guarded { reach: Reach::Fleet, serial: 7, limits }
    }

    /// Hours with that many alerts each, from hour `from` on.
    fn hours(watch: &mut GuardWatch, guarded: Option<&Guarded>, from: i64, alerts: &[u32]) {
        for (place, alerts) in (from..).zip(alerts) {
            watch.pass_time(guarded, Some(WallTime::from_unix_millis(OPENING + place * HOUR_MS)));
            (0..*alerts).for_each(|_| watch.alerted());
        }
    }

    #[test]
    fn twice_as_many_alerts_as_in_other_weeks_are_noticed_and_as_many_are_not() {
        for (now, expected) in [(6, None), (18, Some("surely 1.5 times more")), (0, Some("fewer"))]
        {
            let folder = tempfile::tempdir().unwrap();
            let mut watch = GuardWatch::new(folder.path());
            let weeks = i32::try_from(3 * WEEK).unwrap();
            hours(&mut watch, None, 0, &vec![6; usize::try_from(weeks).unwrap()]);
            let guarded = guarded(Guard { alerts: Some(1.5), ..Guard::default() });
            hours(&mut watch, Some(&guarded), 3 * WEEK, &[now; 49]);
            let verdict = watch.verdict(&guarded);
            assert_eq!(verdict.is_some(), expected.is_some(), "{now}: {verdict:?}");
            if let (Some(verdict), Some(expected)) = (verdict, expected) {
                assert!(verdict.contains(expected), "{verdict}");
            }
        }
    }

    #[test]
    fn without_other_weeks_alerts_say_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let mut watch = GuardWatch::new(folder.path());
        let guarded = guarded(Guard { alerts: Some(1.5), ..Guard::default() });
        hours(&mut watch, Some(&guarded), 0, &[50; 100]);
        assert_eq!(watch.verdict(&guarded), None);
    }

    #[test]
    fn what_was_counted_is_there_after_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let guarded = guarded(Guard { unclaimed: Some(0.5), ..Guard::default() });
        let mut watch = GuardWatch::new(folder.path());
        hours(&mut watch, Some(&guarded), 0, &[0]);
        (0..8).for_each(|_| watch.ended(false));
        watch.stop();
        let mut watch = GuardWatch::new(folder.path());
        hours(&mut watch, Some(&guarded), 1, &[0]);
        assert_eq!(watch.verdict(&guarded), None);
        (0..3).for_each(|_| watch.ended(false));
        assert!(watch.verdict(&guarded).unwrap().starts_with("11 of 11 alerts"));
    }

    #[test]
    fn an_hour_of_blindness_counts_and_a_minute_does_not() {
        let folder = tempfile::tempdir().unwrap();
        let guarded = guarded(Guard { blind: Some(0.2), ..Guard::default() });
        let mut watch = GuardWatch::new(folder.path());
        hours(&mut watch, Some(&guarded), 0, &[0]);
        (0..20).for_each(|_| watch.minute(Hearing::Blind));
        assert_eq!(watch.verdict(&guarded), None);
        (0..40).for_each(|_| watch.minute(Hearing::Listening));
        assert!(watch.verdict(&guarded).unwrap().contains("20 of 60 minutes"));
    }
}
