//! Room on the stack for expressions that are deep: walks over a tree recurse as deep as it is.

use super::Error;

/// Highest tree that is read and printed on the caller's stack; planning and evaluation take more for each level.
pub(crate) const SHALLOW_TREE: u16 = 200;

/// The highest accepted expressions need some twenty megabytes without optimization. Only what is used becomes memory.
const DEEP_STACK: usize = 128 << 20;

/// Bytes of the longest query whose tree cannot be higher than [`SHALLOW_TREE`]: each level takes two, as in `1+`.
pub(crate) const SHALLOW_BYTES: usize = 2 * SHALLOW_TREE as usize;

/// Calls `work`, where `is_deep` says so on a stack with room for the highest tree that the parser builds.
///
/// # Errors
/// When there is no thread for it.
///
/// # Panics
/// When `work` does.
pub(crate) fn run<T: Send>(is_deep: bool, work: impl FnOnce() -> T + Send) -> Result<T, Error> {
    if !is_deep {
        return Ok(work());
    }
    std::thread::scope(|scope| {
        let deep = std::thread::Builder::new()
            .name("deep-query".to_owned())
            .stack_size(DEEP_STACK)
            .spawn_scoped(scope, work);
        match deep.map(std::thread::ScopedJoinHandle::join) {
            Ok(Ok(result)) => Ok(result),
            Ok(Err(panic)) => std::panic::resume_unwind(panic),
            Err(error) => Err(Error::Thread(error)),
        }
    })
}
