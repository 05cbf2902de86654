//! Tests of the sections of remote storage, of OTLP and of traces: what is refused and why, and what is printed.

use crate::config::key::Path;
use crate::config::loader::Loader;
use crate::config::section::{Item, Notes, Section};
use crate::config::{Config, Error, LoadOptions, keys, parse, tree};
use crate::model::name::NameScheme;

/// What is wrong with `text`, but for sections that are refused in any case.
fn faults(text: &str) -> Vec<String> {
    let error = parse(text, "f.yml", &LoadOptions::default()).map(|_: Config| ());
    let Err(error) = error else { return Vec::new() };
    let faults = error.each().iter().filter(|error| !matches!(error, Error::Unsupported { .. }));
    faults.map(ToString::to_string).collect()
}

#[track_caller]
fn refuses(text: &str, expected: &str) {
    let found = faults(text);
    assert!(
        found.len() == 1 && found[0].contains(expected),
        "{text}\n  gives {found:#?}\n  not   {expected}"
    );
}

/// The sections as printed, whatever is refused of them.
fn printed(text: &str) -> String {
    let (root, faults) = tree::read(text).expect(text);
    assert!(faults.is_empty(), "{text}");
    let root = root.expect("not empty");
    let notes = Notes::new("f.yml");
    let top = Item { node: &root, line: 1, path: Path::new() };
    let file = Section::open(&notes, &top, &keys::FILE);
    let loader = Loader { notes: &notes };
    let config = Config {
        remote_write: loader.remote_writes(&file, NameScheme::Utf8),
        remote_read: loader.remote_reads(&file),
        tracing: loader.traces(&file),
        otlp: loader.otlp(&file, NameScheme::Utf8),
        ..Config::default()
    };
    let yaml = config.to_yaml();
    yaml[yaml.find("extra_scrape_metrics: false\n").expect("global") + 28..].to_owned()
}

#[test]
fn sections_without_faults_are_refused_by_name() {
    let check = |text: &str, expected: &str| {
        let error = parse(text, "f.yml", &LoadOptions::default()).map(|_| ()).expect_err(text);
        assert_eq!(error.to_string(), expected, "{text}");
    };
    let refusal = |key| format!("f.yml:1: configuration: {key:?} is not supported yet");
    check("remote_write: [{url: 'http://a/b'}]", &refusal("remote_write"));
    check("remote_read: [{url: 'http://a/b'}]", &refusal("remote_read"));
    check("tracing: {endpoint: 'a:4317'}", &refusal("tracing"));
    check(
        "remote_write: [{url: 'http://a/b', nam: c}]\nscrape_configs: [{}]",
        "f.yml:1: remote_write[0]: unknown key \"nam\"; did you mean \"name\"?\n\
         f.yml:2: scrape_configs[0].job_name: job_name is empty\n\
         f.yml:1: configuration: \"remote_write\" is not supported yet",
    );
    for text in [
        "remote_write:\nremote_read: []\ntracing:\notlp:\n",
        "otlp: {}",
        "otlp: {promote_scope_metadata: yes}",
    ] {
        assert!(parse(text, "f.yml", &LoadOptions::default()).is_ok(), "{text}");
    }
}

#[test]
fn what_is_wrong_with_a_server_is_told() {
    let check = |own: &str, expected: &str| {
        let indented = own.replace('\n', "\n  ");
        let to = |key: &str| format!("{key}:\n- url: http://a/b\n  {indented}");
        refuses(&to("remote_write"), &expected.replace("REMOTE", "remote_write[0]"));
        refuses(&to("remote_read"), &expected.replace("REMOTE", "remote_read[0]"));
    };
    check("remote_timeout: 1", "f.yml:3: REMOTE.remote_timeout: ");
    check(
        "headers: {X-Amz-Date: a}",
        "f.yml:3: REMOTE.headers.X-Amz-Date: setting header \"X-Amz-Date\" is not",
    );
    check("headers: {AUTHORIZATION: a}", "f.yml:3: REMOTE.headers.AUTHORIZATION: setting header");
    check("headers: {a b: a}", "f.yml:3: REMOTE.headers.a b: \"a b\" is not a valid header name");
    check("basic_auth: {}\noauth2: {client_id: a, token_url: b}", "f.yml:4: REMOTE.oauth2: at most one of");
    check("tls_config: {cert_file: a}", "f.yml:3: REMOTE.tls_config.cert: a certificate needs a key");
    check("no_proxy: a", "f.yml:3: REMOTE.no_proxy: needs proxy_url");

    for key in ["remote_write", "remote_read"] {
        refuses(&format!("{key}: [{{name: a}}]"), &format!("f.yml:1: {key}[0].url: url is missing"));
        refuses(&format!("{key}:\n- url: a:9090"), &format!("f.yml:2: {key}[0].url: the scheme of the URL"));
        refuses(&format!("{key}:\n-\n"), &format!("f.yml:2: {key}[0]: empty or null entry"));
        let two = |a: &str, b: &str| format!("{key}:\n- url: http://a\n  {a}\n- url: http://a\n  {b}\n");
        refuses(
            &two("name: c", "name: c"),
            &format!("f.yml:5: {key}[1].name: name \"c\" is used twice, first by the entry on line 2"),
        );
        // Secrets are not shown, so these cannot be told from each other.
        refuses(
            &two("bearer_token: c", "bearer_token: d"),
            &format!("f.yml:4: {key}[1]: says the same as the entry on line 2: name them"),
        );
        assert_eq!(faults(&two("name: c", "name: d")), [""; 0]);
        assert_eq!(faults(&two("name: c", "bearer_token: d")), [""; 0]);
    }
    refuses(
        "remote_read:\n- url: http://a\n  required_matchers: {'': a}",
        "f.yml:3: remote_read[0].required_matchers.: a label name is empty",
    );
    refuses(
        "remote_read:\n- url: http://a\n  chunked_read_limit: -1",
        "f.yml:3: remote_read[0].chunked_read_limit",
    );
}

