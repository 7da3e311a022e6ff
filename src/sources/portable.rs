//! Receives through btleplug, on every platform that it supports: for trials on a laptop.
//!
//! In a shop the `bluez` source is better. btleplug scans with the transport that the platform
//! chooses (a dual-mode adapter on Linux spends half of its time on classic inquiry), costs calls
//! for each device, and reports parsed fields, some of them merged. macOS hides addresses, iBeacons
//! and what an iPhone's app advertises in the background.

use std::collections::BTreeSet;
use std::time::Duration;

use btleplug::api::{AddressType, ScanFilter};
use btleplug::api::{Central, CentralEvent, Manager as _, Peripheral as _, PeripheralProperties};
use btleplug::platform::{Adapter, Manager, PeripheralId};
use futures::StreamExt as _;
use sha2::{Digest as _, Sha256};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::Advertisement;
use super::live::{Kind, Receive, SourceEvent};
use super::structures::Structures;
use crate::clock::Clocks;
use crate::pipeline::event::{Address, AddressKind, Hearing};
use crate::pipeline::units::Dbm;
use crate::sources::activity::ActivitySample;
use crate::sources::scan_health::{ScanHealth, ScanState};

/// The radio through btleplug.
pub const KIND: Kind = Kind {
    word: "btleplug",
    keys: &["adapter"],
    limits: Some(LIMITS),
    names_adapter: |_| true,
    open: |settings, clocks| Box::new(Portable::new(settings.adapter.clone(), clocks.clone())),
};

/// The limits that `status` and `doctor` show.
const LIMITS: &str = "btleplug, for trials: may miss half of what is on the air; on macOS no \
                          iBeacons and no addresses";

/// One advertisement causes several events; events within this time are handled together.
const BATCH: Duration = Duration::from_millis(50);
/// Interval at which reception is checked.
const CHECK: Duration = Duration::from_secs(1);
/// Pause between attempts to start.
const RETRY: Duration = Duration::from_secs(2);

/// The radio of this machine through btleplug.
#[derive(Debug)]
pub struct Portable {
    adapter: Option<String>,
    clocks: Clocks,
}

impl Portable {
    /// Uses the adapter with this name or address; the first one where `None`.
    pub fn new(adapter: Option<String>, clocks: Clocks) -> Self {
        Self { adapter, clocks }
    }

    async fn receive_for_ever(&self, events: &mpsc::Sender<SourceEvent>) {
        while !events.is_closed() {
            let reason = match self.session(events).await {
                Ok(()) => "btleplug has no more events".to_owned(),
                Err(error) => error.to_string(),
            };
            drop(events.send(SourceEvent::State(Hearing::Blind, Some(reason))).await);
            tokio::time::sleep(RETRY).await;
        }
    }

    async fn session(&self, events: &mpsc::Sender<SourceEvent>) -> btleplug::Result<()> {
        let manager = Manager::new().await?;
        let adapter = self.find(&manager).await?;
        let mut news = adapter.events().await?;
        adapter.start_scan(ScanFilter::default()).await?;
        let mut waiting = BTreeSet::new();
        let mut scan_health = ScanHealth::new(self.clocks.now().tick);
        let mut batch = tokio::time::interval(BATCH);
        let mut check = tokio::time::interval(CHECK);
        let mut reported = None;
        loop {
            tokio::select! {
                event = news.next() => match event {
                    Some(event) => waiting.extend(advertiser(event)),
                    None => return Ok(()),
                },
                _ = batch.tick(), if !waiting.is_empty() => {
                    let mut received = Vec::new();
                    for id in std::mem::take(&mut waiting) {
                        received.extend(advertisement(&adapter, &id).await);
                    }
                    let mut sample = ActivitySample::default();
                    for one in &received {
                        sample.record(one.address, one.rssi);
                    }
                    scan_health.add(self.clocks.now().tick, sample);
                    if !received.is_empty() && events.send(SourceEvent::Received(received)).await.is_err() {
                        return Ok(());
                    }
                }
                _ = check.tick() => {
                    let state = match scan_health.state(self.clocks.now().tick) {
                        ScanState::Receiving => (Hearing::Listening, LIMITS),
                        ScanState::NothingYet => (Hearing::Blind, "nothing received yet"),
                        ScanState::Silent => (Hearing::Blind, "no more advertisements"),
                    };
                    if reported.replace(state) != Some(state) {
                        let (hearing, note) = state;
                        drop(events.send(SourceEvent::State(hearing, Some(note.to_owned()))).await);
                    }
                    if state.0 == Hearing::Blind && scan_health.silence(self.clocks.now().tick) > SILENT {
                        return Ok(());
                    }
                }
            }
        }
    }

