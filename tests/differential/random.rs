//! Random queries, asked here and of a real Prometheus.
//!
//! `EMBERKEEP_RANDOM_QUERIES` says how many (400 if absent), `EMBERKEEP_TEST_SEED` which. Beside Prometheus 2.42 only
//! what both versions define alike is asked, beside 3.14 everything.

use serde_json::Value;

use crate::support::Random;
use crate::support::prometheus::{is_modern, program};
use crate::support::queries::{Level, Writer};
use crate::support::server::{Client, Server, number};
use crate::{SCRAPES, Series, generate, histograms, rows, same, start as begin, time_zero, write_all};

const FEATURES: &str =
    "promql-experimental-functions,promql-extended-range-selectors,promql-binop-fill-modifiers";

/// Series that only the newer version can be asked about: edges of windows, counters near zero, odd numbers.
fn more(random: &mut Random, start: i64) -> Vec<Series> {
    let odd = [0.0, -0.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 2.3e-308, 1.7e308, -1.7e308, 0.1, 1e21];
    let mut out = Vec::new();
    for instance in 0..4u32 {
        let labels = |name: &str, more: &[(&str, &str)]| {
            let mut all = vec![
                ("__name__".to_owned(), name.to_owned()),
                ("instance".to_owned(), format!("host{instance}")),
                ("job".to_owned(), format!("job{}", instance % 2)),
            ];
            all.extend(more.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())));
            all.sort();
            all
        };
        let times: Vec<i64> = (0..SCRAPES).map(|scrape| start + scrape * 15_000).collect();
        let odd_values = times.iter().map(|t| (*t, odd[usize::try_from(random.below(10)).expect("small")]));
        out.push((labels("odd_values", &[]), odd_values.collect()));
        let mut count = 0.0;
        let sparse = times.iter().filter_map(|time| {
            if random.below(4) > 0 {
                return None;
            }
            count = if random.below(6) == 0 { 0.0 } else { count + random.below(5) as f64 };
            Some((*time, count))
        });
        let sparse: Vec<(i64, f64)> = sparse.collect();
        out.push((labels("sparse", &[("sensor", "s")]), sparse.iter().map(|(t, v)| (*t, v / 3.0)).collect()));
        out.push((labels("sparse_total", &[("mode", "0")]), sparse));
        let build = [("version", if instance < 2 { "v1" } else { "v2" }), ("extra", "yes")];
        out.push((labels("target_info", &build), times.iter().map(|t| (*t, 1.0)).collect()));
    }
    out
}

/// What Prometheus has to be told to count samples by step; here it is always there to be asked for.
const COUNTING: &str = ",promql-per-step-stats";

/// The samples of an answer as both count them, in all and by step.
fn counted(data: &Value) -> [&Value; 4] {
    let names =
        ["totalQueryableSamples", "totalQueryableSamplesPerStep", "samplesRead", "samplesReadPerStep"];
    names.map(|name| &data["stats"]["samples"][name])
}

/// The whole reply: status, then what it holds.
pub(crate) fn ask(client: &Client, server: &str, endpoint: &str, form: &[(&str, String)]) -> Value {
    let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
    let url = format!("{server}/api/v1/{endpoint}");
    let sent = client.post(&url, "application/x-www-form-urlencoded", body.into_bytes());
    let (_, text) = sent.unwrap_or_else(|error| panic!("{url} {form:?}: {error}"));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{url} {form:?}: {error}: {text}"))
}

/// Whether both count the same samples: what a native histogram weighs depends on how its buckets are laid out,
/// Prometheus does not count those of smoothed instant selectors, and it reads fewer info series.
fn counts_alike(query: &str) -> bool {
    !["native", "smoothed", "info("].iter().any(|odd| query.contains(odd))
}

