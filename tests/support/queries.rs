//! Random queries over the generated data: every function, operator, aggregation and modifier.
//!
//! Most of them are well formed and find something; some do not fit the data and must fail on both sides.

// Not every test binary that has it uses it.
#![allow(dead_code, unreachable_pub)]

use super::Random;

/// What both sides understand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Level {
    /// What Prometheus 2.42 and 3 define alike.
    Common,
    /// Everything, with the experimental features switched on.
    Full,
}

/// Writes queries.
pub(crate) struct Writer<'a> {
    pub(crate) random: &'a mut Random,
    pub(crate) level: Level,
    /// Whether there are native histograms among the data.
    pub(crate) histograms: bool,
    /// Whether parameters may change from step to step, and members be taken in the order of series.
    pub(crate) changing: bool,
    /// First and last second with data.
    pub(crate) start: i64,
    pub(crate) end: i64,
}

const COUNTERS: [&str; 3] = ["requests_total", "latency_seconds_bucket", "sparse_total"];
const GAUGES: [&str; 4] = ["temperature", "version_info", "odd_values", "sparse"];
const LABELS: [&str; 7] = ["instance", "job", "mode", "sensor", "le", "version", "none"];

impl Writer<'_> {
    fn full(&self) -> bool {
        self.level == Level::Full
    }

    fn pick<'t>(&mut self, from: &[&'t str]) -> &'t str {
        from[self.index(from.len())]
    }

    fn index(&mut self, len: usize) -> usize {
        usize::try_from(self.random.below(len as u64)).expect("small")
    }

    fn one_in(&mut self, n: u64) -> bool {
        self.random.below(n) == 0
    }

    /// A query of an instant vector, or now and then of a scalar.
    pub(crate) fn query(&mut self) -> String {
        match self.random.below(20) {
            0 => self.scalar(2),
            1..=3 => self.vector(1),
            4..=9 => self.vector(2),
            _ => self.vector(3),
        }
    }

    fn duration(&mut self) -> String {
        let common = ["30s", "1m", "90s", "2m", "5m", "10m"];
        if self.full() && self.one_in(4) {
            return self
                .pick(&["15s", "47s", "1m7s", "1h", "61s500ms", "60", "step() + 60", "2 * 45"])
                .to_owned();
        }
        self.pick(&common).to_owned()
    }

    fn matchers(&mut self) -> String {
        let all = [
            "instance=\"host1\"",
            "instance!=\"host0\"",
            "instance=~\"host[12]\"",
            "instance!~\"host(0|3)\"",
            "job=\"job0\"",
            "job=~\".+\"",
            "mode=~\"0|2\"",
            "mode!=\"1\"",
            "sensor=\"\"",
            "none=\"\"",
            "none!~\".+\"",
            "le=~\"0.+\"",
        ];
        let count = self.random.below(3);
        let chosen: Vec<&str> = (0..count).map(|_| self.pick(&all)).collect();
        if chosen.is_empty() { String::new() } else { format!("{{{}}}", chosen.join(",")) }
    }

    fn metric(&mut self) -> &'static str {
        if self.histograms && self.one_in(5) {
            return self.pick(&["native", "native_gauge", "native_custom"]);
        }
        match self.random.below(7) {
            0..=2 => self.pick(&COUNTERS),
            3..=5 => self.pick(&GAUGES),
            _ => "latency_seconds_bucket",
        }
    }

    fn at_and_offset(&mut self) -> String {
        let mut out = Vec::new();
        if self.one_in(5) {
            let offset = self.pick(&["30s", "3m", "-2m", "7m", "1m15s"]);
            out.push(format!(" offset {offset}"));
        }
        if self.one_in(7) {
            let middle = self.start + (self.end - self.start) / 2;
            let at = match self.random.below(4) {
                0 => "start()".to_owned(),
                1 => "end()".to_owned(),
                _ => (middle + i64::try_from(self.random.below(600)).expect("small")).to_string(),
            };
            out.push(format!(" @ {at}"));
        }
        out.concat()
    }

    fn selector(&mut self) -> String {
        let metric = self.metric();
        let (matchers, moment) = (self.matchers(), self.at_and_offset());
        let smoothed = if self.full() && self.one_in(15) { " smoothed" } else { "" };
        format!("{metric}{matchers}{smoothed}{moment}")
    }

    fn range(&mut self, depth: u32, extended: bool) -> String {
        let moment = self.at_and_offset();
        if depth > 0 && self.one_in(4) {
            let inner = self.vector(depth - 1);
            // The older version looks at the left edge too: no step must lie on it.
            let ranges = ["5m500ms", "10m500ms", "3m500ms", "7m1s"];
            let range = ranges[self.index(if self.full() { 4 } else { 3 })];
            let step = self.pick(&["30s", "1m", "", "45s", "7s"]);
            return format!("({inner})[{range}:{step}]{moment}");
        }
        let (metric, matchers, range) = (self.metric(), self.matchers(), self.duration());
        let mode = match self.random.below(8) {
            0 if extended && self.full() => " anchored",
            1 if extended && self.full() => " smoothed",
            _ => "",
        };
        format!("{metric}{matchers}[{range}]{mode}{moment}")
    }

    fn scalar(&mut self, depth: u32) -> String {
        let number = ["0", "1", "2.5", "-3", "0.1", "1e3", "100", "NaN", "Inf", "0x1F", "5m"];
        if depth == 0 {
            let usable = if self.full() { number.len() } else { number.len() - 1 };
            return number[self.index(usable)].to_owned();
        }
        match self.random.below(9) {
            0 => "time()".to_owned(),
            1 => format!("scalar({})", self.vector(depth - 1)),
            2 => {
                let op = self.arithmetic();
                format!("({} {op} {})", self.scalar(depth - 1), self.scalar(depth - 1))
            }
            3 => {
                let op = self.pick(&["==", "!=", "<", ">", "<=", ">="]);
                format!("({} {op} bool {})", self.scalar(depth - 1), self.scalar(depth - 1))
            }
            4 => format!("-({})", self.scalar(depth - 1)),
            5 => "pi()".to_owned(),
            _ => self.scalar(0),
        }
    }

    fn vector(&mut self, depth: u32) -> String {
        if depth == 0 {
            return self.selector();
        }
        match self.random.below(24) {
            0..=4 => self.window_function(depth),
            5..=7 => self.map_function(depth),
            8..=12 => self.aggregation(depth),
            13..=15 => self.with_scalar(depth),
            16..=18 => self.with_vector(depth),
            19 => self.set(depth),
            20 => self.labels(depth),
            21 => self.histogram(depth),
            22 => self.special(depth),
            _ => format!("({})", self.vector(depth - 1)),
        }
    }

    fn window_function(&mut self, depth: u32) -> String {
        let plain = [
            "rate",
            "increase",
            "irate",
            "delta",
            "idelta",
            "deriv",
            "changes",
            "resets",
            "avg_over_time",
            "sum_over_time",
            "min_over_time",
            "max_over_time",
            "count_over_time",
            "stddev_over_time",
            "stdvar_over_time",
            "last_over_time",
            "present_over_time",
            "rate",
            "increase",
            "rate",
        ];
        let newer = [
            "first_over_time",
            "mad_over_time",
            "ts_of_max_over_time",
            "ts_of_min_over_time",
            "ts_of_last_over_time",
            "ts_of_first_over_time",
        ];
        match self.random.below(12) {
            0 => {
                let q = self.pick(&["0.5", "0", "1", "0.99", "-1", "2", "NaN"]);
                format!("quantile_over_time({q}, {})", self.range(depth - 1, false))
            }
            // The older version takes a fixed time for a fixed result.
            1 if self.full() => {
                format!("predict_linear({}, {})", self.range(depth - 1, false), self.scalar(0))
            }
            2 if self.full() => {
                let range = self.range(depth - 1, false);
                format!("double_exponential_smoothing({range}, 0.3, 0.6)")
            }
            3 if self.full() => {
                let name = self.pick(&newer);
                format!("{name}({})", self.range(depth - 1, false))
            }
            _ => {
                let mut name = self.pick(&plain);
                if !self.full() && name.starts_with("std") {
                    name = "rate";
                }
                let extended = matches!(name, "rate" | "increase" | "delta" | "changes" | "resets");
                format!("{name}({})", self.range(depth - 1, extended))
            }
        }
    }

    fn map_function(&mut self, depth: u32) -> String {
        let analysis = [
            "exp", "ln", "log2", "log10", "sin", "cos", "tan", "asin", "acos", "atan", "sinh", "cosh",
            "tanh", "asinh", "acosh", "atanh",
        ];
        let plain = [
            "abs",
            "ceil",
            "floor",
            "sqrt",
            "sgn",
            "deg",
            "rad",
            "round",
            "day_of_month",
            "day_of_week",
            "day_of_year",
            "days_in_month",
            "hour",
            "minute",
            "month",
            "year",
        ];
        let inner = self.vector(depth - 1);
        match self.random.below(10) {
            0 => format!("round({inner}, {})", self.pick(&["0.5", "10", "7", "0.001"])),
            1 => format!("clamp({inner}, {}, {})", self.scalar(0), self.scalar(0)),
            2 => format!("clamp_min({inner}, {})", self.scalar(0)),
            3 => format!("clamp_max({inner}, {})", self.scalar(0)),
            // With both, Prometheus forgets the offset.
            6 if self.full() && !(inner.contains(" @ ") && inner.contains("offset")) => {
                format!("timestamp({inner})")
            }
            4 | 5 if self.full() => format!("{}({inner})", self.pick(&analysis)),
            _ => format!("{}({inner})", self.pick(&plain)),
        }
    }

    fn grouping(&mut self) -> String {
        let word = match self.random.below(5) {
            0 => return String::new(),
            1 | 2 => "without",
            _ => "by",
        };
        let count = self.random.below(3);
        let labels: Vec<&str> = (0..count).map(|_| self.pick(&LABELS)).collect();
        format!(" {word} ({})", labels.join(", "))
    }

    fn aggregation(&mut self, depth: u32) -> String {
        let (grouping, inner) = (self.grouping(), self.vector(depth - 1));
        // Which of equal values are kept depends on the order of series: these have hardly any.
        let distinct = format!("temperature{}{}", self.matchers(), self.at_and_offset());
        if self.changing && self.one_in(3) {
            let op = self.pick(&["topk", "bottomk", "limitk", "limit_ratio", "quantile"]);
            let param = match self.random.below(4) {
                0 => format!("time() - {}", self.end - i64::try_from(self.random.below(600)).expect("small")),
                1 => format!("scalar({})", self.vector(depth - 1)),
                2 => format!("step() / {}", self.scalar(0)),
                _ => self.scalar(1),
            };
            let inner = if self.one_in(3) { format!("vector({})", self.scalar(0)) } else { inner };
            return format!("{op}{grouping} ({param}, {inner})");
        }
        match self.random.below(12) {
            0 => format!("topk{grouping} ({}, {distinct})", self.pick(&["1", "3", "0", "2.7", "100"])),
            1 => format!("bottomk{grouping} ({}, {distinct})", self.pick(&["1", "3", "-1", "5"])),
            2 => format!("quantile{grouping} ({}, {inner})", self.pick(&["0.5", "0.9", "0", "1", "-1", "7"])),
            3 => format!("count_values{grouping} (\"value\", round({inner}, 50))"),
            _ => {
                let op = ["sum", "avg", "count", "min", "max", "group", "sum", "stddev", "stdvar"]
                        // The older version adds squares up without care.
                        [self.index(if self.full() { 9 } else { 7 })];
                format!("{op}{grouping} ({inner})")
            }
        }
    }

    fn arithmetic(&mut self) -> &'static str {
        // The older version keeps the name with the last one; what powers round, others make large.
        let all = ["+", "-", "*", "/", "%", "^", "atan2"];
        all[self.index(if self.full() { 7 } else { 5 })]
    }

    fn operator(&mut self) -> String {
        match self.random.below(10) {
            0..=6 => self.arithmetic().to_owned(),
            n => {
                let op = self.pick(&["==", "!=", "<", ">", "<=", ">="]);
                if n == 7 { format!("{op} bool") } else { op.to_owned() }
            }
        }
    }

    fn with_scalar(&mut self, depth: u32) -> String {
        let (op, vector, scalar) = (self.operator(), self.vector(depth - 1), self.scalar(1));
        if self.full() && self.histograms && self.one_in(8) {
            let trim = self.pick(&["</", ">/"]);
            return format!("({vector}) {trim} {}", self.pick(&["0", "1", "2.5", "0.3", "-1"]));
        }
        if self.one_in(3) { format!("{scalar} {op} ({vector})") } else { format!("({vector}) {op} {scalar}") }
    }

    fn with_vector(&mut self, depth: u32) -> String {
        let op = self.operator();
        let left = self.vector(depth - 1);
        let fill = match self.random.below(12) {
            0 if self.full() => " fill(0)",
            1 if self.full() => " fill_left(3)",
            2 if self.full() => " fill_right(-1)",
            _ => "",
        };
        match self.random.below(6) {
            // The same on both sides matches one to one.
            0 | 1 => format!("({left}) {op}{fill} ({left})"),
            2 => {
                let of = if self.one_in(2) { left.clone() } else { self.vector(depth - 1) };
                let aggregated = format!("sum by (instance, job) ({of})");
                let fill = if fill.is_empty() { String::new() } else { fill.to_owned() };
                format!("({left}) {op} on (instance, job) group_left{fill} ({aggregated})")
            }
            3 => {
                let info = format!("version_info{}", self.at_and_offset());
                format!("({left}) {op} on (instance) group_left (version) ({info})")
            }
            4 => {
                let right = if self.one_in(3) { left.clone() } else { self.vector(depth - 1) };
                format!("avg by (job) ({left}) {op} on (job) group_right{fill} ({right})")
            }
            _ => {
                let right = self.vector(depth - 1);
                let clause = self.pick(&["", " ignoring (mode)", " ignoring (le, sensor)", " on (instance)"]);
                format!("({left}) {op}{clause}{fill} ({right})")
            }
        }
    }

    fn set(&mut self, depth: u32) -> String {
        let op = self.pick(&["and", "or", "unless"]);
        let clause = self.pick(&["", " on (instance)", " ignoring (mode, sensor, le)", " on ()"]);
        let (left, right) = (self.vector(depth - 1), self.vector(depth - 1));
        if self.one_in(3) {
            return self.repeating(&left, &right);
        }
        format!("({left}) {op}{clause} ({right})")
    }

    /// A query in which `part` occurs several times, at times with something around it.
    fn repeating(&mut self, part: &str, other: &str) -> String {
        let (op, number) = (self.arithmetic(), self.scalar(1));
        match self.random.below(7) {
            0 => format!("({part}) {op} (({part}) + on (instance, mode, sensor, le) ({other}))"),
            1 => format!("({other}) or ({part}) or (+({part}))"),
            2 => format!("sum by (instance) ({part}) {op} on (instance) count by (instance) ({part})"),
            3 => format!("({part}) {op} scalar(count({part}))"),
            4 => format!(
                "sum(sum by (job) ({part})) {op} sum(avg by (job) ({part}) {op} sum by (job) ({part}))"
            ),
            5 => format!("(({part}) unless ({other})) or (({part}) {op} {number})"),
            _ => format!(
                "max_over_time(({part})[3m:1m]) {op} on (instance, mode, sensor, le) min_over_time(({part})[3m:1m])"
            ),
        }
    }

    fn labels(&mut self, depth: u32) -> String {
        let inner = self.vector(depth - 1);
        match self.random.below(4) {
            0 => format!("label_replace({inner}, \"host\", \"$1\", \"instance\", \"host(.)\")"),
            1 => format!("label_replace({inner}, \"mode\", \"x$0\", \"none\", \"\")"),
            2 => format!("label_replace({inner}, \"instance\", \"\", \"job\", \"job0\")"),
            _ => format!("label_join({inner}, \"all\", \"-\", \"job\", \"instance\", \"mode\")"),
        }
    }

    fn histogram(&mut self, depth: u32) -> String {
        let phi = self.pick(&["0.5", "0.9", "0", "1", "0.99", "-1", "2"]);
        let buckets = if self.one_in(6) {
            self.vector(depth - 1)
        } else {
            let rate = self.pick(&["rate", "increase", "delta"]);
            let native = self.histograms && self.one_in(2);
            let metric =
                if native { self.pick(&["native", "native_custom"]) } else { "latency_seconds_bucket" };
            let (matchers, range) = (self.matchers(), self.duration());
            let rated = format!("{rate}({metric}{matchers}[{range}])");
            if self.one_in(2) { format!("sum by (le, job) ({rated})") } else { rated }
        };
        if !self.full() {
            return format!("histogram_quantile({phi}, {buckets})");
        }
        match self.random.below(9) {
            0 => format!("histogram_fraction({}, {}, {buckets})", self.scalar(0), self.scalar(0)),
            1 => format!("histogram_count({buckets})"),
            2 => format!("histogram_sum({buckets})"),
            3 => format!("histogram_avg({buckets})"),
            4 => format!("histogram_stddev({buckets})"),
            5 => format!("histogram_stdvar({buckets})"),
            6 if self.changing => format!("histogram_quantiles({buckets}, \"q\", {phi}, {})", self.scalar(1)),
            6 => format!("histogram_quantiles({buckets}, \"q\", {phi}, 0.25)"),
            _ => format!("histogram_quantile({phi}, {buckets})"),
        }
    }

    fn special(&mut self, depth: u32) -> String {
        match self.random.below(8) {
            0 => format!("absent({})", self.vector(depth - 1)),
            1 => format!("absent_over_time({})", self.range(depth - 1, false)),
            2 => format!("vector({})", self.scalar(depth - 1)),
            3 => self.pick(&["hour()", "minute()", "day_of_week()", "year()"]).to_owned(),
            4 => format!("-({})", self.vector(depth - 1)),
            5 if self.full() => format!("info({})", self.vector(depth - 1)),
            6 if self.full() => {
                let name = self.pick(&["min_of", "max_of"]);
                format!("vector({name}({}, {}))", self.scalar(0), self.scalar(1))
            }
            7 if self.full() => format!("timestamp({})", self.metric()),
            _ => format!("+({})", self.vector(depth - 1)),
        }
    }
}
