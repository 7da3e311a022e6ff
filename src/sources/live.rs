//! The interface of live sources: configuration, start and events. [`super::kinds`] lists the
//! kinds.

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
    /// The future of its task.
    fn run(
        self: Box<Self>,
        events: mpsc::Sender<SourceEvent>,
        stop: CancellationToken,
    ) -> BoxFuture<'static, ()>;
}

/// The trait that a live source implements; [`LiveSource`] is its object-safe form for the table of
/// sources.
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
    /// The word for it in the configuration.
    pub word: &'static str,
    /// The keys of `[[source]]` that it reads besides `kind`.
    pub keys: &'static [&'static str],
    /// What its platform cannot do, for `status` and `doctor`.
    pub limits: Option<&'static str>,
    /// Whether `name` is valid for an adapter.
    pub names_adapter: fn(&str) -> bool,
    /// Makes a source, which does not receive yet.
    pub open: fn(&Settings, &Clocks) -> Box<dyn LiveSource>,
}

/// Kinds are equal if they have the same word.
impl PartialEq for Kind {
    fn eq(&self, other: &Self) -> bool {
        self.word == other.word
    }
}

/// The settings of a live `[[source]]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// Which kind; only the settings that it reads matter.
    pub kind: &'static Kind,
    /// `adapter`: a name such as `hci0`, or an address.
    pub adapter: Option<String>,
    /// `path`: the pipe, device or file to read.
    pub path: PathBuf,
    /// `ask_deaf_ms`, unless `ask` is false: phones with the app in the background are challenged;
    /// where no other adapter scans, an attempt to connect lasts this long at most.
    pub challenge_pause: Option<Duration>,
    /// `[wake_up]`: the iBeacon to advertise beside the scan.
    pub wake_up: Option<IBeacon>,
    /// The only capture path to use; the better one where `None`.
    pub capture_path: Option<CapturePath>,
}

impl Settings {
    /// A source of `kind` without further settings.
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

    /// The name for people, such as `bluez hci0`.
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
