//! What is installed beside the binary, held against systemd's own tools.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::disallowed_methods,
    reason = "a failed test panics"
)]

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

/// What operators were promised: `systemd-analyze security`, in tenths.
const MOST_EXPOSURE: &str = "12";

/// The monitor's helper lives for milliseconds, and needs the machine's own namespaces.
const MOST_EXPOSURE_OF_HELPER: &str = "16";

const DAEMON: &str = "grelot.service";
const HELPER: &str = "grelot-monitor@.service";

fn shipped(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("systemd").join(name)
}

/// A machine's root folder with grelot installed.
fn installed(drop_ins: &[&str]) -> TempDir {
    let targets = Path::new("/usr/lib/systemd/system");
    let present = Command::new("systemd-analyze").arg("--version").output().is_ok();
    assert!(present && targets.exists(), "systemd (the Debian package) is needed");
    let root = tempfile::tempdir().unwrap();
    let at = |path: &str| {
        let path = root.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        path
    };
    for entry in fs::read_dir(targets).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "target") && path.is_file() {
            let name = path.file_name().unwrap().to_str().unwrap();
            fs::copy(&path, at(&format!("usr/lib/systemd/system/{name}"))).unwrap();
        }
    }
    fs::copy(env!("CARGO_BIN_EXE_grelot"), at("usr/bin/grelot")).unwrap();
    for unit in [DAEMON, HELPER, "grelot-monitor.socket"] {
        fs::copy(shipped(unit), at(&format!("usr/lib/systemd/system/{unit}"))).unwrap();
    }
    for name in drop_ins {
        let path = at(&format!("etc/systemd/system/grelot.service.d/{name}"));
        fs::copy(shipped(name), path).unwrap();
    }
    root
}

fn analyze(root: &TempDir, arguments: &[&str], unit: &str) -> Output {
    Command::new("systemd-analyze")
        .arg(format!("--root={}", root.path().display()))
        .args(arguments)
        .arg(unit)
        .output()
        .unwrap()
}

fn text(output: &Output) -> String {
    [output.stdout.as_slice(), output.stderr.as_slice()]
        .map(|text| String::from_utf8_lossy(text).into_owned())
        .concat()
}

#[test]
fn systemd_takes_the_unit_without_a_word() {
    for drop_ins in [&[][..], &["grelot-lan-only.conf"], &["grelot-sealed.conf"]] {
        let root = installed(drop_ins);
        for unit in [DAEMON, "grelot-monitor.socket", "grelot-monitor@1.service"] {
            let verified = analyze(&root, &["--man=no", "verify"], unit);
            assert!(verified.status.success(), "{unit} {drop_ins:?}: {}", text(&verified));
            assert_eq!(text(&verified), "", "{unit} {drop_ins:?}");
        }
    }
}

#[test]
fn the_units_exposure_is_within_its_promise() {
    for (unit, drop_ins, most) in [
        (DAEMON, &[][..], MOST_EXPOSURE),
        (DAEMON, &["grelot-lan-only.conf"], MOST_EXPOSURE),
        (DAEMON, &["grelot-sealed.conf"], MOST_EXPOSURE),
        (HELPER, &[], MOST_EXPOSURE_OF_HELPER),
    ] {
        let root = installed(drop_ins);
        let threshold = format!("--threshold={most}");
        let rated = analyze(&root, &["security", "--offline=yes", &threshold], unit);
        let said = text(&rated);
        println!("{drop_ins:?}: {}", said.lines().last().unwrap_or_default());
        assert!(rated.status.success(), "{drop_ins:?}: {said}");
        assert!(said.contains("Overall exposure level"), "{said}");
    }
}

