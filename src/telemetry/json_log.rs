//! Logs of their own in files: a line of JSON for each event.
//!
//! A thread writes; whoever has something to log never waits for the disk. Lines that come faster than they are written
//! are dropped, and their number is counted and told.
//!
//! **Invariants**: opening never waits, whatever stands at the path. Files that were made for a configuration that is
//! refused after all are removed again.

use std::collections::{HashMap, HashSet};
use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::{OFlags, fcntl_setfl};

use super::metrics::Counter;

/// Lines that may wait.
const MAX_WAITING: usize = 10_000;
/// Bytes of lines that may wait.
const MAX_WAITING_BYTES: usize = 16 << 20;
/// How long what was logged may take to be written when the server ends.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// A file that cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write {}: {source}", path.display())]
pub struct JsonLogError {
    path: PathBuf,
    source: io::Error,
}

/// A log in a file. What was logged is written even after it is dropped.
#[derive(Debug)]
pub struct JsonLog {
    lines: SyncSender<String>,
    counts: Arc<Counts>,
    lost: Counter,
    /// Its end is the end of the writer.
    ended: Mutex<Receiver<()>>,
    /// Which file it is.
    identity: (u64, u64),
}

#[derive(Debug, Default)]
struct Counts {
    /// Bytes of lines that wait.
    waiting: AtomicUsize,
    /// Lines that there was no room for and that nobody was told of yet.
    untold: AtomicU64,
}

impl JsonLog {
    fn new(file: File, path: &Path, lost: Counter) -> io::Result<Self> {
        let identity = identity(&file.metadata()?);
        // Only opening must not wait: the writer may.
        fcntl_setfl(&file, OFlags::APPEND)?;
        let (lines, receiver) = sync_channel(MAX_WAITING);
        let (end, ended) = sync_channel(0);
        let counts = Arc::<Counts>::default();
        let (path, of_writer, failed) = (path.to_owned(), Arc::clone(&counts), lost.clone());
        thread::Builder::new().name("json-log".to_owned()).spawn(move || {
            write(file, &path, &receiver, (&of_writer, &failed));
            drop(end);
        })?;
        Ok(Self { lines, counts, lost, ended: Mutex::new(ended), identity })
    }

    /// Adds a line.
    pub fn log(&self, event: &serde_json::Value) {
        let line = format!("{event}\n");
        let bytes = line.len();
        // Relaxed: these are counts alone. What is added before the writer sees the line is subtracted after it has.
        let waiting = self.counts.waiting.fetch_add(bytes, Ordering::Relaxed);
        let fits = waiting.saturating_add(bytes) <= MAX_WAITING_BYTES && self.lines.try_send(line).is_ok();
        if !fits {
            self.counts.waiting.fetch_sub(bytes, Ordering::Relaxed);
            self.counts.untold.fetch_add(1, Ordering::Relaxed);
            self.lost.inc();
        }
    }

    /// Whether it writes to the file that `metadata` is of.
    fn is(&self, metadata: &Metadata) -> bool {
        self.identity == identity(metadata)
    }

    /// Ends when everything is written, or at `deadline`.
    fn close(self, deadline: Instant) {
        drop(self.lines);
        let left = deadline.saturating_duration_since(Instant::now());
        let ended = self.ended.into_inner().unwrap_or_else(PoisonError::into_inner);
        if ended.recv_timeout(left) == Err(RecvTimeoutError::Timeout) {
            tracing::warn!("the last lines of a log file could not be written in time");
        }
    }
}

fn identity(metadata: &Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
}

fn write(mut file: File, path: &Path, lines: &Receiver<String>, (counts, failed): (&Counts, &Counter)) {
    let mut is_failing = false;
    while let Ok(line) = lines.recv() {
        let written = file.write_all(line.as_bytes());
        counts.waiting.fetch_sub(line.len(), Ordering::Relaxed);
        if let Err(error) = &written {
            failed.inc();
            if !is_failing {
                tracing::error!(path = %path.display(), %error, "a log file cannot be written");
            }
        }
        is_failing = written.is_err();
        let lost = counts.untold.swap(0, Ordering::Relaxed);
        if lost > 0 {
            tracing::warn!(path = %path.display(), lost, "lines of a log file came faster than they could be written");
        }
    }
}

