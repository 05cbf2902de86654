//! The text of the reply to a query, written in pieces as they are asked for, straight from the value.
//!
//! A reply of hundreds of megabytes is never held as text: [`Pieces`] resumes inside a series, and drops each series
//! once it is written. [`Pieces::into_body`] makes a body of it that is written by being polled, so a client that
//! reads slowly is written for slowly, and one that is gone leaves nothing behind.
//!
//! **Invariants:** the pieces joined are the same whatever their size. What is left of the value stays counted for the
//! query until the body is dropped.
//!
//! **Cost:** holds one piece. A piece exceeds its size by at most a label set or a sample.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::Body;
use bytes::Bytes;
use futures_util::Stream;

use super::json::{write_histogram_pair, write_labels, write_pair, write_text};
use super::number::{write_float, write_plain_float, write_timestamp};
use crate::promql::{MatrixSeries, Ticket, Value, VectorSample};

/// Size of a piece. Written in a fraction of a millisecond, and large enough that handing it on costs nothing beside.
pub const PIECE_BYTES: usize = 64 << 10;
/// Room for the sample that goes beyond the end of a piece; larger ones make the piece grow.
const SLACK_BYTES: usize = 512;

/// What is still to be written of a reply.
#[derive(Debug)]
pub struct Pieces {
    rest: Unwritten,
    /// Written and not yet handed out.
    begun: Vec<u8>,
    /// What follows the value.
    tail: Bytes,
    memory: Ticket,
    piece_bytes: usize,
}

/// What is left of the value.
#[derive(Debug)]
enum Unwritten {
    Nothing,
    Vector(std::vec::IntoIter<VectorSample>),
    Matrix { series: std::vec::IntoIter<MatrixSeries>, open: Option<OpenSeries> },
}

/// A series of which a part is written.
#[derive(Debug)]
struct OpenSeries {
    series: MatrixSeries,
    /// The next sample to look at for a number.
    at: usize,
    /// Histograms before it.
    passed: usize,
    /// Numbers still to be written.
    floats: usize,
    /// The next histogram to be written, after all numbers.
    histogram: usize,
}

impl Pieces {
    /// The reply with `value`, whose memory `memory` counts. `tail` follows the value inside `data` and ends the whole.
    pub fn new(value: Value, memory: Ticket, tail: Vec<u8>, piece_bytes: usize) -> Self {
        let mut begun = Vec::with_capacity(4096.min(piece_bytes));
        begun.extend_from_slice(b"{\"status\":\"success\",\"data\":{\"resultType\":");
        let rest = match value {
            Value::Scalar { timestamp, value } => {
                begun.extend_from_slice(b"\"scalar\",\"result\":");
                write_pair(timestamp, &mut begun, |out| write_plain_float(value, out));
                Unwritten::Nothing
            }
            Value::String { timestamp, value } => {
                begun.extend_from_slice(b"\"string\",\"result\":[");
                write_timestamp(timestamp, &mut begun);
                begun.push(b',');
                write_text(&value, &mut begun);
                begun.push(b']');
                Unwritten::Nothing
            }
            Value::Vector(samples) => {
                begun.extend_from_slice(b"\"vector\",\"result\":[");
                Unwritten::Vector(samples.into_iter())
            }
            Value::Matrix(series) => {
                begun.extend_from_slice(b"\"matrix\",\"result\":[");
                Unwritten::Matrix { series: series.into_iter(), open: None }
            }
        };
        let mut pieces = Self { rest, begun, tail: tail.into(), memory, piece_bytes: piece_bytes.max(1) };
        pieces.end_if_empty();
        pieces
    }

    /// Whether everything was handed out.
    pub fn is_done(&self) -> bool {
        matches!(self.rest, Unwritten::Nothing) && self.begun.is_empty() && self.tail.is_empty()
    }

    /// A body of `first` and what is left after it, with its length where nothing is.
    pub fn into_body(self, first: Bytes) -> Body {
        if self.is_done() {
            return Body::from(first);
        }
        Body::from_stream(Polled { first: Some(first), pieces: self, paused: false })
    }

    /// A list without elements has none that would end it.
    fn end_if_empty(&mut self) {
        let empty = match &self.rest {
            Unwritten::Nothing => false,
            Unwritten::Vector(samples) => samples.len() == 0,
            Unwritten::Matrix { series, .. } => series.len() == 0,
        };
        if empty {
            self.begun.push(b']');
            self.rest = Unwritten::Nothing;
        }
    }

