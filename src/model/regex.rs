//! Regular expressions as Prometheus means them: RE2 syntax, anchored at both ends, dot matches newline.
//!
//! Small sets of literals (`a|b|c`) and plain literals are recognised and compared without the engine.

use std::fmt;

/// A compiled, fully anchored regular expression.
#[derive(Clone)]
pub struct Anchored {
    source: String,
    compiled: regex::Regex,
    literals: Option<Vec<String>>,
}

/// A regular expression that does not compile.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{0}")]
pub struct RegexError(String);

impl Anchored {
    /// Compiles `source` as `^(?s:source)$`.
    ///
    /// # Errors
    /// When `source` is not a regular expression, or too large once compiled.
    pub fn new(source: &str) -> Result<Self, RegexError> {
        let compiled = regex::RegexBuilder::new(&format!("^(?s:{source})$"))
            .size_limit(10 << 20)
            .build()
            .map_err(|error| RegexError(error.to_string()))?;
        Ok(Self { source: source.to_owned(), compiled, literals: literal_set(source) })
    }

    /// The text it was made from.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The complete, sorted list of texts it matches, when that is a small fixed set.
    pub fn literals(&self) -> Option<&[String]> {
        self.literals.as_deref()
    }

    /// Whether the whole of `text` matches.
    pub fn is_match(&self, text: &str) -> bool {
        match &self.literals {
            Some(set) => set.binary_search_by(|l| l.as_str().cmp(text)).is_ok(),
            None => self.compiled.is_match(text),
        }
    }

    /// The compiled expression, for captures.
    pub fn compiled(&self) -> &regex::Regex {
        &self.compiled
    }
}

impl PartialEq for Anchored {
    fn eq(&self, other: &Self) -> bool {
        self.source == other.source
    }
}

impl Eq for Anchored {}

impl fmt::Debug for Anchored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "/{}/", self.source)
    }
}

/// `a|b|c` as a sorted set when no alternative holds a special character.
fn literal_set(source: &str) -> Option<Vec<String>> {
    if source.contains(|c: char| r"\.+*?()[]{}^$".contains(c)) {
        return None;
    }
    let mut set: Vec<String> = source.split('|').map(str::to_owned).collect();
    set.sort_unstable();
    set.dedup();
    Some(set)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn anchors_and_lets_the_dot_match_newlines() {
        let check = |source: &str, text: &str, expected: bool| {
            assert_eq!(Anchored::new(source).expect(source).is_match(text), expected, "{source} on {text:?}");
        };
        check("a", "a", true);
        check("a", "ab", false);
        check("a|b", "b", true);
        check("a|bc", "abc", false);
        check("a.c", "a\nc", true);
        check("", "", true);
        check("", "x", false);
        check("a|", "", true);
        assert!(Anchored::new("(").is_err());
    }
}
