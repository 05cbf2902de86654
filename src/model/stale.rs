//! The stale marker: the value that says that a series ended.

/// Bits of the NaN that says "this series ended here". Every other NaN is an ordinary value.
pub const STALE_NAN_BITS: u64 = 0x7ff0_0000_0000_0002;

/// The stale marker as a value.
pub fn stale_nan() -> f64 {
    f64::from_bits(STALE_NAN_BITS)
}

/// Whether `value` is the stale marker, bit for bit.
pub fn is_stale(value: f64) -> bool {
    value.to_bits() == STALE_NAN_BITS
}
