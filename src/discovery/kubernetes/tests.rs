//! A cluster that changes, breaks and comes back.

use serde_json::{Value, json};

use super::fake_api::FakeApi;
use crate::discovery::fake::{Found, Reply, serve};

const PODS: &str = "/api/v1/pods";
const NODES: &str = "/api/v1/nodes";
const NAMESPACES: &str = "/api/v1/namespaces";
const SERVICES: &str = "/api/v1/services";
const ENDPOINTS: &str = "/api/v1/endpoints";

fn start(api: &FakeApi, config: &str) -> Found {
    Found::start(&format!("kubernetes_sd_configs: [{{api_server: 'http://{}', {config}}}]", api.address))
}

fn pod(name: &str, ip: &str) -> Value {
    json!({
        "metadata": {"name": name, "namespace": "a", "labels": {"app": name}},
        "spec": {"nodeName": "n", "containers": [{"name": "c", "ports": [{"containerPort": 80}]}]},
        "status": {"podIP": ip, "phase": "Running"},
    })
}

fn service(name: &str, port: u16) -> Value {
    json!({"metadata": {"name": name, "namespace": "a"}, "spec": {"ports": [{"port": port}]}})
}

/// Waits until the first target has the label.
async fn labelled(found: &mut Found, name: &str, value: Option<&str>) {
    let name = format!("__meta_kubernetes_{name}");
    found
        .until(|groups| {
            groups
                .first()
                .is_some_and(|group| group.targets[0].get(&name).or_else(|| group.labels.get(&name)) == value)
        })
        .await;
}

#[tokio::test]
async fn all_pages_are_read_and_changes_followed() {
    let api = FakeApi::start().await;
    for n in 1..=5 {
        api.put(PODS, pod(&format!("p{n}"), &format!("10.0.0.{n}")));
    }
    let version = api.version();
    let mut found = start(&api, "role: pod");
    found.is(&["10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80", "10.0.0.4:80", "10.0.0.5:80"]).await;
    api.wait_for("watch=true", 1).await;
    assert_eq!(
        api.requests(PODS),
        [
            "/api/v1/pods?limit=500".to_owned(),
            "/api/v1/pods?limit=500&continue=2".to_owned(),
            "/api/v1/pods?limit=500&continue=4".to_owned(),
            format!(
                "/api/v1/pods?watch=true&allowWatchBookmarks=true&resourceVersion={version}&timeoutSeconds=240"
            ),
        ]
    );
    for n in 2..=5 {
        api.delete(PODS, &pod(&format!("p{n}"), ""));
    }
    api.put(PODS, pod("p1", "10.0.1.1"));
    api.put(PODS, pod("p6", "10.0.0.6"));
    found.is(&["10.0.0.6:80", "10.0.1.1:80"]).await;
    let groups = found.until(|groups| groups.len() == 2).await;
    assert_eq!(groups.iter().map(|group| &*group.source).collect::<Vec<_>>(), ["pod/a/p1", "pod/a/p6"]);
    let status = &found.manager.status()["j"][0];
    assert_eq!((status.mechanism, status.targets), ("kubernetes", 2));
    assert_eq!(status.what, format!("pod at http://{}", api.address));
    assert!(status.health.last_error.is_none() && status.health.last_refresh_ms.is_some());
    found.manager.stop().await;
}

#[tokio::test]
async fn a_watch_that_ends_or_breaks_goes_on_where_it_was() {
    let api = FakeApi::start().await;
    api.put(SERVICES, service("s", 1));
    let mut found = start(&api, "role: service");
    found.is(&["s.a.svc:1"]).await;
    api.wait_for("watch=true", 1).await;
    api.put(SERVICES, service("s", 2));
    found.is(&["s.a.svc:2"]).await;
    // Events come in pieces of any size.
    let event = json!({"type": "MODIFIED", "object": service("s", 3)}).to_string();
    let (first, second) = event.split_at(20);
    for piece in [first, second, "\n\n"] {
        api.send_text(SERVICES, piece);
    }
    found.is(&["s.a.svc:3"]).await;
    api.bookmark(SERVICES);
    let version = api.version();
    api.end_watches(SERVICES);
    api.wait_for(&format!("resourceVersion={version}"), 1).await;
    api.put(SERVICES, service("s", 4));
    found.is(&["s.a.svc:4"]).await;
    let version = api.version();
    api.send_text(SERVICES, "{\"type\": \"ADD");
    api.send_text(SERVICES, "");
    // What happens meanwhile is told by the next watch.
    api.put(SERVICES, service("s", 5));
    found.is(&["s.a.svc:5"]).await;
    api.wait_for(&format!("resourceVersion={version}"), 1).await;
    assert_eq!(api.requests("/api/v1/services?limit").len(), 1, "it is listed once");
    assert!(found.manager.status()["j"][0].health.last_error.is_none());
    found.manager.stop().await;
}

