//! `tsdb dump`: samples as lines `{labels} value timestamp`, the form of Prometheus' own tool, or as an OpenMetrics file;
//! or exemplars, with a hash and their own labels between.

use std::fmt::Write as _;
use std::io::{self, BufWriter, Write as _};
use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::{Failure, Selection, look_at, output};
use crate::model::histogram::{Buckets, CUSTOM_SCHEMA};
use crate::model::name::{is_plain_label_name, is_plain_metric_name};
use crate::model::{Exemplar, Histogram, Labels, METRIC_NAME, Samples, is_stale};
use crate::storage::{Queryable as _, SelectRequest, SeriesSet, Watch};
use crate::tsdb::Beside;

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Form {
    /// `{labels} value timestamp`, in milliseconds.
    Lines,
    /// An OpenMetrics file, for `tsdb import openmetrics`. Native histograms and staleness markers are left out: the
    /// format has none.
    Openmetrics,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct DumpArgs {
    #[command(flatten)]
    selection: Selection,
    /// Print exemplars instead of samples.
    #[arg(long, conflicts_with = "format")]
    exemplars: bool,
    /// How samples are printed.
    #[arg(long, value_enum, default_value = "lines")]
    format: Form,
    /// The data directory.
    #[arg(default_value = crate::cli::serve::DEFAULT_DATA_DIR)]
    path: PathBuf,
}

pub(super) fn run(args: &DumpArgs) -> Result<(), Failure> {
    let db = look_at(&args.path, Beside::Server)?;
    let range = args.selection.range();
    let querier = db.querier(range)?;
    let mut selectors = args.selection.selectors();
    if args.exemplars {
        let found = db.exemplars(&selectors, range, Watch::NONE)?;
        print_exemplars(&found.series, &mut io::stdout().lock())?;
        if found.cut {
            return Err("these are not all: there are too many exemplars, narrow down what is printed".into());
        }
        return Ok(db.close()?);
    }
    if selectors.is_empty() {
        selectors.push(Vec::new());
    }
    let mut sets = Vec::new();
    for matchers in &selectors {
        sets.push(querier.select(&SelectRequest::new(matchers, range))?);
    }
    let set = crate::interop::merged::Merged::new(sets.iter().map(|set| &**set).collect());
    let mut out = BufWriter::with_capacity(1 << 16, io::stdout().lock());
    let (mut samples, mut text) = (Samples::new(), String::new());
    for index in 0..set.len() {
        set.read(index, range, &mut samples)?;
        text.clear();
        match args.format {
            Form::Lines => print_series(&set.labels(index), &samples, &mut text),
            Form::Openmetrics => expose_series(&set.labels(index), &samples, &mut text),
        }
        match out.write_all(text.as_bytes()) {
            // Whoever reads has seen enough.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(db.close()?),
            written => written?,
        }
    }
    if args.format == Form::Openmetrics {
        out.write_all(b"# EOF\n")?;
    }
    out.flush()?;
    Ok(db.close()?)
}

fn print_exemplars(series: &[(Labels, Vec<Exemplar>)], out: &mut impl io::Write) -> io::Result<()> {
    let mut text = String::new();
    for (labels, exemplars) in series {
        let name = output::labels(labels);
        for Exemplar { labels, value, timestamp } in exemplars {
            // Writing to text cannot fail.
            let _ = writeln!(text, "{name} # {} {} {timestamp}", output::labels(labels), float_text(*value));
        }
        match out.write_all(text.as_bytes()) {
            // Whoever reads has seen enough.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
            written => written?,
        }
        text.clear();
    }
    Ok(())
}

fn print_series(labels: &Labels, samples: &Samples, out: &mut String) {
    let name = output::labels(labels);
    let mut histograms = samples.histograms.iter().peekable();
    for (index, (timestamp, value)) in samples.iter().enumerate() {
        let value = match histograms.next_if(|(at, _)| *at == index) {
            Some((_, histogram)) => histogram_text(histogram),
            None => float_text(value),
        };
        // Writing to text cannot fail.
        let _ = writeln!(out, "{name} {value} {timestamp}");
    }
}

/// Writes a series as OpenMetrics has it.
fn expose_series(labels: &Labels, samples: &Samples, out: &mut String) {
    let name = labels.metric_name();
    let plain = is_plain_metric_name(name);
    let quoted = (!plain && !name.is_empty()).then(|| in_quotes(name));
    let pairs = labels.iter().filter(|(name, _)| *name != METRIC_NAME).map(|(name, value)| {
        let name = if is_plain_label_name(name) { name.to_owned() } else { in_quotes(name) };
        format!("{name}={}", in_quotes(value))
    });
    let inside: Vec<String> = quoted.into_iter().chain(pairs).collect();
    let series = format!("{}{{{}}}", if plain { name } else { "" }, inside.join(","));
    let mut histograms = samples.histograms.iter().peekable();
    for (index, (timestamp, value)) in samples.iter().enumerate() {
        if histograms.next_if(|(at, _)| *at == index).is_some() || is_stale(value) {
            continue;
        }
        let (seconds, millis) = (timestamp / 1000, (timestamp % 1000).unsigned_abs());
        let sign = if timestamp < 0 && seconds == 0 { "-" } else { "" };
        let _ = writeln!(out, "{series} {} {sign}{seconds}.{millis:03}", float_text(value));
    }
}

/// Text in double quotes, with the three escapes of OpenMetrics.
fn in_quotes(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n"))
}

/// The shortest text of a float, with an exponent below 0.0001 and from a million on, as Go's `%g` has it.
fn float_text(value: f64) -> String {
    if value.is_nan() {
        return "NaN".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    let scientific = format!("{value:e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if value != 0.0 && !(-4..6).contains(&exponent) {
        let sign = if exponent < 0 { '-' } else { '+' };
        return format!("{digits}e{sign}{:02}", exponent.abs());
    }
    format!("{value}")
}

/// A histogram with its buckets, negative ones first, empty ones left out.
fn histogram_text(histogram: &Histogram) -> String {
    let count = |count: f64| if histogram.integer { format!("{count:.0}") } else { float_text(count) };
    let mut text = format!("{{count:{}, sum:{}", count(histogram.count), float_text(histogram.sum));
    let mut put = |lower: f64, upper: f64, closed: (bool, bool), n: f64| {
        let (open, close) = (if closed.0 { '[' } else { '(' }, if closed.1 { ']' } else { ')' });
        let _ = write!(text, ", {open}{},{}{close}:{}", float_text(lower), float_text(upper), count(n));
    };
    let filled = |buckets: &Buckets| -> Vec<(i64, f64)> {
        indices(buckets).zip(buckets.counts.iter().copied()).filter(|(_, n)| *n != 0.0).collect()
    };
    for (index, n) in filled(&histogram.negative).into_iter().rev() {
        put(-bound(histogram, index), -bound(histogram, index - 1), (true, false), n);
    }
    if histogram.zero_count != 0.0 {
        put(-histogram.zero_threshold, histogram.zero_threshold, (true, true), histogram.zero_count);
    }
    for (index, n) in filled(&histogram.positive) {
        let first = histogram.schema == CUSTOM_SCHEMA && index == 0;
        put(bound(histogram, index - 1), bound(histogram, index), (first, true), n);
    }
    text.push('}');
    text
}

/// Numbers of the buckets that are present.
fn indices(buckets: &Buckets) -> impl Iterator<Item = i64> + '_ {
    let mut next = 0i64;
    buckets.spans.iter().flat_map(move |span| {
        let start = next + i64::from(span.offset);
        next = start + i64::from(span.length);
        start..next
    })
}

/// Upper bound of bucket `index`.
fn bound(histogram: &Histogram, index: i64) -> f64 {
    if histogram.schema == CUSTOM_SCHEMA {
        return match usize::try_from(index) {
            Ok(index) => histogram.custom_values.get(index).copied().unwrap_or(f64::INFINITY),
            Err(_) => f64::NEG_INFINITY,
        };
    }
    // Within one power of two first, so that buckets of every power have the same digits.
    let step = 2f64.powi(-histogram.schema);
    let (whole, fraction) = ((index as f64 * step).floor(), (index as f64 * step).rem_euclid(1.0));
    2f64.powf(fraction) * 2f64.powf(whole)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::histogram::Span;

    #[test]
    fn floats_look_as_in_go() {
        let check = |value: f64, expected: &str| assert_eq!(float_text(value), expected);
        check(0.0, "0");
        check(-0.0, "-0");
        check(1.5, "1.5");
        check(0.0001, "0.0001");
        check(123_456.5, "123456.5");
        check(2_097_152.0, "2.097152e+06");
        check(0.000_012_5, "1.25e-05");
        check(f64::NEG_INFINITY, "-Inf");
    }

    #[test]
    fn series_are_exposed_without_what_the_format_lacks() {
        let labels = Labels::from_pairs([("__name__", "a"), ("b.c", "d\t\"\n\\")]);
        let mut samples = Samples::new();
        samples.push(-1, 1.0);
        samples.push(1_500, 2e6);
        samples.push(2_000, crate::model::stale_nan());
        samples.push_histogram(3_000, std::sync::Arc::new(Histogram::default()));
        let mut out = String::new();
        expose_series(&labels, &samples, &mut out);
        let series = "a{\"b.c\"=\"d\t\\\"\\n\\\\\"}";
        assert_eq!(out, format!("{series} 1 -0.001\n{series} 2e+06 1.500\n"));
        out.clear();
        samples.clear();
        samples.push(1, 1.0);
        expose_series(&Labels::from_pairs([("__name__", "a b"), ("c", "d")]), &samples, &mut out);
        assert_eq!(out, "{\"a b\",c=\"d\"} 1 0.001\n");
    }

    #[test]
    fn histograms_show_their_buckets() {
        let histogram = Histogram {
            schema: 0,
            zero_threshold: 0.001,
            zero_count: 1.0,
            count: 9.0,
            sum: 2.5,
            positive: Buckets {
                spans: vec![Span { offset: 0, length: 2 }, Span { offset: 1, length: 1 }],
                counts: vec![1.0, 0.0, 3.0],
            },
            negative: Buckets { spans: vec![Span { offset: 1, length: 1 }], counts: vec![4.0] },
            integer: true,
            ..Histogram::default()
        };
        let expected = "{count:9, sum:2.5, [-2,-1):4, [-0.001,0.001]:1, (0.5,1]:1, (4,8]:3}";
        assert_eq!(histogram_text(&histogram), expected);
    }
}
