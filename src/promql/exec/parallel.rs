//! Work on many series, spread over the cores.
//!
//! One query has the pool of threads at a time; others that come meanwhile do their work on the thread they have. So none
//! waits for the rows of another one, which may take minutes.
//!
//! **Invariants**: what comes out does not depend on the number of threads: results, annotations and the first error are
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
        // Relaxed: it guards nothing but who has it. Whoever does not get it must not make one: dropping it would free the
        // pool of the other query.
        let was_free = !TAKEN.swap(true, Ordering::Relaxed);
        was_free.then(|| Self(()))
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

/// What `change` makes of each of `items`, in their order, on several threads at once where that is worth it. `cost` is what
/// one takes, in nanoseconds or so.
pub(crate) fn map<T: Send, R: Send>(
    items: Vec<T>,
    cost: usize,
    change: impl Fn(T) -> R + Send + Sync,
) -> Vec<R> {
    let is_worth_it = rayon::current_num_threads() > 1 && items.len().saturating_mul(cost) >= WORTH_SHARING;
    let pool = if is_worth_it { Pool::take() } else { None };
    match pool {
        Some(_pool) => items.into_par_iter().map(change).collect(),
        None => items.into_iter().map(change).collect(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::AtomicUsize;
    use std::sync::mpsc;
    use std::time::Duration;

    use super::*;

    #[test]
    fn nobody_waits_for_the_rows_of_another_query() {
        // Another query has the pool, and work for all its threads that lasts until the test ends it.
        let pool = loop {
            match Pool::take() {
                Some(pool) => break pool,
                None => std::thread::yield_now(),
            }
        };
        let (busy, released) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
        rayon::spawn_broadcast({
            let (busy, released) = (Arc::clone(&busy), Arc::clone(&released));
            move |_| {
                busy.fetch_add(1, Ordering::SeqCst);
                while !released.load(Ordering::SeqCst) {
                    std::thread::yield_now();
                }
            }
        });
        while busy.load(Ordering::SeqCst) < rayon::current_num_threads() {
            std::thread::yield_now();
        }
        let (done, told) = mpsc::channel();
        std::thread::spawn(move || {
            let cx = Context::unlimited();
            // More than once: each batch of rows asks for the pool.
            let found = (0..3).try_fold(true, |all, _| {
                let rows = gather(&cx, 0..100, WORTH_SHARING, |_, (): &mut (), number| Ok(Some(number)))?;
                Ok::<_, Error>(all && rows.into_iter().eq(0..100))
            });
            done.send(found)
        });
        let found = told.recv_timeout(Duration::from_secs(60));
        released.store(true, Ordering::SeqCst);
        drop(pool);
        assert!(matches!(found, Ok(Ok(true))), "{found:?}");
    }
}
