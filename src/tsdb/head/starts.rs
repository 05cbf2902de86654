//! When counting began, for the samples in order of one series of the head: a step function of time, as its changes;
//! beside it the starts of late samples, one by one.
//!
//! **Cost**: nothing for a series without starts. One with a start takes one small allocation, for as long as the target
//! runs, and 16 bytes for each start before that its samples in the head still have.

use std::collections::BTreeMap;

use thin_vec::ThinVec;

use crate::model::{Samples, TimeRange};

/// Samples from `from` on count since `start`, up to the next run; both in milliseconds, 0 is an unknown start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct StartRun {
    pub(super) from: i64,
    pub(super) start: i64,
}

/// The starts of one series.
#[derive(Debug)]
pub(super) struct Starts {
    /// What holds for the newest sample, and those to come.
    current: StartRun,
    /// What held before, oldest first. Before the first one no start is known.
    earlier: ThinVec<StartRun>,
    /// Starts of late samples, by their time.
    #[expect(clippy::box_collection, reason = "nearly no series has any, and a map takes 24 bytes in place")]
    late: Option<Box<BTreeMap<i64, i64>>>,
    /// File of the log that has the current one.
    logged_in: u32,
}

impl Default for Starts {
    fn default() -> Self {
        let current = StartRun { from: i64::MIN, start: 0 };
        Self { current, earlier: ThinVec::new(), late: None, logged_in: 0 }
    }
}

impl Starts {
    /// The start that holds now.
    pub(super) fn current(&self) -> i64 {
        self.current.start
    }

    /// Whether file `segment` of the log has the current one.
    pub(super) fn is_logged_in(&self, segment: u32) -> bool {
        self.logged_in == segment
    }

    /// Samples in order from `from` on count since `start`, as file `segment` of the log says. What was said of times from
    /// there on was of samples that are not there.
    pub(super) fn set(&mut self, from: i64, start: i64, segment: u32) {
        self.logged_in = segment;
        while self.current.from >= from {
            self.current = self.earlier.pop().unwrap_or(StartRun { from: i64::MIN, start: 0 });
            if self.current.from == i64::MIN {
                break;
            }
        }
        if self.current.start == start {
            return;
        }
        // Where no start is known at first, that needs no run.
        if self.current.from != i64::MIN || self.current.start != 0 {
            self.earlier.push(self.current);
        }
        self.current = StartRun { from, start };
    }

    /// The late sample at `time` counts since `start`.
    pub(super) fn set_late(&mut self, time: i64, start: i64) {
        // Of samples of the same time the first stays.
        self.late.get_or_insert_default().entry(time).or_insert(start);
    }

    /// Forgets the starts of late samples but those at times that are `kept`.
    pub(super) fn retain_late(&mut self, kept: impl Fn(i64) -> bool) {
        if let Some(late) = &mut self.late {
            late.retain(|time, _| kept(*time));
        }
    }

    /// The start of the late sample at `time`.
    pub(super) fn of_late(&self, time: i64) -> i64 {
        self.late.as_ref().and_then(|late| late.get(&time)).copied().unwrap_or(0)
    }

    /// Adds the runs that hold inside `range` to `out`.
    pub(super) fn put_runs(&self, range: TimeRange, out: &mut Vec<StartRun>) {
        let mut all = self.earlier.iter().chain([&self.current]).peekable();
        while let Some(run) = all.next() {
            let is_over = all.peek().is_some_and(|next| next.from <= range.start);
            if !is_over && run.from <= range.end {
                out.push(*run);
            }
        }
    }

    /// Forgets what no sample from `min_time` on has; `is_late` says of which times there still are late samples. Says
    /// whether anything is left.
    pub(super) fn truncate(&mut self, min_time: i64, is_late: impl Fn(i64) -> bool) -> bool {
        let ends = self.earlier.iter().skip(1).map(|run| run.from).chain([self.current.from]);
        let over = ends.take_while(|end| *end <= min_time).count().min(self.earlier.len());
        self.earlier.drain(..over);
        self.earlier.shrink_to_fit();
        self.late = self.late.take().filter(|late| late.keys().any(|time| is_late(*time))).map(|mut late| {
            late.retain(|time, _| is_late(*time));
            late
        });
        self.current.start != 0 || !self.earlier.is_empty() || self.late.is_some()
    }
}

/// The start that `runs` give a sample at `time`.
pub(super) fn at(runs: &[StartRun], time: i64) -> i64 {
    let behind = runs.partition_point(|run| run.from <= time);
    behind.checked_sub(1).and_then(|at| runs.get(at)).map_or(0, |run| run.start)
}

