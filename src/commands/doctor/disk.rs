//! The state folder: exists, writable, private, with free space.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use super::Finding;
use crate::config::Config;

/// Octets. A day's visits and the outbox need less.
const TOO_LITTLE: u64 = 20 << 20;

/// Octets. Logs and updates share the disk.
const LITTLE: u64 = 200 << 20;

/// Whether the state folder can be written, and by the service alone.
pub(super) fn state(config: &Config) -> Finding {
    let about = "state";
    let folder = &config.state;
    let name = folder.display();
    let found = match fs::metadata(folder) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return missing(about, folder);
        }
        Err(error) => {
            return Finding::warn(about, format!("{name}: {error}"), "sudo grelot doctor");
        }
    };
    if !found.is_dir() {
        let remedy = "move it away, or name another folder in state.path";
        return Finding::fail(about, format!("{name} is not a folder"), remedy);
    }
    match try_to_write(folder) {
        Ok(()) if found.permissions().mode() & 0o077 != 0 => {
            let says = format!("{name} is open to others on this machine");
            Finding::warn(about, says, format!("chmod 0700 {name}"))
        }
        Ok(()) => Finding::ok(about, format!("{name} is writable and private")),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            let says = format!("{name} may not be written by this user");
            Finding::warn(about, says, "ask as the service: sudo -u grelot grelot doctor")
        }
        Err(error) => {
            let remedy = "alerts do not survive a restart until it can be written";
            Finding::fail(about, format!("{name} cannot be written: {error}"), remedy)
        }
    }
}

fn missing(about: &'static str, folder: &Path) -> Finding {
    let name = folder.display();
    let lost = "withdrawals, paired tablets and unsent alerts";
    match process_with_removed_files(folder) {
        Some(process) => Finding::fail(
            about,
            format!(
                "{name} was removed under the running daemon (process {process}): {lost} are lost"
            ),
            "sudo systemctl restart grelot, send withdrawals again, pair tablets again",
        ),
        None => Finding::warn(
            about,
            format!("{name} does not exist: {lost}, if there were any, are lost"),
            "sudo systemctl start grelot makes it",
        ),
    }
}

/// A process of this user, or any for root, that has files open which were removed with `folder`.
fn process_with_removed_files(folder: &Path) -> Option<u32> {
    const REMOVED: &[u8] = b" (deleted)";
    let folder = std::path::absolute(folder).ok()?;
    let is_removed = |file: PathBuf| {
        let path = file.as_os_str().as_bytes();
        path.strip_suffix(REMOVED)
            .is_some_and(|path| Path::new(OsStr::from_bytes(path)).starts_with(&folder))
    };
    fs::read_dir("/proc").ok()?.flatten().find_map(|process| {
        let number = process.file_name().to_str()?.parse().ok()?;
        let mut files = fs::read_dir(process.path().join("fd")).ok()?.flatten();
        files.any(|file| fs::read_link(file.path()).is_ok_and(is_removed)).then_some(number)
    })
}

fn try_to_write(folder: &Path) -> io::Result<()> {
    let probe = folder.join(format!(".doctor-{}", std::process::id()));
    File::create_new(&probe)?;
    fs::remove_file(probe)
}

/// Free space where the state folder is or will be.
pub(super) fn space(config: &Config) -> Finding {
    let about = "disk";
    let Some(place) = config.state.ancestors().find(|folder| folder.exists()) else {
        return Finding::warn(about, "the state folder is nowhere", "see state.path");
    };
    let free = match rustix::fs::statvfs(place) {
        Ok(disk) => disk.f_bavail.saturating_mul(disk.f_frsize),
        Err(error) => return Finding::warn(about, format!("cannot be asked: {error}"), "df -h"),
    };
    let says = format!("{} MB free at {}", free >> 20, place.display());
    match free {
        ..TOO_LITTLE => Finding::fail(about, says, "sudo journalctl --vacuum-size=100M"),
        TOO_LITTLE..LITTLE => Finding::warn(about, says, "sudo journalctl --vacuum-size=100M"),
        _ => Finding::ok(about, says),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Verdict;
    use super::*;

    fn config(state: &Path) -> Config {
        let text = format!("[store]\nid = 42\n[state]\npath = {:?}\n", state.display().to_string());
        crate::config::parse(&text, "grelot.toml", Path::new("/")).unwrap()
    }

    #[test]
    fn a_state_folder_is_writable_and_private() {
        let folder = tempfile::tempdir().unwrap();
        let mode = |mode| {
            fs::set_permissions(folder.path(), fs::Permissions::from_mode(mode)).unwrap();
            state(&config(folder.path())).verdict
        };
        assert_eq!(mode(0o700), Verdict::Ok);
        assert_eq!(mode(0o755), Verdict::Warn);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "it leaves nothing behind");
        let missing = folder.path().join("later");
        assert_eq!(state(&config(&missing)).verdict, Verdict::Warn);
        fs::write(folder.path().join("file"), "").unwrap();
        assert_eq!(state(&config(&folder.path().join("file"))).verdict, Verdict::Fail);
        assert_ne!(space(&config(&missing)).says, "");
    }
}
