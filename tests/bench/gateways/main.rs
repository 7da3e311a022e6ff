//! Many gateways at head office's cluster, RabbitMQ of three nodes: connections, messages, settings in
//! force everywhere, a thousand gateways that return at once, a node that is killed while settings are
//! on their way, a bad document. `docs/fleet.md` has the figures.
//!
//! `GATEWAYS=300 cargo nextest run --bench gateways --no-capture`
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    clippy::disallowed_methods,
    reason = "a measurement that stops here has failed, and says so; it waits on real processes; counts are small"
)]

#[allow(dead_code, reason = "tests/delivery uses the rest")]
#[path = "../../delivery/cable.rs"]
mod cable;
#[path = "../../common/mod.rs"]
mod common;
mod gateway;
#[allow(dead_code, reason = "tests/cluster uses the rest")]
#[path = "../../cluster/office.rs"]
mod office;
#[path = "../../cluster/rabbitmq.rs"]
mod rabbitmq;

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use grelot::clock::Clocks;
use grelot::fleet::{Condition, FleetStore, GatewayOverview};
use tokio_util::sync::CancellationToken;

use cable::Cable;
use common::process::Running;
use common::waiting::eventually_while;
use gateway::{Crowd, Seen, Shops};
use office::Office;
use rabbitmq::RabbitMq;

/// Gateways that share a cable that is cut, at most; where there are fewer than twice as many, half.
const CUT: u16 = 1_000;

/// How long it is cut.
const CUT_FOR: Duration = Duration::from_secs(20);

/// How long the gateways are left alone while messages are counted.
const AT_REST: Duration = Duration::from_mins(2);

/// All parts of the measurement.
struct World {
    count: u16,
    cluster: RabbitMq,
    office: Office,
    serving: Running,
    crowd: Arc<Crowd>,
    file: FleetStore,
    cable: Cable,
    stop: CancellationToken,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_gateways_at_a_cluster_of_three_nodes() {
    let count: u16 =
        std::env::var("GATEWAYS").map_or(300, |count| count.parse().expect("GATEWAYS is a number"));
    let dir = tempfile::tempdir().unwrap();
    let mut world = World::new(count, dir.path()).await;
    println!("{count} gateways; idle: {}", world.nodes());

    world.connect(dir.path());
    world.rest();
    let begun = world.push(2);
    world.in_force("document 1 is in force everywhere", begun, 1);
    world.cut();
    world.kill_a_node();
    world.refuse();
    println!("lines lost in all: {}", world.crowd.lost.load(Ordering::Relaxed));
    world.stop.cancel();
}

impl World {
    async fn new(count: u16, folder: &Path) -> Self {
        let cluster = RabbitMq::start(3, &[]);
        let ports = cluster.ports.clone();
        let office = Office::new(&folder.join("office"), &[ports[2], ports[0]]);
        let serving = office.serve();
        let file = FleetStore::open(office.folder.join("fleet.db")).unwrap();
        let cable = Cable::to(ports[0]).await;
        let (crowd, stop) = (Arc::default(), CancellationToken::new());
        Self { count, cluster, office, serving, crowd, file, cable, stop }
    }

    fn nodes(&self) -> String {
        let nodes = (0..3).map(|node| format!("{}", self.cluster.memory(node) >> 20));
        format!("{} MiB a node", nodes.collect::<Vec<_>>().join(", "))
    }

    /// Processor time of all nodes, and of `fleet serve`, in seconds: it is the same on a busy machine. A
    /// tick is a hundredth.
    fn spent(&self) -> (f64, f64) {
        let nodes: u64 = (0..3).map(|node| self.cluster.processor_time(node)).sum();
        (nodes as f64 / 100.0, self.serving.processor_time() as f64 / 100.0)
    }

    /// Prints the processor time since `before`, for each of `many`.
    fn costs(&self, what: &str, before: (f64, f64), many: u16) {
        let now = self.spent();
        let each = |now: f64, before: f64| (now - before) * 1000.0 / f64::from(many);
        println!(
            "{what}: {:.1} ms of the nodes' time each, {:.1} ms of fleet serve's",
            each(now.0, before.0),
            each(now.1, before.1)
        );
    }

    /// Waits until that many gateways are as wanted, and prints how long that took.
    fn all(&self, what: &str, begun: Instant, many: u16, wanted: impl Fn(u16, &Seen) -> bool) {
        let has = || self.crowd.count(&wanted);
        eventually_while(what, has, || has() == usize::from(many));
        println!("{what}: {:.1} s", begun.elapsed().as_secs_f64());
    }

    /// Waits until head office knows that all gateways are as wanted.
    fn head_office_knows(
        &mut self,
        what: &str,
        begun: Instant,
        wanted: impl Fn(&GatewayOverview) -> bool,
    ) {
        let (all, known) = (usize::from(self.count), std::cell::Cell::new(0));
        let happened = || {
            // A look at ten thousand gateways takes its time from those who are measured.
            std::thread::sleep(Duration::from_millis(500));
            let now = Clocks::machine().now().clock.reading();
            let gateways = self.file.overview(now).unwrap();
            known.set(gateways.iter().filter(|one| wanted(one)).count());
            known.get() == all
        };
        eventually_while(what, || known.get(), happened);
        println!("{what}: {:.1} s", begun.elapsed().as_secs_f64());
    }

    /// Stores up to this number share the cable.
    fn cut_off(&self) -> u16 {
        CUT.min(self.count / 2)
    }

