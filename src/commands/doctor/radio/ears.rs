//! What this user's process can hear: the second ear, and a sample of the air.

use std::collections::HashMap;
use std::time::Duration;

use super::super::Finding;
use crate::commands::live::{Live, RadioArgs};
use crate::daemon::clock::Clocks;
use crate::pipeline::event::Address;
use crate::sources::bluez::RadioEvent;
use crate::sources::monitor;

/// A kernel's scan lasts ten seconds: a controller that filters reports each device once in it.
const SCAN: Duration = Duration::from_secs(10);
/// Fewer devices say nothing about a controller.
const ENOUGH_DEVICES: usize = 3;

/// Whether the HCI monitor may be listened to.
pub fn second_ear() -> Finding {
    let about = "second ear";
    match monitor::try_open() {
        Ok(()) => Finding::ok(about, "the HCI monitor can be listened to"),
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
            let says = "without CAP_NET_RAW grelot hears through BlueZ alone: enough for a shop, \
                        dearer in a crowd";
            Finding::warn(about, says, "a service is granted it by systemd/grelot-second-ear.conf")
        }
        Err(error) => {
            Finding::warn(about, format!("no HCI monitor: {error}"), "modprobe bluetooth")
        }
    }
}

/// Listens for a while and says what came.
pub async fn sample(length: Duration) -> Vec<Finding> {
    let mut live = Live::start(&RadioArgs::default(), &Clocks::machine());
    let mut heard: HashMap<Address, u64> = HashMap::new();
    let listen = async {
        while let Some(event) = live.events.recv().await {
            if let RadioEvent::Heard(batch) = event {
                for one in batch {
                    *heard.entry(one.address).or_default() += 1;
                }
            }
        }
    };
    // The time-out is the end that is wanted.
    let _ = tokio::time::timeout(length, listen).await;
    let reason = live.status.borrow().reason.clone();
    live.end().await;
    judge(&heard, length, reason)
}

fn judge(heard: &HashMap<Address, u64>, length: Duration, reason: Option<String>) -> Vec<Finding> {
    let about = "air";
    let total: u64 = heard.values().sum();
    if total == 0 {
        let says = reason.unwrap_or_else(|| "nothing was heard".to_owned());
        return vec![Finding::fail(about, says, "see adapter and BlueZ above")];
    }
    let (devices, secs) = (heard.len(), length.as_secs());
    let says = format!("{total} advertisements of {devices} devices in {secs} s");
    let mut findings = vec![Finding::ok(about, says)];
    findings.extend(filtered(heard, length));
    findings
}

/// Half of the devices, or more, heard about once a scan: phones and beacons say more.
fn filtered(heard: &HashMap<Address, u64>, length: Duration) -> Option<Finding> {
    let about = "duplicate filter";
    let scans = length.div_duration_f64(SCAN).ceil();
    if heard.len() < ENOUGH_DEVICES || length < SCAN {
        return None;
    }
    #[expect(clippy::cast_precision_loss, reason = "a handful of advertisements")]
    let once = heard.values().filter(|count| **count as f64 <= scans + 1.0).count();
    if once * 2 <= heard.len() {
        return Some(Finding::ok(about, "off"));
    }
    let says = format!("{once} of {} devices were heard about once a scan", heard.len());
    let mend = "set Experimental = true under [General] in /etc/bluetooth/main.conf; sudo \
                systemctl restart bluetooth; or use another adapter";
    Some(Finding::warn(about, says, mend))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::event::AddressKind;

    fn heard(counts: &[u64]) -> HashMap<Address, u64> {
        let address = |n: u8| Address { kind: AddressKind::Random, octets: [n; 6] };
        (0..).map(address).zip(counts.iter().copied()).collect()
    }

    #[test]
    fn a_controller_that_filters_duplicates_is_found_out() {
        let length = Duration::from_secs(20);
        let filter = |counts: &[u64]| filtered(&heard(counts), length).map(|f| f.mend.is_some());
        assert_eq!(filter(&[2, 2, 3, 2, 200]), Some(true));
        assert_eq!(filter(&[200, 40, 3, 90]), Some(false));
        assert_eq!(filter(&[2, 2]), None);
    }

    #[test]
    fn silence_is_told_with_its_reason() {
        let reason = Some("no Bluetooth adapter".to_owned());
        let findings = judge(&heard(&[]), Duration::from_secs(5), reason);
        assert_eq!(findings[0].says, "no Bluetooth adapter");
    }
}
