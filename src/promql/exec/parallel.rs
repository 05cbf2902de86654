//! Work on many series, spread over the cores.
//!
//! **Invariants**: what comes out does not depend on the number of threads: results, remarks and the first error are
//! put together in the order of the series.

use std::ops::Range;

use rayon::iter::{IntoParallelIterator as _, ParallelIterator as _};

use super::Context;
use crate::promql::error::Error;

/// Units of work (about a nanosecond each) below which threads cost more than they save.
const WORTH_SHARING: usize = 500_000;

/// Parts for each thread: one that is done early takes another.
const PARTS_PER_THREAD: usize = 4;

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
