//! Tests of loading: what is accepted, what is refused and with which words, what is printed.

use super::*;
use crate::config::{Auth, GroupBy, IntegrationConfig, Scheme, Secret, Source};
use crate::config::{KubernetesRole, MechanismConfig};

fn parsed(text: &str) -> Config {
    parse(text, "f.yml", &LoadOptions::default()).map_err(|e| e.to_string()).expect(text)
}

#[test]
fn fills_in_defaults() {
    assert_eq!(parsed(""), Config::default());
    assert_eq!(parsed("global:\n"), Config::default());
    assert_eq!(parsed("rule_files: []\nalerting: {}\nremote_write:\n"), Config::default());
    let config = parsed(
        "global:\n  scrape_interval: 5s\n  sample_limit: 7\nscrape_configs:\n- job_name: a\n  static_configs:\n  \
         - targets: [h]\n    labels: {version: 1.10}\n",
    );
    let job = &config.scrape_configs[0];
    assert_eq!(job.scrape_interval, Duration::from_secs(5));
    assert_eq!(job.scrape_timeout, Duration::from_secs(5));
    assert_eq!(job.metrics_path, "/metrics");
    assert_eq!(job.limits.sample_limit, 7);
    assert_eq!(job.discovery.fixed[0].labels.get("version"), Some("1.10"));
    assert!(job.honor_timestamps && job.enable_compression && !job.honor_labels);
}

