//! The page in a real headless Chromium: completion, graph, stacked graph, targets, alerts and rules, silences, lab and timeline, names in quotes,
//! drafts, long expressions, narrow windows, servers that go away. Leaves screenshots under `target/screenshots`.
//!
//! Without chromium and chromedriver the test says so and passes, unless `EMBERKEEP_REQUIRE_ALL` is set.

mod alerts;
mod discovery;
mod lab;
mod page;
mod relay;
mod silences;
#[path = "../support/mod.rs"]
mod support;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use fantoccini::elements::Element;
use fantoccini::key::Key;
use fantoccini::{Client as Browser, Locator};
use page::{appears, click, element, id, in_a_browser, screenshot};
use relay::{Mood, Relay};
use serde_json::json;
use support::server::{Client, PATIENCE, Server, wait_for};
use support::services::Service;

async fn walk_through(browser: &Browser, url: &str) {
    browser.goto(&format!("{url}/graph")).await.expect("open the page");
    let editor = element(browser, &format!("{} .cm-content", id("expr-editor"))).await;
    assert!(browser.current_url().await.expect("url").path().ends_with("/query"), "/graph leads to /query");
    editor.click().await.expect("focus");
    editor.send_keys("prometheus_tsdb_head_ser").await.expect("type");
    element(browser, ".cm-tooltip-autocomplete li").await;
    screenshot(browser, "completion").await;
    let enter = char::from(Key::Enter).to_string();
    let down_to_series = wait_for_option(browser, "prometheus_tsdb_head_series").await;
    down_to_series.click().await.expect("accept the completion");
    let text = editor.text().await.expect("text");
    assert_eq!(text.trim(), "prometheus_tsdb_head_series");
    editor.send_keys(&enter).await.expect("run");
    let table = element(browser, &id("result-table")).await;
    assert!(table.text().await.expect("text").contains("prometheus_tsdb_head_series"));

    let query = "g0.expr=sum+by+(handler)+(prometheus_http_requests_total)&g0.tab=graph&g0.range_input=5m";
    browser.goto(&format!("{url}/query?{query}")).await.expect("open a graph by its link");
    let graph = element(browser, &format!("{}[data-series]", id("graph"))).await;
    let drawn: usize =
        graph.attr("data-series").await.expect("attribute").expect("drawn").parse().expect("number");
    assert!(drawn >= 2, "{drawn} series");
    screenshot(browser, "graph").await;
    click(browser, &id("stacked")).await;
    element(browser, &format!("{}[data-mode=stacked]", id("graph"))).await;
    screenshot(browser, "stacked").await;

    click(browser, &id("nav-targets")).await;
    element(browser, &format!("{}[data-health=up]", id("target-row"))).await;
    element(browser, &id("target-pool")).await;
    screenshot(browser, "targets").await;
}

/// Below a prefix the page finds its files, the API and its other pages; where there is no page, it says so.
async fn walk_below_a_prefix(browser: &Browser, url: &str) {
    let path = async || browser.current_url().await.expect("url").path().to_owned();
    browser.goto(&format!("{url}/deep/down/graph")).await.expect("open the page");
    element(browser, &format!("{} .cm-content", id("expr-editor"))).await;
    assert_eq!(path().await, "/deep/down/query");
    assert_eq!(browser.title().await.expect("title"), "Query - North & South");
    click(browser, &id("nav-targets")).await;
    element(browser, &id("target-pool")).await;
    assert_eq!(path().await, "/deep/down/targets");
    for lost in ["/deep/down/a/b/query", "/deep/down/query/x"] {
        browser.goto(&format!("{url}{lost}")).await.expect("open no page");
        let heading = element(browser, "h1").await;
        assert_eq!(heading.text().await.expect("text"), "No such page", "{lost}");
        click(browser, &id("nav-targets")).await;
        element(browser, &id("target-pool")).await;
        assert_eq!(path().await, "/deep/down/targets");
    }
}

