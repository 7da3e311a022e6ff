//! Asks bluetoothd which adapters and devices there are.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use dbus::{Message, MessageType};

use super::adapter::{self, Adapter, Hci};
use super::bus::{BLUEZ, Bus, CallError};
use super::device_cache::{self, DeviceCache};
use super::exported::ExportedObjects;
use super::service::Bluetoothd;

/// Timeout for the list of all devices: a slow processor takes a second for every hundred.
const LIST_TIMEOUT: Duration = Duration::from_mins(3);

/// Subscribes to bluetoothd's signals.
///
/// # Errors
/// If the bus refuses the subscriptions or is gone.
pub async fn follow(
    bus: &Bus,
    cache: &Arc<Mutex<DeviceCache>>,
    exported: &Arc<ExportedObjects>,
) -> Result<(), CallError> {
    let (listening, exported) = (Arc::clone(cache), Arc::clone(exported));
    bus.receive(move |message| {
        if message.msg_type() == MessageType::MethodCall {
            return exported.answer(message);
        }
        lock(&listening).signal(message);
        None
    });
    for rule in device_cache::OBJECTS {
        bus.subscribe(rule).await?;
    }
    Ok(())
}

/// Asks bluetoothd for its adapters; returns whether it answers.
///
/// The devices are asked for separately: with 5,000 devices in BlueZ's memory the list takes a
/// minute, and the scan need not wait for it.
pub async fn list_adapters(bus: &Bus, cache: &Arc<Mutex<DeviceCache>>) -> Bluetoothd {
    let Ok(owner) = bus.bus_call("GetNameOwner", (BLUEZ,)).await else {
        return Bluetoothd::Absent;
    };
    lock(cache).owned_by(owner.get1());
    match adapters(bus).await {
        Ok(adapters) => {
            lock(cache).adapters_are(adapters);
            Bluetoothd::Answers
        }
        Err(CallError::NoService) => Bluetoothd::Absent,
        Err(error) => {
            tracing::debug!(%error, "bluetoothd did not list its adapters");
            Bluetoothd::Unanswering
        }
    }
}

/// Asks bluetoothd for the devices in its memory. The subscription to their signals must come
/// first: a change between the list and the subscription would be missed.
pub async fn list_devices(bus: &Bus, cache: &Arc<Mutex<DeviceCache>>) {
    let learning = Arc::clone(cache);
    let look = move |answer: &Message| lock(&learning).objects(answer);
    let manager = "org.freedesktop.DBus.ObjectManager";
    let listed = bus.call_and_look("/", manager, "GetManagedObjects", LIST_TIMEOUT, look).await;
    if let Err(error) = listed {
        tracing::debug!(%error, "bluetoothd did not list the devices it knows");
    }
}

async fn adapters(bus: &Bus) -> Result<BTreeMap<Hci, Adapter>, CallError> {
    let introspectable = "org.freedesktop.DBus.Introspectable";
    let answer = bus.call("/org/bluez", introspectable, "Introspect", ()).await?;
    let mut adapters = BTreeMap::new();
    for hci in named(answer.get1().unwrap_or_default()) {
        let properties = "org.freedesktop.DBus.Properties";
        match bus.call(&adapter::path(hci), properties, "GetAll", (device_cache::ADAPTER,)).await {
            Ok(answer) => {
                let mut adapter = Adapter::default();
                adapter.learn(answer.iter_init());
                adapters.insert(hci, adapter);
            }
            // It was unplugged meanwhile.
            Err(CallError::NoObject) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(adapters)
}

/// The adapters among the nodes of an introspection document.
fn named(xml: &str) -> impl Iterator<Item = Hci> {
    xml.split("<node name=\"").skip(1).filter_map(|node| Hci::named(node.split('"').next()?))
}

/// Locks the tables; even a poisoned lock is used, because no message leaves them half changed.
pub fn lock(cache: &Mutex<DeviceCache>) -> std::sync::MutexGuard<'_, DeviceCache> {
    cache.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn adapters_are_read_from_bluezs_introspection() {
        let xml = r#"<node><interface name="org.bluez.AgentManager1"></interface>
            <node name="hci0"/><node name="hci12"/><node name="other"/></node>"#;
        assert_eq!(named(xml).collect::<Vec<_>>(), [Hci(0), Hci(12)]);
    }
}
