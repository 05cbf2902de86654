//! Mutated queries: whatever the text, the engine answers or refuses, within its limits, and never panics.
//!
//! `EMBERKEEP_FUZZ_QUERIES` says how many (3,000 if absent), `EMBERKEEP_TEST_SEED` which. The queries of the scripts of
//! Prometheus are mutated too where they are at hand.

mod templates;

#[path = "../support/mod.rs"]
mod support;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use emberkeep::model::histogram::{Buckets, Span};
use emberkeep::model::{Histogram, Labels, stale_nan};
use emberkeep::promql::{Engine, EngineOptions, Features, QueryOptions};
use emberkeep::storage::fixed::FixedStorage;
use emberkeep::web::pieces::Pieces;
use support::Random;

const SEEDS: &[&str] = &[
    "sum by (job) (rate(http_requests_total{job=~\"a.+\", instance!=\"x\"}[5m] offset 1m))",
    "histogram_quantile(0.9, sum by (le) (rate(latency_bucket[5m]))) > bool 0.5",
    "max_over_time(rate(http_requests_total[1m])[10m:30s] @ end()) unless on (instance) up",
    "topk(3, native) or label_replace(up, \"a\", \"$1-$2\", \"instance\", \"(.*):(.*)\")",
    "histogram_fraction(0, 0.2, native) / ignoring (le) group_left (x) fill_right(0) count_values(\"v\", up)",
    "quantile_over_time(0.5, native[5m]) and avg(native) </ 2 >/ -1",
    "predict_linear(up[10m] smoothed, 3600) + deriv(up[range() / 2 + step()]) ^ -2 % 3 atan2 pi()",
    "limit_ratio(-0.5, up) == info(up, {version=~\".+\"})",
    "absent_over_time(nope{a=\"b\"}[1h]) * scalar(sort_desc(up)) - time()",
    "double_exponential_smoothing(up[5m], 0.5, 0.5) != 0x1F + 1e-3 + Inf - NaN",
    "label_join(up, \"all\", \"-\", \"job\", \"instance\") * on () group_right () (up offset -5m @ 100.5)",
    "histogram_quantiles(native, \"q\", 0.1, 0.5, 1.5)",
];

const PARTS: &[&str] = &[
    "(",
    ")",
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "=",
    "=~",
    "!~",
    "!=",
    "\"",
    "'",
    "`",
    "\\",
    "@",
    "offset",
    "by",
    "without",
    "on",
    "ignoring",
    "group_left",
    "bool",
    "fill",
    "and",
    "or",
    "unless",
    "+",
    "-",
    "*",
    "/",
    "%",
    "^",
    "==",
    "<",
    ">=",
    "</",
    ">/",
    "0",
    "1",
    "1e308",
    "-1e308",
    "5e-324",
    "9223372036854775807",
    "NaN",
    "Inf",
    "292y",
    "1ms",
    "5m",
    "[5m:]",
    "[1m:1ms]",
    "anchored",
    "smoothed",
    "start()",
    "end()",
    "step()",
    "range()",
    "up",
    "native",
    "latency_bucket",
    "__name__",
    "le",
    "rate",
    "sum",
    "histogram_quantile",
    "\u{e4}",
    "\u{1f600}",
    "\n",
    "#",
    " ",
    "min_of",
    "topk(",
    "count_values(\"x\",",
    "(.*",
    "[a-",
    "(a|b)*",
    "\\x00",
    "\\Q",
    "{1,1000}",
];

fn data() -> FixedStorage {
    let mut storage = FixedStorage::new();
    let mut random = Random::new(5);
    for (instance, job) in [("a:1", "api"), ("b:2", "api"), ("c", "db")] {
        let labels = |name: &str, more: &[(&str, &str)]| {
            Labels::from_pairs(
                [("__name__", name), ("instance", instance), ("job", job)].iter().chain(more).copied(),
            )
        };
        for at in 0..120i64 {
            let time = at * 15_000;
            let odd = [f64::NAN, f64::INFINITY, -0.0, stale_nan(), 1e308, 5e-324];
            let value = match random.below(20) {
                n @ 0..6 => odd[usize::try_from(n).expect("small")],
                n => n as f64,
            };
            storage.add(&labels("up", &[]), time, value);
            storage.add(&labels("http_requests_total", &[]), time, (at % 50) as f64 * 3.0);
            for le in ["0.1", "1", "+Inf", "odd"] {
                storage.add(&labels("latency_bucket", &[("le", le)]), time, at as f64);
            }
            let custom = random.below(4) == 0;
            let histogram = Histogram {
                schema: if custom { -53 } else { i32::try_from(random.below(12)).expect("small") - 4 },
                zero_threshold: 0.001,
                zero_count: random.below(3) as f64,
                count: at as f64 + 5.0,
                sum: if random.below(9) == 0 { f64::NAN } else { at as f64 },
                positive: Buckets {
                    spans: vec![Span { offset: 0, length: 2 }, Span { offset: 3, length: 1 }],
                    counts: vec![at as f64, 2.0, random.below(5) as f64],
                },
                custom_values: if custom { vec![0.5, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0] } else { Vec::new() },
                ..Histogram::default()
            };
            storage.add_histogram(&labels("native", &[]), time, Arc::new(histogram));
        }
    }
    storage
}

