//! A reload that changes one job of many: what happens to the others, seen at their targets and in the database.

use std::fmt::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::ops::Range;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use serde_json::Value;

use crate::support::server::{Client, PATIENCE, Server, number, wait_for};
use crate::support::services::Service;

const JOBS: usize = 50;
/// One more than there are jobs at first.
const TARGETS: usize = JOBS + 1;
/// As long as the timeout of a scrape, so that a request that is held up over a reload is still answered in time.
const INTERVAL: Duration = Duration::from_secs(2);
const INTERVAL_MS: u64 = 2000;
/// Requests that are under way while the configuration is reloaded.
const UNDER_WAY: usize = 8;

/// Holds up the answers of all targets while it is closed.
#[derive(Default)]
struct Gate {
    state: Mutex<(bool, usize)>,
    changed: Condvar,
}

impl Gate {
    /// Waits until the gate is open.
    fn pass(&self) {
        let mut state = self.state.lock().expect("gate");
        state.1 += 1;
        self.changed.notify_all();
        let mut state = self.changed.wait_timeout_while(state, PATIENCE, |state| state.0).expect("gate").0;
        state.1 -= 1;
    }

    /// Closes it, and waits until so many requests are held up.
    fn hold_up(&self, requests: usize) {
        let mut state = self.state.lock().expect("gate");
        state.0 = true;
        let (_state, waited) =
            self.changed.wait_timeout_while(state, PATIENCE, |state| state.1 < requests).expect("gate");
        assert!(!waited.timed_out(), "so many requests are never under way");
    }

    fn open(&self) {
        self.state.lock().expect("gate").0 = false;
        self.changed.notify_all();
    }
}

/// A target that counts its requests.
struct Target {
    service: Service,
    requests: Arc<AtomicU64>,
}

impl Target {
    fn start(gate: &Arc<Gate>) -> Self {
        let (requests, gate) = (Arc::<AtomicU64>::default(), Arc::clone(gate));
        let count = Arc::clone(&requests);
        let pages = Arc::new(move |_: &str| {
            let requests = count.fetch_add(1, Ordering::Relaxed) + 1;
            gate.pass();
            Some(format!("# TYPE requests_total counter\nrequests_total {requests}\n"))
        });
        let service = Service::start(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), pages).expect("a free port");
        Self { service, requests }
    }

    fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }
}

struct World {
    targets: Vec<Target>,
    gate: Arc<Gate>,
    client: Client,
    server: Server,
    config: PathBuf,
    _dir: tempfile::TempDir,
}

impl World {
    /// A server that scrapes `jobs` of the targets.
    fn start(jobs: Range<usize>) -> Self {
        let gate = Arc::<Gate>::default();
        let targets: Vec<_> = (0..TARGETS).map(|_| Target::start(&gate)).collect();
        let dir = tempfile::tempdir().expect("dir");
        let config = dir.path().join("prometheus.yml");
        std::fs::write(&config, configuration(&targets, jobs, &[])).expect("write");
        let args = ["--config.file", config.to_str().expect("text"), "--web.enable-lifecycle"];
        let server = Server::start(&dir.path().join("data"), &args, &[]);
        Self { targets, gate, client: Client::new(), server, config, _dir: dir }
    }

    /// Reloads in the midst of scrapes: `jobs` of the targets, `changed` ones with other settings.
    fn reload(&self, jobs: Range<usize>, changed: &[usize]) {
        std::fs::write(&self.config, configuration(&self.targets, jobs, changed)).expect("write");
        self.gate.hold_up(UNDER_WAY);
        let url = format!("{}/-/reload", self.server.url);
        let reply = self.client.post(&url, "text/plain", Vec::new()).expect("a reply");
        self.gate.open();
        assert_eq!(reply.0, 200, "{}", reply.1);
    }

    /// Waits until each of `jobs` was scraped so many more times.
    fn scraped(&self, jobs: Range<usize>, times: u64) {
        let before: Vec<u64> = self.targets.iter().map(Target::requests).collect();
        wait_for("more scrapes", || {
            jobs.clone().all(|job| self.targets[job].requests() >= before[job] + times).then_some(())
        });
    }

    /// Times in milliseconds and values of the samples of a series of `job`.
    fn samples(&self, name: &str, job: usize) -> Vec<(u64, f64)> {
        let form = [("query", format!("{name}{{job=\"job-{job}\"}}[1h]"))];
        let form = form.each_ref().map(|(key, text)| (*key, text.as_str()));
        let data = self.client.api(&self.server.url, "query", &form);
        let rows = data["result"].as_array().expect("matrix");
        assert!(rows.len() <= 1, "{rows:?}");
        let sample = |sample: &Value| {
            let seconds = sample[0].as_f64().expect("a time");
            let ms = Duration::from_secs_f64(seconds + 0.0005).as_millis();
            (u64::try_from(ms).expect("a time"), number(&sample[1]))
        };
        rows.iter().flat_map(|row| row["values"].as_array().expect("values")).map(sample).collect()
    }

