//! Tests of the manager against servers on the loopback interface, and of what comes and goes on paused time.

use std::collections::HashMap as Map;
use std::sync::Mutex;

use futures_util::future::BoxFuture;

use super::*;
use crate::config::{LoadOptions, parse};
use crate::discovery::{DiscoveryMetrics, is_signed};
use crate::net::{DnsAnswer, DnsError, DnsRecord, RecordKind, Resolver};
use crate::notify::Alert;
use crate::notify::stand_in::{Reply, StandIn, reply};
use crate::telemetry::metrics::encode;
use crate::util::lock::lock;

/// Answers from a table; nothing is what it knows of other names.
#[derive(Default)]
struct Table(Mutex<Map<String, Vec<DnsRecord>>>);

impl Resolver for Table {
    fn lookup<'a>(&'a self, name: &'a str, _kind: RecordKind) -> BoxFuture<'a, Result<DnsAnswer, DnsError>> {
        let found = lock(&self.0).get(name).cloned().unwrap_or_default();
        Box::pin(async move { Ok(DnsAnswer::without_ttl(found)) })
    }
}

struct Started {
    names: Arc<Table>,
    notifier: Notifier,
    registry: Registry,
}

fn start(options: NotifyOptions) -> Started {
    let mut registry = Registry::default();
    let names = Arc::new(Table::default());
    let metrics = DiscoveryMetrics::new(&mut registry);
    let dialer = Arc::new(Dialer::new(names.clone()));
    let discovery = Arc::new(DiscoveryManager::new("notify", names.clone(), Arc::clone(&dialer), metrics));
    let notifier = Notifier::new(discovery, dialer, options, None, &mut registry);
    Started { names, notifier, registry }
}

impl Started {
    async fn load(&self, text: &str) {
        let config = parse(text, "f", &LoadOptions::default()).expect(text);
        let prepared = self.notifier.prepare(&config).expect("prepared");
        self.notifier.commit(prepared).await;
    }

    fn send(&self, name: &str) {
        self.notifier.handle().send(vec![alert(name)]);
    }

    fn shown(&self) -> Alertmanagers {
        self.notifier.handle().alertmanagers()
    }

    /// The loops in the order of the file.
    fn loops(&self) -> Vec<Arc<SendLoop>> {
        let routing = self.notifier.handle.routing.load();
        routing.routes.iter().flat_map(|(_, loops)| loops.clone()).collect()
    }

    fn metrics(&self) -> String {
        encode(&self.registry)
    }
}

fn alert(name: &str) -> Alert {
    Alert::new(
        Labels::from_pairs([("alertname", name), ("severity", "page")]),
        Labels::empty(),
        (0, 0),
        String::new(),
    )
}

fn urls(hosts: &[&str]) -> Vec<String> {
    hosts.iter().map(|host| format!("http://{host}/api/v2/alerts")).collect()
}

/// The labels of the alerts of a body.
fn labels(body: &str) -> Vec<serde_json::Value> {
    let alerts: Vec<serde_json::Value> = serde_json::from_str(body).expect("a list");
    alerts.iter().map(|alert| alert["labels"].clone()).collect()
}

