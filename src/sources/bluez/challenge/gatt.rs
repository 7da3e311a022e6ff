//! One challenge over GATT, through btleplug: connect, write the challenge, read the answer.

use std::time::Duration;

use btleplug::api::{Central as _, Manager as _, Peripheral as _, WriteType};
use btleplug::platform::{Manager, Peripheral};
use uuid::Uuid;

use super::super::adapter::Hci;
use super::super::mux::AdvertisementMux;
use crate::pipeline::advert::token::{ANSWER, CHALLENGE};
use crate::pipeline::event::Address;

/// Time that `BlueZ` has to tell what it knows of a phone.
const LOOK_UP: Duration = Duration::from_secs(4);
/// Time that a phone has to be connected: two of its advertising intervals, and the connections
/// that the kernel makes before this one. A phone that takes longer has left or refuses.
const CONNECT: Duration = Duration::from_millis(2_500);
/// Attempts within one challenge, where each is called off early.
const ATTEMPTS: usize = 3;
/// Time from cancelling an attempt to scanning again: two programs, the kernel and the controller
/// take part.
const CALLING_OFF: Duration = Duration::from_millis(25);
/// Time for discovery, a write and a read: some ten round trips of at most 50 ms.
const CONVERSE: Duration = Duration::from_secs(4);
/// Time to disconnect: `BlueZ` itself waits two seconds for its profiles.
const HANG_UP: Duration = Duration::from_secs(5);
/// Time that `BlueZ` has to add a device for an advertisement that this program has received
/// already.
const FORGOTTEN_AND_FOUND: Duration = Duration::from_millis(50);

/// Why a challenge has no answer.
#[derive(Debug, thiserror::Error)]
pub enum NoAnswer {
    /// `BlueZ` or the bus refused.
    #[error("{0}")]
    Bluetooth(#[from] btleplug::Error),
    /// `BlueZ` or the bus did not reply.
    #[error("bluetoothd does not reply")]
    NoReply,
    /// No free adapter receives the phone any more.
    #[error("the phone is not known any more")]
    Gone,
    /// The phone did not accept a connection in time.
    #[error("no connection in time")]
    NotConnected,
    /// The phone stopped answering half way.
    #[error("no answer within {} s", CONVERSE.as_secs())]
    Silent,
    /// The phone has no such service: another app set the bit.
    #[error("the phone does not have the app")]
    NoApp,
}

/// A phone as one adapter knows it.
#[derive(Debug)]
pub struct Found {
    /// The adapter to connect through.
    pub hci: Hci,
    phone: Peripheral,
}

/// The phone at `address`, through the `usable` adapter that receives it best.
///
/// # Errors
/// `BlueZ` does not reply, or no usable adapter knows the phone.
pub async fn find(
    manager: &Manager,
    address: Address,
    usable: impl Fn(Hci) -> bool,
) -> Result<Found, NoAnswer> {
    let look = async {
        let mut best = None;
        for adapter in manager.adapters().await? {
            let info = adapter.adapter_info().await?;
            let name = info.split_whitespace().next().unwrap_or_default();
            let Some(hci) = Hci::named(name).filter(|hci| usable(*hci)) else { continue };
            for phone in adapter.peripherals().await? {
                if phone.address().into_inner() != address.octets {
                    continue;
                }
                let rssi = phone.properties().await?.and_then(|phone| phone.rssi);
                if rssi.is_some() && best.as_ref().is_none_or(|(other, _)| rssi > *other) {
                    best = Some((rssi, Found { hci, phone }));
                }
            }
        }
        best.map(|(_, found)| found).ok_or(NoAnswer::Gone)
    };
    tokio::time::timeout(LOOK_UP, look).await.unwrap_or(Err(NoAnswer::NoReply))
}

impl Found {
    /// Challenges the phone. Where no other adapter scans meanwhile, each attempt to connect lasts
    /// for `pause` at most, and there are several.
    ///
    /// # Errors
    /// The phone accepts no connection, answers nothing in time, or does not have the app.
    pub async fn challenge(
        &self,
        nonce: &[u8; 16],
        address: Address,
        mux: &AdvertisementMux,
        pause: Option<Duration>,
    ) -> Result<[u8; 21], NoAnswer> {
        let mut attempts = if pause.is_some() { ATTEMPTS } else { 1 };
        loop {
            attempts -= 1;
            match self.attempt(nonce, too_long(mux, address, pause)).await {
                Err(NoAnswer::NotConnected) if attempts > 0 => {}
                outcome => return outcome,
            }
            // This ends the attempt in BlueZ too, which then forgets the phone until it is received
            // again.
            self.hang_up().await;
            if tokio::time::timeout(CONNECT, mux.next_of(address)).await.is_err() {
                return Err(NoAnswer::NotConnected);
            }
            tokio::time::sleep(FORGOTTEN_AND_FOUND).await;
        }
    }

    async fn attempt(
        &self,
        nonce: &[u8; 16],
        too_long: impl Future<Output = ()>,
    ) -> Result<[u8; 21], NoAnswer> {
        let question = async {
            let connect = self.phone.connect();
            tokio::pin!(connect);
            tokio::select! {
                connected = &mut connect => connected?,
                () = too_long => {
                    // btleplug reports a connection only once all services are known.
                    if !self.phone.is_connected().await.unwrap_or(false) {
                        return Err(NoAnswer::NotConnected);
                    }
                    connect.await?;
                }
            }
            converse(&self.phone, nonce).await
        };
        tokio::time::timeout(CONNECT + CONVERSE, question).await.unwrap_or(Err(NoAnswer::Silent))
    }

    /// Disconnects, or ends an attempt to connect.
    pub async fn hang_up(&self) {
        // Where it fails there is nothing to end.
        drop(tokio::time::timeout(HANG_UP, self.phone.disconnect()).await);
    }
}

/// Waits until an attempt to connect must be cancelled.
///
/// The kernel waits for the phone to be received; then it stops the scan and lets the controller
/// wait for the phone's next advertisement, at which a connection can begin.
async fn too_long(mux: &AdvertisementMux, address: Address, pause: Option<Duration>) {
    let Some(pause) = pause else { return tokio::time::sleep(CONNECT).await };
    if tokio::time::timeout(CONNECT, mux.next_of(address)).await.is_ok() {
        tokio::time::sleep(pause.saturating_sub(CALLING_OFF)).await;
    }
}

/// Everything after the connection: writes the challenge and reads the answer.
async fn converse(phone: &Peripheral, nonce: &[u8; 16]) -> Result<[u8; 21], NoAnswer> {
    phone.discover_services().await?;
    let characteristics = phone.characteristics();
    let with = |uuid| characteristics.iter().find(|one| one.uuid == Uuid::from_bytes(uuid));
    let challenge = with(CHALLENGE).ok_or(NoAnswer::NoApp)?;
    let answer = with(ANSWER).ok_or(NoAnswer::NoApp)?;
    phone.write(challenge, nonce, WriteType::WithResponse).await?;
    phone.read(answer).await?.try_into().map_err(|_| NoAnswer::NoApp)
}
