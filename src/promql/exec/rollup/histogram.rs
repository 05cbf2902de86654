//! Window functions over native histograms.

use std::sync::Arc;

use super::rate::Extent;
use super::starts;
use super::window::Window;
use crate::model::Histogram;
use crate::model::histogram::{CUSTOM_SCHEMA, ResetHint};
use crate::promql::annotations::{Annotation, HistogramOperation};
use crate::promql::exec::Context;
use crate::promql::exec::histogram::{Accumulator, MeanAccumulator, Reconciled, Sign, divide, scale};
use crate::promql::syntax::ast::Span;

/// The histograms of a left-open window. **Invariants**: never empty, no stale markers.
#[derive(Debug, Clone, Copy)]
pub(super) struct HistogramWindow<'a> {
    pub(super) timestamps: &'a [i64],
    pub(super) histograms: &'a [Arc<Histogram>],
    /// Whether each is a reset after the one before it; of the first it says nothing.
    pub(super) resets: &'a [bool],
    /// When what each counts began, 0 where unknown; empty when nothing is known or nobody asks.
    pub(super) starts: &'a [i64],
    pub(super) start: i64,
    pub(super) end: i64,
}

/// Where annotations about one series go.
#[derive(Clone, Copy)]
pub(in crate::promql::exec) struct Notes<'a> {
    pub(in crate::promql::exec) cx: &'a Context<'a>,
    pub(in crate::promql::exec) span: Span,
    /// Name of the metric.
    pub(in crate::promql::exec) name: &'a str,
}

impl Notes<'_> {
    pub(in crate::promql::exec) fn add(&self, annotation: impl FnOnce(String) -> Annotation) {
        self.cx.annotate(annotation(self.name.to_owned()), self.span);
    }

    fn reconciled(&self, reconciled: Reconciled, sign: Sign) {
        if reconciled.bounds {
            self.add(|_| Annotation::BoundsReconciled(operation(sign)));
        }
    }

    /// Adds to a sum; nothing is left of it when the two do not fit together.
    fn combine(&self, sum: &mut Accumulator, other: &Histogram, sign: Sign) -> Option<()> {
        if self.cx.is_late(other.weight()) {
            return None;
        }
        let Ok(reconciled) = sum.add(other, sign) else {
            self.add(Annotation::MixedSchemas);
            return None;
        };
        self.reconciled(reconciled, sign);
        Some(())
    }
}

/// What a sign stands for in annotations.
fn operation(sign: Sign) -> HistogramOperation {
    match sign {
        Sign::Plus => HistogramOperation::Addition,
        Sign::Minus => HistogramOperation::Subtraction,
    }
}

impl HistogramWindow<'_> {
    /// Whether histogram `at` began after the one before it.
    fn is_reset(&self, at: usize) -> bool {
        self.resets[at] || starts::began_between(self.starts, self.timestamps, at)
    }
}

fn is_gauge(histogram: &Histogram) -> bool {
    histogram.reset_hint == ResetHint::Gauge
}

/// A counter histogram before anything was counted, with the layout of `like`.
fn zero(like: &Histogram) -> Histogram {
    let custom_values = like.custom_values.clone();
    Histogram { schema: like.schema, custom_values, ..Histogram::default() }
}

/// Growth over the window, extrapolated towards its ends; per second if `per_second`.
pub(super) fn extrapolated(
    window: &HistogramWindow<'_>,
    counter: bool,
    per_second: bool,
    notes: Notes<'_>,
) -> Option<Histogram> {
    let HistogramWindow { timestamps, histograms, starts, start, end, .. } = *window;
    let last = histograms.len() - 1;
    let zero_at = if counter { starts::zero_inside(starts, start, timestamps[0]) } else { None };
    let mut grown = if last == 0 { None } else { Some(growth(window, counter, notes)?) };
    let extent = Extent { start, end, first: timestamps[0], last: timestamps[last], gaps: last, zero_at };
    let ends = grown.as_ref().map(|grown| (histograms[0].count, grown.count));
    if zero_at.is_some() {
        let first = &histograms[0];
        grown = Some(match &grown {
            None => (**first).clone(),
            Some(grown) => {
                let mut sum = Accumulator::plain(grown);
                notes.combine(&mut sum, first, Sign::Plus)?;
                sum.finish()
            }
        });
    }
    let mut grown = grown?;
    let counts = if counter { Some(ends.unwrap_or((0.0, 0.0))) } else { None };
    scale(&mut grown, extent.factor(counts, per_second));
    Some(grown)
}

