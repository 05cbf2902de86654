//! The pages of alerts and of rules: what they show, their filters, what changes while they are open.

use std::path::Path;
use std::time::{Duration, Instant};

use fantoccini::{Client as Browser, Locator};
use serde_json::{Value, json};

use crate::page::{click, element, id, in_a_browser, screenshot};
use crate::support::server::{Client, PATIENCE, Server, wait_for};

/// An alert in each state, a rule that fails, and names and texts that are long or of use to attackers.
pub(crate) const RULES: &str = r#"groups:
- name: alerts
  rules:
  - alert: Always
    expr: vector(1)
    labels: {severity: page}
    annotations:
      summary: 'The value is {{ $value }} <b>now</b>.'
      runbook_url: https://runbooks.example/Always
      other: javascript:alert(1)
  - {alert: Waits, expr: vector(2), for: 1h, keep_firing_for: 10m, labels: {severity: ticket}}
  - {alert: Never, expr: vector(1) > 2}
- name: recorded
  rules:
  - {record: 'one:two', expr: vector(3)}
  - record: a_rule_with_a_name_that_is_far_too_long_for_a_narrow_window_and_has_no_place_to_break
    expr: |
      (label_replace(vector(1), "a", "1", "", "") or label_replace(vector(1), "a", "2", "", ""))
        * on () (label_replace(vector(1), "a", "1", "", "") or label_replace(vector(1), "a", "2", "", ""))
"#;

const CONFIG: &str = "
global: {evaluation_interval: 1s}
rule_files: [rules.yml]
alerting:
  alertmanagers:
  - static_configs: [{targets: ['127.0.0.1:9', '127.0.0.1:10']}]
    relabel_configs: [{source_labels: [__address__], regex: '.*:10', action: drop}]
";

/// Where the server serves.
const BELOW: &str = "/p";

