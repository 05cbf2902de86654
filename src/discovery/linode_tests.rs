//! An account with machines, in which things happen.

use std::sync::Arc;
use std::sync::Mutex as Lock;
use std::time::Duration;

use super::*;
use crate::config::HttpConfig;
use crate::discovery::fake::{Reply, Request, api, lines, serve};
use crate::util::lock::lock;

/// 2026-01-01T00:00:00Z
const START_MS: i64 = 1_767_225_600_000;

#[derive(Default)]
struct Account {
    has_events: bool,
    hides_events: bool,
    /// Paths that were asked for, with their filters.
    seen: Vec<String>,
}

fn answer(request: &Request, account: &mut Account) -> Reply {
    assert_eq!(request.header("authorization"), Some("Bearer tok"));
    let path = request.path.split('?').next().unwrap_or_default().to_owned();
    account.seen.push(format!("{path} {}", request.header("x-filter").unwrap_or_default()));
    Reply::json(match request.path.as_str() {
        "/account/events?page=1&page_size=25" if account.hides_events => {
            return Reply::status("401 Unauthorized", "");
        }
        "/account/events?page=1&page_size=25" if account.has_events => r#"{"data": [{"id": 1}], "pages": 1}"#,
        "/account/events?page=1&page_size=25" => r#"{"data": [], "pages": 1}"#,
        "/linode/instances?page=1&page_size=500" => {
            r#"{"data": [{"id": 26838044, "label": "web", "image": "debian10", "region": "us-east", "type": "g6",
                "status": "running", "group": "", "hypervisor": "kvm", "ipv4": ["45.1.1.1", "96.1.1.1", "192.168.1.1"],
                "ipv6": "2600:3c03::1/128", "tags": ["a", "b"], "backups": {"enabled": true}, "specs": {"disk": 51200,
                "memory": 2048, "vcpus": 1, "gpus": 0, "transfer": 2000}}], "page": 1, "pages": 2}"#
        }
        "/linode/instances?page=2&page_size=500" => {
            r#"{"data": [{"id": 2, "ipv4": [], "tags": []}, {"id": 3, "ipv4": ["45.1.1.2"], "ipv6": null,
                "image": null}], "page": 2, "pages": 2}"#
        }
        "/networking/ips?page=1&page_size=500" => {
            r#"{"data": [{"address": "45.1.1.1", "public": true, "rdns": "li1.members"}, {"address": "96.1.1.1",
                "public": true, "rdns": "x"}, {"address": "192.168.1.1", "public": false, "rdns": null},
                {"address": "2600:3c03::1", "public": true, "rdns": "null"}, {"address": "45.1.1.2", "public": true}],
                "pages": 1}"#
        }
        "/networking/ipv6/ranges?page=1&page_size=500" => {
            r#"{"data": [{"range": "2600:3c03:e000:123::", "prefix": 64, "route_target": "2600:3c03::1"},
                {"range": "2600::", "prefix": 56, "route_target": null}], "pages": 1}"#
        }
        other => panic!("{other}"),
    })
}

async fn source(region: &str) -> (Linode, Arc<Lock<Account>>) {
    let account: Arc<Lock<Account>> = Arc::default();
    let known = Arc::clone(&account);
    let address = serve(move |request: Request| {
        let reply = answer(&request, &mut lock(&known));
        async move { reply }
    })
    .await;
    let config = LinodeSdConfig {
        http: HttpConfig::default(),
        refresh_interval: Duration::from_secs(60),
        port: 80,
        tag_separator: ",".to_owned(),
        region: region.to_owned(),
    };
    (Linode::new(api(&address, "tok"), Box::new(config)), account)
}

#[tokio::test]
async fn machines_are_found_with_their_addresses() {
    let (source, account) = source("us-east").await;
    let groups = source.refresh().await.expect("found");
    assert_eq!(groups[0].targets.len(), 2);
    assert_eq!(
        lines(&groups[0].targets[0], "__meta_linode_"),
        [
            "__address__=45.1.1.1:80",
            "backups=enabled",
            "extra_ips=,96.1.1.1,",
            "gpus=0",
            "hypervisor=kvm",
            "image=debian10",
            "instance_id=26838044",
            "instance_label=web",
            "ipv6_ranges=,2600:3c03:e000:123::/64,",
            "private_ipv4=192.168.1.1",
            "public_ipv4=45.1.1.1",
            "public_ipv4_rdns=li1.members",
            "public_ipv6=2600:3c03::1",
            "region=us-east",
            "specs_disk_bytes=53687091200",
            "specs_memory_bytes=2147483648",
            "specs_transfer_bytes=2097152000",
            "specs_vcpus=1",
            "status=running",
            "tags=,a,b,",
            "type=g6",
        ]
    );
    assert_eq!(groups[0].targets[1].get("__address__"), Some("45.1.1.2:80"));
    assert!(lock(&account).seen.iter().all(|line| line.ends_with(" {\"region\":\"us-east\"}")));
}

#[tokio::test]
async fn everything_is_asked_for_when_something_has_happened() {
    let (source, account) = source("").await;
    let seen = || std::mem::take(&mut lock(&account).seen);
    let first = source.ask(START_MS).await.expect("found");
    assert_eq!(seen().len(), 4);
    for second in 1..MAX_QUIET {
        let now = START_MS + i64::from(second) * 1000;
        assert_eq!(source.ask(now).await.expect("found"), first);
        let since = format!("2026-01-01T00:00:{:02}", second - 1);
        assert_eq!(seen(), [format!("/account/events {{\"created\":{{\"+gte\":\"{since}\"}}}}")]);
    }
    source.ask(START_MS + 20_000).await.expect("found");
    assert_eq!(seen().len(), 5);
    lock(&account).has_events = true;
    source.ask(START_MS + 21_000).await.expect("found");
    assert_eq!(seen().len(), 5);
    // Without the right to see events they are not asked for again.
    lock(&account).hides_events = true;
    source.ask(START_MS + 22_000).await.expect("found");
    assert_eq!(seen().len(), 5);
    source.ask(START_MS + 23_000).await.expect("found");
    assert_eq!(seen().len(), 4);
}
