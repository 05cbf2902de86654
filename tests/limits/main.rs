//! Every function and operator under a small budget, with an allocator beside it that counts what is really taken.
//!
//! The queries are written from the tables of functions and operators, so that a new one cannot be forgotten, and then
//! put into one another at random. `EMBERKEEP_LIMIT_QUERIES` says how many (300 if absent), `EMBERKEEP_TEST_SEED` which.

#[path = "../support/mod.rs"]
mod support;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use emberkeep::model::histogram::Buckets;
use emberkeep::model::{Histogram, Labels};
use emberkeep::promql::functions::{Arity, FUNCTIONS, Function};
use emberkeep::promql::syntax::ast::{AggregateOp, BinaryOp};
use emberkeep::promql::{Engine, EngineOptions, Error, Features, QueryOptions, ValueType};
use emberkeep::storage::fixed::FixedStorage;
use peak_alloc::PeakAlloc;
use support::Random;

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

/// What a query may hold.
const BUDGET: usize = 768 << 10;

/// What is not counted: the text and its tree, the plan, one series at a time for each thread, rows on their way.
const BESIDE: usize = 1 << 20;

/// Steps of range queries.
const STEPS: i64 = 2000;

const VECTORS: [&str; 5] = ["m", "bucket", "native", "{__name__=~\"m|native\"}", "native smoothed"];
const MATRICES: [&str; 5] =
    ["m[1h]", "native[1h]", "m[2h] smoothed", "(m)[2h:1s]", "(native)[1h:1s] offset 1s"];
const SCALARS: [&str; 4] = ["2", "time() / 1e3", "scalar(m{i=\"0\"})", "0.5"];
/// In places where a label is set, joined or replaced by them.
const STRINGS: [&str; 4] = ["text", "$1$1$1$1$1$1$1$1$1$1", "text", "(.*)"];

fn data() -> FixedStorage {
    let mut storage = FixedStorage::new();
    let text = "long".repeat(100);
    for i in 0..40i64 {
        let number = i.to_string();
        let labels = |name: &str, le: &str| {
            Labels::from_pairs([("__name__", name), ("i", &number), ("text", &text), ("le", le)])
        };
        for at in 0..120i64 {
            let time = at * 60_000;
            storage.add(&labels("m", ""), time, ((at * 7919 + i * 104_729) % 10_007) as f64 / 7.0);
            storage.add(
                &labels("bucket", ["0.1", "1", "10", "+Inf"][usize::try_from(i % 4).expect("small")]),
                time,
                at as f64,
            );
            if i < 8 {
                let positive = Buckets::from_numbered(
                    (0..60).map(|n| (n * 2 + i32::try_from(at % 3).expect("small"), 1.0 + at as f64)),
                );
                let count = 60.0 * (1.0 + at as f64);
                let histogram = Histogram { schema: 3, count, sum: count, positive, ..Histogram::default() };
                storage.add_histogram(&labels("native", ""), time, Arc::new(histogram));
            }
        }
    }
    storage
}

/// Calls of a function: with each of its range vectors and vectors, and with many arguments where it takes many.
fn calls(function: &Function) -> Vec<String> {
    let (mut types, mut out) = (function.args.to_vec(), Vec::new());
    if let (Arity::Any, Some(last)) = (function.arity, types.last().copied()) {
        types.extend(std::iter::repeat_n(last, 40));
    }
    for variant in 0..5 {
        let (mut strings, mut scalars) = (STRINGS.iter().cycle(), SCALARS.iter().cycle().skip(variant));
        let args = types.iter().map(|kind| {
            match kind {
                ValueType::Vector if function.name == "info" && strings.next().is_none() => "",
                ValueType::Vector => VECTORS[variant],
                ValueType::Matrix => MATRICES[variant],
                ValueType::Scalar => scalars.next().expect("endless"),
                ValueType::String => return format!("{:?}", strings.next().expect("endless")),
            }
            .to_owned()
        });
        let args: Vec<String> = args.collect();
        out.push(format!("{}({})", function.name, args.join(", ")));
    }
    if function.name == "info" {
        out = VECTORS.map(|vector| format!("info({vector})")).to_vec();
    }
    out.dedup();
    out
}

fn aggregations(op: AggregateOp, inner: &str) -> Vec<String> {
    let params: &[&str] = match op {
        AggregateOp::CountValues => &["\"v\", "],
        _ if op.has_parameter() => &["0.7, ", "3, ", "time() / 1e3, "],
        _ => &[""],
    };
    let of = |param: &&str| {
        ["", "by (i)", "without (text)"].map(|by| format!("{} {by} ({param}{inner})", op.as_str()))
    };
    params.iter().flat_map(of).collect()
}

fn operations(op: BinaryOp, left: &str, right: &str) -> Vec<String> {
    let sign = op.as_str();
    let mut out = vec![format!("({left}) {sign} ({right})"), format!("({left}) {sign} on () ({right})")];
    if !op.is_set() {
        out.push(format!("({left}) {sign} ignoring (text) group_left (text) ({right})"));
        out.push(format!("({left}) {sign} on (i) fill(0) ({right})"));
        out.push(format!("({left}) {sign} 2"));
        out.push(format!("time() {sign} ({left})"));
    }
    out
}

