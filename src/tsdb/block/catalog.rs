//! The catalog: which blocks are live, and where the head begins. Swapped as one value, in memory and on disk.
//!
//! **Format**: `docs/format/catalog.md`.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;

use super::BlockMeta;
use super::meta::BlockMetaV1;
use super::tombstones::Tombstones;
use crate::codec::envelope::{self, Control};
use crate::tsdb::durable::replace_file;
use crate::tsdb::error::{Error, IoContext as _, Result};
use crate::tsdb::points::{Point, reach};

const NAME: &str = "catalog";
/// The same once more: without a catalog nobody knows where the head begins, and which blocks are whole imports.
const COPY: &str = "catalog.copy";

/// The live blocks, by start time.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Catalog {
    /// Each block once, sorted by start and then level.
    pub blocks: Vec<Arc<BlockMeta>>,
    /// Samples before this timestamp (milliseconds) are in blocks; the head begins here. None before the first cut.
    pub head_start: Option<i64>,
    /// What was deleted from the blocks; in a file of its own.
    pub(in crate::tsdb) tombstones: Tombstones,
}

#[derive(bincode::Encode, bincode::Decode)]
struct Stored {
    blocks: Vec<BlockMeta>,
    head_start: Option<i64>,
}

impl Control for Stored {
    const MAGIC: [u8; 4] = *b"EKCT";
    const VERSION: u8 = 2;
    const NAME: &'static str = "catalog";
}

/// As it was before blocks had exemplars.
#[derive(bincode::Encode, bincode::Decode)]
struct StoredV1 {
    blocks: Vec<BlockMetaV1>,
    head_start: Option<i64>,
}

impl Control for StoredV1 {
    const MAGIC: [u8; 4] = Stored::MAGIC;
    const VERSION: u8 = 1;
    const NAME: &'static str = Stored::NAME;
}

impl From<StoredV1> for Stored {
    fn from(old: StoredV1) -> Self {
        Self { blocks: old.blocks.into_iter().map(BlockMeta::from).collect(), head_start: old.head_start }
    }
}

impl Catalog {
    /// A catalog of `blocks` in any order.
    pub fn new(mut blocks: Vec<Arc<BlockMeta>>, head_start: Option<i64>) -> Self {
        blocks.sort_by(|a, b| (a.start, a.level, &a.id).cmp(&(b.start, b.level, &b.id)));
        Self { blocks, head_start, tombstones: Tombstones::default() }
    }

    /// This catalog without the blocks `gone` and with `added`.
    #[must_use]
    pub fn with(&self, gone: &[Arc<BlockMeta>], added: Vec<BlockMeta>, head_start: Option<i64>) -> Self {
        let kept = self.blocks.iter().filter(|b| !gone.iter().any(|g| g.id == b.id)).cloned();
        let next =
            Self::new(kept.chain(added.into_iter().map(Arc::new)).collect(), head_start.or(self.head_start));
        next.with_tombstones(self.tombstones.clone())
    }

    /// This catalog with other tombstones; those of blocks it does not have are left out.
    pub(in crate::tsdb) fn with_tombstones(&self, mut tombstones: Tombstones) -> Self {
        tombstones.retain(|id| self.blocks.iter().any(|b| b.id == *id));
        Self { tombstones, ..self.clone() }
    }

    /// Whether the catalog of data directory `dir` and its copy are there and hold this one.
    pub(in crate::tsdb) fn is_saved(&self, dir: &Path) -> bool {
        [NAME, COPY].iter().all(|name| {
            let found = Self::load_file(&dir.join(name)).ok().flatten();
            found.is_some_and(|found| found.blocks == self.blocks && found.head_start == self.head_start)
        })
    }

    /// Reads the catalog of data directory `dir`; none if there is none. A file that is damaged or lost is made up for
    /// by its copy.
    ///
    /// # Errors
    /// When it cannot be read, or is damaged and there is no sound copy.
    pub fn load(dir: &Path) -> Result<Option<Self>> {
        let error = match Self::load_file(&dir.join(NAME)) {
            Ok(Some(found)) => return Ok(Some(found)),
            Ok(None) => None,
            Err(error @ Error::Corrupt { .. }) => Some(error),
            Err(error) => return Err(error),
        };
        match (Self::load_file(&dir.join(COPY)), error) {
            (Ok(Some(found)), error) => {
                let reason = error.map_or_else(|| "it is missing".to_owned(), |error| error.to_string());
                tracing::warn!(reason, "catalog unreadable; using its copy");
                Ok(Some(found))
            }
            (Ok(None), None) => Ok(None),
            (Ok(None), Some(error)) | (Err(error), None) => Err(error),
            // What a newer version wrote is not made again.
            (Err(copy), Some(error)) => Err(if copy.is_damage() { error } else { copy }),
        }
    }

