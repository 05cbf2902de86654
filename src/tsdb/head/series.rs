//! One series of the head: sealed chunks, an open one, and what does not fit their order.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;

use thin_vec::ThinVec;

use super::pairs::PairId;
use super::starts::{self, StartRun, Starts};
use super::timeline::{Placement, Timelines};
use crate::model::{Histogram, Samples, TimeRange};
use crate::tsdb::SeriesRef;
use crate::tsdb::chunk::open::{OpenValues, OwnTimes, TimelineId, Times};
use crate::tsdb::chunk::{column, histogram};

/// Below this many samples a chunk that leaves its timeline is given timestamps of its own instead of being sealed,
/// so that series scraped in turns by two targets do not end in a chunk per sample.
const MIN_SEALED_SAMPLES: u16 = 16;

/// A chunk that is complete.
#[derive(Debug)]
pub(super) struct SealedChunk {
    /// Where its timestamps are.
    pub times: Times,
    /// Timestamp of the first sample in milliseconds.
    pub start_time: i64,
    /// Timestamp of the last sample in milliseconds.
    pub end_time: i64,
    /// Number of samples.
    pub count: u16,
    /// Encoded values.
    pub column: Box<[u8]>,
}

/// Working memory for sealing a chunk.
#[derive(Debug, Default)]
struct SealScratch {
    stamps: Vec<i64>,
    values: Vec<f64>,
    scratch: column::Scratch,
    out: Vec<u8>,
}

/// What most series have none or little of.
#[derive(Debug, Default)]
pub(super) struct Extras {
    /// Samples that came out of order, by time. They come in any order, and there may be millions.
    pub(super) late: BTreeMap<i64, f64>,
    /// Those of them that are being written to a block, by time.
    pub(super) leaving: BTreeMap<i64, f64>,
    /// Native histograms, by time: full chunks of them, then those that are not in one yet.
    pub(super) sealed_histograms: Vec<Arc<SealedHistograms>>,
    pub(super) histograms: Vec<(i64, Arc<Histogram>)>,
}

impl Extras {
    /// Whether there are native histograms.
    pub(super) fn has_histograms(&self) -> bool {
        !self.histograms.is_empty() || !self.sealed_histograms.is_empty()
    }

    /// Whether a late sample is newer than `time`: it was older than the head takes in order, not than its series.
    pub(super) fn has_late_after(&self, time: i64) -> bool {
        [&self.late, &self.leaving].iter().any(|late| late.last_key_value().is_some_and(|(t, _)| *t > time))
    }
}

/// A sample that came out of order.
#[derive(Debug, Clone, Copy)]
pub(super) struct LateSample {
    pub(super) time: i64,
    pub(super) value: f64,
    /// When counting began, 0 where unknown.
    pub(super) start: i64,
}

/// A full chunk of native histograms.
#[derive(Debug)]
pub(super) struct SealedHistograms {
    times: OwnTimes,
    start_time: i64,
    end_time: i64,
    count: usize,
    column: Box<[u8]>,
}

/// Histograms in one chunk: as many as fit, and as many bucket counts.
const MAX_OPEN_HISTOGRAMS: usize = 120;

impl SealedHistograms {
    fn new(histograms: &[(i64, Arc<Histogram>)]) -> Self {
        let stamps: Vec<i64> = histograms.iter().map(|(t, _)| *t).collect();
        let contents: Vec<Arc<Histogram>> = histograms.iter().map(|(_, h)| Arc::clone(h)).collect();
        let mut column = Vec::new();
        histogram::encode(&contents, &mut column::Scratch::default(), &mut column);
        let mut times = OwnTimes::new(&stamps);
        times.shrink();
        Self {
            times,
            start_time: stamps.first().copied().unwrap_or(i64::MIN),
            end_time: stamps.last().copied().unwrap_or(i64::MIN),
            count: stamps.len(),
            column: column.into(),
        }
    }

    /// Whether it may hold histograms inside `range`.
    pub(super) fn overlaps(&self, range: TimeRange) -> bool {
        range.overlaps(&TimeRange { start: self.start_time, end: self.end_time })
    }

