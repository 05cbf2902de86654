//! Tests of one target's ingest: protobuf, native histograms, names, what is reported about bodies, starts of counting.

use super::tests::{Bench, T0, own};
use super::*;
use crate::codec::protobuf::{put_bytes, put_float};
use crate::expfmt::Format;
use crate::expfmt::fixture::{add_native, classic, exemplar, family, message, metric, time, value};
use crate::model::{MatchOp, Matcher, MetricType, Samples, TimeRange, is_stale};
use crate::storage::{Queryable as _, SelectRequest, Watch};

/// A histogram with classic and native buckets.
fn both() -> Vec<u8> {
    message(|out| {
        out.extend_from_slice(&classic(&[0.5, 1.0], 4, 2.5));
        add_native(out, 3);
    })
}

fn protobuf(bench: &mut Bench, body: &[u8]) -> Summary {
    bench.feed(Ok((body, Encoding::Protobuf)))
}

fn histograms(bench: &mut Bench, histogram: &[u8]) -> Summary {
    protobuf(bench, &family("h", 4, "", &[metric(&[("a", "b")], 7, histogram, 0)]))
}

/// The samples of the only series called `name`: floats, `s` for stale, and of histograms schema, count and buckets.
fn samples(db: &Tsdb, name: &str) -> String {
    let matchers = [Matcher::new("__name__", MatchOp::Equal, name).expect("plain matcher")];
    let querier = db.querier(TimeRange::ALL).expect("querier");
    let set = querier.select(&SelectRequest::new(&matchers, TimeRange::ALL)).expect("select");
    assert!(set.len() < 2, "{name}");
    let mut samples = Samples::new();
    if set.len() == 1 {
        set.read(0, TimeRange::ALL, &mut samples).expect("readable");
    }
    let mut histograms = samples.histograms.iter().peekable();
    let text =
        samples.iter().enumerate().map(|(at, (_, value))| match histograms.next_if(|(i, _)| *i == at) {
            Some((_, h)) => format!("{}:{}:{:?}", h.schema, h.count, h.positive.counts),
            None if is_stale(value) => "s".to_owned(),
            None => value.to_string(),
        });
    text.collect::<Vec<_>>().join(" ")
}

fn timestamps(db: &Tsdb, name: &str) -> Vec<i64> {
    let matchers = [Matcher::new("__name__", MatchOp::Equal, name).expect("plain matcher")];
    let querier = db.querier(TimeRange::ALL).expect("querier");
    let set = querier.select(&SelectRequest::new(&matchers, TimeRange::ALL)).expect("select");
    let mut samples = Samples::new();
    set.read(0, TimeRange::ALL, &mut samples).expect("readable");
    samples.timestamps.iter().map(|timestamp| timestamp - T0).collect()
}

#[test]
fn protobuf_is_stored_and_known_again() {
    let mut b = Bench::new("  scrape_native_histograms: true");
    let gauge = |number| family("g_bytes", 1, "bytes", &[metric(&[("x", "y")], 2, &value(number), 0)]);
    let body = [gauge(1.0), family("h", 4, "", &[metric(&[], 7, &both(), 0)])].concat();
    let first = protobuf(&mut b, &body);
    assert_eq!((first.error, first.counts.scraped, first.counts.added), (None, 2, 2));
    let families = first.families.expect("new families");
    assert_eq!((families[0].kind, families[0].unit.as_str()), (MetricType::Gauge, "bytes"));
    // Nothing is escaped in protobuf.
    assert_eq!(families[0].help, "About \\n it.");
    let second = protobuf(&mut b, &body);
    assert_eq!((second.error, second.counts.kept, second.counts.added), (None, 2, 0));
    // A native histogram that vanishes is marked as any series.
    assert_eq!(protobuf(&mut b, &gauge(2.0)).error, None);
    assert_eq!(b.values("g_bytes")[0].1, "1 1 2");
    assert_eq!(b.values("g_bytes")[0].0, "{instance=\"h\", job=\"j\", x=\"y\"}");
    assert_eq!(samples(&b.db, "h"), "3:4:[1.0, 2.0] 3:4:[1.0, 2.0] s");
    // A body that is cut fails the scrape, and nothing of it is stored.
    let cut = protobuf(&mut b, &body[..body.len() - 1]).error.expect("refused");
    assert!(cut.starts_with("metric family \"\" at byte"), "{cut}");
    assert_eq!(b.values("g_bytes")[0].1, "1 1 2 s");
}

