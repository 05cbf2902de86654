//! Regular expressions as Prometheus means them: RE2 syntax, anchored at both ends, dot matches newline.
//!
//! An expression is rewritten for the `regex` crate (`translate`) and read, no more: it is compiled when it is first asked
//! whether it matches, into an engine over bytes if that is small (`budget`), else into a program over characters
//! (`program`). Small sets of literals (`a|b|c`) and literals with wildcards around them (`a.*`, `.*a`, `.*a.*`) are
//! compared without either (`shortcut`).

mod budget;
mod groups;
mod program;
mod shortcut;
mod translate;

#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::{Arc, OnceLock};

use regex_syntax::ParserBuilder;
use regex_syntax::hir::Hir;

pub use budget::RegexBudget;
pub use groups::Groups;
use program::Program;
use shortcut::{Fast, around, fast_form, literal_prefix};
use translate::translate;

/// A fully anchored regular expression. Clones share what is compiled.
#[derive(Clone)]
pub struct Anchored {
    source: Arc<str>,
    /// The same with its anchors, as the engine reads it.
    translated: Arc<str>,
    compiled: Arc<OnceLock<Compiled>>,
    /// Whether it may have an engine over bytes.
    has_engine: bool,
    fast: Fast,
    /// Every text it matches starts so.
    prefix: String,
}

enum Compiled {
    Bytes(Box<regex::Regex>, Arc<[Option<Box<str>>]>),
    Characters(Program),
    /// What cannot be: it was read before.
    Nothing,
}

/// A regular expression that cannot be used.
#[derive(Debug, Clone, thiserror::Error)]
#[error("error parsing regexp: {0}")]
pub struct RegexError(String);

impl RegexError {
    fn new(reason: &str, source: &str) -> Self {
        Self(format!("{reason}: `{source}`"))
    }
}

fn read(translated: &str) -> Result<Hir, Box<regex_syntax::Error>> {
    ParserBuilder::new().build().parse(translated).map_err(Box::new)
}

impl Anchored {
    /// An expression to match whole texts, with the dot matching newlines too.
    ///
    /// # Errors
    /// When `source` is not a regular expression, or too large.
    pub fn new(source: &str) -> Result<Self, RegexError> {
        Self::within(source, &mut RegexBudget::default())
    }

    /// The same for one of several expressions of a request.
    ///
    /// # Errors
    /// When `source` is not a regular expression, or too large, also together with those before; or when there is no
    /// time left.
    pub fn within(source: &str, budget: &mut RegexBudget) -> Result<Self, RegexError> {
        if budget.is_over() {
            return Err(RegexError::new("no time left", source));
        }
        let translated = format!("^(?s:{})$", translate(source)?);
        let hir = read(&translated).map_err(|error| RegexError::new(&reason(&error.to_string()), source))?;
        let program = Program::new(&hir).map_err(|_| RegexError::new("expression too large", source))?;
        let has_engine = budget.admit(source, program.bytes(), program.engine_bytes())?;
        Ok(Self {
            source: source.into(),
            translated: translated.into(),
            compiled: Arc::default(),
            has_engine,
            fast: fast_form(source),
            prefix: literal_prefix(source).to_owned(),
        })
    }

    /// The text it was made from.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The complete, sorted list of texts it matches, when that is a small fixed set.
    pub fn literals(&self) -> Option<&[String]> {
        match &self.fast {
            Fast::Literals(set) => Some(set),
            _ => None,
        }
    }

    /// A text that all matching texts start with; may be shorter than the longest there is.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// Whether the whole of `text` matches.
    pub fn is_match(&self, text: &str) -> bool {
        match &self.fast {
            Fast::None => self.is_match_by_engine(text),
            Fast::Literals(set) => set.binary_search_by(|l| l.as_str().cmp(text)).is_ok(),
            Fast::Around { before, literal, behind } => around(text, *before, literal, *behind),
        }
    }

    fn is_match_by_engine(&self, text: &str) -> bool {
        match self.compiled() {
            Compiled::Bytes(engine, _) => engine.is_match(text),
            Compiled::Characters(program) => program.is_match(text),
            Compiled::Nothing => false,
        }
    }

    /// What the groups match, if the whole of `text` matches.
    pub fn groups<'t>(&self, text: &'t str) -> Option<Groups<'t>> {
        match self.compiled() {
            Compiled::Bytes(engine, names) => {
                let found = engine.captures(text)?;
                let parts = found.iter().map(|part| part.map(|part| part.as_str())).collect();
                Some(Groups { parts, names: Arc::clone(names) })
            }
            Compiled::Characters(program) => {
                Some(Groups { parts: program.groups(text)?, names: Arc::clone(program.names()) })
            }
            Compiled::Nothing => None,
        }
    }

    fn compiled(&self) -> &Compiled {
        self.compiled.get_or_init(|| {
            let engine = || {
                let mut builder = regex::RegexBuilder::new(&self.translated);
                builder.dfa_size_limit(budget::STATE_BYTES).build().ok()
            };
            if self.has_engine
                && let Some(engine) = engine()
            {
                let names = engine.capture_names().map(|name| name.map(Box::from)).collect();
                return Compiled::Bytes(Box::new(engine), names);
            }
            let program = read(&self.translated).ok().and_then(|hir| Program::new(&hir).ok());
            program.map_or(Compiled::Nothing, Compiled::Characters)
        })
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

/// The last line of the reader's message: what is wrong, without the drawing.
fn reason(text: &str) -> String {
    let last = text.lines().last().unwrap_or("").trim();
    last.strip_prefix("error: ").unwrap_or(last).to_owned()
}