    /// Appends to `out` until it is full or the value has ended. What was written goes, and is no longer counted.
    fn write_value(&mut self, out: &mut Vec<u8>) {
        let full = self.piece_bytes;
        let (written, ended) = match &mut self.rest {
            Unwritten::Nothing => return,
            Unwritten::Vector(samples) => {
                let mut written = Vec::new();
                while out.len() < full
                    && let Some(sample) = samples.next()
                {
                    write_vector_sample(&sample, out);
                    out.push(if samples.len() > 0 { b',' } else { b']' });
                    written.push(sample);
                }
                (Value::Vector(written), samples.len() == 0)
            }
            Unwritten::Matrix { series, open } => {
                let mut written = Vec::new();
                while out.len() < full {
                    let Some(mut current) =
                        open.take().or_else(|| Some(OpenSeries::begin(series.next()?, out)))
                    else {
                        break;
                    };
                    if !current.write_samples(full, out) {
                        *open = Some(current);
                        break;
                    }
                    out.extend_from_slice(if series.len() > 0 { b"}," } else { b"}]" });
                    written.push(current.series);
                }
                (Value::Matrix(written), series.len() == 0 && open.is_none())
            }
        };
        self.memory.shrink(written.bytes());
        if ended {
            self.rest = Unwritten::Nothing;
        }
    }
}

impl Iterator for Pieces {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        let mut out = std::mem::take(&mut self.begun);
        if out.capacity() == 0 && !matches!(self.rest, Unwritten::Nothing) {
            out.reserve_exact(self.piece_bytes.saturating_add(SLACK_BYTES));
        }
        self.write_value(&mut out);
        if matches!(self.rest, Unwritten::Nothing) {
            let room = self.piece_bytes.saturating_sub(out.len()).min(self.tail.len());
            let part = self.tail.split_to(room);
            if out.is_empty() {
                return (!part.is_empty()).then_some(part);
            }
            out.extend_from_slice(&part);
        }
        Some(out.into())
    }
}

fn write_vector_sample(sample: &VectorSample, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"metric\":");
    write_labels(&sample.labels, out);
    if let Some(histogram) = &sample.histogram {
        out.extend_from_slice(b",\"histogram\":");
        write_histogram_pair(sample.timestamp, histogram, out);
    } else {
        out.extend_from_slice(b",\"value\":");
        write_pair(sample.timestamp, out, |out| write_float(sample.value, out));
    }
    out.push(b'}');
}

impl OpenSeries {
    /// Writes what comes before the samples.
    fn begin(series: MatrixSeries, out: &mut Vec<u8>) -> Self {
        out.extend_from_slice(b"{\"metric\":");
        write_labels(&series.labels, out);
        let floats = series.samples.len().saturating_sub(series.samples.histograms.len());
        let open = Self { series, at: 0, passed: 0, floats, histogram: 0 };
        if floats > 0 {
            out.extend_from_slice(b",\"values\":[");
        } else {
            open.begin_histograms(out);
        }
        open
    }

    fn begin_histograms(&self, out: &mut Vec<u8>) {
        if !self.series.samples.histograms.is_empty() {
            out.extend_from_slice(b",\"histograms\":[");
        }
    }

    /// Appends numbers, then histograms, until `out` is `full` bytes long; a kind without samples is left out. Says
    /// whether all are written.
    fn write_samples(&mut self, full: usize, out: &mut Vec<u8>) -> bool {
        let samples = &self.series.samples;
        while self.floats > 0 {
            if out.len() >= full {
                return false;
            }
            let at = self.at;
            self.at += 1;
            if samples.histograms.get(self.passed).is_some_and(|(index, _)| *index == at) {
                self.passed += 1;
                continue;
            }
            let (Some(timestamp), Some(value)) = (samples.timestamps.get(at), samples.values.get(at)) else {
                // Columns of different length: a bug elsewhere, and no reason to go round for ever.
                self.floats = 0;
                break;
            };
            write_pair(*timestamp, out, |out| write_float(*value, out));
            self.floats -= 1;
            out.push(if self.floats > 0 { b',' } else { b']' });
            if self.floats == 0 {
                self.begin_histograms(out);
            }
        }
        while let Some((at, histogram)) = samples.histograms.get(self.histogram) {
            if out.len() >= full {
                return false;
            }
            write_histogram_pair(samples.timestamps.get(*at).copied().unwrap_or_default(), histogram, out);
            self.histogram += 1;
            out.push(if self.histogram < samples.histograms.len() { b',' } else { b']' });
        }
        true
    }
}

/// Pieces as a body takes them.
struct Polled {
    first: Option<Bytes>,
    pieces: Pieces,
    /// Whether others had their turn since the last piece.
    paused: bool,
}

impl Stream for Polled {
    type Item = Result<Bytes, Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if let Some(first) = self.first.take() {
            return Poll::Ready(Some(Ok(first)));
        }
        // A client on the same machine reads faster than this writes: without a pause the thread would do nothing
        // else until the end.
        self.paused = !self.paused;
        if self.paused {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(self.pieces.next().map(Ok))
    }
}

#[cfg(test)]
#[path = "pieces_tests.rs"]
mod tests;
