//! The crates that are compiled into the program.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, ensure};
use serde_json::Value;

/// A crate that is linked.
pub struct Linked {
    pub name: String,
    pub version: String,
    /// An SPDX expression.
    pub license: String,
    /// Of `Cargo.lock`, SHA-256 as hex.
    pub checksum: Option<String>,
    /// Where its sources are.
    pub folder: PathBuf,
}

/// All crates that are compiled into the program, by `cargo tree`, with where their sources are. The
/// program's features are those that this tool was built with.
pub fn all() -> anyhow::Result<Vec<Linked>> {
    let features = if cfg!(feature = "head-office") { "head-office" } else { "" };
    let tree = cargo(&[
        "tree",
        "--locked",
        "--no-default-features",
        "--features",
        features,
        "--edges",
        "normal,no-proc-macro",
        "--target",
        "all",
        "--prefix",
        "none",
        "--format",
        "{p}",
    ])?;
    let metadata = cargo(&["metadata", "--locked", "--format-version", "1"])?;
    let metadata: Value = serde_json::from_str(&metadata)?;
    let packages = metadata.get("packages").and_then(Value::as_array).context("no packages")?;
    let mut known = BTreeMap::new();
    for package in packages {
        let field = |key: &str| package[key].as_str().unwrap_or_default().to_owned();
        known.insert((field("name"), field("version")), (field("license"), field("manifest_path")));
    }
    let checksums = checksums()?;
    let crates: BTreeSet<(String, String)> = tree.lines().filter_map(named).collect();
    let own = |name: &str| name == env!("CARGO_PKG_NAME");
    let crates = crates.into_iter().filter(|(name, _)| !own(name)).map(|(name, version)| {
        let (license, manifest) = known
            .get(&(name.clone(), version.clone()))
            .with_context(|| format!("{name} {version} is not in cargo's metadata"))?
            .clone();
        ensure!(!license.is_empty(), "{name} {version} names no licence");
        let folder = Path::new(&manifest).parent().unwrap_or(Path::new("/")).to_owned();
        let checksum = checksums.get(&(name.clone(), version.clone())).cloned();
        Ok(Linked { name, version, license, checksum, folder })
    });
    crates.collect()
}

/// What `Cargo.lock` says of each crate's archive.
fn checksums() -> anyhow::Result<BTreeMap<(String, String), String>> {
    let lock = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.lock");
    let lock: toml::Value = toml::from_str(&fs::read_to_string(lock)?)?;
    let packages = lock.get("package").and_then(toml::Value::as_array).context("no packages")?;
    let field = |package: &toml::Value, key: &str| Some(package.get(key)?.as_str()?.to_owned());
    let each = packages.iter().filter_map(|package| {
        let id = (field(package, "name")?, field(package, "version")?);
        Some((id, field(package, "checksum")?))
    });
    Ok(each.collect())
}

/// `serde v1.0.228 (proc-macro)` and alike.
fn named(line: &str) -> Option<(String, String)> {
    let mut words = line.split_whitespace();
    let name = words.next()?;
    let version = words.next()?.strip_prefix('v')?;
    Some((name.to_owned(), version.to_owned()))
}

fn cargo(arguments: &[&str]) -> anyhow::Result<String> {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output =
        Command::new(program).args(arguments).current_dir(env!("CARGO_MANIFEST_DIR")).output()?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "cargo {arguments:?}: {errors}");
    Ok(String::from_utf8(output.stdout)?)
}
