//! The radio test bed: real BlueZ and D-Bus of a Debian release on a stock kernel in a small
//! emulated machine, controllers of our own, the real `grelot`. `README.md` beside this file.
//!
//! Fails, and says why, where the machine cannot be built (no qemu, no Debian mirror).

mod bed;
mod host;

use host::Bed;

/// Debian 12: BlueZ 5.66, kernel 6.1.
const BOOKWORM: &str = "bookworm";
/// Debian 13, and Raspberry Pi OS now: BlueZ 5.82, kernel 6.12.
const TRIXIE: &str = "trixie";

fn plays_well(suite: &str, scenarios: &[&str]) {
    let bed = Bed::of(suite);
    let outcomes = bed.play(scenarios);
    assert_eq!(outcomes.len(), scenarios.len(), "every scenario is played to its end");
    let failures: Vec<_> = outcomes.iter().flat_map(|outcome| &outcome.failures).collect();
    assert!(failures.is_empty(), "{suite}: {failures:#?}");
}

// The longest, by its name first: two run at a time on two processors.
#[test]
fn a_customer_stays_while_everything_breaks() {
    plays_well(TRIXIE, &["shop"]);
}

#[test]
fn a_crashed_or_hung_bluetoothd_is_brought_back_on_debian_12() {
    plays_well(BOOKWORM, &["bluetoothd", "bluetoothd_absent"]);
}

#[test]
fn a_crashed_or_hung_bluetoothd_is_brought_back_on_debian_13() {
    plays_well(TRIXIE, &["bluetoothd", "bluetoothd_absent"]);
}

#[test]
fn the_radio_hears_on_debian_12() {
    plays_well(BOOKWORM, &["hearing", "phone"]);
}

#[test]
fn the_radio_hears_on_debian_13() {
    plays_well(TRIXIE, &["hearing", "phone"]);
}

#[test]
fn what_bluez_collects_of_a_device_is_not_received_again() {
    plays_well(TRIXIE, &["merged"]);
}

#[test]
fn the_first_failed_connection_does_not_lose_a_customer() {
    plays_well(TRIXIE, &["phones"]);
}

#[test]
fn a_card_arrives_through_the_portable_source() {
    plays_well(TRIXIE, &["portable"]);
}

/// For whoever works on one: `GRELOT_RADIO_BED_PLAYS="trixie table/50_phone phone"`.
#[test]
#[ignore = "plays what it is told to"]
fn chosen() {
    let plays = std::env::var("GRELOT_RADIO_BED_PLAYS").unwrap_or_default();
    let mut words = plays.split_whitespace();
    let bed = words.next().map(Bed::of).expect("GRELOT_RADIO_BED_PLAYS names a release");
    let outcomes = bed.play(&words.collect::<Vec<_>>());
    println!("{}", host::table(&bed, &outcomes));
    outcomes.iter().for_each(|outcome| println!("{:#?}", outcome.failures));
}

/// The table of `README.md`: most of an hour on a machine that does nothing else.
#[test]
#[ignore = "measures for most of an hour: cargo test --test radio -- --ignored table"]
fn table() {
    // What a kernel does about filters differs; the rest would only be said twice.
    let filters = |name: &str| ("12".."16").contains(&name) || name == "18_passive";
    for (suite, wanted) in [(TRIXIE, (|_| true) as fn(&str) -> bool), (BOOKWORM, filters)] {
        let bed = Bed::of(suite);
        let outcomes = bed.play_all("table", wanted);
        println!("{}", host::table(&bed, &outcomes));
    }
}