    /// Appends its histograms inside `range` to `out`.
    pub(super) fn read(&self, range: TimeRange, out: &mut Vec<(i64, Arc<Histogram>)>) {
        let mut stamps = Vec::with_capacity(self.count);
        self.times.read(&mut stamps);
        // Own memory, written by the encoder: it cannot be damaged.
        let contents = histogram::decode(&self.column, self.count).unwrap_or_default();
        out.extend(stamps.into_iter().zip(contents).filter(|(t, _)| range.contains(*t)));
    }
}

impl Extras {
    /// Whether nothing would be left from `min_time` on; late samples stay until they are set apart.
    fn is_empty_after(&self, min_time: i64) -> bool {
        self.late.is_empty()
            && self.histograms.iter().all(|(t, _)| *t < min_time)
            && self.sealed_histograms.iter().all(|chunk| chunk.end_time < min_time)
    }

    /// Whether there is a late sample at `time`.
    fn is_late(&self, time: i64) -> bool {
        self.late.contains_key(&time) || self.leaving.contains_key(&time)
    }

    /// Its late samples inside `range`; of equal times the first stands.
    fn late_inside(&self, range: TimeRange) -> impl Iterator<Item = (i64, f64)> {
        let inside = move |all: &BTreeMap<i64, f64>| -> Vec<(i64, f64)> {
            if range.start > range.end {
                return Vec::new();
            }
            all.range(range.start..=range.end).map(|(time, value)| (*time, *value)).collect()
        };
        inside(&self.leaving).into_iter().chain(inside(&self.late))
    }

    /// Appends the native histograms inside `range` to `out`.
    pub(super) fn read_histograms(&self, range: TimeRange, out: &mut Vec<(i64, Arc<Histogram>)>) {
        self.sealed_histograms
            .iter()
            .filter(|chunk| chunk.overlaps(range))
            .for_each(|chunk| chunk.read(range, out));
        out.extend(self.histograms.iter().filter(|(t, _)| range.contains(*t)).cloned());
    }
}

/// A series and its recent samples.
///
/// A commit finds most of them in no cache: each is two neighbouring lines of memory, and what a commit looks at comes
/// first.
#[derive(Debug)]
#[repr(C, align(128))]
pub(super) struct MemSeries {
    pub(super) reference: SeriesRef,
    /// Time of the newest sample in order; `i64::MIN` before the first.
    pub(super) last_time: i64,
    /// Value bits of the newest float in order; see `newest_is_float`.
    pub(super) last_bits: u64,
    times: Times,
    values: OpenValues,
    /// When counting began, where that is known of any sample.
    pub(super) starts: Option<Box<Starts>>,
    pub(super) rest: Option<Box<Extras>>,
    sealed: ThinVec<Arc<SealedChunk>>,
    /// File of the log that has the newest float as the last one of this series.
    pub(super) log_segment: u32,
    /// Whether the newest sample in order is a float: the one that is known by its bits.
    pub(super) newest_is_float: bool,
    /// Whether the log has a record of this series.
    pub(super) logged: bool,
    /// Whether it was without any sample when the head was truncated last.
    pub(super) empty: bool,
    /// Whether it ever had a sample out of order or an exemplar, which the log may still have.
    pub(super) was_late: bool,
    /// Its labels, in name order.
    pub(super) pairs: Box<[PairId]>,
    /// As bytes: a number of 128 bits would have to stand where it fits.
    fingerprint: [u8; 16],
}

// There are millions.
const _: () = assert!(size_of::<MemSeries>() == 128);

impl MemSeries {
    pub(super) fn new(fingerprint: u128, reference: SeriesRef, pairs: Box<[PairId]>) -> Self {
        Self {
            fingerprint: fingerprint.to_le_bytes(),
            reference,
            pairs,
            last_time: i64::MIN,
            last_bits: 0,
            log_segment: 0,
            newest_is_float: false,
            logged: false,
            empty: false,
            was_late: false,
            times: Times::Shared { id: 0, first: 0 },
            values: OpenValues::default(),
            sealed: ThinVec::new(),
            rest: None,
            starts: None,
        }
    }

    /// Hash of its labels.
    pub(super) fn fingerprint(&self) -> u128 {
        u128::from_le_bytes(self.fingerprint)
    }

    /// The open chunk, if there is one: where its timestamps are, and its values.
    pub(super) fn open(&self) -> Option<(&Times, &OpenValues)> {
        (self.values.count() > 0).then_some((&self.times, &self.values))
    }

