//! `--config.auto-reload`: looks at the configuration file now and then, and tells when it has changed.
//!
//! A change is told once, also when what it says is refused: the log does not repeat itself until somebody mends it.

use std::path::PathBuf;
use std::time::Duration;

use tokio::time::{Interval, MissedTickBehavior, interval};

use super::Settings;

/// Watches the configuration file.
#[derive(Debug)]
pub(super) struct Watcher(Option<Watched>);

#[derive(Debug)]
struct Watched {
    path: PathBuf,
    /// What was in the file when it was looked at last; nothing when it could not be read.
    seen: Option<Vec<u8>>,
    every: Interval,
}

impl Watcher {
    /// Watches the file of `settings`, if there is one and it is to be watched.
    pub(super) fn new(settings: &Settings) -> Self {
        let watched = settings.config_file.clone().zip(settings.auto_reload);
        let mut watcher = Self(watched.map(|(path, every)| Watched::new(path, every)));
        watcher.look();
        watcher
    }

    /// What the file says now is known.
    pub(super) fn look(&mut self) {
        if let Some(watched) = &mut self.0 {
            watched.seen = watched.read();
        }
    }

    /// Ends when the file says something new. Never, if there is none to watch.
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
        Self { path, seen: None, every }
    }

    fn read(&self) -> Option<Vec<u8>> {
        std::fs::read(&self.path).ok()
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
        watcher.look();
        let mut told =
            async || tokio::time::timeout(Duration::from_secs(300), watcher.changed()).await.is_ok();
        assert!(!told().await, "nothing has changed");
        write("a: 2");
        assert!(told().await);
        assert!(!told().await, "it is known");
        std::fs::remove_file(&path).expect("remove");
        assert!(!told().await, "there is nothing to load");
        write("a: 2");
        assert!(told().await);
    }
}
