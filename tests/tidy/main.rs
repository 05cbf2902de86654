//! Guards of the source layout: import arrows, doors of crates, headers, sizes, links, pinned versions.
//!
//! The rules are read from the tables of `docs/architecture.md`, so that page and code cannot drift apart.

mod circles;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

const MAX_LINES: usize = 800;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn files_below(dir: &Path, extension: &str, out: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).expect("folder").flatten() {
        let path = entry.path();
        let name = entry.file_name();
        if path.is_dir() && name != "node_modules" && name != "dist" && name != "target" {
            files_below(&path, extension, out);
        } else if path.extension().is_some_and(|e| e == extension) {
            out.push(path);
        }
    }
}

fn sources(folders: &[&str], extension: &str) -> Vec<(String, String)> {
    let mut paths = Vec::new();
    for folder in folders {
        files_below(&root().join(folder), extension, &mut paths);
    }
    paths.sort();
    let read = |path: &PathBuf| {
        let relative = path.strip_prefix(root()).expect("below the root").to_string_lossy().into_owned();
        (relative, fs::read_to_string(path).expect("text"))
    };
    paths.iter().map(read).collect()
}

/// The rows of the table of `docs/architecture.md` whose head is `| first | second |`.
fn table(first: &str, second: &str) -> BTreeMap<String, Vec<String>> {
    let text = fs::read_to_string(root().join("docs/architecture.md")).expect("architecture page");
    let head = format!("| {first} | {second} |");
    let rows = text.lines().skip_while(|l| *l != head).skip(2).take_while(|l| l.starts_with('|'));
    let mut out = BTreeMap::new();
    for row in rows {
        let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
        let list = cells[1].split(',').map(str::trim).filter(|c| *c != "-").map(str::to_owned).collect();
        out.insert(cells[0].to_owned(), list);
    }
    assert!(!out.is_empty(), "table `{head}` is missing");
    out
}

/// The code of a file: without comments and without its unit tests, which may use what they like.
fn code(file: &str, text: &str) -> String {
    if file.ends_with("tests.rs") {
        return String::new();
    }
    let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    text.lines().filter(|l| !l.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

/// The words that follow `prefix` in `text`, where `prefix` does not continue a longer word.
fn words_after<'a>(text: &'a str, prefix: &'a str) -> impl Iterator<Item = &'a str> {
    text.match_indices(prefix)
        .filter(|(at, _)| {
            !text[..*at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':' || c == '$')
        })
        .map(move |(at, _)| {
            let rest = &text[at + prefix.len()..];
            rest.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or_default()
        })
}

#[test]
fn modules_import_only_what_the_page_allows() {
    let allowed = table("module", "may import");
    let mut wrong = BTreeSet::new();
    for (file, text) in sources(&["src"], "rs") {
        let Some((module, _)) = file.trim_start_matches("src/").split_once('/') else { continue };
        let Some(row) = allowed.get(module) else {
            wrong.insert(format!("{file}: module {module} is not in the table"));
            continue;
        };
        let code = code(&file, &text);
        for used in words_after(&code, "crate::") {
            if !used.is_empty() && used != module && !row.iter().any(|m| m == used) {
                wrong.insert(format!("{file}: {module} may not import {used}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn crates_are_used_only_behind_their_doors() {
    let doors = table("crate", "door");
    let mut wrong = BTreeSet::new();
    for (file, text) in sources(&["src"], "rs") {
        let code = code(&file, &text);
        for (name, paths) in &doors {
            let prefix = format!("{name}::");
            let used = words_after(&code, &prefix).next().is_some();
            if used && !paths.iter().any(|door| file.starts_with(door.as_str())) {
                wrong.insert(format!("{file}: {name} is used outside of its door"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn every_source_file_has_a_header_a_bound_and_plain_characters() {
    let mut wrong = Vec::new();
    for (file, text) in sources(&["src", "tests", "benches"], "rs") {
        if !text.starts_with("//!") {
            wrong.push(format!("{file}: no //! header"));
        }
        let lines = text.lines().count();
        if lines > MAX_LINES {
            wrong.push(format!("{file}: {lines} lines, due for a split by role"));
        }
        if !text.is_ascii() {
            wrong.push(format!("{file}: characters outside of ASCII"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn links_between_documents_lead_somewhere() {
    let mut pages = sources(&["docs"], "md");
    pages.push(("README.md".to_owned(), fs::read_to_string(root().join("README.md")).expect("README")));
    let mut wrong = Vec::new();
    for (file, text) in pages {
        let dir = root().join(&file);
        let dir = dir.parent().expect("in a folder");
        for link in text.match_indices("](").filter_map(|(at, _)| text[at + 2..].split(')').next()) {
            let target = link.split('#').next().unwrap_or_default();
            if !target.is_empty() && !target.contains("://") && !dir.join(target).exists() {
                wrong.push(format!("{file}: {link}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn every_disk_format_has_a_page_with_its_version() {
    let pages: BTreeMap<_, _> = sources(&["docs/format"], "md").into_iter().collect();
    let all = pages.values().cloned().collect::<String>();
    for (file, text) in sources(&["src/codec", "src/tsdb", "src/rules"], "rs") {
        for magic in text.match_indices("*b\"EK").map(|(at, _)| &text[at + 3..at + 7]) {
            assert!(all.contains(magic), "{file}: magic {magic} is on no page under docs/format");
        }
        for page in text.match_indices("`docs/").filter_map(|(at, _)| text[at + 1..].split('`').next()) {
            assert!(root().join(page).exists(), "{file}: page {page} does not exist");
        }
    }
    for (page, text) in pages.iter().filter(|(page, _)| !page.ends_with("references.md")) {
        assert!(text.to_lowercase().contains("version"), "{page} names no version");
    }
}

#[test]
fn sled_is_the_measured_version_without_its_own_compression() {
    let lock = fs::read_to_string(root().join("Cargo.lock")).expect("Cargo.lock");
    let packages: Vec<&str> = lock.split("[[package]]").collect();
    let sled = packages.iter().find(|p| p.contains("name = \"sled\"\n")).expect("sled");
    assert!(sled.contains("version = \"0.34.7\""), "{sled}");
    assert!(!sled.contains("\"zstd"), "sled's compression is on");
}

#[test]
fn nothing_else_lies_at_the_top() {
    let expected = [
        ".cargo",
        ".ci",
        ".config",
        ".gitattributes",
        ".gitignore",
        "Cargo.lock",
        "Cargo.toml",
        "LICENSE",
        "README.md",
        "benches",
        "clippy.toml",
        "data",
        "deny.toml",
        "docs",
        "rust-toolchain.toml",
        "rustfmt.toml",
        "src",
        "tests",
    ];
    // What a build or a run leaves behind is named in .gitignore.
    let ignored = fs::read_to_string(root().join(".gitignore")).expect(".gitignore");
    let is_ignored = |name: &str| ignored.lines().any(|l| l.trim_matches('/') == name);
    let odd: Vec<String> = fs::read_dir(root())
        .expect("root")
        .flatten()
        .map(|e| e.file_name().to_string_lossy().into_owned())
        .filter(|n| n != ".git" && !expected.contains(&n.as_str()) && !is_ignored(n))
        .collect();
    assert!(odd.is_empty(), "{odd:?}");
}
