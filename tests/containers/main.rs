//! The image gallery in real containers, started by its compose file: three services, one of them scaled behind a name
//! that the engine's own DNS resolves, and the engine's own metrics.
//!
//! A container engine of the test's own is started, which takes root, changes the network of the machine and leaves
//! nothing running. So the test runs only with `EMBERKEEP_CONTAINERS=1` or `EMBERKEEP_REQUIRE_ALL=1`; otherwise it says
//! so and passes, and also where the system does not let an engine start.

#![expect(clippy::print_stdout, reason = "a skipped test says so")]

#[path = "../support/mod.rs"]
mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use support::prometheus::{Prometheus, program};
use support::server::{Client, Server, wait_for};

/// What the test needs, and Debian's packages with it.
const TOOLS: [(&str, &str); 4] = [
    ("dockerd", "docker.io"),
    ("docker", "docker.io"),
    ("docker-compose", "docker-compose"),
    ("iptables", "iptables"),
];

fn is_wanted() -> bool {
    ["EMBERKEEP_CONTAINERS", "EMBERKEEP_REQUIRE_ALL"].iter().any(|name| std::env::var_os(name).is_some())
}

fn run(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{command:?}: {}{}", text(&output.stdout), text(&output.stderr));
    text(&output.stdout)
}

/// A container engine of our own. Dropping it ends it and what runs in it.
struct Engine {
    child: Child,
    socket: String,
    compose: PathBuf,
}

impl Engine {
    /// None where this system allows no containers.
    fn start(dir: &Path) -> Option<Self> {
        let at = |name: &str| dir.join(name).to_string_lossy().into_owned();
        let socket = format!("unix://{}", at("engine.sock"));
        let log = std::fs::File::create(dir.join("engine.log")).expect("a log");
        let child = Command::new("dockerd")
            .args(["--data-root", &at("data"), "--exec-root", &at("exec"), "--pidfile", &at("pid")])
            .args(["-H", &socket, "--metrics-addr", "0.0.0.0:9323"])
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("start dockerd");
        let mut engine = Self { child, socket, compose: dir.join("compose/image-gallery.yml") };
        let allowed = wait_for("the container engine", || {
            if engine.child.try_wait().expect("our child").is_some() {
                let log = std::fs::read_to_string(dir.join("engine.log")).unwrap_or_default();
                let words = log.to_lowercase();
                let refused =
                    ["operation not permitted", "permission denied", "needs to be started with root"];
                assert!(refused.iter().any(|text| words.contains(text)), "the container engine ended: {log}");
                return Some(false);
            }
            engine.docker().arg("version").output().ok()?.status.success().then_some(true)
        });
        if !allowed {
            println!("skipped: this system allows no containers");
        }
        allowed.then_some(engine)
    }

    fn docker(&self) -> Command {
        let mut command = Command::new("docker");
        command.args(["-H", &self.socket]);
        command
    }

    fn compose(&self) -> Command {
        let mut command = Command::new("docker-compose");
        command
            .args(["-H", &self.socket, "-p", "gallery", "-f"])
            .arg(&self.compose)
            .arg("-f")
            .arg(self.compose.with_file_name("local.yml"))
            // Where the engine is, by a name of the kind that is in the file of many a deployment.
            .env("DOCKER_HOST", "DOCKER_HOST");
        for (variable, image) in [("GALLERY", "gallery"), ("IOTD", "iotd"), ("ACCESSLOG", "accesslog")] {
            command.env(format!("{variable}_IMAGE"), format!("{image}:test"));
        }
        command
    }

    fn scale(&self, instances: u8) {
        run(self
            .compose()
            .args(["up", "-d", "--no-build", "--no-recreate"])
            .arg("--scale")
            .arg(format!("accesslog={instances}")));
    }

    /// An image of `files` (their place in it and on this machine) that runs `entrypoint`.
    fn import(&self, dir: &Path, image: &str, files: &[(PathBuf, PathBuf)], entrypoint: &str) {
        let tar = dir.join("image.tar");
        let mut builder = tar::Builder::new(std::fs::File::create(&tar).expect("a file"));
        for (inside, outside) in files {
            builder.append_path_with_name(outside, inside).expect("a readable file");
        }
        builder.finish().expect("a complete archive");
        drop(builder);
        run(self.docker().args(["import", "-c", &format!("ENTRYPOINT {entrypoint}")]).arg(&tar).arg(image));
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        if !matches!(self.child.try_wait(), Ok(None)) {
            return;
        }
        let _ = self.compose().args(["down", "-v", "-t", "1"]).output();
        // It ends in good order when it is asked to.
        let _ = Command::new("kill").arg(self.child.id().to_string()).status();
        let _ = self.child.wait();
    }
}

