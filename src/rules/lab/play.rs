//! One alerting rule over a range of time.
//!
//! **Cost**: the range queries of its expression, and for each of their points a comparison. The values of an expression
//! with a threshold at its top are compared here: stretches without any beyond it are passed over, those of an alert
//! that is not active too. Where alerts depend on each other (a limit of the group) or on values (labels with templates
//! that read them), each evaluation goes through [`Alerts`] as in the server, which takes some hundred times longer.

use std::cell::Cell;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::time::Duration;

use super::error::Error;
use super::graph::{Graph, GraphSeries};
use super::history::{AlertHistory, MAX_SPANS, Totals};
use super::pieces::{Piece, Place, Steps, is_rule_query};
use super::scene::{Nobody, Reader};
use super::slot::{Frame, Slot};
use crate::lanes::Turn;
use crate::model::{Labels, Samples};
use crate::promql::threshold::Threshold;
use crate::promql::{Engine, Expr, MatrixSeries, VectorSample};
use crate::rules::alert::{AlertState, Alerts, Found};
use crate::rules::evaluate::{External, MAX_TEXT_BYTES, Scene, expanded, too_much_text};
use crate::rules::rule::{Alerting, Rule};
use crate::storage::Queryable;

/// Most evaluations of a rule: a month at four a minute, or two years at one a minute.
pub const MAX_EVALUATIONS: usize = 1_100_000;
/// Most alerts that are followed. Further ones are told of, and not played.
pub const MAX_ALERTS: usize = 10_000;

/// Where rules are played.
#[derive(Clone, Copy)]
pub struct Lab<'a> {
    /// Evaluates queries.
    pub engine: &'a Engine,
    /// Has the series.
    pub source: &'a dyn Queryable,
    /// What texts of alerts can say of this server.
    pub external: &'a External,
    /// How long it may take, and whether anybody still waits.
    pub turn: &'a Turn,
}

/// Over what a rule is played, and how much is told.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// First evaluation, in milliseconds.
    pub start: i64,
    /// No evaluation is later than this, in milliseconds.
    pub end: i64,
    /// Milliseconds from one evaluation to the next.
    pub interval: i64,
    /// How far back the rule looks, in milliseconds.
    pub offset: i64,
    /// Most alerts that may be active at once, as a group has it; 0 is no limit.
    pub limit: usize,
    /// Most alerts that are told, those that fired longest first.
    pub alerts: usize,
    /// Most series of the graph.
    pub series: usize,
    /// Points of each of them; 0 for no graph.
    pub points: usize,
}

impl Plan {
    /// The evaluations, and the number of the first one that lies in the range.
    fn steps(&self, alerting: &Alerting) -> Result<(Steps, usize), Error> {
        if self.end < self.start {
            return Err(Error::Range("the end is before the start"));
        }
        if self.interval <= 0 {
            return Err(Error::Range("the interval must be longer than nothing"));
        }
        let lead = alerting.timing.hold.saturating_add(alerting.timing.keep_firing).max(0);
        let count = |length: i64| u64::try_from(length / self.interval).unwrap_or(0);
        let before = count(lead.saturating_add(self.interval - 1));
        let inside = count(self.end.saturating_sub(self.start)).saturating_add(1);
        let wanted = before.saturating_add(inside);
        let too_many = || Error::TooManyEvaluations { wanted, most: MAX_EVALUATIONS };
        let total = usize::try_from(wanted).ok().filter(|total| *total <= MAX_EVALUATIONS);
        let total = total.ok_or_else(too_many)?;
        let before = usize::try_from(before).map_err(|_| too_many())?;
        let back = i64::try_from(before).unwrap_or(i64::MAX).saturating_mul(self.interval);
        let steps = Steps { first: self.start.saturating_sub(back), interval: self.interval, count: total };
        Ok((steps, before))
    }
}