/// Logs by the paths of their files.
#[derive(Debug, Default)]
pub struct JsonLogs {
    logs: HashMap<PathBuf, Arc<JsonLog>>,
    lost: Counter,
}

/// Logs that may still be given up: files that were made for them are removed then.
#[derive(Debug, Default)]
pub struct PreparedJsonLogs {
    logs: JsonLogs,
    made: Vec<PathBuf>,
}

impl JsonLogs {
    /// None yet. Lines that are lost, for want of room or because a file cannot be written, count in `lost`.
    pub fn counting(lost: Counter) -> Self {
        Self { lost, ..Self::default() }
    }

    /// Opens each of the files once; a file that is not there is made. A log of these that still writes to the file
    /// that stands at its path goes on, while one whose file was moved away is opened anew.
    ///
    /// # Errors
    /// When one of them cannot be written.
    pub fn prepare<'a>(
        &self,
        paths: impl IntoIterator<Item = &'a PathBuf>,
    ) -> Result<PreparedJsonLogs, JsonLogError> {
        let paths: HashSet<&PathBuf> = paths.into_iter().collect();
        let logs = Self::counting(self.lost.clone());
        let mut prepared = PreparedJsonLogs { logs, made: Vec::new() };
        for path in paths {
            let failed = |source| JsonLogError { path: path.clone(), source };
            let same = self.get(path).filter(|log| std::fs::metadata(path).is_ok_and(|at| log.is(&at)));
            let log = if let Some(log) = same {
                Arc::clone(log)
            } else {
                let (file, is_new) = open(path).map_err(failed)?;
                if is_new {
                    prepared.made.push(path.clone());
                }
                Arc::new(JsonLog::new(file, path, self.lost.clone()).map_err(failed)?)
            };
            prepared.logs.logs.insert(path.clone(), log);
        }
        Ok(prepared)
    }

    /// The log in the file at `path`.
    pub fn get(&self, path: &Path) -> Option<&Arc<JsonLog>> {
        self.logs.get(path)
    }

    /// Ends when everything that was logged is written, or after two seconds. Logs that somebody else still holds are left
    /// alone.
    pub fn close(self) {
        let deadline = Instant::now() + CLOSE_TIMEOUT;
        self.logs.into_values().filter_map(Arc::into_inner).for_each(|log| log.close(deadline));
    }
}

impl PreparedJsonLogs {
    /// Keeps them, with the files that were made.
    pub fn keep(mut self) -> JsonLogs {
        self.made.clear();
        std::mem::take(&mut self.logs)
    }
}

impl Drop for PreparedJsonLogs {
    fn drop(&mut self) {
        for path in &self.made {
            // One that has content is somebody else's by now.
            if std::fs::metadata(path).is_ok_and(|metadata| metadata.len() == 0)
                && let Err(error) = std::fs::remove_file(path)
            {
                tracing::warn!(path = %path.display(), %error, "a log file that is not needed cannot be removed");
            }
        }
    }
}

