//! What the ways to find targets have by default, and what none of them takes.

use super::*;
use crate::config::{Config, LoadOptions, parse};

fn load(section: &str) -> Result<Config, String> {
    let text = format!("scrape_configs: [{{job_name: j, {section}}}]\n");
    parse(&text, "f.yml", &LoadOptions::default()).map_err(|error| error.to_string())
}

fn mechanism(key: &str, section: &str) -> MechanismConfig {
    let config = load(&format!("{key}_sd_configs: [{{{section}}}]"));
    let config = config.unwrap_or_else(|error| panic!("{key} {section}: {error}"));
    let [one] = &config.scrape_configs[0].discovery.mechanisms[..] else { panic!("{key} is one mechanism") };
    one.clone()
}

#[test]
fn each_mechanism_has_the_defaults_of_prometheus() {
    let client = "follow_redirects: true, enable_http2: true";
    for (key, needed, defaults, has_client) in [
        (
            "consul",
            "",
            "server: 'localhost:8500', scheme: http, tag_separator: ',', allow_stale: true, refresh_interval: 30s",
            true,
        ),
        ("dns", "names: [a]", "type: SRV, port: 0, refresh_interval: 30s, follow_ttl: false", false),
        (
            "docker",
            "host: 'unix:///s'",
            "port: 80, host_networking_host: localhost, match_first_network: true, filters: [], refresh_interval: 60s",
            true,
        ),
        (
            "dockerswarm",
            "host: 'unix:///s', role: tasks",
            "port: 80, filters: [], refresh_interval: 60s",
            true,
        ),
        ("ec2", "", "port: 80, filters: [], refresh_interval: 60s", true),
        ("digitalocean", "", "role: droplets, port: 80, refresh_interval: 60s", true),
        ("eureka", "server: 'http://h'", "refresh_interval: 30s", true),
        ("hetzner", "role: hcloud", "port: 80, refresh_interval: 60s", true),
        ("linode", "", "region: '', tag_separator: ',', port: 80, refresh_interval: 60s", true),
        (
            "nomad",
            "",
            "server: 'http://localhost:4646', namespace: default, region: global, allow_stale: true, \
             tag_separator: ',', refresh_interval: 60s",
            true,
        ),
        ("gce", "project: p, zone: z", "tag_separator: ',', port: 80, refresh_interval: 60s", false),
        ("file", "files: [a.yml]", "refresh_interval: 5m", false),
        ("http", "url: 'http://h'", "refresh_interval: 60s", true),
        ("vultr", "", "port: 80, refresh_interval: 60s", true),
        ("kubernetes", "role: pod, api_server: 'http://h'", "namespaces: {names: []}, selectors: []", true),
    ] {
        let comma = if needed.is_empty() { "" } else { ", " };
        let mut explicit = format!("{needed}{comma}{defaults}");
        if has_client {
            explicit = format!("{explicit}, {client}");
        }
        let plain = mechanism(key, needed);
        assert_eq!(plain, mechanism(key, &explicit), "{key}");
        assert_eq!(plain.name(), key);
        assert_eq!(plain.http().is_some(), has_client, "{key}");
        // An interval of nothing is the default one, and another one is another one.
        if key != "kubernetes" {
            let paced = |pace: &str| mechanism(key, &format!("{needed}{comma}refresh_interval: {pace}"));
            assert!(paced("0s") == plain && paced("7s") != plain, "{key}");
        }
    }
}

