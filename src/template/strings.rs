//! Texts of addresses, and letters large and small.

use std::net::IpAddr;

/// Host and port of `host:port` or `[host]:port`.
fn split_host_port(text: &str) -> Option<(&str, &str)> {
    let (before, port) = text.rsplit_once(':')?;
    let host = match before.strip_prefix('[') {
        Some(inside) => inside.strip_suffix(']')?,
        None if before.contains(':') => return None,
        None => before,
    };
    let has_brackets = |text: &str| text.contains(['[', ']']);
    (!has_brackets(host) && !has_brackets(port)).then_some((host, port))
}

/// An address without its port; what is no address stays as it is.
pub(super) fn strip_port(text: &str) -> &str {
    split_host_port(text).map_or(text, |(host, _)| host)
}

/// The first part of the name in an address, with its port. IP addresses stay as they are.
pub(super) fn strip_domain(text: &str) -> String {
    let (host, port) = split_host_port(text).unwrap_or((text, ""));
    if host.parse::<IpAddr>().is_ok() {
        return text.to_owned();
    }
    let name = host.split('.').next().unwrap_or_default();
    match (port, name.contains(':')) {
        ("", _) => name.to_owned(),
        (port, true) => format!("[{name}]:{port}"),
        (port, false) => format!("{name}:{port}"),
    }
}

/// Character by character: those that would become several stay as they are.
pub(super) fn to_upper(text: &str) -> String {
    let upper = |c: char| {
        let mut upper = c.to_uppercase();
        upper.next().filter(|_| upper.next().is_none()).unwrap_or(c)
    };
    text.chars().map(upper).collect()
}

/// Character by character, whatever stands around it.
pub(super) fn to_lower(text: &str) -> String {
    text.chars().filter_map(|c| c.to_lowercase().next()).collect()
}

/// In every word the first letter is large. What a word is, is for Unicode to say, roughly: apostrophes, full stops, colons
/// and the like do not end one if a letter follows.
pub(super) fn title(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut is_done = false;
    let mut characters = text.chars().peekable();
    while let Some(c) = characters.next() {
        if is_cased(c) && !is_done {
            push_title(c, &mut out);
            is_done = true;
            continue;
        }
        out.push(c);
        let goes_on = characters.peek().copied().is_some_and(is_in_words);
        let joins =
            matches!(c, '\'' | '.' | ':' | '\u{b7}' | '\u{2019}' | '\u{2018}' | '\u{2024}') && goes_on;
        is_done &= is_in_words(c) || is_mark(c) || c == '_' || joins;
    }
    out
}

/// A letter or digit of a script that has words with several of them.
fn is_in_words(c: char) -> bool {
    c.is_alphanumeric() && c < '\u{2e80}'
}

fn is_cased(c: char) -> bool {
    c.is_lowercase() || c.is_uppercase() || matches!(c, '\u{1c5}' | '\u{1c8}' | '\u{1cb}' | '\u{1f2}')
}

/// A combining mark.
fn is_mark(c: char) -> bool {
    matches!(c, '\u{300}'..='\u{36f}' | '\u{1ab0}'..='\u{1aff}' | '\u{1dc0}'..='\u{1dff}' | '\u{20d0}'..='\u{20ff}' | '\u{fe20}'..='\u{fe2f}' | '\u{ad}' | '\u{200d}')
}

fn push_title(c: char, out: &mut String) {
    match c {
        // Letters for two, of which the first only is large.
        '\u{1c4}'..='\u{1c6}' => out.push('\u{1c5}'),
        '\u{1c7}'..='\u{1c9}' => out.push('\u{1c8}'),
        '\u{1ca}'..='\u{1cc}' => out.push('\u{1cb}'),
        '\u{1f1}'..='\u{1f3}' => out.push('\u{1f2}'),
        c => {
            let mut upper = c.to_uppercase();
            out.extend(upper.next());
            out.extend(upper.flat_map(char::to_lowercase));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_told_from_addresses() {
        assert_eq!(strip_port("foo:80"), "foo");
        assert_eq!(strip_port("[::1]:80"), "::1");
        for whole in ["foo", "::1", "[::1]", "[::1]::80", "[::1:80", "f]oo:80", "[[::1]]:80", ""] {
            assert_eq!(strip_port(whole), whole);
        }
    }
}
