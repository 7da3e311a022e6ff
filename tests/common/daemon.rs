//! A real `grelot run`.

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use super::waiting::{PATIENCE, eventually};

/// A running `grelot run`; killed when dropped.
pub struct Grelot {
    config: PathBuf,
    process: Option<Child>,
}

impl Grelot {
    pub fn start(config: PathBuf) -> Self {
        let mut grelot = Self { config, process: None };
        grelot.restart();
        grelot
    }

    pub fn restart(&mut self) {
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.config.with_extension("log"))
            .unwrap();
        let process = Command::new(env!("CARGO_BIN_EXE_grelot"))
            .arg("run")
            .arg("--config")
            .arg(&self.config)
            .stdout(Stdio::null())
            .stderr(log)
            .spawn();
        self.process = Some(process.unwrap());
    }

    pub fn id(&self) -> u32 {
        self.process.as_ref().unwrap().id()
    }

    /// SIGKILL; it must not have ended by itself.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            let ended = process.try_wait().unwrap();
            assert_eq!(ended, None, "grelot ended by itself: {}", self.log());
            process.kill().unwrap();
            process.wait().unwrap();
        }
    }

    /// SIGTERM, and the exit code.
    pub async fn stop(&mut self) -> Option<i32> {
        let id = self.id().to_string();
        assert!(Command::new("kill").arg(id).status().unwrap().success());
        self.ended().await
    }

    /// Waits for its end, and returns the exit code.
    pub async fn ended(&mut self) -> Option<i32> {
        let mut process = self.process.take().unwrap();
        let ended = tokio::task::spawn_blocking(move || process.wait());
        tokio::time::timeout(PATIENCE, ended).await.expect("it ends").unwrap().unwrap().code()
    }

    /// Waits until it has logged something.
    pub fn logs(&self, what: &str) {
        eventually(&format!("{what} in the log"), || self.log().contains(what));
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.config.with_extension("log")).unwrap_or_default()
    }
}

impl Drop for Grelot {
    fn drop(&mut self) {
        if let Some(mut process) = self.process.take() {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}
