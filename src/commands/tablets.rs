//! `grelot tablets`: pairs, lists and revokes tablets.

use std::io;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde_json::json;

use super::invitation::{invitation, with_code};
use super::{Exit, Global, demo, print, qr, status};
use crate::clock::Clocks;
use crate::config;
use crate::tablets::pairing::{CODE_LIVES, Pairings, RevokeError};
use crate::tablets::{Pairing, first_name, page_urls};

/// Arguments of `grelot tablets`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    sudo -u grelot grelot tablets pair\n  \
    sudo -u grelot grelot tablets list\n  \
    sudo -u grelot grelot tablets revoke 3f9a12cc\n  \
    sudo -u grelot grelot tablets add Kiosk\n  \
    grelot tablets pair --demo\n\n\
    A page on a loopback address, such as the demo's, needs no pairing.")]
pub struct Args {
    #[command(subcommand)]
    action: Action,
    /// Of the demo that runs on this machine, instead of --config
    #[arg(long, global = true)]
    demo: bool,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Makes a pairing code: scan or type it with one tablet within ten minutes
    Pair,
    /// Pairs another app, such as a kiosk or a till, and prints its MQTT address and token, once
    Add {
        /// Its name: it claims customers under it
        name: String,
    },
    /// Prints the link and QR code with which the customers' app checks in at the entrance
    Entrance,
    /// Lists the paired tablets, the oldest first
    List,
    /// Revokes a tablet's access, within seconds
    Revoke {
        /// The id that `list` shows, or its beginning
        id: String,
    },
}

/// The page that tablets are paired with.
struct Page {
    state: PathBuf,
    /// Where tablets open it; empty where none is served.
    urls: Vec<String>,
    /// `None` where none is served.
    pairing: Option<Pairing>,
}

/// Runs the command.
///
/// # Errors
/// The configuration is wrong, the state folder cannot be used, or no paired tablet has that id.
pub fn run(global: &Global, args: &Args) -> anyhow::Result<Exit> {
    let page = match (args.demo, Page::configured(global)) {
        (true, _) => Page::of_demo()?,
        // Nothing is set up here: the demo that runs is meant, if one does.
        (false, Err(error)) if !global.config.exists() => Page::of_demo().map_err(|_| error)?,
        (false, page) => page?,
    };
    let pairings = Pairings::new(&page.state);
    let done = match &args.action {
        Action::Pair => pair(global, &pairings, &page),
        Action::Add { name } => add(global, &pairings, &page, name),
        Action::Entrance => entrance(global, &page),
        Action::List => list(global, &pairings),
        Action::Revoke { id } => match revoke(global, &pairings, id) {
            Err(RevokeError::Storage(error)) => Err(error.into()),
            Err(unclear) => anyhow::bail!("{unclear}"),
            Ok(exit) => Ok(exit),
        },
    };
    done.map_err(|error| explained(&error, &page.state))
}

impl Page {
    fn configured(global: &Global) -> anyhow::Result<Self> {
        let config = config::load_for_replay(&global.config)?;
        let tablets = config.tablets.as_ref();
        let secure = config.tls.certificate.is_some();
        let urls = tablets.map(|page| page_urls(page.listen, secure, page.address.as_ref()));
        let pairing = tablets.map(|page| Pairing::for_address(page.listen));
        Ok(Self { state: config.state, urls: urls.unwrap_or_default(), pairing })
    }

    fn of_demo() -> anyhow::Result<Self> {
        let running = demo::folders().into_iter().find_map(|state| {
            let snapshot = status::snapshot(&state).ok()?;
            Some((state, snapshot))
        });
        let (state, snapshot) =
            running.context("no demo runs on this machine\n  hint: grelot demo")?;
        let pairing = if snapshot.tablets.pairing { Pairing::Required } else { Pairing::NotNeeded };
        Ok(Self { state, urls: snapshot.tablets.urls, pairing: Some(pairing) })
    }
}

