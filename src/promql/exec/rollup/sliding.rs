//! Window functions whose cost does not grow with the overlap of the windows: what one window has in common with the
//! one before is not looked at again.
//!
//! **Invariants**: every value is the very one that looking at the whole window gives. Sums are therefore kept only of
//! whole numbers, where no order of adding rounds.

use std::collections::VecDeque;

use super::rate;
use super::window::Window;
use crate::promql::exec::math;
use crate::promql::plan::RangeFunc;

/// Sums of whole numbers up to here are exact in any order.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// What is kept of the windows so far. `from` and `to` never go back.
pub(super) enum Sliding {
    /// `rate`, `increase`: where the counter was reset.
    Growth { per_second: bool, resets: Events },
    /// `changes`, `resets`: where something happened.
    Count(Events),
    /// The samples of the window that are lower (higher) than all after them.
    Extreme { func: RangeFunc, kept: VecDeque<usize>, to: usize },
    /// The values of the window in order.
    Sorted { values: Vec<f64>, from: usize, to: usize },
    /// Sums of all values before each.
    Sums { mean: bool, before: Vec<f64> },
}

/// Numbers of the samples that stand in a relation to the one before them.
pub(super) struct Events {
    at: Vec<usize>,
    from: usize,
    to: usize,
}

impl Events {
    fn find(values: &[f64], is_event: impl Fn(f64, f64) -> bool) -> Self {
        // Most series have none, which is found out several values at a time.
        let pairs = || values.iter().zip(values.get(1..).unwrap_or_default());
        if !pairs().fold(false, |any, (before, value)| any | is_event(*before, *value)) {
            return Self { at: Vec::new(), from: 0, to: 0 };
        }
        let pairs = values.windows(2).enumerate().filter(|(_, pair)| is_event(pair[0], pair[1]));
        Self { at: pairs.map(|(at, _)| at + 1).collect(), from: 0, to: 0 }
    }

    /// Those between two samples of the window.
    fn inside(&mut self, from: usize, to: usize) -> &[usize] {
        while self.at.get(self.to).is_some_and(|at| *at < to) {
            self.to += 1;
        }
        while self.from < self.to && self.at[self.from] <= from {
            self.from += 1;
        }
        &self.at[self.from..self.to]
    }
}

fn is_reset(before: f64, value: f64) -> bool {
    value < before
}

impl Sliding {
    /// What helps with `func` over `values`, if anything does. `overlap` says how many windows a sample is in.
    pub(super) fn new(func: RangeFunc, values: &[f64], overlap: i64) -> Option<Self> {
        let overlaps = overlap >= 2;
        Some(match func {
            RangeFunc::Rate | RangeFunc::Increase => {
                let resets = Events::find(values, is_reset);
                Self::Growth { per_second: func == RangeFunc::Rate, resets }
            }
            RangeFunc::Resets => Self::Count(Events::find(values, is_reset)),
            RangeFunc::Changes => Self::Count(Events::find(values, rate::differs)),
            RangeFunc::Min | RangeFunc::Max | RangeFunc::TsOfMin | RangeFunc::TsOfMax if overlaps => {
                Self::Extreme { func, kept: VecDeque::new(), to: 0 }
            }
            RangeFunc::Quantile if overlaps => Self::Sorted { values: Vec::new(), from: 0, to: 0 },
            RangeFunc::Sum | RangeFunc::Avg if overlaps => {
                Self::Sums { mean: func == RangeFunc::Avg, before: whole_sums(values)? }
            }
            _ => return None,
        })
    }

    /// The function's value over the samples from `from` to before `to` of `values`, which `window` holds.
    pub(super) fn value(
        &mut self,
        window: &Window<'_>,
        (all, from, to): (&[f64], usize, usize),
        param: f64,
    ) -> Option<f64> {
        match self {
            Self::Growth { per_second, resets } => {
                let fallen = resets.inside(from, to).iter().map(|at| all[at - 1]);
                rate::stretched(window, true, *per_second, fallen)
            }
            Self::Count(events) => Some(events.inside(from, to).len() as f64),
            Self::Extreme { func, kept, to: seen } => {
                let beats = |new: f64, old: f64| match func {
                    RangeFunc::Min => new < old,
                    RangeFunc::Max => new > old,
                    RangeFunc::TsOfMin => new <= old,
                    _ => new >= old,
                };
                for at in *seen..to {
                    if all[at].is_nan() {
                        continue;
                    }
                    while kept.back().is_some_and(|old| beats(all[at], all[*old])) {
                        kept.pop_back();
                    }
                    kept.push_back(at);
                }
                *seen = to;
                while kept.front().is_some_and(|old| *old < from) {
                    kept.pop_front();
                }
                // Nothing but NaN: the last one stands for all.
                let best = kept.front().copied().unwrap_or(to - 1);
                Some(match func {
                    RangeFunc::Min | RangeFunc::Max => all[best],
                    _ => window.timestamps[best - from] as f64 / 1000.0,
                })
            }
            Self::Sorted { values, from: first, to: last } => {
                // More that is new than old: from the beginning.
                if to - *last >= to - from || from - *first >= *last - *first {
                    values.clear();
                    values.extend_from_slice(&all[from..to]);
                    values.sort_unstable_by(|a, b| math::sorted_order(*a, *b));
                } else {
                    for gone in &all[*first..from] {
                        values.remove(rank(values, *gone));
                    }
                    for new in &all[*last..to] {
                        values.insert(rank(values, *new), *new);
                    }
                }
                (*first, *last) = (from, to);
                Some(math::quantile_of_sorted(param, values))
            }
            Self::Sums { mean, before } => {
                let sum = before[to] - before[from];
                Some(if *mean { sum / (to - from) as f64 } else { sum })
            }
        }
    }
}

