//! The image gallery: three services, one scaled behind one name, and the container engine, as a person runs them.
//!
//! Services and DNS are real, on loopback addresses. `data/image-gallery.yml` is used as it is shipped when
//! `EMBERKEEP_E2E_VERBATIM` is set; otherwise its intervals are shortened so that the test takes seconds. Where port
//! 80 may not be bound (not root), the services use another port, and the file is changed to match.

#![expect(clippy::print_stdout, reason = "says what it had to change")]

mod https;
mod quotas;
mod reload;
#[path = "../support/mod.rs"]
mod support;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;
use support::dns::DnsServer;
use support::server::{Client, Server, number, wait_for};
use support::services::{Pages, Service};

const GALLERY: u8 = 1;
const IOTD: u8 = 2;
const ENGINE: u8 = 3;
const ACCESS_LOG: u8 = 10;

/// A service that serves its metrics under `path` only.
fn pages(path: &'static str, body: impl Fn() -> String + Send + Sync + 'static) -> Pages {
    Arc::new(move |asked| (asked == path).then(&body))
}

/// Counts that grow with time, a different share for each instance.
fn access_log(number: u8) -> impl Fn() -> String + Send + Sync + 'static {
    let started = Instant::now();
    move || {
        let requests = started.elapsed().as_millis() * u128::from(number) / 10;
        let mut out = String::from("# TYPE access_log_requests_total counter\n");
        for (status, share) in [("200", 9), ("404", 1)] {
            writeln!(out, "access_log_requests_total{{status=\"{status}\"}} {}", requests * share / 10)
                .expect("text");
        }
        out
    }
}

struct World {
    /// Third part of the addresses, so that tests run side by side.
    net: u8,
    dns: DnsServer,
    port: u16,
    services: BTreeMap<Ipv4Addr, Service>,
}

impl World {
    fn new(net: u8) -> Self {
        let gallery = Ipv4Addr::new(127, 0, net, GALLERY);
        let may_bind_80 = Service::start(SocketAddr::from((gallery, 80)), pages("/", String::new));
        let port = match may_bind_80 {
            Ok(service) => {
                // Its port is free again once the listener has seen that it should end.
                drop(service);
                80
            }
            Err(error) => {
                println!("port 80 cannot be used ({error}): 18080 instead");
                18080
            }
        };
        let dns = DnsServer::start();
        let mut world = Self { net, dns, port, services: BTreeMap::new() };
        world.serve(GALLERY, port, &pages("/metrics", || "gallery_images 42\n".to_owned()));
        world.serve(
            IOTD,
            port,
            &pages("/actuator/prometheus", || "jvm_threads_live_threads 17\n".to_owned()),
        );
        world.serve(
            ENGINE,
            9323,
            &pages("/metrics", || "engine_daemon_container_states_containers 5\n".to_owned()),
        );
        world.dns.set("image-gallery", &[world.address(GALLERY)]);
        world.dns.set("iotd", &[world.address(IOTD)]);
        world.dns.set("engine.internal", &[world.address(ENGINE)]);
        world.scale(3);
        world
    }

    fn address(&self, host: u8) -> Ipv4Addr {
        Ipv4Addr::new(127, 0, self.net, host)
    }

    fn serve(&mut self, host: u8, port: u16, pages: &Pages) {
        let ip = self.address(host);
        let address = SocketAddr::from((ip, port));
        let service = wait_for("a free port", || Service::start(address, Arc::clone(pages)).ok());
        self.services.insert(ip, service);
    }

    /// As many instances of the access log as asked for, behind one name.
    fn scale(&mut self, instances: u8) {
        for number in 1..=5 {
            let ip = self.address(ACCESS_LOG + number);
            if number > instances {
                self.services.remove(&ip);
            } else if !self.services.contains_key(&ip) {
                self.serve(ACCESS_LOG + number, self.port, &pages("/metrics", access_log(number)));
            }
        }
        let all: Vec<Ipv4Addr> = (1..=instances).map(|number| self.address(ACCESS_LOG + number)).collect();
        self.dns.set("accesslog", &all);
    }
}

/// The shipped configuration and its refresh interval of discovery.
fn configuration(port: u16) -> (String, Duration, Duration) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/image-gallery.yml");
    let mut text = std::fs::read_to_string(path).expect("the shipped configuration");
    for needed in ["scrape_interval: 10s", "scrape_interval: 3s", "refresh_interval: 5s", "port: 80"] {
        assert!(text.contains(needed), "{needed}");
    }
    if port != 80 {
        text = text.replace("port: 80", &format!("port: {port}"));
        text = text.replace("[image-gallery]", &format!("['image-gallery:{port}']"));
        text = text.replace("[iotd]", &format!("['iotd:{port}']"));
    }
    if std::env::var_os("EMBERKEEP_E2E_VERBATIM").is_some() {
        return (text, Duration::from_secs(5), Duration::from_secs(3));
    }
    let text = text
        .replace("scrape_interval: 10s", "scrape_interval: 1s")
        .replace("scrape_interval: 3s", "scrape_interval: 500ms")
        .replace("refresh_interval: 5s", "refresh_interval: 1s");
    (text, Duration::from_secs(1), Duration::from_millis(500))
}

