//! What an engine says becomes targets, and what it tells is followed.

use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::{broadcast, mpsc};

use super::*;
use crate::config::{Config, LoadOptions, MechanismConfig, parse};
use crate::discovery::fake::{Found, Reply, Request, serve_behind};
use crate::net::SystemResolver;

fn config(more: &str) -> DockerSdConfig {
    let text = format!("scrape_configs: [{{job_name: j, docker_sd_configs: [{{host: 'unix:///s'{more}}}]}}]");
    let config: Config = parse(&text, "f", &LoadOptions::default()).expect("valid");
    let MechanismConfig::Docker(config) = config.scrape_configs[0].discovery.mechanisms[0].clone() else {
        panic!("docker")
    };
    *config
}

const NETWORKS: &str = r#"[
    {"Id": "n1", "Name": "front", "Scope": "local", "Internal": false, "Ingress": false, "Labels": {"a.b": "c"}},
    {"Id": "n2", "Name": "back", "Scope": "local", "Internal": true, "Labels": null}]"#;

fn found(config: &DockerSdConfig, containers: &str) -> Vec<Labels> {
    let containers: Vec<Container> = serde_json::from_str(containers).expect("containers");
    let networks: Vec<Network> = serde_json::from_str(NETWORKS).expect("networks");
    let labels = |network: Network| {
        let name = [("__meta_docker_network_name", network.name.as_str())];
        (network.id.clone(), Labels::from_pairs(name))
    };
    let networks: HashMap<String, Labels> = networks.into_iter().map(labels).collect();
    targets(config, &containers, &networks).targets
}

fn addresses(targets: &[Labels]) -> Vec<&str> {
    let mut out: Vec<&str> = targets.iter().filter_map(|target| target.get("__address__")).collect();
    out.sort_unstable();
    out
}

#[test]
fn each_tcp_port_of_a_container_is_a_target() {
    let containers = r#"[{"Id": "c1", "Names": ["/web", "/other/web"], "Image": "web:1", "ImageID": "sha256:1",
        "Labels": {"com.docker.compose.service": "web"}, "HostConfig": {"NetworkMode": "front"},
        "NetworkSettings": {"Networks": {
            "front": {"NetworkID": "n1", "IPAddress": "10.0.0.2", "GlobalIPv6Address": ""},
            "back": {"NetworkID": "n2", "IPAddress": "", "GlobalIPv6Address": "fd00::2"}}},
        "Ports": [{"IP": "0.0.0.0", "PrivatePort": 80, "PublicPort": 8080, "Type": "tcp"},
            {"PrivatePort": 90, "Type": "tcp"}, {"PrivatePort": 53, "Type": "udp"}]}]"#;
    // Of several networks it is the first by name, unless all are wanted.
    let targets = found(&config(""), containers);
    assert_eq!(addresses(&targets), ["[fd00::2]:80", "[fd00::2]:90"]);
    let targets = found(&config(", match_first_network: false"), containers);
    assert_eq!(addresses(&targets), ["10.0.0.2:80", "10.0.0.2:90", "[fd00::2]:80", "[fd00::2]:90"]);
    let target =
        targets.iter().find(|target| target.get("__address__") == Some("10.0.0.2:80")).expect("there");
    for (name, value) in [
        ("container_id", "c1"),
        ("container_name", "/web"),
        ("container_image", "web:1"),
        ("container_image_id", "sha256:1"),
        ("container_network_mode", "front"),
        ("container_label_com_docker_compose_service", "web"),
        ("network_ip", "10.0.0.2"),
        ("network_name", "front"),
        ("port_private", "80"),
        ("port_public", "8080"),
        ("port_public_ip", "0.0.0.0"),
    ] {
        assert_eq!(target.get(&format!("__meta_docker_{name}")), Some(value), "{name}");
    }
}

