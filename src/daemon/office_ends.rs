//! The event loop's end of the line to head office, and how the line is started.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::delivery::Delivery;
use super::trace_recorder::Finished;
use crate::config::{Config, HeadOffice};
use crate::mqtt::Identity;
use crate::mqtt::client::{self, KnownWithdrawals, OfficeAnswer, WithdrawalNews};
use crate::mqtt::tls::{self, TlsError};
use crate::mqtt::topics::{Addressee, Topics};
use crate::office::line::Channels;
use crate::office::reports::Waiting;
use crate::office::{Line, OfficeLink, Reports};
use crate::payload::{self, HourReport};
use crate::pipeline::event::Hearing;
use crate::pipeline::units::{Now, WallTime};
use crate::pipeline::{Effect, VisitId};
use crate::tasks::{self, Task};
use crate::telemetry::health::Health;

/// Withdrawals on their way to the shop's own client.
const WITHDRAWALS: usize = 64;

/// Interval of reports of counts.
const HOUR: Duration = Duration::from_hours(1);

/// The line, before it is started.
pub struct OfficeParts {
    line: HeadOffice,
    reports: Reports,
    waiting: watch::Receiver<Waiting>,
    withdrawals: mpsc::Sender<WithdrawalNews>,
    answer: watch::Sender<OfficeAnswer>,
    known: watch::Receiver<KnownWithdrawals>,
    thread: JoinHandle<()>,
}

