//! Replies to discoveries: a server on loopback answers whatever is asked with the input, and each mechanism finds
//! targets or says why not.
#![no_main]

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use emberkeep::config::{LoadOptions, parse};
use emberkeep::discovery::{DiscoveryManager, DiscoveryMetrics, SetConfig};
use emberkeep::net::{Dialer, SystemResolver};
use emberkeep::telemetry::Registry;
use emberkeep_fuzz::{seeds, within};
use libfuzzer_sys::fuzz_target;

/// What divides an input into the replies to one path after the other.
const BETWEEN: u8 = 0xff;
/// No reply takes longer to read.
const PATIENCE: Duration = Duration::from_secs(5);

/// Sections of a job; `ADDRESS` is that of the server, `NUMBER` another one for each input.
const SECTIONS: [&str; 15] = [
    "http_sd_configs: [{url: 'http://ADDRESS/NUMBER'}]",
    "consul_sd_configs: [{server: ADDRESS, datacenter: d, path_prefix: /NUMBER}]",
    "consul_sd_configs: [{server: ADDRESS, services: [a], path_prefix: /NUMBER}]",
    "docker_sd_configs: [{host: 'tcp://ADDRESS', port: NUMBER}]",
    "dockerswarm_sd_configs: [{host: 'tcp://ADDRESS', port: NUMBER, role: services}]",
    "dockerswarm_sd_configs: [{host: 'tcp://ADDRESS', port: NUMBER, role: tasks}]",
    "dockerswarm_sd_configs: [{host: 'tcp://ADDRESS', port: NUMBER, role: nodes}]",
    "eureka_sd_configs: [{server: 'http://ADDRESS/NUMBER'}]",
    "nomad_sd_configs: [{server: 'http://ADDRESS/NUMBER'}]",
    "ec2_sd_configs: [{endpoint: 'http://ADDRESS/NUMBER', region: r, access_key: a, secret_key: b}]",
    "kubernetes_sd_configs: [{api_server: 'http://ADDRESS/NUMBER', role: pod}]",
    "kubernetes_sd_configs: [{api_server: 'http://ADDRESS/NUMBER', role: endpointslice}]",
    "kubernetes_sd_configs: [{api_server: 'http://ADDRESS/NUMBER', role: service}]",
    "kubernetes_sd_configs: [{api_server: 'http://ADDRESS/NUMBER', role: ingress}]",
    "kubernetes_sd_configs: [{api_server: 'http://ADDRESS/NUMBER', role: node}]",
];

/// What is answered.
#[derive(Default)]
struct Replies {
    /// The replies, one path after the other.
    parts: Vec<Vec<u8>>,
    /// Paths that were asked for, without what varies.
    paths: Vec<String>,
}

struct World {
    runtime: tokio::runtime::Runtime,
    manager: DiscoveryManager,
    address: String,
    replies: Arc<Mutex<Replies>>,
}

static WORLD: OnceLock<World> = OnceLock::new();

fn world() -> &'static World {
    WORLD.get_or_init(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("runtime");
        let listener = TcpListener::bind("127.0.0.1:0").expect("listens");
        let address = listener.local_addr().expect("address").to_string();
        let replies = Arc::<Mutex<Replies>>::default();
        let shared = Arc::clone(&replies);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let replies = Arc::clone(&shared);
                std::thread::spawn(move || answer(&stream, &replies));
            }
        });
        let manager = runtime.block_on(async {
            let resolver = Arc::new(SystemResolver::new(None));
            let dialer = Arc::new(Dialer::new(resolver.clone()));
            let metrics = DiscoveryMetrics::new(&mut Registry::default());
            DiscoveryManager::new("scrape", resolver, dialer, metrics)
        });
        World { runtime, manager, address, replies }
    })
}

fn answer(stream: &TcpStream, replies: &Mutex<Replies>) -> Option<()> {
    let mut reader = BufReader::new(stream);
    loop {
        let mut first = String::new();
        if reader.read_line(&mut first).ok()? == 0 {
            return None;
        }
        let mut length = 0;
        loop {
            let mut header = String::new();
            if reader.read_line(&mut header).ok()? <= 2 {
                break;
            }
            if let Some(value) = header.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().ok()?;
            }
        }
        std::io::copy(&mut std::io::Read::take(&mut reader, length), &mut std::io::sink()).ok()?;
        let target = first.split(' ').nth(1)?;
        let path: String = target.split('?').next()?.chars().filter(|c| !c.is_ascii_digit()).collect();
        let body = {
            let mut replies = replies.lock().ok()?;
            let at = replies.paths.iter().position(|known| *known == path).unwrap_or_else(|| {
                replies.paths.push(path);
                replies.paths.len() - 1
            });
            let at = at.min(replies.parts.len().saturating_sub(1));
            replies.parts.get(at).cloned().unwrap_or_default()
        };
        let mut writer = stream;
        let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nX-Consul-Index: 7\r\nContent-Length: ";
        write!(writer, "{head}{}\r\n\r\n", body.len()).ok()?;
        writer.write_all(&body).ok()?;
    }
}

