//! Tests of loading: what is accepted, what is refused and with which words, what is printed.

use super::*;

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
    assert_eq!(job.static_configs[0].labels.get("version"), Some("1.10"));
    assert!(job.honor_timestamps && job.enable_compression && !job.honor_labels);
}

#[test]
fn refuses_with_file_line_and_key() {
    let check = |text: &str, expected: &str| {
        let error = parse(text, "f.yml", &LoadOptions::default()).map(|_| ()).expect_err(text).to_string();
        assert!(error.contains(expected), "{text}\n  gives {error}\n  not   {expected}");
    };
    let job = "scrape_configs:\n- job_name: a\n";
    check("globul: {}", "f.yml:1: configuration: unknown key \"globul\"");
    check("global:\n  x: 1", "f.yml:2: global: unknown key \"x\"");
    check("rule_files:\n- a.yml", "f.yml:1: configuration: \"rule_files\" is not supported yet");
    check(
        &format!("{job}  basic_auth:\n    username: x"),
        "f.yml:3: scrape_configs[0]: \"basic_auth\" is not supported yet",
    );
    check(
        &format!("{job}  file_sd_configs: [{{files: [a.json]}}]"),
        "f.yml:3: scrape_configs[0]: \"file_sd_configs\" is not supported yet",
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
    check(&format!("{job}  job_name: b"), "duplicate entry");
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
}

#[test]
fn printing_and_loading_again_gives_an_equal_configuration() {
    let text = "
global:
  scrape_interval: 90m
  external_labels: {monitor: a}
  body_size_limit: 15MB
scrape_configs:
- job_name: everything
  honor_labels: true
  honor_timestamps: false
  params: {module: [a, b]}
  scheme: https
  fallback_scrape_protocol: PrometheusText0.0.4
  follow_redirects: false
  static_configs: [{targets: ['a:1'], labels: {v: '1.10'}}]
  dns_sd_configs: [{names: [x], type: a, port: 80}]
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
    let own = Config::self_scrape("localhost:9090");
    assert_eq!(parsed(&own.to_yaml()), own);
    assert_eq!(parsed(&Config::default().to_yaml()), Config::default());
}

#[test]
fn a_reference_to_the_environment_stays_unless_asked_for() {
    let text = "scrape_configs:\n- job_name: a\n  static_configs: [{targets: ['${EMBERKEEP_TEST_UNSET}']}]\n";
    assert_eq!(parsed(text).scrape_configs[0].static_configs[0].targets, ["${EMBERKEEP_TEST_UNSET}"]);
    let error = parse(text, "f.yml", &LoadOptions { expand_env: true }).expect_err("unset").to_string();
    assert_eq!(error, "f.yml:3: environment variable \"EMBERKEEP_TEST_UNSET\" is not set");
}
