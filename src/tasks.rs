//! The one place that spawns tasks and threads: each has a name, an owner and an end.

use std::io;
use std::time::Duration;

use tokio::task::JoinHandle;
use tracing::Instrument;

/// A running task. Its owner waits for its end; dropping it aborts it.
#[derive(Debug)]
pub struct Task<T> {
    name: &'static str,
    handle: JoinHandle<T>,
}

/// Spawns a task on the current runtime; every log line of it has its name.
#[expect(clippy::disallowed_methods, reason = "tasks are spawned here and nowhere else")]
pub fn spawn<F>(name: &'static str, task: F) -> Task<F::Output>
where
    F: Future<Output: Send> + Send + 'static,
{
    let handle = tokio::spawn(task.instrument(tracing::info_span!("task", name)));
    Task { name, handle }
}

/// Spawns a thread for work that blocks (`SQLite`).
///
/// # Errors
/// The system cannot create a thread.
pub fn thread<T: Send + 'static>(
    name: &'static str,
    work: impl FnOnce() -> T + Send + 'static,
) -> io::Result<std::thread::JoinHandle<T>> {
    std::thread::Builder::new().name(name.to_owned()).spawn(work)
}

impl<T> Task<T> {
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// Waits for the task's end; `None`, with a log line, if it panicked or took longer.
    pub async fn ended(mut self, within: Duration) -> Option<T> {
        match tokio::time::timeout(within, &mut self.handle).await {
            Ok(Ok(result)) => Some(result),
            Ok(Err(error)) => {
                tracing::error!(task = self.name, %error, "task failed");
                None
            }
            Err(_) => {
                tracing::warn!(task = self.name, "task did not end in time");
                None
            }
        }
    }

    /// Whether the task has ended.
    pub fn is_finished(&self) -> bool {
        self.handle.is_finished()
    }
}

impl<T> Drop for Task<T> {
    fn drop(&mut self) {
        self.handle.abort();
    }
}