/// What was found to take more than was counted.
fn known() -> Vec<String> {
    let nested =
        |times: usize, before: &str, after: &str| format!("{}m{}", before.repeat(times), after.repeat(times));
    let parts = ", \"text\"".repeat(40);
    let dollars = "$1".repeat(40);
    vec![
        format!("count({})", nested(5, "label_join(", &format!(", \"text\", \"-\"{parts})"))),
        nested(4, "label_replace(", &format!(", \"text\", \"{dollars}\", \"text\", \"(.*)\")")),
        "{__name__=~\".+\"}[2h]".to_owned(),
        "({__name__=~\".+\"})[2h:1s]".to_owned(),
        "m @ 100 + time()".to_owned(),
        "max_over_time(vector(time())[2h:1ms])".to_owned(),
        "max_over_time((1 + (2 + (3 + time())))[2h:1ms])".to_owned(),
        "histogram_quantiles(native, \"q\", time() / 1e6, scalar(m{i=\"1\"}))".to_owned(),
    ]
}

fn queries() -> Vec<String> {
    let mut out = known();
    out.extend(FUNCTIONS.iter().flat_map(calls));
    for vector in ["m", "native", "{__name__=~\"m|native\"}"] {
        out.extend(AggregateOp::ALL.into_iter().flat_map(|op| aggregations(op, vector)));
        out.extend(BinaryOp::ALL.into_iter().flat_map(|op| operations(op, vector, vector)));
    }
    out
}

/// A query with another one, or itself, as part of it.
fn nested(random: &mut Random, queries: &[String]) -> String {
    let pick = |random: &mut Random, len: usize| usize::try_from(random.below(len as u64)).expect("small");
    let (outer, inner) = (&queries[pick(random, queries.len())], &queries[pick(random, queries.len())]);
    let names = ["native smoothed", "native", "bucket", "m"];
    match names.iter().find(|name| outer.contains(*name)) {
        Some(name) if !outer.contains('[') && !inner.ends_with(']') => {
            outer.replace(name, &format!("({inner})"))
        }
        _ if inner.ends_with(']') => format!("count_over_time({inner})"),
        _ => format!("max_over_time(({inner})[30m:1m])"),
    }
}

/// What `work` answers, and the most bytes it held beside those that were there before.
fn taking<T>(work: impl FnOnce() -> T) -> (T, usize) {
    let before = ALLOCATOR.current_usage();
    ALLOCATOR.reset_peak_usage();
    let result = work();
    (result, ALLOCATOR.peak_usage().saturating_sub(before))
}

/// One test at a time: others would be counted too.
static ALONE: Mutex<()> = Mutex::new(());

#[test]
fn expressions_take_little_until_they_are_asked_and_not_much_then() {
    let _alone = ALONE.lock();
    let matchers = vec!["text!~\"\\\\pL{60}\""; 200].join(",");
    let query = format!("m{{{matchers}}}");
    let (read, took) = taking(|| emberkeep::promql::parse(&query, &Features::all()));
    assert!(read.is_ok(), "{read:?}");
    assert!(took < 4 << 20, "reading took {} KiB", took >> 10);
    let engine = Engine::new(EngineOptions::default());
    let storage = data();
    let (result, took) = taking(|| engine.instant(&storage, &query, 7_000_000, &QueryOptions::default()));
    assert!(result.is_ok(), "{:?}", result.err());
    assert!(took < 100 << 20, "matching took {} KiB", took >> 10);
    println!("matching took {} KiB", took >> 10);
}

#[test]
fn nothing_takes_more_than_it_may() {
    let _alone = ALONE.lock();
    let mut random = Random::from_env(7);
    let count = std::env::var("EMBERKEEP_LIMIT_QUERIES").ok().and_then(|n| n.parse().ok()).unwrap_or(300);
    let mut queries = queries();
    let written = queries.clone();
    queries.extend((0..count).map(|_| nested(&mut random, &written)));
    let storage = data();
    let engine = Engine::new(EngineOptions {
        max_memory: BUDGET,
        timeout: Duration::from_secs(5),
        features: Features::all(),
        ..EngineOptions::default()
    });
    let (mut answered, mut refused, mut unfit) = (0, 0, 0);
    let mut faults = Vec::new();
    let end = 7_100_000;
    let start = end - (STEPS - 1) * 1000;
    for (number, query) in queries.iter().enumerate() {
        // Every other one counts samples step by step.
        let step_stats = number % 2 == 1;
        let options = QueryOptions { step_stats, lookback_ms: Some(7_200_000), ..QueryOptions::default() };
        let mut ask = |kind: &str, ask: &dyn Fn() -> Result<(), Error>| {
            let (result, took) = taking(ask);
            match result {
                Ok(()) => answered += 1,
                Err(Error::TooMuchMemory { .. }) => refused += 1,
                Err(_) => unfit += 1,
            }
            if took > BUDGET + BESIDE {
                faults.push(format!("{} KiB: {kind} {}", took >> 10, query.get(..200).unwrap_or(query)));
            }
        };
        ask("range", &|| engine.range(&storage, query, start, end, 1000, &options).map(drop));
        ask("instant", &|| engine.instant(&storage, query, end, &options).map(drop));
        assert_eq!(engine.memory_used(), 0, "{query}");
    }
    println!("{} queries: {answered} answered, {refused} refused, {unfit} unfit", queries.len());
    assert!(faults.is_empty(), "{} took too much:\n{}", faults.len(), faults.join("\n"));
    let asked = answered + refused + unfit;
    assert!(
        answered * 4 > asked && refused * 10 > asked,
        "{answered} answered, {refused} refused, {unfit} unfit"
    );
}
