//! What there is to do with the database, one job after the other, on a thread for work that blocks.
//!
//! Where the database is away a job is done again. Invariant: what was taken is in the inbox, in a job, or
//! committed.

use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use super::database::FleetError;
use super::inbox::{Inbox, Received};
use super::responder::{Job, Reply, Responder};
use crate::pipeline::units::Tick;
use crate::telemetry::brief;

/// Messages of gateways that are committed together.
const MOST_TOGETHER: usize = 200;

/// Before a database that is away is tried again.
const AGAIN: Duration = Duration::from_secs(1);

/// A job that takes longer is reported: a server may hang without breaking its connections.
const HANGS_AFTER: Duration = Duration::from_secs(10);

/// For the job that is being done when the program stops.
const END_WITHIN: Duration = Duration::from_secs(5);

/// The jobs.
pub(super) struct Desk {
    inbox: Inbox,
    inbox_is_full: bool,
    repeat_is_due: bool,
    age_is_due: bool,
    /// `None` while it works.
    responder: Option<Responder>,
    working: Option<JoinHandle<Worked>>,
    /// When the last job began.
    begun: Tick,
    database: Database,
}

/// The database, as the last job found it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Database {
    Answers,
    Hangs,
    /// It is tried again then.
    Away(Tick),
}

struct Worked {
    responder: Responder,
    job: Job,
    result: Result<Vec<Reply>, FleetError>,
}

impl Desk {
    pub(super) fn new(responder: Responder) -> Self {
        Self {
            inbox: Inbox::default(),
            inbox_is_full: false,
            repeat_is_due: false,
            age_is_due: false,
            responder: Some(responder),
            working: None,
            begun: Tick::ZERO,
            database: Database::Answers,
        }
    }

    pub(super) fn take(&mut self, message: Received) {
        if !self.inbox.put(message) && !self.inbox_is_full {
            self.inbox_is_full = true;
            tracing::error!("what gateways say fills the memory set aside for it: it is not taken");
        }
    }

    pub(super) const fn repeat(&mut self) {
        self.repeat_is_due = true;
    }

    pub(super) const fn age(&mut self) {
        self.age_is_due = true;
    }

    /// Begins the next job, if there is one and the one before is done.
    pub(super) fn begin(&mut self, now: Tick) {
        if self.working.is_some() {
            return self.watch(now);
        }
        if matches!(self.database, Database::Away(until) if now < until) {
            return;
        }
        let Some(mut responder) = self.responder.take() else { return };
        let Some(job) = self.next() else {
            self.responder = Some(responder);
            return;
        };
        self.begun = now;
        self.working = Some(tokio::task::spawn_blocking(move || {
            let result = responder.work(&job);
            Worked { responder, job, result }
        }));
    }

    fn watch(&mut self, now: Tick) {
        if self.database == Database::Answers && now.since(self.begun) > HANGS_AFTER {
            self.database = Database::Hangs;
            tracing::error!("head office's database does not answer: what gateways say waits");
        }
    }

    fn next(&mut self) -> Option<Job> {
        if std::mem::take(&mut self.repeat_is_due) {
            return Some(Job::Repeat);
        }
        if std::mem::take(&mut self.age_is_due) {
            return Some(Job::Age);
        }
        (!self.inbox.is_empty()).then(|| Job::Messages(self.inbox.take(MOST_TOGETHER)))
    }

    /// What is to go out once a job is done, or nothing once a database that was away may be tried again.
    /// Cancel-safe.
    pub(super) async fn progress(&mut self, now: Tick) -> Result<Vec<Reply>, FleetError> {
        let Some(working) = &mut self.working else {
            match self.database {
                Database::Away(until) => sleep(until.since(now)).await,
                Database::Answers | Database::Hangs => std::future::pending().await,
            }
            return Ok(Vec::new());
        };
        let ended = working.await;
        self.working = None;
        match ended {
            Ok(worked) => self.done(worked, now),
            // It has panicked: so does the task that waited for it.
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }

    fn done(&mut self, worked: Worked, now: Tick) -> Result<Vec<Reply>, FleetError> {
        let Worked { responder, job, result } = worked;
        self.responder = Some(responder);
        match result {
            Ok(replies) => {
                if self.database != Database::Answers {
                    tracing::info!("head office's database is back");
                }
                (self.database, self.inbox_is_full) = (Database::Answers, false);
                Ok(replies)
            }
            Err(error) if error.may_pass() => {
                if !matches!(self.database, Database::Away(_)) {
                    let why = brief::line(&error);
                    tracing::error!(why, "head office's database is away: what gateways say waits");
                }
                self.database = Database::Away(now.plus(AGAIN));
                match job {
                    Job::Messages(messages) => self.inbox.put_back(messages),
                    Job::Repeat => self.repeat_is_due = true,
                    Job::Age => self.age_is_due = true,
                }
                Ok(Vec::new())
            }
            Err(error) => Err(error),
        }
    }

    /// Waits for the job that is being done.
    pub(super) async fn end(&mut self) {
        if let Some(working) = self.working.take()
            && timeout(END_WITHIN, working).await.is_err()
        {
            tracing::warn!(
                "head office's database does not answer: what gateways said last is not in it"
            );
        }
    }
}
