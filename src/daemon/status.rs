//! A snapshot of the running daemon, over a Unix socket in the state folder that only the service's
//! user and root can open.
//!
//! A client that connects receives one JSON [`Snapshot`]. The event loop makes it for each request:
//! it is never stale, and an event loop that hangs does not answer.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::io::AsyncWriteExt as _;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::socket;
use crate::payload::{DeliveryHealth, DocumentStatus, GatewayState, RegistryHealth};
use crate::pipeline::event::Hearing;
use crate::pipeline::units::Tick;
use crate::sources::adapter::Hci;
use crate::sources::status::{AdapterStatus, Step};
use crate::tablets::LookingOn;
use crate::telemetry::health::SourceHealth;

/// A question to the event loop: send the snapshot back.
pub type Question = oneshot::Sender<Snapshot>;

/// Longer than any input takes; then the event loop hangs.
const PATIENCE: Duration = Duration::from_secs(2);

/// What the daemon sees.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    /// Version of the format: 1.
    pub v: u8,
    pub version: String,
    /// Process id of the daemon.
    pub pid: u32,
    pub store: u16,
    /// The store as staff call it.
    pub store_name: String,
    pub gateway: String,
    /// Whether it can do its job.
    pub state: GatewayState,
    /// RFC 3339, UTC, as far as the clock knew then.
    pub started_at: String,
    pub uptime_s: u64,
    /// Whether the wall clock is known to be set.
    pub clock_set: bool,
    /// What settings are in force.
    pub configuration: Configuration,
    /// Where advertisements come from.
    pub sources: Vec<Source>,
    /// Contacts with enrolled customers.
    pub contacts: u64,
    /// Visits opened since the start.
    pub arrivals: u64,
    /// Of those, the ones that alerted staff.
    pub alerts: u64,
    pub visits: Vec<Visit>,
    /// The registry in force.
    pub registry: RegistryHealth,
    pub broker: Broker,
    /// The way to the tablets.
    pub delivery: DeliveryHealth,
    /// The page and its connected tablets.
    #[serde(default)]
    pub tablets: Tablets,
    /// The receivers of webhooks.
    #[serde(default)]
    pub webhooks: Vec<Webhook>,
    /// Messages that webhooks never took, the latest first.
    #[serde(default)]
    pub dead_messages: Vec<DeadMessage>,
    /// What is learned of the shop's radio from its own traffic.
    #[serde(default)]
    pub traffic: Traffic,
    /// The line to head office; `None` where the configuration has none.
    #[serde(default)]
    pub head_office: Option<HeadOfficeLine>,
    /// The synthetic customer, where one is configured.
    #[serde(default)]
    pub canary: Option<Canary>,
}

/// What the gateway has learned of its shop from customers who were received: numbers, no customers.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Traffic {
    /// Customers who stayed for 100 s or more; older ones count less.
    pub stayed: f32,
    /// Customers who were received for 40 s or less.
    pub passed: f32,
    /// By gateway of the store.
    pub gateways: Vec<GatewayTraffic>,
}

/// The same of one gateway.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GatewayTraffic {
    pub name: String,
    /// Customers who stayed, as it counts.
    pub stayed: f32,
    /// Their highest level, on average, in dBm.
    pub stayed_dbm: f32,
    /// Customers who passed, as it counts.
    pub passed: f32,
    /// Their highest level, on average, in dBm.
    pub passed_dbm: f32,
}

impl GatewayTraffic {
    /// Fewer customers say nothing yet.
    const ENOUGH: f32 = 20.0;
    /// A gateway whose levels differ by less does not distinguish inside from outside, in dB.
    const APART_DB: f32 = 6.0;

    /// What to do about that.
    pub const REMEDY: &str = "hang it 2 m further in, or add a beacon";

    /// A warning if the gateway does not distinguish the street from the shop, once enough
    /// customers were received.
    pub fn trouble(&self) -> Option<String> {
        let Self { name, stayed, stayed_dbm, passed, passed_dbm } = self;
        let known = *stayed >= Self::ENOUGH && *passed >= Self::ENOUGH;
        (known && stayed_dbm - passed_dbm < Self::APART_DB).then(|| {
            format!(
                "{name} does not distinguish the street from the shop: customers who stay reach \
                 {stayed_dbm:.0} dBm, customers who pass {passed_dbm:.0} dBm"
            )
        })
    }
}

/// The state of a webhook's receiver.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Webhook {
    /// Where it is, without path.
    pub place: String,
    pub waiting: u64,
    /// Messages that it took since the start.
    pub delivered: u64,
    /// Attempts that failed since the start.
    pub failed: u64,
    /// Messages that were given up since the start.
    pub dead: u64,
    /// Why the last attempt failed.
    pub trouble: Option<String>,
}

