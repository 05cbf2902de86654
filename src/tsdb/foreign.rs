//! Whose a directory is: nothing is made, renamed or cut in one that is not ours.

pub use super::error::Owner;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::Path;

use super::error::{Error, IoContext as _, Result};
use super::store::BlockId;
use super::wal::{SEGMENT_MAGIC, is_live};

/// Whose files directory `dir` holds; none if they are ours or there are none.
///
/// # Errors
/// When it cannot be read.
pub fn owner(dir: &Path) -> Result<Option<Owner>> {
    let names = names_in(dir).at("read", dir)?;
    let has = |name: &str| names.iter().any(|known| known == name);
    if has("catalog") || has("catalog.copy") || has_our_log(&dir.join("wal")).at("read", dir.join("wal"))? {
        return Ok(None);
    }
    let blocks = names_in(&dir.join("blocks")).at("read", dir.join("blocks"))?;
    if blocks.iter().any(|name| name.get(..40).and_then(BlockId::parse).is_some()) {
        return Ok(None);
    }
    let log = names_in(&dir.join("wal")).at("read", dir.join("wal"))?;
    let is_block = |name: &String| dir.join(name).join("meta.json").is_file();
    if log.iter().any(|name| is_live(name))
        || ["chunks_head", "wbl", "queries.active"].into_iter().any(has)
        || names.iter().any(is_block)
    {
        return Ok(Some(Owner::Prometheus));
    }
    if has("flock.lock") || has("indexdb") || dir.join("data").join("small").is_dir() {
        return Ok(Some(Owner::VictoriaMetrics));
    }
    // What a start that was cut short leaves, and what volumes come with.
    let is_nobodys = |name: &String| match name.as_str() {
        "lock" | "lost+found" | "snapshots" => true,
        "wal" => log.is_empty(),
        "blocks" => blocks.is_empty(),
        other => {
            other.starts_with('.')
                || other.starts_with("catalog.")
                || other.starts_with("tombstones")
                || other.starts_with("deaths")
        }
    };
    Ok(if names.iter().all(is_nobodys) { None } else { Some(Owner::Unknown) })
}

/// Refuses a directory that is not ours.
///
/// # Errors
/// Saying whose it is, or when it cannot be read.
pub(super) fn check(dir: &Path) -> Result<()> {
    match owner(dir)? {
        None => Ok(()),
        Some(owner) => Err(Error::Foreign { dir: dir.to_owned(), owner }),
    }
}

/// The names in a folder; none if it is not there.
fn names_in(dir: &Path) -> io::Result<Vec<String>> {
    let entries = match fs::read_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        read => read?,
    };
    entries.map(|entry| entry.map(|entry| entry.file_name().to_string_lossy().into_owned())).collect()
}

/// Whether a file of the log begins as ours do. Those of Prometheus have the same names.
fn has_our_log(dir: &Path) -> io::Result<bool> {
    for name in names_in(dir)? {
        let path = dir.join(&name);
        if !is_live(&name) || !path.is_file() {
            continue;
        }
        let mut begin = Vec::new();
        File::open(&path)?.take(SEGMENT_MAGIC.len() as u64).read_to_end(&mut begin)?;
        if begin == SEGMENT_MAGIC {
            return Ok(true);
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_told_by_what_is_in_it() {
        let check = |files: &[(&str, &str)], expected: Option<Owner>| {
            let dir = tempfile::tempdir().expect("dir");
            for (name, content) in files {
                let path = dir.path().join(name);
                fs::create_dir_all(path.parent().expect("inside")).expect("create");
                fs::write(path, content).expect("write");
            }
            assert_eq!(owner(dir.path()).expect("reads"), expected, "{files:?}");
        };
        check(&[], None);
        check(&[("lock", ""), (".keep", "")], None);
        check(&[("wal/00000001", "EKWAL...")], None);
        check(&[("catalog", "")], None);
        check(&[("lock", ""), ("catalog.tmp", "")], None);
        check(
            &[("tombstones", ""), ("tombstones.copy", ""), ("deaths", ""), ("catalog.copy.corrupt", "")],
            None,
        );
        check(&[("blocks/000000000000000-000000000000001-00000001.tmp/db", "")], None);
        check(&[("wal/00000001", "\u{1}"), ("lock", "")], Some(Owner::Prometheus));
        check(&[("wal/checkpoint.00000001/00000000", "")], Some(Owner::Prometheus));
        check(&[("01BKGV7JBM69T2G1BGBGM6KB12/meta.json", "{}")], Some(Owner::Prometheus));
        check(&[("chunks_head/000001", "")], Some(Owner::Prometheus));
        check(&[("data/small/x", ""), ("flock.lock", "")], Some(Owner::VictoriaMetrics));
        check(&[("notes.txt", "")], Some(Owner::Unknown));
    }
}
