//! What jobs have by default, what they take over from `global`, and where the bounds are.

use std::time::Duration;

use super::*;
use crate::config::{Config, HttpConfig, LoadOptions, parse};

fn load(text: &str) -> Result<Config, String> {
    parse(text, "f.yml", &LoadOptions::default()).map_err(|error| error.to_string())
}

fn job(global: &str, own: &str) -> ScrapeConfig {
    let text = format!("global: {{{global}}}\nscrape_configs: [{{job_name: j, {own}}}]\n");
    let config = load(&text).unwrap_or_else(|error| panic!("{text}: {error}"));
    (*config.scrape_configs[0]).clone()
}

fn refused(global: &str, own: &str, expected: &str) {
    let text = format!("global: {{{global}}}\nscrape_configs: [{{job_name: j, {own}}}]\n");
    let error = load(&text).map(|_| ()).expect_err(&text);
    assert!(error.contains(expected), "{text}\n  gives {error}\n  not   {expected}");
}

#[test]
fn a_job_without_settings_has_the_defaults() {
    let plain = job("", "");
    assert_eq!(plain, ScrapeConfig::new("j", &GlobalConfig::default()));
    assert_eq!((plain.metrics_path.as_str(), plain.scheme), ("/metrics", Scheme::Http));
    assert_eq!(
        (plain.scrape_interval, plain.scrape_timeout),
        (Duration::from_secs(60), Duration::from_secs(10))
    );
    assert_eq!((plain.limits, plain.http), (Limits::default(), HttpConfig::default()));
    assert!(plain.honor_timestamps && plain.enable_compression);
    assert!(!plain.honor_labels && !plain.track_timestamps_staleness);
    assert_eq!((plain.fallback_scrape_protocol, plain.native_histogram_bucket_limit), (None, 0));
    let global = load("global: {scrape_interval: 0s, evaluation_interval: 0s, scrape_timeout: 0s}\n")
        .expect("valid")
        .global;
    assert_eq!(global, GlobalConfig::default());
    assert_eq!(
        (global.evaluation_interval, global.rule_query_offset),
        (Duration::from_secs(60), Duration::ZERO)
    );
}

#[test]
fn a_timeout_is_at_most_its_interval() {
    let check = |global: &str, own: &str, interval: u64, timeout: u64| {
        let job = job(global, own);
        let expected = (Duration::from_secs(interval), Duration::from_secs(timeout));
        assert_eq!((job.scrape_interval, job.scrape_timeout), expected, "{global} and {own}");
    };
    check("scrape_interval: 5s", "", 5, 5);
    check("scrape_interval: 20s", "", 20, 10);
    check("scrape_interval: 20s, scrape_timeout: 20s", "", 20, 20);
    check("", "scrape_interval: 5s", 5, 5);
    check("scrape_timeout: 30s", "scrape_interval: 20s", 20, 20);
    check("scrape_timeout: 30s", "scrape_interval: 40s", 40, 30);
    check("scrape_interval: 20s", "scrape_timeout: 15s", 20, 15);
    check("scrape_interval: 20s", "scrape_interval: 0s, scrape_timeout: 0s", 20, 10);
    check("", "scrape_timeout: 60s", 60, 60);
    let of_global = "f.yml:1: global.scrape_timeout: global scrape timeout greater than scrape interval";
    // Nothing at all is as good as no key; a text that is empty is no time and no size.
    check("scrape_interval: ~, scrape_timeout: ", "scrape_interval: ~", 60, 10);
    refused("scrape_interval: ''", "", "global.scrape_interval: empty duration string");
    refused("", "scrape_timeout: ''", "scrape_timeout: empty duration string");
    refused("", "body_size_limit: ''", "not a valid size: \"\"");
    refused("scrape_timeout: 61s", "", of_global);
    refused("scrape_interval: 5s, scrape_timeout: 5001ms", "", of_global);
    let of_job =
        "scrape_configs[0].scrape_timeout: scrape timeout greater than scrape interval for job \"j\"";
    refused("", "scrape_timeout: 61s", of_job);
    refused("scrape_interval: 5s", "scrape_timeout: 6s", of_job);
    refused("", "scrape_interval: 5s, scrape_timeout: 5001ms", of_job);
}