/// A message that a webhook never took.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadMessage {
    /// `arrival`, `claim`, `departure` or `escalation`.
    pub event: String,
    /// The visit it was about.
    pub visit: String,
    /// When it was given up: RFC 3339, UTC.
    pub at: String,
    pub why: String,
}

/// The page of this gateway and its connected tablets.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tablets {
    /// Where tablets open it; empty where none is served.
    pub urls: Vec<String>,
    /// Whether tablets must be paired.
    pub pairing: bool,
    /// One entry for each connected tablet.
    pub looking_on: Vec<LookingOn>,
    /// That none is connected during opening hours.
    pub alarm: Option<String>,
}

/// The line to head office.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeadOfficeLine {
    /// The address that is connected, or was tried last.
    pub place: String,
    /// Whether it is connected.
    pub connected: bool,
    /// Why it is not connected.
    pub problem: Option<String>,
    /// Whether head office has reported on this connection who has withdrawn.
    pub answered: bool,
    /// Reports on the disk that head office does not have yet.
    pub reports_waiting: u64,
    /// Why the disk takes no reports, if it does not.
    pub trouble: Option<String>,
}

/// The synthetic customer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Canary {
    /// Between two runs.
    pub every_s: u64,
    /// When the last one came through: RFC 3339, UTC.
    pub succeeded_at: Option<String>,
    /// How long it took, from the first advertisement to the broker's acknowledgement.
    pub acknowledged_s: Option<f64>,
    /// The same until it came back from the broker.
    pub returned_s: Option<f64>,
    /// Runs that came through since the start.
    pub successes: u64,
    /// Those that did not, by the stage that they did not reach.
    pub failures: BTreeMap<CanaryStage, u64>,
    /// Where the last one ended, if it failed.
    pub failed: Option<CanaryFailure>,
}

/// A stage on the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CanaryStage {
    /// A visit is opened.
    Recognised,
    /// Staff would be alerted.
    Announced,
    /// The broker has the message.
    Acknowledged,
    /// The broker has passed it on.
    Returned,
}

/// That a run ended too early.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CanaryFailure {
    /// The stage that it did not reach.
    pub stage: CanaryStage,
    /// Why it was not announced.
    pub because: Option<String>,
}

impl CanaryStage {
    /// In their order.
    pub const ALL: [Self; 4] =
        [Self::Recognised, Self::Announced, Self::Acknowledged, Self::Returned];

    /// As measures and logs have it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Recognised => "recognised",
            Self::Announced => "announced",
            Self::Acknowledged => "acknowledged",
            Self::Returned => "returned",
        }
    }
}

impl fmt::Display for CanaryFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.stage {
            CanaryStage::Recognised => "the canary is not recognised",
            CanaryStage::Announced => "the canary is not announced",
            CanaryStage::Acknowledged => "the broker does not acknowledge the canary",
            CanaryStage::Returned => "the canary does not come back from the broker",
        })?;
        self.because.iter().try_for_each(|because| write!(f, " ({because})"))
    }
}

impl CanaryFailure {
    /// What to do about it.
    pub const fn remedy(&self) -> &'static str {
        match self.stage {
            CanaryStage::Recognised => {
                "the [presence] settings in force recognise no one: grelot walk-test, or take head \
                 office's last settings back (grelot fleet roll-back)"
            }
            CanaryStage::Announced => {
                "look at alerts_per_visit, tiers and quiet_hours of the [policy] in force, and at the clock"
            }
            CanaryStage::Acknowledged => {
                "look at broker, withdrawals and disk in grelot status; the broker must let this gateway \
                 write its `canary` topic (grelot broker rules)"
            }
            CanaryStage::Returned => {
                "the broker must let this gateway read its `canary` topic (grelot broker rules)"
            }
        }
    }
}

/// The settings in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Configuration {
    pub file: String,
    /// Equal where the detection settings are.
    pub hash: String,
    /// Why what head office pushed last was refused, one line a problem.
    pub refused: Vec<String>,
    /// What became of head office's settings, widest first.
    #[serde(default)]
    pub documents: Vec<DocumentStatus>,
}

/// One source of advertisements.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Source {
    /// As people call it.
    pub name: String,
    pub listening: bool,
    /// What is wrong, or worth knowing.
    pub note: Option<String>,
    /// Advertisements since the start.
    pub heard: u64,
    /// Advertisements a second over the last ten to twenty seconds.
    pub per_second: f64,
    /// Advertisements dropped because a queue was full.
    pub shed: u64,
    /// Of the live radio: its adapters.
    #[serde(default)]
    pub adapters: Vec<Adapter>,
    /// Of the live radio: how often each recovery step of the radio was taken.
    #[serde(default)]
    pub steps: BTreeMap<String, u64>,
}

