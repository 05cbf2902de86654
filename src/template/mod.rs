//! Templates of labels and annotations: the language of Go's `text/template` with the functions of Prometheus.
//!
//! A template is read once, when its rule is loaded, and expanded at each evaluation. Texts and errors are those of
//! Prometheus where there is no reason to differ; `docs/templates.md` lists what does.
//! There are no files of templates and no consoles, so `tmpl` does not exist, and nothing is escaped for HTML unasked.
//!
//! Whatever the template, reading and expanding it end: depth, steps, time and size are bounded ([`Limits`]).
//!
//! Read `syntax`, `lexer` and `parser`; then `value`, `exec` and `eval`; then the functions: `builtins` and `functions`
//! with what they stand on.

mod budget;
mod builtins;
mod calendar;
mod compare;
mod data;
mod error;
mod escape;
mod eval;
mod exec;
mod function;
mod functions;
mod humanize;
mod lexer;
mod literal;
mod message;
mod methods;
mod numbers;
mod parser;
mod printer;
mod reach;
mod strings;
mod syntax;
mod value;

#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;

use crate::model::Labels;

pub use budget::Limits;
pub use data::{Data, Source};
pub use error::{Error, Place};
pub use message::{Message, MessageAlert, status_name};
pub use value::{QuerySample, SampleValue};

use data::{Context, Searches};
use error::Fault;
use function::Dialect;
use parser::Parsed;
use syntax::Node;

/// Bytes of the longest template.
pub const MAX_TEXT_BYTES: usize = 256 << 10;

/// A template that has been read. Clones share it; two are equal if their texts are.
#[derive(Clone)]
pub struct Template(Arc<Inner>);

struct Inner {
    name: Box<str>,
    text: Box<str>,
    /// The text without the definitions that every template of messages has.
    own_bytes: usize,
    escapes_html: bool,
    parsed: Parsed,
    searches: Searches,
}

impl Template {
    /// Reads a template. `name` is for messages, and for templates that call themselves. `$labels`, `$externalLabels`,
    /// `$externalURL` and `$value` are declared.
    ///
    /// # Errors
    /// When the text is not a template, longer than [`MAX_TEXT_BYTES`] or too deep.
    pub fn parse(name: &str, text: &str) -> Result<Self, Error> {
        let failed =
            |(at, Fault(reason))| Error::Parse { name: name.into(), place: Place::of(text, at), reason };
        if text.len() > MAX_TEXT_BYTES {
            return Err(failed((0, Fault(format!("template of more than {MAX_TEXT_BYTES} bytes")))));
        }
        let declared = exec::DECLARED.map(|(name, _)| name);
        let parsed = parser::parse(text, &declared, Dialect::Rules).map_err(failed)?;
        if parsed.defined.contains_key(name) {
            return Err(failed((0, Fault::new(format_args!("multiple definition of template {name:?}")))));
        }
        Ok(Self(Arc::new(Inner {
            name: name.into(),
            text: text.into(),
            own_bytes: text.len(),
            escapes_html: false,
            parsed,
            searches: Searches::default(),
        })))
    }

    /// Reads a template of notifications, expanded by [`Template::expand_message`]. With `escapes_html` whatever it prints
    /// is escaped, but what `safeHtml` says is HTML already.
    ///
    /// # Errors
    /// Those of [`Template::parse`].
    pub fn parse_message(name: &str, text: &str, escapes_html: bool) -> Result<Self, Error> {
        let own_bytes = text.len();
        let failed =
            |(at, Fault(reason))| Error::Parse { name: name.into(), place: Place::of(text, at), reason };
        if own_bytes > MAX_TEXT_BYTES {
            return Err(failed((0, Fault(format!("template of more than {MAX_TEXT_BYTES} bytes")))));
        }
        let whole = [text, message::DEFAULTS].concat();
        let parsed = parser::parse(&whole, &[], Dialect::Messages).map_err(failed)?;
        let searches = Searches::default();
        Ok(Self(Arc::new(Inner {
            name: name.into(),
            text: whole.into(),
            own_bytes,
            escapes_html,
            parsed,
            searches,
        })))
    }

    /// The text for `message` at `now_ms` (milliseconds since the Unix epoch), within `limits`.
    ///
    /// # Errors
    /// Those of [`Template::expand`].
    pub fn expand_message(&self, message: &Message, now_ms: i64, limits: &Limits) -> Result<String, Error> {
        let Inner { name, text, parsed, searches, escapes_html, .. } = &*self.0;
        let none = Labels::empty();
        let data = Data {
            labels: &none,
            external_labels: &none,
            external_url: &message.external_url,
            path_prefix: "",
            value: SampleValue::Float(0.0),
            timestamp_ms: now_ms,
        };
        let context = Context::new(&data, &NoSamples, limits, searches).of_message(message, *escapes_html);
        exec::execute(name, text, parsed, context)
    }

    /// The text it was read from.
    pub fn text(&self) -> &str {
        self.0.text.get(..self.0.own_bytes).unwrap_or_default()
    }

    /// Whether it expands to its own text, whatever the data.
    pub fn is_literal(&self) -> bool {
        match self.0.parsed.root.as_slice() {
            [] => self.0.text.is_empty(),
            [Node::Text(span)] => span.start == 0 && span.end == self.0.text.len(),
            _ => false,
        }
    }

    /// Whether it expands to the same text as long as the labels of the series are the same, whatever its value and the
    /// time. May say no where that is so.
    pub fn reads_labels_alone(&self) -> bool {
        reach::reads_labels_alone(&self.0.parsed)
    }

    /// The text for `data`, with samples from `source`, within `limits`.
    ///
    /// # Errors
    /// When something cannot be evaluated, a query fails or a limit is reached. There is no partial text then.
    pub fn expand(&self, data: &Data<'_>, source: &dyn Source, limits: &Limits) -> Result<String, Error> {
        let Inner { name, text, parsed, searches, .. } = &*self.0;
        if self.is_literal() && text.len() <= limits.max_output_bytes {
            return Ok(text.to_string());
        }
        let context = Context::new(data, source, limits, searches);
        exec::execute(name, text, parsed, context)
    }
}

/// Templates of notifications have no queries.
struct NoSamples;

impl Source for NoSamples {
    fn query(&self, _: &str) -> Result<Vec<QuerySample>, String> {
        Err("there are no queries in notifications".to_owned())
    }
}

/// Path and query of the page that shows `expression` as a table, as `tableLink` has it.
pub fn table_link(expression: &str) -> String {
    functions::link(expression, 1)
}

impl PartialEq for Template {
    fn eq(&self, other: &Self) -> bool {
        self.0.text == other.0.text
    }
}

impl Eq for Template {}

impl fmt::Debug for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Template({:?})", self.0.text)
    }
}
