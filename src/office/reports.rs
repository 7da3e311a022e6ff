//! The thread that owns the queue of reports, so that the disk does not delay the two lines.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;

use sha2::{Digest as _, Sha256};
use tokio::sync::{mpsc, watch};

use super::queue::ReportQueue;
use crate::payload::{Report, ReportBatch, ReportKind, Trace, VisitLabel, VisitReport};
use crate::pipeline::VisitId;
use crate::pipeline::event::{DepartureReason, Visit};
use crate::pipeline::units::WallTime;
use crate::tasks;

/// Reports that wait for the disk; further ones are dropped.
const WAITING: usize = 256;

/// Seconds of a day.
const DAY_S: i64 = 86_400;

/// Takes reports from the daemon and hands them to the thread of the queue.
#[derive(Debug, Clone)]
pub struct Reports {
    requests: mpsc::Sender<Request>,
}

#[derive(Debug)]
enum Request {
    Add(Box<Draft>),
    Trace(Box<TraceDraft>),
    Forget(Vec<Arc<str>>, WallTime),
    DeleteTraces,
    Acknowledged(u64),
}

/// A report before the queue knows the visit by a reference of its own.
#[derive(Debug)]
struct Draft {
    at: WallTime,
    visit: Option<VisitId>,
    what: ReportKind,
}

/// A trace, before only a hash says whose it is.
#[derive(Debug)]
struct TraceDraft {
    client: Arc<str>,
    visit: Option<VisitId>,
    trace: Trace,
    at: WallTime,
    until: WallTime,
}

impl Reports {
    /// Opens the queue in the state directory `dir`. The receiver shows the oldest reports that
    /// wait, and how many wait in all.
    ///
    /// # Errors
    /// Where there is no thread for it.
    pub fn open(dir: &Path) -> io::Result<(Self, watch::Receiver<Waiting>, JoinHandle<()>)> {
        let (requests, asked) = mpsc::channel(WAITING);
        let (show, waiting) = watch::channel(Waiting::default());
        let dir = dir.to_owned();
        let thread = tasks::thread("reports", move || run(&dir, asked, &show))?;
        Ok((Self { requests }, waiting, thread))
    }

    /// Adds a visit that ended.
    pub fn visit(&self, visit: &Visit, at: WallTime, reason: DepartureReason) {
        let seconds = |since: WallTime, until: WallTime| {
            (until.unix_millis().saturating_sub(since.unix_millis()).max(0) / 1000).unsigned_abs()
        };
        let claimed = visit.claim.as_ref().map(|claim| seconds(visit.arrived_at, claim.since));
        let report = VisitReport {
            visit: String::new(),
            stayed_s: seconds(visit.arrived_at, at),
            confidence: (f64::from(visit.confidence) * 1000.0).round() / 1000.0,
            announced: visit.announced,
            dismissed: visit.dismissed,
            claimed_after_s: claimed,
            reason: reason.word().to_owned(),
        };
        self.add(at, Some(visit.id), ReportKind::Visit(report));
    }

    /// Adds staff's feedback on a visit.
    pub fn label(&self, visit: VisitId, was_here: bool, at: WallTime) {
        let label = VisitLabel { visit: String::new(), was_here };
        self.add(at, Some(visit), ReportKind::Label(label));
    }

    /// Adds what a candidate for settings would have changed.
    pub fn shadow(&self, report: crate::payload::ShadowReport, at: WallTime) {
        self.add(at, None, ReportKind::Shadow(report));
    }

    /// Adds an hour's counts.
    pub fn hour(&self, hour: crate::payload::HourReport, at: WallTime) {
        self.add(at, None, ReportKind::Hour(hour));
    }

    /// Adds a trace of contacts, which waits until `until` at the longest. Only the day of `at` is
    /// reported.
    pub fn trace(
        &self,
        client: Arc<str>,
        visit: Option<VisitId>,
        trace: Trace,
        at: WallTime,
        until: WallTime,
    ) {
        let draft = TraceDraft { client, visit, trace, at, until };
        self.request(Request::Trace(Box::new(draft)));
    }

    /// Deletes the traces of customers who withdrew consent, here and at head office. False where the
    /// disk is too slow: then it is to be asked again.
    pub fn forget(&self, clients: Vec<Arc<str>>, at: WallTime) -> bool {
        self.requests.try_send(Request::Forget(clients, at)).is_ok()
    }

    /// Deletes the traces that wait: none are to go up any more. Withdrawals still reach those that
    /// went up.
    pub fn delete_traces(&self) {
        self.request(Request::DeleteTraces);
    }

    /// Head office has all up to this number.
    pub(super) fn acknowledged(&self, last: u64) {
        // What is not deleted is published again, under the same number.
        let _ = self.requests.try_send(Request::Acknowledged(last));
    }

    fn add(&self, at: WallTime, visit: Option<VisitId>, what: ReportKind) {
        self.request(Request::Add(Box::new(Draft { at, visit, what })));
    }

    fn request(&self, request: Request) {
        if self.requests.try_send(request).is_err() {
            tracing::warn!("the disk is too slow: a report to head office is dropped");
        }
    }
}

