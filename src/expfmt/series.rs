//! The text of a series to its labels: `name{a="b"}`, or `{"a name", a="b"}` where the name needs quotes.

#![cfg_attr(not(test), deny(clippy::indexing_slicing))]

use std::borrow::Cow;

use memchr::memchr;

use super::Format;
use super::number::canonical_label;
use crate::model::MetricType;
use crate::model::{LabelsBuf, METRIC_NAME};
use crate::util::brief;

/// Why the text of a series is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SeriesError {
    /// Not UTF-8.
    #[error("series is not valid UTF-8")]
    Utf8,
    /// The same label twice.
    #[error("duplicate label {0:?}")]
    Duplicate(String),
    /// Another form.
    #[error("malformed series {0:?}")]
    Malformed(String),
}

/// Reads `series`, as a [`super::Sample`] holds it, into `out`. A label with an empty value is as good as none.
///
/// The bounds of histograms and the quantiles of summaries are brought to one form, as `kind` says.
///
/// # Errors
/// When the text is not UTF-8, malformed, or gives a label twice.
pub fn parse_series(series: &[u8], kind: MetricType, out: &mut LabelsBuf) -> Result<(), SeriesError> {
    parse_exposed(series, kind, out)?;
    out.drop_empty();
    Ok(())
}

/// As [`parse_series`]; labels with an empty value stay, so that it can be seen that they were there.
///
/// # Errors
/// As [`parse_series`].
pub fn parse_exposed(series: &[u8], kind: MetricType, out: &mut LabelsBuf) -> Result<(), SeriesError> {
    let text = std::str::from_utf8(series).map_err(|_| SeriesError::Utf8)?;
    let malformed = || SeriesError::Malformed(brief(text));
    out.clear();
    let (name, inside) = match text.find('{') {
        None => (text.trim_end(), None),
        Some(at) => {
            let (name, rest) = text.split_at(at);
            let inside = rest.strip_prefix('{').and_then(|r| r.strip_suffix('}')).ok_or_else(malformed)?;
            (name.trim_end(), Some(inside))
        }
    };
    let mut named = !name.is_empty();
    if named {
        out.append(METRIC_NAME, name);
    }
    let normal = match kind {
        MetricType::Histogram => "le",
        MetricType::Summary => "quantile",
        _ => "",
    };
    read_labels(inside.unwrap_or(""), normal, &mut named, out)?;
    if named { Ok(()) } else { Err(malformed()) }
}

/// Reads `labels`, as an [`super::ExemplarText`] holds them, into `out`.
///
/// # Errors
/// When the text is not UTF-8, malformed, or gives a label twice.
pub fn parse_labels(labels: &[u8], out: &mut LabelsBuf) -> Result<(), SeriesError> {
    let text = std::str::from_utf8(labels).map_err(|_| SeriesError::Utf8)?;
    out.clear();
    // As if the name were known: there is none.
    read_labels(text, "", &mut true, out)?;
    out.drop_empty();
    Ok(())
}

/// The text of a `# HELP` line without its escapes: of line breaks and backslashes, and in OpenMetrics of quotes.
pub fn unescape_help(text: &[u8], format: Format) -> String {
    let text = String::from_utf8_lossy(text);
    if !text.contains('\\') {
        return text.into_owned();
    }
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        let escaped = if c == '\\' { chars.clone().next() } else { None };
        out.push(match escaped {
            Some('n') => '\n',
            Some('\\') => '\\',
            Some('"') if format == Format::OpenMetrics => '"',
            _ => {
                out.push(c);
                continue;
            }
        });
        chars.next();
    }
    out
}

/// Reads what stands between braces; a quoted text alone is the metric name, unless it is known.
fn read_labels(inside: &str, normal: &str, named: &mut bool, out: &mut LabelsBuf) -> Result<(), SeriesError> {
    let malformed = || SeriesError::Malformed(brief(inside));
    let mut rest = inside.trim_start();
    while !rest.is_empty() {
        let label: Cow<'_, str>;
        if let Some(quoted) = rest.strip_prefix('"') {
            let (text, tail) = unquote(quoted).ok_or_else(malformed)?;
            rest = tail.trim_start();
            if !rest.starts_with('=') {
                if *named || text.is_empty() {
                    return Err(malformed());
                }
                *named = true;
                out.append(METRIC_NAME, &text);
                rest = comma(rest).ok_or_else(malformed)?;
                continue;
            }
            label = text;
        } else {
            let (text, tail) = rest.split_once('=').ok_or_else(malformed)?;
            let text = text.trim_end();
            rest = rest.get(rest.len() - tail.len() - 1..).unwrap_or("");
            label = Cow::Borrowed(text);
        }
        let tail = rest.strip_prefix('=').map(str::trim_start);
        let (value, tail) = tail.and_then(|t| t.strip_prefix('"')).and_then(unquote).ok_or_else(malformed)?;
        if label.is_empty() {
            return Err(malformed());
        }
        if *label == *normal {
            out.append(&label, canonical_label(&value).as_deref().unwrap_or(&value));
        } else {
            out.append(&label, &value);
        }
        rest = comma(tail.trim_start()).ok_or_else(malformed)?;
    }
    // Labels with an empty value count as given, too.
    out.order().map_err(|name| SeriesError::Duplicate(brief(name)))
}

