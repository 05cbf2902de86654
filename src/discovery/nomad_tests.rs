//! Services that come and go.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::discovery::fake::{Found, Reply, Request, fault, lines, serve};

fn answer(request: &Request, is_gone: bool) -> Reply {
    assert_eq!(request.header("authorization"), Some("Bearer geheim"));
    let (path, query) = request.path.split_once('?').expect("a query");
    assert_eq!(query, "region=global&namespace=n+s&stale=");
    match path {
        "/v1/services" if is_gone => Reply::json("[]"),
        "/v1/services" => Reply::json(
            r#"[{"Namespace": "n s", "Services": [{"ServiceName": "web/1", "Tags": []}, {"ServiceName": "web/1"}]},
                {"Namespace": "x", "Services": null}]"#,
        ),
        "/v1/service/web%2F1" => Reply::json(
            r#"[{"ID": "i1", "ServiceName": "web/1", "Namespace": "n s", "NodeID": "node", "Datacenter": "dc1",
                "Tags": ["a", "b"], "Address": "10.0.0.1", "Port": 30456}, {"Address": "::1", "Port": 1, "Tags": null}]"#,
        ),
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn services_and_their_instances_are_found() {
    let is_gone = Arc::new(AtomicBool::new(false));
    let known = Arc::clone(&is_gone);
    let address = serve(move |request: Request| {
        let reply = answer(&request, known.load(Ordering::Relaxed));
        async move { reply }
    })
    .await;
    let mut found = Found::start(&format!(
        "nomad_sd_configs: [{{server: 'http://{address}/', namespace: n s, tag_separator: ;, refresh_interval: 10ms, \
         authorization: {{credentials: geheim}}}}]"
    ));
    found.is(&["10.0.0.1:30456", "[::1]:1"]).await;
    let groups = found.until(|groups| groups.len() == 1).await;
    assert_eq!(
        lines(&groups[0].targets[0], "__meta_nomad_"),
        [
            "__address__=10.0.0.1:30456",
            "address=10.0.0.1",
            "dc=dc1",
            "namespace=n s",
            "node_id=node",
            "service=web/1",
            "service_address=10.0.0.1",
            "service_id=i1",
            "service_port=30456",
            "tags=;a;b;",
        ]
    );
    is_gone.store(true, Ordering::Relaxed);
    found.is(&[]).await;
    found.manager.stop().await;
}

#[tokio::test]
async fn what_the_server_refuses_is_told() {
    let address = serve(async |_| Reply::status("403 Forbidden", "Permission denied")).await;
    let found = Found::start(&format!("nomad_sd_configs: [{{server: 'http://{address}'}}]"));
    assert_eq!(found.error().await, "server returned HTTP status 403 Forbidden: Permission denied");
    let error = fault("nomad_sd_configs: [{server: ' '}]");
    assert!(
        error.contains("nomad_sd_configs[0].server: nomad discovery requires a server address"),
        "{error}"
    );
}