    fn load_file(path: &Path) -> Result<Option<Self>> {
        let bytes = match fs::read(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            read => read.at("read", path)?,
        };
        let stored = envelope::open_or_old::<Stored, StoredV1>(&bytes)
            .map_err(|source| Error::Corrupt { what: path.display().to_string(), source })?;
        Ok(Some(Self::new(stored.blocks.into_iter().map(Arc::new).collect(), stored.head_start)))
    }

    /// Replaces the catalog of data directory `dir` and its copy, durably.
    ///
    /// # Errors
    /// When the disk refuses; the old catalog or this one is then there.
    pub fn save(&self, dir: &Path) -> Result<()> {
        let stored = Stored {
            blocks: self.blocks.iter().map(|b| BlockMeta::clone(b)).collect(),
            head_start: self.head_start,
        };
        let bytes = envelope::seal(&stored)
            .map_err(|source| Error::TooLarge { what: dir.join(NAME).display().to_string(), source })?;
        // The copy last: nothing is let go of before both are there, so either of the two is right.
        replace_file(dir, NAME, &bytes)?;
        reach(Point::CatalogReplaced);
        replace_file(dir, COPY, &bytes)
    }

    /// Sets a damaged catalog and its copy aside.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn set_aside(dir: &Path) -> Result<()> {
        for name in [NAME, COPY] {
            match fs::rename(dir.join(name), dir.join(format!("{name}.corrupt"))) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                renamed => renamed.at("rename", dir.join(name))?,
            }
        }
        Ok(())
    }

    /// A catalog of blocks found without one: what another block was compacted from is left out. Where the head begins
    /// is not known then, so that everything the log still has belongs to it; what is in a block too is shown once.
    pub fn rebuild(found: &[BlockMeta]) -> Self {
        let blocks = found
            .iter()
            .filter(|b| !found.iter().any(|other| other.sources.contains(&b.id)))
            .cloned()
            .map(Arc::new)
            .collect();
        Self::new(blocks, None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tsdb::block::meta::ExemplarMeta;
    use crate::tsdb::store::{BlockId, ValueDigest};

    fn meta(start: i64, level: u32, sources: Vec<BlockId>) -> BlockMeta {
        BlockMeta {
            id: BlockId::new(start, start + 10, level),
            start,
            end: start + 10,
            level,
            sources,
            series: 1,
            samples: 2,
            columns: 1,
            index_parts: 1,
            digest: ValueDigest::default(),
            exemplars: ExemplarMeta::default(),
        }
    }

    #[test]
    fn comes_back_and_refuses_damage() {
        let dir = tempfile::tempdir().expect("dir");
        assert_eq!(Catalog::load(dir.path()).expect("load"), None);
        let catalog =
            Catalog::new(vec![Arc::new(meta(10, 1, vec![])), Arc::new(meta(0, 1, vec![]))], Some(20));
        assert_eq!(catalog.blocks[0].start, 0);
        catalog.save(dir.path()).expect("save");
        assert_eq!(Catalog::load(dir.path()).expect("load"), Some(catalog.clone()));
        let (path, copy) = (dir.path().join(NAME), dir.path().join(COPY));
        let bytes = fs::read(&path).expect("read");
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1;
            fs::write(&path, &damaged).expect("write");
            assert_eq!(Catalog::load(dir.path()).expect("the copy"), Some(catalog.clone()), "byte {at}");
            fs::write(&copy, damaged).expect("write");
            assert!(matches!(Catalog::load(dir.path()), Err(Error::Corrupt { .. })), "byte {at}");
            fs::write(&copy, &bytes).expect("write");
        }
        fs::remove_file(&path).expect("remove");
        assert_eq!(Catalog::load(dir.path()).expect("the copy"), Some(catalog));
    }

    #[test]
    fn a_rebuilt_catalog_leaves_out_compacted_sources() {
        let (a, b) = (meta(0, 1, vec![]), meta(10, 1, vec![]));
        let merged = BlockMeta { end: 20, ..meta(0, 2, vec![a.id.clone(), b.id.clone()]) };
        let rebuilt = Catalog::rebuild(&[a, merged.clone(), b, meta(20, 1, vec![])]);
        assert_eq!(rebuilt.blocks.iter().map(|m| m.start).collect::<Vec<_>>(), [0, 20]);
        assert_eq!(rebuilt.blocks[0].id, merged.id);
        assert_eq!(rebuilt.head_start, None, "an imported block may be newer than anything that was cut");
    }
}
