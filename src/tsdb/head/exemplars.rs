//! Exemplars of the series in the head: judged as Prometheus does, bounded over all series.
//!
//! **Invariants**: an exemplar is applied only after the log has it. What a block holds is no longer shown; but the
//! newest exemplar of a series stays, hidden, so that a target that goes on exposing it is not believed again.
//!
//! **Cost**: a few hundred bytes for each exemplar, at most as many as the limit says; the one that came first leaves
//! first.

use std::collections::VecDeque;

use hashbrown::HashMap;

use crate::model::{Exemplar, MAX_EXEMPLAR_CHARACTERS, TimeRange};
use crate::tsdb::SeriesRef;
use crate::tsdb::record::exemplars::LoggedExemplar;

/// What became of the exemplars of a commit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ExemplarStats {
    /// Now visible.
    pub committed: usize,
    /// There already.
    pub repeated: usize,
    /// Older than what their series has.
    pub out_of_order: usize,
    /// Labels of too many characters.
    pub too_long: usize,
    /// Too far ahead of the clock.
    pub too_far_ahead: usize,
    /// Of series that are not there.
    pub unknown: usize,
    /// Not wanted: the limit is 0.
    pub disabled: usize,
    /// Number of the first that is out of order, among those that were staged.
    pub first_out_of_order: Option<usize>,
}

/// What becomes of one exemplar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Accepted,
    Repeated,
    OutOfOrder,
    TooLong,
    TooFarAhead,
    Unknown,
    Disabled,
}

impl ExemplarStats {
    /// Counts what became of exemplar number `at`.
    pub(super) fn count(&mut self, at: usize, verdict: Verdict) {
        if verdict == Verdict::OutOfOrder {
            self.first_out_of_order.get_or_insert(at);
        }
        *match verdict {
            // Counted when it is applied.
            Verdict::Accepted => return,
            Verdict::Repeated => &mut self.repeated,
            Verdict::OutOfOrder => &mut self.out_of_order,
            Verdict::TooLong => &mut self.too_long,
            Verdict::TooFarAhead => &mut self.too_far_ahead,
            Verdict::Unknown => &mut self.unknown,
            Verdict::Disabled => &mut self.disabled,
        } += 1;
    }
}

#[derive(Debug)]
struct Kept {
    exemplar: Exemplar,
    timed: bool,
    /// When it came, counted over all series.
    arrival: u64,
    /// Whether a block has it.
    stored: bool,
}

/// The exemplars of all series.
#[derive(Debug, Default)]
pub(super) struct Exemplars {
    pub(super) limit: usize,
    /// For each series what it has, in order.
    by_series: HashMap<SeriesRef, VecDeque<Kept>, foldhash::fast::FixedState>,
    /// Those in the order they came; some of them may have left.
    arrivals: VecDeque<(SeriesRef, u64)>,
    pub(super) count: usize,
    pub(super) next: u64,
}

impl Exemplars {
    /// Sets how many are kept; the oldest leave.
    pub(super) fn set_limit(&mut self, limit: usize) {
        self.limit = limit;
        self.evict();
        self.tidy();
    }

    /// The newest of a series, as far as the next one is judged by it.
    pub(super) fn newest(&self, series: SeriesRef) -> Option<(&Exemplar, bool)> {
        self.by_series.get(&series)?.back().map(|kept| (&kept.exemplar, kept.timed))
    }

    /// Decides on `one`; `newest` is the newest of its series. `window` (milliseconds) is how far behind that it may be.
    pub(super) fn judge(
        &self,
        newest: Option<(&Exemplar, bool)>,
        one: &LoggedExemplar,
        window: i64,
    ) -> Verdict {
        let (exemplar, timed) = (&one.exemplar, one.timed);
        if self.limit == 0 {
            return Verdict::Disabled;
        }
        if exemplar.characters() > MAX_EXEMPLAR_CHARACTERS {
            return Verdict::TooLong;
        }
        let Some((newest, newest_timed)) = newest else { return Verdict::Accepted };
        // One without a timestamp is the same as long as nothing else comes.
        let same_time = !timed && !newest_timed || exemplar.timestamp == newest.timestamp;
        if same_time && exemplar.is_same_observation(newest) {
            return Verdict::Repeated;
        }
        if exemplar.timestamp < newest.timestamp {
            if exemplar.timestamp <= newest.timestamp.saturating_sub(window) {
                return Verdict::OutOfOrder;
            }
            let there = self.by_series.get(&one.series).is_some_and(|all| {
                let at = all.partition_point(|kept| kept.exemplar.timestamp < exemplar.timestamp);
                all.get(at).is_some_and(|kept| kept.exemplar.timestamp == exemplar.timestamp)
            });
            return if there { Verdict::Repeated } else { Verdict::Accepted };
        }
        if exemplar.timestamp == newest.timestamp && exemplar.order(newest).is_lt() {
            return Verdict::OutOfOrder;
        }
        Verdict::Accepted
    }

