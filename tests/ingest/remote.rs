//! Remote write into a database: native histograms, exemplars and metadata of both versions of the protocol.

use std::sync::Arc;

use emberkeep::codec::protobuf::{put_bytes, put_float, put_varint};
use emberkeep::model::histogram::{Buckets, ResetHint, Span};
use emberkeep::model::{Exemplar, Histogram, Labels, Matcher, MetricType, Samples, TimeRange};
use emberkeep::remote::message::put_series;
use emberkeep::remote::{ReceiveError, Receiver, Written};
use emberkeep::storage::{Queryable as _, SelectRequest, Watch};
use emberkeep::telemetry::Registry;
use emberkeep::tsdb::{Limits, Tsdb, TsdbOptions};
use emberkeep::util::ManualClock;

const NOW: i64 = 1_700_000_000_000;

struct Bench {
    db: Arc<Tsdb>,
    receiver: Receiver,
    _dir: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("dir");
        let mut registry = Registry::default();
        let clock = Arc::new(ManualClock::new(NOW));
        let db = Arc::new(Tsdb::open(TsdbOptions::new(dir.path()), clock, &mut registry).expect("open"));
        Self { receiver: Receiver::new(Arc::clone(&db), &mut registry), db, _dir: dir }
    }

    fn write(&self, body: &[u8]) -> Result<(), ReceiveError> {
        self.receiver.write(&snap::raw::Encoder::new().compress_vec(body).expect("compress"))
    }

    fn write_v2(&self, body: &[u8]) -> Result<Written, ReceiveError> {
        let body = snap::raw::Encoder::new().compress_vec(body).expect("compress");
        self.receiver.commit_v2(&self.receiver.inflate(&body)?)
    }

    fn read(&self, name: &str) -> Samples {
        let querier = self.db.querier(TimeRange::ALL).expect("querier");
        let matchers = [Matcher::equal("__name__", name)];
        let set = querier.select(&SelectRequest::new(&matchers, TimeRange::ALL)).expect("select");
        let mut samples = Samples::new();
        if !set.is_empty() {
            assert_eq!(set.len(), 1);
            set.read(0, TimeRange::ALL, &mut samples).expect("read");
        }
        samples
    }

    fn exemplars(&self) -> Vec<(String, Vec<Exemplar>)> {
        let found = self.db.exemplars(&[], TimeRange::ALL, Watch::NONE).expect("exemplars").series;
        found.into_iter().map(|(labels, all)| (labels.metric_name().to_owned(), all)).collect()
    }
}

fn message(put: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut out = Vec::new();
    put(&mut out);
    out
}

/// As protobuf codes signed numbers.
fn signed(number: i64) -> u64 {
    (number << 1 ^ number >> 63).cast_unsigned()
}

fn span(offset: i64, length: u64) -> Vec<u8> {
    message(|m| {
        put_varint(m, 1, signed(offset));
        put_varint(m, 2, length);
    })
}

/// An integer histogram of buckets 1 to 3 with `first`, 2 and 0 observations, and one in the zero bucket.
fn integer_message(timestamp: i64, first: u64) -> Vec<u8> {
    message(|m| {
        put_varint(m, 1, first + 3);
        put_float(m, 3, 4.5);
        put_varint(m, 4, signed(3));
        put_float(m, 5, 0.001);
        put_varint(m, 6, 1);
        put_bytes(m, 11, &span(1, 3));
        let deltas = [first.cast_signed(), 2 - first.cast_signed(), -2];
        let deltas: Vec<u8> = deltas.map(|d| u8::try_from(signed(d)).expect("small")).into();
        put_bytes(m, 12, &deltas);
        put_varint(m, 14, 2);
        put_varint(m, 15, timestamp.cast_unsigned());
    })
}

fn integer(first: f64) -> Histogram {
    Histogram {
        schema: 3,
        zero_threshold: 0.001,
        zero_count: 1.0,
        count: first + 3.0,
        sum: 4.5,
        positive: Buckets { spans: vec![Span { offset: 1, length: 3 }], counts: vec![first, 2.0, 0.0] },
        reset_hint: ResetHint::NotReset,
        integer: true,
        ..Histogram::default()
    }
}

