//! The page in a real headless Chromium: completion, graph, stacked graph, targets. Leaves screenshots under
//! `target/screenshots`.
//!
//! Without chromium and chromedriver the test says so and passes, unless `EMBERKEEP_REQUIRE_ALL` is set.

#[path = "../support/mod.rs"]
mod support;

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use fantoccini::elements::Element;
use fantoccini::key::Key;
use fantoccini::{Client as Browser, ClientBuilder, Locator};
use serde_json::json;
use support::server::{Client, PATIENCE, Server, wait_for};

fn find(names: &[&str]) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).flat_map(|dir| names.iter().map(move |n| dir.join(n))).find(|p| p.is_file())
}

/// A chromedriver on a free port. Dropping it ends it and its browsers.
struct Driver {
    child: Child,
    url: String,
}

impl Driver {
    fn start(program: &Path) -> Self {
        let mut child = Command::new(program)
            .arg("--port=0")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("start chromedriver");
        let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines().map_while(Result::ok);
        let line = lines.find(|l| l.contains("started successfully on port")).expect("chromedriver starts");
        let port: String = line.chars().filter(char::is_ascii_digit).collect();
        // The rest of its output has to go somewhere.
        std::thread::spawn(move || lines.for_each(drop));
        Self { child, url: format!("http://127.0.0.1:{port}") }
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

async fn open_browser(driver: &Driver, chromium: &Path, profile: &Path) -> Browser {
    let capabilities = json!({
        "goog:chromeOptions": {
            "binary": chromium,
            "args": [
                "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
                "--disable-background-networking", "--disable-component-update", "--disable-sync",
                "--disable-dev-shm-usage", "--window-size=1440,1000",
                format!("--user-data-dir={}", profile.display()),
            ],
        },
    });
    let capabilities = capabilities.as_object().expect("an object").clone();
    let mut builder = ClientBuilder::new(hyper_util::client::legacy::connect::HttpConnector::new());
    builder.capabilities(capabilities).connect(&driver.url).await.expect("open a browser")
}

fn id(name: &str) -> String {
    format!("[data-testid={name}]")
}

async fn element(browser: &Browser, css: &str) -> Element {
    let found = browser.wait().at_most(PATIENCE).for_element(Locator::Css(css)).await;
    match found {
        Ok(element) => element,
        Err(error) => {
            screenshot(browser, "failure").await;
            panic!("{css}: {error}")
        }
    }
}

async fn click(browser: &Browser, css: &str) {
    element(browser, css).await.click().await.unwrap_or_else(|error| panic!("{css}: {error}"));
}

async fn screenshot(browser: &Browser, name: &str) {
    // One more moment of the page's own clock, so that the chart has been painted.
    let painted =
        "const done = arguments[0]; requestAnimationFrame(() => requestAnimationFrame(() => done()));";
    let _ = browser.execute_async(painted, vec![]).await;
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("target").join("screenshots");
    std::fs::create_dir_all(&dir).expect("folder");
    let image = browser.screenshot().await.expect("screenshot");
    std::fs::write(dir.join(format!("{name}.png")), image).expect("write");
}

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

#[test]
fn a_person_finds_a_metric_draws_it_and_looks_at_the_targets() {
    let programs = (find(&["chromedriver"]), find(&["chromium", "chromium-browser", "google-chrome"]));
    let (Some(chromedriver), Some(chromium)) = programs else {
        assert!(
            std::env::var_os("EMBERKEEP_REQUIRE_ALL").is_none(),
            "chromium and chromedriver are required"
        );
        println!("skipped: no chromium and chromedriver on this machine");
        return;
    };
    let dir = tempfile::tempdir().expect("dir");
    let server = Server::start(&dir.path().join("data"), &[], &[]);
    let client = Client::new();
    // Two scrapes of itself: then there are lines to draw.
    wait_for("the server scrapes itself twice", || {
        let found = client.vector(&server.url, "count_over_time(up[1m])");
        found.first().filter(|(_, count)| *count >= 2.0).map(|_| ())
    });
    let driver = Driver::start(&chromedriver);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("runtime");
    runtime.block_on(async {
        let browser = open_browser(&driver, &chromium, &dir.path().join("profile")).await;
        walk_through(&browser, &server.url).await;
        let flags = ["--web.external-url=/deep/down", "--web.page-title=North & South"];
        let below = Server::start(&dir.path().join("below"), &flags, &[]);
        walk_below_a_prefix(&browser, &below.url).await;
        browser.close().await.expect("close the browser");
    });
}
