//! Sections of the tree, read key by key. What is wrong is noted and reading goes on, so that all of it is told at once.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use super::Error;
use super::key::{self, Below, Keys, Path, with_index, with_key};
use super::raw::Size;
use super::tree::{Entry, Fault, Node, Value};
use crate::model::parse_duration;

/// The file, and what is wrong with it so far.
#[derive(Debug)]
pub(super) struct Notes<'a> {
    file: &'a str,
    errors: RefCell<Vec<Error>>,
    unknown_keys: UnknownKeys,
}

/// What becomes of keys that nobody knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum UnknownKeys {
    /// They are errors.
    #[default]
    Refused,
    /// They are left out.
    Ignored,
}

impl<'a> Notes<'a> {
    pub(super) fn new(file: &'a str) -> Self {
        Self { file, errors: RefCell::default(), unknown_keys: UnknownKeys::Refused }
    }

    /// The same where keys that nobody knows are treated as is said.
    pub(super) fn with(self, unknown_keys: UnknownKeys) -> Self {
        Self { unknown_keys, ..self }
    }

    /// The file.
    pub(super) fn file(&self) -> &'a str {
        self.file
    }

    /// Notes that a value is not allowed where it stands.
    pub(super) fn value(&self, line: usize, path: &Path, reason: impl Into<String>) {
        let (file, path, reason) = (self.file.to_owned(), key::show(path), reason.into());
        self.note(Error::Value { file, line, path, reason });
    }

    /// Notes that something is not supported yet.
    pub(super) fn unsupported(&self, line: usize, path: &Path, key: &str) {
        let (file, path, key) = (self.file.to_owned(), key::show(path), key.to_owned());
        self.note(Error::Unsupported { file, line, path, key });
    }

    /// Notes what is wrong with the text.
    pub(super) fn fault(&self, fault: Fault) {
        let Fault { line, path, reason } = fault;
        match path {
            Some(path) => self.value(line, &path, reason),
            None => self.note(Error::Syntax { file: self.file.to_owned(), line, reason }),
        }
    }

    /// The items of a list; one that says nothing is noted.
    fn items(&self, item: &Item<'a>) -> Vec<Item<'a>> {
        let items: &[Rc<Node>] = match &item.node.value {
            Value::List(items) => items,
            _ if item.node.is_null() => &[],
            _ => {
                let reason = format!("must be a list, not {}", kind(item.node));
                self.value(item.line, &item.path, reason);
                &[]
            }
        };
        let place = |(at, node): (usize, &'a Rc<Node>)| {
            let item = Item { node, line: node.line, path: with_index(&item.path, at) };
            if node.is_null() {
                self.value(item.line, &item.path, "empty or null entry");
                return None;
            }
            Some(item)
        };
        items.iter().enumerate().filter_map(place).collect()
    }

    pub(super) fn note(&self, error: Error) {
        self.errors.borrow_mut().push(error);
    }

    /// What is wrong, in the order of lines, and after it what is right and not supported.
    pub(super) fn into_result(self) -> Result<(), Error> {
        let mut errors = self.errors.into_inner();
        errors.sort_by_key(|error| (matches!(error, Error::Unsupported { .. }), error.line()));
        // An anchor that is used in several places is wrong in all of them.
        errors.dedup_by_key(|error| error.to_string());
        Error::all(errors)
    }
}

/// A value with its place.
#[derive(Debug, Clone)]
pub(super) struct Item<'a> {
    pub(super) node: &'a Node,
    pub(super) line: usize,
    pub(super) path: Path,
}

/// A mapping whose keys were checked.
#[derive(Debug)]
pub(super) struct Section<'a> {
    notes: &'a Notes<'a>,
    entries: &'a [Entry],
    keys: &'static Keys,
    /// Where it begins.
    pub(super) line: usize,
    pub(super) path: Path,
}

