//! `docs/install.md`, followed to the letter on a fresh Debian 12.
//!
//! The code blocks of the page run in order in a root that `mmdebstrap` makes from Debian's mirror,
//! as root (the page's `sudo` is the real one). What it cannot show: the first block, which downloads
//! a toolchain (the binary under test takes its place); systemd at work, which a root without a kernel
//! of its own has not: `systemctl` changes the links in `/etc` and starts nothing (of `--now` it would
//! complain), so the test starts the unit's `ExecStart` as the unit's user; and Bluetooth.

#![expect(clippy::unwrap_used, reason = "a failed test panics")]

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// Where the sources lie in the fresh root.
const SOURCES: &str = "root/grelot";

/// The blocks before this heading build the program.
const FIRST_HEADING: &str = "\n## Install\n";

/// Ends with 1 here: it finds that there is no Bluetooth adapter.
const FINDS_NO_ADAPTER: &str = "sudo grelot doctor";

/// After it, systemd would have started the daemon.
const STARTS_THE_DAEMON: &str = "sudo systemctl enable --now grelot";

/// Before it, systemd would have stopped the daemon.
const STOPS_THE_DAEMON: &str = "sudo systemctl disable --now grelot";

/// A fresh Debian 12 with nothing but what every installation has, and `sudo`.
struct FreshDebian {
    root: PathBuf,
}

impl FreshDebian {
    fn new() -> Self {
        let owner = fs::metadata("/proc/self").unwrap().uid();
        assert_eq!(owner, 0, "only root can make a root folder: run this test as root");
        let parent = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let root = parent.join(format!("debian-{}", std::process::id()));
        let made = Command::new("mmdebstrap")
            .args([
                "--variant=apt",
                "--include=systemd,sudo",
                "--dpkgopt=force-unsafe-io",
                "bookworm",
            ])
            .arg(&root)
            .stdin(Stdio::null())
            .output();
        let made = made.unwrap_or_else(|error| panic!("mmdebstrap (the Debian package): {error}"));
        let fresh = Self { root };
        assert!(made.status.success(), "no Debian from its mirror:\n{}", text(&made));
        fresh
    }

    /// The sources with a built program, as the page's first block leaves them.
    fn copy_sources(&self) {
        let checkout = Path::new(env!("CARGO_MANIFEST_DIR"));
        let sources = self.root.join(SOURCES);
        fs::create_dir_all(sources.join("target/dist")).unwrap();
        for folder in ["config", "systemd"] {
            let from = checkout.join(folder);
            let copied = Command::new("cp").arg("-r").args([&from, &sources]).status();
            assert!(copied.unwrap().success());
        }
        fs::copy(env!("CARGO_BIN_EXE_grelot"), sources.join("target/dist/grelot")).unwrap();
        for file in ["resolv.conf", "hosts", "hostname"] {
            fs::copy(Path::new("/etc").join(file), self.root.join("etc").join(file)).unwrap();
        }
    }

    /// Runs a script in the root. Its processes end with it: they have a PID namespace of their own.
    fn run(&self, script: &str) -> Output {
        let proc = format!("--mount-proc={}", self.root.join("proc").display());
        Command::new("unshare")
            .args(["--mount", "--pid", "--fork", "--kill-child", &proc])
            // The namespace's first process stays outside, by which systemd's tools know a chroot.
            .args(["sh", "-c", r#"chroot "$0" /bin/bash -euxo pipefail -c "$1"; exit $?"#])
            .arg(&self.root)
            .arg(script)
            .env_clear()
            .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
            .env("HOME", "/root")
            .env("DEBIAN_FRONTEND", "noninteractive")
            .stdin(Stdio::null())
            .output()
            .unwrap()
    }
}

impl Drop for FreshDebian {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.root);
    }
}

fn text(output: &Output) -> String {
    [output.stdout.as_slice(), output.stderr.as_slice()]
        .map(|text| String::from_utf8_lossy(text).into_owned())
        .concat()
}

/// The lines of the page's `sh` blocks from [`FIRST_HEADING`] on.
fn commands(page: &str) -> Vec<&str> {
    let (_, page) = page.split_once(FIRST_HEADING).unwrap();
    let mut commands = Vec::new();
    let mut inside = false;
    for line in page.lines() {
        match line {
            "```sh" => inside = true,
            "```" => inside = false,
            line if inside => commands.push(line),
            _ => {}
        }
    }
    commands
}

/// What systemd does of the unit that matters here: the state folder, the user, the program.
fn start(unit: &str) -> String {
    let value = |key: &str| unit.lines().find_map(|line| line.strip_prefix(key)).unwrap();
    let (user, program) = (value("User="), value("ExecStart="));
    format!(
        "install -d -m 0700 -o {user} -g {user} /var/lib/{state}\n\
         sudo -u {user} env STATE_DIRECTORY=/var/lib/{state} {program} &\n\
         daemon=$!\n\
         until [ -S /var/lib/{state}/status.sock ]; do kill -0 $daemon; sleep 0.1; done",
        state = value("StateDirectory="),
    )
}

#[test]
fn the_installation_guide_works_to_the_letter_on_a_fresh_debian() {
    let checkout = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = fs::read_to_string(checkout.join("docs/install.md")).unwrap();
    let unit = fs::read_to_string(checkout.join("systemd/grelot.service")).unwrap();
    let commands = commands(&page);
    for known in [STARTS_THE_DAEMON, FINDS_NO_ADAPTER, STOPS_THE_DAEMON] {
        assert!(commands.contains(&known), "the page has no line {known}");
    }
    let script: Vec<String> = commands
        .into_iter()
        .map(|line| match line {
            FINDS_NO_ADAPTER => format!("{line} || [ $? = 1 ]"),
            STARTS_THE_DAEMON => format!("{}\n{}", line.replace("--now ", ""), start(&unit)),
            STOPS_THE_DAEMON => {
                format!("kill $daemon; wait $daemon\n{}", line.replace("--now ", ""))
            }
            line => line.to_owned(),
        })
        .collect();
    let debian = FreshDebian::new();
    debian.copy_sources();
    let output = debian.run(&format!("cd /{SOURCES}\n{}", script.join("\n")));
    let said = text(&output);
    assert!(output.status.success(), "{said}");
    assert!(said.contains(", 1 customer, "), "the check finds no customer:\n{said}");
    assert!(!said.contains("no registry"), "{said}");

    let left =
        debian.run("find / -xdev -iname '*grelot*' -not -path '/root/*' -not -path '/proc/*'");
    assert_eq!(String::from_utf8_lossy(&left.stdout), "", "left after the last block");
}
