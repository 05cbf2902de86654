//! The database under everything that can go wrong: kills, damage, a full disk, lost permissions, threads in each
//! other's way, hundreds of cycles of fill and expire.
//!
//! Some tests run this very binary again as a child process, with `EMBERKEEP_TEST_CHILD` set.

#[path = "../support/mod.rs"]
mod support;

mod cycles;
mod damage;
mod deaths;
mod extreme;
mod full_disk;
mod image;
mod kill;
mod late;
mod load;
mod maintenance;
mod model;
mod recovery;
mod refused;
mod small_disk;
mod torture;

use std::path::Path;
use std::sync::Arc;

use emberkeep::telemetry::Registry;
use emberkeep::tsdb::{Error, Limits, SyncPolicy, Tsdb, TsdbOptions};
use emberkeep::util::ManualClock;

const MINUTE: i64 = 60_000;
/// Names the data directory (and what else is wanted) to a child process.
const CHILD: &str = "EMBERKEEP_TEST_CHILD";

/// Short blocks and short files, no threads of its own.
fn options(dir: &Path) -> TsdbOptions {
    TsdbOptions {
        sync: SyncPolicy::Never,
        segment_bytes: 4096,
        block_range_ms: MINUTE,
        max_block_range_ms: Some(24 * MINUTE),
        limits: Limits { retention_ms: 0, out_of_order_ms: 3 * MINUTE, ..Limits::default() },
        background: false,
        ..TsdbOptions::new(dir)
    }
}

/// Opens a directory that no other thread or process is about to open, or says why that does not work.
fn try_open(options: &TsdbOptions) -> emberkeep::tsdb::Result<Tsdb> {
    let open =
        || Tsdb::open(options.clone(), Arc::new(ManualClock::new(i64::MAX / 4)), &mut Registry::default());
    support::server::wait_for("the lock of the data directory", || match open() {
        // A child that was killed, one that was just made and has all our files, and a thread of a database that was
        // dropped, is gone a moment later.
        Err(Error::Locked { .. }) => None,
        opened => Some(opened),
    })
}

/// The same, where it works.
fn open(dir: &Path) -> Tsdb {
    open_with(&options(dir))
}

/// The same with options.
fn open_with(options: &TsdbOptions) -> Tsdb {
    try_open(options).unwrap_or_else(|error| panic!("{}: {error}", options.dir.display()))
}

/// A command that runs test `name` of this binary as a child process.
fn child(name: &str, of: &str) -> std::process::Command {
    let mut command = std::process::Command::new(std::env::current_exe().expect("this binary"));
    command.args(["--exact", name, "--nocapture", "--test-threads=1"]).env(CHILD, of);
    command
}
