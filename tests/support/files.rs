//! Folders: copies as a process that dies leaves them, and the conformance data.

use std::path::{Path, PathBuf};

/// Copies what is below `from` to `to`, which is made. Files that vanish meanwhile are left out.
pub fn copy_dir(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("make the folder");
    for entry in std::fs::read_dir(from).expect("list").flatten() {
        let (path, target) = (entry.path(), to.join(entry.file_name()));
        if path.is_dir() {
            copy_dir(&path, &target);
        } else {
            match std::fs::copy(&path, &target) {
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                copied => {
                    copied.unwrap_or_else(|error| panic!("copy {}: {error}", path.display()));
                }
            }
        }
    }
}

/// The folder `name` of the conformance data: in `EMBERKEEP_CONFORMANCE`, or beside the checkout. Without it this says so,
/// and fails under `EMBERKEEP_REQUIRE_ALL=1`.
pub fn conformance(name: &str) -> Option<PathBuf> {
    let root = std::env::var_os("EMBERKEEP_CONFORMANCE")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/conformance"), PathBuf::from);
    let folder = root.join(name);
    if folder.is_dir() {
        return Some(folder);
    }
    let required = std::env::var("EMBERKEEP_REQUIRE_ALL").is_ok_and(|value| value == "1");
    assert!(!required, "{} is missing", folder.display());
    println!("skipped: {} is missing", folder.display());
    None
}
