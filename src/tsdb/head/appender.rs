//! The one way in: stage samples, then commit them to the log and to the series.
//!
//! A commit judges every sample against its series, codes the good ones against what the log has of the series,
//! appends them to the log, and only then shows them. Commits run one after another; queries wait only while samples
//! are judged and applied, never for the disk.
//!
//! **Invariants**: nothing staged is visible before the commit; a commit whose log append fails leaves no trace.
//! Dropping an appender forgets what was staged. Exemplars and metadata go with the samples, but what is wrong with
//! them never makes a commit fail.

use std::hint::black_box;
use std::sync::Arc;

use hashbrown::HashMap;

use super::Head;
use super::exemplars::{ExemplarStats, Verdict};
use super::intake::{Intake, Undo};
use super::order::{Round, rounds};
use super::series::MemSeries;
use super::table::Table;
use crate::model::{Exemplar, Histogram, Labels, Metadata, STALE_NAN_BITS, bounds};
use crate::tsdb::chunk::open::TimelineId;
use crate::tsdb::error::Result;
use crate::tsdb::points::{Point, reach};
use crate::tsdb::record::exemplars::LoggedExemplar;
use crate::tsdb::record::histograms::LoggedHistogram;
use crate::tsdb::record::{LoggedSample, LoggedStart};
use crate::tsdb::wal::Wal;
use crate::tsdb::{AppendOutcome, SeriesRef};
use crate::util::lock::{lock, read, write};

/// What to do with the good samples of a commit that holds refused ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CommitMode {
    /// Keep them.
    Each,
    /// Keep nothing.
    Whole,
    /// Keep nothing if one is refused by what was there before the commit; what only others of the commit refuse, as
    /// of a series that goes back in time, is left out.
    Ordered,
}

/// What a commit did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CommitStats {
    /// Samples that are now visible.
    pub committed: usize,
    /// Samples that were there already, with the same value.
    pub repeated: usize,
    /// Samples refused because their series has another value at their time.
    pub duplicate: usize,
    /// Samples refused because their series has a newer one.
    pub out_of_order: usize,
    /// Samples refused because they are older than anything still taken.
    pub too_old: usize,
    /// Samples refused because they are too far ahead of the clock.
    pub too_far_ahead: usize,
    /// Samples refused because their series or they themselves are over the bounds.
    pub too_large: usize,
    /// Samples of series that were removed; make those again by their labels.
    pub unknown: usize,
    /// Native histograms among those that are visible or were there already.
    pub histograms: usize,
    /// What became of exemplars.
    pub exemplars: ExemplarStats,
    /// Metric families whose metadata changed.
    pub families: usize,
    /// Metric families for which there is no room.
    pub families_refused: usize,
    /// The first refused sample: its number among the staged ones, and why.
    pub first_refused: Option<(usize, AppendOutcome)>,
}

impl CommitStats {
    fn refuse(&mut self, at: usize, outcome: AppendOutcome) {
        match outcome {
            AppendOutcome::Accepted => {}
            AppendOutcome::Repeated => self.repeated += 1,
            AppendOutcome::DuplicateTimestamp => self.duplicate += 1,
            AppendOutcome::OutOfOrder => self.out_of_order += 1,
            AppendOutcome::TooOld => self.too_old += 1,
            AppendOutcome::TooFarAhead => self.too_far_ahead += 1,
            AppendOutcome::TooLarge => self.too_large += 1,
            AppendOutcome::UnknownSeries => self.unknown += 1,
        }
        if !matches!(outcome, AppendOutcome::Accepted | AppendOutcome::Repeated) {
            self.first_refused.get_or_insert((at, outcome));
        }
    }
}

/// Limits on the timestamps an appender accepts, in milliseconds.
#[derive(Debug, Clone, Copy)]
pub struct TimeLimits {
    /// Older samples are too old.
    pub min: i64,
    /// Newer samples are too far ahead of the clock.
    pub max: i64,
    /// How far behind the head's newest sample a sample may be that is older than its series' newest or than `min`; 0
    /// takes none.
    pub out_of_order: i64,
}

/// A staged sample.
#[derive(Debug, Clone)]
struct Staged {
    series: SeriesRef,
    timestamp: i64,
    bits: u64,
}

/// Stages the samples of one scrape or one request.
pub struct Appender<'a> {
    head: &'a Head,
    wal: &'a Wal,
    limits: TimeLimits,
    timeline: Option<TimelineId>,
    staged: Vec<Staged>,
    histograms: Vec<LoggedHistogram>,
    /// When counting began for each of these, 0 where unknown, as for those behind the end. Usually empty.
    starts: Vec<i64>,
    histogram_starts: Vec<i64>,
    exemplars: Vec<LoggedExemplar>,
    families: Vec<(Box<str>, Metadata)>,
}

