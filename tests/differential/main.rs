//! The same samples and queries in a real Prometheus and here: the answers must be the same.
//!
//! `PROMETHEUS_BIN` names the program. Both servers are filled through remote write with the same generated data:
//! counters with resets, gauges, histograms, gaps, stale markers. Queries keep to what Prometheus 2.42 and 3 define
//! alike: no sample lies on the left edge of a range.

#[path = "../support/mod.rs"]
mod support;

mod histograms;
mod list;
mod random;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use emberkeep::codec::protobuf::put_bytes;
use emberkeep::model::stale_nan;
use emberkeep::remote::message;
use histograms::HistogramSeries;
use serde_json::Value;
use support::Random;
use support::prometheus::{Prometheus, program};
use support::server::{Client, Server, number};

const INTERVAL_MS: i64 = 15_000;
const SCRAPES: i64 = 160;

type Series = (Vec<(String, String)>, Vec<(i64, f64)>);

/// Forty minutes of two jobs with four instances.
fn generate(random: &mut Random, start: i64) -> Vec<Series> {
    let mut out = Vec::new();
    for instance in 0..4u32 {
        let target = |name: &str, more: &[(&str, String)]| -> Vec<(String, String)> {
            let mut labels = vec![
                ("__name__".to_owned(), name.to_owned()),
                ("instance".to_owned(), format!("host{instance}")),
                ("job".to_owned(), format!("job{}", instance % 2)),
            ];
            labels.extend(more.iter().map(|(n, v)| ((*n).to_owned(), v.clone())));
            labels.sort();
            labels
        };
        let mut times = Vec::new();
        for scrape in 0..SCRAPES {
            // Off the steps of the queries by some milliseconds, so that nothing lies on the edge of a range.
            times.push(start + scrape * INTERVAL_MS + 7 + i64::try_from(random.below(40)).expect("small"));
        }
        let gap = i64::from(instance) * 20 + 30;
        let present = |mode: u32, scrape: usize| {
            mode > 0 || !(gap..gap + 4).contains(&i64::try_from(scrape).expect("small"))
        };
        for mode in 0..3u32 {
            // Far from zero, and no reset beside a gap: how a rate is stretched towards the zero of a counter
            // changed between versions.
            let mut count = 1e6;
            let samples = times.iter().enumerate().filter(|(s, _)| present(mode, *s)).map(|(_, time)| {
                count =
                    if mode > 0 && random.below(50) == 0 { 1e6 } else { count + random.below(100) as f64 };
                (*time, count)
            });
            out.push((target("requests_total", &[("mode", mode.to_string())]), samples.collect()));
            let samples = times.iter().enumerate().map(|(scrape, time)| {
                let value = if scrape == usize::try_from(gap).expect("small") {
                    stale_nan()
                } else {
                    (random.below(200_000_000) as f64 - 1e8) / 1e6
                };
                (*time, value)
            });
            out.push((target("temperature", &[("sensor", mode.to_string())]), samples.collect()));
        }
        let mut buckets = [1e6; 5];
        let mut columns: Vec<Vec<(i64, f64)>> = vec![Vec::new(); 5];
        for time in &times {
            let mut sum = 0.0;
            for (bucket, column) in buckets.iter_mut().zip(&mut columns) {
                sum += random.below(10) as f64;
                *bucket += sum;
                column.push((*time, *bucket));
            }
        }
        for (le, column) in ["0.1", "0.5", "1", "5", "+Inf"].iter().zip(columns) {
            out.push((target("latency_seconds_bucket", &[("le", (*le).to_owned())]), column));
        }
        out.push((
            target("version_info", &[("version", format!("v{}", instance / 2))]),
            times.iter().map(|t| (*t, 1.0)).collect(),
        ));
    }
    out
}

