//! The folder in which versions up to 0.1 kept retained messages, sessions and their queues.

use std::io;
use std::path::Path;

use mqtt5::broker::storage::{FileBackend, RetainedMessage, StorageBackend as _};

use super::retained::{RetainedMessages, Saver};
use crate::state_file;

/// Below the state folder.
const FOLDER: &str = "broker";

/// Takes over what the folder retains and removes it; a damaged one is moved aside.
///
/// # Errors
/// The folder can neither be read nor moved; the error names it.
pub(super) async fn take_over(
    state: &Path,
    retained: &RetainedMessages,
    saver: &Saver,
) -> io::Result<()> {
    let folder = state.join(FOLDER);
    if !folder.is_dir() {
        return Ok(());
    }
    match read(&folder).await {
        Ok(messages) => retained.import(messages).await,
        Err(error) => {
            let lost = "the embedded broker starts with no retained messages";
            return state_file::move_aside(&folder, &error, lost);
        }
    }
    if saver.trouble.borrow().is_some() {
        // The next start finds it again.
        return Ok(());
    }
    if let Err(error) = std::fs::remove_dir_all(&folder) {
        let folder = folder.display();
        tracing::warn!(%folder, %error, "the embedded broker's earlier folder stays behind");
    }
    Ok(())
}

async fn read(folder: &Path) -> mqtt5::Result<Vec<RetainedMessage>> {
    let backend = FileBackend::new(folder).await?;
    let messages = backend.get_retained_messages("#").await?;
    Ok(messages.into_iter().map(|(_, message)| message).collect())
}
