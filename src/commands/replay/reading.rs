//! How much of a file was read, and what was left out and why.

use std::path::Path;

use serde_json::json;

use crate::commands::{Exit, Global, complain};
use crate::daemon::playback::PlaybackSummary;

/// Prints to standard error how much of `file` was read: with `--json` always, one object a line;
/// otherwise where something was left out. Standard output is for events alone.
pub fn report(global: &Global, file: &Path, played: &PlaybackSummary) -> Exit {
    let PlaybackSummary { advertisements, unreadable, skipped, .. } = played;
    let file = file.display();
    if global.json {
        complain(
            &json!({ "read": {
                "file": file.to_string(),
                "advertisements": advertisements,
                "unreadable": unreadable,
                "skipped": skipped,
            }})
            .to_string(),
        );
    } else if *advertisements == 0 || !skipped.is_empty() {
        let skipped =
            if skipped.is_empty() { String::new() } else { format!("; skipped: {skipped}") };
        complain(&format!("{file}: {advertisements} advertisements read{skipped}"));
    }
    if *advertisements == 0 && !global.json {
        complain(&format!("{file}: nothing was read, so no arrival can be found in it"));
    }
    if *advertisements == 0 || *unreadable > 0 { Exit::Failed } else { Exit::Done }
}
