//! Begins the survey again on request, over a Unix socket in the state folder that only the
//! service's user and root can open.
//!
//! A client sends one line of JSON, a [`Reset`], and receives one [`Answer`].

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::socket;
use crate::pipeline::presence::Survey;

/// For one client, who sends its line at once, and for the event loop.
const PATIENCE: Duration = Duration::from_secs(5);

/// Longer than any name of a gateway.
const LONGEST: u64 = 4096;

/// What is to be forgotten.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reset {
    /// The gateway's name; `None` is all gateways and beacons.
    pub gateway: Option<String>,
}

/// What became of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    Forgotten {
        /// Of these gateways.
        gateways: Vec<String>,
        /// Also of the beacons.
        beacons: bool,
    },
    /// Nothing was learned of that gateway.
    Unknown {
        /// Gateways of which something was learned.
        known: Vec<String>,
    },
}

impl Answer {
    /// What `reset` will forget of `survey`.
    pub fn to(reset: &Reset, survey: &Survey) -> Self {
        let known: Vec<String> = survey.gateways.keys().cloned().collect();
        match &reset.gateway {
            None => Self::Forgotten { gateways: known, beacons: true },
            Some(name) if known.contains(name) => {
                Self::Forgotten { gateways: vec![name.clone()], beacons: false }
            }
            Some(_) => Self::Unknown { known },
        }
    }
}

/// A request to the event loop.
#[derive(Debug)]
pub struct Request {
    pub reset: Reset,
    pub answer: oneshot::Sender<Answer>,
}

/// Where the daemon of a state folder answers.
pub fn socket(state: &Path) -> PathBuf {
    state.join("survey.sock")
}

/// Answers until `stop` is cancelled.
pub async fn serve(
    listener: UnixListener,
    requests: mpsc::Sender<Request>,
    stop: CancellationToken,
) {
    let answer = |stream| async {
        let answered = tokio::time::timeout(PATIENCE, answer(stream, &requests)).await;
        if !matches!(answered, Ok(Ok(()))) {
            tracing::debug!("a request about the survey was not answered");
        }
    };
    socket::serve(listener, stop, answer).await;
}

async fn answer(mut stream: UnixStream, requests: &mpsc::Sender<Request>) -> io::Result<()> {
    let (from, mut to) = stream.split();
    let mut line = String::new();
    BufReader::new(from.take(LONGEST)).read_line(&mut line).await?;
    let reset = serde_json::from_str(&line)?;
    let (answer, answered) = oneshot::channel();
    let gone = || io::Error::other("the event loop has ended");
    requests.send(Request { reset, answer }).await.map_err(|_| gone())?;
    let answer = answered.await.map_err(|_| gone())?;
    to.write_all(serde_json::to_string(&answer)?.as_bytes()).await?;
    to.shutdown().await
}