/// The libraries that a program of this machine is linked to, where its image must have them.
fn libraries(program: &Path) -> Vec<(PathBuf, PathBuf)> {
    let listed = run(Command::new("ldd").arg(program));
    let paths = listed.split_whitespace().filter(|word| word.starts_with('/')).map(PathBuf::from);
    paths
        .map(|path| {
            let inside = path.strip_prefix("/").expect("absolute").to_owned();
            (inside, path.canonicalize().expect("there"))
        })
        .collect()
}

/// The files of the gallery as they are shipped, but for the port of the page on this machine; the server's image is
/// there already.
fn write_files(dir: &Path, port: u16) {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("data");
    std::fs::create_dir(dir.join("compose")).expect("a folder");
    let shipped = std::fs::read_to_string(data.join("compose/image-gallery.yml")).expect("the compose file");
    assert!(shipped.contains("\"9090:9090\""));
    let compose = shipped.replace("\"9090:9090\"", &format!("\"127.0.0.1:{port}:9090\""));
    std::fs::write(dir.join("compose/image-gallery.yml"), compose).expect("write");
    std::fs::copy(data.join("image-gallery.yml"), dir.join("image-gallery.yml")).expect("copy");
    let local =
        "services:\n  emberkeep:\n    image: emberkeep:test\n    extra_hosts: [\"DOCKER_HOST:172.17.0.1\"]\n";
    std::fs::write(dir.join("compose/local.yml"), local).expect("write");
}

/// The section by which the engine is asked for one service of the gallery.
fn engine_job(engine: &Engine, more: &str) -> String {
    format!(
        "global: {{scrape_interval: 1s, scrape_timeout: 1s}}
scrape_configs:
- job_name: engine
  docker_sd_configs: [{{host: '{}'{more}}}]
  relabel_configs:
  - {{source_labels: [__meta_docker_container_label_com_docker_compose_service], regex: accesslog, action: keep}}
",
        engine.socket
    )
}

/// A server on this machine, outside of all containers, that follows what the engine tells.
fn follow_engine(engine: &Engine, dir: &Path) -> Server {
    let file = dir.join("engine.yml");
    let job = engine_job(engine, ", refresh_interval: 1h, match_first_network: false");
    std::fs::write(&file, job).expect("write");
    Server::start(&dir.join("host"), &[&format!("--config.file={}", file.display())], &[])
}

fn scraped(client: &Client, url: &str) -> Vec<Value> {
    let targets = client.api(url, "targets", &[("state", "active")]);
    targets["activeTargets"].as_array().expect("targets").clone()
}

/// What a Prometheus finds in the engine is found here, too, with the labels it has.
fn same_as_prometheus(engine: &Engine, dir: &Path, client: &Client, url: &str) {
    let Some(program) = program("PROMETHEUS_DOCKER_BIN", "prometheus") else { return };
    let config = engine_job(engine, ", refresh_interval: 1s");
    let prometheus = Prometheus::start(&program, dir, &dir.join("prometheus"), &config, &[], client);
    let found = |url: &str| {
        let targets = client.api(url, "targets", &[("state", "any")]);
        let (active, dropped) = (&targets["activeTargets"], &targets["droppedTargets"]);
        let all = [active, dropped].into_iter().flat_map(|list| list.as_array().expect("a list").clone());
        let is_of_engine = |name: &String| name == "__address__" || name.starts_with("__meta_docker_");
        let labels = all.map(|target| {
            let labels = target["discoveredLabels"].as_object().expect("labels").clone();
            labels.into_iter().filter(|(name, _)| is_of_engine(name)).collect::<BTreeMap<String, Value>>()
        });
        labels.collect::<Vec<_>>()
    };
    let theirs = wait_for("the targets of Prometheus", || {
        let theirs = found(&prometheus.url);
        (theirs.len() >= 6).then_some(theirs)
    });
    let ours = found(url);
    assert_eq!(ours.len(), theirs.len(), "{ours:#?} {theirs:#?}");
    for target in &theirs {
        // Older versions know fewer labels.
        let has_all = |own: &&BTreeMap<String, Value>| {
            target.iter().all(|(name, value)| own.get(name) == Some(value) || value == "")
        };
        assert!(ours.iter().find(has_all).is_some(), "{target:#?} is not among {ours:#?}");
    }
    println!("{} targets have the labels that Prometheus finds", theirs.len());
}