#[test]
fn what_no_mechanism_can_do_is_refused() {
    let port = "must be a port from 0 to 65535";
    for (section, expected) in [
        ("dns_sd_configs: [{}]", "dns_sd_configs[0].names: DNS discovery needs at least one name"),
        ("dns_sd_configs: [{names: []}]", "needs at least one name"),
        ("dns_sd_configs: [{names: [a], type: TXT}]", "invalid DNS record type \"TXT\""),
        ("dns_sd_configs: [{names: [a], type: ''}]", "invalid DNS record type \"\""),
        ("dns_sd_configs: [{names: [a], type: aaaa}]", "a port is required"),
        ("dns_sd_configs: [{names: [a], type: A+AAAA}]", "a port is required"),
        ("dns_sd_configs: [{names: [a], type: mx, port: 0}]", "a port is required"),
        ("dns_sd_configs: [{names: [a], type: NS}]", "a port is required"),
        ("file_sd_configs: [{files: []}]", "file discovery needs at least one file name"),
        ("docker_sd_configs: [{}]", "docker_sd_configs[0].host: host missing"),
        ("docker_sd_configs: [{host: h}]", "must begin with unix://, tcp://, http:// or https://"),
        ("docker_sd_configs: [{host: 'unix:///s', port: 65536}]", port),
        ("docker_sd_configs: [{host: 'unix:///s', port: -1}]", port),
        (
            "docker_sd_configs: [{host: 'unix:///s', filters: [{values: [a]}]}]",
            "the name of a filter is missing",
        ),
        ("dockerswarm_sd_configs: [{role: tasks}]", "host missing"),
        ("dockerswarm_sd_configs: [{host: 'unix:///s'}]", "role missing: tasks, services or nodes"),
        ("dockerswarm_sd_configs: [{host: 'unix:///s', role: Tasks}]", "invalid role \"Tasks\""),
        ("consul_sd_configs: [{server: ' '}]", "consul discovery requires a server address"),
        ("consul_sd_configs: [{token: t, authorization: {credentials: c}}]", "at most one of token"),
        ("consul_sd_configs: [{token: t, bearer_token: c}]", "at most one of token"),
        (
            "consul_sd_configs: [{username: u, basic_auth: {username: u}}]",
            "at most one of username and password",
        ),
        ("consul_sd_configs: [{scheme: ftp}]", "scheme must be http or https"),
        ("nomad_sd_configs: [{server: ''}]", "nomad discovery requires a server address"),
        ("eureka_sd_configs: [{}]", "server is missing"),
        ("eureka_sd_configs: [{server: h}]", "eureka_sd_configs[0].server: not a URL"),
        ("hetzner_sd_configs: [{}]", "role missing: robot or hcloud"),
        ("hetzner_sd_configs: [{role: x}]", "unknown role \"x\""),
        ("digitalocean_sd_configs: [{role: ''}]", "role missing: droplets or databases"),
        ("gce_sd_configs: [{zone: z}]", "GCE discovery requires a project"),
        ("gce_sd_configs: [{project: p}]", "GCE discovery requires a zone"),
        ("ec2_sd_configs: [{filters: [{name: n, values: []}]}]", "the values of a filter cannot be empty"),
        ("vultr_sd_configs: [{basic_auth: {username: a}, authorization: {}}]", "at most one of"),
        ("linode_sd_configs: [~]", "linode_sd_configs[0]: empty or null entry"),
        ("http_sd_configs: {}", "must be a list"),
        ("http_sd_config: []", "did you mean \"http_sd_configs\"?"),
    ] {
        let error = load(section).map(|_| ()).expect_err(section);
        assert!(error.contains(expected), "{section}\n  gives {error}\n  not   {expected}");
    }
    // Every mechanism takes the same client, and no key that it does not know.
    for (key, needed) in [("consul", ""), ("docker", "host: 'unix:///s', "), ("vultr", ""), ("nomad", "")] {
        let error = load(&format!("{key}_sd_configs: [{{{needed}colour: red}}]")).expect_err(key);
        assert!(error.contains("unknown key \"colour\""), "{error}");
        let error = load(&format!("{key}_sd_configs: [{{{needed}bearer_token: a, bearer_token_file: b}}]"));
        assert!(error.expect_err(key).contains("at most one of"), "{key}");
    }
}

#[test]
fn mechanisms_that_are_not_supported_are_refused_by_name() {
    for key in crate::config::mechanism_keys::OTHERS {
        let error = load(&format!("{key}: [{{anything: x}}]")).expect_err(key);
        let expected =
            format!("{key:?} is not supported yet; list its targets in a file for file_sd_configs, or ");
        assert!(error.contains(&expected), "{error}");
        load(&format!("{key}: []")).expect("nothing is wanted of it");
    }
}
