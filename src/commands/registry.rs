//! Checks the registry for `check` and `doctor`.

use std::path::Path;

use crate::clock::Clocks;
use crate::config::{Config, Problem, Problems};
use crate::daemon::registry::check::Rules;
use crate::daemon::registry::vault::Vault;
use crate::pipeline::identity::Report;

/// Reads the registry that `config` names, adds its problems to `problems`, and returns how many
/// customers can be recognised.
pub fn look(config: &Config, problems: &mut Problems) -> Option<usize> {
    let path = config.registry.as_deref()?;
    // The configuration reports a file that cannot be opened, with its line.
    crate::files::open_regular(path).ok()?;
    let clock = Clocks::machine().now().clock;
    let keys = &config.bundles.public_keys;
    let rules = Rules::new(config.store.id, keys, config.state.clone(), Vault::default())
        .by(config.wall_clock);
    match rules.examine(path, clock) {
        Ok(loaded) => {
            problems.extend(problems_of(path, &loaded.report));
            Some(loaded.report.loaded)
        }
        Err(error) => {
            problems.push(Problem::of_file(path.display().to_string(), error.to_string()));
            None
        }
    }
}

fn problems_of(path: &Path, report: &Report) -> Vec<Problem> {
    let of_file = |what: String| Problem::of_file(path.display().to_string(), what);
    let mut problems: Vec<Problem> = report
        .refusals
        .iter()
        .map(|refusal| {
            let line = usize::try_from(refusal.line).unwrap_or_default();
            of_file(refusal.reason.to_string()).at_line(line)
        })
        .collect();
    let more = report.refused.saturating_sub(report.refusals.len());
    if more > 0 {
        problems.push(of_file(format!("{more} more lines are refused")));
    }
    problems.extend(report.warnings().into_iter().map(|what| of_file(what).as_warning()));
    if report.loaded == 0 && report.refused == 0 {
        let what = "no customer can be recognised".to_owned();
        problems.push(of_file(what).hint(no_customer_because(report)).as_warning());
    }
    problems
}

fn no_customer_because(report: &Report) -> String {
    let skipped = &report.skipped;
    match skipped.total() {
        0 => "the registry is empty".to_owned(),
        all => format!(
            "of {all} lines {} lack consent, {} have consent that begins in the future, {} are \
             expired, {} withdrawn, {} for other stores",
            skipped.no_consent,
            skipped.not_yet,
            skipped.expired,
            skipped.withdrawn,
            skipped.other_store
        ),
    }
}