/// What waits for head office.
#[derive(Debug, Clone, Default)]
pub struct Waiting {
    /// The oldest of it.
    pub next: Option<ReportBatch>,
    /// Number of reports that wait.
    pub reports: u64,
    /// Why the disk takes none, if it does not.
    pub trouble: Option<String>,
}

fn run(dir: &Path, mut requests: mpsc::Receiver<Request>, show: &watch::Sender<Waiting>) {
    let mut queue = None;
    let mut backlog = Vec::new();
    loop {
        match attend(dir, &mut queue, &mut backlog) {
            Ok(waiting) => drop(show.send_replace(waiting)),
            Err(error) => {
                let trouble = Some(error.to_string());
                if show.borrow().trouble != trouble {
                    tracing::error!(%error, "reports to head office cannot be kept on the disk");
                }
                let deletes = backlog.iter().any(is_deletion);
                show.send_modify(|waiting| {
                    waiting.trouble = trouble;
                    if deletes {
                        // It may hold what is to be deleted.
                        waiting.next = None;
                    }
                });
                queue = None;
                let mut others = 0;
                backlog.retain(|request| {
                    others += usize::from(!is_deletion(request));
                    is_deletion(request) || others <= WAITING
                });
            }
        }
        let Some(request) = requests.blocking_recv() else { return };
        backlog.push(request);
        while let Ok(more) = requests.try_recv() {
            backlog.push(more);
        }
    }
}

/// Deletions wait for as long as the disk fails.
const fn is_deletion(request: &Request) -> bool {
    matches!(request, Request::Forget(..) | Request::DeleteTraces)
}

fn attend(
    dir: &Path,
    opened: &mut Option<ReportQueue>,
    backlog: &mut Vec<Request>,
) -> rusqlite::Result<Waiting> {
    let queue = match opened {
        Some(queue) => queue,
        none => {
            let queue = none.insert(ReportQueue::open(dir)?);
            tracing::debug!(path = %queue.path().display(), "reports to head office wait here");
            queue
        }
    };
    while let Some(request) = backlog.first() {
        match request {
            Request::Add(draft) => {
                queue.age(draft.at)?;
                queue.add(&report(queue.secret(), draft))?;
            }
            Request::Trace(draft) => add_trace(queue, draft)?,
            Request::Forget(clients, at) => {
                let customer = |client: &Arc<str>| hash(queue.secret(), client);
                queue.forget(&clients.iter().map(customer).collect::<Vec<_>>(), day(*at))?;
            }
            Request::DeleteTraces => queue.delete_traces()?,
            Request::Acknowledged(last) => queue.acknowledged(*last)?,
        }
        backlog.remove(0);
    }
    Ok(Waiting { next: queue.batch()?, reports: queue.len()?, trouble: None })
}

fn add_trace(queue: &ReportQueue, draft: &TraceDraft) -> rusqlite::Result<()> {
    let visit = draft.visit.map(|visit| reference(queue.secret(), visit));
    let trace = Trace { visit, ..draft.trace.clone() };
    let customer = hash(queue.secret(), &draft.client);
    queue.add_trace(trace, &customer, day(draft.at), draft.until)
}

/// The beginning of its day, UTC.
fn day(at: WallTime) -> WallTime {
    WallTime::from_unix_secs(at.unix_secs().div_euclid(DAY_S) * DAY_S)
}

fn report(secret: &[u8], Draft { at, visit, what }: &Draft) -> Report {
    let mut what = what.clone();
    if let Some(id) = visit {
        match &mut what {
            ReportKind::Visit(VisitReport { visit, .. })
            | ReportKind::Label(VisitLabel { visit, .. }) => *visit = reference(secret, *id),
            _ => {}
        }
    }
    Report { n: 0, at: at.to_string(), what }
}

/// Connects a visit with its label, and nothing with a customer: anyone who knows a handle and a
/// time could compute a visit's id.
fn reference(secret: &[u8], visit: VisitId) -> String {
    hash(secret, &visit.to_string())
}

/// 16 hexadecimal digits.
fn hash(secret: &[u8], text: &str) -> String {
    let mut hash = Sha256::new();
    hash.update(secret);
    hash.update(text);
    hex::encode(hash.finalize().get(..8).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_label_refers_to_its_visit_without_naming_it() {
        let dir = tempfile::tempdir().unwrap();
        let (reports, mut waiting, thread) = Reports::open(dir.path()).unwrap();
        let at = WallTime::from_unix_secs(1_767_603_600);
        let [one, two] = ["c-1", "c-2"].map(|client| VisitId::of(42, client, at, "door"));
        reports.label(one, true, at);
        reports.label(two, true, at);
        reports.label(one, false, at);
        let found = waiting.wait_for(|waiting| waiting.reports == 3).await.unwrap().clone();
        let batch = found.next.unwrap();
        let visits: Vec<&str> = batch.reports.iter().map(|report| report.what.visit()).collect();
        assert!(visits[0] == visits[2] && visits[0] != visits[1]);
        let text = serde_json::to_string(&batch).unwrap();
        assert!(!text.contains(&one.to_string()) && !text.contains("c-1"), "{text}");
        reports.acknowledged(batch.reports[2].n);
        waiting.wait_for(|waiting| waiting.reports == 0).await.unwrap();
        drop(reports);
        thread.join().unwrap();
    }
}
