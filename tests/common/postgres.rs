//! A real PostgreSQL on a free port, with data of its own.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::free_port;
use super::waiting::eventually;

/// Of the database's owner.
pub const PASSWORD: &str = "pa:ss/wo@rd";

/// The same in a URL.
pub const ENCODED: &str = "pa%3Ass%2Fwo%40rd";

/// PostgreSQL does not run as root: this user runs it there.
const NOBODY: u32 = 65_534;

/// A server, which ends with the test.
pub struct Postgres {
    pub port: u16,
    folder: PathBuf,
    process: Option<Child>,
}

impl Postgres {
    /// With the certificate and key of `broker` in the folder `tls`, where there is one; `durable`
    /// writes reach the medium, as they do in a shop's head office.
    pub fn start(tls: Option<&Path>, durable: bool) -> Self {
        let folder = std::env::temp_dir().join(format!("grelot-postgres-{}", free_port()));
        fs::create_dir(&folder).unwrap();
        let mut postgres = Self { port: free_port(), folder, process: None };
        let password = postgres.file("password", PASSWORD);
        own(&postgres.folder);
        let made = postgres
            .command("initdb")
            .args(["--no-sync", "--encoding=UTF8", "--locale=C.UTF-8", "--username=fleet"])
            .args(["--auth=scram-sha-256", "--pwfile"])
            .arg(password)
            .arg(postgres.data())
            .output()
            .unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let mut settings = "shared_buffers = 128MB\nmax_connections = 50\n".to_owned();
        if !durable {
            settings.push_str("fsync = off\n");
        }
        if let Some(tls) = tls {
            for (from, to) in [("broker.pem", "server.crt"), ("broker.key", "server.key")] {
                postgres.file(to, &fs::read_to_string(tls.join(from)).unwrap());
            }
            settings.push_str("ssl = on\nssl_cert_file = '../server.crt'\n");
            settings.push_str("ssl_key_file = '../server.key'\nssl_ca_file = '../ca.pem'\n");
            postgres.file("ca.pem", &fs::read_to_string(tls.join("ca.pem")).unwrap());
            // One database asks for a client certificate.
            let hba = postgres.data().join("pg_hba.conf");
            let rule = "hostssl template1 all 127.0.0.1/32 scram-sha-256 clientcert=verify-ca\n";
            let rules = fs::read_to_string(&hba).unwrap();
            fs::write(hba, rule.to_owned() + &rules).unwrap();
        }
        fs::write(postgres.data().join("postgresql.auto.conf"), settings).unwrap();
        postgres.restart();
        postgres
    }

    /// Starts it again, on the same port with the same data.
    pub fn restart(&mut self) {
        // What was killed lives on for a moment in its children, which then keep the next one out.
        eventually("PostgreSQL answers", || {
            if self.process.as_mut().is_none_or(|one| !matches!(one.try_wait(), Ok(None))) {
                let log = fs::File::create(self.folder.join("log")).unwrap();
                let port = self.port.to_string();
                let mut command = self.command("postgres");
                command.arg("-D").arg(self.data()).args(["-p", &port]);
                command.args([
                    "-c",
                    "listen_addresses=127.0.0.1",
                    "-c",
                    "unix_socket_directories=",
                ]);
                command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
                self.process = Some(command.spawn().unwrap());
            }
            let mut ready = self.command("pg_isready");
            ready.args(["-q", "-h", "127.0.0.1", "-p", &self.port.to_string()]);
            ready.status().unwrap().success()
        });
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        let mut process = self.process.take().unwrap();
        process.kill().unwrap();
        process.wait().unwrap();
    }

    /// SIGINT: it rolls back what is open, and ends.
    pub fn stop(&mut self) {
        if self.process.is_some() {
            self.freeze(false);
        }
        let Some(mut process) = self.process.take() else { return };
        let _ = Command::new("kill").args(["-INT", &process.id().to_string()]).status();
        let _ = process.wait();
    }

    /// SIGSTOP and SIGCONT to it and its children: it keeps its connections and does not answer.
    pub fn freeze(&self, frozen: bool) {
        let parent = self.process.as_ref().unwrap().id().to_string();
        let children = Command::new("pgrep").args(["-P", &parent]).output().unwrap().stdout;
        let signal = if frozen { "-STOP" } else { "-CONT" };
        let mut command = Command::new("kill");
        command.args([signal, &parent]).args(String::from_utf8(children).unwrap().split('\n'));
        // A child may have ended meanwhile.
        let _ = command.stderr(Stdio::null()).status();
    }

    /// With the password in it.
    pub fn url(&self) -> String {
        format!("postgres://fleet:{ENCODED}@127.0.0.1:{}/postgres", self.port)
    }

    /// As it is shown.
    pub fn shown(&self) -> String {
        format!("postgres://fleet@127.0.0.1:{}/postgres", self.port)
    }

    /// Runs statements; returns the first value.
    pub fn sql(&self, text: &str) -> String {
        let mut command = self.command("psql");
        command.env("PGPASSWORD", PASSWORD).args(["-qAtX", "-v", "ON_ERROR_STOP=1"]);
        let ended = command.arg(self.shown()).args(["-c", text]).output().unwrap();
        assert!(ended.status.success(), "{text}: {}", String::from_utf8_lossy(&ended.stderr));
        String::from_utf8_lossy(&ended.stdout).trim().to_owned()
    }

    fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        own(&path);
        path
    }

    fn command(&self, name: &str) -> Command {
        let mut command = Command::new(binaries().join(name));
        command.current_dir(&self.folder).env("LC_ALL", "C.UTF-8");
        if rustix::process::getuid().is_root() {
            command.uid(NOBODY).gid(NOBODY);
        }
        command
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.stop();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Makes it the server's.
fn own(path: &Path) {
    if rustix::process::getuid().is_root() {
        chown(path, Some(NOBODY), Some(NOBODY)).unwrap();
    }
}

/// Debian's, of the newest version.
fn binaries() -> PathBuf {
    let versions =
        fs::read_dir("/usr/lib/postgresql").expect("PostgreSQL (Debian package postgresql)");
    let versions = versions.map(|version| version.unwrap().path().join("bin"));
    let versions = versions.filter(|bin| bin.join("postgres").exists());
    versions.max().expect("PostgreSQL (Debian package postgresql)")
}
