//! Processes that end with their test.

use std::process::{Child, Command};

use super::waiting::eventually;

/// Killed when dropped.
pub struct Running(pub Child);

impl Running {
    /// SIGTERM, and waits for the end.
    pub fn stop(&mut self) {
        let _ = Command::new("kill").arg(self.0.id().to_string()).status();
        eventually("the process ends", || !matches!(self.0.try_wait(), Ok(None)));
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
