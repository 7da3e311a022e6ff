//! `grelot check`: validates configuration and registry, and reports all problems at once.

use std::io::{self, Write as _};
use std::path::PathBuf;

use serde::Serialize;

use super::{Exit, Global, registry};
use crate::clock::Clocks;
use crate::config::{self, BrokerLocation, Config, Problem, Problems, Severity, Source};

/// Arguments of `grelot check`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  grelot check\n  grelot check new.toml\n  \
                        grelot check --json | jq '.problems[].key'\n\n\
                        Exit code: 0 if the configuration is valid, 78 if it is not.")]
pub struct Args {
    /// Configuration file, instead of --config
    file: Option<PathBuf>,
}

/// Runs the command.
///
/// # Errors
/// Standard output cannot be written.
pub fn run(global: &Global, args: &Args) -> anyhow::Result<Exit> {
    let path = args.file.as_ref().unwrap_or(&global.config);
    let name = path.display().to_string();
    let examined = config::examine(path);
    let mut problems = examined.problems.clone();
    let customers = examined.readable().and_then(|config| registry::look(config, &mut problems));
    problems.extend(examined.readable().and_then(|config| clock_is_unset(config, &name)));
    let summary = examined.config().map(|config| summary(config, customers));
    let report = Report::new(&name, &problems, summary);
    let mut out = io::stdout().lock();
    if global.json {
        serde_json::to_writer(&mut out, &report)?;
        writeln!(out)?;
    } else {
        if !problems.is_empty() {
            writeln!(out, "{problems}")?;
        }
        writeln!(out, "{}", report.last_line())?;
    }
    Ok(if report.ok { Exit::Done } else { Exit::BadConfiguration })
}

/// Quiet hours silence every alert on a machine whose clock does not count.
fn clock_is_unset(config: &Config, name: &str) -> Option<Problem> {
    let live =
        |source: &Source| !matches!(source, Source::Recording { .. } | Source::Simulated { .. });
    let needs_clock = config.policy.quiet_hours.is_some() && config.sources.iter().any(live);
    let clock = Clocks::of_gateway(config.wall_clock, None).now().clock;
    (needs_clock && clock.known().is_none()).then(|| {
        Problem::of_file(
            name,
            "needs a clock: no time server has set this machine's since it booted",
        )
        .about("policy.quiet_hours")
        .hint("until one does, no alert is sent; `grelot doctor` says what to do")
        .as_warning()
    })
}

#[derive(Debug, Serialize)]
struct Report<'a> {
    file: &'a str,
    ok: bool,
    errors: usize,
    warnings: usize,
    problems: Vec<ProblemJson<'a>>,
    /// The configuration in one line; `null` if it is not valid.
    summary: Option<String>,
}

/// A problem in JSON: a key that does not apply is `null`.
#[derive(Debug, Serialize)]
struct ProblemJson<'a> {
    severity: &'static str,
    file: &'a str,
    line: Option<usize>,
    key: Option<&'a str>,
    value: Option<&'a str>,
    what: &'a str,
    hint: Option<&'a str>,
}

impl<'a> Report<'a> {
    fn new(file: &'a str, problems: &'a Problems, summary: Option<String>) -> Self {
        Self {
            file,
            ok: problems.errors() == 0,
            errors: problems.errors(),
            warnings: problems.warnings(),
            problems: problems.iter().map(ProblemJson::from).collect(),
            summary: summary.filter(|_| problems.errors() == 0),
        }
    }

    fn last_line(&self) -> String {
        let found = format!(
            "{}, {}",
            counted(self.errors, "error", "errors"),
            counted(self.warnings, "warning", "warnings")
        );
        match &self.summary {
            Some(summary) if self.warnings == 0 => format!("{}: {summary}", self.file),
            Some(summary) => format!("{found}\n{}: {summary}", self.file),
            None => found,
        }
    }
}

impl<'a> From<&'a Problem> for ProblemJson<'a> {
    fn from(problem: &'a Problem) -> Self {
        Self {
            severity: match problem.severity {
                Severity::Error => "error",
                Severity::Warning => "warning",
            },
            file: &problem.file,
            line: problem.line,
            key: problem.key.as_deref(),
            value: problem.value.as_deref(),
            what: &problem.what,
            hint: problem.hint.as_deref(),
        }
    }
}

/// A configuration in one line, by which a user notices the wrong file.
fn summary(config: &Config, customers: Option<usize>) -> String {
    let broker = match &config.broker.location {
        BrokerLocation::Embedded(listen) => format!("broker embedded on {listen}"),
        BrokerLocation::External(urls) => counted(urls.len(), "broker", "brokers"),
    };
    let page = match &config.tablets {
        Some(tablets) if config.tls.certificate.is_some() => {
            format!("page on https://{}", tablets.listen)
        }
        Some(tablets) => format!("page on http://{}", tablets.listen),
        None => "no page".to_owned(),
    };
    format!(
        "gateway {} of {} (store {}), {}, {}, {broker}, {page}",
        config.gateway,
        config.store.name,
        config.store.id,
        counted(config.sources.len(), "source", "sources"),
        match (customers, &config.bundles.url) {
            (Some(n), _) => counted(n, "customer", "customers"),
            (None, Some(url)) => format!("customers from {url}"),
            (None, None) => "no registry".to_owned(),
        },
    )
}

fn counted(count: usize, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}
