//! The guides of `docs/`, followed to the letter with the Debian package on a fresh Debian under
//! systemd: install, set-up, update with an open visit and an alert that waits, a downgrade that is
//! refused, head office's package in the place of the gateway's and back, purge.
//!
//! The package is built from the test's own, unoptimised program. What the test cannot show:
//! Bluetooth, which a root without a kernel of its own has not (`tests/radio` has it), and limits of
//! memory. Advertisements come as HCI packets over a pipe instead. `GRELOT_LONG=1` (`tests/all.sh --long`)
//! takes Debian 13 as well as 12.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::disallowed_methods,
    reason = "a failed test panics"
)]

mod debian;
#[path = "../../packaging/files/mod.rs"]
mod files;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use debian::FreshDebian;

/// The guides in the order of a gateway's life.
const GUIDES: [&str; 6] = ["install", "operate", "secure", "backup", "update", "decommission"];

/// Before this line: a configuration from the boot partition.
const OPERATES: &str = "# guide: operate";
/// Before this one: a customer is in the shop, and an alert waits.
const UPDATES: &str = "# guide: update";
/// Before this one: the sandbox, and the way back.
const REMOVES: &str = "# guide: decommission";

/// The trial customer's beacon as a controller reports it (Core, Vol 4 Part E, 7.7.65.2): an
/// Eddystone-UID frame, 0 dBm at the beacon, received at -55 dBm.
fn advertisement() -> Vec<u8> {
    let frame = hex::decode("0201060303aafe1516aafe00e76772656c6f742d747269000000000001").unwrap();
    let mut report = vec![0x02, 0x01, 0x03, 0x01, 1, 2, 3, 4, 5, 0xc6];
    report.push(u8::try_from(frame.len()).unwrap());
    report.extend_from_slice(&frame);
    report.push((-55_i8).cast_unsigned());
    let mut packet = vec![0x04, 0x3e, u8::try_from(report.len()).unwrap()];
    packet.extend_from_slice(&report);
    packet
}

/// Builds a package of this checkout's program, which has head office's commands in either package here.
fn package(name: &str, version: &str, folder: &Path) -> PathBuf {
    let checkout = Path::new(env!("CARGO_MANIFEST_DIR"));
    let variant: &[&str] = if name == "grelot" { &[] } else { &["--variant", "head-office"] };
    let built = Command::new(checkout.join("packaging/package.sh"))
        .arg(folder)
        .args(["--fast", "--deb-version", version, "--profile", "dev"])
        .args(variant)
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&built.stderr);
    assert!(built.status.success(), "packaging/package.sh (needs cargo-deb):\n{errors}");
    let package = folder.join(format!("{name}_{version}_amd64.deb"));
    assert!(package.exists(), "no {}", package.display());
    package
}

/// The lines of a guide's `sh` blocks.
fn commands(guide: &str) -> String {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("docs/{guide}.md"));
    let page = fs::read_to_string(page).unwrap();
    let mut commands = format!("# guide: {guide}\n");
    let mut inside = false;
    for line in page.lines() {
        match line {
            "```sh" => inside = true,
            "```" => inside = false,
            line if inside => commands.extend([line, "\n"]),
            _ => {}
        }
    }
    commands
}

#[test]
fn the_guides_work_to_the_letter_on_a_fresh_debian() {
    let packages = tempfile::tempdir().unwrap();
    let checkout = Path::new(env!("CARGO_MANIFEST_DIR"));
    files::write(&checkout.join("target/package")).unwrap();
    let this = env!("CARGO_PKG_VERSION");
    let next = format!("{this}+next");
    let made = [("grelot", this), ("grelot", &next), ("grelot-head-office", &next)]
        .map(|(name, version)| package(name, version, packages.path()));
    let long = std::env::var_os("GRELOT_LONG").is_some();
    for suite in if long { &["bookworm", "trixie"][..] } else { &["bookworm"] } {
        follow_the_guides(suite, &made);
    }

    for package in [&made[0], &made[2]] {
        let lintian = Command::new("lintian").arg("--fail-on=error,warning").arg(package).output();
        let lintian = lintian.expect("lintian (the Debian package) is installed");
        let said = String::from_utf8_lossy(&lintian.stdout);
        assert!(lintian.status.success(), "{said}");
    }
}

fn follow_the_guides(suite: &str, [now, next, head_office]: &[PathBuf; 3]) {
    let debian = FreshDebian::new(suite);
    fs::create_dir(debian.at("root/next")).unwrap();
    fs::create_dir(debian.at("root/head-office")).unwrap();
    for (package, folder) in [(now, "root"), (next, "root/next"), (head_office, "root/head-office")]
    {
        fs::copy(package, debian.at(folder).join(package.file_name().unwrap())).unwrap();
    }
    // The machine has no network of its own: the packages that apt needs are there already.
    let wanted = "apt-get -qq update; cd /root; apt-get -qq install -y --download-only \
                  ./grelot_*.deb mosquitto mosquitto-clients";
    debian.chroot(wanted);
    fs::write(debian.at("root/advertisement"), advertisement()).unwrap();
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/install");
    for script in [
        "first-boot.sh",
        "visit.sh",
        "updated.sh",
        "sandbox.sh",
        "sandbox-inside.sh",
        "downgrade.sh",
        "head-office.sh",
    ] {
        fs::copy(tests.join(script), debian.at("root").join(script)).unwrap();
    }

    let guides: String = GUIDES.iter().map(|guide| commands(guide)).collect();
    let script = [
        (OPERATES, ". /root/first-boot.sh"),
        (UPDATES, ". /root/visit.sh\ncd /root/next"),
        (
            REMOVES,
            ". /root/updated.sh\n. /root/sandbox.sh\n. /root/downgrade.sh\n. /root/head-office.sh",
        ),
    ];
    let script = script.into_iter().fold(guides, |guides, (before, commands)| {
        assert!(guides.contains(before), "{guides}");
        guides.replace(before, &format!("{commands}\n{before}"))
    });
    let (output, exit) = debian.run(&script);
    assert_eq!(exit, "0", "{suite}: {output}");
    assert!(output.contains(", 1 customer, "), "the check finds no customer:\n{output}");

    let left = Command::new("find")
        .arg(debian.at(""))
        .args(["-xdev", "-iname", "*grelot*"])
        .args(["-not", "-path", "*/root/*", "-not", "-path", "*/var/cache/apt/*"])
        .args(["-not", "-path", "*/var/log/*"])
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&left.stdout), "", "left after the last block");
    let users = fs::read_to_string(debian.at("etc/passwd")).unwrap();
    assert!(!users.contains("grelot"), "{users}");
}
