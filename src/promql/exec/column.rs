//! Scalars: one number for each step of a grid.

use std::ops::Deref;

use super::Context;
use crate::promql::error::Error;
use crate::promql::memory::Ticket;

/// The numbers of a scalar, counted as memory of the query as long as they are there.
#[derive(Debug)]
pub(crate) struct Column {
    values: Vec<f64>,
    memory: Ticket,
}

impl Column {
    /// A column of `steps` numbers, step `at` of which is `of(at)`.
    pub(super) fn new(cx: &Context<'_>, steps: usize, of: impl FnMut(usize) -> f64) -> Result<Self, Error> {
        let memory = cx.reserve(steps.saturating_mul(size_of::<f64>()))?;
        cx.work(steps)?;
        Ok(Self { values: (0..steps).map(of).collect(), memory })
    }

    /// Replaces each number by what `of` makes of it and of where it stands.
    pub(super) fn map(mut self, mut of: impl FnMut(usize, f64) -> f64) -> Self {
        self.values.iter_mut().enumerate().for_each(|(at, value)| *value = of(at, *value));
        self
    }

    /// Sets step `at`.
    pub(super) fn set(&mut self, at: usize, value: f64) {
        self.values[at] = value;
    }

    /// The numbers and what they are counted by.
    pub(crate) fn into_parts(self) -> (Vec<f64>, Ticket) {
        (self.values, self.memory)
    }
}

impl Deref for Column {
    type Target = [f64];

    fn deref(&self) -> &[f64] {
        &self.values
    }
}
