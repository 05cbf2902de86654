//! Classic histograms of a text to native ones: the lines of one are collected until one comes that is not of it.
//!
//! **Cost**: labels of such lines are parsed each time; nothing is allocated for them once buffers have grown.

#![cfg_attr(not(test), deny(clippy::indexing_slicing))]

use super::classic::Classic;
use super::number;
use super::parser::{Entry, ExemplarText, Parser, Sample};
use super::series::{SeriesError, parse_exposed};
use crate::model::bounds::MAX_HISTOGRAM_CELLS;
use crate::model::{Histogram, LabelsBuf, METRIC_NAME, MetricType};
use crate::util::brief;

/// Stands before each name and value of a key: no UTF-8 holds it.
const SEPARATOR: u8 = 0xff;

/// Which part of a histogram a line is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Part {
    Bucket(f64),
    Sum,
    Count,
}

/// Collects the lines of one histogram after the other.
#[derive(Debug, Default)]
pub(super) struct Converter<'a> {
    /// Whether lines were collected that make no histogram yet.
    open: bool,
    /// Labels of the histogram, its name among them, and its key.
    labels: LabelsBuf,
    key: Vec<u8>,
    /// Those of the line that was looked at last.
    candidate: LabelsBuf,
    classic: Classic,
    exemplars: Vec<ExemplarText<'a>>,
    unit: &'a [u8],
    created: Option<i64>,
    timestamp: Option<i64>,
    /// The last histogram that was complete.
    histogram: Histogram,
}

impl<'a> Converter<'a> {
    /// Which part of a histogram `entry` is, which `parser` read last.
    pub(super) fn part(&mut self, entry: Option<&Entry<'a>>, parser: &Parser<'a>) -> Option<Part> {
        let Some(Entry::Sample(sample)) = entry else { return None };
        if parser.kind() != MetricType::Histogram {
            return None;
        }
        let labels = &mut self.candidate;
        parse_exposed(sample.series, MetricType::Histogram, labels).ok()?;
        let name = labels.metric_name();
        let suffixes = ["_bucket", "_sum", "_count"];
        let (suffix, base) =
            suffixes.iter().find_map(|suffix| Some((*suffix, name.strip_suffix(suffix)?)))?;
        if base.as_bytes() != parser.family() {
            return None;
        }
        let part = match suffix {
            "_bucket" => {
                let bound = number::value(labels.get("le")?.as_bytes())?;
                Part::Bucket(Some(bound).filter(|bound| !bound.is_nan())?)
            }
            "_sum" => Part::Sum,
            _ => Part::Count,
        };
        let base = base.to_owned();
        labels.set(METRIC_NAME, &base);
        labels.remove("le");
        Some(part)
    }

    /// Ends the open histogram if what was looked at last, as [`Converter::part`] told, is not of it. Says whether
    /// there is one; lines that make none are forgotten.
    pub(super) fn complete(&mut self, part: Option<Part>) -> bool {
        if !self.open || part.is_some() && self.labels.iter().eq(self.candidate.iter()) {
            return false;
        }
        self.open = false;
        match self.classic.convert() {
            Ok(histogram) => self.histogram = histogram,
            Err(_) => return false,
        }
        self.key.clear();
        for (name, value) in self.labels.iter() {
            for text in [name, value] {
                self.key.push(SEPARATOR);
                self.key.extend_from_slice(text.as_bytes());
            }
        }
        true
    }

    /// Adds the line that was looked at last. `created` is asked when counting began.
    pub(super) fn add(
        &mut self,
        part: Part,
        sample: &Sample<'a>,
        parser: &Parser<'a>,
        created: impl FnOnce() -> Option<i64>,
    ) {
        if !self.open {
            self.open = true;
            std::mem::swap(&mut self.labels, &mut self.candidate);
            self.classic.clear();
            self.exemplars.clear();
            self.unit = parser.unit();
            self.created = created();
        }
        self.timestamp = sample.timestamp;
        if self.exemplars.len() < MAX_HISTOGRAM_CELLS {
            self.exemplars.extend(parser.exemplar());
        }
        match part {
            Part::Bucket(bound) => self.classic.bucket(bound, sample.value),
            Part::Sum => self.classic.sum(sample.value),
            Part::Count => self.classic.count(sample.value),
        }
    }

    /// The key of the last complete histogram.
    pub(super) fn key(&self) -> &[u8] {
        &self.key
    }

    /// Its labels.
    pub(super) fn read_labels(&self, out: &mut LabelsBuf) -> Result<(), SeriesError> {
        out.clear();
        self.labels.iter().for_each(|(name, value)| out.append(name, value));
        out.order().map_err(|name| SeriesError::Duplicate(brief(name)))
    }

    /// It.
    pub(super) fn take_histogram(&mut self) -> Histogram {
        std::mem::take(&mut self.histogram)
    }

    /// The unit of its family.
    pub(super) fn unit(&self) -> &'a [u8] {
        self.unit
    }

    /// When counting began, in milliseconds.
    pub(super) fn created(&self) -> Option<i64> {
        self.created
    }

    /// Milliseconds, where its last line has a timestamp.
    pub(super) fn timestamp(&self) -> Option<i64> {
        self.timestamp
    }

    /// The next of its exemplars that has a timestamp.
    pub(super) fn next_exemplar(&mut self) -> Option<ExemplarText<'a>> {
        loop {
            let exemplar = self.exemplars.pop()?;
            if exemplar.timestamp.is_some() {
                return Some(exemplar);
            }
        }
    }
}
