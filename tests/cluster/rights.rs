//! What logins of the cluster may do: the rights that `grelot broker rules` prints for RabbitMQ.

use std::fs;
use std::path::Path;

use crate::client::{Client, GRANTED, NOT_AUTHORIZED, SUCCESS};
use crate::office::{PASSWORD, grelot};

/// What a broker does for rights.
pub struct Engine {
    /// The argument of `grelot broker rules`.
    rules: &'static str,
    /// The reason code of what is refused.
    refusal: u8,
    /// Whether a login connects under its own client ids alone.
    checks_client_ids: bool,
}

#[allow(dead_code, reason = "tests/cluster/rmqtt uses the other one")]
pub const RABBITMQ: Engine =
    Engine { rules: "--rabbitmq", refusal: NOT_AUTHORIZED, checks_client_ids: false };

/// It refuses a subscription with "unspecified error", and closes the connection of who publishes.
#[allow(dead_code, reason = "tests/cluster uses the other one")]
pub const RMQTT: Engine = Engine { rules: "--rmqtt", refusal: 0x80, checks_client_ids: true };

/// The reason code of a message that is taken and delivered to no one.
const NO_SUBSCRIBERS: u8 = 0x10;

/// What `grelot broker rules` prints for an engine: of head office, the gateways and tablets of store 42,
/// and a gateway of store 43.
pub fn printed(folder: &Path, engine: &Engine) -> Vec<String> {
    let of = |store: u16, arguments: &str| {
        fs::write(folder.join("grelot.toml"), format!("[store]\nid = {store}\n")).unwrap();
        let arguments: Vec<&str> = ["--config", "grelot.toml", "broker", "rules"]
            .into_iter()
            .chain(arguments.split(' '))
            .chain([engine.rules])
            .collect();
        let output = grelot(folder, &arguments);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    vec![
        of(42, "head-office head-office --all-stores"),
        of(42, "gateway door --user 42-door"),
        of(42, "gateway till --user 42-till"),
        of(42, "tablet counter --user 42-tablet"),
        of(43, "gateway door --user 43-door"),
    ]
}

fn connect(port: u16, id: &str, user: &str) -> Client {
    Client::log_in(port, id, (user, PASSWORD)).unwrap().unwrap_or_else(|code| {
        panic!("{user} is refused as {id}: {code:#x}");
    })
}

impl Engine {
    /// It says so, or closes the connection.
    fn refuses(&self, answer: std::io::Result<u8>) -> bool {
        answer.map_or(true, |code| code == self.refusal)
    }

    /// A login does not get the session of the gateway `42-door`.
    fn keeps_sessions_apart(&self, port: u16, user: &str, own: &str) {
        let other = Client::log_in(port, "grelot-42-door", (user, PASSWORD)).unwrap();
        if self.checks_client_ids {
            assert_eq!(other.err(), Some(NOT_AUTHORIZED), "{user}");
        } else {
            assert!(self.refuses(other.ok().unwrap().subscribe(own)), "{user}");
        }
    }
}

pub fn a_stolen_tablet_reads_no_claims(engine: &Engine, port: u16) {
    let stolen = || connect(port, "42-tablet", "42-tablet");
    assert_eq!(stolen().subscribe("grelot/v1/42/visits/+").unwrap(), GRANTED);
    for filter in ["grelot/v1/42/visits/#", "grelot/v1/42/visits/+/claim", "grelot/v1/42/#"] {
        assert!(engine.refuses(stolen().subscribe(filter)), "{filter}");
    }
    engine.keeps_sessions_apart(port, "42-tablet", "grelot/v1/42/visits/+");
}

pub fn a_stolen_login_reads_and_writes_its_own_store_alone(engine: &Engine, port: u16) {
    let stolen = || connect(port, "grelot-43-door", "43-door");
    let mut own = stolen();
    assert_eq!(own.subscribe("grelot/v1/43/#").unwrap(), GRANTED);
    assert_eq!(own.subscribe("grelot/v1/config/group/north").unwrap(), GRANTED);
    for below in ["arrivals", "visits/6d0b", "gateways/door/status", "gateways/door/reports"] {
        let topic = format!("grelot/v1/43/{below}");
        let code = stolen().publish(&topic, b"{}", false).unwrap();
        assert!([SUCCESS, NO_SUBSCRIBERS].contains(&code), "{topic}: {code:#x}");
        let topic = format!("grelot/v1/42/{below}");
        assert!(engine.refuses(stolen().publish(&topic, b"{}", false)), "{topic}");
    }
    for filter in ["#", "grelot/#", "grelot/v1/#", "grelot/v1/+/arrivals", "grelot/v1/42/visits/+"]
    {
        assert!(engine.refuses(stolen().subscribe(filter)), "{filter}");
    }
    for topic in [
        "grelot/v1/43/config",
        "grelot/v1/43/withdrawn/c-1",
        "grelot/v1/43/gateways/till/status",
        "grelot/v1/43/gateways/door/config",
        "grelot/v1/config/fleet",
        "grelot/v1/42/withdrawn/c-1",
    ] {
        assert!(engine.refuses(stolen().publish(topic, b"{}", false)), "{topic}");
    }
    engine.keeps_sessions_apart(port, "43-door", "grelot/v1/43/#");

    let mut office = connect(port, "grelot-fleet-0123456789abcdef", "head-office");
    assert_eq!(office.subscribe("grelot/v1/+/gateways/+/health").unwrap(), GRANTED);
    let code = office.publish("grelot/v1/config/fleet", b"", false).unwrap();
    assert!([SUCCESS, NO_SUBSCRIBERS].contains(&code), "{code:#x}");
    assert!(engine.refuses(office.publish("grelot/v1/42/arrivals", b"{}", false)));
}