/// Whether the last digits of an answer may differ: sums depend on the order in which series are visited, and the
/// functions of analysis on the library that computes them.
fn may_round(query: &str) -> bool {
    let analysis = ["exp(", "ln(", "log", "sin", "cos", "tan", " ^ ", "stddev_over_time", "histogram_stddev"];
    let adds = ["sum", "avg", "stddev", "stdvar"]
        .iter()
        .any(|op| query.match_indices(op).any(|(at, _)| !query[at + op.len()..].starts_with("_over_time")));
    adds || analysis.iter().any(|name| query.contains(name))
}

fn annotations(reply: &Value) -> Vec<String> {
    let lists = ["warnings", "infos"].into_iter().filter_map(|kind| reply[kind].as_array());
    let mut all: Vec<String> = lists.flatten().map(|text| text.as_str().unwrap_or("").to_owned()).collect();
    all.sort();
    all
}

pub(crate) fn difference(query: &str, ours: &Value, theirs: &Value, level: Level) -> Option<String> {
    if ours["status"] != theirs["status"] && level == Level::Common {
        // The older version does not look for every match that is not unique.
        return None;
    }
    if ours["status"] != theirs["status"] {
        return Some(format!("{} here, {} there", shortened(ours), shortened(theirs)));
    }
    if ours["status"] == "error" {
        // Which of several faults is met first, and which series a message names, depends on the order of series.
        let kinds = (&ours["errorType"], &theirs["errorType"]);
        return (kinds.0 != kinds.1)
            .then(|| format!("{} here, {} there", shortened(ours), shortened(theirs)));
    }
    if level == Level::Full && annotations(ours) != annotations(theirs) {
        return Some(format!("annotations {:?} here, {:?} there", annotations(ours), annotations(theirs)));
    }
    let (ours, theirs) = (&ours["data"], &theirs["data"]);
    if let Some(difference) = histogram_difference(ours, theirs) {
        return Some(difference);
    }
    if level == Level::Full && counts_alike(query) && counted(ours) != counted(theirs) {
        return Some(format!("samples {:?} here, {:?} there", counted(ours), counted(theirs)));
    }
    if may_round(query) || level == Level::Common {
        return crate::difference(ours, theirs);
    }
    if ours["resultType"] != theirs["resultType"] {
        return Some(format!("{} here, {} there", ours["resultType"], theirs["resultType"]));
    }
    let exact = |data: &Value| -> Vec<(String, String)> {
        let text = |samples: &Vec<(String, f64)>| {
            let bits = samples.iter().map(|(t, v)| format!("{t}:{v:?}"));
            bits.collect::<Vec<_>>().join(" ")
        };
        rows(data).iter().map(|(labels, samples)| (labels.clone(), text(samples))).collect()
    };
    if exact(ours) != exact(theirs) {
        return crate::difference(ours, theirs).or_else(|| Some("the last digits differ".to_owned()));
    }
    None
}

/// Native histograms by labels and time: pairs of text and number for count, sum and each bucket.
fn native(data: &Value) -> Vec<(String, Vec<(String, f64)>)> {
    let mut out = Vec::new();
    for row in data["result"].as_array().into_iter().flatten().filter(|row| row.is_object()) {
        let many = row["histograms"].as_array().into_iter().flatten();
        for pair in many.chain(row.get("histogram")) {
            let histogram = &pair[1];
            let mut parts = vec![
                ("count".to_owned(), number(&histogram["count"])),
                ("sum".to_owned(), number(&histogram["sum"])),
            ];
            for bucket in histogram["buckets"].as_array().into_iter().flatten() {
                parts.push((format!("kind {}", bucket[0]), number(&bucket[3])));
                parts.push(("lower".to_owned(), number(&bucket[1])));
                parts.push(("upper".to_owned(), number(&bucket[2])));
            }
            out.push((format!("{} at {}", row["metric"], pair[0]), parts));
        }
    }
    out.sort_by(|a, b| a.0.cmp(&b.0));
    out
}