/// What became of a rule's alerts.
#[derive(Debug)]
pub struct History {
    /// Alerts that were pending or firing in the range, those that fired longest first, as many as the plan asked for.
    pub alerts: Vec<AlertHistory>,
    /// How many there are in all.
    pub alert_count: usize,
    /// Figures of all alerts.
    pub totals: Totals,
    /// Evaluations within the range.
    pub evaluations: usize,
    /// The first evaluation of all, before the range, in milliseconds.
    pub first: i64,
    /// The last one, in milliseconds.
    pub last: i64,
    /// Evaluations that failed, those before the range included: none of the alerts changed then.
    pub failed: u64,
    /// Why the last of these did.
    pub failure: Option<String>,
    /// How many labels and annotations could not be expanded; they say so themselves.
    pub texts_failed: u64,
    /// Why the last of these could not.
    pub text_failure: String,
    /// Whether there were more than [`MAX_ALERTS`] alerts, so that some are missing in all figures.
    pub is_cut: bool,
    /// Spans that are counted, but not told.
    pub spans_cut: u64,
    /// The values of series: without the comparison where there is a threshold.
    pub graph: Vec<GraphSeries>,
    /// Whether there are more series than the graph has.
    pub graph_cut: bool,
    /// The threshold at the top of the expression.
    pub threshold: Option<Threshold>,
}

/// Plays `rule` as `plan` says.
///
/// # Errors
/// When the rule has no alerts, there are too many evaluations, its query fails, its alerts have more text than the
/// server would hold, or the time is over.
pub fn play(lab: &Lab<'_>, rule: &Rule, plan: &Plan) -> Result<History, Error> {
    let alerting = rule.alerting.as_ref().ok_or_else(|| Error::NotAlerting(rule.name.clone()))?;
    if !is_rule_query(&rule.expr) {
        return Err(Error::NotAVector);
    }
    let (steps, before) = plan.steps(alerting)?;
    let threshold = Threshold::of(&rule.expr);
    let expr: &Expr = threshold.as_ref().map_or(&rule.expr, |threshold| &threshold.left);
    let keeps_small = threshold.as_ref().is_some_and(Threshold::keeps_small);
    let together = plan.limit > 0 || alerting.labels.iter().any(|(_, text)| !text.reads_labels_alone());
    let mut player = Player {
        lab,
        rule,
        // Annotations are expanded once, for what is told.
        alerting: Alerting { annotations: Vec::new(), annotation_texts: Vec::new(), ..alerting.clone() },
        plan,
        threshold: threshold.as_ref(),
        steps,
        frame: Frame {
            timing: alerting.timing,
            first: steps.first,
            start: plan.start,
            end: steps.time(steps.count - 1),
            keeps_small,
            room: Cell::new(MAX_SPANS),
        },
        slots: Vec::new(),
        by_series: HashMap::new(),
        by_labels: HashMap::new(),
        alerts: Alerts::default(),
        graph: Graph::new(steps, before, plan.points, keeps_small),
        failed: 0,
        failure: None,
        is_cut: false,
        text_bytes: 0,
        nobody: Nobody::default(),
    };
    let place = Place { engine: lab.engine, source: lab.source, turn: lab.turn };
    place.each(expr, steps, plan.offset, |piece| {
        if together { player.take_together(piece) } else { player.take_apart(piece) }
    })?;
    player.finish(steps.count - before, alerting, threshold.clone())
}

struct Player<'a> {
    lab: &'a Lab<'a>,
    rule: &'a Rule,
    alerting: Alerting,
    plan: &'a Plan,
    threshold: Option<&'a Threshold>,
    steps: Steps,
    frame: Frame,
    slots: Vec<Slot>,
    /// Slots by the labels of the series; none for series that are not followed.
    by_series: HashMap<Labels, Option<usize>>,
    /// Slots by the labels of the alert.
    by_labels: HashMap<Labels, usize>,
    /// The alerts, where they are played together.
    alerts: Alerts,
    graph: Graph,
    failed: u64,
    failure: Option<String>,
    is_cut: bool,
    /// Bytes of labels of all alerts.
    text_bytes: usize,
    nobody: Nobody,
}

