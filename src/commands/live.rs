//! What is received now, for commands: `scan`, `record`, `walk-test`, `doctor`.

use std::io::ErrorKind;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::net::UnixStream;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::complain;
use crate::clock::Clocks;
use crate::config::{Config, Source};
use crate::daemon::{status, tap};
use crate::pipeline::event::Hearing;
use crate::sources::adapter::{Choice, Hci};
use crate::sources::capture_path::CapturePath;
use crate::sources::kinds;
use crate::sources::live::{self, SourceEvent};
use crate::sources::status::{AdapterStatus, Status};
use crate::tasks::{self, Task};

/// Batches that wait while a command writes to its terminal or disk.
const BATCHES: usize = 16;

/// The options of `scan` and `record` about the radio.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct RadioArgs {
    /// Scans with this adapter alone: its name (hci0) or its address
    #[arg(long)]
    adapter: Option<Choice>,
    /// Receives on this path alone: dbus or monitor
    #[arg(long = "ear", value_name = "PATH", value_parser = capture_path)]
    capture_path: Option<CapturePath>,
    /// Ends after this many seconds
    #[arg(long = "for", value_name = "SECONDS", value_parser = seconds)]
    length: Option<Duration>,
}

fn capture_path(text: &str) -> Result<CapturePath, String> {
    let mut paths = [CapturePath::Dbus, CapturePath::Monitor].into_iter();
    paths.find(|path| path.word() == text).ok_or_else(|| "dbus or monitor".to_owned())
}

/// A length of time on the command line.
///
/// # Errors
/// The text is no number, or one that is not above 0.
pub fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "seconds, such as 0.5 or 30".to_owned())?;
    match Duration::try_from_secs_f64(seconds) {
        Ok(duration) if !duration.is_zero() => Ok(duration),
        _ => Err("a number of seconds above 0".to_owned()),
    }
}

impl RadioArgs {
    /// Whether the arguments name an adapter or a capture path.
    pub fn names_a_radio(&self) -> bool {
        self.adapter.is_some() || self.capture_path.is_some()
    }

    /// After how long it ends.
    pub const fn length(&self) -> Option<Duration> {
        self.length
    }

    /// The first live source of `config`, or all adapters through `BlueZ`; the adapter that the
    /// command line names.
    fn settings(&self, config: Option<&Config>) -> live::Settings {
        let sources = config.map(|config| config.sources.as_slice()).unwrap_or_default();
        let configured = sources.iter().find_map(|source| match source {
            Source::Live(settings) => Some(settings.clone()),
            _ => None,
        });
        let default = || live::Settings::of(kinds::DEFAULT);
        match &self.adapter {
            Some(adapter) => live::Settings { adapter: Some(adapter.to_string()), ..default() },
            // A command challenges no phones.
            None => live::Settings { challenge_pause: None, ..configured.unwrap_or_else(default) },
        }
    }

    /// Waits for the end: the length that was asked for, Ctrl-C or a signal.
    pub async fn over(&self) {
        let length = async {
            match self.length {
                Some(length) => tokio::time::sleep(length).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = length => {}
            () = stopped() => {}
        }
    }
}

/// Ctrl-C, or what `kill` and systemd send. Never where signals cannot be had.
async fn stopped() {
    use tokio::signal::unix::{SignalKind, signal};
    match (signal(SignalKind::interrupt()), signal(SignalKind::terminate())) {
        (Ok(mut interrupted), Ok(mut terminated)) => {
            tokio::select! {
                _ = interrupted.recv() => {}
                _ = terminated.recv() => {}
            }
        }
        _ => std::future::pending().await,
    }
}

/// What the running daemon receives, or what a source of this process receives.
pub struct Live {
    /// Advertisements, and changes of the state.
    pub events: mpsc::Receiver<SourceEvent>,
    pub status: watch::Receiver<Status>,
    stop: CancellationToken,
    task: Task<()>,
}

impl Live {
    /// Begins to receive: from the daemon of `config`, unless `args` names an adapter or a path;
    /// without a daemon from the first live source of `config`, or through `BlueZ`.
    pub fn start(args: &RadioArgs, config: Option<&Config>, clocks: &Clocks) -> Self {
        if args.adapter.is_none()
            && args.capture_path.is_none()
            && let Some(daemon) = config.and_then(running_daemon)
        {
            return Self::with(Status::starting(), |events, status, _| {
                tasks::spawn("tap", read(daemon, events, status))
            });
        }
        let mut settings = args.settings(config);
        settings.capture_path = args.capture_path;
        let source = settings.open(clocks);
        Self::following(settings.kind.word, |events, stop| source.run(events, stop))
    }

    /// A source that reports its state among its events.
    fn following<F>(
        name: &'static str,
        run: impl FnOnce(mpsc::Sender<SourceEvent>, CancellationToken) -> F,
    ) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        Self::with(Status::starting(), |events, status, stop| {
            let (reported, mut report) = mpsc::channel(BATCHES);
            let source = run(reported, stop);
            tasks::spawn(name, async move {
                let follow = async {
                    while let Some(event) = report.recv().await {
                        match &event {
                            SourceEvent::State(hearing, reason) => status.send_modify(|status| {
                                (status.hearing, status.reason) = (*hearing, reason.clone());
                            }),
                            SourceEvent::Radio(radio) => drop(status.send_replace(*radio.clone())),
                            _ => {}
                        }
                        if events.send(event).await.is_err() {
                            return;
                        }
                    }
                };
                tokio::join!(source, follow);
            })
        })
    }

