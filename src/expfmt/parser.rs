//! Lines to borrowed entries, for the classic and the OpenMetrics text format.
//!
//! **Cost**: one pass, no allocation; a series that is expected next is compared, not scanned.

#![cfg_attr(not(test), deny(clippy::indexing_slicing))]

use memchr::{memchr, memchr_iter, memchr2};

use super::number;
use crate::model::MetricType;

/// The text formats.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Classic text, 0.0.4 and 1.0.0.
    Text,
    /// OpenMetrics text, 0.0.1 and 1.0.0.
    OpenMetrics,
}

/// One sample line.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sample<'a> {
    /// Text of the series, for [`super::parse_series`] and as a key.
    pub series: &'a [u8],
    /// The value; every NaN is the ordinary one.
    pub value: f64,
    /// Milliseconds, where the line has a timestamp.
    pub timestamp: Option<i64>,
}

/// The exemplar at the end of a sample line.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ExemplarText<'a> {
    /// Its labels without the braces, for [`super::parse_labels`].
    pub labels: &'a [u8],
    /// Its value.
    pub value: f64,
    /// Milliseconds, where it has a timestamp.
    pub timestamp: Option<i64>,
}

/// What a line holds. Names may stand in quotes, with escapes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Entry<'a> {
    /// A sample.
    Sample(Sample<'a>),
    /// `# TYPE name type`.
    Type {
        /// Of the family.
        name: &'a [u8],
        /// Its type.
        kind: MetricType,
    },
    /// `# HELP name text`.
    Help {
        /// Of the family.
        name: &'a [u8],
        /// The text, escapes as written: see [`super::unescape_help`].
        text: &'a [u8],
    },
    /// `# UNIT name unit`, OpenMetrics only.
    Unit {
        /// Of the family.
        name: &'a [u8],
        /// The unit.
        unit: &'a [u8],
    },
}

/// A line that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {reason}, at {near:?}")]
pub struct ParseError {
    /// From 1.
    pub line: usize,
    /// What is wrong.
    pub reason: &'static str,
    /// The beginning of the line.
    pub near: String,
}

/// Knows which series most likely comes next.
pub trait Expect: Copy {
    /// The length of its text, if `line` begins with that.
    fn length_in(self, line: &[u8]) -> Option<usize>;
}

/// The text itself, if one is expected.
impl Expect for Option<&[u8]> {
    #[inline]
    fn length_in(self, line: &[u8]) -> Option<usize> {
        self.filter(|text| line.starts_with(text)).map(<[u8]>::len)
    }
}

/// What a family said of itself before, if [`KnownFamily::is_plain`].
#[derive(Debug, Clone, Copy)]
pub struct KnownFamily<'k> {
    /// Its name.
    pub name: &'k str,
    /// Its type.
    pub kind: MetricType,
    /// Its help.
    pub help: &'k str,
}

impl KnownFamily<'_> {
    /// Whether all lines that say this name and this help are alike: there are no quotes, escapes and blanks to leave out,
    /// and something to compare.
    pub fn is_plain(name: &str, help: &str) -> bool {
        !help.is_empty()
            && help.trim_matches([' ', '\t', '\r']).len() == help.len()
            && !help.contains(['\\', '\n'])
            && name.bytes().all(is_name_byte)
    }
}

/// Reads one body.
#[derive(Debug, Clone)]
pub struct Parser<'a> {
    body: &'a [u8],
    /// What was not read yet, and where in the body the line begins that was read last.
    rest: &'a [u8],
    start: usize,
    format: Format,
    /// The family that the last line of metadata was about, and what such lines said of it.
    family: &'a [u8],
    kind: MetricType,
    unit: &'a [u8],
    ended: bool,
    exemplar: Option<ExemplarText<'a>>,
}

type Reason = &'static str;

impl<'a> Parser<'a> {
    /// A parser at the start of `body`.
    pub fn new(body: &'a [u8], format: Format) -> Self {
        Self {
            body,
            rest: body,
            start: 0,
            format,
            family: &[],
            kind: MetricType::Unknown,
            unit: &[],
            ended: false,
            exemplar: None,
        }
    }