#[test]
fn a_target_may_change_its_format() {
    let mut b = Bench::new("");
    b.scrape("# TYPE g gauge\ng{x=\"y\"} 1\n");
    let changed = protobuf(&mut b, &family("g", 1, "", &[metric(&[("x", "y")], 2, &value(2.0), 0)]));
    assert_eq!((changed.error, changed.counts.added), (None, 1));
    // It is the same series, so that nothing vanished.
    assert_eq!(samples(&b.db, "g"), "1 2");
}

#[test]
fn one_metric_twice_is_a_duplicate() {
    let mut b = Bench::new("");
    let twice = [metric(&[], 2, &value(1.0), 0), metric(&[], 2, &value(2.0), 0)];
    let summary = protobuf(&mut b, &family("g", 1, "", &twice));
    assert_eq!((summary.error, summary.refused.duplicate), (None, 1));
    assert_eq!(samples(&b.db, "g"), "1");
}

#[test]
fn the_options_decide_which_histograms_are_stored() {
    let check = |job: &str, native: &str, count: &str| {
        let mut b = Bench::new(job);
        assert_eq!(histograms(&mut b, &both()).error, None, "{job}");
        assert_eq!(
            (samples(&b.db, "h").as_str(), samples(&b.db, "h_count").as_str()),
            (native, count),
            "{job}"
        );
    };
    check("", "", "4");
    check("  scrape_native_histograms: true", "3:4:[1.0, 2.0]", "");
    check("  convert_classic_histograms_to_nhcb: true", "-53:4:[1.0, 1.0, 2.0]", "");
    let classic_too = "  always_scrape_classic_histograms: true\n";
    check(&format!("{classic_too}  scrape_native_histograms: true"), "3:4:[1.0, 2.0]", "4");
    check(&format!("{classic_too}  convert_classic_histograms_to_nhcb: true"), "-53:4:[1.0, 1.0, 2.0]", "4");
    let mut b = Bench::new("  convert_classic_histograms_to_nhcb: true");
    let text = "# TYPE h histogram\nh_bucket{le=\"1\"} 1\nh_bucket{le=\"+Inf\"} 3\nh_sum 2\nh_count 3\n";
    for _ in 0..2 {
        let summary = b.scrape(text);
        assert_eq!((summary.error, summary.counts.scraped), (None, 1));
    }
    assert_eq!(samples(&b.db, "h"), "-53:3:[1.0, 2.0] -53:3:[1.0, 2.0]");
}

#[test]
fn histograms_with_too_many_buckets_lose_resolution_or_fail_the_scrape() {
    let native = "  scrape_native_histograms: true\n  native_histogram";
    let mut b = Bench::new(&format!("{native}_bucket_limit: 1"));
    assert_eq!(histograms(&mut b, &both()).error, None);
    assert_eq!(samples(&b.db, "h"), "2:4:[3.0]");
    let mut b = Bench::new(&format!("{native}_min_bucket_factor: 2"));
    assert_eq!(histograms(&mut b, &both()).error, None);
    assert_eq!(samples(&b.db, "h"), "0:4:[3.0]");
    let job = "  convert_classic_histograms_to_nhcb: true\n  native_histogram_bucket_limit: 2";
    let mut b = Bench::new(job);
    let failed = histograms(&mut b, &both());
    assert_eq!(failed.error.as_deref(), Some("native histogram bucket limit of 2 exceeded"));
    assert_eq!((failed.counts.kept, failed.counts.added, b.metrics.over_bucket_limit.get()), (1, 0, 1));
    assert_eq!((samples(&b.db, "h"), b.values("up")), (String::new(), own("0")));
    // Its series was not even made.
    assert_eq!(b.db.head().churn().0, 5);
}

