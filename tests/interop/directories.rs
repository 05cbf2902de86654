//! Which directories are changed and which are not: looking, backups, directories of other servers.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::SystemTime;

use crate::command_line::filled;
use crate::support::server::{Client, Server};
use crate::{failure, ok, open_metrics, tsdb};

/// Every file and folder below `dir` with its content and when it was changed last.
fn tree(dir: &Path) -> BTreeMap<PathBuf, (Option<Vec<u8>>, SystemTime)> {
    let mut found = BTreeMap::new();
    let mut folders = vec![dir.to_owned()];
    while let Some(folder) = folders.pop() {
        let changed = folder.metadata().expect("metadata").modified().expect("time");
        found.insert(folder.clone(), (None, changed));
        for entry in std::fs::read_dir(&folder).expect("list") {
            let path = entry.expect("entry").path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let changed = path.metadata().expect("metadata").modified().expect("time");
                found.insert(path.clone(), (Some(std::fs::read(&path).expect("read")), changed));
            }
        }
    }
    found
}

fn assert_same(before: &BTreeMap<PathBuf, (Option<Vec<u8>>, SystemTime)>, dir: &Path, what: &str) {
    let after = tree(dir);
    let names = |tree: &BTreeMap<PathBuf, _>| tree.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(before), names(&after), "{what}");
    for (path, found) in before {
        assert!(after[path] == *found, "{what} changed {}", path.display());
    }
}

/// The only block folder in `data`.
fn block_of(data: &Path) -> PathBuf {
    std::fs::read_dir(data.join("blocks")).expect("blocks").next().expect("a block").expect("entry").path()
}

fn last_segment(data: &Path) -> PathBuf {
    let files = std::fs::read_dir(data.join("wal")).expect("log").map(|entry| entry.expect("entry").path());
    let is_segment =
        |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('0'));
    files.filter(is_segment).max().expect("a segment")
}

#[test]
fn looking_into_a_directory_changes_no_byte() {
    let dir = tempfile::tempdir().expect("dir");
    let data = filled(&dir);
    // A log that a start would cut, and leftovers that it would remove.
    let segment = last_segment(&data);
    let log = std::fs::read(&segment).expect("read");
    std::fs::write(&segment, [log.as_slice(), b"8 bytes!"].concat()).expect("write");
    let unfinished = data.join("blocks/000001700000000-000001700000001-00000001.tmp");
    std::fs::create_dir(unfinished).expect("create");
    std::fs::create_dir_all(data.join("snapshots/x.0.unfinished")).expect("create");
    let before = tree(&data);
    for (command, fails) in [
        (&["list"][..], false),
        (&["analyze"], false),
        (&["dump"], false),
        (&["verify"], true),
        (&["delete", "--dry-run", "--match", "m0"], false),
    ] {
        let done = tsdb(command, &[&data]);
        if fails {
            let told = failure(&done);
            assert!(told.contains("the write-ahead log is damaged") && told.contains("8 bytes"), "{told}");
        } else {
            ok(&done);
        }
        assert_same(&before, &data, command[0]);
    }
    ok(&tsdb(&["export", "--format", "prometheus"], &[&data, &dir.path().join("out")]));
    assert_same(&before, &data, "export");
    ok(&tsdb(&["backup"], &[&data, &dir.path().join("copy")]));
    assert_same(&before, &data, "backup");
    let copy = tree(&dir.path().join("copy"));
    ok(&tsdb(&["restore"], &[&dir.path().join("copy"), &dir.path().join("back")]));
    assert_same(&copy, &dir.path().join("copy"), "restore");
}

#[test]
fn a_directory_can_be_looked_at_while_a_server_runs_on_it() {
    let dir = tempfile::tempdir().expect("dir");
    let data = filled(&dir);
    let server = Server::start(&data, &["--storage.tsdb.retention.time=100y"], &[]);
    assert!(ok(&tsdb(&["list"], &[&data])).contains("7200"));
    assert_eq!(ok(&tsdb(&["dump", "--match", "{n=~\".+\"}"], &[&data])).lines().count(), 7200);
    assert!(failure(&tsdb(&["repair"], &[&data])).contains("in use by another process"));
    // And it goes on.
    let answer = Client::new().api(
        &server.url,
        "query",
        &[("query", "count({n=~\".+\"} offset 0s)"), ("time", "1700006700")],
    );
    assert_eq!(answer["result"][0]["value"][1], "10");
}

fn serve(data: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_emberkeep"));
    command.args(["serve", "--web.listen-address=127.0.0.1:0"]).args(args);
    command.arg(format!("--storage.tsdb.path={}", data.display())).output().expect("run")
}

