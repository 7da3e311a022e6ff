//! Two recordings of the same air, one through BlueZ and one through the HCI monitor, compared
//! advertisement by advertisement. BlueZ keeps what a device advertised before, which must not be
//! taken for its current advertisement.
//!
//! bluetoothd merges and delays its signals, on a busy machine for seconds. One device stamps its
//! advertisements: each one that comes through BlueZ is looked up in the monitor's recording, must
//! be equal, and shows the delay of the signals at that moment. The advertisements of other devices
//! are compared within that delay.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::Value;

use super::bond;

/// How much the delay may exceed the one of the stamps, in seconds.
const TOLERANCE_S: f64 = 3.0;
/// The difference between the two recordings' clocks is less than this, in seconds.
const CLOCKS_S: f64 = 0.5;
/// A structure that was not on the air for this long, in seconds, is no longer advertised.
const PAUSE_S: f64 = 1.5;
/// AD types that can identify a customer: service UUIDs, service data, manufacturer data. BlueZ
/// reports flags, names and power only once.
const COMPARED: [u8; 5] = [0x03, 0x07, 0x16, 0x21, 0xff];
/// A complete local name.
const NAME: u8 = 0x09;
/// The first octets of the structure with a stamp.
const STAMP: [u8; 5] = [0xff, 0xff, 0xff, 0xca, 0x11];

/// One advertisement of a recording.
#[derive(Debug)]
struct Received {
    /// In seconds since 1970.
    at: f64,
    rssi: Option<i64>,
    structures: Vec<Vec<u8>>,
}

impl Received {
    fn stamp(&self) -> Option<&[u8]> {
        self.structures.iter().find(|one| one.starts_with(&STAMP)).map(Vec::as_slice)
    }

    fn name(&self) -> Option<&[u8]> {
        self.structures.iter().find(|one| one[0] == NAME).map(Vec::as_slice)
    }
}

/// By kind of address and address.
type Devices = BTreeMap<String, Vec<Received>>;

/// The advertisements that one of them received and the other did not. BlueZ reports the phones
/// with the keys in `bonded` under their identity addresses.
pub fn differences(bluez: &Path, monitor: &Path, bonded: &[String]) -> Vec<String> {
    let (bluez, monitor) = (read(bluez, &[]), read(monitor, bonded));
    let through_bluez = |device: &str| bluez.get(device).map_or(&[][..], Vec::as_slice);
    let stamps = |all: &Vec<Received>| all.iter().any(|received| received.stamp().is_some());
    let Some((stamping, on_air)) = monitor.iter().find(|(_, all)| stamps(all)) else {
        return vec!["no stamped advertisement was recorded".to_owned()];
    };
    let (delays, mut found) = compare_stamped(through_bluez(stamping), on_air);
    let Some(both) = delays.both_recorded() else {
        return vec!["nothing was recorded through BlueZ".to_owned()];
    };
    for device in bluez.keys().filter(|one| !monitor.contains_key(*one)) {
        found.push(format!("{device} is received through BlueZ and not on the air"));
    }
    for (device, on_air) in monitor.iter().filter(|(one, _)| *one != stamping) {
        let received = through_bluez(device);
        let stale = stale(received, on_air, &delays);
        let lost = lost(received, on_air, &delays, both);
        found.extend(stale.into_iter().chain(lost).map(|one| format!("{device}: {one}")));
    }
    found
}

/// When each stamped advertisement came through BlueZ, and its delay.
struct Delays(Vec<(f64, f64)>);

impl Delays {
    /// The longest delay around that time, or of all where there is none.
    fn at(&self, time: f64) -> f64 {
        let longest = |near: f64| {
            let around = self.0.iter().filter(|(at, _)| (at - time).abs() <= near);
            around.map(|(_, delay)| *delay).reduce(f64::max)
        };
        longest(TOLERANCE_S).or_else(|| longest(f64::MAX)).unwrap_or(0.0) + TOLERANCE_S
    }

    /// From when to when both recordings ran, by the time on the air.
    fn both_recorded(&self) -> Option<(f64, f64)> {
        let sent = |(at, delay): &(f64, f64)| at - delay;
        Some((sent(self.0.first()?), sent(self.0.last()?)))
    }
}

