//! Files that a configuration names by patterns.

use std::path::PathBuf;

/// A pattern as the matcher wants it. For Prometheus several stars in a row are one, `[^` begins a class of what does not
/// match, and a backslash outside of a class takes from any character what it means.
pub(super) fn glob_of(pattern: &str) -> String {
    let mut out = String::with_capacity(pattern.len());
    let mut chars = pattern.chars();
    let mut was_star = false;
    while let Some(c) = chars.next() {
        let is_star = c == '*';
        match c {
            '*' if was_star => {}
            '\\' => match chars.next() {
                Some(plain @ ('*' | '?' | '[' | ']')) => out.extend(['[', plain, ']']),
                plain => out.extend(plain),
            },
            '[' => put_class(&mut chars, &mut out),
            c => out.push(c),
        }
        was_star = is_star;
    }
    out
}

/// Puts the class of characters whose bracket was read; one that has no end stays as it is, and is refused later.
fn put_class(chars: &mut std::str::Chars<'_>, out: &mut String) {
    let text = chars.as_str();
    let negated = text.strip_prefix('^');
    let inside = negated.unwrap_or(text);
    let Some(length) = inside.char_indices().skip(1).find(|(_, c)| *c == ']').map(|(at, _)| at) else {
        return out.push('[');
    };
    let class = &inside[..length];
    match class.strip_prefix('!') {
        _ if negated.is_some() => out.extend(["[!", class, "]"]),
        // That is the matcher's sign of negation, where it stands first.
        Some("") => out.push('!'),
        Some(rest) if !rest.starts_with('-') => out.extend(["[", rest, "!]"]),
        _ => out.extend(["[", class, "]"]),
    }
    *chars = inside[length + 1..].chars();
}

/// The files that match, in the order of their names, and why some folders could not be read, if so.
pub fn files_and_faults(pattern: &str) -> (Vec<PathBuf>, Vec<String>) {
    let options = glob::MatchOptions { require_literal_separator: true, ..glob::MatchOptions::new() };
    let (mut found, mut faults) = (Vec::new(), Vec::new());
    // What is wrong with a pattern was told by the configuration.
    for path in glob::glob_with(&glob_of(pattern), options).into_iter().flatten() {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_stand_for_what_is_between_slashes() {
        let dir = tempfile::tempdir().expect("a folder");
        for name in ["a.yml", "ab.yml", "b.json", ".hidden.yml", "t/a.yml"] {
            let path = dir.path().join(name);
            std::fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
            std::fs::write(path, "").expect("written");
        }
        let check = |pattern: &str, expected: &[&str]| {
            let found = matching_files(&dir.path().join(pattern).display().to_string());
            let names: Vec<_> = found.iter().filter_map(|path| path.strip_prefix(dir.path()).ok()).collect();
            let names: Vec<_> = names.iter().map(|path| path.display().to_string()).collect();
            assert_eq!(names, expected, "{pattern}");
        };
        check("*.yml", &[".hidden.yml", "a.yml", "ab.yml"]);
        check("**.yml", &[".hidden.yml", "a.yml", "ab.yml"]);
        check("a**", &["a.yml", "ab.yml"]);
        check("t/*", &["t/a.yml"]);
        check("[^.b]*.yml", &["a.yml", "ab.yml"]);
        check("a[!b]*", &["ab.yml"]);
        check("[a-b]*.[jy]*", &["a.yml", "ab.yml", "b.json"]);
        std::fs::write(dir.path().join("*!.yml"), "").expect("written");
        check("\\*[!].yml", &["*!.yml"]);
        check("[\\*b]*", &["*!.yml", "b.json"]);
        check("?[^!].yml", &["ab.yml"]);
        check("?[^!b]*", &[".hidden.yml", "a.yml", "b.json"]);
        check("none*", &[]);
        check("a.yml", &["a.yml"]);
        check("?.yml", &["a.yml"]);
    }
}
