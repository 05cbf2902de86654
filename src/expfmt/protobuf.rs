//! Delimited protobuf: the messages of a body to the samples a text would hold, and to native histograms.
//!
//! A body is a sequence of `io.prometheus.client.MetricFamily`, each behind its length. Fields are read in place and
//! those that are not known are passed over.
//!
//! **Cost**: the fields of a family are walked over twice, once for what it says of itself and once for its metrics;
//! nothing is allocated but for native histograms and for labels that are asked for. The key of a series is the name of
//! the family, the bytes of the labels, and what part of the metric it is.

#![cfg_attr(not(test), deny(clippy::indexing_slicing))]

use super::classic::{Classic, ClassicFault};
use super::native;
use super::number::canonical_float;
use super::options::ReadOptions;
use super::parser::Entry;
use super::series::SeriesError;
use crate::codec::protobuf::{Field, each_field, field};
use crate::codec::{ByteReader, CodecError};
use crate::model::histogram::{HistogramFault, ResetHint};
use crate::model::{Histogram, LabelsBuf, METRIC_NAME, MetricType};
use crate::util::brief;

/// Ends the name in a key: no UTF-8 holds it.
const NAME_END: u8 = 0xff;
/// Parts of a metric, behind the labels in a key. Labels begin with the tag of their field, which is another number.
const VALUE: u8 = 0;
const COUNT: u8 = 1;
const SUM: u8 = 2;
const QUANTILE: u8 = 3;
const BUCKET: u8 = 4;
const NATIVE: u8 = 5;

/// A body that cannot be read.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("metric family {family:?} at byte {at}: {fault}")]
pub struct ProtobufError {
    /// Its name, if that was read.
    pub family: String,
    /// Where its message begins in the body.
    pub at: usize,
    /// What is wrong.
    pub fault: ProtobufFault,
}

/// What is wrong with a body.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ProtobufFault {
    /// The bytes are no such message.
    #[error(transparent)]
    Codec(#[from] CodecError),
    /// A name, unit or help text is not UTF-8, or the name is empty.
    #[error("invalid {0}")]
    Text(&'static str),
    /// The family is of no known type.
    #[error("unknown metric type {0}")]
    Type(u64),
    /// A native histogram is none.
    #[error(transparent)]
    Histogram(#[from] HistogramFault),
    /// A classic histogram cannot be converted.
    #[error(transparent)]
    Classic(#[from] ClassicFault),
}

type Result<T> = std::result::Result<T, ProtobufFault>;

/// What a family says of itself.
#[derive(Debug, Clone, Copy, Default)]
struct Family<'a> {
    at: usize,
    name: &'a str,
    help: &'a str,
    unit: &'a str,
    kind: MetricType,
}

/// One metric: labels and a value.
#[derive(Debug, Clone, Copy, Default)]
struct Metric<'a> {
    /// The whole message.
    message: &'a [u8],
    /// Milliseconds; 0 is none.
    timestamp: i64,
    /// The message of its value, which is of the type of the family.
    value: &'a [u8],
    totals: native::Totals<'a>,
}

/// What comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Family,
    Unit,
    Type,
    Metric,
    Native,
    Count,
    Sum,
    Row,
    /// The last bucket, which holds everything and was not exposed.
    Infinity,
    Converted,
}

/// What was read last.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Item {
    Metadata,
    Sample(f64),
    Histogram,
}

/// Where exemplars of what was read last are.
#[derive(Debug, Clone)]
enum Exemplars<'a> {
    None,
    One(&'a [u8]),
    /// Fields of a histogram that are left, and whether those of its buckets are meant.
    Native {
        fields: ByteReader<'a>,
        of_buckets: bool,
    },
}

/// Reads one body.
#[derive(Debug)]
pub(super) struct Protobuf<'a> {
    body: ByteReader<'a>,
    options: ReadOptions,
    family: Family<'a>,
    /// Fields of the family that were not looked at for metrics yet.
    metrics: ByteReader<'a>,
    metric: Metric<'a>,
    /// Fields of the value that were not looked at for buckets or quantiles yet.
    rows: ByteReader<'a>,
    step: Step,
    /// What was read last: a metadata entry, or the part and the bound of a series.
    shown: Step,
    bound: Option<f64>,
    key: Vec<u8>,
    /// Bytes of the key without the part.
    stem: usize,
    exemplars: Exemplars<'a>,
    classic: Classic,
}