fn histogram_difference(ours: &Value, theirs: &Value) -> Option<String> {
    let (ours, theirs) = (native(ours), native(theirs));
    let odd = ours.iter().zip(&theirs).find(|(a, b)| {
        let alike = |(a, b): (&(String, f64), &(String, f64))| a.0 == b.0 && same(a.1, b.1);
        a.0 != b.0 || a.1.len() != b.1.len() || !a.1.iter().zip(&b.1).all(alike)
    });
    if let Some((ours, theirs)) = odd {
        return Some(format!("histogram {ours:?} here, {theirs:?} there"));
    }
    (ours.len() != theirs.len()).then(|| format!("{} histograms here, {} there", ours.len(), theirs.len()))
}

fn shortened(reply: &Value) -> String {
    let text = if reply["status"] == "error" { reply.to_string() } else { "an answer".to_owned() };
    text.chars().take(300).collect()
}

#[test]
fn random_queries_are_answered_as_by_prometheus() {
    let Some(program) = program("PROMETHEUS_BIN", "prometheus") else { return };
    let mut random = Random::from_env(11);
    let count = std::env::var("EMBERKEEP_RANDOM_QUERIES").ok().and_then(|n| n.parse().ok()).unwrap_or(400);
    let dir = tempfile::tempdir().expect("dir");
    let client = Client::new();
    let level = if is_modern(&program) { Level::Full } else { Level::Common };
    let features = if level == Level::Full { &["--enable-feature", FEATURES][..] } else { &[] };
    let counting = [FEATURES, COUNTING].concat();
    let told = if level == Level::Full { &["--enable-feature", counting.as_str()][..] } else { &[] };
    let theirs = begin(&program, dir.path(), &client, told);
    let mut args = vec!["--web.enable-remote-write-receiver"];
    args.extend(features);
    let ours = Server::start(&dir.path().join("data"), &args, &[]);
    let (start, end) = time_zero();
    let mut series = generate(&mut random, start * 1000);
    if level == Level::Full {
        series.extend(more(&mut random, start * 1000));
    }
    let mut native = Vec::new();
    if level == Level::Full {
        native = histograms::generate(&mut random, start * 1000);
    }
    write_all(&client, &series, &native, start * 1000, &[&ours.url, &theirs.url]);

    let (mut wrong, mut failed) = (Vec::new(), 0);
    for _ in 0..count {
        let query = Writer {
            random: &mut random,
            level,
            changing: false,
            histograms: level == Level::Full,
            start,
            end,
        }
        .query();
        let fine = if level == Level::Full && random.below(3) == 0 { random.below(2000) } else { 0 };
        let second = |seconds: i64| format!("{}", seconds as f64 + fine as f64 / 1000.0);
        let back = |random: &mut Random, most: u64| i64::try_from(random.below(most)).expect("small");
        // What nobody asks to be counted may be left unread.
        let stats = if random.below(3) == 0 { "" } else { "all" };
        let (endpoint, form) = if random.below(2) == 0 {
            let time = end - back(&mut random, 2000) / 5 * 5;
            ("query", vec![("query", query.clone()), ("time", second(time)), ("stats", stats.to_owned())])
        } else {
            let to = end - back(&mut random, 300) / 5 * 5;
            let from = to - back(&mut random, 1500) / 5 * 5;
            let step = ["15", "60", "137", "1", "5", "30"][usize::try_from(random.below(6)).expect("small")];
            let times = [
                ("start", second(from)),
                ("end", second(to)),
                ("step", step.to_owned()),
                ("stats", stats.to_owned()),
            ];
            ("query_range", [("query", query.clone())].into_iter().chain(times).collect())
        };
        let (a, b) = (ask(&client, &ours.url, endpoint, &form), ask(&client, &theirs.url, endpoint, &form));
        failed += usize::from(a["status"] == "error" || b["status"] == "error");
        if let Some(difference) = difference(&query, &a, &b, level) {
            wrong.push(format!("{endpoint} {form:?}:\n    {difference}"));
        }
    }
    println!("{count} random queries, of which {failed} fail; {} differ", wrong.len());
    assert!(wrong.is_empty(), "{} of {count} answers differ:\n{}", wrong.len(), wrong.join("\n"));
    assert!(failed * 2 < count, "most queries fail: {failed} of {count}");
}
