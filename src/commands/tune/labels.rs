//! Staff's feedback on visits, in place of ground truth: it covers only what was announced.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, bail};

use super::counts::Counts;
use crate::commands::score::{Event, EventKind};
use crate::daemon::labels::{LabelLine, LabelVerdict};
use crate::lines::Lines;
use crate::pipeline::units::WallTime;

/// Other settings announce the same coming at most this much sooner or later.
const SAME_COMING: Duration = Duration::from_mins(2);

/// A label as `grelot labels` prints it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Label {
    client: String,
    arrived_at: WallTime,
    verdict: LabelVerdict,
}

/// A label of one recording.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Labelled {
    client: String,
    /// When the visit was opened, since the recording's start.
    at: Duration,
    was_here: bool,
}

/// A label has two hundred octets.
const LONGEST_LINE: usize = 16 * 1024;

/// Reads the files that `--labels` names.
///
/// # Errors
/// The file cannot be read, or a line is no label.
pub fn read(path: &Path) -> anyhow::Result<Vec<Label>> {
    let reading = || format!("cannot read {}", path.display());
    let mut lines =
        Lines::new(BufReader::new(File::open(path).with_context(reading)?), LONGEST_LINE);
    let mut labels = Vec::new();
    for number in 1.. {
        let place = || format!("{}:{number}", path.display());
        let Some(line) = lines.next().with_context(reading)? else { break };
        let line = line.with_context(place)?;
        if line.trim_ascii().is_empty() {
            continue;
        }
        let Ok(line) = serde_json::from_slice::<LabelLine>(line) else {
            bail!("{}: not a label as `grelot labels` prints it", place());
        };
        let Some(arrived_at) = WallTime::parse(&line.arrived_at) else {
            bail!("{}: arrived_at is not a time (RFC 3339)", place());
        };
        labels.push(Label { client: line.client, arrived_at, verdict: line.label });
    }
    Ok(labels)
}

/// Those of a recording that began at `start` and lasted until `end`.
pub fn within(labels: &[Label], start: WallTime, end: Duration) -> Vec<Labelled> {
    let mut within: Vec<_> = labels
        .iter()
        .filter_map(|label| {
            let since = label.arrived_at.unix_millis().checked_sub(start.unix_millis())?;
            let at = Duration::from_millis(u64::try_from(since).ok()?);
            let (client, was_here) = (label.client.clone(), label.verdict == LabelVerdict::WasHere);
            (at <= end).then_some(Labelled { client, at, was_here })
        })
        .collect();
    within.sort_by(|a, b| (a.at, &a.client).cmp(&(b.at, &b.client)));
    within
}

/// Compares announcements with staff's labels of the same visits. An announcement without a label
/// is not counted; delays count from the announcement that staff saw.
pub fn judge(labels: &[Labelled], events: &[Event]) -> Counts {
    let mut counts = Counts::default();
    for label in labels {
        let same = |event: &&Event| {
            event.kind == EventKind::Arrival
                && event.client == label.client
                && event.at.abs_diff(label.at) <= SAME_COMING
        };
        let mut announced = events.iter().filter(same);
        let first = announced.next();
        let more = u32::try_from(announced.count()).unwrap_or(u32::MAX);
        if !label.was_here {
            counts.falsely += u32::from(first.is_some()) + more;
            continue;
        }
        counts.visits += 1;
        counts.falsely += more;
        if let Some(first) = first {
            counts.found += 1;
            let millis = |at: Duration| i64::try_from(at.as_millis()).unwrap_or(i64::MAX);
            counts.late_ms.push(millis(first.at) - millis(label.at));
        }
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn label(client: &str, at: u64, was_here: bool) -> Labelled {
        Labelled { client: client.to_owned(), at: Duration::from_secs(at), was_here }
    }

    fn arrival(client: &str, at: u64) -> Event {
        let at = Duration::from_secs(at);
        Event { at, kind: EventKind::Arrival, client: client.to_owned() }
    }

    #[test]
    fn what_staff_confirmed_is_to_be_found_and_what_they_denied_is_not() {
        let labels = [label("a", 100, true), label("b", 300, false), label("c", 500, true)];
        let events = [arrival("a", 104), arrival("b", 290), arrival("d", 400)];
        let counts = judge(&labels, &events);
        assert_eq!((counts.visits, counts.found, counts.falsely), (2, 1, 1));
        assert_eq!(counts.late_ms, [4_000]);
    }

    #[test]
    fn another_coming_of_the_same_customer_is_another_matter() {
        let counts = judge(&[label("a", 100, false)], &[arrival("a", 900)]);
        assert_eq!((counts.visits, counts.falsely), (0, 0));
    }

    #[test]
    fn only_labels_of_the_recordings_time_are_its_own() {
        let label = |at| Label {
            client: "a".to_owned(),
            arrived_at: WallTime::from_unix_secs(at),
            verdict: LabelVerdict::WasHere,
        };
        let labels = [label(999), label(1_000), label(1_060), label(1_061)];
        let within = within(&labels, WallTime::from_unix_secs(1_000), Duration::from_mins(1));
        assert_eq!(within.iter().map(|l| l.at.as_secs()).collect::<Vec<_>>(), [0, 60]);
    }
}
