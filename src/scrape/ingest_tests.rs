//! Tests of one target's ingest against a real database in a temporary directory.

use super::*;
use crate::config::{LoadOptions, parse};
use crate::expfmt::Format;
use crate::model::{MatchOp, Matcher, Samples, TimeRange, is_stale};
use crate::scrape::summary::Counts;
use crate::storage::{Queryable as _, SelectRequest, Watch};
use crate::telemetry::Registry;
use crate::tsdb::space::DiskSpace;
use crate::tsdb::{Limits, TsdbOptions};
use crate::util::ManualClock;

pub(super) const T0: i64 = 1_700_000_000_000;

pub(super) struct Bench {
    pub(super) db: Tsdb,
    pub(super) ingest: Ingest,
    pub(super) metrics: ScrapeMetrics,
    pub(super) now: i64,
    pub(super) clock: Arc<ManualClock>,
    dir: tempfile::TempDir,
}

impl Bench {
    pub(super) fn new(job: &str) -> Self {
        Self::open(job, |_| {})
    }

    pub(super) fn with(change: impl FnOnce(&mut TsdbOptions)) -> Self {
        Self::open("", change)
    }

    pub(super) fn open(job: &str, change: impl FnOnce(&mut TsdbOptions)) -> Self {
        let dir = tempfile::tempdir().expect("temporary directory");
        let mut registry = Registry::default();
        let clock = Arc::new(ManualClock::new(T0));
        let mut options = TsdbOptions::new(dir.path());
        change(&mut options);
        let db =
            Tsdb::open(options, Arc::<ManualClock>::clone(&clock), &mut registry).expect("database opens");
        let text = format!("scrape_configs:\n- job_name: j\n{job}");
        let config = parse(&text, "f", &LoadOptions::default()).expect("valid");
        let labels = Labels::from_pairs([("instance", "h"), ("job", "j")]);
        let job = &config.scrape_configs[0];
        let target = Target::plain(job, labels);
        let ingest = Ingest::new(
            Arc::clone(job),
            &target,
            ScrapeOptions::default(),
            Families::new(&Arc::default()),
            &JobQuota::new(job),
            &db,
        );
        Self { db, ingest, metrics: ScrapeMetrics::new(&mut registry), now: T0, clock, dir }
    }

    pub(super) fn scrape(&mut self, body: &str) -> Summary {
        self.feed(Ok((body.as_bytes(), Encoding::Text(Format::Text))))
    }

    pub(super) fn feed(&mut self, body: Result<(&[u8], Encoding), Failure>) -> Summary {
        self.now += 1000;
        self.ingest.scrape(&self.db, &self.metrics, self.now, body, || Duration::from_millis(5))
    }

    pub(super) fn values(&self, name: &str) -> Vec<(String, String)> {
        values(&self.db, name)
    }
}

/// Series called `name`: labels beside the name, and values with `s` for stale.
pub(in crate::scrape) fn values(db: &Tsdb, name: &str) -> Vec<(String, String)> {
    let matchers = [Matcher::new("__name__", MatchOp::Equal, name).expect("plain matcher")];
    let querier = db.querier(TimeRange::ALL).expect("querier");
    let set = querier.select(&SelectRequest::new(&matchers, TimeRange::ALL)).expect("select");
    let mut samples = Samples::new();
    let mut out = Vec::new();
    for at in 0..set.len() {
        set.read(at, TimeRange::ALL, &mut samples).expect("readable");
        let text: Vec<String> =
            samples.iter().map(|(_, v)| if is_stale(v) { "s".to_owned() } else { v.to_string() }).collect();
        out.push((set.labels(at).without(|n| n == "__name__").to_string(), text.join(" ")));
    }
    out
}

pub(super) fn own(values: &str) -> Vec<(String, String)> {
    vec![("{instance=\"h\", job=\"j\"}".to_owned(), values.to_owned())]
}

