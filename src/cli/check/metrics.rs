//! `check metrics`: the exposition of a target from standard input, with the lints and the table of promtool.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;

use clap::{Args, ValueEnum};

use crate::cli::failure::LintFindings;
use crate::cli::{Failure, output};
use crate::expfmt::{Entry, Format, Parser, parse_exposed};
use crate::model::{Labels, LabelsBuf, METRIC_NAME, MetricType};

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Lint {
    All,
    None,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct MetricsArgs {
    /// Print how many series each metric has.
    #[arg(long)]
    extended: bool,
    /// Lints to apply.
    #[arg(long, value_enum, default_value = "all")]
    lint: Lint,
}

pub(super) fn run(args: &MetricsArgs) -> Result<(), Failure> {
    if args.lint == Lint::None && !args.extended {
        return Err("nothing to do with --lint=none and without --extended".into());
    }
    let mut body = Vec::new();
    std::io::stdin().lock().read_to_end(&mut body)?;
    let families = read(&body).map_err(|reason| format!("standard input: {reason}"))?;
    let mut found = Vec::new();
    if args.lint == Lint::All {
        for (name, family) in &families {
            let mut problems = family.problems(name);
            problems.sort_unstable();
            found.extend(problems.into_iter().map(|problem| format!("{name} {problem}")));
        }
        found.iter().for_each(|line| output::note(line));
    }
    if args.extended {
        print_cardinality(&families);
    }
    if found.is_empty() { Ok(()) } else { Err(Box::new(LintFindings { files: 1 })) }
}

/// One metric with all its series.
#[derive(Debug, Default)]
struct Family {
    kind: MetricType,
    has_help: bool,
    /// Labels without the name of each series; a histogram or a summary has several series of one name.
    series: Vec<(Labels, String)>,
}

fn read(body: &[u8]) -> Result<BTreeMap<String, Family>, String> {
    let mut families: BTreeMap<String, Family> = BTreeMap::new();
    let mut parser = Parser::new(body, Format::Text);
    let mut labels = LabelsBuf::new();
    let text = |name: &[u8]| String::from_utf8_lossy(name).into_owned();
    while let Some(entry) = parser.next_entry(None).map_err(|error| error.to_string())? {
        match entry {
            Entry::Type { name, kind } => families.entry(text(name)).or_default().kind = kind,
            Entry::Help { name, .. } => families.entry(text(name)).or_default().has_help = true,
            Entry::Unit { .. } => {}
            Entry::Sample(sample) => {
                parse_exposed(sample.series, MetricType::Unknown, &mut labels)
                    .map_err(|error| format!("line {}: {error}", parser.line()))?;
                let name = labels.get(METRIC_NAME).unwrap_or_default().to_owned();
                labels.remove(METRIC_NAME);
                let family = family_of(&name, &families).to_owned();
                families.entry(family).or_default().series.push((labels.to_labels(), name));
            }
        }
    }
    // Metadata alone is no metric.
    families.retain(|_, family| !family.series.is_empty());
    Ok(families)
}

/// The metric that a series called `name` belongs to.
fn family_of<'a>(name: &'a str, families: &BTreeMap<String, Family>) -> &'a str {
    let parts = [
        ("_bucket", &[MetricType::Histogram, MetricType::GaugeHistogram][..]),
        ("_sum", &[MetricType::Histogram, MetricType::Summary]),
        ("_count", &[MetricType::Histogram, MetricType::Summary]),
        ("_gsum", &[MetricType::GaugeHistogram]),
        ("_gcount", &[MetricType::GaugeHistogram]),
    ];
    let family = parts.iter().find_map(|(suffix, kinds)| {
        let family = name.strip_suffix(suffix)?;
        families.get(family).is_some_and(|family| kinds.contains(&family.kind)).then_some(family)
    });
    family.unwrap_or(name)
}

const UNITS: &[(&str, &str)] = &[
    ("amperes", "amperes"),
    ("bytes", "bytes"),
    ("celsius", "celsius"),
    ("grams", "grams"),
    ("joules", "joules"),
    ("kelvin", "kelvin"),
    ("meters", "meters"),
    ("metres", "metres"),
    ("seconds", "seconds"),
    ("volts", "volts"),
    ("minutes", "seconds"),
    ("hours", "seconds"),
    ("days", "seconds"),
    ("weeks", "seconds"),
    ("kelvins", "kelvin"),
    ("fahrenheit", "celsius"),
    ("rankine", "celsius"),
    ("inches", "meters"),
    ("yards", "meters"),
    ("miles", "meters"),
    ("bits", "bytes"),
    ("calories", "joules"),
    ("pounds", "grams"),
    ("ounces", "grams"),
];

