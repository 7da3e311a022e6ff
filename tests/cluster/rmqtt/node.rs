//! A node of an rmqtt cluster on 127.0.0.1: `rmqtt-node NODE FOLDER RULES PORTS`, with the number of the
//! node from 1, a folder for its retained messages, a file of access rules (empty for none), and for each
//! node the ports of MQTT, gRPC and raft, as in `1000,1001,1002 1100,1101,1102 …`.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context as _;
use rmqtt::context::ServerContext;
use rmqtt::net::Builder;
use rmqtt::node::Node;
use rmqtt::server::MqttServer;

const USAGE: &str = "usage: rmqtt-node NODE FOLDER RULES MQTT,GRPC,RAFT...";

/// The ports of one node.
struct Ports {
    mqtt: u16,
    grpc: u16,
    raft: u16,
}

fn ports(text: &str) -> anyhow::Result<Ports> {
    let all: Vec<u16> = text.split(',').map(str::parse).collect::<Result<_, _>>()?;
    let [mqtt, grpc, raft] = all[..] else { anyhow::bail!(USAGE) };
    Ok(Ports { mqtt, grpc, raft })
}

fn local(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

#[tokio::main(worker_threads = 2)]
async fn main() -> anyhow::Result<()> {
    env_logger::init();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [node, folder, rules, rest @ ..] = &arguments[..] else { anyhow::bail!(USAGE) };
    let id: u64 = node.parse().context(USAGE)?;
    let all: Vec<Ports> = rest.iter().map(|text| ports(text)).collect::<Result<_, _>>()?;
    let own = id.checked_sub(1).and_then(|place| all.get(usize::try_from(place).ok()?));
    let own = own.context("the node has no ports")?;

    let peers = |port: fn(&Ports) -> u16| {
        let one = |(place, ports): (usize, &Ports)| format!("\"{}@127.0.0.1:{}\"", place + 1, port(ports));
        all.iter().enumerate().map(one).collect::<Vec<_>>().join(", ")
    };
    // Node 1 leads at the start: without a leader, nodes that start at once become clusters of one. The
    // times shorten how long a session of a killed node is locked out.
    let raft = format!(
        "worker_threads = 2\nnode_grpc_addrs = [{}]\nraft_peer_addrs = [{}]\nleader_id = 1\n\
         try_lock_timeout = \"2s\"\nnode_grpc_client_timeout = \"1s\"\nraft.grpc_timeout = \"1s\"\n",
        peers(|ports| ports.grpc),
        peers(|ports| ports.raft),
    );
    let retainer = format!(
        "storage.type = \"sled\"\nstorage.sled.path = \"{folder}/retained\"\nstorage.sled.cache_capacity = \"64M\"\n"
    );
    let context = ServerContext::new()
        .node(Node::new(id, 100.0, 100.0, Duration::from_secs(2)))
        .busy_check_enable(false)
        .plugins_config_map_add("rmqtt-cluster-raft", raft)
        .plugins_config_map_add("rmqtt-retainer", retainer)
        .plugins_config_map_add("rmqtt-acl", rules_of(rules)?)
        .build()
        .await;
    context.node.start_grpc_server(context.clone(), local(own.grpc), true, false);
    rmqtt_acl::register(&context, !rules.is_empty(), false).await?;
    rmqtt_retainer::register(&context, true, false).await?;
    rmqtt_cluster_raft::register(&context, true, false).await?;
    let listener = Builder::new()
        .name("external")
        .laddr(local(own.mqtt))
        .allow_anonymous(rules.is_empty())
        .min_keepalive(0)
        .max_session_expiry_interval(Duration::ZERO)
        // 0 would mean no limit to messages, and no time at all to retained ones.
        .message_expiry_interval(Duration::from_hours(24 * 365));
    MqttServer::new(context).listener(listener.bind()?.tcp()?).build().run().await?;
    Ok(())
}

fn rules_of(file: &str) -> anyhow::Result<String> {
    if file.is_empty() {
        return Ok(String::new());
    }
    std::fs::read_to_string(file).with_context(|| format!("cannot read {file}"))
}