impl<'a> Appender<'a> {
    pub(crate) fn new(
        head: &'a Head,
        wal: &'a Wal,
        limits: TimeLimits,
        timeline: Option<TimelineId>,
    ) -> Self {
        Self {
            head,
            wal,
            limits,
            timeline,
            staged: Vec::new(),
            histograms: Vec::new(),
            starts: Vec::new(),
            histogram_starts: Vec::new(),
            exemplars: Vec::new(),
            families: Vec::new(),
        }
    }

    /// Room for as many floats.
    pub(in crate::tsdb) fn reserve(&mut self, samples: usize) {
        self.staged.reserve_exact(samples);
    }

    /// Refuses samples that are out of order, whatever the limits were.
    pub(in crate::tsdb) fn in_order(&mut self) {
        self.limits.out_of_order = 0;
    }

    /// The series with `labels`, made if absent. One over the bounds is not made; whatever is staged for it is refused
    /// as [`AppendOutcome::TooLarge`].
    pub fn series(&mut self, labels: &Labels) -> SeriesRef {
        if bounds::check_labels(labels).is_err() {
            return SeriesRef::REFUSED;
        }
        self.head.series(labels, self.staged.last().map(|staged| staged.series))
    }

    /// The series whose labels, packed as in [`Labels::packed`], have this fingerprint.
    pub(crate) fn find(&self, fingerprint: u128) -> Option<SeriesRef> {
        self.head.find(fingerprint, self.staged.last().map(|staged| staged.series))
    }

    /// Stages one sample (timestamp in milliseconds). What becomes of it is said by [`Appender::commit`].
    pub fn append(&mut self, series: SeriesRef, timestamp: i64, value: f64) {
        self.staged.push(Staged { series, timestamp, bits: value.to_bits() });
    }

    /// Stages one native histogram.
    pub fn append_histogram(&mut self, series: SeriesRef, timestamp: i64, histogram: Arc<Histogram>) {
        self.histograms.push((series, timestamp, histogram));
    }

    /// As [`Appender::append`], of a sample that counts since `start` (milliseconds); 0 says that this is not known. It is
    /// kept for stale markers neither.
    pub fn append_since(&mut self, series: SeriesRef, timestamp: i64, value: f64, start: i64) {
        self.append(series, timestamp, value);
        set_last(&mut self.starts, self.staged.len(), start);
    }

    /// As [`Appender::append_since`], of a native histogram.
    pub fn append_histogram_since(
        &mut self,
        series: SeriesRef,
        timestamp: i64,
        histogram: Arc<Histogram>,
        start: i64,
    ) {
        self.append_histogram(series, timestamp, histogram);
        set_last(&mut self.histogram_starts, self.histograms.len(), start);
    }

    /// Whether a sample at `timestamp` (milliseconds) would be taken and be the newest of its series, as things stand;
    /// what is staged does not count.
    pub fn is_next(&self, series: SeriesRef, timestamp: i64) -> bool {
        let limits = self.limits();
        let newest = |series: &MemSeries| series.last_time;
        (limits.min..=limits.max).contains(&timestamp)
            && read(&self.head.table).get(series).is_some_and(|series| timestamp > newest(series))
    }

    /// Stages one exemplar. `timed` says that it came with a timestamp of its own, not that of its sample.
    pub fn append_exemplar(&mut self, series: SeriesRef, exemplar: Exemplar, timed: bool) {
        self.exemplars.push(LoggedExemplar { series, exemplar, timed });
    }

    /// Stages what is known of metric family `name`.
    pub fn set_metadata(&mut self, name: &str, metadata: Metadata) {
        self.families.push((name.into(), metadata));
    }

    /// Number of staged samples.
    pub fn staged(&self) -> usize {
        self.staged.len() + self.histograms.len()
    }