#[test]
fn the_daemon_has_no_capability_and_its_helper_one() {
    let lines = |name: &str| {
        let unit = fs::read_to_string(shipped(name)).unwrap();
        let capabilities = unit.lines().filter(|line| line.contains("apabilit"));
        let lines = capabilities.filter(|line| !line.starts_with('#')).map(str::to_owned);
        lines.collect::<Vec<_>>()
    };
    assert_eq!(lines(DAEMON), ["CapabilityBoundingSet=", "AmbientCapabilities="]);
    let helper = ["CapabilityBoundingSet=CAP_NET_RAW", "AmbientCapabilities=CAP_NET_RAW"];
    assert_eq!(lines(HELPER), helper);
}

#[test]
fn an_older_package_knows_which_state_is_too_new_for_it() {
    let checkout = Path::new(env!("CARGO_MANIFEST_DIR"));
    let script = fs::read_to_string(checkout.join("packaging/debian/preinst")).unwrap();
    let known = script.lines().find_map(|line| line.strip_prefix("known=")).unwrap();
    let folder = fs::read_dir(checkout.join("src/store")).unwrap();
    let names = folder.map(|file| file.unwrap().file_name().into_string().unwrap());
    let steps = names.filter(|name| name.starts_with("schema_")).count();
    assert_eq!(known, steps.to_string());
}

#[test]
fn a_crash_leaves_no_core_dump_with_keys_and_names() {
    let unit = fs::read_to_string(shipped("grelot.service")).unwrap();
    assert!(unit.lines().any(|line| line == "LimitCORE=0"), "{unit}");
}

#[test]
fn user_and_folders_are_made_as_the_unit_wants_them() {
    let root = installed(&[]);
    let owner = fs::metadata("/proc/self").unwrap().uid();
    assert_eq!(owner, 0, "only root gives files to other users: run this test as root");
    let configuration = root.path().join("etc/grelot");
    fs::create_dir_all(&configuration).unwrap();
    let run = |tool: &str, arguments: &[&str]| {
        Command::new(tool)
            .arg(format!("--root={}", root.path().display()))
            .args(arguments)
            .output()
            .unwrap()
    };
    let made = run("systemd-sysusers", &[shipped("grelot.sysusers").to_str().unwrap()]);
    assert!(made.status.success(), "{}", text(&made));
    let users = fs::read_to_string(root.path().join("etc/passwd")).unwrap();
    assert!(users.contains("grelot:x:") && users.contains("nologin"), "{users}");

    fs::write(configuration.join("grelot.toml"), "").unwrap();
    let made = run("systemd-tmpfiles", &["--create", shipped("grelot.tmpfiles").to_str().unwrap()]);
    assert!(made.status.success(), "{}", text(&made));
    let access = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(access(&configuration), 0o750);
    assert_eq!(access(&configuration.join("grelot.toml")), 0o640);
}

/// The lines of a document's code blocks, those that go on at the next line put together.
fn lines_of_blocks(page: &str) -> Vec<String> {
    let (mut lines, mut inside, mut open) = (Vec::new(), false, String::new());
    for line in page.lines() {
        if line.starts_with("```") {
            inside = !inside;
        } else if inside {
            open += line.trim_start().trim_start_matches("$ ");
            match open.strip_suffix('\\').map(str::to_owned) {
                Some(more) => open = more,
                None => lines.push(std::mem::take(&mut open)),
            }
        }
    }
    lines
}

