//! Runs every `*.test` script of the folders in `PROMQL_TESTDATA`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use emberkeep::promql::script::{Outcome, parse_script, run_script};

const DEFAULT_FOLDER: &str = "../shared/conformance/promql";

fn folders() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    match std::env::var("PROMQL_TESTDATA") {
        Ok(list) => list.split(':').filter(|f| !f.is_empty()).map(|f| root.join(f)).collect(),
        Err(_) => vec![root.join(DEFAULT_FOLDER)],
    }
}

fn scripts(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut files: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    files.retain(|path| path.extension().is_some_and(|e| e == "test"));
    files.sort();
    files
}

/// Places that are known to fail, with the reason. An entry that passes is an error too.
fn known_failures() -> BTreeMap<String, String> {
    include_str!("known_failures.txt")
        .lines()
        .filter(|line| !line.trim().is_empty() && !line.starts_with('#'))
        .map(|line| {
            let (place, reason) = line.split_once(' ').expect("an entry is a place and a reason");
            (place.to_owned(), reason.to_owned())
        })
        .collect()
}

#[test]
fn promql_scripts_give_the_expected_answers() {
    let files: Vec<PathBuf> = folders().iter().flat_map(|f| scripts(f)).collect();
    if files.is_empty() {
        assert!(
            std::env::var("EMBERKEEP_REQUIRE_ALL").as_deref() != Ok("1"),
            "no query scripts in {:?}",
            folders()
        );
        println!("promql: no scripts in {:?}, nothing was run", folders());
        return;
    }
    let mut known = known_failures();
    let (mut passed, mut failed, mut skipped) = (0, 0, 0);
    let mut surprises = Vec::new();
    let mut reasons: BTreeMap<String, usize> = BTreeMap::new();
    for file in &files {
        let name = file.file_name().and_then(|n| n.to_str()).expect("script names are plain");
        let text = std::fs::read_to_string(file).expect("scripts can be read");
        let script = parse_script(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
        let (mut file_passed, mut file_failed, mut file_skipped) = (0, 0, 0);
        for (line, expr, outcome) in run_script(&script).outcomes {
            let place = format!("{name}:{line}");
            match outcome {
                Outcome::Passed => {
                    file_passed += 1;
                    if let Some(reason) = known.remove(&place) {
                        surprises.push(format!("{place} passes, though listed: {reason}"));
                    }
                }
                Outcome::Skipped(reason) => {
                    file_skipped += 1;
                    *reasons.entry(reason).or_insert(0) += 1;
                }
                Outcome::Failed(message) => {
                    file_failed += 1;
                    if known.remove(&place).is_none() {
                        surprises.push(format!("{place} {expr}\n    {message}"));
                    }
                }
            }
        }
        println!("{name}: {file_passed} passed, {file_failed} failed, {file_skipped} skipped");
        passed += file_passed;
        failed += file_failed;
        skipped += file_skipped;
    }
    surprises.extend(known.iter().map(|(place, reason)| format!("{place} was not run: {reason}")));
    for surprise in &surprises {
        println!("{surprise}");
    }
    for (reason, count) in &reasons {
        println!("promql skipped {count}: {reason}");
    }
    println!("promql skipped (not supported yet): {skipped}");
    println!("promql: {passed} passed, {failed} failed");
    assert!(surprises.is_empty(), "{} unexpected outcomes", surprises.len());
}
