//! A scenario file: the controllers, what is on the air, which programs receive it, what fails.

use serde::Deserialize;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// A sentence for the table.
    pub what: String,
    /// How long advertisements are on the air.
    pub seconds: u64,
    /// Lines that are changed in BlueZ's `main.conf`, such as `ControllerMode = le`.
    #[serde(default)]
    pub main_conf: Vec<String>,
    /// The kind of the shop's source.
    #[serde(default = "bluez")]
    pub kind: String,
    /// Lines for the `[[source]]` of the shop that `grelot run` serves.
    #[serde(default)]
    pub source: String,
    /// Devices that BlueZ remembers from before.
    #[serde(default)]
    pub remembered: u32,
    /// The identity resolving keys of phones that are bonded with the first adapter, as hex, most
    /// significant octet first.
    #[serde(default)]
    pub bonded: Vec<String>,
    /// Counts the signals that bluetoothd sends for advertisements.
    #[serde(default)]
    pub count_signals: bool,
    /// Files of the package that are installed.
    #[serde(default = "everything")]
    pub install: Vec<Installed>,
    /// The adapters, from `hci0` on.
    #[serde(rename = "controller")]
    pub controllers: Vec<ControllerKind>,
    /// What is on the air, for all of them.
    pub air: Vec<Air>,
    /// The programs that receive.
    #[serde(rename = "listener")]
    pub listeners: Vec<Listener>,
    /// What fails, in the order of time.
    #[serde(default, rename = "fault")]
    pub faults: Vec<Fault>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Installed {
    /// systemd restarts a bluetoothd that crashes or hangs.
    DropIn,
    /// polkit lets the service start and restart bluetoothd.
    PolkitRule,
    /// The helper that opens the HCI monitor for the service's user.
    Monitor,
}

/// All but the helper: whether a listener receives by the HCI monitor is its own `net_raw`.
fn everything() -> Vec<Installed> {
    vec![Installed::DropIn, Installed::PolkitRule]
}

/// What kind of controller is emulated.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ControllerKind {
    /// Knows Bluetooth Classic, too, as a Raspberry Pi's does.
    #[serde(default)]
    pub dual: bool,
    /// Reports by the extended event of Bluetooth 5.
    #[serde(default)]
    pub extended: bool,
    /// Which repetitions it does not report when it is asked to filter duplicates.
    #[serde(default)]
    pub filters: Filters,
    /// Its driver tells the kernel that it filters strictly, as a Raspberry Pi's does.
    #[serde(default)]
    pub quirk: bool,
}

/// Which repeated advertisements a controller does not report, when it is asked to filter.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Filters {
    /// It reports all of them.
    #[default]
    Nothing,
    /// Those with an address and data it has seen.
    SameData,
    /// Those with an address it has seen: `BCM4343x` and `CYW43xx`, the Pi's.
    SameAddress,
}

/// A group of devices that advertise.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Air {
    pub devices: u64,
    /// Advertising interval of each.
    pub every_ms: u64,
    /// Interval between address changes, in seconds; 0 is never.
    #[serde(default)]
    pub rotate_s: u64,
    /// The key of resolvable private addresses, as hex, most significant octet first.
    #[serde(default)]
    pub irk: Option<String>,
    /// In dBm, with a spread of 3 dB.
    #[serde(default = "usual_rssi")]
    pub rssi: i8,
    /// Several RSSIs, one after the other, each for `turn_ms`; then from the first one again.
    #[serde(default)]
    pub rssis: Vec<i8>,
    #[serde(default)]
    pub pdu: Pdu,
    /// AD structures, as hex; by default flags and manufacturer data of the test company.
    #[serde(default)]
    pub payload: Option<String>,
    /// Several payloads, one after the other, each for `turn_ms`; then from the first one again.
    #[serde(default)]
    pub payloads: Vec<String>,
    /// How long each of `payloads` and `rssis` lasts.
    #[serde(default)]
    pub turn_ms: u64,
    /// On the air only once every listener receives; `from` and `until` count from then.
    #[serde(default)]
    pub once_received: bool,
    /// When it goes on the air, in seconds.
    #[serde(default)]
    pub from: u64,
    /// When it goes off the air, in seconds.
    #[serde(default)]
    pub until: Option<u64>,
    /// Whether the last four octets are the time of sending, in milliseconds, which gives the age
    /// at reception.
    #[serde(default)]
    pub stamped: bool,
    /// Number of connections that fail before one succeeds.
    #[serde(default)]
    pub refuses: u64,
    /// The customer's day key, as hex; with it the device answers connections with grelot's GATT
    /// service.
    #[serde(default)]
    pub gatt_key: Option<String>,
}