/// A float histogram with custom bounds.
fn custom_message(timestamp: i64, bounds: &[f64]) -> Vec<u8> {
    message(|m| {
        put_float(m, 2, 2.5);
        put_float(m, 3, 1.5);
        put_varint(m, 4, signed(-53));
        put_bytes(m, 11, &span(0, 2));
        put_float(m, 13, 1.5);
        put_float(m, 13, 1.0);
        put_varint(m, 15, timestamp.cast_unsigned());
        bounds.iter().for_each(|bound| put_float(m, 16, *bound));
    })
}

fn custom() -> Histogram {
    Histogram {
        schema: -53,
        count: 2.5,
        sum: 1.5,
        positive: Buckets { spans: vec![Span { offset: 0, length: 2 }], counts: vec![1.5, 1.0] },
        custom_values: vec![0.5, 2.0],
        ..Histogram::default()
    }
}

fn label(name: &str, value: &str) -> Vec<u8> {
    message(|m| {
        put_bytes(m, 1, name.as_bytes());
        put_bytes(m, 2, value.as_bytes());
    })
}

/// A series of version 1.0 with parts at their field numbers.
fn series(name: &str, parts: &[(u64, Vec<u8>)]) -> Vec<u8> {
    let series = message(|m| {
        put_bytes(m, 1, &label("__name__", name));
        parts.iter().for_each(|(number, part)| put_bytes(m, *number, part));
    });
    message(|m| put_bytes(m, 1, &series))
}

fn exemplar_message(id: &str, value: f64, timestamp: i64) -> Vec<u8> {
    message(|m| {
        put_bytes(m, 1, &label("trace_id", id));
        put_float(m, 2, value);
        put_varint(m, 3, timestamp.cast_unsigned());
    })
}

fn exemplar(id: &str, value: f64, timestamp: i64) -> Exemplar {
    Exemplar { labels: Labels::from_pairs([("trace_id", id)]), value, timestamp }
}

#[test]
fn histograms_of_the_first_version_are_stored() {
    let b = Bench::new();
    let body = [
        series("h", &[(4, integer_message(NOW - 2000, 1)), (4, integer_message(NOW - 1000, 5))]),
        series("c", &[(4, custom_message(NOW - 1000, &[0.5, 2.0]))]),
    ];
    b.write(&body.concat()).expect("stored");
    let h = b.read("h");
    assert_eq!(h.timestamps, [NOW - 2000, NOW - 1000]);
    assert_eq!(h.histograms, [(0, Arc::new(integer(1.0))), (1, Arc::new(integer(5.0)))]);
    assert_eq!(b.read("c").histograms, [(0, Arc::new(custom()))]);

    // An invalid one is named, the good rest is kept.
    let mut samples = Vec::new();
    put_series(&mut samples, [("__name__", "plain")].into_iter(), &[(NOW, 1.0)]);
    let invalid =
        series("bad", &[(4, custom_message(NOW, &[2.0, 0.5])), (4, custom_message(NOW, &[f64::NAN]))]);
    let good = series("h", &[(4, integer_message(NOW, 2))]);
    let error = b.write(&[invalid, samples, good].concat()).expect_err("invalid");
    assert!(error.is_bad_request());
    let expected = "custom buckets: histogram custom bounds must be in strictly increasing order for series \
                    bad (and 1 more)";
    assert_eq!(error.to_string(), expected);
    assert_eq!((b.read("plain").len(), b.read("h").len(), b.read("bad").len()), (1, 3, 0));

    // One out of order is refused as samples are: with the whole request.
    let late =
        [series("x", &[(4, integer_message(NOW, 1))]), series("h", &[(4, integer_message(NOW - 1, 1))])];
    let error = b.write(&late.concat()).expect_err("out of order");
    assert_eq!(error.to_string(), format!("out of order sample for series h at {} ms", NOW - 1));
    assert_eq!(b.read("x").len(), 0);
    // Damage inside of a histogram is damage of the request.
    assert!(matches!(b.write(&series("y", &[(4, vec![0xff])])), Err(ReceiveError::Message(_))));
}

