//! A real `RabbitMQ` 4 of three nodes on loopback: Debian 13's package, in a root of its own.

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::common::free_port;
use crate::common::process::Running;
use crate::common::waiting::eventually_while;
use crate::office::PASSWORD;

/// A node's name in the cluster is this and its number.
const NAME: &str = "bell";

/// Of all nodes: they trust each other by it.
const COOKIE: &str = "grelot-tests";

const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// A cluster; killed when dropped.
pub struct RabbitMq {
    root: PathBuf,
    /// The nodes' files, inside the root.
    folder: PathBuf,
    epmd: u16,
    distribution: Vec<u16>,
    /// Where each node speaks MQTT.
    pub ports: Vec<u16>,
    nodes: Vec<Option<Running>>,
    _names: Running,
}

impl RabbitMq {
    /// Starts that many nodes at once and waits until each serves. `rights` are what `grelot broker
    /// rules --rabbitmq` prints, for a user each; a client without a login may do everything.
    pub fn start(nodes: usize, rights: &[String]) -> Self {
        let root = debian_root();
        let folder = PathBuf::from(format!("var/lib/rabbitmq/{}", std::process::id()));
        fs::create_dir_all(root.join(&folder)).unwrap();
        let definitions = definitions(rights).to_string();
        fs::write(root.join(&folder).join("definitions.json"), definitions).unwrap();
        let epmd = free_port();
        let names = enter(&root, "epmd -address 127.0.0.1 -port \"$1\"", &[&epmd.to_string()]);
        let mut cluster = Self {
            root,
            folder,
            epmd,
            distribution: (0..nodes).map(|_| free_port()).collect(),
            ports: (0..nodes).map(|_| free_port()).collect(),
            nodes: (0..nodes).map(|_| None).collect(),
            _names: Running(names),
        };
        (0..nodes).for_each(|node| cluster.launch(node));
        (0..nodes).for_each(|node| cluster.await_boot(node));
        cluster
    }

    /// SIGKILL to a node and everything of it.
    pub fn kill(&mut self, node: usize) {
        self.nodes[node] = None;
    }

    /// What a node holds in memory, in octets.
    #[allow(dead_code, reason = "tests/bench/gateways asks")]
    pub fn memory(&self, node: usize) -> u64 {
        self.nodes[node].as_ref().map_or(0, Running::memory)
    }

    /// Processor time of a node, in clock ticks.
    #[allow(dead_code, reason = "tests/bench/gateways asks")]
    pub fn processor_time(&self, node: usize) -> u64 {
        self.nodes[node].as_ref().map_or(0, Running::processor_time)
    }

    fn environment(&self, node: usize) -> String {
        let folder = format!("/{}/{node}", self.folder.display());
        format!(
            "export HOME={folder} LANG=C.UTF-8 ERL_EPMD_PORT={epmd} ERL_EPMD_ADDRESS=127.0.0.1 \
             RABBITMQ_NODENAME={NAME}{node}@localhost RABBITMQ_BASE={folder} \
             RABBITMQ_MNESIA_BASE={folder}/data RABBITMQ_LOG_BASE={folder}/log \
             RABBITMQ_CONFIG_FILE={folder}/rabbitmq.conf \
             RABBITMQ_ADVANCED_CONFIG_FILE={folder}/advanced.config \
             RABBITMQ_ENABLED_PLUGINS_FILE={folder}/enabled_plugins \
             RABBITMQ_DIST_PORT={port} RABBITMQ_PID_FILE={folder}/pid \
             RABBITMQ_ERLANG_COOKIE={COOKIE} \
             RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS='+S 1:1 +sbwt none +sbwtdcpu none +sbwtdio none \
             -setcookie {COOKIE}'",
            epmd = self.epmd,
            port = self.distribution[node],
        )
    }

