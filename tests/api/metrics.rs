//! The metrics of the server itself against the page that lists them.

use std::collections::BTreeSet;

use crate::support::server::wait_for;
use crate::{get, start};

const PAGE: &str = include_str!("../../docs/operations/metrics.md");

#[test]
fn the_page_names_every_metric_with_its_type_and_no_other() {
    let dir = tempfile::tempdir().expect("dir");
    let file = dir.path().join("f.yml");
    let config = "scrape_configs: [{job_name: a, scrape_interval: 1s, static_configs: [{targets: ['127.0.0.1:1']}]}]\n\
                  alerting: {alertmanagers: [{static_configs: [{targets: ['127.0.0.1:1']}]}]}\n";
    std::fs::write(&file, format!("{config}rule_files: [rules.yml]\n")).expect("write");
    let rules = "groups: [{name: g, interval: 100ms, rules: [{alert: A, expr: vector(1)}]}]";
    std::fs::write(file.with_file_name("rules.yml"), rules).expect("write");
    let server = start(&dir, &[&format!("--config.file={}", file.display())]);
    // A family of metrics with labels is there once one of them is.
    assert_eq!(get(&server, "/api/v1/query?query=1").status, 200);
    let text = wait_for("a second scrape and evaluation", || {
        let text = get(&server, "/metrics").text();
        let families = ["target_interval_length_seconds", "rule_group_last_restore_duration_seconds"];
        families.iter().all(|name| text.contains(&format!("# TYPE prometheus_{name}"))).then_some(text)
    });
    let exposed: BTreeSet<String> = text
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '))
        .map(|(name, kind)| format!("{name} {kind}"))
        .collect();
    let listed: BTreeSet<String> = PAGE
        .lines()
        .filter_map(|line| {
            let mut cells = line.strip_prefix("| `")?.split('|').map(str::trim);
            Some(format!("{} {}", cells.next()?.trim_end_matches('`'), cells.next()?))
        })
        .collect();
    assert!(exposed.len() > 50, "{text}");
    assert_eq!(exposed.difference(&listed).collect::<Vec<_>>(), Vec::<&String>::new(), "not on the page");
    assert_eq!(listed.difference(&exposed).collect::<Vec<_>>(), Vec::<&String>::new(), "no longer there");
}
