//! `grelot status`: what the running daemon sees.

mod retire;

use std::fmt::Write as _;
use std::io::{self, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;

use super::live::remedy;
use super::{Exit, Global};
use crate::config;
use crate::daemon::status::{
    self, Canary, DeadMessage, GatewayTraffic, Snapshot, Source, Tablets, Traffic, Webhook,
};
use crate::payload::{DocumentState, DocumentStatus, GatewayState};
use crate::sources::kinds;
use crate::tablets::LookingOn;

/// Arguments of `grelot status`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  sudo -u grelot grelot status\n  sudo -u grelot grelot status --retire old-door"
)]
pub struct Args {
    /// Clear at the broker the state of a gateway or beacon that is gone
    #[arg(long, value_name = "NAME")]
    retire: Option<String>,
}

/// The daemon itself gives up sooner.
const PATIENCE: Duration = Duration::from_secs(5);

/// Messages that webhooks never took, in the view; `--json` has more.
const MOST_DEAD: usize = 5;

/// A snapshot of a shop full of customers is far shorter.
const LONGEST: u64 = 16 * 1024 * 1024;

/// Runs the command.
///
/// # Errors
/// The configuration is wrong, no daemon answers, or the broker takes no `--retire`.
pub fn run(global: &Global, args: &Args) -> anyhow::Result<Exit> {
    if let Some(name) = &args.retire {
        let cleared = retire::retire(&config::load(&global.config)?, name)?;
        let mut out = io::stdout().lock();
        if global.json {
            writeln!(out, "{}", serde_json::json!({"retired": name, "cleared": cleared}))?;
        } else {
            cleared.iter().try_for_each(|topic| writeln!(out, "cleared {topic}"))?;
        }
        return Ok(Exit::Done);
    }
    let config = config::load_for_replay(&global.config)?;
    let text = ask(&status::socket(&config.state))?;
    let mut out = io::stdout().lock();
    if global.json {
        writeln!(out, "{}", text.trim_end())?;
    } else {
        out.write_all(view(&understood(&text)?).as_bytes())?;
    }
    Ok(Exit::Done)
}

/// What the daemon of a state folder sees.
pub(super) fn snapshot(state: &Path) -> anyhow::Result<Snapshot> {
    understood(&ask(&status::socket(state))?)
}

/// The same, as the daemon's JSON.
pub(super) fn json(state: &Path) -> anyhow::Result<String> {
    ask(&status::socket(state))
}

fn understood(text: &str) -> anyhow::Result<Snapshot> {
    serde_json::from_str(text)
        .context("the daemon's answer is not understood: is it another version?")
}

/// The daemon's answer, one line of JSON.
fn ask(socket: &Path) -> anyhow::Result<String> {
    let stream = UnixStream::connect(socket).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => anyhow::anyhow!(
            "no daemon runs with this configuration (nothing answers at {})\n  \
             hint: start it with `systemctl start grelot`, or name its configuration with --config",
            socket.display()
        ),
        io::ErrorKind::PermissionDenied => anyhow::anyhow!(
            "{} may not be opened by this user\n  hint: sudo -u grelot grelot status",
            socket.display()
        ),
        _ => anyhow::Error::new(error).context(format!("cannot ask at {}", socket.display())),
    })?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut text = String::new();
    stream.take(LONGEST).read_to_string(&mut text).context("the daemon did not answer in time")?;
    anyhow::ensure!(!text.is_empty(), "the daemon runs but does not answer: it may be overloaded");
    Ok(text)
}

/// What to do about a live source that receives nothing.
fn remedy_for(source: &Source) -> Option<&'static str> {
    let live = source.name.split(' ').next().and_then(kinds::named).is_some();
    let reason = source.note.as_deref().filter(|_| live && !source.listening)?;
    Some(remedy(reason))
}

