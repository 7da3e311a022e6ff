//! The clock: tokens change every ten minutes, so it must be right to the minute.

use std::time::Duration;

use dbus::blocking::Connection;
use dbus::blocking::stdintf::org_freedesktop_dbus::Properties as _;

use super::Finding;
use crate::clock::Clocks;
use crate::pipeline::units::Clock;

const PATIENCE: Duration = Duration::from_secs(3);

/// What systemd, which asks the kernel, knows of the clock.
pub(super) fn finding() -> Finding {
    let about = "clock";
    let clock = Clocks::machine().now().clock;
    if let Clock::Unset(reading) = clock {
        let says = format!("says {reading}: it was never set");
        return Finding::fail(about, says, "sudo timedatectl set-ntp true, and see the network");
    }
    let reading = clock.reading();
    match synchronised() {
        Ok(true) => Finding::ok(about, format!("{reading}, kept by a time server")),
        Ok(false) => Finding::warn(
            about,
            format!("{reading}, not kept by a time server"),
            "sudo timedatectl set-ntp true; a Raspberry Pi without network loses its time",
        ),
        Err(_) => Finding::warn(
            about,
            format!("{reading}; whether a time server keeps it is not known (no systemd here)"),
            "compare it with a watch: tokens bear two minutes of error",
        ),
    }
}

/// The kernel's own word (`adjtimex`), whichever program keeps the time.
fn synchronised() -> Result<bool, dbus::Error> {
    let bus = Connection::new_system()?;
    let service = "org.freedesktop.timedate1";
    bus.with_proxy(service, "/org/freedesktop/timedate1", PATIENCE).get(service, "NTPSynchronized")
}
