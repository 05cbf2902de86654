//! Back from the log: file by file, first the new series, then the samples, on all cores.
//!
//! Every thread reads all records and applies those of its own share of the series, so nothing is handed from thread
//! to thread and the order within a series is the log's.
//!
//! **Invariants**: samples in order before the head's beginning are in blocks and left out; late ones are kept, a
//! block that has them too does no harm. What a record names that is not
//! there (its definition was lost to damage) is left out too, and counted.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::Head;
use super::series::MemSeries;
use super::table::{PAGE, Page, Table};
use super::timeline::{Placement, Timelines};
use crate::model::{Histogram, LabelsBuf, TimeRange};
use crate::tsdb::SeriesRef;
use crate::tsdb::error::Result;
use crate::tsdb::record::{self, PairNames, SampleHeader, kind, samples, v1};
use crate::tsdb::wal::fs::LogFs;
use crate::tsdb::wal::reader::{self, LoadedFile, ReplayReport};
use crate::util::lock::write;

impl Head {
    /// Applies the whole log, oldest first, and repairs damaged files. The head must be new.
    ///
    /// # Errors
    /// When files cannot be read or repaired; damage itself is no error.
    pub fn replay(&self, fs: &dyn LogFs) -> Result<ReplayReport> {
        let mut table = write(&self.table);
        let mut report = ReplayReport::default();
        let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get).min(16);
        let mut shares: Vec<Share> =
            (0..threads).map(|number| Share::new(number, threads, self.min_valid())).collect();
        let (files, last_segment) = reader::files(fs)?;
        report.last_segment = last_segment;
        for name in files {
            let mut definitions =
                Definitions { table: &mut table, names: PairNames::default(), newest: None, oldest: None };
            let file = reader::load(fs, &name, |payload| definitions.take(payload))?;
            let (newest, oldest) = (definitions.newest, definitions.oldest);
            report.note(&file, newest, oldest);
            apply_samples(&mut table, &mut shares, &file);
        }
        for share in shares {
            if let Some((start, end)) = share.held {
                self.note_time(start, end);
            }
            report.orphans += share.orphans;
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
    fn take(&mut self, payload: &[u8]) -> std::result::Result<(), crate::codec::CodecError> {
        let table = &mut *self.table;
        let mut define = |reference, labels: &LabelsBuf| table.insert_logged(reference, &labels.to_labels());
        match record::kind_of(payload)? {
            kind::SERIES_V1 => v1::each_series(payload, &mut define)?,
            kind::PAIRS => self.names.add(payload)?,
            kind::SERIES => self.names.each_series(payload, &mut define)?,
            kind::SCRAPE_V1 | kind::SAMPLES_V1 => {
                let header = v1::each_sample(payload, |_, _, _| {})?;
                self.note(header);
            }
            kind::SAMPLES => self.note(samples::header(payload)?),
            kind::HISTOGRAMS => {
                if let Some((first, newest)) = record::histograms::times(payload)? {
                    self.note(SampleHeader { timeline: None, first, newest, count: 0 });
                }
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
    let mut pages: Vec<Vec<Option<&mut Page>>> = (0..count).map(|_| Vec::new()).collect();
    for (number, page) in table.pages.iter_mut().enumerate() {
        let mut page = Some(page);
        for (share, own) in pages.iter_mut().enumerate() {
            own.push(if share == number % count { page.take() } else { None });
        }
    }
    std::thread::scope(|scope| {
        for (share, pages) in shares.iter_mut().zip(pages) {
            scope.spawn(move || share.apply(file, pages));
        }
    });
}

/// One thread's part of the series.
struct Share {
    number: usize,
    timelines: Timelines,
    min_valid: i64,
    scratch: samples::Scratch,
    /// Oldest and newest timestamp applied.
    held: Option<(i64, i64)>,
    /// Samples of series that are not there.
    orphans: u64,
}

impl Share {
    fn new(number: usize, of: usize, min_valid: i64) -> Self {
        let as_u32 = |n: usize| u32::try_from(n).unwrap_or(1);
        Self {
            number,
            timelines: Timelines::part(as_u32(number), as_u32(of)),
            min_valid,
            scratch: samples::Scratch::default(),
            held: None,
            orphans: 0,
        }
    }

    fn note(&mut self, timestamp: i64) {
        let (start, end) = self.held.unwrap_or((timestamp, timestamp));
        self.held = Some((start.min(timestamp), end.max(timestamp)));
    }

    fn apply(&mut self, file: &LoadedFile, pages: Vec<Option<&mut Page>>) {
        let mut scratch = std::mem::take(&mut self.scratch);
        let mut sink = Sink { share: self, pages, file: file.number(), place: None, first: 0 };
        for payload in file.payloads() {
            // The first pass read every record; what it could not read was cut off.
            let _ = sink.take(payload, &mut scratch);
        }
        self.scratch = scratch;
    }
}

/// One thread at work on one file.
struct Sink<'a> {
    share: &'a mut Share,
    /// By number; those of other threads are absent.
    pages: Vec<Option<&'a mut Page>>,
    file: u32,
    place: Option<Placement>,
    /// Timestamp the place is for.
    first: i64,
}

impl Sink<'_> {
    fn take(
        &mut self,
        payload: &[u8],
        scratch: &mut samples::Scratch,
    ) -> std::result::Result<(), crate::codec::CodecError> {
        match record::kind_of(payload)? {
            kind::SCRAPE_V1 | kind::SAMPLES_V1 => {
                let (timeline, first) = v1::start(payload)?;
                self.begin(timeline, first);
                v1::each_sample(payload, |series, timestamp, bits| self.add(series, timestamp, bits))?;
            }
            kind::SAMPLES => {
                let header = samples::header(payload)?;
                self.begin(header.timeline, header.first);
                samples::each(payload, scratch, self)?;
            }
            kind::HISTOGRAMS => record::histograms::each(payload, |reference, timestamp, histogram| {
                self.add_histogram(reference, timestamp, histogram);
            })?,
            kind::DELETE => {
                let deletion = record::read_delete(payload)?;
                let range = TimeRange::new(deletion.start, deletion.end);
                for reference in deletion.series {
                    if let Some((series, timelines)) = self.find(reference) {
                        series.delete(range, timelines);
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn begin(&mut self, timeline: Option<u32>, first: i64) {
        self.first = first;
        self.place = timeline.and_then(|id| self.share.timelines.push(id, first));
    }

    fn find(&mut self, reference: SeriesRef) -> Option<(&mut MemSeries, &mut Timelines)> {
        let slot = reference.slot() as usize;
        let series = self.pages.get_mut(slot / PAGE)?.as_mut()?.get_mut(slot % PAGE)?.series.as_mut()?;
        (series.reference == reference).then_some((series, &mut self.share.timelines))
    }

    fn add(&mut self, reference: SeriesRef, timestamp: i64, bits: u64) {
        let (place, first, file, min_valid) = (self.place, self.first, self.file, self.share.min_valid);
        let Some((series, timelines)) = self.find(reference) else {
            // Pages of others are absent; a page nobody has is counted by the first.
            let page = self.pages.get(reference.slot() as usize / PAGE);
            let own = page.map_or(self.share.number == 0, Option::is_some);
            self.share.orphans += u64::from(own);
            return;
        };
        series.log_segment = file;
        series.log_bits = bits;
        if timestamp == series.last_time {
            return;
        }
        if timestamp > series.last_time && timestamp < min_valid {
            // In a block. What is older than this and comes later is late and may not be in one.
            series.last_time = timestamp;
            series.last_bits = bits;
            return;
        }
        if timestamp > series.last_time {
            series.append(timestamp, bits, place.filter(|_| timestamp == first), timelines);
        } else {
            series.append_late(timestamp, bits);
        }
        self.share.note(timestamp);
    }
}

impl Sink<'_> {
    fn add_histogram(&mut self, reference: SeriesRef, timestamp: i64, histogram: Arc<Histogram>) {
        let min_valid = self.share.min_valid;
        let Some((series, _)) = self.find(reference) else { return };
        if timestamp <= series.last_time {
            return;
        }
        series.last_time = timestamp;
        if timestamp >= min_valid {
            series.append_histogram(timestamp, histogram);
            self.share.note(timestamp);
        }
    }
}

impl samples::SampleSink for Sink<'_> {
    fn base(&mut self, reference: SeriesRef) -> u64 {
        let file = self.file;
        // Of another thread's series the value does not matter here.
        self.find(reference)
            .map_or(0, |(series, _)| if series.log_segment == file { series.log_bits } else { 0 })
    }

    fn sample(&mut self, reference: SeriesRef, timestamp: i64, bits: u64) {
        self.add(reference, timestamp, bits);
    }
}
