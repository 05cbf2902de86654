//! Sums, means and deviations over overlapping windows. Only adding each window anew, front to back, gives the last digit
//! of other servers, so several windows are added side by side: no addition then waits for the one before it.
//!
//! **Cost**: that of all windows together, at a fraction of what one after the other takes.
//! **Invariants**: every value is the very one that [`over_time::fold`] gives.

use super::over_time;
use super::window::Window;
use crate::promql::plan::RangeFunc;

/// Windows that are folded side by side.
const LANES: usize = 8;

/// What the values of a window are folded into, as long as all of it is finite.
trait Folding: Copy {
    fn of(first: f64) -> Self;

    /// With one more value, the `count`th.
    fn with(self, value: f64, count: f64) -> Self;

    /// What became of `count` values. Not finite if anything on the way was not.
    fn result(self, count: f64) -> f64;
}

/// A sum and its rounding error.
#[derive(Clone, Copy)]
struct Total {
    value: f64,
    error: f64,
}

impl Total {
    #[inline]
    fn plus(self, add: f64) -> Self {
        let value = self.value + add;
        let (large, small) =
            if self.value.abs() >= add.abs() { (self.value, add) } else { (add, self.value) };
        Self { value, error: self.error + ((large - value) + small) }
    }
}

impl Folding for Total {
    #[inline]
    fn of(first: f64) -> Self {
        Self { value: 0.0, error: 0.0 }.plus(first)
    }

    #[inline]
    fn with(self, value: f64, _count: f64) -> Self {
        self.plus(value)
    }

    fn result(self, _count: f64) -> f64 {
        self.value + self.error
    }
}

/// For a mean: the sum divided at the end.
#[derive(Clone, Copy)]
struct Mean(Total);

impl Folding for Mean {
    #[inline]
    fn of(first: f64) -> Self {
        Self(Total { value: first, error: 0.0 })
    }

    #[inline]
    fn with(self, value: f64, _count: f64) -> Self {
        Self(self.0.plus(value))
    }

    fn result(self, count: f64) -> f64 {
        self.0.value / count + self.0.error / count
    }
}

/// For a variance: the running mean, and the squares of the distances from it.
#[derive(Clone, Copy)]
struct Variance {
    mean: Total,
    squares: Total,
}

impl Folding for Variance {
    #[inline]
    fn of(first: f64) -> Self {
        let none = Total { value: 0.0, error: 0.0 };
        Self { mean: none, squares: none }.with(first, 1.0)
    }

    #[inline]
    fn with(self, value: f64, count: f64) -> Self {
        let delta = value - (self.mean.value + self.mean.error);
        let mean = self.mean.plus(delta / count);
        Self { mean, squares: self.squares.plus(delta * (value - (mean.value + mean.error))) }
    }

    fn result(self, count: f64) -> f64 {
        (self.squares.value + self.squares.error) / count
    }
}

/// Whether `func` is one of these.
pub(super) fn takes(func: RangeFunc) -> bool {
    matches!(func, RangeFunc::Sum | RangeFunc::Avg | RangeFunc::Stddev | RangeFunc::Stdvar)
}

/// Calls `each` with the number of each of `windows`, which are parts of `values` from a first to before a last and never
/// empty, and the value of `func`, which [`takes`] says yes to.
pub(super) fn fold_each(
    func: RangeFunc,
    values: &[f64],
    windows: &[(usize, usize)],
    mut each: impl FnMut(usize, f64),
) {
    for (group, windows) in windows.chunks(LANES).enumerate() {
        let found = match func {
            RangeFunc::Sum => fold::<Total>(values, windows),
            RangeFunc::Avg => fold::<Mean>(values, windows),
            _ => fold::<Variance>(values, windows),
        };
        for (lane, (window, value)) in windows.iter().zip(found).enumerate() {
            let value = match func {
                // Infinite or none: the other way knows what becomes of it.
                _ if !value.is_finite() => whole(func, &values[window.0..window.1]),
                RangeFunc::Stddev => value.sqrt(),
                _ => value,
            };
            each(group * LANES + lane, value);
        }
    }
}

fn whole(func: RangeFunc, values: &[f64]) -> f64 {
    over_time::fold(func, &Window { timestamps: &[], values, starts: &[], start: 0, end: 0 })
}

/// The results of up to [`LANES`] windows.
fn fold<F: Folding>(values: &[f64], windows: &[(usize, usize)]) -> [f64; LANES] {
    // Where there are fewer, the last one again.
    let of = |lane: usize| windows[lane.min(windows.len() - 1)];
    let common = windows.iter().map(|(from, to)| to - from).min().unwrap_or(0);
    let parts: [&[f64]; LANES] = std::array::from_fn(|lane| &values[of(lane).0..][..common]);
    let mut lanes: [F; LANES] = std::array::from_fn(|lane| F::of(parts[lane][0]));
    let mut count = 1.0;
    for at in 1..common {
        count += 1.0;
        for (lane, part) in lanes.iter_mut().zip(&parts) {
            *lane = lane.with(part[at], count);
        }
    }
    std::array::from_fn(|lane| {
        let (from, to) = of(lane);
        let mut count = common as f64;
        let folded = values[from + common..to].iter().fold(lanes[lane], |folded, value| {
            count += 1.0;
            folded.with(*value, count)
        });
        folded.result(count)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn windows_side_by_side_give_what_each_gives_alone(
            values in prop::collection::vec(prop_oneof![
                6 => -1e3f64..1e3,
                2 => (0i32..9).prop_map(|n| f64::from(n) / 10.0),
                1 => prop_oneof![
                    Just(f64::NAN), Just(-0.0), Just(f64::INFINITY), Just(f64::NEG_INFINITY), Just(1.5e308), Just(5e-324),
                ],
            ], 1..80),
            finite: bool,
            windows in prop::collection::vec((0usize..80, 1usize..80), 1..30),
        ) {
            let values: Vec<f64> = values.iter().map(|v| if finite && v.abs() <= 1e3 { *v } else if finite { 0.1 } else { *v }).collect();
            let windows: Vec<(usize, usize)> = windows.iter().map(|(from, length)| {
                let from = from % values.len();
                (from, (from + length).min(values.len()))
            }).collect();
            for func in [RangeFunc::Sum, RangeFunc::Avg, RangeFunc::Stddev, RangeFunc::Stdvar] {
                prop_assert!(takes(func));
                let mut seen = 0;
                let mut fault = None;
                fold_each(func, &values, &windows, |at, found| {
                    let (from, to) = windows[at];
                    let expected = whole(func, &values[from..to]);
                    if at != seen || (found.to_bits() != expected.to_bits() && !(found.is_nan() && expected.is_nan())) {
                        fault = Some((at, found, expected));
                    }
                    seen += 1;
                });
                prop_assert_eq!(fault, None, "{:?}", func);
                prop_assert_eq!(seen, windows.len());
            }
        }
    }
}
