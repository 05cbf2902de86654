//! Real HTTP on the loopback interface, a real database in a temporary directory, names from a table.

use std::collections::HashMap;
use std::io::Write as _;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use emberkeep::config::{Config, LoadOptions, parse};
use emberkeep::discovery::{DiscoveryManager, DiscoveryMetrics};
use emberkeep::model::{MatchOp, Matcher, Samples, TimeRange, is_stale};
use emberkeep::net::{Dialer, DnsAnswer, DnsError, DnsRecord, RecordKind, Resolver};
use emberkeep::scrape::status::Health;
use emberkeep::scrape::{ScrapeManager, ScrapeOptions};
use emberkeep::storage::{Queryable as _, SelectRequest};
use emberkeep::telemetry::{Registry, metrics};
use emberkeep::tsdb::{Tsdb, TsdbOptions};
use emberkeep::util::SystemClock;
use futures_util::future::BoxFuture;

use crate::target::Target;

/// Answers for A records from a table; a name that is not in it fails.
#[derive(Default)]
struct Names(Mutex<HashMap<String, Vec<IpAddr>>>);

impl Names {
    fn set(&self, name: &str, addresses: &[IpAddr]) {
        self.0.lock().expect("not poisoned").insert(name.to_owned(), addresses.to_vec());
    }
}

impl Resolver for Names {
    fn lookup<'a>(&'a self, name: &'a str, kind: RecordKind) -> BoxFuture<'a, Result<DnsAnswer, DnsError>> {
        let found = self.0.lock().expect("not poisoned").get(name).cloned();
        Box::pin(async move {
            let reason = "no server answers".to_owned();
            let found = found.ok_or(DnsError::Lookup { name: name.to_owned(), reason })?;
            let wanted = found.into_iter().filter(|ip| ip.is_ipv4() == (kind == RecordKind::A));
            Ok(DnsAnswer::without_ttl(wanted.map(DnsRecord::Address).collect()))
        })
    }
}

struct Server {
    db: Arc<Tsdb>,
    names: Arc<Names>,
    manager: ScrapeManager,
    registry: Registry,
    _dir: tempfile::TempDir,
}

impl Server {
    fn start() -> Self {
        let dir = tempfile::tempdir().expect("temporary directory");
        let mut registry = Registry::default();
        let clock = Arc::new(SystemClock);
        let db = Tsdb::open(TsdbOptions::new(dir.path()), clock.clone(), &mut registry).expect("database");
        let db = Arc::new(db);
        let names = Arc::new(Names::default());
        let found = DiscoveryMetrics::new(&mut registry);
        let dialer = Arc::new(Dialer::new(names.clone()));
        let discovery = Arc::new(DiscoveryManager::new("scrape", names.clone(), Arc::clone(&dialer), found));
        let options = ScrapeOptions::default();
        let manager = ScrapeManager::new(Arc::clone(&db), discovery, dialer, options, clock, &mut registry)
            .expect("threads");
        Self { db, names, manager, registry, _dir: dir }
    }

    async fn load(&self, jobs: &str) {
        let text = format!("global: {{scrape_interval: 100ms}}\nscrape_configs:\n{jobs}");
        let config: Config = parse(&text, "test.yml", &LoadOptions::default()).expect("valid");
        let prepared = self.manager.prepare(&config).expect("prepared");
        self.manager.commit(prepared).await;
    }

    /// Instance and last value of each series called `name`.
    fn last(&self, name: &str) -> Vec<(String, f64)> {
        let matchers = [Matcher::new("__name__", MatchOp::Equal, name).expect("plain matcher")];
        let querier = self.db.querier(TimeRange::ALL).expect("querier");
        let request = SelectRequest::new(&matchers, TimeRange::ALL);
        let set = querier.select(&request).expect("selected");
        let mut samples = Samples::new();
        (0..set.len())
            .map(|at| {
                set.read(at, TimeRange::ALL, &mut samples).expect("readable");
                let instance = set.labels(at).get("instance").unwrap_or("").to_owned();
                (instance, samples.values.last().copied().unwrap_or(f64::NAN))
            })
            .collect()
    }

