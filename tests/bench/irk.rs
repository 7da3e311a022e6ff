//! Scheme `irk`: every new address is tried against every key.

use std::hint::black_box;
use std::process::Command;
use std::time::Duration;

use grelot::pipeline::Now;
use grelot::pipeline::event::{Address, AddressKind, GatewayIndex, Sighting};
use grelot::pipeline::identity::Identity;

use super::{Random, key, load, now, timed};

const KEYS: usize = 16_000;

/// Prints what a new address costs, and what the Python library takes for it.
pub fn run() {
    println!("scheme irk, {KEYS} keys");
    let mut loaded =
        load(KEYS, |n| format!(r#""scheme":"irk","irk":"{}""#, hex::encode(key(n, 0))));
    println!("{:<44}{:>14.1}", "registry, MB", loaded.octets as f64 / 1e6);
    let ours = [1, 8, 64].map(|batch| {
        let each = new_addresses(&mut loaded.identity, batch);
        let label = format!("new address, {batch} at a time, us");
        println!("{label:<44}{:>14.0}", each.as_secs_f64() * 1e6);
        each
    });
    println!("{:<44}{:>14.0}", "known address, ns", known_address(&mut loaded.identity));
    let Some(theirs) = bluetooth_data_tools() else {
        println!("(not compared: GRELOT_PYTHON names no Python with bluetooth-data-tools)");
        return;
    };
    println!("{:<44}{:>14.0}", "bluetooth-data-tools, us", theirs.as_secs_f64() * 1e6);
    for (batch, ours) in [1, 8, 64].into_iter().zip(ours) {
        let label = format!("  times ours, {batch} at a time");
        println!("{label:<44}{:>14.0}", theirs.as_secs_f64() / ours.as_secs_f64());
    }
}

fn sighting(random: &mut Random) -> Sighting<'static> {
    let mut octets: [u8; 6] = random.octets();
    octets[0] = octets[0] & 0x3f | 0x40;
    let address = Address { kind: AddressKind::Random, octets };
    Sighting { gateway: GatewayIndex(0), address, rssi: None, payload: &[2, 1, 6] }
}

/// The best of some rounds of `batch` new addresses.
fn new_addresses(identity: &mut Identity, batch: usize) -> Duration {
    let at = now(3_600_000);
    let mut random = Random(batch as u64);
    let rounds = (0..(256 / batch).max(8)).map(|_| {
        let sightings: Vec<_> = (0..batch).map(|_| sighting(&mut random)).collect();
        timed(|| {
            for sighting in &sightings {
                black_box(identity.identify(at, sighting));
            }
            let soon = at.tick.plus(Duration::from_millis(10));
            while identity.next_deadline().is_some_and(|due| due < soon) {
                identity.advance(at);
            }
        })
        .1
    });
    rounds.min().unwrap() / u32::try_from(batch).unwrap()
}

fn known_address(identity: &mut Identity) -> f64 {
    let at: Now = now(3_600_000);
    let sighting = sighting(&mut Random(1));
    super::ns_each(5, 10_000, || {
        for _ in 0..10_000 {
            black_box(identity.identify(at, black_box(&sighting)));
        }
    })
}

/// The same with the ciphers kept, as Home Assistant's private BLE device does.
const PYTHON: &str = "
import os, time
from bluetooth_data_tools import get_cipher_for_irk, resolve_private_address
ciphers = [get_cipher_for_irk(os.urandom(16)) for _ in range(int(os.environ['KEYS']))]
best = 1e9
for n in range(10):
    address = ':'.join(f'{b:02X}' for b in bytes([0x40]) + os.urandom(5))
    start = time.perf_counter()
    for cipher in ciphers:
        resolve_private_address(cipher, address)
    best = min(best, time.perf_counter() - start)
print(best)
";

fn bluetooth_data_tools() -> Option<Duration> {
    let python = std::env::var_os("GRELOT_PYTHON")?;
    let output =
        Command::new(python).args(["-c", PYTHON]).env("KEYS", KEYS.to_string()).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    Some(Duration::from_secs_f64(text.trim().parse().ok()?))
}