#[test]
fn stores_samples_and_reports() {
    let mut b = Bench::new("");
    let first = b.scrape("# TYPE a counter\n# HELP a help\na 1\nb{x=\"y\"} 2\n");
    assert_eq!(first.error, None);
    assert_eq!(first.counts, Counts { scraped: 2, kept: 2, added: 2 });
    assert_eq!(first.families.expect("new families")[0].help, "help");
    let second = b.scrape("# TYPE a counter\n# HELP a help\na 3\nb{x=\"y\"} 2\n");
    assert_eq!(second.counts, Counts { scraped: 2, kept: 2, added: 0 });
    assert!(second.families.is_none());
    assert_eq!(b.values("a"), own("1 3"));
    assert_eq!(b.values("b")[0].0, "{instance=\"h\", job=\"j\", x=\"y\"}");
    assert_eq!(b.values("up"), own("1 1"));
    assert_eq!(b.values("scrape_series_added"), own("2 0"));
    assert_eq!(b.values("scrape_duration_seconds"), own("0.005 0.005"));
}

#[test]
fn series_that_vanish_are_marked_once() {
    let mut b = Bench::new("");
    b.scrape("a 1\nb 1\n");
    b.scrape("b 2\n");
    b.scrape("b 3\n");
    b.scrape("b 4\na 5\n");
    assert_eq!(b.values("a"), own("1 s 5"));
    assert_eq!(b.values("b"), own("1 2 3 4"));
}

#[test]
fn a_failed_scrape_marks_everything_and_stores_nothing() {
    let mut b = Bench::new("");
    b.scrape("a 1\n");
    b.feed(Err(Failure::new("connection refused")));
    b.feed(Err(Failure::new("connection refused")));
    b.scrape("a 2\n");
    let broken = b.scrape("a 3\nnonsense\n");
    assert!(broken.error.expect("refused").starts_with("line 2:"));
    assert_eq!(b.values("a"), own("1 s 2 s"));
    assert_eq!(b.values("up"), own("1 0 0 1 0"));
    assert_eq!(b.values("scrape_samples_scraped"), own("1 0 0 1 1"));
    assert!(b.values("nonsense").is_empty());
}

/// What is known of a family is compared; what is new is found nevertheless.
#[test]
fn what_families_say_anew_is_found() {
    let mut b = Bench::new("");
    let both = |a: &str, b: &str| {
        format!("# HELP a {a}\n# TYPE a gauge\na 1\n# HELP b {b}\n# TYPE b counter\nb 1\n")
    };
    let mut check = |body: &str, expected: &[&str]| {
        let summary = b.scrape(body);
        assert_eq!(summary.error, None);
        let families = summary.families.iter().flat_map(|all| all.iter());
        let said: Vec<String> =
            families.map(|f| format!("{} {} {}", f.name, f.kind.name(), f.help)).collect();
        assert_eq!(said, expected, "{body}");
    };
    check(&both("x", "y"), &["a gauge x", "b counter y"]);
    check(&both("x", "y"), &[]);
    check(&both("x", "new"), &["a gauge x", "b counter new"]);
    check(&both("x", "new").replace("gauge", "counter"), &["a counter x", "b counter new"]);
    check(&both("x", "new").replace("gauge", "counter"), &[]);
    check(&both("\\\\", "new"), &["a gauge \\", "b counter new"]);
    check(&both("\\\\", "new"), &[]);
    // In between one is not told of; then it is forgotten.
    for _ in 0..9 {
        check("# HELP a \\\\\n# TYPE a gauge\na 1\n", &[]);
    }
    check(&both("\\\\", "new"), &[]);
    for _ in 0..10 {
        check("# HELP b new\n# TYPE b counter\nb 1\n", &[]);
    }
    check("# HELP b new\n# TYPE b counter\nb 1\n", &["b counter new"]);
}

#[test]
fn families_of_scrapes_that_fail_are_forgotten_as_others_are() {
    let mut b = Bench::new("");
    for scrape in 0..50 {
        let families =
            (0..10).map(|n| format!("# TYPE f{scrape}_{n} gauge")).collect::<Vec<_>>().join("\n") + "\n";
        assert!(b.scrape(&format!("{families}nonsense\n")).error.is_some());
    }
    assert_eq!(b.ingest.families.len(), 11 * 10);
}

