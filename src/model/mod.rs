//! The nouns everybody shares: labels, matchers, samples, durations. No I/O here.
//!
//! Read `labels`, then `matcher`, then `sample`.

pub mod bounds;
pub mod duration;
pub mod exemplar;
pub mod histogram;
pub mod labels;
pub mod labels_buf;
pub mod matcher;
pub mod matcher_list;
pub mod metadata;
pub mod name;
pub mod number;
pub mod regex;
pub mod sample;
pub mod stale;

pub use duration::{DurationError, format_duration, parse_duration};
pub use exemplar::{Exemplar, MAX_EXEMPLAR_CHARACTERS, sort_exemplars};
pub use histogram::Histogram;
pub use labels::Labels;
pub use labels_buf::LabelsBuf;
pub use matcher::{MatchOp, Matcher};
pub use matcher_list::{parse_matcher, parse_matchers};
pub use metadata::{Metadata, MetricType, TYPE_LABEL, UNIT_LABEL};
pub use regex::{Anchored, Groups, RegexBudget, RegexError, Stopped};
pub use sample::{Samples, TimeRange};
pub use stale::{STALE_NAN_BITS, is_stale, stale_nan};

/// The label that holds the metric name.
pub const METRIC_NAME: &str = "__name__";