/// Gives the samples of `out` from index `from` on the starts that `runs` say.
pub(super) fn fill(runs: &[StartRun], from: usize, out: &mut Samples) {
    for (number, run) in runs.iter().enumerate() {
        let times = out.timestamps.get(from..).unwrap_or_default();
        let begin = from + times.partition_point(|time| *time < run.from);
        let end =
            runs.get(number + 1).map_or(times.len(), |next| times.partition_point(|time| *time < next.from));
        if run.start != 0 && begin < from + end {
            out.starts.resize(begin, 0);
            out.starts.resize(from + end, run.start);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn runs(starts: &Starts, from: i64, to: i64) -> Vec<(i64, i64)> {
        let mut out = Vec::new();
        starts.put_runs(TimeRange::new(from, to), &mut out);
        out.into_iter().map(|run| (run.from, run.start)).collect()
    }

    fn example() -> Starts {
        let mut starts = Starts::default();
        for (from, start) in [(100, 7), (200, 7), (300, 280), (400, 0), (500, 480)] {
            starts.set(from, start, 1);
        }
        starts
    }

    #[test]
    fn a_start_holds_until_it_changes() {
        let starts = example();
        assert_eq!(runs(&starts, i64::MIN, i64::MAX), [(100, 7), (300, 280), (400, 0), (500, 480)]);
        assert_eq!(runs(&starts, 300, 399), [(300, 280)]);
        assert_eq!(runs(&starts, 299, 300), [(100, 7), (300, 280)]);
        assert_eq!(runs(&starts, 0, 99), []);
        assert_eq!(starts.current(), 480);
        assert!(starts.is_logged_in(1) && !starts.is_logged_in(2));
    }

    #[test]
    fn samples_get_the_starts_of_their_times() {
        let mut samples = Samples::new();
        [90, 100, 250, 300, 450, 500, 900].into_iter().for_each(|time| samples.push(time, 1.0));
        let mut all = Vec::new();
        example().put_runs(TimeRange::ALL, &mut all);
        fill(&all, 0, &mut samples);
        let found: Vec<i64> = (0..samples.len()).map(|number| samples.start(number)).collect();
        assert_eq!(found, [0, 7, 7, 280, 0, 480, 480]);
        let one_by_one: Vec<i64> = samples.timestamps.iter().map(|time| at(&all, *time)).collect();
        assert_eq!(one_by_one, found);
        // Behind others, which keep theirs.
        let mut more = Samples::new();
        [1, 2, 320].into_iter().for_each(|time| more.push(time, 1.0));
        fill(&all, 2, &mut more);
        assert_eq!((more.start(0), more.start(1), more.start(2)), (0, 0, 280));
    }

    #[test]
    fn what_was_said_of_samples_that_did_not_come_is_forgotten() {
        let mut starts = example();
        starts.set(350, 340, 2);
        assert_eq!(runs(&starts, i64::MIN, i64::MAX), [(100, 7), (300, 280), (350, 340)]);
        starts.set(100, 0, 2);
        assert_eq!(runs(&starts, 0, i64::MAX), [(i64::MIN, 0)]);
        starts.set(i64::MIN, 5, 2);
        assert_eq!(runs(&starts, 0, i64::MAX), [(i64::MIN, 5)]);
    }

    #[test]
    fn of_late_samples_of_the_same_time_the_first_counts_until_it_is_deleted() {
        let mut starts = Starts::default();
        starts.set_late(120, 3);
        starts.set_late(120, 4);
        starts.set_late(130, 5);
        assert_eq!((starts.of_late(120), starts.of_late(130)), (3, 5));
        starts.retain_late(|time| time != 120);
        assert_eq!((starts.of_late(120), starts.of_late(130)), (0, 5));
    }

    #[test]
    fn truncation_keeps_what_samples_have() {
        let check = |min_time, expected: &[(i64, i64)]| {
            let mut starts = example();
            starts.set_late(120, 3);
            starts.set_late(130, 4);
            assert!(starts.truncate(min_time, |time| time == 130));
            assert_eq!(runs(&starts, i64::MIN, i64::MAX), expected, "{min_time}");
            assert_eq!((starts.of_late(120), starts.of_late(130)), (0, 4));
        };
        check(0, &[(100, 7), (300, 280), (400, 0), (500, 480)]);
        check(300, &[(300, 280), (400, 0), (500, 480)]);
        check(399, &[(300, 280), (400, 0), (500, 480)]);
        check(900, &[(500, 480)]);
        let mut ended = Starts::default();
        ended.set(100, 7, 1);
        ended.set(200, 0, 1);
        assert!(ended.truncate(199, |_| false));
        assert!(!ended.truncate(200, |_| false), "nothing is known from there on");
    }
}
