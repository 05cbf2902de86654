//! Which keys each section has, and which of them this server does not support.
//!
//! A key that is not supported is refused by name, never ignored, unless it is empty or holds its default.

/// The keys of one kind of section.
#[derive(Debug)]
pub(super) struct Keys {
    /// Keys that work, each with the section below it, if it is one.
    pub(super) supported: &'static [(&'static str, Below)],
    /// More of them, in lists that several sections share.
    pub(super) shared: &'static [&'static [(&'static str, Below)]],
    /// Keys that Prometheus has and this server does not, in lists that several sections may share.
    pub(super) unsupported: &'static [&'static [&'static str]],
    /// Values at which an unsupported key may stand, because they change nothing.
    pub(super) harmless: &'static [(&'static str, &'static str)],
}

/// A section without keys, for all that a table does not say.
const NONE: Keys = Keys { supported: &[], shared: &[], unsupported: &[], harmless: &[] };

/// What a key holds.
#[derive(Debug, Clone, Copy)]
pub(super) enum Below {
    /// A value, or a mapping with free keys.
    Value,
    /// A section.
    Section(&'static Keys),
    /// A list of sections.
    List(&'static Keys),
    /// Sections by free names.
    Named(&'static Keys),
}

use Below::{List, Named, Section, Value};

pub(super) static FILE: Keys = Keys {
    supported: &[
        ("global", Section(&GLOBAL)),
        ("scrape_configs", List(&SCRAPE)),
        ("storage", Section(&STORAGE)),
        ("runtime", Section(&RUNTIME)),
        ("alerting", Section(&ALERTING)),
        ("notifications", Section(&NOTIFICATIONS)),
        ("rule_files", Value),
    ],
    unsupported: &[&["scrape_config_files", "remote_write", "remote_read", "otlp", "tracing"]],
    ..NONE
};

pub(super) static RULE_FILE: Keys = Keys { supported: &[("groups", List(&RULE_GROUP))], ..NONE };

static RULE_GROUP: Keys = Keys {
    supported: &[
        ("name", Value),
        ("interval", Value),
        ("query_offset", Value),
        ("limit", Value),
        ("labels", Value),
        ("rules", List(&RULE)),
    ],
    ..NONE
};

static RULE: Keys = Keys {
    supported: &[
        ("record", Value),
        ("alert", Value),
        ("expr", Value),
        ("for", Value),
        ("keep_firing_for", Value),
        ("labels", Value),
        ("annotations", Value),
    ],
    ..NONE
};

/// Unit tests of rules.
pub(super) static UNIT_TEST_FILE: Keys = Keys {
    supported: &[
        ("rule_files", Value),
        ("evaluation_interval", Value),
        ("group_eval_order", Value),
        ("fuzzy_compare", Value),
        ("tests", List(&UNIT_TEST)),
    ],
    ..NONE
};

static UNIT_TEST: Keys = Keys {
    supported: &[
        ("name", Value),
        ("interval", Value),
        ("start_timestamp", Value),
        ("input_series", List(&INPUT_SERIES)),
        ("alert_rule_test", List(&ALERT_TEST)),
        ("promql_expr_test", List(&QUERY_TEST)),
        ("external_labels", Value),
        ("external_url", Value),
    ],
    ..NONE
};

static INPUT_SERIES: Keys = Keys { supported: &[("series", Value), ("values", Value)], ..NONE };

static ALERT_TEST: Keys = Keys {
    supported: &[("eval_time", Value), ("alertname", Value), ("exp_alerts", List(&EXPECTED_ALERT))],
    ..NONE
};

static EXPECTED_ALERT: Keys =
    Keys { supported: &[("exp_labels", Value), ("exp_annotations", Value)], ..NONE };

static QUERY_TEST: Keys = Keys {
    supported: &[("expr", Value), ("eval_time", Value), ("exp_samples", List(&EXPECTED_SAMPLE))],
    ..NONE
};

static EXPECTED_SAMPLE: Keys =
    Keys { supported: &[("labels", Value), ("value", Value), ("histogram", Value)], ..NONE };

/// How Go works inside: nothing here.
static RUNTIME: Keys = Keys { supported: &[("gogc", Value)], ..NONE };

static ALERTING: Keys = Keys {
    supported: &[("alertmanagers", List(&ALERTMANAGER)), ("alert_relabel_configs", List(&RELABEL))],
    ..NONE
};

static ALERTMANAGER: Keys = Keys {
    supported: &[
        ("static_configs", List(&STATIC)),
        ("dns_sd_configs", List(&DNS)),
        ("scheme", Value),
        ("path_prefix", Value),
        ("timeout", Value),
        ("api_version", Value),
        ("relabel_configs", List(&RELABEL)),
        ("alert_relabel_configs", List(&RELABEL)),
    ],
    shared: &[CLIENT, PROXY],
    unsupported: &[&["sigv4"], MECHANISMS],
    ..NONE
};

/// As `alertmanager.yml`, and one key of our own.
static NOTIFICATIONS: Keys = Keys {
    supported: &[
        ("alongside_alertmanagers", Value),
        ("global", Section(&NOTIFICATIONS_GLOBAL)),
        ("route", Section(&ROUTE)),
        ("inhibit_rules", List(&INHIBIT_RULE)),
        ("receivers", List(&RECEIVER)),
    ],
    unsupported: &[&["templates", "time_intervals", "mute_time_intervals", "tracing"]],
    ..NONE
};

static NOTIFICATIONS_GLOBAL: Keys = Keys {
    supported: &[
        ("resolve_timeout", Value),
        ("smtp_from", Value),
        ("smtp_hello", Value),
        ("smtp_smarthost", Value),
        ("smtp_auth_username", Value),
        ("smtp_auth_password", Value),
        ("smtp_auth_password_file", Value),
        ("smtp_require_tls", Value),
        ("slack_api_url", Value),
        ("slack_api_url_file", Value),
        ("http_config", Section(&HTTP_CONFIG)),
    ],
    unsupported: &[&[
        "smtp_auth_identity",
        "smtp_auth_secret",
        "smtp_auth_secret_file",
        "smtp_tls_config",
        "smtp_force_implicit_tls",
        "slack_app_token",
        "slack_app_token_file",
        "slack_app_url",
        "jira_api_url",
        "mattermost_webhook_url",
        "mattermost_webhook_url_file",
        "opsgenie_api_key",
        "opsgenie_api_key_file",
        "opsgenie_api_url",
        "pagerduty_url",
        "rocketchat_api_url",
        "rocketchat_token",
        "rocketchat_token_file",
        "rocketchat_token_id",
        "rocketchat_token_id_file",
        "telegram_api_url",
        "telegram_bot_token",
        "telegram_bot_token_file",
        "victorops_api_key",
        "victorops_api_key_file",
        "victorops_api_url",
        "webex_api_url",
        "wechat_api_corp_id",
        "wechat_api_secret",
        "wechat_api_secret_file",
        "wechat_api_url",
    ]],
    ..NONE
};

static ROUTE: Keys = Keys {
    supported: &[
        ("receiver", Value),
        ("group_by", Value),
        ("group_wait", Value),
        ("group_interval", Value),
        ("repeat_interval", Value),
        ("matchers", Value),
        ("match", Value),
        ("match_re", Value),
        ("continue", Value),
        ("routes", List(&ROUTE)),
    ],
    unsupported: &[&["active_time_intervals", "mute_time_intervals", "labels"]],
    ..NONE
};

static INHIBIT_RULE: Keys = Keys {
    supported: &[
        ("source_matchers", Value),
        ("source_match", Value),
        ("source_match_re", Value),
        ("target_matchers", Value),
        ("target_match", Value),
        ("target_match_re", Value),
        ("equal", Value),
    ],
    unsupported: &[&["name", "sources"]],
    ..NONE
};

static RECEIVER: Keys = Keys {
    supported: &[
        ("name", Value),
        ("webhook_configs", List(&WEBHOOK)),
        ("email_configs", List(&EMAIL)),
        ("slack_configs", List(&SLACK)),
    ],
    unsupported: &[&[
        "discord_configs",
        "incidentio_configs",
        "jira_configs",
        "labels",
        "mattermost_configs",
        "msteams_configs",
        "msteamsv2_configs",
        "opsgenie_configs",
        "pagerduty_configs",
        "pushover_configs",
        "rocketchat_configs",
        "sns_configs",
        "telegram_configs",
        "victorops_configs",
        "webex_configs",
        "wechat_configs",
    ]],
    ..NONE
};

static WEBHOOK: Keys = Keys {
    supported: &[
        ("send_resolved", Value),
        ("url", Value),
        ("url_file", Value),
        ("max_alerts", Value),
        ("timeout", Value),
        ("http_config", Section(&HTTP_CONFIG)),
    ],
    unsupported: &[&["payload"]],
    ..NONE
};

static EMAIL: Keys = Keys {
    supported: &[
        ("send_resolved", Value),
        ("to", Value),
        ("from", Value),
        ("smarthost", Value),
        ("hello", Value),
        ("auth_username", Value),
        ("auth_password", Value),
        ("auth_password_file", Value),
        ("require_tls", Value),
        ("tls_config", Section(&EMAIL_TLS)),
        ("headers", Value),
        ("html", Value),
        ("text", Value),
    ],
    unsupported: &[&["auth_identity", "auth_secret", "auth_secret_file", "force_implicit_tls", "threading"]],
    ..NONE
};

static EMAIL_TLS: Keys = Keys {
    supported: &[("ca_file", Value), ("insecure_skip_verify", Value)],
    unsupported: &[&[
        "ca",
        "cert",
        "cert_file",
        "key",
        "key_file",
        "server_name",
        "min_version",
        "max_version",
    ]],
    ..NONE
};

static SLACK: Keys = Keys {
    supported: &[
        ("send_resolved", Value),
        ("api_url", Value),
        ("api_url_file", Value),
        ("channel", Value),
        ("username", Value),
        ("color", Value),
        ("title", Value),
        ("title_link", Value),
        ("pretext", Value),
        ("text", Value),
        ("fields", List(&SLACK_FIELD)),
        ("short_fields", Value),
        ("footer", Value),
        ("fallback", Value),
        ("callback_id", Value),
        ("icon_emoji", Value),
        ("icon_url", Value),
        ("image_url", Value),
        ("thumb_url", Value),
        ("link_names", Value),
        ("mrkdwn_in", Value),
        ("http_config", Section(&HTTP_CONFIG)),
    ],
    unsupported: &[&[
        "actions",
        "app_token",
        "app_token_file",
        "app_url",
        "message_text",
        "timeout",
        "update_message",
    ]],
    ..NONE
};

static SLACK_FIELD: Keys =
    Keys { supported: &[("title", Value), ("value", Value), ("short", Value)], ..NONE };

static STORAGE: Keys =
    Keys { supported: &[("tsdb", Section(&TSDB)), ("exemplars", Section(&EXEMPLARS))], ..NONE };

static EXEMPLARS: Keys = Keys { supported: &[("max_exemplars", Value)], ..NONE };

static TSDB: Keys = Keys {
    supported: &[("out_of_order_time_window", Value), ("retention", Section(&RETENTION))],
    unsupported: &[&["stale_series_compaction_threshold"]],
    // How samples are encoded is the database's own affair.
    harmless: &[("chunk_encoding", ""), ("stale_series_compaction_threshold", "0")],
    ..NONE
};

static RETENTION: Keys =
    Keys { supported: &[("time", Value), ("size", Value), ("percentage", Value)], ..NONE };

static GLOBAL: Keys = Keys {
    supported: &[
        ("scrape_interval", Value),
        ("scrape_timeout", Value),
        ("evaluation_interval", Value),
        ("rule_query_offset", Value),
        ("scrape_protocols", Value),
        ("external_labels", Value),
        ("body_size_limit", Value),
        ("sample_limit", Value),
        ("label_limit", Value),
        ("label_name_length_limit", Value),
        ("label_value_length_limit", Value),
        ("target_limit", Value),
        ("keep_dropped_targets", Value),
    ],
    shared: &[FORMATS],
    unsupported: &[&["query_log_file", "scrape_failure_log_file"]],
    ..NONE
};

/// How what targets expose is read.
const FORMATS: &[(&str, Below)] = &[
    ("metric_name_validation_scheme", Value),
    ("metric_name_escaping_scheme", Value),
    ("scrape_native_histograms", Value),
    ("convert_classic_histograms_to_nhcb", Value),
    ("always_scrape_classic_histograms", Value),
    ("extra_scrape_metrics", Value),
];

static SCRAPE: Keys = Keys {
    supported: &[
        ("job_name", Value),
        ("scrape_interval", Value),
        ("scrape_timeout", Value),
        ("scrape_protocols", Value),
        ("fallback_scrape_protocol", Value),
        ("metrics_path", Value),
        ("scheme", Value),
        ("params", Value),
        ("honor_labels", Value),
        ("honor_timestamps", Value),
        ("track_timestamps_staleness", Value),
        ("enable_compression", Value),
        ("body_size_limit", Value),
        ("sample_limit", Value),
        ("label_limit", Value),
        ("label_name_length_limit", Value),
        ("label_value_length_limit", Value),
        ("target_limit", Value),
        ("keep_dropped_targets", Value),
        ("native_histogram_bucket_limit", Value),
        ("native_histogram_min_bucket_factor", Value),
        ("static_configs", List(&STATIC)),
        ("dns_sd_configs", List(&DNS)),
        ("relabel_configs", List(&RELABEL)),
        ("metric_relabel_configs", List(&RELABEL)),
    ],
    unsupported: &[&["scrape_failure_log_file"], MECHANISMS],
    shared: &[FORMATS, CLIENT, PROXY],
    ..NONE
};

/// Settings of clients but for their way.
const CLIENT: &[(&str, Below)] = &[
    ("basic_auth", Section(&BASIC_AUTH)),
    ("authorization", Section(&AUTHORIZATION)),
    ("oauth2", Section(&OAUTH2)),
    ("bearer_token", Value),
    ("bearer_token_file", Value),
    ("tls_config", Section(&TLS)),
    ("follow_redirects", Value),
    ("enable_http2", Value),
    ("http_headers", Named(&HEADER)),
];

/// The way of clients.
const PROXY: &[(&str, Below)] = &[
    ("proxy_url", Value),
    ("no_proxy", Value),
    ("proxy_from_environment", Value),
    ("proxy_connect_header", Value),
];

/// The same as a section of its own.
static HTTP_CONFIG: Keys = Keys { shared: &[CLIENT, PROXY], ..NONE };

static BASIC_AUTH: Keys = Keys {
    supported: &[
        ("username", Value),
        ("username_file", Value),
        ("password", Value),
        ("password_file", Value),
    ],
    unsupported: &[&["username_ref", "password_ref"]],
    ..NONE
};

static AUTHORIZATION: Keys = Keys {
    supported: &[("type", Value), ("credentials", Value), ("credentials_file", Value)],
    unsupported: &[&["credentials_ref"]],
    ..NONE
};

static OAUTH2: Keys = Keys {
    supported: &[
        ("client_id", Value),
        ("client_secret", Value),
        ("client_secret_file", Value),
        ("grant_type", Value),
        ("scopes", Value),
        ("token_url", Value),
        ("endpoint_params", Value),
        ("tls_config", Section(&TLS)),
    ],
    shared: &[PROXY],
    unsupported: &[&[
        "client_secret_ref",
        "client_certificate_key",
        "client_certificate_key_file",
        "client_certificate_key_ref",
        "client_certificate_key_id",
        "signature_algorithm",
        "iss",
        "audience",
        "claims",
    ]],
    ..NONE
};

static TLS: Keys = Keys {
    supported: &[
        ("ca", Value),
        ("ca_file", Value),
        ("cert", Value),
        ("cert_file", Value),
        ("key", Value),
        ("key_file", Value),
        ("server_name", Value),
        ("insecure_skip_verify", Value),
        ("min_version", Value),
        ("max_version", Value),
    ],
    unsupported: &[&["ca_ref", "cert_ref", "key_ref"]],
    ..NONE
};

static HEADER: Keys = Keys { supported: &[("values", Value), ("secrets", Value), ("files", Value)], ..NONE };

/// Ways to find targets.
const MECHANISMS: &[&str] = &[
    "aws_sd_configs",
    "azure_sd_configs",
    "consul_sd_configs",
    "digitalocean_sd_configs",
    "docker_sd_configs",
    "dockerswarm_sd_configs",
    "ec2_sd_configs",
    "ecs_sd_configs",
    "elasticache_sd_configs",
    "eureka_sd_configs",
    "file_sd_configs",
    "gce_sd_configs",
    "hetzner_sd_configs",
    "http_sd_configs",
    "ionos_sd_configs",
    "kubernetes_sd_configs",
    "kuma_sd_configs",
    "lightsail_sd_configs",
    "linode_sd_configs",
    "marathon_sd_configs",
    "msk_sd_configs",
    "nerve_sd_configs",
    "nomad_sd_configs",
    "oci_sd_configs",
    "openstack_sd_configs",
    "outscale_sd_configs",
    "ovhcloud_sd_configs",
    "puppetdb_sd_configs",
    "rds_sd_configs",
    "scaleway_sd_configs",
    "serverset_sd_configs",
    "stackit_sd_configs",
    "triton_sd_configs",
    "uyuni_sd_configs",
    "vultr_sd_configs",
];

static STATIC: Keys = Keys { supported: &[("targets", Value), ("labels", Value)], ..NONE };

static DNS: Keys = Keys {
    supported: &[("names", Value), ("type", Value), ("port", Value), ("refresh_interval", Value)],
    ..NONE
};

static RELABEL: Keys = Keys {
    supported: &[
        ("source_labels", Value),
        ("separator", Value),
        ("regex", Value),
        ("modulus", Value),
        ("target_label", Value),
        ("replacement", Value),
        ("action", Value),
    ],
    ..NONE
};

impl Keys {
    /// All keys that work.
    pub(super) fn all(&self) -> impl Iterator<Item = &'static (&'static str, Below)> {
        self.supported.iter().chain(self.shared.iter().copied().flatten())
    }
}

#[cfg(test)]
impl Keys {
    /// All keys from here on, as they are called in the file.
    pub(super) fn names(&self) -> Vec<&'static str> {
        let mut out = self.unsupported.concat();
        for (name, below) in self.all() {
            out.push(name);
            // Routes have routes below them.
            if let Section(keys) | List(keys) | Named(keys) = below
                && !std::ptr::eq(*keys, self)
            {
                out.extend(keys.names());
            }
        }
        out
    }
}

/// A step from the top of the file to a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Segment {
    Key(String),
    Index(usize),
}

/// A key path from the top of the file.
pub(super) type Path = Vec<Segment>;

/// `path` with one more key.
pub(super) fn with_key(path: &[Segment], key: &str) -> Path {
    [path, &[Segment::Key(key.to_owned())]].concat()
}

/// `path` with one more index.
pub(super) fn with_index(path: &[Segment], index: usize) -> Path {
    [path, &[Segment::Index(index)]].concat()
}

/// `scrape_configs[0].job_name`; the top is called `configuration`.
pub(super) fn show(path: &[Segment]) -> String {
    let mut out = String::new();
    for segment in path {
        match segment {
            Segment::Index(index) => out.push_str(&["[", &index.to_string(), "]"].concat()),
            Segment::Key(key) => {
                if !out.is_empty() {
                    out.push('.');
                }
                out.push_str(key);
            }
        }
    }
    if out.is_empty() { "configuration".to_owned() } else { out }
}