#[test]
fn refuses_with_file_line_and_key() {
    let check = |text: &str, expected: &str| {
        let error = parse(text, "f.yml", &LoadOptions::default()).map(|_| ()).expect_err(text).to_string();
        assert!(error.contains(expected), "{text}\n  gives {error}\n  not   {expected}");
    };
    let job = "scrape_configs:\n- job_name: a\n";
    check("globul: {}", "f.yml:1: configuration: unknown key \"globul\"; did you mean \"global\"?");
    check("global:\n  x: 1", "f.yml:2: global: unknown key \"x\"");
    check("rule_files:\n- 'a['", "f.yml:2: rule_files[0]: not a pattern of file names");
    check("rule_files: a.yml", "f.yml:1: rule_files: must be a list");
    check(
        &format!("{job}  basic_auth:\n    username_ref: x"),
        "f.yml:4: scrape_configs[0].basic_auth: \"username_ref\" is not supported yet",
    );
    check(
        &format!("{job}  azure_sd_configs: [{{project: a}}]"),
        "f.yml:3: scrape_configs[0]: \"azure_sd_configs\" is not supported yet",
    );
    check(
        &format!("{job}- job_name: a"),
        "f.yml:3: scrape_configs[1].job_name: job name \"a\" is used twice",
    );
    check("scrape_configs:\n- scheme: http", "f.yml:2: scrape_configs[0].job_name: job_name is empty");
    check("scrape_configs:\n-\n", "f.yml:2: scrape_configs[0]: empty or null entry");
    check(
        &format!("{job}  scrape_interval: 1x"),
        "f.yml:3: scrape_configs[0].scrape_interval: unknown unit \"x\" in duration \"1x\"",
    );
    check(
        &format!("{job}  scrape_timeout: 2m"),
        "f.yml:3: scrape_configs[0].scrape_timeout: scrape timeout greater",
    );
    check(
        &format!("{job}  body_size_limit: 100"),
        "f.yml:3: scrape_configs[0].body_size_limit: not a valid size",
    );
    check(&format!("{job}  sample_limit: -1"), "f.yml:3: scrape_configs[0].sample_limit:");
    check(&format!("{job}  scheme: ftp"), "f.yml:3: scrape_configs[0].scheme: scheme must be");
    check(
        &format!("{job}  job_name: b"),
        "f.yml:3: scrape_configs[0].job_name: the key is there twice, first on line 2",
    );
    check(
        &format!("{job}  relabel_configs:\n  - regex: '('\n    target_label: b"),
        "f.yml:4: scrape_configs[0].relabel_configs[0].regex: invalid regular expression",
    );
    check(
        &format!("{job}  relabel_configs:\n  - target_label: b\n    action: nope"),
        "f.yml:5: scrape_configs[0].relabel_configs[0].action: unknown relabel action \"nope\"",
    );
    check(
        &format!("{job}  static_configs:\n  - targets:\n    - ok\n    - http://x"),
        "f.yml:6: scrape_configs[0].static_configs[0].targets[1]: \"http://x\" is not a valid hostname",
    );
    check(
        &format!("{job}  dns_sd_configs:\n  - names: [x]\n    type: A"),
        "f.yml:4: scrape_configs[0].dns_sd_configs[0].port: a port is required",
    );
    check(&format!("{job}  scrape_protocols: [prometheusproto]"), "unknown scrape protocol");
    check("a: [", "f.yml:");
    check(
        &format!("{job}  static_configs:\n  - targets: ['']"),
        "f.yml:4: scrape_configs[0].static_configs[0].targets[0]: the address is empty",
    );
    check(
        &format!("{job}  static_config: []"),
        "unknown key \"static_config\"; did you mean \"static_configs\"?",
    );
    check(&format!("{job}  scrape-interval: 5s"), "did you mean \"scrape_interval\"?");
    check(
        &format!("{job}  static_configs:\n  - hosts: [a]"),
        "f.yml:4: scrape_configs[0].static_configs[0]: unknown key \"hosts\"; known here: targets, labels",
    );
    check(&format!("{job}  sample_limit: abc"), "must be a whole number that is not negative, not \"abc\"");
    check(&format!("{job}  sample_limit: 1.5"), "must be a whole number that is not negative, not \"1.5\"");
    check(&format!("{job}  honor_labels: maybe"), "honor_labels: must be true or false, not \"maybe\"");
    check(&format!("{job}  honor_labels: 'yes'"), "must be true or false, not the text \"yes\"");
    check(&format!("{job}  metrics_path: [a]"), "metrics_path: must be text, not a list");
    check(&format!("{job}  static_configs: {{}}"), "static_configs: must be a list, not a mapping");
    check(&format!("{job}  params: 5"), "params: must be a mapping of names to values, not \"5\"");
    check(&format!("{job}  scrape_interval: 30"), "not a valid duration string: \"30\"; write 30s or 1h30m");
    check(
        &format!("{job}  dns_sd_configs:\n  - names: [x]\n    type: A\n    port: 70000"),
        "must be a port from 0 to 65535, not \"70000\"",
    );
    check(&format!("{job}  <<: 5"), "must be a mapping or a list of mappings to merge in");
    check("[]", "f.yml:1: configuration: must be a mapping of keys, not a list");
    let manager = "alerting:\n  alertmanagers:\n  - ";
    check(&format!("{manager}api_version: v1"), "api_version: must be v2, not \"v1\"");
    check(&format!("{manager}timeout: 0s"), "alertmanagers[0].timeout: must be longer than nothing");
    check(
        &format!("{manager}sigv4: {{region: x, access_key: a}}"),
        "f.yml:3: alerting.alertmanagers[0].sigv4.access_key: access_key has no meaning without secret_key",
    );
    check(&format!("{manager}sigv4: {{secret_key: a}}"), "secret_key has no meaning without access_key");
    check(&format!("{manager}sigv4: {{external_id: a}}"), "external_id has no meaning without role_arn");
    check(&format!("{manager}sigv4: {{regions: a}}"), "unknown key \"regions\"; did you mean \"region\"?");
    for other in ["basic_auth: {username: u}", "authorization: {}", "bearer_token: t"] {
        check(
            &format!("{manager}sigv4: {{}}\n    {other}"),
            "f.yml:3: alerting.alertmanagers[0].sigv4: at most one of basic_auth, authorization, oauth2 and sigv4 \
             must be configured",
        );
    }
    check(
        &format!("{job}  dns_sd_configs: [{{names: [x], type: A+MX, port: 80}}]"),
        "invalid DNS record type \"A+MX\": SRV, A, AAAA, A+AAAA, MX or NS",
    );
    check(
        &format!("{manager}marathon_sd_configs: [{{servers: [x]}}]"),
        "\"marathon_sd_configs\" is not supported yet",
    );
    check(
        &format!("{manager}static_configs: [{{targets: ['http://a:9093']}}]"),
        "alertmanagers[0].static_configs[0].targets[0]: \"http://a:9093\" is not a valid hostname",
    );
    check(&format!("{manager}relabel_configs:\n    -"), "relabel_configs[0]: empty or null entry");
    check(&format!("{manager}alert_relabel_configs: [{{action: nope}}]"), "unknown relabel action \"nope\"");
    check("alerting: {alert_relabel_configs: [null]}", "alerting.alert_relabel_configs[0]: empty or null");
}

#[test]
fn tells_all_that_is_wrong_in_the_order_of_lines() {
    let text = "global:\n  scrape_intervall: 5s\nscrape_configs:\n- job_name: a\n  honor_labels: 7\n  relabel_configs:\n  \
                - regex: '('\n    target_label: x\n- job_name: b\n  scheme: ftp\n  scheme: http\n";
    let error = parse(text, "f.yml", &LoadOptions::default()).expect_err("wrong");
    let lines: Vec<usize> = error.each().iter().map(Error::line).collect();
    assert_eq!(lines, [2, 5, 7, 10, 11], "{error}");
    assert_eq!(error.to_string().lines().count(), 5);
    assert_eq!(error.to_string().matches("scrape_configs[0].honor_labels").count(), 1, "{error}");
}

