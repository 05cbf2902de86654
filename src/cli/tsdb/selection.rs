//! The samples that a command is about.

use clap::Args;

use crate::model::{Matcher, TimeRange};

/// Which samples a command is about.
#[derive(Debug, Args)]
pub(super) struct Selection {
    /// First time, inside: RFC 3339, or milliseconds since the epoch. The beginning if absent.
    #[arg(long, value_name = "TIME", value_parser = time, allow_hyphen_values = true)]
    pub(super) min_time: Option<i64>,
    /// Last time, inside. The end if absent.
    #[arg(long, value_name = "TIME", value_parser = time, allow_hyphen_values = true)]
    pub(super) max_time: Option<i64>,
    /// Only series that match, as `{job="node"}`; may be given several times. All series if absent.
    #[arg(long = "match", value_name = "SELECTOR", value_parser = selector)]
    pub(super) selectors: Vec<Selector>,
}

/// A selector as it was given; an own type, since a list has another meaning for the command line.
#[derive(Debug, Clone)]
pub(super) struct Selector(pub(super) Vec<Matcher>);

impl Selection {
    pub(super) fn range(&self) -> TimeRange {
        TimeRange::new(self.min_time.unwrap_or(i64::MIN), self.max_time.unwrap_or(i64::MAX))
    }

    pub(super) fn selectors(&self) -> Vec<Vec<Matcher>> {
        self.selectors.iter().map(|selector| selector.0.clone()).collect()
    }
}

pub(super) fn time(text: &str) -> Result<i64, String> {
    if let Ok(ms) = text.parse() {
        return Ok(ms);
    }
    let time: jiff::Timestamp = text.parse().map_err(|error| {
        format!("neither milliseconds since the epoch nor a time as 2026-01-31T12:00:00Z: {error}")
    })?;
    Ok(time.as_millisecond())
}

pub(super) fn selector(text: &str) -> Result<Selector, String> {
    let matchers = crate::promql::parse_selector(text).map_err(|error| error.to_string())?;
    // Leaving it out means all series; writing it by mistake must not.
    if matchers.iter().all(Matcher::matches_empty) {
        return Err("a selector must contain at least one non-empty matcher".to_owned());
    }
    Ok(Selector(matchers))
}
