//! What templates of notifications see: a group of alerts, as Alertmanager's templates know it.

use std::sync::Arc;

use jiff::Timestamp;

use super::value::{List, ListKind, Record, Value};
use crate::model::Labels;

/// A group of alerts that somebody is told of: the dot of a notification's templates.
#[derive(Debug, Clone, PartialEq)]
pub struct Message {
    /// `.Receiver`: the name of the receiver, with the characters quoted that mean something in a regular expression.
    pub receiver: String,
    /// `.Alerts`, with `.Alerts.Firing` and `.Alerts.Resolved`.
    pub alerts: Vec<MessageAlert>,
    /// `.GroupLabels`: those that the alerts are grouped by.
    pub group_labels: Labels,
    /// `.CommonLabels`: those that all alerts have.
    pub common_labels: Labels,
    /// `.CommonAnnotations`: those that all alerts have.
    pub common_annotations: Labels,
    /// `.ExternalURL`: where users find the server.
    pub external_url: String,
}

/// An alert of a [`Message`].
#[derive(Debug, Clone, PartialEq)]
pub struct MessageAlert {
    /// `.Status`: whether it is `resolved` or `firing`.
    pub resolved: bool,
    /// `.Labels`
    pub labels: Labels,
    /// `.Annotations`
    pub annotations: Labels,
    /// `.StartsAt`, in milliseconds since the Unix epoch.
    pub starts_at_ms: i64,
    /// `.EndsAt`, in milliseconds since the Unix epoch; none while it fires.
    pub ends_at_ms: Option<i64>,
    /// `.GeneratorURL`: where people see what made it fire; may be empty.
    pub generator_url: String,
    /// `.Fingerprint`: a name of its labels.
    pub fingerprint: String,
}

const FIRING: &str = "firing";
const RESOLVED: &str = "resolved";

/// The name of a status.
pub fn status_name(resolved: bool) -> &'static str {
    if resolved { RESOLVED } else { FIRING }
}

impl Message {
    /// `.Status`: resolved when all alerts are.
    pub fn status(&self) -> &'static str {
        status_name(self.alerts.iter().all(|alert| alert.resolved))
    }

    pub(super) fn to_value(&self) -> Value {
        let alerts = self.alerts.iter().map(MessageAlert::to_value).collect();
        Value::Record(Arc::new(Record {
            type_name: "template.Data",
            fields: vec![
                ("Receiver", Value::text(self.receiver.as_str())),
                ("Status", Value::text(self.status())),
                ("Alerts", Value::List(Arc::new(List { kind: ListKind::Alerts, items: alerts }))),
                ("GroupLabels", Value::KeyValues(self.group_labels.clone())),
                ("CommonLabels", Value::KeyValues(self.common_labels.clone())),
                ("CommonAnnotations", Value::KeyValues(self.common_annotations.clone())),
                ("ExternalURL", Value::text(self.external_url.as_str())),
            ],
        }))
    }
}

impl MessageAlert {
    fn to_value(&self) -> Value {
        Value::Record(Arc::new(Record {
            type_name: "template.Alert",
            fields: vec![
                ("Status", Value::text(status_name(self.resolved))),
                ("Labels", Value::KeyValues(self.labels.clone())),
                ("Annotations", Value::KeyValues(self.annotations.clone())),
                ("StartsAt", time(self.starts_at_ms)),
                ("EndsAt", self.ends_at_ms.map_or_else(never, time)),
                ("GeneratorURL", Value::text(self.generator_url.as_str())),
                ("Fingerprint", Value::text(self.fingerprint.as_str())),
            ],
        }))
    }
}

fn time(ms: i64) -> Value {
    let nearest = if ms < 0 { Timestamp::MIN } else { Timestamp::MAX };
    Value::Time(Timestamp::from_millisecond(ms).unwrap_or(nearest))
}

/// The zero of Go's times: the first moment of the year one.
fn never() -> Value {
    Value::Time(Timestamp::from_second(-62_135_596_800).unwrap_or(Timestamp::MIN))
}

/// Those of `alerts` that have the status.
pub(super) fn of_status(alerts: &[Value], status: &str) -> Value {
    let has = |alert: &&Value| matches!(alert.field("Status"), Some(Value::Text(text)) if *text == *status);
    let items = alerts.iter().filter(has).cloned().collect();
    Value::List(Arc::new(List { kind: ListKind::Alerts, items }))
}

/// Names and values in the order of names, but `alertname` first.
pub(super) fn sorted_pairs(labels: &Labels) -> Value {
    const FIRST: &str = "alertname";
    let first = labels.iter().filter(|(name, _)| *name == FIRST);
    let rest = labels.iter().filter(|(name, _)| *name != FIRST);
    let pair = |(name, value): (&str, &str)| {
        let fields = vec![("Name", Value::text(name)), ("Value", Value::text(value))];
        Value::Record(Arc::new(Record { type_name: "template.Pair", fields }))
    };
    Value::List(Arc::new(List { kind: ListKind::Pairs, items: first.chain(rest).map(pair).collect() }))
}

/// One field of each pair.
pub(super) fn column(pairs: &[Value], field: &str) -> Value {
    let items = pairs.iter().filter_map(|pair| pair.field(field)).collect();
    Value::List(Arc::new(List { kind: ListKind::Texts, items }))
}