/// The configuration that Prometheus is shipped with, in its structure.
#[test]
fn a_section_that_says_nothing_may_stand() {
    let job = "scrape_configs:\n  - job_name: \"prometheus\"\n    static_configs:\n      - targets: [\"localhost:9090\"]\n        \
               labels:\n          app: \"prometheus\"\n";
    let text = format!(
        "global:\n  scrape_interval: 15s\n  evaluation_interval: 15s\n\nalerting:\n  alertmanagers:\n    - \
         static_configs:\n        - targets:\n          # - alertmanager:9093\n\nrule_files:\n  # - \"first.yml\"\n\n{job}"
    );
    assert_eq!(parsed(&text).scrape_configs[0].discovery.fixed[0].targets, ["localhost:9090"]);
    parsed(
        "alerting:\n  alertmanagers:\n  - scheme: https\n    static_configs:\n    - targets: []\nruntime: {gogc: 50}\n",
    );
    parsed("global:\n  rule_query_offset: 0m\n  scrape_native_histograms: no\n");
}

#[test]
fn reads_yaml_as_prometheus_does() {
    let text = "\u{feff}x-defaults: &d
  a: 1
---
b: 2
";
    let error = parse(text, "f.yml", &LoadOptions::default()).expect_err("unknown").to_string();
    assert!(error.starts_with("f.yml:1: configuration: unknown key \"x-defaults\""), "{error}");

    let config = parsed(
        "global:
  sample_limit: 1_000
  label_limit: 1e3
  body_size_limit: 1.5MB
  external_labels: {a: null, b: 1.10, c: yes, d: '', 5: x}
scrape_configs:
- &base
  job_name: a
  honor_labels: y
  honor_timestamps: Off
  enable_compression:
  params:
  scheme: HTTPS
  metrics_path:
  relabel_configs: &rules
  - {target_label: x, replacement: , separator: , action: KEEP, regex: , source_labels: [q]}
  static_configs: [{targets: [a, 5, yes], labels: {z: , q: ~, r: !!str null}}]
- <<: *base
  job_name: b
  honor_labels: no
- job_name: c
  scheme:
  <<: [{honor_labels: on}, {honor_labels: off, metrics_path: /c}]
  metric_relabel_configs: *rules
---
not: read
",
    );
    let global = &config.global;
    assert_eq!((global.limits.sample_limit, global.limits.label_limit), (1000, 1000));
    assert_eq!(global.limits.body_size_limit, 1536 << 10);
    let labels: Vec<_> = global.external_labels.iter().collect();
    assert_eq!(labels, [("5", "x"), ("b", "1.10"), ("c", "yes")]);
    let [a, b, c] = &config.scrape_configs[..] else { panic!("three jobs") };
    assert!(a.honor_labels && !a.honor_timestamps && !a.enable_compression && a.params.is_empty());
    assert_eq!((a.scheme, a.metrics_path.as_str()), (Scheme::Https, "/metrics"));
    assert_eq!(a.discovery.fixed[0].targets, ["a", "5", "yes"]);
    let labels: Vec<_> = a.discovery.fixed[0].labels.iter().collect();
    assert_eq!(labels, [("r", "null")]);
    let rule = a.relabel_configs[0].spec();
    assert_eq!((rule.replacement.as_str(), rule.separator.as_str(), rule.regex.as_str()), ("", "", ""));
    assert!(!b.honor_labels && b.scheme == Scheme::Https && b.relabel_configs == a.relabel_configs);
    assert!(c.honor_labels && c.metrics_path == "/c" && c.metric_relabel_configs == a.relabel_configs);
}

#[test]
fn external_labels_take_variables_of_the_environment() {
    // Set for every process that cargo starts.
    let config =
        parsed("global:\n  external_labels: {a: $CARGO_PKG_NAME-1, b: '${EMBERKEEP_TEST_UNSET}', c: $$x}\n");
    let labels: Vec<_> = config.global.external_labels.iter().collect();
    assert_eq!(labels, [("a", "emberkeep-1"), ("c", "$x")]);
}

