//! One question over GATT: connect, write the challenge, read the answer, hang up.
//!
//! On a connection to the bus of its own, as short as the question: whatever goes wrong ends with
//! it.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::future::Future;
use std::time::Duration;

use dbus::Path;
use dbus::arg::{PropMap, Variant, prop_cast};
use uuid::Uuid;

use super::super::bus::{Bus, CallError};
use super::super::ears::Ears;
use crate::pipeline::advert::token::{ANSWER, CHALLENGE};
use crate::pipeline::event::Address;

const DEVICE: &str = "org.bluez.Device1";
const CHARACTERISTIC: &str = "org.bluez.GattCharacteristic1";

/// A phone that is not connected by then has left, or does not want to be.
const CONNECT: Duration = Duration::from_millis(2_500);
/// How often an attempt that was called off is made again.
const ATTEMPTS: usize = 3;
/// From calling off an attempt to listening again: two programs, the kernel and the controller.
const CALLING_OFF: Duration = Duration::from_millis(25);
/// Everything after that takes some ten round trips of at most 50 ms.
const CONVERSE: Duration = Duration::from_secs(4);
const HANG_UP: Duration = Duration::from_secs(2);
/// Between looks whether the phone's services are known.
const LOOK: Duration = Duration::from_millis(50);

/// What `BlueZ` knows: each object's interfaces, each interface's properties.
type Objects = HashMap<Path<'static>, HashMap<String, PropMap>>;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum NoAnswer {
    /// `BlueZ` said so, or the bus.
    #[error("{0}")]
    Bluetooth(#[from] CallError),
    /// It was gone before it could be asked.
    #[error("the phone is not known any more")]
    Gone,
    /// It did not accept a connection in time.
    #[error("no connection in time")]
    NotConnected,
    /// It stopped half way.
    #[error("no answer within {} s", CONVERSE.as_secs())]
    Silent,
    /// It has no such service: some other app's hint.
    #[error("the phone does not have the app")]
    OtherApp,
}

/// Asks the phone at `address`; deaf for no longer than `deaf`, where that is not to be.
pub async fn ask(
    address: Address,
    nonce: &[u8; 16],
    ears: &Ears,
    deaf: Option<Duration>,
) -> Result<[u8; 21], NoAnswer> {
    let (bus, connection) = Bus::connect().await?;
    tokio::select! {
        _lost = connection => Err(CallError::NoService.into()),
        answer = question(&bus, address, nonce, ears, deaf) => answer,
    }
}

async fn question(
    bus: &Bus,
    address: Address,
    nonce: &[u8; 16],
    ears: &Ears,
    deaf: Option<Duration>,
) -> Result<[u8; 21], NoAnswer> {
    let phone = find(&objects(bus).await?, address).ok_or(NoAnswer::Gone)?;
    tracing::debug!("a phone is known and will be asked");
    let mut answer = Err(NoAnswer::NotConnected);
    let attempts = if deaf.is_some() { ATTEMPTS } else { 1 };
    for attempt in 0..attempts {
        if attempt > 0 {
            // BlueZ forgets a phone that it could not connect to, until it is heard again.
            if tokio::time::timeout(CONNECT, ears.next_of(address)).await.is_err() {
                break;
            }
            tokio::time::sleep(LOOK).await;
        }
        answer = match connect(bus, &phone, too_long(ears, address, deaf)).await {
            Ok(()) => tokio::time::timeout(CONVERSE, converse(bus, &phone, nonce))
                .await
                .unwrap_or(Err(NoAnswer::Silent)),
            Err(error) => Err(error),
        };
        // Also ends an attempt to connect. Where it fails there is nothing to hang up.
        let hang_up = bus.call(&phone, DEVICE, "Disconnect", ());
        drop(tokio::time::timeout(HANG_UP, hang_up).await);
        if !matches!(answer, Err(NoAnswer::NotConnected | NoAnswer::Bluetooth(CallError::NoObject)))
        {
            break;
        }
    }
    answer
}

async fn connect(
    bus: &Bus,
    phone: &str,
    too_long: impl Future<Output = ()>,
) -> Result<(), NoAnswer> {
    tokio::select! {
        connected = bus.call(phone, DEVICE, "Connect", ()) => Ok(connected.map(drop)?),
        // The answer may be on its way.
        () = too_long => match is(bus, phone, "Connected").await {
            Ok(true) => Ok(()),
            _ => Err(NoAnswer::NotConnected),
        },
    }
}

/// Waits until an attempt to connect has to be called off.
///
/// The kernel waits for the phone to be heard; then it stops the scan and has the controller wait
/// for the phone's next advertisement, which is when a connection can begin.
async fn too_long(ears: &Ears, address: Address, deaf: Option<Duration>) {
    let Some(deaf) = deaf else { return tokio::time::sleep(CONNECT).await };
    if tokio::time::timeout(CONNECT, ears.next_of(address)).await.is_ok() {
        tokio::time::sleep(deaf.saturating_sub(CALLING_OFF)).await;
    }
}