impl<'a> Protobuf<'a> {
    pub(super) fn new(body: &'a [u8], options: ReadOptions) -> Self {
        Self {
            body: ByteReader::new(body),
            options,
            family: Family::default(),
            metrics: ByteReader::new(&[]),
            metric: Metric::default(),
            rows: ByteReader::new(&[]),
            step: Step::Family,
            shown: Step::Family,
            bound: None,
            key: Vec::new(),
            stem: 0,
            exemplars: Exemplars::None,
            classic: Classic::default(),
        }
    }

    /// Moves to the next entry or sample.
    pub(super) fn next(&mut self) -> std::result::Result<Option<Item>, ProtobufError> {
        self.advance().map_err(|fault| self.error(fault))
    }

    fn error(&self, fault: ProtobufFault) -> ProtobufError {
        ProtobufError { family: brief(self.family.name), at: self.family.at, fault }
    }

    fn advance(&mut self) -> Result<Option<Item>> {
        self.exemplars = Exemplars::None;
        loop {
            self.shown = self.step;
            match self.step {
                Step::Family => {
                    if self.body.is_empty() {
                        return Ok(None);
                    }
                    if self.open_family()? {
                        self.step = if self.family.unit.is_empty() { Step::Type } else { Step::Unit };
                        return Ok(Some(Item::Metadata));
                    }
                }
                Step::Unit => {
                    self.step = Step::Type;
                    return Ok(Some(Item::Metadata));
                }
                Step::Type => {
                    self.step = Step::Metric;
                    return Ok(Some(Item::Metadata));
                }
                Step::Metric => {
                    let Some(message) = next_message(&mut self.metrics, 4)? else {
                        self.step = Step::Family;
                        continue;
                    };
                    self.open_metric(message)?;
                    if !matches!(
                        self.family.kind,
                        MetricType::Histogram | MetricType::GaugeHistogram | MetricType::Summary
                    ) {
                        return self.simple().map(Some);
                    }
                }
                Step::Native => {
                    self.step = if self.options.classic_too && self.metric.totals.has_buckets {
                        Step::Count
                    } else {
                        Step::Metric
                    };
                    return Ok(Some(self.histogram()));
                }
                Step::Count => {
                    self.step = Step::Sum;
                    self.put_part(COUNT, None);
                    return Ok(Some(Item::Sample(self.metric.totals.count())));
                }
                Step::Sum => {
                    self.rows = ByteReader::new(self.metric.value);
                    self.step = Step::Row;
                    self.put_part(SUM, None);
                    return Ok(Some(Item::Sample(self.metric.totals.sum)));
                }
                Step::Row => match next_message(&mut self.rows, 3)? {
                    Some(row) => return self.row(row).map(Some),
                    None if self.family.kind == MetricType::Summary => self.step = Step::Metric,
                    None => self.step = Step::Infinity,
                },
                Step::Infinity => {
                    self.step = self.after_classic();
                    self.put_part(BUCKET, Some(f64::INFINITY));
                    return Ok(Some(Item::Sample(self.metric.totals.count())));
                }
                Step::Converted => {
                    self.step = Step::Metric;
                    return Ok(Some(self.histogram()));
                }
            }
        }
    }

    /// Opens the next family; says whether it has metrics.
    fn open_family(&mut self) -> Result<bool> {
        self.family = Family { at: self.body.position(), ..Family::default() };
        let length = self.body.len("length of a metric family", self.body.remaining())?;
        let message = self.body.bytes(length)?;
        let (mut name, mut help, mut unit): (&[u8], &[u8], &[u8]) = (&[], &[], &[]);
        let (mut kind, mut any) = (0, false);
        each_field(message, |number, value| {
            match (number, value) {
                (1, Field::Bytes(bytes)) => name = bytes,
                (2, Field::Bytes(bytes)) => help = bytes,
                (3, Field::Varint(number)) => kind = number,
                (4, Field::Bytes(_)) => any = true,
                (5, Field::Bytes(bytes)) => unit = bytes,
                _ => {}
            }
            Ok(())
        })?;
        if !any {
            return Ok(false);
        }
        let family = &mut self.family;
        family.name = text(name, "metric name")?;
        family.help = text(help, "help text")?;
        family.unit = text(unit, "unit")?;
        if name.is_empty() {
            return Err(ProtobufFault::Text("metric name"));
        }
        family.kind = match kind {
            0 => MetricType::Counter,
            1 => MetricType::Gauge,
            2 => MetricType::Summary,
            3 => MetricType::Unknown,
            4 => MetricType::Histogram,
            5 => MetricType::GaugeHistogram,
            other => return Err(ProtobufFault::Type(other)),
        };
        self.metrics = ByteReader::new(message);
        Ok(true)
    }

