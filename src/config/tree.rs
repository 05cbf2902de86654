//! YAML text to a tree of nodes that know their lines.
//!
//! Read as Prometheus reads it: the first document of several; a mapping merges in others by `<<`, what it says itself
//! goes first; a scalar keeps its text, and what it means is decided where it is used, by the words of YAML 1.1.
//!
//! **Cost**: bounded by the text. What aliases repeat is shared, and refused when it would be far more than the text.

use std::collections::HashMap;
use std::rc::Rc;

use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, StrInput, Tag};

use super::key::{Path, with_index, with_key};

/// Lists and mappings inside each other.
const MAX_DEPTH: usize = 100;

/// A node with the line it begins on.
#[derive(Debug)]
pub(super) struct Node {
    /// Line, from 1.
    pub(super) line: usize,
    /// Column in characters, from 1.
    pub(super) column: usize,
    pub(super) value: Value,
    /// Nodes in it, itself included, and those of aliases every time.
    size: usize,
}

#[derive(Debug)]
pub(super) enum Value {
    Scalar {
        text: String,
        /// Neither quoted nor a block, so that it may be something else than text.
        plain: bool,
    },
    List(Vec<Rc<Node>>),
    Map(Vec<Entry>),
}

/// A key of a mapping and what it holds.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) key: String,
    /// Line of the key, from 1.
    pub(super) line: usize,
    pub(super) node: Rc<Node>,
}

/// Something wrong with the text or its keys.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) line: usize,
    /// Where it is; none where it is the text.
    pub(super) path: Option<Path>,
    pub(super) reason: String,
}

impl Node {
    pub(super) fn scalar(text: &str, plain: bool, line: usize) -> Self {
        Self { line, column: 1, value: Value::Scalar { text: text.to_owned(), plain }, size: 1 }
    }

    /// Whether it says nothing: `null`, or nothing at all.
    pub(super) fn is_null(&self) -> bool {
        let Value::Scalar { text, plain: true } = &self.value else { return false };
        matches!(text.as_str(), "" | "~" | "null" | "Null" | "NULL")
    }

    /// The text of a scalar, whatever it means.
    pub(super) fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Scalar { text, .. } => Some(text),
            _ => None,
        }
    }

    /// Its text, if it may be something else than text.
    pub(super) fn plain(&self) -> Option<&str> {
        match &self.value {
            Value::Scalar { text, plain: true } => Some(text),
            _ => None,
        }
    }

    /// A boolean by any of its names.
    pub(super) fn boolean(&self) -> Option<bool> {
        match self.plain()? {
            "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => Some(true),
            "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => {
                Some(false)
            }
            _ => None,
        }
    }

    /// A number.
    pub(super) fn float(&self) -> Option<f64> {
        let text = self.plain()?.replace('_', "");
        let digits = text.trim_start_matches(['+', '-']);
        // Words such as "inf" are text.
        if !digits.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
            return None;
        }
        text.parse().ok()
    }

    /// A whole number that is not negative, in any of its notations.
    pub(super) fn whole(&self) -> Option<u64> {
        let text = self.plain()?.replace('_', "");
        let digits = text.strip_prefix('+').unwrap_or(&text);
        let with_base = |base, digits: &str| u64::from_str_radix(digits, base).ok();
        if let Some((prefix, rest)) = digits.split_at_checked(2) {
            match prefix {
                "0x" | "0X" => return with_base(16, rest),
                "0b" | "0B" => return with_base(2, rest),
                "0o" | "0O" => return with_base(8, rest),
                _ => {}
            }
        }
        let all_digits = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
        if all_digits && digits.len() > 1 && digits.starts_with('0') {
            return with_base(8, digits);
        }
        if all_digits {
            return digits.parse().ok();
        }
        // Up to there every whole number is a float.
        let exact = (1u64 << 53) as f64;
        let value = self.float().filter(|value| value.fract() == 0.0 && (0.0..=exact).contains(value))?;
        format!("{value:.0}").parse().ok()
    }
}

