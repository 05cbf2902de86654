//! Start timestamps in scripts: `name{label="value"}@st -1m _x2 30sx3`, lengths of time relative to the samples.

use super::series::parse_metric;
use crate::model::{Labels, parse_duration};

/// Most items of one line, as for series.
const MAX_ITEMS: u64 = 1_000_000;

type Parsed<T> = Result<T, String>;

/// Whether a line of a load block is one of start timestamps.
pub(super) fn is_start_line(line: &str) -> bool {
    line.split([' ', '\t']).next().is_some_and(|word| word.ends_with("@st")) && line.contains([' ', '\t'])
}

/// Labels and milliseconds relative to each sample, nothing where unknown.
pub(super) fn parse_starts(line: &str) -> Parsed<(Labels, Vec<Option<i64>>)> {
    let (metric, items) = line.split_once("@st").ok_or("expected @st")?;
    let (labels, rest) = parse_metric(metric)?;
    if !rest.is_empty() {
        return Err(format!("unexpected {rest:?} before @st"));
    }
    let mut out = Vec::new();
    for item in items.split_whitespace() {
        parse_item(item, &mut out).map_err(|message| format!("invalid start {item:?}: {message}"))?;
    }
    Ok((labels, out))
}

fn parse_item(item: &str, out: &mut Vec<Option<i64>>) -> Parsed<()> {
    if let Some(rest) = item.strip_prefix('_') {
        let count = if rest.is_empty() { 1 } else { times(rest)? };
        out.extend((0..count).map(|_| None));
        return Ok(());
    }
    let (mut start, rest) = length(item)?;
    let mut step = 0;
    let mut rest = rest;
    if let Some(sign) = rest.chars().next().filter(|c| matches!(c, '+' | '-')) {
        let (size, after) = length(&rest[1..])?;
        step = if sign == '-' { -size } else { size };
        if after.is_empty() {
            return Err("expected a repetition".to_owned());
        }
        rest = after;
    }
    let count = if rest.is_empty() { 0 } else { times(rest)? };
    for _ in 0..=count {
        out.push(Some(start));
        start += step;
    }
    Ok(())
}

fn times(text: &str) -> Parsed<u64> {
    let count = text.strip_prefix('x').and_then(|n| n.parse().ok()).filter(|n| *n <= MAX_ITEMS);
    count.ok_or_else(|| "expected a repetition".to_owned())
}

/// A signed length of time in milliseconds, and what follows.
fn length(text: &str) -> Parsed<(i64, &str)> {
    let unsigned = text.trim_start_matches(['+', '-']);
    let digits = unsigned.find(|c: char| !c.is_ascii_digit()).unwrap_or(unsigned.len());
    let unit = unsigned[digits..].find(|c: char| !c.is_ascii_alphabetic() || c == 'x');
    let end = unit.map_or(unsigned.len(), |unit| digits + unit);
    let duration = parse_duration(&unsigned[..end]).map_err(|error| error.to_string())?;
    let ms = i64::try_from(duration.as_millis()).map_err(|error| error.to_string())?;
    Ok((if text.starts_with('-') { -ms } else { ms }, &unsigned[end..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expands_items() {
        assert!(is_start_line("a{b=\"c\"}@st -1m"));
        assert!(!is_start_line("a 1 2"));
        let (labels, starts) = parse_starts("a{b=\"c\"}@st -1m _ 0sx1 _x2 -1m-30sx2").expect("well formed");
        assert_eq!(labels.get("b"), Some("c"));
        let expected =
            [Some(-60_000), None, Some(0), Some(0), None, None, Some(-60_000), Some(-90_000), Some(-120_000)];
        assert_eq!(starts, expected);
    }

    #[test]
    fn refuses_other_forms() {
        for line in ["a@st 1", "a@st 1m+1m", "a@st _y", "a@st 1mx", "a@st m"] {
            assert!(parse_starts(line).is_err(), "{line}");
        }
    }
}
