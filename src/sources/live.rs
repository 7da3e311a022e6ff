//! What every live source is: how it is configured, started and reports. The kinds there are:
//! [`super::kinds`].

use std::path::PathBuf;
use std::time::Duration;

use futures::future::BoxFuture;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::Advertisement;
use super::status::Status;
use crate::clock::Clocks;
use crate::pipeline::advert::ibeacon::IBeacon;
use crate::pipeline::event::{Answer, Hearing};
use crate::sources::capture_path::CapturePath;

/// What a live source reports.
#[derive(Debug)]
pub enum SourceEvent {
    /// Advertisements, in the order they were received.
    Received(Vec<Advertisement>),
    /// A phone answered a GATT challenge.
    Answered(Answer),
    /// The source receives, or does not; the reason is for IT.
    State(Hearing, Option<String>),
    /// The state of a source with adapters changed: an adapter, a capture path, a count of
    /// recovery steps or of dropped advertisements.
    Radio(Box<Status>),
    /// The source cannot recover by itself: a fresh process may help.
    GiveUp,
}

/// A live source: it receives until `stop`, or until the daemon takes no more `events`.
pub trait LiveSource: Send {
    /// Its task.
    fn run(
        self: Box<Self>,
        events: mpsc::Sender<SourceEvent>,
        stop: CancellationToken,
    ) -> BoxFuture<'static, ()>;
}

/// What a live source is written as; [`LiveSource`] is the same for the table of sources.
pub trait Receive: Send + 'static {
    /// Receives until `stop`, or until the daemon takes no more `events`. `events` may be slow.
    fn receive(
        self,
        events: mpsc::Sender<SourceEvent>,
        stop: CancellationToken,
    ) -> impl Future<Output = ()> + Send;
}

impl<T: Receive> LiveSource for T {
    fn run(
        self: Box<Self>,
        events: mpsc::Sender<SourceEvent>,
        stop: CancellationToken,
    ) -> BoxFuture<'static, ()> {
        Box::pin((*self).receive(events, stop))
    }
}

/// A kind of live source, as `[[source]] kind` names it.
#[derive(Debug)]
pub struct Kind {
    /// In the configuration.
    pub word: &'static str,
    /// The keys of `[[source]]` that it reads, beside `kind`.
    pub keys: &'static [&'static str],
    /// What its platform cannot do, for `status` and `doctor`.
    pub limits: Option<&'static str>,
    /// Whether an adapter can have this name.
    pub names_adapter: fn(&str) -> bool,
    /// Makes one, which does not receive yet.
    pub open: fn(&Settings, &Clocks) -> Box<dyn LiveSource>,
}

/// Kinds are the same if they have the same word.
impl PartialEq for Kind {
    fn eq(&self, other: &Self) -> bool {
        self.word == other.word
    }
}

/// A `[[source]]` of a live kind.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// Which kind; only the settings that it reads matter.
    pub kind: &'static Kind,
    /// `adapter`: a name such as `hci0`, or an address.
    pub adapter: Option<String>,
    /// `path`
    pub path: PathBuf,
    /// `ask_deaf_ms`, unless `ask` is false: phones with the app in the background are challenged;
    /// with no other adapter to scan, one attempt to connect lasts this long at most.
    pub challenge_pause: Option<Duration>,
    /// `[wake_up]`: the iBeacon to advertise beside the scan.
    pub wake_up: Option<IBeacon>,
    /// The only capture path to use; the better one where `None`.
    pub capture_path: Option<CapturePath>,
}

impl Settings {
    /// Of a kind, with nothing configured.
    pub const fn of(kind: &'static Kind) -> Self {
        Self {
            kind,
            adapter: None,
            path: PathBuf::new(),
            challenge_pause: None,
            wake_up: None,
            capture_path: None,
        }
    }

    /// Makes the source, which does not receive yet.
    pub fn open(&self, clocks: &Clocks) -> Box<dyn LiveSource> {
        (self.kind.open)(self, clocks)
    }

    /// As people call it, such as `bluez hci0`.
    pub fn name(&self) -> String {
        let path = (self.path.as_os_str() != "").then(|| self.path.display().to_string());
        match self.adapter.clone().or(path) {
            Some(which) => format!("{} {which}", self.kind.word),
            None => self.kind.word.to_owned(),
        }
    }

    /// Whether both would receive the same advertisements of the same radio or stream.
    pub fn overlaps(&self, other: &Self) -> bool {
        let radio = |one: &Self| one.path.as_os_str() == "";
        match (radio(self), radio(other)) {
            (true, true) => match (&self.adapter, &other.adapter) {
                (Some(a), Some(b)) => a.eq_ignore_ascii_case(b),
                _ => true,
            },
            (false, false) => self.path == other.path,
            _ => false,
        }
    }
}