fn bluez() -> String {
    "bluez".to_owned()
}

const fn usual_rssi() -> i8 {
    -60
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pdu {
    /// Neither connectable nor scannable.
    #[default]
    Nonconnectable,
    /// Connectable; answers scan requests.
    Connectable,
}

/// A program that listens.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Listener {
    /// Its name in the table.
    pub name: String,
    /// `grelot`, `btleplug` or `passive`, with arguments; or `grelot.service`, the unit as it is
    /// shipped.
    pub run: String,
    /// Whether it has `CAP_NET_RAW`, for the HCI monitor, beyond the rights of every user of group
    /// bluetooth.
    #[serde(default)]
    pub net_raw: bool,
    /// The adapter whose advertisements it receives; all where absent.
    #[serde(default)]
    pub adapter: Option<usize>,
    /// The least fraction of what is on the air that the controller must pass on.
    #[serde(default)]
    pub passed_on: f64,
    /// The least fraction of that which must be received.
    #[serde(default)]
    pub receives: f64,
    /// Whether it must receive again after every fault, before the next one starts.
    #[serde(default)]
    pub recovers: bool,
    /// Words that no reported reason may contain.
    #[serde(default)]
    pub never_reports: Vec<String>,
    /// Of `grelot run`: how many customers must have arrived, and must all be present at the end.
    #[serde(default)]
    pub arrivals: Option<u64>,
    /// Of `grelot run`: whether it must end by itself after the last fault.
    #[serde(default)]
    pub gives_up: bool,
    /// Of `grelot record`: another recording of the same air, which must agree with this one
    /// advertisement by advertisement.
    #[serde(default)]
    pub agrees_with: Option<String>,
    /// What the gateway must advertise at the end, or within half a minute of it, as hex.
    #[serde(default)]
    pub advertises: Option<String>,
}

/// Something that fails, and how it ends.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// In seconds.
    pub at: u64,
    pub kind: FaultKind,
    /// How many seconds it lasts at least.
    #[serde(default)]
    pub lasts: u64,
    /// Whether it lasts until every listener that recovers has reported `blind`.
    #[serde(default)]
    pub until_blind: bool,
    /// The adapter, for faults of one.
    #[serde(default)]
    pub adapter: usize,
}

/// What can go wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultKind {
    /// bluetoothd is stopped, and started after a while.
    BluetoothdStopped,
    /// bluetoothd is stopped, and the bed does not start it.
    BluetoothdStoppedForGood,
    /// bluetoothd is killed with -9, and the bed does not start it.
    BluetoothdKilled,
    /// bluetoothd hangs (SIGSTOP) for a while.
    BluetoothdHangs,
    /// bluetoothd hangs (SIGSTOP) until something else than the bed ends it.
    BluetoothdHangsForGood,
    /// The adapter is switched off, and on after a while.
    PoweredOff,
    /// rfkill, for a while.
    Rfkill,
    /// The adapter is pulled and plugged in again.
    Unplugged,
    /// The adapter is pulled; another name is taken when it comes back.
    BackUnderAnotherName,
    /// The controller ends its scan, and refuses to start another one until it is reset.
    ScanRefused,
    /// The controller reports nothing more until its scan is restarted.
    ScanDies,
    /// The controller reports nothing more until it is reset.
    ControllerDies,
    /// The controller reports nothing more, even after a reset.
    ControllerDiesForGood,
    /// dbus-daemon is killed; systemd starts it at the next connection.
    DbusKilled,
    /// The wall clock is an hour off from here on.
    ClockStepped,
}
