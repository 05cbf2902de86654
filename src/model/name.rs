//! Validity and quoting of metric and label names.

use std::fmt;
use std::sync::LazyLock;

use regex::Regex;

/// Whether `name` can stand before the braces of a selector: `[a-zA-Z_:][a-zA-Z0-9_:]*`.
pub fn is_plain_metric_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes.next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_' || b == b':')
        && bytes.all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b':')
}

/// Whether `name` is a label name that needs no quotes: `[a-zA-Z_][a-zA-Z0-9_]*`.
pub fn is_plain_label_name(name: &str) -> bool {
    is_plain_metric_name(name) && !name.contains(':')
}

/// Which names of metrics and labels are valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum NameScheme {
    /// Any text.
    #[default]
    Utf8,
    /// Those that need no quotes.
    Legacy,
}

impl NameScheme {
    /// The scheme called `text`.
    pub fn from_name(text: &str) -> Option<Self> {
        [Self::Utf8, Self::Legacy].into_iter().find(|scheme| scheme.name() == text)
    }

    /// The name it has in a configuration file.
    pub fn name(self) -> &'static str {
        match self {
            Self::Utf8 => "utf8",
            Self::Legacy => "legacy",
        }
    }

    /// Whether `name` can be the name of a label.
    pub fn is_label_name(self, name: &str) -> bool {
        match self {
            Self::Utf8 => !name.is_empty(),
            Self::Legacy => is_plain_label_name(name),
        }
    }

    /// Whether `name` can be the name of a metric.
    pub fn is_metric_name(self, name: &str) -> bool {
        match self {
            Self::Utf8 => !name.is_empty(),
            Self::Legacy => is_plain_metric_name(name),
        }
    }
}

/// Prints text in double quotes with the escapes of Go's `strconv.Quote`.
#[derive(Debug, Clone, Copy)]
pub struct Quoted<'a>(pub &'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use fmt::Write as _;
        f.write_char('"')?;
        for c in self.0.chars() {
            match c {
                '"' => f.write_str("\\\"")?,
                '\\' => f.write_str("\\\\")?,
                '\x07' => f.write_str("\\a")?,
                '\x08' => f.write_str("\\b")?,
                '\x0c' => f.write_str("\\f")?,
                '\n' => f.write_str("\\n")?,
                '\r' => f.write_str("\\r")?,
                '\t' => f.write_str("\\t")?,
                '\x0b' => f.write_str("\\v")?,
                c if u32::from(c) < 0x20 || c == '\x7f' => write!(f, "\\x{:02x}", u32::from(c))?,
                c if c.is_ascii() || is_printable(c) => f.write_char(c)?,
                c if u32::from(c) < 0x1_0000 => write!(f, "\\u{:04x}", u32::from(c))?,
                c => write!(f, "\\U{:08x}", u32::from(c))?,
            }
        }
        f.write_char('"')
    }
}

/// Letters, marks, numbers, punctuation and symbols, as Unicode has them.
fn is_printable(c: char) -> bool {
    static PRINTABLE: LazyLock<Option<Regex>> =
        LazyLock::new(|| Regex::new(r"\A[\p{L}\p{M}\p{N}\p{P}\p{S}]\z").ok());
    PRINTABLE.as_ref().is_none_or(|class| class.is_match(c.encode_utf8(&mut [0; 4])))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_what_cannot_be_seen() {
        let check = |text: &str, expected: &str| assert_eq!(Quoted(text).to_string(), expected);
        check("a\"\\\n\x01", r#""a\"\\\n\x01""#);
        check("\u{e9}\u{301}\u{65e5}\u{1f600}", "\"\u{e9}\u{301}\u{65e5}\u{1f600}\"");
        check("\u{2028}\u{a0}\u{200b}\u{85}", r#""\u2028\u00a0\u200b\u0085""#);
        check("\u{e0001}", r#""\U000e0001""#);
    }
}
