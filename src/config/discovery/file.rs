//! Targets from files.

use std::time::Duration;

use serde::Serialize;

use crate::config::loader::Loader;
use crate::config::raw::time;
use crate::config::section::{Section, is_empty};

/// How the name of a file of targets may end.
const ENDINGS: [&str; 3] = [".json", ".yml", ".yaml"];

/// Targets written down in other files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FileSdConfig {
    /// Patterns of their names, at least one; made to begin at the folder of the configuration.
    pub files: Vec<String>,
    /// How often they are read even if nothing is seen to change. Default 5m.
    #[serde(serialize_with = "time")]
    pub refresh_interval: Duration,
}

/// Whether files that match `pattern` can be read: `*` stands in the last part alone, and the ending says the format.
fn is_readable(pattern: &str) -> bool {
    let folder = pattern.rsplit_once('/').map_or("", |(folder, _)| folder);
    let lower = pattern.to_lowercase();
    // Either all small or all capital.
    let is_ending = |ending: &&str| pattern.ends_with(*ending) || pattern.ends_with(&ending.to_uppercase());
    !folder.contains('*') && ENDINGS.iter().any(|ending| lower.ends_with(ending) && is_ending(ending))
}

impl<'a> Loader<'a> {
    pub(super) fn file_sd(&self, raw: &Section<'a>) -> FileSdConfig {
        if raw.get("files").is_none_or(|item| is_empty(item.node)) {
            self.complain(raw, "files", "file discovery needs at least one file name");
        }
        let mut files = Vec::new();
        for (name, item) in raw.texts("files").unwrap_or_default() {
            if !is_readable(&name) {
                let reason = format!(
                    "path name {name:?} is not valid for file discovery: it ends with .json, .yml or .yaml, and * \
                     stands only in its last part"
                );
                self.notes.value(item.line, &item.path, reason);
            }
            files.push(self.pattern(name, &item));
        }
        FileSdConfig { files, refresh_interval: Self::pace(raw, 300) }
    }
}