#[test]
fn printing_and_loading_again_gives_an_equal_configuration() {
    let text = "
global:
  scrape_interval: 90m
  external_labels: {monitor: a}
  body_size_limit: 15MB
alerting:
  alert_relabel_configs: [{action: labeldrop, regex: replica}]
  alertmanagers:
  - scheme: HTTPS
    path_prefix: /am
    timeout: 90s
    follow_redirects: false
    static_configs: [{targets: ['am:9093'], labels: {zone: a}}]
    dns_sd_configs: [{names: [am], type: a, port: 9093}]
    relabel_configs: [{source_labels: [zone], regex: b, action: drop}]
    alert_relabel_configs: [{action: drop, source_labels: [severity], regex: info}]
  - api_version:
    sigv4: {region: r, role_arn: arn, service_name: s, use_fips_sts_endpoint: true}
scrape_configs:
- job_name: everything
  honor_labels: true
  honor_timestamps: false
  params: {module: [a, b]}
  scheme: https
  fallback_scrape_protocol: PrometheusText0.0.4
  follow_redirects: false
  static_configs: [{targets: ['a:1'], labels: {v: '1.10', n: 'NULL', y: 'yes', t: '~', o: '0o7', q: 'a: b #'}}]
  dns_sd_configs: [{names: [x], type: a+aaaa, port: 80, follow_ttl: true}]
  relabel_configs:
  - regex:
    replacement: static
    target_label: abc
  metric_relabel_configs:
  - {action: labeldrop, regex: tmp_.*}
";
    let config = parsed(text);
    let printed = config.to_yaml();
    assert!(printed.contains("scrape_interval: 1h30m"), "{printed}");
    assert_eq!(parsed(&printed), config, "{printed}");
    let alerting = "\
alerting:
  alert_relabel_configs:
  - regex: replica
    action: labeldrop
  alertmanagers:
  - follow_redirects: false
    enable_http2: true
    scheme: https
    path_prefix: /am
    timeout: 1m30s
    api_version: v2
    relabel_configs:
    - source_labels:
      - zone
      regex: b
      action: drop
    alert_relabel_configs:
    - source_labels:
      - severity
      regex: info
      action: drop
    dns_sd_configs:
    - names:
      - am
      refresh_interval: 30s
      type: A
      port: 9093
    static_configs:
    - targets:
      - am:9093
      labels:
        zone: a
  - follow_redirects: true
    enable_http2: true
    sigv4:
      region: r
      role_arn: arn
      use_fips_sts_endpoint: true
      service_name: s
    scheme: http
    timeout: 10s
    api_version: v2
scrape_configs:
";
    assert!(printed.contains(alerting), "{printed}");
    let own = Config::self_scrape("localhost:9090", "/prom");
    assert_eq!(parsed(&own.to_yaml()), own);
    assert_eq!(parsed(&Config::default().to_yaml()), Config::default());
}

#[test]
fn a_reference_to_the_environment_stays_unless_asked_for() {
    let text = "scrape_configs:\n- job_name: a\n  static_configs: [{targets: ['${EMBERKEEP_TEST_UNSET}']}]\n";
    assert_eq!(parsed(text).scrape_configs[0].discovery.fixed[0].targets, ["${EMBERKEEP_TEST_UNSET}"]);
    let error = parse(text, "f.yml", &LoadOptions { expand_env: true, ..LoadOptions::default() })
        .expect_err("unset")
        .to_string();
    assert_eq!(error, "f.yml:3: environment variable \"EMBERKEEP_TEST_UNSET\" is not set");
}

#[test]
fn an_agent_has_no_alerts_rules_and_remote_reading() {
    let check = |text: &str, expected: &[&str]| {
        let options = LoadOptions { mode: Mode::Agent, ..LoadOptions::default() };
        let error = parse(text, "f.yml", &options).map(|_| ()).err();
        let told: Vec<String> = error.iter().flat_map(Error::each).map(ToString::to_string).collect();
        assert_eq!(told, expected, "{text}");
    };
    check(
        "scrape_configs: [{job_name: a}]\nrule_files: []\nalerting: {alertmanagers: []}\nremote_read:",
        &[],
    );
    check(
        "rule_files: [a]\nalerting: {alertmanagers: [{}]}\nremote_read: [{url: 'http://a'}]",
        &[
            "f.yml:1: rule_files: is not allowed in agent mode",
            "f.yml:2: alerting: is not allowed in agent mode",
            "f.yml:3: remote_read: is not allowed in agent mode",
            "f.yml:3: configuration: \"remote_read\" is not supported yet",
        ],
    );
}

#[test]
fn the_page_of_the_configuration_names_every_key() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/operations/configuration.md");
    let page = std::fs::read_to_string(path).expect("the page");
    let rows: String =
        page.lines().filter(|line| line.starts_with("| `") || line.starts_with("A rule")).collect();
    let is_named = |key: &str| {
        rows.contains(&format!("`{key}`"))
            || rows.contains(&format!(".{key}`"))
            || rows.contains(&format!("{key}."))
    };
    let missing: Vec<&str> = keys::FILE.names().into_iter().filter(|key| !is_named(key)).collect();
    assert!(missing.is_empty(), "{missing:?} are not on the page");
}

const NOTIFICATIONS: &str = "notifications:
  global: {smtp_smarthost: 'mail:25', smtp_from: a@b.c, smtp_auth_password: geheim, slack_api_url: 'https://h/geheim'}
  route:
    receiver: one
    group_by: [b, a]
    repeat_interval: 1h
    routes:
    - matchers: ['x=~\"a|b\"', y!=z]
      match: {m: n}
      group_by: ['...']
      continue: true
      routes: [{receiver: two, group_wait: 0s}]
  inhibit_rules: [{source_match: {s: '1'}, target_match_re: {t: 2.}, equal: [i]}]
  receivers:
  - name: one
    webhook_configs: [{url_file: hook, max_alerts: 3}]
    email_configs: [{to: x@y.z, headers: {subject: 's {{ .Status }}', x-a: b}, auth_username: u}]
  - name: two
    slack_configs: [{channel: '#c', fields: [{title: t, value: v, short: true}]}]
";

