//! The contacts of one scene, with the ground truth: recorded once, played for each rule.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use grelot::commands::score::Fact;
use grelot::pipeline::advert::Echo;
use grelot::pipeline::event::Sighting;
use grelot::pipeline::identity::{Identity, PhoneModel};
use grelot::pipeline::units::{Clock, Dbm, Now, Tick, WallTime};
use grelot::sources::simulated::Random;
use grelot::sources::{GroundTruth, Record, RecordKind, ReplayError, ReplaySource};

/// One contact, in eight octets, because there are millions of them.
#[derive(Debug, Clone, Copy)]
pub struct Contact {
    at_us: u32,
    /// Index in [`Tape::clients`].
    pub customer: u8,
    /// Index in the order of the setup.
    pub gateway: u8,
    rssi: i8,
    echo: u8,
}

impl Contact {
    /// `rssi` is in dBm, `echo` the echo's octet.
    pub const fn new(at_us: u32, customer: u8, gateway: u8, rssi: i8, echo: u8) -> Self {
        Self { at_us, customer, gateway, rssi, echo }
    }

    /// Time since the start.
    pub fn at(self) -> Tick {
        Tick::from_micros(self.at_us.into())
    }

    /// Seconds since the start.
    pub fn at_s(self) -> f64 {
        f64::from(self.at_us) / 1e6
    }

    pub fn rssi(self) -> Option<Dbm> {
        Dbm::measured(self.rssi.into())
    }

    pub fn dbm(self) -> f64 {
        self.rssi.into()
    }

    pub fn echo(self) -> Option<Echo> {
        Some(Echo::from_byte(self.echo)).filter(|echo| echo.zone != 0)
    }
}

/// The contacts and the ground truth of a scene.
#[derive(Debug, Default)]
pub struct Tape {
    /// In the order of time.
    pub contacts: Vec<Contact>,
    /// In the order of time.
    pub facts: Vec<Fact>,
    pub clients: Vec<String>,
    /// What a registry says of each customer's phone; empty where it says nothing.
    pub phones: Vec<PhoneModel>,
    /// The length of the scene.
    pub ended_at: Duration,
}

impl Tape {
    /// Whether a customer was inside at `at`.
    pub fn is_inside(&self, client: &str, at: Duration) -> bool {
        let facts = self.facts.iter().filter(|fact| fact.client == client && fact.at <= at);
        facts.fold(false, |inside, fact| match fact.word {
            GroundTruth::Enter | GroundTruth::StepIn => true,
            GroundTruth::Leave | GroundTruth::StepOut => false,
            _ => inside,
        })
    }
}

/// Standard deviation of phones of one model, in dB: assumed, since no survey of it is known.
const MODEL_DB: f64 = 2.0;

/// What a registry says of a phone that sends and receives by these many dB louder than an average one.
pub fn of_model(sends_db: f64, hears_db: f64, random: &mut Random) -> PhoneModel {
    #[expect(clippy::cast_possible_truncation, reason = "at most 30")]
    let mut whole = |db: f64| (db + MODEL_DB * random.normal()).round().clamp(-30.0, 30.0) as i8;
    PhoneModel { tx_db: whole(sends_db), rx_db: whole(hears_db) }
}

/// A replay source that records its contacts on a tape while it is played.
pub struct Taped<S> {
    replay: S,
    identity: Identity,
    gateways: Vec<Arc<str>>,
    known: BTreeMap<String, u8>,
    tape: Arc<Mutex<Tape>>,
}

impl<S: ReplaySource> Taped<S> {
    /// Wraps `replay`, whose gateways are numbered as in `gateways`; `identity` identifies the
    /// customers.
    pub fn new(replay: S, identity: Identity, gateways: Vec<Arc<str>>) -> (Self, Arc<Mutex<Tape>>) {
        let tape = Arc::<Mutex<Tape>>::default();
        let known = BTreeMap::new();
        (Self { replay, identity, gateways, known, tape: Arc::clone(&tape) }, tape)
    }

    fn note(&mut self, record: &Record) {
        let started_at = self.replay.started_at();
        let mut tape = self.tape.lock().unwrap_or_else(PoisonError::into_inner);
        tape.ended_at = record.at;
        let heard = match &record.what {
            RecordKind::Received(heard) => heard,
            RecordKind::GroundTruth { word, client } => {
                tape.facts.push(Fact { at: record.at, word: *word, client: client.clone() });
                return;
            }
        };
        let tick = Tick::ZERO.plus(record.at);
        while let Some(due) = self.identity.next_deadline().filter(|due| *due < tick) {
            self.identity.advance(moment(started_at, due));
        }
        let place = |name| self.gateways.iter().position(|gateway| gateway == name);
        let gateway = heard.gateway.as_ref().and_then(place).unwrap_or(0);
        let sighting = Sighting {
            gateway: grelot::pipeline::event::GatewayIndex(u8::try_from(gateway).unwrap_or(0)),
            address: heard.address,
            rssi: heard.rssi,
            payload: &heard.payload,
        };
        let found = self.identity.identify(moment(started_at, tick), &sighting);
        let Some(found) = found else { return };
        let Some(customer) = self.identity.customer(found.customer) else { return };
        let next = u8::try_from(self.known.len()).unwrap_or(u8::MAX);
        let number = *self.known.entry(customer.client.to_string()).or_insert(next);
        if number == next {
            tape.clients.push(customer.client.to_string());
        }
        tape.contacts.push(Contact {
            at_us: u32::try_from(record.at.as_micros()).unwrap_or(u32::MAX),
            customer: number,
            gateway: sighting.gateway.0,
            rssi: heard.rssi.map_or(0, Dbm::value),
            echo: found.echo.map_or(0, Echo::to_byte),
        });
    }
}

/// The time at `tick` of a replay source that began at `started_at`.
pub fn moment(started_at: WallTime, tick: Tick) -> Now {
    Now { tick, clock: Clock::Set(started_at.plus(tick.since(Tick::ZERO))) }
}

impl<S: ReplaySource> Iterator for Taped<S> {
    type Item = Result<Record, ReplayError>;

    fn next(&mut self) -> Option<Self::Item> {
        let record = self.replay.next()?;
        if let Ok(record) = &record {
            self.note(record);
        }
        Some(record)
    }
}

impl<S: ReplaySource> ReplaySource for Taped<S> {
    fn started_at(&self) -> WallTime {
        self.replay.started_at()
    }

    fn store(&self) -> Option<u16> {
        self.replay.store()
    }

    fn gateways(&self) -> &[Arc<str>] {
        self.replay.gateways()
    }
}