    /// Checks that `job` was scraped once in each interval, that its target was asked for nothing that was not stored,
    /// and that its loop was not begun anew.
    fn is_untouched(&self, job: usize) {
        let up = self.samples("up", job);
        assert!(up.iter().all(|(_, value)| *value == 1.0), "job {job}: {up:?}");
        assert_eq!(gaps(&up), [0; 0], "job {job}: {up:?}");
        let counted = self.samples("requests_total", job);
        for (at, (_, requests)) in (1_u32..).zip(&counted) {
            assert_eq!(*requests, f64::from(at), "job {job}: {counted:?}");
        }
        let added = self.samples("scrape_series_added", job);
        let added: Vec<f64> = added.iter().map(|(_, series)| *series).collect();
        assert!(added[0] == 1.0 && added[1..].iter().all(|series| *series == 0.0), "job {job}: {added:?}");
    }
}

/// The slots that were left out between the samples of a series; fails where one has two samples, or where they are not
/// where they were.
fn gaps(samples: &[(u64, f64)]) -> Vec<u64> {
    // Scrapes that begin in time have the time of their slot; the phase that is met most often is that of the slots.
    let phase = |time: u64| time % INTERVAL_MS;
    let often = |one: &u64| samples.iter().filter(|(time, _)| phase(*time) == *one).count();
    let phases = samples.iter().map(|(time, _)| phase(*time));
    let offset = phases.max_by_key(often).expect("samples");
    let slots: Vec<u64> = samples.iter().map(|(time, _)| (time - offset) / INTERVAL_MS).collect();
    for (time, _) in samples {
        assert!((time - offset) % INTERVAL_MS < INTERVAL_MS / 2, "{time} is not in its slot: {samples:?}");
    }
    slots
        .windows(2)
        .map(|pair| pair[1].checked_sub(pair[0] + 1).expect("one sample in a slot"))
        .filter(|n| *n > 0)
        .collect()
}

fn configuration(targets: &[Target], jobs: Range<usize>, changed: &[usize]) -> String {
    let mut out = format!(
        "global: {{scrape_interval: {0}s, scrape_timeout: {0}s}}\nscrape_configs:\n",
        INTERVAL.as_secs()
    );
    for job in jobs {
        let address = targets[job].service.address;
        let limit = if changed.contains(&job) { 10 } else { 20 };
        writeln!(
            out,
            "- {{job_name: job-{job}, sample_limit: {limit}, static_configs: [{{targets: ['{address}']}}]}}"
        )
        .expect("text");
    }
    out
}

#[test]
fn a_changed_job_costs_the_others_no_scrape() {
    let world = World::start(0..JOBS);
    world.scraped(0..JOBS, 2);
    for changed in [vec![7], vec![7, 11]] {
        world.reload(0..JOBS, &changed);
        world.scraped(0..JOBS, 2);
    }
    for job in (0..JOBS).filter(|job| ![7, 11].contains(job)) {
        world.is_untouched(job);
    }
    // A scrape that was under way when its job changed is abandoned; apart from it nothing is missing, and the series
    // goes on.
    for job in [7, 11] {
        let up = world.samples("up", job);
        assert!(gaps(&up).into_iter().sum::<u64>() <= 1, "job {job}: {up:?}");
        assert!(up.iter().all(|(_, value)| *value == 1.0), "job {job}: {up:?}");
        let (last, counted) = (world.targets[job].requests(), world.samples("requests_total", job));
        let stored = counted.last().expect("a sample").1;
        assert!(counted.len() >= 6 && stored + 2.0 > last as f64, "job {job}: {counted:?} of {last}");
    }
}

#[test]
fn a_job_that_is_added_or_removed_costs_the_others_no_scrape() {
    let world = World::start(0..JOBS);
    world.scraped(0..JOBS, 2);
    world.reload(0..TARGETS, &[]);
    world.scraped(0..TARGETS, 2);
    world.reload(1..TARGETS, &[]);
    let removed = world.targets[0].requests();
    world.scraped(1..TARGETS, 2);
    assert_eq!(world.targets[0].requests(), removed, "nobody asks it any more");
    (1..TARGETS).for_each(|job| world.is_untouched(job));
    let gone = |name: &str| world.client.vector(&world.server.url, &format!("{name}{{job=\"job-0\"}}"));
    assert_eq!((gone("up").len(), gone("requests_total").len()), (0, 0), "marked as stale");
    assert_eq!(gaps(&world.samples("up", 0)), [0; 0]);
}
