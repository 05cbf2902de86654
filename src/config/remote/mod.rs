//! `remote_write` and `remote_read`: servers that samples are sent to and read from, one file for each section, and
//! `cloud` with what only clouds know as proof of who asks.
//!
//! Nothing uses them yet: the sections are read and checked as a whole, and then refused by name.

mod cloud;
mod read;
mod write;

pub use cloud::{
    AzureAdConfig, AzureAdMethod, AzureCertificate, AzureCloud, AzureManagedIdentity, AzureOAuth, AzureSdk,
    AzureWorkloadIdentity, CloudAuth, GoogleIamConfig,
};
pub use read::RemoteReadConfig;
pub use write::{MetadataConfig, QueueConfig, RemoteWriteConfig, WriteMessage};

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use serde::Serialize;

use super::loader::Loader;
use super::section::Section;

/// A section that may have a name.
trait Named {
    /// The name; empty for none.
    fn name(&self) -> &str;
}

impl<'a> Loader<'a> {
    /// Drops the places of sections, after noting those that cannot be told from an earlier one: by their names or,
    /// where they have none, by what is shown of them, which secrets are no part of.
    fn distinct<T: Named + Serialize>(&self, read: Vec<(Section<'a>, T)>) -> Vec<T> {
        let mut known: HashMap<(&str, String), usize> = HashMap::new();
        for (raw, config) in &read {
            let name = config.name();
            // Texts, numbers and mappings with text as keys can always be printed.
            let print = || serde_yaml::to_string(config).unwrap_or_default();
            let content = if name.is_empty() { print() } else { String::new() };
            match known.entry((name, content)) {
                Entry::Vacant(place) => {
                    place.insert(raw.line);
                }
                Entry::Occupied(first) if name.is_empty() => {
                    let reason = format!("says the same as the entry on line {}: name them", first.get());
                    self.notes.value(raw.line, &raw.path, reason);
                }
                Entry::Occupied(first) => {
                    let reason =
                        format!("name {name:?} is used twice, first by the entry on line {}", first.get());
                    self.complain(raw, "name", reason);
                }
            }
        }
        read.into_iter().map(|(_, config)| config).collect()
    }
}

#[cfg(test)]
mod tests;
