//! The kernel's switches that block an adapter (rfkill).
//!
//! BlueZ refuses to power on such an adapter with a bare "Failed", so the kernel is asked.

use std::fs;
use std::path::Path;

/// Where Linux lists Bluetooth adapters, each with its switches.
const SYS: &str = "/sys/class/bluetooth";

/// What blocks an adapter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Switch {
    /// A switch or key of the machine.
    Hard,
    /// `rfkill block`, or a setting.
    Soft,
}

/// The switch that blocks `adapter` (`hci0`), if any.
pub fn switch(adapter: &str) -> Option<Switch> {
    switch_in(Path::new(SYS), adapter)
}

/// As [`switch`], with adapters listed in `folder`.
pub fn switch_in(folder: &Path, adapter: &str) -> Option<Switch> {
    let is_set = |kind: &str| {
        let entries = fs::read_dir(folder.join(adapter)).into_iter().flatten().flatten();
        let mut switches =
            entries.filter(|entry| entry.file_name().to_string_lossy().starts_with("rfkill"));
        switches.any(|entry| {
            fs::read_to_string(entry.path().join(kind)).is_ok_and(|state| state.trim() == "1")
        })
    };
    match (is_set("hard"), is_set("soft")) {
        (true, _) => Some(Switch::Hard),
        (false, true) => Some(Switch::Soft),
        (false, false) => None,
    }
}
