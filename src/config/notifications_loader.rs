//! The `notifications` section, read: inheritance, defaults, and what does not fit together.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use super::http::{HttpConfig, Secret, Source};
use super::loader::{Loader, non_zero};
use super::notifications::{
    EmailConfig, GroupBy, InhibitRuleConfig, IntegrationConfig, NotificationsConfig, ReceiverConfig,
    RouteConfig, SLACK_TEXTS, SlackConfig, SlackField, WebhookConfig,
};
use super::section::{Item, Section, is_empty};
use crate::model::{MatchOp, Matcher, parse_matchers};
use crate::template::Template;

/// Routes inside of each other at most.
const MAX_ROUTE_DEPTH: usize = 16;

/// What receivers have in common.
#[derive(Default)]
struct Shared<'a> {
    global: Option<Section<'a>>,
}

impl<'a> Shared<'a> {
    fn text(&self, key: &str) -> Option<(String, Item<'a>)> {
        let section = self.global.as_ref()?;
        section.text(key).filter(|text| !text.is_empty()).zip(section.get(key))
    }
}

impl<'a> Loader<'a> {
    pub(super) fn notifications(&self, raw: &Section<'a>) -> Option<NotificationsConfig> {
        let shared = Shared { global: raw.section("global") };
        let mut receivers: Vec<Arc<ReceiverConfig>> = Vec::new();
        for section in raw.sections("receivers") {
            let receiver = self.receiver(&section, &shared);
            if receiver.name.is_empty() {
                self.missing(&section, "name", "a receiver needs a name");
            } else if receivers.iter().any(|other| other.name == receiver.name) {
                self.complain(&section, "name", format!("receiver {:?} is there twice", receiver.name));
            } else {
                receivers.push(Arc::new(receiver));
            }
        }
        let names: HashSet<&str> = receivers.iter().map(|receiver| receiver.name.as_str()).collect();
        let Some(top) = raw.section("route") else {
            self.missing(raw, "route", "a route is required: it says which receiver is told");
            return None;
        };
        for key in ["matchers", "match", "match_re"] {
            if top.get(key).is_some_and(|item| !is_empty(item.node)) {
                self.complain(&top, key, "the top route takes every alert, so it has no matchers".to_owned());
            }
        }
        if top.boolean("continue", false) {
            self.complain(&top, "continue", "the top route has none beside it to go on to".to_owned());
        }
        let defaults = RouteConfig {
            receiver: String::new(),
            group_by: GroupBy::Labels(Vec::new()),
            group_wait: Duration::from_secs(30),
            group_interval: Duration::from_secs(5 * 60),
            repeat_interval: Duration::from_secs(4 * 3600),
            matchers: Vec::new(),
            continues: false,
            routes: Vec::new(),
        };
        let route = self.route(&top, &defaults, &names, 0);
        if route.receiver.is_empty() {
            self.missing(&top, "receiver", "the top route needs a receiver");
        }
        let resolve_timeout =
            shared.global.as_ref().and_then(|global| non_zero(global.duration("resolve_timeout")));
        Some(NotificationsConfig {
            alongside_alertmanagers: raw.boolean("alongside_alertmanagers", false),
            resolve_timeout: resolve_timeout.unwrap_or(Duration::from_secs(300)),
            route,
            inhibit_rules: raw.sections("inhibit_rules").iter().map(|rule| self.inhibit_rule(rule)).collect(),
            receivers,
        })
    }

    fn route(
        &self,
        raw: &Section<'a>,
        parent: &RouteConfig,
        receivers: &HashSet<&str>,
        depth: usize,
    ) -> RouteConfig {
        let receiver = raw.text("receiver").filter(|name| !name.is_empty());
        if let Some(name) = receiver.as_ref().filter(|name| !receivers.contains(name.as_str())) {
            self.complain(raw, "receiver", format!("there is no receiver {name:?}"));
        }
        let interval = |key: &str, inherited: Duration| {
            let given = raw.duration(key);
            if given.is_some_and(|time| time.is_zero()) {
                self.complain(raw, key, "must be longer than nothing".to_owned());
            }
            given.unwrap_or(inherited)
        };
        let mut route = RouteConfig {
            receiver: receiver.unwrap_or_else(|| parent.receiver.clone()),
            group_by: self.group_by(raw).unwrap_or_else(|| parent.group_by.clone()),
            group_wait: raw.duration("group_wait").unwrap_or(parent.group_wait),
            group_interval: interval("group_interval", parent.group_interval),
            repeat_interval: interval("repeat_interval", parent.repeat_interval),
            matchers: self.matchers(raw, "matchers", "match", "match_re"),
            continues: raw.boolean("continue", false),
            routes: Vec::new(),
        };
        let below = raw.sections("routes");
        if depth >= MAX_ROUTE_DEPTH && !below.is_empty() {
            self.complain(raw, "routes", format!("more than {MAX_ROUTE_DEPTH} routes inside of each other"));
            return route;
        }
        route.routes = below.iter().map(|raw| self.route(raw, &route, receivers, depth + 1)).collect();
        route
    }

