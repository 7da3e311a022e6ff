//! Recordings, one JSON object a line: whether valid or not, each line is a record or one error.
#![no_main]

use std::io::Cursor;

use grelot::sources::recording::Recording;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|file: &[u8]| {
    let lines = file.split(|&octet| octet == b'\n').count();
    let Ok(recording) = Recording::open(Cursor::new(file.to_vec())) else { return };
    let mut last = std::time::Duration::ZERO;
    let mut read = 0;
    for record in recording {
        read += 1;
        match record {
            Ok(record) => {
                assert!(record.at >= last, "time goes back");
                last = record.at;
            }
            Err(error) => drop(error.to_string()),
        }
    }
    assert!(read <= lines);
});
