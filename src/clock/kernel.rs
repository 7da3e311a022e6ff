//! What Linux knows about its clocks.

use std::path::Path;
use std::time::Duration;

use uuid::Uuid;

/// systemd-timesyncd touches this file at each synchronisation; it lasts as long as the boot.
const TIMESYNCD: &str = "/run/systemd/timesync/synchronized";

/// One boot of a machine, and how long it has lasted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Boot {
    /// The kernel's random id of this boot.
    pub id: String,
    /// Time since the boot, suspended time included (`CLOCK_BOOTTIME`).
    pub uptime: Duration,
}

impl Boot {
    /// The boot of this machine; `None` where the kernel does not name it.
    pub fn current() -> Option<Self> {
        let file = std::fs::read_to_string("/proc/sys/kernel/random/boot_id");
        // The unit hides that file (`ProcSubset=pid`), and passes its content without hyphens.
        let id = file.or_else(|_| std::env::var("GRELOT_BOOT_ID")).ok()?;
        let id = Uuid::try_parse(id.trim()).ok()?.hyphenated().to_string();
        Some(Self { id, uptime: uptime()? })
    }
}

#[cfg(target_os = "linux")]
fn uptime() -> Option<Duration> {
    Duration::try_from(rustix::time::clock_gettime(rustix::time::ClockId::Boottime)).ok()
}

#[cfg(not(target_os = "linux"))]
const fn uptime() -> Option<Duration> {
    None
}

/// Whether a time server has set the clock during this boot.
///
/// chrony with `rtcsync`, ntpd and timesyncd clear the kernel's `STA_UNSYNC`; chrony without it
/// only bounds the clock's error. The kernel resets both when no server has answered for hours; the
/// clock is then still right to seconds, and timesyncd's file remains.
pub fn is_synchronised() -> bool {
    kernel_is_synchronised() || Path::new(TIMESYNCD).exists()
}

/// Other systems are for trials, and set their clocks themselves.
#[cfg(not(target_os = "linux"))]
const fn kernel_is_synchronised() -> bool {
    true
}

#[cfg(target_os = "linux")]
#[expect(unsafe_code, reason = "no safe library reads the kernel's clock state")]
fn kernel_is_synchronised() -> bool {
    // SAFETY: all of `timex` are integers, for which zero is a value.
    let mut timex: libc::timex = unsafe { std::mem::zeroed() };
    // SAFETY: `timex` is a valid structure of this platform. Without `modes` the kernel changes
    // nothing, and fills it in.
    let state = unsafe { libc::adjtimex(&raw mut timex) };
    was_set(state, timex.status, timex.maxerror)
}

/// The bound of the clock's error that the kernel gives while no time server has set the clock, in
/// microseconds (`NTP_PHASE_LIMIT`).
#[cfg(target_os = "linux")]
const UNKNOWN_ERROR_US: libc::c_long = 16_000_000;

/// Whether the result of `adjtimex` says so.
#[cfg(target_os = "linux")]
const fn was_set(state: libc::c_int, status: libc::c_int, error_us: libc::c_long) -> bool {
    let synchronised = state != libc::TIME_ERROR && status & libc::STA_UNSYNC == 0;
    state >= 0 && (synchronised || error_us < UNKNOWN_ERROR_US)
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use super::*;

    #[test]
    fn chrony_without_rtcsync_sets_the_clock_too() {
        let unsynchronised = libc::STA_UNSYNC;
        assert!(!was_set(libc::TIME_ERROR, unsynchronised, UNKNOWN_ERROR_US), "just booted");
        assert!(was_set(libc::TIME_OK, libc::STA_PLL, 500), "timesyncd, or chrony with rtcsync");
        assert!(was_set(libc::TIME_ERROR, unsynchronised, 30_000), "chrony without it");
        assert!(!was_set(-1, 0, 0), "not permitted");
    }
}