#[test]
fn notifications_inherit_and_are_printed_without_secrets() {
    let config = parsed(NOTIFICATIONS);
    let own = config.notifications.as_ref().expect("the section");
    let below = &own.route.routes[0];
    assert_eq!(own.route.group_by, GroupBy::Labels(vec!["a".to_owned(), "b".to_owned()]));
    assert_eq!((below.receiver.as_str(), &below.group_by, below.continues), ("one", &GroupBy::All, true));
    let matchers: Vec<String> = below.matchers.iter().map(ToString::to_string).collect();
    assert_eq!(matchers, ["m=\"n\"", "x=~\"a|b\"", "y!=\"z\""]);
    let leaf = &below.routes[0];
    assert_eq!((leaf.receiver.as_str(), leaf.group_wait, leaf.continues), ("two", Duration::ZERO, false));
    assert_eq!(leaf.repeat_interval, Duration::from_secs(3600));
    let IntegrationConfig::Email(email) = &own.receivers[0].integrations[1] else { panic!("an email") };
    assert_eq!((email.host.as_str(), email.port, email.require_tls), ("mail", 25, true));
    assert_eq!(email.headers.keys().collect::<Vec<_>>(), ["Subject", "X-A"]);

    let printed = config.to_yaml();
    assert!(!printed.contains("geheim") && printed.contains("auth_password: <secret>"), "{printed}");
    assert!(printed.contains("api_url: <secret>") && printed.contains("url_file: hook"), "{printed}");
    assert!(!format!("{config:?}").contains("geheim"), "{config:?}");
    // What is printed means the same, but for secrets.
    let to_yaml = |text: &str| parsed(text).to_yaml();
    let text = to_yaml(NOTIFICATIONS).replace("api_url: <secret>", "api_url: https://h/");
    assert_eq!(to_yaml(&text), to_yaml(NOTIFICATIONS));
}

#[test]
fn what_is_wrong_with_notifications_is_named() {
    let check = |notifications: &str, expected: &str| {
        let text = format!("notifications:\n  {}", notifications.replace('\n', "\n  "));
        let error = parse(&text, "f.yml", &LoadOptions::default()).expect_err(notifications).to_string();
        assert!(error.contains(expected), "{notifications}: {error}");
    };
    let receiver = "\nreceivers: [{name: me}]";
    let with = |route: &str| format!("route: {route}{receiver}");
    let one = |kind: &str| format!("route: {{receiver: me}}\nreceivers: [{{name: me, {kind}}}]");
    check("receivers: [{name: me}]", "a route is required");
    check(&with("{}"), "the top route needs a receiver");
    check(&with("{receiver: you}"), "f.yml:2: notifications.route.receiver: there is no receiver \"you\"");
    check(
        &with("{receiver: me, routes: [{receiver: you}]}"),
        "routes[0].receiver: there is no receiver \"you\"",
    );
    check(&with("{receiver: me, matchers: [a=b]}"), "the top route takes every alert");
    check(&with("{receiver: me, continue: true}"), "top route");
    check(&with("{receiver: me, group_interval: 0s}"), "must be longer than nothing");
    check(&with("{receiver: me, group_by: [a, '...']}"), "stands for all labels");
    check(&with("{receiver: me, group_by: [a, a]}"), "named twice");
    check(&with("{receiver: me, routes: [{matchers: ['a=~\"(\"']}]}"), "matchers[0]");
    check(
        &with("{receiver: me, routes: [{mute_time_intervals: [x]}]}"),
        "\"mute_time_intervals\" is not supported",
    );
    check(&with("{receiver: me, group_wayt: 1s}"), "did you mean \"group_wait\"");
    check("route: {receiver: me}\nreceivers: [{name: me}, {name: me}]", "is there twice");
    check("route: {receiver: me}\nreceivers: [{name: me}, {}]", "a receiver needs a name");
    check(
        "route: {receiver: me}\nreceivers: [{name: me}]\ninhibit_rules: [{equal: [a]}]",
        "source_matchers are required",
    );
    check(
        "route: {receiver: me}\nreceivers: [{name: me}]\ntime_intervals: [{name: x}]",
        "\"time_intervals\" is not supported",
    );
    check(
        &one("pagerduty_configs: [{routing_key: x}]"),
        "receivers[0]: \"pagerduty_configs\" is not supported",
    );
    check(&one("webhook_configs: [{}]"), "url or url_file is required");
    check(&one("webhook_configs: [{url: 'ftp://h/geheim'}]"), "must be a URL");
    check(&one("webhook_configs: [{url: 'http://h', url_file: f}]"), "exclude each other");
    check(&one("webhook_configs: [{url: 'http://h', payload: {a: b}}]"), "\"payload\" is not supported");
    check(&one("email_configs: [{to: a@b.c}]"), "smarthost is required, here or as smtp_smarthost in global");
    check(&one("email_configs: [{to: a@b.c, from: a@b.c, smarthost: h}]"), "\"h\" is not host:port");
    check(&one("email_configs: [{to: '{{ .X', from: a@b.c, smarthost: 'h:1'}]"), "email_configs[0].to");
    check(
        &one("email_configs: [{to: x, from: a, smarthost: 'h:1', headers: {a-b: x, A-B: y}}]"),
        "is there twice",
    );
    check(&one("slack_configs: [{channel: c}]"), "api_url or api_url_file is required");
    check(
        &one("slack_configs: [{api_url: 'http://h', text: '{{ query \"up\" }}'}]"),
        "slack_configs[0].text",
    );
    let text = format!("notifications: {{{}}}", "route: {receiver: me, routes: [".repeat(20));
    assert!(parse(&text, "f.yml", &LoadOptions::default()).is_err());
    let error = parse(
        "notifications: {route: {receiver: m}, receivers: [{name: m, webhook_configs: [{url: 'x://geheim'}]}]}",
        "f",
        &LoadOptions::default(),
    );
    assert!(!error.expect_err("no URL").to_string().contains("geheim"));
}