    /// Adds one that the log has.
    pub(super) fn insert(&mut self, one: LoggedExemplar) {
        if self.limit == 0 {
            return;
        }
        let arrival = self.next;
        self.next += 1;
        let all = self.by_series.entry(one.series).or_default();
        let at = all.partition_point(|kept| kept.exemplar.order(&one.exemplar).is_le());
        all.insert(at, Kept { exemplar: one.exemplar, timed: one.timed, arrival, stored: false });
        self.arrivals.push_back((one.series, arrival));
        self.count += 1;
        self.evict();
    }

    fn evict(&mut self) {
        while self.count > self.limit
            && let Some((series, arrival)) = self.arrivals.pop_front()
        {
            let Some(all) = self.by_series.get_mut(&series) else { continue };
            let Some(at) = all.iter().position(|kept| kept.arrival == arrival) else { continue };
            all.remove(at);
            self.count -= 1;
            if all.is_empty() {
                self.by_series.remove(&series);
            }
        }
    }

    /// Whether series `reference` has any that no block holds.
    pub(super) fn holds(&self, reference: SeriesRef) -> bool {
        self.by_series.get(&reference).is_some_and(|all| all.iter().any(|kept| !kept.stored))
    }

    /// Hides those before `end` that came before arrival `upto`: a block has them.
    pub(super) fn leave(&mut self, end: i64, upto: u64) {
        self.retain(|all| {
            let newest = all.back().map(|kept| kept.arrival);
            all.retain_mut(|kept| {
                kept.stored |= kept.exemplar.timestamp < end && kept.arrival < upto;
                !kept.stored || Some(kept.arrival) == newest
            });
        });
    }

    /// Deletes those of `series` (ascending) inside `range`; says of which series there were any.
    pub(super) fn delete(&mut self, series: &[SeriesRef], range: TimeRange) -> Vec<SeriesRef> {
        let mut touched = Vec::new();
        for reference in series {
            if let Some(all) = self.by_series.get_mut(reference) {
                let before = all.len();
                all.retain(|kept| !range.contains(kept.exemplar.timestamp));
                if all.len() < before {
                    touched.push(*reference);
                }
            }
        }
        if !touched.is_empty() {
            self.retain(|_| {});
        }
        touched
    }

    /// Keeps those of the series for which `there` says true.
    pub(super) fn keep_series(&mut self, there: impl Fn(SeriesRef) -> bool) {
        self.by_series.retain(|reference, _| there(*reference));
        self.retain(|_| {});
    }

