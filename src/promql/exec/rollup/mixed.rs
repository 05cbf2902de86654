//! Windows of series that have native histograms, perhaps among floats.

use std::sync::Arc;

use super::histogram::{self, HistogramWindow, Notes};
use super::window::Window;
use super::{rate, starts};
use crate::model::{Histogram, Samples};
use crate::promql::annotations::Annotation;
use crate::promql::plan::RangeFunc;

/// The samples of one series, floats and histograms apart.
#[derive(Debug, Default)]
pub(super) struct Apart {
    pub(super) float_times: Vec<i64>,
    pub(super) floats: Vec<f64>,
    pub(super) float_starts: Vec<i64>,
    pub(super) times: Vec<i64>,
    pub(super) histograms: Vec<Arc<Histogram>>,
    pub(super) starts: Vec<i64>,
    pub(super) resets: Vec<bool>,
    /// What all histograms before each weigh together, one entry more than there are.
    pub(super) weights: Vec<usize>,
}

impl Apart {
    /// What it takes for each sample at most.
    pub(super) const BYTES_PER_SAMPLE: usize = 48;

    /// Takes the samples apart. Resets are looked for only if somebody `asks`, once for all windows.
    pub(super) fn new(samples: &Samples, asks: bool, with_starts: bool) -> Self {
        let mut out = Self { weights: vec![0], ..Self::default() };
        let mut histograms = samples.histograms.iter().peekable();
        let with_starts = with_starts && !samples.starts.is_empty();
        for (at, (time, value)) in samples.iter().enumerate() {
            let starts = if let Some((_, histogram)) = histograms.next_if(|(index, _)| *index == at) {
                let reset = |before: &Arc<Histogram>| histogram.is_reset_after(before);
                out.resets.push(asks && out.histograms.last().is_some_and(reset));
                out.times.push(time);
                out.histograms.push(Arc::clone(histogram));
                out.weights.push(out.weights.last().copied().unwrap_or(0) + histogram.weight());
                &mut out.starts
            } else {
                out.float_times.push(time);
                out.floats.push(value);
                &mut out.float_starts
            };
            if with_starts {
                starts.push(samples.start(at));
            }
        }
        out
    }
}

/// The histograms of a window, and the floats if there are any.
#[derive(Clone, Copy)]
pub(super) struct Mixed<'a> {
    pub(super) floats: Option<Window<'a>>,
    pub(super) histograms: HistogramWindow<'a>,
}

/// What a function makes of a window.
pub(super) enum Outcome {
    Nothing,
    Float(f64),
    Histogram(Arc<Histogram>),
    /// What it makes of the floats alone.
    OfFloats,
}

impl From<Option<Histogram>> for Outcome {
    fn from(histogram: Option<Histogram>) -> Self {
        histogram.map_or(Self::Nothing, |histogram| Self::Histogram(Arc::new(histogram)))
    }
}

