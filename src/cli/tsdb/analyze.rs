//! `tsdb analyze`: what the series are made of, and what takes the room.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;

use clap::Args;

use super::{Failure, look_at, output};
use crate::model::{Labels, TimeRange};
use crate::storage::{Need, Queryable as _, SelectRequest};
use crate::tsdb::Beside;

#[derive(Debug, Args)]
pub(in crate::cli) struct AnalyzeArgs {
    /// Lines of each list.
    #[arg(long, default_value_t = 20)]
    limit: usize,
    /// The data directory.
    #[arg(default_value = crate::cli::serve::DEFAULT_DATA_DIR)]
    path: PathBuf,
}

pub(super) fn run(args: &AnalyzeArgs) -> Result<(), Failure> {
    let db = look_at(&args.path, Beside::Server)?;
    let series_in = |range: TimeRange| -> Result<Vec<Labels>, Failure> {
        let set = db
            .querier(range)?
            .select(&SelectRequest { need: Need::Labels, ..SelectRequest::new(&[], range) })?;
        Ok((0..set.len()).map(|index| set.labels(index)).collect())
    };
    blocks(&db, series_in)?;
    let all = series_in(TimeRange::ALL)?;
    let mut values: HashMap<&str, HashSet<&str>> = HashMap::new();
    let mut pairs: HashMap<(&str, &str), usize> = HashMap::new();
    let mut names: HashMap<&str, usize> = HashMap::new();
    for labels in &all {
        for (name, value) in labels {
            values.entry(name).or_default().insert(value);
            *pairs.entry((name, value)).or_default() += 1;
        }
        *names.entry(labels.metric_name()).or_default() += 1;
    }
    output::line(&format!(
        "\n{} series, {} metric names, {} label names, {} label pairs",
        all.len(),
        names.len(),
        values.len(),
        pairs.len()
    ));
    let values = values.into_iter().map(|(name, values)| (values.len(), name.to_owned()));
    list("label names with the most values", "values", values, args.limit);
    let names = names.into_iter().map(|(name, count)| (count, name.to_owned()));
    list("metric names with the most series", "series", names, args.limit);
    let pairs = pairs.into_iter().filter(|((name, _), _)| *name != crate::model::METRIC_NAME);
    let pairs = pairs.map(|((name, value), count)| (count, format!("{name}={value}")));
    list("label pairs with the most series", "series", pairs, args.limit);
    Ok(db.close()?)
}

/// A line for each block: what it holds, what it takes, how many of its series the time before did not have.
fn blocks(
    db: &crate::tsdb::Tsdb,
    series_in: impl Fn(TimeRange) -> Result<Vec<Labels>, Failure>,
) -> Result<(), Failure> {
    let head = ["block", "start", "end", "series", "new series", "samples", "bytes", "bytes/sample"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    let mut before: HashSet<Labels> = HashSet::new();
    for block in &db.status().blocks {
        let series: HashSet<Labels> = series_in(block.range())?.into_iter().collect();
        let fresh = series.iter().filter(|labels| !before.contains(*labels)).count();
        let bytes = db.block_size_bytes(&block.id);
        rows.push(vec![
            block.id.to_string(),
            output::time(block.start),
            output::time(block.end),
            block.series.to_string(),
            fresh.to_string(),
            block.samples.to_string(),
            bytes.to_string(),
            format!("{:.2}", bytes as f64 / block.samples.max(1) as f64),
        ]);
        before = series;
    }
    output::table(&rows);
    Ok(())
}

/// The largest of `counted`, largest first.
fn list(title: &str, unit: &str, counted: impl Iterator<Item = (usize, String)>, limit: usize) {
    let mut counted: Vec<(usize, String)> = counted.collect();
    counted.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
    output::line(&format!("\n{title}:"));
    let mut rows = vec![vec![unit.to_owned(), String::new()]];
    rows.extend(counted.into_iter().take(limit).map(|(count, text)| vec![count.to_string(), text]));
    output::table(&rows);
}
