//! A fresh Debian root from its mirror, with systemd at work in it (`systemd-nspawn`).

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// What every Debian installation has, and `sudo`.
const PACKAGES: &str = "systemd,systemd-sysv,dbus,sudo,ca-certificates";

/// A unit that runs the test's script when the machine is up, and switches it off again.
const UNIT: &str = "\
[Unit]
Description=The test's script
After=multi-user.target dbus.service
[Service]
Type=oneshot
TimeoutStartSec=infinity
Environment=HOME=/root DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8
WorkingDirectory=/root
ExecStart=/bin/bash -euxo pipefail /root/script
StandardOutput=file:/root/output
StandardError=inherit
ExecStopPost=/bin/sh -c 'echo $EXIT_STATUS > /root/exit'
ExecStopPost=/bin/systemctl poweroff --no-block
";

/// A root folder; removed when dropped.
pub struct FreshDebian {
    root: PathBuf,
}

impl FreshDebian {
    pub fn new(suite: &str) -> Self {
        let owner = fs::metadata("/proc/self").unwrap().uid();
        assert_eq!(owner, 0, "only root can make a root folder: run this test as root");
        let parent = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let root = parent.join(format!("debian-{suite}-{}", std::process::id()));
        let made = Command::new("mmdebstrap")
            .args(["--variant=apt", "--dpkgopt=force-unsafe-io"])
            .args([&format!("--include={PACKAGES}"), suite])
            .arg(&root)
            .stdin(Stdio::null())
            .output();
        let made = made.unwrap_or_else(|error| panic!("mmdebstrap (the Debian package): {error}"));
        let fresh = Self { root };
        assert!(made.status.success(), "no Debian from its mirror:\n{}", text(&made));
        for file in ["resolv.conf", "hosts"] {
            fs::copy(Path::new("/etc").join(file), fresh.at("etc").join(file)).unwrap();
        }
        fresh
    }

    /// A path in it.
    pub fn at(&self, path: &str) -> PathBuf {
        self.root.join(path)
    }

    /// Runs a command in it before it boots, with this machine's network.
    pub fn chroot(&self, command: &str) {
        let done = Command::new("chroot")
            .arg(&self.root)
            .args(["/bin/bash", "-euxo", "pipefail", "-c", command])
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .env("DEBIAN_FRONTEND", "noninteractive")
            .stdin(Stdio::null())
            .output()
            .unwrap();
        assert!(done.status.success(), "{command}:\n{}", text(&done));
    }

    /// Boots it with a network of its own, runs a script as root, and switches it off: what the script
    /// printed, and its exit status.
    pub fn run(&self, script: &str) -> (String, String) {
        fs::write(self.at("root/script"), script).unwrap();
        fs::write(self.at("etc/systemd/system/script.service"), UNIT).unwrap();
        for leftover in ["root/output", "root/exit"] {
            let _ = fs::remove_file(self.at(leftover));
        }
        // A control group tree of its own: the machine's may be of the first version, which newer
        // releases of systemd refuse.
        let boot = "umount -R /sys/fs/cgroup 2>/dev/null || true
                    mkdir -p /sys/fs/cgroup && mount -t cgroup2 none /sys/fs/cgroup
                    exec systemd-nspawn --quiet --directory \"$0\" --boot --register=no --keep-unit \
                      --private-network --resolv-conf=off --timezone=off --console=pipe \
                      systemd.unit=script.service systemd.wants=multi-user.target";
        let booted = Command::new("unshare")
            .args(["--mount", "--propagation", "private", "bash", "-c", boot])
            .arg(&self.root)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let read = |path: &str| fs::read(self.at(path)).unwrap_or_default();
        let output = String::from_utf8_lossy(&read("root/output")).into_owned();
        let exit = String::from_utf8_lossy(&read("root/exit")).trim().to_owned();
        assert!(
            !exit.is_empty(),
            "it did not boot (systemd-container, the package):\n{}",
            text(&booted)
        );
        (output, exit)
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
