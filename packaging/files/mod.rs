//! What belongs to a release beside the program: man pages, shell completions, the copyright file with
//! the licences of everything that is linked, and the bill of materials.

mod copyright;
mod linked;
mod sbom;

use std::fs;
use std::io;
use std::path::Path;

use anyhow::Context as _;
use clap_complete::Shell;

/// Writes all of them to `folder`.
pub fn write(folder: &Path) -> anyhow::Result<()> {
    man_pages(&folder.join("man")).context("man pages")?;
    completions(&folder.join("completions")).context("shell completions")?;
    let linked = linked::all().context("linked crates")?;
    fs::write(folder.join("copyright"), copyright::text(&linked).context("copyright")?)?;
    let bill = serde_json::to_string_pretty(&sbom::document(&linked))?;
    fs::write(folder.join("sbom.cdx.json"), bill + "\n")?;
    Ok(())
}

/// One page for each command, `grelot-customers-bundle.1` among them.
fn man_pages(folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    // The build finishes the tree: it passes global options on, and names commands in full.
    let mut command = grelot::commands::description().disable_help_subcommand(true);
    command.build();
    clap_mangen::generate_to(command, folder)
}

fn completions(folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
        let mut command = grelot::commands::description();
        clap_complete::generate_to(shell, &mut command, "grelot", folder)?;
    }
    Ok(())
}
