//! A real rmqtt of three nodes on loopback: the program in this folder, built beforehand.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::common::free_port;
use crate::common::process::Running;
use crate::common::waiting::eventually;

/// A cluster; killed when dropped.
pub struct Rmqtt {
    folder: PathBuf,
    /// Of each node: MQTT, gRPC, raft.
    all_ports: Vec<[u16; 3]>,
    nodes: Vec<Option<Running>>,
}

impl Rmqtt {
    /// Starts that many nodes with these access rules, and waits until each serves.
    pub fn start(folder: &Path, nodes: usize, rules: &str) -> Self {
        fs::create_dir_all(folder).unwrap();
        fs::write(folder.join("rules.toml"), rules).unwrap();
        let mut cluster = Self {
            folder: folder.to_owned(),
            all_ports: (0..nodes).map(|_| [free_port(), free_port(), free_port()]).collect(),
            nodes: Vec::new(),
        };
        cluster.nodes = (0..nodes).map(|node| Some(cluster.launch(node))).collect();
        for port in cluster.ports() {
            eventually("a node of rmqtt serves", || {
                std::net::TcpStream::connect(("127.0.0.1", port)).is_ok()
            });
        }
        cluster
    }

    /// Where each node speaks MQTT.
    pub fn ports(&self) -> Vec<u16> {
        self.all_ports.iter().map(|[mqtt, ..]| *mqtt).collect()
    }

    /// SIGKILL to a node.
    pub fn kill(&mut self, node: usize) {
        self.nodes[node] = None;
    }

    fn launch(&self, node: usize) -> Running {
        let folder = self.folder.join(node.to_string());
        fs::create_dir_all(&folder).unwrap();
        let log = File::create(folder.join("log")).unwrap();
        let mut command = Command::new(program());
        command.arg((node + 1).to_string()).arg(&folder).arg(self.folder.join("rules.toml"));
        command
            .args(self.all_ports.iter().map(|ports| ports.map(|port| port.to_string()).join(",")));
        command.env("RUST_LOG", "info").stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        Running(command.spawn().unwrap())
    }
}

fn program() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap().join("rmqtt");
    let program = folder.join("debug/rmqtt-node");
    assert!(
        program.exists(),
        "there is no {}: cargo build --manifest-path tests/cluster/rmqtt/Cargo.toml --target-dir {}",
        program.display(),
        folder.display()
    );
    program
}
