//! Back from the log: file by file, first the new series, then the samples, on all cores.
//!
//! Every thread reads all records and applies those of its own share of the series, so nothing is handed from thread
//! to thread and the order within a series is the log's. Samples are applied series by series, many at a time.
//!
//! **Invariants**: samples in order before the head's beginning are in blocks and left out; late ones are kept, a
//! block that has them too does no harm. What a record names that is not there (its definition was lost to damage) is
//! left out too, and counted. Whatever reference any kept record names, a series made later gets another one.

use std::sync::atomic::Ordering;

use hashbrown::HashMap;

use super::Head;
use super::page::{PAGE, Page, Slot};
use super::series::MemSeries;
use super::table::{MAX_SLOT, Table};
use super::timeline::{Placement, Timelines};
use crate::codec::CodecError;
use crate::model::{LabelsBuf, TimeRange};
use crate::tsdb::SeriesRef;
use crate::tsdb::error::Result;
use crate::tsdb::record::histograms::Coded;
use crate::tsdb::record::samples::SampleSink as _;
use crate::tsdb::record::{self, LoggedStart, PairNames, SampleHeader, kind, samples, v1};
use crate::tsdb::wal::fs::LogFs;
use crate::tsdb::wal::reader::{self, LoadedFile, LogFiles, ReplayReport};
use crate::util::lock::write;

impl Head {
    /// Applies `files` of the log, oldest first, and repairs damaged ones. The head must be new. `locked` is called once
    /// whatever else needs the head waits.
    ///
    /// # Errors
    /// When files cannot be read or repaired; damage itself is no error.
    pub fn replay(&self, fs: &dyn LogFs, files: &LogFiles, locked: impl FnOnce()) -> Result<ReplayReport> {
        let mut table = write(&self.table);
        locked();
        let mut report = ReplayReport::default();
        let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get).min(16);
        let mut shares: Vec<Share> =
            (0..threads).map(|number| Share::new(number, threads, self.min_valid())).collect();
        for entry in &files.entries {
            let mut definitions =
                Definitions { table: &mut table, names: PairNames::default(), newest: None, oldest: None };
            let file = reader::load(fs, entry, |payload| definitions.take(payload))?;
            let (newest, oldest) = (definitions.newest, definitions.oldest);
            report.note(&file, newest, oldest);
            apply_samples(&mut table, &mut shares, &file);
        }
        table.keep_exemplars_of_series();
        for share in shares {
            if let Some((start, end)) = share.held {
                self.note_time(start, end);
            }
            report.orphans += share.orphans;
            report.undecodable += share.undecodable;
            table.note_generation(share.generation);
            table.timelines.join(share.timelines);
        }
        table.timelines.joined();
        table.collect_free_slots();
        self.created.store(table.len() as u64, Ordering::Relaxed);
        Ok(report)
    }
}

/// The first pass over a file: series come to be, the rest is only looked at.
struct Definitions<'a> {
    table: &'a mut Table,
    names: PairNames,
    oldest: Option<i64>,
    newest: Option<i64>,
}

