//! Extreme but acceptable input, and a model of what a database must hold after it.

use std::collections::BTreeMap;
use std::sync::Arc;

use emberkeep::model::bounds::{MAX_HISTOGRAM_CELLS, MAX_LABEL_BYTES, MAX_LABELS};
use emberkeep::model::histogram::{Buckets, CUSTOM_SCHEMA, Histogram, ResetHint, Span};
use emberkeep::model::{Labels, Samples, TimeRange, stale_nan};
use emberkeep::storage::{Queryable as _, SelectRequest, StorageError};
use emberkeep::tsdb::Tsdb;

use crate::support::Random;

/// A sample's content.
#[derive(Debug, Clone)]
pub(crate) enum Value {
    Float(f64),
    Histogram(Arc<Histogram>),
}

impl PartialEq for Value {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Float(a), Self::Float(b)) => a.to_bits() == b.to_bits(),
            (Self::Histogram(a), Self::Histogram(b)) => a.same_data(b) && a.reset_hint == b.reset_hint,
            _ => false,
        }
    }
}

/// Samples by series number and time.
pub(crate) type Content = BTreeMap<(usize, i64), Value>;

/// A series of the load.
pub(crate) struct Series {
    pub(crate) labels: Labels,
    /// Whether its samples are native histograms.
    pub(crate) histograms: bool,
}

/// The series of one database: a few of each kind of extreme. With `largest` also those that fill the bounds.
pub(crate) fn series(random: &mut Random, largest: bool) -> Vec<Series> {
    let mut all: Vec<Labels> = (0..6).map(|n| pairs(&[("plain", n.to_string())])).collect();
    // Long rows that differ in the last label only.
    let row: Vec<(String, String)> = (0..2500).map(|n| (format!("row_{n:05}"), "v".to_owned())).collect();
    all.extend((0..4).map(|n| pairs(&row.iter().cloned().chain([last(n)]).collect::<Vec<_>>())));
    // Long values with a common beginning, of one name and of many.
    let long = "v".repeat(20_000);
    all.extend((0..12).map(|n| pairs(&[("long", format!("{long}{n:03}"))])));
    all.extend((0..3).map(|n| pairs(&[(format!("name_{}_{n}", "n".repeat(5000)), long.clone())])));
    all.push(pairs(&[("\u{1f525} odd \" name\n", "\u{0}\u{7f}\u{10ffff}")]));
    if largest {
        let most = MAX_LABELS - 2;
        let many: Vec<(String, String)> = (0..most).map(|n| (format!("{n:x}"), "v".to_owned())).collect();
        all.extend((0..2).map(|n| pairs(&many.iter().cloned().chain([last(n)]).collect::<Vec<_>>())));
        all.extend((0..2).map(|n| pairs(&[("most", format!("{}{n}", "w".repeat(MAX_LABEL_BYTES - 100)))])));
    }
    let float = all.into_iter().map(|labels| Series { labels, histograms: false });
    let histograms =
        (0..6).map(|n| Series { labels: pairs(&[("histogram", n.to_string())]), histograms: true });
    let mut series: Vec<Series> = float.chain(histograms).collect();
    // Neighbours in a block are not neighbours here.
    for at in (1..series.len()).rev() {
        series.swap(at, usize::try_from(random.below(at as u64 + 1)).expect("small"));
    }
    series
}

fn last(n: usize) -> (String, String) {
    ("z_last".to_owned(), n.to_string())
}

fn pairs<N: AsRef<str>, V: AsRef<str>>(pairs: &[(N, V)]) -> Labels {
    let name = [("__name__".to_owned(), "extreme".to_owned())];
    let given = pairs.iter().map(|(name, value)| (name.as_ref().to_owned(), value.as_ref().to_owned()));
    Labels::from_pairs(name.into_iter().chain(given))
}

/// Labels that no database takes.
pub(crate) fn labels_over_the_bounds(random: &mut Random) -> Labels {
    if random.below(2) == 0 {
        pairs(&(0..MAX_LABELS).map(|n| (format!("{n:x}"), "v")).collect::<Vec<_>>())
    } else {
        pairs(&[("value", "v".repeat(MAX_LABEL_BYTES))])
    }
}

