//! Expanding the templates of one notification.

use std::time::{Duration, Instant};

use super::error::Failure;
use crate::template::{Limits, Message, Template};

/// Time the templates of one notification may take together.
const MAX_TIME: Duration = Duration::from_secs(5);

/// Bounds of each text: enough to name every alert there can be.
const MAX_TEXT_BYTES: usize = 16 << 20;
const MAX_STEPS: u64 = 20_000_000;

/// Expands templates with the data of one notification.
pub(super) struct Renderer<'a> {
    message: &'a Message,
    now_ms: i64,
    limits: Limits,
}

impl<'a> Renderer<'a> {
    /// For `message` at `now_ms` (milliseconds since the Unix epoch). The time that templates may take begins.
    pub(super) fn new(message: &'a Message, now_ms: i64) -> Self {
        let limits = Limits {
            deadline: Instant::now().checked_add(MAX_TIME),
            max_output_bytes: MAX_TEXT_BYTES,
            max_steps: MAX_STEPS,
            ..Limits::default()
        };
        Self { message, now_ms, limits }
    }

    /// The text of the template under `key`.
    pub(super) fn text(&self, key: &str, template: &Template) -> Result<String, Failure> {
        let expanded = template.expand_message(self.message, self.now_ms, &self.limits);
        expanded.map_err(|error| Failure::permanent(format!("{key}: {error}")))
    }
}