#[test]
fn a_native_histogram_that_is_none_fails_the_scrape_unless_nobody_wants_it() {
    let wrong = message(|out| {
        out.extend_from_slice(&classic(&[], 3, 2.5));
        add_native(out, 3);
    });
    let mut b = Bench::new("  scrape_native_histograms: true");
    let error = histograms(&mut b, &wrong).error.expect("refused");
    assert!(error.contains("4 observations found in buckets, but the Count field is 3"), "{error}");
    let drop = "\n  metric_relabel_configs: [{action: drop, source_labels: [__name__], regex: h}]";
    let mut b = Bench::new(&format!("  scrape_native_histograms: true{drop}"));
    assert!(histograms(&mut b, &wrong).error.is_some());
    assert_eq!(histograms(&mut b, &both()).error, None);
    assert_eq!(histograms(&mut b, &wrong).error, None);
}

#[test]
fn exemplars_of_native_histograms_are_stored_in_order() {
    let mut b = Bench::new("  scrape_native_histograms: true");
    let histogram = message(|out| {
        out.extend_from_slice(&both());
        put_bytes(out, 16, &exemplar("first", 1.0, Some(T0)));
        put_bytes(out, 16, &exemplar("late", 1.0, Some(T0 - 500)));
    });
    for _ in 0..2 {
        assert_eq!(histograms(&mut b, &histogram).error, None);
    }
    let found = b.db.exemplars(&[], TimeRange::ALL, Watch::NONE).expect("exemplars").series;
    let all: Vec<_> = found[0].1.iter().map(|e| (e.timestamp, e.labels.get("trace_id"))).collect();
    assert_eq!(all, [(7_000, Some("timed")), (T0 - 500, Some("late")), (T0, Some("first"))]);
    assert_eq!(found.len(), 1);
}

#[test]
fn names_that_are_not_plain_are_refused_where_those_are_not_valid() {
    let check = |body: &str, legacy: bool| {
        let mut b = Bench::new(if legacy { "  metric_name_validation_scheme: legacy" } else { "" });
        b.scrape(body).error
    };
    for body in ["{\"a.b\"} 1\n", "a{\"l.x\"=\"v\"} 1\n"] {
        assert_eq!(check(body, false), None);
        let error = check(body, true).expect("refused");
        assert!(error.starts_with("invalid metric name or label names: "), "{error}");
    }
    assert_eq!(check("a:b{c=\"d.e\"} 1\n", true), None);
}

#[test]
fn more_is_reported_where_it_is_wanted() {
    let mut b = Bench::new("  extra_scrape_metrics: true\n  sample_limit: 7\n  scrape_timeout: 3s");
    b.scrape("a 1\n");
    b.scrape("nonsense\n");
    b.feed(Err(Failure::new("connection refused")));
    b.feed(Err(Failure { too_large: true, ..Failure::new("too large") }));
    assert_eq!(b.values("scrape_body_size_bytes"), own("4 9 0 -1"));
    assert_eq!(b.values("scrape_sample_limit"), own("7 7 7 7"));
    assert_eq!(b.values("scrape_timeout_seconds"), own("3 3 3 3"));
    let Bench { mut ingest, db, metrics, now, .. } = b;
    ingest.end(&db, &metrics, now, true);
    assert!(samples(&db, "scrape_timeout_seconds").ends_with("3 s"));
    let mut b = Bench::new("");
    b.scrape("a 1\n");
    assert!(b.values("scrape_body_size_bytes").is_empty());
}

fn counter(number: f64, created: i64) -> Vec<u8> {
    let value = message(|out| {
        put_float(out, 1, number);
        put_bytes(out, 3, &time(created));
    });
    metric(&[], 3, &value, 0)
}

