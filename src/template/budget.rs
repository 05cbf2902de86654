//! What one expansion may take, and what it has taken.
//!
//! Everything is counted in steps: one for each piece of the template that is executed, and one for each 64 bytes of text
//! that is made, whether it is printed or only kept in a variable. So the steps bound time and memory alike.

use std::time::Instant;

use super::error::{Fault, fail};
use crate::model::RegexBudget;
use crate::util::StopToken;

/// Bytes of made text that count as one step.
const BYTES_PER_STEP: usize = 64;

/// Steps between two looks at the clock.
const STEPS_PER_LOOK: u64 = 256;

/// What all searches with regular expressions of one expansion may take: about a second.
const MAX_REGEX_EFFORT: usize = 1 << 28;

/// Bounds of one expansion. Whoever reaches one gets an error and no text.
#[derive(Debug, Clone)]
pub struct Limits {
    /// When to give up.
    pub deadline: Option<Instant>,
    /// Bytes of the result, and of each text that is made on the way.
    pub max_output_bytes: usize,
    /// Calls of `query`.
    pub max_queries: usize,
    /// Pieces of the template that are executed, counted again in each round of a loop, and 64 bytes of text made.
    pub max_steps: u64,
    /// Templates that call each other, one inside of the other.
    pub max_depth: usize,
}

impl Default for Limits {
    /// 1 MiB, 100 queries, a million steps, 32 templates inside of each other, no deadline.
    fn default() -> Self {
        Self {
            deadline: None,
            max_output_bytes: 1 << 20,
            max_queries: 100,
            max_steps: 1_000_000,
            max_depth: 32,
        }
    }
}

/// What is left of the limits.
#[derive(Debug)]
pub(super) struct Budget<'l> {
    pub(super) limits: &'l Limits,
    steps: u64,
    next_look: u64,
    queries: usize,
    regex_effort: usize,
    pub(super) regexes: RegexBudget,
}

impl<'l> Budget<'l> {
    pub(super) fn new(limits: &'l Limits) -> Self {
        let regexes = RegexBudget::until(limits.deadline, StopToken::new());
        Self { limits, steps: 0, next_look: 0, queries: 0, regex_effort: 0, regexes }
    }

    /// Takes one step.
    pub(super) fn step(&mut self) -> Result<(), Fault> {
        self.take(1)
    }

    /// Takes the steps of a text of `bytes` that was made.
    pub(super) fn made(&mut self, bytes: usize) -> Result<(), Fault> {
        self.take(u64::try_from(bytes / BYTES_PER_STEP).unwrap_or(u64::MAX))
    }

    fn take(&mut self, steps: u64) -> Result<(), Fault> {
        self.steps = self.steps.saturating_add(steps);
        if self.steps > self.limits.max_steps {
            return fail!("expansion takes more than {} steps", self.limits.max_steps);
        }
        if self.steps >= self.next_look {
            self.next_look = self.steps + STEPS_PER_LOOK;
            self.check_time()?;
        }
        Ok(())
    }

    /// Fails when the deadline has passed.
    pub(super) fn check_time(&self) -> Result<(), Fault> {
        match self.limits.deadline {
            Some(deadline) if Instant::now() >= deadline => fail!("expansion takes too long"),
            _ => Ok(()),
        }
    }

    /// Takes a query.
    pub(super) fn query(&mut self) -> Result<(), Fault> {
        self.queries += 1;
        if self.queries > self.limits.max_queries {
            return fail!("more than {} queries", self.limits.max_queries);
        }
        self.check_time()
    }

    /// Takes a search with a regular expression of that effort.
    pub(super) fn search(&mut self, effort: usize) -> Result<(), Fault> {
        self.regex_effort = self.regex_effort.saturating_add(effort);
        if self.regex_effort > MAX_REGEX_EFFORT {
            return fail!("regular expressions take too long");
        }
        self.check_time()
    }
}

/// A text that is being made, of bounded length.
#[derive(Debug)]
pub(super) struct Sink {
    text: String,
    max_bytes: usize,
}

impl Sink {
    pub(super) fn new(max_bytes: usize) -> Self {
        Self { text: String::new(), max_bytes }
    }

    /// An empty one with the same bound.
    pub(super) fn another(&self) -> Self {
        Self::new(self.max_bytes)
    }

    pub(super) fn push(&mut self, text: &str) -> Result<(), Fault> {
        self.has_room(text.len())?;
        self.text.push_str(text);
        Ok(())
    }

    /// Adds `c`, `count` times.
    pub(super) fn fill(&mut self, c: char, count: usize) -> Result<(), Fault> {
        self.has_room(count.saturating_mul(c.len_utf8()))?;
        self.text.extend(std::iter::repeat_n(c, count));
        Ok(())
    }

    fn has_room(&self, bytes: usize) -> Result<(), Fault> {
        if self.text.len().saturating_add(bytes) > self.max_bytes {
            return fail!("text of more than {} bytes", self.max_bytes);
        }
        Ok(())
    }

    pub(super) fn len(&self) -> usize {
        self.text.len()
    }

    pub(super) fn into_text(self) -> String {
        self.text
    }
}