fn up(client: &Client, url: &str, selector: &str) -> usize {
    client.vector(url, &format!("up{selector} == 1")).len()
}

/// Waits until the access log has `expected` targets; says how long that took.
fn wait_for_targets(client: &Client, url: &str, expected: usize) -> Duration {
    let started = Instant::now();
    wait_for("the targets of the access log", || {
        let data = client.api(url, "targets", &[("state", "active")]);
        let all = data["activeTargets"].as_array().expect("targets").iter();
        (all.filter(|t| t["scrapePool"] == "access-log").count() == expected).then_some(())
    });
    started.elapsed()
}

/// All samples of everything up to `end` (seconds), as text that can be compared.
fn history(client: &Client, url: &str, end: f64) -> BTreeMap<String, Value> {
    let end = end.to_string();
    let form = [("query", "{job=~\".+\"}[1h]"), ("time", end.as_str())];
    let data = client.api(url, "query", &form);
    let rows = data["result"].as_array().expect("matrix").iter();
    rows.map(|row| (row["metric"].to_string(), row["values"].clone())).collect()
}

#[test]
fn the_image_gallery_from_start_to_power_cut() {
    let mut world = World::new(77);
    let (text, refresh, interval) = configuration(world.port);
    let dir = tempfile::tempdir().expect("dir");
    let config = dir.path().join("image-gallery.yml");
    std::fs::write(&config, text).expect("write");
    let data = dir.path().join("data");
    let dns = world.dns.address.to_string();
    let args = [
        "--config.file",
        config.to_str().expect("text"),
        "--config.expand-env",
        "--dns.server",
        dns.as_str(),
    ];
    let env = [("DOCKER_HOST", "engine.internal")];
    let server = Server::start(&data, &args, &env);
    let (client, url) = (Client::new(), server.url.clone());
    // Two refreshes, and then the scrape and some time for the machine.
    let patience = refresh * 2 + interval * 2 + Duration::from_secs(2);

    wait_for("six targets up", || (up(&client, &url, "") == 6).then_some(()));
    assert_eq!(up(&client, &url, "{job=\"access-log\"}"), 3);
    assert_eq!(client.vector(&url, "engine_daemon_container_states_containers").len(), 1);
    assert_eq!(client.vector(&url, "jvm_threads_live_threads")[0].0["job"], "iotd-api");

    // The sum of the rates is the rate of the sum, each instance with its share.
    let rate = |label: &str| format!("sum{label}(rate(access_log_requests_total[1m]))");
    wait_for("a rate of every instance", || {
        let rates = client.vector(&url, &rate(" by (instance)"));
        (rates.len() == 3 && rates.iter().all(|(_, r)| *r > 0.0)).then_some(())
    });
    let now = client.api(&url, "query", &[("query", "time()")])["result"][0].to_string();
    let at = |query: &str| {
        let data = client.api(&url, "query", &[("query", query), ("time", &now)]);
        let rows = data["result"].as_array().expect("vector").clone();
        rows.iter().map(|row| number(&row["value"][1])).collect::<Vec<f64>>()
    };
    let (total, parts) = (at(&rate(""))[0], at("rate(access_log_requests_total[1m])"));
    assert_eq!(parts.len(), 6);
    let sum: f64 = parts.iter().sum();
    assert!((total - sum).abs() <= 1e-9 * sum, "{total} and {sum}");

    // Scaled up and down, the targets follow within two refreshes.
    world.scale(5);
    assert!(wait_for_targets(&client, &url, 5) <= patience);
    wait_for("five instances up", || (up(&client, &url, "{job=\"access-log\"}") == 5).then_some(()));
    world.scale(1);
    assert!(wait_for_targets(&client, &url, 1) <= patience);
    let gone = Instant::now();
    wait_for("the others are stale", || {
        (client.vector(&url, "access_log_requests_total").len() == 2
            && client.vector(&url, "up{job=\"access-log\"}").len() == 1)
            .then_some(())
    });
    assert!(gone.elapsed() <= interval + Duration::from_secs(2), "stale within one scrape");

    // A failing DNS server keeps what was there.
    world.dns.fail(true);
    let asked = world.dns.asked();
    wait_for("several failed look-ups", || (world.dns.asked() > asked + 4).then_some(()));
    assert_eq!(up(&client, &url, "{job=\"access-log\"}"), 1);
    world.dns.fail(false);
    world.scale(3);
    wait_for("three instances again", || (up(&client, &url, "{job=\"access-log\"}") == 3).then_some(()));
    // A name that is gone takes its targets along.
    world.dns.set("accesslog", &[]);
    assert!(wait_for_targets(&client, &url, 0) <= patience);
    world.scale(3);
    wait_for("three instances again", || (up(&client, &url, "{job=\"access-log\"}") == 3).then_some(()));

    // The plug is pulled: what was visible is visible again.
    let now = client.api(&url, "query", &[("query", "time()")]);
    let end = now["result"][0].as_f64().expect("seconds");
    let before = history(&client, &url, end);
    assert!(before.len() > 20, "{} series", before.len());
    server.kill();
    let server = Server::start(&data, &args, &env);
    let after = history(&client, &server.url, end);
    for (series, samples) in &before {
        assert_eq!(after.get(series), Some(samples), "{series}");
    }
    wait_for("six targets up again", || (up(&client, &server.url, "") == 6).then_some(()));
    assert!(server.stop().success());
}

