//! A catalog that changes.

use std::sync::Mutex;

use tokio::sync::watch;

use super::*;
use crate::discovery::fake::{Found, Reply, Request, serve};
use crate::util::lock::lock;

/// Services with the ports of their instances, and the number of the state they are in.
type State = (u64, BTreeMap<&'static str, Vec<u16>>);

fn parameter(path: &str, name: &str) -> Option<String> {
    let query = path.split_once('?')?.1;
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    pairs.filter(|(key, _)| *key == name).map(|(_, value)| value.to_owned()).next()
}

async fn consul(mut state: watch::Receiver<State>, request: Request, seen: Arc<Mutex<Vec<String>>>) -> Reply {
    lock(&seen).push(request.path.clone());
    assert!(
        request.head.iter().any(|line| line.eq_ignore_ascii_case("x-consul-token: geheim")),
        "{request:?}"
    );
    if request.path == "/c/v1/agent/self" {
        return Reply::json(r#"{"Config": {"Datacenter": "dc1"}}"#);
    }
    let index: u64 = parameter(&request.path, "index").and_then(|text| text.parse().ok()).expect("an index");
    let (now, services) = state.wait_for(|(now, _)| *now != index).await.expect("open").clone();
    let path = request.path.split('?').next().unwrap_or_default();
    let body = match path.strip_prefix("/c/v1/health/service/") {
        None => {
            assert_eq!(path, "/c/v1/catalog/services");
            let all = services.keys().map(|name| {
                let tags = if *name == "other" { "[]" } else { r#"["a", "b"]"# };
                format!("{name:?}: {tags}")
            });
            format!("{{{}}}", all.collect::<Vec<_>>().join(","))
        }
        Some(name) => {
            let ports = services.get(name).cloned().unwrap_or_default();
            let all = ports.iter().map(|port| {
                format!(
                    r#"{{"Node": {{"Node": "n", "Address": "10.0.0.1", "Datacenter": "dc1", "Meta": {{"a-b": "c"}},
                        "TaggedAddresses": {{"lan": "10.0.0.1"}}}},
                    "Service": {{"ID": "id{port}", "Service": "{name}", "Address": "", "Port": {port}, "Tags": ["a", "b"],
                        "Meta": {{"x.y": "z"}}}},
                    "Checks": [{{"CheckID": "c", "Status": "passing"}}, {{"CheckID": "d", "Status": "warning"}}]}}"#
                )
            });
            format!("[{}]", all.collect::<Vec<_>>().join(","))
        }
    };
    Reply::json(body).with("X-Consul-Index", now)
}

#[tokio::test]
async fn services_and_their_instances_are_followed() {
    let (state, watched) =
        watch::channel::<State>((1, BTreeMap::from([("web", vec![80, 81]), ("other", vec![90])])));
    let seen: Arc<Mutex<Vec<String>>> = Arc::default();
    let requests = Arc::clone(&seen);
    let address = serve(move |request| consul(watched.clone(), request, Arc::clone(&requests))).await;
    let mut found = Found::start(&format!(
        "consul_sd_configs: [{{server: '{address}', path_prefix: /c, token: geheim, tags: [a, b], namespace: n s, \
         node_meta: {{k: v}}, health_filter: 'a == b', refresh_interval: 10ms}}]"
    ));
    assert_eq!(found.addresses(2).await, ["10.0.0.1:80", "10.0.0.1:81"]);
    let groups = found.until(|groups| groups.len() == 1).await;
    let (group, target) = (&groups[0], &groups[0].targets[0]);
    assert_eq!(group.labels.get("__meta_consul_service"), Some("web"));
    assert_eq!(group.labels.get("__meta_consul_dc"), Some("dc1"));
    for (name, value) in [
        ("address", "10.0.0.1"),
        ("node", "n"),
        ("tags", ",a,b,"),
        ("service_port", "80"),
        ("service_id", "id80"),
        ("health", "warning"),
        ("metadata_a_b", "c"),
        ("service_metadata_x_y", "z"),
        ("tagged_address_lan", "10.0.0.1"),
    ] {
        assert_eq!(target.get(&format!("__meta_consul_{name}")), Some(value), "{name}");
    }
    // Instances change, services come and go.
    state.send_replace((2, BTreeMap::from([("web", vec![82]), ("more", vec![70])])));
    found
        .until(|groups| groups.iter().map(|group| &*group.source).collect::<Vec<_>>() == ["more", "web"])
        .await;
    state.send_replace((3, BTreeMap::from([("more", vec![70, 71, 73])])));
    found.is(&["10.0.0.1:70", "10.0.0.1:71", "10.0.0.1:73"]).await;
    // A server that was put back counts from the beginning.
    state.send_replace((1, BTreeMap::from([("more", vec![72])])));
    found.is(&["10.0.0.1:72"]).await;
    let seen = lock(&seen).clone();
    let health = seen.iter().find(|path| path.starts_with("/c/v1/health/service/web?")).expect("asked");
    for part in [
        "index=0",
        "wait=120000ms",
        "stale=",
        "tag=a&tag=b",
        "ns=n+s",
        "node-meta=k%3Av",
        "filter=a+%3D%3D+b",
    ] {
        assert!(health.contains(part), "{health} lacks {part}");
    }
    found.manager.stop().await;
}

