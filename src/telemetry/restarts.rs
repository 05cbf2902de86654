//! Work that must go on: a panic in it is counted and told, and the caller does it again.

use std::any::Any;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};

use futures_util::FutureExt as _;

use super::metrics::Counter;

/// Guards work and counts the panics in it. Clones share the count.
#[derive(Debug, Clone, Default)]
pub struct Restarts(Counter);

impl Restarts {
    /// The count, for the registry.
    pub fn counter(&self) -> Counter {
        self.0.clone()
    }

    /// How often guarded work panicked.
    pub fn count(&self) -> u64 {
        self.0.get()
    }

    /// Does `work`; none when it panicked. `what` says in the log what that was.
    pub fn guard<T>(&self, what: &str, work: impl FnOnce() -> T) -> Option<T> {
        self.outcome(what, catch_unwind(AssertUnwindSafe(work)))
    }

    /// As [`Restarts::guard`], for a future.
    pub async fn guard_future<T>(&self, what: &str, work: impl Future<Output = T>) -> Option<T> {
        self.outcome(what, AssertUnwindSafe(work).catch_unwind().await)
    }

    fn outcome<T>(&self, what: &str, done: Result<T, Box<dyn Any + Send>>) -> Option<T> {
        if done.is_err() {
            self.0.inc();
            // Nothing that is said about a panic may be another one.
            let _ = catch_unwind(|| {
                tracing::error!("{what} panicked and is being restarted; please report this bug");
            });
        }
        done.ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_is_counted_and_goes_no_further() {
        let restarts = Restarts::default();
        assert_eq!(restarts.guard("work", || 1), Some(1));
        assert_eq!(restarts.guard_future("work", async { 2 }).await, Some(2));
        assert_eq!(restarts.count(), 0);
        assert_eq!(restarts.guard("work", || panic!("on purpose")), None::<()>);
        assert_eq!(restarts.guard_future("work", async { panic!("on purpose") }).await, None::<()>);
        assert_eq!(restarts.clone().count(), 2);
    }
}
