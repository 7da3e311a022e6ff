//! The machine itself: how fast its disk wears out, whether its power suffices, and whether its Wi-Fi
//! shares a radio with Bluetooth.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::Finding;
use crate::config::Config;

/// Linux counts sectors of this many octets on every disk.
const SECTOR: f64 = 512.0;
const MEGABYTE: f64 = 1_000_000.0;
const DAY_SECS: f64 = 86_400.0;
/// A shorter time does not represent a day: starting up writes more than running.
const SHORTEST_UPTIME_SECS: f64 = 3_600.0;
/// Megabytes a day: a card of 32 GB that takes 30 TB in its life is worn out after four years.
const MUCH_A_DAY: f64 = 20_000.0;

/// Where the kernel describes the machine; another folder in tests.
#[derive(Debug, Clone)]
pub(super) struct Kernel {
    pub(super) sys: PathBuf,
    pub(super) proc: PathBuf,
}

impl Default for Kernel {
    fn default() -> Self {
        Self { sys: "/sys".into(), proc: "/proc".into() }
    }
}

impl Kernel {
    pub(super) fn findings(&self, config: &Config) -> Vec<Finding> {
        let mut findings = Vec::new();
        let state = config.state.ancestors().find(|folder| folder.exists());
        let device = state.and_then(|folder| rustix::fs::stat(folder).ok()).map(|found| {
            format!("{}:{}", rustix::fs::major(found.st_dev), rustix::fs::minor(found.st_dev))
        });
        findings.extend(device.and_then(|device| self.wear(&device)));
        findings.extend(self.power());
        findings.extend(self.coexistence());
        findings
    }

    /// What was written to the disk `device` (its numbers), and how worn the disk reports to be;
    /// `None` for a folder that is on no disk.
    fn wear(&self, device: &str) -> Option<Finding> {
        let about = "disk wear";
        let folder = fs::canonicalize(self.sys.join("dev/block").join(device)).ok()?;
        let counts = fs::read_to_string(folder.join("stat")).ok()?;
        let sectors: f64 = counts.split_whitespace().nth(6)?.parse().ok()?;
        let uptime = fs::read_to_string(self.proc.join("uptime")).ok()?;
        let uptime: f64 = uptime.split_whitespace().next()?.parse().ok()?;
        let written = sectors * SECTOR / MEGABYTE;
        let a_day = written * DAY_SECS / uptime.max(1.0);
        let mut says = format!("{written:.0} MB written since the start");
        if uptime >= SHORTEST_UPTIME_SECS {
            says += &format!(", {a_day:.0} MB a day, by everything on this machine");
        }
        // A partition's folder is within its disk's.
        let disk = [Some(folder.as_path()), folder.parent()];
        let life = disk.into_iter().flatten().find_map(|disk| life(&disk.join("device")));
        let Some((used, worn)) = life else {
            says += "; the disk does not report its wear";
            return Some(if uptime >= SHORTEST_UPTIME_SECS && a_day > MUCH_A_DAY {
                Finding::warn(about, says, "sudo iotop -aoP shows which program writes so much")
            } else {
                Finding::ok(about, says)
            });
        };
        says += &format!("; {used} of its life is used");
        let replace = "replace the card or the eMMC: docs/hardware.md";
        Some(match worn {
            Worn::No => Finding::ok(about, says),
            Worn::Soon => Finding::warn(about, says, replace),
            Worn::Out => Finding::fail(about, says, replace),
        })
    }

    /// What a Pi reports of its power supply and temperature; `None` on other machines.
    fn power(&self) -> Option<Finding> {
        let file = self.sys.join("devices/platform/soc/soc:firmware/get_throttled");
        let word = fs::read_to_string(file).ok().or_else(|| self.vcgencmd());
        let bits = word.and_then(|word| bits(&word)).or_else(|| self.low_voltage_alarm())?;
        Some(power(bits))
    }