#[test]
fn containers_without_ports_or_networks_of_their_own_are_targets_too() {
    let containers = r#"[
        {"Id": "c1", "Names": ["/none"], "HostConfig": {"NetworkMode": "front"}, "Ports": [],
            "NetworkSettings": {"Networks": {"front": {"NetworkID": "n1", "IPAddress": "10.0.0.2"}}}},
        {"Id": "c2", "Names": ["/host"], "HostConfig": {"NetworkMode": "host"}, "Ports": null,
            "NetworkSettings": {"Networks": {"host": {"NetworkID": "n3", "IPAddress": ""}}}},
        {"Id": "c3", "Names": ["/shares"], "HostConfig": {"NetworkMode": "container:c1"},
            "NetworkSettings": {"Networks": {}}, "Ports": [{"PrivatePort": 70, "Type": "tcp"}]},
        {"Id": "c4", "Names": ["/circle"], "HostConfig": {"NetworkMode": "container:c4"},
            "NetworkSettings": {"Networks": null}},
        {"Id": "c5", "Names": []}, {"Id": "c6", "Names": ["/odd"], "NetworkSettings": {"Networks": {"x": null}}}]"#;
    let targets = found(&config(", port: 81, host_networking_host: h:1"), containers);
    assert_eq!(addresses(&targets), ["10.0.0.2:70", "10.0.0.2:81", "h:1"]);
}

/// An engine with so many containers, which tells of each change.
fn engine(containers: &AtomicUsize, told: &broadcast::Sender<()>, request: &Request) -> Reply {
    let body = match request.path.as_str() {
        "/_ping" => "OK".to_owned(),
        "/v1.44/networks" => NETWORKS.to_owned(),
        "/v1.44/containers/json?filters=%7B%22label%22%3A%5B%22a%22%5D%7D" => {
            let one = |at| {
                format!(
                    r#"{{"Id": "c{at}", "Names": ["/c{at}"], "HostConfig": {{"NetworkMode": "front"}}, "NetworkSettings":
                    {{"Networks": {{"front": {{"NetworkID": "n1", "IPAddress": "10.0.0.{at}"}}}}}}}}"#
                )
            };
            let all: Vec<String> = (0..containers.load(Ordering::SeqCst)).map(one).collect();
            format!("[{}]", all.join(","))
        }
        path if path.starts_with("/v1.44/events?filters=%7B%22type") => {
            let (pieces, receiver) = mpsc::unbounded_channel();
            let mut told = told.subscribe();
            tokio::spawn(async move {
                while told.recv().await.is_ok() && pieces.send("{\"Type\":1}\n".to_owned()).is_ok() {}
            });
            return Reply::pieces(receiver);
        }
        path => panic!("{path} is not asked for"),
    };
    Reply::json(body).with("Api-Version", "1.44")
}

#[tokio::test]
async fn what_the_engine_tells_is_asked_for_at_once() {
    let dir = tempfile::tempdir().expect("a folder");
    let socket = dir.path().join("engine.sock");
    let (count, (told, _)) = (Arc::new(AtomicUsize::new(2)), broadcast::channel(16));
    let (containers, events) = (Arc::clone(&count), told.clone());
    serve_behind(&socket, move |request| std::future::ready(engine(&containers, &events, &request)));
    let mut found = Found::start(&format!(
        "docker_sd_configs: [{{host: 'unix://{}', filters: [{{name: label, values: [a]}}], refresh_interval: 1h}}]",
        socket.display()
    ));
    assert_eq!(found.addresses(2).await, ["10.0.0.0:80", "10.0.0.1:80"]);
    let groups = found.until(|groups| groups.len() == 1).await;
    let target = &groups[0].targets[0];
    for (name, value) in
        [("name", "front"), ("id", "n1"), ("label_a_b", "c"), ("internal", "false"), ("scope", "local")]
    {
        assert_eq!(target.get(&format!("__meta_docker_network_{name}")), Some(value), "{name}");
    }
    // Nothing but what the engine tells can bring this within the hour.
    for containers in [5, 1, 0] {
        count.store(containers, Ordering::SeqCst);
        told.send(()).expect("the events are followed");
        found.addresses(containers).await;
    }
    let status = found.manager.status();
    assert_eq!((status["j"][0].mechanism, &status["j"][0].health.last_error), ("docker", &None));
    found.manager.stop().await;
}

#[tokio::test]
async fn an_engine_that_is_not_there_is_a_failure_that_says_so() {
    let dir = tempfile::tempdir().expect("a folder");
    let config = config("");
    let socket = format!("unix://{}", dir.path().join("none.sock").display());
    let dialer = Arc::new(Dialer::new(Arc::new(SystemResolver::new(None))));
    let engine = Engine::new(&socket, &config.http, &[], &dialer).expect("a client");
    let error = Containers(config).targets(&engine).await.expect_err("nobody listens").to_string();
    assert!(error.starts_with("cannot connect to ") && error.contains("none.sock"), "{error}");
}