#[test]
fn exemplars_and_metadata_of_the_first_version_are_stored() {
    let b = Bench::new();
    let sample = message(|m| {
        put_float(m, 1, 1.0);
        put_varint(m, 2, NOW.cast_unsigned());
    });
    let family = message(|m| {
        put_varint(m, 1, 1);
        put_bytes(m, 2, b"a");
        put_bytes(m, 4, b"Some help.");
        put_bytes(m, 5, b"bytes");
    });
    let body = [
        series("a", &[(2, sample), (3, exemplar_message("x", 0.5, NOW - 10))]),
        series("a", &[(3, exemplar_message("y", 0.5, NOW - 5)), (3, exemplar_message("late", 0.5, NOW - 7))]),
        series("a", &[(3, exemplar_message(&"z".repeat(200), 0.5, NOW))]),
        series("nobody", &[(3, exemplar_message("y", 0.5, NOW - 5))]),
        message(|m| put_bytes(m, 3, &family)),
    ];
    b.write(&body.concat()).expect("faults of exemplars never fail a request");
    let both = vec![exemplar("x", 0.5, NOW - 10), exemplar("y", 0.5, NOW - 5)];
    assert_eq!(b.exemplars(), [("a".to_owned(), both)]);
    assert_eq!(b.read("nobody").len(), 0);
    let known = b.db.metadata(None).expect("metadata");
    assert_eq!(known.len(), 1);
    let (name, said) = &known[0];
    assert_eq!((name.as_str(), said.kind, said.help.as_str()), ("a", MetricType::Counter, "Some help."));
    assert_eq!(said.unit, "bytes");
}

/// A request of version 2.0 being made.
#[derive(Default)]
struct Request {
    symbols: Vec<String>,
    series: Vec<Vec<u8>>,
}

impl Request {
    fn symbol(&mut self, text: &str) -> u64 {
        if self.symbols.is_empty() {
            self.symbols.push(String::new());
        }
        let at = self.symbols.iter().position(|known| known == text).unwrap_or_else(|| {
            self.symbols.push(text.to_owned());
            self.symbols.len() - 1
        });
        at as u64
    }

    fn numbers(&mut self, texts: &[&str]) -> Vec<u8> {
        texts.iter().map(|text| u8::try_from(self.symbol(text)).expect("small")).collect()
    }

    fn series(&mut self, name: &str, parts: &[(u64, Vec<u8>)]) {
        let labels = self.numbers(&["__name__", name]);
        self.series.push(message(|m| {
            put_bytes(m, 1, &labels);
            parts.iter().for_each(|(number, part)| put_bytes(m, *number, part));
        }));
    }

    fn exemplar(&mut self, id: &str, value: f64, timestamp: i64) -> Vec<u8> {
        let labels = self.numbers(&["trace_id", id]);
        message(|m| {
            put_bytes(m, 1, &labels);
            put_float(m, 2, value);
            put_varint(m, 3, timestamp.cast_unsigned());
        })
    }

    fn metadata(&mut self, kind: u64, help: &str) -> Vec<u8> {
        let help = self.symbol(help);
        message(|m| {
            put_varint(m, 1, kind);
            put_varint(m, 3, help);
        })
    }

    fn body(&self) -> Vec<u8> {
        message(|m| {
            self.series.iter().for_each(|series| put_bytes(m, 5, series));
            // Symbols may come last.
            self.symbols.iter().for_each(|symbol| put_bytes(m, 4, symbol.as_bytes()));
        })
    }
}