/// Reads `text`. Nothing where there is no document.
pub(super) fn read(text: &str) -> Result<(Option<Rc<Node>>, Vec<Fault>), Fault> {
    let parser = Parser::new_from_str(text);
    let mut builder = Builder { parser, anchors: HashMap::new(), nodes: 0, column: 1, faults: Vec::new() };
    let root = builder.document()?;
    if let Some(root) = &root
        && root.size > builder.nodes * 10 + 100_000
    {
        return Err(fault(root.line, "aliases repeat far more than the file holds"));
    }
    Ok((root, builder.faults))
}

fn fault(line: usize, reason: impl Into<String>) -> Fault {
    Fault { line, path: None, reason: reason.into() }
}

fn broken(error: &ScanError) -> Fault {
    fault(error.marker().line(), error.info())
}

struct Builder<'a> {
    parser: Parser<'a, StrInput<'a>>,
    anchors: HashMap<usize, Rc<Node>>,
    /// Nodes made so far, aliases not counted.
    nodes: usize,
    /// Of the last event.
    column: usize,
    faults: Vec<Fault>,
}

impl<'a> Builder<'a> {
    fn next(&mut self) -> Result<(Event<'a>, usize), Fault> {
        match self.parser.next_event() {
            Some(Ok((event, span))) => {
                self.column = span.start.col() + 1;
                Ok((event, span.start.line()))
            }
            Some(Err(error)) => Err(broken(&error)),
            None => Ok((Event::StreamEnd, 1)),
        }
    }

    fn document(&mut self) -> Result<Option<Rc<Node>>, Fault> {
        loop {
            match self.next()?.0 {
                Event::StreamEnd => return Ok(None),
                Event::DocumentStart(_) => break,
                _ => {}
            }
        }
        let first = self.next()?;
        let root = self.node(first, &Path::new(), 0)?;
        // What follows the document is checked as far as its end.
        self.next()?;
        Ok(Some(root))
    }

    fn complain(&mut self, line: usize, path: &Path, reason: impl Into<String>) {
        self.faults.push(Fault { line, path: Some(path.clone()), reason: reason.into() });
    }

