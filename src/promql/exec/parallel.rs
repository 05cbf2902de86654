//! Work on many series, spread over the cores.
//!
//! One query has the pool of threads at a time; others that come meanwhile do their work on the thread they have. So none
//! waits for the rows of another one, which may take minutes.
//!
//! **Invariants**: what comes out does not depend on the number of threads: results, remarks and the first error are
//! put together in the order of the series.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};

use rayon::iter::{IntoParallelIterator as _, ParallelIterator as _};

use super::Context;
use crate::promql::error::Error;

/// Units of work (about a nanosecond each) below which threads cost more than they save.
const WORTH_SHARING: usize = 500_000;

/// Parts for each thread: one that is done early takes another.
const PARTS_PER_THREAD: usize = 4;

/// Whether a query has the pool.
static TAKEN: AtomicBool = AtomicBool::new(false);

/// The pool, until it is dropped.
struct Pool(());

impl Pool {
    fn take() -> Option<Self> {
        // Relaxed: it guards nothing but who has it.
        (!TAKEN.swap(true, Ordering::Relaxed)).then_some(Self(()))
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        TAKEN.store(false, Ordering::Relaxed);
    }
}

/// Calls `work` for each number of `range`, in order or on several threads at once, and gathers what it yields. `cost` is
/// what one call takes, in nanoseconds or so; `S` is working memory that calls on the same thread share.
///
/// # Errors
/// The error of the lowest number.
pub(super) fn gather<S: Default, T: Send>(
    cx: &Context<'_>,
    range: Range<usize>,
    cost: usize,
    work: impl Fn(&Context<'_>, &mut S, usize) -> Result<Option<T>, Error> + Sync,
) -> Result<Vec<T>, Error> {
    let run = |cx: &Context<'_>, part: Range<usize>| {
        let mut scratch = S::default();
        let mut out = Vec::with_capacity(part.len());
        for number in part {
            cx.check()?;
            out.extend(work(cx, &mut scratch, number)?);
        }
        Ok(out)
    };
    let threads = rayon::current_num_threads();
    if threads < 2 || range.len() < 2 || range.len().saturating_mul(cost) < WORTH_SHARING {
        return run(cx, range);
    }
    let Some(_pool) = Pool::take() else { return run(cx, range) };
    let size = range.len().div_ceil(threads * PARTS_PER_THREAD);
    // Forks count for themselves, but cannot refuse.
    drop(cx.reserve(threads * PARTS_PER_THREAD * cx.bytes_of_counts())?);
    let parts = range.clone().step_by(size).map(|start| (cx.fork(), start..range.end.min(start + size)));
    let parts: Vec<_> = parts.collect();
    let done: Vec<_> = parts
        .into_par_iter()
        .map(|(fork, part)| {
            let rows = run(&fork, part);
            (fork, rows)
        })
        .collect();
    let mut out = Vec::with_capacity(range.len());
    for (fork, rows) in done {
        cx.join(fork);
        out.append(&mut rows?);
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;
    use std::sync::mpsc;
    use std::time::Duration;

    use super::*;
    use crate::promql::Features;
    use crate::promql::exec::Limits;
    use crate::promql::memory::{Memory, TotalMemory};
    use crate::util::StopToken;

    #[test]
    fn nobody_waits_for_the_rows_of_another_query() {
        let features = Features::all();
        let memory = std::sync::Arc::new(TotalMemory::new(usize::MAX));
        let context = || {
            let limits = Limits {
                max_samples: usize::MAX,
                memory: Memory::new(usize::MAX, &memory),
                deadline: None,
                stop: StopToken::new(),
            };
            Context::new(&[], &features, false, limits)
        };
        let (running, released) = (AtomicUsize::new(0), AtomicBool::new(false));
        let threads = rayon::current_num_threads();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let cx = context();
                let wait = |_: &Context<'_>, (): &mut (), number: usize| {
                    running.fetch_add(1, Ordering::SeqCst);
                    while !released.load(Ordering::SeqCst) {
                        std::thread::yield_now();
                    }
                    Ok(Some(number))
                };
                gather(&cx, 0..threads * 8, WORTH_SHARING, wait).map(|all| all.len())
            });
            // Every thread of the pool is busy, or the one there is.
            while running.load(Ordering::SeqCst) < threads {
                std::thread::yield_now();
            }
            let (done, told) = mpsc::channel();
            let context = &context;
            scope.spawn(move || {
                let cx = context();
                let found = gather(&cx, 0..100, WORTH_SHARING, |_, (): &mut (), number| Ok(Some(number)));
                done.send(found.map(|all| all.into_iter().eq(0..100)))
            });
            let found = told.recv_timeout(Duration::from_secs(60));
            released.store(true, Ordering::SeqCst);
            assert!(matches!(found, Ok(Ok(true))), "{found:?}");
        });
    }
}
