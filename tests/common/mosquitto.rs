//! A real mosquitto on a free port.

use std::fmt::Write as _;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::free_port;
use super::waiting::eventually;

/// A broker; killed when dropped.
pub struct Mosquitto {
    pub port: u16,
    config: PathBuf,
    process: Option<Child>,
}

/// What a test needs beside a plain listener.
#[derive(Default)]
pub struct BrokerOptions<'a> {
    /// Username and password, instead of anonymous access.
    pub login: Option<(&'a str, &'a str)>,
    /// Folder with `ca.pem`, `broker.pem`, `broker.key`: TLS, with client certificates.
    pub tls: Option<&'a Path>,
    /// Keeps its state across a kill.
    pub durable: bool,
    /// Further lines of its configuration.
    pub lines: &'a str,
    /// Lines of its ACL file.
    pub access: Option<&'a str>,
    /// More users, all with the password of `login`.
    pub users: &'a [&'a str],
}

impl Mosquitto {
    pub fn start(dir: &Path, options: &BrokerOptions<'_>) -> Self {
        let port = free_port();
        let mut config = format!("listener {port} 127.0.0.1\nlog_type error\nlog_type warning\n");
        if let Some((username, password)) = options.login {
            let file = dir.join("passwords");
            let made = Command::new("mosquitto_passwd")
                .args(["-b", "-c"])
                .arg(&file)
                .args([username, password])
                .stderr(Stdio::null())
                .status();
            assert!(made.unwrap().success());
            for user in options.users {
                let mut more = Command::new("mosquitto_passwd");
                more.arg("-b").arg(&file).args([user, password]).stderr(Stdio::null());
                assert!(more.status().unwrap().success());
            }
            if let Some(access) = options.access {
                let rules = dir.join("access");
                std::fs::write(&rules, access).unwrap();
                writeln!(config, "acl_file {}", rules.display()).unwrap();
            }
            writeln!(config, "password_file {}\nallow_anonymous false", file.display()).unwrap();
        } else {
            config.push_str("allow_anonymous true\n");
        }
        if let Some(tls) = options.tls {
            for (key, file) in [("cafile", "ca"), ("certfile", "broker")] {
                writeln!(config, "{key} {}/{file}.pem", tls.display()).unwrap();
            }
            writeln!(config, "keyfile {}/broker.key", tls.display()).unwrap();
            config.push_str("require_certificate true\n");
        }
        if options.durable {
            writeln!(
                config,
                "persistence true\npersistence_location {}/\nautosave_on_changes true\nautosave_interval 1",
                dir.display()
            )
            .unwrap();
        }
        config.push_str(options.lines);
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
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        self.kill();
    }
}
