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
