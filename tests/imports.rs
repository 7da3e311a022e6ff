//! One direction: no circle of imports between the files of `src`, no folder imports one above
//! it.
//!
//! An import is a path in product code that names a file of the crate: a `use` line, or
//! `crate::…`, `super::…` and `self::…` in the code itself. Re-exports (`pub use`) are followed
//! to the file that defines the thing, and are no imports of the file that re-exports: a `mod.rs`
//! may list what its folder offers. Macros of other crates are not looked into.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test fails by panicking"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// From the lowest to the highest; a folder imports from those before it.
const FOLDERS: &[&str] = &[
    "lines",
    "sequential",
    "text",
    "topics",
    "files",
    "private",
    "addresses",
    "assets",
    "state_file",
    "certificates",
    "pipeline",
    "wording",
    "clock",
    "tasks",
    "http",
    "http_server",
    "sources",
    "config",
    "payload",
    "store",
    "outbox",
    "webhooks",
    "telemetry",
    "mqtt",
    "tablets",
    "fleet",
    "office",
    "daemon",
    "commands",
];

/// Folders whose files still import each other in a circle. A folder that has none any more is
/// taken off this list, and none is added.
const LEFT: &[&str] = &[];

/// Arrows back up that are left: none is added.
const LEFT_UP: &[&str] = &[];

/// A module's path, such as `pipeline::identity::key`.
type Module = Vec<String>;

struct House {
    /// Where each module's code is.
    files: BTreeMap<Module, PathBuf>,
    /// Product code, without comments, strings and tests.
    code: BTreeMap<Module, String>,
    /// What each module re-exports: a name, and the path as it is written.
    exports: BTreeMap<Module, Vec<(String, Module)>>,
}

impl House {
    fn read() -> Self {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        let mut house =
            Self { files: BTreeMap::new(), code: BTreeMap::new(), exports: BTreeMap::new() };
        house.walk(&source, &Vec::new());
        assert!(house.files.len() > 100, "the sources were not found");
        for (module, code) in &house.code {
            let exports = uses(code).into_iter().filter(|(public, _)| *public);
            let exports = exports.filter_map(|(_, path)| Some((path.last()?.clone(), path)));
            house.exports.insert(module.clone(), exports.collect());
        }
        house
    }

    fn walk(&mut self, folder: &Path, module: &Module) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            let inner = |name: String| [module.clone(), vec![name]].concat();
            if path.is_dir() {
                self.walk(&path, &inner(name));
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let module = match name.as_str() {
                    "main" => continue,
                    "lib" | "mod" => module.clone(),
                    _ => inner(name),
                };
                if module.last().is_some_and(|name| name == "tests" || name == "reference") {
                    continue;
                }
                self.code.insert(module.clone(), product(&fs::read_to_string(&path).unwrap()));
                self.files.insert(module, path);
            }
        }
    }

    /// The module that defines what `path`, written in `from`, names.
    fn target(&self, from: &Module, path: &Module) -> Option<Module> {
        let mut absolute = self.absolute(from, path)?;
        for _ in 0..8 {
            let module = (0..=absolute.len()).rev().map(|n| absolute[..n].to_vec());
            let module = module.into_iter().find(|module| self.files.contains_key(module))?;
            let Some(name) = absolute.get(module.len()) else { return Some(module) };
            let export = self.exports[&module].iter().find(|(exported, _)| exported == name);
            let Some((_, path)) = export else { return Some(module) };
            let mut followed = self.absolute(&module, path)?;
            followed.extend_from_slice(&absolute[module.len() + 1..]);
            absolute = followed;
        }
        None
    }

    fn absolute(&self, from: &Module, path: &Module) -> Option<Module> {
        let mut base = from.clone();
        let mut rest = &path[..];
        match rest.first()?.as_str() {
            "crate" => (base, rest) = (Vec::new(), &rest[1..]),
            "self" => rest = &rest[1..],
            "super" => {
                while rest.first().is_some_and(|part| part == "super") {
                    base.pop()?;
                    rest = &rest[1..];
                }
            }
            first => {
                let child = [base.clone(), vec![first.to_owned()]].concat();
                if !self.files.contains_key(&child) {
                    return None;
                }
            }
        }
        Some([base, rest.to_vec()].concat())
    }

    fn imports(&self) -> BTreeMap<Module, BTreeSet<Module>> {
        let of = |(module, code): (&Module, &String)| {
            let private = uses(code).into_iter().filter(|(public, _)| !*public);
            let paths = private.map(|(_, path)| path).chain(inline_paths(code));
            let targets = paths.filter_map(|path| self.target(module, &path));
            (module.clone(), targets.filter(|target| target != module).collect())
        };
        self.code.iter().map(of).collect()
    }
}

