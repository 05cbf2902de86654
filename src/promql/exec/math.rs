//! Arithmetic with the exact meaning it has in the query language.

use crate::promql::syntax::ast::BinaryOp;

/// A sum that carries the rounding error along (Neumaier). An infinite total has no error.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Sum {
    pub(crate) value: f64,
    pub(crate) error: f64,
}

impl Sum {
    /// A sum of one number.
    pub(crate) fn of(value: f64) -> Self {
        Self { value, error: 0.0 }
    }

    /// The sum and `add`.
    #[inline]
    pub(crate) fn plus(self, add: f64) -> Self {
        let total = self.value + add;
        let error = if total.is_infinite() {
            0.0
        } else if self.value.abs() >= add.abs() {
            self.error + ((self.value - total) + add)
        } else {
            self.error + ((add - total) + self.value)
        };
        Self { value: total, error }
    }

    /// The sum with its error added.
    pub(crate) fn total(self) -> f64 {
        self.value + self.error
    }
}

/// A mean that is a sum until the sum would overflow, and incremental from then on.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Mean {
    sum: Sum,
    count: f64,
    incremental: bool,
}

impl Mean {
    /// The mean of one number.
    pub(crate) fn of(value: f64) -> Self {
        Self { sum: Sum::of(value), count: 1.0, incremental: false }
    }

    /// Adds a number.
    pub(crate) fn add(&mut self, value: f64) {
        self.count += 1.0;
        let count = self.count;
        if !self.incremental {
            let sum = self.sum.plus(value);
            if !sum.value.is_infinite() {
                self.sum = sum;
                return;
            }
            self.incremental = true;
            self.sum.value /= count - 1.0;
            self.sum.error /= count - 1.0;
        }
        let weight = (count - 1.0) / count;
        self.sum = Sum { value: weight * self.sum.value, error: weight * self.sum.error }.plus(value / count);
    }

    /// The mean so far.
    pub(crate) fn result(&self) -> f64 {
        if self.incremental {
            self.sum.value + self.sum.error
        } else {
            self.sum.value / self.count + self.sum.error / self.count
        }
    }
}

/// Logarithm to the base of two, rounded as other servers round it: exponent and fraction apart.
pub(crate) fn log2(value: f64) -> f64 {
    if !value.is_finite() || value <= 0.0 {
        return value.log2();
    }
    let scaled = if value < f64::MIN_POSITIVE { value * 2f64.powi(54) } else { value };
    let bits = scaled.to_bits();
    // The fraction between one half and one, and the exponent that goes with it.
    let fraction = f64::from_bits(bits & !(0x7ff << 52) | (0x3fe << 52));
    let mut exponent = (bits >> 52) as f64 - 1022.0;
    if value < f64::MIN_POSITIVE {
        exponent -= 54.0;
    }
    if fraction == 0.5 { exponent - 1.0 } else { fraction.ln() * (1.0 / std::f64::consts::LN_2) + exponent }
}

/// Two to the power of `value`, rounded as other servers round it: by the usual rational approximation of `exp`.
#[expect(clippy::cast_possible_truncation, reason = "between the bounds checked before")]
pub(crate) fn exp2(value: f64) -> f64 {
    const LN2_HIGH: f64 = 6.931_471_803_691_238e-1;
    const LN2_LOW: f64 = 1.908_214_929_270_587_7e-10;
    const P: [f64; 5] = [
        1.666_666_666_666_666_6e-1,
        -2.777_777_777_701_559e-3,
        6.613_756_321_437_934e-5,
        -1.653_390_220_546_525_2e-6,
        4.138_136_797_057_238_5e-8,
    ];
    if !(-1074.0..1024.0).contains(&value) {
        return value.exp2();
    }
    let whole = (value + 0.5f64.copysign(value)).trunc();
    let part = value - whole;
    let (high, low) = (part * LN2_HIGH, -part * LN2_LOW);
    let reduced = high - low;
    let square = reduced * reduced;
    let series = P[0] + square * (P[1] + square * (P[2] + square * (P[3] + square * P[4])));
    let correction = reduced - square * series;
    let fraction = 1.0 - ((low - (reduced * correction) / (2.0 - correction)) - high);
    let (first, second) = (whole as i32 / 2, whole as i32 - whole as i32 / 2);
    fraction * 2f64.powi(first) * 2f64.powi(second)
}

