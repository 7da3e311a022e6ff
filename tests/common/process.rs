//! Processes that end with their test.

use std::process::{Child, Command};

use super::waiting::eventually;

/// Killed when dropped.
pub struct Running(pub Child);

impl Running {
    /// Processor time of it and of what it has started, in clock ticks.
    pub fn processor_time(&self) -> u64 {
        let all: Vec<(u32, u32, u64)> = std::fs::read_dir("/proc")
            .unwrap()
            .flatten()
            .filter_map(|entry| {
                let stat = std::fs::read_to_string(entry.path().join("stat")).ok()?;
                // The name, in parentheses, may contain anything.
                let (before, after) = stat.rsplit_once(')')?;
                let fields: Vec<&str> = after.split_whitespace().collect();
                let id = before.split_whitespace().next()?.parse().ok()?;
                let ticks = |field: usize| fields.get(field)?.parse::<u64>().ok();
                Some((id, fields.get(1)?.parse().ok()?, ticks(11)? + ticks(12)?))
            })
            .collect();
        let (mut family, mut ticks) = (vec![self.0.id()], 0);
        while let Some(id) = family.pop() {
            ticks += all.iter().filter(|(one, ..)| *one == id).map(|(_, _, t)| t).sum::<u64>();
            family.extend(all.iter().filter(|(_, parent, _)| *parent == id).map(|(id, ..)| *id));
        }
        ticks
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
