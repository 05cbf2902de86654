//! The pages of silences and notifications: an alert is silenced from the page of alerts, and a receiver is tested.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use fantoccini::Client as Browser;

use crate::page::{click, element, id, in_a_browser, screenshot};
use crate::support::server::{Client, PATIENCE, Server, wait_for};
use crate::support::services::Service;

const RULES: &str = "groups:
- name: g
  rules:
  - {alert: Noisy, expr: vector(1), labels: {team: '\"<b>quoted</b>\"'}}
";

/// Waits until the text of what a selector finds has `expected` in it.
async fn wait_for_text(browser: &Browser, css: &str, expected: &str) {
    let started = std::time::Instant::now();
    loop {
        let text = element(browser, css).await.text().await.unwrap_or_default();
        if text.contains(expected) {
            return;
        }
        if started.elapsed() > PATIENCE {
            screenshot(browser, "failure").await;
            panic!("{css}: {text}, not {expected}");
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn an_alert_is_silenced(browser: &Browser, url: &str) {
    browser.goto(&format!("{url}/alerts")).await.expect("open the page");
    click(browser, &id("silence-alert")).await;
    wait_for_text(browser, &id("silence-preview"), "1 alert matches now").await;
    wait_for_text(browser, &id("silence-preview"), "\"<b>quoted</b>\"").await;
    let matchers = element(browser, &id("silence-matchers")).await;
    let text = matchers.prop("value").await.expect("property").unwrap_or_default();
    assert_eq!(text, "alertname=\"Noisy\"\nteam=\"\\\"<b>quoted</b>\\\"\"");
    let save = element(browser, &id("silence-save")).await;
    assert!(save.attr("disabled").await.expect("attribute").is_some(), "who and why are missing");
    for (name, text) in [("silence-author", "anna"), ("silence-comment", "too loud")] {
        element(browser, &id(name)).await.send_keys(text).await.expect("type");
    }
    screenshot(browser, "silence-form").await;
    click(browser, &id("silence-save")).await;
    wait_for_text(browser, &id("silence"), "too loud").await;
    wait_for_text(browser, &id("silence"), "ends in 2h").await;
    screenshot(browser, "silences").await;
}

async fn a_silence_is_ended(browser: &Browser) {
    click(browser, &id("silence-expire")).await;
    let nothing = "const done = arguments[0]; const look = () =>
        document.querySelector('[data-testid=silence]') ? setTimeout(look, 50) : done(true); look();";
    browser.execute_async(nothing, vec![]).await.expect("the silence goes");
}

async fn a_receiver_is_tested(browser: &Browser, url: &str) {
    browser.goto(&format!("{url}/notifications")).await.expect("open the page");
    click(browser, &format!("section[aria-label=me] {}", id("test-receiver"))).await;
    wait_for_text(browser, &id("test-delivered"), "The test was delivered").await;
    wait_for_text(browser, &id("delivery"), "test").await;
    wait_for_text(browser, &format!("section[aria-label=nobody]{}", id("receiver")), "tells nobody").await;
    screenshot(browser, "notifications").await;
}

#[test]
fn an_alert_is_silenced_and_a_receiver_is_tested() {
    let prepare = |dir: &Path| {
        let any = ([127, 0, 0, 1], 0).into();
        let hook = Service::start(any, Arc::new(|_| Some(String::new()))).expect("listens");
        let config = dir.join("prometheus.yml");
        let text = format!(
            "global: {{evaluation_interval: 1s}}\nrule_files: [rules.yml]\nnotifications:\n  route: {{receiver: me, group_wait: \
             1h}}\n  receivers: [{{name: me, webhook_configs: [{{url: 'http://{}/'}}]}}, {{name: nobody}}]\n",
            hook.address
        );
        std::fs::write(&config, text).expect("write");
        std::fs::write(dir.join("rules.yml"), RULES).expect("write");
        let config = format!("--config.file={}", config.display());
        let server = Server::start(&dir.join("data"), &[&config, "--web.route-prefix=/p"], &[]);
        let (url, client) = (format!("{}/p", server.url), Client::new());
        wait_for("the alert fires", || {
            let rules = client.api(&url, "rules", &[]).to_string();
            rules.contains("\"firing\"").then_some(())
        });
        (server, url, hook)
    };
    in_a_browser(prepare, async |browser, (_server, url, _hook)| {
        an_alert_is_silenced(browser, &url).await;
        a_silence_is_ended(browser).await;
        a_receiver_is_tested(browser, &url).await;
    });
}

#[test]
fn without_notifications_the_pages_say_how_to_have_them() {
    let prepare = |dir: &Path| {
        let server = Server::start(&dir.join("data"), &[], &[]);
        let url = server.url.clone();
        (server, url)
    };
    in_a_browser(prepare, async |browser, (_server, url)| {
        for page in ["silences", "notifications"] {
            browser.goto(&format!("{url}/{page}")).await.expect("open the page");
            wait_for_text(browser, &id("notifications-off"), "webhook_configs").await;
        }
    });
}
