//! The files that name resolution goes by, read again when they change: the hosts file and the resolver's settings.
//!
//! **Cost**: a look-up costs one `stat` per file; a file is read when its times, length or inode are other ones.

use std::collections::HashMap;
use std::fs::File;
use std::io::Read as _;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use crate::util::Stamp;
use crate::util::lock::lock;

/// More of a file is not read.
const MAX_FILE_BYTES: u64 = 32 << 20;

/// Where the files are.
#[derive(Debug, Clone)]
pub struct ResolverFiles {
    /// Addresses of hosts.
    pub hosts: PathBuf,
    /// Name servers, search list and options.
    pub resolv_conf: PathBuf,
}

impl Default for ResolverFiles {
    fn default() -> Self {
        Self { hosts: "/etc/hosts".into(), resolv_conf: "/etc/resolv.conf".into() }
    }
}

type Read<T> = Box<dyn Fn(&[u8]) -> T + Send + Sync>;

/// A file as a value, which is made anew when the file changes. A file that is not there is like an empty one.
pub(super) struct Watched<T> {
    path: PathBuf,
    read: Read<T>,
    current: Mutex<Option<(Option<Stamp>, Arc<T>)>>,
}

impl<T> Watched<T> {
    pub(super) fn new(path: PathBuf, read: impl Fn(&[u8]) -> T + Send + Sync + 'static) -> Self {
        Self { path, read: Box::new(read), current: Mutex::new(None) }
    }

    /// The value of the file as it is now.
    pub(super) fn load(&self) -> Arc<T> {
        // Looked at before it is read: a change in between is seen the next time.
        let stamp = Stamp::of(&self.path);
        if let Some((known, value)) = &*lock(&self.current)
            && *known == stamp
        {
            return Arc::clone(value);
        }
        let mut bytes = Vec::new();
        if stamp.is_some()
            && let Err(error) =
                File::open(&self.path).and_then(|file| file.take(MAX_FILE_BYTES).read_to_end(&mut bytes))
        {
            tracing::warn!(path = %self.path.display(), %error, "failed to read a name resolution file");
        }
        let value = Arc::new((self.read)(&bytes));
        *lock(&self.current) = Some((stamp, Arc::clone(&value)));
        value
    }
}

/// Names with their addresses.
#[derive(Debug, Default)]
pub(super) struct Hosts {
    by_name: HashMap<String, Vec<IpAddr>>,
}

impl Hosts {
    /// Reads lines of an address and its names. What cannot be read is passed over, as the system does it.
    pub(super) fn parse(bytes: &[u8]) -> Self {
        let mut by_name: HashMap<String, Vec<IpAddr>> = HashMap::new();
        for line in bytes.split(|byte| *byte == b'\n') {
            let line = String::from_utf8_lossy(line);
            let line = line.split('#').next().unwrap_or("");
            let mut words = line.split_ascii_whitespace();
            let Some(Ok(address)) = words.next().map(str::parse::<IpAddr>) else { continue };
            for name in words {
                let addresses = by_name.entry(key(name)).or_default();
                if !addresses.contains(&address) {
                    addresses.push(address);
                }
            }
        }
        Self { by_name }
    }

    /// Addresses of both families; none when the file does not know the name.
    pub(super) fn get(&self, name: &str) -> Option<&[IpAddr]> {
        self.by_name.get(&key(name)).map(Vec::as_slice)
    }
}

/// Names are the same in any case, with and without their final dot.
fn key(name: &str) -> String {
    name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_found_in_any_case_and_with_a_final_dot() {
        let hosts = Hosts::parse(
            b"127.0.0.1 localhost # me\n# 10.0.0.9 gone\n10.0.0.1\tDOCKER_HOST web.1\n::1 localhost ip6\nx y\n10.0.0.2 web.1",
        );
        let ips = |texts: &[&str]| texts.iter().map(|t| t.parse().expect("ip")).collect::<Vec<IpAddr>>();
        assert_eq!(hosts.get("docker_host"), Some(&ips(&["10.0.0.1"])[..]));
        assert_eq!(hosts.get("WEB.1."), Some(&ips(&["10.0.0.1", "10.0.0.2"])[..]));
        assert_eq!(hosts.get("localhost"), Some(&ips(&["127.0.0.1", "::1"])[..]));
        assert_eq!((hosts.get("gone"), hosts.get("y"), hosts.get("")), (None, None, None));
    }

    #[test]
    fn a_file_that_changes_comes_or_goes_is_read_again() {
        let dir = tempfile::tempdir().expect("dir");
        let path = dir.path().join("hosts");
        let watched = Watched::new(path.clone(), <[u8]>::len);
        assert_eq!(*watched.load(), 0);
        std::fs::write(&path, "12345").expect("write");
        assert_eq!(*watched.load(), 5);
        let same = watched.load();
        assert!(Arc::ptr_eq(&same, &watched.load()), "not read again without need");
        std::fs::write(&path, "123456").expect("write");
        assert_eq!(*watched.load(), 6);
        std::fs::remove_file(&path).expect("remove");
        assert_eq!(*watched.load(), 0);
    }
}
