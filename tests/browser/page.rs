//! A browser for a test, and what the tests do with its page.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use fantoccini::elements::Element;
use fantoccini::{Client as Browser, ClientBuilder, Locator};
use serde_json::json;

use crate::support::server::PATIENCE;

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
        // It takes a free port of one family of addresses, then the same of the other: that one may be taken.
        (0..5).find_map(|_| Self::try_start(program)).expect("chromedriver starts")
    }

    /// None when it ended at once.
    fn try_start(program: &Path) -> Option<Self> {
        let child = Command::new(program)
            .arg("--port=0")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("start chromedriver");
        let mut new = Self { child, url: String::new() };
        let mut lines = BufReader::new(new.child.stdout.take().expect("piped")).lines().map_while(Result::ok);
        let line = lines.find(|l| l.contains("started successfully on port"))?;
        let port: String = line.chars().filter(char::is_ascii_digit).collect();
        new.url = format!("http://127.0.0.1:{port}");
        // The rest of its output has to go somewhere.
        std::thread::spawn(move || lines.for_each(drop));
        Some(new)
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

/// The selector of what carries a name for tests.
pub(crate) fn id(name: &str) -> String {
    format!("[data-testid={name}]")
}

/// Whether a selector finds something within `patience`.
pub(crate) async fn appears(browser: &Browser, css: &str, patience: Duration) -> bool {
    browser.wait().at_most(patience).for_element(Locator::Css(css)).await.is_ok()
}

/// What a selector finds, once it does.
pub(crate) async fn element(browser: &Browser, css: &str) -> Element {
    let found = browser.wait().at_most(PATIENCE).for_element(Locator::Css(css)).await;
    match found {
        Ok(element) => element,
        Err(error) => {
            screenshot(browser, "failure").await;
            panic!("{css}: {error}")
        }
    }
}

/// Clicks what a selector finds, once it does.
pub(crate) async fn click(browser: &Browser, css: &str) {
    element(browser, css).await.click().await.unwrap_or_else(|error| panic!("{css}: {error}"));
}

/// Leaves a picture of the page under `target/screenshots`.
pub(crate) async fn screenshot(browser: &Browser, name: &str) {
    // One more moment of the page's own clock, so that the chart has been painted.
    let painted =
        "const done = arguments[0]; requestAnimationFrame(() => requestAnimationFrame(() => done()));";
    let _ = browser.execute_async(painted, vec![]).await;
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("target").join("screenshots");
    std::fs::create_dir_all(&dir).expect("folder");
    let image = browser.screenshot().await.expect("screenshot");
    std::fs::write(dir.join(format!("{name}.png")), image).expect("write");
}

/// Starts what a walk needs, in a folder of its own, and runs it in a browser of its own.
#[expect(clippy::print_stdout, reason = "a test that is skipped says so")]
pub(crate) fn in_a_browser<T>(prepare: impl FnOnce(&Path) -> T, walk: impl AsyncFnOnce(&Browser, T)) {
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
    let prepared = prepare(dir.path());
    let driver = Driver::start(&chromedriver);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("runtime");
    runtime.block_on(async {
        let browser = open_browser(&driver, &chromium, &dir.path().join("profile")).await;
        walk(&browser, prepared).await;
        browser.close().await.expect("close the browser");
    });
}
