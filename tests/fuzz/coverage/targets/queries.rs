//! Queries: what parses prints as what parses to the same; what runs stays within its limits.
#![no_main]

use std::cell::OnceCell;
use std::sync::Arc;
use std::time::Duration;

use emberkeep::model::histogram::{Buckets, CUSTOM_SCHEMA, Span};
use emberkeep::model::{Histogram, Labels, stale_nan};
use emberkeep::promql::{self, Engine, EngineOptions, Features, QueryOptions, parse};
use emberkeep::storage::fixed::FixedStorage;
use emberkeep::web::pieces::Pieces;
use emberkeep_fuzz::{seeds, within};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

thread_local! {
    static ENGINE: OnceCell<(Engine, Engine, FixedStorage)> = const { OnceCell::new() };
}

fuzz_target!(
    init: seeds::write(made_seeds()),
    |data: &[u8]| {
        let Some((choice, text)) = data.split_first() else { return };
        let Ok(text) = std::str::from_utf8(text) else { return };
        within(512, || {
            check_printing(text);
            ENGINE.with(|engine| run(*choice, text, engine.get_or_init(|| (new(true), new(false), data_of()))));
        });
    }
);

fn check_printing(text: &str) {
    let features = Features::all();
    let _ = promql::parse_selector(text);
    let Ok(expr) = parse(text, &features) else { return };
    let printed = expr.to_string();
    let again = parse(&printed, &features).unwrap_or_else(|error| panic!("{text:?} as {printed:?}: {error}"));
    assert_eq!(again.to_string(), printed, "of {text:?}");
    if let (Some(again), Some(expr)) = (json(&again), json(&expr)) {
        assert_eq!(sorted(again), sorted(expr), "{text:?} as {printed:?}");
    }
    let Ok(pretty) = promql::format(&expr) else { return };
    let again = parse(&pretty, &features).unwrap_or_else(|error| panic!("{text:?} as {pretty:?}: {error}"));
    assert_eq!(promql::format(&again).expect("as deep as before"), pretty, "of {text:?}");
    assert_eq!(again.to_string(), printed, "of {text:?}");
}

/// The tree as a value; none where it is deeper than a value may be.
fn json(expr: &promql::Expr) -> Option<Value> {
    serde_json::from_str(promql::to_json(expr).expect("a thread").get()).ok()
}

/// The same with matchers in one order, which printing sorts, and without the sign of zero: a length of time has none.
fn sorted(mut json: Value) -> Value {
    match &mut json {
        Value::Array(all) => {
            *all = all.drain(..).map(sorted).collect();
            if all.iter().all(|one| one.get("value").is_some() && one.get("name").is_some()) {
                all.sort_by_key(Value::to_string);
            }
        }
        Value::Object(all) => *all = std::mem::take(all).into_iter().map(|(n, v)| (n, sorted(v))).collect(),
        Value::String(text) if text == "-0" => *text = "0".to_owned(),
        _ => {}
    }
    json
}

fn new(delayed: bool) -> Engine {
    Engine::new(EngineOptions {
        max_samples: 50_000,
        max_memory: 16 << 20,
        timeout: Duration::from_secs(5),
        features: Features {
            delayed_name_removal: delayed,
            start_timestamps: delayed,
            type_and_unit_labels: delayed,
            ..Features::all()
        },
        ..EngineOptions::default()
    })
}

fn data_of() -> FixedStorage {
    let mut storage = FixedStorage::new();
    for (instance, job) in [("a", "x"), ("b", "x"), ("c", "")] {
        let labels = |name: &str, le: &str| {
            Labels::from_pairs([("__name__", name), ("instance", instance), ("job", job), ("le", le)])
        };
        for at in 0..40i64 {
            let time = at * 15_000;
            let odd = [f64::NAN, f64::INFINITY, -0.0, stale_nan(), 1e308, 5e-324, -1.0];
            let value = usize::try_from(at % 20).ok().and_then(|at| odd.get(at).copied());
            storage.add(&labels("up", ""), time, value.unwrap_or(at as f64));
            storage.add(&labels("c_total", ""), time, (at % 30) as f64 * 3.0);
            storage.set_start(&labels("c_total", ""), time, time / 300_000 * 300_000);
            for le in ["0.1", "1", "+Inf", "odd"] {
                storage.add(&labels("l_bucket", le), time, at as f64);
            }
            let custom = at % 7 == 3;
            let histogram = Histogram {
                schema: if custom { CUSTOM_SCHEMA } else { i32::try_from(at % 12).expect("small") - 4 },
                zero_threshold: if custom { 0.0 } else { 0.001 },
                count: at as f64 + 5.0,
                sum: if at % 9 == 0 { f64::NAN } else { at as f64 },
                positive: Buckets {
                    spans: vec![Span { offset: 0, length: 2 }, Span { offset: 3, length: 1 }],
                    counts: vec![at as f64, 2.0, (at % 5) as f64],
                },
                custom_values: if custom { vec![0.5, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0] } else { Vec::new() },
                ..Histogram::default()
            };
            if at % 6 == 5 {
                storage.add(&labels("h", ""), time, 1.0);
            } else {
                storage.add_histogram(&labels("h", ""), time, Arc::new(histogram));
            }
        }
    }
    storage
}

