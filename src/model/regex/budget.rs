//! What all expressions of one request may take together.

use std::time::Instant;

use super::RegexError;
use crate::util::StopToken;

/// Bytes that programs of one request may take.
const MAX_PROGRAM_BYTES: usize = 32 << 20;

/// The longest expression: what is longer would be too large for a program, and takes a hundred times as much to read.
const MAX_SOURCE_BYTES: usize = 1 << 20;

/// Bytes that compiled engines of one request may take; further expressions are matched character by character.
const MAX_ENGINE_BYTES: usize = 48 << 20;

/// The largest engine.
const LARGEST_ENGINE: usize = 1 << 20;

/// What an engine takes beside its own size: states that it keeps while it runs.
pub(super) const STATE_BYTES: usize = 256 << 10;

/// Bounds of the expressions of one request, or of others that are kept together. Reading more than that is refused.
#[derive(Debug, Clone)]
pub struct RegexBudget {
    programs: usize,
    engines: usize,
    deadline: Option<Instant>,
    stop: StopToken,
}

impl Default for RegexBudget {
    fn default() -> Self {
        Self::until(None, StopToken::new())
    }
}

impl RegexBudget {
    /// A budget for as long as `stop` is not stopped and the deadline has not passed.
    pub fn until(deadline: Option<Instant>, stop: StopToken) -> Self {
        Self { programs: MAX_PROGRAM_BYTES, engines: MAX_ENGINE_BYTES, deadline, stop }
    }

    /// Whether there is no time left.
    fn is_over(&self) -> bool {
        self.stop.is_stopped() || self.deadline.is_some_and(|deadline| Instant::now() >= deadline)
    }

    /// Fails for an expression that is not to be read: it is too long, or there is no time left.
    pub(super) fn check(&self, source: &str) -> Result<(), RegexError> {
        if source.len() > MAX_SOURCE_BYTES {
            return Err(RegexError::new("expression too large", source));
        }
        if self.is_over() {
            return Err(RegexError::new("no time left", source));
        }
        Ok(())
    }

    /// Takes what an expression already has, whether or not there is room for it.
    pub(super) fn charge(&mut self, program: usize, engine: usize) {
        self.programs = self.programs.saturating_sub(program);
        self.engines = self.engines.saturating_sub(engine);
    }

    /// Takes an expression with a program of `program` bytes; says whether it may have an engine of about `engine`.
    pub(super) fn admit(&mut self, source: &str, program: usize, engine: usize) -> Result<bool, RegexError> {
        let Some(left) = self.programs.checked_sub(program.saturating_add(source.len())) else {
            return Err(RegexError::new("expressions are too large together", source));
        };
        self.programs = left;
        let wanted = engine.saturating_add(STATE_BYTES);
        let fits = engine <= LARGEST_ENGINE && wanted <= self.engines;
        self.engines -= if fits { wanted } else { 0 };
        Ok(fits)
    }
}