/// A histogram that no database takes.
pub(crate) fn histogram_over_the_bounds(random: &mut Random) -> Histogram {
    let count = MAX_HISTOGRAM_CELLS + usize::try_from(random.below(1 << 20)).expect("small");
    match random.below(3) {
        0 => {
            let spans = vec![Span { offset: 1, length: 0 }; count];
            Histogram { positive: Buckets { spans, counts: Vec::new() }, ..Histogram::default() }
        }
        1 => wide(count, |_| 0.0),
        _ => Histogram { schema: CUSTOM_SCHEMA, custom_values: vec![1.0; count], ..Histogram::default() },
    }
}

fn wide(count: usize, counts: impl FnMut(usize) -> f64) -> Histogram {
    let spans = vec![Span { offset: -7, length: u32::try_from(count).expect("small") }];
    let positive = Buckets { spans, counts: (0..count).map(counts).collect() };
    Histogram { schema: 8, positive, integer: true, ..Histogram::default() }
}

pub(crate) fn value(random: &mut Random, histograms: bool) -> Value {
    if histograms { Value::Histogram(Arc::new(histogram(random))) } else { Value::Float(float(random)) }
}

fn float(random: &mut Random) -> f64 {
    match random.below(10) {
        0 => 0.0,
        1 => -0.0,
        2 => f64::INFINITY,
        3 => f64::from_bits(0x7ff8_0000_0000_0000 | random.below(1 << 50)),
        4 => f64::from_bits(random.below(1 << 52)),
        5 => stale_nan(),
        6 => f64::from_bits(random.next()),
        7 => -f64::MAX,
        8 => 42.0,
        _ => random.below(1 << 40) as f64 / 100.0,
    }
}

fn histogram(random: &mut Random) -> Histogram {
    let mut out = match random.below(8) {
        0 => Histogram::stale(),
        // Many empty spans between few buckets.
        1 => {
            let mut spans = vec![Span { offset: 3, length: 0 }; 900];
            spans.push(Span { offset: 1, length: 2 });
            Histogram { positive: Buckets { spans, counts: vec![1.0, 2.0] }, ..Histogram::default() }
        }
        2 => {
            let bounds = usize::try_from(random.below(9000)).expect("small");
            let custom_values = (0..bounds).map(|n| n as f64 / 3.0).collect();
            let length = 5;
            let positive = Buckets { spans: vec![Span { offset: 0, length }], counts: vec![1.0; 5] };
            Histogram { schema: CUSTOM_SCHEMA, custom_values, positive, ..Histogram::default() }
        }
        3 => wide(usize::try_from(random.below(6000)).expect("small"), |n| n as f64),
        4 => wide(40, |n| f64::from_bits((n as u64).wrapping_mul(0x1234_5678_9abc_def1))),
        _ => wide(usize::try_from(random.below(30)).expect("small"), |n| (n * 3) as f64),
    };
    if !out.is_stale() {
        out.sum = float(random);
        out.count = random.below(1 << 30) as f64;
        out.zero_threshold = 1e-100;
        out.reset_hint = [ResetHint::Unknown, ResetHint::Reset, ResetHint::NotReset, ResetHint::Gauge]
            [usize::try_from(random.below(4)).expect("small")];
    }
    out
}

/// Everything that a database holds of `series`; series that are none of them are a failure.
pub(crate) fn read(db: &Tsdb, series: &[Series]) -> Result<Content, StorageError> {
    let querier = db.querier(TimeRange::ALL)?;
    let set = querier.select(&SelectRequest::new(&[], TimeRange::ALL))?;
    let mut samples = Samples::new();
    let mut out = Content::new();
    for index in 0..set.len() {
        set.read(index, TimeRange::ALL, &mut samples)?;
        let labels = set.labels(index);
        let number = series.iter().position(|one| one.labels == labels);
        let number =
            number.unwrap_or_else(|| panic!("a series that nobody wrote, of {} bytes", labels.packed_len()));
        let mut histograms = samples.histograms.iter().peekable();
        for (at, (time, float)) in samples.iter().enumerate() {
            let histogram = histograms.next_if(|(number, _)| *number == at).map(|(_, h)| Arc::clone(h));
            out.insert((number, time), histogram.map_or(Value::Float(float), Value::Histogram));
        }
    }
    Ok(out)
}
