//! A shop round the page: a real mosquitto, the page's server, and a gateway that follows the
//! documented interfaces.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use grelot::clock::Clocks;
use grelot::payload::{
    Arrival, Card, Claim, Departure, GatewayState, Status, Visit, VisitState, encode,
};
use grelot::pipeline::units::WallTime;
use grelot::tablets::{TabletsConfig, TlsFiles};
use rumqttc::{
    AsyncClient, Event, EventLoop, MqttOptions, Packet, PubAckReason, PublishOptions, QoS,
};
use serde_json::Value;
use tokio::runtime::Runtime;

use crate::common::mosquitto::{BrokerOptions, Mosquitto};
use crate::common::page::{self, Page};

pub struct Shop {
    pub runtime: Runtime,
    pub broker: Mosquitto,
    _broker_folder: tempfile::TempDir,
    pub state: tempfile::TempDir,
    pub gateway: Gateway,
    page: Page,
}

impl Shop {
    /// A shop whose page needs no pairing.
    pub fn open() -> Self {
        Self::open_with(|_| {})
    }

    pub fn open_with(change: impl FnOnce(&mut TabletsConfig)) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        let broker_folder = tempfile::tempdir().unwrap();
        let broker = Mosquitto::start(broker_folder.path(), &BrokerOptions::default());
        let state = tempfile::tempdir().unwrap();
        let mut config = page::config(broker.port, state.path());
        change(&mut config);
        let gateway = Gateway::open(&runtime, "door", broker.port);
        let mut shop = Self {
            runtime,
            broker,
            _broker_folder: broker_folder,
            state,
            gateway,
            page: Page::new(config),
        };
        shop.start_page();
        shop
    }

    pub fn start_page(&mut self) {
        self.page.start(&self.runtime);
    }

    pub fn stop_page(&mut self) {
        self.page.stop(&self.runtime);
    }

    pub fn address(&self) -> SocketAddr {
        self.page.address()
    }

    /// Whether the broker knows a subscriber of `arrivals`: it says so to the client that
    /// publishes there.
    pub fn has_subscriber_of_arrivals(&self) -> bool {
        self.runtime.block_on(async {
            let (client, mut events) = connect("curious", self.broker.port);
            let topic = "grelot/v1/42/arrivals";
            client.publish(topic, "{}", PublishOptions::at_least_once()).await.unwrap();
            loop {
                if let Event::Incoming(Packet::PubAck(ack)) = events.poll().await.unwrap() {
                    return ack.reason == PubAckReason::Success;
                }
            }
        })
    }

    pub fn config(&self) -> TabletsConfig {
        self.page.config.clone()
    }

    pub fn url(&self) -> String {
        self.page.url()
    }
}

impl Drop for Shop {
    fn drop(&mut self) {
        self.stop_page();
    }
}

/// By visit, in the order they came.
type Held = Vec<(String, Value)>;

/// A gateway as the page sees it: what it retains, what it announces, how it decides on claims.
/// It keeps its retained messages across broker restarts, as the real one does.
#[derive(Clone)]
pub struct Gateway {
    name: &'static str,
    client: Arc<Mutex<AsyncClient>>,
    retained: Arc<Mutex<BTreeMap<String, Vec<u8>>>>,
    verdicts: Arc<Mutex<Vec<String>>>,
    /// What was retained of visits that staff hid.
    hidden: Arc<Mutex<BTreeMap<String, Vec<u8>>>>,
    /// Claims received and not decided on yet, while `slow`.
    held: Arc<Mutex<Option<Held>>>,
}

