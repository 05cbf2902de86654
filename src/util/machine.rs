//! What the machine, or the container the process runs in, has to offer.

use std::path::{Path, PathBuf};
use std::{fs, io};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Where control groups are.
const GROUPS: &str = "/sys/fs/cgroup";

/// Bytes of memory the process may hope for: those of the machine, or of its control groups if one of them has a limit.
/// None where neither can be read.
pub fn memory_bytes() -> Option<u64> {
    let machine = of_meminfo("MemTotal:");
    let own = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let groups = limit_files(&own).into_iter().filter_map(|path| {
        // A group without a limit says `max`, or in version 1 a number that no machine reaches.
        fs::read_to_string(path).ok()?.trim().parse().ok()
    });
    machine.into_iter().chain(groups).min()
}

/// Bytes of memory that the machine can still give away. None where that cannot be read.
pub fn available_bytes() -> Option<u64> {
    of_meminfo("MemAvailable:")
}

/// The name of the machine, or of the container; empty where it cannot be read.
pub fn host_name() -> String {
    let name = fs::read_to_string("/proc/sys/kernel/hostname");
    name.map(|name| name.trim().to_owned()).unwrap_or_default()
}

/// Bytes of memory that only the process itself holds: not those of files, which the system can take back. None where
/// that cannot be read.
pub fn held_bytes() -> Option<u64> {
    size_in(&fs::read_to_string("/proc/self/status").ok()?, "RssAnon:")
}

/// How many files, connections among them, the process may have open: now, and at most if it asks for it.
pub fn open_files() -> (u64, u64) {
    let limit = getrlimit(Resource::Nofile);
    // None stands for no limit.
    (limit.current.unwrap_or(u64::MAX), limit.maximum.unwrap_or(u64::MAX))
}

/// Lets the process open as many files as it may ask for: what it is given at first is a thousand on most machines, for the
/// sake of programs that cannot do with more.
///
/// # Errors
/// When the system says no.
pub fn raise_open_files() -> io::Result<()> {
    let limit = getrlimit(Resource::Nofile);
    Ok(setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit })?)
}

/// The files that may hold a limit on memory, by what `/proc/self/cgroup` says: those of the group and of all above it,
/// in version 2 and 1. Inside a container the path is often that outside of it, and only the root is there.
fn limit_files(own: &str) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for line in own.lines() {
        let mut fields = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(path)) = (fields.next(), fields.next()) else { continue };
        let (root, file) = match controllers {
            "" => (PathBuf::from(GROUPS), "memory.max"),
            list if list.split(',').any(|one| one == "memory") => {
                (Path::new(GROUPS).join("memory"), "memory.limit_in_bytes")
            }
            _ => continue,
        };
        let group = root.join(path.trim_start_matches('/'));
        let inside = group.ancestors().take_while(|folder| folder.starts_with(&root));
        files.extend(inside.map(|folder| folder.join(file)));
    }
    files
}

fn of_meminfo(key: &str) -> Option<u64> {
    size_in(&fs::read_to_string("/proc/meminfo").ok()?, key)
}

/// The size that stands behind `key` in a file of the kernel that gives sizes as lines, in bytes.
pub(crate) fn size_in(text: &str, key: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(key))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kibibytes.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_meminfo() {
        let text = "MemTotal:       24563312 kB\nMemFree:         1 kB\nMemAvailable: 7 kB\n";
        assert_eq!(size_in(text, "MemTotal:"), Some(24_563_312 * 1024));
        assert_eq!(size_in(text, "MemAvailable:"), Some(7 * 1024));
        assert_eq!(size_in("MemFree: 1 kB\n", "MemTotal:"), None);
        assert_eq!(size_in("MemTotal: lots\n", "MemTotal:"), None);
    }

    #[test]
    fn reads_what_a_process_holds() {
        assert_eq!(size_in("VmRSS:\t 9 kB\nRssAnon:\t       5 kB\n", "RssAnon:"), Some(5 * 1024));
        if cfg!(target_os = "linux") {
            assert!(held_bytes().is_some_and(|held| held > 100_000));
        }
    }

    #[test]
    fn limits_stand_in_the_group_and_above() {
        let files = |own: &str| -> Vec<String> {
            limit_files(own).iter().map(|path| path.display().to_string()).collect()
        };
        assert_eq!(
            files("0::/system.slice/keep.service\n"),
            [
                "/sys/fs/cgroup/system.slice/keep.service/memory.max",
                "/sys/fs/cgroup/system.slice/memory.max",
                "/sys/fs/cgroup/memory.max"
            ]
        );
        assert_eq!(files("0::/\n"), ["/sys/fs/cgroup/memory.max"]);
        assert_eq!(
            files("4:cpu,memory:/a\n3:cpuset:/a\n"),
            ["/sys/fs/cgroup/memory/a/memory.limit_in_bytes", "/sys/fs/cgroup/memory/memory.limit_in_bytes"]
        );
        assert!(files("nonsense\n").is_empty());
    }
}