/// The part of a series that may be found by the rule.
struct Candidate {
    slot: usize,
    /// Number of the series in the piece.
    row: usize,
    /// Ranges of samples that may be beyond the threshold.
    ranges: Vec<(usize, usize)>,
}

impl Player<'_> {
    /// Alerts that do not depend on each other: one after the other.
    fn take_apart(&mut self, piece: &Piece<'_>) -> Result<(), Error> {
        let mut candidates = Vec::new();
        for (row, series) in piece.series.iter().enumerate() {
            let ranges = self.look_at(series);
            if ranges.iter().any(|range| self.present(&series.samples, *range).next().is_some())
                && let Some(slot) = self.slot_of(&series.labels)?
            {
                candidates.push(Candidate { slot, row, ranges });
            }
        }
        candidates.sort_by_key(|candidate| candidate.slot);
        // Several series are the same alert: where two are there at once, the evaluation fails.
        let mut merged: HashMap<usize, Vec<(usize, f64)>> = HashMap::new();
        let mut failed: Vec<usize> = Vec::new();
        for group in candidates.chunk_by(|a, b| a.slot == b.slot).filter(|group| group.len() > 1) {
            let mut found: Vec<(usize, f64)> =
                group.iter().flat_map(|one| self.found(one, piece).collect::<Vec<_>>()).collect();
            found.sort_by_key(|(step, _)| *step);
            failed.extend(found.windows(2).filter(|two| two[0].0 == two[1].0).map(|two| two[0].0));
            merged.insert(group[0].slot, found);
        }
        failed.sort_unstable();
        failed.dedup();
        if !failed.is_empty() {
            self.failed += failed.len() as u64;
            self.failure =
                Some("vector contains metrics with the same labelset after applying alert labels".to_owned());
        }
        let range = (piece.from, piece.to);
        let mut played = vec![false; self.slots.len()];
        let mut slots = std::mem::take(&mut self.slots);
        for group in candidates.chunk_by(|a, b| a.slot == b.slot) {
            self.lab.turn.check()?;
            let number = group[0].slot;
            played[number] = true;
            let slot = &mut slots[number];
            match merged.get(&number) {
                Some(found) => self.play(slot, found.iter().copied(), range, &failed),
                None => self.play(slot, self.found(&group[0], piece), range, &failed),
            }
        }
        for (slot, _) in slots.iter_mut().zip(&played).filter(|(slot, played)| !**played && slot.is_active())
        {
            self.play(slot, std::iter::empty(), range, &failed);
        }
        self.slots = slots;
        Ok(())
    }

    /// Puts the values of a series into the graph, and returns ranges of samples of which some may be beyond the
    /// threshold.
    fn look_at(&mut self, series: &MatrixSeries) -> Vec<(usize, usize)> {
        let samples = &series.samples;
        let row = if samples.histograms.is_empty() { self.graph.row(&series.labels) } else { None };
        let (mut from, mut ranges) = (0, Vec::<(usize, usize)>::new());
        let Some(last) = samples.timestamps.last() else { return ranges };
        let last = self.step_of(*last);
        while let Some(time) = samples.timestamps.get(from) {
            let step = self.step_of(*time);
            let (bucket, next) = self.graph.bucket(step);
            let to = if next > last {
                samples.len()
            } else if samples.len() - from == last - step + 1 {
                // There is a sample at every step.
                from + (next - step)
            } else {
                let end = self.steps.time(next).saturating_sub(self.plan.offset);
                from + samples.timestamps[from..].partition_point(|time| *time < end)
            };
            let peak = peak(&samples.values[from..to], self.frame.keeps_small);
            if let (Some(row), Some(bucket)) = (row, bucket)
                && !peak.is_nan()
            {
                self.graph.put(row, bucket, peak);
            }
            if self.may_hold(peak) {
                match ranges.last_mut() {
                    Some(range) if range.1 == from => range.1 = to,
                    _ => ranges.push((from, to)),
                }
            }
            from = to;
        }
        ranges
    }

    /// Whether any value of which this is the peak may be beyond the threshold.
    fn may_hold(&self, peak: f64) -> bool {
        use crate::promql::syntax::ast::BinaryOp::{Equal, NotEqual};
        self.threshold
            .is_none_or(|threshold| matches!(threshold.operator, Equal | NotEqual) || threshold.holds(peak))
    }

    fn step_of(&self, query_time: i64) -> usize {
        self.steps.at(query_time.saturating_add(self.plan.offset))
    }

    /// Number and value of the samples of a range that the rule finds.
    fn present<'s>(
        &self,
        samples: &'s Samples,
        (from, to): (usize, usize),
    ) -> impl Iterator<Item = (usize, f64)> + use<'s, '_> {
        let threshold = self.threshold;
        (from..to).filter_map(move |at| {
            let is_histogram = !samples.histograms.is_empty()
                && samples.histograms.binary_search_by_key(&at, |(at, _)| *at).is_ok();
            let value = samples.values[at];
            match threshold {
                // A comparison with a number drops histograms.
                Some(threshold) => (!is_histogram && threshold.holds(value)).then_some((at, value)),
                None if is_histogram => Some((at, 0.0)),
                None => Some((at, value)),
            }
        })
    }

    /// Steps and values at which the rule finds a series.
    fn found<'s>(
        &'s self,
        candidate: &'s Candidate,
        piece: &'s Piece<'_>,
    ) -> impl Iterator<Item = (usize, f64)> + 's {
        let samples = &piece.series[candidate.row].samples;
        let present = candidate.ranges.iter().flat_map(|range| self.present(samples, *range));
        present.map(|(at, value)| (self.step_of(samples.timestamps[at]), value))
    }

    /// Plays an alert that is found at these steps over the steps from `from` to before `to`, those that failed left out.
    fn play(
        &self,
        slot: &mut Slot,
        found: impl Iterator<Item = (usize, f64)>,
        (from, to): (usize, usize),
        failed: &[usize],
    ) {
        let is_failed = |step: usize| !failed.is_empty() && failed.binary_search(&step).is_ok();
        let absent = |slot: &mut Slot, from: usize, to: usize| {
            for step in from..to {
                if !slot.is_active() {
                    break;
                }
                if !is_failed(step) {
                    slot.step(self.steps.time(step), None, &self.frame);
                }
            }
        };
        let mut next = from;
        for (step, value) in found.filter(|(step, _)| !is_failed(*step)) {
            absent(slot, next, step);
            slot.step(self.steps.time(step), Some(value), &self.frame);
            next = step + 1;
        }
        absent(slot, next, to);
    }

    /// The slot of the alert that a series stands for, wherever its labels do not depend on the value.
    fn slot_of(&mut self, series: &Labels) -> Result<Option<usize>, Error> {
        if let Some(known) = self.by_series.get(series) {
            return Ok(*known);
        }
        if self.by_series.len() >= MAX_ALERTS {
            self.is_cut = true;
            return Ok(None);
        }
        self.lab.turn.check()?;
        let sample = sample(series, self.steps.first, 0.0);
        let found = self.expanded(&self.alerting, &[sample], self.steps.first).map_err(Error::Texts)?;
        let slot = match found.into_iter().next() {
            Some(found) => self.slot(found.labels, series)?,
            None => None,
        };
        self.by_series.insert(series.clone(), slot);
        Ok(slot)
    }

    /// The slot of the alert with these labels; none if there are too many.
    ///
    /// # Errors
    /// When the labels of all alerts exceed [`MAX_TEXT_BYTES`].
    fn slot(&mut self, labels: Labels, series: &Labels) -> Result<Option<usize>, Error> {
        let count = self.slots.len();
        match self.by_labels.entry(labels) {
            Entry::Occupied(known) => Ok(Some(*known.get())),
            Entry::Vacant(_) if count >= MAX_ALERTS => {
                self.is_cut = true;
                Ok(None)
            }
            Entry::Vacant(new) => {
                self.text_bytes = self.text_bytes.saturating_add(new.key().packed_len());
                if self.text_bytes > MAX_TEXT_BYTES {
                    return Err(Error::Texts(too_much_text()));
                }
                self.slots.push(Slot::new(new.key().clone(), series.clone()));
                new.insert(count);
                Ok(Some(count))
            }
        }
    }

    /// As the server makes alerts of what was found.
    fn expanded(&self, alerting: &Alerting, found: &[VectorSample], at: i64) -> Result<Vec<Found>, String> {
        let Lab { engine, source, turn, .. } = *self.lab;
        let reader = Reader { engine, source, turn, written: None };
        let scene = Scene {
            backend: &reader,
            listener: &self.nobody,
            external: self.lab.external,
            at,
            offset: self.plan.offset,
            limit: self.plan.limit,
            resend_delay: i64::MAX,
            now_ms: at,
            stop: &self.lab.turn.stop,
        };
        expanded(self.rule, alerting, found, &scene)
    }

    /// Alerts that depend on each other or on values: an evaluation after the other, as in the server.
    fn take_together(&mut self, piece: &Piece<'_>) -> Result<(), Error> {
        let mut cursors = vec![0; piece.series.len()];
        for series in piece.series {
            self.look_at(series);
        }
        for step in piece.from..piece.to {
            self.lab.turn.check()?;
            let at = self.steps.time(step);
            let time = at.saturating_sub(self.plan.offset);
            let mut found = Vec::new();
            for (series, cursor) in piece.series.iter().zip(&mut cursors) {
                if series.samples.timestamps.get(*cursor) != Some(&time) {
                    continue;
                }
                let present = self.present(&series.samples, (*cursor, *cursor + 1)).next();
                found.extend(present.map(|(at, value)| VectorSample {
                    histogram: histogram_at(&series.samples, at),
                    ..sample(&series.labels, time, value)
                }));
                *cursor += 1;
            }
            self.evaluate(at, &found)?;
        }
        Ok(())
    }

    fn evaluate(&mut self, at: i64, found: &[VectorSample]) -> Result<(), Error> {
        let updated = self.expanded(&self.alerting, found, at).and_then(|alerts| {
            let values: Vec<(Labels, f64)> =
                alerts.iter().map(|one| (one.labels.clone(), one.value)).collect();
            match self.alerts.update(alerts, at, self.alerting.timing, self.plan.limit, false) {
                Ok(_) => Ok(values),
                Err(count) => Err(format!("exceeded limit of {} with {count} alerts", self.plan.limit)),
            }
        });
        let values = match updated {
            Ok(values) => values,
            Err(error) => {
                (self.failed, self.failure) = (self.failed + 1, Some(error));
                Vec::new()
            }
        };
        let mut seen = vec![false; self.slots.len()];
        for ((labels, value), sample) in values.into_iter().zip(found) {
            let state = self.alerts.get(&labels).map_or(AlertState::Inactive, |alert| alert.state);
            let Some(number) = self.slot(labels, &sample.labels)? else { continue };
            seen.resize(self.slots.len(), false);
            seen[number] = true;
            let slot = &mut self.slots[number];
            slot.series = sample.labels.clone();
            slot.observe(at, state, Some(value), &self.frame);
        }
        for (slot, _) in self.slots.iter_mut().zip(&seen).filter(|(slot, seen)| !**seen && slot.is_active()) {
            let state = self.alerts.get(&slot.labels).map_or(AlertState::Inactive, |alert| alert.state);
            slot.observe(at, state, None, &self.frame);
        }
        Ok(())
    }

    fn finish(
        mut self,
        evaluations: usize,
        alerting: &Alerting,
        threshold: Option<Threshold>,
    ) -> Result<History, Error> {
        let (mut totals, mut spans_cut) = (Totals::default(), 0);
        let mut slots = std::mem::take(&mut self.slots);
        for slot in &mut slots {
            slot.finish(&self.frame);
            totals.add(&slot.totals);
            spans_cut += slot.cut;
        }
        slots.retain(|slot| slot.totals != Totals::default());
        let alert_count = slots.len();
        let order = |slot: &Slot| (slot.totals.firing_ms, slot.totals.firings, slot.totals.pendings);
        slots.sort_by(|a, b| order(b).cmp(&order(a)).then_with(|| a.labels.cmp(&b.labels)));
        spans_cut += slots.iter().skip(self.plan.alerts).map(|slot| slot.spans.len() as u64).sum::<u64>();
        slots.truncate(self.plan.alerts);
        let mut alerts = Vec::with_capacity(slots.len());
        let series: Vec<Labels> = slots.iter().map(|slot| slot.series.clone()).collect();
        let mut bytes = self.text_bytes;
        for slot in slots {
            self.lab.turn.check()?;
            let annotations = self.annotations(&slot, alerting);
            bytes = bytes.saturating_add(annotations.packed_len());
            if bytes > MAX_TEXT_BYTES {
                return Err(Error::Texts(too_much_text()));
            }
            let Slot { labels, spans, totals, .. } = slot;
            alerts.push(AlertHistory { labels, annotations, spans, totals });
        }
        let first: Vec<&Labels> = series.iter().collect();
        let (texts_failed, text_failure) = self.nobody.failures();
        let (graph, graph_cut) = self.graph.finish(&first, self.plan.series);
        Ok(History {
            alerts,
            alert_count,
            totals,
            evaluations,
            first: self.frame.first,
            last: self.frame.end,
            failed: self.failed,
            failure: self.failure,
            texts_failed,
            text_failure,
            is_cut: self.is_cut,
            spans_cut,
            graph,
            graph_cut,
            threshold,
        })
    }

    /// The annotations of an alert as of the last time that it began to fire.
    fn annotations(&self, slot: &Slot, alerting: &Alerting) -> Labels {
        let Some((at, value)) = slot.fired.filter(|_| !alerting.annotations.is_empty()) else {
            return Labels::empty();
        };
        let sample = sample(&slot.series, at.saturating_sub(self.plan.offset), value);
        let found = self.expanded(alerting, &[sample], at).ok().and_then(|found| found.into_iter().next());
        found.map_or_else(Labels::empty, |found| found.annotations)
    }
}

