//! Command lines of real servers: all of them start this one.

use std::path::Path;
use std::process::{Command, Stdio};

use super::support::server::Server;

/// Words of a line. A word that begins no flag goes on with the one before, if that has a value; templates are filled in.
fn words(line: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut takes_more = false;
    for word in line.split(' ') {
        let begins = word.starts_with('-') && word.len() > 1;
        match words.last_mut() {
            Some(last) if !begins && takes_more => {
                last.push(' ');
                last.push_str(word);
            }
            _ => words.push(word.to_owned()),
        }
        takes_more = words.last().is_some_and(|word| word.starts_with("--") && word.contains('='));
    }
    words
}

/// The value without what a template or a shell would have filled in.
fn filled_in(flag: &str, value: &str) -> String {
    let default = value.strip_prefix("${").and_then(|v| v.strip_suffix('}'));
    match default.map(|v| v.split_once(":-").map_or("", |(_, default)| default)) {
        Some("") => "30d".to_owned(),
        Some(default) => default.to_owned(),
        None if value == "PLACEHOLDER" && flag.contains("retention") => "30d".to_owned(),
        None if value == "PLACEHOLDER" => "http://localhost:9090/placeholder".to_owned(),
        None => value.to_owned(),
    }
}

/// The line with files and folders that are there, and a port that is free.
fn local(line: &str, dir: &Path) -> Vec<String> {
    let mut out = Vec::new();
    let mut expects = None;
    for word in words(line) {
        let (flag, value) = match (expects.take(), word.split_once('=')) {
            (Some(flag), _) => (flag, Some(word.clone())),
            (None, Some((flag, value))) => (flag.to_owned(), Some(value.to_owned())),
            (None, None) => (word.clone(), None),
        };
        let Some(value) = value else {
            let is_switch = flag.starts_with("--web.enable-");
            if is_switch {
                out.push(flag);
            } else {
                expects = Some(flag);
            }
            continue;
        };
        let value = match flag.trim_start_matches('-') {
            "config.file" => dir.join("prometheus.yml").display().to_string(),
            "storage.tsdb.path" => dir.join("data").display().to_string(),
            "web.listen-address" => continue,
            _ => filled_in(&flag, &value),
        };
        out.push(format!("{flag}={value}"));
    }
    out
}

fn run(dir: &Path, args: &[String]) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_emberkeep"));
    let output = command.args(args).current_dir(dir).stdin(Stdio::null()).output().expect("run");
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn command_lines_of_real_servers_start() {
    let Some(folder) = crate::support::files::conformance("real") else { return };
    let lines = std::fs::read_to_string(folder.join("command-lines.txt")).expect("readable");
    let (mut started, mut refused) = (0, 0);
    for line in lines.lines() {
        let dir = tempfile::tempdir().expect("a folder");
        std::fs::write(dir.path().join("prometheus.yml"), "global: {}\n").expect("write");
        let args = local(line, dir.path());
        if line.starts_with("-config.file") || line.contains("--web.config.file") {
            let (code, text) = run(dir.path(), &args);
            let named = if line.contains("--web.") { "--web.config.file" } else { "-config.file" };
            assert!(code == Some(2) && text.contains(&format!("flag {named} ")), "{line}: {code:?} {text}");
            refused += 1;
            continue;
        }
        let server = Server::start_as(dir.path(), &args);
        assert!(server.stop().success(), "{line}");
        started += 1;
    }
    println!("{started} command lines start, {refused} are refused by name");
    assert!(started > 0);
}
