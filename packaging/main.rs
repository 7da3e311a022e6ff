//! `cargo run --example package-files -- FOLDER`: see [`files`].

mod files;

use std::path::Path;

use anyhow::Context as _;

fn main() -> anyhow::Result<()> {
    let folder = std::env::args().nth(1).context("name the folder to write to")?;
    files::write(Path::new(&folder))
}
