//! Forms of expressions that are compared without an engine, and what every match starts with.

/// Forms that need no engine.
#[derive(Clone)]
pub(super) enum Fast {
    None,
    /// Sorted, unique.
    Literals(Vec<String>),
    /// A literal with something before or behind it.
    Around {
        before: Wildcard,
        literal: String,
        behind: Wildcard,
    },
}

#[derive(Clone, Copy, PartialEq)]
pub(super) enum Wildcard {
    Nothing,
    /// `.*`
    Anything,
    /// `.+`
    Something,
}

pub(super) fn around(text: &str, before: Wildcard, literal: &str, behind: Wildcard) -> bool {
    // A wildcard that needs a character needs a whole one: bytes will not do.
    let first = text.chars().next().map_or(0, char::len_utf8);
    let last = text.chars().next_back().map_or(0, char::len_utf8);
    match (before, behind) {
        (Wildcard::Nothing, Wildcard::Nothing) => text == literal,
        (Wildcard::Nothing, Wildcard::Anything) => text.starts_with(literal),
        (Wildcard::Nothing, Wildcard::Something) => text.len() > literal.len() && text.starts_with(literal),
        (Wildcard::Anything, Wildcard::Nothing) => text.ends_with(literal),
        (Wildcard::Something, Wildcard::Nothing) => text.len() > literal.len() && text.ends_with(literal),
        (before, behind) => {
            let start = if before == Wildcard::Something { first } else { 0 };
            let end = text.len() - if behind == Wildcard::Something { last } else { 0 };
            let empty = text.is_empty() && (before, behind) != (Wildcard::Anything, Wildcard::Anything);
            !empty && start <= end && text[start..end].contains(literal)
        }
    }
}

fn is_literal(text: &str) -> bool {
    !text.contains(|c: char| r"\.+*?()[]{}^$|".contains(c))
}

/// What stands before the first special character, without a character that a repetition follows.
pub(super) fn literal_prefix(source: &str) -> &str {
    let end = source.find(|c: char| r"\.+*?()[]{}^$|".contains(c)).unwrap_or(source.len());
    let (plain, rest) = source.split_at(end);
    // An alternative outside of all groups makes the beginning optional; classes and escapes are not looked into.
    let mut depth = 0i32;
    let unclear = rest.contains('|') && rest.contains(['[', '\\']);
    let alternative = rest.chars().any(|c| {
        depth += i32::from(c == '(') - i32::from(c == ')');
        c == '|' && depth == 0
    });
    if unclear || alternative {
        return "";
    }
    match rest.chars().next() {
        Some('*' | '?' | '{' | '+') => {
            let last = plain.chars().next_back().map_or(0, char::len_utf8);
            &plain[..plain.len() - last]
        }
        _ => plain,
    }
}

pub(super) fn fast_form(source: &str) -> Fast {
    if source.split('|').all(is_literal) {
        let mut set: Vec<String> = source.split('|').map(str::to_owned).collect();
        set.sort_unstable();
        set.dedup();
        return Fast::Literals(set);
    }
    let (before, rest) = match (source.strip_prefix(".*"), source.strip_prefix(".+")) {
        (Some(rest), _) => (Wildcard::Anything, rest),
        (_, Some(rest)) => (Wildcard::Something, rest),
        _ => (Wildcard::Nothing, source),
    };
    let (behind, literal) = match (rest.strip_suffix(".*"), rest.strip_suffix(".+")) {
        (Some(rest), _) => (Wildcard::Anything, rest),
        (_, Some(rest)) => (Wildcard::Something, rest),
        _ => (Wildcard::Nothing, rest),
    };
    // `.*` alone, and two wildcards in a row, are left to the engine unless they are the plain forms.
    if !is_literal(literal) || (literal.is_empty() && !rest.is_empty()) {
        return Fast::None;
    }
    Fast::Around { before, literal: literal.to_owned(), behind }
}