/// Compares each stamped advertisement through BlueZ with the one on the air: RSSI and name.
fn compare_stamped(bluez: &[Received], monitor: &[Received]) -> (Delays, Vec<String>) {
    let by_stamp: BTreeMap<_, _> =
        monitor.iter().filter_map(|one| Some((one.stamp()?, one))).collect();
    let (mut delays, mut found) = (Vec::new(), Vec::new());
    for one in bluez {
        let Some(sent) = one.stamp().and_then(|stamp| by_stamp.get(stamp)) else {
            // The monitor's recording begins and ends at other times.
            if monitor.first().is_some_and(|first| one.at - CLOCKS_S > first.at) {
                found.push(format!("{one:x?} is received through BlueZ and not on the air"));
            }
            continue;
        };
        delays.push((one.at, (one.at - sent.at).max(0.0)));
        // BlueZ signals a name once, and grelot may not have BlueZ's list of devices yet.
        let renamed = one.name().is_some_and(|name| Some(name) != sent.name());
        if one.rssi != sent.rssi || renamed {
            found.push(format!("through BlueZ {one:x?}, on the air {sent:x?}"));
        }
    }
    (Delays(delays), found)
}

/// The structures through BlueZ that were not on the air shortly before.
fn stale(bluez: &[Received], monitor: &[Received], delays: &Delays) -> Vec<String> {
    let on_air = structures(monitor);
    let report = |(structure, times): (&[u8], Vec<f64>)| {
        let sent = on_air.get(structure).map_or(&[][..], Vec::as_slice);
        let recent = |at: f64| sent.iter().any(|sent| at - delays.at(at) <= *sent);
        let at = times.iter().find(|at| !recent(**at))?;
        let last = sent.last().map_or(f64::INFINITY, |last| at - last);
        let structure = hex::encode(structure);
        Some(format!("{structure} is received through BlueZ {last:.1} s after it last was"))
    };
    structures(bluez).into_iter().filter_map(report).collect()
}

/// The structures on the air that did not come through BlueZ, although the device did meanwhile.
fn lost(
    bluez: &[Received],
    monitor: &[Received],
    delays: &Delays,
    (begin, end): (f64, f64),
) -> Vec<String> {
    let mut received = structures(bluez);
    let mut found = Vec::new();
    for (structure, times) in structures(monitor) {
        let through_bluez = received.remove(structure).unwrap_or_default();
        for period in times.chunk_by(|one, next| next - one < PAUSE_S) {
            let (first, last) = (period[0].max(begin), period[period.len() - 1].min(end));
            let late = delays.at(first);
            let within = |at: f64| first + late <= at && at <= last;
            let here = |at: f64| first - CLOCKS_S <= at && at <= last + late;
            if bluez.iter().any(|one| within(one.at)) && !through_bluez.iter().any(|at| here(*at)) {
                let structure = hex::encode(structure);
                let seconds = last - first;
                found.push(format!("{structure}, {seconds:.1} s on the air, did not come through"));
            }
        }
    }
    found
}

/// When each structure was received.
fn structures(received: &[Received]) -> BTreeMap<&[u8], Vec<f64>> {
    let mut times: BTreeMap<&[u8], Vec<f64>> = BTreeMap::new();
    for one in received {
        for structure in one.structures.iter().filter(|one| COMPARED.contains(&one[0])) {
            times.entry(structure).or_default().push(one.at);
        }
    }
    times
}

fn read(file: &Path, bonded: &[String]) -> Devices {
    let text = fs::read_to_string(file).unwrap_or_default();
    let mut lines = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let began = lines.next().and_then(|header| {
        let began: jiff::Timestamp = header["started_at"].as_str()?.parse().ok()?;
        Some(began.as_millisecond() as f64 / 1000.0)
    });
    let began = began.unwrap_or_default();
    let mut all = Devices::new();
    for line in lines {
        let Some(advertised) = line["adv"].as_str().and_then(|adv| hex::decode(adv).ok()) else {
            continue;
        };
        let address = line["addr"].as_str().unwrap_or_default();
        let phone = bonded.iter().find(|key| bond::resolves(key, address));
        let device = match phone {
            Some(key) => format!("public {}", bond::identity_address(key).to_lowercase()),
            None => format!("{} {address}", line["kind"].as_str().unwrap_or("random")),
        };
        let at = began + line["t"].as_f64().unwrap_or_default();
        let mut structures = Vec::new();
        let mut rest = advertised.as_slice();
        while let [length, structure @ ..] = rest
            && let Some((structure, after)) = structure.split_at_checked(usize::from(*length))
            && !structure.is_empty()
        {
            structures.push(structure.to_vec());
            rest = after;
        }
        let rssi = line["rssi"].as_i64();
        all.entry(device).or_default().push(Received { at, rssi, structures });
    }
    all
}
