//! The network: the broker answers and lets this gateway in; the page's port is free.

use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use super::daemon::Daemon;
use super::{Finding, Verdict};
use crate::commands::run::runtime;
use crate::config::{BrokerLocation, BrokerUrl, Config};
use crate::daemon::status::{HELD_BACK_HINT, Snapshot};
use crate::mqtt::client::Peer;
use crate::mqtt::link::{ConnectOptions, ConnectionEvent, Disconnect, Link};
use crate::mqtt::logins::Logins;

/// Name resolution, TCP, TLS and MQTT together.
const PATIENCE: Duration = Duration::from_secs(8);

/// Whether the broker can be used: an embedded one's port, an external one by logging in.
pub(super) fn broker(config: &Config, daemon: Daemon) -> Finding {
    let about = "broker";
    if let BrokerLocation::Embedded(listen) = &config.broker.location {
        let port = port(about, "broker.listen", *listen, daemon);
        let found = match daemon {
            Daemon::Runs if port.verdict == Verdict::Ok => of_daemon(about, port, config),
            _ => port,
        };
        return separate_logins(found, *listen, &Logins::new(&config.state));
    }
    let peer = match Peer::configured(config) {
        Ok(peer) => peer,
        Err(error) => return Finding::fail(about, error.to_string(), "see [tls]"),
    };
    let Ok(runtime) = runtime() else {
        return Finding::warn(about, "cannot be tried on this machine", "see ulimit -n");
    };
    let answers: Vec<_> =
        peer.brokers.iter().map(|url| (url, runtime.block_on(log_in(url, &peer)))).collect();
    let well = answers.iter().filter(|(_, answer)| is_usable(answer)).count();
    let lines: Vec<String> = answers.iter().map(|(url, answer)| tell(url, answer)).collect();
    let says = lines.join("; ");
    match well {
        0 => Finding::fail(about, says, remedy(&answers)),
        _ if well < answers.len() => Finding::warn(about, says, remedy(&answers)),
        _ => of_abilities(
            about,
            says,
            &answers,
            crate::commands::status::snapshot(&config.state).ok(),
        ),
    }
}

/// Abilities that the broker lacks: what it declares itself, and what a running daemon has found
/// out.
fn of_abilities(
    about: &'static str,
    says: String,
    answers: &[(&BrokerUrl, Result<(), Disconnect>)],
    daemon: Option<Snapshot>,
) -> Finding {
    let mut found = daemon.map(|daemon| daemon.broker.abilities).unwrap_or_default();
    if answers.iter().any(|(_, answer)| answer.is_err()) {
        (found.retain, found.wildcard) = (Some(false), Some(false));
    }
    let missing = found.missing();
    if found.holds_back() {
        let held = format!("{says}; withdrawals of consent are not known: alerts are held back");
        return Finding::fail(about, held, HELD_BACK_HINT);
    }
    if missing.is_empty() {
        return Finding::ok(about, says);
    }
    let lines = missing.iter().map(|(what, cost)| format!("it {what}: {cost}"));
    let says = format!("{says}; {}", lines.collect::<Vec<_>>().join("; "));
    Finding::warn(about, says, "see \"For operators of the broker\" in docs/mqtt.md")
}

/// Warns where clients of other machines can only use the login that may do everything.
fn separate_logins(found: Finding, listen: SocketAddr, logins: &Logins) -> Finding {
    let has_logins = !logins.list().is_ok_and(|logins| logins.is_empty());
    if found.verdict != Verdict::Ok || listen.ip().is_loopback() || has_logins {
        return found;
    }
    let says = format!("{}; its one login may read and publish everything", found.says);
    let remedy = "make a login for each client: grelot broker add tablet till-1 (also gateway, \
                  head-office, reader)";
    Finding::warn(found.about, says, remedy)
}

/// Whether the daemon is connected to the broker in its own process.
fn of_daemon(about: &'static str, port: Finding, config: &Config) -> Finding {
    let restart = "sudo systemctl restart grelot, and see its log";
    match crate::commands::status::snapshot(&config.state) {
        Ok(daemon) if daemon.broker.connected => port,
        Ok(daemon) => {
            let why = daemon.broker.problem.unwrap_or_else(|| "no connection yet".to_owned());
            let says = format!("the daemon cannot use its own broker: {why}");
            Finding::fail(about, says, restart)
        }
        Err(error) => Finding::warn(about, format!("{}; {error}", port.says), restart),
    }
}

