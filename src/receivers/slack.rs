//! Messages for Slack, and for whatever takes its incoming webhooks.

use serde_json::{Map, Value, json};

use super::error::Failure;
use super::render::Renderer;
use crate::config::SlackConfig;

/// Characters of a title at most: Slack shows no more.
const MAX_TITLE_CHARACTERS: usize = 1024;

/// Texts that are keys of the message; the others are keys of its attachment.
const OF_MESSAGE: [&str; 4] = ["channel", "username", "icon_emoji", "icon_url"];

/// The body of the request.
pub(super) fn body(config: &SlackConfig, renderer: &Renderer<'_>) -> Result<Vec<u8>, Failure> {
    let (mut message, mut attachment) = (Map::new(), Map::new());
    for (key, template) in &config.texts {
        let mut text = renderer.text(key, template)?;
        if *key == "title" && text.chars().count() > MAX_TITLE_CHARACTERS {
            text = text.chars().take(MAX_TITLE_CHARACTERS - 1).chain(['\u{2026}']).collect();
        }
        // Slack wants neither empty links nor empty pictures.
        if text.is_empty() && *key != "text" && *key != "fallback" {
            continue;
        }
        let part = if OF_MESSAGE.contains(key) { &mut message } else { &mut attachment };
        part.insert((*key).to_owned(), text.into());
    }
    let mut fields = Vec::new();
    for field in &config.fields {
        fields.push(json!({
            "title": renderer.text("fields.title", &field.title)?,
            "value": renderer.text("fields.value", &field.value)?,
            "short": field.short.unwrap_or(config.short_fields),
        }));
    }
    if !fields.is_empty() {
        attachment.insert("fields".to_owned(), fields.into());
    }
    attachment.insert("mrkdwn_in".to_owned(), config.mrkdwn_in.clone().into());
    if config.link_names {
        message.insert("link_names".to_owned(), true.into());
    }
    message.insert("attachments".to_owned(), Value::Array(vec![attachment.into()]));
    Ok(serde_json::to_vec(&message).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{self, IntegrationConfig, LoadOptions};
    use crate::model::Labels;
    use crate::template::{Message, MessageAlert};

    fn body_of(config: &str) -> Result<Value, Failure> {
        let text = format!(
            "notifications:\n  route: {{receiver: me}}\n  receivers: [{{name: me, slack_configs: [{{api_url: 'http://h/', \
             {config}}}]}}]\n"
        );
        let config = config::parse(&text, "f", &LoadOptions::default()).expect("a configuration");
        let receivers = &config.notifications.as_ref().expect("the section").receivers;
        let IntegrationConfig::Slack(slack) = &receivers[0].integrations[0] else { panic!("no Slack") };
        let alert = |summary: String| MessageAlert {
            resolved: false,
            labels: Labels::from_pairs([("alertname", "Down"), ("job", "j")]),
            annotations: Labels::from_pairs([("summary", summary)]),
            starts_at_ms: 0,
            ends_at_ms: None,
            generator_url: String::new(),
            fingerprint: String::new(),
        };
        let message = Message {
            receiver: "me".to_owned(),
            alerts: (0..25).map(|number| alert(format!("n{number}"))).collect(),
            group_labels: Labels::from_pairs([("alertname", "Down")]),
            common_labels: Labels::from_pairs([("alertname", "Down"), ("job", "j")]),
            common_annotations: Labels::empty(),
            external_url: "http://ember".to_owned(),
        };
        let bytes = body(slack, &Renderer::new(&message, 0))?;
        Ok(serde_json::from_slice(&bytes).expect("JSON"))
    }

    #[test]
    fn a_message_is_what_slack_takes() {
        let body = body_of("channel: '#c', fields: [{title: t, value: '{{ .Status }}'}], short_fields: true")
            .expect("a body");
        let expected = json!({
            "channel": "#c",
            "username": "Emberkeep",
            "attachments": [{
                "color": "danger",
                "title": "[FIRING: 25] Down (job=j)",
                "title_link": "http://ember/alerts",
                "fallback": "[FIRING: 25] Down (job=j) http://ember/alerts",
                "text": body["attachments"][0]["text"],
                "fields": [{"title": "t", "value": "firing", "short": true}],
                "mrkdwn_in": ["fallback", "pretext", "text"],
            }],
        });
        assert_eq!(body, expected);
        let text = body["attachments"][0]["text"].as_str().expect("a text");
        assert!(text.starts_with("Down: n0\nDown: n1\n") && text.ends_with("Down: n19\nand more"), "{text}");
        let long = body_of(
            "title: '{{ range .Alerts }}xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx{{ end }}'",
        );
        let long = long.expect("a body")["attachments"][0]["title"].as_str().expect("a text").chars().count();
        assert_eq!(long, MAX_TITLE_CHARACTERS);
    }

    #[test]
    fn a_template_that_fails_is_told_by_its_key() {
        let failure = body_of("text: '{{ index .Alerts 99 }}'").expect_err("out of range");
        assert!(
            !failure.may_pass && failure.text.starts_with("text: ") && failure.text.contains("out of range"),
            "{failure}"
        );
    }
}
