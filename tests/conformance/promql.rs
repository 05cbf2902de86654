//! Runs every `*.test` script of the folders in `PROMQL_TESTDATA`, and the project's own.
//!
//! Without that variable the scripts are looked for beside the checkout. Where they are not, the test says so and passes,
//! unless `EMBERKEEP_REQUIRE_ALL=1`.

use std::path::{Path, PathBuf};

use emberkeep::promql::script::{Outcome, parse_script, run_script};

const DEFAULT_FOLDER: &str = "../shared/conformance/promql";

/// Scripts for what those of other projects do not cover.
const OWN_FOLDER: &str = "tests/conformance/scripts";

#[expect(clippy::print_stdout, reason = "a skipped test says so")]
fn folders() -> Option<Vec<PathBuf>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    if let Ok(list) = std::env::var("PROMQL_TESTDATA") {
        return Some(list.split(':').filter(|f| !f.is_empty()).map(|f| root.join(f)).collect());
    }
    let folder = root.join(DEFAULT_FOLDER);
    if folder.is_dir() {
        return Some(vec![folder]);
    }
    let required = std::env::var("EMBERKEEP_REQUIRE_ALL").is_ok_and(|value| value == "1");
    assert!(!required, "{} is missing", folder.display());
    println!("skipped: {} is missing", folder.display());
    None
}

/// The scripts of a folder by name.
fn scripts(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut files: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    files.retain(|path| path.extension().is_some_and(|e| e == "test"));
    files.sort();
    files
}

/// Prints what fails and counts per file and in all. How many passed and failed; a folder without scripts is a
/// failure, and so is a script that cannot be parsed or loaded.
#[expect(clippy::print_stdout, reason = "what failed is for people to read")]
fn run(folders: &[PathBuf]) -> (usize, usize) {
    let (mut passed, mut failed) = (0, 0);
    for folder in folders {
        let files = scripts(folder);
        if files.is_empty() {
            println!("{}: no scripts", folder.display());
            failed += 1;
        }
        for file in files {
            let name = file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            let text = std::fs::read_to_string(&file).expect("scripts can be read");
            let (mut file_passed, mut file_failed) = (0, 0);
            match parse_script(&text) {
                Err(error) => {
                    println!("{name}: {error}");
                    file_failed += 1;
                }
                Ok(script) => {
                    for (line, expr, outcome) in run_script(&script).outcomes {
                        match outcome {
                            Outcome::Passed => file_passed += 1,
                            Outcome::Failed(message) => {
                                println!("{name}:{line} {expr}\n    {message}");
                                file_failed += 1;
                            }
                        }
                    }
                }
            }
            println!("{name}: {file_passed} passed, {file_failed} failed");
            passed += file_passed;
            failed += file_failed;
        }
    }
    (passed, failed)
}

#[test]
fn promql_scripts_give_the_expected_answers() {
    let Some(folders) = folders() else { return };
    let (passed, failed) = run(&folders);
    println!("promql: {passed} passed, {failed} failed");
    assert!(failed == 0 && passed > 0, "{failed} of {} failed", passed + failed);
}

#[test]
fn own_scripts_give_the_expected_answers() {
    let (passed, failed) = run(&[Path::new(env!("CARGO_MANIFEST_DIR")).join(OWN_FOLDER)]);
    println!("own scripts: {passed} passed, {failed} failed");
    assert!(failed == 0 && passed > 0, "{failed} of {} failed", passed + failed);
}
