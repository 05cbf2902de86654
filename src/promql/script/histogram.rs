//! Native histograms in series notation: `{{schema:0 sum:5 count:4 buckets:[1 2 1]}}`.

use std::sync::Arc;

use super::number::{number_text, parse_number};
use crate::model::Histogram;
use crate::model::histogram::{Buckets, CUSTOM_SCHEMA, ResetHint, Span};
use crate::promql::exec::histogram::{Accumulator, Sign};

/// A histogram as it is written down.
#[derive(Debug, Clone, PartialEq)]
pub struct NotedHistogram {
    /// The histogram.
    pub histogram: Arc<Histogram>,
    /// Whether the hint on counter resets is written down too.
    pub has_hint: bool,
}

type Parsed<T> = Result<T, String>;

/// Parses the histogram at the start of `text`; the rest is what follows.
pub(super) fn parse_histogram(text: &str) -> Parsed<(NotedHistogram, &str)> {
    let inside = text.strip_prefix("{{").ok_or("expected a histogram")?;
    let (inside, rest) = inside.split_once("}}").ok_or("unterminated histogram")?;
    let mut histogram = Histogram::default();
    let mut has_hint = false;
    let (mut offset, mut negative_offset) = (0, 0);
    let (mut positive, mut negative) = (Vec::new(), Vec::new());
    let mut seen: Vec<&str> = Vec::new();
    let mut left = inside.trim();
    while !left.is_empty() {
        let (key, after) = left.split_once(':').ok_or_else(|| format!("expected a key at {left:?}"))?;
        if seen.contains(&key) {
            return Err(format!("duplicate key {key:?} in histogram"));
        }
        seen.push(key);
        let end = if after.starts_with('[') {
            after.find(']').ok_or_else(|| format!("unterminated list at {after:?}"))? + 1
        } else {
            after.find([' ', '\t']).unwrap_or(after.len())
        };
        let (value, after) = after.split_at(end);
        match key {
            "schema" => histogram.schema = integer(value)?,
            "sum" => histogram.sum = number(value)?,
            "count" => histogram.count = number(value)?,
            "z_bucket" => histogram.zero_count = number(value)?,
            "z_bucket_w" => histogram.zero_threshold = number(value)?,
            "custom_values" => histogram.custom_values = list(value)?,
            "buckets" => positive = list(value)?,
            "n_buckets" => negative = list(value)?,
            "offset" => offset = integer(value)?,
            "n_offset" => negative_offset = integer(value)?,
            "counter_reset_hint" => {
                has_hint = true;
                histogram.reset_hint = hint(value)?;
            }
            _ => return Err(format!("unknown key {key:?} in histogram")),
        }
        if !after.is_empty() && !after.starts_with([' ', '\t']) {
            return Err(format!("expected a space at {after:?}"));
        }
        left = after.trim_start();
    }
    histogram.positive = buckets(offset, positive)?;
    histogram.negative = buckets(negative_offset, negative)?;
    Ok((NotedHistogram { histogram: Arc::new(histogram), has_hint }, rest))
}

/// Most counts of empty buckets that are written for the sake of those around them.
const MAX_EMPTY: i64 = 1024;