/// The shipped file with the name of the engine in place of its variable, as it is written down in many places.
fn configuration_with_a_name(port: u16) -> String {
    let (text, _, _) = configuration(port);
    assert!(text.contains("${DOCKER_HOST}:9323"));
    text.replace("${DOCKER_HOST}:9323", "DOCKER_HOST:9323")
}

/// The gallery runs with `DOCKER_HOST` as the name of the engine, which `start` makes known.
fn the_engine_is_found_by_name(world: &World, start: impl FnOnce(&Path, &Path, &[&str]) -> Option<Server>) {
    let dir = tempfile::tempdir().expect("dir");
    let config = dir.path().join("prometheus.yml");
    std::fs::write(&config, configuration_with_a_name(world.port)).expect("write");
    let dns = world.dns.address.to_string();
    let args = ["--config.file", config.to_str().expect("text"), "--dns.server", dns.as_str()];
    let Some(server) = start(dir.path(), &dir.path().join("data"), &args) else { return };
    let client = Client::new();
    wait_for("six targets up", || (up(&client, &server.url, "") == 6).then_some(()));
    let engine = client.vector(&server.url, "engine_daemon_container_states_containers");
    assert_eq!(engine.len(), 1);
    assert_eq!(engine[0].0["instance"], "DOCKER_HOST:9323");
    assert!(server.stop().success());
}

#[test]
fn the_image_gallery_with_docker_host_in_dns_or_in_the_hosts_file() {
    let world = World::new(78);
    world.dns.set("DOCKER_HOST", &[world.address(ENGINE)]);
    the_engine_is_found_by_name(&world, |_, data, args| Some(Server::start(data, args, &[])));
    // Only the hosts file knows it now, and nobody else is asked.
    world.dns.set("DOCKER_HOST", &[]);
    let asked = || world.dns.names().iter().filter(|name| name.starts_with("DOCKER_HOST")).count();
    let before = asked();
    assert!(before > 0);
    the_engine_is_found_by_name(&world, |dir, data, args| {
        let hosts = dir.join("hosts");
        let text = format!("127.0.0.1 localhost\n{} DOCKER_HOST\n", world.address(ENGINE));
        std::fs::write(&hosts, text).expect("write");
        Server::start_with_hosts(data, args, &hosts)
    });
    assert_eq!(asked(), before);
}

#[test]
fn a_broken_file_is_refused_at_reload_and_nothing_changes() {
    let dir = tempfile::tempdir().expect("dir");
    let config = dir.path().join("prometheus.yml");
    let write = |text: &str| std::fs::write(&config, text).expect("write");
    write("scrape_configs: [{job_name: one, static_configs: [{targets: ['127.0.0.1:1']}]}]");
    let args = ["--config.file", config.to_str().expect("text"), "--web.enable-lifecycle"];
    let server = Server::start(&dir.path().join("data"), &args, &[]);
    let client = Client::new();
    let pools = || client.api(&server.url, "scrape_pools", &[])["scrapePools"].clone();
    assert_eq!(pools(), serde_json::json!(["one"]));
    let reload =
        || client.post(&format!("{}/-/reload", server.url), "text/plain", Vec::new()).expect("reply");

    write("scrape_configs: [{job_name: two, scrape_intervall: 3s}]");
    let (status, text) = reload();
    assert_eq!(status, 500, "{text}");
    assert!(text.contains("scrape_intervall") && text.contains("prometheus.yml"), "{text}");
    assert_eq!(pools(), serde_json::json!(["one"]));
    write("remote_write: [{url: 'http://h/w'}]");
    let (status, text) = reload();
    assert!(status == 500 && text.contains("remote_write") && text.contains("not supported yet"), "{text}");

    write("scrape_configs: [{job_name: two, static_configs: [{targets: ['127.0.0.1:1']}]}]");
    server.signal("HUP");
    wait_for("the signal reloads", || (pools() == serde_json::json!(["two"])).then_some(()));
    write("scrape_configs: []");
    assert_eq!(reload().0, 200);
    assert_eq!(pools(), serde_json::json!([]));
    let (status, _) =
        client.post(&format!("{}/-/quit", server.url), "text/plain", Vec::new()).expect("reply");
    assert_eq!(status, 200);
    wait_for("it quits", || client.get(&format!("{}/-/healthy", server.url)).err());
}