    /// The series that have any.
    pub(super) fn series(&self) -> impl ExactSizeIterator<Item = SeriesRef> + '_ {
        self.by_series.keys().copied()
    }

    fn retain(&mut self, mut shorten: impl FnMut(&mut VecDeque<Kept>)) {
        self.count = 0;
        self.by_series.retain(|_, all| {
            shorten(all);
            self.count += all.len();
            !all.is_empty()
        });
        self.tidy();
    }

    /// Forgets arrivals of exemplars that left.
    fn tidy(&mut self) {
        let there = self.by_series.iter();
        let mut live: Vec<_> =
            there.flat_map(|(series, all)| all.iter().map(|kept| (*series, kept.arrival))).collect();
        live.sort_unstable_by_key(|(_, arrival)| *arrival);
        self.arrivals = live.into();
        self.by_series.shrink_to_fit();
    }

    /// Newest timestamp of all, in milliseconds.
    pub(super) fn newest_time(&self) -> Option<i64> {
        self.by_series.values().filter_map(VecDeque::back).map(|kept| kept.exemplar.timestamp).max()
    }

    pub(super) fn shown(&self, series: SeriesRef, range: TimeRange) -> Vec<Exemplar> {
        let all = self.by_series.get(&series).into_iter().flatten();
        let wanted = all.filter(|kept| !kept.stored && range.contains(kept.exemplar.timestamp));
        wanted.map(|kept| kept.exemplar.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Labels;

    fn one(series: u64, timestamp: i64, value: f64, timed: bool) -> LoggedExemplar {
        let labels = Labels::from_pairs([("trace_id", "a")]);
        LoggedExemplar { series: SeriesRef(series), exemplar: Exemplar { labels, value, timestamp }, timed }
    }

    fn kept(all: &Exemplars, series: u64) -> Vec<i64> {
        all.shown(SeriesRef(series), TimeRange::ALL).iter().map(|e| e.timestamp).collect()
    }

    #[test]
    fn are_judged_by_the_newest_of_their_series() {
        let mut all = Exemplars { limit: 10, ..Exemplars::default() };
        let check = |all: &Exemplars, candidate: LoggedExemplar, window, expected| {
            assert_eq!(
                all.judge(all.newest(candidate.series), &candidate, window),
                expected,
                "{candidate:?}"
            );
        };
        check(&all, one(1, 5, 1.0, true), 0, Verdict::Accepted);
        all.insert(one(1, 5, 1.0, true));
        check(&all, one(1, 5, 1.0, true), 0, Verdict::Repeated);
        check(&all, one(1, 5, 1.0, false), 0, Verdict::Repeated);
        check(&all, one(1, 6, 1.0, true), 0, Verdict::Accepted);
        check(&all, one(1, 5, 2.0, true), 0, Verdict::Accepted);
        check(&all, one(1, 5, 0.5, true), 0, Verdict::OutOfOrder);
        check(&all, one(1, 4, 1.0, true), 0, Verdict::OutOfOrder);
        check(&all, one(1, 4, 1.0, true), 2, Verdict::Accepted);
        check(&all, one(1, 3, 1.0, true), 2, Verdict::OutOfOrder);
        check(&all, one(2, 3, 1.0, true), 0, Verdict::Accepted);
        // Without timestamps of their own the same one again says nothing new.
        all.insert(one(3, 5, 1.0, false));
        check(&all, one(3, 9, 1.0, false), 0, Verdict::Repeated);
        check(&all, one(3, 9, 1.0, true), 0, Verdict::Accepted);
        let mut long = one(1, 9, 1.0, true);
        long.exemplar.labels = Labels::from_pairs([("a", "x".repeat(MAX_EXEMPLAR_CHARACTERS))]);
        check(&all, long, 0, Verdict::TooLong);
        check(&Exemplars::default(), one(1, 5, 1.0, true), 0, Verdict::Disabled);
    }

    #[test]
    fn the_first_that_came_leaves_first() {
        let mut all = Exemplars { limit: 3, ..Exemplars::default() };
        for (series, time) in [(1, 10), (2, 5), (1, 20), (2, 6)] {
            all.insert(one(series, time, 1.0, true));
        }
        assert_eq!((kept(&all, 1), kept(&all, 2)), (vec![20], vec![5, 6]));
        all.set_limit(1);
        assert_eq!((kept(&all, 1), kept(&all, 2)), (vec![], vec![6]));
        assert_eq!((all.count, all.arrivals.len(), all.by_series.len()), (1, 1, 1));
        all.set_limit(0);
        all.insert(one(1, 30, 1.0, true));
        assert_eq!((all.count, all.arrivals.len()), (0, 0));
    }

    #[test]
    fn what_a_block_holds_is_hidden_but_remembered() {
        let mut all = Exemplars { limit: 10, ..Exemplars::default() };
        for time in [1, 2, 3] {
            all.insert(one(1, time, 1.0, true));
            all.insert(one(2, time + 10, 1.0, true));
        }
        let mark = all.next;
        all.insert(one(1, 4, 1.0, true));
        all.insert(one(3, 2, 1.0, true));
        all.leave(12, mark);
        assert_eq!((kept(&all, 1), kept(&all, 2), kept(&all, 3)), (vec![4], vec![12, 13], vec![2]));
        let mark = all.next;
        all.leave(5, mark);
        assert_eq!(kept(&all, 1), [] as [i64; 0]);
        assert!(!all.holds(SeriesRef(1)) && all.holds(SeriesRef(2)));
        let again = one(1, 4, 1.0, true);
        assert_eq!(all.judge(all.newest(again.series), &again, 0), Verdict::Repeated);
        assert_eq!(
            all.delete(&[SeriesRef(1), SeriesRef(2)], TimeRange::new(4, 12)),
            [SeriesRef(1), SeriesRef(2)]
        );
        assert_eq!(kept(&all, 2), [13]);
        all.keep_series(|series| series == SeriesRef(2));
        assert_eq!((all.count, all.arrivals.len(), all.by_series.len()), (1, 1, 1));
    }
}
