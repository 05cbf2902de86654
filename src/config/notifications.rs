//! The `notifications` section: who is told of alerts by this server itself, when and how.
//!
//! Keys, defaults and their inheritance are those of `alertmanager.yml`. What a value inherits is filled in here: nobody
//! else looks at `global` or at the parent of a route.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::http::{HttpConfig, Source};
use crate::model::Matcher;
use crate::template::Template;

/// The `notifications` section.
#[derive(Debug, Clone, PartialEq)]
pub struct NotificationsConfig {
    /// Whether receivers are told although the `alerting` section has Alertmanagers. Default false.
    pub alongside_alertmanagers: bool,
    /// After this long an alert that came over HTTP without an end is resolved. Default 5m.
    pub resolve_timeout: Duration,
    /// Where alerts go.
    pub route: RouteConfig,
    /// Which alerts silence which others.
    pub inhibit_rules: Vec<InhibitRuleConfig>,
    /// Who is told, in file order, with unique names.
    pub receivers: Vec<Arc<ReceiverConfig>>,
}

/// A node of the routing tree, with what it inherits.
#[derive(Debug, Clone, PartialEq)]
pub struct RouteConfig {
    /// The name of a receiver that exists.
    pub receiver: String,
    /// What alerts of one notification have in common.
    pub group_by: GroupBy,
    /// How long the first notification of a group waits. Default 30s.
    pub group_wait: Duration,
    /// How long notifications of a group are apart; never zero. Default 5m.
    pub group_interval: Duration,
    /// How long until what is unchanged is said again; never zero. Default 4h.
    pub repeat_interval: Duration,
    /// Alerts of this node and those below pass all of these. Those of the root are none.
    pub matchers: Vec<Matcher>,
    /// Whether alerts that this node takes go on to the next one.
    pub continues: bool,
    /// Nodes below, in file order.
    pub routes: Vec<RouteConfig>,
}

/// What alerts of one notification have in common.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GroupBy {
    /// All labels: `...`.
    All,
    /// The values of these labels, sorted.
    Labels(Vec<String>),
}

/// An entry of `inhibit_rules`.
#[derive(Debug, Clone, PartialEq)]
pub struct InhibitRuleConfig {
    /// Alerts that silence.
    pub source_matchers: Vec<Matcher>,
    /// Alerts that are silenced.
    pub target_matchers: Vec<Matcher>,
    /// Labels that must have equal values in both.
    pub equal: Vec<String>,
}

/// An entry of `receivers`.
#[derive(Debug, Clone, PartialEq)]
pub struct ReceiverConfig {
    /// Its name; never empty.
    pub name: String,
    /// How it is told, in the order webhooks, emails, Slack. May be none: such a receiver swallows alerts.
    pub integrations: Vec<IntegrationConfig>,
}

/// One way to tell a receiver.
#[derive(Debug, Clone, PartialEq)]
pub enum IntegrationConfig {
    /// An entry of `webhook_configs`.
    Webhook(Box<WebhookConfig>),
    /// An entry of `email_configs`.
    Email(Box<EmailConfig>),
    /// An entry of `slack_configs`.
    Slack(Box<SlackConfig>),
}

impl IntegrationConfig {
    /// Its name in metrics and in the log of notifications.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Webhook(_) => "webhook",
            Self::Email(_) => "email",
            Self::Slack(_) => "slack",
        }
    }

    /// Whether it is told that alerts are resolved.
    pub fn send_resolved(&self) -> bool {
        match self {
            Self::Webhook(webhook) => webhook.send_resolved,
            Self::Email(email) => email.send_resolved,
            Self::Slack(slack) => slack.send_resolved,
        }
    }
}

/// An entry of `webhook_configs`.
#[derive(Debug, Clone, PartialEq)]
pub struct WebhookConfig {
    /// Default true.
    pub send_resolved: bool,
    /// Where to post.
    pub url: Source,
    /// Alerts of one body at most; 0 means all.
    pub max_alerts: u64,
    /// Time a request may take. Default 10s; 0 means that too.
    pub timeout: Duration,
    /// The client.
    pub http: HttpConfig,
}