    pub(super) fn sealed(&self) -> &[Arc<SealedChunk>] {
        &self.sealed
    }

    pub(super) fn chunk_count(&self) -> usize {
        self.sealed().len() + usize::from(self.values.count() > 0)
    }

    /// Where the next float goes: looking there has the processor fetch it.
    #[inline]
    pub(super) fn peek(&self) -> u64 {
        self.values.peek()
    }

    /// Notes that the newest sample is a float.
    pub(super) fn note_float(&mut self, timestamp: i64, bits: u64) {
        self.last_time = timestamp;
        self.last_bits = bits;
        self.newest_is_float = true;
    }

    /// Notes that the newest sample is a native histogram.
    pub(super) fn note_histogram(&mut self, timestamp: i64) {
        self.last_time = timestamp;
        self.newest_is_float = false;
    }

    /// Adds a float newer than all samples before it, and notes that it is the newest.
    pub(super) fn append_newest(
        &mut self,
        timestamp: i64,
        bits: u64,
        place: Option<Placement>,
        timelines: &mut Timelines,
    ) {
        self.note_float(timestamp, bits);
        self.append(timestamp, bits, place, timelines);
    }

    /// Adds a float newer than all samples before it; what is known of the newest one stays as it is.
    pub(super) fn append(
        &mut self,
        timestamp: i64,
        bits: u64,
        place: Option<Placement>,
        timelines: &mut Timelines,
    ) {
        let count = self.values.count();
        if count > 0 {
            let follows = match (&mut self.times, place) {
                (Times::Shared { id, first }, Some(place)) => {
                    *id == place.id && first.wrapping_add(u32::from(count)) == place.number
                }
                (Times::Shared { id, first }, None) => {
                    timelines.follow(*id, first.wrapping_add(u32::from(count)), timestamp)
                }
                (Times::Own(_), _) => true,
            };
            if !self.values.is_full() && (follows || count < MIN_SEALED_SAMPLES) {
                if !follows {
                    let mut stamps = Vec::with_capacity(usize::from(count));
                    timelines.read(&self.times, usize::from(count), &mut stamps);
                    self.times = Times::Own(Box::new(OwnTimes::new(&stamps)));
                }
                if let Times::Own(own) = &mut self.times {
                    own.push(timestamp);
                }
                self.values.push(bits);
                return;
            }
            self.seal(timelines);
        }
        let place = place.unwrap_or_else(|| timelines.place(timestamp));
        self.times = Times::Shared { id: place.id, first: place.number };
        self.values = OpenValues::default();
        self.values.push(bits);
    }

    /// Makes the open chunk a sealed one.
    fn seal(&mut self, timelines: &Timelines) {
        thread_local! {
            static SCRATCH: RefCell<SealScratch> = RefCell::default();
        }
        let count = self.values.count();
        if count == 0 {
            return;
        }
        let mut times = std::mem::replace(&mut self.times, Times::Shared { id: 0, first: 0 });
        let open = std::mem::take(&mut self.values);
        if let Times::Own(own) = &mut times {
            own.shrink();
        }
        let chunk = SCRATCH.with_borrow_mut(|SealScratch { stamps, values, scratch, out }| {
            stamps.clear();
            values.clear();
            out.clear();
            timelines.read(&times, usize::from(count), stamps);
            open.read(values);
            column::encode(values, scratch, out);
            SealedChunk {
                start_time: stamps.first().copied().unwrap_or(i64::MIN),
                end_time: stamps.last().copied().unwrap_or(i64::MIN),
                times,
                count,
                column: out.as_slice().into(),
            }
        });
        self.sealed.push(Arc::new(chunk));
    }

    /// Adds a sample older than the newest; says whether there was none at its time among the late ones.
    pub(super) fn append_late(&mut self, timestamp: i64, bits: u64) -> bool {
        self.was_late = true;
        match self.rest.get_or_insert_default().late.entry(timestamp) {
            Entry::Occupied(_) => false,
            Entry::Vacant(place) => {
                place.insert(f64::from_bits(bits));
                true
            }
        }
    }

    /// Samples in order from `from` on count since `start` (milliseconds, 0 where unknown), as file `segment` of the log
    /// says.
    pub(super) fn set_start(&mut self, from: i64, start: i64, segment: u32) {
        self.starts.get_or_insert_default().set(from, start, segment);
    }

