//! Gateways without radio, store and page: each has the product's own line to head office and its own
//! layers of settings. All share a process.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use grelot::clock::Clocks;
use grelot::config::{self, BrokerUrl, Config};
use grelot::daemon::head_office::HeadOffice;
use grelot::mqtt::Identity;
use grelot::mqtt::client::{KnownWithdrawals, OfficeAnswer};
use grelot::mqtt::inbound::Inbound;
use grelot::mqtt::topics::{Addressee, Topics};
use grelot::office::line::Channels;
use grelot::office::{Line, OfficeLink, Reports};
use grelot::payload::{self, GatewayState, Status};
use grelot::telemetry::Health;
use tokio::sync::{mpsc, watch};
use tokio::time::{interval, sleep};
use tokio_util::sync::CancellationToken;

/// Gateways that connect at once: the cluster is asked for no more than it can do, and no attempt
/// takes so long that its gateway gives up.
const CONNECTING: usize = 64;

/// `head_office.longest_wait_secs`, as it is by default.
const LONGEST_WAIT: Duration = Duration::from_mins(1);

/// What a gateway has, as it reports itself.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    /// Connected, and head office has answered on this connection.
    pub answered: bool,
    pub serial: Option<u64>,
    pub refused: Vec<String>,
}

/// What all gateways have, and what they received and sent.
#[derive(Debug, Default)]
pub struct Crowd {
    seen: Mutex<BTreeMap<u16, Seen>>,
    documents: AtomicUsize,
    healths: AtomicUsize,
    /// Times that a line was lost.
    pub lost: AtomicUsize,
}

impl Crowd {
    /// How many gateways are as wanted.
    pub fn count(&self, wanted: impl Fn(u16, &Seen) -> bool) -> usize {
        self.seen.lock().unwrap().iter().filter(|(store, one)| wanted(**store, one)).count()
    }

    /// Documents that they received.
    pub fn documents(&self) -> usize {
        self.documents.load(Ordering::Relaxed)
    }

    /// Health messages that they sent.
    pub fn healths(&self) -> usize {
        self.healths.load(Ordering::Relaxed)
    }

    fn change(&self, store: u16, change: impl FnOnce(&mut Seen)) {
        change(self.seen.lock().unwrap().entry(store).or_default());
    }
}

/// Where the gateways' folders are, and which address each tries first.
pub struct Shops {
    pub folder: PathBuf,
    pub address_of: Box<dyn Fn(u16) -> Vec<u16> + Send>,
}

/// Starts gateway after gateway.
pub async fn open(shops: Shops, count: u16, crowd: Arc<Crowd>, stop: CancellationToken) {
    fs::create_dir_all(shops.folder.join("reports")).unwrap();
    let (reports, ..) = Reports::open(&shops.folder.join("reports")).unwrap();
    for store in 1..=count {
        while usize::from(store) - crowd.count(|_, one| one.answered) > CONNECTING {
            sleep(Duration::from_millis(5)).await;
        }
        let config = configured(store, &shops.folder);
        let url = |port| BrokerUrl { tls: false, host: "127.0.0.1".into(), port };
        let brokers = (shops.address_of)(store).into_iter().map(url).collect();
        let one = gateway(config, brokers, reports.clone(), Arc::clone(&crowd), stop.clone());
        tokio::spawn(one);
    }
}

fn configured(store: u16, folder: &Path) -> Config {
    let state = folder.join(format!("state-{store}"));
    fs::create_dir_all(&state).unwrap();
    let text = format!(
        "[store]\nid = {store}\n[gateway]\nname = \"door\"\n[state]\npath = {:?}\n",
        state.to_str().unwrap()
    );
    config::parse(&text, "grelot.toml", folder).unwrap()
}

fn status(head_office: &HeadOffice) -> Status {
    Status {
        v: payload::VERSION,
        state: GatewayState::Online,
        label: None,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        config: head_office.hash().to_owned(),
        since: None,
        connected_at: None,
        refused: head_office.refused().to_vec(),
        warnings: Vec::new(),
        group: None,
        documents: head_office.documents(),
    }
}

/// One gateway, until `stop`.
async fn gateway(
    config: Config,
    brokers: Vec<BrokerUrl>,
    reports: Reports,
    crowd: Arc<Crowd>,
    stop: CancellationToken,
) {
    let store = config.store.id;
    let clocks = Clocks::machine();
    let mut head_office = HeadOffice::new(&config);
    let (say, said) = watch::channel(status(&head_office));
    let (health, healths) = mpsc::channel(1);
    let (settings, mut inbound) = mpsc::channel(16);
    let (withdrawals, mut withdrawn) = mpsc::channel(16);
    let (_knowing, known) = watch::channel(KnownWithdrawals::default());
    let (answer, _answered) = watch::channel(OfficeAnswer::Waiting);
    let (link, mut linked) = watch::channel(OfficeLink::default());
    let (_none, waiting) = watch::channel(grelot::office::reports::Waiting::default());
    let identity =
        Identity { client_id: format!("grelot-{store}-door-office"), login: None, tls: None };
    let here = Addressee { topics: Topics::of(store), gateway: "door".to_owned(), group: None };
    let channels = Channels {
        status: said,
        health: healths,
        waiting,
        reports,
        inbound: settings,
        withdrawals,
        known,
        answer,
        link,
    };
    crowd.change(store, |_| {});
    let running = Line::new(brokers, identity, here, LONGEST_WAIT, channels).run(stop);
    let mut running = std::pin::pin!(running);
    let mut minute = interval(Duration::from_mins(1));
    loop {
        tokio::select! {
            () = &mut running => return,
            Some(news) = inbound.recv() => {
                let Inbound::Configuration { reach, document } = news else { continue };
                crowd.documents.fetch_add(1, Ordering::Relaxed);
                head_office.push(&config, reach, &document, clocks.now().clock.known());
                // As the gateway does: a status that is as before is not published again.
                let status = status(&head_office);
                say.send_if_modified(|before| {
                    let differs = *before != status;
                    *before = status;
                    differs
                });
                crowd.change(store, |one| {
                    one.serial = head_office.documents().first().and_then(|one| one.serial);
                    one.refused = head_office.refused().to_vec();
                });
            }
            Some(_) = withdrawn.recv() => {}
            Ok(()) = linked.changed() => {
                let answered = linked.borrow_and_update().answered;
                crowd.change(store, |one| {
                    let lost = one.answered && !answered;
                    crowd.lost.fetch_add(usize::from(lost), Ordering::Relaxed);
                    one.answered = answered;
                });
            }
            _ = minute.tick() => {
                let now = clocks.now();
                let sent = health.try_send(payload::encode(&Health::new(now, []).payload(now)));
                crowd.healths.fetch_add(usize::from(sent.is_ok()), Ordering::Relaxed);
            }
        }
    }
}