#[tokio::test]
async fn what_the_server_refuses_is_told() {
    let address = serve(async |_| Reply::status("403 Forbidden", "ACL not found")).await;
    let found = Found::start(&format!(
        "consul_sd_configs: [{{server: '{address}', datacenter: d, services: [web]}}]"
    ));
    let error = found.error().await;
    assert_eq!(error, "service \"web\": server returned HTTP status 403 Forbidden: ACL not found");
}

#[test]
fn the_worst_check_counts() {
    let check = |statuses: &[(&str, &str)]| {
        let checks =
            statuses.iter().map(|(id, status)| Check { id: (*id).to_owned(), status: (*status).to_owned() });
        health(&checks.collect::<Vec<_>>())
    };
    assert_eq!(check(&[]), "passing");
    assert_eq!(check(&[("a", "critical"), ("b", "warning")]), "critical");
    assert_eq!(check(&[("_service_maintenance:x", "critical"), ("b", "critical")]), "maintenance");
    assert_eq!(check(&[("a", "odd")]), "");
}

#[tokio::test]
async fn a_service_is_well_again_though_nothing_has_changed() {
    let asked = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let address = serve(move |_| {
        let number = asked.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        std::future::ready(match number {
            1 => Reply::status("500 Internal Server Error", "no"),
            _ => Reply::json("[]").with("X-Consul-Index", 7),
        })
    })
    .await;
    let config = format!("{{server: '{address}', datacenter: d, services: [web], refresh_interval: 10ms}}");
    let found = Found::start(&format!("consul_sd_configs: [{config}]"));
    assert!(found.error().await.contains("500"));
    found.well().await;
}

#[tokio::test]
async fn the_token_goes_to_no_other_host() {
    let (told, mut heads) = tokio::sync::mpsc::unbounded_channel();
    let other = serve(move |request: Request| {
        told.send(request.head).expect("waited for");
        std::future::ready(Reply::json("[]"))
    })
    .await;
    let address = serve(move |request| {
        let there = format!("http://{}{}", other.replace("127.0.0.1", "localhost"), request.path);
        std::future::ready(Reply::status("307 Temporary Redirect", "").with("Location", there))
    })
    .await;
    let config = format!("{{server: '{address}', token: geheim, datacenter: d, services: [web]}}");
    let found = Found::start(&format!("consul_sd_configs: [{config}]"));
    let head = heads.recv().await.expect("a request");
    assert!(head.iter().any(|line| line.to_lowercase().starts_with("user-agent: ")), "{head:?}");
    assert!(!head.iter().any(|line| line.contains("geheim")), "{head:?}");
    found.manager.stop().await;
}