impl Definitions<'_> {
    fn take(&mut self, payload: &[u8]) -> std::result::Result<(), CodecError> {
        let table = &mut *self.table;
        let mut define = |reference: SeriesRef, labels: &LabelsBuf| {
            if reference.slot() > MAX_SLOT {
                return Err(CodecError::Invalid { what: "series reference", at: 0 });
            }
            table.insert_logged(reference, &labels.to_labels());
            Ok(())
        };
        match record::kind_of(payload)? {
            kind::SERIES_V1 => v1::each_series(payload, &mut define)?,
            kind::PAIRS => self.names.add(payload)?,
            kind::SERIES => self.names.each_series(payload, &mut define)?,
            kind::SCRAPE_V1 | kind::SAMPLES_V1 => {
                let header = v1::each_sample(payload, |_, _, _| {})?;
                self.note(header);
            }
            kind::SAMPLES | kind::LATE => self.note(samples::header(payload)?),
            kind::HISTOGRAMS => {
                if let Some((first, newest)) = record::histograms::times(payload)? {
                    self.note(SampleHeader { timeline: None, first, newest, count: 0 });
                }
            }
            kind::EXEMPLARS => {
                if let Some((first, newest)) = record::exemplars::times(payload)? {
                    self.note(SampleHeader { timeline: None, first, newest, count: 0 });
                }
                let table = &mut *self.table;
                record::exemplars::each(payload, |one| {
                    table.note_generation(one.series.generation());
                    table.insert_exemplar(one);
                })?;
            }
            kind::STARTS | kind::LATE_STARTS => {
                record::starts::each(payload, |one| table.note_generation(one.series.generation()))?;
            }
            kind::DELETE => {
                let deletion = record::read_delete(payload)?;
                let range = TimeRange::new(deletion.start, deletion.end);
                deletion.series.iter().for_each(|reference| table.note_generation(reference.generation()));
                table.exemplars.delete(&deletion.series, range);
            }
            kind::METADATA => {
                record::metadata::each(payload, |name, metadata| table.families.set(name, metadata))?;
            }
            _ => {}
        }
        Ok(())
    }

    fn note(&mut self, header: SampleHeader) {
        self.newest = self.newest.max(Some(header.newest));
        self.oldest.get_or_insert(header.first);
    }
}

fn apply_samples(table: &mut Table, shares: &mut [Share], file: &LoadedFile) {
    let count = shares.len();
    let mut pages: Vec<Vec<&mut Page>> = (0..count).map(|_| Vec::new()).collect();
    let all = table.pages.len();
    for (number, page) in table.pages.iter_mut().enumerate() {
        pages[number % count].push(page);
    }
    std::thread::scope(|scope| {
        for (share, pages) in shares.iter_mut().zip(pages) {
            scope.spawn(move || share.apply(file, pages, all));
        }
    });
}

/// Samples collected before they are brought into the order of series; more if there are more series than that.
const MIN_PENDING: usize = 1 << 18;

/// A sample on its way to its series.
#[derive(Debug, Clone, Copy, Default)]
struct Pending {
    /// Number of the series among those of the share.
    series: u32,
    /// Number of the timestamp in [`Share::stamps`].
    stamp: u32,
    bits: u64,
}

/// What decoding needs to know of a series, close together.
#[derive(Debug, Clone, Copy)]
struct Known {
    /// [`SeriesRef::REFUSED`] of an empty slot.
    reference: SeriesRef,
    /// Bits of the last value in the current file.
    bits: u64,
}

/// Stands in [`Share::places`] for a sparse page.
const SPARSE: u32 = u32::MAX;
/// Stands there for a page of another share.
const ELSEWHERE: u32 = u32::MAX - 1;

/// One thread's part of the series.
struct Share {
    number: usize,
    of: usize,
    timelines: Timelines,
    min_valid: i64,
    scratch: samples::Scratch,
    /// For each page of the table where its slots begin among the known ones, [`SPARSE`] or [`ELSEWHERE`].
    places: Vec<u32>,
    /// For slots of sparse pages their number among the known ones.
    sparse: HashMap<u32, u32>,
    /// The slots of the share's pages.
    known: Vec<Known>,
    pending: Vec<Pending>,
    sorted: Vec<Pending>,
    /// For each series where its samples end among the sorted ones.
    ends: Vec<u32>,
    /// Timestamps of the pending samples, each with its place on a timeline.
    stamps: Vec<(i64, Option<Placement>)>,
    /// Oldest and newest timestamp applied.
    held: Option<(i64, i64)>,
    /// Samples of series that are not there.
    orphans: u64,
    /// Native histograms whose bytes make no sense.
    undecodable: u64,
    /// Largest generation among the references of series that are not there.
    generation: u32,
}

