//! Start timestamps of a column: when what its samples count began, as runs of samples that share one.
//!
//! A target counts from one moment on until it starts anew, so that nearly every column that has any is a single run.
//!
//! **Format**: `docs/format/chunks.md`, "Start timestamps".
//! **Cost**: seven bytes for a column of one run, some four for each further one, before the bundle is compressed.

#![cfg_attr(not(test), deny(clippy::indexing_slicing))]

use crate::codec::{ByteReader, ByteWriter, CodecError};

/// Appends the runs of `starts` (milliseconds, 0 where unknown), one for each sample of a column, at least one.
pub fn encode(starts: &[i64], out: &mut Vec<u8>) {
    let runs = || starts.chunk_by(|a, b| a == b);
    out.put_len(runs().count());
    let mut before = 0i64;
    // How long the last one is says the length of the column.
    let mut length = None;
    for run in runs() {
        if let Some(length) = length.replace(run.len()) {
            out.put_len(length);
        }
        let start = run.first().copied().unwrap_or(0);
        out.put_zigzag(start.wrapping_sub(before));
        before = start;
    }
}

/// Reads the runs of a column of `count` samples, calling `visit` with the length of each and its start.
///
/// # Errors
/// When the bytes are cut or damaged; some runs may have been visited then.
pub fn decode(
    reader: &mut ByteReader<'_>,
    count: usize,
    mut visit: impl FnMut(usize, i64),
) -> Result<(), CodecError> {
    let runs = reader.len("start count", count)?;
    let mut left = count;
    let mut start = 0i64;
    for number in 1..=runs {
        start = start.wrapping_add(reader.zigzag()?);
        // As many samples stay as there are runs to come.
        let length =
            if number == runs { left } else { reader.len("run of starts", left - (runs - number))? };
        if length == 0 {
            return Err(reader.invalid("run of starts"));
        }
        left -= length;
        visit(length, start);
    }
    if left == 0 { Ok(()) } else { Err(reader.invalid("start count")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(bytes: &[u8], count: usize) -> Result<Vec<i64>, CodecError> {
        let mut reader = ByteReader::new(bytes);
        let mut back = Vec::new();
        decode(&mut reader, count, |length, start| back.resize(back.len() + length, start))?;
        if reader.is_empty() { Ok(back) } else { Err(reader.invalid("length")) }
    }

    fn round_trip(starts: &[i64]) -> usize {
        let mut out = Vec::new();
        encode(starts, &mut out);
        assert_eq!(read(&out, starts.len()).expect("own output"), starts);
        out.len()
    }

    #[test]
    fn a_column_of_one_run_takes_a_few_bytes() {
        let start = 1_700_000_000_123;
        assert_eq!(round_trip(&[start; 480]), 7);
        assert_eq!(round_trip(&[&[start; 300][..], &[start + 3_600_000; 180]].concat()), 7 + 2 + 4);
        // Each sample counts from the one before.
        let deltas: Vec<i64> = (0..480).map(|n| start + n * 15_000).collect();
        assert!(round_trip(&deltas) < 480 * 4 + 9);
    }

    #[test]
    fn runs_that_do_not_add_up_are_refused() {
        let check = |bytes: &[u8], count: usize, fits: bool| {
            assert_eq!(read(bytes, count).is_ok(), fits, "{bytes:?} of {count}");
        };
        check(&[1, 4], 3, true);
        check(&[2, 4, 2, 6], 3, true);
        check(&[2, 4, 3, 6], 3, false);
        check(&[2, 4, 0, 6], 3, false);
        check(&[2, 4, 1], 3, false);
        check(&[0], 3, false);
        check(&[0], 0, true);
        check(&[4, 2, 1, 2, 1, 2, 1, 2], 3, false);
        check(&[3, 2, 1, 2, 1, 2], 3, true);
        check(&[1, 4, 0], 3, false);
    }

    proptest! {
        #[test]
        fn any_starts_come_back(runs in prop::collection::vec((prop_oneof![any::<i64>(), Just(0)], 1usize..9), 1..40)) {
            let starts: Vec<i64> = runs.iter().flat_map(|(start, length)| vec![*start; *length]).collect();
            round_trip(&starts);
        }

        #[test]
        fn damaged_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..60), count in 0usize..9000) {
            if let Ok(starts) = read(&bytes, count) {
                prop_assert_eq!(starts.len(), count);
            }
        }
    }
}
