//! The way of check-ins from the page's server to the pipeline, and of its answers back.

use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use crate::pipeline::advert::token::Token;

/// Check-ins that wait for the pipeline.
pub const MOST_WAITING: usize = 16;

/// For the pipeline's answer.
const PATIENCE: Duration = Duration::from_secs(3);

/// A check-in on its way to the pipeline.
#[derive(Debug)]
pub struct Request {
    pub who: Who,
    /// What became of it.
    pub answer: oneshot::Sender<Outcome>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Who {
    /// A customer's handle, as staff entered it.
    Client(String),
    /// What the customer's app would advertise now.
    Token(Token),
}

/// What became of a check-in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// A visit is open now.
    Welcome,
    /// One was open already.
    AlreadyHere,
    /// No such customer, or none who may be recognised now.
    Unknown,
}

/// The way to the pipeline.
#[derive(Debug, Clone, Default)]
pub struct Desk {
    /// `None` where no gateway runs in this process.
    pub requests: Option<mpsc::Sender<Request>>,
    /// Whether customers may check in with a link at the entrance.
    pub entrance: bool,
}

impl Desk {
    /// What becomes of a check-in; `None` where the pipeline does not answer.
    pub async fn check_in(&self, who: Who) -> Option<Outcome> {
        let (answer, answered) = oneshot::channel();
        self.requests.as_ref()?.try_send(Request { who, answer }).ok()?;
        timeout(PATIENCE, answered).await.ok()?.ok()
    }
}
