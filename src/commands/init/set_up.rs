//! The configuration, completed and checked.

use std::io::IsTerminal as _;
use std::path::Path;

use anyhow::bail;

use super::answers::Args;
use super::document::Document;
use super::folder::Folder;
use super::questions;
use crate::commands::{Global, print};
use crate::config;

/// Completes the configuration, checks it, and puts it in its place; whether it changed.
///
/// # Errors
/// The configuration has errors: then nothing was written.
pub(super) fn set_up(
    global: &Global,
    args: &Args,
    mut document: Document,
    files: Option<&Path>,
) -> anyhow::Result<bool> {
    let mut answers = args.answers.clone();
    if !args.yes && !args.from_boot && std::io::stdin().is_terminal() {
        questions::ask(&mut answers, &document)?;
    }
    let mut folder = Folder::of(&global.config)?;
    document.answer(&answers, &mut folder)?;
    if let Some(files) = files {
        document.take_files(files, &mut folder)?;
    }
    if args.trial && !document.has_registry() {
        document.use_trial_customers(&mut folder)?;
    }
    if !document.has_store() {
        bail!("which store is this? Name its number: --store 42");
    }
    let text = document.text();
    if args.dry_run {
        print(text.trim_end())?;
        return Ok(false);
    }
    let changed = folder.put(&text)?;
    let examined = config::examine(&global.config);
    if examined.config().is_none() {
        return Err(examined.problems.into());
    }
    if !examined.problems.is_empty() {
        print(&examined.problems.to_string())?;
    }
    let name = global.config.display();
    let outcome = if changed { "written" } else { "unchanged" };
    print(&format!("{name}: {outcome}"))?;
    Ok(changed)
}