/// When counting began for each sample of the only series called `name`, since the first moment; nothing where unknown.
fn starts(db: &Tsdb, name: &str) -> Vec<Option<i64>> {
    let matchers = [Matcher::new("__name__", MatchOp::Equal, name).expect("plain matcher")];
    let querier = db.querier(TimeRange::ALL).expect("querier");
    let set = querier.select(&SelectRequest::new(&matchers, TimeRange::ALL)).expect("select");
    let mut samples = Samples::new();
    assert_eq!(set.len(), 1, "{name}");
    set.read(0, TimeRange::ALL, &mut samples).expect("readable");
    (0..samples.len()).map(|at| samples.start(at)).map(|start| (start != 0).then(|| start - T0)).collect()
}

#[test]
fn starts_are_stored_with_samples() {
    let mut b = Bench::open("  scrape_native_histograms: true", |options| options.start_timestamps = true);
    b.ingest.read.created = true;
    b.ingest.options.starts = true;
    let body = |number, created| family("c_total", 0, "", &[counter(number, created)]);
    for (number, created) in [(5.0, T0 + 100), (6.0, T0 + 100), (1.0, T0 + 2_500), (2.0, 0)] {
        let summary = protobuf(&mut b, &body(number, created));
        assert_eq!((summary.error, summary.refused), (None, Refused::default()));
    }
    assert_eq!(samples(&b.db, "c_total"), "5 6 1 2", "without zeros");
    assert_eq!(starts(&b.db, "c_total"), [Some(100), Some(100), Some(2500), None]);
    let histogram = message(|out| {
        out.extend_from_slice(&both());
        put_bytes(out, 15, &time(T0 + 3_500));
    });
    histograms(&mut b, &histogram);
    assert_eq!(starts(&b.db, "h"), [Some(3500)]);
    let text = format!("# TYPE o counter\no_total 3\no_created {}.5\n# EOF\n", T0 / 1000 + 4);
    let summary = b.feed(Ok((text.as_bytes(), Encoding::Text(Format::OpenMetrics))));
    assert_eq!((summary.error, summary.counts.scraped), (None, 1));
    assert_eq!((starts(&b.db, "o_total"), samples(&b.db, "o_created").as_str()), (vec![Some(4500)], ""));
    assert_eq!(starts(&b.db, "up"), [None; 6]);
}

#[test]
fn counting_begins_with_a_zero() {
    let mut b = Bench::new("  scrape_native_histograms: true");
    b.ingest.read.created = true;
    b.ingest.options.created_zeros = true;
    // The one that was fed first is one second after the start.
    let body = |number, created| family("c_total", 0, "", &[counter(number, created)]);
    for (number, created) in [(5.0, T0 + 100), (6.0, T0 + 100), (1.0, T0 + 2_500)] {
        let summary = protobuf(&mut b, &body(number, created));
        assert_eq!((summary.error, summary.refused), (None, Refused::default()));
    }
    assert_eq!(samples(&b.db, "c_total"), "0 5 6 0 1");
    assert_eq!(timestamps(&b.db, "c_total"), [100, 1000, 2000, 2500, 3000]);
    // One that is older than anything taken, or is to come, says nothing.
    for created in [5, T0 + 1_000_000] {
        let summary = protobuf(&mut b, &family("d_total", 0, "", &[counter(1.0, created)]));
        assert_eq!((summary.error, summary.refused), (None, Refused::default()));
    }
    assert_eq!(samples(&b.db, "d_total"), "1 1");
    let histogram = message(|out| {
        out.extend_from_slice(&both());
        put_bytes(out, 15, &time(T0 + 5_500));
    });
    histograms(&mut b, &histogram);
    assert_eq!(samples(&b.db, "h"), "3:0:[] 3:4:[1.0, 2.0]");
    let text = format!("# TYPE o counter\no_total 3\no_created {}.5\n# EOF\n", T0 / 1000 + 6);
    let summary = b.feed(Ok((text.as_bytes(), Encoding::Text(Format::OpenMetrics))));
    assert_eq!((summary.error, summary.counts.scraped), (None, 1));
    assert_eq!((samples(&b.db, "o_total").as_str(), samples(&b.db, "o_created").as_str()), ("0 3", ""));
}
