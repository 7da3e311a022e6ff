//! What this user's process can receive: the HCI monitor, and a sample of the air.

use std::collections::HashMap;
use std::time::Duration;

use super::super::Finding;
use crate::clock::Clocks;
use crate::commands::live::{Live, RadioArgs, remedy};
use crate::config::Config;
use crate::pipeline::event::Address;
use crate::sources::live::SourceEvent;
#[cfg(target_os = "linux")]
use crate::sources::monitor::Monitor;

/// A kernel's scan lasts ten seconds; a shorter sample does not show a duplicate filter.
const SCAN: Duration = Duration::from_secs(10);
/// Fewer devices show nothing about a controller.
const ENOUGH_DEVICES: usize = 3;

/// Whether this user's process gets the HCI monitor.
#[cfg(target_os = "linux")]
pub async fn monitor() -> Finding {
    let about = "HCI monitor";
    match Monitor::open(Clocks::machine()).await {
        Ok(_) => Finding::ok(about, "can be opened"),
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
            let says = "without it grelot receives through BlueZ alone: too little in a crowd, and \
                        what a device advertises beyond 229 octets is lost";
            let remedy = "sudo systemctl enable --now grelot-monitor.socket";
            Finding::warn(about, format!("{error}; {says}"), remedy)
        }
        Err(error) => Finding::warn(about, error.to_string(), "modprobe bluetooth"),
    }
}

/// Receives for `length`, and judges what came.
pub async fn sample(config: Option<&Config>, length: Duration) -> Vec<Finding> {
    let mut live = Live::start(&RadioArgs::default(), config, &Clocks::machine());
    let mut received: HashMap<Address, u64> = HashMap::new();
    let listen = async {
        while let Some(event) = live.events.recv().await {
            if let SourceEvent::Received(batch) = event {
                for one in batch {
                    *received.entry(one.address).or_default() += 1;
                }
            }
        }
    };
    // The time-out is the end that is wanted.
    let _ = tokio::time::timeout(length, listen).await;
    let (reason, hides) = {
        let status = live.status.borrow();
        (status.reason.clone(), status.adapters.values().any(|adapter| adapter.hides))
    };
    live.end().await;
    judge(&received, length, reason, hides)
}

fn judge(
    received: &HashMap<Address, u64>,
    length: Duration,
    reason: Option<String>,
    hides: bool,
) -> Vec<Finding> {
    let about = "air";
    let total: u64 = received.values().sum();
    if total == 0 {
        let says = reason.unwrap_or_else(|| "nothing was received".to_owned());
        let remedy = remedy(&says);
        return vec![Finding::fail(about, says, remedy)];
    }
    let (devices, secs) = (received.len(), length.as_secs());
    let says = format!("{total} advertisements of {devices} devices in {secs} s");
    let mut findings = vec![Finding::ok(about, says)];
    findings.extend(filtered(received.len(), length, hides));
    findings
}

/// Whether the controller hides repetitions, as the scan has shown.
fn filtered(devices: usize, length: Duration, hides: bool) -> Option<Finding> {
    let about = "duplicate filter";
    if hides {
        let says = "on: the controller reports each device once a scan; grelot restarts the \
                    scan every second";
        let remedy = "set Experimental = true under [General] in /etc/bluetooth/main.conf; sudo \
                    systemctl restart bluetooth; or use another adapter";
        return Some(Finding::warn(about, says, remedy));
    }
    (devices >= ENOUGH_DEVICES && length >= SCAN).then(|| Finding::ok(about, "off"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_controller_that_filters_duplicates_is_reported() {
        let length = Duration::from_secs(20);
        let remedy = |devices, hides| filtered(devices, length, hides).map(|f| f.remedy.is_some());
        assert_eq!(remedy(5, true), Some(true));
        assert_eq!(remedy(5, false), Some(false));
        assert_eq!(remedy(2, false), None);
    }

    #[test]
    fn silence_is_reported_with_its_reason() {
        let reason = Some("no Bluetooth adapter".to_owned());
        let findings = judge(&HashMap::new(), Duration::from_secs(5), reason, false);
        assert_eq!(findings[0].says, "no Bluetooth adapter");
    }
}
