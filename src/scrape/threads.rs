//! Threads that only scrape.
//!
//! Each runs a runtime of its own, on which a target's loop waits, asks, reads and stores without ever waking another
//! thread. What takes long there is handed to a blocking thread, because the other targets of the thread wait meanwhile.

use std::io;
use std::thread::{Builder, available_parallelism};

use tokio::runtime::{self, Handle};
use tokio::sync::oneshot;

/// Where loops run.
pub(super) struct ScrapeThreads {
    runtimes: Vec<Handle>,
    /// They end when these are dropped.
    _stop: Vec<oneshot::Sender<()>>,
}

impl ScrapeThreads {
    /// A thread for each processor.
    ///
    /// # Errors
    /// When the system does not give one.
    pub(super) fn start() -> io::Result<Self> {
        let (mut runtimes, mut stop) = (Vec::new(), Vec::new());
        for _ in 0..available_parallelism().map_or(1, usize::from) {
            let (sender, stopped) = oneshot::channel::<()>();
            let (made, handle) = std::sync::mpsc::channel();
            Builder::new().name("scrape".to_owned()).spawn(move || {
                let runtime = match runtime::Builder::new_current_thread().enable_all().build() {
                    Ok(runtime) => runtime,
                    Err(error) => return drop(made.send(Err(error))),
                };
                let _ = made.send(Ok(runtime.handle().clone()));
                let _ = runtime.block_on(stopped);
                // A body that is still being stored must not hold up who stops.
                runtime.shutdown_background();
            })?;
            runtimes.push(handle.recv().map_err(io::Error::other)??);
            stop.push(sender);
        }
        Ok(Self { runtimes, _stop: stop })
    }

    /// All loops run on the runtime of the caller, where there is one.
    #[cfg(test)]
    pub(super) fn current() -> Self {
        Self { runtimes: Handle::try_current().into_iter().collect(), _stop: Vec::new() }
    }

    /// The threads.
    pub(super) fn count(&self) -> usize {
        self.runtimes.len()
    }

    /// The thread of a target with this hash.
    pub(super) fn of(&self, hash: u64) -> &Handle {
        &self.runtimes[place(hash, self.count())]
    }
}

/// Which of `count` has a target with this hash.
pub(super) fn place(hash: u64, count: usize) -> usize {
    // The slots of a target come from its hash as well: the lower bits stand for times, the upper ones for threads.
    usize::try_from((u128::from(hash) * count as u128) >> 64).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_spread() {
        assert_eq!([0, u64::MAX / 4, u64::MAX / 2 + 2, u64::MAX].map(|hash| place(hash, 2)), [0, 0, 1, 1]);
        assert_eq!(place(u64::MAX, 1), 0);
    }

    #[test]
    fn work_runs_until_they_are_dropped() {
        let threads = ScrapeThreads::start().expect("threads");
        let handle = threads.of(0).clone();
        let (told, heard) = std::sync::mpsc::channel();
        handle.spawn(async move { told.send(std::thread::current().name().map(str::to_owned)) });
        assert_eq!(heard.recv().expect("it ran").as_deref(), Some("scrape"));
        let never = threads.of(0).spawn(std::future::pending::<()>());
        drop(threads);
        let waiting = runtime::Builder::new_current_thread().build().expect("a runtime");
        assert!(waiting.block_on(never).expect_err("it did not end by itself").is_cancelled());
    }
}
