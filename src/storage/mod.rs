//! The read seam between queries and whatever holds data.
//!
//! A [`Queryable`] opens a [`Querier`] for a time range: one consistent snapshot. A select turns matchers into a
//! [`SeriesSet`]: series in label order whose samples are decoded only when [`SeriesSet::read`] asks for them, one
//! whole series into the caller's reused columns. Dynamic dispatch is per series, never per sample.

pub mod fixed;
mod hints;

use crate::model::{Labels, Matcher, Samples, TimeRange};

/// A failed read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StorageError {
    /// The storage could not read its own data.
    #[error("cannot read {what}: {reason}")]
    Read {
        /// The block, segment or file concerned.
        what: String,
        /// What went wrong with it.
        reason: String,
    },
    /// The storage does not answer queries yet, or no longer.
    #[error("storage is not ready: {0}")]
    NotReady(String),
    /// It was told to stop; see [`Watch`].
    #[error("the client is gone")]
    GivenUp,
}

/// A moment in the life of a storage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark(pub u64);

/// Something that can be queried.
pub trait Queryable: Send + Sync {
    /// A consistent view of everything inside `range`.
    ///
    /// # Errors
    /// When the storage is not ready.
    fn querier(&self, range: TimeRange) -> Result<Box<dyn Querier>, StorageError>;

    /// The present moment, if the storage takes note of what changes.
    fn mark(&self) -> Option<Mark> {
        None
    }

    /// Samples older than this (milliseconds) are those that every select saw which began at or after `mark`:
    /// `i64::MAX` if nothing came or went since, `i64::MIN` if that is not known.
    fn unchanged_before(&self, _mark: Mark) -> i64 {
        i64::MIN
    }
}

/// How much of each series a select is wanted for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// Every sample inside the range.
    Samples,
    /// The newest sample inside the range; a read may leave out the older ones.
    Newest,
    /// The labels alone; a read may leave out any sample.
    Labels,
}

impl Need {
    /// What serves both.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Labels, need) | (need, Self::Labels) => need,
            (Self::Newest, Self::Newest) => Self::Newest,
            _ => Self::Samples,
        }
    }
}

/// What of samples matters besides timestamps, stale markers and which are histograms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Fields {
    /// Values. If not, a read may put any number that is not the stale marker for one that is not.
    pub values: bool,
    /// When counting began. If not, a read may leave that out.
    pub starts: bool,
}

impl Fields {
    /// Everything.
    pub const ALL: Self = Self { values: true, starts: true };
    /// Values alone.
    pub const VALUES: Self = Self { values: true, starts: false };
    /// Nothing more.
    pub const TIMES: Self = Self { values: false, starts: false };

    /// What matters to either.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self { values: self.values || other.values, starts: self.starts || other.starts }
    }
}

/// What a select is wanted for. The matchers must all hold; `range` is closed at both ends.
#[derive(Debug, Clone, Copy)]
pub struct SelectRequest<'a> {
    /// Conditions on the labels, all of which must hold.
    pub matchers: &'a [Matcher],
    /// Samples outside are never read. Series without samples inside may be left out.
    pub range: TimeRange,
    /// What of each series will be read.
    pub need: Need,
    /// What of their samples matters.
    pub fields: Fields,
    /// Whether to go on.
    pub watch: Watch<'a>,
}

impl<'a> SelectRequest<'a> {
    /// A request for every sample inside `range` of the series that match, with all that is known of it, however long it
    /// takes.
    pub fn new(matchers: &'a [Matcher], range: TimeRange) -> Self {
        Self { matchers, range, need: Need::Samples, fields: Fields::ALL, watch: Watch::NONE }
    }
}

/// What work that may take long or much asks every now and then: whether to go on, having taken so many bytes.
#[derive(Clone, Copy)]
pub struct Watch<'a>(pub &'a dyn Fn(usize) -> bool);

impl Watch<'_> {
    /// Goes on.
    pub const NONE: Self = Self(&|_| true);

    /// Fails when the work is to end.
    ///
    /// # Errors
    /// [`StorageError::GivenUp`].
    pub fn check(self, bytes: usize) -> Result<(), StorageError> {
        if (self.0)(bytes) { Ok(()) } else { Err(StorageError::GivenUp) }
    }
}

impl std::fmt::Debug for Watch<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Watch")
    }
}

/// Where a list of names or values ends.
#[derive(Clone, Copy)]
pub struct Bounds<'a> {
    /// How many are wanted: the first in order, and perhaps some more.
    pub most: usize,
    /// Whether to go on.
    pub watch: Watch<'a>,
}

impl Bounds<'_> {
    /// No bounds.
    pub const NONE: Self = Self { most: usize::MAX, watch: Watch::NONE };
}

/// A consistent view of the data: the same answers however long it is held.
pub trait Querier: Send + Sync {
    /// The series that match, in label order, each label set once.
    ///
    /// # Errors
    /// When data cannot be read.
    fn select(&self, request: &SelectRequest<'_>) -> Result<Box<dyn SeriesSet>, StorageError>;

    /// Sorted names of the labels of all series, or of those that match at least one of `selectors` if there are any.
    ///
    /// # Errors
    /// When data cannot be read.
    fn label_names(
        &self,
        selectors: &[Vec<Matcher>],
        bounds: Bounds<'_>,
    ) -> Result<Vec<String>, StorageError>;

    /// Sorted values of label `name` of all series, or of those that match at least one of `selectors`.
    ///
    /// # Errors
    /// When data cannot be read.
    fn label_values(
        &self,
        name: &str,
        selectors: &[Vec<Matcher>],
        bounds: Bounds<'_>,
    ) -> Result<Vec<String>, StorageError>;
}

/// Series in label order. May be read from several threads at once.
pub trait SeriesSet: Send + Sync {
    /// Number of series.
    fn len(&self) -> usize;

    /// Whether there are none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes of memory it takes, roughly.
    fn memory_bytes(&self) -> usize {
        0
    }

    /// Labels of series `index`, which must be below [`SeriesSet::len`].
    fn labels(&self, index: usize) -> Labels;

    /// Replaces the content of `out` by the samples of series `index` inside `range`, which lies within the
    /// range of the select. Stale markers are included. Native histograms stand beside the floats, see [`Samples`].
    ///
    /// # Errors
    /// When data cannot be read.
    fn read(&self, index: usize, range: TimeRange, out: &mut Samples) -> Result<(), StorageError>;
}