    /// On a Pi 5, whose firmware is not asked through sysfs.
    fn vcgencmd(&self) -> Option<String> {
        let model = fs::read_to_string(self.proc.join("device-tree/model")).ok()?;
        if !model.contains("Raspberry Pi") {
            return None;
        }
        let asked = Command::new("vcgencmd").arg("get_throttled").output().ok()?;
        String::from_utf8(asked.stdout).ok()
    }

    /// The kernel's own sensor, `rpi_volt`, as bit 16 of the firmware's word: it has happened.
    fn low_voltage_alarm(&self) -> Option<u32> {
        let sensors = fs::read_dir(self.sys.join("class/hwmon")).ok()?.flatten();
        let is_volt = |path: &PathBuf| {
            fs::read_to_string(path.join("name")).is_ok_and(|it| it.trim() == "rpi_volt")
        };
        let sensor = sensors.map(|sensor| sensor.path()).find(is_volt)?;
        let alarm = fs::read_to_string(sensor.join("in0_lcrit_alarm")).ok()?;
        Some(if alarm.trim() == "1" { HAS_BEEN_LOW } else { 0 })
    }

    /// One controller for Wi-Fi and Bluetooth has one antenna: while one sends, the other does not receive.
    fn coexistence(&self) -> Option<Finding> {
        let networks = fs::read_dir(self.sys.join("class/net")).ok()?.flatten();
        let shares = networks.map(|network| network.path()).find(|network| {
            let up = fs::read_to_string(network.join("operstate"));
            let driver = fs::canonicalize(network.join("device/driver"));
            up.is_ok_and(|state| state.trim() == "up")
                && driver.is_ok_and(|driver| driver.ends_with("brcmfmac"))
        })?;
        let name = shares.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let adapters = fs::read_dir(self.sys.join("class/bluetooth")).ok()?.flatten();
        let on_board = adapters.map(|adapter| adapter.path()).any(|adapter| {
            let device = fs::canonicalize(adapter.join("device"));
            device.is_ok_and(|device| device.to_string_lossy().contains("serial"))
        });
        on_board.then(|| {
            let says = format!(
                "{name} is in use, and shares its radio with Bluetooth: each receives nothing \
                                while the other sends"
            );
            Finding::warn("Wi-Fi", says, "use the network cable, or a USB Bluetooth adapter")
        })
    }
}

/// How far an eMMC or card is worn.
enum Worn {
    No,
    Soon,
    Out,
}

/// JEDEC JESD84-B51, `DEVICE_LIFE_TIME_EST_TYP_A` and `_B`, tenths of its life, and `PRE_EOL_INFO`. SD
/// cards have no such registers in their standard.
fn life(device: &Path) -> Option<(String, Worn)> {
    const EXCEEDED: u32 = 0x0b;
    let number = |word: &str| u32::from_str_radix(word.trim().trim_start_matches("0x"), 16).ok();
    let life = fs::read_to_string(device.join("life_time")).ok()?;
    let tenths = life.split_whitespace().filter_map(number).max().filter(|tenths| *tenths > 0)?;
    let reserve = fs::read_to_string(device.join("pre_eol_info")).ok();
    let reserve = reserve.and_then(|word| number(&word)).unwrap_or_default();
    let worn = match (tenths, reserve) {
        (EXCEEDED.., _) | (_, 3) => Worn::Out,
        (9.., _) | (_, 2) => Worn::Soon,
        _ => Worn::No,
    };
    let used = match tenths {
        EXCEEDED.. => "more than 100 %".to_owned(),
        tenths => format!("{} to {} %", (tenths - 1) * 10, tenths * 10),
    };
    Some((used, worn))
}

const IS_LOW: u32 = 1;
const IS_SLOWED: u32 = 0b1110;
const HAS_BEEN_LOW: u32 = 1 << 16;
const HAS_BEEN_SLOWED: u32 = IS_SLOWED << 16;