fn kind(node: &Node) -> String {
    match &node.value {
        Value::Scalar { .. } if node.is_null() => "nothing".to_owned(),
        Value::Scalar { text, plain } => {
            let quoted = if *plain { "" } else { "the text " };
            format!("{quoted}{text:?}")
        }
        Value::List(_) => "a list".to_owned(),
        Value::Map(_) => "a mapping".to_owned(),
    }
}

impl<'a> Section<'a> {
    /// Opens a mapping; what has no value is an empty one. Keys that are unknown or not supported are noted.
    pub(super) fn open(notes: &'a Notes<'a>, item: &Item<'a>, keys: &'static Keys) -> Self {
        let entries: &[Entry] = match &item.node.value {
            Value::Map(entries) => entries,
            _ if item.node.is_null() => &[],
            _ => {
                let reason = format!("must be a mapping of keys, not {}", kind(item.node));
                notes.value(item.line, &item.path, reason);
                &[]
            }
        };
        let new = Self { notes, entries, keys, line: item.line, path: item.path.clone() };
        for entry in entries {
            new.check(entry);
        }
        new
    }

    fn check(&self, entry: &Entry) {
        let keys = self.keys;
        let Entry { key, line, node } = entry;
        if keys.all().any(|(name, _)| name == key) {
            if keys.refused.contains(&key.as_str()) && !is_empty(node) {
                self.notes.unsupported(*line, &self.path, key);
            }
            return;
        }
        if !keys.unsupported.iter().any(|list| list.contains(&key.as_str())) {
            if self.notes.unknown_keys == UnknownKeys::Ignored {
                return;
            }
            let (file, path) = (self.notes.file.to_owned(), key::show(&self.path));
            let (line, key, hint) = (*line, key.clone(), keys.hint(key));
            return self.notes.note(Error::UnknownKey { file, line, path, key, hint });
        }
        let harmless = keys.harmless.iter().any(|(name, value)| name == key && means(node, value));
        if !harmless && !is_empty(node) {
            self.notes.unsupported(*line, &self.path, key);
        }
    }