#[test]
fn settings_of_clients_are_read_and_printed_without_secrets() {
    let text = "scrape_configs:\n- job_name: a\n  basic_auth: {username: u, password_file: p.txt}\n  \
                tls_config: {ca_file: /ca.pem, cert_file: c.pem, key: KEY, min_version: TLS13}\n  \
                proxy_url: http://me:pass@proxy:1/\n  no_proxy: x\n  proxy_connect_header: {A: [hush]}\n  \
                http_headers: {X-B: {values: [v], secrets: [hush], files: [h.txt]}}\n\
                - job_name: b\n  bearer_token: hush\n- job_name: c\n  authorization: {credentials_file: t}\n\
                - job_name: d\n  oauth2: {client_id: i, client_secret: hush, token_url: 'http://u:pass@t', scopes: [s]}\n";
    let config = parse(text, "/etc/p/prometheus.yml", &LoadOptions::default()).expect("valid");
    let http = |job: usize| &config.scrape_configs[job].http;
    let file = |name: &str| Some(Source::File(name.into()));
    let Some(Auth::Basic { username, password }) = &http(0).auth else { panic!("{:?}", http(0)) };
    assert_eq!((username, password), (&Some(Source::Text(Secret::new("u"))), &file("/etc/p/p.txt")));
    assert_eq!((&http(0).tls.ca, &http(0).tls.cert), (&file("/ca.pem"), &file("/etc/p/c.pem")));
    let files: Vec<String> = http(0).files().iter().map(|path| path.display().to_string()).collect();
    assert_eq!(files, ["/ca.pem", "/etc/p/c.pem", "/etc/p/p.txt", "/etc/p/h.txt"]);
    let bearer = |credentials| Some(Auth::Header { kind: "Bearer".to_owned(), credentials });
    assert_eq!(http(1).auth, bearer(Some(Source::Text(Secret::new("hush")))));
    assert_eq!(http(2).auth, bearer(file("/etc/p/t")));
    let shown = format!("{config:?}{}", config.to_yaml());
    for secret in ["hush", "KEY", "pass@"] {
        assert!(!shown.contains(secret), "{shown}");
    }
    let printed = config.to_yaml();
    for part in [
        "  basic_auth:\n    username: u\n    password_file: /etc/p/p.txt\n  tls_config:\n    ca_file: /ca.pem\n",
        "    key: <secret>\n    insecure_skip_verify: false\n    min_version: TLS13\n",
        "  proxy_url: http://me:xxxxx@proxy:1/\n  no_proxy: x\n  proxy_connect_header:\n    A:\n    - <secret>\n",
        "  authorization:\n    type: Bearer\n    credentials: <secret>\n",
        "  oauth2:\n    client_id: i\n    client_secret: <secret>\n    scopes:\n    - s\n    token_url: http://u:xxxxx@t\n",
    ] {
        assert!(printed.contains(part), "{part}\n{printed}");
    }
}

