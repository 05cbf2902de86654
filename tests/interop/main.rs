//! Data in and out: the command line, Prometheus' own tools and damaged files.
//!
//! `PROMTOOL_BIN` and `PROMETHEUS_BIN` name Prometheus' programs; else they are looked for in the path.

#[path = "../support/mod.rs"]
mod support;

mod command_line;
mod damage;
mod directories;
mod imports;
mod prometheus;
mod remote_write;

use std::fmt::Write as _;
use std::path::Path;
use std::process::{Command, Output};

/// Runs `emberkeep tsdb` with `args`.
fn tsdb(args: &[&str], paths: &[&Path]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_emberkeep"));
    command.arg("tsdb").args(args).args(paths).output().expect("run")
}

/// Standard output of a run that must succeed.
fn ok(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).expect("text")
}

/// Standard error of a run that must fail.
fn failure(output: &Output) -> String {
    assert!(!output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    String::from_utf8(output.stderr.clone()).expect("text")
}

fn sorted(text: &str) -> Vec<&str> {
    let mut lines: Vec<&str> = text.lines().collect();
    lines.sort_unstable();
    lines
}

/// Ten series over five hours as an OpenMetrics file; the second half of them ends after an hour.
fn open_metrics(path: &Path, start: i64) {
    let mut random = support::Random::from_env(5);
    let mut text = String::new();
    for series in 0..10 {
        let scrapes = if series < 5 { 1200 } else { 240 };
        let mut value = 0.0;
        for scrape in 0..scrapes {
            value += random.below(1000) as f64 / 8.0;
            let shown = if scrape == 200 { "NaN".to_owned() } else { value.to_string() };
            let time = start + scrape * 15;
            let millis = random.below(1000);
            let _ = writeln!(
                text,
                "m{}{{n=\"{series}\",quoted=\"a\\\"b\\\\c\"}} {shown} {time}.{millis:03}",
                series % 3
            );
        }
    }
    text.push_str("# EOF\n");
    std::fs::write(path, text).expect("write");
}
