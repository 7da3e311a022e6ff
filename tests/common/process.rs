//! Processes that end with their test.

use std::process::{Child, Command};

use super::waiting::eventually;

/// Fields of `/proc/<id>/stat`.
struct Stat {
    id: u32,
    parent: u32,
    ticks: u64,
    pages: u64,
}

impl Stat {
    fn read(path: &std::path::Path) -> Option<Self> {
        let stat = std::fs::read_to_string(path).ok()?;
        // The name, in parentheses, may contain anything.
        let (before, after) = stat.rsplit_once(')')?;
        let fields: Vec<&str> = after.split_whitespace().collect();
        let number = |field: usize| fields.get(field)?.parse::<u64>().ok();
        Some(Self {
            id: before.split_whitespace().next()?.parse().ok()?,
            parent: fields.get(1)?.parse().ok()?,
            ticks: number(11)? + number(12)?,
            pages: number(21)?,
        })
    }
}

/// A process that is killed when dropped.
pub struct Running(pub Child);

impl Running {
    /// Processor time of it and of what it has started, in clock ticks.
    pub fn processor_time(&self) -> u64 {
        self.family().iter().map(|one| one.ticks).sum()
    }

    /// Octets that it and what it has started hold in memory.
    pub fn memory(&self) -> u64 {
        self.family().iter().map(|one| one.pages * 4096).sum()
    }

    fn family(&self) -> Vec<Stat> {
        let mut all: Vec<Stat> = std::fs::read_dir("/proc")
            .unwrap()
            .flatten()
            .filter_map(|entry| Stat::read(&entry.path().join("stat")))
            .collect();
        let (mut ids, mut family) = (vec![self.0.id()], Vec::new());
        while let Some(id) = ids.pop() {
            ids.extend(all.iter().filter(|one| one.parent == id).map(|one| one.id));
            family.extend(all.extract_if(.., |one| one.id == id));
        }
        family
    }

    /// Whether it has ended.
    pub fn has_ended(&mut self) -> bool {
        !matches!(self.0.try_wait(), Ok(None))
    }

    /// SIGTERM, and waits for the end.
    pub fn stop(&mut self) {
        let _ = Command::new("kill").arg(self.0.id().to_string()).status();
        eventually("the process ends", || self.has_ended());
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
