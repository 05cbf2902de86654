//! An account with droplets and databases.

use std::time::Duration;

use super::*;
use crate::config::HttpConfig;
use crate::discovery::fake::{Reply, Request, api, fault, lines, serve};

fn source(address: &str, role: DigitalOceanRole) -> DigitalOcean {
    let (http, refresh_interval) = (HttpConfig::default(), Duration::from_secs(60));
    let config = Box::new(DigitalOceanSdConfig { http, refresh_interval, port: 80, role });
    DigitalOcean { api: api(address, "tok"), config }
}

async fn answer(request: Request) -> Reply {
    if request.header("authorization") != Some("Bearer tok") {
        return Reply::status("401 Unauthorized", "{\"message\": \"no\"}");
    }
    Reply::json(match request.path.as_str() {
        "/v2/droplets?page=1&per_page=200" => {
            r#"{"droplets": [{"id": 3, "name": "a.b", "status": "active", "features": ["backups", "ipv6"],
                "image": {"name": "14.04 x64", "slug": "ubuntu"}, "size_slug": "s-1", "region": {"slug": "nyc3"},
                "networks": {"v4": [{"ip_address": "10.0.0.1", "type": "private"},
                    {"ip_address": "104.1.1.1", "type": "public"}], "v6": [{"ip_address": "2604::1", "type": "public"}]},
                "tags": ["x", "y"], "vpc_uuid": "v"}],
                "links": {"pages": {"last": "http://h/v2/droplets?page=2", "next": "http://h/v2/droplets?page=2"}}}"#
        }
        "/v2/droplets?page=2&per_page=200" => {
            r#"{"droplets": [{"id": 4, "image": {"slug": null}, "tags": null, "networks": {"v4":
                [{"ip_address": "104.1.1.2", "type": "public"}]}}, {"id": 5, "networks": {"v4": []}}],
                "links": {"pages": {"first": "f", "prev": "p"}}}"#
        }
        "/v2/databases?page=1&per_page=100" => {
            r#"{"databases": [{"id": "9", "name": "pg1", "engine": "pg", "version": "16", "status": "online",
                "region": "fra1", "size": "db-s", "num_nodes": 1, "tags": ["prod", "a-b"],
                "connection": {"host": "pub"}, "private_connection": {"host": "priv"}}]}"#
        }
        "/v2/databases?page=2&per_page=100" => {
            r#"{"databases": [{"id": "10", "connection": {"host": "only"}}]}"#
        }
        // The server begins anew.
        "/v2/databases?page=3&per_page=100" => r#"{"databases": [{"id": "9"}]}"#,
        other => panic!("{other}"),
    })
}

#[tokio::test]
async fn droplets_are_found_page_by_page() {
    let address = serve(answer).await;
    let groups = source(&address, DigitalOceanRole::Droplets).refresh().await.expect("found");
    assert_eq!((groups.len(), groups[0].targets.len()), (1, 2));
    assert_eq!(
        lines(&groups[0].targets[0], "__meta_digitalocean_"),
        [
            "__address__=104.1.1.1:80",
            "droplet_id=3",
            "droplet_name=a.b",
            "features=,backups,ipv6,",
            "image=ubuntu",
            "image_name=14.04 x64",
            "private_ipv4=10.0.0.1",
            "public_ipv4=104.1.1.1",
            "public_ipv6=2604::1",
            "region=nyc3",
            "size=s-1",
            "status=active",
            "tags=,x,y,",
            "vpc=v",
        ]
    );
    assert_eq!(groups[0].targets[1].get("__address__"), Some("104.1.1.2:80"));
}

#[tokio::test]
async fn databases_are_found_until_a_page_brings_nothing_new() {
    let address = serve(answer).await;
    let groups = source(&address, DigitalOceanRole::Databases).refresh().await.expect("found");
    assert_eq!(groups[0].targets.len(), 2);
    assert_eq!(
        lines(&groups[0].targets[0], "__meta_digitalocean_db_"),
        [
            "__address__=priv:80",
            "engine=pg",
            "host=pub",
            "id=9",
            "name=pg1",
            "num_nodes=1",
            "private_host=priv",
            "region=fra1",
            "size=db-s",
            "status=online",
            "tag_a-b=true",
            "tag_prod=true",
            "version=16",
        ]
    );
    assert_eq!(groups[0].targets[1].get("__address__"), Some("only:80"));
}

#[tokio::test]
async fn what_the_server_refuses_is_told() {
    let address = serve(answer).await;
    let refused =
        DigitalOcean { api: api(&address, "geheim"), ..source(&address, DigitalOceanRole::Droplets) };
    let reason = "server returned HTTP status 401 Unauthorized: no";
    assert_eq!(refused.refresh().await, Err(reason.to_owned()));
    assert!(!format!("{refused:?}").contains("geheim"));
    let error = fault("digitalocean_sd_configs: [{role: x}]");
    assert!(
        error.contains("digitalocean_sd_configs[0].role: unknown role \"x\": droplets or databases"),
        "{error}"
    );
    assert!(fault("digitalocean_sd_configs: [{role: ''}]").contains("role missing: droplets or databases"));
}