#[test]
fn an_empty_body_is_a_scrape_without_samples() {
    let mut b = Bench::new("");
    b.scrape("a 1\n");
    assert_eq!(b.feed(Ok((b"", Encoding::Text(Format::OpenMetrics)))).error, None);
    assert_eq!(b.scrape("").error, None);
    assert_eq!(b.values("a"), own("1 s"));
    assert_eq!(b.values("up"), own("1 1 1"));
    // A single line end is a body, and in OpenMetrics one without its end mark.
    assert!(b.feed(Ok((b"\n", Encoding::Text(Format::OpenMetrics)))).error.is_some());
}

#[test]
fn the_text_of_a_failure_is_short_and_printable() {
    let mut b = Bench::new("  label_name_length_limit: 10");
    let name = "n".repeat(1 << 20);
    for body in [format!("a{{{name}=\"x\"}} 1\n"), format!("a{{{name}=\"x\",{name}=\"y\"}} 1\n")] {
        let error = b.scrape(&body).error.expect("refused");
        assert!(error.len() <= 1 << 10, "{} bytes", error.len());
    }
    let error = b.feed(Err(Failure::new("\u{1b}[2J".repeat(1 << 16)))).error.expect("failed");
    assert!(error.starts_with("\\u{1b}[2J") && error.len() < 4 << 10 && !error.contains('\u{1b}'));
}

#[test]
fn an_exposed_label_that_is_empty_is_there_for_honor_labels() {
    let labels = |job: &str, body: &str| {
        let mut b = Bench::new(job);
        b.scrape(body);
        b.values("a").into_iter().map(|(labels, _)| labels).collect::<Vec<_>>()
    };
    let body = "a{instance=\"\",x=\"\"} 1\n";
    assert_eq!(labels("  honor_labels: true", body), ["{job=\"j\"}"]);
    assert_eq!(labels("", body), ["{instance=\"h\", job=\"j\"}"]);
    // What is empty does not take a name that a label must move to.
    let body = "a{job=\"o\",exported_job=\"\"} 1\n";
    assert_eq!(labels("", body), ["{exported_job=\"o\", instance=\"h\", job=\"j\"}"]);
}

#[test]
fn the_end_of_a_target_marks_reports_too() {
    let mut b = Bench::new("");
    b.scrape("a 1\n");
    let Bench { mut ingest, db, metrics, now, .. } = b;
    ingest.end(&db, &metrics, now, true);
    assert_eq!(values(&db, "a"), own("1 s"));
    assert_eq!(values(&db, "up"), own("1 s"));
}

#[test]
fn what_another_loop_left_goes_stale_unless_it_comes_again() {
    let mut b = Bench::new("");
    b.scrape("a 1\nb 1\n");
    let target = Target::plain(&b.ingest.job, b.ingest.labels.clone());
    let fresh = Ingest::new(
        Arc::clone(&b.ingest.job),
        &target,
        ScrapeOptions::default(),
        Families::new(&Arc::default()),
        &JobQuota::new(&b.ingest.job),
        &b.db,
    );
    let mut old = std::mem::replace(&mut b.ingest, fresh);
    b.ingest.inherit(old.take_legacy());
    b.scrape("a 2\n");
    b.scrape("a 3\n");
    assert_eq!(b.values("a"), own("1 2 3"));
    assert_eq!(b.values("b"), own("1 s"));
}

#[test]
fn exposed_timestamps_are_excluded_from_staleness_unless_tracked() {
    let body = format!("a 1 {T0}\n");
    let mut b = Bench::new("");
    b.scrape(&body);
    b.scrape("");
    assert_eq!(b.values("a"), own("1"));
    let mut b = Bench::new("  track_timestamps_staleness: true\n");
    b.scrape(&body);
    b.scrape("");
    assert_eq!(b.values("a"), own("1 s"));
    let mut b = Bench::new("  honor_timestamps: false\n");
    b.scrape(&body);
    b.scrape(&body);
    b.scrape("");
    assert_eq!(b.values("a"), own("1 1 s"));
}