    /// What `key` holds, if it is there.
    pub(super) fn get(&self, key: &str) -> Option<Item<'a>> {
        let entry = self.entries.iter().find(|entry| entry.key == key)?;
        Some(Item { node: &entry.node, line: entry.line, path: with_key(&self.path, key) })
    }

    /// The section below `key`; none where the table of keys has none there.
    pub(super) fn section(&self, key: &str) -> Option<Section<'a>> {
        self.get(key).zip(self.keys.below(key)).map(|(item, keys)| Section::open(self.notes, &item, keys))
    }

    /// The same; none where nothing stands under `key`, not even an empty mapping.
    pub(super) fn given(&self, key: &str) -> Option<Section<'a>> {
        self.get(key).filter(|item| !item.node.is_null()).and_then(|_| self.section(key))
    }

    /// The keys of a mapping whose keys are free.
    pub(super) fn entries(&self, key: &str) -> Vec<(&'a str, Item<'a>)> {
        let Some(item) = self.get(key) else { return Vec::new() };
        let Value::Map(entries) = &item.node.value else {
            if !item.node.is_null() {
                let reason = format!("must be a mapping of names to values, not {}", kind(item.node));
                self.notes.value(item.line, &item.path, reason);
            }
            return Vec::new();
        };
        let place = |entry: &'a Entry| {
            let path = with_key(&item.path, &entry.key);
            (entry.key.as_str(), Item { node: &entry.node, line: entry.line, path })
        };
        entries.iter().map(place).collect()
    }

    /// The items of a list; an item that says nothing is noted.
    pub(super) fn list(&self, key: &str) -> Vec<Item<'a>> {
        self.get(key).map(|item| self.items(&item)).unwrap_or_default()
    }

    fn items(&self, item: &Item<'a>) -> Vec<Item<'a>> {
        self.notes.items(item)
    }

    /// The sections of a list; they have the keys `keys`.
    pub(super) fn all_of(notes: &'a Notes<'a>, list: &Item<'a>, keys: &'static Keys) -> Vec<Self> {
        notes.items(list).iter().map(|item| Self::open(notes, item, keys)).collect()
    }

    /// The sections of a mapping whose keys are free, with those keys.
    pub(super) fn sections_by_name(&self, key: &str) -> Vec<(&'a str, Section<'a>)> {
        let Some(keys) = self.keys.below(key) else { return Vec::new() };
        let open = |(name, item): (&'a str, Item<'a>)| (name, Section::open(self.notes, &item, keys));
        self.entries(key).into_iter().map(open).collect()
    }

    /// The sections of a list.
    pub(super) fn sections(&self, key: &str) -> Vec<Section<'a>> {
        let Some(keys) = self.keys.below(key) else { return Vec::new() };
        self.list(key).iter().map(|item| Section::open(self.notes, item, keys)).collect()
    }

    /// Text; nothing is the empty one.
    pub(super) fn text(&self, key: &str) -> Option<String> {
        self.get(key).and_then(|item| self.text_of(&item))
    }

    /// The text of one value; nothing is the empty one.
    pub(super) fn text_of(&self, item: &Item<'a>) -> Option<String> {
        if item.node.is_null() {
            return Some(String::new());
        }
        let text = item.node.text().map(str::to_owned);
        if text.is_none() {
            self.notes.value(item.line, &item.path, format!("must be text, not {}", kind(item.node)));
        }
        text
    }

    /// A list of texts with their places.
    pub(super) fn texts(&self, key: &str) -> Option<Vec<(String, Item<'a>)>> {
        self.get(key)?;
        Some(self.list(key).into_iter().filter_map(|item| Some((self.text_of(&item)?, item))).collect())
    }

    /// Names and lists of texts.
    pub(super) fn map_of_texts(&self, key: &str) -> BTreeMap<String, Vec<String>> {
        let texts = |item: &Item<'a>| {
            self.items(item).iter().filter_map(|item| self.text_of(item)).collect::<Vec<_>>()
        };
        self.entries(key).into_iter().map(|(name, item)| (name.to_owned(), texts(&item))).collect()
    }

    /// Names and texts.
    pub(super) fn map_of_text(&self, key: &str) -> BTreeMap<String, String> {
        let text = |(name, item): (&str, Item<'a>)| Some((name.to_owned(), self.text_of(&item)?));
        self.entries(key).into_iter().filter_map(text).collect()
    }

    fn parsed<T>(&self, key: &str, what: &str, nothing: T, parse: impl Fn(&Node) -> Option<T>) -> Option<T> {
        let item = self.get(key)?;
        if item.node.is_null() {
            return Some(nothing);
        }
        let value = parse(item.node);
        if value.is_none() {
            self.notes.value(item.line, &item.path, format!("must be {what}, not {}", kind(item.node)));
        }
        value
    }

    /// A switch; one that says nothing is off, as in Prometheus.
    pub(super) fn boolean(&self, key: &str, default: bool) -> bool {
        self.parsed(key, "true or false", false, Node::boolean).unwrap_or(default)
    }

    /// A whole number; 0 where it is not there.
    pub(super) fn whole(&self, key: &str) -> u64 {
        self.parsed(key, "a whole number that is not negative", 0, Node::whole).unwrap_or(0)
    }

    /// A whole number of either sign.
    pub(super) fn signed(&self, key: &str) -> Option<i64> {
        let parse = |node: &Node| {
            let negative = node.text().and_then(|text| text.strip_prefix('-')).and_then(|t| t.parse().ok());
            let positive = || node.whole().and_then(|number| i64::try_from(number).ok());
            negative.map(|number: i64| -number).or_else(positive)
        };
        self.parsed(key, "a whole number", 0, parse)
    }

    /// A port.
    pub(super) fn port(&self, key: &str) -> u16 {
        let parse = |node: &Node| node.whole().and_then(|number| u16::try_from(number).ok());
        self.parsed(key, "a port from 0 to 65535", 0, parse).unwrap_or(0)
    }

    /// A number.
    pub(super) fn float(&self, key: &str) -> Option<f64> {
        self.parsed(key, "a number", 0.0, Node::float)
    }

    /// A number in any notation of YAML, infinity and NaN among them; 0 where it is not there.
    pub(super) fn number(&self, key: &str) -> f64 {
        let parse = |node: &Node| {
            let text = node.plain()?;
            let digits = text.trim_start_matches(['+', '-']);
            let size = match digits {
                ".inf" | ".Inf" | ".INF" => f64::INFINITY,
                ".nan" | ".NaN" | ".NAN" => f64::NAN,
                // Whole numbers may have another base, and those that begin with 0 are octal.
                _ => match Node::scalar(digits, true, node.line).whole() {
                    Some(whole) => whole as f64,
                    None => return node.float(),
                },
            };
            Some(if text.starts_with('-') { -size } else { size })
        };
        self.parsed(key, "a number", 0.0, parse).unwrap_or(0.0)
    }

    /// A duration; none where it is not there or nothing.
    pub(super) fn duration(&self, key: &str) -> Option<Duration> {
        let item = self.get(key).filter(|item| !item.node.is_null())?;
        let text = self.text_of(&item)?;
        parse_duration(&text)
            .map_err(|error| self.notes.value(item.line, &item.path, format!("{error}; write 30s or 1h30m")))
            .ok()
    }

    /// A size in bytes; none where it is not there or nothing.
    pub(super) fn size(&self, key: &str) -> Option<u64> {
        let item = self.get(key).filter(|item| !item.node.is_null())?;
        let text = self.text_of(&item)?;
        let size = Size::parse(&text);
        if size.is_none() {
            let reason = format!("not a valid size: {text:?}; write a number with a unit, such as 15MB");
            self.notes.value(item.line, &item.path, reason);
        }
        size.map(|size| size.0)
    }
}