/// An entry of `email_configs`.
#[derive(Debug, Clone, PartialEq)]
pub struct EmailConfig {
    /// Default false.
    pub send_resolved: bool,
    /// Addresses, separated by commas.
    pub to: Template,
    /// The address of the sender.
    pub from: Template,
    /// The SMTP server's host.
    pub host: String,
    /// The SMTP server's port; on 465 TLS comes first.
    pub port: u16,
    /// What this server calls itself. Default localhost.
    pub hello: String,
    /// Without one nobody logs in.
    pub auth_username: String,
    /// The password of that user.
    pub auth_password: Option<Source>,
    /// Whether nothing is sent without TLS. Default true.
    pub require_tls: bool,
    /// A file of certificates that are trusted besides those of the system.
    pub ca_file: Option<PathBuf>,
    /// Whether the server's certificate is not looked at. Default false.
    pub insecure_skip_verify: bool,
    /// Headers, by their names; `Subject` is among them.
    pub headers: BTreeMap<String, Template>,
    /// The text as HTML; empty for none.
    pub html: Template,
    /// The plain text; empty for none.
    pub text: Template,
}

/// An entry of `slack_configs`.
#[derive(Debug, Clone, PartialEq)]
pub struct SlackConfig {
    /// Default false.
    pub send_resolved: bool,
    /// Where to post.
    pub api_url: Source,
    /// Texts by their keys, those of [`SLACK_TEXTS`].
    pub texts: BTreeMap<&'static str, Template>,
    /// Fields of the attachment.
    pub fields: Vec<SlackField>,
    /// Whether fields stand beside each other that do not say so themselves.
    pub short_fields: bool,
    /// Whether names and channels become links.
    pub link_names: bool,
    /// Parts of the attachment that are Markdown.
    pub mrkdwn_in: Vec<String>,
    /// The client.
    pub http: HttpConfig,
}

/// Texts of a Slack message and what they are where the file does not say.
pub const SLACK_TEXTS: [(&str, &str); 14] = [
    ("channel", ""),
    ("username", r#"{{ template "slack.default.username" . }}"#),
    ("color", r#"{{ template "slack.default.color" . }}"#),
    ("title", r#"{{ template "slack.default.title" . }}"#),
    ("title_link", r#"{{ template "slack.default.titlelink" . }}"#),
    ("pretext", r#"{{ template "slack.default.pretext" . }}"#),
    ("text", r#"{{ template "slack.default.text" . }}"#),
    ("footer", r#"{{ template "slack.default.footer" . }}"#),
    ("fallback", r#"{{ template "slack.default.fallback" . }}"#),
    ("callback_id", r#"{{ template "slack.default.callbackid" . }}"#),
    ("icon_emoji", r#"{{ template "slack.default.iconemoji" . }}"#),
    ("icon_url", r#"{{ template "slack.default.iconurl" . }}"#),
    ("image_url", ""),
    ("thumb_url", ""),
];

/// A field of a Slack attachment.
#[derive(Debug, Clone, PartialEq)]
pub struct SlackField {
    /// Its heading.
    pub title: Template,
    /// Its text.
    pub value: Template,
    /// Whether it may stand beside others; by default as [`SlackConfig::short_fields`] says.
    pub short: Option<bool>,
}

impl IntegrationConfig {
    /// The client, where it is told over HTTP.
    pub fn http(&self) -> Option<&HttpConfig> {
        match self {
            Self::Webhook(config) => Some(&config.http),
            Self::Slack(config) => Some(&config.http),
            Self::Email(_) => None,
        }
    }
}

impl IntegrationConfig {
    /// The files it names.
    pub fn files(&self) -> Vec<&PathBuf> {
        let mut found = self.http().map(HttpConfig::files).unwrap_or_default();
        match self {
            Self::Webhook(config) => found.extend(config.url.file()),
            Self::Slack(config) => found.extend(config.api_url.file()),
            Self::Email(config) => {
                found.extend(config.auth_password.iter().filter_map(Source::file).chain(&config.ca_file));
            }
        }
        found
    }
}

impl NotificationsConfig {
    /// The receiver called `name`.
    pub fn receiver(&self, name: &str) -> Option<&Arc<ReceiverConfig>> {
        self.receivers.iter().find(|receiver| receiver.name == name)
    }
}