fn sample(labels: &Labels, timestamp: i64, value: f64) -> VectorSample {
    VectorSample { labels: labels.clone(), timestamp, value, histogram: None }
}

fn histogram_at(samples: &Samples, at: usize) -> Option<std::sync::Arc<crate::model::Histogram>> {
    let number = samples.histograms.binary_search_by_key(&at, |(at, _)| *at).ok()?;
    samples.histograms.get(number).map(|(_, histogram)| std::sync::Arc::clone(histogram))
}

/// The largest or the smallest of some values; NaN if there are none but NaN.
fn peak(values: &[f64], keeps_small: bool) -> f64 {
    if keeps_small { fold(values, f64::min) } else { fold(values, f64::max) }
}

/// Puts values together, of which NaN is none. Eight at a time: one after the other waits for each comparison.
fn fold(values: &[f64], better: impl Fn(f64, f64) -> f64) -> f64 {
    let mut lanes = [f64::NAN; 8];
    let mut chunks = values.chunks_exact(8);
    for chunk in &mut chunks {
        for (lane, value) in lanes.iter_mut().zip(chunk) {
            *lane = better(*lane, *value);
        }
    }
    chunks.remainder().iter().chain(&lanes).copied().fold(f64::NAN, better)
}

/// How long a time is in weeks.
pub fn weeks(time: Duration) -> f64 {
    time.as_secs_f64() / (7.0 * 24.0 * 3600.0)
}