/// The option of the completion list with this text.
async fn wait_for_option(browser: &Browser, text: &str) -> Element {
    let started = std::time::Instant::now();
    loop {
        let options = browser.find_all(Locator::Css(".cm-tooltip-autocomplete li")).await.unwrap_or_default();
        for option in options {
            if option.text().await.is_ok_and(|t| t.lines().next() == Some(text)) {
                return option;
            }
        }
        assert!(started.elapsed() < PATIENCE, "no completion {text}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// The text of the editor, once it is `expected`.
async fn wait_for_editor(browser: &Browser, expected: &str) {
    let started = std::time::Instant::now();
    loop {
        let text = element(browser, &format!("{} .cm-content", id("expr-editor"))).await.text().await;
        let text = text.unwrap_or_default();
        if text.trim() == expected {
            return;
        }
        assert!(started.elapsed() < PATIENCE, "the editor has {text:?}, not {expected:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn type_into_editor(browser: &Browser, text: &str) {
    let editor = element(browser, &format!("{} .cm-content", id("expr-editor"))).await;
    editor.click().await.expect("focus");
    editor.send_keys(text).await.expect("type");
}

/// Names that need quotes are written with them, by completion and by the list of metrics; values are escaped.
async fn names_in_quotes(browser: &Browser, url: &str) {
    browser.goto(&format!("{url}/query")).await.expect("open the page");
    type_into_editor(browser, "sum(my.me").await;
    wait_for_option(browser, "my.metric").await.click().await.expect("accept");
    wait_for_editor(browser, "sum({\"my.metric\"})").await;
    // Between the name and the brace after it.
    let left = char::from(Key::Left).to_string();
    type_into_editor(browser, &format!("{}{left}{left}, li", char::from(Key::End))).await;
    wait_for_option(browser, "lines.of").await.click().await.expect("accept");
    wait_for_editor(browser, "sum({\"my.metric\", \"lines.of\"})").await;
    type_into_editor(browser, &format!("{}{left}{left}=\"", char::from(Key::End))).await;
    wait_for_option(browser, "a\\nb\\\"c").await.click().await.expect("accept");
    wait_for_editor(browser, "sum({\"my.metric\", \"lines.of\"=\"a\\nb\\\"c\"})").await;
    type_into_editor(browser, &char::from(Key::Enter).to_string()).await;
    let table = element(browser, &id("result-table")).await;
    assert!(table.text().await.expect("text").contains('7'));
    screenshot(browser, "names-in-quotes").await;

    // The list of metrics puts the name where the caret is.
    browser.goto(&format!("{url}/query?g0.expr=sum()")).await.expect("open the page");
    type_into_editor(browser, &format!("{}{left}", char::from(Key::End))).await;
    click(browser, "button[aria-label='Explore metrics']").await;
    element(browser, "input[aria-label='Filter metrics']").await.send_keys("my.metric").await.expect("type");
    click(browser, ".ek-explorer-insert").await;
    wait_for_editor(browser, "sum({\"my.metric\"})").await;
}

/// What is typed and not run is there after another page and after a reload, for each panel.
async fn drafts_stay(browser: &Browser, url: &str) {
    browser.goto(&format!("{url}/query?g0.expr=up&g1.expr=down")).await.expect("open the page");
    let second = element(browser, "section[aria-label='Query 2'] .cm-content").await;
    second.click().await.expect("focus");
    second.send_keys(" + unfinished").await.expect("type");
    click(browser, &id("nav-targets")).await;
    element(browser, &id("target-pool")).await;
    click(browser, &id("nav-query")).await;
    for _ in 0..2 {
        wait_for_editor(browser, "up").await;
        let second = element(browser, "section[aria-label='Query 2'] .cm-content").await;
        assert_eq!(second.text().await.expect("text"), "down + unfinished");
        browser.refresh().await.expect("load again");
    }
    // Another address is another thing.
    browser.goto(&format!("{url}/query?g0.expr=up&g1.expr=up")).await.expect("open the page");
    wait_for_editor(browser, "up").await;
    let second = element(browser, "section[aria-label='Query 2'] .cm-content").await;
    assert_eq!(second.text().await.expect("text"), "up");
}

/// An expression of 84,000 characters runs, leaves a short address and is there after a reload; nothing is thrown.
async fn long_expressions(browser: &Browser, url: &str) {
    browser.goto(&format!("{url}/query")).await.expect("open the page");
    element(browser, &format!("{} .cm-content", id("expr-editor"))).await;
    let listen =
        "window.thrown = []; addEventListener('error', (event) => window.thrown.push(event.message));";
    browser.execute(listen, vec![]).await.expect("listen");
    let put = "document.querySelector('.cm-content').focus();
        document.execCommand('selectAll');
        document.execCommand('insertText', false, 'up or '.repeat(13999) + 'up');";
    // What is typed while the editor is being set up is lost.
    for _ in 0..3 {
        browser.execute(put, vec![]).await.expect("type");
        if appears(browser, ".cm-lintRange-info", Duration::from_secs(15)).await {
            break;
        }
    }
    element(browser, ".cm-lintRange-info").await;
    assert!(browser.find(Locator::Css(".cm-lintRange-error")).await.is_err(), "the expression has no faults");
    click(browser, &id("run-query")).await;
    element(browser, &id("kept-tab")).await;
    element(browser, ".ek-message").await;
    let address = browser.current_url().await.expect("url");
    assert!(address.as_str().len() < 1000, "{address}");
    assert_eq!(browser.execute("return window.thrown", vec![]).await.expect("run"), json!([]));
    screenshot(browser, "long-expression").await;
    browser.refresh().await.expect("load again");
    element(browser, &id("kept-tab")).await;
    element(browser, ".cm-line").await;
    let shown =
        browser.execute("return document.querySelector('.cm-content').textContent.slice(0, 12)", vec![]);
    assert_eq!(shown.await.expect("run"), json!("up or up or "));
    // The link means nothing in another tab, and the page says so.
    browser.goto(&format!("{url}/query?g0.expr=&g0.expr_kept=0")).await.expect("open the page");
    element(browser, &id("kept-lost")).await;
}

/// No page scrolls sideways.
async fn narrow_windows(browser: &Browser, url: &str) {
    for width in [320_u32, 360] {
        for page in [
            "query?g0.expr=up&g0.tab=table&g0.moment_input=2026-01-02+03:04:05",
            "query?g0.expr=up&g0.tab=graph&g0.end_input=2026-01-02+03:04:05&g0.res_type=custom&g0.res_step=7",
            "query?g0.expr=up+%2B&g0.tab=graph",
            "alerts",
            "silences",
            "notifications",
            "rules",
            "lab",
            "timeline",
            "targets",
            "service-discovery",
            "status",
            "tsdb-status",
            "flags",
            "config",
            "nowhere",
        ] {
            // A window of its own cannot be that narrow; a frame can.
            let frame = "const done = arguments[2]; document.body.replaceChildren();
                const frame = document.body.appendChild(document.createElement('iframe'));
                frame.style = `border: 0; width: ${arguments[1]}px; height: 5000px`;
                frame.src = arguments[0];
                const started = Date.now();
                const look = () => {
                    const inside = frame.contentDocument;
                    const root = inside?.documentElement;
                    const busy = !inside?.querySelector('.mantine-Paper-root, h1 + *, .ek-page-title + *');
                    if (busy && Date.now() - started < 10000) return setTimeout(look, 50);
                    requestAnimationFrame(() => requestAnimationFrame(() =>
                        done([root.scrollWidth - root.clientWidth, busy])));
                };
                frame.onload = look;";
            browser.goto(&format!("{url}/nowhere")).await.expect("open a page");
            element(browser, "h1").await;
            let found =
                browser.execute_async(frame, vec![json!(format!("{url}/{page}")), json!(width)]).await;
            assert_eq!(found.expect("measure"), json!([0, false]), "{page} at {width}");
        }
    }
}

/// Parts of the page that could not be loaded come by themselves when the server is back; a file that is gone makes
/// the page load again, once.
async fn server_goes_away(browser: &Browser, relay: &Relay, below: &str) {
    let url = format!("{}{below}", relay.url);
    browser.goto(&format!("{url}/query?g0.expr=up")).await.expect("open the page");
    element(browser, &id("result-table")).await;
    relay.set(Mood::Away);
    click(browser, &id("nav-targets")).await;
    element(browser, ".mantine-Alert-root .ek-message").await;
    relay.set(Mood::Open);
    element(browser, &id("target-pool")).await;

    // What the server did not answer is asked again.
    click(browser, &id("nav-query")).await;
    element(browser, &id("result-table")).await;
    relay.set(Mood::Away);
    type_into_editor(browser, &format!(" + 1{}", char::from(Key::Enter))).await;
    element(browser, ".ek-panel .mantine-Alert-root").await;
    relay.set(Mood::Open);
    element(browser, &id("result-table")).await;

    // The page of the new build has the file under another name.
    let before = relay.documents();
    relay.set(Mood::LostUntilReload("FlagsPage"));
    click(browser, &id("nav-status")).await;
    click(browser, &id("nav-flags")).await;
    element(browser, ".ek-facts").await;
    assert_eq!(relay.documents(), before + 1, "loaded again");

    // This one stays away: the page says so and does not load itself again and again.
    relay.set(Mood::Lost("ConfigPage"));
    click(browser, &id("nav-status")).await;
    click(browser, &id("nav-config")).await;
    let message = element(browser, ".mantine-Alert-root .ek-message").await;
    assert!(message.text().await.expect("text").contains("no longer has this part"));
    assert_eq!(relay.documents(), before + 1, "not loaded again");
    screenshot(browser, "lost-part").await;
    relay.set(Mood::Open);
}

/// A target whose names need quotes.
fn odd_target() -> Service {
    let text = "# TYPE \"my.metric\" gauge\n{\"my.metric\",\"lines.of\"=\"a\\nb\\\"c\"} 7\n";
    let page = move |_: &str| Some(text.to_owned());
    Service::start("127.0.0.1:0".parse().expect("address"), Arc::new(page)).expect("listen")
}

/// A target with odd names, and servers that have scraped it, without and with a prefix.
fn scraped_servers(dir: &Path) -> (Service, Vec<(Server, &'static str)>) {
    let target = odd_target();
    let config = dir.join("prometheus.yml");
    let text = format!(
        "global: {{scrape_interval: 1s, evaluation_interval: 1s}}\nrule_files: [rules.yml]\nscrape_configs: [{{job_name: odd, static_configs: [{{targets: ['{}']}}]}}]",
        target.address
    );
    std::fs::write(&config, text).expect("write");
    std::fs::write(dir.join("rules.yml"), alerts::RULES).expect("write");
    let config = format!("--config.file={}", config.display());
    let client = Client::new();
    let prefixes = [("", "--web.route-prefix=/"), ("/p", "--web.route-prefix=/p")];
    let servers = prefixes.map(|(below, flag)| {
        let server = Server::start(&dir.join(format!("data{}", below.len())), &[&config, flag], &[]);
        wait_for("the target is scraped", || {
            let found = client.vector(&format!("{}{below}", server.url), "{\"my.metric\"}");
            (!found.is_empty()).then_some(())
        });
        (server, below)
    });
    (target, servers.into())
}

/// Walks on a server without a prefix and on one with it.
fn with_and_without_prefix(walk: &impl AsyncFn(&Browser, &str)) {
    in_a_browser(scraped_servers, async |browser, (_target, servers)| {
        for (server, below) in servers {
            walk(browser, &format!("{}{below}", server.url)).await;
        }
    });
}

#[test]
fn names_that_need_quotes_are_completed_and_inserted_with_them() {
    with_and_without_prefix(&names_in_quotes);
}

#[test]
fn what_is_typed_and_not_run_stays_in_this_tab() {
    with_and_without_prefix(&drafts_stay);
}

#[test]
fn a_long_expression_runs_and_leaves_a_short_address() {
    with_and_without_prefix(&long_expressions);
}

#[test]
fn no_page_scrolls_sideways_in_a_narrow_window() {
    with_and_without_prefix(&narrow_windows);
}

#[test]
fn what_could_not_be_loaded_comes_when_the_server_is_back() {
    in_a_browser(scraped_servers, async |browser, (_target, servers)| {
        for (server, below) in servers {
            server_goes_away(browser, &Relay::start(&server.url), below).await;
        }
    });
}

#[test]
fn a_person_finds_a_metric_draws_it_and_looks_at_the_targets() {
    let prepare = |dir: &Path| {
        let server = Server::start(&dir.join("data"), &[], &[]);
        let client = Client::new();
        // Two scrapes of itself: then there are lines to draw.
        wait_for("the server scrapes itself twice", || {
            let found = client.vector(&server.url, "count_over_time(up[1m])");
            found.first().filter(|(_, count)| *count >= 2.0).map(|_| ())
        });
        let flags = ["--web.external-url=/deep/down", "--web.page-title=North & South"];
        (server, Server::start(&dir.join("below"), &flags, &[]))
    };
    in_a_browser(prepare, async |browser, (server, below)| {
        walk_through(browser, &server.url).await;
        walk_below_a_prefix(browser, &below.url).await;
    });
}