/// From here on the square of a number plus or minus one is that square.
const LARGE: f64 = 268_435_456.0;

/// Inverse hyperbolic sine, of the largest numbers too, whose double is infinite.
pub(crate) fn asinh(value: f64) -> f64 {
    let size = value.abs();
    if size > LARGE { (size.ln() + std::f64::consts::LN_2).copysign(value) } else { value.asinh() }
}

/// Inverse hyperbolic cosine, likewise.
pub(crate) fn acosh(value: f64) -> f64 {
    if value > LARGE { value.ln() + std::f64::consts::LN_2 } else { value.acosh() }
}

/// Orders numbers with NaN before everything.
pub(crate) fn nan_first(a: f64, b: f64) -> std::cmp::Ordering {
    match (a.is_nan(), b.is_nan()) {
        (true, true) => std::cmp::Ordering::Equal,
        (true, false) => std::cmp::Ordering::Less,
        (false, true) => std::cmp::Ordering::Greater,
        (false, false) => a.partial_cmp(&b).unwrap_or(std::cmp::Ordering::Equal),
    }
}

/// Orders numbers with NaN before everything and the negative zero before the other.
pub(crate) fn sorted_order(a: f64, b: f64) -> std::cmp::Ordering {
    nan_first(a, b).then_with(|| if a.is_nan() { std::cmp::Ordering::Equal } else { a.total_cmp(&b) })
}

/// The quantile of `values`, whose order is lost.
pub(crate) fn quantile(q: f64, values: &mut [f64]) -> f64 {
    place(q, values.len(), |at| {
        let (_, lower, above) = values.select_nth_unstable_by(at, |a, b| sorted_order(*a, *b));
        let upper = above.iter().copied().min_by(|a, b| sorted_order(*a, *b));
        (*lower, upper.unwrap_or(*lower))
    })
}

/// The quantile of `values`, which are in [`sorted_order`].
pub(crate) fn quantile_of_sorted(q: f64, values: &[f64]) -> f64 {
    place(q, values.len(), |at| (values[at], values[(at + 1).min(values.len() - 1)]))
}

/// The quantile of `count` values; `at` gives the value of a rank and the one after it.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the rank lies between zero and the length"
)]
fn place(q: f64, count: usize, at: impl FnOnce(usize) -> (f64, f64)) -> f64 {
    if count == 0 || q.is_nan() {
        return f64::NAN;
    }
    if q < 0.0 {
        return f64::NEG_INFINITY;
    }
    if q > 1.0 {
        return f64::INFINITY;
    }
    let rank = q * (count - 1) as f64;
    let weight = rank - rank.floor();
    let (lower, upper) = at((rank.floor().max(0.0) as usize).min(count - 1));
    lower * (1.0 - weight) + upper * weight
}

/// The smaller number; NaN if either is. Negative zero is smaller than zero.
pub(crate) fn min_of(a: f64, b: f64) -> f64 {
    if a == f64::NEG_INFINITY || b == f64::NEG_INFINITY {
        f64::NEG_INFINITY
    } else if a.is_nan() || b.is_nan() {
        f64::NAN
    } else if a == 0.0 && a == b {
        if a.is_sign_negative() { a } else { b }
    } else if a < b {
        a
    } else {
        b
    }
}

/// The larger number; NaN if either is. Zero is larger than negative zero.
pub(crate) fn max_of(a: f64, b: f64) -> f64 {
    if a == f64::INFINITY || b == f64::INFINITY {
        f64::INFINITY
    } else if a.is_nan() || b.is_nan() {
        f64::NAN
    } else if a == 0.0 && a == b {
        if a.is_sign_negative() { b } else { a }
    } else if a > b {
        a
    } else {
        b
    }
}