#[tokio::test]
async fn a_state_that_is_too_old_is_listed_anew() {
    let api = FakeApi::start().await;
    api.put(SERVICES, service("s", 1));
    api.put(SERVICES, service("t", 1));
    let mut found = start(&api, "role: service");
    found.is(&["s.a.svc:1", "t.a.svc:1"]).await;
    api.wait_for("watch=true", 1).await;
    api.end_watches(SERVICES);
    api.delete(SERVICES, &service("t", 1));
    api.put(SERVICES, service("s", 2));
    api.forget();
    found.is(&["s.a.svc:2"]).await;
    assert!(found.manager.status()["j"][0].health.last_error.is_none(), "that happens now and then");
    // The same where the answer itself says so, and where pages do.
    let version = api.version();
    api.wait_for(&format!("resourceVersion={version}"), 1).await;
    api.refuse(SERVICES, "410 Gone", "{}");
    api.end_watches(SERVICES);
    api.wait_for("limit=500", 3).await;
    api.put(SERVICES, service("u", 3));
    api.put(SERVICES, service("v", 3));
    api.forget_pages();
    api.allow(SERVICES);
    found.is(&["s.a.svc:2", "u.a.svc:3", "v.a.svc:3"]).await;
    assert!(api.requests(SERVICES).contains(&SERVICES.to_owned()), "all at once");
    found.manager.stop().await;
}

#[tokio::test]
async fn lists_tell_what_there_is_where_nothing_can_be_watched() {
    let api = FakeApi::start().await;
    api.put(SERVICES, service("s", 1));
    api.refuse("watch", "504 Gateway Timeout", "");
    let mut found = start(&api, "role: service");
    found.is(&["s.a.svc:1"]).await;
    assert_eq!(found.error().await, "services: server returned HTTP status 504 Gateway Timeout");
    api.put(SERVICES, service("s", 2));
    found.is(&["s.a.svc:2"]).await;
    found.manager.stop().await;
}