#[tokio::test]
async fn every_alertmanager_is_told_in_its_own_words_and_none_waits_for_another() {
    let (mut good, mut other, silent) =
        (StandIn::start([]).await, StandIn::start([]).await, StandIn::start([Reply::Silence]).await);
    let it = start(NotifyOptions { drain_on_shutdown: false, ..NotifyOptions::default() });
    it.send("lost: there is nobody");
    it.load(&format!(
        "global: {{external_labels: {{cluster: c}}}}\nalerting:\n  alert_relabel_configs: [{{action: drop, \
         source_labels: [alertname], regex: Quiet}}]\n  alertmanagers:\n  - static_configs: [{{targets: ['{}', \
         '{}', '{}']}}]\n  - static_configs: [{{targets: ['{}']}}]\n    path_prefix: /am\n    \
         alert_relabel_configs: [{{action: labeldrop, regex: severity}}]\n",
        silent.address, good.address, good.address, other.address
    ))
    .await;
    it.send("Quiet");
    for name in ["A", "B"] {
        it.send(name);
        let (head, body) = good.next().await;
        assert!(head.starts_with("POST /api/v2/alerts HTTP/1.1\r\n"), "{head}");
        assert!(head.contains("\r\nContent-Type: application/json"), "{head}");
        assert_eq!(
            labels(&body),
            [serde_json::json!({"alertname": name, "cluster": "c", "severity": "page"})]
        );
        let (head, body) = other.next().await;
        assert!(head.starts_with("POST /am/api/v2/alerts HTTP/1.1\r\n"), "{head}");
        assert_eq!(labels(&body), [serde_json::json!({"alertname": name, "cluster": "c"})]);
    }
    assert_eq!(it.shown().active.len(), 3, "the same URL twice is one");
    let text = it.metrics();
    assert!(text.contains("prometheus_notifications_alertmanagers_discovered 3\n"), "{text}");
    assert!(
        text.contains("prometheus_sd_discovered_targets{name=\"notify\",config=\"config-0\"} 3\n"),
        "{text}"
    );
    it.notifier.stop().await;
    assert_eq!((good.rest(), other.rest()), (0, 0));
}

#[tokio::test]
async fn what_waits_stays_through_reloads() {
    let it = start(NotifyOptions::default());
    let load = async |group: &str| {
        it.load(&format!("alerting:\n  alertmanagers:\n  - static_configs: [{{targets: [a, b]}}]\n{group}"))
            .await;
        it.loops()
    };
    let first = load("").await;
    let same = |loops: &[Arc<SendLoop>]| {
        loops.len() == first.len() && loops.iter().zip(&first).all(|(a, b)| Arc::ptr_eq(a, b))
    };
    assert!(same(&load("").await));
    let clients = async |text: &str| Arc::clone(&load(text).await[0].delivery.load().post);
    let before = clients("").await;
    assert!(Arc::ptr_eq(&before, &clients("    timeout: 3s\n").await), "connections stay");
    assert_eq!(it.loops()[0].delivery.load().timeout, Duration::from_secs(3));
    assert!(!Arc::ptr_eq(&before, &clients("    follow_redirects: false\n").await));
    assert!(same(&it.loops()));
    let rule = "    alert_relabel_configs: [{action: labeldrop, regex: x}]\n";
    assert!(same(&load(rule).await));
    // Two groups with the same URLs are told twice only when they are told different things.
    let again = "  - static_configs: [{targets: [b, c]}]\n";
    assert_eq!(load(again).await.len(), 3);
    assert_eq!(load(&format!("{rule}{again}")).await.len(), 4);
    assert_eq!(it.shown().active, urls(&["a", "b", "b", "c"]));
    // Another file order is no other Alertmanager.
    it.load("alerting:\n  alertmanagers:\n  - static_configs: [{targets: [c]}]\n  - static_configs: [{targets: [a]}]\n")
        .await;
    assert!(Arc::ptr_eq(&it.loops()[1], &first[0]));
    it.notifier.stop().await;
}

#[tokio::test(start_paused = true)]
async fn alertmanagers_come_and_go_as_they_are_discovered() {
    let it = start(NotifyOptions::default());
    let set = |last: &[u8]| {
        let records = last.iter().map(|last| DnsRecord::Address([10, 0, 0, *last].into())).collect();
        lock(&it.names.0).insert("am".to_owned(), records);
    };
    set(&[1, 2]);
    it.load(
        "alerting:\n  alertmanagers:\n  - dns_sd_configs: [{names: [am], type: A, port: 9093, refresh_interval: 5s}]\n    \
         relabel_configs: [{source_labels: [__address__], regex: '10.0.0.2:.*', action: drop}]\n",
    )
    .await;
    let shown = async |active: &[&str], dropped: &[&str]| {
        tokio::time::sleep(Duration::from_secs(6)).await;
        assert_eq!(it.shown(), Alertmanagers { active: urls(active), dropped: urls(dropped) });
    };
    shown(&["10.0.0.1:9093"], &["10.0.0.2:9093"]).await;
    let first = it.loops();
    set(&[1, 3]);
    shown(&["10.0.0.1:9093", "10.0.0.3:9093"], &[]).await;
    assert!(Arc::ptr_eq(&first[0], &it.loops()[0]));
    assert!(it.metrics().contains("sent_total{alertmanager=\"http://10.0.0.1:9093/api/v2/alerts\"} 0\n"));
    set(&[3]);
    shown(&["10.0.0.3:9093"], &[]).await;
    assert!(!it.metrics().contains("10.0.0.1"), "its metrics are gone: {}", it.metrics());
    it.load("").await;
    assert_eq!(it.shown(), Alertmanagers::default());
    it.notifier.stop().await;
}

