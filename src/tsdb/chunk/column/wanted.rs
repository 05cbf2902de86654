//! Which samples of a column are wanted.

/// The samples of a column that are wanted: from `start` to before `end`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted {
    pub(super) start: usize,
    pub(super) end: usize,
}