#[test]
fn duplicates_and_bad_times_are_counted_and_skipped() {
    let mut b = Bench::new("");
    let far = T0 + 3_600_000;
    let summary = b.scrape(&format!("a 1\na 2\nb 1 {far}\nc 1 {T0}\n"));
    assert_eq!((summary.error, summary.counts.kept), (None, 4));
    b.scrape(&format!("a 1\nc 2 {T0}\nd 1 {}\n", T0 - 5));
    b.scrape(&format!("c 3 {}\n", T0 - 1));
    assert_eq!(b.values("a"), own("1 1 s"));
    assert_eq!(b.metrics.duplicates.get(), 2);
    assert_eq!(b.metrics.out_of_bounds.get(), 1);
    assert_eq!(b.metrics.out_of_order.get(), 1);
}

#[test]
fn limits_fail_the_scrape() {
    let check = |job: &str, body: &str, expected: &str, counts: Option<Counts>| {
        let mut b = Bench::new(job);
        let summary = b.scrape(body);
        assert!(summary.error.as_deref().unwrap_or("").contains(expected), "{job}: {:?}", summary.error);
        assert!(b.values("a").is_empty());
        assert_eq!(b.values("up"), own("0"));
        if let Some(counts) = counts {
            assert_eq!(summary.counts, counts);
        }
    };
    check(
        "  sample_limit: 1\n",
        "a 1\nb 1\nc 1\n",
        "sample limit of 1",
        Some(Counts { scraped: 3, kept: 3, added: 1 }),
    );
    check("  label_limit: 3\n", "a{x=\"1\"} 1\n", "label limit", None);
    check(
        "  label_name_length_limit: 8\n",
        "a{longer_name=\"1\"} 1\n",
        "name of label \"longer_name\"",
        None,
    );
    check("  label_value_length_limit: 3\n", "a{x=\"12345\"} 1\n", "value of label \"x\"", None);
    check(
        "  metric_relabel_configs: [{action: labeldrop, regex: __name__}]\n",
        "a 1\n",
        "metric name missing",
        None,
    );
    check("", "a{x=\"1\",x=\"2\"} 1\n", "duplicate label", None);
}

#[test]
fn an_error_echoes_no_more_than_a_part_of_long_labels() {
    let long = "v".repeat(100_000);
    for (job, body) in [
        ("  label_limit: 1\n", format!("a{{b=\"{long}\"}} 1\n")),
        ("  label_name_length_limit: 10\n", format!("a{{b{long}=\"c\"}} 1\n")),
        ("", format!("a{{b{long}=\"c\",b{long}=\"c\"}} 1\n")),
        ("", format!("a{{{long}}} 1\n")),
    ] {
        let error = Bench::new(job).scrape(&body).error.expect("fails");
        assert!(error.len() < 500, "{} bytes: {error:.500}", error.len());
    }
}

#[test]
fn a_scrape_within_the_sample_limit_after_relabelling_is_fine() {
    let rule = "  metric_relabel_configs: [{action: drop, source_labels: [__name__], regex: 'b|c'}]\n";
    let mut b = Bench::new(&format!("  sample_limit: 1\n{rule}"));
    for _ in 0..2 {
        let summary = b.scrape("a 1\nb 1\nc 1\n");
        assert_eq!(summary.error, None);
        assert_eq!((summary.counts.scraped, summary.counts.kept), (3, 1));
    }
    assert_eq!(b.values("scrape_series_added"), own("1 0"));
}