impl Share {
    fn new(number: usize, of: usize, min_valid: i64) -> Self {
        let as_u32 = |n: usize| u32::try_from(n).unwrap_or(1);
        Self {
            number,
            of,
            timelines: Timelines::part(as_u32(number), as_u32(of)),
            min_valid,
            scratch: samples::Scratch::default(),
            places: Vec::new(),
            sparse: HashMap::new(),
            known: Vec::new(),
            pending: Vec::new(),
            sorted: Vec::new(),
            ends: Vec::new(),
            stamps: Vec::new(),
            held: None,
            orphans: 0,
            undecodable: 0,
            generation: 0,
        }
    }

    fn note(&mut self, timestamp: i64) {
        let (start, end) = self.held.unwrap_or((timestamp, timestamp));
        self.held = Some((start.min(timestamp), end.max(timestamp)));
    }

    /// Applies the samples of `file` to `pages`, those of this share among `all`.
    fn apply(&mut self, file: &LoadedFile, pages: Vec<&mut Page>, all: usize) {
        self.places.clear();
        self.places.resize(all, ELSEWHERE);
        self.sparse.clear();
        self.known.clear();
        let mut slots = Vec::new();
        let numbers = (self.number..).step_by(self.of);
        for (number, page) in numbers.zip(pages) {
            let as_u32 = |number: usize| u32::try_from(number).unwrap_or(ELSEWHERE - 1);
            let dense = page.is_dense();
            self.places[number] = if dense { as_u32(slots.len()) } else { SPARSE };
            for (at, slot) in page.numbered_mut() {
                if !dense {
                    self.sparse.insert(as_u32(number * PAGE + at), as_u32(slots.len()));
                }
                let reference = slot.series().map_or(SeriesRef::REFUSED, |series| series.reference);
                self.known.push(Known { reference, bits: 0 });
                slots.push(slot);
            }
        }
        let mut scratch = std::mem::take(&mut self.scratch);
        let mut sink = Sink { share: self, slots, place: None, first: 0, last: None };
        for payload in file.payloads() {
            // The first pass read every record; what it could not read was cut off.
            let _ = sink.take(payload, &mut scratch);
        }
        sink.flush();
        self.scratch = scratch;
    }

    /// Whether this share has to do with the series.
    fn is_ours(&self, reference: SeriesRef) -> bool {
        let page = reference.slot() as usize / PAGE;
        // Dividing takes long, for one sample.
        self.places.get(page).map_or_else(|| page % self.of == self.number, |place| *place != ELSEWHERE)
    }

    /// Number of the series among the known ones; only if it is there.
    fn known(&self, reference: SeriesRef) -> Option<usize> {
        let slot = reference.slot();
        let number = match *self.places.get(slot as usize / PAGE)? {
            ELSEWHERE => return None,
            SPARSE => *self.sparse.get(&slot)? as usize,
            start => start as usize + slot as usize % PAGE,
        };
        // Behind the last slot of a page are those of the next, which have other references.
        self.known.get(number).is_some_and(|known| known.reference == reference).then_some(number)
    }

    /// Moves the pending samples to the sorted ones, by series, in the order of the log within each.
    fn sort_pending(&mut self) {
        if self.pending.len() * 16 < self.known.len() {
            // Counting looks at every series; few samples must not cost as much as there are series.
            self.sorted.clear();
            self.sorted.append(&mut self.pending);
            self.sorted.sort_by_key(|sample| sample.series);
            return;
        }
        self.ends.clear();
        self.ends.resize(self.known.len() + 1, 0);
        for sample in &self.pending {
            self.ends[sample.series as usize + 1] += 1;
        }
        let mut before = 0;
        for end in &mut self.ends {
            before += *end;
            *end = before;
        }
        self.sorted.resize(self.pending.len(), Pending::default());
        for sample in self.pending.drain(..) {
            let at = &mut self.ends[sample.series as usize];
            self.sorted[*at as usize] = sample;
            *at += 1;
        }
    }

    /// Notes a sample at `timestamp` of a series that is not there.
    fn note_absent(&mut self, reference: SeriesRef, timestamp: i64) {
        // Older ones are in blocks; their series may have left the head, and with it the log's checkpoint.
        self.orphans += u64::from(timestamp >= self.min_valid);
        self.generation = self.generation.max(reference.generation());
    }
}