fn run(choice: u8, text: &str, (delayed, plain, storage): &(Engine, Engine, FixedStorage)) {
    let engine = if choice & 1 == 0 { plain } else { delayed };
    let options = QueryOptions { explain: choice & 8 != 0, ..QueryOptions::default() };
    let time = i64::from(choice >> 4) * 40_000 - 20_000;
    let result = match choice & 6 {
        0 => engine.instant(storage, text, time, &options),
        2 => engine.range(storage, text, time, time + 300_000, 20_000, &options),
        4 => engine.range(storage, text, time, time + 100, 7, &options),
        _ => engine.range(storage, text, time, time, 1000, &options),
    };
    match result {
        Ok(result) => {
            assert!(!result.annotations.warnings(text, 10).iter().any(String::is_empty));
            assert!(!result.annotations.infos(text, 10).iter().any(String::is_empty));
            let pieces = Pieces::new(result.value, result.memory, b"}}".to_vec(), 1 << 10);
            let json: Vec<u8> = pieces.flatten().collect();
            let read = serde_json::from_slice::<serde_json::Value>(&json);
            assert!(read.is_ok(), "{text}: {read:?}: {}", String::from_utf8_lossy(&json));
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
    assert_eq!(engine.memory_used(), 0, "{text}");
}

/// The queries of the other fuzzing test and, where they are at hand, those of the scripts of Prometheus.
fn made_seeds() -> Vec<Vec<u8>> {
    const QUERIES: &[&str] = &[
        "sum by (job) (rate(c_total{job=~\"x.*\", instance!=\"a\"}[5m] offset 1m))",
        "histogram_quantile(0.9, sum by (le) (rate(l_bucket[5m]))) > bool 0.5",
        "max_over_time(rate(c_total[1m])[10m:30s] @ end()) unless on (instance) up",
        "topk(3, h) or label_replace(up, \"a\", \"$1-$2\", \"instance\", \"(.*):(.*)\")",
        "histogram_fraction(0, 0.2, h) / ignoring (le) group_left (x) fill_right(0) count_values(\"v\", up)",
        "quantile_over_time(0.5, h[5m]) and avg(h) </ 2 >/ -1",
        "predict_linear(up[10m] smoothed, 3600) + deriv(up[range() / 2 + step()]) ^ -2 % 3 atan2 pi()",
        "limit_ratio(-0.5, up) == info(up, {version=~\".+\"})",
        "absent_over_time(nope{a=\"b\"}[1h]) * scalar(sort_desc(up)) - time()",
        "double_exponential_smoothing(up[5m], 0.5, 0.5) != 0x1F + 1e-3 + Inf - NaN",
        "label_join(up, \"all\", \"-\", \"job\") * on () group_right () (up offset -5m @ 100.5)",
        "histogram_quantiles(h, \"q\", 0.1, 0.5, 1.5)",
        "increase(c_total[1m] anchored) # comment\n + {\"my.metric\", `a`=~'b'}",
    ];
    let mut all: Vec<String> = QUERIES.iter().map(|query| (*query).to_owned()).collect();
    for script in seeds::conformance("promql") {
        for line in script.lines().filter(|line| line.starts_with("eval")) {
            let words = if line.starts_with("eval instant at ") { 4 } else { 8 };
            all.extend(line.splitn(words + 1, ' ').nth(words).map(str::to_owned));
        }
    }
    all.iter()
        .zip([0x40, 0x83, 0x26, 0xc9].into_iter().cycle())
        .map(|(query, choice)| [&[choice], query.as_bytes()].concat())
        .collect()
}
