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
use crate::config::{self, Config, LoadOptions};

/// Watches the configuration file and those that it names: rule files and further files with jobs.
#[derive(Debug)]
pub(super) struct Watcher(Option<Watched>);

#[derive(Debug)]
struct Watched {
    path: PathBuf,
    options: LoadOptions,
    /// Patterns of the files that the configuration names: the one that applies, and the one that stands in the file.
    patterns: Vec<String>,
    /// What was in the files when they were looked at last; nothing when the first could not be read.
    seen: Option<u64>,
    every: Interval,
}

impl Watcher {
    /// Watches the file of `settings`, if there is one and it is to be watched.
    pub(super) fn new(settings: &Settings) -> Self {
        let watched = settings.config_file.clone().zip(settings.auto_reload);
        let options = LoadOptions { expand_env: settings.expand_env, ..LoadOptions::default() };
        Self(watched.map(|(path, every)| Watched::new(path, options, every)))
    }

    /// What the files say now is known. They are those that `config`, which applies, names, and those that the file
    /// names: if that is refused for one of these, they are where it is mended.
    pub(super) fn look(&mut self, config: &Config) {
        if let Some(watched) = &mut self.0 {
            watched.look(config);
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
    fn new(path: PathBuf, options: LoadOptions, every: Duration) -> Self {
        let mut every = interval(every);
        every.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut new = Self { path, options, patterns: Vec::new(), seen: None, every };
        new.look(&Config::default());
        new
    }

    fn look(&mut self, config: &Config) {
        let of = |config: &Config| [&config.rule_files[..], &config.scrape_config_files].concat();
        self.patterns = of(config);
        // What is wrong with the file is told by whoever loads it.
        if let Ok(text) = std::fs::read_to_string(&self.path)
            && let Ok(own) = config::parse(&text, &self.path.display().to_string(), &self.options)
        {
            self.patterns.extend(of(&own));
        }
        self.seen = self.read();
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
        let mut watcher = Watcher(Some(Watched::new(path.clone(), LoadOptions::default(), every)));
        let config = Config {
            rule_files: vec![dir.path().join("*.rules").display().to_string()],
            ..Config::default()
        };
        watcher.look(&config);
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

    #[tokio::test(start_paused = true)]
    async fn files_that_only_a_refused_configuration_names_are_where_it_is_mended() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("f.yml");
        let rules = dir.path().join("r.yml");
        std::fs::write(&rules, "groups: [").expect("write");
        let every = Duration::from_secs(30);
        std::fs::write(&path, "").expect("write");
        let mut watcher = Watcher(Some(Watched::new(path.clone(), LoadOptions::default(), every)));
        std::fs::write(&path, format!("rule_files: ['{}']", rules.display())).expect("write");
        tokio::time::timeout(Duration::from_secs(300), watcher.changed()).await.expect("told");
        // The server looks before it loads, and goes on with what it had.
        watcher.look(&Config::default());
        std::fs::write(&rules, "groups: []").expect("write");
        tokio::time::timeout(Duration::from_secs(300), watcher.changed()).await.expect("told");
    }
}