/// One thread at work on one file.
struct Sink<'a> {
    share: &'a mut Share,
    /// The slots of the share's pages.
    slots: Vec<&'a mut Slot>,
    place: Option<Placement>,
    /// Timestamp the place is for.
    first: i64,
    /// Timestamp of the last sample and its number among the stamps.
    last: Option<(i64, u32)>,
}

impl Sink<'_> {
    fn take(
        &mut self,
        payload: &[u8],
        scratch: &mut samples::Scratch,
    ) -> std::result::Result<(), CodecError> {
        match record::kind_of(payload)? {
            kind::SCRAPE_V1 | kind::SAMPLES_V1 => {
                let (timeline, first) = v1::start(payload)?;
                self.begin(timeline, first);
                v1::each_sample(payload, |series, timestamp, bits| {
                    let place = self.find(series);
                    self.sample(place, timestamp, bits);
                })?;
            }
            kind::SAMPLES => {
                let header = samples::header(payload)?;
                self.begin(header.timeline, header.first);
                samples::each(payload, scratch, self)?;
            }
            kind::SERIES => record::each_new_series(payload, |reference| {
                // A series that is new in this file begins without a value, whoever had its slot before.
                if let Some(number) = self.share.known(reference) {
                    self.share.known[number].bits = 0;
                }
            })?,
            kind::LATE => samples::each(payload, scratch, &mut LateSink(self))?,
            kind::STARTS => record::starts::each(payload, |LoggedStart { series, from, start }| {
                if let Some((series, _)) = self.series(series) {
                    // What is appended from now on goes to another file.
                    series.set_start(from, start, 0);
                }
            })?,
            kind::LATE_STARTS => record::starts::each(payload, |LoggedStart { series, from, start }| {
                if let Some((series, _)) = self.series(series) {
                    series.set_late_start(from, start);
                }
            })?,
            kind::HISTOGRAMS => {
                self.flush();
                record::histograms::each(payload, |reference, timestamp, histogram| {
                    self.add_histogram(reference, timestamp, histogram);
                })?;
            }
            kind::DELETE => {
                self.flush();
                let deletion = record::read_delete(payload)?;
                let range = TimeRange::new(deletion.start, deletion.end);
                for reference in deletion.series {
                    if let Some((series, timelines)) = self.series(reference) {
                        series.delete(range, timelines);
                    }
                }
            }
            _ => {}
        }
        if self.share.pending.len() >= MIN_PENDING.max(self.share.known.len()) {
            self.flush();
        }
        Ok(())
    }

    fn begin(&mut self, timeline: Option<u32>, first: i64) {
        self.first = first;
        self.place = timeline.and_then(|id| self.share.timelines.push(id, first));
        self.last = None;
    }

    fn series(&mut self, reference: SeriesRef) -> Option<(&mut MemSeries, &mut Timelines)> {
        let number = self.share.known(reference)?;
        let series = self.slots.get_mut(number)?.series_mut()?;
        Some((series, &mut self.share.timelines))
    }

    /// Adds a sample of the series of a number among the known ones.
    fn add(&mut self, number: usize, timestamp: i64, bits: u64) {
        let share = &mut *self.share;
        if let Some(known) = share.known.get_mut(number) {
            known.bits = bits;
        }
        let stamp = match self.last {
            Some((last, stamp)) if last == timestamp => stamp,
            _ => {
                let place = self.place.filter(|_| timestamp == self.first);
                share.stamps.push((timestamp, place));
                let stamp = u32::try_from(share.stamps.len() - 1).unwrap_or(u32::MAX);
                self.last = Some((timestamp, stamp));
                stamp
            }
        };
        let series = u32::try_from(number).unwrap_or(u32::MAX);
        share.pending.push(Pending { series, stamp, bits });
    }

    /// Brings the pending samples into the order of series, each in the log's, and applies them: series after series
    /// stays in the processor's cache, sample after sample of all series would not.
    fn flush(&mut self) {
        let share = &mut *self.share;
        self.last = None;
        if share.pending.is_empty() {
            return;
        }
        share.sort_pending();
        let sorted = std::mem::take(&mut share.sorted);
        for run in sorted.chunk_by(|a, b| a.series == b.series) {
            let number = run.first().map_or(0, |sample| sample.series as usize);
            let slot = self.slots.get_mut(number);
            let Some(series) = slot.and_then(|slot| slot.series_mut()) else { continue };
            for sample in run {
                let (timestamp, place) = self.share.stamps[sample.stamp as usize];
                append(series, timestamp, sample.bits, place, self.share);
            }
        }
        self.share.sorted = sorted;
        self.share.stamps.clear();
    }

    fn add_histogram(&mut self, reference: SeriesRef, timestamp: i64, coded: Coded<'_>) {
        if !self.share.is_ours(reference) {
            return;
        }
        let min_valid = self.share.min_valid;
        let Some((series, _)) = self.series(reference) else {
            return self.share.note_absent(reference, timestamp);
        };
        if timestamp <= series.last_time {
            return;
        }
        series.note_histogram(timestamp);
        if timestamp < min_valid {
            return;
        }
        match coded.decode() {
            Ok(histogram) => {
                series.append_histogram(timestamp, histogram);
                self.share.note(timestamp);
            }
            Err(_) => self.share.undecodable += 1,
        }
    }

    /// Adds a sample that was behind its series when it came. A block may have it too.
    fn add_late(&mut self, reference: SeriesRef, timestamp: i64, bits: u64) {
        if !self.share.is_ours(reference) {
            return;
        }
        let Some((series, _)) = self.series(reference) else {
            return self.share.note_absent(reference, timestamp);
        };
        series.append_late(timestamp, bits);
        self.share.note(timestamp);
    }
}

