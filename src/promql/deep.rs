//! Room on the stack for expressions that are deep: walks over a tree recurse as deep as it is.

use super::Error;

/// Highest tree that is read and printed on the caller's stack; planning and evaluation take more for each level.
pub(crate) const SHALLOW_TREE: u16 = 200;

/// The highest accepted expressions need some twenty megabytes without optimization. Only what is used becomes memory.
const DEEP_STACK: usize = 128 << 20;

/// Whether the tree of a query may be higher than [`SHALLOW_TREE`]: no level of it comes without one of these.
pub(crate) fn may_be_deep(query: &str) -> bool {
    let least = usize::from(SHALLOW_TREE);
    if query.len() <= least {
        return false;
    }
    let signs = query.bytes().filter(|byte| b"+-*/%^=<>!([".contains(byte)).count();
    let lower = query.to_ascii_lowercase();
    let words = ["and", "or", "unless", "atan2"].map(|word| lower.matches(word).count());
    signs + words.iter().sum::<usize>() >= least
}

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::promql::{Features, syntax};

    #[test]
    fn only_what_may_be_deep_gets_a_stack_of_its_own() {
        for (term, operator) in [("1", "+"), ("a", " OR "), ("a", " atan2 "), ("a", "==bool "), ("-a", "/")] {
            let query = vec![term; 202].join(operator);
            let mut patterns = crate::model::RegexBudget::default();
            let expr = run(true, || syntax::parse(&query, &Features::all(), &mut patterns));
            assert!(expr.expect("a thread").expect(&query).height() > SHALLOW_TREE, "{query}");
            assert!(may_be_deep(&query), "{query}");
        }
        let long =
            "sum by (job, instance) (rate(http_requests_total{job=~\"api|web\", code!=\"200\"}[5m])) / 2";
        assert!(!may_be_deep(&[long; 10].join(" + ")));
    }
}