/// What stands before units; the spellings are those that promtool knows.
const PREFIXES: &[&str] = &[
    "pico", "nano", "micro", "milli", "centi", "deci", "deca", "hecto", "kilo", "kibi", "mega", "mibi",
    "giga", "gibi", "tera", "tebi", "peta", "pebi",
];

const ABBREVIATIONS: &[&str] =
    &["s", "ms", "us", "ns", "sec", "b", "kb", "mb", "gb", "tb", "pb", "m", "h", "d"];

impl Family {
    fn is(&self, kind: MetricType) -> bool {
        self.kind == kind
    }

    /// What is against the conventions for names, as promtool says it.
    fn problems(&self, name: &str) -> Vec<String> {
        let mut found = Vec::new();
        let mut say = |problem: &str| found.push(problem.to_owned());
        let typed = !self.is(MetricType::Unknown);
        if !self.has_help {
            say("no help text");
        }
        if let Some((unit, base)) = name.split('_').find_map(unit_of).filter(|(unit, base)| unit != base) {
            say(&format!("use base unit {base:?} instead of {unit:?}"));
        }
        match (self.is(MetricType::Counter), name.ends_with("_total")) {
            (true, false) => say("counter metrics should have \"_total\" suffix"),
            (false, true) if typed => say("non-counter metrics should not have \"_total\" suffix"),
            _ => {}
        }
        let has_part = |part: &str| {
            let (name, part) = (name.to_lowercase(), format!("_{part}"));
            name.ends_with(&part) || name.contains(&format!("{part}_"))
        };
        let histogram = self.is(MetricType::Histogram);
        if typed {
            let summary = self.is(MetricType::Summary);
            if !histogram && name.ends_with("_bucket") {
                say("non-histogram metrics should not have \"_bucket\" suffix");
            }
            for suffix in ["_count", "_sum"] {
                if !histogram && !summary && name.ends_with(suffix) {
                    say(&format!(
                        "non-histogram and non-summary metrics should not have \"{suffix}\" suffix"
                    ));
                }
            }
            for (label, _) in self.series.iter().flat_map(|(labels, _)| labels) {
                match label {
                    "le" if !histogram => say("non-histogram metrics should not have \"le\" label"),
                    "quantile" if !summary => say("non-summary metrics should not have \"quantile\" label"),
                    _ => {}
                }
            }
            if has_part(self.kind.name()) {
                say(&format!("metric name should not include type '{}'", self.kind.name()));
            }
        }
        if name.contains(':') {
            say("metric names should not contain ':'");
        }
        if is_camel_case(name) {
            say("metric names should be written in 'snake_case' not 'camelCase'");
        }
        for (label, _) in self.series.iter().flat_map(|(labels, _)| labels) {
            if is_camel_case(label) {
                say("label names should be written in 'snake_case' not 'camelCase'");
            }
        }
        for _ in ABBREVIATIONS.iter().filter(|unit| has_part(unit)) {
            say("metric names should not contain abbreviated units");
        }
        let distinct: BTreeSet<&(Labels, String)> = self.series.iter().collect();
        for _ in distinct.len()..self.series.len() {
            say("metric not unique");
        }
        found
    }
}

/// The unit that a part of a name says, and the one to use.
fn unit_of(part: &str) -> Option<(&str, &'static str)> {
    let base = |unit: &str| UNITS.iter().find(|(name, _)| *name == unit).map(|(_, base)| *base);
    let with_prefix = || PREFIXES.iter().find_map(|prefix| base(part.strip_prefix(prefix)?));
    base(part).or_else(with_prefix).map(|base| (part, base))
}

/// Whether a capital letter follows a small one.
fn is_camel_case(name: &str) -> bool {
    name.as_bytes().windows(2).any(|pair| pair[0].is_ascii_lowercase() && pair[1].is_ascii_uppercase())
}