#[test]
fn what_is_wrong_with_sending_is_told() {
    let check = |own: &str, expected: &str| {
        let text = format!("remote_write:\n- url: http://a/b\n  {}", own.replace('\n', "\n  "));
        refuses(&text, expected);
    };
    check(
        "protobuf_message: a",
        "f.yml:3: remote_write[0].protobuf_message: must be prometheus.WriteRequest or io.prometheus.write.v2.Request",
    );
    check(
        "write_relabel_configs:\n-",
        "f.yml:4: remote_write[0].write_relabel_configs[0]: empty or null entry",
    );
    check("write_relabel_configs: [{action: a}]", "unknown relabel action \"a\"");
    check("queue_config:", "f.yml:3: remote_write[0].queue_config: must not be empty");
    for key in ["capacity", "max_shards", "min_shards", "max_samples_per_send"] {
        for number in ["0", "-1", ""] {
            check(
                &format!("queue_config: {{{key}: {number}}}"),
                &format!("f.yml:3: remote_write[0].queue_config.{key}: must be a positive number"),
            );
        }
    }
    check(
        "queue_config: {min_shards: 51}",
        "queue_config.min_shards: min_shards 51 is more than max_shards 50",
    );
    check("queue_config: {max_backoff: 29ms}", "queue_config.max_backoff: max_backoff must not be less");
    check("queue_config: {min_backoff: 6s}", "queue_config.min_backoff: max_backoff must not be less");
    check("metadata_config: {send: 7}", "metadata_config.send: must be true or false");
    check(
        "basic_auth: {}\nsigv4: {}",
        "f.yml:4: remote_write[0].sigv4: at most one of basic_auth, authorization,",
    );
    check("bearer_token: a\ngoogle_iam: {}", "f.yml:4: remote_write[0].google_iam: at most one of");
    check("google_iam: {}\nazuread: {sdk: {}}", "f.yml:3: remote_write[0].google_iam: at most one of");
    check(
        "sigv4: {access_key: a}",
        "f.yml:3: remote_write[0].sigv4.access_key: access_key has no meaning without",
    );
    check("sigv4: {external_id: a}", "sigv4.external_id: external_id has no meaning without role_arn");
    check(
        "azuread: {}",
        "f.yml:3: remote_write[0].azuread: one of managed_identity, workload_identity, oauth,",
    );
    check(
        "azuread: {sdk: {}, cloud: a}",
        "azuread.cloud: must be AzurePublic, AzureGovernment or AzureChina",
    );
    check("azuread: {sdk: {}, scope: 'a;b'}", "azuread.scope: holds characters that no scope has");
    check("azuread: {sdk: {}, managed_identity: {}}", "azuread.sdk: at most one of managed_identity,");
    check(
        "azuread: {managed_identity: {client_id: a}}",
        "managed_identity.client_id: must be a UUID, not \"a\"",
    );
    let uuid = "00000000-0000-0000-0000-000000000000";
    check(
        &format!("azuread: {{workload_identity: {{client_id: {uuid}}}}}"),
        "tenant_id: tenant_id is missing",
    );
    check(&format!("azuread: {{oauth: {{client_id: {uuid}, tenant_id: a}}}}"), "client_secret is missing");
    check(
        &format!("azuread: {{certificate: {{client_id: {uuid}, tenant_id: a}}}}"),
        "certificate_path is missing",
    );
}