fn pair(global: &Global, pairings: &Pairings, page: &Page) -> anyhow::Result<Exit> {
    let code = pairings.issue(Clocks::machine().now().clock.reading())?;
    if global.json {
        let valid_s = CODE_LIVES.as_secs();
        let url = page.urls.first().map(|url| with_code(url, &code));
        let says = json!({ "code": code.digits, "valid_s": valid_s, "url": url,
                           "addresses": page.urls });
        print(&says.to_string())?;
        return Ok(Exit::Done);
    }
    print(&invitation(&page.urls, &code))?;
    match page.pairing {
        Some(Pairing::NotNeeded) => print(
            "The page is on a loopback address: only this machine reaches it, without pairing. For \
             tablets, set tablets.listen (grelot demo: --listen 0.0.0.0:7373).",
        )?,
        None => print("No page is served: set tablets.listen, such as \"0.0.0.0:8443\".")?,
        Some(Pairing::Required) => {}
    }
    Ok(Exit::Done)
}

fn add(global: &Global, pairings: &Pairings, page: &Page, name: &str) -> anyhow::Result<Exit> {
    let name = first_name(name)
        .context("a name has 1 to 40 characters, none of them invisible: it is shown to staff")?;
    let token = pairings.add(Clocks::machine().now().clock.reading(), &name)?;
    let urls: Vec<String> =
        page.urls.iter().map(|url| format!("ws{}mqtt", url.trim_start_matches("http"))).collect();
    if global.json {
        let says = json!({ "url": urls.first(), "addresses": urls, "username": name,
                           "password": token.as_str() });
        print(&says.to_string())?;
        return Ok(Exit::Done);
    }
    urls.iter().try_for_each(|url| print(&format!("url       {url}")))?;
    print(&format!("username  {name}\npassword  {}", token.as_str()))?;
    print("The password is shown this once. Topics and rights: docs/mqtt.md.")?;
    Ok(Exit::Done)
}

/// The app appends the customer's token.
fn entrance(global: &Global, page: &Page) -> anyhow::Result<Exit> {
    let url = page.urls.first().context("no page is served\n  hint: set tablets.listen")?;
    let link = format!("{url}here/");
    if global.json {
        print(&json!({ "url": link }).to_string())?;
    } else {
        print(&qr::code(&link).unwrap_or_default())?;
        print(&format!(
            "{link}\nFor the entrance; the app appends the customer's token. It counts with tablets.entrance = true."
        ))?;
    }
    Ok(Exit::Done)
}

fn list(global: &Global, pairings: &Pairings) -> anyhow::Result<Exit> {
    let tablets = pairings.list()?;
    for tablet in &tablets {
        let paired_at = tablet.paired_at.to_string();
        print(&if global.json {
            json!({ "id": tablet.id, "label": tablet.label, "paired_at": paired_at }).to_string()
        } else {
            let name = if tablet.label.is_empty() { "(no name)" } else { &tablet.label };
            format!("{}  {paired_at}  {name}", tablet.id)
        })?;
    }
    if tablets.is_empty() && !global.json {
        print("No tablet is paired.")?;
    }
    Ok(Exit::Done)
}

fn revoke(global: &Global, pairings: &Pairings, id: &str) -> Result<Exit, RevokeError> {
    let tablet = pairings.revoke(id)?;
    let says = if global.json {
        json!({ "revoked": tablet.id, "label": tablet.label }).to_string()
    } else {
        let name = if tablet.label.is_empty() { "a tablet without a name" } else { &tablet.label };
        format!(
            "{} ({name}, paired {}) is revoked: it shows nothing any more within ten seconds.",
            tablet.id, tablet.paired_at
        )
    };
    print(&says).map_err(|error| RevokeError::Storage(io::Error::other(error)))?;
    Ok(Exit::Done)
}

fn explained(error: &anyhow::Error, state: &Path) -> anyhow::Error {
    let hint = match error.downcast_ref::<io::Error>().map(io::Error::kind) {
        Some(io::ErrorKind::NotFound) => "\n  hint: start grelot once, it makes the folder",
        Some(io::ErrorKind::PermissionDenied) => "\n  hint: sudo -u grelot grelot tablets …",
        _ => "",
    };
    anyhow::anyhow!("cannot use the state folder {}: {error:#}{hint}", state.display())
}