const QUERIES: &[&str] = &[
    "temperature",
    "temperature offset 3m",
    "temperature @ start()",
    "requests_total{mode=~\"0|1\",instance!=\"host2\"}",
    "rate(requests_total[1m])",
    "rate(requests_total[5m])",
    "increase(requests_total[2m])",
    "irate(requests_total[1m])",
    "delta(temperature[3m])",
    "idelta(temperature[1m])",
    "deriv(temperature[4m])",
    "predict_linear(temperature[5m], 600)",
    "changes(temperature[5m])",
    "resets(requests_total[10m])",
    "avg_over_time(temperature[3m])",
    "sum_over_time(temperature[3m])",
    "min_over_time(temperature[3m])",
    "max_over_time(temperature[3m])",
    "count_over_time(temperature[3m])",
    "stddev_over_time(temperature[3m])",
    "stdvar_over_time(temperature[3m])",
    "quantile_over_time(0.3, temperature[3m])",
    "last_over_time(temperature[3m])",
    "present_over_time(requests_total[1m])",
    "absent_over_time(requests_total{mode=\"9\"}[1m])",
    "sum(rate(requests_total[1m]))",
    "sum by (job) (rate(requests_total[1m]))",
    "sum without (mode, instance) (requests_total)",
    "avg by (job) (temperature)",
    "min by (sensor) (temperature)",
    "max(temperature)",
    "count by (job, mode) (requests_total)",
    "group by (job) (temperature)",
    "stddev by (job) (temperature)",
    "stdvar(temperature)",
    "topk(3, temperature)",
    "bottomk by (job) (2, temperature)",
    "quantile by (job) (0.9, temperature)",
    "count_values by (job) (\"value\", round(temperature, 50))",
    "histogram_quantile(0.9, rate(latency_seconds_bucket[5m]))",
    "histogram_quantile(0.5, sum by (le, job) (rate(latency_seconds_bucket[5m])))",
    "temperature > 20",
    "temperature > bool 20",
    "temperature + on (instance, job) group_left (version) version_info",
    "requests_total / ignoring (mode) group_left sum without (mode) (requests_total)",
    "temperature and on (instance) (version_info{version=\"v1\"})",
    "temperature unless on (instance) (version_info{version=\"v1\"})",
    "requests_total or temperature",
    "-temperature ^ 2 % 7",
    "temperature * 2 - 3 / 4",
    "abs(temperature)",
    "ceil(temperature) + floor(temperature)",
    "clamp(temperature, -20, 20)",
    "exp(temperature / 100)",
    "ln(abs(temperature)) + log2(abs(temperature)) + log10(abs(temperature))",
    "sqrt(abs(temperature))",
    "sgn(temperature)",
    "sin(temperature) + cos(temperature)",
    "-temperature atan2 3",
    "round(temperature, 0.5)",
    "sort_desc(sum by (instance) (temperature))",
    "label_replace(temperature, \"host\", \"$1\", \"instance\", \"host(.)\")",
    "label_join(temperature, \"all\", \"-\", \"job\", \"instance\")",
    "timestamp(temperature)",
    "time() - timestamp(temperature)",
    "vector(time())",
    "scalar(sum(temperature))",
    "absent(no_such_metric{job=\"x\"})",
    "day_of_week() + hour() + minute()",
    "max_over_time(rate(requests_total[1m])[10m500ms:30s])",
    "sum_over_time(sum(temperature)[5m500ms:1m] offset 2m)",
    "avg_over_time(temperature[3m] @ end())",
    "3 + 4 * 2 ^ 2",
    "\"a text\"",
];

/// Labels as text -> timestamps and values.
type Rows = BTreeMap<String, Vec<(String, f64)>>;

fn rows(data: &Value) -> Rows {
    let pair = |pair: &Value| (pair[0].to_string(), number(&pair[1]));
    match data["resultType"].as_str() {
        Some("vector") => {
            let rows = data["result"].as_array().expect("vector").iter();
            let value = |r: &Value| r.get("value").map(|value| vec![pair(value)]).unwrap_or_default();
            rows.map(|r| (r["metric"].to_string(), value(r))).collect()
        }
        Some("matrix") => {
            let rows = data["result"].as_array().expect("matrix").iter();
            let values = |r: &Value| r["values"].as_array().into_iter().flatten().map(pair).collect();
            rows.map(|r| (r["metric"].to_string(), values(r))).collect()
        }
        Some("scalar") => BTreeMap::from([(String::new(), vec![pair(&data["result"])])]),
        _ => BTreeMap::from([(data["result"].to_string(), Vec::new())]),
    }
}

fn same(a: f64, b: f64) -> bool {
    // The order of additions differs between versions; nothing else may.
    a.to_bits() == b.to_bits()
        || (a.is_nan() && b.is_nan())
        || (a - b).abs() <= 1e-9 * a.abs().max(b.abs()).max(1e-3)
}

fn difference(ours: &Value, theirs: &Value) -> Option<String> {
    if ours["resultType"] != theirs["resultType"] {
        return Some(format!("{} here, {} there", ours["resultType"], theirs["resultType"]));
    }
    let (ours, theirs) = (rows(ours), rows(theirs));
    if let Some(labels) = ours.keys().find(|l| !theirs.contains_key(*l)) {
        return Some(format!("only here: {labels}"));
    }
    for (labels, expected) in &theirs {
        let Some(found) = ours.get(labels) else { return Some(format!("only there: {labels}")) };
        if found.len() != expected.len() {
            return Some(format!("{labels}: {} samples here, {} there", found.len(), expected.len()));
        }
        let odd = found.iter().zip(expected).find(|(f, e)| f.0 != e.0 || !same(f.1, e.1));
        if let Some((found, expected)) = odd {
            return Some(format!("{labels}: {found:?} here, {expected:?} there"));
        }
    }
    None
}

