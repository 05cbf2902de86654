//! Rule files of the conformance data: each is taken or refused as promtool does.
//!
//! The data is looked for in `EMBERKEEP_CONFORMANCE`, then beside the checkout. Without it the tests say so and pass,
//! unless `EMBERKEEP_REQUIRE_ALL=1`.

use std::path::Path;
use std::process::Command;

use crate::support::files::conformance as folder;

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
    said_by(Command::new(env!("CARGO_BIN_EXE_emberkeep")), folder, args)
}

pub(crate) fn said_by(mut command: Command, folder: &Path, args: &[&str]) -> (i32, String) {
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
    assert!(code == 3 && said.contains("duplicate rule"), "{said}");
    let extra = ["check", "rules", "--ignore-unknown-fields", "promtool/rules_extrafields.yml"];
    let (code, said) = run(&folder, &extra);
    assert!(code == 0 && said.contains("  SUCCESS: 5 rules found"), "{said}");
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

#[test]
fn unit_tests_of_rules_pass_or_fail_as_in_promtool() {
    let Some(folder) = folder("rules") else { return };
    // What fails has to fail for its own reason.
    let reasons: &[(&str, &[&str])] = &[
        ("promtool/bad-input-series.yml", &["input series \"up{job=", "promtool/bad-input-series.yml:3: "]),
        ("promtool/bad-promql.yml", &["query \"join_1 + on(a) join_2\" at 0s: "]),
        ("promtool/bad-rules-error-test.yml", &["rule \"joined\" of group \"bad-example\" at 0s: "]),
        (
            "promtool/bad-rules-syntax-test.yml",
            &["bad-rules-syntax.yml:7:15: ", "could not parse expression"],
        ),
        (
            "promtool/failing.yml",
            &[
                "test \"Failing test\": query \"test\" at 0s: \n        exp: test 1\n        got: test 0\n",
                "test \"Failing test\": alert \"Test\" at 0s: \n        exp: labels: {alertname=\"Test\"}\n",
                "alert \"InstanceDown\" at 5m: \n        exp: nothing\n        got: labels: \
                 {alertname=\"InstanceDown\", job=\"test\", severity=\"page\"}\n",
                "alert \"AlwaysFiring\" at 5m: \n        exp: nothing\n",
            ],
        ),
        ("promtool/rules_run.yml", &["rules_run.yml:26: test \"wrong test\": query \"test\" at 0s: "]),
        ("promtool/rules_run_extrafields.yml", &["unknown key \"namespace\"", "unknown key \"ownership\""]),
    ];
    let mut seen = 0;
    for (file, command, code) in rows(&folder) {
        if command != "test rules" {
            continue;
        }
        let (ours, said) = run(&folder, &["test", "rules", &file]);
        assert_eq!(ours, code, "{file}: {said}");
        let reasons = reasons.iter().find(|(of, _)| *of == file).map(|(_, reasons)| *reasons);
        assert_eq!(reasons.is_some(), code != 0, "{file}");
        for reason in reasons.unwrap_or_default() {
            assert!(said.contains(reason), "{file}: no {reason:?} in {said}");
        }
        assert!(said.contains(if code == 0 { "  SUCCESS\n" } else { "  FAILED:\n" }), "{said}");
        seen += 1;
    }
    assert!(seen >= 10, "{seen} files");
}

#[test]
fn flags_of_unit_tests_work() {
    let Some(folder) = folder("rules") else { return };
    let results = tempfile::tempdir().expect("a folder");
    let junit = results.path().join("junit.xml");
    let junit = format!("--junit={}", junit.display());
    let test = |flags: &[&str], file: &str| run(&folder, &[&["test", "rules"], flags, &[file]].concat());
    for (flags, code) in [
        (&["--run", "correct"][..], 0),
        (&["--run=wrong"], 1),
        (&["--run", "correct", "--run", "wrong"], 1),
        (&["--run", "nothing"], 0),
        (&["--run", "("], 2),
    ] {
        let (ours, said) = test(flags, "promtool/rules_run.yml");
        assert_eq!(ours, code, "{flags:?}: {said}");
    }
    assert_eq!(test(&["--ignore-unknown-fields"], "promtool/rules_run_extrafields.yml").0, 0);
    let (_, said) = test(&["--diff"], "promtool/failing.yml");
    assert!(said.contains("\n        - test 1\n        + test 0\n") && !said.contains('\x1b'), "{said}");
    let (_, said) = test(&["--debug"], "promtool/no-test-group-interval.yml");
    assert!(
        said.contains("DEBUG: Starting test unnamed#0\n") && said.contains("\ntest =>\n0 @[0]\n"),
        "{said}"
    );
    assert_eq!(test(&[&junit], "promtool/rules_run.yml").0, 1);
    let written = std::fs::read_to_string(results.path().join("junit.xml")).expect("results");
    assert!(written.contains("tests=\"2\" failures=\"1\" errors=\"0\""), "{written}");
    assert!(written.contains("<testcase name=\"correct test\"></testcase>"), "{written}");
    let (code, said) = test(&[], "promtool/is-not-there.yml");
    assert!(code == 1 && said.contains("cannot read promtool/is-not-there.yml"), "{said}");
}
