//! A recording of scrapes: targets, their series as exposed, and every value.
//!
//! **Format**: one zstd frame (window of at most 128 MiB), little-endian inside: `TSC1`, u32 target count; per target:
//! u16 name length, name, u32 scrape count, i64 milliseconds of each scrape, u32 series count; per series: u16 name
//! length, u32 run count, name (as exposed), per run u32 first scrape and u32 length, then the f64 values of all runs.
//! **Cost**: holds the whole recording inflated: 8 bytes a value, and the texts.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use crate::codec::{ByteReader, CodecError};
use crate::expfmt::{self, SeriesError};
use crate::model::MetricType;
use crate::model::{Labels, LabelsBuf, stale_nan};

/// Inflating stops here.
const MAX_INFLATED_BYTES: u64 = 4 << 30;
/// As a power of two: 128 MiB.
const MAX_WINDOW_LOG: u32 = 27;
const MAGIC: &[u8] = b"TSC1";

/// A recording that cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CaptureError {
    /// The file cannot be read or inflated.
    #[error("failed to read capture {}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The answer of the system or of zstd.
        source: io::Error,
    },
    /// It inflates to more than any recording holds.
    #[error("capture {} decompresses to more than {} bytes", path.display(), MAX_INFLATED_BYTES)]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
    /// The inflated bytes are no recording.
    #[error("capture is damaged: {0}")]
    Damaged(#[from] CodecError),
    /// The text of a series cannot be read.
    #[error("series of the capture: {0}")]
    Series(#[from] SeriesError),
}

/// Consecutive scrapes in which a series was present.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Run {
    /// Number of the first scrape.
    pub first: u32,
    /// Number of scrapes.
    pub len: u32,
}

/// One series of a target.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    /// As exposed: `metric{label="value"}`.
    pub name: String,
    /// Where it was present, rising.
    pub runs: Vec<Run>,
    /// The values of all runs, one after the other.
    pub values: Vec<f64>,
}

/// One scraped target.
#[derive(Debug, Clone, PartialEq)]
pub struct Target {
    /// Its name.
    pub name: String,
    /// When each scrape truly was, in milliseconds since the Unix epoch.
    pub times: Vec<i64>,
    /// Its series, in the order they were first seen.
    pub series: Vec<Series>,
}

/// A whole recording.
#[derive(Debug, Clone, PartialEq)]
pub struct Capture {
    /// Its targets.
    pub targets: Vec<Target>,
}

impl Capture {
    /// Reads the recording at `path`.
    ///
    /// # Errors
    /// When the file cannot be read, or is no recording.
    pub fn load(path: &Path) -> Result<Self, CaptureError> {
        let failed = |source| CaptureError::Io { path: path.to_owned(), source };
        let mut decoder = zstd::Decoder::new(File::open(path).map_err(failed)?).map_err(failed)?;
        decoder.window_log_max(MAX_WINDOW_LOG).map_err(failed)?;
        let mut bytes = Vec::new();
        decoder.take(MAX_INFLATED_BYTES + 1).read_to_end(&mut bytes).map_err(failed)?;
        if bytes.len() as u64 > MAX_INFLATED_BYTES {
            return Err(CaptureError::TooLarge { path: path.to_owned() });
        }
        Self::parse(&bytes)
    }

    /// Reads an inflated recording.
    ///
    /// # Errors
    /// When the bytes are cut or damaged.
    pub fn parse(bytes: &[u8]) -> Result<Self, CaptureError> {
        let mut reader = ByteReader::new(bytes);
        if reader.bytes(MAGIC.len())? != MAGIC {
            return Err(CodecError::Invalid { what: "capture", at: 0 }.into());
        }
        // Nothing is reserved by a count alone: each entry takes bytes that must be there.
        let mut targets = Vec::new();
        for _ in 0..reader.u32()? {
            targets.push(read_target(&mut reader)?);
        }
        if reader.is_empty() { Ok(Self { targets }) } else { Err(reader.invalid("end of capture").into()) }
    }

    /// The target called `name`.
    pub fn target(&self, name: &str) -> Option<&Target> {
        self.targets.iter().find(|target| target.name == name)
    }
}

