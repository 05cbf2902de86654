//! `tsdb delete`: take samples of series away.

use std::path::PathBuf;

use clap::Args;

use super::{Failure, Selector, look_at, open, output, selector, time};
use crate::model::TimeRange;
use crate::tsdb::Beside;

#[derive(Debug, Args)]
pub(in crate::cli) struct DeleteArgs {
    /// Series to delete from, as `{job="node"}`; may be given several times.
    #[arg(long = "match", value_name = "SELECTOR", value_parser = selector, required = true)]
    selectors: Vec<Selector>,
    /// First time, inside: RFC 3339, or milliseconds since the epoch. The beginning if absent.
    #[arg(long, value_name = "TIME", value_parser = time, allow_hyphen_values = true)]
    start: Option<i64>,
    /// Last time, inside. The end if absent.
    #[arg(long, value_name = "TIME", value_parser = time, allow_hyphen_values = true)]
    end: Option<i64>,
    /// Only count what would be deleted.
    #[arg(long)]
    dry_run: bool,
    /// The data directory.
    path: PathBuf,
}

pub(super) fn run(args: &DeleteArgs) -> Result<(), Failure> {
    let selectors: Vec<_> = args.selectors.iter().map(|selector| selector.0.clone()).collect();
    if selectors.iter().any(|matchers| matchers.iter().all(crate::model::Matcher::matches_empty)) {
        return Err("a selector must have a matcher that does not match everything".into());
    }
    let range = TimeRange::new(args.start.unwrap_or(i64::MIN), args.end.unwrap_or(i64::MAX));
    let db = if args.dry_run { look_at(&args.path, Beside::Server)? } else { open(&args.path)? };
    let affected = db.count_deletion(&selectors, range)?;
    let what = format!("{} samples of {} series", affected.samples, affected.series);
    if args.dry_run {
        output::line(&format!("would delete {what}"));
        return Ok(db.close()?);
    }
    db.delete(&selectors, range)?;
    let rewritten = db.clean_tombstones()?;
    output::line(&format!("deleted {what}, wrote {rewritten} blocks again without them"));
    Ok(db.close()?)
}