#[test]
fn directories_of_other_servers_are_refused_untouched() {
    let dir = tempfile::tempdir().expect("dir");
    let put = |path: &str, bytes: &[u8]| {
        let path = dir.path().join(path);
        std::fs::create_dir_all(path.parent().expect("inside")).expect("create");
        std::fs::write(path, bytes).expect("write");
    };
    put("prometheus/wal/00000000", &[1, 0, 4, 0, 0, 0, 0, 1, 2, 3, 4]);
    put("prometheus/lock", b"");
    put("thanos/01BKGV7JBM69T2G1BGBGM6KB12/meta.json", b"{}");
    put("victoria/data/small/parts.json", b"{}");
    put("victoria/flock.lock", b"");
    put("home/letter.txt", b"Dear Sir or Madam");
    let file = dir.path().join("in.om");
    open_metrics(&file, 1_700_006_400);
    for name in ["prometheus", "thanos", "victoria", "home"] {
        let data = dir.path().join(name);
        let before = tree(&data);
        for command in ["list", "verify", "analyze", "dump", "repair"] {
            let told = failure(&tsdb(&[command], &[&data]));
            assert!(told.contains("nothing was changed") && told.contains("tsdb import"), "{told}");
            assert_same(&before, &data, command);
        }
        failure(&tsdb(&["import", "openmetrics"], &[&file, &data]));
        failure(&tsdb(&["backup"], &[&data, &dir.path().join("copy")]));
        let told = failure(&serve(&data, &[]));
        assert!(told.contains("nothing was changed") && told.contains("tsdb import"), "{told}");
        assert!(name != "prometheus" || told.contains("--storage.tsdb.adopt"), "{told}");
        assert_same(&before, &data, "serve");
    }
}

#[test]
fn the_data_of_prometheus_is_adopted_once() {
    let dir = tempfile::tempdir().expect("dir");
    let data = filled(&dir);
    let theirs = dir.path().join("theirs");
    ok(&tsdb(&["export", "--format", "prometheus"], &[&data, &theirs]));
    let before = tree(&theirs);
    // What an adoption leaves that was cut short.
    let unfinished = dir.path().join("theirs-emberkeep.adopting");
    std::fs::create_dir_all(unfinished.join("blocks/000001700000000-000001700000001-00000001.tmp"))
        .expect("create");
    let args = ["--storage.tsdb.adopt", "--storage.tsdb.retention.time=100y"];
    let client = Client::new();
    let form = [("query", "count({n=~\".+\"})"), ("time", "1700006700")];
    let adopted = dir.path().join("theirs-emberkeep");
    let mut blocks = Vec::new();
    for _ in 0..2 {
        let server = Server::start(&theirs, &args, &[]);
        assert_eq!(client.api(&server.url, "query", &form)["result"][0]["value"][1], "10");
        drop(server);
        assert_same(&before, &theirs, "adoption");
        assert!(!unfinished.exists());
        let mut now: Vec<_> = std::fs::read_dir(adopted.join("blocks"))
            .expect("blocks")
            .map(|e| e.expect("entry").file_name())
            .collect();
        now.sort();
        assert!(blocks.is_empty() || blocks == now, "the second start imports nothing");
        blocks = now;
    }
    assert_eq!(ok(&tsdb(&["dump", "--match", "{n=~\".+\"}"], &[&adopted])).lines().count(), 7200);
}

#[test]
fn blocks_that_are_missing_are_errors_that_name_them() {
    let dir = tempfile::tempdir().expect("dir");
    let data = filled(&dir);
    let copy = dir.path().join("copy");
    ok(&tsdb(&["backup"], &[&data, &copy]));
    for path in [&data, &copy] {
        let block = block_of(path);
        std::fs::remove_dir_all(&block).expect("remove");
        let name = block.file_name().expect("name").to_string_lossy().into_owned();
        let back = dir.path().join("back");
        for (command, paths) in [
            ("verify", &[path.as_path()][..]),
            ("backup", &[path, &back]),
            ("restore", &[path, &back]),
            ("repair", &[path]),
        ] {
            let told = failure(&tsdb(&[command], paths));
            assert!(told.contains(&format!("block {name} is missing")), "{command}: {told}");
            assert!(!back.exists(), "{command}");
        }
        // Told once, and no longer named.
        ok(&tsdb(&["verify"], &[path]));
    }
}

#[test]
fn a_backup_touches_nothing_beside_it() {
    let dir = tempfile::tempdir().expect("dir");
    let data = filled(&dir);
    for foreign in ["x.unfinished", "x.0.unfinished"] {
        std::fs::create_dir(dir.path().join(foreign)).expect("create");
        std::fs::write(dir.path().join(foreign).join("file"), "mine").expect("write");
    }
    let mut command = Command::new(env!("CARGO_BIN_EXE_emberkeep"));
    command.args(["tsdb", "backup", "data", "x.2026-11-28"]).current_dir(dir.path());
    let told = ok(&command.output().expect("run"));
    assert!(told.contains("7200 samples in 1 blocks at x.2026-11-28"), "{told}");
    for foreign in ["x.unfinished", "x.0.unfinished"] {
        assert_eq!(std::fs::read(dir.path().join(foreign).join("file")).expect("still there"), b"mine");
    }
    assert!(!dir.path().join("x.2026-11-28.0.unfinished").exists());
    let mut command = Command::new(env!("CARGO_BIN_EXE_emberkeep"));
    command.args(["tsdb", "restore", "x.2026-11-28", "back"]).current_dir(dir.path());
    ok(&command.output().expect("run"));
    // A restore that fails leaves what was there: an empty folder.
    let damaged = dir.path().join("x.2026-11-28");
    std::fs::remove_dir_all(block_of(&damaged)).expect("remove");
    let empty = dir.path().join("empty");
    std::fs::create_dir(&empty).expect("create");
    let before = tree(&empty);
    failure(&tsdb(&["restore"], &[&damaged, &empty]));
    assert_same(&before, &empty, "restore");
    ok(&tsdb(&["restore"], &[&data, &empty]));
    assert_eq!(ok(&tsdb(&["dump"], &[&empty])).lines().count(), 7200);
}
