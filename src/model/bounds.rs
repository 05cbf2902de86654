//! What one series and one sample may be made of. Intake asks here, and nothing behind it refuses what this let in.
//!
//! Log, head, blocks and index are written so that they can hold anything inside these bounds; their readers take
//! more than that, so that data of earlier builds stays readable.

use super::{Histogram, Labels};

/// Labels of one series at most.
pub const MAX_LABELS: usize = 1 << 16;
/// Bytes of the names and values of one series at most.
pub const MAX_LABEL_BYTES: usize = 1 << 20;
/// Numbers one native histogram is made of at most, see [`Histogram::cells`].
pub const MAX_HISTOGRAM_CELLS: usize = 1 << 16;

/// A packed label takes at least a byte of name, one of value and their two lengths.
const MIN_PACKED_BYTES: usize = 4;

/// Something is larger than what is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OverBound {
    /// Too many labels.
    #[error("series has {count} labels, the limit is {MAX_LABELS}")]
    Labels {
        /// How many.
        count: usize,
    },
    /// Too much text.
    #[error("series labels have {bytes} bytes, the limit is {MAX_LABEL_BYTES}")]
    LabelBytes {
        /// Of names, values and their lengths.
        bytes: usize,
    },
    /// Too many buckets, spans and custom bounds.
    #[error(
        "native histogram has {cells} buckets, bounds and span numbers, the limit is {MAX_HISTOGRAM_CELLS}"
    )]
    Histogram {
        /// How many.
        cells: usize,
    },
}

/// Whether labels may be those of a series.
///
/// # Errors
/// Saying which bound they are over.
pub fn check_labels(labels: &Labels) -> Result<(), OverBound> {
    check_packed(labels.packed_len(), || labels.len())
}

/// As [`check_labels`], of labels that take `bytes` in packed form; `count` is asked only if it may matter.
pub(crate) fn check_packed(bytes: usize, count: impl FnOnce() -> usize) -> Result<(), OverBound> {
    if bytes > MAX_LABEL_BYTES {
        return Err(OverBound::LabelBytes { bytes });
    }
    if bytes / MIN_PACKED_BYTES <= MAX_LABELS {
        return Ok(());
    }
    check_label_count(count())
}

/// Whether a series may have so many labels.
pub(crate) fn check_label_count(count: usize) -> Result<(), OverBound> {
    if count > MAX_LABELS { Err(OverBound::Labels { count }) } else { Ok(()) }
}

/// Whether a histogram may be a sample.
///
/// # Errors
/// Saying how large it is.
pub fn check_histogram(histogram: &Histogram) -> Result<(), OverBound> {
    check_cells(histogram.cells())
}

/// Whether a histogram may be made of so many numbers.
pub(crate) fn check_cells(cells: usize) -> Result<(), OverBound> {
    if cells > MAX_HISTOGRAM_CELLS { Err(OverBound::Histogram { cells }) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(count: usize, value: &str) -> Labels {
        Labels::from_pairs((0..count).map(|n| (format!("l{n:05}"), value)))
    }

    #[test]
    fn the_largest_series_is_taken_and_the_next_one_is_not() {
        assert_eq!(check_labels(&labels(MAX_LABELS, "v")), Ok(()));
        assert_eq!(
            check_labels(&labels(MAX_LABELS + 1, "v")),
            Err(OverBound::Labels { count: MAX_LABELS + 1 })
        );
        let long = labels(1, &"v".repeat(MAX_LABEL_BYTES));
        assert_eq!(check_labels(&long), Err(OverBound::LabelBytes { bytes: long.packed_len() }));
        assert_eq!(check_labels(&labels(1, &"v".repeat(MAX_LABEL_BYTES - 20))), Ok(()));
    }
}
