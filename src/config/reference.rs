//! The reference and the sample, written from the tables of keys. A test keeps the files in the
//! repository equal to them; `GRELOT_BLESS=1 cargo test reference` rewrites them.

use std::fmt::Write as _;

use super::keys::{Absent, Key, SECTIONS, Section};

const REFERENCE_HEAD: &str = "\
# Configuration

Site settings belong to IT and live in `grelot.toml`. `[presence]` and `[policy]` belong to head
office: they live in the same file, or are pushed over MQTT. `grelot check` reports every problem
of a configuration at once, with line, key and a hint. Unknown keys are errors. Paths are relative to
the configuration's folder.

The smallest configuration is [`config/minimal.toml`](../config/minimal.toml);
[`config/grelot.toml`](../config/grelot.toml) has every key with its explanation.

This page is written from `src/config/keys`, which also feeds the error messages.
";

const REFERENCE_TAIL: &str = "
## Pushed settings

Head office pushes TOML documents with `[presence]` and `[policy]` only, as retained messages:

| topic | reaches |
|---|---|
| `grelot/v1/config/fleet` | every gateway |
| `grelot/v1/config/group/<group>` | the stores whose `store.group` is that |
| `grelot/v1/<store>/config` | one store |
| `grelot/v1/<store>/gateways/<gateway>/config` | one gateway |

For each key the narrowest document that has it counts, before the configuration file. All documents
are checked together: if one has an error, the former settings stay in force, and
`gateways/<gateway>/status` reports line, key and hint. It also has a hash of the settings in force:
equal settings have the same hash. An empty message removes a document.

## Environment

| variable | says |
|---|---|
| `GRELOT_LOG` | how much is logged: `error`, `warn`, `info`, `debug`, `trace`, or by module: `grelot::mqtt=debug,info`. Other crates never log more than warnings |
| `STATE_DIRECTORY` | set by systemd: where `state.path` is by default |
";

/// The text of `docs/configuration.md`.
fn reference() -> String {
    let mut page = REFERENCE_HEAD.to_owned();
    for section in SECTIONS {
        let _ = write!(page, "\n## `{}`\n\n{}\n\n", title(section), section.says);
        page.push_str("| key | value | default | meaning |\n|---|---|---|---|\n");
        for key in section.keys {
            let unit = if key.unit.is_empty() { String::new() } else { format!(", {}", key.unit) };
            let _ = writeln!(
                page,
                "| `{}` | {}{unit} | {} | {} |",
                key.name,
                key.form.to_string().replace('|', "\\|"),
                default(key),
                key.says
            );
        }
    }
    page + REFERENCE_TAIL
}

fn title(section: &Section) -> String {
    if section.repeats { format!("[[{}]]", section.name) } else { format!("[{}]", section.name) }
}

fn default(key: &Key) -> String {
    match key.absent {
        Absent::Required => "required".to_owned(),
        Absent::Means(words) => words.to_owned(),
        Absent::Is(_) | Absent::Domain(_) => {
            key.default().map(|value| format!("`{value}`")).unwrap_or_default()
        }
    }
}

const SAMPLE_HEAD: &str = "\
# Every key of grelot, with its default or an example. A line that begins with `#` and a key or a
# section is not in force: take the `#` away and change it. Check the result with `grelot check`.
#
# This file is written from src/config/keys; docs/configuration.md has the same as a table.
";

/// Sections that the sample has in force, as a first gateway wants them.
const IN_FORCE: [&str; 5] =
    ["store.id", "store.name", "gateway.name", "source.kind", "tablets.listen"];

/// The text of `config/grelot.toml`.
fn sample() -> String {
    let mut text = SAMPLE_HEAD.to_owned();
    for section in SECTIONS {
        let _ = writeln!(text);
        comment(&mut text, section.says);
        let _ = writeln!(text, "{}{}", if optional(section) { "#" } else { "" }, title(section));
        for key in section.keys {
            sample_key(&mut text, section, key);
        }
    }
    text
}

/// Whether a configuration may do without this section: it repeats, and the sample has none in
/// force.
fn optional(section: &Section) -> bool {
    let in_force =
        |key: &Key| IN_FORCE.contains(&format!("{}.{}", section.name, key.name).as_str());
    section.repeats && !section.keys.iter().any(in_force)
}

