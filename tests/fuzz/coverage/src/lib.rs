//! What the fuzz targets share: a bound on memory, inputs made of bytes, a log in memory.
//!
//! A target reads its first byte as the choice of what it looks at, so that one corpus serves all of it.

pub mod fs;
pub mod input;
pub mod seeds;

use peak_alloc::PeakAlloc;

#[global_allocator]
static HEAP: PeakAlloc = PeakAlloc;

/// Runs `look` and panics when it takes more than `max_mb` megabytes at any moment.
pub fn within<T>(max_mb: usize, look: impl FnOnce() -> T) -> T {
    let before = HEAP.current_usage();
    HEAP.reset_peak_usage();
    let out = look();
    let taken = HEAP.peak_usage().saturating_sub(before) >> 20;
    assert!(taken <= max_mb, "{taken} MB were taken, {max_mb} MB are enough");
    out
}

/// Adds a number of seven bits a byte, as the formats of the database have it.
pub fn put_varint(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}