#[test]
fn settings_of_clients_that_exclude_each_other_are_refused() {
    let check = |keys: &str, expected: &str| {
        let text = format!("scrape_configs:\n- job_name: a\n  {keys}\n");
        let error = parse(&text, "f.yml", &LoadOptions::default()).map(|_| ()).expect_err(&text).to_string();
        assert!(error.contains(expected), "{text}\n  gives {error}\n  not   {expected}");
    };
    check(
        "bearer_token: a\n  bearer_token_file: b",
        "f.yml:4: scrape_configs[0].bearer_token_file: at most one of",
    );
    check(
        "basic_auth: {}\n  oauth2: {client_id: a, token_url: b}",
        "scrape_configs[0].oauth2: at most one of basic_auth",
    );
    check("basic_auth: {username: a}\n  bearer_token: b", "scrape_configs[0].bearer_token: at most one of");
    check(
        "basic_auth: {password: a, password_file: b}",
        "at most one of password, password_file must be configured",
    );
    check("authorization: {type: Basic}", "scrape_configs[0].authorization.type: must not be \"basic\"");
    check("oauth2: {client_id: a}", "token_url is required");
    check("oauth2: {client_id: a, token_url: b, grant_type: x}", "unknown grant type \"x\"");
    check(
        "oauth2: {client_id: a, token_url: b, iss: x}",
        "scrape_configs[0].oauth2: \"iss\" is not supported yet",
    );
    check("tls_config: {cert: a}", "tls_config.cert: a certificate needs a key");
    check("tls_config: {key_file: a}", "a key needs a certificate");
    check("tls_config: {min_version: TLS9}", "unknown TLS version \"TLS9\"");
    check("tls_config: {max_version: TLS11}", "versions before TLS12 are not supported");
    check("tls_config: {min_version: TLS13, max_version: TLS12}", "must not be lower than min_version");
    check("proxy_url: socks5://a", "proxies with the scheme \"socks5\" are not supported");
    check("proxy_url: 'http://[::1'", "must be a URL with a host");
    check("no_proxy: a", "scrape_configs[0].no_proxy: needs proxy_url");
    check("proxy_from_environment: true\n  proxy_url: http://a", "together with proxy_from_environment");
    check("http_headers: {Authorization: {values: [a]}}", "setting header \"Authorization\" is not allowed");
    check("http_headers: {'a b': {values: [a]}}", "\"a b\" is not a valid header name");
}