/// The last histogram less the first, with what was lost by resets in between added.
fn growth(window: &HistogramWindow<'_>, counter: bool, notes: Notes<'_>) -> Option<Histogram> {
    let histograms = window.histograms;
    let (mut first, last) = (&*histograms[0], &*histograms[histograms.len() - 1]);
    let between = &histograms[1..histograms.len() - 1];
    if counter && (is_gauge(first) || is_gauge(last)) {
        notes.add(Annotation::NotCounter);
    }
    let began = zero(&histograms[1]);
    if counter && window.is_reset(1) {
        // The layout of what came before the reset does not matter.
        first = &began;
    }
    let custom = first.has_custom_bounds();
    if last.has_custom_bounds() != custom {
        notes.add(Annotation::MixedSchemas);
        return None;
    }
    let mut schema = last.schema.min(first.schema);
    if counter {
        for histogram in between {
            if is_gauge(histogram) {
                notes.add(Annotation::NotCounter);
            }
            schema = schema.min(histogram.schema);
            if histogram.has_custom_bounds() != custom {
                notes.add(Annotation::MixedSchemas);
                return None;
            }
        }
    }
    let mut sum = Accumulator::plain(last);
    if schema != CUSTOM_SCHEMA {
        sum.coarsen(schema);
    }
    notes.combine(&mut sum, first, Sign::Minus)?;
    if counter {
        if starts::any_overlap(window.starts, window.timestamps) {
            notes.add(|metric| Annotation::StartOverlap { metric, seen: 1 });
        }
        // What was lost by a reset right after the first is not counted at all.
        for at in (2..histograms.len()).filter(|at| window.is_reset(*at)) {
            notes.combine(&mut sum, &histograms[at - 1], Sign::Plus)?;
        }
    } else if !is_gauge(&histograms[0]) || !is_gauge(last) {
        notes.add(Annotation::NotGauge);
    }
    let mut out = sum.compact();
    out.reset_hint = ResetHint::Gauge;
    Some(out)
}

/// Difference of two neighbours; per second and aware of resets if `counter`.
pub(super) fn instant(window: &HistogramWindow<'_>, counter: bool, notes: Notes<'_>) -> Option<Histogram> {
    let HistogramWindow { timestamps, histograms, .. } = *window;
    let last = histograms.len() - 1;
    let before = last.checked_sub(1)?;
    let (a, b) = (&histograms[before], &histograms[last]);
    if counter && (is_gauge(a) || is_gauge(b)) {
        notes.add(Annotation::NotCounter);
    }
    if !counter && (!is_gauge(a) || !is_gauge(b)) {
        notes.add(Annotation::NotGauge);
    }
    let mut out = Accumulator::plain(b);
    if !(counter && window.is_reset(last)) {
        notes.combine(&mut out, a, Sign::Minus)?;
    }
    let mut out = out.compact();
    out.reset_hint = ResetHint::Gauge;
    if counter {
        divide(&mut out, Window::seconds(timestamps[before], timestamps[last]));
    }
    Some(out)
}

/// Sum or mean of the window.
pub(super) fn total(histograms: &[Arc<Histogram>], mean: bool, notes: Notes<'_>) -> Option<Histogram> {
    let (first, rest) = histograms.split_first()?;
    let mut bounds = false;
    // A window may hold years.
    let rest = || rest.iter().take_while(|next| !notes.cx.is_late(next.weight()));
    let sum = if mean {
        let mut sum = MeanAccumulator::new(first);
        rest().try_for_each(|next| sum.add(next).map(|done| bounds |= done.bounds)).map(|()| sum.finish())
    } else {
        let mut sum = Accumulator::compensated(first);
        let mut add = |next: &Arc<Histogram>| sum.add(next, Sign::Plus).map(|done| bounds |= done.bounds);
        rest().try_for_each(&mut add).map(|()| sum.finish())
    };
    let Ok(sum) = sum else {
        notes.add(Annotation::MixedSchemas);
        return None;
    };
    let seen = |hint| histograms.iter().any(|histogram| histogram.reset_hint == hint);
    if seen(ResetHint::Reset) && seen(ResetHint::NotReset) {
        notes.add(|_| Annotation::ConflictingResets(HistogramOperation::Aggregation));
    }
    if bounds {
        notes.add(|_| Annotation::BoundsReconciled(HistogramOperation::Aggregation));
    }
    Some(sum)
}

