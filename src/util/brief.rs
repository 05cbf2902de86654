//! Texts cut to what an error or a line of the log may echo of what somebody sent.

use std::borrow::Cow;
use std::fmt::{self, Display, Write};

/// Bytes of such a text at most, without the dots that say that it was cut.
pub const MAX_BYTES: usize = 256;

/// `text`, cut to [`MAX_BYTES`] with `...` behind them. What is longer is not even made.
pub fn brief(text: impl Display) -> String {
    let mut out = Cut(String::new());
    // An error says that it was cut.
    match write!(out, "{text}") {
        Ok(()) => out.0,
        Err(_) => out.0 + "...",
    }
}

/// Bytes of the text of an error at most, for people: it may repeat what somebody sent, which may be megabytes.
const MAX_MESSAGE_BYTES: usize = 1 << 10;

/// The text of an error as people are shown it: cut where it is long, without control characters but line breaks.
pub fn message(text: &str) -> Cow<'_, str> {
    let hidden = |c: char| c.is_control() && c != '\n';
    if text.len() <= MAX_MESSAGE_BYTES && !text.contains(hidden) {
        return Cow::Borrowed(text);
    }
    let kept = beginning(text, MAX_MESSAGE_BYTES);
    let mut out = String::with_capacity(kept.len());
    for c in kept.chars() {
        if hidden(c) { out.extend(c.escape_default()) } else { out.push(c) }
    }
    if kept.len() < text.len() {
        out.push_str("...");
    }
    Cow::Owned(out)
}

/// As much of `text` as whole characters fill `bytes`.
fn beginning(text: &str, bytes: usize) -> &str {
    let end = (0..=bytes.min(text.len())).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    &text[..end]
}

struct Cut(String);

impl Write for Cut {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = MAX_BYTES - self.0.len();
        self.0.push_str(beginning(text, room));
        if text.len() > room { Err(fmt::Error) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_texts_are_cut_between_characters() {
        assert_eq!(brief("x".repeat(MAX_BYTES)), "x".repeat(MAX_BYTES));
        assert_eq!(brief("x".repeat(MAX_BYTES + 1)), "x".repeat(MAX_BYTES) + "...");
        assert_eq!(brief("\u{20ac}".repeat(100)), "\u{20ac}".repeat(85) + "...");
    }

    #[test]
    fn messages_are_short_and_printable() {
        assert!(matches!(message("no \u{20ac}\nat all"), Cow::Borrowed(_)));
        assert_eq!(message("a\u{1b}[31mred\0\r\n"), "a\\u{1b}[31mred\\u{0}\\r\n");
        assert_eq!(message(&"\u{20ac}".repeat(400)), "\u{20ac}".repeat(341) + "...");
    }
}