/// The texts that every message template may call by name, as Alertmanager's default configuration does. They stand
/// behind the text of each template, where they print nothing.
pub(super) const DEFAULTS: &str = concat!(
    r#"{{ define "emberkeep.subject" }}[{{ .Status | toUpper }}{{ if eq .Status "firing" }}: {{ .Alerts.Firing | len }}{{ end }}]"#,
    r#"{{ range .GroupLabels.SortedPairs.Values }} {{ . }}{{ end }}"#,
    r#"{{ with (.CommonLabels.Remove .GroupLabels.Names).SortedPairs }} ({{ range $i, $p := . }}{{ if $i }}, {{ end }}{{ $p.Name }}={{ $p.Value }}{{ end }}){{ end }}{{ end }}"#,
    r#"{{ define "emberkeep.line" }}{{ .Labels.alertname }}{{ with .Annotations.summary }}: {{ . }}{{ end }}{{ end }}"#,
    r#"{{ define "slack.default.title" }}{{ template "emberkeep.subject" . }}{{ end }}"#,
    r#"{{ define "slack.default.titlelink" }}{{ .ExternalURL }}/alerts{{ end }}"#,
    r#"{{ define "slack.default.username" }}Emberkeep{{ end }}"#,
    r#"{{ define "slack.default.color" }}{{ if eq .Status "firing" }}danger{{ else }}good{{ end }}{{ end }}"#,
    r#"{{ define "slack.default.fallback" }}{{ template "emberkeep.subject" . }} {{ .ExternalURL }}/alerts{{ end }}"#,
    r#"{{ define "slack.default.text" }}{{ range $i, $a := .Alerts }}{{ if ge $i 20 }}and more{{ break }}{{ end }}{{ if eq .Status "resolved" }}Resolved: {{ end }}{{ template "emberkeep.line" . }}"#,
    "\n",
    r#"{{ end }}{{ end }}"#,
    r#"{{ define "slack.default.pretext" }}{{ end }}{{ define "slack.default.iconemoji" }}{{ end }}{{ define "slack.default.iconurl" }}{{ end }}"#,
    r#"{{ define "slack.default.callbackid" }}{{ end }}{{ define "slack.default.footer" }}{{ end }}"#,
    r#"{{ define "email.default.subject" }}{{ template "emberkeep.subject" . }}{{ end }}"#,
    r#"{{ define "emberkeep.text.alert" }}{{ template "emberkeep.line" . }}"#,
    "\n",
    r#"{{ range .Labels.SortedPairs }}  {{ .Name }} = {{ .Value }}"#,
    "\n",
    r#"{{ end }}{{ range .Annotations.SortedPairs }}  {{ .Name }}: {{ .Value }}"#,
    "\n",
    r#"{{ end }}  since {{ .StartsAt.Format "2006-01-02 15:04:05 MST" }}{{ if eq .Status "resolved" }}, resolved {{ .EndsAt.Format "2006-01-02 15:04:05 MST" }}{{ end }}"#,
    "\n",
    r#"{{ with .GeneratorURL }}  {{ . }}"#,
    "\n",
    r#"{{ end }}"#,
    "\n",
    r#"{{ end }}"#,
    r#"{{ define "emberkeep.text.list" }}{{ range $i, $a := . }}{{ if ge $i 200 }}and more"#,
    "\n\n",
    r#"{{ break }}{{ end }}{{ template "emberkeep.text.alert" . }}{{ end }}{{ end }}"#,
    r#"{{ define "email.default.text" }}{{ with .Alerts.Firing }}{{ len . }} firing"#,
    "\n\n",
    r#"{{ template "emberkeep.text.list" . }}{{ end }}{{ with .Alerts.Resolved }}{{ len . }} resolved"#,
    "\n\n",
    r#"{{ template "emberkeep.text.list" . }}{{ end }}{{ .ExternalURL }}/alerts"#,
    "\n",
    r#"{{ end }}"#,
    r#"{{ define "emberkeep.html.alert" }}<tr><td style="padding:12px 16px;border-top:1px solid #ddd;vertical-align:top"><b>{{ template "emberkeep.line" . }}</b><br>"#,
    r#"{{ range .Labels.SortedPairs }}<span style="color:#555">{{ .Name }}</span> = {{ .Value }}<br>{{ end }}"#,
    r#"{{ range .Annotations.SortedPairs }}<span style="color:#555">{{ .Name }}</span>: {{ .Value }}<br>{{ end }}"#,
    r#"<span style="color:#555">since {{ .StartsAt.Format "2006-01-02 15:04:05 MST" }}{{ if eq .Status "resolved" }}, resolved {{ .EndsAt.Format "2006-01-02 15:04:05 MST" }}{{ end }}</span>"#,
    r#"{{ with .GeneratorURL }}<br><a href="{{ . }}">Expression</a>{{ end }}</td></tr>{{ end }}"#,
    r#"{{ define "emberkeep.html.list" }}{{ range $i, $a := . }}{{ if ge $i 200 }}<tr><td style="padding:12px 16px">and more</td></tr>{{ break }}{{ end }}{{ template "emberkeep.html.alert" . }}{{ end }}{{ end }}"#,
    r#"{{ define "email.default.html" }}<!DOCTYPE html><html><head><meta charset="utf-8"><title>{{ template "emberkeep.subject" . }}</title></head>"#,
    r#"<body style="font-family:sans-serif;color:#222;margin:0;padding:16px"><table style="border-collapse:collapse;width:100%;max-width:680px;border:1px solid #ddd">"#,
    r#"{{ with .Alerts.Firing }}<tr><td style="padding:10px 16px;background:#b42318;color:#fff"><b>{{ len . }} firing</b></td></tr>{{ template "emberkeep.html.list" . }}{{ end }}"#,
    r#"{{ with .Alerts.Resolved }}<tr><td style="padding:10px 16px;background:#2b7a3d;color:#fff"><b>{{ len . }} resolved</b></td></tr>{{ template "emberkeep.html.list" . }}{{ end }}"#,
    r#"</table><p><a href="{{ .ExternalURL }}/alerts">All alerts</a></p></body></html>{{ end }}"#,
);
