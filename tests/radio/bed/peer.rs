//! Receives through btleplug as its own example does: the first adapter's events, a scan with the
//! default filter. Added: the choice of the adapter, and a count each second.

use std::time::Duration;

use btleplug::api::{Central as _, CentralEvent, Manager as _, ScanFilter};
use btleplug::platform::{Adapter, Manager};
use futures::StreamExt as _;

/// Listens until it is ended, and prints how many advertisement events it received.
pub async fn listen(adapter: &str) {
    let manager = Manager::new().await.expect("btleplug starts");
    let central = loop {
        if let Some(central) = find(&manager, adapter).await {
            break central;
        }
        // bluetoothd has just been started.
        tokio::time::sleep(Duration::from_millis(500)).await;
    };
    let mut events = central.events().await.expect("btleplug has events");
    // Busy while bluetoothd is still switching the adapter on.
    while central.start_scan(ScanFilter::default()).await.is_err() {
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    let mut heard = 0u64;
    let mut second = tokio::time::interval(Duration::from_secs(1));
    loop {
        tokio::select! {
            event = events.next() => match event {
                // One advertisement causes several events. Exactly one of them is of these kinds
                // where the device is known; where it is new, the discovery.
                Some(CentralEvent::DeviceDiscovered(_)
                    | CentralEvent::ManufacturerDataAdvertisement { .. }) => heard += 1,
                Some(_) => {}
                None => return,
            },
            _ = second.tick() => println!("{}", serde_json::json!({ "heard": heard })),
        }
    }
}

async fn find(manager: &Manager, adapter: &str) -> Option<Adapter> {
    for one in manager.adapters().await.ok()? {
        if one.adapter_info().await.is_ok_and(|info| info.starts_with(adapter)) {
            return Some(one);
        }
    }
    None
}
