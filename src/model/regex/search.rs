//! Expressions that are looked for anywhere in a text, as Go's `regexp` does it: nothing is anchored, and the dot does
//! not match newlines.
//!
//! **Cost**: one search is linear in the text times the expression; replacing may take one search for each match.

use std::sync::Arc;

use regex_syntax::ParserBuilder;

use super::budget::{self, RegexBudget};
use super::error::{RegexError, Stopped, reason};
use super::groups::Groups;
use super::program::Program;
use super::translate::translate;

/// A regular expression that is looked for inside of texts.
#[derive(Debug)]
pub struct Search {
    regex: regex::Regex,
    /// What a character of a text takes at most, in steps.
    weight: usize,
}

/// Why a text was not replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ReplaceError {
    /// Nobody wants the result any more.
    #[error(transparent)]
    Stopped(#[from] Stopped),
    /// The result has more bytes than allowed.
    #[error("result exceeds {max_bytes} bytes")]
    TooLong {
        /// How many are allowed.
        max_bytes: usize,
    },
}

impl Search {
    /// Reads an expression of RE2's syntax.
    ///
    /// # Errors
    /// When `source` is not a regular expression, is too large, or there is no time left.
    pub fn within(source: &str, budget: &mut RegexBudget) -> Result<Self, RegexError> {
        budget.check(source)?;
        let translated = translate(source)?;
        let failed = |error: &str| RegexError::new(&reason(error), source);
        let hir = ParserBuilder::new().build().parse(&translated).map_err(|e| failed(&e.to_string()))?;
        let too_large = || RegexError::new("expression too large", source);
        let program = Program::new(&hir).map_err(|_| too_large())?;
        if !budget.admit(source, program.bytes(), program.engine_bytes())? {
            return Err(too_large());
        }
        let mut builder = regex::RegexBuilder::new(&translated);
        let regex = builder.dfa_size_limit(budget::STATE_BYTES).build().map_err(|_| too_large())?;
        Ok(Self { regex, weight: program.len() })
    }

    /// Steps that one search in a text of `len` bytes takes at most; each is some nanoseconds.
    pub fn effort(&self, len: usize) -> usize {
        self.weight.saturating_mul(len.saturating_add(1))
    }

    /// Whether it matches somewhere in `text`. It cannot be stopped: see [`Search::effort`].
    pub fn is_match(&self, text: &str) -> bool {
        self.regex.is_match(text)
    }

    /// The text with every match replaced by the template, see [`Groups::expand`]. `go_on` is asked before each search,
    /// with the effort it may take.
    ///
    /// # Errors
    /// When `go_on` says no, or the result would have more than `max_bytes`.
    pub fn replace_all(
        &self,
        text: &str,
        template: &str,
        max_bytes: usize,
        mut go_on: impl FnMut(usize) -> bool,
    ) -> Result<String, ReplaceError> {
        let names: Arc<[_]> = self.regex.capture_names().map(|name| name.map(Box::from)).collect();
        let mut matches = self.regex.captures_iter(text);
        let mut out = String::new();
        let mut done = 0;
        let too_long = ReplaceError::TooLong { max_bytes };
        loop {
            if !go_on(self.effort(text.len() - done)) {
                return Err(Stopped.into());
            }
            let Some(found) = matches.next() else { break };
            let parts = found.iter().map(|part| part.map(|part| part.as_str())).collect();
            let groups = Groups { parts, names: Arc::clone(&names) };
            let Some(whole) = found.get(0) else { break };
            let before = &text[done..whole.start()];
            let added = groups.expanded_len(template).saturating_add(before.len());
            if added.saturating_add(out.len()) > max_bytes {
                return Err(too_long);
            }
            out.push_str(before);
            groups.expand(template, &mut out);
            done = whole.end();
        }
        if text.len() - done + out.len() > max_bytes {
            return Err(too_long);
        }
        out.push_str(&text[done..]);
        Ok(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn search(source: &str) -> Search {
        Search::within(source, &mut RegexBudget::default()).expect(source)
    }

    fn replaced(source: &str, template: &str, text: &str) -> String {
        search(source).replace_all(text, template, 1000, |_| true).expect(source)
    }

    #[test]
    fn matches_anywhere_and_the_dot_stops_at_newlines() {
        assert!(search("b+").is_match("abc"));
        assert!(!search("a.b").is_match("a\nb"));
        assert!(!search("^b").is_match("a\nb"));
        assert!(search(r"(?m)^b\d").is_match("a\nb1"));
        assert!(!search(r"\d").is_match("\u{661}"));
    }

    #[test]
    fn replaces_every_match_with_groups() {
        assert_eq!(replaced("(a)b", "x$1", "ab"), "xa");
        assert_eq!(replaced("(?P<n>.)-", "${n}1$1x.", "a-b-"), "a1.b1.");
        assert_eq!(replaced("a*", "x", "baac"), "xbxcx");
        assert_eq!(replaced("z", "x", "abc"), "abc");
    }

    #[test]
    fn replacing_is_bounded() {
        let many = "a".repeat(100);
        let grown = search("a").replace_all(&many, &many, 9999, |_| true);
        assert_eq!(grown, Err(ReplaceError::TooLong { max_bytes: 9999 }));
        let mut effort = 0;
        let stopped = search("a").replace_all(&many, "b", 9999, |steps| {
            effort += steps;
            effort < 2000
        });
        assert_eq!(stopped, Err(ReplaceError::Stopped(Stopped)));
        assert!(Search::within(r"(\pL{1000}){1000}", &mut RegexBudget::default()).is_err());
    }
}