/// What a script gives, once it gives `expected`.
pub(crate) async fn wait_for_value(browser: &Browser, script: &str, expected: Value) {
    let started = Instant::now();
    loop {
        let found = browser.execute(script, vec![]).await.expect("run");
        if found == expected {
            return;
        }
        if started.elapsed() > PATIENCE {
            screenshot(browser, "failure").await;
            panic!("{script}: {found}, not {expected}");
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// The names of the alerting rules shown, or of the rules shown.
async fn wait_for_rules(browser: &Browser, expected: &[&str]) {
    let script = "return [...document.querySelectorAll(
        '[data-testid=alert-rule] .ek-pool-name, [data-testid=rule-row] .ek-rule-name')].map((e) => e.textContent)";
    wait_for_value(browser, script, json!(expected)).await;
}

pub(crate) async fn wait_for_count(browser: &Browser, css: &str, expected: usize) {
    let script = format!("return document.querySelectorAll(\"{css}\").length");
    wait_for_value(browser, &script, json!(expected)).await;
}

/// The number of firing alerts in the navigation.
async fn wait_for_badge(browser: &Browser, expected: &str) {
    let script = "return document.querySelector('[data-testid=firing-badge]')?.firstChild.textContent";
    wait_for_value(browser, script, json!(expected)).await;
}

/// Presses a box that the page draws itself.
async fn press(browser: &Browser, name: &str) {
    element(browser, &id(name)).await;
    browser.execute(&format!("document.querySelector('{}').click()", id(name)), vec![]).await.expect("press");
}

async fn choose(browser: &Browser, name: &str, value: &str) {
    element(browser, &id(name)).await.select_by_value(value).await.expect("choose");
}

async fn query_of(browser: &Browser) -> String {
    browser.current_url().await.expect("url").query().unwrap_or_default().to_owned()
}

async fn alerts_are_shown(browser: &Browser, url: &str) {
    browser.goto(&format!("{url}/alerts")).await.expect("open the page");
    wait_for_rules(browser, &["Always", "Waits", "Never"]).await;
    let counts = element(browser, &id("alert-counts")).await.text().await.expect("text");
    assert_eq!(counts, "1 alert firing, 1 pending");
    let badge = element(browser, &id("firing-badge")).await.text().await.expect("text");
    assert_eq!(badge.split_whitespace().next(), Some("1"));

    // Texts are texts, web addresses are links, and other addresses are not.
    let row = element(browser, &format!("{}[data-state=firing]", id("alert-row"))).await;
    let text = row.text().await.expect("text");
    for part in ["severity", "page", "The value is 1 <b>now</b>.", "javascript:alert(1)", " ago"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let link = row.find(Locator::Css("a")).await.expect("a link");
    assert_eq!(
        link.attr("href").await.expect("attribute").as_deref(),
        Some("https://runbooks.example/Always")
    );
    let rel = link.attr("rel").await.expect("attribute").expect("rel");
    assert!(rel.split(' ').any(|word| word == "noopener"), "{rel}");
    assert_eq!(row.find_all(Locator::Css("a")).await.expect("links").len(), 1);
    let waits = element(browser, "section[aria-label=Waits]").await.text().await.expect("text");
    for part in ["vector(2)", "for 1h", "keep_firing_for 10m", "pending"] {
        assert!(waits.contains(part), "{part}: {waits}");
    }
    screenshot(browser, "alerts").await;

    click(browser, &format!("{} button", id("alertmanagers"))).await;
    wait_for_count(browser, &id("alertmanager"), 2).await;
    let told = element(browser, &id("alertmanagers")).await.text().await.expect("text");
    assert!(told.contains("1 Alertmanager; 1 dropped"), "{told}");
}

async fn alerts_are_filtered(browser: &Browser, url: &str) {
    press(browser, "state-pending").await;
    wait_for_rules(browser, &["Waits"]).await;
    press(browser, "state-inactive").await;
    wait_for_rules(browser, &["Waits", "Never"]).await;
    let search = element(browser, &id("alert-search")).await;
    search.send_keys("severity=\"ticket\"").await.expect("type");
    wait_for_rules(browser, &["Waits"]).await;
    // The filters are in the address, so a link shows the same.
    let query = query_of(browser).await;
    assert!(query.contains("state=pending&state=inactive&search="), "{query}");
    browser.refresh().await.expect("load again");
    wait_for_rules(browser, &["Waits"]).await;
    browser.goto(&format!("{url}/alerts?search=nothing")).await.expect("open the page");
    element(browser, &id("state-pending")).await;
    wait_for_rules(browser, &[]).await;

    browser.goto(&format!("{url}/alerts?search=ALERTS")).await.expect("open the page");
    choose(browser, "alert-order", "state").await;
    wait_for_rules(browser, &["Always", "Waits", "Never"]).await;
    wait_for_count(browser, &id("alert-group"), 0).await;

    // A rule without alerts is closed; open, it leads to its graph.
    wait_for_count(browser, &format!("section[aria-label=Never] {}", id("rule-expr")), 0).await;
    click(browser, "section[aria-label=Never] button").await;
    let expr = element(browser, &format!("section[aria-label=Never] {}", id("rule-expr"))).await;
    assert_eq!(expr.text().await.expect("text"), "vector(1) > 2");
    click(browser, &format!("section[aria-label=Never] {}", id("rule-graph"))).await;
    element(browser, &id("expr-editor")).await;
    let address = browser.current_url().await.expect("url");
    assert_eq!(address.path(), format!("{BELOW}/query"));
    let expr = address.query_pairs().find(|(name, _)| name == "g0.expr").expect("an expression").1;
    assert_eq!(expr, "vector(1) > 2");
}

async fn rules_are_shown_and_filtered(browser: &Browser) {
    const LONG: &str =
        "a_rule_with_a_name_that_is_far_too_long_for_a_narrow_window_and_has_no_place_to_break";
    click(browser, &id("nav-rules")).await;
    wait_for_rules(browser, &["Always", "Waits", "Never", "one:two", LONG]).await;
    let failed = element(browser, &format!("{}[data-health=err]", id("rule-row"))).await;
    let text = failed.text().await.expect("text");
    for part in ["failed", "found duplicate series", "record"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    // What is long is broken into lines.
    let lines = "const row = document.querySelector('[data-testid=rule-row][data-health=err]');
        return [row.querySelectorAll('.ek-expr-line').length > 2, row.querySelectorAll('.ek-code-function').length]";
    wait_for_value(browser, lines, json!([true, 8])).await;
    screenshot(browser, "rules").await;

    press(browser, "rules-err").await;
    wait_for_rules(browser, &[LONG]).await;
    press(browser, "rules-err").await;
    choose(browser, "rule-type", "recording").await;
    wait_for_rules(browser, &["one:two", LONG]).await;
    let search = element(browser, &id("rule-search")).await;
    search.send_keys("recorded one:").await.expect("type");
    wait_for_rules(browser, &["one:two"]).await;
    choose(browser, "rule-order", "slowest").await;
    wait_for_rules(browser, &["one:two"]).await;
    assert_eq!(query_of(browser).await, "type=recording&search=recorded+one%3A&order=slowest");

    // Closed groups stay closed, in this browser.
    click(browser, &id("nav-rules")).await;
    wait_for_count(browser, &id("rule-row"), 5).await;
    click(browser, "section[aria-label^='recorded,'] button[aria-expanded]").await;
    wait_for_rules(browser, &["Always", "Waits", "Never"]).await;
    browser.refresh().await.expect("load again");
    wait_for_rules(browser, &["Always", "Waits", "Never"]).await;
    wait_for_count(browser, &id("rule-group"), 2).await;
    wait_for_badge(browser, "1").await;
}

/// Writes files of the server and lets it read them.
async fn reload(dir: &Path, url: &str, files: &[(&str, &str)]) {
    for (name, text) in files {
        std::fs::write(dir.join(name), text).expect("write");
    }
    let url = format!("{url}/-/reload");
    let post = move || Client::new().post(&url, "text/plain", Vec::new());
    let (status, body) = tokio::task::spawn_blocking(post).await.expect("join").expect("an answer");
    assert_eq!(status, 200, "{body}");
}

/// Open pages follow what the server does.
async fn pages_are_live(browser: &Browser, dir: &Path, url: &str) {
    click(browser, &id("nav-alerts")).await;
    wait_for_rules(browser, &["Always", "Waits", "Never"]).await;
    let changed = RULES.replace("alert: Never, expr: vector(1) > 2", "alert: Added, expr: vector(4)");
    reload(dir, url, &[("rules.yml", &changed)]).await;
    wait_for_rules(browser, &["Always", "Waits", "Added"]).await;
    wait_for_count(browser, &format!("section[aria-label=Added] {}[data-state=firing]", id("alert-row")), 1)
        .await;
    wait_for_badge(browser, "2").await;

    // Of many rules some are shown, the others when asked for.
    let rules: Vec<String> = (0..60).map(|at| format!("{{alert: Rule{at}, expr: vector(1) > 1}}")).collect();
    let many = format!("groups: [{{name: many, rules: [{}]}}]", rules.join(", "));
    reload(dir, url, &[("rules.yml", &many)]).await;
    wait_for_count(browser, &id("alert-rule"), 50).await;
    click(browser, &id("show-more")).await;
    wait_for_count(browser, &id("alert-rule"), 60).await;
    wait_for_count(browser, &id("show-more"), 0).await;

    // Without rules and Alertmanagers the page says what to write.
    reload(dir, url, &[("prometheus.yml", "global: {}\n")]).await;
    let hint = element(browser, &id("no-rules")).await.text().await.expect("text");
    assert!(hint.contains("rule_files:") && hint.contains("alert: TargetDown"), "{hint}");
    wait_for_count(browser, &id("firing-badge"), 0).await;
    element(browser, &id("no-alertmanagers")).await;
    screenshot(browser, "no-alerts").await;
    click(browser, &id("nav-rules")).await;
    element(browser, &id("rule-search")).await;
    let hint = element(browser, &id("no-rules")).await.text().await.expect("text");
    assert!(hint.contains("record:"), "{hint}");
}

#[test]
fn alerts_and_rules_are_shown_filtered_and_followed() {
    let prepare = |dir: &Path| {
        let config = dir.join("prometheus.yml");
        std::fs::write(&config, CONFIG).expect("write");
        std::fs::write(dir.join("rules.yml"), RULES).expect("write");
        let config = format!("--config.file={}", config.display());
        let prefix = format!("--web.route-prefix={BELOW}");
        let server = Server::start(&dir.join("data"), &[&config, &prefix, "--web.enable-lifecycle"], &[]);
        let url = format!("{}{BELOW}", server.url);
        let client = Client::new();
        wait_for("all rules are evaluated", || {
            let rules = client.api(&url, "rules", &[]).to_string();
            (rules.contains("\"firing\"") && !rules.contains("\"unknown\"")).then_some(())
        });
        (server, url, dir.to_owned())
    };
    in_a_browser(prepare, async |browser, (_server, url, dir)| {
        alerts_are_shown(browser, &url).await;
        alerts_are_filtered(browser, &url).await;
        rules_are_shown_and_filtered(browser).await;
        pages_are_live(browser, &dir, &url).await;
    });
}
