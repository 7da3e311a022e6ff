//! The rights of a role as RabbitMQ's definitions, which `rabbitmqctl import_definitions` takes.
//!
//! RabbitMQ writes a topic with dots for slashes and `*` for `+`, compares a subscription's filter
//! with a regular expression as it does a topic, and has a queue for each subscription, whose name
//! contains the client's id.

use serde_json::{Value, json};

use super::rights::Rights;
use crate::mqtt::role::Role;
use crate::mqtt::topics::Topics;

/// Which client ids a login may use, as a regular expression: another's subscriptions are refused.
pub fn client_ids(role: Role, name: &str, user: &str, topics: &Topics) -> String {
    match role {
        // Its line to the shop's own broker, and to head office's.
        Role::Gateway => topics.client_id(&escaped(name)) + "(-office)?",
        // The commands' own.
        Role::HeadOffice => "grelot-[a-z]+-[0-9a-f]{16}".to_owned(),
        Role::Tablet | Role::Reader => format!("{}[^.]*", escaped(user)),
    }
}

/// Permissions and topic permissions of `user` in the virtual host `/`.
pub fn definitions(rights: &Rights, user: &str, client_ids: &str) -> Value {
    let queues = format!("mqtt-(subscription|will)-{client_ids}(qos[01])?");
    let with_exchange = format!("^({queues}|amq\\.topic)$");
    json!({
        "permissions": [{
            "user": user, "vhost": "/",
            "configure": format!("^{queues}$"),
            "write": with_exchange,
            "read": with_exchange,
        }],
        "topic_permissions": [{
            "user": user, "vhost": "/", "exchange": "amq.topic",
            "write": any_of(rights.writes()),
            "read": any_of(rights.reads()),
        }],
    })
}

/// What every topic, and every filter, matches that one of the filters covers.
fn any_of(filters: &[String]) -> String {
    let filters: Vec<String> = filters.iter().map(|filter| expression(filter)).collect();
    format!("^({})$", filters.join("|"))
}

fn expression(filter: &str) -> String {
    let mut expression = String::new();
    for (place, level) in filter.split('/').enumerate() {
        let dot = if place == 0 { "" } else { "\\." };
        match level {
            "#" if place == 0 => expression.push_str(".*"),
            "#" => expression.push_str("(\\..*)?"),
            // Covers `+` and no `#`.
            "+" => expression.push_str(&format!("{dot}[^.#]+")),
            level => expression.push_str(&format!("{dot}{}", escaped(level))),
        }
    }
    expression
}

/// A dot within a level is a slash there.
fn escaped(level: &str) -> String {
    let mut escaped = String::new();
    for c in level.chars() {
        match c {
            '.' => escaped.push('/'),
            c if c.is_alphanumeric() || matches!(c, '-' | '_' | ' ') => escaped.push(c),
            c => escaped.extend(['\\', c]),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_become_expressions() {
        for (filter, expected) in [
            ("grelot/v1/42/#", r"grelot\.v1\.42(\..*)?"),
            ("grelot/v1/42/visits/+/claim", r"grelot\.v1\.42\.visits\.[^.#]+\.claim"),
            ("grelot/v1/42/contacts/a.b$", r"grelot\.v1\.42\.contacts\.a/b\$"),
            ("#", ".*"),
        ] {
            assert_eq!(expression(filter), expected);
        }
    }

    #[test]
    fn a_gateway_has_its_own_queues_and_the_exchange() {
        let topics = Topics::of(42);
        let ids = client_ids(Role::Gateway, "door", "42-door", &topics);
        let rights = Rights::of(Role::Gateway, "door", &topics);
        let definitions = definitions(&rights, "42-door", &ids);
        let of = |key: &str| definitions["permissions"][0][key].as_str().unwrap().to_owned();
        assert_eq!(
            of("configure"),
            "^mqtt-(subscription|will)-grelot-42-door(-office)?(qos[01])?$"
        );
        assert!(of("read").contains(r"amq\.topic"));
        let read = definitions["topic_permissions"][0]["read"].as_str().unwrap();
        assert_eq!(read, r"^(grelot\.v1\.42(\..*)?|grelot\.v1\.config(\..*)?)$");
    }
}