fn append(series: &mut MemSeries, timestamp: i64, bits: u64, place: Option<Placement>, share: &mut Share) {
    if timestamp == series.last_time {
        return;
    }
    if timestamp > series.last_time && timestamp < share.min_valid {
        // In a block. What is older than this and comes later is late and may not be in one.
        series.note_float(timestamp, bits);
        return;
    }
    if timestamp > series.last_time {
        series.append_newest(timestamp, bits, place, &mut share.timelines);
    } else {
        series.append_late(timestamp, bits);
    }
    share.note(timestamp);
}

/// Where a share keeps a series.
#[derive(Debug, Clone, Copy)]
enum Place {
    /// Number among the known ones.
    Known(usize),
    /// One of ours that is not there.
    Absent(SeriesRef),
    /// Of another share.
    Elsewhere,
}

impl samples::SampleSink for Sink<'_> {
    type Place = Place;

    fn find(&mut self, reference: SeriesRef) -> Place {
        match self.share.known(reference) {
            Some(number) => Place::Known(number),
            None if self.share.is_ours(reference) => Place::Absent(reference),
            None => Place::Elsewhere,
        }
    }

    fn base(&mut self, place: Place) -> u64 {
        // Of a series that is not here the value does not matter.
        let Place::Known(number) = place else { return 0 };
        self.share.known.get(number).map_or(0, |known| known.bits)
    }

    fn sample(&mut self, place: Place, timestamp: i64, bits: u64) {
        match place {
            Place::Known(number) => self.add(number, timestamp, bits),
            Place::Absent(reference) => self.share.note_absent(reference, timestamp),
            Place::Elsewhere => {}
        }
    }
}

/// Takes the samples of a record of late ones.
struct LateSink<'a, 'b>(&'a mut Sink<'b>);

impl samples::SampleSink for LateSink<'_, '_> {
    type Place = SeriesRef;

    fn find(&mut self, reference: SeriesRef) -> SeriesRef {
        reference
    }

    fn base(&mut self, _: SeriesRef) -> u64 {
        0
    }

    fn sample(&mut self, reference: SeriesRef, timestamp: i64, bits: u64) {
        self.0.add_late(reference, timestamp, bits);
    }
}
