//! `load`: points of series into the storage, as a database would take them.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::series::{SeriesLine, SeriesPoint};
use crate::model::histogram::{Buckets, CUSTOM_SCHEMA, Span};
use crate::model::{Histogram, Labels, LabelsBuf, METRIC_NAME};
use crate::storage::fixed::FixedStorage;

type Loaded<T> = Result<T, String>;

/// A storage that is appended to.
#[derive(Default)]
pub(super) struct Loader {
    pub(super) storage: FixedStorage,
}

impl Loader {
    /// Adds series whose point number i is at `i * gap_ms`; of equal series the last one counts.
    ///
    /// # Errors
    /// When a point is older than what its series has, or differs from what is there.
    pub(super) fn load(&mut self, gap_ms: i64, series: &[SeriesLine], with_nhcb: bool) -> Loaded<()> {
        let lines: BTreeMap<&Labels, &SeriesLine> = series.iter().map(|line| (&line.labels, line)).collect();
        for line in lines.values() {
            for (at, point) in (0..).zip(&line.points) {
                let timestamp = gap_ms * at;
                match point {
                    SeriesPoint::Omitted => continue,
                    SeriesPoint::Value(value) => self.append(&line.labels, timestamp, *value, None)?,
                    SeriesPoint::Histogram(noted) => {
                        self.append(&line.labels, timestamp, f64::NAN, Some(&noted.histogram))?;
                    }
                }
                let start = usize::try_from(at).ok().and_then(|at| line.starts.get(at).copied().flatten());
                if let Some(start) = start {
                    self.storage.set_start(&line.labels, timestamp, timestamp + start);
                }
            }
        }
        if with_nhcb {
            for (labels, times) in collate(gap_ms, lines.into_values())? {
                for (timestamp, classic) in times {
                    let histogram = classic.convert().map_err(|error| format!("{labels}: {error}"))?;
                    self.append(&labels, timestamp, f64::NAN, Some(&Arc::new(histogram)))?;
                }
            }
        }
        Ok(())
    }

    fn append(
        &mut self,
        labels: &Labels,
        timestamp: i64,
        value: f64,
        histogram: Option<&Arc<Histogram>>,
    ) -> Loaded<()> {
        let appended = self.storage.append(labels, timestamp, value, histogram);
        appended.map_err(|refused| format!("{refused} of {labels} at {timestamp}ms"))
    }
}

/// A classic histogram at one time.
#[derive(Default)]
struct Classic {
    /// Bounds, rising, and what is at or below them.
    buckets: Vec<(f64, f64)>,
    count: Option<f64>,
    sum: f64,
}

type Collated = BTreeMap<Labels, BTreeMap<i64, Classic>>;

/// Classic histograms by their labels and times. Their parts are told by the ends of their names.
fn collate<'a>(gap_ms: i64, lines: impl Iterator<Item = &'a SeriesLine>) -> Loaded<Collated> {
    let mut out = Collated::new();
    for line in lines {
        let name = line.labels.metric_name();
        let suffix = ["_bucket", "_count", "_sum"].iter().find(|suffix| name.ends_with(**suffix));
        let Some(suffix) = suffix else { continue };
        let bound = match line.labels.get("le") {
            _ if *suffix != "_bucket" => 0.0,
            None => return Err(format!("expected bucket label in metric {}", line.labels)),
            Some(text) => match text.parse::<f64>() {
                Ok(bound) if !bound.is_nan() => bound,
                _ => continue,
            },
        };
        let mut buf = LabelsBuf::new();
        buf.reset_to(&line.labels);
        buf.set(METRIC_NAME, name.strip_suffix(suffix).unwrap_or(name));
        buf.remove("le");
        let times = out.entry(buf.to_labels()).or_default();
        for (at, point) in (0..).zip(&line.points) {
            let SeriesPoint::Value(value) = point else { continue };
            let classic = times.entry(gap_ms * at).or_default();
            match *suffix {
                "_count" => classic.count = Some(*value),
                "_sum" => classic.sum = *value,
                _ => {
                    let place = classic.buckets.partition_point(|(other, _)| *other < bound);
                    if classic.buckets.get(place).is_none_or(|(other, _)| *other != bound) {
                        classic.buckets.insert(place, (bound, *value));
                    }
                }
            }
        }
    }
    Ok(out)
}