/// One adapter of the live radio.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Adapter {
    /// Such as `hci0`.
    pub name: String,
    /// Its own Bluetooth address.
    pub address: String,
    pub listening: bool,
    /// The capture path: `dbus` or `monitor`.
    pub ear: String,
    /// Its controller reports each device once a scan, so the scan is restarted every second.
    #[serde(default)]
    pub hides_repetitions: bool,
    /// Why it does not receive, or badly.
    pub note: Option<String>,
}

impl Source {
    /// As counted until `now`.
    pub fn of(source: &SourceHealth, now: Tick) -> Self {
        let radio = source.radio.iter();
        Self {
            name: source.name.clone(),
            listening: source.hearing == Hearing::Listening,
            note: source.note.clone(),
            heard: source.heard,
            per_second: (source.rate.per_second(now) * 10.0).round() / 10.0,
            shed: source.shed,
            adapters: radio.clone().flat_map(|radio| &radio.adapters).map(Adapter::of).collect(),
            steps: radio.flat_map(|radio| &radio.steps).map(named).collect(),
        }
    }
}

impl Adapter {
    fn of((hci, adapter): (&Hci, &AdapterStatus)) -> Self {
        Self {
            name: hci.to_string(),
            address: adapter.address.clone(),
            listening: adapter.hearing == Hearing::Listening,
            ear: adapter.path.word().to_owned(),
            hides_repetitions: adapter.hides,
            note: adapter.reason.clone().or_else(|| {
                let hides = "its controller hides repetitions: the scan is restarted each second";
                adapter.hides.then(|| hides.to_owned())
            }),
        }
    }
}

fn named((step, count): (&Step, &u64)) -> (String, u64) {
    (step.word().to_owned(), *count)
}

/// One open visit, by handle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Visit {
    pub visit: String,
    /// The customer's opaque handle.
    pub client: String,
    pub tier: String,
    /// The gateway that opened it.
    pub gateway: String,
    /// RFC 3339, UTC.
    pub arrived_at: String,
    /// Who takes care of the customer.
    pub claimed_by: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Broker {
    /// Where it is: `embedded, 127.0.0.1:1883`, `mqtts://broker-a:8883`.
    pub place: String,
    /// Whether it is there.
    pub connected: bool,
    /// Why not, if it gave a reason.
    pub problem: Option<String>,
    /// Whether it delivers retained messages to wildcard subscriptions; `None` while unknown.
    /// Where it does not, withdrawals over MQTT are not reliable.
    #[serde(default)]
    pub retained: Option<bool>,
    /// Which of the needed abilities it has.
    #[serde(default)]
    pub abilities: BrokerAbilities,
}

/// Which of the needed abilities the broker has; `None` while that is not known.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BrokerAbilities {
    pub retain: Option<bool>,
    /// It delivers them to wildcard subscriptions.
    pub wildcard: Option<bool>,
    /// It delivers them to a subscription of their exact topic.
    pub read_back: Option<bool>,
    /// It passes on the rest of a message's lifetime.
    pub expiry: Option<bool>,
    /// It keeps a session for some seconds.
    pub session: Option<bool>,
    /// How all withdrawals of consent are known: `retained`, `session`, `answered`, `registry`; or
    /// `asking`: alerts are held back. `None` without a connection.
    pub withdrawals: Option<String>,
}

impl BrokerAbilities {
    /// What the broker does not do, and what that costs.
    pub fn missing(&self) -> Vec<(&'static str, &'static str)> {
        let all = [
            (
                self.retain,
                "retains no messages",
                "tablets and gateways that connect ask the gateways for the current state",
            ),
            (
                self.wildcard,
                "does not deliver retained messages to wildcard subscriptions",
                "after each connection alerts wait until head office or another gateway says \
                 who has withdrawn",
            ),
            (
                self.read_back,
                "does not deliver a retained message to a subscription of its topic",
                "a gateway that was away asks head office for its settings",
            ),
            (
                self.expiry,
                "does not pass on a message's expiry",
                "tablets see by `arrived_at` alone that an alert is old",
            ),
            (
                self.session,
                "keeps no session",
                "a connection that breaks for a moment is published as offline",
            ),
        ];
        let missing = all.into_iter().filter(|(works, ..)| *works == Some(false));
        missing.map(|(_, what, cost)| (what, cost)).collect()
    }

