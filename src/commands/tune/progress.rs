//! The progress of a search, on a terminal only.

use std::io::{IsTerminal as _, Write as _};
use std::time::Duration;

use crate::clock::Clocks;
use crate::commands::progress_bar::progress_bar;
use crate::pipeline::units::Tick;

/// Cells of the bar.
const WIDTH: usize = 28;
/// Faster than anyone reads.
const BETWEEN: Duration = Duration::from_millis(100);

/// A bar on standard error.
pub struct Progress {
    clocks: Clocks,
    began: Tick,
    shown: Option<Tick>,
    visible: bool,
    stage: String,
    /// Of the present stage.
    done: usize,
    of: usize,
}

impl Progress {
    /// Nothing is done yet.
    pub fn new() -> Self {
        let clocks = Clocks::machine();
        let began = clocks.now().tick;
        let visible = std::io::stderr().is_terminal();
        Self { clocks, began, shown: None, visible, stage: String::new(), done: 0, of: 0 }
    }

    /// A stage of `of` steps begins.
    pub fn stage(&mut self, name: impl Into<String>, of: usize) {
        (self.stage, self.done, self.of) = (name.into(), 0, of);
        self.draw();
    }

    /// One step is done.
    pub fn step(&mut self) {
        self.done += 1;
        let now = self.clocks.now().tick;
        if self.done == self.of || self.shown.is_none_or(|shown| now.since(shown) >= BETWEEN) {
            self.draw();
        }
    }

    /// Wipes the line, and returns how long it took.
    pub fn end(&mut self) -> Duration {
        if self.visible && self.shown.is_some() {
            let mut out = std::io::stderr().lock();
            // A terminal that is gone needs no wiping.
            let _ = out.write_all(b"\r\x1b[K").and_then(|()| out.flush());
            self.shown = None;
        }
        self.clocks.now().tick.since(self.began)
    }

    fn draw(&mut self) {
        let now = self.clocks.now().tick;
        if self.visible && self.of > 0 {
            let spent = clock(now.since(self.began));
            let line = line(&self.stage, self.done, self.of, &spent);
            let mut out = std::io::stderr().lock();
            let _ = write!(out, "\r{line}\x1b[K").and_then(|()| out.flush());
            self.shown = Some(now);
        }
    }
}

fn line(stage: &str, done: usize, of: usize, spent: &str) -> String {
    let bar = progress_bar(done, of, WIDTH);
    format!("{stage:<22} {bar} {done:>4} of {of}  {spent}")
}

/// As `1:05` or `1:02:03`.
pub fn clock(spent: Duration) -> String {
    let secs = spent.as_secs();
    let (hours, minutes, secs) = (secs / 3600, secs / 60 % 60, secs % 60);
    if hours > 0 {
        format!("{hours}:{minutes:02}:{secs:02}")
    } else {
        format!("{minutes}:{secs:02}")
    }
}
