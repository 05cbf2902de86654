//! The pages of the lab and the timeline: a rule is played, its threshold moved, a file compared, spans are shown.

use std::path::Path;

use fantoccini::Client as Browser;
use fantoccini::key::Key;
use serde_json::json;

use crate::alerts::{wait_for_count, wait_for_value};
use crate::page::{click, element, id, in_a_browser, screenshot};
use crate::support::server::{Client, Server, wait_for};

const RULES: &str = "groups:
- name: alerts
  rules:
  - {alert: Often, expr: 'vector(time() % 10) > 5', for: 1s, labels: {severity: page}}
  - {record: 'one:two', expr: vector(3)}
";

const CONFIG: &str = "
global: {evaluation_interval: 1s}
rule_files: [rules.yml]
";

const RULE: &str = "alert=Often&expr=vector(time()%20%25%2010)%20%3E%205&for=1s&interval=1s&range=1m&labels=%7B%22severity%22:%22page%22%7D";

async fn text_of(browser: &Browser, name: &str) -> String {
    element(browser, &id(name)).await.text().await.expect("text")
}

async fn a_rule_is_played(browser: &Browser, url: &str) {
    browser.goto(&format!("{url}/lab?{RULE}")).await.expect("open the page");
    element(browser, &format!("{}[data-series]", id("graph"))).await;
    let firings: u64 = text_of(browser, "figure-firings").await.parse().expect("a number");
    assert!((6..=7).contains(&firings), "{firings} firings in a minute of waves of ten seconds");
    let strip = element(browser, &id("strip")).await.attr("aria-label").await.expect("attribute");
    assert!(strip.as_deref().is_some_and(|label| label.starts_with("page: fired ")), "{strip:?}");
    screenshot(browser, "lab").await;

    // The threshold moves with the arrow keys, and the rule is played again.
    let threshold = element(browser, &id("threshold")).await;
    assert_eq!(threshold.attr("aria-valuenow").await.expect("attribute").as_deref(), Some("5"));
    threshold.send_keys(&String::from(char::from(Key::PageUp)).repeat(9)).await.expect("keys");
    let nothing = "return document.querySelector('[data-testid=figure-firings]')?.textContent";
    wait_for_value(browser, nothing, json!("0")).await;
    let address = browser.current_url().await.expect("url");
    let expr = address.query_pairs().find(|(name, _)| name == "expr").expect("an expression").1.into_owned();
    assert!(expr.starts_with("vector(time() % 10) > ") && !expr.ends_with("> 5"), "{expr}");

    // As a file, with a test of it.
    browser.goto(&format!("{url}/lab?{RULE}")).await.expect("open the page");
    click(browser, &format!("{} > summary", id("save-as"))).await;
    assert!(text_of(browser, "rule-yaml").await.contains("alert: Often"));
    click(browser, &id("make-test")).await;
    assert!(text_of(browser, "test-yaml").await.contains("exp_labels"));
}

async fn a_file_is_compared(browser: &Browser, url: &str) {
    browser.goto(&format!("{url}/lab?tab=file&range=1m")).await.expect("open the page");
    let changed = RULES.replace("> 5", "> 20");
    element(browser, &id("rule-file")).await.send_keys(&changed).await.expect("type");
    click(browser, &id("compare")).await;
    wait_for_count(browser, &format!("{}[data-verdict=changed]", id("compared-rule")), 1).await;
    let sum = text_of(browser, "compared-sum").await;
    assert!(
        sum.starts_with("0 firings in both, ") && !sum.contains(" 0 only with the rules of now"),
        "{sum}"
    );
    screenshot(browser, "lab-file").await;
}

async fn spans_are_shown(browser: &Browser, url: &str) {
    browser.goto(&format!("{url}/rules")).await.expect("open the page");
    click(browser, &id("rule-lab")).await;
    element(browser, &id("run-lab")).await;
    wait_for_count(browser, &id("rule-lab"), 0).await;
    click(browser, &id("nav-timeline")).await;
    wait_for_count(browser, &id("timeline-group"), 1).await;
    screenshot(browser, "timeline").await;
    browser.goto(&format!("{url}/timeline?alert=Never")).await.expect("open the page");
    element(browser, &id("timeline-sum")).await;
    wait_for_count(browser, &id("timeline-group"), 0).await;
    browser.goto(&format!("{url}/timeline")).await.expect("open the page");
    click(browser, &id("timeline-lab")).await;
    element(browser, &id("figure-firings")).await;
}

#[test]
fn a_rule_is_tried_compared_and_followed() {
    let prepare = |dir: &Path| {
        let config = dir.join("prometheus.yml");
        std::fs::write(&config, CONFIG).expect("write");
        std::fs::write(dir.join("rules.yml"), RULES).expect("write");
        let server = Server::start(&dir.join("data"), &[&format!("--config.file={}", config.display())], &[]);
        let client = Client::new();
        wait_for("an alert has fired", || {
            let found = client.api(&server.url, "alerts/timeline", &[]).to_string();
            found.contains("\"firing\"").then_some(())
        });
        server
    };
    in_a_browser(prepare, async |browser, server| {
        a_rule_is_played(browser, &server.url).await;
        a_file_is_compared(browser, &server.url).await;
        spans_are_shown(browser, &server.url).await;
    });
}
