//! The list of queries for comparing two servers, asked here and of a real Prometheus over the data it is about: a demo
//! service with three instances.

use crate::random::{ask, difference};
use crate::support::Random;
use crate::support::prometheus::{is_modern, program};
use crate::support::queries::Level;
use crate::support::query_list::{Listed, load};
use crate::support::server::{Client, Server};
use crate::{INTERVAL_MS, SCRAPES, Series, start as begin, time_zero, write_all};
use emberkeep::model::stale_nan;

/// Forty minutes of the demo service.
struct Demo<'a> {
    random: &'a mut Random,
    times: Vec<i64>,
    instance: String,
    out: Vec<Series>,
}

impl Demo<'_> {
    fn series(&mut self, name: &str, more: &[(&str, &str)], values: impl FnMut(&mut Random, i64) -> f64) {
        let fixed = [("__name__", name), ("instance", &self.instance), ("job", "demo")];
        let all = fixed.iter().chain(more).map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let mut labels: Vec<(String, String)> = all.collect();
        labels.sort();
        let mut values = values;
        let samples = self.times.iter().map(|time| (*time, values(self.random, *time))).collect();
        self.out.push((labels, samples));
    }

    /// A counter that grows by less than `most` a scrape. It starts far from zero and begins anew now and then: how a
    /// rate is stretched towards the zero of a counter changed between versions.
    fn counter(&mut self, name: &str, more: &[(&str, &str)], most: u64) {
        let mut count = 1e6;
        self.series(name, more, |random, _| {
            count = if random.below(70) == 0 { 1e6 } else { count + random.below(most) as f64 / 8.0 };
            count
        });
    }

    fn fill(&mut self) {
        for (kind, most) in [("buffers", 1 << 28), ("cached", 1 << 31), ("free", 1 << 33), ("used", 1 << 32)]
        {
            self.series("demo_memory_usage_bytes", &[("type", kind)], |random, _| {
                random.below(most) as f64 + most as f64
            });
        }
        self.series("demo_num_cpus", &[], |_, _| 4.0);
        for mode in ["idle", "system", "user"] {
            self.counter("demo_cpu_usage_seconds_total", &[("mode", mode)], 400);
        }
        let mut disk = 1e11;
        self.series("demo_disk_usage_bytes", &[], |random, _| {
            disk += random.below(1 << 20) as f64;
            disk
        });
        self.series("demo_disk_total_bytes", &[], |_, _| 2.5e11);
        let mut last = 0;
        self.series("demo_batch_last_success_timestamp_seconds", &[], |random, time| {
            if last == 0 || random.below(8) == 0 {
                last = time / 1000;
            }
            last as f64
        });
        self.series("demo_intermittent_metric", &[], |random, _| {
            if random.below(4) == 0 { stale_nan() } else { random.below(100) as f64 }
        });
        for (method, path, status) in
            [("GET", "/api/bar", "200"), ("GET", "/api/bar", "500"), ("POST", "/api/foo", "200")]
        {
            let of = [("method", method), ("path", path), ("status", status)];
            self.requests(&of);
        }
    }

    /// The histogram of how long some requests took: buckets, count and sum that belong together.
    fn requests(&mut self, of: &[(&str, &str)]) {
        let bounds = ["0.0001", "0.001", "0.01", "0.1", "1", "10", "+Inf"];
        let mut fresh = Vec::with_capacity(self.times.len());
        for _ in &self.times {
            let each: Vec<u64> = bounds.iter().map(|_| self.random.below(20)).collect();
            fresh.push(each);
        }
        for (number, bound) in bounds.iter().enumerate() {
            let labels = [of, &[("le", *bound)]].concat();
            let (mut count, mut scrape) = (1e6, 0);
            self.series("demo_api_request_duration_seconds_bucket", &labels, |_, _| {
                count += fresh[scrape][..=number].iter().sum::<u64>() as f64;
                scrape += 1;
                count
            });
        }
        for (name, weight) in [
            ("demo_api_request_duration_seconds_count", 1.0),
            ("demo_api_request_duration_seconds_sum", 0.125),
        ] {
            let (mut sum, mut scrape) = (1e6, 0);
            self.series(name, of, |_, _| {
                sum += fresh[scrape].iter().sum::<u64>() as f64 * weight;
                scrape += 1;
                sum
            });
        }
    }
}

fn demo(random: &mut Random, start: i64) -> Vec<Series> {
    let mut out = Vec::new();
    for port in 10000..10003 {
        // Off the steps of the queries, so that nothing lies on the edge of a range.
        let times = (0..SCRAPES)
            .map(|scrape| start + scrape * INTERVAL_MS + 7 + i64::try_from(random.below(40)).expect("small"))
            .collect();
        let mut demo = Demo { random, times, instance: format!("demo.promlabs.com:{port}"), out: Vec::new() };
        demo.fill();
        out.append(&mut demo.out);
    }
    out
}

/// Label names that are names since Prometheus 3 only: the list still wants them refused.
fn is_new_name(query: &str) -> bool {
    query.contains("\"~invalid\"")
}

/// Subqueries with a step on the left edge of their range, which belonged to it before Prometheus 3.
fn is_on_edge(query: &str) -> bool {
    query.contains("m:10s]")
}

#[test]
fn listed_queries_are_answered_as_by_prometheus() {
    let Some(program) = program("PROMETHEUS_BIN", "prometheus") else { return };
    let Some(list) = load() else { return };
    let level = if is_modern(&program) { Level::Full } else { Level::Common };
    let mut random = Random::from_env(17);
    let dir = tempfile::tempdir().expect("dir");
    let client = Client::new();
    let theirs = begin(&program, dir.path(), &client, &[]);
    let ours = Server::start(&dir.path().join("data"), &["--web.enable-remote-write-receiver"], &[]);
    let (start, end) = time_zero();
    let series = demo(&mut random, start * 1000);
    write_all(&client, &series, &[], start * 1000, &[&ours.url, &theirs.url]);

    let (mut wrong, mut asked, mut failed, mut left_out, mut empty) = (Vec::new(), 0, 0, 0, 0);
    for Listed { query, should_fail } in list {
        if level == Level::Common && (is_new_name(&query) || is_on_edge(&query)) {
            left_out += 1;
            continue;
        }
        for step in ["10", "67"] {
            let form = [
                ("query", query.clone()),
                ("start", (end - 900).to_string()),
                ("end", end.to_string()),
                ("step", step.to_owned()),
            ];
            let a = ask(&client, &ours.url, "query_range", &form);
            let b = ask(&client, &theirs.url, "query_range", &form);
            asked += 1;
            let refused = a["status"] == "error";
            failed += usize::from(refused);
            empty += usize::from(a["data"]["result"].as_array().is_some_and(Vec::is_empty));
            if let Some(difference) = difference(&query, &a, &b, level) {
                wrong.push(format!("{query} step {step}: {difference}"));
            } else if should_fail && !refused && !is_new_name(&query) {
                wrong.push(format!("{query} step {step}: must fail, and does not"));
            }
        }
    }
    println!(
        "{asked} listed queries, of which {failed} fail on both sides and {empty} find nothing; {} differ, \
         {left_out} left out",
        wrong.len()
    );
    assert!(wrong.is_empty(), "{} of {asked} answers differ:\n{}", wrong.len(), wrong.join("\n"));
    assert!(asked > 1000 && empty * 4 < asked && failed * 20 < asked, "{asked} {empty} {failed}");
}