/// Why the line cannot be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The certificates of `[head_office]` cannot be used.
    #[error("head_office: {0}")]
    Tls(#[from] TlsError),
    /// No thread for its reports.
    #[error("cannot start the thread of reports: {0}")]
    Thread(#[from] io::Error),
}

impl OfficeParts {
    /// Opens the queue of reports in the state folder; returns the shop's own client's end as well.
    ///
    /// # Errors
    /// Where there is no thread for it.
    pub fn new(line: HeadOffice, state: &Path) -> io::Result<(Self, client::Office)> {
        let (reports, waiting, thread) = Reports::open(state)?;
        let (withdrawals, received) = mpsc::channel(WITHDRAWALS);
        let (answer, answered) = watch::channel(OfficeAnswer::Waiting);
        let (knowing, known) = watch::channel(KnownWithdrawals::default());
        let end = client::Office { withdrawals: received, answer: answered, known: knowing };
        Ok((Self { line, reports, waiting, withdrawals, answer, known, thread }, end))
    }

    /// Starts the line.
    ///
    /// # Errors
    /// Where its certificates cannot be used.
    pub fn start(
        self,
        config: &Config,
        delivery: &Delivery,
        now: Now,
        stop: CancellationToken,
    ) -> Result<(OfficeEnds, Task<()>), StartError> {
        let HeadOffice { urls, username, password, tls, longest_wait, keep_traces } = self.line;
        let secure = urls.iter().any(|url| url.tls);
        let here = Addressee {
            topics: Topics::of(config.store.id),
            gateway: config.gateway.clone(),
            group: config.store.group.clone(),
        };
        let identity = Identity {
            client_id: here.topics.office_client_id(&here.gateway),
            login: username.zip(password),
            tls: if secure { Some(tls::client(&tls)?) } else { None },
        };
        let (health, healths) = mpsc::channel(1);
        let (show, link) = watch::channel(OfficeLink::default());
        let waiting = self.waiting.clone();
        if keep_traces.is_none() {
            self.reports.delete_traces();
        }
        let channels = Channels {
            status: delivery.status(),
            health: healths,
            waiting: self.waiting,
            reports: self.reports.clone(),
            inbound: delivery.inbound(),
            withdrawals: self.withdrawals,
            known: self.known,
            answer: self.answer,
            link: show,
        };
        let to_office = Line::new(urls, identity, here, longest_wait, channels);
        let task = tasks::spawn("head_office", to_office.run(stop));
        let hour = Hour::begin(now, &Health::default());
        let ends = OfficeEnds {
            reports: self.reports,
            health,
            link,
            waiting,
            hour,
            thread: self.thread,
            keep_traces,
            withdrawn: Vec::new(),
        };
        Ok((ends, task))
    }
}

/// The event loop's end.
pub struct OfficeEnds {
    reports: Reports,
    health: mpsc::Sender<Vec<u8>>,
    link: watch::Receiver<OfficeLink>,
    waiting: watch::Receiver<Waiting>,
    hour: Hour,
    thread: JoinHandle<()>,
    /// For how long traces of contacts wait, where they are made at all.
    keep_traces: Option<Duration>,
    /// Customers whose traces are still to be deleted.
    withdrawn: Vec<Arc<str>>,
}

impl OfficeEnds {
    /// Reports a visit that ended, and deletes the traces of a customer who withdrew.
    pub fn report(&mut self, now: Now, effect: &Effect) {
        match effect {
            Effect::Departed { visit, at, reason } => self.reports.visit(visit, *at, *reason),
            Effect::Forget { client } => self.forget([Arc::clone(client)], now.clock.reading()),
            _ => {}
        }
    }

    /// Deletes the traces of customers who withdrew consent, also of traces from before a restart.
    pub fn forget(&mut self, clients: impl IntoIterator<Item = Arc<str>>, at: WallTime) {
        self.withdrawn.extend(clients);
        if !self.withdrawn.is_empty() && self.reports.forget(self.withdrawn.clone(), at) {
            self.withdrawn.clear();
        }
    }

    /// Whether traces of contacts are made.
    pub const fn takes_traces(&self) -> bool {
        self.keep_traces.is_some()
    }

    /// Reports a stay near the shop, without whose it was.
    pub fn trace(&self, Finished { client, visit, trace }: Finished, at: WallTime) {
        if let Some(keep) = self.keep_traces {
            self.reports.trace(client, visit, trace, at, at.plus(keep));
        }
    }

    /// Reports staff's feedback on a visit.
    pub fn label(&self, visit: VisitId, was_here: bool, at: WallTime) {
        self.reports.label(visit, was_here, at);
    }

    /// Reports what a candidate for settings would have changed.
    pub fn shadow(&self, report: payload::ShadowReport, at: WallTime) {
        self.reports.shadow(report, at);
    }

    /// A minute has passed: its counts go out if the line stands, and an hour's in any case. True when
    /// an hour is over.
    pub fn each_minute(&mut self, now: Now, health: &Health, hearing: Hearing) -> bool {
        // Without a connection counts of a minute are dropped.
        let _ = self.health.try_send(payload::encode(&health.payload(now)));
        self.forget([], now.clock.reading());
        self.hour.minute(hearing);
        let is_over = now.tick.since(self.hour.began.tick) >= HOUR;
        if is_over {
            self.end_hour(now, health);
        }
        is_over
    }

    /// Reports what the hour has brought until now.
    fn end_hour(&mut self, now: Now, health: &Health) {
        let report = self.hour.report(now, health);
        if report.seconds > 0 {
            self.reports.hour(report, now.clock.reading());
        }
        self.hour = Hour::begin(now, health);
    }

    /// The state of the line, for `grelot status`.
    pub fn link(&self) -> (OfficeLink, Waiting) {
        (self.link.borrow().clone(), self.waiting.borrow().clone())
    }

    /// The daemon stops: what the hour has brought is on the disk when this returns.
    pub async fn stop(mut self, now: Now, health: &Health, within: Duration) {
        self.end_hour(now, health);
        let Self { reports, thread, .. } = self;
        drop(reports);
        let joined = tokio::task::spawn_blocking(move || thread.join());
        if !matches!(tokio::time::timeout(within, joined).await, Ok(Ok(Ok(())))) {
            tracing::warn!("the reports to head office did not end in time");
        }
    }
}

/// Counts since the hour began.
struct Hour {
    began: Now,
    before: Counts,
    blind_s: u64,
}

/// Counts since the start.
struct Counts {
    advertisements: u64,
    contacts: u64,
    arrivals: u64,
    alerts: u64,
    departures: u64,
}

impl Counts {
    fn of(health: &Health) -> Self {
        Self {
            advertisements: health.sources.iter().map(|source| source.heard).sum(),
            contacts: health.contacts,
            arrivals: health.arrivals,
            alerts: health.alerts,
            departures: health.departures,
        }
    }
}

impl Hour {
    fn begin(now: Now, health: &Health) -> Self {
        Self { began: now, before: Counts::of(health), blind_s: 0 }
    }

    fn minute(&mut self, hearing: Hearing) {
        self.blind_s += if hearing == Hearing::Blind { 60 } else { 0 };
    }

    fn report(&self, now: Now, health: &Health) -> HourReport {
        let (before, after) = (&self.before, Counts::of(health));
        let seconds = now.tick.since(self.began.tick).as_secs();
        HourReport {
            seconds,
            blind_s: self.blind_s.min(seconds),
            advertisements: after.advertisements.saturating_sub(before.advertisements),
            contacts: after.contacts.saturating_sub(before.contacts),
            arrivals: after.arrivals.saturating_sub(before.arrivals),
            alerts: after.alerts.saturating_sub(before.alerts),
            departures: after.departures.saturating_sub(before.departures),
        }
    }
}
