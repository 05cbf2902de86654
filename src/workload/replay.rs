//! A recording continued beyond its end, so that it fills a day.
//!
//! Every second round runs backwards, and each two rounds take one scrape more at a step, so that no compressor finds
//! the same bytes again. Counters go on where they were. Decimal values stay decimals of as many digits.

use super::capture::Series;
use crate::model::stale_nan;

const POWERS_OF_TEN: [f64; 10] = [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9];

/// Values of one series, continued.
#[derive(Debug, Clone)]
pub struct Replay {
    dense: Vec<Option<f64>>,
    counter: Option<Counter>,
}

#[derive(Debug, Clone, Copy)]
struct Counter {
    first: f64,
    last: f64,
    /// Of the decimals; none for values that are no decimals.
    power: Option<f64>,
}

impl Replay {
    /// The continuation of `series` as recorded over `scrape_count` scrapes.
    pub fn new(series: &Series, scrape_count: usize) -> Self {
        let values = &series.values;
        let rises = values.is_sorted() && values.iter().all(|v| v.is_finite() && *v >= 0.0);
        let counter = match (values.first(), values.last()) {
            (Some(&first), Some(&last)) if rises && last > first => {
                let exact = |p: &&f64| values.iter().all(|v| (v * **p).round() / **p == *v);
                Some(Counter { first, last, power: POWERS_OF_TEN.iter().find(exact).copied() })
            }
            _ => None,
        };
        Self { dense: series.dense(scrape_count), counter }
    }

    /// The value at scrape `at`; `None` where the series is absent.
    pub fn value(&self, at: usize) -> Option<f64> {
        let recorded = self.dense.len();
        let (mut round, mut place) = (0, at);
        let step = loop {
            let step = 1 + round / 2;
            let length = recorded.div_ceil(step);
            if place < length {
                break step;
            }
            // A recording of nothing has no value anywhere.
            place = place.checked_sub(length).filter(|_| length > 0)?;
            round += 1;
        };
        let backwards = round % 2 == 1;
        let place = if backwards { recorded - 1 - place * step } else { place * step };
        let value = self.dense.get(place).copied().flatten()?;
        let Some(Counter { first, last, power }) = self.counter.filter(|_| round > 0) else {
            return Some(value);
        };
        let gained = if backwards { last - value } else { value - first };
        let value = first + (last - first) * round as f64 + gained;
        Some(power.map_or(value, |p| (value * p).round() / p))
    }

    /// Scrape numbers and values of the first `scrapes` scrapes, with a stale marker at the first scrape of every gap.
    pub fn samples(&self, scrapes: usize) -> Vec<(usize, f64)> {
        let mut out = Vec::with_capacity(scrapes);
        let mut present = false;
        for at in 0..scrapes {
            match self.value(at) {
                Some(value) => out.push((at, value)),
                None if present => out.push((at, stale_nan())),
                None => {}
            }
            present = self.value(at).is_some();
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workload::capture::Run;

    fn replay(values: &[f64]) -> Replay {
        let runs = vec![Run { first: 0, len: u32::try_from(values.len()).expect("short") }];
        let series = Series { name: "x".to_owned(), runs, values: values.to_vec() };
        Replay::new(&series, values.len() + 1)
    }

    #[test]
    fn counters_go_on_and_gauges_turn_round() {
        let first = |r: Replay, n: usize| r.samples(n).into_iter().map(|(_, v)| v).collect::<Vec<_>>();
        let counter = first(replay(&[0.1, 0.3, 0.3, 0.8]), 10);
        assert_eq!(counter[..4], [0.1, 0.3, 0.3, 0.8]);
        assert!(counter[4].is_nan());
        // Backwards the gap comes at once; the steps are 0.5, 0, 0.2.
        assert_eq!(counter[5..], [0.8, 1.3, 1.3, 1.5]);
        assert_eq!(first(replay(&[5.0, 1.0]), 6)[..2], [5.0, 1.0]);
        assert_eq!(replay(&[5.0, 1.0]).value(3), None);
        assert_eq!(replay(&[5.0, 1.0]).value(5), Some(5.0));
        // The third round takes every second scrape: the first, and the gap.
        let third: Vec<_> = (6..9).map(|at| replay(&[5.0, 1.0]).value(at)).collect();
        assert_eq!(third, [Some(5.0), None, None]);
    }
}
