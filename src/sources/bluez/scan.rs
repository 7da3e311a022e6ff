//! The calls that make an adapter scan and advertise.

use std::time::Duration;

use dbus::arg::{PropMap, Variant};

use super::adapter::{self, Hci};
use super::bus::{Bus, CallError};
use super::exported::{self, ExportedObjects};
use super::recovery::Step;
use super::rfkill;

const ADAPTER: &str = "org.bluez.Adapter1";

/// How long a controller stays off in a power cycle, so that its firmware notices.
const OFF_FOR: Duration = Duration::from_millis(500);

/// Takes one step for one adapter. Every call in it has its own time-out.
///
/// # Errors
/// If BlueZ refuses, does not answer, or is gone.
pub async fn take(
    bus: &Bus,
    exported: &ExportedObjects,
    hci: Hci,
    step: Step,
) -> Result<(), CallError> {
    match step {
        Step::PowerOn => power(bus, hci, true).await,
        Step::Scan => start(bus, exported, hci).await,
        Step::Refresh => {
            stop(bus, hci).await?;
            bus.call(&adapter::path(hci), ADAPTER, "StartDiscovery", ()).await.map(drop)
        }
        Step::Rescan => {
            stop(bus, hci).await?;
            start(bus, exported, hci).await
        }
        Step::Advertise => advertise(bus, exported, hci).await,
        Step::PowerCycle => {
            power(bus, hci, false).await?;
            tokio::time::sleep(OFF_FOR).await;
            power(bus, hci, true).await
        }
        Step::StartBluetoothd | Step::RestartBluetoothd => take_service(bus, step).await,
        // The session and the daemon take these steps.
        Step::Reconnect | Step::GiveUp => Ok(()),
    }
}

/// Asks systemd to start or to restart bluetoothd.
///
/// # Errors
/// If systemd refuses; by default polkit lets only administrators ask.
pub async fn take_service(bus: &Bus, step: Step) -> Result<(), CallError> {
    let method = if step == Step::StartBluetoothd { "StartUnit" } else { "RestartUnit" };
    bus.systemd_call(method, ("bluetooth.service", "replace")).await.map(drop)
}

async fn power(bus: &Bus, hci: Hci, on: bool) -> Result<(), CallError> {
    let arguments = (ADAPTER, "Powered", Variant(on));
    let properties = "org.freedesktop.DBus.Properties";
    let set = bus.call(&adapter::path(hci), properties, "Set", arguments).await.map(drop);
    set.map_err(|error| match rfkill::switch(&hci.to_string()) {
        Some(_) if on => CallError::Blocked,
        _ => error,
    })
}

/// LE transport only: on a dual-mode adapter "auto" receives nothing for about half of the time,
/// while classic inquiry uses the radio. With duplicates: presence is estimated from repetitions.
/// Without a UUID filter: BlueZ applies it to the list of services only, and drops service data.
async fn start(bus: &Bus, exported: &ExportedObjects, hci: Hci) -> Result<(), CallError> {
    unfilter(bus, exported, hci).await?;
    let mut filter = PropMap::new();
    filter.insert("Transport".to_owned(), Variant(Box::new("le".to_owned())));
    filter.insert("DuplicateData".to_owned(), Variant(Box::new(true)));
    bus.call(&adapter::path(hci), ADAPTER, "SetDiscoveryFilter", (filter,)).await?;
    match bus.call(&adapter::path(hci), ADAPTER, "StartDiscovery", ()).await {
        Err(CallError::InProgress) => {
            stop(bus, hci).await?;
            bus.call(&adapter::path(hci), ADAPTER, "StartDiscovery", ()).await?;
        }
        started => drop(started?),
    }
    Ok(())
}

/// Advertises the shop's wake-up beacon, where there is one and no other adapter does.
async fn advertise(bus: &Bus, exported: &ExportedObjects, hci: Hci) -> Result<(), CallError> {
    let Some(beacon) = exported.to_advertise_through(hci) else { return Ok(()) };
    let manager = "org.bluez.LEAdvertisingManager1";
    match bus
        .call(&adapter::path(hci), manager, "RegisterAdvertisement", (beacon, PropMap::new()))
        .await
    {
        Ok(_) | Err(CallError::InProgress) => Ok(()),
        Err(error) => {
            exported.release_beacon(hci);
            Err(error)
        }
    }
}

/// Registers an advertisement monitor. Controllers that filter duplicates (the Pi's compares
/// addresses only) pass on a tenth of what is on the air; as long as there is a monitor, the kernel
/// leaves their filter off and keeps scanning between two discoveries.
///
/// BlueZ offers monitors only where its experimental interfaces are switched on.
async fn unfilter(bus: &Bus, exported: &ExportedObjects, hci: Hci) -> Result<(), CallError> {
    let manager = "org.bluez.AdvertisementMonitorManager1";
    let root = (dbus::Path::from(exported::ROOT),);
    match bus.call(&adapter::path(hci), manager, "RegisterMonitor", root).await {
        Ok(_) => exported.activated().await,
        Err(CallError::InProgress) => {}
        Err(CallError::TimedOut) => return Err(CallError::TimedOut),
        Err(error) => tracing::debug!(adapter = %hci, %error, "no advertisement monitor"),
    }
    Ok(())
}

/// The result does not matter: there may have been nothing to stop.
async fn stop(bus: &Bus, hci: Hci) -> Result<(), CallError> {
    match bus.call(&adapter::path(hci), ADAPTER, "StopDiscovery", ()).await {
        Err(CallError::TimedOut) => Err(CallError::TimedOut),
        Err(error) => {
            tracing::debug!(adapter = %hci, %error, "discovery was not stopped");
            Ok(())
        }
        Ok(_) => Ok(()),
    }
}