fn sample_key(text: &mut String, section: &Section, key: &Key) {
    let (name, value) = (key.name.trim_end_matches(".*"), example(key));
    let unit = if key.unit.is_empty() { String::new() } else { format!(", {}", key.unit) };
    let absent = match key.absent {
        Absent::Required => "required".to_owned(),
        _ => format!("default: {}", default(key).replace('`', "")),
    };
    comment(text, &format!("{}.", capital(key.says)));
    comment(text, &format!("({}{unit}; {absent})", key.form));
    let path = format!("{}.{}", section.name, key.name);
    let off = if IN_FORCE.contains(&path.as_str()) { "" } else { "#" };
    let _ = writeln!(text, "{off}{name} = {value}");
}

fn example(key: &Key) -> String {
    match key.default() {
        Some(value) if key.example.is_empty() => value.to_string(),
        _ => key.example.to_owned(),
    }
}

fn capital(sentence: &str) -> String {
    let mut letters = sentence.chars();
    letters.next().map_or_else(String::new, |first| {
        first.to_uppercase().collect::<String>() + letters.as_str()
    })
}

/// Wrapped at 100 columns.
fn comment(text: &mut String, words: &str) {
    let mut line = "#".to_owned();
    for word in words.split(' ') {
        if line.chars().count() + 1 + word.chars().count() > 100 {
            let _ = writeln!(text, "{line}");
            "#".clone_into(&mut line);
        }
        line.push(' ');
        line.push_str(word);
    }
    let _ = writeln!(text, "{line}");
}

fn is_in_the_repository(path: &str, expected: &str) {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    if std::env::var_os("GRELOT_BLESS").is_some() {
        std::fs::write(&path, expected).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(found == expected, "{} is out of date: GRELOT_BLESS=1 cargo test", path.display());
}

#[test]
fn the_reference_is_written_from_the_tables() {
    is_in_the_repository("docs/configuration.md", &reference());
}

#[test]
fn the_sample_is_written_from_the_tables() {
    is_in_the_repository("config/grelot.toml", &sample());
}

#[test]
fn every_line_of_the_sample_can_be_put_in_force() {
    let sample = sample();
    let folder = std::path::Path::new(".");
    super::parse(&sample, "grelot.toml", folder).expect("the sample as it is");
    let is_key = |line: &str| {
        line.strip_prefix('#')
            .is_some_and(|rest| rest.starts_with(|c: char| c.is_alphabetic() || c == '['))
    };
    let all: Vec<&str> = sample
        .lines()
        .map(|line| if is_key(line) { line.trim_start_matches('#') } else { line })
        .collect();
    let document =
        super::document::read(&all.join("\n"), "grelot.toml", super::document::Scope::Site);
    assert!(document.problems.is_empty(), "{}", document.problems);
    for section in SECTIONS {
        for key in section.keys {
            let table = if section.repeats { "[0]" } else { "" };
            let path = format!("{}{table}.{}", section.name, key.name.trim_end_matches('*'));
            assert!(document.values.keys().any(|known| known.starts_with(&path)), "{path}");
        }
    }
}

#[test]
fn every_default_has_its_form_and_every_key_its_sentence() {
    for section in SECTIONS {
        assert!(section.says.ends_with('.'), "{}", section.name);
        for key in section.keys {
            let name = format!("{}.{}", section.name, key.name);
            assert!(!key.says.is_empty() && !key.says.ends_with('.'), "{name}");
            if let Absent::Is(_) | Absent::Domain(_) = key.absent {
                let default = key.default().unwrap_or_else(|| panic!("{name}: bad default"));
                let text = default.to_string();
                let value = toml::de::DeValue::parse(&text).unwrap();
                assert_eq!(key.form.read(value.get_ref(), key.unit), Ok(default), "{name}");
            }
        }
    }
}

#[test]
fn what_a_detection_key_sets_is_what_it_gets() {
    use super::detection::Detection;
    use super::form::{Form, Value};
    for key in SECTIONS.iter().flat_map(|section| section.keys) {
        let Some(access) = key.detection() else { continue };
        let other = match key.form {
            Form::Number { least, most } => Value::Number(f64::midpoint(least, most).round()),
            Form::Integer { most, .. } => Value::Integer(most),
            Form::QuietHours => Value::Text("12:00-14:00".to_owned()),
            _ => Value::Texts(vec!["platinum".to_owned()]),
        };
        let other = if key.name == "arrive_confidence" { Value::Number(0.75) } else { other };
        let mut detection = Detection::default();
        (access.set)(&mut detection, &other);
        assert_eq!((access.get)(&detection), other, "{}", key.name);
        assert_ne!(detection, Detection::default(), "{}", key.name);
    }
}
