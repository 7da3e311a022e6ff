//! Detection settings that head office pushes over MQTT, on top of a good site.
#![no_main]

use std::path::Path;
use std::sync::LazyLock;

use grelot::config::layers::{Layers, Reach};
use grelot::config::pushed::Rules;
use grelot::config::{self, Config};
use libfuzzer_sys::fuzz_target;

static SITE: LazyLock<Config> = LazyLock::new(|| {
    let text = include_str!("../seeds/config/minimal");
    config::parse(text, "grelot.toml", Path::new("/etc/grelot")).expect("the seed is good")
});

fuzz_target!(|payload: &[u8]| {
    let mut layers = Layers::default();
    let rules = Rules { store: 42, keys: &[], now: None };
    if layers.set(Reach::Store, "grelot/v1/42/config", payload, &rules).is_err() {
        return;
    }
    match layers.in_force(&SITE) {
        Ok(in_force) => assert_eq!(in_force.hash.len(), 16),
        Err(problems) => {
            assert!(problems.errors() > 0);
            drop(problems.to_string());
        }
    }
});