/// Opens the file at `path`, to whose end lines are added; says whether it was made for that. A pipe that nobody reads is
/// an error, not a wait.
fn open(path: &Path) -> io::Result<(File, bool)> {
    let no_wait = i32::try_from(OFlags::NONBLOCK.bits()).map_err(io::Error::other)?;
    let options = || {
        let mut options = OpenOptions::new();
        options.append(true).custom_flags(no_wait);
        options
    };
    let missing = |error: &io::Error| error.kind() == io::ErrorKind::NotFound;
    match options().open(path) {
        Err(error) if missing(&error) => {}
        opened => return opened.map(|file| (file, false)),
    }
    match options().create_new(true).open(path) {
        // A link to a file that is not there, or a file that somebody else has made since.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            options().create(true).open(path).map(|file| (file, false))
        }
        opened => opened.map(|file| (file, true)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn opened(before: &JsonLogs, path: &PathBuf) -> JsonLogs {
        before.prepare([path, path]).expect("writable").keep()
    }

    #[test]
    fn lines_are_added_to_what_is_there() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("a.log");
        for round in 0..2 {
            let logs = opened(&JsonLogs::default(), &path);
            assert_eq!(logs.logs.len(), 1);
            let log = logs.get(&path).expect("there");
            log.log(&json!({"round": round, "text": "a\nb"}));
            log.log(&json!({"more": true}));
            logs.close();
        }
        let text = std::fs::read_to_string(&path).expect("written");
        let line = |round| format!("{{\"round\":{round},\"text\":\"a\\nb\"}}\n{{\"more\":true}}\n");
        assert_eq!(text, line(0) + &line(1));
        let none = dir.path().join("none/a.log");
        let error = JsonLogs::default().prepare([&none]).expect_err("no folder").to_string();
        assert!(error.starts_with("cannot write ") && error.contains("none/a.log"), "{error}");
    }

    #[test]
    fn a_log_goes_on_until_its_file_is_moved_away() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("a.log");
        let first = opened(&JsonLogs::default(), &path);
        let second = opened(&first, &path);
        assert!(Arc::ptr_eq(&first.logs[&path], &second.logs[&path]));
        std::fs::rename(&path, dir.path().join("old.log")).expect("renamed");
        let third = opened(&second, &path);
        assert!(!Arc::ptr_eq(&second.logs[&path], &third.logs[&path]));
        third.logs[&path].log(&json!(1));
        third.close();
        assert_eq!(std::fs::read_to_string(&path).expect("written"), "1\n");
    }

    #[test]
    fn what_is_given_up_leaves_no_file_behind() {
        let dir = tempfile::tempdir().expect("a folder");
        let (new, old) = (dir.path().join("new.log"), dir.path().join("old.log"));
        std::fs::write(&old, "").expect("written");
        drop(JsonLogs::default().prepare([&new, &old]).expect("writable"));
        assert!(!new.exists() && old.exists());
        // Nor does one that fails on the way.
        let folder = dir.path().to_owned();
        JsonLogs::default().prepare([&new, &folder]).expect_err("a folder is no file");
        assert!(!new.exists());
    }

    #[test]
    fn a_pipe_is_not_waited_for() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&path).status().expect("mkfifo runs");
        assert!(made.success());
        let error = JsonLogs::default().prepare([&path]).expect_err("nobody reads").to_string();
        assert!(error.contains("pipe"), "{error}");
        // It can be read without waiting for a writer, and then be written.
        let no_wait = i32::try_from(OFlags::NONBLOCK.bits()).expect("a flag");
        let reader = OpenOptions::new().read(true).custom_flags(no_wait).open(&path).expect("readable");
        let logs = opened(&JsonLogs::default(), &path);
        logs.get(&path).expect("there").log(&json!("a"));
        logs.close();
        let mut text = String::new();
        io::Read::read_to_string(&mut &reader, &mut text).expect("readable");
        assert_eq!(text, "\"a\"\n");
    }

    #[test]
    fn lines_that_are_lost_are_counted() {
        let (lines, receiver) = sync_channel(2);
        let (_end, ended) = sync_channel(0);
        let (counts, lost) = (Arc::<Counts>::default(), Counter::default());
        let (of_log, ended) = (Arc::clone(&counts), Mutex::new(ended));
        let log = JsonLog { lines, counts: of_log, lost: lost.clone(), ended, identity: (0, 0) };
        log.log(&json!("a".repeat(MAX_WAITING_BYTES)));
        (1..=3).for_each(|number| log.log(&json!(number)));
        assert_eq!((counts.untold.load(Ordering::Relaxed), lost.get()), (2, 2));
        drop(log);
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("a.log");
        write(File::create(&path).expect("made"), &path, &receiver, (&counts, &lost));
        assert_eq!(std::fs::read_to_string(&path).expect("written"), "1\n2\n");
        assert_eq!(counts.waiting.load(Ordering::Relaxed), 0);
        assert_eq!((counts.untold.load(Ordering::Relaxed), lost.get()), (0, 2));

        let (lines, receiver) = sync_channel(1);
        lines.send("a\n".to_owned()).expect("room");
        drop(lines);
        counts.waiting.store(2, Ordering::Relaxed);
        write(File::open(&path).expect("readable"), &path, &receiver, (&counts, &lost));
        assert_eq!(lost.get(), 3, "a file that is open for reading cannot be written");
    }
}
