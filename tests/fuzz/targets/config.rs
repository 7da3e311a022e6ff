//! The site's configuration: checked settings, or at least one problem that can be printed.
#![no_main]

use std::path::Path;

use grelot::config;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    match config::parse(text, "grelot.toml", Path::new("/etc/grelot")) {
        Ok(config) => drop(config.settings()),
        Err(problems) => {
            assert!(problems.errors() > 0);
            drop(problems.to_string());
        }
    }
});
