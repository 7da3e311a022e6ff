//! The measured traces as recordings: nothing is lost on the way, and they score.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use grelot::sources::{self, GroundTruth, RecordKind};
use serde_json::Value;

use crate::{common, door, output, walks};

fn recordings(folder: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<_> = fs::read_dir(folder).unwrap().map(|f| f.unwrap().path()).collect();
    paths.sort();
    paths
}

/// Levels received and customers who came in, over all recordings of a set.
fn counted(judging: &Path) -> (usize, usize) {
    let (mut heard, mut entered) = (0, 0);
    for folder in [judging, &judging.with_file_name("calibrating")] {
        for path in recordings(folder) {
            for record in sources::open(&path).unwrap() {
                match record.unwrap().what {
                    RecordKind::Received(_) => heard += 1,
                    RecordKind::GroundTruth { word: GroundTruth::Enter, .. } => entered += 1,
                    RecordKind::GroundTruth { .. } => {}
                }
            }
        }
    }
    (heard, entered)
}

/// The score that the real program prints for the recordings that are for judging.
fn score(set: &output::Set) -> Value {
    let output = Command::new(env!("CARGO_BIN_EXE_grelot"))
        .args(["--json", "--config"])
        .arg(&set.config)
        .args(["replay", "--score"])
        .args(recordings(&set.folder))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let printed = String::from_utf8(output.stdout).unwrap();
    serde_json::from_str::<Value>(printed.lines().last().unwrap()).unwrap()["score"].take()
}

#[test]
fn the_door_data_become_recordings_that_score() {
    let data = common::shared_data("rssi_door_SAL");
    let out = tempfile::tempdir().unwrap();
    let sets = door::import(&data, out.path()).unwrap();
    let crossings = fs::read_to_string(data.join("crossings.csv")).unwrap();
    let came_in = crossings.lines().filter(|line| line.ends_with(",0,1")).count();
    assert_eq!(came_in, 20);
    // As `awk` counts the cells of the receivers' columns that are not -100.
    assert_eq!(counted(&sets[0].folder), (106_859, came_in));
    assert_eq!(counted(&sets[1].folder), (21_852, came_in));
    for set in &sets {
        let score = score(set);
        assert_eq!(score["visits"], 16, "{score}");
        assert!(score["found"].as_u64().unwrap() >= 10, "{score}");
    }
}

#[test]
fn the_walks_become_recordings_that_score() {
    let data = common::shared_data("rssi_walk_position_danis");
    let out = tempfile::tempdir().unwrap();
    let sets = walks::import(&data, out.path()).unwrap();
    // 6,173 levels, once in the shop round each of the twelve receivers, and once in its own.
    assert_eq!(counted(&sets[0].folder), (12 * 6_173, 17));
    assert_eq!(counted(&sets[1].folder), (6_173, 17));
    for set in &sets {
        assert_eq!(score(set)["visits"], 13);
    }
}