#[test]
fn types_and_units_of_the_second_version_become_labels() {
    let mut b = Bench::new();
    let mut request = Request::default();
    let both = message(|m| {
        put_varint(m, 1, 1);
        put_varint(m, 4, request.symbol("seconds"));
    });
    let unit = message(|m| put_varint(m, 4, request.symbol("bytes")));
    let nothing = message(|m| put_varint(m, 3, request.symbol("Help.")));
    let own = ["__name__", "own", "__type__", "mine", "__unit__", "none", "job", "x"];
    for (name, metadata) in [("a", &both), ("b", &unit), ("c", &nothing)] {
        let labels = request.numbers(&[&own[..1], &[name], &own[2..]].concat());
        request.series.push(message(|m| {
            put_bytes(m, 1, &labels);
            put_bytes(m, 2, &sample(1.0, NOW));
            put_bytes(m, 5, metadata);
        }));
    }
    let stored = |b: &Bench, name: &str| {
        let querier = b.db.querier(TimeRange::ALL).expect("querier");
        let matchers = [Matcher::equal("__name__", name)];
        let set = querier.select(&SelectRequest::new(&matchers, TimeRange::ALL)).expect("select");
        (0..set.len()).map(|at| set.labels(at).to_string()).collect::<Vec<_>>()
    };
    let as_sent = "{__type__=\"mine\", __unit__=\"none\", job=\"x\"}";
    assert_eq!(b.write_v2(&request.body()).expect("stored").samples, 3);
    assert_eq!(stored(&b, "a"), [format!("a{as_sent}")]);

    b = Bench::new();
    b.receiver = b.receiver.with_type_and_unit_labels(true);
    assert_eq!(b.write_v2(&request.body()).expect("stored").samples, 3);
    assert_eq!(stored(&b, "a"), ["a{__type__=\"counter\", __unit__=\"seconds\", job=\"x\"}"]);
    // One of the two goes for both.
    assert_eq!(stored(&b, "b"), ["b{__unit__=\"bytes\", job=\"x\"}"]);
    assert_eq!(stored(&b, "c"), [format!("c{as_sent}")]);
    // What is refused is named with them.
    let mut late = Request::default();
    let unit = message(|m| put_varint(m, 4, late.symbol("seconds")));
    late.series("a", &[(2, sample(1.0, NOW)), (5, unit.clone())]);
    late.series("a", &[(2, sample(1.0, NOW - 1)), (5, unit)]);
    late.series("unheard", &[(2, sample(1.0, NOW)), (5, message(|m| put_varint(m, 4, 99)))]);
    let error = b.write_v2(&late.body()).expect_err("out of order").to_string();
    assert!(error.starts_with("parsing metadata for series {__name__=\"unheard\"}"), "{error}");
    assert!(error.ends_with("(and 1 more)"), "{error}");
    late.series.pop();
    let error = b.write_v2(&late.body()).expect_err("out of order").to_string();
    assert_eq!(error, "out of order sample for series a{__unit__=\"seconds\"}");
}

fn sample(value: f64, timestamp: i64) -> Vec<u8> {
    message(|m| {
        put_float(m, 1, value);
        put_varint(m, 2, timestamp.cast_unsigned());
        put_varint(m, 3, 17);
    })
}

#[test]
fn requests_of_the_second_version_are_stored() {
    let b = Bench::new();
    let mut request = Request::default();
    let (one, metadata) = (request.exemplar("x", 0.5, NOW - 10), request.metadata(3, "Help."));
    request.series("h_bucket", &[(2, sample(1.0, NOW)), (4, one), (5, metadata.clone())]);
    request.series("h_count", &[(2, sample(2.0, NOW)), (5, metadata)]);
    request.series("n", &[(3, integer_message(NOW, 1))]);
    request.series("c", &[(3, custom_message(NOW + 1, &[0.5, 2.0]))]);
    let written = b.write_v2(&request.body()).expect("stored");
    let all = Written { samples: 2, histograms: 2, exemplars: 1 };
    assert_eq!(written, all);
    assert_eq!(b.write_v2(&request.body()).expect("there already"), all);
    assert_eq!(b.exemplars(), [("h_bucket".to_owned(), vec![exemplar("x", 0.5, NOW - 10)])]);
    assert_eq!(b.read("n").histograms, [(0, Arc::new(integer(1.0)))]);
    assert_eq!(b.read("c").histograms, [(0, Arc::new(custom()))]);
    // Exemplars that come alone are refused, as Prometheus' receiver does, though its sender sends them so.
    let mut alone = Request::default();
    let (one, other) = (alone.exemplar("y", 0.5, NOW), alone.exemplar("y", 0.5, NOW));
    alone.series("h_bucket", &[(4, one)]);
    alone.series("nobody", &[(4, other)]);
    alone.series("n2", &[(2, sample(1.0, NOW))]);
    let Err(ReceiveError::Parts { first, others, written }) = b.write_v2(&alone.body()) else {
        panic!("exemplars alone are bad parts");
    };
    assert_eq!(first, "TimeSeries must contain at least one sample or histogram for series h_bucket");
    assert_eq!((others, written), (1, Written { samples: 1, ..Written::default() }));
    assert_eq!(b.exemplars()[0].1.len(), 1);
    let known = b.db.metadata(None).expect("metadata");
    assert_eq!(
        known.iter().map(|(name, said)| (name.as_str(), said.kind)).collect::<Vec<_>>(),
        [("h", MetricType::Histogram)]
    );
}

