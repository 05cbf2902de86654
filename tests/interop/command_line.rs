//! Backup, restore, delete, repair, analyze and the import of files, as a person types them.

use std::path::PathBuf;

use crate::{failure, ok, open_metrics, sorted, tsdb};

/// A data directory with 7,200 samples of 10 series.
pub(crate) fn filled(dir: &tempfile::TempDir) -> PathBuf {
    let (file, data) = (dir.path().join("in.om"), dir.path().join("data"));
    open_metrics(&file, 1_700_006_400);
    let told = ok(&tsdb(&["import", "openmetrics"], &[&file, &data]));
    assert!(told.contains("wrote 7200 samples in 1 blocks"), "{told}");
    data
}

#[test]
fn a_backup_restores_to_the_same_samples() {
    let dir = tempfile::tempdir().expect("dir");
    let data = filled(&dir);
    let (copy, back) = (dir.path().join("copy"), dir.path().join("back"));
    let before = ok(&tsdb(&["dump"], &[&data]));
    assert_eq!(before.lines().count(), 7200);
    ok(&tsdb(&["backup"], &[&data, &copy]));
    assert!(failure(&tsdb(&["restore"], &[&copy, &data])).contains("is not empty"));
    assert!(failure(&tsdb(&["restore"], &[dir.path(), &back])).contains("is no backup"));
    ok(&tsdb(&["restore"], &[&copy, &back]));
    assert_eq!(ok(&tsdb(&["dump"], &[&back])), before);
    let server = crate::support::server::Server::start(&data, &[], &[]);
    let told = failure(&tsdb(&["backup"], &[&data, &dir.path().join("other")]));
    assert!(told.contains("POST to /api/v1/admin/tsdb/snapshot"), "{told}");
    drop(server);
}

#[test]
fn deleting_takes_what_matches_and_says_how_much() {
    let dir = tempfile::tempdir().expect("dir");
    let data = filled(&dir);
    let selector =
        ["delete", "--match", "{n=~\"1|7\"}", "--start", "2023-11-15T00:00:00Z", "--end", "1700008199999"];
    let told = ok(&tsdb(&[&selector[..], &["--dry-run"]].concat(), &[&data]));
    assert_eq!(told, "would delete 240 samples of 2 series\n");
    assert_eq!(ok(&tsdb(&["dump"], &[&data])).lines().count(), 7200);
    let told = ok(&tsdb(&selector, &[&data]));
    assert_eq!(told, "deleted 240 samples of 2 series, wrote 1 blocks again without them\n");
    assert_eq!(ok(&tsdb(&["dump"], &[&data])).lines().count(), 7200 - 240);
    assert!(failure(&tsdb(&["delete", "--match", "{n=~\".*\"}"], &[&data])).contains("must"), "all series");
}

#[test]
fn dump_prints_what_is_asked_for() {
    let dir = tempfile::tempdir().expect("dir");
    let data = filled(&dir);
    let some = ok(&tsdb(
        &[
            "dump",
            "--match",
            "m0{n=\"3\"}",
            "--match",
            "{n=\"3\"}",
            "--min-time",
            "1700006400000",
            "--max-time",
            "1700006459999",
        ],
        &[&data],
    ));
    assert_eq!(some.lines().count(), 4, "{some}");
    assert!(some.starts_with("{__name__=\"m0\", n=\"3\", quoted=\"a\\\"b\\\\c\"} "), "{some}");
    let told = ok(&tsdb(&["analyze", "--limit", "2"], &[&data]));
    assert!(told.contains("10 series, 3 metric names, 3 label names, 14 label pairs"), "{told}");
    assert!(sorted(&told).iter().any(|line| line.trim() == "10  quoted=a\"b\\c"), "{told}");
}

#[test]
fn a_line_without_timestamp_imports_nothing() {
    let dir = tempfile::tempdir().expect("dir");
    let (file, data) = (dir.path().join("in.om"), dir.path().join("data"));
    std::fs::write(&file, "a 1 10\na 2\n# EOF\n").expect("write");
    assert!(failure(&tsdb(&["import", "openmetrics"], &[&file, &data])).contains("line 2"));
    assert_eq!(ok(&tsdb(&["dump"], &[&data])), "");
}

#[test]
fn repair_sets_a_damaged_block_aside() {
    let dir = tempfile::tempdir().expect("dir");
    let data = filled(&dir);
    let file = dir.path().join("more.om");
    open_metrics(&file, 1_700_200_000);
    ok(&tsdb(&["import", "openmetrics"], &[&file, &data]));
    let block =
        std::fs::read_dir(data.join("blocks")).expect("blocks").next().expect("a block").expect("entry");
    let db = block.path().join("db");
    let mut bytes = std::fs::read(&db).expect("the file of the database");
    // Much of the file is room that nobody reads.
    bytes.iter_mut().step_by(256).for_each(|byte| *byte ^= 0x55);
    std::fs::write(&db, bytes).expect("write");
    failure(&tsdb(&["verify"], &[&data]));
    let told = ok(&tsdb(&["repair"], &[&data]));
    assert!(told.contains("1 blocks are sound, 1 were set aside"), "{told}");
    ok(&tsdb(&["verify"], &[&data]));
    assert_eq!(ok(&tsdb(&["dump"], &[&data])).lines().count(), 7200);
    std::fs::remove_file(data.join("catalog")).expect("remove");
    assert!(!ok(&tsdb(&["repair"], &[&data])).contains("the catalog was missing"), "there is its copy");
    std::fs::remove_file(data.join("catalog")).expect("remove");
    std::fs::remove_file(data.join("catalog.copy")).expect("remove");
    assert!(ok(&tsdb(&["repair"], &[&data])).contains("the catalog was missing"));
}

#[test]
fn repair_tells_what_opening_alone_has_lost() {
    let dir = tempfile::tempdir().expect("dir");
    let data = filled(&dir);
    for name in ["tombstones", "tombstones.copy"] {
        std::fs::write(data.join(name), "damaged").expect("write");
    }
    let told = failure(&tsdb(&["repair"], &[&data]));
    assert!(
        told.contains("what was deleted from blocks that were not rewritten since is there again"),
        "{told}"
    );
    ok(&tsdb(&["repair"], &[&data]));
    for name in ["catalog", "catalog.copy"] {
        std::fs::remove_file(data.join(name)).expect("remove");
    }
    let block =
        std::fs::read_dir(data.join("blocks")).expect("blocks").next().expect("a block").expect("entry");
    std::fs::write(block.path().join("db"), vec![0x55; 8192]).expect("write");
    let told = ok(&tsdb(&["repair"], &[&data]));
    assert!(told.contains("set aside 1 blocks while the catalog was made again"), "{told}");
    assert!(told.contains("0 blocks are sound, 1 were set aside"), "{told}");
}
