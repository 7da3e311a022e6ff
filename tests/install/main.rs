//! The guides of `docs/`, followed to the letter with the Debian package on a fresh Debian 12 under
//! systemd: install, set-up, update with an open visit and an alert that waits, a downgrade that is
//! refused, purge.
//!
//! The package is built from the test's own, unoptimised program. What the test cannot show:
//! Bluetooth, which a root without a kernel of its own has not (`tests/radio` has it), and limits of
//! memory. Advertisements come as HCI packets over a pipe instead.
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

/// Builds the package of this checkout's program, as version `version`.
fn package(version: &str, folder: &Path) -> PathBuf {
    let checkout = Path::new(env!("CARGO_MANIFEST_DIR"));
    files::write(&checkout.join("target/package")).unwrap();
    let built = Command::new(checkout.join("packaging/package.sh"))
        .arg(folder)
        .args(["--fast", "--deb-version", version, "--profile", "dev"])
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&built.stderr);
    assert!(built.status.success(), "packaging/package.sh (needs cargo-deb):\n{errors}");
    let package = folder.join(format!("grelot_{version}_amd64.deb"));
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
    let debian = FreshDebian::new("bookworm");
    let this = env!("CARGO_PKG_VERSION");
    let [now, next] =
        [this.to_owned(), format!("{this}+next")].map(|version| package(&version, packages.path()));
    fs::copy(&now, debian.at("root").join(now.file_name().unwrap())).unwrap();
    fs::create_dir(debian.at("root/next")).unwrap();
    fs::copy(&next, debian.at("root/next").join(next.file_name().unwrap())).unwrap();
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
    ] {
        fs::copy(tests.join(script), debian.at("root").join(script)).unwrap();
    }

    let guides: String = GUIDES.iter().map(|guide| commands(guide)).collect();
    let script = [
        (OPERATES, ". /root/first-boot.sh"),
        (UPDATES, ". /root/visit.sh\ncd /root/next"),
        (REMOVES, ". /root/updated.sh\n. /root/sandbox.sh\n. /root/downgrade.sh"),
    ];
    let script = script.into_iter().fold(guides, |guides, (before, commands)| {
        assert!(guides.contains(before), "{guides}");
        guides.replace(before, &format!("{commands}\n{before}"))
    });
    let (output, exit) = debian.run(&script);
    assert_eq!(exit, "0", "{output}");
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

    let lintian = Command::new("lintian").arg("--fail-on=error,warning").arg(&now).output();
    let lintian = lintian.expect("lintian (the Debian package) is installed");
    let said = String::from_utf8_lossy(&lintian.stdout);
    assert!(lintian.status.success(), "{said}");
}