    fn group_by(&self, raw: &Section<'a>) -> Option<GroupBy> {
        raw.get("group_by").filter(|item| !item.node.is_null())?;
        // An empty list says nothing, as in Alertmanager.
        let names = raw.texts("group_by").filter(|names| !names.is_empty())?;
        let mut labels: Vec<String> = Vec::new();
        let mut all = false;
        for (name, item) in &names {
            if name == "..." {
                all = true;
                if names.len() > 1 {
                    self.notes.value(
                        item.line,
                        &item.path,
                        "\"...\" stands for all labels, so there are no others",
                    );
                }
            } else if name.is_empty() || labels.contains(name) {
                let reason = format!("label {name:?} is empty or named twice");
                self.notes.value(item.line, &item.path, reason);
            } else {
                labels.push(name.clone());
            }
        }
        labels.sort();
        Some(if all { GroupBy::All } else { GroupBy::Labels(labels) })
    }

    /// Matchers in the three notations there are, in the order of names.
    fn matchers(&self, raw: &Section<'a>, list: &str, equal: &str, regex: &str) -> Vec<Matcher> {
        let mut out = Vec::new();
        for (key, op) in [(equal, MatchOp::Equal), (regex, MatchOp::Regex)] {
            for (name, item) in raw.entries(key) {
                let Some(value) = raw.text_of(&item) else { continue };
                // Alertmanager anchors these itself and shows it in the keys of groups.
                let value = if op == MatchOp::Regex { format!("^(?:{value})$") } else { value };
                match Matcher::new(name, op, value) {
                    Ok(matcher) => out.push(matcher),
                    Err(error) => self.notes.value(item.line, &item.path, error.to_string()),
                }
            }
        }
        for (text, item) in raw.texts(list).unwrap_or_default() {
            match parse_matchers(&text) {
                Ok(matchers) => out.extend(matchers),
                Err(reason) => self.notes.value(item.line, &item.path, reason),
            }
        }
        out.sort_by(|a, b| (a.name(), a.value()).cmp(&(b.name(), b.value())));
        out
    }

    fn inhibit_rule(&self, raw: &Section<'a>) -> InhibitRuleConfig {
        let equal = raw.texts("equal").unwrap_or_default().into_iter().map(|(name, _)| name).collect();
        let rule = InhibitRuleConfig {
            source_matchers: self.matchers(raw, "source_matchers", "source_match", "source_match_re"),
            target_matchers: self.matchers(raw, "target_matchers", "target_match", "target_match_re"),
            equal,
        };
        // Every alert would silence all others, or itself be silenced by any.
        for (matchers, key) in
            [(&rule.source_matchers, "source_matchers"), (&rule.target_matchers, "target_matchers")]
        {
            if matchers.is_empty() {
                self.complain(raw, key, format!("{key} are required"));
            }
        }
        rule
    }

    fn receiver(&self, raw: &Section<'a>, shared: &Shared<'a>) -> ReceiverConfig {
        let mut integrations = Vec::new();
        let webhooks = raw.sections("webhook_configs");
        integrations.extend(
            webhooks.iter().map(|raw| IntegrationConfig::Webhook(Box::new(self.webhook(raw, shared)))),
        );
        for raw in raw.sections("email_configs") {
            integrations.push(IntegrationConfig::Email(Box::new(self.email(&raw, shared))));
        }
        for raw in raw.sections("slack_configs") {
            integrations.push(IntegrationConfig::Slack(Box::new(self.slack(&raw, shared))));
        }
        ReceiverConfig { name: raw.text("name").unwrap_or_default(), integrations }
    }

    fn webhook(&self, raw: &Section<'a>, shared: &Shared<'a>) -> WebhookConfig {
        let url = self.secret(raw, "url");
        if url.is_none() {
            self.missing(raw, "url", "url or url_file is required");
        }
        let url = url.unwrap_or_else(|| Source::Text(Secret::default()));
        self.check_url(raw, "url", &url);
        WebhookConfig {
            send_resolved: raw.boolean("send_resolved", true),
            url,
            max_alerts: raw.whole("max_alerts"),
            timeout: non_zero(raw.duration("timeout")).unwrap_or(Duration::from_secs(10)),
            http: self.http_config(raw, shared),
        }
    }