/// A Prometheus that takes remote write, with data below `dir`.
fn start(program: &Path, dir: &Path, client: &Client, args: &[&str]) -> Prometheus {
    let mut all = vec!["--web.enable-remote-write-receiver"];
    all.extend(args);
    Prometheus::start(program, dir, &dir.join("prometheus"), "scrape_configs: []\n", &all, client)
}

/// First and last second of the data.
fn time_zero() -> (i64, i64) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
    let end = i64::try_from(now).expect("fits") / 60 * 60 - 60;
    (end - SCRAPES * INTERVAL_MS / 1000, end)
}

/// Sends all samples to both servers, in order of time as a sender would: neither takes what is far behind.
fn write_all(client: &Client, series: &[Series], histograms: &[HistogramSeries], start: i64, urls: &[&str]) {
    for scrape in 0..SCRAPES {
        let from = start + scrape * INTERVAL_MS;
        let mut body = Vec::new();
        for (labels, samples) in series {
            let now: Vec<(i64, f64)> =
                samples.iter().copied().filter(|(t, _)| (from..from + INTERVAL_MS).contains(t)).collect();
            if !now.is_empty() {
                message::put_series(&mut body, labels.iter().map(|(n, v)| (n.as_str(), v.as_str())), &now);
            }
        }
        for (labels, all) in histograms {
            for (_, histogram) in all.iter().filter(|(t, _)| (from..from + INTERVAL_MS).contains(t)) {
                let mut one = Vec::new();
                for (name, value) in labels {
                    let mut label = Vec::new();
                    put_bytes(&mut label, 1, name.as_bytes());
                    put_bytes(&mut label, 2, value.as_bytes());
                    put_bytes(&mut one, 1, &label);
                }
                put_bytes(&mut one, 4, histogram);
                put_bytes(&mut body, 1, &one);
            }
        }
        let body = snap::raw::Encoder::new().compress_vec(&body).expect("compress");
        for url in urls {
            let (status, text) = client
                .post(&format!("{url}/api/v1/write"), "application/x-protobuf", body.clone())
                .expect("write");
            assert_eq!(status, 204, "{url}: {text}");
        }
    }
}

#[test]
fn answers_as_prometheus_does() {
    let Some(program) = program("PROMETHEUS_BIN", "prometheus") else { return };
    let mut random = Random::from_env(3);
    let dir = tempfile::tempdir().expect("dir");
    let client = Client::new();
    let theirs = start(&program, dir.path(), &client, &[]);
    let ours = Server::start(&dir.path().join("data"), &["--web.enable-remote-write-receiver"], &[]);
    let (start, end) = time_zero();
    let series = generate(&mut random, start * 1000);
    write_all(&client, &series, &[], start * 1000, &[&ours.url, &theirs.url]);
    let (mut wrong, mut asked) = (Vec::new(), 0);
    let mut compare = |endpoint: &str, form: &[(&str, &str)]| {
        asked += 1;
        let a = client.api(&ours.url, endpoint, form);
        let b = client.api(&theirs.url, endpoint, form);
        wrong.extend(difference(&a, &b).map(|difference| format!("{endpoint} {form:?}: {difference}")));
    };
    let (from, to) = ((end - 1800).to_string(), end.to_string());
    for query in QUERIES {
        compare("query", &[("query", query), ("time", &to)]);
        if !query.starts_with(['"', '3']) && !query.starts_with("sort_desc") {
            for step in ["15", "60", "137"] {
                let form = [("query", *query), ("start", &from), ("end", &to), ("step", step)];
                compare("query_range", &form);
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {asked} answers differ:\n{}", wrong.len(), wrong.join("\n"));
    println!("{asked} answers are the same");

    for (endpoint, form) in [
        ("series", vec![("match[]", "requests_total{job=\"job1\"}"), ("start", from.as_str())]),
        ("labels", vec![("match[]", "temperature")]),
        ("labels", vec![]),
        ("label/instance/values", vec![("match[]", "version_info{version=\"v1\"}")]),
        ("label/__name__/values", vec![]),
    ] {
        let sorted = |mut value: Value| {
            value.as_array_mut().expect("a list").sort_by_key(Value::to_string);
            value
        };
        let (a, b) = (client.api(&ours.url, endpoint, &form), client.api(&theirs.url, endpoint, &form));
        assert_eq!(sorted(a), sorted(b), "{endpoint} {form:?}");
    }
}