/// Whether a value is the one that is written as `value` in the table of keys.
fn means(node: &Node, value: &str) -> bool {
    match value {
        "false" => node.boolean() == Some(false),
        "0" => node.float() == Some(0.0),
        "0s" => node.text().and_then(|text| parse_duration(text).ok()).is_some_and(|time| time.is_zero()),
        _ => node.text() == Some(value),
    }
}

/// Whether a value says nothing.
pub(super) fn is_empty(node: &Node) -> bool {
    match &node.value {
        Value::Scalar { text, .. } => text.is_empty() || node.is_null(),
        Value::List(items) => items.is_empty(),
        Value::Map(entries) => entries.iter().all(|entry| is_empty(&entry.node)),
    }
}

impl Keys {
    /// What is meant by an unknown key.
    fn hint(&self, key: &str) -> String {
        let unsupported = || self.unsupported.iter().copied().flatten().copied();
        let names = || self.all().map(|(name, _)| *name).chain(unsupported());
        let lower = key.to_ascii_lowercase().replace('-', "_");
        let near = names().map(|name| (strsim::damerau_levenshtein(&lower, name), name)).min();
        match near {
            Some((distance, name)) if distance <= 2.max(name.len() / 4) && distance < name.len() => {
                format!("; did you mean {name:?}?")
            }
            _ if self.all().count() <= 8 => {
                let known: Vec<&str> = self.all().map(|(name, _)| *name).collect();
                format!("; known here: {}", known.join(", "))
            }
            _ => String::new(),
        }
    }

    /// The keys below `key`.
    fn below(&self, key: &str) -> Option<&'static Keys> {
        self.all().find(|(name, _)| *name == key).and_then(|(_, below)| match below {
            Below::Section(keys) | Below::List(keys) | Below::Named(keys) => Some(*keys),
            Below::Value => None,
        })
    }
}
