//! The staff page's server, inside the test's process.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use grelot::clock::Clocks;
use grelot::config::{BrokerUrl, Words};
use grelot::mqtt::Identity;
use grelot::mqtt::topics::Topics;
use grelot::tablets::desk::Desk;
use grelot::tablets::{
    BridgeAccess, BrokerAccess, PageSettings, Pairing, Running, Server, StoreLabel, TabletsConfig,
};
use grelot::telemetry::Timings;
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

/// The page of store 42 on a free port, without pairing, which keeps its state in `state`.
pub fn config(broker_port: u16, state: &Path) -> TabletsConfig {
    let identity = Identity { client_id: "page".into(), login: None, tls: None };
    let url = BrokerUrl { tls: false, host: "127.0.0.1".into(), port: broker_port };
    TabletsConfig {
        listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
        address: None,
        tls: None,
        store: StoreLabel { id: 42, name: "Paris Rivoli".into() },
        crm_url: None,
        desk: Desk::default(),
        authority: None,
        bridge: BridgeAccess {
            brokers: vec![url.clone()],
            tls: None,
            login: None,
            named_devices: false,
            topics: Topics::of(42),
        },
        broker: BrokerAccess { brokers: vec![url], identity },
        state: state.to_owned(),
        rejoin: Duration::from_mins(5),
        gateways: ["door".to_owned()].into(),
        page: PageSettings { repeat: Duration::ZERO, ..PageSettings::default() },
        words: Words::default(),
        pairing: Pairing::NotNeeded,
    }
}

/// A server that can be stopped and started again at the same address, as in a shop.
pub struct Page {
    pub config: TabletsConfig,
    running: Option<(Running, CancellationToken)>,
}

impl Page {
    pub fn new(config: TabletsConfig) -> Self {
        Self { config, running: None }
    }

    pub fn start(&mut self, runtime: &Runtime) {
        let stop = CancellationToken::new();
        let started =
            Server::start(self.config.clone(), Timings::default(), Clocks::machine(), stop.clone());
        let running = runtime.block_on(started).unwrap();
        self.config.listen = running.address();
        self.running = Some((running, stop));
    }

    pub fn stop(&mut self, runtime: &Runtime) {
        let Some((running, stop)) = self.running.take() else { return };
        stop.cancel();
        runtime.block_on(running.ended());
    }

    pub fn address(&self) -> SocketAddr {
        self.config.listen
    }

    pub fn url(&self) -> String {
        self.running.as_ref().unwrap().0.urls()[0].clone()
    }
}
