//! Broken recordings, captures and lines: wrong times, mutated captures, and
//! lines without an end. Each ends in an error that names the place.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use grelot::config::registry::Reading;
use grelot::daemon::playback::{self, PlaybackSummary};
use grelot::pipeline::Settings;
use grelot::pipeline::identity::Registry;
use grelot::pipeline::units::{Clock, WallTime};
use grelot::sources::simulated::{Scene, Shop};
use grelot::sources::{self, ReplayError};

/// Longer than anything here takes on a busy machine: work that takes so long has no bound.
const PATIENCE: Duration = Duration::from_mins(5);

const HEADER: &str = r#"{"grelot":"recording","version":1,"started_at":"2026-01-05T09:00:00Z","store":42,"gateways":["door"]}"#;

/// What `work` returns, if it comes to an end.
fn ends<T: Send + 'static>(what: &str, work: impl FnOnce() -> T + Send + 'static) -> T {
    let (done, result) = mpsc::channel();
    std::thread::spawn(move || done.send(work()));
    result.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("{what} does not end"))
}

/// Customers whose tokens change every quarter of an hour, which is what silence costs.
fn customers() -> Registry {
    let start = WallTime::parse("2026-01-05T09:00:00Z").unwrap();
    let shop = Shop::new(Scene::daily(42, &[("door", None)], &[]), 1, start);
    let lines = shop.registry_lines(3).collect::<Vec<_>>().join("\n");
    let reading = Reading::new(42, Clock::Set(start)).keeping_every_day();
    reading.load_from(lines.as_bytes(), Path::new("shop")).unwrap().0
}

fn settings() -> Settings {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("shop.toml");
    fs::write(&file, "[store]\nid = 42\n[gateway]\nname = \"door\"\n").unwrap();
    grelot::config::load_for_replay(&file).unwrap().settings()
}

fn play(bytes: Vec<u8>) -> Result<PlaybackSummary, ReplayError> {
    playback::play(sources::open_bytes(bytes)?, settings(), customers(), |_, _| {})
}

#[test]
fn one_wrong_time_stamp_does_not_hang_a_replay() {
    let heard = |t: &str| {
        format!(r#"{{"t":{t},"gw":"door","addr":"5a:11:22:33:44:55","rssi":-71,"adv":"020106"}}"#)
    };
    let lines = [HEADER.to_owned(), heard("1"), heard("1e10"), heard("2")];
    let played = ends("the recording", move || play(lines.join("\n").into_bytes())).unwrap();
    assert_eq!((played.advertisements, played.unreadable), (2, 1));
}

#[test]
fn mutated_captures_come_to_an_end() {
    for (name, seed) in seeds("capture").into_iter().chain(seeds("recording")) {
        ends(&name, move || {
            let mut random = 0x9e37_79b9_7f4a_7c15_u64;
            let mut next = move || {
                random ^= random << 13;
                random ^= random >> 7;
                random ^= random << 17;
                random
            };
            for _ in 0..100 {
                let mut file = seed.clone();
                for _ in 0..=next() % 4 {
                    let place = next() as usize % file.len();
                    file[place] = next().to_le_bytes()[0];
                }
                // An error is an answer, too.
                drop(play(file));
            }
        });
    }
}

fn seeds(target: &str) -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/seeds").join(target);
    let files = fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
    let seeds: Vec<_> = files.map(|f| (f.display().to_string(), fs::read(f).unwrap())).collect();
    assert!(seeds.len() >= 3);
    seeds
}

#[test]
fn a_line_of_300_megabytes_is_not_held_by_decode() {
    // The limit is on address space, in KiB: the program itself takes a few of its megabytes.
    let script = "ulimit -v 200000; exec \"$0\" decode";
    let mut decode = Command::new("sh")
        .args(["-c", script, env!("CARGO_BIN_EXE_grelot")])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = decode.stdin.take().unwrap();
    let writing = std::thread::spawn(move || {
        let piece = [b'0'; 1 << 16];
        for _ in 0..300_000_000 / piece.len() {
            input.write_all(&piece)?;
        }
        input.write_all(b"\n020106\n")
    });
    let output = ends("decode", move || decode.wait_with_output().unwrap());
    writing.join().unwrap().unwrap();
    let (said, errors) = (output.stdout, String::from_utf8_lossy(&output.stderr).into_owned());
    assert_eq!(output.status.code(), Some(1), "{errors}");
    assert_eq!(errors, "grelot: line 1: longer than 65536 octets\n");
    assert!(String::from_utf8_lossy(&said).contains("020106"), "the next line is decoded");
}
