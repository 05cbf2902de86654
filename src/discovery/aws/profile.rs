//! Profiles in the files that the tools of AWS share: `~/.aws/config` and `~/.aws/credentials`.

use std::collections::BTreeMap;

use crate::config::Secret;
use crate::discovery::surroundings::{Surroundings, read_text};

/// The settings of one profile; the file of credentials counts before the other one.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Profile {
    settings: BTreeMap<String, Secret>,
}

impl Profile {
    /// A setting that is not empty.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.settings.get(name).map(Secret::reveal).filter(|value| !value.is_empty())
    }
}

/// The profile called `name`; none where no file has it.
///
/// # Errors
/// When a file is there that cannot be read.
pub(super) fn load(name: &str, around: &Surroundings) -> Result<Option<Profile>, String> {
    let mut found: Option<Profile> = None;
    let files = [
        ("AWS_CONFIG_FILE", ".aws/config", true),
        ("AWS_SHARED_CREDENTIALS_FILE", ".aws/credentials", false),
    ];
    for (variable, below_home, says_profile) in files {
        let Some(path) = around.file_at(variable, below_home) else { continue };
        if !path.exists() {
            continue;
        }
        let text = read_text(&path)?;
        if let Some(settings) = section(&text, name, says_profile) {
            let profile = found.get_or_insert_default();
            profile.settings.extend(settings.map(|(key, value)| (key, Secret::new(value))));
        }
    }
    Ok(found)
}

/// The settings of a section. Where `says_profile`, all but the default one are called `profile <name>`.
fn section<'a>(
    text: &'a str,
    name: &str,
    says_profile: bool,
) -> Option<impl Iterator<Item = (String, String)> + use<'a>> {
    let is_wanted = |line: &str| {
        let inner = line.strip_prefix('[').and_then(|line| line.split(']').next());
        let inner = inner.unwrap_or_default().trim();
        let (word, rest) = inner.split_once(char::is_whitespace).unwrap_or((inner, ""));
        match (says_profile, word == "profile" && !rest.is_empty()) {
            (true, true) => rest.trim() == name,
            (true, false) => inner == name && name == "default",
            (false, _) => inner == name,
        }
    };
    let mut found = None;
    let mut is_inside = false;
    for line in text.lines() {
        // What is indented belongs to the setting before it.
        if line.starts_with(['#', ';', ' ', '\t']) {
            continue;
        }
        if line.starts_with('[') {
            is_inside = is_wanted(line);
            if is_inside {
                found.get_or_insert_with(Vec::new);
            }
        } else if let Some((key, value)) = line.split_once('=').filter(|_| is_inside) {
            // A comment begins with white space before its sign.
            let value = value.split(" #").next().and_then(|value| value.split(" ;").next());
            let value = value.unwrap_or_default().trim().to_owned();
            found.get_or_insert_with(Vec::new).push((key.trim().to_ascii_lowercase(), value));
        }
    }
    found.map(Vec::into_iter)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(text: &str, name: &str, says_profile: bool) -> Option<String> {
        let found = section(text, name, says_profile)?;
        Some(found.map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(","))
    }

    #[test]
    fn sections_are_found_by_their_names() {
        let config = "# c\n[default]\nregion = eu-west-1 # here\ns3 =\n  max = 1\n[profile two]\nRegion=a=b\n[two]\nx=y\n";
        assert_eq!(settings(config, "default", true).as_deref(), Some("region=eu-west-1,s3="));
        assert_eq!(settings(config, "two", true).as_deref(), Some("region=a=b"));
        assert_eq!(settings(config, "two", false).as_deref(), Some("x=y"));
        assert_eq!(settings(config, "three", true), None);
        assert_eq!(settings("[one]\n[", "one", false).as_deref(), Some(""));
    }
}