fn view(now: &Snapshot) -> String {
    let state = match now.state {
        GatewayState::Online => "online",
        GatewayState::Blind => "BLIND: nothing is received",
        GatewayState::Offline => "offline",
    };
    let mut text = String::new();
    let mut row = |label: &str, value: String| {
        let _ = writeln!(text, "{label:<14}{value}");
    };
    row("gateway", format!("{} of {} (store {})", now.gateway, now.store_name, now.store));
    row("state", format!("{state}, up for {}", duration(now.uptime_s)));
    row("version", format!("{}, process {}", now.version, now.pid));
    row(
        "configuration",
        format!("{}, settings {}", now.configuration.file, now.configuration.hash),
    );
    for document in &now.configuration.documents {
        row("", document_line(document));
    }
    for refused in &now.configuration.refused {
        row("  refused", refused.replace('\n', " "));
    }
    row("clock", if now.clock_set { "set" } else { "NOT SET: tokens are tried widely" }.to_owned());
    for source in &now.sources {
        row("source", source_line(source));
        for adapter in &source.adapters {
            let note = adapter.note.as_ref().map(|note| format!(", {note}")).unwrap_or_default();
            let receives = if adapter.listening { "receives" } else { "DOES NOT RECEIVE" };
            let status::Adapter { name, address, ear: path, .. } = adapter;
            row("", format!("{name} ({address}) {receives} by {path}{note}"));
        }
        if let Some(remedy) = remedy_for(source) {
            row("", format!("hint: {remedy}"));
        }
        if !source.steps.is_empty() {
            let steps = source.steps.iter().map(|(step, count)| format!("{step} {count}"));
            row("", format!("steps: {}", steps.collect::<Vec<_>>().join(", ")));
        }
    }
    let registry = &now.registry;
    row("customers", format!("{} can be recognised", registry.customers));
    if registry.refused_lines > 0 {
        row("", format!("{} registry lines refused: grelot check", registry.refused_lines));
    }
    if let Some(expires) = &registry.expires_at {
        row("", format!("the registry counts until {expires}"));
    }
    if let Some(trouble) = &registry.trouble {
        row("", format!("WRONG: {trouble}"));
    }
    row(
        "visits",
        format!("{} open, {} arrivals, {} alerts", now.visits.len(), now.arrivals, now.alerts),
    );
    for visit in &now.visits {
        let claim = visit.claimed_by.as_ref().map(|by| format!(", with {by}")).unwrap_or_default();
        row("", format!("{} ({}) since {}{claim}", visit.client, visit.tier, visit.arrived_at));
    }
    traffic(&now.traffic, &mut row);
    tablets(&now.tablets, &mut row);
    row("broker", broker_line(now));
    let abilities = &now.broker.abilities;
    for (what, cost) in abilities.missing() {
        row("", format!("{what}:"));
        row("", format!("  {cost}"));
    }
    if abilities.holds_back() {
        row("withdrawals", "NOT KNOWN: alerts are held back".to_owned());
        row("", format!("hint: {}", status::HELD_BACK_HINT));
    }
    let delivery = &now.delivery;
    row(
        "alerts queue",
        format!(
            "{} waiting, {} delivered, {} expired",
            delivery.queued, delivery.delivered, delivery.expired
        ),
    );
    canary(now.canary.as_ref(), &mut row);
    for hook in &now.webhooks {
        row("webhook", webhook_line(hook));
    }
    for DeadMessage { event, visit, at, why } in now.dead_messages.iter().take(MOST_DEAD) {
        row("", format!("never taken: {event} of {visit}, given up {at}: {why}"));
    }
    if let Some(line) = &now.head_office {
        row("head office", office_line(line));
        if let Some(trouble) = &line.trouble {
            row("", format!("reports are not kept: {trouble}"));
        }
    }
    if let Some(problem) = &delivery.store {
        row("disk", format!("NOT WRITABLE: {problem}"));
    }
    text
}

/// What the gateway has learned of its shop.
fn traffic(traffic: &Traffic, row: &mut impl FnMut(&str, String)) {
    if traffic.stayed + traffic.passed < 1.0 {
        return;
    }
    row(
        "learned from",
        format!("{:.0} customers who stayed, {:.0} who passed", traffic.stayed, traffic.passed),
    );
    for gateway in &traffic.gateways {
        let level = |count: f32, dbm: f32| {
            if count < 1.0 { "unknown".to_owned() } else { format!("{dbm:.0} dBm") }
        };
        let stayed = level(gateway.stayed, gateway.stayed_dbm);
        let passed = level(gateway.passed, gateway.passed_dbm);
        let name = &gateway.name;
        row("", format!("{name}: highest level of customers who stay {stayed}, who pass {passed}"));
        if let Some(trouble) = gateway.trouble() {
            row("", format!("WRONG: {trouble}"));
            row("", format!("hint: {}", GatewayTraffic::REMEDY));
        }
    }
}