#[test]
fn a_limit_of_nothing_is_that_of_all_jobs() {
    type Get = fn(&Limits) -> u64;
    let all: [(&str, Get); 7] = [
        ("body_size_limit", |limits| limits.body_size_limit),
        ("sample_limit", |limits| limits.sample_limit),
        ("label_limit", |limits| limits.label_limit),
        ("label_name_length_limit", |limits| limits.label_name_length_limit),
        ("label_value_length_limit", |limits| limits.label_value_length_limit),
        ("target_limit", |limits| limits.target_limit),
        ("keep_dropped_targets", |limits| limits.keep_dropped_targets),
    ];
    for (key, get) in all {
        let unit = if key == "body_size_limit" { "B" } else { "" };
        for (global, own, expected) in [
            ("", "", 0),
            ("7", "", 7),
            ("", "9", 9),
            ("7", "9", 9),
            ("7", "0", 7),
            ("0", "0", 0),
            ("9", "7", 7),
        ] {
            let set =
                |value: &str| if value.is_empty() { String::new() } else { format!("{key}: {value}{unit}") };
            let limits = job(&set(global), &set(own)).limits;
            let others =
                all.iter().filter(|(other, _)| *other != key).map(|(_, get)| get(&limits)).sum::<u64>();
            assert_eq!((get(&limits), others), (expected, 0), "{key}: {global} and {own}");
        }
        refused(&format!("{key}: -1"), "", key);
        refused("", &format!("{key}: x"), key);
    }
}

#[test]
fn what_a_job_says_goes_before_what_all_jobs_say() {
    let failures = "scrape_failure_log_file: /all.log";
    let log = |global: &str, own: &str| {
        job(global, own).scrape_failure_log_file.map(|path| path.display().to_string())
    };
    assert_eq!(log(failures, "").as_deref(), Some("/all.log"));
    assert_eq!(log(failures, "scrape_failure_log_file: /own.log").as_deref(), Some("/own.log"));
    assert_eq!(log("", ""), None);
    let both = "scrape_protocols: [PrometheusText0.0.4, PrometheusProto]";
    let protocols = |global: &str, own: &str| job(global, own).scrape_protocols;
    assert_eq!(protocols(both, ""), [ScrapeProtocol::Text0_0_4, ScrapeProtocol::Protobuf]);
    assert_eq!(
        protocols(both, "scrape_protocols: [OpenMetricsText1.0.0]"),
        [ScrapeProtocol::OpenMetrics1_0_0]
    );
    refused("", "scrape_protocols: []", "must name at least one protocol");
    refused("scrape_protocols: []", "", "must name at least one protocol");
    refused("", "fallback_scrape_protocol: text", "unknown scrape protocol \"text\"");
    refused("", "fallback_scrape_protocol: prometheusproto", "unknown scrape protocol");
    for name in ScrapeProtocol::PROTOBUF_FIRST.map(ScrapeProtocol::name) {
        let job = job("", &format!("fallback_scrape_protocol: {name}"));
        assert_eq!(job.fallback_scrape_protocol.map(ScrapeProtocol::name), Some(name));
    }
}

#[test]
fn addresses_are_looked_at_where_no_rule_can_mend_them() {
    let url = "static_configs: [{targets: ['http://x']}]";
    refused("", url, "\"http://x\" is not a valid hostname");
    refused("", &format!("{url}, relabel_configs: []"), "\"http://x\" is not a valid hostname");
    job("", &format!("{url}, relabel_configs: [{{target_label: a}}]"));
    // A rule for series mends no target.
    refused("", &format!("{url}, metric_relabel_configs: [{{target_label: a}}]"), "is not a valid hostname");
    for key in ["relabel_configs", "metric_relabel_configs"] {
        refused("", &format!("{key}: [~]"), &format!("scrape_configs[0].{key}[0]: empty or null entry"));
    }
    refused("", "static_configs: [~]", "static_configs[0]: empty or null entry");
}

#[test]
fn headers_that_requests_have_anyway_cannot_be_set() {
    for name in [
        "Authorization",
        "Host",
        "Content-Encoding",
        "Content-Length",
        "Content-Type",
        "User-Agent",
        "Connection",
        "Keep-Alive",
        "Proxy-Authenticate",
        "Proxy-Authorization",
        "WWW-Authenticate",
        "Accept-Encoding",
        "X-Prometheus-Remote-Write-Version",
        "X-Prometheus-Remote-Read-Version",
        "X-Prometheus-Scrape-Timeout-Seconds",
        "X-Amz-Date",
        "X-Amz-Security-Token",
        "X-Amz-Content-Sha256",
    ] {
        let expected = format!("setting header {name:?} is not allowed");
        refused("", &format!("http_headers: {{{name}: {{values: [a]}}}}"), &expected);
    }
    let own = job("", "http_headers: {X-A: {values: [a, b]}}").http.headers;
    assert_eq!((own[0].name.as_str(), own[0].values.len()), ("X-A", 2));
}