#[tokio::test]
async fn what_the_server_refuses_is_told_and_targets_stay() {
    let api = FakeApi::start().await;
    api.put(PODS, pod("p", "10.0.0.1"));
    api.put(NODES, json!({"metadata": {"name": "n"}}));
    let body =
        json!({"kind": "Status", "message": "nodes is forbidden: User \"me\" cannot list it", "code": 403});
    api.refuse(NODES, "403 Forbidden", body.to_string());
    let mut found = start(&api, "role: pod, attach_metadata: {node: true}");
    assert_eq!(
        found.error().await,
        "nodes: server returned HTTP status 403 Forbidden: nodes is forbidden: User \"me\" cannot list it"
    );
    // Pods alone say nothing: their nodes may not be wanted.
    found.is(&[]).await;
    api.allow(NODES);
    found.is(&["10.0.0.1:80"]).await;
    api.wait_for("nodes?watch=true", 1).await;
    assert!(found.manager.status()["j"][0].health.last_error.is_none());
    api.refuse(NODES, "401 Unauthorized", r#"{"message": "Unauthorized"}"#);
    api.end_watches(NODES);
    assert_eq!(found.error().await, "nodes: server returned HTTP status 401 Unauthorized: Unauthorized");
    // Pods are followed nevertheless.
    api.put(PODS, pod("q", "10.0.0.2"));
    found.is(&["10.0.0.1:80", "10.0.0.2:80"]).await;
    found.manager.stop().await;
}

#[tokio::test]
async fn hostile_answers_are_bounded_and_told() {
    for (status, body, expected) in [
        ("200 OK", "no JSON".to_owned(), "services: cannot read the answer: expected ident"),
        ("200 OK", r#"{"items": [{"metadata": {"name": 5}}]}"#.to_owned(), "invalid type: integer `5`"),
        ("200 OK", "[".repeat(100_000), "cannot read the answer: "),
        ("500 Internal Server Error", "x".repeat(1 << 20), "500 Internal Server Error: xxx"),
    ] {
        let api = FakeApi::start().await;
        api.refuse(SERVICES, status, body);
        let found = start(&api, "role: service");
        let error = found.error().await;
        assert!(error.contains(expected) && error.len() < 1000, "{error}");
        found.manager.stop().await;
    }
    let api = FakeApi::start().await;
    api.put(SERVICES, service("s", 1));
    let mut found = start(&api, "role: service");
    found.is(&["s.a.svc:1"]).await;
    for (text, expected) in [
        ("no JSON\n".to_owned(), "cannot read what the server tells: expected ident"),
        (json!({"type": "NEW", "object": {}}).to_string() + "\n", "unknown variant `NEW`"),
        (json!({"type": "ERROR", "object": {"code": 500, "message": "boom"}}).to_string() + "\n", "boom"),
        ("x".repeat(17 << 20), "an object is larger than 16777216 bytes"),
    ] {
        let lists = api.requests("/api/v1/services?limit").len();
        let watches = api.requests("/api/v1/services?watch").len();
        api.wait_for("watch=true", lists.max(watches)).await;
        api.send_text(SERVICES, &text);
        let error = found.error_with(expected).await;
        assert!(error.len() < 1000, "{error}");
        api.wait_for("?limit", lists + 1).await;
        found.is(&["s.a.svc:1"]).await;
    }
    found.manager.stop().await;
}

#[tokio::test]
async fn a_server_that_lists_for_ever_is_stopped() {
    let address =
        serve(|_| async { Reply::json(r#"{"metadata": {"continue": "more"}, "items": []}"#) }).await;
    let found =
        Found::start(&format!("kubernetes_sd_configs: [{{api_server: 'http://{address}', role: node}}]"));
    assert_eq!(found.error().await, "nodes: the list is larger than 10000 pages");
    found.manager.stop().await;
}

#[tokio::test]
async fn a_group_changes_with_what_it_refers_to() {
    let api = FakeApi::start().await;
    let address = json!({"ip": "10.0.0.1", "nodeName": "n", "targetRef": {"kind": "Pod", "name": "p", "namespace": "a"}});
    let subsets = json!([{"addresses": [address], "ports": [{"port": 80}]}]);
    api.put(ENDPOINTS, json!({"metadata": {"name": "e", "namespace": "a"}, "subsets": subsets}));
    let all = "role: endpoints, attach_metadata: {node: true, namespace: true, deployment: true}";
    let mut found = start(&api, all);
    found.is(&["10.0.0.1:80"]).await;
    // Objects may come in any order.
    let mut changed = pod("p", "10.0.0.1");
    changed["metadata"]["ownerReferences"] = json!([{"kind": "ReplicaSet", "name": "r", "controller": true}]);
    api.put(PODS, changed.clone());
    labelled(&mut found, "pod_phase", Some("Running")).await;
    changed["status"]["phase"] = "Failed".into();
    api.put(PODS, changed.clone());
    labelled(&mut found, "pod_phase", Some("Failed")).await;
    let owners = json!([{"kind": "Deployment", "name": "d", "controller": true}]);
    api.put(
        "/apis/apps/v1/replicasets",
        json!({"metadata": {"name": "r", "namespace": "a", "ownerReferences": owners}}),
    );
    labelled(&mut found, "pod_deployment_name", Some("d")).await;
    let service = json!({"metadata": {"name": "e", "namespace": "a", "labels": {"s": "1"}}});
    api.put(SERVICES, service.clone());
    labelled(&mut found, "service_label_s", Some("1")).await;
    api.put(NODES, json!({"metadata": {"name": "n", "labels": {"zone": "z"}}}));
    labelled(&mut found, "node_label_zone", Some("z")).await;
    api.put(NAMESPACES, json!({"metadata": {"name": "a", "labels": {"team": "t"}}}));
    labelled(&mut found, "namespace_label_team", Some("t")).await;
    api.delete(SERVICES, &service);
    labelled(&mut found, "service_label_s", None).await;
    api.delete(PODS, &changed);
    labelled(&mut found, "pod_phase", None).await;
    // What has nothing to do with it changes nothing.
    let before = found.until(|groups| groups.len() == 1).await;
    api.put(NODES, json!({"metadata": {"name": "other"}}));
    api.put(ENDPOINTS, json!({"metadata": {"name": "f", "namespace": "a"}, "subsets": subsets}));
    let after = found.until(|groups| groups.len() == 2).await;
    assert!(std::sync::Arc::ptr_eq(&before[0], &after[0]));
    api.delete(ENDPOINTS, &json!({"metadata": {"name": "f", "namespace": "a"}}));
    found.until(|groups| groups.len() == 1).await;
    found.manager.stop().await;
}

#[tokio::test]
async fn pods_go_with_the_nodes_that_are_chosen() {
    let api = FakeApi::start().await;
    api.put(PODS, pod("p", "10.0.0.1"));
    let selectors =
        "selectors: [{role: node, label: 'x in (a, b)', field: 'metadata.name!=m'}, {role: pod, label: y}]";
    let mut found = start(&api, &format!("role: pod, attach_metadata: {{node: true}}, {selectors}"));
    api.wait_for("nodes?watch=true", 1).await;
    api.wait_for("pods?watch=true", 1).await;
    assert_eq!(
        api.requests("/api/v1/nodes?labelSelector"),
        ["/api/v1/nodes?labelSelector=x+in+%28a%2C+b%29&fieldSelector=metadata.name%21%3Dm&limit=500"]
    );
    assert!(api.requests("/api/v1/pods?watch")[0].ends_with("&labelSelector=y"));
    found.is(&[]).await;
    let node = json!({"metadata": {"name": "n"}});
    api.put(NODES, node.clone());
    found.is(&["10.0.0.1:80"]).await;
    api.delete(NODES, &node);
    found.is(&[]).await;
    found.manager.stop().await;
}

#[tokio::test]
async fn only_the_namespaces_that_are_wanted_are_looked_at() {
    let api = FakeApi::start().await;
    let of = |namespace: &str, name: &str| {
        let mut pod = pod(name, &format!("10.0.0.{name}"));
        pod["metadata"]["namespace"] = namespace.into();
        pod
    };
    api.put(PODS, of("a", "1"));
    api.put(PODS, of("b", "2"));
    api.put(PODS, of("c", "3"));
    let mut found = start(&api, "role: pod, namespaces: {names: [b, a, b]}");
    found.is(&["10.0.0.1:80", "10.0.0.2:80"]).await;
    let asked = |namespace: &str| api.requests(&format!("/api/v1/namespaces/{namespace}/pods?limit")).len();
    assert_eq!((asked("a"), asked("b"), asked("c"), api.requests(PODS).len()), (1, 1, 0, 0));
    api.wait_for("/a/pods?watch=true", 1).await;
    api.wait_for("/b/pods?watch=true", 1).await;
    // A list of one namespace says nothing of another; the watches here tell of all, and others are passed over.
    api.put(PODS, of("c", "4"));
    api.end_watches(PODS);
    api.delete(PODS, &of("b", "2"));
    api.forget();
    found.is(&["10.0.0.1:80"]).await;
    found.manager.stop().await;
}

#[tokio::test]
async fn a_kubeconfig_says_where_the_server_is_and_is_read_again() {
    let api = FakeApi::start().await;
    api.put(SERVICES, service("s", 1));
    api.refuse("Authorization", "401 Unauthorized", "Bearer second");
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("config");
    let write = |token: &str| {
        let server = format!("http://{}", api.address);
        let text = format!(
            "{{current-context: c, contexts: [{{name: c, context: {{cluster: k, user: u}}}}], \
             clusters: [{{name: k, cluster: {{server: '{server}'}}}}], users: [{{name: u, user: {{token: {token}}}}}]}}"
        );
        std::fs::write(&path, text).expect("written");
    };
    write("first");
    let config = format!("kubernetes_sd_configs: [{{role: service, kubeconfig_file: {}}}]", path.display());
    let mut found = Found::start(&config);
    assert_eq!(found.error().await, "services: server returned HTTP status 401 Unauthorized: Unauthorized");
    write("second");
    found.is(&["s.a.svc:1"]).await;
    found.manager.stop().await;
    std::fs::write(&path, "current-context: other").expect("written");
    let found = Found::start(&config);
    assert_eq!(found.error().await, format!("{}: context \"other\" is missing", path.display()));
    found.manager.stop().await;
}

#[tokio::test]
async fn small_objects_do_not_make_endless_groups() {
    let api = FakeApi::start().await;
    let many = |key: &str, value: Value| -> Vec<Value> { vec![json!({key: value}); 300] };
    let subsets = json!([{"addresses": many("ip", "10.0.0.1".into()), "ports": many("port", 80.into())}]);
    api.put(ENDPOINTS, json!({"metadata": {"name": "e", "namespace": "a"}, "subsets": subsets}));
    let mut found = start(&api, "role: endpoints");
    let groups = found.until(|groups| groups.len() == 1).await;
    assert_eq!(groups[0].targets.len(), 50_000);
    found.manager.stop().await;
}

#[tokio::test]
async fn a_changed_section_keeps_targets_until_all_is_known() {
    let api = FakeApi::start().await;
    api.put(PODS, pod("p", "10.0.0.1"));
    let mut found = start(&api, "role: pod");
    found.is(&["10.0.0.1:80"]).await;
    let text = format!(
        "scrape_configs: [{{job_name: j, kubernetes_sd_configs: [{{api_server: 'http://{}', role: pod, \
         selectors: [{{role: pod, label: x}}]}}]}}]",
        api.address
    );
    let config = crate::config::parse(&text, "f", &crate::config::LoadOptions::default()).expect("valid");
    let sets = crate::discovery::SetConfig::of_jobs(&config);
    found.manager.commit(found.manager.prepare(sets).expect("a client"));
    assert_eq!(found.manager.status()["j"][0].targets, 1, "nothing is lost at first");
    api.delete(PODS, &pod("p", ""));
    found.is(&[]).await;
    found.manager.stop().await;
}
