//! Texts cut to what an error or a line of the log may echo of what somebody sent.

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

struct Cut(String);

impl Write for Cut {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = MAX_BYTES - self.0.len();
        let end = (0..=room.min(text.len())).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
        self.0.push_str(&text[..end]);
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
}
