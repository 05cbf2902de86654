//! `--config.auto-reload`: looks at the configuration file, and those that it names, now and then, and tells when they
//! have changed.
//!
//! A change is told once, also when what it says is refused: the log does not repeat itself until somebody mends it.

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::PathBuf;
use std::time::Duration;

use tokio::time::{Interval, MissedTickBehavior, interval};

use super::Settings;
use crate::config::{self, Config};

/// Watches the configuration file and those that it names: rule files and further files with jobs.
#[derive(Debug)]
pub(super) struct Watcher(Option<Watched>);

#[derive(Debug)]
struct Watched {
    path: PathBuf,
    /// Patterns of the files that the configuration names.
    patterns: Vec<String>,
    /// What was in the files when they were looked at last; nothing when the first could not be read.
    seen: Option<u64>,
    every: Interval,
}

impl Watcher {
    /// Watches the file of `settings`, if there is one and it is to be watched.
    pub(super) fn new(settings: &Settings) -> Self {
        let watched = settings.config_file.clone().zip(settings.auto_reload);
        Self(watched.map(|(path, every)| Watched::new(path, every)))
    }

    /// What the files say now is known.
    pub(super) fn look(&mut self) {
        if let Some(watched) = &mut self.0 {
            watched.seen = watched.read();
        }
    }

    /// From now on the files are those that `config` names.
    pub(super) fn follow(&mut self, config: &Config) {
        let patterns = [&config.rule_files[..], &config.scrape_config_files].concat();
        if let Some(watched) = self.0.as_mut().filter(|watched| watched.patterns != patterns) {
            watched.patterns = patterns;
            watched.seen = watched.read();
        }
    }

    /// Ends when the files say something new. Never, if there is none to watch.
    pub(super) async fn changed(&mut self) {
        let Some(watched) = &mut self.0 else { return std::future::pending().await };
        loop {
            watched.every.tick().await;
            let now = watched.read();
            if now != watched.seen {
                watched.seen = now;
                // A file that is gone for a moment, while an editor or a mount replaces it, is no change yet.
                if watched.seen.is_some() {
                    return;
                }
                tracing::warn!(path = %watched.path.display(), "failed to read the configuration file");
            }
        }
    }
}

impl Watched {
    fn new(path: PathBuf, every: Duration) -> Self {
        let mut every = interval(every);
        every.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut new = Self { path, patterns: Vec::new(), seen: None, every };
        new.seen = new.read();
        new
    }

    /// A number that tells what the files say now from what they said before.
    fn read(&self) -> Option<u64> {
        let mut hash = DefaultHasher::new();
        std::fs::read(&self.path).ok()?.hash(&mut hash);
        let others: BTreeSet<PathBuf> =
            self.patterns.iter().flat_map(|pattern| config::matching_files(pattern)).collect();
        for path in others {
            let text = std::fs::read(&path).ok();
            (path, text).hash(&mut hash);
        }
        Some(hash.finish())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_change_is_told_once() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("f.yml");
        let write = |text: &str| std::fs::write(&path, text).expect("write");
        write("a: 1");
        let every = Duration::from_secs(30);
        let mut watcher = Watcher(Some(Watched::new(path.clone(), every)));
        let config = Config {
            rule_files: vec![dir.path().join("*.rules").display().to_string()],
            ..Config::default()
        };
        watcher.follow(&config);
        let mut told =
            async || tokio::time::timeout(Duration::from_secs(300), watcher.changed()).await.is_ok();
        assert!(!told().await, "nothing has changed");
        write("a: 2");
        assert!(told().await);
        assert!(!told().await, "it is known");
        for text in ["groups: []", "groups:"] {
            std::fs::write(dir.path().join("a.rules"), text).expect("write");
            assert!(told().await, "a rule file that came or changed");
        }
        assert!(!told().await, "it is known");
        std::fs::remove_file(&path).expect("remove");
        assert!(!told().await, "there is nothing to load");
        write("a: 2");
        assert!(told().await);
    }
}