#[test]
fn bad_parts_of_a_request_are_named_and_the_rest_is_kept() {
    let b = Bench::new();
    let check = |build: &dyn Fn(&mut Request), expected: &str, count: (usize, usize, usize)| {
        let mut request = Request::default();
        build(&mut request);
        let Err(ReceiveError::Parts { first, others, written }) = b.write_v2(&request.body()) else {
            panic!("{expected}: is refused in part");
        };
        assert!(first.contains(expected), "{first}");
        assert_eq!(others, 0, "{first}");
        assert_eq!((written.samples, written.histograms, written.exemplars), count, "{expected}");
    };
    let good = |request: &mut Request, at: i64| {
        let one = request.exemplar("x", 0.5, at);
        request.series("good", &[(2, sample(1.0, at)), (4, one)]);
    };
    check(
        &|r| {
            good(r, NOW);
            r.series("empty", &[]);
        },
        "at least one sample or histogram for series empty",
        (1, 0, 1),
    );
    check(
        &|r| {
            good(r, NOW + 1);
            r.series("bad", &[(3, custom_message(NOW, &[2.0, 0.5]))]);
        },
        "strictly increasing order for series bad",
        (1, 0, 1),
    );
    check(
        &|r| {
            good(r, NOW + 2);
            r.series("good", &[(2, sample(1.0, NOW + 1))]);
        },
        "out of order",
        (1, 0, 1),
    );
    check(
        &|r| {
            r.series("n", &[(3, integer_message(NOW + 5, 1)), (3, integer_message(NOW + 4, 1))]);
        },
        "out of order sample for series n",
        (0, 1, 0),
    );
    check(
        &|r| {
            r.series("good", &[(2, sample(5.0, NOW + 2))]);
        },
        "duplicate sample for timestamp for series good",
        (0, 0, 0),
    );
    check(
        &|r| {
            let one = r.exemplar("late", 0.5, NOW - 9);
            r.series("good", &[(2, sample(5.0, NOW + 3)), (4, one)]);
        },
        "out of order exemplar for series good",
        (1, 0, 0),
    );
    check(
        &|r| {
            r.series.push(message(|m| put_bytes(m, 1, &[1])));
        },
        "parsing labels",
        (0, 0, 0),
    );
    check(
        &|r| {
            let labels = r.numbers(&["job", "x"]);
            r.series.push(message(|m| {
                put_bytes(m, 1, &labels);
                put_bytes(m, 2, &sample(1.0, NOW));
            }));
        },
        "invalid metric name or labels, got {job=\"x\"}",
        (0, 0, 0),
    );
    assert!(matches!(b.write_v2(&series("a", &[])), Err(ReceiveError::Message(_))));
    assert_eq!(b.write_v2(b"").expect("an empty request"), Written::default());
}

/// Parts of a series of version 1.0.
fn sample_v1(value: f64, timestamp: i64) -> (u64, Vec<u8>) {
    (
        2,
        message(|m| {
            put_float(m, 1, value);
            put_varint(m, 2, timestamp.cast_unsigned());
        }),
    )
}

#[test]
fn what_is_in_order_of_a_disordered_request_is_kept() {
    let b = Bench::new();
    let body = [
        series("ga", &[sample_v1(1.0, NOW)]),
        series("gb", &[sample_v1(3.0, NOW - 1000), sample_v1(1.0, NOW - 3000)]),
        series("gc", &[sample_v1(1.0, NOW), sample_v1(2.0, NOW), sample_v1(3.0, NOW + 1)]),
    ];
    b.write(&body.concat()).expect("kept as far as it is in order");
    let floats = |name: &str| b.read(name).iter().collect::<Vec<_>>();
    assert_eq!(floats("ga"), [(NOW, 1.0)]);
    assert_eq!(floats("gb"), [(NOW - 1000, 3.0)]);
    assert_eq!(floats("gc"), [(NOW, 1.0), (NOW + 1, 3.0)]);
    // What was there before refuses the whole of a request, whatever else is wrong with it.
    let body = [
        series("gd", &[sample_v1(2.0, NOW), sample_v1(1.0, NOW - 1)]),
        series("gb", &[sample_v1(3.0, NOW - 2000)]),
    ];
    let error = b.write(&body.concat()).expect_err("older than what is there").to_string();
    assert_eq!(error, format!("out of order sample for series gb at {} ms", NOW - 2000));
    assert!(b.read("gd").is_empty());
}