    /// Logs what was staged, then makes it visible, all at once.
    ///
    /// # Errors
    /// When the log cannot take it. Nothing is visible then, unless only its sync failed.
    pub fn commit(mut self, mode: CommitMode) -> Result<CommitStats> {
        let mut stats = CommitStats::default();
        let beside = !self.exemplars.is_empty() || !self.families.is_empty();
        if self.staged.is_empty() && self.histograms.is_empty() && !beside {
            return Ok(stats);
        }
        let appended = {
            let mut intake = lock(&self.head.intake);
            if intake.unfinished {
                intake.undo(&mut write(&self.head.table));
            }
            let segment = self.wal.begin()?;
            intake.begin(segment);
            let refused = self.judge(&mut write(&self.head.table), &mut intake, &mut stats);
            if refused && mode != CommitMode::Each {
                let mut table = write(&self.head.table);
                intake.undo(&mut table);
                let alone =
                    if mode == CommitMode::Whole { stats.first_refused } else { self.refused_alone(&table) };
                if alone.is_some() {
                    return Ok(CommitStats { committed: 0, first_refused: alone, ..stats });
                }
                intake.begin(segment);
                stats = CommitStats::default();
                self.judge(&mut table, &mut intake, &mut stats);
            }
            if beside {
                self.judge_beside(&mut write(&self.head.table), &mut intake, &mut stats);
            }
            if intake.is_empty() {
                intake.unfinished = false;
                return Ok(stats);
            }
            let newest = intake.put_records(&self.head.table, self.timeline);
            match self.wal.append(&intake.buffer, newest) {
                Ok(number) => {
                    reach(Point::CommitLogged);
                    // Even if it panics: the log has it.
                    intake.unfinished = false;
                    self.apply(&mut write(&self.head.table), &mut intake, &mut stats);
                    number
                }
                Err(error) => {
                    intake.undo(&mut write(&self.head.table));
                    return Err(error);
                }
            }
        };
        self.wal.acknowledge(appended)?;
        Ok(stats)
    }

    /// The limits as they are now.
    fn limits(&self) -> TimeLimits {
        TimeLimits { min: self.limits.min.max(self.head.min_valid()), ..self.limits }
    }

    /// From when on samples are taken that are out of order or older than the head.
    fn open_from(&self) -> i64 {
        // Measured from the newest sample; after a start without a log, from the end of the blocks.
        let newest = self.head.time_range().map_or(i64::MIN, |range| range.end);
        newest.max(self.head.min_valid()).saturating_sub(self.limits.out_of_order)
    }

    /// Decides on every staged sample; says whether one was refused. Accepted ones count at once for those after them.
    fn judge(&self, table: &mut Table, intake: &mut Intake, stats: &mut CommitStats) -> bool {
        intake.unfinished = true;
        let (limits, open_from) = (self.limits(), self.open_from());
        if self.staged.is_empty() || self.histograms.is_empty() {
            (0..self.staged()).for_each(|at| self.judge_one(at, limits, open_from, table, intake, stats));
            intake.end_round();
            return stats.first_refused.is_some();
        }
        let floats = self.staged.iter().map(|staged| (staged.series, staged.timestamp));
        let histograms = self.histograms.iter().map(|(series, time, _)| (*series, *time));
        let mut current = 0;
        for (round, at) in rounds(floats, histograms) {
            if round != std::mem::replace(&mut current, round) {
                intake.end_round();
            }
            self.judge_one(at, limits, open_from, table, intake, stats);
        }
        intake.end_round();
        stats.first_refused.is_some()
    }

    /// Decides on the sample of number `at`.
    fn judge_one(
        &self,
        at: usize,
        limits: TimeLimits,
        open_from: i64,
        table: &mut Table,
        intake: &mut Intake,
        stats: &mut CommitStats,
    ) {
        if let Some(number) = at.checked_sub(self.staged.len()) {
            return self.judge_histogram(number, limits, table, intake, stats);
        }
        let staged = &self.staged[at];
        let Some((series, _)) = table.get_mut(staged.series) else {
            stats.refuse(at, absent(staged.series));
            return;
        };
        let time = staged.timestamp;
        let late = limits.is_late(series, time, open_from);
        let outcome = if late { AppendOutcome::Accepted } else { limits.judge_float(series, staged) };
        if outcome != AppendOutcome::Accepted {
            stats.refuse(at, outcome);
            return;
        }
        if !series.logged {
            intake.fresh.push(staged.series);
        }
        let start = self.starts.get(at).copied().unwrap_or(0);
        let mut logged = LoggedSample { series: staged.series, timestamp: time, bits: staged.bits, base: 0 };
        if late {
            intake.late.push(logged);
            if start != 0 {
                intake.late_starts.push(LoggedStart { series: staged.series, from: time, start });
            }
            return;
        }
        if (start != 0 || series.starts.is_some()) && staged.bits != STALE_NAN_BITS {
            intake.note_start(series, time, start);
        }
        intake.undo.push(Undo::of(series));
        if series.log_segment == intake.segment {
            logged.base = series.last_bits;
        }
        intake.logged.push(logged);
        series.log_segment = intake.segment;
        series.note_float(time, staged.bits);
    }

