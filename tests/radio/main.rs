//! The radio test bed: real BlueZ and D-Bus of a Debian release on a stock kernel in a small
//! emulated machine, emulated controllers, the real `grelot`. See `README.md` beside this file.
//!
//! Fails, and says why, where the machine cannot be built (no qemu, no Debian mirror).
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::disallowed_methods,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::unused_self,
    clippy::struct_excessive_bools,
    clippy::needless_pass_by_value,
    clippy::items_after_statements,
    clippy::unchecked_time_subtraction,
    clippy::match_same_arms,
    clippy::needless_for_each,
    clippy::trivially_copy_pass_by_ref,
    reason = "a test that stops here has failed, and says so; it waits for real programs"
)]

mod bed;
mod host;

use host::Bed;

/// Debian 12: BlueZ 5.66, kernel 6.1.
const BOOKWORM: &str = "bookworm";
/// Debian 13, and Raspberry Pi OS now: BlueZ 5.82, kernel 6.12.
const TRIXIE: &str = "trixie";

fn all_pass(suite: &str, scenarios: &[&str]) {
    let bed = Bed::of(suite);
    let outcomes = bed.run(scenarios);
    assert_eq!(outcomes.len(), scenarios.len(), "every scenario is run to its end");
    let failures: Vec<_> = outcomes.iter().flat_map(|outcome| &outcome.failures).collect();
    assert!(failures.is_empty(), "{suite}: {failures:#?}");
}

// The longest, by its name first: two run at a time on two processors.
#[test]
fn a_customer_stays_while_everything_breaks() {
    all_pass(TRIXIE, &["shop"]);
}

#[test]
fn a_crashed_or_hung_bluetoothd_is_brought_back_on_debian_12() {
    all_pass(BOOKWORM, &["bluetoothd", "bluetoothd_absent"]);
}

#[test]
fn a_crashed_or_hung_bluetoothd_is_brought_back_on_debian_13() {
    all_pass(TRIXIE, &["bluetoothd", "bluetoothd_absent"]);
}

#[test]
fn the_radio_receives_on_debian_12() {
    all_pass(BOOKWORM, &["receiving", "phone"]);
}

#[test]
fn the_radio_receives_on_debian_13() {
    all_pass(TRIXIE, &["receiving", "phone"]);
}

// Those that need little time share a machine, whose start takes as long as they do.
#[test]
fn a_refused_scan_and_a_failed_connection_lose_no_customer() {
    all_pass(TRIXIE, &["scan_refused", "phones", "portable"]);
}

#[test]
fn what_bluez_keeps_of_devices_does_not_mislead() {
    all_pass(TRIXIE, &["merged", "bonded", "remembered"]);
}

#[test]
fn the_installed_service_receives_a_whole_crowd_without_a_capability() {
    all_pass(TRIXIE, &["standard", "standard_faults"]);
}

/// One or more: `GRELOT_RADIO_BED_PLAYS="trixie table/50_phone phone"`.
#[test]
#[ignore = "runs what GRELOT_RADIO_BED_PLAYS names"]
fn chosen() {
    let names = std::env::var("GRELOT_RADIO_BED_PLAYS").unwrap_or_default();
    let mut words = names.split_whitespace();
    let bed = words.next().map(Bed::of).expect("GRELOT_RADIO_BED_PLAYS names a release");
    let outcomes = bed.run(&words.collect::<Vec<_>>());
    println!("{}", host::table(&bed, &outcomes));
    outcomes.iter().for_each(|outcome| println!("{:#?}", outcome.failures));
}

/// The table of `README.md`: most of an hour on a machine that does nothing else.
#[test]
#[ignore = "measures for most of an hour: cargo test --test radio -- --ignored table"]
fn table() {
    // What a kernel does about filters differs; the rest would be the same twice.
    let filters = |name: &str| ("12".."16").contains(&name) || name == "18_passive";
    for (suite, wanted) in [(TRIXIE, (|_| true) as fn(&str) -> bool), (BOOKWORM, filters)] {
        let bed = Bed::of(suite);
        let outcomes = bed.run_all("table", wanted);
        println!("{}", host::table(&bed, &outcomes));
    }
}