/// The text between backquotes that is no block.
fn inline_code(page: &str) -> Vec<String> {
    let mut inside = false;
    let outside_of_blocks = page.lines().filter(|line| {
        let fence = line.starts_with("```");
        inside ^= fence;
        !fence && !inside
    });
    let text = outside_of_blocks.collect::<Vec<_>>().join(" ");
    text.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// The arguments of each `grelot` in a line of a shell.
fn calls(line: &str) -> Vec<Vec<String>> {
    let (mut words, mut word, mut quote, mut any) = (Vec::new(), String::new(), None, false);
    for c in line.chars().chain([' ']) {
        match (c, quote) {
            ('\'' | '"', None) => (quote, any) = (Some(c), true),
            (c, Some(open)) if c == open => quote = None,
            (c, None) if c.is_whitespace() => {
                if any || !word.is_empty() {
                    words.push(std::mem::take(&mut word));
                }
                any = false;
            }
            _ => word.push(c),
        }
    }
    let ends = |word: &String| {
        matches!(word.as_str(), "|" | "||" | "&&" | ">" | ">>" | "<" | "2>" | ";" | "&" | "#")
    };
    let before = ["sudo", "-u", "grelot", "|", "&&", ";", "exec", "nice", "-n", "10"];
    let starts = |at: usize| {
        words.get(at).is_some_and(|word| word == "grelot")
            && words.get(at + 1).is_some_and(|next| next != "grelot" && !ends(next))
            && words[..at]
                .iter()
                .rev()
                .take_while(|word| !ends(word))
                .all(|word| before.contains(&word.as_str()))
    };
    let call = |at: usize| words[at..].iter().take_while(|word| !ends(word)).cloned().collect();
    (0..words.len()).filter(|at| starts(*at)).map(call).collect()
}

/// The trusted comment of a signature, which begins like a command.
const NO_COMMAND: &str = "grelot settings for ";

#[test]
fn every_command_of_the_documents_is_one() {
    use clap::error::ErrorKind::{
        DisplayHelpOnMissingArgumentOrSubcommand, InvalidValue, MissingRequiredArgument,
        MissingSubcommand, ValueValidation,
    };

    let checkout = Path::new(env!("CARGO_MANIFEST_DIR"));
    let docs = fs::read_dir(checkout.join("docs")).unwrap().map(|file| file.unwrap().path());
    let pages = docs.filter(|path| path.extension().is_some_and(|extension| extension == "md"));
    let others = ["README.md", "packaging/README.md", "CONTRIBUTING.md", "SECURITY.md"]
        .map(|name| checkout.join(name));
    let (mut wrong, mut tried) = (Vec::new(), 0);
    for path in pages.chain(others) {
        let page = fs::read_to_string(&path).unwrap();
        // In a sentence a command may be without its arguments.
        let whole = lines_of_blocks(&page).into_iter().map(|line| (line, false));
        let mentioned = inline_code(&page).into_iter().map(|code| (code, true));
        for (line, in_a_sentence) in
            whole.chain(mentioned).filter(|(line, _)| !line.starts_with(NO_COMMAND))
        {
            for call in calls(&line) {
                tried += 1;
                let Err(error) = grelot::commands::description().try_get_matches_from(&call) else {
                    continue;
                };
                let short = [
                    InvalidValue,
                    ValueValidation,
                    MissingRequiredArgument,
                    MissingSubcommand,
                    DisplayHelpOnMissingArgumentOrSubcommand,
                ];
                if error.use_stderr() && !(in_a_sentence && short.contains(&error.kind())) {
                    wrong.push(format!("{}: {}: {error}", path.display(), call.join(" ")));
                }
            }
        }
    }
    assert!(tried > 100, "only {tried} commands were found");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The text of all of these files below a folder.
fn sources(folder: &Path, text: &mut String) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, text);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            text.push_str(&fs::read_to_string(&path).unwrap());
        }
    }
}

#[test]
fn every_test_that_a_document_names_is_there() {
    let checkout = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut code = String::new();
    for folder in ["src", "tests"] {
        sources(&checkout.join(folder), &mut code);
    }
    let is_test = |name: &&str| {
        let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        name.matches('_').count() >= 4 && name.chars().all(fits)
    };
    let (mut named, mut missing) = (0, Vec::new());
    for page in ["docs/secure.md", "SECURITY.md"] {
        for code_in_text in inline_code(&fs::read_to_string(checkout.join(page)).unwrap()) {
            for name in code_in_text.split("::").filter(is_test) {
                named += 1;
                if !code.contains(&format!("fn {name}(")) {
                    missing.push(format!("{page}: {name}"));
                }
            }
        }
    }
    assert!(named > 10, "only {named} names were found");
    assert!(missing.is_empty(), "{}", missing.join("\n"));
}