impl Gateway {
    pub fn open(runtime: &Runtime, name: &'static str, port: u16) -> Self {
        let retained = Arc::new(Mutex::new(BTreeMap::new()));
        let held = Arc::new(Mutex::new(None));
        let verdicts = Arc::new(Mutex::new(Vec::new()));
        let (client, mut events) = connect(name, port);
        let client = Arc::new(Mutex::new(client));
        let hidden = Arc::default();
        let gateway = Self { name, client: client.clone(), retained, verdicts, hidden, held };
        let decider = gateway.clone();
        runtime.spawn(async move {
            loop {
                match events.poll().await {
                    Ok(Event::Incoming(Packet::ConnAck(_))) => decider.begin(),
                    Ok(Event::Incoming(Packet::Publish(message))) => {
                        let topic = String::from_utf8(message.topic.to_vec()).unwrap();
                        let visit = topic.split('/').nth(4).unwrap().to_owned();
                        let said: Value = serde_json::from_slice(&message.payload).unwrap();
                        match said["verdict"].as_str() {
                            Some(verdict) => decider.verdicts.lock().unwrap().push(verdict.into()),
                            None => decider.asked(visit, said),
                        }
                    }
                    Ok(_) => {}
                    Err(_) => {
                        tokio::time::sleep(Duration::from_millis(50)).await;
                        let (fresh, fresh_events) = connect(name, port);
                        *client.lock().unwrap() = fresh;
                        events = fresh_events;
                    }
                }
            }
        });
        gateway.status(GatewayState::Online);
        gateway
    }

    fn begin(&self) {
        let client = self.client.lock().unwrap();
        client.try_subscribe("grelot/v1/42/visits/+/claim", QoS::AtLeastOnce).unwrap();
        client.try_subscribe("grelot/v1/42/visits/+/feedback", QoS::AtLeastOnce).unwrap();
        for (topic, payload) in &*self.retained.lock().unwrap() {
            client
                .try_publish(topic, payload.clone(), PublishOptions::at_least_once().retained())
                .unwrap();
        }
    }

    fn say(&self, below: &str, retain: bool, payload: Vec<u8>) {
        let topic = format!("grelot/v1/42/{below}");
        if retain {
            self.retained.lock().unwrap().insert(topic.clone(), payload.clone());
        }
        let client = self.client.lock().unwrap();
        client.try_publish(topic, payload, PublishOptions::at_least_once().retain(retain)).unwrap();
    }

    pub fn status(&self, state: GatewayState) {
        let status = Status {
            v: 1,
            label: None,
            connected_at: None,
            state,
            version: "0.1.0".into(),
            config: "0".into(),
            since: Some(now().to_string()),
            refused: Vec::new(),
            warnings: Vec::new(),
            group: None,
            documents: Vec::new(),
        };
        self.say(&format!("gateways/{}/status", self.name), true, encode(&status));
    }

    /// Opens a visit, and alerts staff to it.
    pub fn arrives(&self, visit: &Arrival) {
        self.say("arrivals", false, encode(visit));
        self.is_here(visit);
    }

    /// Changes the retained state of a visit.
    pub fn change(&self, visit: &Arrival, change: impl FnOnce(&mut Visit)) {
        let below = format!("visits/{}", visit.visit);
        let payload = self.retained.lock().unwrap()[&format!("grelot/v1/42/{below}")].clone();
        let mut state = serde_json::from_slice(&payload).unwrap();
        change(&mut state);
        self.say(&below, true, encode(&state));
    }

    /// The customer takes consent back.
    pub fn withdraws(&self, visit: &Arrival) {
        self.say(&format!("withdrawn/{}", visit.client), true, b"{}".to_vec());
        self.say(&format!("visits/{}", visit.visit), true, Vec::new());
    }

    /// Opens a visit without an alert.
    pub fn is_here(&self, visit: &Arrival) {
        let state = Visit {
            arrival: visit.clone(),
            state: VisitState::Present,
            claim: None,
            announced: false,
            escalated: false,
            revision: 0,
        };
        self.say(&format!("visits/{}", visit.visit), true, encode(&state));
    }

    pub fn leaves(&self, visit: &Arrival) {
        let departure = Departure {
            v: 1,
            visit: visit.visit.clone(),
            client: visit.client.clone(),
            departed_at: now().to_string(),
            reason: "left".into(),
        };
        self.say("departures", false, encode(&departure));
        self.say(&format!("visits/{}", visit.visit), true, Vec::new());
    }

    /// Feedback of staff on visits.
    pub fn verdicts(&self) -> Vec<String> {
        self.verdicts.lock().unwrap().clone()
    }

    /// Decides on staff's requests only when the test triggers it.
    pub fn hesitate(&self) {
        *self.held.lock().unwrap() = Some(Vec::new());
    }

