//! What receivers are told: the data of templates, and the body of a webhook.

use std::sync::Arc;

use serde::Serialize;
use serde::ser::{SerializeMap as _, Serializer};

use super::alert::fingerprint_text;
use super::engine::ToldAlert;
use crate::model::Labels;
use crate::template::{Message, MessageAlert, status_name};

/// How Go prints a time that was never set.
pub(crate) const NEVER: &str = "0001-01-01T00:00:00Z";

/// RFC 3339 as Go writes it: no more digits behind the second than are needed.
pub(crate) fn rfc3339(ms: i64) -> String {
    let nearest = if ms < 0 { jiff::Timestamp::MIN } else { jiff::Timestamp::MAX };
    jiff::Timestamp::from_millisecond(ms).unwrap_or(nearest).to_string()
}

/// The data of templates.
pub(super) fn message(
    receiver: &str,
    group_labels: &Labels,
    alerts: &[ToldAlert],
    external_url: &str,
) -> Message {
    Message {
        receiver: quote(receiver),
        group_labels: group_labels.clone(),
        common_labels: common(alerts, |told| &told.alert.labels),
        common_annotations: common(alerts, |told| &told.alert.annotations),
        external_url: external_url.to_owned(),
        alerts: alerts.iter().map(message_alert).collect(),
    }
}

fn message_alert(told: &ToldAlert) -> MessageAlert {
    let alert = &told.alert;
    MessageAlert {
        resolved: told.resolved,
        labels: alert.labels.clone(),
        annotations: alert.annotations.clone(),
        starts_at_ms: alert.starts_at,
        ends_at_ms: told.resolved.then_some(alert.ends_at),
        generator_url: alert.generator_url.clone(),
        fingerprint: fingerprint_text(&alert.labels),
    }
}

/// The pairs that all alerts have.
fn common(alerts: &[ToldAlert], of: impl Fn(&ToldAlert) -> &Labels) -> Labels {
    let Some((first, rest)) = alerts.split_first() else { return Labels::empty() };
    let first = of(first);
    let shared = |(name, value): &(&str, &str)| rest.iter().all(|told| of(told).get(name) == Some(*value));
    Labels::from_pairs(first.iter().filter(shared))
}

/// A name as a regular expression that finds it, as `.Receiver` has it.
fn quote(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for c in name.chars() {
        if r"\.+*?()|[]{}^$".contains(c) {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

/// The body of a webhook, version 4.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Webhook<'a> {
    receiver: &'a str,
    status: &'a str,
    alerts: Vec<WebhookAlert<'a>>,
    group_labels: Pairs<'a>,
    common_labels: Pairs<'a>,
    common_annotations: Pairs<'a>,
    #[serde(rename = "externalURL")]
    external_url: &'a str,
    version: &'static str,
    group_key: &'a str,
    truncated_alerts: usize,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct WebhookAlert<'a> {
    status: &'static str,
    labels: Pairs<'a>,
    annotations: Pairs<'a>,
    starts_at: String,
    ends_at: String,
    #[serde(rename = "generatorURL")]
    generator_url: &'a str,
    fingerprint: &'a str,
}

/// Labels as a JSON object.
pub(crate) struct Pairs<'a>(pub(crate) &'a Labels);

impl Serialize for Pairs<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (name, value) in self.0 {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

/// The body of a webhook with at most `max_alerts` alerts; 0 means all.
pub(super) fn webhook_body(message: &Message, group_key: &Arc<str>, max_alerts: u64) -> Vec<u8> {
    let max = usize::try_from(max_alerts).ok().filter(|max| *max > 0).unwrap_or(usize::MAX);
    let alerts = message.alerts.iter().take(max).map(|alert| WebhookAlert {
        status: status_name(alert.resolved),
        labels: Pairs(&alert.labels),
        annotations: Pairs(&alert.annotations),
        starts_at: rfc3339(alert.starts_at_ms),
        ends_at: alert.ends_at_ms.map_or_else(|| NEVER.to_owned(), rfc3339),
        generator_url: &alert.generator_url,
        fingerprint: &alert.fingerprint,
    });
    let body = Webhook {
        receiver: &message.receiver,
        status: message.status(),
        alerts: alerts.collect(),
        group_labels: Pairs(&message.group_labels),
        common_labels: Pairs(&message.common_labels),
        common_annotations: Pairs(&message.common_annotations),
        external_url: &message.external_url,
        version: "4",
        group_key,
        truncated_alerts: message.alerts.len().saturating_sub(max),
    };
    // Texts and maps with text keys can always be written. Go's encoder ends with a line break.
    let mut body = serde_json::to_vec(&body).unwrap_or_default();
    body.push(b'\n');
    body
}