#[test]
fn what_is_wrong_with_otlp_and_traces_is_told() {
    refuses("tracing: {}", "f.yml:1: tracing.endpoint: endpoint is missing");
    let check = |own: &str, expected: &str| refuses(&format!("tracing:\n  endpoint: a\n  {own}"), expected);
    check("client_type: GRPC", "f.yml:3: tracing.client_type: must be http or grpc, not \"GRPC\"");
    check("compression: zstd", "f.yml:3: tracing.compression: must be gzip or empty, not \"zstd\"");
    check("headers: {authorization: a}", "f.yml:3: tracing.headers.authorization: setting header");
    check("sampling_fraction: a", "f.yml:3: tracing.sampling_fraction: must be a number");
    check("tls_config: {key: a}", "f.yml:3: tracing.tls_config.key: a key needs a certificate");

    let all = "promote_all_resource_attributes: true";
    refuses("otlp: {ignore_resource_attributes: [a]}", "otlp.ignore_resource_attributes: needs promote_all");
    refuses(&format!("otlp: {{{all}, promote_resource_attributes: [a]}}"), "must not be configured together");
    refuses(
        &format!("otlp:\n  {all}\n  ignore_resource_attributes:\n  - a\n  - ' a'"),
        "f.yml:5: otlp.ignore_resource_attributes[1]: attribute \"a\" is there twice",
    );
    refuses(
        "otlp: {promote_resource_attributes: [' ']}",
        "promote_resource_attributes[0]: the name of an attribute",
    );
    refuses("otlp: {translation_strategy: a}", "must be one of UnderscoreEscapingWithSuffixes, ");
    let legacy = "global: {metric_name_validation_scheme: legacy}\notlp: {translation_strategy: ";
    refuses(
        &format!("{legacy}NoTranslation}}"),
        "f.yml:2: otlp.translation_strategy: NoTranslation is not allowed",
    );
    assert_eq!(faults(&format!("{legacy}UnderscoreEscapingWithoutSuffixes}}")), [""; 0]);
}

#[test]
fn sections_are_printed_with_defaults_and_without_secrets() {
    let given = "remote_write:
- url: http://user:hidden@a/b
- url: http://a/c
  name: full
  headers: {X-Scope-OrgID: tenant}
  write_relabel_configs: [{source_labels: [a], regex: b, action: drop}]
  send_exemplars: true
  protobuf_message: io.prometheus.write.v2.Request
  queue_config: {capacity: 7, sample_age_limit: 1h}
  metadata_config:
  azuread: {oauth: {client_id: 00000000000000000000000000000000, client_secret: hidden, tenant_id: t}}
- {url: http://a/d, sigv4: {access_key: k, secret_key: hidden, region: r}}
remote_read:
- {url: http://a/r, required_matchers: {job: x}, filter_external_labels: false, basic_auth: {password: hidden}}
tracing: {endpoint: a:4317, compression: gzip, timeout: 5s, tls_config: {ca: c}}
otlp: {promote_all_resource_attributes: true, ignore_resource_attributes: [' a ']}
";
    let expected = "tracing:
  client_type: grpc
  endpoint: a:4317
  sampling_fraction: 0.0
  tls_config:
    ca: c
    insecure_skip_verify: false
  compression: gzip
  timeout: 5s
remote_write:
- url: http://user:xxxxx@a/b
  remote_timeout: 30s
  protobuf_message: prometheus.WriteRequest
  follow_redirects: true
  enable_http2: false
  queue_config:
    capacity: 10000
    max_shards: 50
    min_shards: 1
    max_samples_per_send: 2000
    batch_send_deadline: 5s
    min_backoff: 30ms
    max_backoff: 5s
  metadata_config:
    send: true
    send_interval: 1m
    max_samples_per_send: 2000
- url: http://a/c
  remote_timeout: 30s
  headers:
    X-Scope-OrgID: tenant
  write_relabel_configs:
  - source_labels:
    - a
    regex: b
    action: drop
  name: full
  send_exemplars: true
  protobuf_message: io.prometheus.write.v2.Request
  follow_redirects: true
  enable_http2: false
  queue_config:
    capacity: 7
    max_shards: 50
    min_shards: 1
    max_samples_per_send: 2000
    batch_send_deadline: 5s
    min_backoff: 30ms
    max_backoff: 5s
    sample_age_limit: 1h
  metadata_config:
    send: false
    send_interval: 1m
    max_samples_per_send: 2000
  azuread:
    oauth:
      client_id: '00000000000000000000000000000000'
      client_secret: <secret>
      tenant_id: t
    cloud: AzurePublic
- url: http://a/d
  remote_timeout: 30s
  protobuf_message: prometheus.WriteRequest
  follow_redirects: true
  enable_http2: false
  queue_config:
    capacity: 10000
    max_shards: 50
    min_shards: 1
    max_samples_per_send: 2000
    batch_send_deadline: 5s
    min_backoff: 30ms
    max_backoff: 5s
  metadata_config:
    send: true
    send_interval: 1m
    max_samples_per_send: 2000
  sigv4:
    region: r
    access_key: k
    secret_key: <secret>
remote_read:
- url: http://a/r
  remote_timeout: 1m
  chunked_read_limit: 50000000
  basic_auth:
    password: <secret>
  follow_redirects: true
  enable_http2: true
  required_matchers:
    job: x
  filter_external_labels: false
otlp:
  promote_all_resource_attributes: true
  ignore_resource_attributes:
  - a
  translation_strategy: UnderscoreEscapingWithSuffixes
  label_name_underscore_sanitization: true
  label_name_preserve_multiple_underscores: true
";
    let first = printed(given);
    assert_eq!(first, expected);
    assert_eq!(faults(given), [""; 0]);
    // What is printed says the same again.
    assert_eq!(printed(&first), first);
}