    /// Opens a metric and writes the part of its key that all its series share.
    fn open_metric(&mut self, message: &'a [u8]) -> Result<()> {
        let number_of_value = match self.family.kind {
            MetricType::Gauge => 2,
            MetricType::Counter => 3,
            MetricType::Summary => 4,
            MetricType::Histogram | MetricType::GaugeHistogram => 7,
            _ => 5,
        };
        self.key.clear();
        self.key.extend_from_slice(self.family.name.as_bytes());
        self.key.push(NAME_END);
        self.metric = Metric { message, ..Metric::default() };
        let mut fields = ByteReader::new(message);
        while !fields.is_empty() {
            let from = fields.position();
            match field(&mut fields)? {
                (1, Field::Bytes(_)) => {
                    let label = message.get(from..fields.position()).unwrap_or_default();
                    self.key.extend_from_slice(label);
                }
                (6, Field::Varint(timestamp)) => self.metric.timestamp = timestamp.cast_signed(),
                (number, Field::Bytes(value)) if number == number_of_value => self.metric.value = value,
                _ => {}
            }
        }
        self.stem = self.key.len();
        self.step = match self.family.kind {
            MetricType::Summary => {
                self.metric.totals = native::Totals::of_summary(self.metric.value)?;
                Step::Count
            }
            MetricType::Histogram | MetricType::GaugeHistogram => {
                self.metric.totals = native::Totals::of_histogram(self.metric.value)?;
                if self.is_native() {
                    Step::Native
                } else if self.options.convert_classic && !self.options.classic_too {
                    Step::Converted
                } else {
                    Step::Count
                }
            }
            _ => Step::Metric,
        };
        Ok(())
    }

    fn is_native(&self) -> bool {
        self.options.native_histograms && self.metric.totals.is_native
    }

    fn after_classic(&self) -> Step {
        if self.options.convert_classic && !self.is_native() { Step::Converted } else { Step::Metric }
    }

    /// A counter, a gauge or something unknown.
    fn simple(&mut self) -> Result<Item> {
        let mut number = 0.0;
        let totals = &mut self.metric.totals;
        let is_counter = self.family.kind == MetricType::Counter;
        let mut exemplar = None;
        each_field(self.metric.value, |field, value| {
            match (field, value) {
                (1, Field::Fixed64(bits)) => number = f64::from_bits(bits),
                (2, Field::Bytes(message)) if is_counter => exemplar = Some(message),
                (3, Field::Bytes(message)) if is_counter => totals.created = Some(message),
                _ => {}
            }
            Ok(())
        })?;
        self.exemplars = exemplar.map_or(Exemplars::None, Exemplars::One);
        self.put_part(VALUE, None);
        Ok(Item::Sample(number))
    }

    /// A quantile of a summary, or a bucket of a histogram.
    fn row(&mut self, row: &'a [u8]) -> Result<Item> {
        if self.family.kind == MetricType::Summary {
            let (mut quantile, mut number) = (0.0, 0.0);
            each_field(row, |field, value| {
                match (field, value) {
                    (1, Field::Fixed64(bits)) => quantile = f64::from_bits(bits),
                    (2, Field::Fixed64(bits)) => number = f64::from_bits(bits),
                    _ => {}
                }
                Ok(())
            })?;
            self.put_part(QUANTILE, Some(quantile));
            return Ok(Item::Sample(number));
        }
        let bucket = native::ClassicBucket::read(row)?;
        self.exemplars = bucket.exemplar.map_or(Exemplars::None, Exemplars::One);
        // Whatever comes behind the bucket that holds everything is none.
        if bucket.bound == f64::INFINITY {
            self.step = self.after_classic();
        }
        self.put_part(BUCKET, Some(bucket.bound));
        Ok(Item::Sample(bucket.count))
    }

    fn histogram(&mut self) -> Item {
        let of_buckets = !self.metric.totals.has_exemplars;
        self.exemplars = Exemplars::Native { fields: ByteReader::new(self.metric.value), of_buckets };
        self.put_part(NATIVE, None);
        Item::Histogram
    }

    fn put_part(&mut self, part: u8, bound: Option<f64>) {
        self.key.truncate(self.stem);
        self.key.push(part);
        if let Some(bound) = bound {
            self.key.extend_from_slice(&bound.to_bits().to_le_bytes());
        }
        self.bound = bound;
    }