    /// The late sample at `time`, which is still to come, counts since `start`. If there is one already, that stays.
    pub(super) fn set_late_start(&mut self, time: i64, start: i64) {
        if self.rest.as_ref().is_none_or(|rest| !rest.is_late(time)) {
            self.starts.get_or_insert_default().set_late(time, start);
        }
    }

    /// Its starts inside `range`, of samples in order.
    fn start_runs(&self, range: TimeRange) -> Vec<StartRun> {
        let mut runs = Vec::new();
        if let Some(starts) = &self.starts {
            starts.put_runs(range, &mut runs);
        }
        runs
    }

    /// Its late samples inside `range`: time, value, start. Of equal times the first stands.
    pub(super) fn late_inside(&self, range: TimeRange) -> impl Iterator<Item = LateSample> {
        let late = self.rest.as_ref().map(|rest| rest.late_inside(range));
        late.into_iter().flatten().map(|(time, value)| LateSample {
            time,
            value,
            start: self.late_start(time),
        })
    }

    /// Those of them that are being written to a block.
    pub(super) fn leaving(&self) -> impl Iterator<Item = LateSample> {
        let leaving = self.rest.iter().flat_map(|rest| &rest.leaving);
        leaving.map(|(time, value)| LateSample { time: *time, value: *value, start: self.late_start(*time) })
    }

    fn late_start(&self, time: i64) -> i64 {
        self.starts.as_ref().map_or(0, |starts| starts.of_late(time))
    }

    /// Adds a native histogram newer than all before it; what is known of the newest sample stays as it is.
    pub(super) fn append_histogram(&mut self, timestamp: i64, histogram: Arc<Histogram>) {
        let rest = self.rest.get_or_insert_default();
        rest.histograms.push((timestamp, histogram));
        let cells = |all: &[(i64, Arc<Histogram>)]| all.iter().map(|(_, h)| h.cells()).sum::<usize>();
        if rest.histograms.len() >= MAX_OPEN_HISTOGRAMS || cells(&rest.histograms) >= histogram::MAX_CELLS {
            rest.sealed_histograms.push(Arc::new(SealedHistograms::new(&rest.histograms)));
            rest.histograms = Vec::new();
        }
    }

    /// The native histogram at `time`, if that is the newest.
    pub(super) fn histogram_at(&self, time: i64) -> Option<Arc<Histogram>> {
        let rest = self.rest.as_ref()?;
        if let Some((newest, histogram)) = rest.histograms.last() {
            return (*newest == time).then(|| Arc::clone(histogram));
        }
        let chunk = rest.sealed_histograms.last().filter(|chunk| chunk.end_time == time)?;
        let mut found = Vec::new();
        chunk.read(TimeRange::new(time, time), &mut found);
        found.pop().map(|(_, histogram)| histogram)
    }

    /// Sets late samples before `end` apart: they are about to be written to a block. New ones do not join them.
    pub(super) fn set_leaving(&mut self, end: i64) {
        let Some(rest) = &mut self.rest else { return };
        let kept = rest.late.split_off(&end);
        for (time, value) in std::mem::replace(&mut rest.late, kept) {
            // Of equal times the first to come stays.
            rest.leaving.entry(time).or_insert(value);
        }
    }

    /// Drops what lies before `min_time`, whole chunks only, and the late samples set apart. Says whether anything is left, and calls `used` with the
    /// time location of each chunk that is.
    pub(super) fn truncate(&mut self, min_time: i64, mut used: impl FnMut(&Times)) -> bool {
        self.sealed.retain(|chunk| chunk.end_time >= min_time);
        self.sealed.shrink_to_fit();
        self.sealed.iter().for_each(|chunk| used(&chunk.times));
        let mut left = !self.sealed.is_empty();
        self.rest = self.rest.take().filter(|rest| !rest.is_empty_after(min_time)).map(|mut rest| {
            rest.leaving = BTreeMap::new();
            rest.histograms.retain(|(t, _)| *t >= min_time);
            rest.histograms.shrink_to_fit();
            rest.sealed_histograms.retain(|chunk| chunk.end_time >= min_time);
            rest.sealed_histograms.shrink_to_fit();
            rest
        });
        left |= self.rest.is_some();
        let rest = self.rest.as_deref();
        let is_late = |time| rest.is_some_and(|rest| rest.is_late(time));
        if self.starts.as_mut().is_some_and(|starts| !starts.truncate(min_time, is_late)) {
            self.starts = None;
        }
        if self.last_time < min_time {
            self.values = OpenValues::default();
        }
        if self.values.count() > 0 {
            used(&self.times);
            left = true;
        }
        left
    }

