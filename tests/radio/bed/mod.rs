//! The inside of the radio test bed: plays scenarios with emulated controllers, real BlueZ and real
//! listeners, and checks what they received. Runs as root in the test bed's machine, as a test of
//! the same executable that boots the machine: nothing else needs to be built.

mod agreement;
mod air;
mod assertions;
mod bond;
mod controller;
mod gatt;
mod hci;
mod listener;
mod machine;
mod passive;
mod peer;
mod recording;
mod runner;
mod scenario;
mod shop;
mod signal_counter;

/// What to do in the machine; the test below does nothing where it is not set.
pub const ORDER: &str = "GRELOT_RADIO_BED_INSIDE";

/// The arguments that make the test's own executable do it.
pub const ARGUMENTS: [&str; 4] = ["bed::inside", "--exact", "--ignored", "--nocapture"];

#[test]
#[ignore = "what runs in the machine"]
fn inside() {
    let order = std::env::var(ORDER).unwrap_or_default();
    match order.split_whitespace().collect::<Vec<_>>().as_slice() {
        ["run", folder] => runner::run(folder.as_ref()),
        ["btleplug", adapter] => {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime is built").block_on(peer::listen(adapter));
        }
        ["passive", adapter] => passive::listen(adapter),
        _ => {}
    }
}
