//! One question over GATT: connect, write the challenge, read the answer, hang up.

use std::time::Duration;

use btleplug::api::{BDAddr, Central as _, Manager as _, Peripheral as _, WriteType};
use btleplug::platform::{Manager, Peripheral};
use uuid::Uuid;

use crate::pipeline::advert::token::{ANSWER, CHALLENGE};
use crate::pipeline::event::Address;

/// While a controller waits for a phone to be connected it may hear nobody else: a phone that
/// does not answer at once is let go.
const CONNECT: Duration = Duration::from_millis(2_500);
/// Everything after that takes some ten round trips of at most 50 ms.
const CONVERSE: Duration = Duration::from_secs(4);
const HANG_UP: Duration = Duration::from_secs(2);

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum NoAnswer {
    /// `BlueZ` said so.
    #[error("{0}")]
    Bluetooth(#[from] btleplug::Error),
    /// It was gone before it could be asked.
    #[error("the phone is not known any more")]
    Gone,
    /// It did not accept a connection in time.
    #[error("no connection within {} ms", CONNECT.as_millis())]
    NotConnected,
    /// It stopped half way.
    #[error("no answer within {} s", CONVERSE.as_secs())]
    Silent,
    /// It has no such service: some other app's hint.
    #[error("the phone does not have the app")]
    OtherApp,
}

/// The phones that `BlueZ` knows.
#[derive(Debug, Default)]
pub struct Phones {
    /// Its connection to the bus lasts until the bus is lost; then it is replaced.
    manager: Option<Manager>,
}

impl Phones {
    /// Asks the phone at `address`.
    pub async fn ask(&mut self, address: Address, nonce: &[u8; 16]) -> Result<[u8; 21], NoAnswer> {
        let manager = match self.manager.take() {
            Some(manager) => manager,
            None => Manager::new().await?,
        };
        // Kept only if it still works.
        let found = find(&manager, address).await?;
        self.manager = Some(manager);
        let phone = found.ok_or(NoAnswer::Gone)?;
        let connected = tokio::time::timeout(CONNECT, phone.connect()).await;
        let answer = match connected {
            Ok(Ok(())) => match tokio::time::timeout(CONVERSE, converse(&phone, nonce)).await {
                Ok(answer) => answer,
                Err(_) => Err(NoAnswer::Silent),
            },
            Ok(Err(error)) => Err(error.into()),
            Err(_) => Err(NoAnswer::NotConnected),
        };
        // Also ends an attempt to connect. Where it fails there is nothing to hang up.
        drop(tokio::time::timeout(HANG_UP, phone.disconnect()).await);
        answer
    }
}

async fn find(manager: &Manager, address: Address) -> Result<Option<Peripheral>, NoAnswer> {
    let wanted = BDAddr::from(address.octets);
    for adapter in manager.adapters().await? {
        let known = adapter.peripherals().await?;
        if let Some(phone) = known.into_iter().find(|phone| phone.address() == wanted) {
            return Ok(Some(phone));
        }
    }
    Ok(None)
}

async fn converse(phone: &Peripheral, nonce: &[u8; 16]) -> Result<[u8; 21], NoAnswer> {
    phone.discover_services().await?;
    let characteristics = phone.characteristics();
    let with = |uuid: [u8; 16]| {
        let uuid = Uuid::from_bytes(uuid);
        characteristics.iter().find(|one| one.uuid == uuid).ok_or(NoAnswer::OtherApp)
    };
    phone.write(with(CHALLENGE)?, nonce, WriteType::WithResponse).await?;
    let answer = phone.read(with(ANSWER)?).await?;
    answer.try_into().map_err(|_| NoAnswer::OtherApp)
}