    /// Time of the oldest sample in order at or after `floor`, in milliseconds.
    pub(super) fn first_from(&self, floor: i64, timelines: &Timelines) -> Option<i64> {
        let mut histograms = Vec::new();
        if let Some(rest) = &self.rest {
            rest.read_histograms(TimeRange::new(floor, i64::MAX), &mut histograms);
        }
        let mut first = histograms.first().map(|(t, _)| *t);
        let mut note = |time: i64| first = Some(first.map_or(time, |old| old.min(time)));
        let mut stamps = Vec::new();
        let sealed = self.sealed().iter().find(|chunk| chunk.end_time >= floor);
        let within = match (sealed, self.open()) {
            (Some(chunk), _) if chunk.start_time >= floor => {
                note(chunk.start_time);
                None
            }
            (Some(chunk), _) => Some((&chunk.times, chunk.count)),
            (None, Some((times, values))) => Some((times, values.count())),
            (None, None) => None,
        };
        if let Some((times, count)) = within {
            timelines.read(times, usize::from(count), &mut stamps);
            stamps.iter().copied().find(|t| *t >= floor).into_iter().for_each(note);
        }
        first
    }

    /// Appends the samples inside `range` to `out`.
    pub(super) fn read(
        &self,
        range: TimeRange,
        timelines: &Timelines,
        scratch: &mut Vec<i64>,
        out: &mut Samples,
    ) {
        let before = out.len();
        self.read_ordered(range, timelines, scratch, out);
        let runs = self.start_runs(range);
        if let Some(rest) = &self.rest {
            let mut histograms = Vec::new();
            rest.read_histograms(range, &mut histograms);
            merge_beside(self.late_inside(range), &histograms, &runs, range, before, out);
        } else {
            starts::fill(&runs, before, out);
        }
    }

    /// Appends the samples in order inside `range` to `out`.
    fn read_ordered(
        &self,
        range: TimeRange,
        timelines: &Timelines,
        scratch: &mut Vec<i64>,
        out: &mut Samples,
    ) {
        for chunk in self.sealed().iter().filter(|c| c.end_time >= range.start && c.start_time <= range.end) {
            scratch.clear();
            timelines.read(&chunk.times, usize::from(chunk.count), scratch);
            push_sealed(chunk, scratch, range, true, out);
        }
        if let Some((times, values)) = self.open() {
            scratch.clear();
            timelines.read(times, usize::from(values.count()), scratch);
            push_values(scratch, range, out, |into| values.read(into));
        }
    }

    /// Whether a sample in order may be inside `range`.
    fn may_hold(&self, range: TimeRange, timelines: &Timelines) -> bool {
        let in_chunk =
            |chunk: &Arc<SealedChunk>| chunk.end_time >= range.start && chunk.start_time <= range.end;
        self.sealed().iter().any(in_chunk)
            || self.open().is_some_and(|(times, values)| {
                let mut stamps = Vec::with_capacity(usize::from(values.count()));
                timelines.read(times, usize::from(values.count()), &mut stamps);
                stamps.iter().any(|time| range.contains(*time))
            })
    }