    fn with(
        status: Status,
        start: impl FnOnce(
            mpsc::Sender<SourceEvent>,
            watch::Sender<Status>,
            CancellationToken,
        ) -> Task<()>,
    ) -> Self {
        let (heard, events) = mpsc::channel(BATCHES);
        let (reported, status) = watch::channel(status);
        let stop = CancellationToken::new();
        let task = start(heard, reported, stop.clone());
        Self { events, status, stop, task }
    }

    pub async fn end(self) {
        self.stop.cancel();
        drop(self.events);
        self.task.ended(Duration::from_secs(2)).await;
    }
}

/// Why nothing is received, and what to do about it; `None` where something is.
pub fn trouble(status: &Status) -> Option<String> {
    if status.hearing == Hearing::Listening {
        return None;
    }
    let reason = status.reason.as_deref().unwrap_or("nothing is received");
    Some(format!("{reason}\n  hint: {}", remedy(reason)))
}

/// What to do about a reason that a source gives.
pub fn remedy(reason: &str) -> &'static str {
    /// Words of reasons, the more particular first.
    const REMEDIES: [(&str, &str); 11] = [
        (
            "no Bluetooth adapter",
            "plug one in; on a Raspberry Pi see that config.txt has no dtoverlay=disable-bt",
        ),
        ("is not there", "see source.adapter, and `grelot doctor` for the adapters there are"),
        ("polkit", "install grelot-bluetooth.rules, see docs/install.md"),
        ("bluetoothd does not answer", "sudo systemctl restart bluetooth"),
        ("bluetoothd is not", "sudo apt install bluez; sudo systemctl enable --now bluetooth"),
        ("D-Bus", "sudo apt install dbus; sudo systemctl start dbus"),
        (
            "group bluetooth",
            "sudo usermod -aG bluetooth USER, and log in again; or run it with sudo",
        ),
        ("rfkill", "sudo rfkill unblock bluetooth"),
        ("switched off", "sudo rfkill unblock bluetooth; bluetoothctl power on"),
        (
            "btleplug",
            "switch Bluetooth on, and let this terminal use it (macOS: System Settings, Privacy & Security, Bluetooth)",
        ),
        ("nothing received", "hold a phone or beacon that advertises near; sudo grelot doctor"),
    ];
    let known = REMEDIES.iter().find(|(words, _)| reason.contains(words));
    known.map_or("sudo grelot doctor", |(_, remedy)| remedy)
}

/// The stream of the daemon that runs with `config`.
fn running_daemon(config: &Config) -> Option<UnixStream> {
    let daemon = std::os::unix::net::UnixStream::connect(tap::socket(&config.state));
    if daemon.as_ref().is_err_and(|error| error.kind() == ErrorKind::PermissionDenied) {
        complain(
            "grelot: this user cannot ask the daemon, so this command scans beside it, if it runs\n  \
             hint: with sudo it shows what the daemon receives",
        );
    }
    let daemon = daemon.ok()?;
    daemon.set_nonblocking(true).ok()?;
    UnixStream::from_std(daemon).ok()
}

/// Reads the daemon's stream to its end.
async fn read(
    daemon: UnixStream,
    events: mpsc::Sender<SourceEvent>,
    status: watch::Sender<Status>,
) {
    let mut lines = BufReader::new(daemon).lines();
    let read = async {
        while let Ok(Some(line)) = lines.next_line().await {
            match serde_json::from_str(&line) {
                Ok(tap::Line::Advertisements(batch)) => {
                    let batch = batch.into_iter().filter_map(tap::Wire::advertisement);
                    if events.send(SourceEvent::Received(batch.collect())).await.is_err() {
                        return;
                    }
                }
                Ok(tap::Line::Sources(sources)) => {
                    status.send_replace(sources.iter().fold(Status::starting(), add));
                }
                // Of another version.
                Err(_) => {}
            }
        }
    };
    tokio::select! {
        () = read => {}
        () = events.closed() => {}
    }
}

/// Adds one of the daemon's sources.
fn add(mut status: Status, source: &status::Source) -> Status {
    if source.listening {
        (status.hearing, status.reason) = (Hearing::Listening, source.note.clone());
    } else if status.hearing == Hearing::Blind {
        status.reason.clone_from(&source.note);
    }
    status.heard += source.heard;
    status.shed += source.shed;
    for adapter in &source.adapters {
        let Some(hci) = Hci::named(&adapter.name) else { continue };
        let hearing = if adapter.listening { Hearing::Listening } else { Hearing::Blind };
        let monitor = adapter.ear == CapturePath::Monitor.word();
        let path = if monitor { CapturePath::Monitor } else { CapturePath::Dbus };
        let (address, hides) = (adapter.address.clone(), adapter.hides_repetitions);
        let reason = adapter.note.clone().filter(|_| !adapter.listening);
        status.adapters.insert(hci, AdapterStatus { address, hearing, path, hides, reason });
    }
    status
}
