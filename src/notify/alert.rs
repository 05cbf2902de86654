//! What is told: alerts, how their labels are rewritten, and the text that a batch is sent as.

use std::sync::Arc;

use serde::ser::{Serialize, SerializeMap as _, Serializer};

use crate::model::{Labels, LabelsBuf};
use crate::relabel::{self, Rule};

/// The state of an alert, as Alertmanagers are told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alert {
    /// Which alert it is; `alertname` is among them.
    pub labels: Labels,
    /// What people are told besides.
    pub annotations: Labels,
    /// Since when it fires, in milliseconds since the Unix epoch.
    pub starts_at_ms: i64,
    /// When it was resolved; while it fires, until when that is good without being told again. In milliseconds since
    /// the Unix epoch.
    pub ends_at_ms: i64,
    /// Where people see what made it fire; may be empty.
    pub generator_url: String,
    /// Labels before relabelling: alerts with the same are states of one, whatever is left of their labels.
    pub(super) identity: Labels,
}

impl Alert {
    /// An alert that begins and ends at these times.
    pub fn new(
        labels: Labels,
        annotations: Labels,
        (starts_at_ms, ends_at_ms): (i64, i64),
        generator_url: String,
    ) -> Self {
        Self { identity: labels.clone(), labels, annotations, starts_at_ms, ends_at_ms, generator_url }
    }

    /// Bytes of its texts, roughly.
    pub(super) fn text_bytes(&self) -> usize {
        self.labels.packed_len() + self.annotations.packed_len() + self.generator_url.len()
    }
}

/// The alerts that `rules` leave, with their labels as they make them, and with those of `external` that they lack. An
/// alert that is left without labels is none.
pub(super) fn relabel(alerts: &[Arc<Alert>], external: &Labels, rules: &[Rule]) -> Vec<Arc<Alert>> {
    if external.is_empty() && rules.is_empty() {
        return alerts.to_vec();
    }
    let mut buffer = LabelsBuf::new();
    alerts.iter().filter_map(|alert| relabel_one(alert, external, rules, &mut buffer)).collect()
}

fn relabel_one(
    alert: &Arc<Alert>,
    external: &Labels,
    rules: &[Rule],
    labels: &mut LabelsBuf,
) -> Option<Arc<Alert>> {
    labels.reset_to(&alert.labels);
    for (name, value) in external {
        if labels.get(name).is_none() {
            labels.set(name, value);
        }
    }
    if !relabel::apply(rules, labels) || labels.is_empty() {
        return None;
    }
    let labels = labels.to_labels();
    let same = labels == alert.labels;
    Some(if same { Arc::clone(alert) } else { Arc::new(Alert { labels, ..(**alert).clone() }) })
}

/// The body of a request of version 2 of Alertmanager's API.
pub(super) fn encode<'a>(alerts: impl Iterator<Item = &'a Alert>) -> Vec<u8> {
    let posted: Vec<Posted<'a>> = alerts.map(Posted::from).collect();
    // Texts and maps with text keys can always be written.
    serde_json::to_vec(&posted).unwrap_or_default()
}

#[derive(serde::Serialize)]
#[serde(rename_all = "camelCase")]
struct Posted<'a> {
    labels: Pairs<'a>,
    #[serde(skip_serializing_if = "Pairs::is_empty")]
    annotations: Pairs<'a>,
    starts_at: String,
    ends_at: String,
    #[serde(rename = "generatorURL", skip_serializing_if = "str::is_empty")]
    generator_url: &'a str,
}

impl<'a> From<&'a Alert> for Posted<'a> {
    fn from(alert: &'a Alert) -> Self {
        Self {
            labels: Pairs(&alert.labels),
            annotations: Pairs(&alert.annotations),
            starts_at: time(alert.starts_at_ms),
            ends_at: time(alert.ends_at_ms),
            generator_url: &alert.generator_url,
        }
    }
}

struct Pairs<'a>(&'a Labels);

impl Pairs<'_> {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Serialize for Pairs<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (name, value) in self.0 {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

/// RFC 3339 with milliseconds, as Prometheus sends it. What lies beyond the years that can be written is the nearest
/// that can.
fn time(ms: i64) -> String {
    let nearest = if ms < 0 { jiff::Timestamp::MIN } else { jiff::Timestamp::MAX };
    format!("{:.3}", jiff::Timestamp::from_millisecond(ms).unwrap_or(nearest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::relabel::{Action, RuleSpec};

    fn alert(labels: &[(&str, &str)]) -> Arc<Alert> {
        Arc::new(Alert::new(
            Labels::from_pairs(labels.iter().copied()),
            Labels::empty(),
            (0, 1),
            String::new(),
        ))
    }

    #[test]
    fn a_batch_is_written_as_alertmanagers_read_it() {
        let first = Alert {
            annotations: Labels::from_pairs([("summary", "\"down\"\n")]),
            starts_at_ms: 1_700_000_000_000,
            ends_at_ms: 1_700_000_240_005,
            generator_url: "http://h/graph?g0.expr=up".to_owned(),
            ..(*alert(&[("alertname", "A"), ("l\u{e4}nd", "x")])).clone()
        };
        let second = alert(&[("alertname", "B")]);
        let text = String::from_utf8(encode([&first, &*second].into_iter())).expect("text");
        let expected = concat!(
            r#"[{"labels":{"alertname":"A","l"#,
            "\u{e4}",
            r#"nd":"x"},"annotations":{"summary":"\"down\"\n"},"#,
            r#""startsAt":"2023-11-14T22:13:20.000Z","endsAt":"2023-11-14T22:17:20.005Z","#,
            r#""generatorURL":"http://h/graph?g0.expr=up"},"#,
            r#"{"labels":{"alertname":"B"},"startsAt":"1970-01-01T00:00:00.000Z","endsAt":"1970-01-01T00:00:00.001Z"}]"#
        );
        assert_eq!(text, expected);
        assert!(time(i64::MAX).starts_with("9999-12-"), "{}", time(i64::MAX));
        assert!(time(i64::MIN).starts_with("-009999-01-"), "{}", time(i64::MIN));
    }

    #[test]
    fn external_labels_come_before_the_rules_and_replace_nothing() {
        let spec = |action, regex: &str, source: &str| RuleSpec {
            action,
            regex: regex.to_owned(),
            source_labels: vec![source.to_owned()],
            ..RuleSpec::default()
        };
        let rule = |spec| Rule::new(spec).expect("a rule");
        let external = Labels::from_pairs([("cluster", "c"), ("replica", "r1")]);
        let rules = [
            rule(spec(Action::Drop, "quiet", "severity")),
            rule(RuleSpec { source_labels: Vec::new(), ..spec(Action::LabelDrop, "replica", "") }),
        ];
        let alerts = [
            alert(&[("alertname", "A"), ("cluster", "own")]),
            alert(&[("alertname", "B"), ("severity", "quiet")]),
            alert(&[("replica", "x"), ("cluster", "y")]),
        ];
        let seen = relabel(&alerts, &external, &rules);
        let labels: Vec<String> = seen.iter().map(|alert| alert.labels.to_string()).collect();
        assert_eq!(labels, [r#"{alertname="A", cluster="own"}"#, r#"{cluster="y"}"#]);
        let nothing = [rule(RuleSpec { source_labels: Vec::new(), ..spec(Action::LabelDrop, ".*", "") })];
        assert_eq!(relabel(&alerts, &external, &nothing), []);
        // What stays as it is is shared.
        let same = relabel(&alerts[..1], &Labels::from_pairs([("cluster", "c")]), &[]);
        assert!(Arc::ptr_eq(&same[0], &alerts[0]));
    }
}
