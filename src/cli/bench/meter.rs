//! What a measured server took: CPU and memory from `/proc`, disk from its directory, latencies from the sender.
//!
//! Linux only: elsewhere the figures of a process are missing.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use super::{Failure, Figure, figure};
use crate::telemetry::process::ProcessStats;

/// Bytes in a block as `stat` counts them.
const STAT_BLOCK_BYTES: u64 = 512;

/// Watches one process from a moment on.
#[derive(Debug)]
pub(super) struct Meter {
    pid: u32,
    cpu_before: f64,
}

/// What a process took since its meter began.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct ProcessUse {
    /// User and system time in seconds.
    pub(super) cpu_seconds: f64,
    /// Resident memory now, in bytes.
    pub(super) resident_bytes: u64,
    /// The most resident memory, in bytes; since the meter began where the system lets it be reset.
    pub(super) peak_bytes: u64,
}

impl Meter {
    /// Begins to watch process `pid`.
    ///
    /// # Errors
    /// When there is no such process.
    pub(super) fn begin(pid: u32) -> Result<Self, Failure> {
        let stats = ProcessStats::read(Some(pid)).ok_or_else(|| gone(pid))?;
        // Asks for a new peak of resident memory from now on. Where that is not allowed, the peak is the one since
        // the start of the process.
        let _ = fs::write(format!("/proc/{pid}/clear_refs"), "5");
        Ok(Self { pid, cpu_before: stats.cpu_seconds })
    }

    /// What was taken so far.
    ///
    /// # Errors
    /// When the process is gone.
    pub(super) fn read(&self) -> Result<ProcessUse, Failure> {
        let stats = ProcessStats::read(Some(self.pid)).ok_or_else(|| gone(self.pid))?;
        Ok(ProcessUse {
            cpu_seconds: stats.cpu_seconds - self.cpu_before,
            resident_bytes: stats.resident_bytes,
            peak_bytes: peak_bytes(self.pid).unwrap_or(stats.resident_bytes),
        })
    }
}

impl ProcessUse {
    /// Lines of a report, for work on so many samples and series.
    pub(super) fn figures(self, samples: u64, series: u64) -> Vec<Figure> {
        let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
        vec![
            figure("server CPU, s", self.cpu_seconds),
            figure("server CPU per sample, us", self.cpu_seconds * 1e6 / samples as f64),
            figure("resident memory, MiB", mib(self.resident_bytes)),
            figure("peak resident memory, MiB", mib(self.peak_bytes)),
            figure("resident memory per series, bytes", self.resident_bytes as f64 / series as f64),
        ]
    }
}

fn gone(pid: u32) -> Failure {
    format!("process {pid} is not there or not readable").into()
}

fn peak_bytes(pid: u32) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.split_whitespace().next()?.parse::<u64>().ok()? << 10)
}

/// Whether process `pid` is there and not merely waiting to be reaped.
pub(super) fn is_running(pid: u32) -> bool {
    let state = fs::read_to_string(format!("/proc/{pid}/stat"))
        .ok()
        .and_then(|text| text.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next()));
    state.is_some_and(|state| !matches!(state, 'Z' | 'X'))
}

/// What the files below a directory take.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct DiskUse {
    /// Blocks on disk, in bytes.
    pub(super) allocated_bytes: u64,
    /// Lengths of the files, in bytes.
    pub(super) apparent_bytes: u64,
}

impl DiskUse {
    /// Adds up the files below `dir`; what vanishes meanwhile counts nothing.
    pub(super) fn of(dir: &Path) -> Self {
        let mut sum = Self::default();
        let Ok(entries) = fs::read_dir(dir) else { return sum };
        for entry in entries.flatten() {
            let Ok(meta) = entry.metadata() else { continue };
            if meta.is_dir() {
                let below = Self::of(&entry.path());
                sum.allocated_bytes += below.allocated_bytes;
                sum.apparent_bytes += below.apparent_bytes;
            } else {
                sum.allocated_bytes += meta.blocks() * STAT_BLOCK_BYTES;
                sum.apparent_bytes += meta.len();
            }
        }
        sum
    }

    /// Waits until the size of `dir` has not moved by more than a thousandth for `quiet`, at most `patience`.
    /// Returns the size and whether it came to rest.
    pub(super) fn when_settled(dir: &Path, quiet: Duration, patience: Duration) -> (Self, bool) {
        let started = Instant::now();
        let (mut still, mut since) = (Self::of(dir), Instant::now());
        loop {
            std::thread::sleep(Duration::from_secs(1));
            let now = Self::of(dir);
            if now.allocated_bytes.abs_diff(still.allocated_bytes) > still.allocated_bytes / 1000 {
                (still, since) = (now, Instant::now());
            }
            if since.elapsed() >= quiet {
                return (now, true);
            }
            if started.elapsed() >= patience {
                return (now, false);
            }
        }
    }
}

/// Times of many requests.
#[derive(Debug, Default)]
pub(super) struct Latencies {
    seconds: Vec<f64>,
}

impl Latencies {
    /// Adds one.
    pub(super) fn add(&mut self, latency: Duration) {
        self.seconds.push(latency.as_secs_f64());
    }

    /// Adds all of another set.
    pub(super) fn extend(&mut self, other: Self) {
        self.seconds.extend(other.seconds);
    }

    /// The smallest latency that `share` of all do not exceed, in seconds; 0 of none.
    pub(super) fn quantile(&self, share: f64) -> f64 {
        let mut sorted = self.seconds.clone();
        sorted.sort_by(f64::total_cmp);
        let rank = (share * sorted.len() as f64).ceil();
        let at = (0..sorted.len()).find(|at| (at + 1) as f64 >= rank).unwrap_or(0);
        sorted.get(at).copied().unwrap_or(0.0)
    }
}

/// The geometric mean; 0 of none.
pub(super) fn geometric_mean(values: &[f64]) -> f64 {
    if values.is_empty() {
        return 0.0;
    }
    (values.iter().map(|value| value.ln()).sum::<f64>() / values.len() as f64).exp()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_values_that_were_seen() {
        let mut latencies = Latencies::default();
        assert_eq!(latencies.quantile(0.5), 0.0);
        (1..=100).rev().for_each(|ms| latencies.add(Duration::from_millis(ms)));
        let check = |share, expected: f64| assert!((latencies.quantile(share) - expected).abs() < 1e-9);
        check(0.0, 0.001);
        check(0.5, 0.050);
        check(0.99, 0.099);
        check(1.0, 0.100);
    }

    #[test]
    fn geometric_mean_of_powers_is_the_middle_power() {
        assert!((geometric_mean(&[1.0, 10.0, 100.0]) - 10.0).abs() < 1e-9);
    }

    #[test]
    fn a_directory_is_the_sum_of_its_files() {
        let dir = tempfile::tempdir().expect("dir");
        fs::create_dir(dir.path().join("a")).expect("dir");
        fs::write(dir.path().join("a/b"), [7; 5000]).expect("file");
        fs::write(dir.path().join("c"), [7; 10]).expect("file");
        let found = DiskUse::of(dir.path());
        assert_eq!(found.apparent_bytes, 5010);
        assert!(found.allocated_bytes.is_multiple_of(STAT_BLOCK_BYTES));
    }

    #[test]
    fn this_process_is_running_and_has_a_peak() {
        let pid = std::process::id();
        let used = Meter::begin(pid).expect("this process").read().expect("this process");
        assert!(is_running(pid) && used.peak_bytes > 100_000, "{used:?}");
        assert!(Meter::begin(u32::MAX).is_err() && !is_running(u32::MAX));
    }
}
