//! What a commit is about to do: accepted samples on their way to the log, and how to take them back.
//!
//! **Invariants**: what is put into the log is what was accepted, in its order, in records of bounded size; after an
//! undo the table is as it was before the commit.

use std::sync::RwLock;

use hashbrown::HashMap;

use super::order::Round;
use super::pairs::{LogPlace, PairId};
use super::series::MemSeries;
use super::table::Table;
use crate::codec::frame;
use crate::model::Metadata;
use crate::tsdb::SeriesRef;
use crate::tsdb::chunk::open::TimelineId;
use crate::tsdb::record::exemplars::LoggedExemplar;
use crate::tsdb::record::histograms::LoggedHistogram;
use crate::tsdb::record::{self, LoggedSample, LoggedStart};
use crate::util::lock::write;

/// A log record holds at most this many samples, so that no record comes near the bounds of its length field.
const MAX_RECORD_SAMPLES: usize = 100_000;
/// As many exemplars or families, which are larger.
const MAX_RECORD_TEXTS: usize = 1000;
/// Cells of the native histograms in one record at most; a single one may have more.
const MAX_RECORD_CELLS: usize = 1 << 20;
/// Bytes of the label pairs defined by one record, and labels of the series, before the next series begins another one.
const MAX_RECORD_LABEL_BYTES: usize = 4 << 20;
const MAX_RECORD_LABELS: usize = 1 << 20;

/// What a commit needs besides the table, kept from one to the next.
#[derive(Debug, Default)]
pub(super) struct Intake {
    /// Label pairs the current file of the log has.
    pub(super) segment: u32,
    pub(super) pairs_in_segment: u32,
    pub(super) logged: Vec<LoggedSample>,
    /// In what parts these and the native histograms go to the log.
    pub(super) rounds: Vec<Round>,
    /// Those that are behind their series or the head. They are logged without a base and are no base of others.
    pub(super) late: Vec<LoggedSample>,
    pub(super) histograms: Vec<LoggedHistogram>,
    /// Starts that the log does not have yet, of samples in order; then those of late ones.
    pub(super) starts: Vec<LoggedStart>,
    pub(super) late_starts: Vec<LoggedStart>,
    /// Of each series that has one among them, the newest start of its samples in order.
    newest_starts: HashMap<SeriesRef, i64>,
    /// Of each series that has one, the newest of these.
    pub(super) newest_histograms: HashMap<SeriesRef, usize>,
    pub(super) exemplars: Vec<LoggedExemplar>,
    pub(super) families: Vec<(Box<str>, Metadata)>,
    /// Series of accepted samples that the log does not know yet, once for each sample until they
    /// are put into records, then once.
    pub(super) fresh: Vec<SeriesRef>,
    pub(super) undo: Vec<Undo>,
    /// Label pairs that get their number in this commit.
    pub(super) named: Vec<PairId>,
    pub(super) buffer: Vec<u8>,
    /// Whether a commit has changed the table and neither applied nor undone it: it panicked.
    pub(super) unfinished: bool,
}

/// A series as it was before a sample was judged.
#[derive(Debug, Clone, Copy)]
pub(super) struct Undo {
    pub(super) series: SeriesRef,
    pub(super) last_time: i64,
    pub(super) last_bits: u64,
    pub(super) newest_is_float: bool,
    pub(super) log_segment: u32,
}

impl Undo {
    /// The state of `series` now.
    pub(super) fn of(series: &MemSeries) -> Self {
        Self {
            series: series.reference,
            last_time: series.last_time,
            last_bits: series.last_bits,
            newest_is_float: series.newest_is_float,
            log_segment: series.log_segment,
        }
    }
}

impl Intake {
    /// Whether there is nothing for the log.
    pub(super) fn is_empty(&self) -> bool {
        let samples = self.logged.is_empty() && self.late.is_empty() && self.histograms.is_empty();
        samples && self.exemplars.is_empty() && self.families.is_empty()
    }

    /// Forgets the last commit. This one goes to file `segment` of the log.
    pub(super) fn begin(&mut self, segment: u32) {
        if self.segment != segment {
            self.segment = segment;
            self.pairs_in_segment = 0;
        }
        self.logged.clear();
        self.rounds.clear();
        self.late.clear();
        self.histograms.clear();
        self.starts.clear();
        self.late_starts.clear();
        self.newest_starts.clear();
        self.newest_histograms.clear();
        self.exemplars.clear();
        self.families.clear();
        self.fresh.clear();
        self.undo.clear();
        self.named.clear();
        self.buffer.clear();
        // A large commit is rare; its memory is given back.
        self.logged.shrink_to(MAX_RECORD_SAMPLES);
        self.late.shrink_to(MAX_RECORD_SAMPLES);
        self.undo.shrink_to(MAX_RECORD_SAMPLES);
        self.starts.shrink_to(MAX_RECORD_SAMPLES);
        self.late_starts.shrink_to(MAX_RECORD_SAMPLES);
        self.newest_starts.shrink_to(MAX_RECORD_SAMPLES);
        self.newest_histograms.shrink_to(MAX_RECORD_SAMPLES);
        self.buffer.shrink_to(1 << 20);
    }

    /// Notes that an accepted sample of `series` at `time`, the newest, counts since `start`, unless this file of the log
    /// says so already: it stands for itself.
    pub(super) fn note_start(&mut self, series: &MemSeries, time: i64, start: i64) {
        let staged =
            if self.newest_starts.is_empty() { None } else { self.newest_starts.get(&series.reference) };
        let is_known = match (staged, &series.starts) {
            (Some(staged), _) => *staged == start,
            // That there is none any more, too: the file that said so may be damaged.
            (None, Some(starts)) => starts.current() == start && starts.is_logged_in(self.segment),
            (None, None) => start == 0,
        };
        if !is_known {
            self.starts.push(LoggedStart { series: series.reference, from: time, start });
            self.newest_starts.insert(series.reference, start);
        }
    }