    /// Removes the samples inside `range`; says whether there were any.
    pub(super) fn delete(&mut self, range: TimeRange, timelines: &mut Timelines) -> bool {
        let kept = |time: i64| !range.contains(time);
        let mut any = false;
        let mut retain = |samples: &mut BTreeMap<i64, f64>| {
            let before = samples.len();
            samples.retain(|t, _| kept(*t));
            any |= samples.len() != before;
        };
        if let Some(starts) = &mut self.starts {
            starts.retain_late(kept);
        }
        if let Some(rest) = &mut self.rest {
            retain(&mut rest.late);
            retain(&mut rest.leaving);
            let mut histograms = Vec::new();
            rest.read_histograms(TimeRange::ALL, &mut histograms);
            if histograms.iter().any(|(t, _)| !kept(*t)) {
                any = true;
                histograms.retain(|(t, _)| kept(*t));
                rest.sealed_histograms.clear();
                rest.histograms = Vec::new();
                let mut left = histograms.as_slice();
                while !left.is_empty() {
                    let contents = left.iter().map(|(_, histogram)| &**histogram);
                    let (part, others) = left.split_at(histogram::column_len(contents, MAX_OPEN_HISTOGRAMS));
                    rest.sealed_histograms.push(Arc::new(SealedHistograms::new(part)));
                    left = others;
                }
            }
        }
        if !self.may_hold(range, timelines) {
            return any;
        }
        let mut ordered = Samples::new();
        self.read_ordered(TimeRange::ALL, timelines, &mut Vec::new(), &mut ordered);
        if ordered.timestamps.iter().all(|t| kept(*t)) {
            return any;
        }
        // The order of what comes next is judged as before.
        self.values = OpenValues::default();
        self.sealed = ThinVec::new();
        for (timestamp, value) in ordered.iter().filter(|(t, _)| kept(*t)) {
            self.append(timestamp, value.to_bits(), None, timelines);
        }
        true
    }
}

/// Appends the samples of a sealed chunk, whose timestamps are `stamps`, inside `range` to `out`. Without `values`,
/// numbers that are no stale markers may come out as others.
pub(super) fn push_sealed(
    chunk: &SealedChunk,
    stamps: &[i64],
    range: TimeRange,
    values: bool,
    out: &mut Samples,
) {
    push_values(stamps, range, out, |into| {
        let start = into.len();
        if !values && column::is_plain(&chunk.column) {
            into.resize(start + usize::from(chunk.count), 0.0);
            return;
        }
        // Own memory, written by the encoder: it cannot be damaged.
        if column::decode(&chunk.column, usize::from(chunk.count), into).is_err() {
            into.truncate(start);
        }
    });
}

/// Appends the part of a chunk that is inside `range`; `read` appends all its values.
pub(super) fn push_values(
    stamps: &[i64],
    range: TimeRange,
    out: &mut Samples,
    read: impl FnOnce(&mut Vec<f64>),
) {
    let from = stamps.partition_point(|t| *t < range.start);
    let to = stamps.partition_point(|t| *t <= range.end);
    if from >= to {
        return;
    }
    let start = out.values.len();
    read(&mut out.values);
    if out.values.len() < start + to {
        out.values.truncate(start);
        return;
    }
    out.values.truncate(start + to);
    if from > 0 {
        out.values.drain(start..start + from);
    }
    out.timestamps.extend_from_slice(&stamps[from..to]);
}

/// Puts late samples and histograms inside `range` among the samples of `out` from index `from` on, by time, and gives
/// all but the late ones the starts that `runs` say. Of equal times the sample in `out` stays.
pub(super) fn merge_beside(
    late: impl Iterator<Item = LateSample>,
    histograms: &[(i64, Arc<Histogram>)],
    runs: &[StartRun],
    range: TimeRange,
    from: usize,
    out: &mut Samples,
) {
    let late: Vec<_> = late.filter(|sample| range.contains(sample.time)).collect();
    let histograms: Vec<_> = histograms.iter().filter(|(t, _)| range.contains(*t)).collect();
    if late.is_empty() && histograms.is_empty() {
        return starts::fill(runs, from, out);
    }
    let plain = out.timestamps.split_off(from).into_iter().zip(out.values.split_off(from));
    let plain = plain.map(|(t, v)| (t, v, starts::at(runs, t), None));
    let mut all: Vec<(i64, f64, i64, Option<&Arc<Histogram>>)> = plain.collect();
    all.extend(late.into_iter().map(|LateSample { time, value, start }| (time, value, start, None)));
    all.extend(histograms.iter().map(|(t, h)| (*t, f64::NAN, starts::at(runs, *t), Some(h))));
    all.sort_by_key(|(t, ..)| *t);
    all.dedup_by_key(|(t, ..)| *t);
    for (timestamp, value, start, histogram) in all {
        match histogram {
            Some(histogram) => out.push_histogram(timestamp, Arc::clone(histogram)),
            None => out.push(timestamp, value),
        }
        out.set_last_start(start);
    }
}

/// The timeline a chunk's timestamps are on, if they are.
pub(super) fn shared(times: &Times) -> Option<(TimelineId, u32)> {
    match times {
        Times::Shared { id, first } => Some((*id, *first)),
        Times::Own(_) => None,
    }
}
