//! From a key path to a line: a light scan over indentation, good for block style.
//!
//! Inside flow style (`{a: 1}`) the answer is the line of the nearest key that stands on a line of its own.

use serde_path_to_error::Segment;

struct Line {
    number: usize,
    text: String,
}

impl Line {
    fn indent(&self) -> usize {
        self.text.len() - self.text.trim_start_matches(' ').len()
    }
}

/// The line, from 1, on which `path` stands in `text`.
pub(super) fn line_of(text: &str, path: &[Segment]) -> usize {
    let mut lines: Vec<Line> = text
        .lines()
        .enumerate()
        .map(|(at, text)| Line { number: at + 1, text: text.to_owned() })
        .filter(|line| {
            let bare = line.text.trim_start();
            !bare.is_empty() && !bare.starts_with('#') && bare != "---"
        })
        .collect();
    let mut found = lines.first().map_or(1, |line| line.number);
    for segment in path {
        let next = match segment {
            Segment::Map { key } => narrow_to_key(&mut lines, key),
            Segment::Seq { index } => narrow_to_item(&mut lines, *index),
            Segment::Enum { .. } | Segment::Unknown => None,
        };
        match next {
            Some(number) => found = number,
            None => break,
        }
    }
    found
}

/// Keeps what stands below `key`; returns the line of the key.
fn narrow_to_key(lines: &mut Vec<Line>, key: &str) -> Option<usize> {
    let indent = lines.iter().map(Line::indent).min()?;
    let at = lines.iter().position(|line| line.indent() == indent && starts_with_key(&line.text, key))?;
    let number = lines[at].number;
    let end = lines[at + 1..]
        .iter()
        // The items of a list may stand at the indentation of its key.
        .position(|line| line.indent() < indent || (line.indent() == indent && !is_item(&line.text)))
        .map_or(lines.len(), |off| at + 1 + off);
    lines.truncate(end);
    lines.drain(..=at);
    Some(number)
}

/// Keeps item `index` of the list; returns its first line.
fn narrow_to_item(lines: &mut Vec<Line>, index: usize) -> Option<usize> {
    let indent = lines.iter().map(Line::indent).min()?;
    let starts: Vec<usize> =
        (0..lines.len()).filter(|at| lines[*at].indent() == indent && is_item(&lines[*at].text)).collect();
    let at = *starts.get(index)?;
    let number = lines[at].number;
    lines.truncate(starts.get(index + 1).copied().unwrap_or(lines.len()));
    lines.drain(..at);
    lines[0].text.replace_range(indent..=indent, " ");
    Some(number)
}

fn is_item(text: &str) -> bool {
    let bare = text.trim_start();
    bare == "-" || bare.starts_with("- ")
}

fn starts_with_key(text: &str, key: &str) -> bool {
    let bare = text.trim_start();
    let bare = bare.strip_prefix(['"', '\'']).unwrap_or(bare);
    let Some(rest) = bare.strip_prefix(key) else { return false };
    rest.strip_prefix(['"', '\'']).unwrap_or(rest).trim_start().starts_with(':')
}

#[cfg(test)]
mod tests {
    use super::super::keys::{with_index, with_key};
    use super::*;

    #[test]
    fn finds_keys_and_items() {
        let text = "# c\nglobal:\n  a: 1\nlist:\n- x: 1\n  y: 2\n- x: 3\n\n  \"z\":\n    - {q: 1}\n    - r\n";
        let list = with_key(&[], "list");
        let second = with_index(&list, 1);
        let check = |path: &[Segment], line: usize| assert_eq!(line_of(text, path), line, "{path:?}");
        check(&[], 2);
        check(&with_key(&with_key(&[], "global"), "a"), 3);
        check(&list, 4);
        check(&with_key(&with_index(&list, 0), "y"), 6);
        check(&second, 7);
        check(&with_key(&second, "x"), 7);
        check(&with_index(&with_key(&second, "z"), 1), 11);
        check(&with_key(&with_index(&with_key(&second, "z"), 0), "q"), 10);
        check(&with_key(&second, "absent"), 7);
    }
}
