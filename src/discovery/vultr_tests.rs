//! An account with instances.

use std::time::Duration;

use super::*;
use crate::config::HttpConfig;
use crate::discovery::fake::{Reply, Request, api, lines, serve};

async fn answer(request: Request) -> Reply {
    if request.header("authorization") != Some("Bearer tok") {
        return Reply::status("401 Unauthorized", "{\"error\": \"Invalid API token.\"}");
    }
    Reply::json(match request.path.as_str() {
        "/v2/instances?per_page=100" => {
            r#"{"instances": [{"id": "dbdbd38c", "os": "CentOS", "ram": 8192, "disk": 160, "main_ip": "149.1.1.1",
                "vcpu_count": 4, "region": "atl", "plan": "vc2", "allowed_bandwidth": 3000, "server_status": "ok",
                "v6_main_ip": "2001::1", "label": "one", "internal_ip": "10.0.0.1", "hostname": "h", "os_id": 362,
                "features": ["ddos", "ipv6"], "tags": ["a"]}], "meta": {"total": 2, "links": {"next": "bmV4dA==", "prev": ""}}}"#
        }
        "/v2/instances?per_page=100&cursor=bmV4dA%3D%3D" => {
            r#"{"instances": [{"main_ip": "149.1.1.2", "features": null}], "meta": {"links": {"next": ""}}}"#
        }
        other => panic!("{other}"),
    })
}

fn source(address: &str, token: &str) -> Vultr {
    let (http, refresh_interval) = (HttpConfig::default(), Duration::from_secs(60));
    let config = Box::new(VultrSdConfig { http, refresh_interval, port: 81 });
    Vultr { api: api(address, token), config }
}

#[tokio::test]
async fn instances_are_found_page_by_page() {
    let address = serve(answer).await;
    let groups = source(&address, "tok").refresh().await.expect("found");
    assert_eq!((groups[0].source.as_str(), groups[0].targets.len()), ("Vultr", 2));
    assert_eq!(
        lines(&groups[0].targets[0], "__meta_vultr_instance_"),
        [
            "__address__=149.1.1.1:81",
            "allowed_bandwidth_gb=3000",
            "disk_gb=160",
            "features=,ddos,ipv6,",
            "hostname=h",
            "id=dbdbd38c",
            "internal_ip=10.0.0.1",
            "label=one",
            "main_ip=149.1.1.1",
            "main_ipv6=2001::1",
            "os=CentOS",
            "os_id=362",
            "plan=vc2",
            "ram_mb=8192",
            "region=atl",
            "server_status=ok",
            "tags=,a,",
            "vcpu_count=4",
        ]
    );
    let reason = "server returned HTTP status 401 Unauthorized: {\"error\": \"Invalid API token.\"}";
    assert_eq!(source(&address, "other").refresh().await, Err(reason.to_owned()));
}
