//! Files through the entry that detects their format by the first octets: captures with any of the
//! link types, and anything compressed.
#![no_main]

use grelot::sources;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|file: &[u8]| {
    let Ok(replay) = sources::open_bytes(file.to_vec()) else { return };
    let mut last = std::time::Duration::ZERO;
    for record in replay {
        match record {
            Ok(record) => {
                assert!(record.at >= last, "time goes back");
                last = record.at;
            }
            Err(error) => drop(error.to_string()),
        }
    }
});