    fn node(
        &mut self,
        (event, line): (Event<'a>, usize),
        path: &Path,
        depth: usize,
    ) -> Result<Rc<Node>, Fault> {
        if depth > MAX_DEPTH {
            return Err(fault(line, "lists and mappings are too deep inside each other"));
        }
        self.nodes += 1;
        let column = self.column;
        let (mut node, anchor) = match event {
            Event::Alias(id) => {
                let node = self.anchors.get(&id).map(Rc::clone);
                return node.ok_or_else(|| fault(line, "an anchor holds itself"));
            }
            Event::Scalar(text, style, anchor, tag) => {
                let plain = self.scalar_is_plain(style, tag.as_deref(), line, path);
                (Node::scalar(&text, plain, line), anchor)
            }
            Event::SequenceStart(anchor, _) => (self.list(line, path, depth)?, anchor),
            Event::MappingStart(anchor, _) => (self.map(line, path, depth)?, anchor),
            _ => return Err(fault(line, "a value is missing")),
        };
        node.column = column;
        let node = Rc::new(node);
        if anchor > 0 {
            self.anchors.insert(anchor, Rc::clone(&node));
        }
        Ok(node)
    }

    fn scalar_is_plain(&mut self, style: ScalarStyle, tag: Option<&Tag>, line: usize, path: &Path) -> bool {
        match tag.filter(|tag| tag.is_yaml_core_schema()).map(|tag| tag.suffix.as_str()) {
            Some("binary") => {
                self.complain(line, path, "binary values are not valid text");
                false
            }
            Some("str") => false,
            Some(_) => true,
            None => style == ScalarStyle::Plain,
        }
    }

    fn list(&mut self, line: usize, path: &Path, depth: usize) -> Result<Node, Fault> {
        let mut items = Vec::new();
        let mut size = 1usize;
        loop {
            let next = self.next()?;
            if matches!(next.0, Event::SequenceEnd) {
                return Ok(Node { line, column: 1, value: Value::List(items), size });
            }
            let item = self.node(next, &with_index(path, items.len()), depth + 1)?;
            size = size.saturating_add(item.size);
            items.push(item);
        }
    }

    fn map(&mut self, line: usize, path: &Path, depth: usize) -> Result<Node, Fault> {
        let mut entries: Vec<Entry> = Vec::new();
        let mut known: HashMap<String, usize> = HashMap::new();
        let mut merged = Vec::new();
        let mut size = 1usize;
        loop {
            let (event, key_line) = self.next()?;
            let (key, plain) = match event {
                Event::MappingEnd => break,
                Event::Scalar(text, style, _, _) => (text.into_owned(), style == ScalarStyle::Plain),
                _ => return Err(fault(key_line, "a key must be a word")),
            };
            let here = with_key(path, &key);
            let next = self.next()?;
            let node = self.node(next, &here, depth + 1)?;
            size = size.saturating_add(node.size);
            if plain && key == "<<" {
                merged.push((key_line, here, node));
                continue;
            }
            if let Some(first) = known.get(&key) {
                let reason = format!("the key is there twice, first on line {first}");
                self.complain(key_line, &here, reason);
                continue;
            }
            known.insert(key.clone(), key_line);
            entries.push(Entry { key, line: key_line, node });
        }
        for (line, path, node) in merged {
            let sources = match &node.value {
                Value::List(items) => items.iter().map(Rc::clone).collect(),
                _ => vec![node],
            };
            for source in sources {
                let Value::Map(others) = &source.value else {
                    self.complain(line, &path, "must be a mapping or a list of mappings to merge in");
                    continue;
                };
                for entry in others {
                    if known.insert(entry.key.clone(), entry.line).is_none() {
                        entries.push(entry.clone());
                    }
                }
            }
        }
        Ok(Node { line, column: 1, value: Value::Map(entries), size })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(text: &str) -> Node {
        Node::scalar(text, true, 1)
    }

    #[test]
    fn numbers_and_booleans_have_many_notations() {
        let check = |text: &str, expected: Option<u64>| assert_eq!(node(text).whole(), expected, "{text}");
        for (text, value) in
            [("1_000", 1000), ("1e3", 1000), ("0x1F", 31), ("010", 8), ("0b11", 3), ("+7", 7)]
        {
            check(text, Some(value));
        }
        check("18446744073709551615", Some(u64::MAX));
        for text in ["", "-1", "1.5", "abc", "1e30", "inf", "089", "18446744073709551616"] {
            check(text, None);
        }
        assert_eq!(Node::scalar("5", false, 1).whole(), None, "a quoted number is text");
        for text in ["y", "Yes", "ON", "true"] {
            assert_eq!(node(text).boolean(), Some(true), "{text}");
        }
        for text in ["n", "No", "OFF", "false"] {
            assert_eq!(node(text).boolean(), Some(false), "{text}");
        }
        assert_eq!(node("yEs").boolean(), None);
        assert_eq!(node(".5").float(), Some(0.5));
    }

    #[test]
    fn what_aliases_repeat_is_bounded() {
        let repeated = (1..12).map(|at| {
            let before = vec![format!("*a{}", at - 1); 10].join(", ");
            format!("a{at}: &a{at} [{before}]\n")
        });
        let text = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned(), repeated.collect()].concat();
        assert!(read(&text).expect_err("too much").reason.contains("aliases"));
        assert!(read(&"[".repeat(300)).is_err());
        assert!(read(&"- ".repeat(300)).expect_err("too deep").reason.contains("deep"));
        assert!(read("a: &a [*a]").is_err());
    }
}
