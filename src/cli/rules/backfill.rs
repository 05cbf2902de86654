//! `rules backfill`: recording rules over the past. What promtool does with `tsdb create-blocks-from rules`.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::elsewhere::Elsewhere;
use super::{Failure, output};
use crate::cli::features::features;
use crate::cli::tsdb::{open_existing, open_or_create};
use crate::config::UnknownKeys;
use crate::lanes::Turn;
use crate::model::parse_duration;
use crate::promql::{Engine, EngineOptions};
use crate::rules::backfill::{Failed, Job, Source, Stopped, Unanswered, backfill};
use crate::rules::lab::play::Lab;
use crate::rules::{External, load};
use crate::telemetry::log::{self, LevelFilter};

/// How far before now the end is where it is not said: what is newer, the server may still be writing.
const END_BEFORE_NOW_MS: i64 = 3 * 3_600_000;

/// Windows that are named for one rule at most.
const MAX_WINDOWS_SHOWN: usize = 20;

#[derive(Debug, Args)]
pub(in crate::cli) struct BackfillArgs {
    /// Files of rules. Alerting rules in them are left out.
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// First time to evaluate, RFC 3339 or seconds since the epoch.
    #[arg(long)]
    start: String,
    /// Last time to evaluate; three hours ago if absent.
    #[arg(long)]
    end: Option<String>,
    /// Server to evaluate the rules on, over its query API. If absent, they are evaluated on the data directory itself.
    #[arg(long)]
    url: Option<String>,
    /// Data directory to write to, on which no server is running; with a URL made if absent.
    #[arg(long, default_value = crate::cli::serve::DEFAULT_DATA_DIR)]
    output_dir: PathBuf,
    /// Interval of groups that name none.
    #[arg(long, default_value = "60s", value_parser = parse_duration)]
    eval_interval: Duration,
    /// Maximum lookback for the newest sample of a series in instant selectors.
    #[arg(long = "query.lookback-delta", value_name = "DURATION", default_value = "5m",
          value_parser = parse_duration, conflicts_with = "url")]
    lookback: Duration,
    /// How far back groups look that have no query_offset, as global.rule_query_offset has it.
    #[arg(long, value_name = "DURATION", default_value = "0s", value_parser = parse_duration)]
    rule_query_offset: Duration,
    /// Comma-separated features that rules may use: promql-experimental-functions, promql-binop-fill-modifiers,
    /// promql-extended-range-selectors.
    #[arg(long = "enable-feature", value_name = "FEATURES", value_delimiter = ',')]
    features: Vec<String>,
}

/// A time on the command line, in milliseconds.
fn time(name: &str, text: &str) -> Result<i64, Failure> {
    if let Ok(seconds) = text.parse::<f64>()
        && seconds.is_finite()
        && seconds.abs() < 1e12
    {
        #[expect(clippy::cast_possible_truncation, reason = "the line above bounds it")]
        return Ok((seconds * 1000.0).round() as i64);
    }
    let time = text.parse::<jiff::Timestamp>();
    let time =
        time.map_err(|_| format!("--{name}: {text:?} is neither RFC 3339 nor seconds since the epoch"))?;
    Ok(time.as_millisecond())
}

