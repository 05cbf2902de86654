//! `Reader`: a body of any encoding to samples, native histograms and what families say of themselves.
//!
//! What was read last is asked for piece by piece, so that a known series costs no more than its key.

use super::convert::{Converter, Part};
use super::created::Created;
use super::options::{Encoding, ReadOptions};
use super::parser::{Entry, ExemplarText, Expect, Format, KnownFamily, ParseError, Parser, Sample};
use super::protobuf::{Item, Protobuf, ProtobufError};
use super::series::{SeriesError, parse_exposed, parse_labels};
use crate::model::{Histogram, LabelsBuf, MetricType};

/// A body that cannot be read.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// Text.
    #[error(transparent)]
    Text(#[from] ParseError),
    /// Protobuf.
    #[error(transparent)]
    Protobuf(#[from] ProtobufError),
}

/// What was read.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Read {
    /// Something about a family: see [`Reader::metadata`].
    Metadata,
    /// A sample of [`Reader::series`].
    Sample {
        /// The value.
        value: f64,
        /// Milliseconds, where it has a timestamp.
        timestamp: Option<i64>,
    },
    /// A native histogram of [`Reader::series`]: see [`Reader::histogram`].
    Histogram {
        /// Milliseconds, where it has a timestamp.
        timestamp: Option<i64>,
    },
}

/// Reads one body.
#[derive(Debug)]
pub struct Reader<'a>(Source<'a>);

#[derive(Debug)]
enum Source<'a> {
    Text(Text<'a>),
    Protobuf(Protobuf<'a>),
}

#[derive(Debug)]
struct Text<'a> {
    parser: Parser<'a>,
    /// What was read last.
    entry: Entry<'a>,
    exemplar: Option<ExemplarText<'a>>,
    converting: Option<Box<Converting<'a>>>,
    created: Option<Box<Created>>,
}

#[derive(Debug)]
struct Converting<'a> {
    converter: Converter<'a>,
    /// Whether the lines that become histograms are samples, too.
    classic_too: bool,
    /// What was read to see that the histogram that was read last is complete, if one was.
    held: Option<Ahead<'a>>,
}

/// What comes next: with the part of a histogram that it is, or nothing.
#[derive(Debug, Clone, Copy)]
enum Ahead<'a> {
    Entry(Entry<'a>, Option<Part>),
    End,
}

impl<'a> Reader<'a> {
    /// A reader at the start of `body`.
    pub fn new(body: &'a [u8], encoding: Encoding, options: ReadOptions) -> Self {
        let format = match encoding {
            Encoding::Text(format) => format,
            Encoding::Protobuf => return Self(Source::Protobuf(Protobuf::new(body, options))),
        };
        Self(Source::Text(Text {
            parser: Parser::new(body, format),
            entry: Entry::Help { name: &[], text: &[] },
            exemplar: None,
            converting: options.convert_classic.then(|| {
                let classic_too = options.classic_too;
                Box::new(Converting { converter: Converter::default(), classic_too, held: None })
            }),
            // Classic text says nothing of that.
            created: (options.created && format == Format::OpenMetrics).then(Box::default),
        }))
    }

    /// Reads on; `None` at the end. `expected` is the key of the series most likely to come next.
    ///
    /// # Errors
    /// When the body is malformed. The reader is of no further use then.
    pub fn next(&mut self, expected: Option<&[u8]>) -> Result<Option<Read>, ReadError> {
        self.next_expecting(expected)
    }

    /// As [`Reader::next`], where `expected` knows that key in a way of its own.
    ///
    /// # Errors
    /// As [`Reader::next`].
    #[inline]
    pub fn next_expecting(&mut self, expected: impl Expect) -> Result<Option<Read>, ReadError> {
        match &mut self.0 {
            Source::Text(text) => text.next(expected),
            Source::Protobuf(protobuf) => Ok(protobuf.next()?.map(|item| match item {
                Item::Metadata => Read::Metadata,
                Item::Sample(value) => Read::Sample { value, timestamp: protobuf.timestamp() },
                Item::Histogram => Read::Histogram { timestamp: protobuf.timestamp() },
            })),
        }
    }

