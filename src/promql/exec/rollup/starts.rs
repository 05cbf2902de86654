//! What start timestamps tell: when a counter began, and whether that was since the sample before.

/// Whether what sample `at` counts began after the sample before it was taken. Without known starts nothing did.
#[inline]
pub(super) fn began_between(starts: &[i64], timestamps: &[i64], at: usize) -> bool {
    let Some(start) = starts.get(at).copied() else { return false };
    is_reset(starts[at - 1], timestamps[at - 1], start, timestamps[at])
}

/// Whether the start of a sample says that it was reset since the one before it.
pub(super) fn is_reset(start_before: i64, before: i64, start: i64, at: i64) -> bool {
    // Zero is unknown, and so is a start at the sample itself; one behind it makes no sense.
    if start == 0 || start >= at || start < before {
        return false;
    }
    if start > before {
        return true;
    }
    // It counts from the sample before: each sample stands for itself, if the one before knew its start too.
    start_before <= before && start_before != 0 && start_before != before
}

/// Whether what a sample counts began before the one before it, but not when that did.
fn overlaps(start_before: i64, before: i64, start: i64) -> bool {
    start != 0 && start < before && start != start_before
}

/// Whether any sample overlaps with the one before it.
pub(super) fn any_overlap(starts: &[i64], timestamps: &[i64]) -> bool {
    starts.windows(2).zip(timestamps).any(|(pair, before)| overlaps(pair[0], *before, pair[1]))
}

/// When the counting of the first sample began, if that is inside the window and before the sample.
pub(super) fn zero_inside(starts: &[i64], window_start: i64, first: i64) -> Option<i64> {
    starts.first().copied().filter(|start| *start != 0 && *start > window_start && *start < first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_start_after_the_sample_before_is_a_reset() {
        // The sample before at 100, this one at 200.
        let check = |start_before, start, expected| {
            assert_eq!(is_reset(start_before, 100, start, 200), expected, "{start_before} {start}");
        };
        check(0, 0, false);
        check(0, 150, true);
        check(0, 50, false);
        check(0, 200, false);
        check(0, 250, false);
        check(50, 100, true);
        check(0, 100, false);
        check(100, 100, false);
        check(150, 100, false);
        assert!(began_between(&[0, 150], &[100, 200], 1));
        assert!(!began_between(&[], &[100, 200], 1));
    }

    #[test]
    fn starts_overlap_when_they_differ_and_lie_too_early() {
        assert!(any_overlap(&[10, 50], &[100, 200]));
        assert!(!any_overlap(&[50, 50], &[100, 200]));
        assert!(!any_overlap(&[50, 100], &[100, 200]));
        assert!(!any_overlap(&[], &[100, 200]));
        assert_eq!(zero_inside(&[50], 40, 100), Some(50));
        assert_eq!(zero_inside(&[50], 50, 100), None);
        assert_eq!(zero_inside(&[0], -10, 100), None);
    }
}