#[test]
fn at_the_quota_of_the_server_known_series_go_on_and_new_ones_are_named() {
    let b = Bench::new();
    b.write(&series("known", &[sample_v1(1.0, NOW)])).expect("stored");
    b.db.set_limits(Limits { max_series: 1, ..b.db.limits() }).expect("limits");
    let body = [
        series("new", &[sample_v1(1.0, NOW)]),
        series("known", &[sample_v1(2.0, NOW + 1)]),
        series("newer", &[sample_v1(1.0, NOW)]),
    ];
    let error = b.write(&body.concat()).expect_err("new series");
    assert!(error.is_bad_request());
    assert_eq!(
        error.to_string(),
        "server series quota of 1 reached: new series new is not stored (and 1 more)"
    );
    assert_eq!(b.read("known").iter().collect::<Vec<_>>(), [(NOW, 1.0), (NOW + 1, 2.0)]);
    assert!(b.read("new").is_empty());
    // What is told of a refused sample is told of its series, whatever was left out before it.
    let body = [series("new", &[sample_v1(1.0, NOW)]), series("known", &[sample_v1(7.0, NOW)])];
    let error = b.write(&body.concat()).expect_err("older than what is there").to_string();
    assert_eq!(error, format!("out of order sample for series known at {NOW} ms"));
    let mut request = Request::default();
    request.series("new", &[(2, sample(1.0, NOW))]);
    request.series("known", &[(2, sample(3.0, NOW + 2))]);
    let Err(ReceiveError::Parts { first, others: 0, written }) = b.write_v2(&request.body()) else {
        panic!("a new series is a bad part");
    };
    assert_eq!(first, "server series quota of 1 reached: new series new is not stored");
    assert_eq!(written, Written { samples: 1, ..Written::default() });
}

#[test]
fn histograms_and_floats_of_a_series_are_kept_wherever_they_stand() {
    let dir = tempfile::tempdir().expect("dir");
    let open = || {
        let mut registry = Registry::default();
        let clock = Arc::new(ManualClock::new(NOW));
        let db = Arc::new(Tsdb::open(TsdbOptions::new(dir.path()), clock, &mut registry).expect("open"));
        Bench {
            receiver: Receiver::new(Arc::clone(&db), &mut registry),
            db,
            _dir: tempfile::tempdir().expect("dir"),
        }
    };
    let mut b = open();
    // The histogram is older and stands behind; in another part of the request; and in turns.
    let body = [
        series("one", &[sample_v1(1.0, NOW), (4, integer_message(NOW - 1000, 1))]),
        series("two", &[sample_v1(1.0, NOW)]),
        series("two", &[(4, integer_message(NOW - 1000, 1))]),
        series(
            "turns",
            &[
                (4, integer_message(NOW - 4, 1)),
                (4, integer_message(NOW - 2, 2)),
                sample_v1(3.0, NOW - 3),
                sample_v1(1.0, NOW - 1),
            ],
        ),
    ];
    b.write(&body.concat()).expect("all is kept");
    let mut request = Request::default();
    request.series("second", &[(3, integer_message(NOW - 1, 1)), (2, sample(1.0, NOW))]);
    b.write_v2(&request.body()).expect("all is kept");
    for after in ["the commit", "a restart"] {
        let shown = |name: &str| {
            let samples = b.read(name);
            let at: Vec<usize> = samples.histograms.iter().map(|(at, _)| *at).collect();
            (samples.timestamps, at)
        };
        assert_eq!(shown("one"), (vec![NOW - 1000, NOW], vec![0]), "{after}");
        assert_eq!(shown("two"), (vec![NOW - 1000, NOW], vec![0]), "{after}");
        assert_eq!(shown("turns"), (vec![NOW - 4, NOW - 3, NOW - 2, NOW - 1], vec![0, 2]), "{after}");
        assert_eq!(shown("second"), (vec![NOW - 1, NOW], vec![0]), "{after}");
        b.db.close().expect("close");
        drop(b);
        b = open();
    }
}

/// A histogram with more buckets than are taken.
fn wide_message(timestamp: i64) -> Vec<u8> {
    let count: u32 = 70_000;
    message(|m| {
        put_float(m, 2, f64::from(count));
        put_float(m, 3, 1.0);
        put_varint(m, 4, signed(3));
        put_bytes(m, 11, &span(0, count.into()));
        put_bytes(m, 13, &1f64.to_le_bytes().repeat(70_000));
        put_varint(m, 15, timestamp.cast_unsigned());
    })
}