#[test]
fn a_target_that_moves_is_found_by_the_scrape_after_the_look_up() {
    let [one, two] = [1, 2].map(|host| Ipv4Addr::new(127, 0, 79, host));
    let asked = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&asked);
    let page = pages("/metrics", move || {
        count.fetch_add(1, Ordering::Relaxed);
        "place 1\n".to_owned()
    });
    let first = Service::start((one, 0).into(), page).expect("a free port");
    let port = first.address.port();
    let other = pages("/metrics", || "place 2\n".to_owned());
    let _second = wait_for("a free port", || Service::start((two, port).into(), Arc::clone(&other)).ok());
    let names = DnsServer::start();
    names.set("moving", &[one]);
    let dir = tempfile::tempdir().expect("dir");
    let config = dir.path().join("prometheus.yml");
    let job =
        format!("{{job_name: j, scrape_interval: 1s, static_configs: [{{targets: ['moving:{port}']}}]}}");
    std::fs::write(&config, format!("scrape_configs: [{job}]\n")).expect("write");
    let dns = names.address.to_string();
    let args = ["--config.file", config.to_str().expect("text"), "--dns.server", dns.as_str()];
    let server = Server::start(&dir.path().join("data"), &args, &[]);
    let client = Client::new();
    let place = |expected: f64| {
        let found = client.vector(&server.url, "place");
        found.first().filter(|(_, place)| *place == expected).map(|_| ())
    };
    wait_for("several scrapes of the first place", || (asked.load(Ordering::Relaxed) > 2).then_some(()));
    // The first place goes on answering, and the connection to it goes on working.
    names.set("moving", &[two]);
    let before = asked.load(Ordering::Relaxed);
    wait_for("the second place", || place(2.0));
    let late = asked.load(Ordering::Relaxed) - before;
    assert!(
        late <= 2,
        "{late} scrapes went to the first place: one may have been under way, one looks the name up"
    );
    assert_eq!(client.vector(&server.url, "min_over_time(up[1m])")[0].1, 1.0);
    assert!(server.stop().success());
}

#[test]
fn groups_of_rules_take_interval_and_offset_from_all_of_them() {
    let dir = tempfile::tempdir().expect("dir");
    let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).expect("write");
    write(
        "prometheus.yml",
        "global: {evaluation_interval: 1s, rule_query_offset: 30s}\nrule_files: ['r*.yml']\n",
    );
    let group = |name: &str, keys: &str| {
        format!("groups: [{{name: {name}, {keys}rules: [{{record: {name}, expr: vector(1)}}]}}]")
    };
    write("r1.yml", &group("as_all", ""));
    write("r2.yml", &group("own", "query_offset: 0s, "));
    let config = format!("--config.file={}", dir.path().join("prometheus.yml").display());
    let server = Server::start(&dir.path().join("data"), &[&config], &[]);
    let client = Client::new();
    let apart = wait_for("both groups and several evaluations", || {
        let count = client.vector(&server.url, "count_over_time(own[1m]) > 3");
        let found = client.vector(&server.url, "timestamp(own) - on() timestamp(as_all)");
        found.first().filter(|_| !count.is_empty()).map(|(_, seconds)| *seconds)
    });
    assert!((28.0..32.0).contains(&apart), "{apart} s");
    assert!(server.stop().success());
}

#[test]
fn a_port_that_is_taken_and_a_bad_file_end_with_an_error() {
    let dir = tempfile::tempdir().expect("dir");
    let run = |args: &[&str]| {
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_emberkeep"))
            .arg("serve")
            .args(args)
            .current_dir(dir.path())
            .output()
            .expect("run");
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("bind");
    let address = taken.local_addr().expect("address").to_string();
    let (code, text) = run(&["--web.listen-address", &address]);
    assert!(code == Some(1) && text.contains(&format!("cannot listen on {address}")), "{text}");
    let (code, text) = run(&["--web.listen-address", "127.0.0.1:0", "--config.file", "absent.yml"]);
    assert!(code == Some(1) && text.contains("absent.yml"), "{text}");
    let (code, text) = run(&["--agent"]);
    assert!(code == Some(2) && text.contains("--agent of Prometheus is not supported"), "{text}");
}
