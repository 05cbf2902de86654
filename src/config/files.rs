//! Files that a configuration names by patterns.

use std::path::PathBuf;

/// The files that match, in the order of their names, and why some folders could not be read, if so.
pub fn files_and_faults(pattern: &str) -> (Vec<PathBuf>, Vec<String>) {
    let options = glob::MatchOptions { require_literal_separator: true, ..glob::MatchOptions::new() };
    let (mut found, mut faults) = (Vec::new(), Vec::new());
    // What is wrong with a pattern was told by the configuration.
    for path in glob::glob_with(pattern, options).into_iter().flatten() {
        match path {
            Ok(path) => found.push(path),
            Err(error) => faults.push(error.to_string()),
        }
    }
    (found, faults)
}

/// The files that match, in the order of their names; folders that cannot be read are logged.
pub fn matching_files(pattern: &str) -> Vec<PathBuf> {
    let (found, faults) = files_and_faults(pattern);
    for error in faults {
        tracing::warn!(pattern, error, "failed to list files");
    }
    found
}