#[test]
fn what_is_too_large_is_named_and_the_rest_is_kept() {
    let b = Bench::new();
    let long = "v".repeat(2 << 20);
    let wide: Vec<(String, String)> = (0..70_000).map(|n| (format!("l{n:05}"), "v".to_owned())).collect();
    let too_wide = message(|m| {
        let series = message(|m| {
            put_bytes(m, 1, &label("__name__", "many"));
            wide.iter().for_each(|(name, value)| put_bytes(m, 1, &label(name, value)));
            put_bytes(m, 2, &sample_v1(1.0, NOW).1);
        });
        put_bytes(m, 1, &series);
    });
    let too_long = message(|m| {
        let series = message(|m| {
            put_bytes(m, 1, &label("__name__", "long"));
            put_bytes(m, 1, &label("value", &long));
            put_bytes(m, 2, &sample_v1(1.0, NOW).1);
        });
        put_bytes(m, 1, &series);
    });
    let check = |body: &[u8], expected: &str| {
        let error = b.write(body).expect_err("too large");
        assert!(error.is_bad_request());
        let text = error.to_string();
        assert!(text.contains(expected) && text.len() < 700, "{} bytes: {text:.700}", text.len());
    };
    let good = |at: i64| series("good", &[sample_v1(1.0, at)]);
    check(&[too_long, good(NOW)].concat(), "the limit is 1048576 for series long{value=\"vvv");
    check(
        &[too_wide, good(NOW + 1)].concat(),
        "series has 70001 labels, the limit is 65536 for series many{l0",
    );
    let histogram = series("wide", &[(4, wide_message(NOW)), (4, integer_message(NOW + 1, 1))]);
    check(
        &[histogram, good(NOW + 2)].concat(),
        "70005 buckets, bounds and span numbers, the limit is 65536 for series wide",
    );
    assert_eq!((b.read("good").len(), b.read("wide").len()), (3, 1));

    let mut request = Request::default();
    request.series("long_2", &[(2, sample(1.0, NOW))]);
    request.series.clear();
    let labels = request.numbers(&["__name__", "long_2", "value", &long]);
    request.series.push(message(|m| {
        put_bytes(m, 1, &labels);
        put_bytes(m, 2, &sample(1.0, NOW));
    }));
    request.series("wide", &[(3, wide_message(NOW + 5))]);
    request.series("good", &[(2, sample(1.0, NOW + 3))]);
    let error = b.write_v2(&request.body()).expect_err("too large").to_string();
    assert!(error.starts_with("series labels have 2097171 bytes"), "{error:.200}");
    assert!(error.ends_with("... (and 1 more)") && error.len() < 700, "{} bytes", error.len());
    assert_eq!(b.read("good").len(), 4);
}

#[test]
fn symbols_of_a_request_are_written_out_to_a_bound() {
    let b = Bench::new();
    let mut request = Request::default();
    // 40 MB of labels in a body of one.
    let long = "v".repeat(1_000_000);
    for number in 0..40 {
        let labels = request.numbers(&["__name__", &format!("m{number}"), "value", &long]);
        let metadata = request.metadata(1, &long);
        request.series.push(message(|m| {
            put_bytes(m, 1, &labels);
            put_bytes(m, 2, &sample(1.0, NOW));
            if number == 0 {
                put_bytes(m, 5, &metadata);
            }
        }));
    }
    let Err(ReceiveError::Parts { first, others, written }) = b.write_v2(&request.body()) else {
        panic!("the last series are bad parts");
    };
    let expected =
        "request symbols expand to more than 33554432 bytes of text for series {__name__=\"m32\", value=\"vv";
    assert!(first.starts_with(expected) && first.len() < 400, "{first:.400}");
    // One of them is what help takes.
    assert_eq!((written.samples, others), (32, 7));
    assert_eq!((b.read("m31").len(), b.read("m32").len()), (1, 0));

    // One symbol of 4 MiB in many series: none of them is written out.
    let mut request = Request::default();
    let longer = "w".repeat(4 << 20);
    for number in 0..300 {
        let number = request.numbers(&["__name__", "x", "value", &longer, "n", "n"]).len() + number;
        let labels = request.numbers(&["__name__", "x", "value", &longer]);
        request.series.push(message(|m| {
            put_bytes(m, 1, &labels);
            put_bytes(m, 2, &sample(1.0, NOW + i64::try_from(number).expect("small")));
        }));
    }
    let error = b.write_v2(&request.body()).expect_err("too large").to_string();
    assert!(error.starts_with("series labels have 4194") && error.len() < 500, "{error:.500}");
}
