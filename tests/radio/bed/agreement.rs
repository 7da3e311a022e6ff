//! Two recordings of the same air, one through BlueZ and one through the HCI monitor, compared
//! structure by structure: BlueZ keeps what a device advertised before, and must not be believed
//! that it is advertised still.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::Value;

/// bluetoothd joins and delays what it reports, on a slow machine for a second or two.
const TOLERANCE_S: f64 = 3.0;
/// AD types that can identify a customer: service UUIDs, service data, manufacturer data. BlueZ
/// reports flags, names and power once, for good.
const COMPARED: [u8; 5] = [0x03, 0x07, 0x16, 0x21, 0xff];

/// When each device advertised each structure, in seconds since 1970.
type Structures = BTreeMap<(String, Vec<u8>), Vec<f64>>;

/// What one of them received and the other did not, at about the same time.
pub fn differences(bluez: &Path, monitor: &Path) -> Vec<String> {
    let (bluez, monitor) = (read(bluez), read(monitor));
    if bluez.is_empty() || monitor.is_empty() {
        return vec!["nothing was recorded".to_owned()];
    }
    let stale = missing(&bluez, &monitor, "is received through BlueZ and not on the air");
    // What is on the air for a moment only, BlueZ may join with what follows.
    let lost = missing(&monitor, &bluez, "is on the air and not received through BlueZ");
    stale.chain(lost).collect()
}

/// The structures of `these` of which `those` have none within the tolerance.
fn missing<'s>(
    these: &'s Structures,
    those: &'s Structures,
    what: &'s str,
) -> impl Iterator<Item = String> + 's {
    these.iter().filter_map(move |(key, times)| {
        let other = those.get(key).map_or(&[][..], Vec::as_slice);
        let near = |at: f64| other.iter().any(|time| (at - time).abs() <= TOLERANCE_S);
        let first = *times.first()?;
        let at = times.iter().find(|at| !near(**at))?;
        let (device, structure) = (&key.0, hex::encode(&key.1));
        Some(format!("{structure} of {device} {what}, {:.1} s after it first was", at - first))
    })
}

fn read(file: &Path) -> Structures {
    let text = fs::read_to_string(file).unwrap_or_default();
    let mut lines = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let began = lines.next().and_then(|header| {
        let began: jiff::Timestamp = header["started_at"].as_str()?.parse().ok()?;
        Some(began.as_millisecond() as f64 / 1000.0)
    });
    let began = began.unwrap_or_default();
    let mut all = Structures::new();
    for line in lines {
        let Some(advertised) = line["adv"].as_str().and_then(|adv| hex::decode(adv).ok()) else {
            continue;
        };
        let device = line["addr"].as_str().unwrap_or_default();
        let at = began + line["t"].as_f64().unwrap_or_default();
        let mut rest = advertised.as_slice();
        while let [length, structure @ ..] = rest
            && let Some((structure, after)) = structure.split_at_checked(usize::from(*length))
            && let Some(kind) = structure.first()
        {
            if COMPARED.contains(kind) {
                all.entry((device.to_owned(), structure.to_vec())).or_default().push(at);
            }
            rest = after;
        }
    }
    all
}