/// The queries of the scripts, if they are there.
fn queries_of_scripts(dir: &Path) -> Vec<String> {
    let files = std::fs::read_dir(dir).into_iter().flatten().flatten();
    let texts = files.filter_map(|file| std::fs::read_to_string(file.path()).ok());
    let mut out = Vec::new();
    for text in texts {
        for line in text.lines() {
            let words = if line.starts_with("eval instant at ") { 4 } else { 8 };
            if line.starts_with("eval") {
                out.extend(line.splitn(words + 1, ' ').nth(words).map(str::to_owned));
            }
        }
    }
    out
}

fn mutated(random: &mut Random, corpus: &[String]) -> String {
    let pick = |random: &mut Random, len: usize| usize::try_from(random.below(len as u64)).expect("small");
    let mut text: Vec<char> = corpus[pick(random, corpus.len())].chars().collect();
    for _ in 0..random.below(5) {
        let at = pick(random, text.len() + 1);
        let end = (at + pick(random, 12)).min(text.len());
        match random.below(5) {
            0 => drop(text.drain(at..end)),
            1 => {
                let part: Vec<char> = text[at..end].to_vec();
                text.splice(at..at, part);
            }
            2 => {
                let other: Vec<char> = corpus[pick(random, corpus.len())].chars().collect();
                let from = pick(random, other.len() + 1);
                let to = (from + pick(random, 40)).min(other.len());
                text.splice(at..end, other[from..to].iter().copied());
            }
            _ => {
                let part = PARTS[pick(random, PARTS.len())];
                text.splice(at..if random.below(2) == 0 { at } else { end }, part.chars());
            }
        }
    }
    text.into_iter().collect()
}

#[test]
fn mutated_queries_are_answered_or_refused() {
    let mut random = Random::from_env(1);
    let count = std::env::var("EMBERKEEP_FUZZ_QUERIES").ok().and_then(|n| n.parse().ok()).unwrap_or(3000);
    let mut corpus: Vec<String> = SEEDS.iter().map(|text| (*text).to_owned()).collect();
    corpus.extend(queries_of_scripts(Path::new("../shared/conformance/promql")));
    let storage = data();
    let engine = Engine::new(EngineOptions {
        max_samples: 200_000,
        max_memory: 64 << 20,
        timeout: Duration::from_secs(5),
        features: Features::all(),
        ..EngineOptions::default()
    });
    let (mut answered, mut refused) = (0, 0);
    for _ in 0..count {
        let query = mutated(&mut random, &corpus);
        let options = QueryOptions::default();
        let time = i64::try_from(random.below(2_000_000)).expect("small");
        let result = if random.below(2) == 0 {
            engine.instant(&storage, &query, time, &options)
        } else {
            engine.range(&storage, &query, time, time + 600_000, 20_000, &options)
        };
        match result {
            Ok(result) => {
                answered += 1;
                assert!(!result.annotations.warnings(&query, 10).iter().any(String::is_empty));
                let size = usize::try_from(random.below(300)).expect("small");
                let pieces = Pieces::new(result.value, result.memory, b"}}".to_vec(), size);
                let text: Vec<u8> = pieces.flatten().collect();
                let read = serde_json::from_slice::<serde_json::Value>(&text);
                assert!(read.is_ok(), "{query}: {read:?}: {}", String::from_utf8_lossy(&text));
            }
            Err(error) => {
                refused += 1;
                assert!(!error.to_string().is_empty(), "{query}");
            }
        }
        assert_eq!(engine.memory_used(), 0, "{query}");
    }
    println!("{answered} answered, {refused} refused");
    assert!(answered * 20 > count && refused * 20 > count, "{answered} answered, {refused} refused");
}