fn look(section: &str, data: &[u8], number: u64) {
    let world = world();
    {
        let mut replies = world.replies.lock().expect("not poisoned");
        replies.parts = data.split(|byte| *byte == BETWEEN).map(<[u8]>::to_vec).collect();
        replies.paths.clear();
    }
    let section = section.replace("ADDRESS", &world.address).replace("NUMBER", &number.to_string());
    let text = format!("scrape_configs:\n- job_name: j\n  {section}\n");
    let config = parse(&text, "f.yml", &LoadOptions::default()).unwrap_or_else(|e| panic!("{text}: {e}"));
    world.runtime.block_on(async {
        let prepared = world.manager.prepare(SetConfig::of_jobs(&config)).expect("clients");
        world.manager.commit(prepared);
        let begun = Instant::now();
        loop {
            let status = world.manager.status();
            let health = &status["j"][0].health;
            if health.last_refresh_ms.is_some() || health.last_error.is_some() {
                return;
            }
            assert!(begun.elapsed() < PATIENCE, "no outcome");
            tokio::time::sleep(Duration::from_micros(50)).await;
        }
    });
}

fuzz_target!(
    init: seeds::write(made_seeds()),
    |data: &[u8]| {
        static NUMBER: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
        let Some((choice, rest)) = data.split_first() else { return };
        let section = SECTIONS[usize::from(*choice) % SECTIONS.len()];
        let number = NUMBER.fetch_add(1, std::sync::atomic::Ordering::Relaxed) % 60_000;
        within(256, || look(section, rest, number + 1));
    }
);

