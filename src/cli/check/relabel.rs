//! `check relabel`: what each rule of a job makes of the labels of a target or of a sample.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::Args;

use crate::cli::{Failure, output};
use crate::config::{self, LoadOptions};
use crate::model::{Labels, LabelsBuf};
use crate::relabel::{Rule, apply_steps};
use crate::scrape::set_defaults;

#[derive(Debug, Args)]
pub(in crate::cli) struct RelabelArgs {
    /// The configuration file.
    #[arg(long = "config.file", default_value = "prometheus.yml")]
    config_file: PathBuf,
    /// Replace ${NAME} in the file from the environment.
    #[arg(long = "config.expand-env")]
    expand_env: bool,
    /// The job whose rules are applied.
    #[arg(long)]
    job: String,
    /// Apply `metric_relabel_configs` to the labels of a sample, instead of `relabel_configs` to those of a target.
    #[arg(long)]
    metric: bool,
    /// Labels, such as `__address__=host:9100`; those that every target of the job has are added.
    #[arg(required = true, value_parser = label)]
    labels: Vec<(String, String)>,
}

fn label(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("write name=value".to_owned()),
    }
}

pub(super) fn run(args: &RelabelArgs) -> Result<(), Failure> {
    let config = config::load(
        &args.config_file,
        &LoadOptions { expand_env: args.expand_env, ..LoadOptions::default() },
    )?;
    let Some(job) = config.job(&args.job) else {
        let known: Vec<&str> = config.scrape_configs.iter().map(|job| job.job_name.as_str()).collect();
        return Err(format!(
            "{} has no job {:?}, {}",
            args.config_file.display(),
            args.job,
            told_jobs(&known)
        )
        .into());
    };
    let mut labels = LabelsBuf::new();
    args.labels.iter().for_each(|(name, value)| labels.set(name, value));
    let rules = if args.metric {
        &job.metric_relabel_configs
    } else {
        set_defaults(job, &mut labels);
        &job.relabel_configs
    };
    trace(rules, labels).iter().for_each(|line| output::line(line));
    Ok(())
}

/// The jobs that there are: the first of them where they are many.
fn told_jobs(known: &[&str]) -> String {
    const SHOWN: usize = 20;
    match known {
        [] => "nor any other".to_owned(),
        known if known.len() <= SHOWN => format!("but {}", known.join(", ")),
        known => format!("but {} and {} more", known[..SHOWN].join(", "), known.len() - SHOWN),
    }
}

/// What happens, line by line.
fn trace(rules: &[Rule], mut labels: LabelsBuf) -> Vec<String> {
    let mut before = labels.to_labels();
    let mut lines = vec![format!("labels: {before}")];
    let steps = apply_steps(rules, &mut labels);
    for (number, (rule, after)) in rules.iter().zip(steps).enumerate() {
        let told = told(rule);
        let Some(after) = after else {
            lines.push(format!("{}. {told}: dropped", number + 1));
            return lines;
        };
        let changes = changes(&before, &after);
        lines.push(format!("{}. {told}{}", number + 1, if changes.is_empty() { ": unchanged" } else { "" }));
        lines.extend(changes);
        before = after;
    }
    lines.push(format!("result: {before}"));
    lines
}

/// A rule on one line, without what says nothing.
fn told(rule: &Rule) -> String {
    let spec = rule.spec();
    let mut out = spec.action.name().to_owned();
    if !spec.source_labels.is_empty() {
        out.extend([" [", &spec.source_labels.join(", "), "]"]);
    }
    for (name, value, default) in [
        ("separator", &spec.separator, ";"),
        ("regex", &spec.regex, "(.*)"),
        ("replacement", &spec.replacement, "$1"),
    ] {
        if value != default {
            out.extend([" ", name, " ", &format!("{value:?}")]);
        }
    }
    if spec.modulus > 0 {
        out.extend([" modulus ", &spec.modulus.to_string()]);
    }
    if !spec.target_label.is_empty() {
        out.extend([" -> ", &spec.target_label]);
    }
    out
}

fn changes(before: &Labels, after: &Labels) -> Vec<String> {
    let both: BTreeMap<&str, (Option<&str>, Option<&str>)> = before
        .iter()
        .chain(after.iter())
        .map(|(name, _)| (name, (before.get(name), after.get(name))))
        .collect();
    let change = |(name, values): (&str, (Option<&str>, Option<&str>))| match values {
        (Some(old), Some(new)) if old == new => None,
        (Some(old), Some(new)) => Some(format!("   {name}: {old:?} becomes {new:?}")),
        (Some(old), None) => Some(format!("   {name}: {old:?} is removed")),
        (None, new) => Some(format!("   {name}: {:?} is added", new.unwrap_or_default())),
    };
    both.into_iter().filter_map(change).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::parse;

    #[test]
    fn jobs_are_told_in_one_line() {
        assert_eq!(told_jobs(&[]), "nor any other");
        assert_eq!(told_jobs(&["a", "b"]), "but a, b");
        assert!(told_jobs(&["a"; 30]).ends_with("a and 10 more"));
    }

    #[test]
    fn each_step_is_told_until_the_labels_are_dropped() {
        let text = "scrape_configs:
- job_name: a
  relabel_configs:
  - {source_labels: [__meta_x, job], separator: '-', regex: '(.+)-a', target_label: x}
  - {action: labeldrop, regex: __meta_.*}
  - {source_labels: [x], regex: 2, action: drop}
  - {target_label: never, replacement: y}
";
        let config = parse(text, "f", &LoadOptions::default()).expect("valid");
        let rules = &config.scrape_configs[0].relabel_configs;
        let labels = |x: &str| {
            let mut labels = LabelsBuf::new();
            labels.set("__meta_x", x);
            labels.set("job", "a");
            labels
        };
        assert_eq!(
            trace(rules, labels("1")),
            [
                r#"labels: {__meta_x="1", job="a"}"#,
                r#"1. replace [__meta_x, job] separator "-" regex "(.+)-a" -> x"#,
                r#"   x: "1" is added"#,
                r#"2. labeldrop regex "__meta_.*""#,
                r#"   __meta_x: "1" is removed"#,
                r#"3. drop [x] regex "2": unchanged"#,
                r#"4. replace replacement "y" -> never"#,
                r#"   never: "y" is added"#,
                r#"result: {job="a", never="y", x="1"}"#,
            ]
        );
        assert_eq!(
            trace(rules, labels("2")).last().map(String::as_str),
            Some(r#"3. drop [x] regex "2": dropped"#)
        );
    }
}