#[test]
fn the_image_gallery_in_containers() {
    if !is_wanted() {
        println!("skipped: it starts a container engine; set EMBERKEEP_CONTAINERS=1 to run it");
        return;
    }
    for (tool, package) in TOOLS {
        let found = Command::new(tool).arg("--version").output().is_ok();
        assert!(found, "{tool} is missing; Debian has it in the package {package}");
    }
    let dir = tempfile::tempdir().expect("a folder");
    let dir = dir.path();
    let port =
        std::net::TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a port").port();
    write_files(dir, port);
    let service = dir.join("service");
    run(Command::new("rustc")
        .args(["--edition", "2024", "-O", "-C", "target-feature=+crt-static", "-o"])
        .arg(&service)
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/containers/service.rs")));
    let Some(engine) = Engine::start(dir) else { return };
    for (image, path) in
        [("gallery", "/metrics"), ("iotd", "/actuator/prometheus"), ("accesslog", "/metrics")]
    {
        let entrypoint = format!("[\"/service\", \"{path}\", \"{image}_requests\"]");
        engine.import(dir, &format!("{image}:test"), &[("service".into(), service.clone())], &entrypoint);
    }
    let program = PathBuf::from(env!("CARGO_BIN_EXE_emberkeep"));
    let small = dir.join("emberkeep");
    run(Command::new("strip").arg("-o").arg(&small).arg(&program));
    let mut files = libraries(&program);
    files.push(("emberkeep".into(), small));
    engine.import(dir, "emberkeep:test", &files, "[\"/emberkeep\"]");

    engine.scale(3);
    let (client, url) = (Client::new(), format!("http://127.0.0.1:{port}"));
    let is_ready = || client.get(&format!("{url}/-/ready")).is_ok_and(|(status, _)| status == 200);
    wait_for("the server", || is_ready().then_some(()));
    let up = |selector: &str| client.vector(&url, &format!("up{selector} == 1"));
    wait_for("six targets up", || (up("").len() == 6).then_some(()));
    let jobs: BTreeSet<String> = up("").iter().map(|(labels, _)| labels["job"].to_string()).collect();
    assert_eq!(Vec::from_iter(jobs), ["\"access-log\"", "\"docker\"", "\"image-gallery\"", "\"iotd-api\""]);
    assert_eq!(up("{job=\"docker\"}")[0].0["instance"], "DOCKER_HOST:9323");
    assert_eq!(client.vector(&url, "engine_daemon_engine_info").len(), 1);
    assert_eq!(client.vector(&url, "iotd_requests_total").len(), 1);
    let host = follow_engine(&engine, dir);
    let found = || scraped(&client, &host.url);
    wait_for("three containers", || (found().len() == 3).then_some(()));
    same_as_prometheus(&engine, dir, &client, &host.url);
    // A refresh every five seconds and a scrape every three, and some time for the machine.
    let patience = Duration::from_secs(5 + 3 + 4);
    for instances in [5, 1] {
        engine.scale(instances);
        let scaled = Instant::now();
        wait_for("the containers that the engine tells of", || {
            (found().len() == usize::from(instances)).then_some(())
        });
        println!("{instances} containers are known {:?} after compose is done", scaled.elapsed());
        // The engine tells of them; the next look without that is an hour away.
        assert!(
            scaled.elapsed() < Duration::from_secs(5),
            "{instances} containers after {:?}",
            scaled.elapsed()
        );
        wait_for("the scaled service", || {
            (up("{job=\"access-log\"}").len() == usize::from(instances)).then_some(())
        });
        println!("{instances} instances are seen {:?} after compose is done", scaled.elapsed());
        assert!(scaled.elapsed() < patience, "{instances} instances after {:?}", scaled.elapsed());
    }
    wait_for("a sum of rates", || {
        let sum = client.vector(&url, "sum(rate(accesslog_requests_total[1m]))");
        sum.first().is_some_and(|(_, rate)| *rate > 0.0).then_some(())
    });

    // The history is in a volume: a container that is made anew has it.
    let history =
        || client.vector(&url, "count_over_time(up{job=\"iotd-api\"}[1h])").first().map(|(_, count)| *count);
    let before = history().expect("history");
    run(engine.compose().args(["kill", "emberkeep"]));
    run(engine.compose().args(["up", "-d", "--no-build", "--force-recreate", "--no-deps", "emberkeep"]));
    wait_for("the history after a kill", || {
        (is_ready() && history().is_some_and(|now| now >= before)).then_some(())
    });
}
