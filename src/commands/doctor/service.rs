//! The service's user: root may do more than the service, so `sudo grelot doctor` looks with the
//! service's rights.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::Command;

use super::Args;
use crate::commands::{Exit, Global, complain};

/// Debian's name of the user where systemd does not say another one.
const USER: &str = "grelot";
const UNIT: &str = "grelot.service";

/// Runs the same command as the service's user and returns how it ended; `None` where this
/// process is not root's, or where there is no such user yet.
///
/// # Errors
/// The command can be run as that user and its end is unknown.
pub(super) fn report(global: &Global, args: &Args) -> anyhow::Result<Option<Exit>> {
    if !is_root() {
        return Ok(None);
    }
    let user = unit("User").unwrap_or_else(|| USER.to_owned());
    let known = fs::read_to_string("/etc/passwd").unwrap_or_default();
    if !has_user(&known, &user) {
        complain(&format!("grelot: there is no user {user} yet: these are root's rights"));
        return Ok(None);
    }
    let program = std::env::current_exe()?;
    let mut command = Command::new("setpriv");
    command.args(arguments(&user, &program, global, args));
    match command.status() {
        // setpriv's own failures: that user may not run this program, or setpriv is old.
        Ok(status) if status.code().is_some_and(|code| code >= 126) => {
            let program = program.display();
            complain(&format!("grelot: {user} cannot run {program}: these are root's rights"));
            Ok(None)
        }
        Ok(status) if status.success() => Ok(Some(Exit::Done)),
        Ok(_) => Ok(Some(Exit::Failed)),
        Err(error) => {
            complain(&format!("grelot: setpriv: {error}: these are root's rights"));
            Ok(None)
        }
    }
}

fn is_root() -> bool {
    // The kernel gives a process's folder to its effective user.
    fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0)
}

/// A property of the unit as systemd has loaded it.
fn unit(property: &str) -> Option<String> {
    let mut systemctl = Command::new("systemctl");
    systemctl.args(["show", UNIT, "--value", "--property", property]);
    let value = String::from_utf8(systemctl.output().ok()?.stdout).ok()?;
    Some(value.trim().to_owned()).filter(|value| !value.is_empty())
}

fn has_user(passwd: &str, user: &str) -> bool {
    passwd.lines().any(|line| line.split(':').next() == Some(user))
}

/// What setpriv is called with.
fn arguments(user: &str, program: &Path, global: &Global, args: &Args) -> Vec<OsString> {
    let mut all: Vec<OsString> =
        vec![format!("--reuid={user}").into(), format!("--regid={user}").into()];
    all.extend(["--init-groups".into(), "--inh-caps=-all".into()]);
    all.extend([program.into(), "--config".into(), global.config.clone().into()]);
    if global.json {
        all.push("--json".into());
    }
    all.push("doctor".into());
    if let Some(listen) = args.listen {
        all.extend(["--listen".into(), listen.as_secs_f64().to_string().into()]);
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_looks_with_the_rights_of_the_service() {
        let global = Global { config: "/etc/grelot/grelot.toml".into(), json: true };
        let listen = Some(std::time::Duration::from_secs(20));
        let args = Args { listen, fix: false, report: None };
        let all = arguments("grelot", Path::new("/usr/bin/grelot"), &global, &args);
        let text: Vec<_> = all.iter().map(|one| one.to_string_lossy()).collect();
        assert_eq!(
            text.join(" "),
            "--reuid=grelot --regid=grelot --init-groups --inh-caps=-all /usr/bin/grelot --config \
             /etc/grelot/grelot.toml --json doctor --listen 20"
        );
        let passwd = "root:x:0:0:root:/root:/bin/sh\ngrelot:x:998:998::/:/bin/false\n";
        assert!(has_user(passwd, "grelot") && !has_user(passwd, "gre"));
    }
}
