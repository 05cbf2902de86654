//! Samples that come in any order, kept encoded in memory and given out as a series set.
//!
//! **Cost**: labels of all series, all exemplars, and the samples as Prometheus' head would hold them: one to two bytes
//! for most.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::mem;
use std::sync::Arc;

use super::merged;
use super::prometheus::Encoding;
use super::prometheus::float_chunk::MAX_SAMPLES;
use super::prometheus::histogram_chunk::{self, HistogramChunk};
use super::prometheus::xor2_chunk::{self, StartChunk};
use crate::codec::CodecError;
use crate::model::{Exemplar, Histogram, Labels, Samples, TimeRange, sort_exemplars};
use crate::storage::{SeriesSet, StorageError};

/// Time covered by a block that is written from them, in milliseconds: what merging would bring it to anyway.
pub const WINDOW_MS: i64 = 24 * 3_600_000;

/// Series being filled.
#[derive(Default)]
pub struct Gathered {
    numbers: HashMap<Labels, usize>,
    series: Vec<Series>,
    samples: u64,
    /// Numbers of the windows that have samples, and the last one.
    windows: BTreeSet<i64>,
    window: Option<i64>,
}

struct Series {
    labels: Labels,
    chunks: Vec<Chunk>,
    floats: StartChunk,
    histograms: Option<HistogramChunk>,
    /// Starts of histograms, by their time; of floats their chunks have them.
    starts: BTreeMap<i64, i64>,
    /// Of the chunks being filled.
    floats_range: Option<TimeRange>,
    histograms_range: Option<TimeRange>,
    deleted: Vec<TimeRange>,
    exemplars: Vec<Exemplar>,
}

struct Chunk {
    encoding: Encoding,
    range: TimeRange,
    bytes: Box<[u8]>,
}

fn widen(range: &mut Option<TimeRange>, timestamp: i64) {
    let known = range.unwrap_or(TimeRange::new(timestamp, timestamp));
    *range = Some(TimeRange::new(known.start.min(timestamp), known.end.max(timestamp)));
}

impl Series {
    fn end_floats(&mut self) {
        let chunk = mem::take(&mut self.floats);
        if let Some(range) = self.floats_range.take() {
            self.chunks.push(Chunk { encoding: Encoding::Xor2, range, bytes: chunk.finish().into() });
        }
    }

    fn end_histograms(&mut self) {
        if let (Some(chunk), Some(range)) = (self.histograms.take(), self.histograms_range.take()) {
            self.chunks.push(Chunk { encoding: chunk.encoding(), range, bytes: chunk.finish().into() });
        }
    }
}

impl Gathered {
    /// The number of the series with `labels`, made if it is new.
    pub fn series(&mut self, labels: Labels) -> usize {
        if let Some(number) = self.numbers.get(&labels) {
            return *number;
        }
        let number = self.series_apart(labels.clone());
        self.numbers.insert(labels, number);
        number
    }

    /// The number of a new series with `labels`, though others may have the same: what is deleted from one of them stays
    /// in the others.
    pub fn series_apart(&mut self, labels: Labels) -> usize {
        self.series.push(Series {
            labels,
            chunks: Vec::new(),
            floats: StartChunk::default(),
            histograms: None,
            starts: BTreeMap::new(),
            floats_range: None,
            histograms_range: None,
            deleted: Vec::new(),
            exemplars: Vec::new(),
        });
        self.series.len() - 1
    }

    /// Whether series `number` has `labels`.
    pub fn has_labels(&self, number: usize, labels: &Labels) -> bool {
        self.series.get(number).is_some_and(|series| series.labels == *labels)
    }

    /// Adds a sample to series `number`, which must be one that [`Gathered::series`] gave.
    pub fn push(&mut self, number: usize, timestamp: i64, value: f64) {
        self.push_since(number, timestamp, value, 0);
    }

    /// As [`Gathered::push`], of a sample that counts since `start` (milliseconds, 0 where unknown).
    pub fn push_since(&mut self, number: usize, timestamp: i64, value: f64, start: i64) {
        let series = &mut self.series[number];
        if series.floats.len() >= MAX_SAMPLES {
            series.end_floats();
        }
        series.floats.push(timestamp, value, start);
        widen(&mut series.floats_range, timestamp);
        self.count(timestamp);
    }

    /// Adds a native histogram to series `number`, which must be one that [`Gathered::series`] gave.
    pub fn push_histogram(&mut self, number: usize, timestamp: i64, histogram: &Arc<Histogram>) {
        let series = &mut self.series[number];
        match &mut series.histograms {
            Some(chunk) if chunk.len() < MAX_SAMPLES && chunk.takes(histogram) => {
                chunk.push(timestamp, histogram);
            }
            _ => {
                series.end_histograms();
                series.histograms = Some(HistogramChunk::new(timestamp, histogram));
            }
        }
        widen(&mut series.histograms_range, timestamp);
        self.count(timestamp);
    }

