//! Traces of contacts in the queue: whose they are, for how long they wait, and how they are deleted
//! when consent is withdrawn.

use rusqlite::{Connection, Result, params};

use crate::payload::trace::{MOST_WITHDRAWN, WithdrawnTraces};
use crate::payload::{Report, ReportKind};
use crate::pipeline::units::WallTime;

/// Traces that wait, 15 MB at most; then the oldest are deleted.
const MOST: i64 = 500;

/// Octets of a trace: no message to head office is longer than 64 KiB.
const LONGEST: usize = 60 * 1024;

/// A new random id.
pub(super) fn new_id(db: &Connection) -> Result<String> {
    db.query_row("SELECT lower(hex(randomblob(8)))", [], |row| row.get(0))
}

/// Adds a trace of a customer: it waits, and is known as theirs, until `until`. Returns how many
/// older traces made room, or that this one is too long.
pub(super) fn add(
    db: &Connection,
    (trace, customer): (&str, &str),
    report: &Report,
    until: WallTime,
) -> Result<usize> {
    let text = serde_json::to_string(report).unwrap_or_default();
    if text.len() > LONGEST {
        return Ok(1);
    }
    let both = db.unchecked_transaction()?;
    let sql = "INSERT INTO reports (report, trace) VALUES (?1, ?2)";
    both.prepare_cached(sql)?.execute(params![text, trace])?;
    let sql = "INSERT INTO traces VALUES (?1, ?2, ?3)";
    both.prepare_cached(sql)?.execute(params![trace, customer, until.unix_millis()])?;
    let sql = "DELETE FROM reports WHERE trace IS NOT NULL AND n NOT IN
               (SELECT n FROM reports WHERE trace IS NOT NULL ORDER BY n DESC LIMIT ?1)";
    let dropped = both.prepare_cached(sql)?.execute([MOST])?;
    both.commit()?;
    Ok(dropped)
}

/// Deletes traces that waited for too long, and whose they were. Returns how many waited.
pub(super) fn age(db: &Connection, now: WallTime) -> Result<usize> {
    let now = now.unix_millis();
    let sql = "DELETE FROM reports WHERE trace IN (SELECT trace FROM traces WHERE until < ?1)";
    let waited = db.prepare_cached(sql)?.execute([now])?;
    db.prepare_cached("DELETE FROM traces WHERE until < ?1")?.execute([now])?;
    Ok(waited)
}

/// Deletes the traces of these customers, and adds a report of what head office is to delete: it may
/// have some of them already.
pub(super) fn forget(db: &Connection, customers: &[String], at: WallTime) -> Result<()> {
    let all = db.unchecked_transaction()?;
    let mut traces: Vec<String> = Vec::new();
    for customer in customers {
        let sql = "DELETE FROM traces WHERE customer = ?1 RETURNING trace";
        let mut query = all.prepare_cached(sql)?;
        let found = query.query_map([customer], |row| row.get(0))?.collect::<Result<Vec<_>>>()?;
        traces.extend(found);
    }
    for trace in &traces {
        all.prepare_cached("DELETE FROM reports WHERE trace = ?1")?.execute([trace])?;
    }
    let report = |traces: &[String]| Report {
        n: 0,
        at: at.to_string(),
        what: ReportKind::WithdrawnTraces(WithdrawnTraces { traces: traces.to_vec() }),
    };
    let reports: Vec<Report> = traces.chunks(MOST_WITHDRAWN).map(report).collect();
    for report in &reports {
        let text = serde_json::to_string(report).unwrap_or_default();
        all.prepare_cached("INSERT INTO reports (report) VALUES (?1)")?.execute([text])?;
    }
    all.commit()?;
    if !reports.is_empty() {
        // What was deleted is still in the write-ahead log.
        db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::queue::ReportQueue;
    use super::*;
    use crate::payload::trace::Trace;

    const NOW: WallTime = WallTime::from_unix_secs(1_767_603_600);
    const LATER: WallTime = WallTime::from_unix_secs(1_767_603_600 + 86_400);

    fn add(queue: &ReportQueue, customer: &str, until: WallTime) -> String {
        queue.add_trace(Trace::default(), customer, NOW, until).unwrap();
        let batch = queue.batch().unwrap().unwrap();
        match &batch.reports.last().unwrap().what {
            ReportKind::Trace(trace) => trace.trace.clone(),
            other => panic!("{other:?}"),
        }
    }

    fn waiting(queue: &ReportQueue) -> Vec<ReportKind> {
        let batch = queue.batch().unwrap();
        batch.into_iter().flat_map(|batch| batch.reports).map(|report| report.what).collect()
    }

    #[test]
    fn a_withdrawal_deletes_what_waits_and_names_what_may_have_gone_up() {
        let dir = tempfile::tempdir().unwrap();
        let queue = ReportQueue::open(dir.path()).unwrap();
        let gone_up = add(&queue, "a", LATER);
        queue.acknowledged(1).unwrap();
        let (theirs, waits) = (add(&queue, "b", LATER), add(&queue, "a", LATER));
        queue.forget(&["a".to_owned(), "c".to_owned()], NOW).unwrap();
        let left = waiting(&queue);
        assert_eq!(left.len(), 2, "{left:?}");
        assert!(matches!(&left[0], ReportKind::Trace(trace) if trace.trace == theirs));
        let ReportKind::WithdrawnTraces(withdrawn) = &left[1] else { panic!("{left:?}") };
        let mut expected = [gone_up, waits.clone()];
        let mut traces = withdrawn.traces.clone();
        expected.sort();
        traces.sort();
        assert_eq!(traces, expected);
        drop(queue);
        for file in std::fs::read_dir(dir.path()).unwrap() {
            let octets = std::fs::read(file.unwrap().path()).unwrap();
            let id = format!("\"trace\":\"{waits}\"");
            assert!(!octets.windows(id.len()).any(|some| some == id.as_bytes()));
        }
        let queue = ReportQueue::open(dir.path()).unwrap();
        queue.forget(&["a".to_owned()], NOW).unwrap();
        assert_eq!(waiting(&queue), left, "once is enough");
    }

    #[test]
    fn traces_that_wait_for_too_long_are_deleted_and_so_is_whose_they_were() {
        let dir = tempfile::tempdir().unwrap();
        let queue = ReportQueue::open(dir.path()).unwrap();
        add(&queue, "a", LATER);
        queue.age(LATER).unwrap();
        assert_eq!(waiting(&queue).len(), 1);
        queue.age(LATER.plus(Duration::from_millis(1))).unwrap();
        assert!(waiting(&queue).is_empty());
        queue.forget(&["a".to_owned()], NOW).unwrap();
        assert!(waiting(&queue).is_empty(), "it is not known any more whose they were");
    }
}
