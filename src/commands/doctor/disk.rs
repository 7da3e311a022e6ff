//! The state folder: there, writable, private, with room.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use super::Finding;
use crate::config::Config;

/// A day's visits and a queue of unsent alerts take less.
const TOO_LITTLE: u64 = 20 << 20;

/// Logs and updates share the disk.
const LITTLE: u64 = 200 << 20;

/// Whether the state folder can be written, and by the service alone.
pub(super) fn state(config: &Config) -> Finding {
    let about = "state";
    let folder = &config.state;
    let name = folder.display();
    let found = match fs::metadata(folder) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let says = format!("{name} does not exist yet: the daemon makes it");
            return Finding::ok(about, says);
        }
        Err(error) => {
            return Finding::warn(about, format!("{name}: {error}"), "sudo grelot doctor");
        }
    };
    if !found.is_dir() {
        let mend = "move it away, or name another folder in state.path";
        return Finding::fail(about, format!("{name} is not a folder"), mend);
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
            let mend = "alerts do not survive a restart until it can be written";
            Finding::fail(about, format!("{name} cannot be written: {error}"), mend)
        }
    }
}

fn try_to_write(folder: &Path) -> io::Result<()> {
    let probe = folder.join(format!(".doctor-{}", std::process::id()));
    File::create_new(&probe)?;
    fs::remove_file(probe)
}

/// Whether there is room where the state folder is or will be.
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
        assert_eq!(state(&config(&missing)).verdict, Verdict::Ok);
        fs::write(folder.path().join("file"), "").unwrap();
        assert_eq!(state(&config(&folder.path().join("file"))).verdict, Verdict::Fail);
        assert_ne!(space(&config(&missing)).says, "");
    }
}
