//! The steps between which a process may die: each has a name, so that a test can end the process at it.
//!
//! Steps of single files (created, appended, synced, renamed, removed) are told by `durable`; a point names the
//! moment between two of them that matters to the database. [`Point::ALL`] comes from the list itself.
//!
//! **Cost**: one atomic load; points are reached some times for each block, never for a sample.

use std::path::Path;
use std::sync::OnceLock;

macro_rules! points {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// A moment of the life of a data directory.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Point { $($(#[$doc])* $name,)* }

        impl Point {
            /// All there are.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];
        }
    };
}

points! {
    /// A segment of the log was ended and synced, the next one is not there yet.
    SegmentEnded,
    /// The next segment is there, and not noted as the newest.
    SegmentCreated,
    /// A commit is in the log and not in the head.
    CommitLogged,
    /// The border of a cut is set; samples before it are late from now on.
    WindowClosed,
    /// All values of a block are in its database, which is not closed yet.
    BlockFilled,
    /// The database of a block was read back, its files are not synced yet.
    BlockSealed,
    /// The files of a block are durable, it has its temporary name.
    BlockSynced,
    /// A block has its name, and is in no catalog.
    BlockWritten,
    /// The catalog is written, its copy is not.
    CatalogReplaced,
    /// A catalog is durable and not shown yet.
    CatalogSaved,
    /// The head has let go of what is in a block; the log has not.
    HeadTruncated,
    /// A checkpoint is written and has its temporary name.
    CheckpointWritten,
    /// A checkpoint has its name; the segments it stands for are there.
    CheckpointRenamed,
    /// One of the segments that a checkpoint stands for is gone.
    SegmentRemoved,
    /// A block that left the catalog is about to be removed.
    BlockRetired,
    /// A block has the name of one that is being deleted.
    BlockRemoving,
    /// A damaged block was set aside and is still in the catalog.
    BlockSetAside,
    /// The tombstones are written, their copy is not.
    TombstonesReplaced,
    /// Tombstones are durable; the head still has what was deleted.
    TombstonesSaved,
    /// A deletion is in the log and not applied.
    DeletionLogged,
    /// One block of an import is written.
    ImportWritten,
    /// A copy of the database is complete under its temporary name.
    CopyWritten,
    /// A copy of the database has its name, which is not durable yet.
    CopyRenamed,
}

/// Is told what happens to a data directory.
pub trait Watch: Send + Sync {
    /// A point was reached, on this thread.
    fn reached(&self, point: Point);

    /// Something was done to a file or folder.
    fn done(&self, step: Step, path: &Path);
}

static WATCH: OnceLock<Box<dyn Watch>> = OnceLock::new();

/// Has `watch` told everything from now on, for the life of the process. For tests that end the process, or cut the
/// power, at a point.
pub fn watch(watch: impl Watch + 'static) {
    let _ = WATCH.set(Box::new(watch));
}

/// Says that `point` was reached.
pub(in crate::tsdb) fn reach(point: Point) {
    if let Some(watch) = WATCH.get() {
        watch.reached(point);
    }
}

/// Says what was done to a path.
#[cfg_attr(test, expect(dead_code, reason = "unit tests look at the steps themselves"))]
pub(in crate::tsdb) fn note(step: Step, path: &Path) {
    if let Some(watch) = WATCH.get() {
        watch.done(step, path);
    }
}

/// What was done to a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Made, empty.
    Created,
    /// Bytes were appended.
    Appended,
    /// Its content, or the names in it, are durable.
    Synced,
    /// It is about to get another name.
    RenamedFrom,
    /// It has this name now.
    Renamed,
    /// It is about to be deleted.
    Removed,
}