impl Mixed<'_> {
    /// What `func` makes of a window with at least one histogram.
    pub(super) fn apply(&self, func: RangeFunc, notes: Notes<'_>) -> Outcome {
        let HistogramWindow { timestamps, histograms, .. } = self.histograms;
        let last = histograms.len() - 1;
        match func {
            RangeFunc::Rate | RangeFunc::Increase | RangeFunc::Delta | RangeFunc::Avg | RangeFunc::Sum
                if self.floats.is_some() =>
            {
                notes.add(Annotation::MixedSamples);
                Outcome::Nothing
            }
            RangeFunc::Rate => histogram::extrapolated(&self.histograms, true, true, notes).into(),
            RangeFunc::Increase => histogram::extrapolated(&self.histograms, true, false, notes).into(),
            RangeFunc::Delta => histogram::extrapolated(&self.histograms, false, false, notes).into(),
            RangeFunc::Avg => histogram::total(histograms, true, notes).into(),
            RangeFunc::Sum => histogram::total(histograms, false, notes).into(),
            RangeFunc::Irate => self.instant(true, notes),
            RangeFunc::Idelta => self.instant(false, notes),
            RangeFunc::Changes | RangeFunc::Resets => Outcome::Float(self.turns(func)),
            RangeFunc::Count => {
                let floats = self.floats.map_or(0, |floats| floats.len());
                Outcome::Float((floats + histograms.len()) as f64)
            }
            RangeFunc::Present => Outcome::Float(1.0),
            RangeFunc::First => match self.floats {
                Some(floats) if floats.timestamps[0] < timestamps[0] => Outcome::Float(floats.values[0]),
                _ => Outcome::Histogram(Arc::clone(&histograms[0])),
            },
            RangeFunc::Last => match self.floats {
                Some(floats) if timestamps[last] < floats.timestamps[floats.len() - 1] => {
                    Outcome::Float(floats.values[floats.len() - 1])
                }
                _ => Outcome::Histogram(Arc::clone(&histograms[last])),
            },
            RangeFunc::TsOfFirst => {
                let float = self.floats.map_or(i64::MAX, |floats| floats.timestamps[0]);
                Outcome::Float(timestamps[0].min(float) as f64 / 1000.0)
            }
            RangeFunc::TsOfLast => {
                let float = self.floats.map_or(i64::MIN, |floats| floats.timestamps[floats.len() - 1]);
                Outcome::Float(timestamps[last].max(float) as f64 / 1000.0)
            }
            _ if self.floats.is_some() => {
                notes.add(Annotation::IgnoredInMixedRange);
                Outcome::OfFloats
            }
            _ => Outcome::Nothing,
        }
    }

    /// The same for windows whose samples reach beyond them.
    pub(super) fn apply_extended(&self, func: RangeFunc, smoothed: bool, notes: Notes<'_>) -> Outcome {
        let (counter, per_second) = match func {
            RangeFunc::Rate => (true, true),
            RangeFunc::Increase => (true, false),
            RangeFunc::Delta => (false, false),
            _ => return self.anchored().map_or(Outcome::Nothing, |w| Outcome::Float(w.turns(func))),
        };
        if self.floats.is_some() {
            notes.add(Annotation::MixedSamples);
            return Outcome::Nothing;
        }
        histogram::extended(&self.histograms, smoothed, counter, per_second, notes).into()
    }

    /// Without what is older than the newest sample at or before the start; nothing when all are that old.
    fn anchored(&self) -> Option<Self> {
        let start = self.histograms.start;
        let old = |times: &[i64]| times.partition_point(|t| *t <= start);
        let float_times = self.floats.map_or(&[][..], |floats| floats.timestamps);
        let times = self.histograms.timestamps;
        let (mut first_float, mut first) = (old(float_times), old(times));
        if first_float == float_times.len() && first == times.len() {
            return None;
        }
        let newest = |times: &[i64], behind: usize| behind.checked_sub(1).map(|at| times[at]);
        match (newest(float_times, first_float), newest(times, first)) {
            (None, None) => {}
            (Some(float), histogram) if histogram.is_none_or(|histogram| float >= histogram) => {
                first_float -= 1;
            }
            _ => first -= 1,
        }
        let floats = self.floats.and_then(|floats| {
            (first_float < floats.len()).then(|| Window {
                timestamps: &floats.timestamps[first_float..],
                values: &floats.values[first_float..],
                starts: floats.starts.get(first_float..).unwrap_or_default(),
                ..floats
            })
        });
        let all = self.histograms;
        let histograms = HistogramWindow {
            timestamps: &all.timestamps[first..],
            histograms: &all.histograms[first..],
            resets: &all.resets[first..],
            starts: all.starts.get(first..).unwrap_or_default(),
            ..all
        };
        Some(Self { floats, histograms })
    }

    fn instant(&self, counter: bool, notes: Notes<'_>) -> Outcome {
        let times = self.histograms.timestamps;
        let last = times.len() - 1;
        let Some(floats) = self.floats else {
            return histogram::instant(&self.histograms, counter, notes).into();
        };
        let float_times = floats.timestamps;
        let float_last = float_times.len() - 1;
        // Only the last two samples count, of whichever kind they are.
        if float_last > 0 && float_times[float_last - 1] > times[last] {
            return rate::instant(&floats, counter).map_or(Outcome::Nothing, Outcome::Float);
        }
        if last > 0 && times[last - 1] > float_times[float_last] {
            return histogram::instant(&self.histograms, counter, notes).into();
        }
        notes.add(Annotation::MixedSamples);
        Outcome::Nothing
    }

    /// How often the value changed or the counter was reset. A change of kind is both.
    fn turns(&self, func: RangeFunc) -> f64 {
        let resets = func == RangeFunc::Resets;
        let HistogramWindow { timestamps, histograms, .. } = self.histograms;
        let float_times = self.floats.map_or(&[][..], |floats| floats.timestamps);
        let mut turns = 0usize;
        let (mut float, mut at) = (0, 0);
        let mut was_float = None;
        while float < float_times.len() || at < timestamps.len() {
            let is_float =
                at == timestamps.len() || float_times.get(float).is_some_and(|t| *t < timestamps[at]);
            let turned = match (was_float, is_float) {
                (None, _) => false,
                (Some(true), true) => self.floats.is_some_and(|floats| {
                    let pair = Window {
                        timestamps: &float_times[float - 1..=float],
                        values: &floats.values[float - 1..=float],
                        starts: floats.starts.get(float - 1..=float).unwrap_or_default(),
                        ..floats
                    };
                    (if resets { rate::resets(&pair) } else { rate::changes(&pair) }) > 0.0
                }),
                (Some(false), false) if resets => {
                    self.histograms.resets[at]
                        || starts::began_between(self.histograms.starts, timestamps, at)
                }
                (Some(false), false) => !histograms[at].same_data(&histograms[at - 1]),
                _ => true,
            };
            turns += usize::from(turned);
            was_float = Some(is_float);
            if is_float {
                float += 1;
            } else {
                at += 1;
            }
        }
        turns as f64
    }
}
