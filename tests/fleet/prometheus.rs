//! A real Prometheus, and promtool.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::common::free_port;
use crate::common::process::Running;
use crate::common::waiting::eventually;
use crate::http;

/// The example files for monitoring.
pub fn example(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/examples/prometheus").join(file)
}

/// `promtool …` with that input; it must find nothing wrong.
pub fn promtool(arguments: &[&str], input: &str) {
    let mut process = Command::new("promtool")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool (Debian package prometheus)");
    process.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let ended = process.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&[ended.stdout, ended.stderr].concat()).into_owned();
    assert!(ended.status.success(), "promtool {arguments:?}: {said}");
}

/// A Prometheus that scrapes every second.
pub struct Prometheus {
    port: u16,
    _process: Running,
}

impl Prometheus {
    /// Of these targets, with the alert rules of the examples.
    pub fn start(folder: &Path, targets: &[String]) -> Self {
        let rules = example("alerts.yml");
        let config = format!(
            "global:\n  scrape_interval: 1s\n  evaluation_interval: 1s\nrule_files: [\"{}\"]\n\
             scrape_configs:\n  - job_name: grelot\n    static_configs:\n      - targets: {targets:?}\n",
            rules.display()
        );
        let path = folder.join("prometheus.yml");
        fs::write(&path, config).unwrap();
        let port = free_port();
        let log = fs::File::create(folder.join("prometheus.log")).unwrap();
        let process = Command::new("prometheus")
            .arg(format!("--config.file={}", path.display()))
            .arg(format!("--storage.tsdb.path={}", folder.join("tsdb").display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("prometheus (the Debian package)");
        let prometheus = Self { port, _process: Running(process) };
        eventually("Prometheus is ready", || {
            http::request(port, "GET", "/-/ready", &[("Host", "127.0.0.1")], "")
                .is_ok_and(|answer| answer.status == 200)
        });
        prometheus
    }

    /// `data` of what it answers.
    pub fn get(&self, path: &str) -> Value {
        self.ask(&[path])
    }

    /// The series that an expression has now.
    pub fn query(&self, expression: &str) -> Vec<Value> {
        let query = format!("query={expression}");
        let answer = self.ask(&["/api/v1/query", "--get", "--data-urlencode", &query]);
        answer["result"].as_array().unwrap().clone()
    }

    fn ask(&self, arguments: &[&str]) -> Value {
        let url = format!("http://127.0.0.1:{}{}", self.port, arguments[0]);
        let mut curl = Command::new("curl");
        let answer = curl.args(["-sS", &url]).args(&arguments[1..]).output().unwrap();
        let answer: Value = serde_json::from_slice(&answer.stdout).unwrap();
        assert_eq!(answer["status"], "success", "{arguments:?}: {answer}");
        answer["data"].clone()
    }
}