/// The result of `a op b` and whether a comparison holds. Comparisons yield the left operand.
#[inline]
pub(crate) fn binary(op: BinaryOp, a: f64, b: f64) -> (f64, bool) {
    match op {
        BinaryOp::Add => (a + b, true),
        BinaryOp::Sub => (a - b, true),
        BinaryOp::Mul => (a * b, true),
        BinaryOp::Div => (a / b, true),
        BinaryOp::Mod => (a % b, true),
        BinaryOp::Pow => (a.powf(b), true),
        BinaryOp::Atan2 => (a.atan2(b), true),
        BinaryOp::Equal => (a, a == b),
        BinaryOp::NotEqual => (a, a != b),
        BinaryOp::Less => (a, a < b),
        BinaryOp::LessEqual => (a, a <= b),
        BinaryOp::Greater => (a, a > b),
        BinaryOp::GreaterEqual => (a, a >= b),
        // Trimming needs a histogram; set operators never get here.
        BinaryOp::TrimUpper | BinaryOp::TrimLower | BinaryOp::And | BinaryOp::Or | BinaryOp::Unless => {
            (a, false)
        }
    }
}

/// `a op b` of two scalars, where comparisons yield 0 or 1.
pub(crate) fn scalar(op: BinaryOp, a: f64, b: f64) -> f64 {
    let (value, holds) = binary(op, a, b);
    if op.is_comparison() { f64::from(u8::from(holds)) } else { value }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_without_losing_small_parts() {
        let sum = [1.0, 1e100, 1.0, -1e100].into_iter().fold(Sum::default(), Sum::plus);
        assert_eq!(sum.total(), 2.0);
        let mut mean = Mean::of(f64::MAX);
        mean.add(f64::MAX);
        assert!((mean.result() / f64::MAX - 1.0).abs() < 1e-12);
    }

    #[test]
    fn quantiles_interpolate_between_ranks() {
        let check = |q: f64, expected: f64| {
            let got = quantile(q, &mut [3.0, 1.0, 2.0]);
            assert_eq!(got.to_bits(), quantile_of_sorted(q, &[1.0, 2.0, 3.0]).to_bits());
            assert!(got == expected || (got.is_nan() && expected.is_nan()), "{q}: {got}");
        };
        check(0.0, 1.0);
        check(0.5, 2.0);
        check(0.75, 2.5);
        check(1.0, 3.0);
        check(-1.0, f64::NEG_INFINITY);
        check(2.0, f64::INFINITY);
        check(f64::NAN, f64::NAN);
    }

    #[test]
    fn inverse_hyperbolic_functions_of_large_numbers_are_finite() {
        for value in [3e8, 1e30, 1e154, 1.7e308] {
            // The logarithm of the double, without doubling.
            let expected = (value / 4.0f64).ln() + 8.0f64.ln();
            for found in [asinh(value), -asinh(-value), acosh(value)] {
                assert!((found - expected).abs() < 1e-12, "{value}: {found}");
            }
        }
        assert_eq!((asinh(f64::NEG_INFINITY), acosh(f64::INFINITY)), (f64::NEG_INFINITY, f64::INFINITY));
        assert!((asinh(LARGE) - asinh(LARGE.next_up())).abs() < 1e-12);
        assert!(asinh(f64::NAN).is_nan() && acosh(0.5).is_nan() && asinh(-0.0).is_sign_negative());
    }

    #[test]
    fn powers_of_two_and_their_logarithms() {
        for exponent in [-1074.0, -1022.0, -3.0, 0.0, 1.0, 1023.0] {
            assert_eq!((exp2(exponent), log2(exponent.exp2())), (exponent.exp2(), exponent));
        }
        for value in [0.3, 2.5, 1e-310, 7.7e300] {
            assert!((log2(value) - value.log2()).abs() <= 1e-13 * value.log2().abs());
            assert!((exp2(log2(value)) / value - 1.0).abs() < 1e-12, "{value}");
        }
        assert_eq!((log2(0.0), log2(f64::INFINITY)), (f64::NEG_INFINITY, f64::INFINITY));
        assert!(log2(-1.0).is_nan() && exp2(f64::NAN).is_nan());
        assert_eq!((exp2(2000.0), exp2(-2000.0)), (f64::INFINITY, 0.0));
    }

    #[test]
    fn picks_propagate_nan() {
        assert!(min_of(f64::NAN, 1.0).is_nan());
        assert!(max_of(1.0, f64::NAN).is_nan());
        assert_eq!(max_of(1.0, 2.0), 2.0);
        assert_eq!(min_of(1.0, 2.0), 1.0);
    }
}
