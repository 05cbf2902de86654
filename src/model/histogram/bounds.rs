//! Where the buckets of a histogram begin and end.

use std::sync::LazyLock;

use super::CUSTOM_SCHEMA;

/// Finest schema with a formula.
const FINEST: i32 = 8;

/// Coarsest schema.
const COARSEST: i32 = -4;

/// Bounds between one half and one of the finest schema.
///
/// They are not the nearest floats: a bound is one half, or the float below the root of one half, times the roots of
/// two that its number asks for, the largest first. Every server prints the bounds this gives.
static FRACTIONS: LazyLock<[f64; 256]> = LazyLock::new(|| {
    let mut roots = [0.0; 8];
    let mut root = 2.0f64;
    for slot in &mut roots {
        root = root.sqrt();
        *slot = root;
    }
    let mut out = [0.5; 256];
    for (number, bound) in out.iter_mut().enumerate() {
        if number >= 128 {
            *bound = 0.5f64.sqrt().next_down();
        }
        for (bit, root) in roots.iter().enumerate().skip(1) {
            if number >> (7 - bit) & 1 == 1 {
                *bound *= root;
            }
        }
    }
    out
});

/// `fraction` times two to the power `exponent`, also where that power alone is no float.
fn scaled(fraction: f64, exponent: i64) -> f64 {
    let exponent = i32::try_from(exponent.clamp(-2200, 2200)).unwrap_or(0);
    let (first, second) = (exponent / 2, exponent - exponent / 2);
    // Each half is a normal power, so that only the last product rounds.
    let power = |e: i32| if e.abs() <= 1000 { 2f64.powi(e) } else { 2f64.powi(e / 2) * 2f64.powi(e - e / 2) };
    if exponent > -1020 {
        fraction * power(first) * power(second)
    } else {
        fraction * 2f64.powi(-1000) * power(exponent + 1000)
    }
}

/// Upper bound of bucket `index` of positive observations in an exponential schema.
pub fn exponential(index: i32, schema: i32) -> f64 {
    let schema = schema.clamp(COARSEST, FINEST);
    let (fraction, exponent) = if schema < 0 {
        (0.5, (i64::from(index) << -schema) + 1)
    } else {
        let within = index & ((1 << schema) - 1);
        let number = usize::try_from(within << (FINEST - schema)).unwrap_or(0);
        (FRACTIONS[number], (i64::from(index) >> schema) + 1)
    };
    if fraction == 0.5 && exponent == 1025 {
        // The last bucket of finite observations; the one above it holds the infinite ones.
        return f64::MAX;
    }
    scaled(fraction, exponent)
}

/// Upper bound of bucket `index`: of an exponential schema, or one of `custom_values`.
pub(super) fn upper(index: i32, schema: i32, custom_values: &[f64]) -> f64 {
    if schema != CUSTOM_SCHEMA {
        return exponential(index, schema);
    }
    match usize::try_from(index) {
        Ok(index) => custom_values.get(index).copied().unwrap_or(f64::INFINITY),
        Err(_) => f64::NEG_INFINITY,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_those_every_server_prints() {
        let check = |index, schema, expected: f64| {
            assert_eq!(exponential(index, schema), expected, "{index} {schema}");
        };
        check(0, 0, 1.0);
        check(1, 0, 2.0);
        check(-1, 0, 0.5);
        check(1, -1, 4.0);
        check(-1, -4, 2f64.powi(-16));
        // The float below the root of two.
        check(1, 1, std::f64::consts::SQRT_2.next_down());
        check(-128, 8, 0.707_106_781_186_547_5);
        check(-1, 8, 0.997_296_056_085_469_8);
        check(-250, 8, 0.508_189_157_455_476_4);
        check(1024, 0, f64::MAX);
        check(1025, 0, f64::INFINITY);
        check(64, -4, f64::MAX);
        check(65, -4, f64::INFINITY);
        check(-1074, 0, f64::from_bits(1));
        check(-1022, 0, f64::MIN_POSITIVE);
        check(-1100, 0, 0.0);
        check(i32::MAX, -4, f64::INFINITY);
        check(i32::MIN, -4, 0.0);
        check(i32::MIN, 8, 0.0);
    }

    #[test]
    fn custom_bounds_end_in_infinity() {
        let bounds = [1.0, 2.0];
        let all: Vec<f64> = (-1..4).map(|index| upper(index, CUSTOM_SCHEMA, &bounds)).collect();
        assert_eq!(all, [f64::NEG_INFINITY, 1.0, 2.0, f64::INFINITY, f64::INFINITY]);
    }
}
