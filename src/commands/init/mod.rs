//! `grelot init`: from a fresh installation to a running gateway.
//!
//! The configuration is what is there already, or the file given, changed by flags and answers. It is
//! checked before it takes its place, and a second run with the same answers changes nothing.

mod answers;
mod boot;
mod document;
mod folder;
mod questions;
mod service;
mod set_up;

use std::path::Path;

use anyhow::Context as _;

use super::{Exit, Global, print};
pub use answers::Args;
use document::Document;
use set_up::set_up;

pub fn run(global: &Global, args: &Args) -> anyhow::Result<Exit> {
    if args.from_boot {
        return boot::run(global, args);
    }
    let document = match &args.from {
        Some(from) => Document::read(from).with_context(|| from.display().to_string())?,
        None => Document::read_or_new(&global.config)?,
    };
    let files = args.from.as_deref().and_then(Path::parent);
    let changed = set_up(global, args, document, files)?;
    if args.dry_run {
        return Ok(Exit::Done);
    }
    if args.no_start || !service::has_systemd() {
        print("Start it with: sudo systemctl enable --now grelot")?;
        return Ok(Exit::Done);
    }
    service::start(changed)?;
    service::invite_a_tablet(global)?;
    service::examine(global)?;
    Ok(Exit::Done)
}