    /// The type of the current family, for [`super::parse_series`].
    pub fn kind(&self) -> MetricType {
        self.kind
    }

    /// The unit of the current family, OpenMetrics only; empty when it has none.
    pub fn unit(&self) -> &'a [u8] {
        self.unit
    }

    /// The exemplar of the sample that was read last, OpenMetrics only.
    pub fn exemplar(&self) -> Option<ExemplarText<'a>> {
        self.exemplar
    }

    /// The family that the last line of metadata was about; a quoted name as it stands, escapes included.
    pub(super) fn family(&self) -> &'a [u8] {
        self.family
    }

    /// Where in the body the line begins that was read last.
    pub(super) fn start(&self) -> usize {
        self.start
    }

    /// Where in the body the first line begins that was not read yet.
    pub(super) fn offset(&self) -> usize {
        self.body.len() - self.rest.len()
    }

    /// Number of the line that was read last, from 1. Counts all lines before it.
    pub fn line(&self) -> usize {
        memchr_iter(b'\n', self.body.get(..self.start).unwrap_or_default()).count() + 1
    }

    /// The next entry, or `None` at the end. `expected` is the text of the series most likely to come next.
    ///
    /// # Errors
    /// When a line is malformed. The parser is of no further use then.
    pub fn next_entry(&mut self, expected: Option<&[u8]>) -> Result<Option<Entry<'a>>, ParseError> {
        self.next_expecting(expected)
    }

    /// As [`Parser::next_entry`], where `expected` knows that text in a way of its own.
    ///
    /// # Errors
    /// As [`Parser::next_entry`].
    #[inline]
    pub(super) fn next_expecting(&mut self, expected: impl Expect) -> Result<Option<Entry<'a>>, ParseError> {
        loop {
            let text = self.rest;
            self.start = self.body.len() - text.len();
            if text.is_empty() {
                if self.format == Format::OpenMetrics && !self.ended {
                    return Err(self.error(text, "data does not end with # EOF"));
                }
                return Ok(None);
            }
            if self.ended {
                return Err(self.error(text, "unexpected data after # EOF"));
            }
            let parsed = match self.format {
                Format::Text => self.classic(text, expected),
                Format::OpenMetrics => {
                    let (line, tail) = split_line(text);
                    self.rest = tail;
                    self.open_metrics(line, expected)
                }
            };
            match parsed {
                Ok(None) => {}
                Ok(Some(entry)) => return Ok(Some(entry)),
                Err(reason) => return Err(self.error(text, reason)),
            }
        }
    }

    /// Whether a line begins that may say something of a family.
    #[inline]
    pub(super) fn is_at_metadata(&self) -> bool {
        self.rest.first() == Some(&b'#')
    }

    /// Passes over the lines that say what is `known` of a family, as [`Parser::next_entry`] would; says whether there
    /// were any. They are compared, not scanned.
    pub(super) fn pass(&mut self, known: KnownFamily<'_>) -> bool {
        let kind = match known.kind {
            MetricType::Unknown if self.format == Format::Text => "untyped",
            kind => kind.name(),
        };
        let mut passed = false;
        while !self.ended {
            let Some(line) = self.rest.strip_prefix(b"# ") else { break };
            let (says_kind, text) = match line.first_chunk() {
                Some(b"HELP ") => (false, known.help),
                Some(b"TYPE ") => (true, kind),
                _ => break,
            };
            let said = line.get(5..).unwrap_or_default();
            let Some((name, rest)) = said.split_at_checked(known.name.len()) else { break };
            let end =
                |rest: &'a [u8]| rest.strip_prefix(b" ")?.strip_prefix(text.as_bytes())?.strip_prefix(b"\n");
            let Some(rest) = end(rest).filter(|_| name == known.name.as_bytes()) else { break };
            if !passed && self.family != name {
                (self.family, self.kind, self.unit) = (name, MetricType::Unknown, &[]);
            }
            if says_kind {
                self.kind = known.kind;
            }
            self.rest = rest;
            passed = true;
        }
        passed
    }

    fn error(&self, text: &[u8], reason: Reason) -> ParseError {
        let (line, _) = split_line(text);
        let near = line.get(..line.len().min(80)).unwrap_or_default();
        ParseError { line: self.line(), reason, near: String::from_utf8_lossy(near).into_owned() }
    }

    /// Takes a line from the beginning of `text`, more than one where a label value has line breaks.
    fn classic(&mut self, text: &'a [u8], expected: impl Expect) -> Result<Option<Entry<'a>>, Reason> {
        let text = trim_start(text);
        match text.first() {
            // Whatever a target writes behind the end of its text is not looked at.
            None | Some(b'\0') => {
                self.rest = &[];
                return Ok(None);
            }
            Some(b'\r' | b'\n') => {
                let (line, tail) = split_line(text);
                self.rest = tail;
                return if matches!(line, b"" | b"\r") { Ok(None) } else { Err("metric name expected") };
            }
            Some(b'#') => {
                let (line, tail) = split_line(text.get(1..).unwrap_or_default());
                self.rest = tail;
                let line = line.strip_suffix(b"\r").unwrap_or(line);
                let (keyword, rest) = word(trim_start(line));
                // Without blanks around it the keyword is the beginning of a comment.
                let metadata = matches!(keyword, b"HELP" | b"TYPE")
                    && line.first().is_some_and(|b| is_blank(*b))
                    && !rest.is_empty();
                return if metadata { self.metadata(keyword, trim_start(rest)) } else { Ok(None) };
            }
            _ => {}
        }
        let (series, rest) = split_series(text, expected, true)?;
        let value = trim_start(rest);
        if let Some((value, tail)) = value.split_at_checked(visible(value))
            && let Some(tail) = tail.strip_prefix(b"\n")
        {
            // As nearly all lines.
            self.rest = tail;
            let value = number::value(value).ok_or("value is not a number")?;
            return Ok(Some(Entry::Sample(Sample { series, value, timestamp: None })));
        }
        let (line, tail) = split_line(rest);
        self.rest = tail;
        let (value, rest) = word(trim_start(line.strip_suffix(b"\r").unwrap_or(line)));
        let value = number::value(value).ok_or("value is not a number")?;
        let (stamp, rest) = word(trim_start(rest));
        let timestamp = match stamp {
            b"" => None,
            text => Some(number::millis(text).ok_or("timestamp is not a whole number")?),
        };
        if trim_start(rest).is_empty() {
            Ok(Some(Entry::Sample(Sample { series, value, timestamp })))
        } else {
            Err("unexpected text after the timestamp")
        }
    }

    fn open_metrics(&mut self, line: &'a [u8], expected: impl Expect) -> Result<Option<Entry<'a>>, Reason> {
        if let Some(rest) = line.strip_prefix(b"# ") {
            if rest == b"EOF" {
                self.ended = true;
                return Ok(None);
            }
            let (word, rest) = word(rest);
            return match (word, rest.strip_prefix(b" ")) {
                (b"HELP" | b"TYPE" | b"UNIT", Some(rest)) => self.metadata(word, rest),
                _ => Err("expected HELP, TYPE, UNIT or EOF"),
            };
        }
        if line.is_empty() {
            return Err("empty line");
        }
        let (series, rest) = split_series(line, expected, false)?;
        let rest = rest.strip_prefix(b" ").ok_or("expected a space before the value")?;
        let (value, mut rest) = word(rest);
        let value = number::value(value).ok_or("value is not a number")?;
        let mut timestamp = None;
        if let Some(after) = rest.strip_prefix(b" ")
            && !after.starts_with(b"#")
        {
            let (stamp, tail) = word(after);
            timestamp = Some(number::seconds_as_millis(stamp).ok_or("timestamp is not a number")?);
            rest = tail;
        }
        self.exemplar = None;
        if !rest.is_empty() {
            let text = rest.strip_prefix(b" # ").ok_or("unexpected text after the sample")?;
            self.exemplar = Some(exemplar(text)?);
        }
        Ok(Some(Entry::Sample(Sample { series, value, timestamp })))
    }

    fn metadata(&mut self, keyword: &[u8], rest: &'a [u8]) -> Result<Option<Entry<'a>>, Reason> {
        let (name, rest) = if let Some(quoted) = rest.strip_prefix(b"\"") {
            let end = closing_quote(quoted).ok_or("quote is not closed")?;
            (quoted.get(..end).unwrap_or_default(), quoted.get(end + 1..).unwrap_or_default())
        } else {
            word(rest)
        };
        if name.is_empty() || name == b"#" {
            return Err("metric name expected");
        }
        if name != self.family {
            // What one family says is not true of the next.
            (self.family, self.kind, self.unit) = (name, MetricType::Unknown, &[]);
        }
        let text = match self.format {
            Format::Text => trim_start(rest),
            Format::OpenMetrics => rest.strip_prefix(b" ").unwrap_or(rest),
        };
        Ok(Some(match keyword {
            b"HELP" => Entry::Help { name, text },
            b"UNIT" => {
                // The unit is the last part of the name.
                let stem = name.strip_suffix(text).unwrap_or(b"_");
                if !text.is_empty() && (!stem.ends_with(b"_") || stem == b"_") {
                    return Err("unit is not a suffix of the metric name");
                }
                self.unit = text;
                Entry::Unit { name, unit: text }
            }
            _ => {
                let text = if self.format == Format::Text { text.trim_ascii_end() } else { text };
                let kind = match text {
                    b"untyped" if self.format == Format::Text => MetricType::Unknown,
                    text => MetricType::from_text(text).ok_or("invalid metric type")?,
                };
                self.kind = kind;
                Entry::Type { name, kind }
            }
        }))
    }
}

/// The first line of `text`, and what follows its end. The last one may lack its end: OpenMetrics ends in a mark, classic
/// text is lenient.
fn split_line(text: &[u8]) -> (&[u8], &[u8]) {
    match memchr(b'\n', text) {
        Some(at) => (text.get(..at).unwrap_or_default(), text.get(at + 1..).unwrap_or_default()),
        None => (text, &[]),
    }
}

/// Splits the text of the series off `line`, a sample line or in classic text everything from there on.
fn split_series(line: &[u8], expected: impl Expect, blanks: bool) -> Result<(&[u8], &[u8]), Reason> {
    if let Some(length) = expected.length_in(line)
        && let Some((series, rest)) = line.split_at_checked(length)
        && rest.first().is_some_and(|b| is_blank(*b))
        // `name {a="b"}` begins with the series `name`, but is another one.
        && (series.ends_with(b"}") || trim_start(rest).first() != Some(&b'{'))
    {
        return Ok((series, rest));
    }
    let name = line.iter().take_while(|b| is_name_byte(**b)).count();
    if line.first().is_some_and(u8::is_ascii_digit) {
        return Err("metric name expected");
    }
    let after = line.get(name..).unwrap_or_default();
    let brace = if blanks { trim_start(after) } else { after };
    let Some(inside) = brace.strip_prefix(b"{") else {
        if name == 0 {
            return Err("metric name expected");
        }
        if !after.first().is_some_and(|b| is_blank(*b)) {
            return Err("unexpected character in the metric name");
        }
        return Ok((line.get(..name).unwrap_or_default(), after));
    };
    let length = label_list(inside, blanks)?;
    let split = line.len() - inside.len() + length;
    let rest = line.get(split..).unwrap_or_default();
    // Classic text lets the value follow the brace at once.
    if !blanks && !rest.starts_with(b" ") {
        return Err("expected a space before the value");
    }
    Ok((line.get(..split).unwrap_or_default(), rest))
}

/// Length of a list of labels, its closing brace included. Names and values are read again when they are needed;
/// here it is the shape that counts.
fn label_list(text: &[u8], blanks: bool) -> Result<usize, Reason> {
    let skip = |rest| if blanks { trim_start(rest) } else { rest };
    let mut rest = skip(text);
    loop {
        match rest.first() {
            None => return Err("brace is not closed"),
            Some(b'}') => return Ok(text.len() - rest.len() + 1),
            Some(b'"') => {
                let quoted = rest.get(1..).unwrap_or_default();
                let end = closing_quote(quoted).ok_or("quote is not closed")?;
                rest = skip(quoted.get(end + 1..).unwrap_or_default());
                if !rest.starts_with(b"=") {
                    rest = next_label(rest, blanks)?;
                    continue;
                }
            }
            Some(_) => {
                let name = rest.iter().take_while(|b| is_name_byte(**b) && **b != b':').count();
                if name == 0 || rest.first().is_some_and(u8::is_ascii_digit) {
                    return Err("label name expected");
                }
                rest = skip(rest.get(name..).unwrap_or_default());
            }
        }
        let value = rest.strip_prefix(b"=").ok_or("expected = after the label name")?;
        let quoted = skip(value).strip_prefix(b"\"").ok_or("label value must be in quotes")?;
        let end = closing_quote(quoted).ok_or("quote is not closed")?;
        rest = next_label(skip(quoted.get(end + 1..).unwrap_or_default()), blanks)?;
    }
}

/// Takes the comma between two labels; a closing brace stays.
fn next_label(rest: &[u8], blanks: bool) -> Result<&[u8], Reason> {
    match rest.first() {
        Some(b'}') => Ok(rest),
        Some(b',') => {
            let rest = rest.get(1..).unwrap_or_default();
            Ok(if blanks { trim_start(rest) } else { rest })
        }
        _ => Err("expected a comma or a closing brace"),
    }
}

/// `{labels} value [timestamp]` after the hash of an exemplar. The labels are read when they are needed.
fn exemplar(text: &[u8]) -> Result<ExemplarText<'_>, Reason> {
    let inside = text.strip_prefix(b"{").ok_or("exemplar has no labels")?;
    let length = label_list(inside, false)?;
    let labels = inside.get(..length - 1).unwrap_or_default();
    if std::str::from_utf8(labels).is_err() {
        return Err("exemplar is not valid UTF-8");
    }
    let rest = inside.get(length..).unwrap_or_default();
    let (value, rest) = word(rest.strip_prefix(b" ").ok_or("exemplar has no value")?);
    let value = number::value(value).ok_or("value of the exemplar is not a number")?;
    if rest.is_empty() {
        return Ok(ExemplarText { labels, value, timestamp: None });
    }
    let stamp = rest.strip_prefix(b" ").unwrap_or_default();
    let timestamp = number::seconds_as_millis(stamp).ok_or("timestamp of the exemplar is not a number")?;
    Ok(ExemplarText { labels, value, timestamp: Some(timestamp) })
}

/// Offset of the quote that ends a quoted text, escapes respected.
fn closing_quote(text: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        at += memchr2(b'"', b'\\', text.get(at..)?)?;
        if text.get(at) == Some(&b'"') {
            return Some(at);
        }
        at += 2;
    }
}