    fn launch(&mut self, node: usize) {
        let folder = self.root.join(&self.folder).join(node.to_string());
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("rabbitmq.conf"), self.configuration(node)).unwrap();
        let local = "[{kernel,[{inet_dist_use_interface,{127,0,0,1}}]}].\n";
        fs::write(folder.join("advanced.config"), local).unwrap();
        fs::write(folder.join("enabled_plugins"), "[rabbitmq_mqtt].\n").unwrap();
        let script = format!(
            "{}; exec /usr/lib/rabbitmq/lib/rabbitmq_server-*/sbin/rabbitmq-server",
            self.environment(node)
        );
        self.nodes[node] = Some(Running(enter(&self.root, &script, &[])));
    }

    fn configuration(&self, node: usize) -> String {
        let mut text = format!(
            "listeners.tcp = none\n\
             mqtt.listeners.tcp.1 = 127.0.0.1:{}\n\
             mqtt.max_session_expiry_interval_seconds = 86400\n\
             mqtt.durable_queue_type = quorum\n\
             anonymous_login_user = guest\n\
             anonymous_login_pass = {PASSWORD}\n\
             cluster_formation.peer_discovery_backend = classic_config\n\
             cluster_formation.target_cluster_size_hint = {}\n\
             cluster_partition_handling = pause_minority\n\
             vm_memory_high_watermark.absolute = 2GB\n\
             disk_free_limit.absolute = 100MB\n\
             load_definitions = /{}/definitions.json\n\
             log.console = false\n",
            self.ports[node],
            self.ports.len(),
            self.folder.display(),
        );
        for (place, _) in self.ports.iter().enumerate() {
            text.push_str(&format!(
                "cluster_formation.classic_config.nodes.{} = {NAME}{place}@localhost\n",
                place + 1
            ));
        }
        text
    }

    /// Waits until every part of a node runs and, with it, the cluster; as long as it works on it.
    fn await_boot(&mut self, node: usize) {
        let log =
            self.root.join(&self.folder).join(format!("{node}/log/{NAME}{node}@localhost.log"));
        let said = || fs::read_to_string(&log).unwrap_or_default();
        let process = std::cell::RefCell::new(self.nodes[node].as_mut().unwrap());
        eventually_while(
            "a node of RabbitMQ has started",
            || process.borrow().processor_time(),
            || {
                assert!(!process.borrow_mut().has_ended(), "RabbitMQ does not start: {}", said());
                said().contains("Server startup complete")
            },
        );
    }
}

/// Users with their rights, and the one without a login.
fn definitions(rights: &[String]) -> Value {
    let rights: Vec<Value> =
        rights.iter().map(|printed| serde_json::from_str(printed).unwrap()).collect();
    let of = |key: &'static str| {
        rights.iter().flat_map(move |one| one[key].as_array().unwrap()).cloned()
    };
    let all =
        json!({"user": "guest", "vhost": "/", "configure": ".*", "write": ".*", "read": ".*"});
    let permissions: Vec<Value> = of("permissions").chain([all]).collect();
    let user = |name: &Value| {
        let salted = [b"salt", Sha256::digest(format!("salt{PASSWORD}")).as_slice()].concat();
        let hash = BASE64_STANDARD.encode(salted);
        let hashing = "rabbit_password_hashing_sha256";
        json!({"name": name, "password_hash": hash, "hashing_algorithm": hashing, "tags": ""})
    };
    json!({
        "vhosts": [{"name": "/"}],
        "users": permissions.iter().map(|one| user(&one["user"])).collect::<Vec<_>>(),
        "topic_permissions": of("topic_permissions").collect::<Vec<_>>(),
        "permissions": permissions,
    })
}

impl Drop for RabbitMq {
    fn drop(&mut self) {
        self.nodes.clear();
        let _ = fs::remove_dir_all(self.root.join(&self.folder));
    }
}

/// Runs a script in the root. Its processes end with it: they have a PID namespace of their own.
fn command(root: &Path, script: &str, arguments: &[&str]) -> Command {
    let proc = format!("--mount-proc={}", root.join("proc").display());
    let inside = "mount --rbind /dev \"$0/dev\"; root=$0; script=$1; shift; \
                  exec chroot \"$root\" /bin/sh -c \"$script\" sh \"$@\"";
    let mut command = Command::new("unshare");
    command
        .args(["--mount", "--pid", "--fork", "--kill-child", &proc, "sh", "-c", inside])
        .arg(root)
        .arg(script)
        .args(arguments)
        .env_clear()
        .env("PATH", PATH);
    command
}

fn enter(root: &Path, script: &str, arguments: &[&str]) -> Child {
    let quiet = |command: &mut Command| {
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()
    };
    quiet(&mut command(root, script, arguments)).unwrap()
}

/// Debian 13 with its `RabbitMQ`, made once and kept for the next run.
fn debian_root() -> PathBuf {
    let owner = fs::metadata("/proc/self").unwrap().uid();
    assert_eq!(owner, 0, "only root can make a root folder: run this test as root");
    let parent = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let root = parent.join("debian-rabbitmq");
    // One test makes it, the others wait.
    let lock = File::create(parent.join("debian-rabbitmq.lock")).unwrap();
    lock.lock().unwrap();
    if !root.exists() {
        let unfinished = parent.join("debian-rabbitmq.unfinished");
        let _ = fs::remove_dir_all(&unfinished);
        let made = Command::new("mmdebstrap")
            .args(["--variant=minbase", "--include=rabbitmq-server"])
            .args(["--dpkgopt=force-unsafe-io", "trixie"])
            .arg(&unfinished)
            .stdin(Stdio::null())
            .output();
        let made = made.unwrap_or_else(|error| panic!("mmdebstrap (the Debian package): {error}"));
        let said = String::from_utf8_lossy(&made.stderr);
        assert!(made.status.success(), "no Debian 13 with RabbitMQ from its mirror:\n{said}");
        fs::rename(&unfinished, &root).unwrap();
    }
    root
}
