//! HCI packets from a pipe, a serial line or a file, as a remote sniffer or `btmon`'s like write
//! them: H4 (Core, Vol 4 Part A), read by the same decoder as the live radio.
//!
//! What the daemon cannot take yet waits in the pipe, and then in its writer: nothing is lost here.

mod frames;

use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::FileTypeExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::net::unix::pipe;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::chains::Chains;
use super::hci;
use super::live::{Kind, Receive, SourceEvent};
use crate::clock::Clocks;
use crate::pipeline::event::Hearing;
use crate::pipeline::units::Tick;
use crate::sources::activity::ActivitySample;
use crate::sources::scan_health::{ScanHealth, ScanState};
use crate::tasks;
use frames::Frames;

/// The size of a pipe in Linux; a tenth of a second of the densest air fills half of it.
const CHUNK: usize = 64 * 1024;
/// Packets that come within this time of the first are read together.
const BATCH: Duration = Duration::from_millis(20);
/// Interval at which reception is checked, and at which a new writer is looked for.
const CHECK: Duration = Duration::from_secs(1);

/// HCI packets from a pipe, a device or a file.
pub const KIND: Kind = Kind {
    word: "h4",
    keys: &["path"],
    limits: None,
    names_adapter: |_| true,
    open: |settings, clocks| Box::new(Stream::new(settings.path.clone(), clocks.clone())),
};

/// A stream of HCI packets.
#[derive(Debug)]
pub struct Stream {
    path: PathBuf,
    clocks: Clocks,
    frames: Frames,
    chains: Chains,
    scan_health: ScanHealth,
    reported: Option<(Hearing, Option<String>)>,
}

impl Stream {
    /// The stream at `path`, which need not be there yet.
    pub fn new(path: PathBuf, clocks: Clocks) -> Self {
        let scan_health = ScanHealth::new(clocks.now().tick);
        let (frames, chains) = (Frames::default(), Chains::default());
        Self { path, clocks, frames, chains, scan_health, reported: None }
    }

    /// Reads one writer's stream after the other.
    async fn listen(&mut self, events: &mpsc::Sender<SourceEvent>) {
        while !events.is_closed() {
            let ended = match Reader::open(&self.path) {
                Ok(mut reader) => self.read(&mut reader, events).await,
                Err(error) => format!("{}: {error}", self.path.display()),
            };
            (self.frames, self.chains) = (Frames::default(), Chains::default());
            self.scan_health = ScanHealth::new(self.clocks.now().tick);
            self.tell(events, Hearing::Blind, Some(ended)).await;
            tokio::time::sleep(CHECK).await;
        }
    }

    /// Reads one stream to its end; returns why it ended.
    async fn read(&mut self, reader: &mut Reader, events: &mpsc::Sender<SourceEvent>) -> String {
        let mut chunk = Vec::with_capacity(CHUNK);
        loop {
            chunk.clear();
            match tokio::time::timeout(CHECK, reader.read(&mut chunk)).await {
                Ok(Ok(0)) => return "the stream has ended".to_owned(),
                Ok(Ok(_)) => self.hear(&chunk, events).await,
                Ok(Err(error)) => return error.to_string(),
                Err(_) => {}
            }
            self.judge(events).await;
            tokio::time::sleep(BATCH).await;
        }
    }

    async fn hear(&mut self, chunk: &[u8], events: &mpsc::Sender<SourceEvent>) {
        let mut sample = ActivitySample::default();
        let mut heard = Vec::new();
        let at = self.clocks.now().tick.since(Tick::ZERO);
        self.frames.feed(chunk, |packet| {
            // A truncated report is the writer's fault; the next one may be valid.
            for report in hci::h4_reports(packet).flatten() {
                if let Some(whole) = self.chains.join(0, at, report) {
                    sample.record(whole.address, whole.rssi);
                    heard.push(whole.into());
                }
            }
        });
        self.scan_health.add(self.clocks.now().tick, sample);
        if !heard.is_empty() {
            // The receiver has gone: the loop above checks that.
            drop(events.send(SourceEvent::Received(heard)).await);
        }
    }

    async fn judge(&mut self, events: &mpsc::Sender<SourceEvent>) {
        let (hearing, reason) = match self.scan_health.state(self.clocks.now().tick) {
            ScanState::Receiving => (Hearing::Listening, None),
            ScanState::NothingYet if self.frames.skipped() > 0 => {
                (Hearing::Blind, Some("the stream has no HCI packets".to_owned()))
            }
            ScanState::NothingYet => (Hearing::Blind, Some("nothing received yet".to_owned())),
            ScanState::Silent => (Hearing::Blind, Some("fell silent".to_owned())),
        };
        self.tell(events, hearing, reason).await;
    }

    async fn tell(
        &mut self,
        events: &mpsc::Sender<SourceEvent>,
        hearing: Hearing,
        reason: Option<String>,
    ) {
        let now = Some((hearing, reason.clone()));
        if self.reported != now {
            self.reported = now;
            drop(events.send(SourceEvent::State(hearing, reason)).await);
        }
    }
}

impl Receive for Stream {
    async fn receive(mut self, events: mpsc::Sender<SourceEvent>, stop: CancellationToken) {
        tokio::select! {
            () = stop.cancelled() => {}
            () = self.listen(&events) => {}
        }
    }
}

/// Where the octets come from.
enum Reader {
    /// A named pipe: read as soon as there is something.
    Pipe(pipe::Receiver),
    /// A file or a device, read by a thread. Each waits for the other.
    Thread(mpsc::Receiver<io::Result<Vec<u8>>>),
}

impl Reader {
    fn open(path: &Path) -> io::Result<Self> {
        if std::fs::metadata(path)?.file_type().is_fifo() {
            return pipe::OpenOptions::new().open_receiver(path).map(Self::Pipe);
        }
        let mut file = File::open(path)?;
        let (chunks, read) = mpsc::channel(2);
        tasks::thread("h4", move || {
            loop {
                let mut chunk = vec![0; CHUNK];
                let read = file.read(&mut chunk).map(|length| {
                    chunk.truncate(length);
                    chunk
                });
                let over = !matches!(&read, Ok(chunk) if !chunk.is_empty());
                if chunks.blocking_send(read).is_err() || over {
                    return;
                }
            }
        })?;
        Ok(Self::Thread(read))
    }

    /// Appends what is available; returns 0 at the end. Cancel-safe.
    async fn read(&mut self, chunk: &mut Vec<u8>) -> io::Result<usize> {
        match self {
            Self::Pipe(pipe) => loop {
                pipe.readable().await?;
                match pipe.try_read_buf(chunk) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    read => return read,
                }
            },
            Self::Thread(chunks) => {
                let read = chunks.recv().await.unwrap_or_else(|| Ok(Vec::new()))?;
                chunk.extend_from_slice(&read);
                Ok(read.len())
            }
        }
    }
}