    /// As [`Gathered::push_histogram`], of one that counts since `start` (milliseconds, 0 where unknown).
    pub fn push_histogram_since(
        &mut self,
        number: usize,
        timestamp: i64,
        histogram: &Arc<Histogram>,
        start: i64,
    ) {
        self.push_histogram(number, timestamp, histogram);
        if start != 0 {
            // Of equal times the first to come stays.
            self.series[number].starts.entry(timestamp).or_insert(start);
        }
    }

    /// Adds an exemplar to series `number`, which must be one that [`Gathered::series`] gave.
    pub fn push_exemplar(&mut self, number: usize, exemplar: Exemplar) {
        self.series[number].exemplars.push(exemplar);
    }

    fn count(&mut self, timestamp: i64) {
        let window = timestamp.div_euclid(WINDOW_MS);
        if self.window != Some(window) {
            self.window = Some(window);
            self.windows.insert(window);
        }
        self.samples += 1;
    }

    /// Takes the samples inside `range` out of series `number`, those that are still to come as well.
    pub fn delete(&mut self, number: usize, range: TimeRange) {
        if let Some(series) = self.series.get_mut(number) {
            series.deleted.push(range);
        }
    }

    /// Samples added so far.
    pub fn samples(&self) -> u64 {
        self.samples
    }

    /// The series in label order, of which those without samples may be some. Those of [`Gathered::series_apart`] may have
    /// equal labels.
    pub fn finish(mut self) -> GatheredSet {
        for series in &mut self.series {
            series.end_floats();
            series.end_histograms();
        }
        // Stable: of equal labels and times the first to come stays.
        self.series.sort_by(|a, b| a.labels.cmp(&b.labels));
        let ranges = self.series.iter().flat_map(|series| series.chunks.iter().map(|chunk| chunk.range));
        let range = ranges.reduce(|a, b| TimeRange::new(a.start.min(b.start), a.end.max(b.end)));
        let mut exemplars: Vec<(Labels, Vec<Exemplar>)> = Vec::new();
        for series in &mut self.series {
            let all = mem::take(&mut series.exemplars);
            match exemplars.last_mut() {
                _ if all.is_empty() => {}
                Some((labels, before)) if *labels == series.labels => before.extend(all),
                _ => exemplars.push((series.labels.clone(), all)),
            }
        }
        exemplars.iter_mut().for_each(|(_, all)| sort_exemplars(all));
        let newest = exemplars.iter().filter_map(|(_, all)| all.last()).map(|last| last.timestamp).max();
        let range = range.map(|range| TimeRange { end: range.end.max(newest.unwrap_or(range.end)), ..range });
        // So that the last block ends behind all of them.
        self.windows.extend(range.map(|range| range.end.div_euclid(WINDOW_MS)));
        GatheredSet { series: self.series, range, windows: self.windows, exemplars }
    }
}

/// Gathered samples, to be read.
pub struct GatheredSet {
    series: Vec<Series>,
    range: Option<TimeRange>,
    windows: BTreeSet<i64>,
    exemplars: Vec<(Labels, Vec<Exemplar>)>,
}

impl GatheredSet {
    /// Takes out the exemplars before `end`, in label order.
    pub fn take_exemplars(&mut self, end: i64) -> Vec<(Labels, Vec<Exemplar>)> {
        let mut taken = Vec::new();
        for (labels, all) in &mut self.exemplars {
            let later = all.split_off(all.partition_point(|exemplar| exemplar.timestamp < end));
            let before = mem::replace(all, later);
            if !before.is_empty() {
                taken.push((labels.clone(), before));
            }
        }
        taken
    }

    /// Time of the first sample and of the last, or of an exemplar behind it.
    pub fn range(&self) -> Option<TimeRange> {
        self.range
    }

    /// Numbers of the windows of [`WINDOW_MS`] that have samples.
    pub fn windows(&self) -> &BTreeSet<i64> {
        &self.windows
    }
}

impl SeriesSet for GatheredSet {
    fn len(&self) -> usize {
        self.series.len()
    }

    fn labels(&self, index: usize) -> Labels {
        self.series[index].labels.clone()
    }

    fn read(&self, index: usize, range: TimeRange, out: &mut Samples) -> Result<(), StorageError> {
        out.clear();
        let series = &self.series[index];
        for chunk in series.chunks.iter().filter(|chunk| chunk.range.overlaps(&range)) {
            let done = match chunk.encoding {
                Encoding::Xor2 => xor2_chunk::decode(&chunk.bytes, |timestamp, value, start| {
                    if range.contains(timestamp) {
                        out.push(timestamp, value);
                        out.set_last_start(start);
                    }
                }),
                encoding => histogram_chunk::decode(&chunk.bytes, encoding, |timestamp, histogram| {
                    if range.contains(timestamp) {
                        out.push_histogram(timestamp, histogram);
                        out.set_last_start(series.starts.get(&timestamp).copied().unwrap_or(0));
                    }
                }),
            };
            done.map_err(|error: CodecError| StorageError::Read {
                what: series.labels.to_string(),
                reason: error.to_string(),
            })?;
        }
        merged::sort(out);
        if !series.deleted.is_empty() {
            merged::retain(out, |t| !series.deleted.iter().any(|range| range.contains(t)));
        }
        Ok(())
    }
}