#[test]
fn labels_in_conflict_move_or_win() {
    let check = |honor: bool, exposed: &[(&str, &str)], expected: &[(&str, &str)]| {
        let mut buffer = LabelsBuf::new();
        buffer.reset_to(&Labels::from_pairs(exposed.iter().copied()));
        merge(&mut buffer, &Labels::from_pairs([("foo", "t"), ("job", "j")]), honor);
        assert_eq!(buffer.to_labels(), Labels::from_pairs(expected.iter().copied()), "{exposed:?}");
    };
    check(false, &[("x", "1")], &[("foo", "t"), ("job", "j"), ("x", "1")]);
    check(false, &[("foo", "1")], &[("exported_foo", "1"), ("foo", "t"), ("job", "j")]);
    check(
        false,
        &[("foo", "1"), ("exported_foo", "2")],
        &[("exported_exported_foo", "1"), ("exported_foo", "2"), ("foo", "t"), ("job", "j")],
    );
    check(true, &[("foo", "1")], &[("foo", "1"), ("job", "j")]);
    check(true, &[("foo", "1"), ("exported_foo", "2")], &[("exported_foo", "2"), ("foo", "1"), ("job", "j")]);
    check(
        false,
        &[("foo", "1"), ("exported_foo", "2"), ("exported_exported_foo", "3"), ("job", "4")],
        &[
            ("exported_exported_exported_foo", "1"),
            ("exported_exported_foo", "3"),
            ("exported_foo", "2"),
            ("exported_job", "4"),
            ("foo", "t"),
            ("job", "j"),
        ],
    );
}

#[test]
fn of_labels_in_conflict_the_shortest_move_first() {
    let mut buffer = LabelsBuf::new();
    buffer.reset_to(&Labels::from_pairs([("foo", "1"), ("exported_foo", "2")]));
    merge(&mut buffer, &Labels::from_pairs([("foo", "t"), ("exported_foo", "u")]), false);
    let expected = [
        ("exported_exported_exported_foo", "2"),
        ("exported_exported_foo", "1"),
        ("exported_foo", "u"),
        ("foo", "t"),
    ];
    assert_eq!(buffer.to_labels(), Labels::from_pairs(expected));
}

#[test]
fn rules_for_series_see_the_name_and_leave_the_reports_alone() {
    let rules = "  metric_relabel_configs:\n  - {source_labels: [__name__], regex: 'a(.*)', target_label: __name__, \
                 replacement: 'b$1'}\n  - {target_label: x, replacement: y}\n  \
                 - {source_labels: [__name__], regex: 'drop|up|scrape_.*', action: drop}\n";
    let mut b = Bench::new(rules);
    for _ in 0..2 {
        assert_eq!(b.scrape("a1 1\ndrop 2\n").error, None);
    }
    assert!(b.values("a1").is_empty() && b.values("drop").is_empty());
    assert_eq!(b.values("b1")[0].0, "{instance=\"h\", job=\"j\", x=\"y\"}");
    for (name, values) in [
        ("up", "1 1"),
        ("scrape_duration_seconds", "0.005 0.005"),
        ("scrape_samples_scraped", "2 2"),
        ("scrape_samples_post_metric_relabeling", "1 1"),
        ("scrape_series_added", "1 0"),
    ] {
        assert_eq!(b.values(name), own(values), "{name}");
    }
}

/// As in Prometheus: the report comes after the samples of the target, and is a second sample of the same time.
#[test]
fn an_exposed_series_that_is_called_as_a_report_takes_its_place() {
    let mut b = Bench::new("");
    assert_eq!(b.scrape("up 5\na 1\n").error, None);
    assert_eq!((b.values("up"), b.values("scrape_samples_scraped")), (own("5"), own("2")));
    // When the target is down, its series goes stale first; after that there is the report alone.
    for _ in 0..2 {
        b.feed(Err(Failure::new("connection refused")));
    }
    assert_eq!(b.values("up"), own("5 s 0"));
}

#[test]
fn limits_are_met_when_they_are_reached_and_broken_behind_that() {
    let check = |limit: &str, body: &str, fits: bool| {
        let error = Bench::new(&format!("  {limit}\n")).scrape(body).error;
        assert_eq!(error.is_none(), fits, "{limit}: {error:?}");
    };
    check("sample_limit: 2", "a 1\nb 1\n", true);
    check("sample_limit: 2", "a 1\nb 1\nc 1\n", false);
    // Name, instance and job count too.
    check("label_limit: 4", "a{b=\"c\"} 1\n", true);
    check("label_limit: 3", "a{b=\"c\"} 1\n", false);
    check("label_name_length_limit: 8", "a{b=\"c\"} 1\n", true);
    check("label_name_length_limit: 7", "a{b=\"c\"} 1\n", false);
    // Bytes, not characters.
    check("label_value_length_limit: 4", "a{b=\"\u{e9}\u{e9}\"} 1\n", true);
    check("label_value_length_limit: 3", "a{b=\"\u{e9}\u{e9}\"} 1\n", false);
    check("label_value_length_limit: 3", "long_name 1\n", false);
}

