//! Registry lines, up to the look-up tables that are built of them.
#![no_main]

use grelot::config::registry::line::{self, Line};
use grelot::pipeline::identity::Loader;
use grelot::pipeline::units::{Clock, WallTime};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|lines: &[u8]| {
    let clock = Clock::Set(WallTime::from_unix_millis(1_767_603_600_000));
    let mut loader = Loader::new(42, clock);
    for (number, text) in (1..).zip(lines.split(|&octet| octet == b'\n')) {
        match line::read(text) {
            Ok(Line::Customer(enrolment)) => loader.enrol(number, &enrolment),
            Ok(_) => {}
            Err(problem) => assert!(!problem.is_empty()),
        }
    }
    if let Ok((registry, report)) = loader.finish() {
        assert_eq!(registry.len(), report.loaded);
    }
});