/// The quoted text that `text` begins with, as it stands; empty if it does not.
pub(super) fn quoted_start(text: &[u8]) -> &[u8] {
    let quoted = trim_start(text).strip_prefix(b"\"").unwrap_or_default();
    closing_quote(quoted).and_then(|end| quoted.get(..end)).unwrap_or_default()
}

fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b':'
}

fn is_blank(byte: u8) -> bool {
    byte == b' ' || byte == b'\t'
}

/// How many bytes of `text` come before the first one that is a blank or a control character.
#[inline]
fn visible(text: &[u8]) -> usize {
    const ONES: u64 = u64::MAX / 255;
    let mut at = 0;
    while let Some(word) = text.get(at..).and_then(<[u8]>::first_chunk) {
        let word = u64::from_le_bytes(*word);
        // The upper bit of each byte up to 0x20; of those behind the first one it may be wrong.
        let found = word.wrapping_sub(ONES * 0x21) & !word & ONES << 7;
        if found != 0 {
            return at + found.trailing_zeros() as usize / 8;
        }
        at += size_of::<u64>();
    }
    let rest = text.get(at..).unwrap_or_default();
    at + rest.iter().take_while(|byte| **byte > b' ').count()
}

fn trim_start(text: &[u8]) -> &[u8] {
    let blanks = text.iter().take_while(|b| is_blank(**b)).count();
    text.get(blanks..).unwrap_or_default()
}

/// Up to the next blank, and the rest with the blank.
fn word(text: &[u8]) -> (&[u8], &[u8]) {
    let end = memchr2(b' ', b'\t', text).unwrap_or(text.len());
    text.split_at_checked(end).unwrap_or((text, &[]))
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
