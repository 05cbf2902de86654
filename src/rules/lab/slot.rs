//! One alert of the lab on its way through the states. The states themselves are those of [`crate::rules::alert`].

use std::cell::Cell;

use super::history::{MAX_SPANS_OF_ALERT, Span, Totals};
use crate::model::Labels;
use crate::rules::alert::{Alert, AlertState, Timing};

/// What holds for all alerts of a rule.
#[derive(Debug)]
pub(super) struct Frame {
    pub(super) timing: Timing,
    /// The first evaluation of all, in milliseconds.
    pub(super) first: i64,
    /// The range that is asked about, in milliseconds.
    pub(super) start: i64,
    pub(super) end: i64,
    /// Whether the smallest value is the peak.
    pub(super) keeps_small: bool,
    /// Spans that may still be kept.
    pub(super) room: Cell<usize>,
}

impl Frame {
    pub(super) fn worse(&self, a: f64, b: f64) -> f64 {
        if self.keeps_small { a.min(b) } else { a.max(b) }
    }
}

/// An alert, and what became of it so far.
#[derive(Debug)]
pub(super) struct Slot {
    /// Final labels.
    pub(super) labels: Labels,
    /// Those of the series that it was found by last.
    pub(super) series: Labels,
    /// Time in milliseconds and value when it began to fire the last time.
    pub(super) fired: Option<(i64, f64)>,
    pub(super) spans: Vec<Span>,
    /// Spans that are not kept.
    pub(super) cut: u64,
    pub(super) totals: Totals,
    alert: Option<Alert>,
    open: Option<Span>,
}

impl Slot {
    pub(super) fn new(labels: Labels, series: Labels) -> Self {
        Self {
            labels,
            series,
            fired: None,
            spans: Vec::new(),
            cut: 0,
            totals: Totals::default(),
            alert: None,
            open: None,
        }
    }

    /// Whether it is pending or firing.
    pub(super) fn is_active(&self) -> bool {
        self.open.is_some()
    }

    /// An evaluation at `at` that found it with a value, or did not find it.
    pub(super) fn step(&mut self, at: i64, value: Option<f64>, frame: &Frame) {
        match (&mut self.alert, value) {
            (Some(alert), Some(value)) if alert.state != AlertState::Inactive => alert.value = value,
            (alert, Some(value)) => {
                *alert = Some(Alert::begin(self.labels.clone(), Labels::empty(), value, at));
            }
            (_, None) => {}
        }
        let Some(alert) = &mut self.alert else { return };
        let state = if alert.step(at, frame.timing, value.is_some()) {
            alert.state
        } else {
            self.alert = None;
            AlertState::Inactive
        };
        self.observe(at, state, value, frame);
    }

    /// It is in this state after the evaluation at `at`.
    pub(super) fn observe(&mut self, at: i64, state: AlertState, value: Option<f64>, frame: &Frame) {
        if self.open.as_ref().map_or(AlertState::Inactive, |span| span.state) != state {
            // What was pending since before may have fired before as well.
            let began_before = self.open.as_ref().is_some_and(|span| span.since_before);
            self.close(Some(at), state, frame);
            if state != AlertState::Inactive {
                let peak = value.unwrap_or(f64::NAN);
                let since_before = at == frame.first || began_before;
                self.open = Some(Span { state, from: at, to: None, since_before, peak });
            }
            if state == AlertState::Firing {
                self.fired = Some((at, value.unwrap_or_default()));
            }
        } else if let (Some(span), Some(value)) = (&mut self.open, value) {
            span.peak = frame.worse(span.peak, value);
        }
    }

    /// No evaluation follows.
    pub(super) fn finish(&mut self, frame: &Frame) {
        self.close(None, AlertState::Inactive, frame);
    }

    fn close(&mut self, to: Option<i64>, next: AlertState, frame: &Frame) {
        let Some(mut span) = self.open.take() else { return };
        span.to = to;
        self.totals.add_span(&span, next, frame.start, frame.end);
        if !span.touches(frame.start, frame.end) {
            return;
        }
        if self.spans.len() < MAX_SPANS_OF_ALERT && frame.room.get() > 0 {
            frame.room.set(frame.room.get() - 1);
            self.spans.push(span);
        } else {
            self.cut += 1;
        }
    }
}