#[test]
fn a_marker_is_written_whatever_the_limit() {
    let mut b = Bench::new("  sample_limit: 2\n");
    b.scrape("a 1\nb 1\n");
    assert!(b.scrape("a 2\nb 2\nc 2\nd 2\n").error.is_some());
    assert_eq!((b.values("a"), b.values("b")), (own("1 s"), own("1 s")));
    assert!(b.values("c").is_empty());
    assert_eq!(b.values("scrape_samples_scraped"), own("2 4"));
}

#[test]
fn exemplars_and_metadata_come_with_the_samples() {
    let mut b = Bench::new("");
    let body = |trace: &str| {
        format!(
            "# TYPE a counter\n# HELP a Help \\\\ text.\na_total 1 # {{trace_id=\"{trace}\"}} 0.5\n# TYPE h histogram\n\
             h_bucket{{le=\"1\"}} 1 # {{trace_id=\"h\",n=\"1\"}} 0.25 1700000000.5\nh_bucket{{le=\"+Inf\"}} 1 # {{n=\"1\",n=\"2\"}} 2\n\
             b 1\n# EOF\n"
        )
    };
    let exemplars = |b: &Bench| {
        let found = b.db.exemplars(&[], TimeRange::ALL, Watch::NONE).expect("exemplars").series;
        let series = found.into_iter().map(|(labels, all)| {
            let all = all.into_iter().map(|e| (e.timestamp - T0, e.value, e.labels.to_string()));
            (labels.metric_name().to_owned(), all.collect::<Vec<_>>())
        });
        series.collect::<Vec<_>>()
    };
    let bucket = ("h_bucket".to_owned(), vec![(500, 0.25, "{n=\"1\", trace_id=\"h\"}".to_owned())]);
    for trace in ["x", "x", "y"] {
        let summary = b.feed(Ok((body(trace).as_bytes(), Encoding::Text(Format::OpenMetrics))));
        assert_eq!(summary.error, None);
    }
    // The same again says nothing new; one without a timestamp has that of its sample.
    let total = |at, trace: &str| (at, 0.5, format!("{{trace_id=\"{trace}\"}}"));
    assert_eq!(exemplars(&b), [("a_total".to_owned(), vec![total(1000, "x"), total(3000, "y")]), bucket]);
    let known = b.db.metadata(Some("a")).expect("metadata");
    assert_eq!((known[0].1.kind.name(), known[0].1.help.as_str()), ("counter", "Help \\ text."));
    // A scrape that fails leaves none.
    let failed = b.feed(Ok((
        format!("c 1 # {{}} 1\n{}", body("z").replace("b 1", "b x")).as_bytes(),
        Encoding::Text(Format::OpenMetrics),
    )));
    assert!(failed.error.is_some());
    assert_eq!(exemplars(&b).len(), 2);
}

/// The series of a job as its scrapes make them, types and units being labels: name, labels beside, values.
fn typed(job: &str, bodies: &[&str]) -> Vec<String> {
    let mut b = Bench::new(job);
    b.ingest.options.type_and_unit_labels = true;
    for body in bodies {
        let summary = b.feed(Ok((body.as_bytes(), Encoding::Text(Format::OpenMetrics))));
        assert_eq!(summary.error, None, "{body}");
    }
    let names = ["a_seconds", "b_total", "c", "d", "h_bucket", "up"];
    let all = names.iter().flat_map(|name| {
        b.values(name).into_iter().map(move |(labels, values)| {
            format!("{name}{} {values}", labels.replace("instance=\"h\", job=\"j\"", "-"))
        })
    });
    all.collect()
}

