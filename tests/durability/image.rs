//! What is left of a data directory when the process dies, and when the power goes.
//!
//! The first is a copy of the files: what was written is in the system's memory. For the second every sync is followed:
//! a file holds what it held when it was synced last, a folder the names it had then; everything else is gone.

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use emberkeep::tsdb::points::Step;

/// A file or folder, whatever its name.
type Inode = u64;

/// What is durable below one folder.
#[derive(Debug, Default)]
pub(crate) struct Durable {
    root: PathBuf,
    files: HashMap<Inode, Vec<u8>>,
    folders: HashMap<Inode, HashMap<String, (Inode, bool)>>,
}

impl Durable {
    /// Nothing below `root` yet.
    pub(crate) fn new(root: &Path) -> Self {
        Self { root: root.to_owned(), ..Self::default() }
    }

    /// Follows one step.
    pub(crate) fn follow(&mut self, step: Step, path: &Path) {
        if !path.starts_with(&self.root) {
            return;
        }
        let Ok(metadata) = fs::metadata(path) else { return };
        match step {
            // The number may be that of a file that is gone.
            Step::Created => {
                self.files.remove(&metadata.ino());
                self.folders.remove(&metadata.ino());
            }
            Step::Synced if metadata.is_dir() => {
                let mut names = HashMap::new();
                for entry in fs::read_dir(path).expect("list").flatten() {
                    let Ok(metadata) = entry.metadata() else { continue };
                    let name = entry.file_name().into_string().expect("text");
                    names.insert(name, (metadata.ino(), metadata.is_dir()));
                }
                self.folders.insert(metadata.ino(), names);
            }
            Step::Synced => {
                self.files.insert(metadata.ino(), fs::read(path).expect("read"));
            }
            _ => {}
        }
    }

    /// Makes `target` what a power cut leaves of the folder.
    pub(crate) fn after_power_cut(&self, target: &Path) {
        let root = fs::metadata(&self.root).expect("the folder").ino();
        self.restore(root, target);
    }

    fn restore(&self, folder: Inode, target: &Path) {
        fs::create_dir_all(target).expect("folder");
        for (name, (inode, is_folder)) in self.folders.get(&folder).into_iter().flatten() {
            let path = target.join(name);
            if *is_folder {
                self.restore(*inode, &path);
            } else {
                fs::write(&path, self.files.get(inode).map_or(&[][..], Vec::as_slice)).expect("write");
            }
        }
    }
}
