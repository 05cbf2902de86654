//! The order of syncs and renames of a database at work.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use super::Step;
use crate::model::{Labels, Matcher, TimeRange};
use crate::telemetry::Registry;
use crate::tsdb::{CommitMode, Limits, SyncPolicy, Tsdb, TsdbOptions};
use crate::util::ManualClock;
use crate::util::lock::lock;

/// What was done to which path, and what all the files below it held then.
type Noted = (Step, PathBuf, BTreeMap<PathBuf, u64>);

/// The folder that is looked at, and what was done in it.
static WATCHED: Mutex<Option<(PathBuf, Vec<Noted>)>> = Mutex::new(None);

fn contents(path: &Path, out: &mut BTreeMap<PathBuf, u64>) {
    if path.is_dir() {
        let Ok(entries) = std::fs::read_dir(path) else { return };
        entries.flatten().for_each(|entry| contents(&entry.path(), out));
    } else if let Ok(bytes) = std::fs::read(path) {
        let mut hasher = DefaultHasher::new();
        bytes.hash(&mut hasher);
        out.insert(path.to_owned(), hasher.finish());
    }
}

/// Records a step inside the folder that is looked at.
pub(in crate::tsdb) fn note(step: Step, path: &Path) {
    let mut watched = lock(&WATCHED);
    if let Some((dir, steps)) = &mut *watched
        && path.starts_with(&*dir)
    {
        let mut held = BTreeMap::new();
        let all_below = matches!(step, Step::RenamedFrom | Step::Renamed) || path.is_file();
        if all_below {
            contents(path, &mut held);
        }
        steps.push((step, path.to_owned(), held));
    }
}

/// What is durable, going by the steps so far.
#[derive(Default)]
struct Durable {
    /// Content of each file when it was synced last.
    files: BTreeMap<PathBuf, u64>,
    /// Folders in which names changed since they were synced last.
    dirty: BTreeSet<PathBuf>,
    /// Folders that were ever synced.
    folders: BTreeSet<PathBuf>,
    /// Segments of the log with bytes that are not durable.
    unsynced: BTreeSet<PathBuf>,
}

impl Durable {
    fn follow(&mut self, dir: &Path, (step, path, held): &Noted) {
        let parent = path.parent().expect("below the folder").to_owned();
        let name = path.file_name().and_then(|n| n.to_str()).unwrap_or_default();
        let temporary = path.extension().is_some_and(|extension| extension == "tmp");
        let in_log = parent == dir.join("wal");
        match step {
            Step::Created => {
                if in_log && name.starts_with('0') {
                    assert_eq!(
                        self.unsynced,
                        BTreeSet::new(),
                        "{name} follows a segment that is not durable"
                    );
                }
                self.dirty.insert(parent);
            }
            Step::Appended => {
                self.unsynced.insert(path.clone());
            }
            Step::Synced => {
                self.unsynced.remove(path);
                self.dirty.remove(path);
                self.files.extend(held.clone());
                self.folders.insert(path.clone());
            }
            Step::RenamedFrom if name.starts_with("00") && !temporary => {
                // A block leaves: the catalog does not name it any more.
                assert!(!self.dirty.contains(dir), "{name} leaves before the catalog is durable");
            }
            Step::RenamedFrom => {
                for (file, content) in held {
                    assert_eq!(self.files.get(file), Some(content), "{} is not durable", file.display());
                }
                if path.is_dir() && temporary {
                    let folders: BTreeSet<_> = held.keys().filter_map(|file| file.parent()).collect();
                    folders
                        .iter()
                        .for_each(|f| assert!(self.folders.contains(*f), "{} is not synced", f.display()));
                }
                if name == "catalog.tmp" {
                    assert!(
                        !self.dirty.contains(&parent.join("blocks")),
                        "the catalog comes after its blocks"
                    );
                }
            }
            Step::Renamed => {
                // As durable as under the name before.
                self.files.extend(held.clone());
                // A block on its way out may come back after a power cut; nothing relies on its leaving.
                if path.extension().is_none_or(|extension| extension != "del") {
                    self.dirty.insert(parent);
                }
            }
            Step::Removed => {
                assert!(!self.dirty.contains(dir), "{name} is removed before the catalog is durable");
                if name.starts_with('0') {
                    let checkpoint = !self.dirty.contains(&parent) || self.folders.contains(&parent);
                    assert!(checkpoint, "{name} is removed before its checkpoint is durable");
                }
            }
        }
    }
}

#[test]
fn everything_is_durable_before_what_relies_on_it() {
    let dir = tempfile::tempdir().expect("dir");
    let data = dir.path().join("above").join("data");
    *lock(&WATCHED) = Some((dir.path().to_owned(), Vec::new()));
    let options = TsdbOptions {
        sync: SyncPolicy::Interval(1_000_000),
        segment_bytes: 1024,
        block_range_ms: 60_000,
        max_block_range_ms: Some(12 * 60_000),
        limits: Limits { retention_ms: 30 * 60_000, ..Limits::default() },
        background: false,
        ..TsdbOptions::new(&data)
    };
    let clock = Arc::new(ManualClock::new(i64::MAX / 4));
    for start in 0..2i64 {
        let db = Tsdb::open(options.clone(), clock.clone(), &mut Registry::default()).expect("open");
        for step in 0..240i64 {
            let time = start * 3_600_000 + step * 15_000;
            let mut appender = db.appender(None);
            for number in 0..5 {
                let labels = Labels::from_pairs([("__name__", "m".to_owned()), ("n", number.to_string())]);
                let series = appender.series(&labels);
                appender.append(series, time, (time + number) as f64);
            }
            appender.commit(CommitMode::Each).expect("commit");
            if step % 8 == 0 {
                db.maintain().expect("maintain");
            }
            if step % 100 == 50 {
                let range = TimeRange::new(time - 200_000, time);
                db.delete(&[vec![Matcher::equal("n", "3")]], range).expect("delete");
                db.clean_tombstones().expect("clean");
                db.snapshot(false).expect("snapshot");
            }
        }
        db.close().expect("close");
    }
    let (_, steps) = lock(&WATCHED).take().expect("watched");
    let count = |what: Step, part: &str| {
        steps.iter().filter(|(step, path, _)| *step == what && path.to_string_lossy().contains(part)).count()
    };
    // What is looked at did happen.
    assert!(count(Step::Renamed, "/data/blocks/") > 60);
    assert!(count(Step::Renamed, "/data/catalog") > 60);
    assert!(count(Step::Renamed, "/data/tombstones") > 3);
    assert!(count(Step::Renamed, "/data/wal/checkpoint") > 10);
    assert!(count(Step::Renamed, "/data/snapshots/") > 3);
    assert!(count(Step::Removed, "/data/wal/0") > 10);
    assert!(count(Step::Created, "/data/wal/0") > 10);
    let mut durable = Durable::default();
    for step in &steps {
        durable.follow(&data, step);
    }
    // Names of removed blocks may be left; what was made is durable by name.
    durable.dirty.remove(&data.join("blocks"));
    assert_eq!(durable.dirty, BTreeSet::new());
    for folder in [dir.path(), &dir.path().join("above"), &data, &data.join("snapshots")] {
        assert!(durable.folders.contains(folder), "the names in {} are durable", folder.display());
    }
}