#[test]
fn types_and_units_become_labels() {
    let body = "# TYPE a_seconds gauge\n# UNIT a_seconds seconds\na_seconds{x=\"y\"} 1\n# TYPE b counter\nb_total 2\n\
                # TYPE c unknown\nc{__type__=\"mine\",__unit__=\"own\"} 3\n\
                # TYPE d info\nd{__type__=\"mine\",__unit__=\"own\"} 4\n\
                # TYPE h histogram\nh_bucket{le=\"1\"} 5\n# EOF\n";
    assert_eq!(
        typed("", &[body, body]),
        [
            "a_seconds{__type__=\"gauge\", __unit__=\"seconds\", -, x=\"y\"} 1 1",
            "b_total{__type__=\"counter\", -} 2 2",
            "c{__type__=\"mine\", __unit__=\"own\", -} 3 3",
            "d{__type__=\"info\", __unit__=\"own\", -} 4 4",
            "h_bucket{__type__=\"histogram\", -, le=\"1.0\"} 5 5",
            "up{-} 1 1",
        ]
    );
    // Relabelling sees them, and may change them.
    let rules = "  metric_relabel_configs:\n  - {source_labels: [__type__], regex: counter|info, action: drop}\n  \
                 - {source_labels: [__type__], target_label: kind}\n  \
                 - {source_labels: [__unit__], regex: seconds, target_label: __unit__, replacement: s}\n";
    assert_eq!(
        typed(rules, &[body]),
        [
            "a_seconds{__type__=\"gauge\", __unit__=\"s\", -, kind=\"gauge\", x=\"y\"} 1",
            "c{__type__=\"mine\", __unit__=\"own\", -, kind=\"mine\"} 3",
            "h_bucket{__type__=\"histogram\", -, kind=\"histogram\", le=\"1.0\"} 5",
            "up{-} 1",
        ]
    );
}

#[test]
fn a_family_of_another_type_has_other_series() {
    let gauge = "# TYPE a_seconds gauge\na_seconds 1\n# EOF\n";
    let counter = "# TYPE a_seconds counter\n# UNIT a_seconds seconds\na_seconds 2\n# EOF\n";
    assert_eq!(
        typed("", &[gauge, counter, counter, gauge]),
        [
            "a_seconds{__type__=\"counter\", __unit__=\"seconds\", -} 2 2 s",
            "a_seconds{__type__=\"gauge\", -} 1 s 1",
            "up{-} 1 1 1 1",
        ]
    );
}

/// A bench whose disk has no room while there is a file `full` in the data directory.
fn on_a_disk_that_fills() -> Bench {
    Bench::with(|options| {
        options.background = false;
        options.space_probe = |dir| {
            let available = if dir.join("full").exists() { 0 } else { 1 << 40 };
            Ok(DiskSpace { total: 1 << 40, available })
        };
    })
}

impl Bench {
    fn set_full(&self, full: bool) {
        let file = self.dir.path().join("full");
        if full { std::fs::write(file, "") } else { std::fs::remove_file(file) }.expect("file");
        self.db.maintain().expect("looks at the disk");
    }
}

#[test]
fn what_vanished_while_nothing_could_be_stored_goes_stale_afterwards() {
    let mut b = on_a_disk_that_fills();
    let told = "# HELP a help\n";
    b.scrape("a 1\nb 1\nc 1\n");
    b.set_full(true);
    let failed = b.scrape(&format!("{told}a 2\nc 2\nd 2\n"));
    assert!(failed.error.expect("disk is full").contains("nearly full"));
    // What fails twice is not live either.
    b.feed(Err(Failure::new("connection refused")));
    b.set_full(false);
    assert_eq!(b.scrape(&format!("{told}a 3\n")).error, None);
    b.scrape("a 4\n");
    assert_eq!(b.values("a"), own("1 3 4"));
    assert_eq!(b.values("b"), own("1 s"));
    assert_eq!(b.values("c"), own("1 s"));
    assert!(b.values("d").is_empty());
    assert_eq!(b.db.metadata(Some("a")).expect("metadata")[0].1.help, "help");
}