    /// Decides on native histogram `number`.
    fn judge_histogram(
        &self,
        number: usize,
        limits: TimeLimits,
        table: &mut Table,
        intake: &mut Intake,
        stats: &mut CommitStats,
    ) {
        let at = self.staged.len() + number;
        let (reference, time, histogram) = &self.histograms[number];
        let Some((series, _)) = table.get_mut(*reference) else {
            stats.refuse(at, absent(*reference));
            return;
        };
        let staged = || {
            let (_, newest, there) = &intake.histograms[*intake.newest_histograms.get(reference)?];
            (newest == time).then_some(there)
        };
        let outcome = limits.judge_histogram(series, *time, histogram, staged);
        if outcome != AppendOutcome::Accepted {
            stats.histograms += usize::from(outcome == AppendOutcome::Repeated);
            stats.refuse(at, outcome);
            return;
        }
        if !series.logged {
            intake.fresh.push(*reference);
        }
        let start = self.histogram_starts.get(number).copied().unwrap_or(0);
        if (start != 0 || series.starts.is_some()) && !histogram.is_stale() {
            intake.note_start(series, *time, start);
        }
        intake.undo.push(Undo::of(series));
        intake.newest_histograms.insert(*reference, intake.histograms.len());
        intake.histograms.push(self.histograms[number].clone());
        series.note_histogram(*time);
    }

    /// The first sample that would be refused if it were the only one.
    fn refused_alone(&self, table: &Table) -> Option<(usize, AppendOutcome)> {
        let (limits, open_from) = (self.limits(), self.open_from());
        let floats = self.staged.iter().map(|staged| match table.get(staged.series) {
            None => absent(staged.series),
            Some(series) if limits.is_late(series, staged.timestamp, open_from) => AppendOutcome::Accepted,
            Some(series) => limits.judge_float(series, staged),
        });
        let histograms = self.histograms.iter().map(|(reference, time, histogram)| {
            let series = table.get(*reference);
            series.map_or_else(
                || absent(*reference),
                |series| limits.judge_histogram(series, *time, histogram, || None),
            )
        });
        let refused =
            |outcome: &AppendOutcome| !matches!(outcome, AppendOutcome::Accepted | AppendOutcome::Repeated);
        floats.chain(histograms).enumerate().find(|(_, outcome)| refused(outcome))
    }

    /// Decides on the staged exemplars and metadata.
    fn judge_beside(&mut self, table: &mut Table, intake: &mut Intake, stats: &mut CommitStats) {
        let mut pending: HashMap<SeriesRef, usize> = HashMap::new();
        for (at, staged) in self.exemplars.drain(..).enumerate() {
            let verdict = match table.get(staged.series) {
                None => Verdict::Unknown,
                Some(_) if staged.exemplar.timestamp > self.limits.max => Verdict::TooFarAhead,
                Some(_) => {
                    let before = pending.get(&staged.series).and_then(|at| intake.exemplars.get(*at));
                    let before = before.map(|one| (&one.exemplar, one.timed));
                    let newest = before.or_else(|| table.exemplars.newest(staged.series));
                    table.exemplars.judge(newest, &staged, self.limits.out_of_order)
                }
            };
            stats.exemplars.count(at, verdict);
            if verdict != Verdict::Accepted {
                continue;
            }
            if table.get(staged.series).is_some_and(|series| !series.logged) {
                intake.fresh.push(staged.series);
            }
            let at = pending.entry(staged.series).or_insert(intake.exemplars.len());
            // One out of order does not become the newest.
            if intake.exemplars.get(*at).is_none_or(|one| one.exemplar.timestamp <= staged.exemplar.timestamp)
            {
                *at = intake.exemplars.len();
            }
            intake.exemplars.push(staged);
        }
        for (name, metadata) in self.families.drain(..) {
            if !table.families.is_news(&name, &metadata) {
                continue;
            }
            if table.families.fits(&name, &metadata) {
                intake.families.push((name, metadata));
            } else {
                stats.families_refused += 1;
            }
        }
    }

