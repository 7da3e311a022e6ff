//! The service, by systemd: started, and examined with the rights of its own user.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, ensure};

use crate::commands::{Global, print, status};
use crate::config;

const UNIT: &str = "grelot.service";
/// The service's user and group.
pub const GROUP: &str = "grelot";
/// How often the daemon is asked until its first answer; a Pi takes a second or two.
const LOOKS: u32 = 150;
const PAUSE: Duration = Duration::from_millis(200);

/// Whether systemd runs this machine.
pub fn has_systemd() -> bool {
    Path::new("/run/systemd/system").exists()
}

/// Starts the service, or restarts it where the configuration `changed`.
///
/// # Errors
/// systemd refuses.
pub fn start(changed: bool) -> anyhow::Result<()> {
    systemctl(&["enable", "--quiet", UNIT])?;
    systemctl(&[if changed { "restart" } else { "start" }, UNIT])
}

fn systemctl(arguments: &[&str]) -> anyhow::Result<()> {
    let done = Command::new("systemctl").args(arguments).status().context("systemctl")?;
    ensure!(done.success(), "systemctl {} failed: journalctl -u grelot", arguments.join(" "));
    Ok(())
}

/// Waits for the daemon, and shows how the first tablet gets in, where the page asks for it.
///
/// # Errors
/// The daemon does not answer.
pub fn invite_a_tablet(global: &Global) -> anyhow::Result<()> {
    let config = config::load(&global.config)?;
    let mut looks = 0;
    while let Err(error) = status::snapshot(&config.state) {
        ensure!(looks < LOOKS, "{error:#}\n  hint: journalctl -u grelot");
        looks += 1;
        std::thread::sleep(PAUSE);
    }
    let Some(tablets) = &config.tablets else { return Ok(()) };
    if tablets.listen.ip().is_loopback() {
        return print(&format!("The page: http://{}", tablets.listen));
    }
    as_service(global, &["tablets", "pair"])
}

/// Runs `doctor`; its findings are no failure of this command.
///
/// # Errors
/// It cannot be started.
pub fn examine(global: &Global) -> anyhow::Result<()> {
    let doctor = Command::new(std::env::current_exe()?)
        .arg("--config")
        .arg(&global.config)
        .arg("doctor")
        .status();
    doctor.context("grelot doctor")?;
    Ok(())
}

fn as_service(global: &Global, arguments: &[&str]) -> anyhow::Result<()> {
    let done = Command::new("setpriv")
        .args([&format!("--reuid={GROUP}"), &format!("--regid={GROUP}")])
        .args(["--init-groups", "--inh-caps=-all"])
        .arg(std::env::current_exe()?)
        .arg("--config")
        .arg(&global.config)
        .args(arguments)
        .status();
    ensure!(done.context("setpriv")?.success(), "grelot {} failed", arguments.join(" "));
    Ok(())
}