impl Target {
    /// Number of scrapes.
    pub fn scrape_count(&self) -> usize {
        self.times.len()
    }

    /// What each scrape saw, in order.
    pub fn scrapes(&self) -> Scrapes<'_> {
        let cursors = self.series.iter().map(|_| Cursor::default()).collect();
        Scrapes { target: self, cursors, next: 0 }
    }
}

impl Series {
    /// The values by scrape, `scrape_count` of them; `None` where the series was absent.
    pub fn dense(&self, scrape_count: usize) -> Vec<Option<f64>> {
        let mut out = vec![None; scrape_count];
        let mut values = self.values.iter();
        for run in &self.runs {
            let slots = out.iter_mut().skip(run.first as usize).take(run.len as usize);
            slots.zip(&mut values).for_each(|(slot, value)| *slot = Some(*value));
        }
        out
    }

    /// Scrape numbers and values with a stale marker at the first scrape of every gap and after the end, as a server
    /// would have stored them.
    pub fn samples(&self, scrape_count: usize) -> Vec<(usize, f64)> {
        let mut out = Vec::with_capacity(self.values.len() + self.runs.len());
        let mut values = self.values.iter();
        for (number, run) in self.runs.iter().enumerate() {
            let end = run.first as usize + run.len as usize;
            out.extend((run.first as usize..end).zip(values.by_ref().take(run.len as usize).copied()));
            let goes_on = self.runs.get(number + 1).is_some_and(|next| next.first as usize == end);
            if end < scrape_count && !goes_on {
                out.push((end, stale_nan()));
            }
        }
        out
    }

    /// The labels of its exposed text. Bounds of histograms stay as exposed.
    ///
    /// # Errors
    /// When the text cannot be read.
    pub fn labels(&self, scratch: &mut LabelsBuf) -> Result<Labels, CaptureError> {
        expfmt::parse_series(self.name.as_bytes(), MetricType::Unknown, scratch)?;
        Ok(scratch.to_labels())
    }
}

#[derive(Debug, Clone, Copy, Default)]
struct Cursor {
    run: usize,
    value: usize,
}

/// Iterates the scrapes of a target; see [`Target::scrapes`].
#[derive(Debug, Clone)]
pub struct Scrapes<'a> {
    target: &'a Target,
    cursors: Vec<Cursor>,
    next: u32,
}

impl Scrapes<'_> {
    /// Replaces `out` by the series of the next scrape, each as its number within the target and its value, and says
    /// when the scrape truly was. `None` after the last scrape.
    pub fn next_into(&mut self, out: &mut Vec<(usize, f64)>) -> Option<i64> {
        out.clear();
        let time = *self.target.times.get(self.next as usize)?;
        for (number, (series, cursor)) in self.target.series.iter().zip(&mut self.cursors).enumerate() {
            let Some(run) = series.runs.get(cursor.run) else { continue };
            if run.first > self.next {
                continue;
            }
            if let Some(value) = series.values.get(cursor.value) {
                out.push((number, *value));
            }
            cursor.value += 1;
            if self.next + 1 >= run.first + run.len {
                cursor.run += 1;
            }
        }
        self.next += 1;
        Some(time)
    }
}

fn read_u16(reader: &mut ByteReader<'_>) -> Result<usize, CodecError> {
    Ok(usize::from(reader.u8()?) | usize::from(reader.u8()?) << 8)
}

fn read_name(reader: &mut ByteReader<'_>, len: usize) -> Result<String, CodecError> {
    let bytes = reader.bytes(len)?;
    std::str::from_utf8(bytes).map(str::to_owned).map_err(|_| reader.invalid("name"))
}

fn read_target(reader: &mut ByteReader<'_>) -> Result<Target, CodecError> {
    let name_len = read_u16(reader)?;
    let name = read_name(reader, name_len)?;
    let scrapes = reader.u32()?;
    let mut times = Vec::new();
    for _ in 0..scrapes {
        times.push(reader.u64()?.cast_signed());
    }
    let mut series = Vec::new();
    for _ in 0..reader.u32()? {
        series.push(read_series(reader, scrapes)?);
    }
    Ok(Target { name, times, series })
}

