//! Machines of both kinds.

use std::time::Duration;

use super::*;
use crate::config::HttpConfig;
use crate::discovery::fake::{Reply, Request, api, fault, lines, serve};

fn source(address: &str, role: HetznerRole, selector: &str) -> Hetzner {
    let (http, refresh_interval) = (HttpConfig::default(), Duration::from_secs(60));
    let label_selector = selector.to_owned();
    let config = Box::new(HetznerSdConfig { http, refresh_interval, port: 80, role, label_selector });
    Hetzner { api: api(address, "tok"), config }
}

async fn answer(request: Request) -> Reply {
    assert_eq!(request.header("authorization"), Some("Bearer tok"));
    Reply::json(match request.path.as_str() {
        "/servers?page=1&per_page=50&label_selector=env%3D%3Dx" => {
            r#"{"servers": [{"id": 42, "name": "my-server", "status": "running", "public_net": {"ipv4": {"ip": "1.2.3.4"},
                "ipv6": {"ip": "2001:db8::/64"}}, "private_net": [{"network": 4711, "ip": "10.0.0.2"},
                {"network": 1, "ip": "10.9.9.9"}], "server_type": {"name": "cx11", "cores": 1, "memory": 1.5, "disk": 25,
                "cpu_type": "shared"}, "location": {"name": "fsn1", "network_zone": "eu-central"}, "image": {"name": null,
                "description": "Ubuntu", "os_flavor": "ubuntu", "os_version": "20.04"}, "labels": {"my-key": "v", "e": ""}}],
                "meta": {"pagination": {"page": 1, "next_page": 2}}}"#
        }
        "/servers?page=2&per_page=50&label_selector=env%3D%3Dx" => {
            r#"{"servers": [{"id": 43, "public_net": {"ipv4": null, "ipv6": null}, "image": null}],
                "meta": {"pagination": {"page": 2, "next_page": null}}}"#
        }
        "/networks?page=1&per_page=50" => r#"{"networks": [{"id": 4711, "name": "my.net"}]}"#,
        "/server" => {
            r#"[{"server": {"server_ip": "123.1.1.1", "server_number": 321, "server_name": "s1", "product": "DS 3000",
                "dc": "NBG1-DC1", "status": "ready", "cancelled": false, "subnet": [{"ip": "1.2.3.0", "mask": "24"},
                {"ip": "2a01::", "mask": "64"}, {"ip": "2a02::", "mask": "64"}]}},
                {"server": {"server_ip": null, "server_number": 421, "cancelled": true, "subnet": null}}]"#
        }
        other => panic!("{other}"),
    })
}

#[tokio::test]
async fn virtual_machines_are_found_with_their_networks() {
    let address = serve(answer).await;
    let groups = source(&address, HetznerRole::Hcloud, "env==x").refresh().await.expect("found");
    assert_eq!(groups[0].targets.len(), 2);
    assert_eq!(
        lines(&groups[0].targets[0], "__meta_hetzner_"),
        [
            "__address__=1.2.3.4:80",
            "hcloud_cpu_cores=1",
            "hcloud_cpu_type=shared",
            "hcloud_datacenter_location=fsn1",
            "hcloud_datacenter_location_network_zone=eu-central",
            "hcloud_disk_size_gb=25",
            "hcloud_image_description=Ubuntu",
            "hcloud_image_os_flavor=ubuntu",
            "hcloud_image_os_version=20.04",
            "hcloud_label_my_key=v",
            "hcloud_labelpresent_e=true",
            "hcloud_labelpresent_my_key=true",
            "hcloud_location=fsn1",
            "hcloud_location_network_zone=eu-central",
            "hcloud_memory_size_gb=1",
            "hcloud_private_ipv4_my_net=10.0.0.2",
            "hcloud_server_type=cx11",
            "public_ipv4=1.2.3.4",
            "public_ipv6_network=2001:db8::/64",
            "role=hcloud",
            "server_id=42",
            "server_name=my-server",
            "server_status=running",
        ]
    );
    // Without an address it is a target all the same: rules may give it one.
    assert_eq!(groups[0].targets[1].get("__address__"), Some("<nil>:80"));
}

#[tokio::test]
async fn machines_of_metal_are_found() {
    let address = serve(answer).await;
    let groups = source(&address, HetznerRole::Robot, "").refresh().await.expect("found");
    assert_eq!(groups[0].targets.len(), 2);
    assert_eq!(
        lines(&groups[0].targets[0], "__meta_hetzner_"),
        [
            "__address__=123.1.1.1:80",
            "datacenter=nbg1-dc1",
            "public_ipv4=123.1.1.1",
            "public_ipv6_network=2a01::/64",
            "robot_cancelled=false",
            "robot_datacenter=nbg1-dc1",
            "robot_product=DS 3000",
            "role=robot",
            "server_id=321",
            "server_name=s1",
            "server_status=ready",
        ]
    );
    assert_eq!(groups[0].targets[1].get("__meta_hetzner_robot_cancelled"), Some("true"));
}

#[test]
fn what_cannot_work_is_refused_by_name() {
    assert!(fault("hetzner_sd_configs: [{port: 1}]").contains("role missing: robot or hcloud"));
    let error = fault("hetzner_sd_configs: [{role: robot, label_selector: a}]");
    assert!(error.contains("label_selector has a meaning with the role hcloud only"), "{error}");
}
