//! A real Prometheus to compare with.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::server::{Client, wait_for};

/// A program named by environment variable `variable`, or found in the path. None, with a message, if it is not there.
pub fn program(variable: &str, name: &str) -> Option<PathBuf> {
    let in_path = || {
        let path = std::env::var_os("PATH")?;
        std::env::split_paths(&path).map(|dir| dir.join(name)).find(|file| file.is_file())
    };
    let found = std::env::var_os(variable).map(PathBuf::from).or_else(in_path);
    if found.is_none() {
        assert!(std::env::var_os("EMBERKEEP_REQUIRE_ALL").is_none(), "{variable} is required");
        println!("skipped: there is no {name}");
    }
    found
}

/// A running Prometheus. Dropping it kills it.
pub struct Prometheus {
    child: Child,
    /// `http://127.0.0.1:<port>`
    pub url: String,
}

impl Prometheus {
    /// Starts it on a free port with its configuration in `dir` and data in `data`, and waits until it is ready.
    /// `SELF` in the configuration becomes its address.
    pub fn start(
        program: &Path,
        dir: &Path,
        data: &Path,
        config: &str,
        args: &[&str],
        client: &Client,
    ) -> Self {
        let free = std::net::TcpListener::bind("127.0.0.1:0").expect("bind");
        let address = free.local_addr().expect("address").to_string();
        drop(free);
        let file = dir.join("prometheus.yml");
        std::fs::write(&file, config.replace("SELF", &address)).expect("write");
        let child = Command::new(program)
            .arg(format!("--config.file={}", file.display()))
            .arg(format!("--storage.tsdb.path={}", data.display()))
            .arg(format!("--web.listen-address={address}"))
            .args(args)
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("start Prometheus");
        let new = Self { child, url: format!("http://{address}") };
        let ready = format!("{}/-/ready", new.url);
        wait_for("Prometheus", || client.get(&ready).ok().filter(|(status, _)| *status == 200));
        new
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Whether a Prometheus is of today: knows remote write 2.0, and to scrape native histograms by configuration. Of those
/// in between, which know the first only, there is none to be had in packages.
pub fn is_modern(program: &Path) -> bool {
    let output = Command::new(program).arg("--help").output().expect("run");
    let text = [output.stdout, output.stderr].concat();
    String::from_utf8_lossy(&text).contains("accepted-protobuf-messages")
}
