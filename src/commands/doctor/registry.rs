//! The registry: as the daemon has it in force, else as its file is.

use super::{Finding, Verdict};
use crate::commands::registry;
use crate::config::{Config, Problems};
use crate::daemon::status::Snapshot;
use crate::payload::RegistryHealth;

const ABOUT: &str = "registry";

/// Whether any customer can be recognised.
pub(super) fn finding(config: &Config, running: Option<&Snapshot>) -> Finding {
    match running {
        Some(snapshot) => in_force(&snapshot.registry),
        None => of_file(config),
    }
}

fn in_force(registry: &RegistryHealth) -> Finding {
    let mut says = format!("{} customers", registry.customers);
    if let Some(expires) = &registry.expires_at {
        says += &format!(", counts until {expires}");
    }
    if let Some(trouble) = &registry.trouble {
        let verdict = if registry.customers == 0 { Verdict::Fail } else { Verdict::Warn };
        let remedy =
            Some("bring a newer bundle of head office: docs/install.md, Customers".to_owned());
        return Finding { about: ABOUT, verdict, says: format!("{says}; {trouble}"), remedy };
    }
    match (registry.customers, registry.refused_lines) {
        (0, 0) => Finding::warn(ABOUT, says, "grelot check says why no customer is recognised"),
        (_, 0) => Finding::ok(ABOUT, says),
        (_, lines) => {
            Finding::warn(ABOUT, format!("{says}, {lines} lines refused"), "grelot check")
        }
    }
}

fn of_file(config: &Config) -> Finding {
    let Some(path) = &config.registry else {
        return match &config.bundles.url {
            Some(url) => Finding::warn(
                ABOUT,
                format!("comes from {url} once the daemon runs"),
                "sudo systemctl start grelot",
            ),
            None => Finding::warn(
                ABOUT,
                "none is configured: no customer is recognised",
                "name the customers' file in registry.path",
            ),
        };
    };
    let mut problems = Problems::default();
    let customers = registry::look(config, &mut problems);
    let says = match customers {
        Some(customers) => format!("{}: {customers} customers", path.display()),
        None => format!("{}: not loaded", path.display()),
    };
    match (customers, problems.errors() + problems.warnings()) {
        (None, _) => Finding::fail(ABOUT, says, "grelot check"),
        (Some(_), 0) => Finding::ok(ABOUT, says),
        (Some(_), worth_a_look) => {
            Finding::warn(ABOUT, format!("{says}, {worth_a_look} problems"), "grelot check")
        }
    }
}
