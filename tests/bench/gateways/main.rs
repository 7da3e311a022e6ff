//! Many gateways at head office's cluster, RabbitMQ of three nodes: connections, settings in force
//! everywhere, a node that is killed meanwhile, a bad document. Each has the product's own line to head
//! office and its own layers of settings; radio, store and page are left out, and all share a process.
//!
//! `GATEWAYS=300 cargo nextest run --bench gateways --no-capture`
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a measurement that stops here has failed, and says so; it waits on real processes"
)]

#[path = "../../common/mod.rs"]
mod common;
#[allow(dead_code, reason = "tests/cluster uses the rest")]
#[path = "../../cluster/office.rs"]
mod office;
#[path = "../../cluster/rabbitmq.rs"]
mod rabbitmq;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use grelot::clock::Clocks;
use grelot::config::{self, BrokerUrl, Config};
use grelot::daemon::head_office::HeadOffice;
use grelot::fleet::{Condition, FleetStore};
use grelot::mqtt::Identity;
use grelot::mqtt::client::{KnownWithdrawals, OfficeAnswer};
use grelot::mqtt::inbound::Inbound;
use grelot::mqtt::topics::{Addressee, Topics};
use grelot::office::line::Channels;
use grelot::office::{Line, OfficeLink, Reports};
use grelot::payload::{self, GatewayState, Status};
use grelot::telemetry::Health;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use common::waiting::eventually_while;
use office::Office;
use rabbitmq::RabbitMq;

/// What a gateway has, as it says itself.
#[derive(Debug, Clone, Default)]
struct Seen {
    answered: bool,
    serial: Option<u64>,
    refused: Vec<String>,
}

type AllSeen = Arc<Mutex<BTreeMap<u16, Seen>>>;

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
    seen: AllSeen,
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
    let (answer, mut answered) = watch::channel(OfficeAnswer::Waiting);
    let (link, _linked) = watch::channel(OfficeLink::default());
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
    let running = Line::new(brokers, identity, here, Duration::from_secs(5), channels).run(stop);
    let mut running = std::pin::pin!(running);
    let mut minute = tokio::time::interval(Duration::from_mins(1));
    loop {
        tokio::select! {
            () = &mut running => return,
            Some(news) = inbound.recv() => {
                let Inbound::Configuration { reach, document } = news else { continue };
                head_office.push(&config, reach, &document, clocks.now().clock.known());
                say.send_replace(status(&head_office));
                let mut all = seen.lock().unwrap();
                let one = all.entry(store).or_default();
                one.serial = head_office.documents().first().and_then(|one| one.serial);
                one.refused = head_office.refused().to_vec();
            }
            Some(_) = withdrawn.recv() => {}
            Ok(()) = answered.changed() => {
                let known = *answered.borrow_and_update() == OfficeAnswer::Known;
                seen.lock().unwrap().entry(store).or_default().answered |= known;
            }
            _ = minute.tick() => {
                let now = clocks.now();
                let _ = health.try_send(payload::encode(&Health::new(now, []).payload(now)));
            }
        }
    }
}

fn run(count: u16, folder: &Path, ports: &[u16], seen: &AllSeen, stop: &CancellationToken) {
    let configs: Vec<Config> = (1..=count).map(|store| configured(store, folder)).collect();
    fs::create_dir_all(folder.join("reports")).unwrap();
    let (reports, ..) = Reports::open(&folder.join("reports")).unwrap();
    let url = |port: &u16| BrokerUrl { tls: false, host: "127.0.0.1".into(), port: *port };
    let urls: Vec<BrokerUrl> = ports.iter().map(url).collect();
    let (seen, stop) = (Arc::clone(seen), stop.clone());
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let all = configs.into_iter().map(|config| {
            let mut urls = urls.clone();
            let first = usize::from(config.store.id) % urls.len();
            urls.rotate_left(first);
            let one = gateway(config, urls, reports.clone(), Arc::clone(&seen), stop.clone());
            runtime.spawn(one)
        });
        let all: Vec<_> = all.collect();
        runtime.block_on(async {
            for one in all {
                one.await.unwrap();
            }
        });
    });
}

#[tokio::test]
async fn many_gateways_at_a_cluster_of_three_nodes() {
    let count: u16 =
        std::env::var("GATEWAYS").map_or(300, |count| count.parse().expect("GATEWAYS is a number"));
    let dir = tempfile::tempdir().unwrap();
    let mut cluster = RabbitMq::start(3, &[]);
    let ports = cluster.ports.clone();
    println!("idle: {:?} MiB", (0..3).map(|node| cluster.memory(node) >> 20).collect::<Vec<_>>());
    let office = Office::new(&dir.path().join("office"), &[ports[2], ports[0]]);
    let _serving = office.serve();
    let (seen, stop) = (AllSeen::default(), CancellationToken::new());
    let has = |wanted: &dyn Fn(&Seen) -> bool| {
        seen.lock().unwrap().values().filter(|one| wanted(one)).count()
    };
    let all_have = |what: &str, begun: Instant, wanted: &dyn Fn(&Seen) -> bool| {
        eventually_while(what, || has(wanted), || has(wanted) == usize::from(count));
        println!("{what}: {:.1} s", begun.elapsed().as_secs_f64());
    };

    let begun = Instant::now();
    run(count, dir.path(), &ports, &seen, &stop);
    all_have("connected, and head office has answered", begun, &|one| one.answered);
    let mut file = FleetStore::open(office.folder.join("fleet.db")).unwrap();
    let now = || Clocks::machine().now().clock.reading();
    let mut known = || {
        let all = file.overview(now()).unwrap();
        all.iter()
            .filter(|one| one.version.is_some() && one.condition != Condition::Offline)
            .count()
    };
    let last = std::cell::Cell::new(0);
    eventually_while(
        "head office knows all",
        || last.get(),
        || {
            last.set(known());
            last.get() == usize::from(count)
        },
    );
    println!("head office knows all: {:.1} s", begun.elapsed().as_secs_f64());
    println!("nodes: {:?} MiB", (0..3).map(|node| cluster.memory(node) >> 20).collect::<Vec<_>>());

    let push = |dwell: u32| {
        let text = format!("[presence]\ndwell_secs = {dwell}\n");
        fs::write(office.folder.join("one.toml"), text).unwrap();
        let begun = Instant::now();
        office.run("fleet push one.toml");
        begun
    };
    let begun = push(2);
    all_have("document 1 is in force", begun, &|one| one.serial == Some(1));

    // A third of the gateways lose their node while the second one is on its way.
    let begun = push(3);
    cluster.kill(1);
    all_have("document 2 is in force, a node was killed", begun, &|one| one.serial == Some(2));

    let bad = "[document]\nserial = 99\n[presence]\ndwel_secs = 4\n";
    let begun = Instant::now();
    let topic = "grelot/v1/config/fleet";
    let refuses = |one: &Seen| one.refused.iter().any(|line| line.contains("dwel_secs"));
    // While the killed node's queues look for another one, the broker may not take a message.
    while has(&refuses) < usize::from(count) {
        let port = ports[2].to_string();
        let mut publisher = std::process::Command::new("mosquitto_pub");
        publisher.args(["-V", "5", "-h", "127.0.0.1", "-q", "1", "-p", &port, "-t", topic]);
        let _ = publisher.args(["-m", bad]).status().unwrap();
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
    println!("a bad document is refused everywhere: {:.1} s", begun.elapsed().as_secs_f64());
    assert_eq!(has(&|one| one.serial == Some(2)), usize::from(count), "and changes nothing");
    stop.cancel();
}
