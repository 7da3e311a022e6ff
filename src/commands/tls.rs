//! `grelot tls`: a small certificate authority and a certificate for the page.

use anyhow::Context as _;
use serde_json::json;

use super::{Exit, Global, print, qr};
use crate::certificates::{Certificates, fingerprint, own_names};
use crate::clock::Clocks;
use crate::config::{self, Config};
use crate::files;
use crate::tablets::page_urls;

/// Arguments of `grelot tls`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    sudo -u grelot grelot tls init\n  \
    sudo -u grelot grelot tls init --name grelot.rivoli.example\n\n\
    A running daemon renews the certificate in time, and when this machine's addresses change.\n\
    Tablets trust the authority once: docs/tablets.md.")]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Makes an authority, unless there is one, and a certificate for this machine's names and
    /// addresses
    Init {
        /// A further name or address of this gateway; may be given several times
        #[arg(long = "name", value_name = "NAME")]
        names: Vec<String>,
    },
    /// Shows how tablets come to trust the authority
    Trust,
}

pub fn run(global: &Global, args: &Args) -> anyhow::Result<Exit> {
    let config = config::load_for_replay(&global.config)?;
    let certificates = Certificates::new(&config.state);
    match &args.action {
        Action::Init { names } => init(global, &config, &certificates, names),
        Action::Trust => trust(global, &config, &certificates),
    }
}

fn init(
    global: &Global,
    config: &Config,
    certificates: &Certificates,
    given: &[String],
) -> anyhow::Result<Exit> {
    let mut given = given.to_vec();
    given
        .extend(config.tablets.as_ref().and_then(|page| Some(page.address.as_ref()?.host.clone())));
    let now = Clocks::machine().now().clock.reading().unix_secs();
    let name = format!("Grelot {} {}", config.store.id, config.gateway);
    let record = certificates
        .init(&given, &own_names(), &name, now)
        .context("no certificate was made\n  hint: sudo -u grelot grelot tls init")?;
    let (certificate, key) = (certificates.certificate(), certificates.key());
    if global.json {
        let says = json!({ "certificate": certificate, "key": key,
                           "authority": certificates.authority(), "names": record.names });
        print(&says.to_string())?;
        return Ok(Exit::Done);
    }
    print(&format!("A certificate for {}.", record.names.join(", ")))?;
    if config.tls.certificate.as_ref() == Some(&certificate) {
        print("A running daemon uses it within seconds.")?;
    } else {
        print(&format!(
            "Put these lines into {}, and restart grelot:\n\n  [tls]\n  certificate = {:?}\n  key = {:?}\n",
            global.config.display(),
            certificate.display().to_string(),
            key.display().to_string(),
        ))?;
    }
    print("Then show tablets how to trust it:  grelot tls trust")?;
    Ok(Exit::Done)
}

fn trust(global: &Global, config: &Config, certificates: &Certificates) -> anyhow::Result<Exit> {
    let authority = files::pem_certificates(&certificates.authority())
        .ok()
        .and_then(|certificates| certificates.into_iter().next())
        .context("there is no authority\n  hint: sudo -u grelot grelot tls init")?;
    let fingerprint = fingerprint(&authority);
    let page = config.tablets.as_ref().context("no page is served\n  hint: set tablets.listen")?;
    // In clear: the page that explains how to trust the authority cannot itself be trusted yet.
    let secure = page.address.as_ref().is_some_and(|address| !address.tls);
    let urls = page_urls(page.listen, secure, page.address.as_ref());
    let urls: Vec<String> =
        urls.iter().map(|url| format!("{}trust", url.replacen("https://", "http://", 1))).collect();
    if global.json {
        let says = json!({ "urls": urls, "authority": certificates.authority(),
                           "sha256": fingerprint });
        print(&says.to_string())?;
        return Ok(Exit::Done);
    }
    if let Some(url) = urls.first() {
        print(&qr::code(url).unwrap_or_default())?;
    }
    print(
        "Scan it with the tablet's camera, or open one of these on the tablet, and follow the page:",
    )?;
    urls.iter().try_for_each(|url| print(&format!("  {url}")))?;
    print(&format!(
        "The tablet shows the authority's SHA-256 fingerprint. Trust it only if it is\n  {fingerprint}"
    ))?;
    Ok(Exit::Done)
}
