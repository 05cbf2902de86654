//! What the operating system says of this process, under the names every Prometheus client uses. Linux only;
//! elsewhere the values are left out.

use std::fs;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

use crate::util::machine::{open_files, size_in};

/// Kernel clock ticks a second, in which CPU time is given; 100 on every Linux this runs on.
const TICKS_PER_SECOND: f64 = 100.0;

/// CPU time, memory and open files of this process.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ProcessStats {
    /// User and system CPU time in seconds.
    pub cpu_seconds: f64,
    /// Resident memory in bytes.
    pub resident_bytes: u64,
    /// Virtual memory in bytes.
    pub virtual_bytes: u64,
    /// Open file descriptors.
    pub open_fds: u64,
    /// Threads.
    pub threads: u64,
}

impl ProcessStats {
    /// Reads the values of process `pid`, or of this one. None where the kernel does not tell.
    pub fn read(pid: Option<u32>) -> Option<Self> {
        let dir = pid.map_or_else(|| "/proc/self".to_owned(), |pid| format!("/proc/{pid}"));
        let stat = fs::read_to_string(format!("{dir}/stat")).ok()?;
        // The second field is the command in brackets and may hold spaces.
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        let number = |at: usize| fields.get(at).and_then(|f| f.parse::<u64>().ok());
        Some(Self {
            cpu_seconds: (number(11)? + number(12)?) as f64 / TICKS_PER_SECOND,
            threads: number(17)?,
            virtual_bytes: number(20)?,
            // In pages above, whose size differs between machines.
            resident_bytes: size_in(&fs::read_to_string(format!("{dir}/status")).ok()?, "VmRSS:")?,
            open_fds: fs::read_dir(format!("{dir}/fd")).map_or(0, |d| d.count() as u64),
        })
    }
}

/// Reports [`ProcessStats`] of this process whenever metrics are read.
#[derive(Debug)]
pub struct ProcessCollector {
    /// Start of the process, seconds since the epoch.
    pub start_time_seconds: f64,
}

impl Collector for ProcessCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let mut gauge = |name: &str, help: &str, value: f64| -> Result<(), std::fmt::Error> {
            let metric = ConstGauge::new(value);
            let encoder = encoder.encode_descriptor(name, help, None, metric.metric_type())?;
            metric.encode(encoder)
        };
        gauge(
            "process_start_time_seconds",
            "Start of the process since the Unix epoch",
            self.start_time_seconds,
        )?;
        let Some(stats) = ProcessStats::read(None) else { return Ok(()) };
        gauge("process_resident_memory_bytes", "Resident memory", stats.resident_bytes as f64)?;
        gauge("process_virtual_memory_bytes", "Virtual memory", stats.virtual_bytes as f64)?;
        gauge("process_open_fds", "Open file descriptors", stats.open_fds as f64)?;
        gauge("process_max_fds", "Most file descriptors that may be open", open_files().0 as f64)?;
        gauge("process_threads", "Threads", stats.threads as f64)?;
        let cpu = ConstCounter::new(stats.cpu_seconds);
        let help = "User and system CPU time";
        let encoder = encoder.encode_descriptor("process_cpu_seconds", help, None, cpu.metric_type())?;
        cpu.encode(encoder)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_its_own_process() {
        let stats = ProcessStats::read(None).expect("linux");
        assert!(stats.resident_bytes > 100_000 && stats.threads >= 1 && stats.open_fds >= 3, "{stats:?}");
        assert_eq!(ProcessStats::read(Some(u32::MAX)), None);
    }
}