    async fn until(&self, what: &str, done: impl Fn(&Self) -> bool) {
        for _ in 0..1000 {
            if done(self) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("{what} did not happen: {:?}", self.manager.handle().status());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn scrapes_a_real_target_and_follows_its_life() {
    let server = Server::start();
    let target = Target::start("# TYPE a gauge\n# HELP a some help\na{x=\"1\"} 5\nb 1\n").await;
    let job = format!("- job_name: j\n  static_configs: [{{targets: ['{}']}}]\n", target.address);
    server.load(&job).await;
    let is = |name: &'static str, value: f64| {
        move |s: &Server| s.last(name).first().is_some_and(|(_, v)| *v == value)
    };
    let stale =
        |name: &'static str| move |s: &Server| s.last(name).first().is_some_and(|(_, v)| is_stale(*v));
    server.until("first sample", is("a", 5.0)).await;
    server.until("up", is("up", 1.0)).await;
    let request = target.requests()[0].to_lowercase();
    for expected in [
        "get /metrics ",
        "accept-encoding: gzip",
        "user-agent: emberkeep/",
        "x-prometheus-scrape-timeout-seconds: 0.1",
    ] {
        assert!(request.contains(expected), "{request}");
    }
    for once in ["\r\naccept:", "\r\naccept-encoding:", "\r\nuser-agent:"] {
        assert_eq!(request.matches(once).count(), 1, "{request}");
    }
    server.until("health", |s| s.manager.handle().status().active[0].health == Health::Up).await;
    let metadata = server.manager.handle().metadata();
    assert_eq!(metadata[0].families[0].help, "some help");

    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(b"a{x=\"1\"} 6\n").expect("to memory");
    let body = encoder.finish().expect("to memory");
    target.answer_with("200 OK", "Content-Type: text/plain\r\nContent-Encoding: gzip\r\n", &body);
    server.until("inflated body", is("a", 6.0)).await;
    server.until("vanished series", stale("b")).await;

    target.answer_with("500 Internal Server Error", "", b"");
    server.until("down", is("up", 0.0)).await;
    assert!(stale("a")(&server));
    server
        .until("error text", |s| s.manager.handle().status().active[0].last_error.contains("HTTP status 500"))
        .await;

    server.load("- job_name: other\n").await;
    server.until("removed job", stale("up")).await;
    let text = metrics::encode(&server.registry);
    assert!(text.contains("prometheus_target_interval_length_seconds_count{interval=\"100ms\"}"), "{text}");
    server.manager.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_say_what_the_job_wants() {
    let server = Server::start();
    let target = Target::start("a 1\n").await;
    let job = |keys: &str| {
        format!("- {{job_name: j, {keys}, static_configs: [{{targets: ['{}']}}]}}\n", target.address)
    };
    for (keys, expected) in [
        ("enable_compression: false", "accept-encoding: identity"),
        ("enable_compression: true", "accept-encoding: gzip"),
        ("scrape_timeout: 50ms", "x-prometheus-scrape-timeout-seconds: 0.05"),
        ("scrape_protocols: [PrometheusText0.0.4]", "accept: text/plain;version=0.0.4;q=0.6,*/*;q=0.5"),
        ("metric_name_escaping_scheme: dots", "version=1.0.0;escaping=dots;q=0.6"),
        ("metric_name_validation_scheme: legacy", "version=1.0.0;escaping=underscores;q=0.6"),
        ("metrics_path: /m, params: {a: [b, c]}", "get /m?a=b&a=c http/1.1"),
        ("http_headers: {X-Own: {values: [v]}}", "x-own: v"),
        ("basic_auth: {username: u, password: p}", "authorization: basic dtpw"),
    ] {
        server.load(&job(keys)).await;
        server
            .until(keys, |_| {
                let requests = target.requests();
                requests.last().is_some_and(|request| request.to_lowercase().contains(expected))
            })
            .await;
    }
    server.manager.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_name_is_resolved_and_dns_targets_come_and_go() {
    let server = Server::start();
    let target = Target::start("a 1\n").await;
    let port = target.address.port();
    let local = [IpAddr::from([127, 0, 0, 1])];
    server.names.set("web", &local);
    server.names.set("tasks", &[]);
    let jobs = format!(
        "- job_name: by-name\n  static_configs: [{{targets: ['web:{port}']}}]\n\
         - job_name: by-dns\n  dns_sd_configs:\n  - {{names: [tasks], type: A, port: {port}, refresh_interval: 50ms}}\n"
    );
    server.load(&jobs).await;
    let instances = |s: &Server| s.last("up").into_iter().map(|(i, _)| i).collect::<Vec<_>>();
    server.until("scrape by name", |s| instances(s) == [format!("web:{port}")]).await;
    server.names.set("tasks", &local);
    let found = format!("127.0.0.1:{port}");
    let up = |s: &Server| s.last("up").into_iter().find(|(i, _)| *i == found).map(|(_, v)| v);
    server.until("scrape by DNS", |s| up(s) == Some(1.0)).await;
    server.names.set("tasks", &[]);
    server.until("target removed by DNS", |s| up(s).is_some_and(is_stale)).await;
    assert_eq!(server.last("up").iter().filter(|(_, v)| *v == 1.0).count(), 1);
    server.manager.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_job_has_connections_of_its_own_and_keeps_them() {
    let server = Server::start();
    let target = Target::start("a 1\n").await;
    let job =
        |name: &str| format!("- job_name: {name}\n  static_configs: [{{targets: ['{}']}}]\n", target.address);
    server.load(&(job("j") + &job("k"))).await;
    server.until("many scrapes", |_| target.requests().len() > 10).await;
    assert_eq!(target.connections(), 2);
    // A target that is down for its answer keeps them too.
    target.answer_with("503 Out for lunch", "", b"later");
    let told = "server returned HTTP status 503 Out for lunch";
    server.until("down", |s| s.manager.handle().status().active[0].last_error == told).await;
    let so_far = target.requests().len();
    server.until("more scrapes", |_| target.requests().len() > so_far + 10).await;
    assert_eq!(target.connections(), 2);
    server.manager.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reload_leaves_unchanged_jobs_alone() {
    let server = Server::start();
    let target = Target::start("a 1\n").await;
    let job = format!("- job_name: j\n  static_configs: [{{targets: ['{}']}}]\n", target.address);
    server.load(&job).await;
    server.until("scrape", |s| s.last("up").first().is_some_and(|(_, v)| *v == 1.0)).await;
    server.until("note", |s| s.manager.handle().status().active[0].last_scrape_ms > 0).await;
    let added = format!("{job}- job_name: k\n  static_configs: [{{targets: ['{}']}}]\n", target.address);
    server.load(&added).await;
    let status = server.manager.handle().status();
    // The state of the first target would be new if its loop were.
    assert!(status.active[0].last_scrape_ms > 0);
    assert_eq!(status.active.len(), 2);
    server.until("both", |s| s.last("up").iter().filter(|(_, v)| *v == 1.0).count() == 2).await;
    server.manager.stop().await;
}