    /// The client of an integration: its own settings or those of all.
    fn http_config(&self, raw: &Section<'a>, shared: &Shared<'a>) -> HttpConfig {
        let all = || shared.global.as_ref().and_then(|global| global.section("http_config"));
        raw.section("http_config").or_else(all).map(|raw| self.http(&raw)).unwrap_or_default()
    }

    /// A URL is not repeated in the message: it may be a secret.
    fn check_url(&self, raw: &Section<'a>, key: &str, url: &Source) {
        let Source::Text(url) = url else { return };
        let url = url.reveal();
        let lower = url.to_ascii_lowercase();
        let host = lower.strip_prefix("http://").or_else(|| lower.strip_prefix("https://"));
        if !url.is_empty() && host.is_none_or(|rest| rest.is_empty() || rest.starts_with(['/', '?', '#'])) {
            self.complain(
                raw,
                key,
                "must be a URL that begins with http:// or https:// and has a host".to_owned(),
            );
        }
    }

    fn email(&self, raw: &Section<'a>, shared: &Shared<'a>) -> EmailConfig {
        let own_or = |key: &str, global: &str| {
            let own = raw.text(key).filter(|text| !text.is_empty()).zip(raw.get(key));
            own.or_else(|| shared.text(global))
        };
        let required = |key: &str, given: Option<(String, Item<'a>)>| {
            if given.is_none() {
                let global =
                    if key == "to" { String::new() } else { format!(", here or as smtp_{key} in global") };
                self.missing(raw, key, format!("{key} is required{global}"));
            }
            given.map(|(text, _)| text).unwrap_or_default()
        };
        let to = required("to", raw.text("to").filter(|text| !text.is_empty()).zip(raw.get("to")));
        let from = required("from", own_or("from", "smtp_from"));
        let smarthost = own_or("smarthost", "smtp_smarthost");
        let (host, port) = match &smarthost {
            Some((text, item)) => self.host_and_port(text, item),
            None => (required("smarthost", None), 0),
        };
        let shared_secret =
            shared.global.as_ref().and_then(|global| self.secret(global, "smtp_auth_password"));
        let require_tls = match (&raw.get("require_tls"), &shared.global) {
            (None, Some(global)) => global.boolean("smtp_require_tls", true),
            _ => raw.boolean("require_tls", true),
        };
        let mut headers: BTreeMap<String, Template> = BTreeMap::new();
        for (name, item) in raw.entries("headers") {
            let Some(text) = raw.text_of(&item) else { continue };
            let name = canonical_header(name);
            if name.is_empty() || !name.bytes().all(|b| b.is_ascii_graphic() && b != b':') {
                self.notes.value(item.line, &item.path, format!("{name:?} is no name of a header"));
            } else if headers.contains_key(&name) {
                self.notes.value(item.line, &item.path, format!("header {name:?} is there twice"));
            }
            headers.insert(name, self.template_at(&item, &text, false));
        }
        let default = |text: &str| Template::parse_message("default", text, false).ok();
        if let (false, Some(subject)) =
            (headers.contains_key("Subject"), default(r#"{{ template "email.default.subject" . }}"#))
        {
            headers.insert("Subject".to_owned(), subject);
        }
        let tls = raw.section("tls_config");
        let ca_file = tls.as_ref().and_then(|tls| tls.text("ca_file")).filter(|path| !path.is_empty());
        EmailConfig {
            send_resolved: raw.boolean("send_resolved", false),
            to: self.template_of(raw, "to", &to, false),
            from: self.template_of(raw, "from", &from, false),
            host,
            port,
            hello: own_or("hello", "smtp_hello").map_or_else(|| "localhost".to_owned(), |(text, _)| text),
            auth_username: own_or("auth_username", "smtp_auth_username")
                .map(|(text, _)| text)
                .unwrap_or_default(),
            auth_password: self.secret(raw, "auth_password").or(shared_secret),
            require_tls,
            ca_file: ca_file.map(|path| self.file(&path)),
            insecure_skip_verify: tls.is_some_and(|tls| tls.boolean("insecure_skip_verify", false)),
            headers,
            html: self.template(raw, "html", r#"{{ template "email.default.html" . }}"#, true),
            text: self.template(raw, "text", r#"{{ template "email.default.text" . }}"#, false),
        }
    }

    fn host_and_port(&self, text: &str, item: &Item<'a>) -> (String, u16) {
        let split = text.rsplit_once(':').and_then(|(host, port)| {
            let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
            Some((host, port.parse::<u16>().ok()?)).filter(|(host, port)| !host.is_empty() && *port > 0)
        });
        if split.is_none() {
            self.notes.value(item.line, &item.path, format!("{text:?} is not host:port"));
        }
        split.map_or((String::new(), 0), |(host, port)| (host.to_owned(), port))
    }

    fn slack(&self, raw: &Section<'a>, shared: &Shared<'a>) -> SlackConfig {
        let global = || shared.global.as_ref().and_then(|global| self.secret(global, "slack_api_url"));
        let own = self.secret(raw, "api_url");
        if let Some(own) = &own {
            self.check_url(raw, "api_url", own);
        } else if let Some((section, url)) = shared.global.as_ref().zip(global()) {
            self.check_url(section, "slack_api_url", &url);
        }
        let api_url = own.or_else(global);
        if api_url.is_none() {
            self.missing(
                raw,
                "api_url",
                "api_url or api_url_file is required, here or as slack_api_url in global",
            );
        }
        let texts = SLACK_TEXTS.iter().map(|(key, default)| (*key, self.template(raw, key, default, false)));
        let fields = raw.sections("fields");
        let fields = fields.iter().map(|field| {
            for key in ["title", "value"] {
                if field.text(key).is_none_or(|text| text.is_empty()) {
                    self.missing(field, key, format!("a field needs a {key}"));
                }
            }
            SlackField {
                title: self.template(field, "title", "", false),
                value: self.template(field, "value", "", false),
                short: field.get("short").map(|_| field.boolean("short", false)),
            }
        });
        let mrkdwn_in = raw.texts("mrkdwn_in").map(|all| all.into_iter().map(|(text, _)| text).collect());
        SlackConfig {
            send_resolved: raw.boolean("send_resolved", false),
            api_url: api_url.unwrap_or_else(|| Source::Text(Secret::default())),
            texts: texts.collect(),
            fields: fields.collect(),
            short_fields: raw.boolean("short_fields", false),
            link_names: raw.boolean("link_names", false),
            http: self.http_config(raw, shared),
            mrkdwn_in: mrkdwn_in.unwrap_or_else(|| ["fallback", "pretext", "text"].map(str::to_owned).into()),
        }
    }

    /// `key` or `key_file`, which exclude each other.
    fn secret(&self, raw: &Section<'a>, key: &str) -> Option<Source> {
        let file_key = format!("{key}_file");
        let given = |key: &str| raw.text(key).filter(|text| !text.is_empty());
        match (given(key), given(&file_key)) {
            (Some(_), Some(_)) => {
                self.complain(raw, &file_key, format!("{key} and {file_key} exclude each other"));
                None
            }
            (Some(text), None) => Some(Source::Text(Secret::new(text))),
            (None, Some(path)) => Some(Source::File(self.file(&path))),
            (None, None) => None,
        }
    }

    fn template(&self, raw: &Section<'a>, key: &str, default: &str, html: bool) -> Template {
        let text = raw.text(key).unwrap_or_else(|| default.to_owned());
        self.template_of(raw, key, &text, html)
    }

    fn template_of(&self, raw: &Section<'a>, key: &str, text: &str, html: bool) -> Template {
        let Some(item) = raw.get(key) else {
            return parse(text, html).unwrap_or_else(|reason| {
                self.missing(raw, key, &reason);
                empty()
            });
        };
        self.template_at(&item, text, html)
    }

    fn template_at(&self, item: &Item<'a>, text: &str, html: bool) -> Template {
        parse(text, html).unwrap_or_else(|reason| {
            self.notes.value(item.line, &item.path, reason);
            empty()
        })
    }
}

fn parse(text: &str, html: bool) -> Result<Template, String> {
    Template::parse_message("text", text, html).map_err(|error| error.to_string())
}

fn empty() -> Template {
    Template::parse_message("text", "", false).expect("an empty text is a template")
}

/// `x-priority` as `X-Priority`.
fn canonical_header(name: &str) -> String {
    let part = |part: &str| {
        let mut letters = part.chars();
        letters.next().map_or_else(String::new, |first| {
            first.to_ascii_uppercase().to_string() + &letters.as_str().to_ascii_lowercase()
        })
    };
    name.trim().split('-').map(part).collect::<Vec<_>>().join("-")
}