#[test]
fn targets_of_files_and_servers_are_configured_as_in_prometheus() {
    let text = "scrape_configs:
- job_name: a
  file_sd_configs: [{files: [t/*.json, /abs/x.yml]}]
  http_sd_configs:
  - {url: 'http://u:geheim@h/x', refresh_interval: 5s, basic_auth: {username: u, password: geheim}}
  static_configs: [{targets: [x]}]
";
    let config = parse(text, "/etc/f.yml", &LoadOptions::default()).expect("valid");
    let [MechanismConfig::File(file), MechanismConfig::Http(http)] =
        &config.scrape_configs[0].discovery.mechanisms[..]
    else {
        panic!("two mechanisms: {config:?}")
    };
    assert_eq!(file.files, ["/etc/t/*.json", "/abs/x.yml"]);
    assert_eq!(
        (file.refresh_interval, http.refresh_interval),
        (Duration::from_secs(300), Duration::from_secs(5))
    );
    let printed = config.to_yaml();
    assert!(!printed.contains("geheim"), "{printed}");
    assert!(printed.contains("url: http://u:xxxxx@h/x"), "{printed}");
    for (text, expected) in [
        ("file_sd_configs: [{}]", "needs at least one file name"),
        (
            "file_sd_configs: [{files: [a.txt]}]",
            "file_sd_configs[0].files[0]: path name \"a.txt\" is not valid",
        ),
        ("file_sd_configs: [{files: ['*/a.yml']}]", "only in its last part"),
        ("file_sd_configs: [{files: ['a.Yml']}]", "is not valid"),
        ("http_sd_configs: [{}]", "url is missing"),
        (
            "http_sd_configs: [{url: 'ftp://h'}]",
            "http_sd_configs[0].url: the scheme of the URL must be http or https",
        ),
        ("http_sd_configs: [{url: 'http://'}]", "http_sd_configs[0].url"),
        ("http_sd_configs: [{url: 'http:h'}]", "http_sd_configs[0].url: the URL lacks a host"),
        ("file_sd_configs: [{files: ['a/b*c**.yml', 'a/*b/c.yml']}]", "files[1]: path name"),
        ("http_sd_configs: [{url: 'http://h', refresh_interval: ''}]", "empty duration string"),
        ("http_sd_configs: [{url: 'http://h', bearer: x}]", "unknown key \"bearer\""),
    ] {
        let text = format!("scrape_configs:\n- job_name: a\n  {text}");
        let error = parse(&text, "f.yml", &LoadOptions::default()).map(|_| ()).expect_err(&text).to_string();
        assert!(error.contains(expected), "{error} does not contain {expected}");
    }
}

#[test]
fn jobs_stand_in_further_files_too() {
    let dir = tempfile::tempdir().expect("a folder");
    let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).expect("write");
    std::fs::create_dir(dir.path().join("jobs")).expect("a folder");
    let main = "global: {scrape_interval: 7s}\nscrape_config_files: [jobs/*.yml, none.yml]\nscrape_configs: [{job_name: a}]\n";
    write("main.yml", main);
    write("jobs/1.yml", "scrape_configs:\n- job_name: b\n  bearer_token_file: token\n- job_name: c\n");
    write("jobs/2.yml", "");
    let load = || load(&dir.path().join("main.yml"), &LoadOptions::default());
    let config = load().expect("valid");
    let names: Vec<&str> = config.scrape_configs.iter().map(|job| job.job_name.as_str()).collect();
    assert_eq!(names, ["a", "b", "c"]);
    assert_eq!(config.scrape_configs[2].scrape_interval, Duration::from_secs(7));
    // Names of files begin where they stand.
    assert_eq!(config.files(), [&dir.path().join("jobs/token")]);
    // What is printed gives the same configuration again.
    write("again.yml", &config.to_yaml());
    let again = super::load(&dir.path().join("again.yml"), &LoadOptions::default()).expect("valid");
    assert_eq!(again, config);
    // All that is wrong in all files is told.
    write("jobs/1.yml", "scrape_configs:\n- job_name: a\n");
    write("jobs/2.yml", "global: {}\n");
    let error = load().expect_err("refused").to_string();
    assert!(
        error.contains("jobs/1.yml:2: scrape_configs: job name \"a\" is used twice, first in "),
        "{error}"
    );
    assert!(error.contains("jobs/2.yml:1: configuration: unknown key \"global\""), "{error}");
}

#[test]
fn kubernetes_is_configured_as_in_prometheus() {
    let text = "scrape_configs:
- job_name: a
  kubernetes_sd_configs:
  - role: pod
  - role: endpoints
    api_server: 'https://u:geheim@k:6443/'
    bearer_token_file: token
    namespaces: {names: [a, b]}
    selectors: [{role: pod, label: 'app in (x, y)'}, {role: service, field: 'metadata.name=s'}]
    attach_metadata: {node: true, cronjob: true}
  - {role: node, kubeconfig_file: kube.yml, follow_redirects: true}
";
    let config = parse(text, "/etc/f.yml", &LoadOptions::default()).expect("valid");
    let [
        MechanismConfig::Kubernetes(first),
        MechanismConfig::Kubernetes(second),
        MechanismConfig::Kubernetes(third),
    ] = &config.scrape_configs[0].discovery.mechanisms[..]
    else {
        panic!("three mechanisms: {config:?}")
    };
    assert_eq!((first.role, first.api_server.as_str()), (KubernetesRole::Pod, ""));
    assert_eq!(second.namespaces.names, ["a", "b"]);
    assert_eq!(second.selectors.len(), 2);
    assert!(second.attach_metadata.node && second.attach_metadata.cronjob && !second.attach_metadata.job);
    assert_eq!(third.kubeconfig_file.as_deref(), Some(std::path::Path::new("/etc/kube.yml")));
    assert_eq!(config.files(), [std::path::Path::new("/etc/token"), std::path::Path::new("/etc/kube.yml")]);
    let printed = config.to_yaml();
    assert!(!printed.contains("geheim"), "{printed}");
    let hidden = text.replace("geheim", "xxxxx");
    let again = parse(&hidden, "/etc/f.yml", &LoadOptions::default()).expect("valid");
    assert_eq!(parse(&printed, "/etc/f.yml", &LoadOptions::default()).expect(&printed), again);
    let client = "bearer_token: x";
    for (text, expected) in [
        ("{}", "kubernetes_sd_configs[0].role: role missing: pod, service"),
        ("{role: pods}", "role: unknown role \"pods\": pod"),
        ("{role: pod, api_server: 'a b'}", "api_server: not a URL"),
        ("{role: pod, api_server: 'ftp://x'}", "api_server: the scheme of the URL must be http or https"),
        (
            "{role: pod, api_server: 'http://x', kubeconfig_file: f}",
            "kubeconfig_file: cannot be used together with api_server",
        ),
        (
            &format!("{{role: pod, kubeconfig_file: f, {client}}}"),
            "bearer_token: client settings cannot be used together with kubeconfig_file",
        ),
        (
            "{role: pod, follow_redirects: false}",
            "follow_redirects: client settings can be used only with an explicit api_server",
        ),
        (
            "{role: pod, api_server: 'http://x', namespaces: {own_namespace: true}}",
            "api_server: cannot be used together with namespaces.own_namespace",
        ),
        (
            "{role: pod, kubeconfig_file: f, namespaces: {own_namespace: true}}",
            "kubeconfig_file: cannot be used together with namespaces.own_namespace",
        ),
        (
            "{role: node, selectors: [{role: pod}]}",
            "selectors[0].role: the role node takes only selectors with the roles node, not \"pod\"",
        ),
        ("{role: pod, selectors: [{role: pod}, {role: pod}]}", "selectors[1].role: there are two selectors"),
        ("{role: pod, selectors: [{role: pod, label: 'a,'}]}", "selectors[0].label: invalid label selector"),
        ("{role: pod, selectors: [{role: pod, field: a}]}", "selectors[0].field: invalid field selector"),
        ("{role: pod, namespaces: {name: a}}", "namespaces: unknown key \"name\""),
        ("{role: pod, attach_metadata: {pod: true}}", "attach_metadata: unknown key \"pod\""),
    ] {
        let text = format!("scrape_configs:\n- job_name: a\n  kubernetes_sd_configs: [{text}]");
        let error = parse(&text, "f.yml", &LoadOptions::default()).map(|_| ()).expect_err(&text).to_string();
        assert!(error.contains(expected), "{error} does not contain {expected}");
    }
}
