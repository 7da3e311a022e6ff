//! `grelot doctor`: examines this machine; a line for each thing, and what to do.

mod certificates;
mod clock;
mod daemon;
mod disk;
mod fix;
mod machine;
mod network;
mod radio;
mod registry;
mod report;
mod service;
mod x509;

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::time::Duration;

use serde::Serialize;

use super::live::seconds;
use super::{Exit, Global};
use crate::config::{self, Config, Severity, Source};

/// Arguments of `grelot doctor`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  sudo grelot doctor\n  sudo grelot doctor --listen 20\n  \
                        grelot doctor --json | jq '.findings[] | select(.verdict != \"ok\")'\n  \
                        sudo grelot doctor --fix\n  sudo grelot doctor --report support.tar.gz\n\n\
                        With sudo it uses the rights of the service's user, not root's.\n\
                        Exit code: 1 if something keeps grelot from working.")]
pub struct Args {
    /// Scans for this time, and says whether the controller hides repeated advertisements
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    listen: Option<Duration>,
    /// Repairs what can be repaired safely: starts services, unblocks the radio, sets the clock by time
    /// servers
    #[arg(long, conflicts_with = "report")]
    fix: bool,
    /// Writes an archive for support: findings, status, configuration and journal, without names,
    /// addresses, passwords and keys
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
}

/// What was found about one thing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Finding {
    /// What was looked at.
    about: &'static str,
    verdict: Verdict,
    says: String,
    /// What to do; absent if nothing is wrong.
    #[serde(rename = "mend")]
    remedy: Option<String>,
}

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Verdict {
    /// As it should be.
    Ok,
    /// grelot works, but an administrator should look.
    Warn,
    /// grelot cannot do its job.
    Fail,
}

impl Finding {
    fn ok(about: &'static str, says: impl Into<String>) -> Self {
        Self { about, verdict: Verdict::Ok, says: says.into(), remedy: None }
    }

    fn warn(about: &'static str, says: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { about, verdict: Verdict::Warn, says: says.into(), remedy: Some(remedy.into()) }
    }

    fn fail(about: &'static str, says: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { about, verdict: Verdict::Fail, says: says.into(), remedy: Some(remedy.into()) }
    }
}

#[derive(Debug, Serialize)]
struct Report {
    ok: bool,
    findings: Vec<Finding>,
}

/// Runs the command.
///
/// # Errors
/// The service's user cannot be used, or standard output cannot be written.
pub fn run(global: &Global, args: &Args) -> anyhow::Result<Exit> {
    if let Some(file) = &args.report {
        return report::write(global, file);
    }
    if args.fix {
        fix::run(global)?;
    }
    if let Some(exit) = service::report(global, args)? {
        return Ok(exit);
    }
    let examined = config::examine(&global.config);
    let mut findings = configuration(global, &examined);
    findings.extend(radio::findings(examined.readable(), args.listen)?);
    findings.push(clock::finding(examined.readable()));
    if let Some(config) = examined.readable() {
        findings.extend(of_the_site(config));
    }
    let report =
        Report { ok: findings.iter().all(|finding| finding.verdict != Verdict::Fail), findings };
    let mut out = io::stdout().lock();
    if global.json {
        serde_json::to_writer(&mut out, &report)?;
        writeln!(out)?;
    } else {
        let longest = report.findings.iter().map(|finding| finding.about.len()).max();
        let width = longest.unwrap_or_default() + 2;
        for finding in &report.findings {
            tell(&mut out, finding, width)?;
        }
    }
    Ok(if report.ok { Exit::Done } else { Exit::Failed })
}

/// Everything that the configuration says where to look for.
fn of_the_site(config: &Config) -> Vec<Finding> {
    let daemon = daemon::look(config);
    let mut findings = vec![daemon.finding(), disk::state(config), disk::space(config)];
    let running = daemon.snapshot(config);
    findings.extend(running.as_ref().map(daemon::version));
    findings.extend(running.iter().flat_map(daemon::detection));
    findings.extend(running.as_ref().and_then(daemon::canary));
    findings.extend(machine::Kernel::default().findings(config));
    if !config.sources.iter().any(|source| matches!(source, Source::Simulated { .. })) {
        findings.push(registry::finding(config, running.as_ref()));
    }
    findings.extend(certificates::findings(&config.tls));
    findings.push(network::broker(config, daemon));
    findings.extend(network::page(config, daemon));
    findings
}

/// The configuration as a whole, then its first warnings.
fn configuration(global: &Global, examined: &config::Examined) -> Vec<Finding> {
    const MOST_WARNINGS: usize = 10;
    let about = "configuration";
    let name = global.config.display();
    let (errors, warnings) = (examined.problems.errors(), examined.problems.warnings());
    let remedy = format!("grelot check {name}");
    let whole = match (errors, warnings) {
        (0, 0) => Finding::ok(about, name.to_string()),
        (0, _) => Finding::warn(about, format!("{name}: {warnings} warnings"), remedy.clone()),
        _ => Finding::fail(about, format!("{name}: {errors} errors"), remedy.clone()),
    };
    let warnings = examined.problems.iter().filter(|it| it.severity == Severity::Warning);
    let each = warnings.take(MOST_WARNINGS).map(|problem| {
        let key = problem.key.as_deref().unwrap_or_default();
        let hint = problem.hint.as_ref().unwrap_or(&remedy);
        Finding::warn(about, format!("{key} {}", problem.what), hint.as_str())
    });
    std::iter::once(whole).chain(each).collect()
}

/// One line, or two, with the second column `width` wide.
fn tell(out: &mut impl io::Write, finding: &Finding, width: usize) -> io::Result<()> {
    let verdict = match finding.verdict {
        Verdict::Ok => "ok",
        Verdict::Warn => "warn",
        Verdict::Fail => "FAIL",
    };
    writeln!(out, "{verdict:<6}{:<width$}{}", finding.about, finding.says)?;
    match &finding.remedy {
        Some(remedy) => writeln!(out, "{:<6}{:<width$}hint: {remedy}", "", ""),
        None => Ok(()),
    }
}
