//! What can be set about the engine and about one query.

use std::time::Duration;

use crate::util::StopToken;

/// Settings of an [`super::Engine`], fixed for its life but for the default step.
#[derive(Debug, Clone)]
pub struct EngineOptions {
    /// How old the newest sample may be that an instant selector still answers with, in milliseconds.
    pub lookback_ms: i64,
    /// Longest time one query may take.
    pub timeout: Duration,
    /// Most samples one query may hold at once.
    pub max_samples: usize,
    /// Most memory the rows of one query may take, in bytes.
    pub max_memory: usize,
    /// The same of all queries together.
    pub max_total_memory: usize,
    /// Most memory that results kept for later queries may take, in bytes; 0 to keep none.
    pub max_kept_results: usize,
    /// Step of subqueries that name none, in milliseconds: the global evaluation interval, until it is changed by
    /// [`super::Engine::set_default_step`].
    pub default_step_ms: i64,
    /// Parts of the language that are off unless asked for.
    pub features: Features,
}

impl Default for EngineOptions {
    fn default() -> Self {
        Self {
            lookback_ms: 300_000,
            timeout: Duration::from_secs(120),
            max_samples: 50_000_000,
            max_memory: 1 << 30,
            max_total_memory: 2 << 30,
            max_kept_results: 0,
            default_step_ms: 60_000,
            features: Features::default(),
        }
    }
}

/// Parts of the language that are off unless asked for.
#[expect(
    clippy::struct_excessive_bools,
    reason = "independent switches, named like the flags they come from"
)]
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Features {
    /// Experimental functions, `limitk` and `limit_ratio`.
    pub experimental_functions: bool,
    /// `anchored` and `smoothed`.
    pub extended_range_selectors: bool,
    /// `fill`, `fill_left` and `fill_right`.
    pub binop_fill: bool,
    /// Names are dropped at the very end instead of by each operation.
    pub delayed_name_removal: bool,
    /// `rate`, `increase`, `irate`, `resets` and `start_timestamp` look at when counting began.
    pub start_timestamps: bool,
    /// The type of a metric is told by its `__type__` label, not by the end of its name.
    pub type_and_unit_labels: bool,
}

impl Features {
    /// Switches on what `--enable-feature` calls `name`; says whether there is such a part of the language.
    pub fn enable(&mut self, name: &str) -> bool {
        let switch = match name {
            "promql-experimental-functions" => &mut self.experimental_functions,
            "promql-binop-fill-modifiers" => &mut self.binop_fill,
            "promql-extended-range-selectors" => &mut self.extended_range_selectors,
            "type-and-unit-labels" => &mut self.type_and_unit_labels,
            "use-start-timestamps" => &mut self.start_timestamps,
            "promql-delayed-name-removal" => &mut self.delayed_name_removal,
            _ => return false,
        };
        *switch = true;
        true
    }

    /// Everything on, except what changes the meaning of other queries.
    pub fn all() -> Self {
        Self {
            experimental_functions: true,
            extended_range_selectors: true,
            binop_fill: true,
            delayed_name_removal: false,
            start_timestamps: false,
            type_and_unit_labels: false,
        }
    }
}

/// Settings of one query.
#[derive(Debug, Clone, Default)]
pub struct QueryOptions {
    /// Replaces the engine's lookback.
    pub lookback_ms: Option<i64>,
    /// A shorter time than the engine's.
    pub timeout: Option<Duration>,
    /// Ends the query early when stopped.
    pub stop: StopToken,
    /// Whether the result must not come from those kept of earlier queries.
    pub fresh: bool,
    /// Whether to count samples for each step.
    pub step_stats: bool,
    /// Whether to measure what each node of the plan takes.
    pub explain: bool,
}