    async fn find(&self, manager: &Manager) -> btleplug::Result<Adapter> {
        for adapter in manager.adapters().await? {
            let Some(wanted) = &self.adapter else { return Ok(adapter) };
            let address = adapter.adapter_address().await?.map(|address| address.to_string());
            let named = adapter.adapter_info().await?.split_whitespace().any(|word| word == wanted);
            if named || address.is_some_and(|address| address.eq_ignore_ascii_case(wanted)) {
                return Ok(adapter);
            }
        }
        Err(btleplug::Error::DeviceNotFound)
    }
}

impl Receive for Portable {
    async fn receive(self, events: mpsc::Sender<SourceEvent>, stop: CancellationToken) {
        tokio::select! {
            () = stop.cancelled() => {}
            () = self.receive_for_ever(&events) => {}
        }
    }
}

/// After this much silence the session is restarted: btleplug's events are known to stop without an
/// error.
const SILENT: Duration = Duration::from_mins(2);

/// The device that an event of an advertisement is about. One advertisement causes several events,
/// spread over the calls that btleplug makes between them; exactly one of them is the RSSI.
fn advertiser(event: CentralEvent) -> Option<PeripheralId> {
    match event {
        CentralEvent::DeviceDiscovered(id) | CentralEvent::RssiUpdate { id, .. } => Some(id),
        CentralEvent::DeviceUpdated(id)
        | CentralEvent::ManufacturerDataAdvertisement { id, .. }
        | CentralEvent::ServiceDataAdvertisement { id, .. }
        | CentralEvent::ServicesAdvertisement { id, .. } => {
            (!cfg!(target_os = "linux")).then_some(id)
        }
        _ => None,
    }
}

/// The last advertisement of a device; `None` where the platform only remembers it from before the
/// scan.
async fn advertisement(adapter: &Adapter, id: &PeripheralId) -> Option<Advertisement> {
    let device = adapter.peripheral(id).await.ok()?;
    let properties = device.properties().await.ok()??;
    let rssi = properties.rssi.and_then(Dbm::measured);
    let address = address(&properties, id);
    let payload = payload(&properties);
    properties.rssi.map(|_| Advertisement { gateway: None, address, rssi, payload })
}

/// The device's address. Where the platform hides it, a static random address derived from the
/// device's identifier.
fn address(properties: &PeripheralProperties, id: &PeripheralId) -> Address {
    let octets = properties.address.into_inner();
    if octets != [0; 6] {
        let kind = match properties.address_type {
            Some(AddressType::Public) => AddressKind::Public,
            _ => AddressKind::Random,
        };
        return Address { kind, octets };
    }
    let hash = Sha256::digest(id.to_string());
    let mut octets: [u8; 6] = hash.first_chunk().copied().unwrap_or_default();
    // The two top bits of a static random address (Core, Vol 6 Part B 1.3.2.1).
    let [first, ..] = &mut octets;
    *first |= 0xc0;
    Address { kind: AddressKind::Random, octets }
}

fn payload(properties: &PeripheralProperties) -> Vec<u8> {
    let mut structures = Structures::new();
    structures.service_uuids(properties.services.iter().copied());
    if let Some(name) = &properties.advertisement_name {
        structures.name(name);
    }
    if let Some(level) = properties.tx_power_level {
        structures.tx_power(level);
    }
    let service = &properties.service_data;
    for (uuid, data) in service.iter().collect::<std::collections::BTreeMap<_, _>>() {
        structures.service_data(*uuid, data);
    }
    let manufacturer = &properties.manufacturer_data;
    for (company, data) in manufacturer.iter().collect::<std::collections::BTreeMap<_, _>>() {
        structures.manufacturer_data(*company, data);
    }
    structures.into_payload()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::advert::{Identifier, identifiers};

    #[test]
    fn the_parsed_fields_become_an_advertisement_again() {
        let properties = PeripheralProperties {
            services: vec![Uuid::from_u128(0x593942a4_17e3_d457_6d36_2c08e9eb802c)],
            rssi: Some(-60),
            ..PeripheralProperties::default()
        };
        let payload = payload(&properties);
        let all: Vec<_> = identifiers(&payload).collect();
        assert!(matches!(all.as_slice(), [Identifier::Token { .. }]), "{all:?}");
    }

    use uuid::Uuid;
}
