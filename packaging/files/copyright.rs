//! The copyright file in Debian's machine-readable form (DEP-5): grelot's own licence, then each
//! crate that is linked, with its licence and the copyright lines of its own licence files.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::ensure;

use super::linked::Linked;

const HEADER: &str = "\
Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Upstream-Name: grelot
Comment:
 The program is linked statically from the crates below. Each was fetched from
 crates.io in the version that Cargo.lock names.

Files: *
Copyright: 2026 The Grelot contributors
License: MIT or Apache-2.0

";

/// C sources that crates bring along, with licences of their own.
const VENDORED: [(&str, &str, &str); 3] = [
    ("sqlite3", "The authors of SQLite, who disclaim copyright", "public-domain"),
    ("zstd", "Meta Platforms, Inc. and affiliates", "BSD-3-Clause"),
    ("libdbus", "Red Hat, Inc. and the authors of D-Bus", "AFL-2.1"),
];

const PUBLIC_DOMAIN: &str = "The authors of SQLite dedicate the code to the public domain: anyone is \
                             free to copy, modify, publish, use, compile, sell, or distribute it, \
                             for any purpose and by any means.";

/// Licences whose text every Debian system has.
const COMMON: [(&str, &str); 1] = [("Apache-2.0", "/usr/share/common-licenses/Apache-2.0")];

/// What a licence's own text says, by which its file is found in a crate.
const MARKS: [(&str, &str); 7] = [
    ("MIT", "Permission is hereby granted, free of charge"),
    ("ISC", "Permission to use, copy, modify, and/or distribute this software for any"),
    ("BSD-3-Clause", "Neither the name of"),
    ("Zlib", "This software is provided 'as-is'"),
    ("Unicode-3.0", "UNICODE LICENSE V3"),
    ("CDLA-Permissive-2.0", "Community Data License Agreement"),
    ("AFL-2.1", "Academic Free License version 2.1"),
];

/// The whole file.
pub fn text(linked: &[Linked]) -> anyhow::Result<String> {
    let mut text = HEADER.to_owned();
    let mut wanted = BTreeSet::from(["MIT".to_owned(), "Apache-2.0".to_owned()]);
    for one in linked {
        let license = dep5(&one.license);
        wanted.extend(names(&license));
        writeln!(text, "Files: crates/{}-{}/*", one.name, one.version)?;
        writeln!(text, "Copyright: {}", copyright(&one.folder, &one.name).join("\n "))?;
        writeln!(text, "License: {license}\n")?;
    }
    for (name, copyright, license) in VENDORED {
        wanted.insert(license.to_owned());
        writeln!(text, "Files: vendored/{name}/*\nCopyright: {copyright}\nLicense: {license}\n")?;
    }
    let found = licence_texts(linked);
    for name in wanted {
        let body = license_text(&name, &found)?;
        writeln!(text, "License: {name}\n{body}\n")?;
    }
    Ok(text)
}

/// An SPDX expression in DEP-5's words.
fn dep5(spdx: &str) -> String {
    spdx.replace(" WITH LLVM-exception", "-LLVM-exception")
        .replace(" OR ", " or ")
        .replace(" AND ", " and ")
        .replace('/', " or ")
        .replace(['(', ')'], "")
}

/// The licences that an expression names.
fn names(license: &str) -> impl Iterator<Item = String> {
    license.split(" or ").flat_map(|one| one.split(" and ")).map(|one| one.trim().to_owned())
}

/// The lines of a crate's licence files that claim copyright.
fn copyright(folder: &Path, name: &str) -> Vec<String> {
    let lines: BTreeSet<String> = licence_files(folder)
        .iter()
        .flat_map(|text| text.lines())
        .map(str::trim)
        .filter(|line| line.starts_with("Copyright ") && line.chars().any(char::is_numeric))
        .map(|line| line.trim_start_matches("Copyright ").trim_start_matches("(c) ").to_owned())
        .filter(|line| !line.contains("yyyy"))
        .collect();
    if lines.is_empty() {
        return vec![format!("the authors of {name}")];
    }
    lines.into_iter().collect()
}

fn licence_files(folder: &Path) -> Vec<String> {
    let mut found: Vec<PathBuf> = fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .map(|file| file.path())
        .filter(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy().to_uppercase();
            ["LICENSE", "LICENCE", "COPYING", "COPYRIGHT", "UNLICENSE"]
                .iter()
                .any(|word| name.starts_with(word))
        })
        .collect();
    found.sort();
    found.iter().filter_map(|path| fs::read_to_string(path).ok()).collect()
}

/// The text of each licence, as some crate that is under it brings it along.
fn licence_texts(linked: &[Linked]) -> BTreeMap<&'static str, String> {
    let mut texts = BTreeMap::new();
    for one in linked {
        let vendored = one.folder.join("vendor/dbus");
        let files = licence_files(&one.folder).into_iter().chain(licence_files(&vendored));
        for text in files {
            for (name, mark) in MARKS {
                let whole = text.contains(mark);
                // A file with several licences is the text of none.
                let alone = MARKS.iter().filter(|(_, other)| text.contains(other)).count() == 1;
                if whole && (alone || name == "AFL-2.1") {
                    texts.entry(name).or_insert_with(|| text.clone());
                }
            }
        }
    }
    texts
}

/// A licence's text, indented as the format wants it.
fn license_text(name: &str, found: &BTreeMap<&'static str, String>) -> anyhow::Result<String> {
    let text = match COMMON.iter().find(|(common, _)| *common == name) {
        Some((_, path)) => format!("The text is in {path}."),
        None if name == "public-domain" => PUBLIC_DOMAIN.to_owned(),
        None => match found.get(name) {
            Some(text) => without_copyright(text),
            None => format!("The text is at https://spdx.org/licenses/{name}.html."),
        },
    };
    ensure!(!text.trim().is_empty(), "no text of {name}");
    let lines = text.trim().lines().map(|line| match line.trim_end() {
        "" => " .".to_owned(),
        line => format!(" {line}"),
    });
    Ok(lines.collect::<Vec<_>>().join("\n"))
}

/// Each crate's own copyright lines are beside its name; of two licences to choose from, the first.
fn without_copyright(text: &str) -> String {
    let text = text.split("GNU GENERAL PUBLIC LICENSE").next().unwrap_or(text);
    let lines = text.lines().filter(|line| !line.trim_start().starts_with("Copyright "));
    lines.collect::<Vec<_>>().join("\n")
}
