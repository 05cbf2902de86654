//! Rule files of the conformance data: each is taken or refused as promtool does.
//!
//! The data is looked for in `EMBERKEEP_CONFORMANCE`, then beside the checkout. Without it the tests say so and pass,
//! unless `EMBERKEEP_REQUIRE_ALL=1`.

use std::path::{Path, PathBuf};
use std::process::Command;

#[expect(clippy::print_stdout, reason = "a skipped test says so")]
pub(crate) fn folder(name: &str) -> Option<PathBuf> {
    let root = std::env::var_os("EMBERKEEP_CONFORMANCE")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/conformance"), PathBuf::from);
    let folder = root.join(name);
    if folder.is_dir() {
        return Some(folder);
    }
    let required = std::env::var("EMBERKEEP_REQUIRE_ALL").is_ok_and(|value| value == "1");
    assert!(!required, "{} is missing", folder.display());
    println!("skipped: {} is missing", folder.display());
    None
}

/// The rows of the table in the page of the folder: file, command, exit code.
fn rows(folder: &Path) -> Vec<(String, String, i32)> {
    let page = std::fs::read_to_string(folder.join("README.md")).expect("a page");
    let row = |line: &str| {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let [_, file, command, code, _] = cells[..] else { return None };
        Some((file.to_owned(), command.to_owned(), code.parse().ok()?))
    };
    page.lines().filter_map(row).collect()
}

/// Runs the program in `folder`; the exit code and what it said.
fn run(folder: &Path, args: &[&str]) -> (i32, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_emberkeep"));
    let output = command.current_dir(folder).args(args).output().expect("it runs");
    let said = [output.stdout, output.stderr].concat();
    (output.status.code().unwrap_or(-1), String::from_utf8_lossy(&said).into_owned())
}

#[test]
fn rule_files_are_taken_or_refused_as_promtool_does() {
    let Some(folder) = folder("rules") else { return };
    let mut seen = 0;
    for (file, command, code) in rows(&folder) {
        let lint = match command.as_str() {
            "check rules" => "none",
            "check rules (default lint)" => "duplicate-rules",
            _ => continue,
        };
        let (ours, said) = run(&folder, &["check", "rules", "--lint", lint, &file]);
        assert_eq!(ours, code, "{file}: {said}");
        if code != 0 {
            // The place and, where it is about one, the rule.
            assert!(said.contains(&format!("{file}:")), "{said}");
        }
        seen += 1;
    }
    assert!(seen >= 30, "{seen} files");
    let twice = ["check", "rules", "--lint-fatal", "promtool/rules_duplicates.yml"];
    let (code, said) = run(&folder, &twice);
    assert!(code == 1 && said.contains("duplicate rule"), "{said}");
}

#[test]
fn rules_of_real_projects_load() {
    let Some(folder) = folder("real/rules") else { return };
    let mut files: Vec<String> = std::fs::read_dir(&folder)
        .expect("readable")
        .map(|entry| entry.expect("readable").file_name().to_string_lossy().into_owned())
        .collect();
    files.sort();
    assert!(files.len() >= 10, "{files:?}");
    for file in files {
        let (code, said) = run(&folder, &["check", "rules", &file]);
        assert_eq!(code, 0, "{file}: {said}");
    }
}