/// Without comments, text in quotes, and all from the first unit test on.
fn product(text: &str) -> String {
    let text = text.split("\n#[cfg(test)]\n").next().unwrap_or_default();
    let mut code = String::new();
    for line in text.lines() {
        let mut quoted = false;
        let mut before = ' ';
        let mut characters = line.chars().peekable();
        while let Some(c) = characters.next() {
            match c {
                '/' if !quoted && characters.peek() == Some(&'/') => break,
                '"' if before != '\\' && before != '\'' => quoted = !quoted,
                c if !quoted => code.push(c),
                _ => {}
            }
            before = c;
        }
        code.push('\n');
    }
    code
}

/// The paths of all `use` items, and whether they are re-exports.
fn uses(code: &str) -> Vec<(bool, Module)> {
    let mut found = Vec::new();
    for item in code.split(';') {
        let item =
            item.rsplit(['}', ']']).next().filter(|_| !item.contains("use ")).unwrap_or(item);
        let Some(at) = item.rfind("use ").filter(|at| starts_item(&item[..*at])) else { continue };
        let head = item[..at].trim_end();
        let public = head.ends_with("pub") || head.ends_with(')') && head.contains("pub(");
        let tree: String = item[at + 4..].split_whitespace().collect::<Vec<_>>().join(" ");
        expand(&tree, &Vec::new(), &mut |path| found.push((public, path)));
    }
    found
}

fn starts_item(before: &str) -> bool {
    let before = before.trim_end();
    let before = before.strip_suffix("pub").unwrap_or(before).trim_end();
    before.is_empty() || before.ends_with(['{', '}', ']', ')', '\n', ';'])
}

fn expand(tree: &str, prefix: &Module, found: &mut impl FnMut(Module)) {
    let tree = tree.trim();
    if let Some((head, group)) = tree.split_once('{') {
        let head = head.trim_end_matches("::").split("::").filter(|part| !part.trim().is_empty());
        let prefix: Module =
            prefix.iter().cloned().chain(head.map(|p| p.trim().to_owned())).collect();
        let group = group.strip_suffix('}').unwrap_or(group);
        let (mut depth, mut start) = (0, 0);
        for (at, c) in group.char_indices() {
            match c {
                '{' => depth += 1,
                '}' => depth -= 1,
                ',' if depth == 0 => {
                    expand(&group[start..at], &prefix, found);
                    start = at + 1;
                }
                _ => {}
            }
        }
        expand(&group[start..], &prefix, found);
    } else if !tree.is_empty() {
        let path = tree.split(" as ").next().unwrap_or_default();
        let parts =
            path.split("::").map(str::trim).filter(|part| *part != "self" || prefix.is_empty());
        found(prefix.iter().cloned().chain(parts.map(str::to_owned)).collect());
    }
}

/// `crate::…` and `super::…` outside of `use` items.
fn inline_paths(code: &str) -> Vec<Module> {
    let mut found = Vec::new();
    for line in code.lines().filter(|line| !line.trim_start().contains("use ")) {
        for head in ["crate::", "super::", "self::"] {
            for (at, _) in line.match_indices(head) {
                let part = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
                if line[..at].chars().next_back().is_some_and(part) {
                    continue;
                }
                let path = line[at..].split(|c| !part(c)).next().unwrap_or_default();
                found.push(path.split("::").filter(|p| !p.is_empty()).map(str::to_owned).collect());
            }
        }
    }
    found
}

/// Files that import each other, directly or through others.
fn circles(imports: &BTreeMap<Module, BTreeSet<Module>>) -> Vec<Vec<Module>> {
    let reached = |from: &Module| {
        let mut seen = BTreeSet::new();
        let mut open: Vec<&Module> = imports[from].iter().collect();
        while let Some(module) = open.pop() {
            if seen.insert(module.clone()) {
                open.extend(imports[module].iter());
            }
        }
        seen
    };
    let reached: BTreeMap<_, _> =
        imports.keys().map(|from| (from.clone(), reached(from))).collect();
    let mut circles = Vec::new();
    let mut done = BTreeSet::new();
    for module in imports.keys().filter(|module| reached[*module].contains(*module)) {
        if !done.contains(module) {
            let mutual = |other: &&Module| reached[*other].contains(module);
            let circle: Vec<_> = reached[module].iter().filter(mutual).cloned().collect();
            done.extend(circle.iter().cloned());
            circles.push(circle);
        }
    }
    circles
}

