//! The pipeline does no IO, reads no clock, spawns nothing, logs nothing, draws no random number:
//! this test reads its sources and refuses what could.
//!
//! It looks at names, so it cannot see through a macro of another crate, nor a function of an
//! allowed crate that does such a thing; the list of crates the pipeline may name keeps those few.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::disallowed_methods,
    reason = "a test that stops here has failed, and says so; it waits for real programs"
)]

use std::path::{Path, PathBuf};

/// Heads of paths that the pipeline may import from.
const ALLOWED_ROOTS: &[&str] = &[
    "std",
    "core",
    "super",
    "self",
    "crate",
    "aes",
    "hex",
    "hkdf",
    "hmac",
    "jiff",
    "sha2",
    "subtle",
    "thiserror",
    "uuid",
    "wide",
    "zeroize",
];
/// Modules of the standard library that touch the world or depend on it.
const FORBIDDEN_STD: &[&str] = &["env", "fs", "io", "net", "os", "process", "thread"];
/// Words that mean a clock, a task, a log, chance, or an order that changes from run to run.
const FORBIDDEN_WORDS: &[&str] = &[
    "Instant",
    "SystemTime",
    "Zoned::now",
    "Timestamp::now",
    "TimeZone::system",
    "tokio",
    "tracing",
    "println!",
    "eprintln!",
    "print!",
    "dbg!",
    "getrandom",
    "RandomState",
    "HashMap::new",
    "HashSet::new",
    "thread_rng",
    "unsafe",
    "mpsc",
];

#[test]
fn the_pipeline_imports_nothing_that_could_touch_the_world() {
    let files = sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src/pipeline"));
    assert!(files.len() > 10, "the pipeline's sources were not found");
    let mut offences = Vec::new();
    let is_product = |file: &PathBuf| !file.ends_with("tests.rs");
    for file in files.into_iter().filter(is_product) {
        let text = std::fs::read_to_string(&file).unwrap();
        let product = text.split("#[cfg(test)]").next().unwrap_or_default();
        for (number, line) in product.lines().enumerate() {
            let code = line.split("//").next().unwrap_or_default();
            for offence in offences_in(code) {
                offences.push(format!("{}:{}: {offence}", file.display(), number + 1));
            }
        }
    }
    assert!(offences.is_empty(), "{}", offences.join("\n"));
}

#[test]
fn the_test_would_notice() {
    for line in [
        "use std::fs::File;",
        "use std::time::Instant;",
        "let now = std::time::SystemTime::now();",
        "use tokio::time::sleep;",
        "tracing::info!(\"x\");",
        "use crate::store::Store;",
        "use std::{collections::BTreeMap, net::IpAddr};",
    ] {
        assert!(!offences_in(line).is_empty(), "{line}");
    }
    for line in ["use std::collections::BTreeMap;", "use crate::pipeline::units::Tick;"] {
        assert!(offences_in(line).is_empty(), "{line}");
    }
}

fn offences_in(code: &str) -> Vec<String> {
    let mut found: Vec<String> = FORBIDDEN_WORDS
        .iter()
        .filter(|word| has_word(code, word))
        .map(|word| format!("names {word}"))
        .collect();
    for module in FORBIDDEN_STD {
        let grouped = code.contains("std::{") && has_word(code, module);
        if grouped || has_word(code, &format!("std::{module}")) {
            found.push(format!("names std::{module}"));
        }
    }
    if let Some(path) = code.trim().strip_prefix("use ") {
        let root = path.split([':', ';', ' ']).next().unwrap_or_default();
        let type_of_this_file = root.chars().next().is_some_and(char::is_uppercase);
        if !type_of_this_file && !ALLOWED_ROOTS.contains(&root) && !is_sibling(root) {
            found.push(format!("imports from {root}"));
        }
        if root == "crate" && !path.starts_with("crate::pipeline") {
            found.push("imports from outside the pipeline".to_owned());
        }
    }
    found
}

/// `use belief::Belief;` names a module of the same folder.
fn is_sibling(root: &str) -> bool {
    sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src/pipeline"))
        .iter()
        .any(|file| file.file_stem().is_some_and(|stem| stem == root))
}

fn has_word(code: &str, word: &str) -> bool {
    let part = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
    code.match_indices(word).any(|(at, _)| {
        let before = code[..at].chars().next_back();
        let after = code[at + word.len()..].chars().next();
        !(part(before) || part(word.chars().next_back()) && part(after))
    })
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found
}