#[tokio::test]
async fn the_end_waits_for_what_was_not_sent_if_it_is_told_to() {
    for drain_on_shutdown in [true, false] {
        let mut am = StandIn::start([reply("503 Service Unavailable", "")]).await;
        let it = start(NotifyOptions { batch_size: 1, drain_on_shutdown, ..NotifyOptions::default() });
        let text =
            format!("alerting:\n  alertmanagers: [{{static_configs: [{{targets: ['{}']}}]}}]\n", am.address);
        it.load(&text).await;
        for name in ["A", "B", "C"] {
            it.send(name);
        }
        am.next().await;
        it.notifier.stop().await;
        assert_eq!(am.rest(), if drain_on_shutdown { 3 } else { 0 });
    }
}

#[tokio::test]
async fn requests_are_signed_for_aws_where_the_section_says_so() {
    let mut am = StandIn::start([reply("403 Forbidden", "")]).await;
    let it = start(NotifyOptions { drain_on_shutdown: false, ..NotifyOptions::default() });
    let address = am.address;
    let load = async |sigv4: &str, rest: &str| {
        it.load(&format!(
            "alerting: {{alertmanagers: [{{sigv4: {{{sigv4}}}, static_configs: [{{targets: ['{address}']}}], {rest}}}]}}\n"
        ))
        .await;
    };
    let keys = "region: eu-west-1, access_key: AK, secret_key: geheim";
    let path =
        |path: &str| format!("relabel_configs: [{{target_label: __alerts_path__, replacement: '{path}'}}]");
    for (sigv4, rest, expected, service) in [
        (
            keys.to_owned(),
            "path_prefix: /workspaces/ws-1/alertmanager".to_owned(),
            "/workspaces/ws-1/alertmanager/api/v2/alerts",
            "aps",
        ),
        (format!("{keys}, service_name: x"), path("//a/./b/../c d/"), "/a/c%20d", "x"),
        (keys.to_owned(), path(""), "/", "aps"),
    ] {
        load(&sigv4, &rest).await;
        it.send("A");
        let (head, body) = am.next().await;
        assert!(head.starts_with(&format!("POST {expected} HTTP/1.1\r\n")), "{head}");
        let header = |name: &str| {
            let mut lines = head.lines().filter_map(|line| line.split_once(": "));
            lines.find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value)
        };
        assert!(is_signed(expected, header, &body, ("eu-west-1", service), ("AK", "geheim")), "{head}");
        assert!(!is_signed(expected, header, &body, ("eu-west-1", service), ("AK", "wrong")));
        assert_eq!(labels(&body), [serde_json::json!({"alertname": "A", "severity": "page"})]);
    }
    // Without credentials nothing is sent; with a section that has some, it is.
    load("region: r, profile: no-such-profile-here", "path_prefix: /none").await;
    it.send("B");
    let failed = format!(
        "prometheus_notifications_errors_total{{alertmanager=\"http://{address}/none/api/v2/alerts\"}} 1"
    );
    let told = async {
        while !it.metrics().contains(&failed) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), told).await.expect("it fails");
    assert_eq!(am.rest(), 0);
    load(keys, "path_prefix: /none").await;
    let (head, body) = am.next().await;
    assert!(
        head.starts_with("POST /none/api/v2/alerts ") && head.contains("Authorization: AWS4-HMAC-SHA256 "),
        "{head}"
    );
    assert_eq!(labels(&body).len(), 1);
    it.notifier.stop().await;
}
