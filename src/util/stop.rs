//! Cancellation as the synchronous core sees it: a flag the shell sets and the core polls.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A shared flag that asks work to end early. Cloning shares the flag.
#[derive(Debug, Default, Clone)]
pub struct StopToken(Arc<AtomicBool>);

impl StopToken {
    /// A token that is not stopped.
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks everybody who holds a clone to end.
    pub fn stop(&self) {
        // Relaxed: the flag carries no data, only a wish.
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether [`StopToken::stop`] was called.
    pub fn is_stopped(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
