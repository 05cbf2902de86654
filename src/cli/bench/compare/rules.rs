//! The rules that servers evaluate: many small groups over the metrics of a fleet, half of them recording, half alerting.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use super::super::Failure;
use crate::workload::Fleet;

/// Rules of one group.
const GROUP_SIZE: u32 = 20;
/// Metrics with more series of each host than this are left out: rules over them are a matter of queries.
const MOST_SERIES_OF_A_HOST: usize = 2;
/// Name of the rule file, beside the configuration.
const FILE: &str = "rules.yml";
/// Counts the slots that a server left out.
pub(super) const MISSED: &str = "prometheus_rule_group_iterations_missed_total";
/// Counts the rules that a server evaluated.
pub(super) const EVALUATED: &str = "prometheus_rule_evaluations_total";
/// Seconds between two evaluations of a group.
pub(super) const INTERVAL_SECONDS: u64 = 15;

/// Writes `rules` rules into `dir` and completes `config`, which has no `rule_files` yet.
///
/// # Errors
/// When the fleet has no such metric, or the file cannot be written.
pub(super) fn write(dir: &Path, config: &str, fleet: &Fleet, rules: u32) -> Result<String, Failure> {
    let mut names: BTreeMap<&str, usize> = BTreeMap::new();
    for series in fleet.series() {
        *names.entry(series.labels.metric_name()).or_default() += 1;
    }
    names.retain(|_, count| *count <= MOST_SERIES_OF_A_HOST);
    let (counters, gauges): (Vec<&str>, Vec<&str>) =
        names.into_keys().partition(|name| name.ends_with("_total"));
    if counters.is_empty() || gauges.is_empty() {
        return Err("the recording has no metrics for rules".into());
    }
    std::fs::create_dir_all(dir)?;
    std::fs::write(dir.join(FILE), text(&counters, &gauges, rules))?;
    Ok(format!("rule_files: [{FILE}]\n{config}"))
}

/// The rule file.
fn text(counters: &[&str], gauges: &[&str], rules: u32) -> String {
    let of = |names: &[&str], number: u32| names[number as usize % names.len()].to_owned();
    let mut out = "groups:\n".to_owned();
    for number in 0..rules {
        let (group, place) = (number / GROUP_SIZE, number % GROUP_SIZE);
        if place == 0 {
            let _ = writeln!(out, "- name: group-{group}\n  interval: 15s\n  rules:");
        }
        // Each pair of rules looks at metrics of its own.
        let (counter, gauge) = (of(counters, number / 2), of(gauges, number / 2));
        let expr = match number / 2 % 5 {
            0 => format!("sum by (job) (rate({counter}[2m]))"),
            1 => format!("max by (job) ({gauge})"),
            2 => format!("avg by (instance) ({gauge})"),
            3 => format!("sum({counter}) / count({counter})"),
            _ => format!("rate({counter}[2m])"),
        };
        // No value is so large but infinity: nearly all alerts are only looked for.
        let _ = if number % 2 == 0 {
            writeln!(out, "  - {{record: 'bench:{group}:{place}', expr: '{expr}'}}")
        } else {
            writeln!(
                out,
                "  - {{alert: Bench{number}, expr: '{expr} > 1e300', for: 1m, labels: {{severity: page}}, \
                 annotations: {{summary: '{{{{ $labels.instance }}}} is at {{{{ $value }}}}'}}}}"
            )
        };
    }
    out
}

/// The sum of a counter over all groups, out of a server's own metrics.
pub(super) fn sum(metrics: &str, counter: &str) -> f64 {
    let of_counter =
        |line: &&str| line.strip_prefix(counter).is_some_and(|rest| rest.starts_with(['{', ' ']));
    let values =
        metrics.lines().filter(of_counter).filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok());
    values.sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rules_load_and_every_metric_of_a_server_is_summed() {
        let text = text(&["a_total", "b_total"], &["c"], 45);
        let groups = crate::config::parse_rule_file(&text, "rules.yml").expect("rules").groups;
        let sizes: Vec<usize> = groups.iter().map(|group| group.rules.len()).collect();
        assert_eq!(sizes, [20, 20, 5]);
        let metrics = "# HELP a_total x\na_total{g=\"1 2\"} 3\na_total{g=\"b\"} 4e0\na_total_more 9\n";
        assert_eq!(sum(metrics, "a_total"), 7.0);
    }
}
