//! mosquitto's own subscriber and publisher.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

pub use crate::common::free_port;
#[allow(unused_imports, reason = "tests/hostile needs no options")]
pub use crate::common::mosquitto::{BrokerOptions, Mosquitto};
pub use crate::common::waiting::{PATIENCE, eventually};

impl Mosquitto {
    pub async fn subscribe(&self, arguments: &[&str]) -> Subscriber {
        Subscriber::start(self.port, arguments).await
    }

    pub async fn publish(&self, arguments: &[&str]) {
        publish(self.port, arguments).await;
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
pub struct Received {
    pub topic: String,
    pub retained: bool,
    /// Seconds until the broker would have dropped it, as it was delivered.
    pub expiry: Option<u32>,
    /// Empty where it clears.
    pub payload: String,
}

impl Received {
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.payload).unwrap_or_else(|e| panic!("{e}: {self:?}"))
    }
}

/// A running `mosquitto_sub`; it reconnects by itself.
pub struct Subscriber {
    process: Child,
    said: mpsc::Receiver<Received>,
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
                    let message = Received {
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

    pub async fn next(&mut self) -> Received {
        timeout(PATIENCE, self.said.recv()).await.expect("a message").expect("a subscriber")
    }

    /// The next message on a topic that ends so; others are passed over.
    pub async fn next_on(&mut self, end: &str) -> Received {
        loop {
            let said = self.next().await;
            if said.topic.ends_with(end) {
                return said;
            }
        }
    }

    /// What comes within `time`; for "nothing more comes", which no event can tell.
    pub async fn within(&mut self, time: Duration) -> Vec<Received> {
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
