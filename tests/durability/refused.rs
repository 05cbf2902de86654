//! Folders that cannot be written: errors name the path, the database lives on, nothing acknowledged is lost.

use std::fs;
use std::process::Command;

use emberkeep::tsdb::{CommitMode, Error, Tsdb};

use crate::model::{Event, Expected, STEP, labels, read, samples_of, value};
use crate::{MINUTE, open, options, try_open};

fn commit(db: &Tsdb, step: i64, expected: &mut Expected) -> Result<(), Error> {
    let time = 1_000_000 * MINUTE + step * STEP;
    let mut appender = db.appender(None);
    for (key, time) in samples_of(0, time) {
        let series = appender.series(&labels(key));
        appender.append(series, time, value(key, time));
    }
    appender.commit(CommitMode::Each)?;
    expected.take(Event::Begin { writer: 0, time });
    expected.take(Event::Done { writer: 0, time });
    Ok(())
}

#[test]
fn a_folder_that_goes_away_while_it_runs_is_named_and_missed_no_longer_than_it_is_away() {
    let dir = tempfile::tempdir().expect("dir");
    let mut expected = Expected::default();
    let db = open(dir.path());
    let (mut refused, mut failed) = (0, 0);
    for step in 1..400 {
        for (name, from, to) in [("wal", 45, 185), ("blocks", 245, 305)] {
            let (folder, aside) = (dir.path().join(name), dir.path().join("aside"));
            if step == from {
                fs::rename(&folder, &aside).expect("rename");
                fs::write(&folder, "no folder").expect("write");
            } else if step == to {
                fs::remove_file(&folder).expect("remove");
                fs::rename(&aside, &folder).expect("rename");
            }
        }
        if let Err(error) = commit(&db, step, &mut expected) {
            let text = error.to_string();
            assert!(text.contains(&*dir.path().join("wal").to_string_lossy()), "it names the path: {text}");
            assert!((45..185).contains(&step), "step {step}: {text}");
            refused += 1;
        }
        if step % 20 == 0 && !(45..185).contains(&step) {
            match db.maintain() {
                Ok(()) => {}
                Err(error) => {
                    assert!((245..305).contains(&step), "step {step}: {error}");
                    assert!(error.to_string().contains("blocks"), "it names the path: {error}");
                    failed += 1;
                }
            }
        }
    }
    assert!(refused > 0 && failed > 0, "{refused} commits, {failed} rounds of maintenance");
    db.maintain().expect("maintain");
    expected.check(&read(&db).expect("read"), "while it runs");
    db.close().expect("close");
    drop(db);
    expected.check(&read(&open(dir.path())).expect("read"), "after a restart");
}

#[test]
fn a_directory_that_cannot_be_written_is_an_error_that_names_it() {
    let dir = tempfile::tempdir().expect("dir");
    let mut expected = Expected::default();
    let db = open(dir.path());
    (1..60).for_each(|step| commit(&db, step, &mut expected).expect("commit"));
    db.close().expect("close");
    drop(db);
    // Whoever is root may write everywhere, but not to a read-only mount.
    let bind = |options: &str| {
        let mut mount = Command::new("mount");
        mount.args(["-o", options]).arg(dir.path()).arg(dir.path());
        mount.output().is_ok_and(|done| done.status.success())
    };
    let mounted = bind("bind");
    let read_only = mounted && bind("remount,bind,ro");
    if read_only {
        let error = try_open(&options(dir.path())).err().expect("refused").to_string();
        let server = Command::new(env!("CARGO_BIN_EXE_emberkeep"))
            .args(["serve", "--web.listen-address", "127.0.0.1:0", "--storage.tsdb.path"])
            .arg(dir.path())
            .current_dir(dir.path())
            .output();
        let unmounted = Command::new("umount").arg(dir.path()).status();
        assert!(unmounted.expect("umount").success());
        assert!(error.contains(&*dir.path().to_string_lossy()), "{error}");
        let server = server.expect("run");
        assert!(!server.status.success());
        let text = String::from_utf8_lossy(&server.stderr).into_owned();
        assert!(text.contains(&*dir.path().to_string_lossy()) && text.contains("ead-only"), "{text}");
    } else {
        if mounted {
            let _ = Command::new("umount").arg(dir.path()).status();
        }
        println!("read-only mount skipped: this user may not mount");
    }
    // A file where a folder should be is no less clear.
    let wal = dir.path().join("wal");
    fs::rename(&wal, dir.path().join("aside")).expect("rename");
    fs::write(&wal, "no folder").expect("write");
    let error = try_open(&options(dir.path())).err().expect("refused").to_string();
    assert!(error.contains(&*wal.to_string_lossy()), "{error}");
    fs::remove_file(&wal).expect("remove");
    fs::rename(dir.path().join("aside"), &wal).expect("rename");
    expected.check(&read(&open(dir.path())).expect("read"), "once it is mended");
}
