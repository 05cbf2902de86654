//! In which order the samples of a commit are judged, logged and applied.
//!
//! Floats and native histograms come in two lists. Where a series has both in one commit they are brought together by
//! time, so that neither makes the other out of order wherever it stands; within its list a sample keeps its place.
//! The log takes them in rounds, floats first: a series that goes back to floats begins its next round.
//!
//! **Cost**: nothing but the numbers unless a commit holds both.

use std::collections::VecDeque;

use hashbrown::HashMap;

use crate::tsdb::SeriesRef;

/// Where a round ends in the lists of what was accepted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Round {
    /// Float samples in it and those before it.
    pub(super) floats: usize,
    /// Native histograms, which come behind its floats.
    pub(super) histograms: usize,
}

/// Native histograms of one series that wait for their turn.
#[derive(Default)]
struct Waiting {
    /// Timestamp and number of each.
    histograms: VecDeque<(i64, usize)>,
    round: u32,
    /// Whether the last one in the round was a histogram.
    ended: bool,
}

/// The order in which staged samples are judged, as pairs of round and number; histograms are numbered behind floats.
/// Both lists hold series and timestamp.
pub(super) fn rounds(
    floats: impl ExactSizeIterator<Item = (SeriesRef, i64)>,
    histograms: impl ExactSizeIterator<Item = (SeriesRef, i64)>,
) -> Vec<(u32, usize)> {
    let count = floats.len();
    let mut waiting: HashMap<SeriesRef, Waiting> = HashMap::new();
    let mut order = Vec::with_capacity(count + histograms.len());
    for (at, (series, time)) in histograms.enumerate() {
        waiting.entry(series).or_default().histograms.push_back((time, count + at));
    }
    for (number, (series, time)) in floats.enumerate() {
        let Some(one) = waiting.get_mut(&series) else {
            order.push((0, number));
            continue;
        };
        while let Some((_, number)) = one.histograms.front().copied().filter(|(before, _)| *before < time) {
            one.histograms.pop_front();
            order.push((one.round, number));
            one.ended = true;
        }
        one.round += u32::from(std::mem::take(&mut one.ended));
        order.push((one.round, number));
    }
    for one in waiting.into_values() {
        order.extend(one.histograms.into_iter().map(|(_, number)| (one.round, number)));
    }
    order.sort_unstable();
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_and_histograms_of_a_series_are_judged_by_time() {
        let check = |floats: &[(u64, i64)], histograms: &[(u64, i64)], expected: &[(u32, usize)]| {
            let given = |list: &[(u64, i64)]| {
                list.iter().map(|(series, time)| (SeriesRef(*series), *time)).collect::<Vec<_>>()
            };
            let found = rounds(given(floats).into_iter(), given(histograms).into_iter());
            assert_eq!(found, expected, "{floats:?} {histograms:?}");
        };
        check(&[(1, 5)], &[(2, 1)], &[(0, 0), (0, 1)]);
        check(&[(1, 5)], &[(1, 7)], &[(0, 0), (0, 1)]);
        check(&[(1, 5)], &[(1, 3)], &[(0, 1), (1, 0)]);
        // Of equal times the float comes first; of a list that goes back in time each keeps its place.
        check(&[(1, 5), (1, 2)], &[(1, 5), (1, 1)], &[(0, 0), (0, 1), (0, 2), (0, 3)]);
        check(
            &[(1, 2), (3, 9), (1, 4)],
            &[(1, 1), (1, 3), (1, 5)],
            &[(0, 1), (0, 3), (1, 0), (1, 4), (2, 2), (2, 5)],
        );
    }
}
