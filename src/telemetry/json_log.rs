//! Logs of their own in files: a line of JSON for each event.
//!
//! A thread writes; whoever has something to log never waits for the disk. Lines that come faster than they are written
//! are dropped, and their number is told.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;

/// Lines that may wait.
const MAX_WAITING: usize = 10_000;

/// A file that cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write {}: {source}", path.display())]
pub struct JsonLogError {
    path: PathBuf,
    source: std::io::Error,
}

/// A log in a file. What was logged is written even after it is dropped.
#[derive(Debug)]
pub struct JsonLog {
    lines: SyncSender<String>,
    dropped: Arc<AtomicU64>,
    writer: JoinHandle<()>,
}

impl JsonLog {
    /// Opens the file at `path`, to whose end lines are added; it is made if it is not there.
    ///
    /// # Errors
    /// When that is not possible.
    pub fn open(path: &Path) -> Result<Self, JsonLogError> {
        let failed = |source| JsonLogError { path: path.to_owned(), source };
        let file = File::options().append(true).create(true).open(path).map_err(failed)?;
        let (lines, receiver) = sync_channel(MAX_WAITING);
        let (path_told, dropped) = (path.to_owned(), Arc::<AtomicU64>::default());
        let told = Arc::clone(&dropped);
        let thread = std::thread::Builder::new().name("json-log".to_owned());
        let writer = thread.spawn(move || write(file, &path_told, &receiver, &told)).map_err(failed)?;
        Ok(Self { lines, dropped, writer })
    }

    /// Ends when everything is written.
    pub fn close(self) {
        drop(self.lines);
        if self.writer.join().is_err() {
            tracing::error!("the writer of a log file failed");
        }
    }

    /// Adds a line.
    pub fn log(&self, event: &serde_json::Value) {
        if let Err(TrySendError::Full(_)) = self.lines.try_send(event.to_string()) {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

fn write(mut file: File, path: &Path, lines: &Receiver<String>, dropped: &AtomicU64) {
    let mut is_failing = false;
    while let Ok(mut line) = lines.recv() {
        line.push('\n');
        let written = file.write_all(line.as_bytes());
        if let Err(error) = &written
            && !is_failing
        {
            tracing::error!(path = %path.display(), %error, "a log file cannot be written");
        }
        is_failing = written.is_err();
        let lost = dropped.swap(0, Ordering::Relaxed);
        if lost > 0 {
            tracing::warn!(path = %path.display(), lost, "lines of a log file came faster than they could be written");
        }
    }
}

/// Logs by the paths of their files.
#[derive(Debug, Default)]
pub struct JsonLogs(HashMap<PathBuf, JsonLog>);

impl JsonLogs {
    /// Opens each of the files once.
    ///
    /// # Errors
    /// When one of them cannot be opened.
    pub fn open<'a>(paths: impl IntoIterator<Item = &'a PathBuf>) -> Result<Self, JsonLogError> {
        let paths: HashSet<&PathBuf> = paths.into_iter().collect();
        paths
            .into_iter()
            .map(|path| Ok((path.clone(), JsonLog::open(path)?)))
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// The log in the file at `path`.
    pub fn get(&self, path: &Path) -> Option<&JsonLog> {
        self.0.get(path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn lines_are_added_to_what_is_there() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("a.log");
        for round in 0..2 {
            let mut logs = JsonLogs::open([&path, &path]).expect("writable");
            assert!(logs.get(&path).is_some() && logs.0.len() == 1);
            let log = logs.0.remove(&path).expect("there");
            log.log(&json!({"round": round, "text": "a\nb"}));
            log.log(&json!({"more": true}));
            log.close();
        }
        let text = std::fs::read_to_string(&path).expect("written");
        let line = |round| format!("{{\"round\":{round},\"text\":\"a\\nb\"}}\n{{\"more\":true}}\n");
        assert_eq!(text, line(0) + &line(1));
        let error = JsonLogs::open([&dir.path().join("none/a.log")]).expect_err("no folder").to_string();
        assert!(error.starts_with("cannot write ") && error.contains("none/a.log"), "{error}");
    }
}