    /// Decides on the claims in their order, once this number has come in.
    pub fn decide_after(&self, claims: usize) {
        let deadline = Instant::now() + Duration::from_secs(5);
        while self.held.lock().unwrap().as_ref().unwrap().len() < claims {
            assert!(Instant::now() < deadline, "the claims never came");
            std::thread::sleep(Duration::from_millis(10));
        }
        for (visit, claim) in self.held.lock().unwrap().take().unwrap() {
            self.decide(&visit, &claim);
        }
    }

    fn asked(&self, visit: String, claim: Value) {
        if let Some(held) = &mut *self.held.lock().unwrap() {
            return held.push((visit, claim));
        }
        self.decide(&visit, &claim);
    }

    fn decide(&self, visit: &str, asked: &Value) {
        let below = format!("visits/{visit}");
        let topic = format!("grelot/v1/42/{below}");
        if asked["action"] == "recall" {
            let hidden = self.hidden.lock().unwrap().remove(visit);
            return hidden.into_iter().for_each(|state| self.say(&below, true, state));
        }
        let payload = self.retained.lock().unwrap()[&topic].clone();
        let Ok(mut state) = serde_json::from_slice::<Visit>(&payload) else { return };
        let claim = |by: &Value| {
            let tablet = by["tablet"].as_str().map(str::to_owned);
            let by = by["by"].as_str().unwrap().to_owned();
            Some(Claim { by, tablet, since: now().to_string() })
        };
        let own = state.claim.as_ref().is_some_and(|claim| {
            claim.by == asked["by"].as_str().unwrap()
                && claim.tablet.as_deref() == asked["tablet"].as_str()
        });
        state.claim = match asked["action"].as_str().unwrap() {
            "claim" if state.claim.is_none() => claim(asked),
            "take_over" => claim(asked),
            "hand_over" if own => claim(&asked["to"]),
            "release" if own => None,
            "dismiss" => {
                self.hidden.lock().unwrap().insert(visit.to_owned(), payload);
                return self.say(&below, true, Vec::new());
            }
            // The state is published even if it did not change: the loser learns who was first.
            _ => state.claim,
        };
        state.state = if state.claim.is_some() { VisitState::Claimed } else { VisitState::Present };
        self.say(&below, true, encode(&state));
    }
}

fn connect(name: &str, port: u16) -> (AsyncClient, EventLoop) {
    let mut options = MqttOptions::new(format!("gateway-{name}"), ("127.0.0.1", port));
    options.set_clean_start(true);
    AsyncClient::builder(options).capacity(64).build()
}

pub fn now() -> WallTime {
    Clocks::machine().now().clock.reading()
}

/// A visit of a customer who lets their name be shown, begun `seconds_ago` seconds ago.
pub fn visit(number: u8, name: &str, tier: &str, seconds_ago: i64) -> Arrival {
    let arrived = WallTime::from_unix_millis(now().unix_millis() - seconds_ago * 1000);
    let card = Card { name: name.into(), language: None, note: None };
    Arrival {
        v: 1,
        visit: format!("00000000-0000-8000-8000-0000000000{number:02x}"),
        client: format!("c-{number:04x}"),
        tier: tier.into(),
        tier_name: None,
        card: (!name.is_empty()).then_some(card),
        gateway: "door".into(),
        arrived_at: arrived.to_string(),
        confidence: 0.97,
        discreet: false,
    }
}

/// The rest of the card.
pub fn with_card(mut visit: Arrival, language: &str, note: &str) -> Arrival {
    let card = visit.card.as_mut().unwrap();
    card.language = Some(language.to_owned());
    card.note = Some(note.to_owned());
    visit
}

/// A certificate for 127.0.0.1, good for this test.
pub fn certificate(folder: &std::path::Path) -> TlsFiles {
    let (key, certificate): (PathBuf, PathBuf) = (folder.join("key.pem"), folder.join("cert.pem"));
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"])
        .args(["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "2"])
        .arg("-keyout")
        .arg(&key)
        .arg("-out")
        .arg(&certificate)
        .stderr(Stdio::null())
        .status()
        .expect("openssl (Debian package openssl)");
    assert!(made.success());
    TlsFiles { certificate, key }
}
