//! `grelot broker`: who may log in to the embedded broker.

use anyhow::Context as _;
use serde_json::json;

use super::{Exit, Global, print};
use crate::config::{self, BrokerLocation, Config};
use crate::mqtt::Role;
use crate::mqtt::broker::{Rights, rabbitmq, rmqtt};
use crate::mqtt::login;
use crate::mqtt::logins::Logins;
use crate::mqtt::topics::Topics;

/// Arguments of `grelot broker`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    sudo -u grelot grelot broker add tablet counter\n  \
    sudo -u grelot grelot broker add gateway till\n  \
    sudo -u grelot grelot broker list\n  \
    sudo -u grelot grelot broker remove counter\n  \
    grelot broker rules gateway till --user 42-till\n  \
    grelot broker rules gateway till --user 42-till --rabbitmq\n  \
    grelot broker rules gateway till --user 42-till --rmqtt\n  \
    grelot broker rules head-office fleet --all-stores\n\n\
    A running daemon knows a new login at once. What each role may do: docs/mqtt.md.")]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Makes a login and prints its password, once
    Add {
        /// gateway, tablet, head-office or reader
        role: Role,
        /// Username; for a gateway, its gateway.name
        name: String,
    },
    /// The logins and their roles
    List,
    /// Prints the access rules of a role, for a broker that several stores share: a mosquitto, a RabbitMQ or an
    /// rmqtt
    Rules {
        /// gateway, tablet, head-office or reader
        role: Role,
        /// For a gateway, its gateway.name
        name: String,
        /// Username at that broker, NAME where it is not given
        #[arg(long)]
        user: Option<String>,
        /// For the gateways of all stores; of head office alone
        #[arg(long)]
        all_stores: bool,
        /// As definitions of RabbitMQ, for `rabbitmqctl import_definitions`
        #[arg(long)]
        rabbitmq: bool,
        /// As rules of rmqtt-acl.toml, with a new random password
        #[arg(long, conflicts_with = "rabbitmq")]
        rmqtt: bool,
    },
    /// Removes a login; its connections can no longer do anything
    Remove {
        /// Username
        name: String,
    },
}

/// Runs the command.
///
/// # Errors
/// The configuration is wrong, the name or login is refused, or the state folder takes no change.
pub fn run(global: &Global, args: &Args) -> anyhow::Result<Exit> {
    let config = config::load_for_replay(&global.config)?;
    let logins = Logins::new(&config.state);
    let unusable = || format!("cannot use the state folder {}", config.state.display());
    match &args.action {
        Action::Add { role, name } => add(global, &config, &logins, *role, name),
        Action::Rules { role, name, user, all_stores, rabbitmq, rmqtt } => {
            anyhow::ensure!(
                !all_stores || *role == Role::HeadOffice,
                "--all-stores is for head-office"
            );
            let topics = Topics::of(config.store.id);
            let rights =
                if *all_stores { Rights::of_fleet() } else { Rights::of(*role, name, &topics) };
            let user = user.as_ref().unwrap_or(name);
            print(&if *rabbitmq {
                let ids = rabbitmq::client_ids(*role, name, user, &topics);
                serde_json::to_string_pretty(&rabbitmq::definitions(&rights, user, &ids))?
            } else if *rmqtt {
                let (ids, password) =
                    (rmqtt::client_ids(*role, name, user, &topics), login::random_token()?);
                rmqtt::rules(&rights, user, &password, ids.as_deref()).trim_end().to_owned()
            } else {
                rights.mosquitto(user).trim_end().to_owned()
            })?;
            Ok(Exit::Done)
        }
        Action::List => list(global, &logins).with_context(unusable),
        Action::Remove { name } => {
            anyhow::ensure!(
                logins.remove(name).with_context(unusable)?,
                "no login is called {name:?}"
            );
            Ok(Exit::Done)
        }
    }
}

fn add(
    global: &Global,
    config: &Config,
    logins: &Logins,
    role: Role,
    name: &str,
) -> anyhow::Result<Exit> {
    let BrokerLocation::Embedded(listen) = &config.broker.location else {
        anyhow::bail!(
            "broker.urls names another broker\n  hint: make the login there; \
             docs/mqtt.md has its access rules"
        );
    };
    let password = logins
        .add(role, name)
        .map_err(|error| anyhow::anyhow!("{error}").context("the login was not made"))?;
    if global.json {
        let login = json!({ "role": role, "username": name, "password": password.0 });
        print(&login.to_string())?;
    } else {
        print(&format!("broker    mqtt://{listen}"))?;
        print(&format!("username  {name}"))?;
        print(&format!("password  {}", password.0))?;
        print("The password is shown this once.")?;
    }
    Ok(Exit::Done)
}

fn list(global: &Global, logins: &Logins) -> anyhow::Result<Exit> {
    let logins = logins.list()?;
    for login in logins.iter() {
        print(&if global.json {
            json!({ "role": login.role, "username": login.name }).to_string()
        } else {
            format!("{:<12} {}", login.role.word(), login.name)
        })?;
    }
    if logins.is_empty() && !global.json {
        print("There is no login but the gateway's own.")?;
    }
    Ok(Exit::Done)
}