/// The histogram at `time` between two others. A counter that began anew in between is taken to start from zero.
pub(in crate::promql::exec) fn between(
    from: (i64, &Histogram),
    to: (i64, &Histogram),
    time: i64,
    counter: bool,
    notes: Notes<'_>,
) -> Option<Histogram> {
    if time == from.0 || time == to.0 {
        return Some(if time == from.0 { from.1 } else { to.1 }.clone());
    }
    let part = time.saturating_sub(from.0) as f64 / to.0.saturating_sub(from.0) as f64;
    if counter && to.1.is_reset_after(from.1) {
        let mut out = to.1.clone();
        scale(&mut out, part);
        return Some(out);
    }
    let mut difference = Accumulator::plain(to.1);
    notes.combine(&mut difference, from.1, Sign::Minus)?;
    let mut difference = difference.finish();
    scale(&mut difference, part);
    let mut sum = Accumulator::plain(&difference);
    notes.combine(&mut sum, from.1, Sign::Plus)?;
    Some(sum.finish())
}

/// Growth between the very ends of an anchored or smoothed window, whose samples reach beyond it.
pub(super) fn extended(
    window: &HistogramWindow<'_>,
    smoothed: bool,
    counter: bool,
    per_second: bool,
    notes: Notes<'_>,
) -> Option<Histogram> {
    let HistogramWindow { timestamps, histograms, start, end, .. } = *window;
    let newest = timestamps.len() - 1;
    let first = timestamps[..newest].partition_point(|t| *t <= start).saturating_sub(1);
    let mut last = newest;
    if smoothed {
        last = timestamps[..newest].partition_point(|t| *t < end);
    }
    if timestamps[last] <= start || (smoothed && timestamps[first] > end) {
        return None;
    }
    let custom = histograms[first].has_custom_bounds();
    for histogram in &histograms[first..=last] {
        if notes.cx.is_late(1) {
            return None;
        }
        if histogram.has_custom_bounds() != custom {
            notes.add(Annotation::MixedSchemas);
            return None;
        }
        if counter && is_gauge(histogram) {
            notes.add(Annotation::NotCounter);
        }
    }
    let sample = |at: usize| (timestamps[at], &*histograms[at]);
    let crosses_start = smoothed && timestamps[first] < start;
    let left = if crosses_start {
        between(sample(first), sample(first + 1), start, counter, notes)?
    } else {
        (*histograms[first]).clone()
    };
    let right = if smoothed && last > 0 && timestamps[last] > end {
        between(sample(last - 1), sample(last), end, counter, notes)?
    } else {
        (*histograms[last]).clone()
    };
    if !counter && (!is_gauge(&left) || !is_gauge(&right)) {
        notes.add(Annotation::NotGauge);
    }
    let mut sum = Accumulator::plain(&right);
    notes.combine(&mut sum, &left, Sign::Minus)?;
    if counter {
        let (mut previous, mut next) = (&left, first + 1);
        if crosses_start && histograms[first + 1].is_reset_after(&histograms[first]) {
            // The line to the left end accounts for this reset already.
            previous = &*histograms[first + 1];
            next += 1;
        }
        // What was lost is added up by itself: where zero buckets end up depends on the order.
        let mut lost: Option<Accumulator> = None;
        if next <= last {
            for histogram in histograms[next..last].iter().map(|h| &**h).chain([&right]) {
                if histogram.is_reset_after(previous) {
                    match &mut lost {
                        Some(lost) => notes.combine(lost, previous, Sign::Plus)?,
                        None => lost = Some(Accumulator::plain(previous)),
                    }
                }
                previous = histogram;
            }
        }
        if let Some(lost) = lost {
            notes.combine(&mut sum, &lost.finish(), Sign::Plus)?;
        }
    }
    let mut out = sum.compact();
    if per_second {
        divide(&mut out, Window::seconds(start, end));
    }
    out.reset_hint = ResetHint::Gauge;
    Some(out)
}