fn name(module: &Module) -> String {
    if module.is_empty() { "crate".to_owned() } else { module.join("::") }
}

#[test]
fn no_files_import_each_other_in_a_circle() {
    let imports = House::read().imports();
    let mut offences = Vec::new();
    let left = |circle: &[Module]| {
        LEFT.iter().position(|folder| circle.iter().all(|module| name(module).starts_with(folder)))
    };
    let mut in_use = BTreeSet::new();
    for circle in circles(&imports) {
        if let Some(folder) = left(&circle) {
            in_use.insert(folder);
            continue;
        }
        offences.push(format!("a circle of {} files:", circle.len()));
        for module in &circle {
            let within = imports[module].iter().filter(|target| circle.contains(target));
            let within: Vec<_> = within.map(name).collect();
            offences.push(format!("  {} imports {}", name(module), within.join(", ")));
        }
    }
    let done: Vec<_> =
        (0..LEFT.len()).filter(|at| !in_use.contains(at)).map(|at| LEFT[at]).collect();
    assert!(done.is_empty(), "no circle is left in {done:?}: take them off the list");
    assert!(offences.is_empty(), "{}", offences.join("\n"));
}

#[test]
fn no_folder_imports_one_above_it() {
    let rank = |module: &Module| {
        let folder = module.first()?;
        Some(FOLDERS.iter().position(|known| known == folder).unwrap_or_else(|| {
            panic!("{folder} has no place in the list of folders");
        }))
    };
    let mut offences = Vec::new();
    for (module, targets) in House::read().imports() {
        for target in targets {
            if let (Some(from), Some(to)) = (rank(&module), rank(&target))
                && to > from
            {
                offences.push(format!("{} imports {}", name(&module), name(&target)));
                offences.retain(|offence| !LEFT_UP.contains(&offence.as_str()));
            }
        }
    }
    assert!(offences.is_empty(), "{} arrows back up:\n{}", offences.len(), offences.join("\n"));
}

#[test]
fn the_files_that_the_architecture_names_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = fs::read_to_string(root.join("docs/architecture.md")).unwrap();
    let named: BTreeSet<&str> = text
        .split('`')
        .skip(1)
        .step_by(2)
        .filter(|word| word.contains('/') || Path::new(word).extension().is_some_and(|e| e == "rs"))
        .filter(|word| word.chars().all(|c| c.is_ascii_alphanumeric() || "/_.".contains(c)))
        .collect();
    assert!(named.len() > 30, "{named:?}");
    let above = ["", "src", "src/pipeline", "src/pipeline/advert", "src/mqtt/broker"];
    let exists = |file: &str| above.iter().any(|folder| root.join(folder).join(file).exists());
    let is_module = |word: &str| exists(word) || exists(&format!("{word}.rs"));
    let missing: Vec<_> = named.into_iter().filter(|word| !is_module(word)).collect();
    assert!(missing.is_empty(), "docs/architecture.md names files that do not exist: {missing:?}");
}

#[test]
fn the_test_would_notice() {
    let code = product(
        "pub use machine::Pipeline; // use crate::not::this;\n\
         use super::{HERE, event::{self, Effect}};\n\
         fn f() { crate::mqtt::tls::client(\"crate::in_quotes\"); }\n",
    );
    let module = |text: &str| text.split("::").map(str::to_owned).collect::<Module>();
    assert_eq!(
        uses(&code),
        [
            (true, module("machine::Pipeline")),
            (false, module("super::HERE")),
            (false, module("super::event")),
            (false, module("super::event::Effect")),
        ]
    );
    assert_eq!(inline_paths(&code), [module("crate::mqtt::tls::client")]);
    let imports = BTreeMap::from([
        (module("a"), BTreeSet::from([module("b")])),
        (module("b"), BTreeSet::from([module("c")])),
        (module("c"), BTreeSet::from([module("b")])),
    ]);
    assert_eq!(circles(&imports), [[module("b"), module("c")]]);
}
