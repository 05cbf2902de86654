//! A zone with instances, on an instance.

use std::time::Duration;

use super::*;
use crate::discovery::fake::{Reply, Request, fault, lines, serve};
use crate::net::SystemResolver;
use crate::util::ManualClock;

async fn answer(request: Request) -> Reply {
    let path = request.path.split('?').next().unwrap_or_default();
    if path.starts_with("/computeMetadata/") {
        assert_eq!(path, "/computeMetadata/v1/instance/service-accounts/default/token");
        assert_eq!(request.header("metadata-flavor"), Some("Google"));
        return Reply::json(
            "{\"access_token\": \"geheim\", \"expires_in\": 3599, \"token_type\": \"Bearer\"}",
        );
    }
    assert_eq!(request.header("authorization"), Some("Bearer geheim"));
    if path == "/projects/none/zones/z/instances" {
        return Reply::status("403 Forbidden", "{\"error\": {\"code\": 403}}");
    }
    Reply::json(match request.path.as_str() {
        "/projects/p/zones/z/instances?alt=json&filter=a+%3D+b" => {
            r#"{"items": [{"id": "7", "name": "web", "status": "RUNNING", "zone": "https://h/zones/z",
                "machineType": "https://h/t", "networkInterfaces": [{"name": "nic0", "network": "net", "subnetwork": "sub",
                "networkIP": "10.0.0.1", "accessConfigs": [{"type": "ONE_TO_ONE_NAT", "natIP": "1.2.3.4"}]},
                {"name": "nic1", "networkIP": "10.1.0.1"}], "tags": {"items": ["a", "b"], "fingerprint": "f"},
                "metadata": {"items": [{"key": "start-up", "value": "x"}, {"key": "none"}]}, "labels": {"team-a": "t"}},
                {"id": "8"}], "nextPageToken": "n+"}"#
        }
        "/projects/p/zones/z/instances?alt=json&filter=a+%3D+b&pageToken=n%2B" => {
            r#"{"items": [{"id": "9", "networkInterfaces": [{"name": "nic0", "networkIP": "10.0.0.2"}], "tags": {}}]}"#
        }
        other => panic!("{other}"),
    })
}

fn source(address: &str, project: &str) -> GceSource {
    let dialer = Arc::new(Dialer::new(Arc::new(SystemResolver::new(None))));
    let host = address.to_owned();
    let variables = move |name: &str| (name == "GCE_METADATA_HOST").then(|| host.clone());
    let around = Surroundings::new(&dialer, variables, Arc::new(ManualClock::new(0))).expect("a client");
    let config = GceSdConfig {
        project: project.to_owned(),
        zone: "z".to_owned(),
        filter: "a = b".to_owned(),
        refresh_interval: Duration::from_secs(60),
        port: 80,
        tag_separator: ",".to_owned(),
    };
    GceSource::with(Box::new(config), &dialer, around, &format!("http://{address}")).expect("a client")
}

#[tokio::test]
async fn instances_are_found_page_by_page() {
    let address = serve(answer).await;
    let groups = source(&address, "p").refresh().await.expect("found");
    assert_eq!((groups[0].source.as_str(), groups[0].targets.len()), ("GCE_p_z", 2));
    assert_eq!(
        lines(&groups[0].targets[0], "__meta_gce_"),
        [
            "__address__=10.0.0.1:80",
            "instance_id=7",
            "instance_name=web",
            "instance_status=RUNNING",
            "interface_ipv4_nic0=10.0.0.1",
            "interface_ipv4_nic1=10.1.0.1",
            "label_team_a=t",
            "machine_type=https://h/t",
            "metadata_start_up=x",
            "network=net",
            "private_ip=10.0.0.1",
            "project=p",
            "public_ip=1.2.3.4",
            "subnetwork=sub",
            "tags=,a,b,",
            "zone=https://h/zones/z",
        ]
    );
}

#[tokio::test]
async fn what_google_refuses_is_told() {
    let address = serve(answer).await;
    let reason = "error retrieving instances from GCE: server returned HTTP status 403 Forbidden: \
                  {\"error\": {\"code\": 403}}";
    assert_eq!(source(&address, "none").refresh().await, Err(reason.to_owned()));
    assert!(
        fault("gce_sd_configs: [{zone: z}]")
            .contains("gce_sd_configs[0].project: GCE discovery requires a project")
    );
    assert!(
        fault("gce_sd_configs: [{project: p}]")
            .contains("gce_sd_configs[0].zone: GCE discovery requires a zone")
    );
}