    /// What was accepted since the last round makes a round.
    pub(super) fn end_round(&mut self) {
        self.rounds.push(Round { floats: self.logged.len(), histograms: self.histograms.len() });
    }

    /// Puts the records of the commit into the buffer; returns the newest timestamp. `timeline` is that of the samples.
    pub(super) fn put_records(&mut self, table: &RwLock<Table>, timeline: Option<TimelineId>) -> Option<i64> {
        if !self.fresh.is_empty() {
            self.put_new_series(&mut write(table));
        }
        let out = &mut self.buffer;
        // Before the samples: of a write that was cut no sample may be without its start.
        for (late, starts) in [(false, &self.starts), (true, &self.late_starts)] {
            for part in starts.chunks(MAX_RECORD_SAMPLES) {
                frame::put_record(out, |out| record::starts::put(out, late, part));
            }
        }
        let mut from = Round::default();
        for round in &self.rounds {
            for part in self.logged[from.floats..round.floats].chunks(MAX_RECORD_SAMPLES) {
                frame::put_record(out, |out| record::samples::put(out, timeline, part));
            }
            put_histograms(out, &self.histograms[from.histograms..round.histograms]);
            from = *round;
        }
        for part in self.late.chunks(MAX_RECORD_SAMPLES) {
            frame::put_record(out, |out| record::samples::put_late(out, part));
        }
        for part in self.exemplars.chunks(MAX_RECORD_TEXTS) {
            frame::put_record(out, |out| record::exemplars::put(out, part));
        }
        for part in self.families.chunks(MAX_RECORD_TEXTS) {
            let families = part.iter().map(|(name, metadata)| (&**name, metadata));
            frame::put_record(out, |out| record::metadata::put(out, families));
        }
        let times = self.logged.iter().chain(&self.late).map(|s| s.timestamp);
        let histograms = self.histograms.iter().map(|(_, time, _)| *time);
        times.chain(histograms).chain(self.exemplars.iter().map(|one| one.exemplar.timestamp)).max()
    }

    /// Puts records for the series the log does not know yet, and the label pairs its file does not have.
    fn put_new_series(&mut self, table: &mut Table) {
        let mut fresh = std::mem::take(&mut self.fresh);
        fresh.sort_unstable();
        fresh.dedup();
        let mut left = fresh.as_slice();
        while !left.is_empty() {
            left = self.put_series(table, left);
        }
        self.fresh = fresh;
    }

    /// Puts one record of series and one of their new pairs; returns the series for which there was no room.
    fn put_series<'s>(&mut self, table: &mut Table, fresh: &'s [SeriesRef]) -> &'s [SeriesRef] {
        let first_named = self.named.len();
        let mut series = Vec::with_capacity(fresh.len().min(MAX_RECORD_SAMPLES));
        let (mut label_bytes, mut label_count, mut taken) = (0, 0, 0);
        for reference in fresh.iter().take(MAX_RECORD_SAMPLES) {
            if label_bytes > MAX_RECORD_LABEL_BYTES || label_count > MAX_RECORD_LABELS {
                break;
            }
            taken += 1;
            let Some(found) = table.get(*reference) else { continue };
            let pairs = found.pairs.clone();
            label_count += pairs.len();
            let mut numbers = Vec::with_capacity(pairs.len());
            for id in &pairs {
                let mut place = table.pairs.logged(*id);
                if place.segment != self.segment {
                    place = LogPlace { segment: self.segment, number: self.pairs_in_segment };
                    table.pairs.set_logged(*id, place);
                    self.pairs_in_segment += 1;
                    self.named.push(*id);
                    let (name, value) = table.pairs.texts().get(*id);
                    label_bytes += name.len() + value.len();
                }
                numbers.push(place.number);
            }
            series.push((*reference, numbers));
        }
        let names = &self.named[first_named..];
        if !names.is_empty() {
            let texts = table.pairs.texts();
            frame::put_record(&mut self.buffer, |out| {
                record::put_pairs(out, names.iter().map(|id| texts.get(*id)));
            });
        }
        frame::put_record(&mut self.buffer, |out| record::put_series(out, &series));
        &fresh[taken..]
    }

    /// Takes back what a commit changed before the log had it.
    pub(super) fn undo(&mut self, table: &mut Table) {
        self.unfinished = false;
        for before in self.undo.drain(..).rev() {
            if let Some((series, _)) = table.get_mut(before.series) {
                series.last_time = before.last_time;
                series.last_bits = before.last_bits;
                series.newest_is_float = before.newest_is_float;
                series.log_segment = before.log_segment;
            }
        }
        for id in self.named.drain(..).rev() {
            table.pairs.set_logged(id, LogPlace::default());
            self.pairs_in_segment -= 1;
        }
    }
}

/// Puts records of native histograms, none with too many cells.
fn put_histograms(out: &mut Vec<u8>, histograms: &[LoggedHistogram]) {
    let mut left = histograms;
    while !left.is_empty() {
        let mut cells = 0;
        let fits = |(_, _, histogram): &&LoggedHistogram| {
            let begins = cells < MAX_RECORD_CELLS;
            cells += histogram.cells();
            begins
        };
        let (part, others) = left.split_at(left.iter().take_while(fits).count());
        frame::put_record(out, |out| record::histograms::put(out, part));
        left = others;
    }
}