fn tablets(tablets: &Tablets, row: &mut impl FnMut(&str, String)) {
    let Some(url) = tablets.urls.first() else { return };
    let count = tablets.looking_on.len();
    let verb = if count == 1 { "looks" } else { "look" };
    row("tablets", format!("{count} {verb} on at {url}"));
    for LookingOn { id, label, since, .. } in &tablets.looking_on {
        let name = if label.is_empty() { "without a name" } else { label };
        let id = id.as_ref().map(|id| format!(" ({id})")).unwrap_or_default();
        row("", format!("{name}{id} since {since}"));
    }
    if let Some(alarm) = &tablets.alarm {
        row("", format!("WRONG: {alarm}"));
    }
}

fn canary(canary: Option<&Canary>, row: &mut impl FnMut(&str, String)) {
    let Some(canary) = canary else { return };
    let failures: u64 = canary.failures.values().sum();
    let last = match (&canary.succeeded_at, canary.returned_s) {
        (Some(at), Some(s)) => format!("came through at {at} in {s:.1} s"),
        _ => "has not come through yet".to_owned(),
    };
    row("canary", format!("{last}; {failures} of its runs failed"));
    if let Some(failure) = &canary.failed {
        row("", format!("WRONG: {failure}"));
        row("", format!("hint: {}", failure.remedy()));
    }
}

fn webhook_line(hook: &Webhook) -> String {
    let Webhook { place, waiting, delivered, failed, dead, trouble } = hook;
    let mut line = format!("{place}: {waiting} waiting, {delivered} delivered");
    if *failed > 0 {
        let _ = write!(line, ", {failed} attempts failed");
    }
    if *dead > 0 {
        let _ = write!(line, ", {dead} GIVEN UP");
    }
    if let Some(trouble) = trouble {
        let _ = write!(line, " ({trouble})");
    }
    line
}

fn source_line(source: &Source) -> String {
    let state = if source.listening { "receives" } else { "RECEIVES NOTHING" };
    let Source { name, per_second, heard, .. } = source;
    let mut line = format!("{name}: {state}, {per_second:.1}/s, {heard} received");
    if source.shed > 0 {
        let _ = write!(line, ", {} shed", source.shed);
    }
    if let Some(note) = &source.note {
        let _ = write!(line, " ({note})");
    }
    line
}

fn document_line(document: &DocumentStatus) -> String {
    let number = document.serial.map(|serial| format!(" {serial}")).unwrap_or_default();
    let from = document.from.as_deref().unwrap_or("its time");
    let state = match document.state {
        DocumentState::InForce => "in force".to_owned(),
        DocumentState::Waits => format!("waits for {from}"),
        DocumentState::OtherStores => "is for other stores; the one before counts".to_owned(),
        DocumentState::Shadow => "runs beside what counts, and alerts no one".to_owned(),
        DocumentState::FellBack => {
            let why = document.why.as_deref().unwrap_or("a limit was exceeded");
            format!("taken back, the one before counts: {why}")
        }
    };
    format!("{}{number}: {state}", document.reach)
}

fn office_line(line: &status::HeadOfficeLine) -> String {
    let state = match (line.connected, line.answered) {
        (true, true) => "connected",
        (true, false) => "connected, but does not say who has withdrawn (grelot fleet serve)",
        (false, _) => "NOT CONNECTED",
    };
    let why = line.problem.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
    format!("{}: {state}{why}; {} reports wait", line.place, line.reports_waiting)
}

fn broker_line(now: &Snapshot) -> String {
    let state = if now.broker.connected { "connected" } else { "NOT CONNECTED" };
    match &now.broker.problem {
        Some(problem) => format!("{}: {state}: {problem}", now.broker.place),
        None => format!("{}: {state}", now.broker.place),
    }
}

/// As `2 d 03:04:05`.
fn duration(secs: u64) -> String {
    let (days, hours, minutes) = (secs / 86_400, secs / 3600 % 24, secs / 60 % 60);
    let clock = format!("{hours:02}:{minutes:02}:{:02}", secs % 60);
    if days > 0 { format!("{days} d {clock}") } else { clock }
}