pub(super) fn run(args: &BackfillArgs) -> Result<(), Failure> {
    log::init(LevelFilter::ERROR, log::Format::Logfmt);
    let start = time("start", &args.start)?;
    let end = match &args.end {
        Some(text) => time("end", text)?,
        None => jiff::Timestamp::now().as_millisecond() - END_BEFORE_NOW_MS,
    };
    if end < start {
        return Err("the end is before the start".into());
    }
    if args.lookback.is_zero() {
        return Err("--query.lookback-delta must be longer than nothing".into());
    }
    if args.eval_interval.is_zero() {
        return Err("--eval-interval must be longer than nothing".into());
    }
    let features = features(&args.features);
    let files: BTreeSet<&PathBuf> = args.files.iter().collect();
    let mut groups = load::load_files(files, UnknownKeys::Refused, args.eval_interval, &features)?;
    for group in &mut groups {
        group.query_offset.get_or_insert(args.rule_query_offset);
    }
    let rules = groups.iter().flat_map(|group| &group.rules);
    let (alerting, recording): (Vec<_>, Vec<_>) = rules.partition(|rule| rule.alerting.is_some());
    if !alerting.is_empty() {
        output::note(&format!("{} alerting rules are left out", alerting.len()));
    }
    if recording.is_empty() {
        return Err("there are no recording rules in these files".into());
    }
    let db =
        if args.url.is_some() { open_or_create(&args.output_dir)? } else { open_existing(&args.output_dir)? };
    let step_ms = i64::try_from(args.eval_interval.as_millis()).unwrap_or(i64::MAX);
    let engine = Engine::new(EngineOptions {
        default_step_ms: step_ms,
        lookback_ms: i64::try_from(args.lookback.as_millis()).unwrap_or(i64::MAX),
        features,
        timeout: Duration::MAX,
        ..EngineOptions::default()
    });
    let (external, turn) = (External::default(), Turn::default());
    let mut remote = args.url.as_deref().map(Elsewhere::new).transpose()?;
    let mut ask = |evaluation: crate::rules::backfill::Evaluation<'_>| match &mut remote {
        Some(remote) => remote.ask(evaluation),
        None => Err(Unanswered::Failed("there is no server to ask".to_owned())),
    };
    let mut source = if args.url.is_some() {
        Source::Elsewhere(&mut ask)
    } else {
        Source::Database(Lab { engine: &engine, source: &db, external: &external, turn: &turn })
    };
    let job = Job { groups: &groups, start, end };
    let hours = |ms: i64| u64::try_from(ms / 3_600_000).unwrap_or(0);
    let bar = output::progress(hours(end - start).max(1), "hours");
    let report = backfill(&job, &mut source, &db, |done, _| bar.set_position(hours(done - start)))?;
    bar.finish_and_clear();
    db.close()?;
    output::line(&format!("wrote {} samples in {} blocks", report.samples, report.blocks));
    report.failed.iter().for_each(|failed| output::error(&shown(failed)));
    if let Some(Stopped { from, reason }) = report.stopped {
        let from = output::time(from);
        Err(format!(
            "the server is not reached any more, the rest was left out; go on with --start {from}: {reason}"
        )
        .into())
    } else if report.failed.is_empty() {
        Ok(())
    } else {
        Err(format!("{} rules failed", report.failed.len()).into())
    }
}

/// What is said of a rule that failed, with the times to begin and end with to do only that again.
fn shown(failed: &Failed) -> String {
    let Failed { group, rule, evaluations, windows, reason } = failed;
    let time = output::time;
    let shown = windows.iter().take(MAX_WINDOWS_SHOWN);
    let mut times: Vec<String> =
        shown.map(|window| format!("{} to {}", time(window.start), time(window.end))).collect();
    if windows.len() > MAX_WINDOWS_SHOWN {
        times.push(format!("{} more", windows.len() - MAX_WINDOWS_SHOWN));
    }
    let times = times.join(", ");
    format!("group {group:?}, rule {rule:?}: {evaluations} evaluations failed in {times}: {reason}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_server_would_say_can_be_said() {
        use clap::Parser;
        #[derive(Parser)]
        struct Line {
            #[command(flatten)]
            args: BackfillArgs,
        }
        let line = "backfill --start 0 --query.lookback-delta 1m --rule-query-offset 30s f";
        let args = Line::try_parse_from(line.split(' ')).expect("valid").args;
        assert_eq!(
            (args.lookback, args.rule_query_offset),
            (Duration::from_secs(60), Duration::from_secs(30))
        );
        assert!(
            Line::try_parse_from(format!("{line} --url h").split(' ')).is_err(),
            "the other server knows"
        );
    }

    #[test]
    fn a_rule_that_failed_says_when() {
        use crate::model::TimeRange;
        let failed = |windows| Failed {
            group: "g".to_owned(),
            rule: "r".to_owned(),
            evaluations: 60,
            windows,
            reason: "refused".to_owned(),
        };
        let hour = TimeRange::new(0, 3_599_999);
        assert_eq!(
            shown(&failed(vec![hour])),
            "group \"g\", rule \"r\": 60 evaluations failed in 1970-01-01T00:00:00Z to 1970-01-01T00:59:59.999Z: refused"
        );
        assert!(shown(&failed(vec![hour; 23])).contains(", 3 more: refused"));
    }

    #[test]
    fn times_are_read() {
        assert_eq!(time("start", "1700000000").ok(), Some(1_700_000_000_000));
        assert_eq!(time("start", "1700000000.5").ok(), Some(1_700_000_000_500));
        assert_eq!(time("start", "1970-01-01T00:01:00Z").ok(), Some(60_000));
        assert!(time("start", "yesterday").is_err() && time("start", "NaN").is_err());
    }
}