async fn converse(bus: &Bus, phone: &str, nonce: &[u8; 16]) -> Result<[u8; 21], NoAnswer> {
    tracing::debug!("it is connected");
    while !is(bus, phone, "ServicesResolved").await? {
        tokio::time::sleep(LOOK).await;
    }
    tracing::debug!("its services are known");
    let known = objects(bus).await?;
    let with = |uuid| characteristic(&known, phone, uuid).ok_or(NoAnswer::OtherApp);
    let (challenge, answer) = (with(CHALLENGE)?, with(ANSWER)?);
    let written = (&nonce[..], PropMap::new());
    bus.call(challenge, CHARACTERISTIC, "WriteValue", written).await?;
    let read = bus.call(answer, CHARACTERISTIC, "ReadValue", (PropMap::new(),)).await?;
    read.get1::<Vec<u8>>().and_then(|octets| octets.try_into().ok()).ok_or(NoAnswer::OtherApp)
}

/// Whether the phone is in this state.
async fn is(bus: &Bus, phone: &str, state: &str) -> Result<bool, CallError> {
    let properties = "org.freedesktop.DBus.Properties";
    let told = bus.call(phone, properties, "Get", (DEVICE, state)).await?;
    Ok(told.get1::<Variant<bool>>().is_some_and(|is| is.0))
}

async fn objects(bus: &Bus) -> Result<Objects, CallError> {
    let manager = "org.freedesktop.DBus.ObjectManager";
    let told = bus.call("/", manager, "GetManagedObjects", ()).await?;
    Ok(told.get1().unwrap_or_default())
}

/// The phone, through the adapter that hears it best.
fn find(objects: &Objects, address: Address) -> Option<String> {
    let mut name = "/dev".to_owned();
    for octet in address.octets {
        // Writing to a string cannot fail.
        let _ = write!(name, "_{octet:02X}");
    }
    let rssi = |device: &PropMap| prop_cast::<i16>(device, "RSSI").copied().unwrap_or(i16::MIN);
    let phones = objects.iter().filter(|(path, _)| path.ends_with(&name));
    let heard = phones.filter_map(|(path, one)| Some((rssi(one.get(DEVICE)?), path)));
    heard.max().map(|(_, path)| path.to_string())
}

/// The path of the phone's characteristic with this UUID.
fn characteristic<'o>(objects: &'o Objects, phone: &str, uuid: [u8; 16]) -> Option<&'o str> {
    let uuid = Uuid::from_bytes(uuid).to_string();
    let mut below = objects.iter().filter(|(path, _)| path.starts_with(phone));
    let is = |one: &HashMap<String, PropMap>| {
        let properties = one.get(CHARACTERISTIC);
        properties.and_then(|p| prop_cast::<String>(p, "UUID")).is_some_and(|found| *found == uuid)
    };
    below.find(|(_, one)| is(one)).map(|(path, _)| &**path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::event::AddressKind;

    const PHONE: Address =
        Address { kind: AddressKind::Random, octets: [0x5a, 0x11, 0x22, 0x33, 0x44, 0xef] };

    fn objects(list: Vec<(&'static str, &str, PropMap)>) -> Objects {
        let object = |(path, interface, properties): (&'static str, &str, PropMap)| {
            (Path::from(path), HashMap::from([(interface.to_owned(), properties)]))
        };
        list.into_iter().map(object).collect()
    }

    fn heard(rssi: i16) -> PropMap {
        PropMap::from([("RSSI".to_owned(), Variant(Box::new(rssi) as _))])
    }

    #[test]
    fn a_phone_is_asked_through_the_adapter_that_hears_it_best() {
        let known = objects(vec![
            ("/org/bluez/hci0/dev_5A_11_22_33_44_EF", DEVICE, heard(-70)),
            ("/org/bluez/hci1/dev_5A_11_22_33_44_EF", DEVICE, heard(-60)),
            ("/org/bluez/hci2/dev_5A_11_22_33_44_EF", DEVICE, PropMap::new()),
            ("/org/bluez/hci3/dev_5A_11_22_33_44_EE", DEVICE, heard(-10)),
        ]);
        assert_eq!(find(&known, PHONE).as_deref(), Some("/org/bluez/hci1/dev_5A_11_22_33_44_EF"));
    }

    #[test]
    fn only_the_phones_own_characteristic_is_asked() {
        let uuid = |uuid: [u8; 16]| {
            let text = Uuid::from_bytes(uuid).to_string();
            PropMap::from([("UUID".to_owned(), Variant(Box::new(text) as _))])
        };
        let known = objects(vec![
            ("/org/bluez/hci0/dev_1/service0010/char0011", CHARACTERISTIC, uuid(CHALLENGE)),
            ("/org/bluez/hci0/dev_2/service0010/char0011", CHARACTERISTIC, uuid(CHALLENGE)),
            ("/org/bluez/hci0/dev_2/service0010/char0013", CHARACTERISTIC, uuid(ANSWER)),
        ]);
        let found = |phone, uuid| characteristic(&known, phone, uuid);
        assert_eq!(
            found("/org/bluez/hci0/dev_2", ANSWER),
            Some("/org/bluez/hci0/dev_2/service0010/char0013")
        );
        assert_eq!(found("/org/bluez/hci0/dev_1", ANSWER), None);
    }
}