/// The histogram in this notation: two are written alike if they hold the same, the hint on counter resets included.
pub fn histogram_text(histogram: &Histogram) -> String {
    let mut parts = Vec::new();
    if histogram.schema != 0 {
        parts.push(format!("schema:{}", histogram.schema));
    }
    for (key, value) in [
        ("count", histogram.count),
        ("sum", histogram.sum),
        ("z_bucket", histogram.zero_count),
        ("z_bucket_w", histogram.zero_threshold),
    ] {
        if value != 0.0 {
            parts.push(format!("{key}:{}", number_text(value)));
        }
    }
    let list = |values: &[f64]| values.iter().map(|value| number_text(*value)).collect::<Vec<_>>().join(" ");
    if histogram.schema == CUSTOM_SCHEMA {
        parts.push(format!("custom_values:[{}]", list(&histogram.custom_values)));
    }
    match histogram.reset_hint {
        ResetHint::Unknown => {}
        ResetHint::Reset => parts.push("counter_reset_hint:reset".to_owned()),
        ResetHint::NotReset => parts.push("counter_reset_hint:not_reset".to_owned()),
        ResetHint::Gauge => parts.push("counter_reset_hint:gauge".to_owned()),
    }
    for (prefix, buckets) in [("", &histogram.positive), ("n_", &histogram.negative)] {
        let filled: Vec<(i32, f64)> = buckets.numbered().filter(|(_, count)| *count != 0.0).collect();
        let (Some(&(first, _)), Some(&(last, _))) = (filled.first(), filled.last()) else { continue };
        if first != 0 {
            parts.push(format!("{prefix}offset:{first}"));
        }
        let empty = i64::from(last) - i64::from(first) + 1 - i64::try_from(filled.len()).unwrap_or(0);
        if empty > MAX_EMPTY {
            // Too far apart for a list: no notation, but still the same for the same.
            let numbered = filled.iter().map(|(at, count)| format!("{at}={}", number_text(*count)));
            parts.push(format!("{prefix}buckets:[{}]", numbered.collect::<Vec<_>>().join(" ")));
            continue;
        }
        let mut counts = Vec::new();
        for (at, count) in filled {
            let place = usize::try_from(i64::from(at) - i64::from(first)).unwrap_or(0);
            counts.resize(place, 0.0);
            counts.push(count);
        }
        parts.push(format!("{prefix}buckets:[{}]", list(&counts)));
    }
    format!("{{{{{}}}}}", parts.join(" "))
}

/// `first` and `times` more of them, each `step` more than the one before, or less.
pub(super) fn stepped(
    first: &NotedHistogram,
    step: &NotedHistogram,
    sign: Sign,
    times: u64,
) -> Parsed<Vec<NotedHistogram>> {
    let mut out = vec![NotedHistogram { has_hint: step.has_hint, ..first.clone() }];
    let mut current = Arc::clone(&first.histogram);
    for _ in 0..times {
        if current.schema > step.histogram.schema {
            let (from, to) = (step.histogram.schema, current.schema);
            return Err(format!("error combining histograms: cannot merge from schema {from} to {to}"));
        }
        let mut sum = Accumulator::plain(&current);
        if sum.add(&step.histogram, sign).is_err() {
            return Err("error combining histograms: exponential and custom bounds".to_owned());
        }
        current = Arc::new(sum.finish());
        out.push(NotedHistogram { histogram: Arc::clone(&current), has_hint: step.has_hint });
    }
    Ok(out)
}

fn integer(text: &str) -> Parsed<i32> {
    text.parse().map_err(|_| format!("expected a whole number at {text:?}"))
}

fn number(text: &str) -> Parsed<f64> {
    match parse_number(text)? {
        (value, "") => Ok(value),
        (_, rest) => Err(format!("unexpected {rest:?} behind a number")),
    }
}

fn list(text: &str) -> Parsed<Vec<f64>> {
    let inside = text.strip_prefix('[').and_then(|t| t.strip_suffix(']'));
    let inside = inside.ok_or_else(|| format!("expected a list at {text:?}"))?;
    inside.split_whitespace().map(number).collect()
}

fn hint(text: &str) -> Parsed<ResetHint> {
    Ok(match text {
        "unknown" => ResetHint::Unknown,
        "reset" => ResetHint::Reset,
        "not_reset" => ResetHint::NotReset,
        "gauge" => ResetHint::Gauge,
        _ => return Err(format!("unknown counter reset hint {text:?}")),
    })
}