    /// Whether alerts are held back because it is not known who has withdrawn.
    pub fn holds_back(&self) -> bool {
        self.wildcard == Some(false) && self.withdrawals.as_deref() == Some("asking")
    }
}

/// What to do about alerts that are held back.
pub const HELD_BACK_HINT: &str = "run `grelot fleet serve` at head office, or another gateway of the store; or use a broker that \
     delivers retained messages to wildcard subscriptions (mosquitto does)";

/// Where the daemon of a state folder answers.
pub fn socket(state: &Path) -> PathBuf {
    state.join("status.sock")
}

/// Answers until `stop` is cancelled.
pub async fn serve(listener: UnixListener, ask: mpsc::Sender<Question>, stop: CancellationToken) {
    let answer = |stream| async {
        match tokio::time::timeout(PATIENCE, answer(stream, &ask)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::debug!(%error, "status was not read to the end"),
            Err(_) => tracing::warn!("the status was not ready in time"),
        }
    };
    socket::serve(listener, stop, answer).await;
}

async fn answer(mut stream: UnixStream, ask: &mpsc::Sender<Question>) -> io::Result<()> {
    let (question, snapshot) = oneshot::channel();
    let gone = || io::Error::other("the event loop has ended");
    ask.send(question).await.map_err(|_| gone())?;
    let snapshot = snapshot.await.map_err(|_| gone())?;
    let mut line = serde_json::to_vec(&snapshot)?;
    line.push(b'\n');
    stream.write_all(&line).await?;
    stream.shutdown().await
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::socket::listen;
    use super::*;
    use tokio::io::AsyncReadExt as _;

    fn snapshot() -> Snapshot {
        Snapshot {
            v: 1,
            version: "0.1.0".to_owned(),
            pid: 7,
            store: 42,
            store_name: "Paris Rivoli".to_owned(),
            gateway: "door".to_owned(),
            state: GatewayState::Online,
            started_at: "2026-01-05T09:00:00Z".to_owned(),
            uptime_s: 60,
            clock_set: true,
            configuration: Configuration {
                file: "grelot.toml".to_owned(),
                hash: "0011223344556677".to_owned(),
                refused: Vec::new(),
                documents: Vec::new(),
            },
            sources: Vec::new(),
            contacts: 0,
            arrivals: 0,
            alerts: 0,
            visits: Vec::new(),
            registry: RegistryHealth::default(),
            broker: Broker {
                place: "embedded".to_owned(),
                connected: true,
                problem: None,
                retained: Some(true),
                abilities: BrokerAbilities::default(),
            },
            delivery: DeliveryHealth::default(),
            traffic: Traffic::default(),
            tablets: Tablets::default(),
            webhooks: Vec::new(),
            dead_messages: Vec::new(),
            head_office: None,
            canary: None,
        }
    }

    async fn ask(path: &Path) -> String {
        let mut text = String::new();
        let mut stream = UnixStream::connect(path).await.unwrap();
        stream.read_to_string(&mut text).await.unwrap();
        text
    }

    #[test]
    fn a_gateway_that_does_not_tell_the_street_from_the_shop_is_named_once_it_is_known() {
        let gateway = |count, passed_dbm| GatewayTraffic {
            name: "door".to_owned(),
            stayed: count,
            stayed_dbm: -58.0,
            passed: count,
            passed_dbm,
        };
        let trouble = gateway(40.0, -60.0).trouble().unwrap();
        assert!(trouble.contains("-58 dBm") && trouble.contains("-60 dBm"), "{trouble}");
        assert_eq!(gateway(40.0, -70.0).trouble(), None);
        assert_eq!(gateway(5.0, -60.0).trouble(), None);
    }

    #[tokio::test]
    async fn a_client_is_sent_the_snapshot_and_the_socket_is_removed_with_the_daemon() {
        let folder = tempfile::tempdir().unwrap();
        let path = socket(folder.path());
        let listener = listen(&path).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(listen(&path).is_err(), "a second daemon is refused");

        let stop = CancellationToken::new();
        let (questions, mut asked) = mpsc::channel::<Question>(1);
        let event_loop = async {
            while let Some(question) = asked.recv().await {
                question.send(snapshot()).unwrap();
            }
        };
        let visitor = async {
            for _ in 0..2 {
                let answer: Snapshot = serde_json::from_str(&ask(&path).await).unwrap();
                assert_eq!(answer, snapshot());
            }
            stop.cancel();
        };
        tokio::join!(serve(listener, questions, stop.clone()), event_loop, visitor);
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn the_socket_of_a_daemon_that_died_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = socket(folder.path());
        drop(listen(&path).unwrap());
        assert!(path.exists());
        listen(&path).unwrap();
    }
}