/// Reads the firmware's word, written `throttled=0x50005` or `50005`.
fn bits(word: &str) -> Option<u32> {
    let word = word.trim().trim_start_matches("throttled=").trim_start_matches("0x");
    u32::from_str_radix(word, 16).ok()
}

/// The firmware's word as <https://www.raspberrypi.com/documentation/computers/os.html#get_throttled>
/// describes it.
fn power(bits: u32) -> Finding {
    let about = "power";
    let supply = "use the power supply that is made for this Pi, and a short cable";
    let cool = "give it air, or a heat sink";
    if bits & IS_LOW != 0 {
        return Finding::fail(about, "the voltage is too low: the card may be damaged", supply);
    }
    if bits & HAS_BEEN_LOW != 0 {
        return Finding::warn(about, "the voltage was too low since the start", supply);
    }
    if bits & (IS_SLOWED | HAS_BEEN_SLOWED) != 0 {
        return Finding::warn(about, "the processor was slowed down, for it was too hot", cool);
    }
    Finding::ok(about, "enough, and not too hot")
}

#[cfg(test)]
mod tests {
    use super::super::Verdict;
    use super::*;

    fn kernel(files: &[(&str, &str)]) -> (tempfile::TempDir, Kernel) {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let kernel = Kernel { sys: folder.path().join("sys"), proc: folder.path().join("proc") };
        (folder, kernel)
    }

    const DAY: (&str, &str) = ("proc/uptime", "86400.00 1.00\n");

    #[test]
    fn a_day_of_writes_is_reported_and_too_many_are_a_warning() {
        let counts = |sectors: u64| format!("1 2 3 4 5 6 {sectors} 8 9 10 11");
        let wear = |sectors| {
            let stat = counts(sectors);
            let (_folder, kernel) = kernel(&[DAY, ("sys/dev/block/179:2/stat", stat.as_str())]);
            kernel.wear("179:2").unwrap()
        };
        let little = wear(200_000);
        assert!(little.says.contains("102 MB a day"), "{little:?}");
        assert_eq!(little.verdict, Verdict::Ok);
        assert_eq!(wear(60_000_000).verdict, Verdict::Warn);
    }

    #[test]
    fn a_worn_disk_is_reported_for_replacement() {
        let verdict = |life: &str, reserve: &str| {
            let (_folder, kernel) = kernel(&[
                DAY,
                ("sys/dev/block/179:0/stat", "0 0 0 0 0 0 10 0"),
                ("sys/dev/block/179:0/device/life_time", life),
                ("sys/dev/block/179:0/device/pre_eol_info", reserve),
            ]);
            kernel.wear("179:0").unwrap().verdict
        };
        assert_eq!(verdict("0x01 0x02\n", "0x01\n"), Verdict::Ok);
        assert_eq!(verdict("0x01 0x09\n", "0x01\n"), Verdict::Warn);
        assert_eq!(verdict("0x0b 0x01\n", "0x01\n"), Verdict::Fail);
        assert_eq!(verdict("0x02 0x01\n", "0x03\n"), Verdict::Fail);
    }

    #[test]
    fn a_weak_power_supply_is_named() {
        let at = "sys/devices/platform/soc/soc:firmware/get_throttled";
        let found = |files: &[(&str, &str)]| {
            let (_folder, kernel) = kernel(files);
            kernel.power().map(|it| it.verdict)
        };
        let verdict = |word: &str| found(&[(at, word)]);
        assert_eq!(verdict("0\n"), Some(Verdict::Ok));
        assert_eq!(verdict("50000\n"), Some(Verdict::Warn));
        assert_eq!(verdict("throttled=0x50005\n"), Some(Verdict::Fail));
        let alarm = [
            ("sys/class/hwmon/hwmon1/name", "rpi_volt\n"),
            ("sys/class/hwmon/hwmon1/in0_lcrit_alarm", "1\n"),
        ];
        assert_eq!(found(&alarm), Some(Verdict::Warn));
        assert_eq!(found(&[]), None);
    }
}