fn buckets(offset: i32, counts: Vec<f64>) -> Parsed<Buckets> {
    if counts.is_empty() {
        return Ok(Buckets::default());
    }
    let length = u32::try_from(counts.len()).map_err(|_| "too many buckets")?;
    Ok(Buckets { spans: vec![Span { offset, length }], counts })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_every_key() {
        let text = "{{schema:2 sum:-Inf count:4.5 z_bucket:1 z_bucket_w:0.001 offset:-3 buckets:[1 2 -1] \
                    n_offset:4 n_buckets:[7] counter_reset_hint:gauge}}x3";
        let (noted, rest) = parse_histogram(text).expect("well formed");
        let histogram = noted.histogram;
        assert_eq!((rest, noted.has_hint, histogram.reset_hint), ("x3", true, ResetHint::Gauge));
        assert_eq!((histogram.schema, histogram.sum, histogram.count), (2, f64::NEG_INFINITY, 4.5));
        assert_eq!((histogram.zero_count, histogram.zero_threshold), (1.0, 0.001));
        assert_eq!(histogram.positive, Buckets::from_numbered([(-3, 1.0), (-2, 2.0), (-1, -1.0)]));
        assert_eq!(histogram.negative, Buckets::from_numbered([(4, 7.0)]));
        assert_eq!(*parse_histogram("{{}}").expect("empty").0.histogram, Histogram::default());
    }

    #[test]
    fn is_written_as_it_is_read() {
        let check = |text: &str, expected: &str| {
            let (noted, _) = parse_histogram(text).expect(text);
            assert_eq!(histogram_text(&noted.histogram), expected);
        };
        for text in [
            "{{}}",
            "{{schema:1 count:32.1 sum:-0.3 z_bucket:7.1 z_bucket_w:0.05 offset:-3 buckets:[5.1 0 7] n_offset:-5 \
             n_buckets:[4.1 5]}}",
            "{{schema:-53 count:3 sum:1e+30 custom_values:[1 2.5] counter_reset_hint:gauge buckets:[1 2]}}",
        ] {
            check(text, &text.replace("1e+30", "1e30"));
        }
        check("{{buckets:[0 0 1 2 0]}}", "{{offset:2 buckets:[1 2]}}");
        check("{{buckets:[0 0]}}", "{{}}");
        let far = Buckets {
            spans: vec![Span { offset: -2, length: 1 }, Span { offset: 2_000_000_000, length: 1 }],
            counts: vec![1.0, 2.0],
        };
        let far = Histogram { positive: far, ..Histogram::default() };
        assert_eq!(histogram_text(&far), "{{offset:-2 buckets:[-2=1 1999999999=2]}}");
    }

    #[test]
    fn refuses_what_is_no_histogram() {
        for text in [
            "{{",
            "{{sum}}",
            "{{sum:}}",
            "{{sum:1 sum:2}}",
            "{{tum:1}}",
            "{{buckets:1}}",
            "{{buckets:[1}}",
            "{{buckets:[x]}}",
            "{{counter_reset_hint:maybe}}",
            "{{schema:1.5}}",
        ] {
            assert!(parse_histogram(text).is_err(), "{text}");
        }
    }

    #[test]
    fn steps_up_and_down() {
        let noted = |text: &str| parse_histogram(text).expect(text).0;
        let (a, b) = (noted("{{count:5 buckets:[5]}}"), noted("{{count:1 buckets:[0 1]}}"));
        let up = stepped(&a, &b, Sign::Plus, 2).expect("compatible");
        let counts: Vec<f64> = up.iter().map(|h| h.histogram.count).collect();
        assert_eq!(counts, [5.0, 6.0, 7.0]);
        assert_eq!(up[2].histogram.positive.counts, [5.0, 2.0]);
        let down = stepped(&a, &b, Sign::Minus, 1).expect("compatible");
        assert_eq!(down[1].histogram.count, 4.0);
        assert!(stepped(&noted("{{schema:1}}"), &a, Sign::Plus, 1).is_err());
    }
}
