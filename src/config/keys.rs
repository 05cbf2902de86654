//! Which keys each section has, and which of them this server does not support.
//!
//! A key that is not supported is refused by name, never ignored, unless it is empty or holds its default.

use super::client_keys::{CLIENT, HTTP_CONFIG, PROXY, SIGV4, TLS};
use super::key::Below::{List, Section, Value};
use super::key::{Below, Keys, NONE};
use super::mechanism_keys::{DISCOVERY, OTHERS};
use super::relabel_keys::RELABEL;
use super::remote_keys::{REMOTE_READ, REMOTE_WRITE};

pub(super) static FILE: Keys = Keys {
    supported: &[
        ("global", Section(&GLOBAL)),
        ("scrape_configs", List(&SCRAPE)),
        ("storage", Section(&STORAGE)),
        ("runtime", Section(&RUNTIME)),
        ("alerting", Section(&ALERTING)),
        ("notifications", Section(&NOTIFICATIONS)),
        ("rule_files", Value),
        ("scrape_config_files", Value),
        ("remote_write", List(&REMOTE_WRITE)),
        ("remote_read", List(&REMOTE_READ)),
        ("otlp", Section(&OTLP)),
        ("tracing", Section(&TRACING)),
    ],
    refused: &["remote_write", "remote_read", "tracing"],
    ..NONE
};

/// What an OTLP receiver makes of what it is sent.
static OTLP: Keys = Keys {
    supported: &[
        ("promote_all_resource_attributes", Value),
        ("promote_resource_attributes", Value),
        ("ignore_resource_attributes", Value),
        ("translation_strategy", Value),
        ("keep_identifying_resource_attributes", Value),
        ("convert_histograms_to_nhcb", Value),
        ("promote_scope_metadata", Value),
        ("label_name_underscore_sanitization", Value),
        ("label_name_preserve_multiple_underscores", Value),
    ],
    ..NONE
};

/// Where traces of the server itself are sent.
static TRACING: Keys = Keys {
    supported: &[
        ("client_type", Value),
        ("endpoint", Value),
        ("sampling_fraction", Value),
        ("insecure", Value),
        ("tls_config", Section(&TLS)),
        ("headers", Value),
        ("compression", Value),
        ("timeout", Value),
    ],
    ..NONE
};

/// A further file with jobs.
pub(super) static SCRAPE_CONFIG_FILE: Keys = Keys { supported: &[("scrape_configs", List(&SCRAPE))], ..NONE };

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
        ("scheme", Value),
        ("path_prefix", Value),
        ("timeout", Value),
        ("api_version", Value),
        ("relabel_configs", List(&RELABEL)),
        ("alert_relabel_configs", List(&RELABEL)),
        ("sigv4", Section(&SIGV4)),
    ],
    shared: &[CLIENT, PROXY, DISCOVERY],
    unsupported: &[OTHERS],
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
        ("query_log_file", Value),
        ("scrape_failure_log_file", Value),
        ("body_size_limit", Value),
        ("sample_limit", Value),
        ("label_limit", Value),
        ("label_name_length_limit", Value),
        ("label_value_length_limit", Value),
        ("target_limit", Value),
        ("keep_dropped_targets", Value),
        ("series_quota", Value),
        ("job_series_quota", Value),
        ("target_series_quota", Value),
    ],
    shared: &[FORMATS],
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
        ("scrape_failure_log_file", Value),
        ("body_size_limit", Value),
        ("sample_limit", Value),
        ("label_limit", Value),
        ("label_name_length_limit", Value),
        ("label_value_length_limit", Value),
        ("target_limit", Value),
        ("keep_dropped_targets", Value),
        ("job_series_quota", Value),
        ("target_series_quota", Value),
        ("native_histogram_bucket_limit", Value),
        ("native_histogram_min_bucket_factor", Value),
        ("relabel_configs", List(&RELABEL)),
        ("metric_relabel_configs", List(&RELABEL)),
    ],
    unsupported: &[OTHERS],
    shared: &[FORMATS, CLIENT, PROXY, DISCOVERY],
    ..NONE
};