fn read_series(reader: &mut ByteReader<'_>, scrapes: u32) -> Result<Series, CodecError> {
    let name_len = read_u16(reader)?;
    let run_count = reader.u32()?;
    let name = read_name(reader, name_len)?;
    let mut runs: Vec<Run> = Vec::new();
    let mut total = 0usize;
    let mut end = 0u32;
    for _ in 0..run_count {
        let run = Run { first: reader.u32()?, len: reader.u32()? };
        let next = run.first.checked_add(run.len).filter(|next| *next <= scrapes);
        if run.len == 0 || run.first < end {
            return Err(reader.invalid("run of scrapes"));
        }
        end = next.ok_or_else(|| reader.invalid("run of scrapes"))?;
        total += run.len as usize;
        runs.push(run);
    }
    let bytes = reader.bytes(total.checked_mul(8).ok_or_else(|| reader.invalid("value count"))?)?;
    let values =
        bytes.as_chunks::<8>().0.iter().map(|chunk| f64::from_bits(u64::from_le_bytes(*chunk))).collect();
    Ok(Series { name, runs, values })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::ByteWriter as _;
    use proptest::prelude::*;

    fn small() -> Vec<u8> {
        let mut out = Vec::new();
        out.put_bytes(MAGIC);
        out.put_u32(1);
        let name = |out: &mut Vec<u8>, text: &str| {
            out.put_bytes(&u16::try_from(text.len()).expect("short").to_le_bytes());
            text.len()
        };
        name(&mut out, "node");
        out.put_bytes(b"node");
        out.put_u32(4);
        (0..4u64).for_each(|i| out.put_u64(1000 + i * 10));
        out.put_u32(2);
        name(&mut out, "up");
        out.put_u32(1);
        out.put_bytes(b"up");
        out.put_u32(0);
        out.put_u32(4);
        (0..4u8).for_each(|i| out.put_f64(f64::from(i)));
        name(&mut out, "x{a=\"b\"}");
        out.put_u32(2);
        out.put_bytes(b"x{a=\"b\"}");
        for number in [0, 1, 2, 1] {
            out.put_u32(number);
        }
        out.put_f64(7.5);
        out.put_f64(8.5);
        out
    }

    #[test]
    fn scrapes_and_series_agree() {
        let capture = Capture::parse(&small()).expect("capture");
        let target = capture.target("node").expect("target");
        let mut scrapes = target.scrapes();
        let mut seen = Vec::new();
        let mut all = Vec::new();
        while let Some(time) = scrapes.next_into(&mut seen) {
            all.push((time, seen.clone()));
        }
        assert_eq!(
            all,
            [
                (1000, vec![(0, 0.0), (1, 7.5)]),
                (1010, vec![(0, 1.0)]),
                (1020, vec![(0, 2.0), (1, 8.5)]),
                (1030, vec![(0, 3.0)]),
            ]
        );
        let gaps = &target.series[1];
        assert_eq!(gaps.dense(4), [Some(7.5), None, Some(8.5), None]);
        let samples = gaps.samples(4);
        assert_eq!(samples.iter().map(|(at, _)| *at).collect::<Vec<_>>(), [0, 1, 2, 3]);
        assert_eq!(samples[1].1.to_bits(), stale_nan().to_bits());
        let labels = gaps.labels(&mut LabelsBuf::new()).expect("labels");
        assert_eq!(labels, Labels::from_pairs([("__name__", "x"), ("a", "b")]));
    }

    proptest! {
        #[test]
        fn damaged_bytes_give_an_error_or_a_capture(at in 0usize..400, byte: u8, cut in any::<bool>()) {
            let mut bytes = small();
            let at = at % bytes.len();
            if cut {
                bytes.truncate(at);
                prop_assert!(Capture::parse(&bytes).is_err());
            } else {
                bytes[at] = byte;
                if let Ok(capture) = Capture::parse(&bytes) {
                    for target in &capture.targets {
                        let mut scrapes = target.scrapes();
                        let mut seen = Vec::new();
                        while scrapes.next_into(&mut seen).is_some() {
                            prop_assert!(seen.len() <= target.series.len());
                        }
                    }
                }
            }
        }
    }
}