/// Takes the comma before the next label; the end of the text is fine too.
fn comma(rest: &str) -> Option<&str> {
    if rest.is_empty() { Some(rest) } else { rest.strip_prefix(',').map(str::trim_start) }
}

/// Reads to the closing quote; returns the text without escapes and what follows.
fn unquote(text: &str) -> Option<(Cow<'_, str>, &str)> {
    let end = memchr(b'"', text.as_bytes())?;
    let plain = text.get(..end)?;
    if !plain.contains('\\') {
        return Some((Cow::Borrowed(plain), text.get(end + 1..)?));
    }
    let mut out = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some((Cow::Owned(out), text.get(at + 1..)?)),
            '\\' => match chars.next()?.1 {
                'n' => out.push('\n'),
                escaped @ ('\\' | '"') => out.push(escaped),
                other => out.extend(['\\', other]),
            },
            c => out.push(c),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;
    use crate::model::Labels;

    fn check_as(kind: MetricType, text: &str, expected: Option<&[(&str, &str)]>) {
        let mut buf = LabelsBuf::new();
        let got = parse_series(text.as_bytes(), kind, &mut buf).ok().map(|()| buf.to_labels());
        assert_eq!(got, expected.map(|pairs| Labels::from_pairs(pairs.iter().copied())), "{text}");
    }

    /// Time in the square of their number would be minutes and more.
    #[test]
    fn many_labels_in_any_order_cost_no_more_than_sorting_them() {
        let mut text = String::from("{");
        for number in (0..300_000).rev() {
            let _ = write!(text, "a{number:06}=\"{}\",", if number % 2 == 0 { "" } else { "x" });
        }
        let mut buf = LabelsBuf::new();
        parse_labels(text.trim_start_matches('{').as_bytes(), &mut buf).expect("labels");
        let labels = buf.to_labels();
        assert_eq!((labels.len(), labels.get("a000001"), labels.get("a000002")), (150_000, Some("x"), None));
        text.push_str("a000002=\"y\"");
        let twice = parse_labels(text.trim_start_matches('{').as_bytes(), &mut buf);
        assert_eq!(twice, Err(SeriesError::Duplicate("a000002".to_owned())));
    }

    #[test]
    fn reads_names_labels_and_escapes() {
        let check = |text: &str, expected| check_as(MetricType::Unknown, text, expected);
        check("up", Some(&[("__name__", "up")]));
        check("up{}", Some(&[("__name__", "up")]));
        check("a {b=\"c\" , d = \"e\",}", Some(&[("__name__", "a"), ("b", "c"), ("d", "e")]));
        check("a{b=\"x\\\\y\\\"z\\n\\q\"}", Some(&[("__name__", "a"), ("b", "x\\y\"z\n\\q")]));
        check("a{b=\"}{\"}", Some(&[("__name__", "a"), ("b", "}{")]));
        check("{\"my.metric\",l=\"v\"}", Some(&[("__name__", "my.metric"), ("l", "v")]));
        check("{\"my.metric\",\"l.x\"=\"v\"}", Some(&[("__name__", "my.metric"), ("l.x", "v")]));
        check("{l=\"v\",\"my.metric\"}", Some(&[("__name__", "my.metric"), ("l", "v")]));
        check("a{b=\"\"}", Some(&[("__name__", "a")]));
        check("a{b=\"\",b=\"1\"}", None);
        check("a{b=\"1\",b=\"2\"}", None);
        check("a{__name__=\"b\"}", None);
        check("{l=\"v\"}", None);
        check("a{\"b\"}", None);
        check("a{b=\"1\" c=\"2\"}", None);
        check("a{b=1}", None);
        check("a{b=\"1}", None);
        check("a{,}", None);
    }

    #[test]
    fn reads_labels_alone() {
        let read = |text: &str| {
            let mut buf = LabelsBuf::new();
            parse_labels(text.as_bytes(), &mut buf).ok().map(|()| buf.to_labels())
        };
        assert_eq!(read(""), Some(Labels::empty()));
        assert_eq!(read("a=\"b\",\"c.d\"=\"\\n\","), Some(Labels::from_pairs([("a", "b"), ("c.d", "\n")])));
        assert_eq!((read("\"a\""), read("a=\"1\",a=\"2\"")), (None, None));
    }

    #[test]
    fn brings_bounds_and_quantiles_to_one_form() {
        check_as(MetricType::Histogram, "a{le=\"1\"}", Some(&[("__name__", "a"), ("le", "1.0")]));
        check_as(MetricType::Summary, "a{quantile=\"1\"}", Some(&[("__name__", "a"), ("quantile", "1.0")]));
        check_as(MetricType::Gauge, "a{le=\"1\"}", Some(&[("__name__", "a"), ("le", "1")]));
    }
}