    fn apply(&self, table: &mut Table, intake: &mut Intake, stats: &mut CommitStats) {
        // First of all: a series is not told to the log twice, whatever happens here.
        for series in intake.fresh.drain(..) {
            if let Some((series, _)) = table.get_mut(series) {
                series.logged = true;
            }
        }
        let first = intake.logged.first().map_or(i64::MIN, |s| s.timestamp);
        let place = self.timeline.filter(|_| !intake.logged.is_empty());
        let place = place.and_then(|id| table.timelines.push(id, first));
        for LoggedStart { series, from, start } in intake.starts.drain(..) {
            if let Some((series, _)) = table.get_mut(series) {
                series.set_start(from, start, intake.segment);
            }
        }
        for LoggedStart { series, from, start } in intake.late_starts.drain(..) {
            if let Some((series, _)) = table.get_mut(series) {
                series.set_late_start(from, start);
            }
        }
        // Where the next values go was in no cache since the last ones came: so the processor fetches it for several series
        // side by side, not for one after another.
        let series = intake.logged.iter().filter_map(|sample| table.get(sample.series));
        black_box(series.fold(0, |all, series| all ^ series.peek()));
        let (mut oldest, mut newest) = (i64::MAX, i64::MIN);
        let mut histograms = intake.histograms.drain(..);
        let mut from = Round::default();
        for round in &intake.rounds {
            for sample in &intake.logged[from.floats..round.floats] {
                let Some((series, timelines)) = table.get_mut(sample.series) else { continue };
                oldest = oldest.min(sample.timestamp);
                newest = newest.max(sample.timestamp);
                let place = place.filter(|_| sample.timestamp == first);
                series.append(sample.timestamp, sample.bits, place, timelines);
                stats.committed += 1;
            }
            for (reference, time, histogram) in histograms.by_ref().take(round.histograms - from.histograms) {
                let Some((series, _)) = table.get_mut(reference) else { continue };
                oldest = oldest.min(time);
                newest = newest.max(time);
                series.append_histogram(time, histogram);
                stats.committed += 1;
                stats.histograms += 1;
            }
            from = *round;
        }
        drop(histograms);
        for sample in &intake.late {
            let Some((series, _)) = table.get_mut(sample.series) else { continue };
            oldest = oldest.min(sample.timestamp);
            newest = newest.max(sample.timestamp);
            if series.append_late(sample.timestamp, sample.bits) {
                stats.committed += 1;
            } else {
                stats.duplicate += 1;
            }
        }
        for one in intake.exemplars.drain(..) {
            table.insert_exemplar(one);
            stats.exemplars.committed += 1;
        }
        for (name, metadata) in intake.families.drain(..) {
            table.families.set(&name, metadata);
            stats.families += 1;
        }
        if oldest <= newest {
            self.head.note_time(oldest, newest);
            self.head.changes.note(oldest);
        }
    }
}

/// Says that the last of `count` staged samples counts since `start`.
fn set_last(starts: &mut Vec<i64>, count: usize, start: i64) {
    if start != 0 {
        starts.resize(count, 0);
        if let Some(last) = starts.last_mut() {
            *last = start;
        }
    }
}

/// What becomes of a sample whose series is not there.
fn absent(series: SeriesRef) -> AppendOutcome {
    if series == SeriesRef::REFUSED { AppendOutcome::TooLarge } else { AppendOutcome::UnknownSeries }
}

impl TimeLimits {
    /// Whether the sample is behind its series or older than the head takes in order, and not older than `open_from`,
    /// where the window for such samples begins.
    fn is_late(&self, series: &MemSeries, time: i64, open_from: i64) -> bool {
        let open = self.out_of_order > 0 && time >= open_from && time <= self.max;
        open && time != series.last_time && time < series.last_time.max(self.min)
    }

    /// What becomes of a float that is not late.
    fn judge_float(&self, series: &MemSeries, staged: &Staged) -> AppendOutcome {
        self.judge(series.last_time, staged.timestamp, || {
            series.newest_is_float && staged.bits == series.last_bits
        })
    }

    /// What becomes of a native histogram; `staged` gives one of the same series and time that was accepted before.
    fn judge_histogram<'h>(
        &self,
        series: &MemSeries,
        time: i64,
        histogram: &Histogram,
        staged: impl FnOnce() -> Option<&'h Arc<Histogram>>,
    ) -> AppendOutcome {
        if bounds::check_histogram(histogram).is_err() {
            return AppendOutcome::TooLarge;
        }
        self.judge(series.last_time, time, || {
            let there = staged().map(Arc::clone).or_else(|| series.histogram_at(time));
            there.is_some_and(|there| there.same_data(histogram))
        })
    }

    /// What becomes of a sample that is not late, of a series whose newest is at `last_time`; `is_same` is asked whether
    /// the two are equal.
    fn judge(&self, last_time: i64, time: i64, is_same: impl FnOnce() -> bool) -> AppendOutcome {
        if time > self.max {
            AppendOutcome::TooFarAhead
        } else if time == last_time && is_same() {
            AppendOutcome::Repeated
        } else if time == last_time {
            AppendOutcome::DuplicateTimestamp
        } else if time < self.min {
            AppendOutcome::TooOld
        } else if time < last_time {
            AppendOutcome::OutOfOrder
        } else {
            AppendOutcome::Accepted
        }
    }
}
