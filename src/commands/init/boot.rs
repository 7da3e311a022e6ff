//! The first boot without keyboard and screen: the configuration lies on the boot partition, which any
//! computer writes when the card is prepared. It is taken in, and overwritten and removed there: it
//! holds secrets, and everyone who holds the card can read that partition.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use super::answers::Args;
use super::document::Document;
use super::set_up::set_up;
use crate::commands::{Exit, Global, print};

/// Raspberry Pi OS 12 and later, and before.
const PARTITIONS: [&str; 2] = ["/boot/firmware", "/boot"];
const CONFIGURATION: &str = "grelot.toml";
/// Certificates, passwords and customers that the configuration names.
const FILES: &str = "grelot";
/// What was wrong, for the person who prepared the card.
const REFUSED: &str = "grelot-refused.txt";

/// Runs `grelot init --from-boot`.
pub fn run(global: &Global, args: &Args) -> anyhow::Result<Exit> {
    let partitions = PARTITIONS.iter().map(Path::new);
    let Some(partition) = partitions.into_iter().find(|it| it.join(CONFIGURATION).is_file()) else {
        print("no grelot.toml on the boot partition")?;
        return Ok(Exit::Done);
    };
    take_in(global, args, partition)?;
    Ok(Exit::Done)
}

fn take_in(global: &Global, args: &Args, partition: &Path) -> anyhow::Result<()> {
    let configuration = partition.join(CONFIGURATION);
    let files = partition.join(FILES);
    let taken = Document::read(&configuration)
        .with_context(|| configuration.display().to_string())
        .and_then(|document| set_up(global, args, document, Some(&files)));
    let refused = partition.join(REFUSED);
    if let Err(error) = taken {
        // Without a screen the card is the only place to report it.
        let _ = fs::write(&refused, format!("{error:#}\n"));
        return Err(error);
    }
    let _ = fs::remove_file(&refused);
    let within = fs::read_dir(&files).into_iter().flatten().flatten().map(|file| file.path());
    let mut all: Vec<PathBuf> = within.filter(|path| path.is_file()).collect();
    all.push(configuration);
    for path in &all {
        erase(path).with_context(|| path.display().to_string())?;
    }
    let _ = fs::remove_dir(&files);
    Ok(())
}

/// Overwrites a file and removes it. An SD card may keep the old octets where only its own controller
/// sees them.
fn erase(path: &Path) -> io::Result<()> {
    let length = fs::metadata(path)?.len();
    let mut file = OpenOptions::new().write(true).open(path)?;
    io::copy(&mut io::Read::take(io::repeat(0), length), &mut file)?;
    file.flush()?;
    file.sync_all()?;
    fs::remove_file(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser as _;

    #[derive(clap::Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    fn take(configuration: &str) -> (tempfile::TempDir, anyhow::Result<()>) {
        let root = tempfile::tempdir().unwrap();
        let partition = root.path().join("boot");
        fs::create_dir_all(partition.join(FILES)).unwrap();
        fs::write(partition.join(CONFIGURATION), configuration).unwrap();
        fs::write(partition.join(FILES).join("broker.password"), "correct horse battery\n")
            .unwrap();
        let config = root.path().join("etc/grelot.toml");
        let args = Line::parse_from(["init", "--from-boot"]).args;
        let taken = take_in(&Global { config, json: false }, &args, &partition);
        (root, taken)
    }

    const GOOD: &str = "[store]\nid = 42\n[broker]\nurls = [\"mqtts://a:8883\"]\nusername = \"door\"\n\
                        password_file = \"broker.password\"\n";

    #[test]
    fn a_configuration_on_the_boot_partition_is_taken_in_and_removed_there() {
        let (root, taken) = take(GOOD);
        taken.unwrap();
        assert_eq!(fs::read_dir(root.path().join("boot")).unwrap().count(), 0);
        let password = fs::read_to_string(root.path().join("etc/broker.password")).unwrap();
        assert_eq!(password, "correct horse battery\n");
        assert!(fs::read_to_string(root.path().join("etc/grelot.toml")).unwrap().contains("42"));
    }

    #[test]
    fn a_wrong_one_stays_there_beside_what_is_wrong_with_it() {
        let (root, taken) = take("[store]\nid = 0\n");
        assert!(taken.is_err());
        let said = fs::read_to_string(root.path().join("boot").join(REFUSED)).unwrap();
        assert!(said.contains("store.id"), "{said}");
        assert!(root.path().join("boot").join(CONFIGURATION).exists());
        assert!(!root.path().join("etc/grelot.toml").exists());
    }
}
