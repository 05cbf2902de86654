//! The page of discovery: how mechanisms fare, targets before and after relabelling, and its steps.

use std::path::Path;

use fantoccini::Client as Browser;

use crate::alerts::wait_for_count;
use crate::page::{click, element, id, in_a_browser, screenshot};
use crate::support::server::Server;

const CONFIG: &str = "scrape_configs:
- job_name: files
  file_sd_configs: [{files: [t.yml]}, {files: [broken.json]}]
  relabel_configs:
  - {source_labels: [env], target_label: stage}
  - {source_labels: [__address__], regex: 'b:.*', action: drop}
  - {target_label: never, replacement: reached}
- job_name: fixed
  static_configs: [{targets: ['127.0.0.1:1']}]
";

async fn look_around(browser: &Browser, url: &str) {
    browser.goto(&format!("{url}/targets")).await.expect("open the page");
    click(browser, &id("nav-status")).await;
    click(browser, &id("nav-service-discovery")).await;
    wait_for_count(browser, &id("discovery-job"), 2).await;
    wait_for_count(browser, &format!("{}[data-health=up]", id("mechanism")), 1).await;
    wait_for_count(browser, &format!("{}[data-health=down]", id("mechanism")), 1).await;
    wait_for_count(browser, &format!("{}[data-dropped=false]", id("discovered-row")), 2).await;
    let dropped = format!("{}[data-dropped=true]", id("discovered-row"));
    wait_for_count(browser, &dropped, 1).await;
    let text = element(browser, &dropped).await.text().await.expect("text");
    assert!(text.contains("b:1") && text.contains("dropped"), "{text}");
    click(browser, &format!("{dropped} button")).await;
    let steps = element(browser, &id("relabel-steps")).await.text().await.expect("text");
    assert!(steps.contains("stage") && steps.contains("dropped") && steps.contains("skipped"), "{steps}");
    screenshot(browser, "service-discovery").await;
    browser.goto(&format!("{url}/service-discovery?pool=files&search=a:1")).await.expect("open the page");
    wait_for_count(browser, &id("discovered-row"), 1).await;
}

#[test]
fn what_is_discovered_is_shown_with_its_steps() {
    let prepare = |dir: &Path| {
        let write = |name: &str, text: &str| std::fs::write(dir.join(name), text).expect("write");
        write("t.yml", "- targets: ['a:1', 'b:1']\n  labels: {env: x}\n");
        write("broken.json", "[");
        write("f.yml", CONFIG);
        let file = format!("--config.file={}", dir.join("f.yml").display());
        Server::start(&dir.join("data"), &[&file], &[])
    };
    in_a_browser(prepare, async |browser, server| look_around(browser, &server.url).await);
}