/// A reply, or several, that each section takes.
fn made_seeds() -> Vec<Vec<u8>> {
    let seed = |choice: usize, parts: &[&str]| {
        let mut bytes = vec![u8::try_from(choice).expect("few")];
        for (at, part) in parts.iter().enumerate() {
            if at > 0 {
                bytes.push(BETWEEN);
            }
            bytes.extend_from_slice(part.as_bytes());
        }
        bytes
    };
    let health = r#"[{"Node":{"Node":"n","Address":"10.0.0.1","Datacenter":"d","Meta":{"m":"v"},"TaggedAddresses":{"lan":"10.0.0.1"}},
        "Service":{"ID":"i","Service":"a","Address":"10.0.0.2","Port":80,"Tags":["t"],"Meta":{"k":"v"}},
        "Checks":[{"Status":"passing"}]}]"#;
    let containers = r#"[{"Id":"c","Names":["/n"],"Labels":{"a":"b"},"Ports":[{"IP":"0.0.0.0","PrivatePort":80,"PublicPort":8080,
        "Type":"tcp"}],"HostConfig":{"NetworkMode":"bridge"},"NetworkSettings":{"Networks":{"bridge":{"NetworkID":"x",
        "IPAddress":"172.17.0.2"}}},"State":"running"}]"#;
    let networks = r#"[{"Id":"x","Name":"bridge","Scope":"local","Internal":false,"Ingress":false,"Labels":{}}]"#;
    let services = r#"[{"ID":"s","Spec":{"Name":"web","Labels":{},"TaskTemplate":{"ContainerSpec":{"Image":"i"},"Networks":[]},
        "Mode":{"Replicated":{"Replicas":1}}},"Endpoint":{"Ports":[{"Protocol":"tcp","TargetPort":80,"PublishedPort":80}],
        "VirtualIPs":[{"NetworkID":"x","Addr":"10.0.0.3/24"}]}}]"#;
    let tasks = r#"[{"ID":"t","NodeID":"n","ServiceID":"s","Slot":1,"Status":{"State":"running","ContainerStatus":{"ContainerID":"c"},
        "PortStatus":{}},"DesiredState":"running","Spec":{"ContainerSpec":{"Image":"i","Labels":{}}},
        "NetworksAttachments":[{"Network":{"ID":"x"},"Addresses":["10.0.0.4/24"]}]}]"#;
    let nodes = r#"[{"ID":"n","Spec":{"Role":"manager","Availability":"active","Labels":{}},"Description":{"Hostname":"h",
        "Platform":{"Architecture":"x86_64","OS":"linux"},"Engine":{"EngineVersion":"1"}},"Status":{"State":"ready","Addr":"10.0.0.5"},
        "ManagerStatus":{"Leader":true,"Reachability":"reachable","Addr":"10.0.0.5:2377"}}]"#;
    let eureka = "<applications><application><name>A</name><instance><instanceId>i</instanceId><hostName>h</hostName>\
        <port enabled=\"true\">80</port><metadata><a>b</a></metadata><dataCenterInfo><name>MyOwn</name></dataCenterInfo>\
        </instance></application></applications>";
    let nomad = r#"[{"Namespace":"default","Services":[{"ServiceName":"a","Tags":[]}]}]"#;
    let nomad_service = r#"[{"ID":"i","ServiceName":"a","Address":"10.0.0.1","Port":80,"Tags":["t"],"Datacenter":"d","NodeID":"n",
        "JobID":"j","Namespace":"default"}]"#;
    let instances = "<DescribeInstancesResponse><reservationSet><item><ownerId>o</ownerId><instancesSet><item><instanceId>i</instanceId>\
        <privateIpAddress>10.0.0.1</privateIpAddress><placement><availabilityZone>z</availabilityZone></placement>\
        <tagSet><item><key>k</key><value>v</value></item></tagSet><networkInterfaceSet><item><subnetId>s</subnetId></item>\
        </networkInterfaceSet></item></instancesSet></item></reservationSet></DescribeInstancesResponse>";
    let list = |kind: &str, object: &str| {
        format!(
            r#"{{"kind":"{kind}List","apiVersion":"v1","metadata":{{"resourceVersion":"1"}},"items":[{{"metadata":{{"name":"n",
            "namespace":"default","uid":"u","labels":{{"a":"b"}},"annotations":{{"c":"d"}}}},{object}}}]}}"#
        )
    };
    let pod = list(
        "Pod",
        r#""spec":{"nodeName":"w","containers":[{"name":"c","image":"i","ports":[{"name":"p","containerPort":80,"protocol":"TCP"}]}]},
        "status":{"phase":"Running","podIP":"10.1.0.1","hostIP":"10.0.0.1","conditions":[{"type":"Ready","status":"True"}],
        "containerStatuses":[{"name":"c","containerID":"d"}]}"#,
    );
    let slice = list(
        "EndpointSlice",
        r#""addressType":"IPv4","endpoints":[{"addresses":["10.1.0.1"],"conditions":{"ready":true},"targetRef":{"kind":"Pod","name":"n",
        "namespace":"default"}}],"ports":[{"name":"p","port":80,"protocol":"TCP"}]"#,
    );
    let service = list(
        "Service",
        r#""spec":{"type":"ClusterIP","clusterIP":"10.2.0.1","ports":[{"name":"p","port":80,"protocol":"TCP"}]}"#,
    );
    let ingress = list(
        "Ingress",
        r#""spec":{"rules":[{"host":"h","http":{"paths":[{"path":"/","backend":{}}]}}],"tls":[{"hosts":["h"]}]}"#,
    );
    let node = list(
        "Node",
        r#""spec":{"providerID":"p"},"status":{"addresses":[{"type":"InternalIP","address":"10.0.0.1"}],
        "daemonEndpoints":{"kubeletEndpoint":{"Port":10250}}}"#,
    );
    vec![
        seed(0, &[r#"[{"targets":["a:1","b"],"labels":{"x":"y"}}]"#]),
        seed(1, &[r#"{"a":["t"]}"#, health]),
        seed(2, &[r#"{"Config":{"Datacenter":"d"}}"#, health]),
        seed(3, &[networks, containers]),
        seed(3, &[containers, networks]),
        seed(4, &[services, networks]),
        seed(5, &[tasks, services, nodes, networks]),
        seed(6, &[nodes, networks]),
        seed(7, &[eureka]),
        seed(8, &[nomad, nomad_service]),
        seed(9, &[instances]),
        seed(10, &[&pod]),
        seed(11, &[&slice, &service, &pod]),
        seed(12, &[&service]),
        seed(13, &[&ingress]),
        seed(14, &[&node]),
    ]
}