impl Classic {
    /// The same as a native histogram.
    fn convert(mut self) -> Loaded<Histogram> {
        let count = self.count.or_else(|| self.buckets.last().map(|(_, count)| *count)).unwrap_or(0.0);
        if self.buckets.last().is_none_or(|(bound, _)| *bound != f64::INFINITY) {
            self.buckets.push((f64::INFINITY, count));
        }
        if self.buckets.iter().any(|(_, count)| *count < 0.0) || count < 0.0 {
            return Err("negative count".to_owned());
        }
        if self.buckets.windows(2).any(|pair| pair[1].1 < pair[0].1) {
            return Err("count is not cumulative".to_owned());
        }
        if self.buckets.last().is_some_and(|(_, last)| *last != count) {
            return Err("count mismatch".to_owned());
        }
        let mut below = 0.0;
        let mut counts = Vec::with_capacity(self.buckets.len());
        for (_, cumulative) in &self.buckets {
            counts.push(cumulative - below);
            below = *cumulative;
        }
        let length = u32::try_from(counts.len()).map_err(|_| "too many buckets")?;
        let finite = self.buckets.iter().map(|(bound, _)| *bound).filter(|bound| *bound != f64::INFINITY);
        let mut histogram = Histogram {
            schema: CUSTOM_SCHEMA,
            count,
            sum: self.sum,
            custom_values: finite.collect(),
            positive: Buckets { spans: vec![Span { offset: 0, length }], counts },
            ..Histogram::default()
        };
        histogram.compact();
        Ok(histogram)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::TimeRange;
    use crate::model::histogram::ResetHint;
    use crate::promql::script::parse_series;
    use crate::storage::{Queryable as _, SelectRequest};

    fn load(loader: &mut Loader, lines: &[&str], with_nhcb: bool) -> Loaded<()> {
        let series: Vec<_> = lines.iter().map(|line| parse_series(line).expect(line)).collect();
        loader.load(1000, &series, with_nhcb)
    }

    fn histograms(loader: &Loader) -> Vec<Arc<Histogram>> {
        let querier = loader.storage.querier(TimeRange::ALL).expect("a querier");
        let request = SelectRequest::new(&[], TimeRange::ALL);
        let set = querier.select(&request).expect("a select");
        let mut out = Vec::new();
        let mut samples = crate::model::Samples::new();
        for series in 0..set.len() {
            set.read(series, TimeRange::ALL, &mut samples).expect("a read");
            out.extend(samples.histograms.iter().map(|(_, histogram)| Arc::clone(histogram)));
        }
        out
    }

    #[test]
    fn tells_of_resets_like_a_database() {
        let mut loader = Loader::default();
        let line = "h {{count:1}}x1 {{count:0}} 5 {{count:1}} {{count:2 counter_reset_hint:gauge}}";
        load(&mut loader, &[line], false).expect("in order");
        let hints: Vec<ResetHint> = histograms(&loader).iter().map(|h| h.reset_hint).collect();
        use ResetHint::{Gauge, NotReset, Unknown};
        assert_eq!(hints, [Unknown, NotReset, Unknown, Unknown, Gauge]);
        assert!(load(&mut loader, &["h {{count:1}}"], false).is_err());
    }

    #[test]
    fn makes_histograms_of_classic_buckets() {
        let mut loader = Loader::default();
        let lines = ["h_bucket{le=\"1\"} 2", "h_bucket{le=\"+Inf\"} 5", "h_sum 7", "h_bucket{le=\"x\"} 9"];
        load(&mut loader, &lines, true).expect("well formed");
        let [histogram] = histograms(&loader).try_into().expect("one");
        assert_eq!((histogram.count, histogram.sum), (5.0, 7.0));
        assert_eq!(histogram.custom_values, [1.0]);
        assert_eq!(histogram.positive.counts, [2.0, 3.0]);
        let falling = ["g_bucket{le=\"1\"} 2", "g_bucket{le=\"+Inf\"} 1"];
        assert!(load(&mut loader, &falling, true).is_err());
        assert!(load(&mut loader, &["f_bucket 1"], true).is_err());
    }
}
