//! A real mosquitto on a free port, and its own subscriber and publisher.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

/// Longer than anything here takes; what it guards has failed when it is reached.
pub const PATIENCE: Duration = Duration::from_secs(20);

pub use crate::common::free_port;

/// Looks again and again until `found` says so.
pub fn eventually(what: &str, mut found: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !found() {
        assert!(begun.elapsed() < PATIENCE, "never happened: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A broker; killed when dropped.
pub struct Mosquitto {
    pub port: u16,
    config: PathBuf,
    process: Option<Child>,
}

/// What a test wants of its broker beside a plain listener.
#[derive(Default)]
pub struct Wishes<'a> {
    /// Username and password, instead of anybody.
    pub login: Option<(&'a str, &'a str)>,
    /// Folder with `ca.pem`, `broker.pem`, `broker.key`: TLS, with client certificates.
    pub tls: Option<&'a Path>,
    /// Keeps what it holds across a kill.
    pub durable: bool,
    /// Further lines of its configuration.
    pub lines: &'a str,
    /// Access rules.
    pub access: Option<&'a str>,
    /// More users, all with the password of `login`.
    pub users: &'a [&'a str],
}

impl Mosquitto {
    pub fn start(dir: &Path, wishes: &Wishes<'_>) -> Self {
        let port = free_port();
        let mut config = format!("listener {port} 127.0.0.1\nlog_type error\nlog_type warning\n");
        if let Some((username, password)) = wishes.login {
            let file = dir.join("passwords");
            let made = Command::new("mosquitto_passwd")
                .args(["-b", "-c"])
                .arg(&file)
                .args([username, password])
                .stderr(Stdio::null())
                .status();
            assert!(made.unwrap().success());
            for user in wishes.users {
                let mut more = Command::new("mosquitto_passwd");
                more.arg("-b").arg(&file).args([user, password]).stderr(Stdio::null());
                assert!(more.status().unwrap().success());
            }
            if let Some(access) = wishes.access {
                let rules = dir.join("access");
                std::fs::write(&rules, access).unwrap();
                writeln!(config, "acl_file {}", rules.display()).unwrap();
            }
            writeln!(config, "password_file {}\nallow_anonymous false", file.display()).unwrap();
        } else {
            config.push_str("allow_anonymous true\n");
        }
        if let Some(tls) = wishes.tls {
            for (key, file) in [("cafile", "ca"), ("certfile", "broker")] {
                writeln!(config, "{key} {}/{file}.pem", tls.display()).unwrap();
            }
            writeln!(config, "keyfile {}/broker.key", tls.display()).unwrap();
            config.push_str("require_certificate true\n");
        }
        if wishes.durable {
            writeln!(
                config,
                "persistence true\npersistence_location {}/\nautosave_on_changes true\nautosave_interval 1",
                dir.display()
            )
            .unwrap();
        }
        config.push_str(wishes.lines);
        // Run by root it would drop to a user who cannot read the test's folder.
        config.push_str("user root\n");
        let path = dir.join("mosquitto.conf");
        std::fs::write(&path, config).unwrap();
        let mut mosquitto = Self { port, config: path, process: None };
        mosquitto.restart();
        mosquitto
    }

    /// Starts it again, on the same port with the same files.
    pub fn restart(&mut self) {
        let log = std::fs::File::create(self.config.with_extension("log")).unwrap();
        let process = Command::new("mosquitto")
            .arg("-c")
            .arg(&self.config)
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("mosquitto is installed");
        self.process = Some(process);
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, self.port));
        eventually("mosquitto listens", || TcpStream::connect(address).is_ok());
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().unwrap();
            process.wait().unwrap();
        }
    }

    pub async fn subscribe(&self, arguments: &[&str]) -> Subscriber {
        Subscriber::start(self.port, arguments).await
    }

    pub async fn publish(&self, arguments: &[&str]) {
        publish(self.port, arguments).await;
    }
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        self.kill();
    }
}

/// `mosquitto_pub` on that port.
pub async fn publish(port: u16, arguments: &[&str]) {
    let mut command = Command::new("mosquitto_pub");
    command
        .args(["-V", "5", "-h", "127.0.0.1", "-q", "1", "-p", &port.to_string()])
        .args(arguments);
    let status = tokio::task::spawn_blocking(move || command.status()).await.unwrap();
    assert!(status.unwrap().success());
}

/// One message as `mosquitto_sub` prints it.
#[derive(Debug, Clone, PartialEq)]
pub struct Said {
    pub topic: String,
    pub retained: bool,
    /// Seconds until the broker would have dropped it, as it was delivered.
    pub expiry: Option<u32>,
    /// Empty where it clears.
    pub payload: String,
}

impl Said {
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.payload).unwrap_or_else(|e| panic!("{e}: {self:?}"))
    }
}

/// A running `mosquitto_sub`; it reconnects by itself.
pub struct Subscriber {
    process: Child,
    said: mpsc::Receiver<Said>,
}

impl Subscriber {
    pub async fn start(port: u16, arguments: &[&str]) -> Self {
        // `-d` prints when the subscription stands, so that nothing has to be slept for; printed
        // to a pipe, that line would wait in a buffer.
        let mut process = Command::new("stdbuf")
            .args([
                "-oL",
                "mosquitto_sub",
                "-V",
                "5",
                "-h",
                "127.0.0.1",
                "-q",
                "1",
                "-p",
                &port.to_string(),
            ])
            .args(["-d", "-F", "\x01%r\x01%E\x01%t\x01%p"])
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .expect("mosquitto-clients is installed");
        let out = BufReader::new(process.stdout.take().unwrap());
        let (sender, said) = mpsc::channel(100_000);
        let (stands, standing) = oneshot::channel();
        let mut stands = Some(stands);
        std::thread::spawn(move || {
            for line in out.lines().map_while(Result::ok) {
                if line.starts_with("Subscribed") {
                    stands.take().map(|stands| stands.send(()));
                } else if let Some(line) = line.strip_prefix('\x01') {
                    let fields: Vec<&str> = line.splitn(4, '\x01').collect();
                    let message = Said {
                        retained: fields[0] == "1",
                        expiry: fields[1].parse().ok(),
                        topic: fields[2].to_owned(),
                        payload: fields[3].to_owned(),
                    };
                    if sender.blocking_send(message).is_err() {
                        break;
                    }
                }
            }
        });
        let subscriber = Self { process, said };
        timeout(PATIENCE, standing).await.expect("the subscription stands").unwrap();
        subscriber
    }

    /// The next message.
    pub async fn next(&mut self) -> Said {
        timeout(PATIENCE, self.said.recv()).await.expect("a message").expect("a subscriber")
    }

    /// The next message on a topic that ends so; others are passed over.
    pub async fn next_on(&mut self, end: &str) -> Said {
        loop {
            let said = self.next().await;
            if said.topic.ends_with(end) {
                return said;
            }
        }
    }

    /// What comes within `time`; for "nothing more comes", which no event can tell.
    pub async fn within(&mut self, time: Duration) -> Vec<Said> {
        let mut said = Vec::new();
        let end = tokio::time::Instant::now() + time;
        while let Ok(Some(message)) = tokio::time::timeout_at(end, self.said.recv()).await {
            said.push(message);
        }
        said
    }
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
