//! Regular expressions as Prometheus means them: RE2 syntax, anchored at both ends, dot matches newline.
//!
//! An expression is rewritten for the `regex` crate (`translate`) and read, no more: it is compiled when it is first asked
//! whether it matches, into an engine over bytes if that is small (`budget`), else into a program over characters
//! (`program`). Small sets of literals (`a|b|c`) and literals with wildcards around them (`a.*`, `.*a`, `.*a.*`) are
//! compared without either (`shortcut`). Those that are looked for inside of texts are in `search`.

mod budget;
mod error;
mod groups;
mod program;
mod search;
mod shortcut;
mod translate;

#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::{Arc, OnceLock};

use regex_syntax::ParserBuilder;
use regex_syntax::hir::Hir;

pub use budget::RegexBudget;
use error::reason;
pub use error::{RegexError, Stopped};
pub use groups::Groups;
use program::Program;
pub use search::{ReplaceError, Search};
use shortcut::{Fast, around, fast_form, literal_prefix};
use translate::translate;

/// A fully anchored regular expression. Clones share what is compiled.
#[derive(Clone)]
pub struct Anchored {
    source: Arc<str>,
    /// The same with its anchors, as the engine reads it.
    translated: Arc<str>,
    compiled: Arc<Compiled>,
    /// Whether it may have an engine over bytes.
    has_engine: bool,
    /// Bytes of the program and, roughly, of an engine.
    program_bytes: usize,
    engine_bytes: usize,
    /// What a character of a text takes at most, in steps.
    weight: usize,
    /// See [`Anchored::groups_bytes`].
    groups_bytes: usize,
    fast: Fast,
    /// Every text it matches starts so.
    prefix: String,
}

/// What an expression is matched by, made when it is first needed.
#[derive(Default)]
struct Compiled {
    bytes: OnceLock<Option<Engine>>,
    characters: OnceLock<Option<Program>>,
}

struct Engine {
    regex: regex::Regex,
    names: Arc<[Option<Box<str>>]>,
}

/// Steps that may be taken in one go: some tens of milliseconds. An engine over bytes cannot be stopped, so what may take
/// more goes character by character.
const LONG_EFFORT: usize = 1 << 23;

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
        budget.check(source)?;
        let translated = format!("^(?s:{})$", translate(source)?);
        let hir = read(&translated).map_err(|error| RegexError::new(&reason(&error.to_string()), source))?;
        let program = Program::new(&hir).map_err(|_| RegexError::new("expression too large", source))?;
        let (weight, groups_bytes) = (program.len(), program.groups_bytes());
        let (program_bytes, engine_bytes) = (program.bytes(), program.engine_bytes());
        let has_engine = budget.admit(source, program_bytes, engine_bytes)?;
        Ok(Self {
            source: source.into(),
            translated: translated.into(),
            compiled: Arc::default(),
            has_engine,
            program_bytes,
            engine_bytes,
            weight,
            groups_bytes,
            fast: fast_form(source),
            prefix: literal_prefix(source).to_owned(),
        })
    }

    /// The same expression within another budget: without an engine if there is no room for one, and then with nothing
    /// compiled yet.
    ///
    /// # Errors
    /// When there is no room for the program.
    pub fn admitted(&self, budget: &mut RegexBudget) -> Result<Self, RegexError> {
        let has_engine = budget.admit(&self.source, self.program_bytes, self.engine_bytes)?;
        let compiled =
            if self.has_engine && !has_engine { Arc::default() } else { Arc::clone(&self.compiled) };
        Ok(Self { compiled, has_engine, ..self.clone() })
    }

    /// Takes from `budget` what it has.
    pub fn charge(&self, budget: &mut RegexBudget) {
        let engine = if self.has_engine { self.engine_bytes.saturating_add(budget::STATE_BYTES) } else { 0 };
        budget.charge(self.program_bytes.saturating_add(self.source.len()), engine);
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

    /// Steps it takes at most to match a text of `len` bytes; each is some nanoseconds.
    pub fn effort(&self, len: usize) -> usize {
        match self.fast {
            Fast::None => self.weight.saturating_mul(len.saturating_add(1)),
            _ => len / 8 + 1,
        }
    }

    /// Bytes that [`Anchored::groups`] takes for a moment at most.
    pub fn groups_bytes(&self) -> usize {
        self.groups_bytes
    }

    /// Whether the whole of `text` matches.
    pub fn is_match(&self, text: &str) -> bool {
        self.is_match_while(text, &|| true).unwrap_or(false)
    }

    /// The same. `go_on` is asked every now and then.
    ///
    /// # Errors
    /// When it says no.
    pub fn is_match_while(&self, text: &str, go_on: &dyn Fn() -> bool) -> Result<bool, Stopped> {
        match &self.fast {
            Fast::None => match self.engine(text.len()) {
                Some(engine) => Ok(engine.regex.is_match(text)),
                None => self.program().map_or(Ok(false), |program| program.is_match(text, go_on)),
            },
            Fast::Literals(set) => Ok(set.binary_search_by(|l| l.as_str().cmp(text)).is_ok()),
            Fast::Around { before, literal, behind } => Ok(around(text, *before, literal, *behind)),
        }
    }

    /// What the groups match, if the whole of `text` matches.
    pub fn groups<'t>(&self, text: &'t str) -> Option<Groups<'t>> {
        self.groups_while(text, &|| true).unwrap_or_default()
    }

    /// The same. `go_on` is asked every now and then.
    ///
    /// # Errors
    /// When it says no.
    pub fn groups_while<'t>(
        &self,
        text: &'t str,
        go_on: &dyn Fn() -> bool,
    ) -> Result<Option<Groups<'t>>, Stopped> {
        if let Some(Engine { regex, names }) = self.engine(text.len()) {
            return Ok(regex.captures(text).map(|found| {
                let parts = found.iter().map(|part| part.map(|part| part.as_str())).collect();
                Groups { parts, names: Arc::clone(names) }
            }));
        }
        let Some(program) = self.program() else { return Ok(None) };
        let found = program.groups(text, go_on)?;
        Ok(found.map(|parts| Groups { parts, names: Arc::clone(program.names()) }))
    }

    /// The engine over bytes, if there is one and it is quick with a text of `len` bytes.
    fn engine(&self, len: usize) -> Option<&Engine> {
        if !self.has_engine || self.weight.saturating_mul(len) > LONG_EFFORT {
            return None;
        }
        let make = || {
            let mut builder = regex::RegexBuilder::new(&self.translated);
            let regex = builder.dfa_size_limit(budget::STATE_BYTES).build().ok()?;
            let names = regex.capture_names().map(|name| name.map(Box::from)).collect();
            Some(Engine { regex, names })
        };
        self.compiled.bytes.get_or_init(make).as_ref()
    }

    /// None if it cannot be made, which is not: it was before.
    fn program(&self) -> Option<&Program> {
        let make = || read(&self.translated).ok().and_then(|hir| Program::new(&hir).ok());
        self.compiled.characters.get_or_init(make).as_ref()
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
