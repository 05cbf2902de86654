//! Copies of folders, as a process that dies leaves them.

use std::path::Path;

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