    /// Passes over lines that say what is `known` of a family, if they come next; says whether there were any. Then
    /// they are not shown as [`Read::Metadata`].
    #[inline]
    pub fn pass<'k>(&mut self, known: impl FnOnce() -> Option<KnownFamily<'k>>) -> bool {
        match &mut self.0 {
            Source::Text(text) if text.parser.is_at_metadata() && text.converting.is_none() => {
                known().is_some_and(|known| text.parser.pass(known))
            }
            _ => false,
        }
    }

    /// What [`Read::Metadata`] stands for.
    pub fn metadata(&self) -> Entry<'a> {
        match &self.0 {
            Source::Text(text) => text.entry,
            Source::Protobuf(protobuf) => protobuf.metadata(),
        }
    }

    /// The key of the series that was read last: bytes that stand for its labels, in this encoding and for this type
    /// of family.
    #[inline]
    pub fn series(&self) -> &[u8] {
        match &self.0 {
            Source::Text(text) => text.series(),
            Source::Protobuf(protobuf) => protobuf.series(),
        }
    }

    /// The labels of the series that was read last, also those with an empty value.
    ///
    /// # Errors
    /// When they are not UTF-8, malformed, or one is given twice.
    pub fn labels(&self, out: &mut LabelsBuf) -> Result<(), SeriesError> {
        match &self.0 {
            Source::Text(text) => text.labels(out),
            Source::Protobuf(protobuf) => protobuf.labels(out),
        }
    }

    /// The type of the family of what was read last.
    pub fn kind(&self) -> MetricType {
        match &self.0 {
            Source::Text(text) if text.converted().is_some() => MetricType::Histogram,
            Source::Text(text) => text.parser.kind(),
            Source::Protobuf(protobuf) => protobuf.kind(),
        }
    }

    /// Its unit; empty when it has none.
    pub fn unit(&self) -> &'a [u8] {
        match &self.0 {
            Source::Text(text) => text.converted().map_or_else(|| text.parser.unit(), Converter::unit),
            Source::Protobuf(protobuf) => protobuf.unit(),
        }
    }

    /// What [`Read::Histogram`] stands for.
    ///
    /// # Errors
    /// When it is no histogram.
    pub fn histogram(&mut self) -> Result<Histogram, ReadError> {
        match &mut self.0 {
            Source::Text(text) => Ok(text.converted_mut().map(Converter::take_histogram).unwrap_or_default()),
            Source::Protobuf(protobuf) => Ok(protobuf.read_histogram()?),
        }
    }

    /// The next exemplar of the sample that was read last: its value, and milliseconds where it has a timestamp; its
    /// labels are put into `labels`. One whose labels make no sense is left out.
    #[inline]
    pub fn next_exemplar(&mut self, labels: &mut LabelsBuf) -> Option<(f64, Option<i64>)> {
        match &mut self.0 {
            Source::Text(text) => loop {
                let exemplar = text.next_exemplar()?;
                if parse_labels(exemplar.labels, labels).is_ok() {
                    return Some((exemplar.value, exemplar.timestamp));
                }
            },
            Source::Protobuf(protobuf) => protobuf.next_exemplar(labels),
        }
    }

    /// When counting began for the sample that was read last, in milliseconds. Text is searched for it, so that it
    /// should be asked for only where it is needed.
    pub fn created(&mut self) -> Option<i64> {
        match &mut self.0 {
            Source::Text(text) => match (text.converted(), text.entry) {
                (Some(converted), _) => converted.created(),
                (None, Entry::Sample(sample)) => text.created.as_mut()?.of(&text.parser, sample.series),
                _ => None,
            },
            Source::Protobuf(protobuf) => protobuf.created(),
        }
    }
}

impl<'a> Text<'a> {
    #[inline]
    fn next(&mut self, expected: impl Expect) -> Result<Option<Read>, ReadError> {
        if self.converting.is_some() {
            return self.next_converting(expected);
        }
        loop {
            let Some(entry) = self.parser.next_expecting(expected)? else { return Ok(None) };
            if let Some(read) = self.show(entry) {
                return Ok(Some(read));
            }
        }
    }

    /// Notes what was read; `None` if nobody is to see it.
    #[inline]
    fn show(&mut self, entry: Entry<'a>) -> Option<Read> {
        self.entry = entry;
        let Entry::Sample(Sample { series, value, timestamp }) = entry else { return Some(Read::Metadata) };
        if self.created.is_some() && Created::is_one(self.parser.kind(), series) {
            return None;
        }
        self.exemplar = self.parser.exemplar();
        Some(Read::Sample { value, timestamp })
    }

    fn next_converting(&mut self, expected: impl Expect) -> Result<Option<Read>, ReadError> {
        loop {
            let Self { parser, converting, created, .. } = self;
            let Some(Converting { converter, classic_too, held }) = converting.as_deref_mut() else {
                return Ok(None);
            };
            let next = if let Some(next) = held.take() {
                next
            } else {
                let entry = parser.next_expecting(expected)?;
                let part = converter.part(entry.as_ref(), parser);
                let next = entry.map_or(Ahead::End, |entry| Ahead::Entry(entry, part));
                if converter.complete(part) {
                    *held = Some(next);
                    return Ok(Some(Read::Histogram { timestamp: converter.timestamp() }));
                }
                next
            };
            let Ahead::Entry(entry, part) = next else { return Ok(None) };
            if let (Entry::Sample(sample), Some(part)) = (&entry, part) {
                let created = || created.as_mut()?.of(parser, sample.series);
                converter.add(part, sample, parser, created);
                if !*classic_too {
                    continue;
                }
            }
            if let Some(read) = self.show(entry) {
                return Ok(Some(read));
            }
        }
    }

    /// The converter, when a histogram was read last.
    fn converted(&self) -> Option<&Converter<'a>> {
        let converting = self.converting.as_deref()?;
        converting.held.is_some().then_some(&converting.converter)
    }

    fn converted_mut(&mut self) -> Option<&mut Converter<'a>> {
        let converting = self.converting.as_deref_mut()?;
        converting.held.is_some().then_some(&mut converting.converter)
    }

    #[inline]
    fn series(&self) -> &[u8] {
        match (self.converted(), self.entry) {
            (Some(converted), _) => converted.key(),
            (None, Entry::Sample(sample)) => sample.series,
            _ => &[],
        }
    }

    fn labels(&self, out: &mut LabelsBuf) -> Result<(), SeriesError> {
        match self.converted() {
            Some(converted) => converted.read_labels(out),
            None => parse_exposed(self.series(), self.parser.kind(), out),
        }
    }

    #[inline]
    fn next_exemplar(&mut self) -> Option<ExemplarText<'a>> {
        match self.converted_mut() {
            Some(converted) => converted.next_exemplar(),
            None => self.exemplar.take(),
        }
    }
}

#[cfg(test)]
#[path = "reader_tests.rs"]
mod tests;
