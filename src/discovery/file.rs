//! Lists of targets in files, which are read again when they change.
//!
//! They are looked at, not watched: that works the same on every file system and with links that are turned over, as
//! mounted configuration maps are, and costs one `stat` per file.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::metrics::DiscoveryMetrics;
use super::{Discoverer, GroupSender, TargetGroup};
use crate::config::{FileSdConfig, StaticConfig, files_and_faults, parse_targets_json, parse_targets_yaml};
use crate::model::Labels;
use crate::util::Stamp;

/// How often the files are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Files that are larger are refused.
const MAX_FILE_BYTES: u64 = 64 << 20;

/// Reads the files of one section.
#[derive(Debug)]
pub(super) struct FileDiscoverer {
    config: FileSdConfig,
    metrics: DiscoveryMetrics,
}

/// A file as it was read last.
#[derive(Debug)]
struct Known {
    stamp: Option<Stamp>,
    /// What is wrong with it; then its groups are those it had before.
    fault: Option<String>,
    /// How many groups it has; none while it could not be read, so that those from before stay.
    groups: Option<usize>,
}

/// What became of the files since they were looked at last.
#[derive(Debug, Default)]
struct Changes {
    groups: Vec<TargetGroup>,
    /// Whether any file was read.
    is_read: bool,
}

/// The files and what is known of them.
#[derive(Debug)]
struct Files {
    patterns: Vec<String>,
    metrics: DiscoveryMetrics,
    known: BTreeMap<PathBuf, Known>,
    /// Why folders could not be read.
    folder_faults: Vec<String>,
}

impl FileDiscoverer {
    pub(super) fn new(config: FileSdConfig, metrics: DiscoveryMetrics) -> Self {
        Self { config, metrics }
    }

    async fn follow(&self, groups: &GroupSender) {
        let mut files = Files {
            patterns: self.config.files.clone(),
            metrics: self.metrics.clone(),
            known: BTreeMap::new(),
            folder_faults: Vec::new(),
        };
        let mut timer = interval(LOOK_EVERY);
        timer.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut read: Option<Instant> = None;
        loop {
            timer.tick().await;
            let begun = Instant::now();
            let all = read.is_none_or(|read| begun - read >= self.config.refresh_interval);
            let look = move || {
                let changes = files.look(all);
                (files, changes)
            };
            // A panic is passed on: the discoverer is begun anew.
            let Ok((looked, changes)) = tokio::task::spawn_blocking(look).await else { return };
            files = looked;
            if all {
                read = Some(begun);
            }
            if !changes.groups.is_empty() {
                groups.put(changes.groups);
            }
            if changes.is_read {
                groups.retain(|source| files.has(source));
                let took = Some(begun.elapsed());
                match files.fault() {
                    Some(fault) => groups.failed(fault, Some(LOOK_EVERY)),
                    None => groups.succeeded(took, Some(LOOK_EVERY)),
                }
            }
        }
    }
}

impl Discoverer for FileDiscoverer {
    fn what(&self) -> String {
        self.config.files.join(", ")
    }

    fn run<'a>(&'a self, groups: &'a GroupSender) -> BoxFuture<'a, ()> {
        Box::pin(self.follow(groups))
    }
}

/// What the group of a file is called.
fn source(path: &Path, at: usize) -> String {
    format!("{}:{at}", path.display())
}

impl Files {
    /// Reads the files that have changed, or `all`.
    fn look(&mut self, all: bool) -> Changes {
        let mut changes = Changes { is_read: all, ..Changes::default() };
        let (mut found, mut faults): (Vec<PathBuf>, Vec<String>) = (Vec::new(), Vec::new());
        for pattern in &self.patterns {
            let (files, folders) = files_and_faults(pattern);
            found.extend(files);
            faults.extend(folders);
        }
        changes.is_read |= faults != self.folder_faults;
        self.folder_faults = faults;
        found.sort_unstable();
        found.dedup();
        let gone: Vec<PathBuf> =
            self.known.keys().filter(|path| found.binary_search(path).is_err()).cloned().collect();
        for path in gone {
            self.known.remove(&path);
            self.metrics.file_mtime.remove(&mtime_labels(&path));
            changes.is_read = true;
        }
        for path in found {
            // Looked at before it is read: a change in between is seen the next time.
            let stamp = Stamp::of(&path);
            let known = self.known.get(&path);
            if !all && known.is_some_and(|known| known.stamp == stamp) {
                continue;
            }
            changes.is_read = true;
            let before = known.and_then(|known| known.groups);
            let (fault, groups) = match read(&path) {
                Ok(listed) => {
                    let group = |(at, group): (usize, &StaticConfig)| group_of(&path, at, group);
                    changes.groups.extend(listed.iter().enumerate().map(group));
                    (None, Some(listed.len()))
                }
                Err(reason) => {
                    self.metrics.file_read_errors.inc();
                    (Some(reason), before)
                }
            };
            if let Some(stamp) = &stamp {
                self.metrics.file_mtime.get_or_create(&mtime_labels(&path)).set(stamp.modified_seconds());
            }
            self.known.insert(path, Known { stamp, fault, groups });
        }
        changes
    }

    /// What is wrong with the first of them.
    fn fault(&self) -> Option<&String> {
        self.folder_faults.first().or_else(|| self.known.values().find_map(|file| file.fault.as_ref()))
    }

    /// Whether a group may still come from one of the files.
    fn has(&self, source: &str) -> bool {
        let Some((path, at)) = source.rsplit_once(':') else { return false };
        let file = self.known.get(Path::new(path));
        file.is_some_and(|file| file.groups.is_none_or(|count| at.parse().is_ok_and(|at: usize| at < count)))
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        for path in self.known.keys() {
            self.metrics.file_mtime.remove(&mtime_labels(path));
        }
    }
}

fn mtime_labels(path: &Path) -> Vec<(String, String)> {
    vec![("filename".to_owned(), path.display().to_string())]
}

fn group_of(path: &Path, at: usize, group: &StaticConfig) -> TargetGroup {
    let file = path.display().to_string();
    let labels = group.labels.iter().chain([("__meta_filepath", file.as_str())]);
    let labels = Labels::from_pairs(labels.map(|(n, v)| (n.to_owned(), v.to_owned())));
    TargetGroup::of_addresses(source(path, at), &group.targets, labels)
}

fn read(path: &Path) -> Result<Vec<StaticConfig>, String> {
    let name = path.display();
    let mut bytes = Vec::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes))
        .map_err(|error| format!("cannot read {name}: {error}"))?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(format!("{name} has more than {} MiB", MAX_FILE_BYTES >> 20));
    }
    if path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("json")) {
        return parse_targets_json(&bytes).map_err(|reason| format!("{name}: {reason}"));
    }
    let text = String::from_utf8(bytes).map_err(|_| format!("{name} is not UTF-8"))?;
    parse_targets_yaml(&text, &name.to_string()).map_err(|error| error.to_string())
}

#[cfg(test)]
#[path = "file_tests.rs"]
mod tests;
