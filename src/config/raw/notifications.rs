//! `notifications` as printed: what is inherited is written out, and secrets are not.

use serde_yaml::{Mapping, Value};

use super::Http;
use crate::config::HttpConfig;
use crate::config::notifications::{
    EmailConfig, GroupBy, InhibitRuleConfig, IntegrationConfig, NotificationsConfig, ReceiverConfig,
    RouteConfig, SlackConfig, WebhookConfig,
};
use crate::model::{Matcher, format_duration};
use crate::template::Template;

/// Keys with their values, in order.
#[derive(Default)]
struct Keys(Mapping);

impl Keys {
    fn put(&mut self, key: &str, value: impl Into<Value>) -> &mut Self {
        self.0.insert(key.into(), value.into());
        self
    }

    fn time(&mut self, key: &str, time: std::time::Duration) -> &mut Self {
        self.put(key, format_duration(time))
    }

    fn template(&mut self, key: &str, template: &Template) -> &mut Self {
        self.put(key, template.text())
    }

    fn matchers(&mut self, key: &str, matchers: &[Matcher]) -> &mut Self {
        if !matchers.is_empty() {
            self.put(
                key,
                matchers.iter().map(|matcher| Value::from(matcher.to_string())).collect::<Vec<_>>(),
            );
        }
        self
    }

    fn list(&mut self, key: &str, items: impl Iterator<Item = Value>) -> &mut Self {
        let items: Vec<Value> = items.collect();
        if !items.is_empty() {
            self.put(key, items);
        }
        self
    }

    fn done(&mut self) -> Value {
        Value::Mapping(std::mem::take(&mut self.0))
    }
}

fn texts(texts: &[String]) -> Vec<Value> {
    texts.iter().map(|text| Value::from(text.as_str())).collect()
}

/// See [`NotificationsConfig`].
pub(in crate::config) fn printed(config: &NotificationsConfig) -> Value {
    let mut keys = Keys::default();
    if config.alongside_alertmanagers {
        keys.put("alongside_alertmanagers", true);
    }
    keys.put("global", Keys::default().time("resolve_timeout", config.resolve_timeout).done());
    keys.put("route", route(&config.route));
    keys.list("inhibit_rules", config.inhibit_rules.iter().map(inhibit_rule));
    keys.list("receivers", config.receivers.iter().map(|one| receiver(one)));
    keys.done()
}

fn route(config: &RouteConfig) -> Value {
    let group_by = match &config.group_by {
        GroupBy::All => vec![Value::from("...")],
        GroupBy::Labels(labels) => texts(labels),
    };
    let mut keys = Keys::default();
    keys.put("receiver", config.receiver.as_str()).put("group_by", group_by);
    keys.matchers("matchers", &config.matchers);
    if config.continues {
        keys.put("continue", true);
    }
    keys.time("group_wait", config.group_wait)
        .time("group_interval", config.group_interval)
        .time("repeat_interval", config.repeat_interval)
        .list("routes", config.routes.iter().map(route))
        .done()
}

fn inhibit_rule(rule: &InhibitRuleConfig) -> Value {
    let mut keys = Keys::default();
    keys.matchers("source_matchers", &rule.source_matchers)
        .matchers("target_matchers", &rule.target_matchers);
    keys.list("equal", texts(&rule.equal).into_iter()).done()
}

fn receiver(receiver: &ReceiverConfig) -> Value {
    let (mut webhooks, mut emails, mut slacks) = (Vec::new(), Vec::new(), Vec::new());
    for integration in &receiver.integrations {
        match integration {
            IntegrationConfig::Webhook(config) => webhooks.push(webhook(config)),
            IntegrationConfig::Email(config) => emails.push(email(config)),
            IntegrationConfig::Slack(config) => slacks.push(slack(config)),
        }
    }
    let mut keys = Keys::default();
    keys.put("name", receiver.name.as_str());
    keys.list("webhook_configs", webhooks.into_iter())
        .list("email_configs", emails.into_iter())
        .list("slack_configs", slacks.into_iter())
        .done()
}

impl Keys {
    /// The settings of a client, where they say something.
    fn http(&mut self, http: &HttpConfig) -> &mut Self {
        if *http != HttpConfig::default() {
            // Strings, numbers and maps with string keys can always be printed.
            self.put("http_config", serde_yaml::to_value(Http::from(http)).unwrap_or_default());
        }
        self
    }
}

fn webhook(config: &WebhookConfig) -> Value {
    let (key, url) = config.url.printed("url");
    let mut keys = Keys::default();
    keys.put("send_resolved", config.send_resolved).put(&key, url);
    keys.put("max_alerts", config.max_alerts).time("timeout", config.timeout);
    keys.http(&config.http).done()
}

fn email(config: &EmailConfig) -> Value {
    let mut keys = Keys::default();
    let host = if config.host.contains(':') { format!("[{}]", config.host) } else { config.host.clone() };
    keys.put("send_resolved", config.send_resolved)
        .template("to", &config.to)
        .template("from", &config.from)
        .put("smarthost", format!("{host}:{}", config.port))
        .put("hello", config.hello.as_str());
    if !config.auth_username.is_empty() {
        keys.put("auth_username", config.auth_username.as_str());
    }
    if let Some(password) = &config.auth_password {
        let (key, password) = password.printed("auth_password");
        keys.put(&key, password);
    }
    keys.put("require_tls", config.require_tls);
    let mut tls = Keys::default();
    if let Some(path) = &config.ca_file {
        tls.put("ca_file", path.display().to_string());
    }
    if config.insecure_skip_verify {
        tls.put("insecure_skip_verify", true);
    }
    if !tls.0.is_empty() {
        keys.put("tls_config", tls.done());
    }
    let mut headers = Keys::default();
    for (name, value) in &config.headers {
        headers.template(name, value);
    }
    keys.put("headers", headers.done()).template("html", &config.html).template("text", &config.text).done()
}

fn slack(config: &SlackConfig) -> Value {
    let (key, url) = config.api_url.printed("api_url");
    let mut keys = Keys::default();
    keys.put("send_resolved", config.send_resolved).put(&key, url).http(&config.http);
    for (key, template) in &config.texts {
        keys.template(key, template);
    }
    let fields = config.fields.iter().map(|field| {
        let mut keys = Keys::default();
        keys.template("title", &field.title).template("value", &field.value);
        if let Some(short) = field.short {
            keys.put("short", short);
        }
        keys.done()
    });
    keys.list("fields", fields)
        .put("short_fields", config.short_fields)
        .put("link_names", config.link_names)
        .put("mrkdwn_in", texts(&config.mrkdwn_in))
        .done()
}