/// Prints how many series each metric has, most first.
fn print_cardinality(families: &BTreeMap<String, Family>) {
    let mut counts: Vec<(&str, usize)> =
        families.iter().map(|(name, family)| (name.as_str(), family.series.len())).collect();
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let total: usize = counts.iter().map(|(_, count)| count).sum();
    let share = |count: usize| format!("{:.2}%", count as f64 / total.max(1) as f64 * 100.0);
    let mut rows = vec![["Metric", "Cardinality", "Percentage"].map(str::to_owned).to_vec()];
    rows.extend(
        counts.iter().map(|(name, count)| vec![(*name).to_owned(), count.to_string(), share(*count)]),
    );
    rows.push(vec!["Total".to_owned(), total.to_string(), "100%".to_owned()]);
    output::table(&rows);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(body: &str) -> Vec<String> {
        let families = read(body.as_bytes()).expect(body);
        let of = |(name, family): (&String, &Family)| {
            let mut problems = family.problems(name);
            problems.sort_unstable();
            problems.into_iter().map(move |problem| format!("{name} {problem}")).collect::<Vec<_>>()
        };
        families.iter().flat_map(of).collect()
    }

    #[test]
    fn good_metrics_have_no_problems() {
        let body = "# HELP a_seconds x\n# TYPE a_seconds histogram\na_seconds_bucket{le=\"1\"} 1\n\
                    a_seconds_bucket{le=\"+Inf\"} 1\na_seconds_sum 1\na_seconds_count 1\n\
                    # HELP b_total x\n# TYPE b_total counter\nb_total 1\n# HELP c x\nc_total{le=\"x\"} 1\n# HELP c_total\n";
        assert_eq!(problems(body), [] as [&str; 0]);
        let families = read(body.as_bytes()).expect("good");
        assert_eq!(families["a_seconds"].series.len(), 4);
    }

    /// What promtool 3.14 says.
    #[test]
    fn problems_are_those_of_promtool() {
        let body = r#"# HELP ok_seconds_total fine
# TYPE ok_seconds_total counter
ok_seconds_total{a="b"} 1
ok_seconds_total{a="c"} 1
# TYPE req_milliseconds gauge
req_milliseconds{le="1",quantile="2"} 3
req_milliseconds{myLabel="x"} 3
# HELP x_counter c
# TYPE x_counter counter
x_counter 1
# TYPE bad_total gauge
# HELP bad_total x
bad_total 1
# TYPE foo_bucket gauge
foo_bucket 1
# TYPE foo_count gauge
foo_count 1
# TYPE foo_sum counter
foo_sum 1
# TYPE fooBar:x_gauge gauge
fooBar:x_gauge 1
# TYPE lat_ms_d_s summary
lat_ms_d_s{quantile="0.5"} 1
lat_ms_d_s_sum 1
lat_ms_d_s_count 1
# TYPE h_histogram_days histogram
# HELP h_histogram_days d
h_histogram_days_bucket{le="1"} 1
h_histogram_days_bucket{le="+Inf"} 1
h_histogram_days_sum 1
h_histogram_days_count 1
u_kilobytes 1
u_kilobytes 1
u_kilobytes 1
u_kilobytes{x="y"} 1
u_total_s 1
"#;
        let expected = r#"bad_total non-counter metrics should not have "_total" suffix
fooBar:x_gauge metric name should not include type 'gauge'
fooBar:x_gauge metric names should be written in 'snake_case' not 'camelCase'
fooBar:x_gauge metric names should not contain ':'
fooBar:x_gauge no help text
foo_bucket no help text
foo_bucket non-histogram metrics should not have "_bucket" suffix
foo_count no help text
foo_count non-histogram and non-summary metrics should not have "_count" suffix
foo_sum counter metrics should have "_total" suffix
foo_sum no help text
foo_sum non-histogram and non-summary metrics should not have "_sum" suffix
h_histogram_days metric name should not include type 'histogram'
h_histogram_days use base unit "seconds" instead of "days"
lat_ms_d_s metric names should not contain abbreviated units
lat_ms_d_s metric names should not contain abbreviated units
lat_ms_d_s metric names should not contain abbreviated units
lat_ms_d_s no help text
req_milliseconds label names should be written in 'snake_case' not 'camelCase'
req_milliseconds no help text
req_milliseconds non-histogram metrics should not have "le" label
req_milliseconds non-summary metrics should not have "quantile" label
req_milliseconds use base unit "seconds" instead of "milliseconds"
u_kilobytes metric not unique
u_kilobytes metric not unique
u_kilobytes no help text
u_kilobytes use base unit "bytes" instead of "kilobytes"
u_total_s metric names should not contain abbreviated units
u_total_s no help text
x_counter counter metrics should have "_total" suffix
x_counter metric name should not include type 'counter'
"#;
        assert_eq!(problems(body), expected.lines().collect::<Vec<_>>());
    }

    #[test]
    fn what_cannot_be_read_names_its_line() {
        assert!(read(b"a 1\nb x\n").expect_err("no number").starts_with("line 2: "));
        assert!(read(b"a 1\nb{c=\"d\",c=\"e\"} 1\n").expect_err("twice").starts_with("line 2: "));
    }
}