    fn connect(&mut self, folder: &Path) {
        let ports = self.cluster.ports.clone();
        let (cable, cut) = (self.cable.port, self.cut_off());
        let shops = Shops {
            folder: folder.to_owned(),
            address_of: Box::new(move |store| {
                if store <= cut {
                    return vec![cable];
                }
                let mut ports = ports.clone();
                ports.rotate_left(usize::from(store) % 3);
                ports
            }),
        };
        let (begun, before) = (Instant::now(), self.spent());
        tokio::spawn(gateway::open(shops, self.count, Arc::clone(&self.crowd), self.stop.clone()));
        self.all("connected, and head office has answered", begun, self.count, |_, one| {
            one.answered
        });
        let a_second = f64::from(self.count) / begun.elapsed().as_secs_f64();
        println!("connections a second: {a_second:.0}; {}", self.nodes());
        self.costs("a connection, with its status and its question", before, self.count);
        self.head_office_knows("head office knows all", begun, |one| {
            one.version.is_some() && one.condition != Condition::Offline
        });
    }

    /// Counts messages while nothing happens: one of health a minute, and what keeps a connection open.
    fn rest(&self) {
        let time = |node: usize| self.cluster.processor_time(node);
        let (healths, used) = (self.crowd.healths(), [0, 1, 2].map(time));
        let serve = self.serving.processor_time();
        std::thread::sleep(AT_REST);
        let seconds = AT_REST.as_secs_f64();
        // A tick is a hundredth of a second.
        let share = |before: u64, now: u64| (now - before) as f64 / seconds;
        let nodes = [0, 1, 2].map(|node| format!("{:.0}", share(used[node], time(node))));
        println!(
            "at rest: {:.0} health messages a second; of one core, the nodes use {} %, fleet serve {:.0} %; {}, \
             fleet serve {} MiB",
            (self.crowd.healths() - healths) as f64 / seconds,
            nodes.join(", "),
            share(serve, self.serving.processor_time()),
            self.nodes(),
            self.serving.memory() >> 20,
        );
    }

    fn push(&self, dwell: u32) -> Instant {
        let text = format!("[presence]\ndwell_secs = {dwell}\n");
        fs::write(self.office.folder.join("one.toml"), text).unwrap();
        let begun = Instant::now();
        self.office.run("fleet push one.toml");
        begun
    }

    fn in_force(&mut self, what: &str, begun: Instant, serial: u64) {
        let before = self.spent();
        self.all(what, begun, self.count, |_, one| one.serial == Some(serial));
        let (took, count) = (begun.elapsed().as_secs_f64(), usize::from(self.count));
        self.head_office_knows(&format!("{what}, and head office knows it"), begun, |one| {
            one.documents.iter().any(|document| document.serial == Some(serial))
        });
        let all = begun.elapsed().as_secs_f64();
        println!(
            "documents received in all: {}; messages a second, a document down: {:.0}, and a status up: {:.0}",
            self.crowd.documents(),
            count as f64 / took,
            2.0 * count as f64 / all,
        );
        self.costs("a document and a status", before, self.count);
    }

    /// Many gateways are cut off, and return at once; a document is pushed meanwhile.
    fn cut(&mut self) {
        let cut = self.cut_off();
        self.cable.cut(true);
        let begun = Instant::now();
        self.all("cut off", begun, cut, |store, one| store <= cut && !one.answered);
        let pushed = self.push(3);
        let rest = self.count - cut;
        self.all("document 2 is in force at the others", pushed, rest, |store, one| {
            store > cut && one.serial == Some(2)
        });
        std::thread::sleep(CUT_FOR.saturating_sub(begun.elapsed()));
        self.cable.cut(false);
        let back = Instant::now();
        self.all(
            &format!("{cut} are back, and head office has answered"),
            back,
            cut,
            |store, one| store <= cut && one.answered,
        );
        self.in_force("document 2 is in force at them, too", back, 2);
    }

    /// A third of the gateways lose their node while a document is on its way.
    fn kill_a_node(&mut self) {
        let begun = self.push(4);
        self.cluster.kill(1);
        self.in_force("document 3 is in force everywhere, a node was killed", begun, 3);
        self.all("all are connected again", begun, self.count, |_, one| one.answered);
        println!("two nodes: {}", self.nodes());
    }

    fn refuse(&mut self) {
        let bad = "[document]\nserial = 99\n[presence]\ndwel_secs = 4\n";
        let port = self.cluster.ports[2].to_string();
        let refuses = |line: &String| line.contains("dwel_secs");
        let begun = Instant::now();
        let crowd = Arc::clone(&self.crowd);
        let has = || crowd.count(|_, one| one.refused.iter().any(refuses));
        let mut before = None;
        eventually_while("a bad document is refused", &has, || {
            // The broker may not take a message while the killed node's queues look for another one.
            if before == Some(has()) {
                let mut publisher = Command::new("mosquitto_pub");
                publisher.args(["-V", "5", "-h", "127.0.0.1", "-q", "1", "-p", &port]);
                publisher.args(["-t", "grelot/v1/config/fleet", "-m", bad]);
                let _ = publisher.status().unwrap();
            }
            before = Some(has());
            let done = before == Some(usize::from(self.count));
            std::thread::sleep(Duration::from_secs(u64::from(!done)));
            done
        });
        println!("a bad document is refused everywhere: {:.1} s", begun.elapsed().as_secs_f64());
        self.head_office_knows("head office knows why", begun, |one| {
            one.troubles.iter().any(refuses)
        });
        let kept = self.crowd.count(|_, one| one.serial == Some(3));
        assert_eq!(kept, usize::from(self.count), "it changes nothing");
    }
}