/// Whether alerts reach staff over it.
const fn is_usable(answer: &Result<(), Disconnect>) -> bool {
    matches!(answer, Ok(()) | Err(Disconnect::WithoutRetain))
}

fn tell(url: &BrokerUrl, answer: &Result<(), Disconnect>) -> String {
    let scheme = if url.tls { "mqtts" } else { "mqtt" };
    let says = match answer {
        Ok(()) => "lets this gateway in",
        Err(down) => down.reason(),
    };
    format!("{scheme}://{}:{} {says}", url.host, url.port)
}

fn remedy(answers: &[(&BrokerUrl, Result<(), Disconnect>)]) -> &'static str {
    let refused = |answer: &Result<(), Disconnect>| matches!(answer, Err(Disconnect::Refused(_)));
    if answers.iter().any(|(_, answer)| refused(answer)) {
        "see broker.username, broker.password_file and [tls], and the broker's own log"
    } else {
        "see broker.urls, the network and its firewall, and whether the broker runs"
    }
}

/// Logs in under a client id of its own: with the daemon's it would end the daemon's connection.
async fn log_in(broker: &BrokerUrl, peer: &Peer) -> Result<(), Disconnect> {
    let mut identity = peer.identity.clone();
    identity.client_id.push_str("-doctor");
    let mut link = Link::<()>::connect(broker, &identity, ConnectOptions::default());
    let welcome = async {
        loop {
            match link.next_event().await {
                ConnectionEvent::Connected if link.retains() => return Ok(()),
                ConnectionEvent::Connected => return Err(Disconnect::WithoutRetain),
                ConnectionEvent::Disconnected(down) => return Err(down),
                _ => {}
            }
        }
    };
    let timed_out = || Err(Disconnect::Unreachable("does not answer".to_owned()));
    let welcome = tokio::time::timeout(PATIENCE, welcome).await.unwrap_or_else(|_| timed_out());
    if welcome.is_ok() {
        link.disconnect();
        let _ = tokio::time::timeout(PATIENCE, link.next_event()).await;
    }
    welcome
}

/// Whether the page can be served.
pub(super) fn page(config: &Config, daemon: Daemon) -> Option<Finding> {
    let tablets = config.tablets.as_ref()?;
    Some(port("page", "tablets.listen", tablets.listen, daemon))
}

/// Whether a port is the daemon's, or free for it.
fn port(about: &'static str, key: &str, listen: SocketAddr, daemon: Daemon) -> Finding {
    match (TcpListener::bind(listen), daemon) {
        (Ok(_), Daemon::Runs) => {
            let remedy = format!("see the daemon's log, and whether {key} changed since its start");
            Finding::warn(about, format!("the daemon runs and does not listen on {listen}"), remedy)
        }
        (Ok(_), _) => Finding::ok(about, format!("{listen} is free")),
        (Err(_), Daemon::Runs) => Finding::ok(about, format!("served on {listen}")),
        (Err(error), Daemon::Hidden) => {
            Finding::warn(about, format!("{listen}: {error}"), "sudo grelot doctor")
        }
        (Err(error), Daemon::DoesNot) => {
            let remedy = format!("take another port in {key}; `sudo ss -ltnp` shows who has this");
            Finding::fail(about, format!("{listen}: {error}"), remedy)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mqtt::Role;

    #[test]
    fn one_login_for_all_clients_is_worth_a_warning() {
        let state = tempfile::tempdir().unwrap();
        let logins = Logins::new(state.path());
        let verdict = |listen: &str| {
            let found = Finding::ok("broker", "served");
            separate_logins(found, listen.parse().unwrap(), &logins).verdict
        };
        assert_eq!(verdict("0.0.0.0:1883"), Verdict::Warn);
        assert_eq!(verdict("127.0.0.1:1883"), Verdict::Ok, "only programs of this machine");
        logins.add(Role::Tablet, "till-1").unwrap();
        assert_eq!(verdict("0.0.0.0:1883"), Verdict::Ok);
    }
}