#[test]
fn a_series_that_is_removed_while_it_is_scraped_is_made_again() {
    let mut b = Bench::new("");
    b.scrape("a 1\nb 1\n");
    let other = Labels::from_pairs([("__name__", "other")]);
    b.scrape("b 2\n");
    // Half a day later; the last blocks are cut while the scrape is under way.
    b.clock.set(T0 + 12 * 3_600_000);
    let mut appender = b.db.appender(None);
    let series = appender.series(&other);
    for hour in 1..=12 {
        appender.append(series, T0 + hour * 3_600_000, 1.0);
    }
    appender.commit(CommitMode::Each).expect("stored");
    b.now = T0 + 12 * 3_600_000;
    let body: &[u8] = b"a 3\nb 3\nnew 3\n";
    let summary = b.ingest.scrape(&b.db, &b.metrics, b.now, Ok((body, Encoding::Text(Format::Text))), || {
        b.db.maintain().expect("cuts");
        Duration::from_millis(5)
    });
    assert_eq!((summary.error, summary.counts.scraped), (None, 3));
    for name in ["a", "b", "new", "up"] {
        let values = b.values(name);
        assert!(values[0].1.ends_with(if name == "up" { "1" } else { "3" }), "{name} {values:?}");
    }
    assert_eq!(b.metrics.duplicates.get(), 0);
    // And it is followed as before.
    b.now += 1000;
    b.scrape("a 4\n");
    assert!(b.values("b")[0].1.ends_with("3 s"));
    assert!(b.values("new")[0].1.ends_with("3 s"));
}

#[test]
fn samples_behind_a_clock_that_was_ahead_are_told_until_order_allows_them() {
    let mut b = Bench::new("");
    b.now += 60_000;
    assert_eq!(b.scrape("a 1\n").refused, Refused::default());
    // The clock is set right.
    b.now -= 60_000;
    let summary = b.scrape("a 2\nb 2\n");
    assert_eq!(summary.error, None);
    // The series and the five of the report.
    assert_eq!(summary.refused, Refused { out_of_order: 6, ..Refused::default() });
    assert_eq!((b.values("a"), b.values("b")), (own("1"), own("2")));
    // With a window for late samples they are taken at once.
    let closed = b.db.limits();
    b.db.set_limits(Limits { out_of_order_ms: 120_000, ..closed }).expect("limits");
    assert_eq!(b.scrape("a 2.5\nb 2.5\n").refused, Refused::default());
    b.db.set_limits(closed).expect("limits");
    b.now += 60_000;
    assert_eq!(b.scrape("a 3\nb 3\n").refused, Refused::default());
    assert_eq!(b.values("a"), own("2.5 1 3"));
    let summary = b.scrape(&format!("c 1 {}\nd 1\nd 1\n", T0 + 3_600_000));
    assert_eq!(summary.refused, Refused { too_far_ahead: 1, duplicate: 1, ..Refused::default() });
}

#[test]
fn a_target_that_once_had_many_series_gives_their_memory_back() {
    let mut b = Bench::new("");
    let many: Vec<String> = (0..20_000).map(|number| format!("a{{number=\"{number}\"}} 1\n")).collect();
    let many = many.concat();
    b.scrape(&many);
    b.scrape("a 1\n");
    b.scrape("a 1\n");
    assert!(b.ingest.cache.room() < 100, "{}", b.ingest.cache.room());
}

#[test]
fn a_series_that_no_database_takes_fails_the_scrape_by_name() {
    let mut b = Bench::new("");
    let labels: Vec<String> = (0..70_000).map(|n| format!("label_{n:05}=\"v\"")).collect();
    let long = "v".repeat(2 << 20);
    for (body, reason) in [
        (
            format!("a 1\nmany{{{}}} 1\n", labels.join(",")),
            "series has 70003 labels, the limit is 65536: many{",
        ),
        (format!("a 1\nlong{{l=\"{long}\"}} 1\n"), "the limit is 1048576: long{"),
    ] {
        let error = b.scrape(&body).error.expect("it fails");
        assert!(error.contains(reason) && error.len() < 500, "{error}");
    }
    assert_eq!(b.scrape("a 1\n").error, None);
    assert_eq!(b.values("a"), own("1"));
}