/// Where in `sorted` a value is, or belongs.
fn rank(sorted: &[f64], value: f64) -> usize {
    sorted.partition_point(|other| math::sorted_order(*other, value).is_lt())
}

/// For each number of values the sum of as many; none unless all are whole and every sum of them is exact.
fn whole_sums(values: &[f64]) -> Option<Vec<f64>> {
    let (mut sum, mut size) = (0.0, 0.0);
    let mut before = Vec::with_capacity(values.len() + 1);
    before.push(sum);
    for value in values {
        size += value.abs();
        // A fraction, NaN or infinity fails one of the two.
        if value.trunc() != *value || size >= EXACT {
            return None;
        }
        sum += value;
        before.push(sum);
    }
    Some(before)
}

#[cfg(test)]
mod tests {
    use super::super::over_time;
    use super::*;
    use proptest::prelude::*;

    /// The value by looking at the whole window.
    fn whole(func: RangeFunc, window: &Window<'_>) -> Option<f64> {
        match func {
            RangeFunc::Rate => rate::extrapolated(window, true, true),
            RangeFunc::Increase => rate::extrapolated(window, true, false),
            RangeFunc::Resets => Some(rate::resets(window)),
            RangeFunc::Changes => Some(rate::changes(window)),
            RangeFunc::Quantile => Some(over_time::quantile(window, 0.3, &mut Vec::new())),
            _ => Some(over_time::fold(func, window)),
        }
    }

    proptest! {
        #[test]
        fn what_slides_gives_what_whole_windows_give(
            values in prop::collection::vec(prop_oneof![
                4 => (0i32..6).prop_map(f64::from),
                2 => (-9i32..9).prop_map(|n| f64::from(n) / 4.0),
                1 => prop_oneof![Just(f64::NAN), Just(-0.0), Just(f64::INFINITY), Just(1e300)],
            ], 1..60),
            whole_numbers: bool,
            steps in prop::collection::vec((0usize..4, 0usize..4), 1..60),
        ) {
            let values: Vec<f64> =
                if whole_numbers { values.iter().map(|v| if v.is_finite() { v.trunc() % 1e6 } else { 3.0 }).collect() } else { values };
            let timestamps: Vec<i64> = (0i64..).take(values.len()).map(|n| n * 1000).collect();
            for func in [
                RangeFunc::Rate, RangeFunc::Increase, RangeFunc::Resets, RangeFunc::Changes, RangeFunc::Min,
                RangeFunc::Max, RangeFunc::TsOfMin, RangeFunc::TsOfMax, RangeFunc::Quantile, RangeFunc::Sum,
                RangeFunc::Avg,
            ] {
                let Some(mut sliding) = Sliding::new(func, &values, 9) else {
                    prop_assert!(matches!(func, RangeFunc::Sum | RangeFunc::Avg), "{:?}", func);
                    continue;
                };
                let (mut from, mut to) = (0, 0);
                for (first, last) in &steps {
                    to = (to + last).min(values.len());
                    from = (from + first).min(to);
                    if from == to {
                        continue;
                    }
                    let (start, end) = (timestamps[from] - 300, timestamps[to - 1] + 300);
                    let (timestamps, part) = (&timestamps[from..to], &values[from..to]);
                    let window = Window { timestamps, values: part, starts: &[], start, end };
                    let found = sliding.value(&window, (&values, from, to), 0.3).map(|v| (v.is_nan(), v.to_bits()));
                    let expected = whole(func, &window).map(|v| (v.is_nan(), v.to_bits()));
                    let both_nan = matches!((found, expected), (Some((true, _)), Some((true, _))));
                    prop_assert!(both_nan || found == expected, "{:?} of {:?}: {:?} {:?}", func, part, found, expected);
                }
            }
        }
    }
}
