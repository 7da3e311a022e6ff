//! `grelot customers keygen`: the key pair that bundles are signed with.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, bail};
use minisign::KeyPair;

use super::super::{Exit, print};
use super::secret;

/// Arguments of `grelot customers keygen`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  grelot customers keygen --out keys
  grelot customers keygen --out keys --password-file password.txt
  grelot customers keygen --out keys --no-password

Keys are minisign's: its tools can use them, too. Never replaces a key.")]
pub struct Args {
    /// The folder for grelot.key and grelot.pub
    #[arg(long, value_name = "FOLDER", default_value = ".")]
    out: PathBuf,
    /// The first line of this file protects the secret key; without, it is asked for
    #[arg(long, value_name = "FILE", conflicts_with = "no_password")]
    password_file: Option<PathBuf>,
    /// Without a password, everybody who can read the secret key can use it
    #[arg(long)]
    no_password: bool,
}

/// Runs the command.
///
/// # Errors
/// Where a key is there already or cannot be written.
pub fn run(args: &Args) -> anyhow::Result<Exit> {
    let (key, public) = (args.out.join("grelot.key"), args.out.join("grelot.pub"));
    for path in [&key, &public] {
        if path.exists() {
            bail!("{} is there already; keys are never replaced", path.display());
        }
    }
    fs::create_dir_all(&args.out).with_context(|| format!("creating {}", args.out.display()))?;
    let pair = if args.no_password {
        KeyPair::generate_unencrypted_keypair()
    } else {
        let password = args.password_file.as_deref().map(secret::password).transpose()?;
        KeyPair::generate_encrypted_keypair(password.map(|password| password.to_string()))
    };
    let pair = pair.context("making the keys")?;
    let secret_box = pair.sk.to_box(Some("grelot: signs registries"))?.into_string();
    secret::create_private(&key, secret_box.as_bytes())
        .with_context(|| format!("writing {}", key.display()))?;
    fs::write(&public, pair.pk.to_box()?.into_string())
        .with_context(|| format!("writing {}", public.display()))?;
    print(&format!("{} signs; keep it at head office", key.display()))?;
    print(&format!("{} goes to every gateway, as", public.display()))?;
    print(&format!("[registry]\npublic_keys = [\"{}\"]", pair.pk.to_base64()))?;
    Ok(Exit::Done)
}
