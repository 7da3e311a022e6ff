//! Traces of contacts that gateways report, and what staff said of their visits.

use std::collections::BTreeMap;

use super::database::{FleetError, values};
use super::figures::day;
use super::store::{FleetStore, report};
use crate::payload::{ReportKind, Trace, VisitLabel, VisitReport};
use crate::pipeline::units::WallTime;

/// A trace, and what staff said of it.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredTrace {
    pub store: u16,
    /// Days since the Unix epoch.
    pub day: i64,
    pub trace: Trace,
    /// Whether the customer was here; `None` where it is not known.
    pub was_here: Option<bool>,
}

impl FleetStore {
    /// Stores that have traces.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub fn traced_stores(&mut self) -> Result<Vec<u16>, FleetError> {
        let sql = "SELECT DISTINCT store FROM traces WHERE report <> '' ORDER BY store";
        self.db().query(sql, values![], |row| row.number(0))
    }

    /// The traces of a store by day, with what staff said. A claimed visit counts as one of a customer
    /// who was here, unless staff said that they were not.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub fn traces(&mut self, store: u16) -> Result<Vec<StoredTrace>, FleetError> {
        let mut was_here: BTreeMap<String, bool> = BTreeMap::new();
        let reports = self.reports(store)?;
        for report in &reports {
            if let ReportKind::Visit(VisitReport { visit, claimed_after_s: Some(_), .. }) =
                &report.what
            {
                was_here.insert(visit.clone(), true);
            }
        }
        for report in reports {
            if let ReportKind::Label(VisitLabel { visit, was_here: said }) = report.what {
                was_here.insert(visit, said);
            }
        }
        let sql = "SELECT day, report FROM traces WHERE store = ?1 AND report <> ''
                   ORDER BY day, trace";
        let rows =
            self.db().query(sql, values![store], |row| (row.integer(0), report(&row.text(1))))?;
        let stored = rows.into_iter().filter_map(|(day, report)| {
            let ReportKind::Trace(trace) = report?.what else { return None };
            let said = trace.visit.as_ref().and_then(|visit| was_here.get(visit).copied());
            Some(StoredTrace { store, day, trace: *trace, was_here: said })
        });
        Ok(stored.collect())
    }

    /// Deletes traces that are older than this number of days, and those of a gateway whose clock is
    /// ahead: they would never be old. Returns how many.
    ///
    /// # Errors
    /// Where the database cannot be written.
    pub fn age_traces(&mut self, now: WallTime, days: u32) -> Result<usize, FleetError> {
        let oldest = day(now) - i64::from(days);
        let sql = "DELETE FROM traces WHERE day < ?1 OR day > ?2";
        self.db().execute(sql, values![oldest, day(now) + 1])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::payload::trace::{TraceContact, TraceGateway};
    use crate::payload::{Report, ReportBatch, WithdrawnTraces};

    const NOW: WallTime = WallTime::from_unix_secs(1_767_603_600);

    fn store() -> (tempfile::TempDir, FleetStore) {
        let folder = tempfile::tempdir().unwrap();
        let store = FleetStore::open(folder.path().join("fleet.db")).unwrap();
        (folder, store)
    }

    fn trace(id: u64, visit: Option<u64>) -> ReportKind {
        ReportKind::Trace(Box::new(Trace {
            trace: format!("{id:016x}"),
            visit: visit.map(|visit| format!("{visit:016x}")),
            gateways: vec![TraceGateway { name: "door".to_owned(), place: None }],
            received: vec![TraceContact(0, 0, Some(-60), None)],
            ..Trace::default()
        }))
    }

    fn label(visit: u64, was_here: bool) -> ReportKind {
        ReportKind::Label(VisitLabel { visit: format!("{visit:016x}"), was_here })
    }

    fn claimed(visit: u64) -> ReportKind {
        ReportKind::Visit(VisitReport {
            visit: format!("{visit:016x}"),
            claimed_after_s: Some(5),
            ..VisitReport::default()
        })
    }

    fn report(store: &mut FleetStore, from: u64, what: Vec<ReportKind>) -> usize {
        let reports = (from..).zip(what).map(|(n, what)| Report { n, at: NOW.to_string(), what });
        let batch =
            ReportBatch { v: 1, queue: "q".to_owned(), dropped: 0, reports: reports.collect() };
        store.report(42, "door", &batch).unwrap()
    }

    fn known(store: &mut FleetStore) -> Vec<(String, Option<bool>)> {
        let traces = store.traces(42).unwrap().into_iter();
        traces.map(|one| (one.trace.trace, one.was_here)).collect()
    }

    #[test]
    fn what_staff_said_of_a_visit_is_said_of_its_trace() {
        let (_folder, mut store) = store();
        let all = vec![
            trace(1, Some(11)),
            trace(2, Some(12)),
            trace(3, Some(13)),
            trace(4, Some(14)),
            trace(5, None),
            label(12, true),
            label(12, false),
            claimed(13),
            claimed(14),
            label(14, false),
        ];
        assert_eq!(report(&mut store, 1, all.clone()), 10);
        assert_eq!(report(&mut store, 1, all), 0, "a repetition");
        let said: Vec<_> = known(&mut store).into_iter().map(|(_, said)| said).collect();
        assert_eq!(said, [None, Some(false), Some(true), Some(false), None]);
        assert_eq!(store.traced_stores().unwrap(), [42]);
    }

    #[test]
    fn a_withdrawn_trace_is_deleted_and_does_not_come_again() {
        let (folder, mut store) = store();
        report(&mut store, 1, vec![trace(1, None), trace(2, None)]);
        let withdrawn = WithdrawnTraces { traces: vec![format!("{:016x}", 1), "%".to_owned()] };
        report(&mut store, 3, vec![ReportKind::WithdrawnTraces(withdrawn)]);
        report(&mut store, 1, vec![trace(1, None)]);
        assert_eq!(known(&mut store), [(format!("{:016x}", 2), None)]);
        let again = FleetStore::open(folder.path().join("fleet.db")).unwrap().traces(42).unwrap();
        assert_eq!(again.len(), 1);
    }

    #[test]
    fn traces_age() {
        let (_folder, mut store) = store();
        report(&mut store, 1, vec![trace(1, None)]);
        let day = std::time::Duration::from_hours(24);
        assert_eq!(store.age_traces(NOW.plus(day * 30), 30).unwrap(), 0);
        assert_eq!(store.age_traces(NOW.plus(day * 31), 30).unwrap(), 1);
        assert!(known(&mut store).is_empty());
        report(&mut store, 2, vec![trace(2, None)]);
        assert_eq!(store.age_traces(NOW.minus(day), 30).unwrap(), 0, "ahead by a time zone");
        assert_eq!(store.age_traces(NOW.minus(day * 2), 30).unwrap(), 1);
    }

    #[test]
    fn a_trace_that_no_gateway_makes_is_refused_and_the_rest_of_its_message_is_taken() {
        let (_folder, mut store) = store();
        let garbage = ReportKind::Trace(Box::new(Trace {
            received: vec![TraceContact(u64::MAX, 9, Some(i8::MIN), None); 5_000],
            ..Trace::default()
        }));
        assert_eq!(report(&mut store, 1, vec![trace(1, None), garbage, trace(2, None)]), 2);
        assert_eq!(known(&mut store).len(), 2);
    }
}