    /// What the entry says that was read last.
    pub(super) fn metadata(&self) -> Entry<'a> {
        let Family { name, help, unit, kind, .. } = self.family;
        let name = name.as_bytes();
        match self.shown {
            Step::Unit => Entry::Unit { name, unit: unit.as_bytes() },
            Step::Type => Entry::Type { name, kind },
            _ => Entry::Help { name, text: help.as_bytes() },
        }
    }

    /// The key of the series of which a sample was read last.
    pub(super) fn series(&self) -> &[u8] {
        &self.key
    }

    /// Milliseconds, where the sample that was read last has a timestamp.
    pub(super) fn timestamp(&self) -> Option<i64> {
        Some(self.metric.timestamp).filter(|timestamp| *timestamp != 0)
    }

    /// The type of the family.
    pub(super) fn kind(&self) -> MetricType {
        self.family.kind
    }

    /// The unit of the family; empty when it has none.
    pub(super) fn unit(&self) -> &'a [u8] {
        self.family.unit.as_bytes()
    }

    /// The labels of the series of which a sample was read last; those with an empty value too.
    pub(super) fn labels(&self, out: &mut LabelsBuf) -> std::result::Result<(), SeriesError> {
        let Family { name, kind, .. } = self.family;
        out.clear();
        let suffix = match self.key.get(self.stem) {
            Some(&COUNT) => "_count",
            Some(&SUM) => "_sum",
            Some(&BUCKET) => "_bucket",
            _ => "",
        };
        if suffix.is_empty() {
            out.append(METRIC_NAME, name);
        } else {
            out.append(METRIC_NAME, &[name, suffix].concat());
        }
        native::read_labels(self.metric.message, out)?;
        if let Some(bound) = self.bound {
            let label = if kind == MetricType::Summary { "quantile" } else { "le" };
            out.append(label, &canonical_float(bound));
        }
        out.order().map_err(|name| SeriesError::Duplicate(brief(name)))
    }

    /// The histogram that was read last.
    pub(super) fn read_histogram(&mut self) -> std::result::Result<Histogram, ProtobufError> {
        let read = if self.shown == Step::Native { self.native() } else { self.converted() };
        let mut histogram = read.map_err(|fault| self.error(fault))?;
        if self.family.kind == MetricType::GaugeHistogram {
            histogram.reset_hint = ResetHint::Gauge;
        }
        Ok(histogram)
    }

    fn native(&self) -> Result<Histogram> {
        let mut histogram = native::read_histogram(self.metric.value)?.check()?;
        histogram.compact();
        Ok(histogram)
    }

    fn converted(&mut self) -> Result<Histogram> {
        let totals = &self.metric.totals;
        self.classic.clear();
        self.classic.count(totals.count());
        self.classic.sum(totals.sum);
        let mut rows = ByteReader::new(self.metric.value);
        while let Some(row) = next_message(&mut rows, 3)? {
            let bucket = native::ClassicBucket::read(row)?;
            self.classic.bucket(bucket.bound, bucket.count);
        }
        Ok(self.classic.convert()?)
    }

    /// When counting began, in milliseconds, if the metric says so.
    pub(super) fn created(&self) -> Option<i64> {
        native::millis(self.metric.totals.created?).filter(|created| *created != 0)
    }

    /// The next exemplar of the sample that was read last: value and timestamp; its labels are put into `labels`.
    /// One that cannot be read is left out, and of native histograms one that has no timestamp.
    pub(super) fn next_exemplar(&mut self, labels: &mut LabelsBuf) -> Option<(f64, Option<i64>)> {
        loop {
            let (message, timed) = match &mut self.exemplars {
                Exemplars::None => return None,
                Exemplars::One(message) => (*message, false),
                Exemplars::Native { fields, of_buckets } => {
                    let number = if *of_buckets { 3 } else { 16 };
                    let message = next_message(fields, number).ok()??;
                    if !*of_buckets {
                        (message, true)
                    } else if let Ok(native::ClassicBucket { exemplar: Some(message), .. }) =
                        native::ClassicBucket::read(message)
                    {
                        (message, true)
                    } else {
                        continue;
                    }
                }
            };
            if matches!(self.exemplars, Exemplars::One(_)) {
                self.exemplars = Exemplars::None;
            }
            if let Ok(found) = native::read_exemplar(message, labels)
                && (!timed || found.1.is_some())
            {
                return Some(found);
            }
        }
    }
}

fn text<'a>(bytes: &'a [u8], what: &'static str) -> Result<&'a str> {
    std::str::from_utf8(bytes).map_err(|_| ProtobufFault::Text(what))
}

/// The next message in field `wanted`, other fields being passed over.
fn next_message<'a>(fields: &mut ByteReader<'a>, wanted: u64) -> Result<Option<&'a [u8]>> {
    while !fields.is_empty() {
        if let (number, Field::Bytes(message)) = field(fields)?
            && number == wanted
        {
            return Ok(Some(message));
        }
    }
    Ok(None)
}

#[cfg(test)]
#[path = "protobuf_tests.rs"]
mod tests;
