//! What the groups of an expression matched, and templates filled with it.

use std::sync::Arc;

/// Parts of a text that matched: all of it, then one for each group in the order of their opening brackets.
#[derive(Debug, Clone)]
pub struct Groups<'t> {
    pub(super) parts: Vec<Option<&'t str>>,
    pub(super) names: Arc<[Option<Box<str>>]>,
}

impl Groups<'_> {
    /// Bytes that [`Groups::expand`] adds.
    pub fn expanded_len(&self, template: &str) -> usize {
        let mut bytes = 0usize;
        each_part(template, self, |part| bytes = bytes.saturating_add(part.len()));
        bytes
    }

    /// Adds the template to `out`, filled with the groups: `$1`, `$name`, `${name}`.
    pub fn expand(&self, template: &str, out: &mut String) {
        each_part(template, self, |part| out.push_str(part));
    }
}

/// Hands over the parts of a template one by one, with groups in place of `$1`, `$name` and `${name}`; those that are
/// unknown or took no part are empty.
fn each_part(template: &str, found: &Groups<'_>, mut part: impl FnMut(&str)) {
    let mut rest = template;
    while let Some(at) = rest.find('$') {
        part(&rest[..at]);
        rest = &rest[at..];
        let after = &rest[1..];
        if after.starts_with('$') {
            part("$");
            rest = &rest[2..];
            continue;
        }
        let word = |text: &str| text.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(text.len());
        let reference = if let Some(braced) = after.strip_prefix('{') {
            let end = word(braced);
            (end > 0 && braced[end..].starts_with('}')).then(|| (&braced[..end], end + 3))
        } else {
            let end = word(after);
            (end > 0).then(|| (&after[..end], end + 1))
        };
        let Some((name, length)) = reference else {
            // Not a reference: the dollar stands for itself.
            part("$");
            rest = after;
            continue;
        };
        let index = if name.bytes().all(|b| b.is_ascii_digit()) {
            name.parse().ok()
        } else {
            found.names.iter().position(|known| known.as_deref() == Some(name))
        };
        part(index.and_then(|index| *found.parts.get(index)?).unwrap_or(""));
        rest = &rest[length..];
    }
    part(rest);
}
