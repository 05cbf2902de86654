//! Tests of the protobuf format.

use std::fmt::Write as _;

use proptest::prelude::*;

use super::*;
use crate::codec::protobuf::{put_bytes, put_float, put_varint};
use crate::expfmt::fixture::{add_native, classic, exemplar, family, message, metric, time, value};

/// All that is read, a line for each entry.
fn read(body: &[u8], options: ReadOptions) -> std::result::Result<String, ProtobufError> {
    let mut reader = Protobuf::new(body, options);
    let mut out = String::new();
    let mut labels = LabelsBuf::new();
    while let Some(item) = reader.next()? {
        if item != Item::Metadata {
            reader.labels(&mut labels).expect("labels");
            let _ = write!(out, "{}", labels.to_labels());
        }
        match item {
            Item::Metadata => {
                let text = |bytes| String::from_utf8_lossy(bytes);
                let _ = match reader.metadata() {
                    Entry::Help { name, text: help } => write!(out, "# HELP {} {}", text(name), text(help)),
                    Entry::Unit { name, unit } => write!(out, "# UNIT {} {}", text(name), text(unit)),
                    Entry::Type { name, kind } => write!(out, "# TYPE {} {}", text(name), kind.name()),
                    Entry::Sample(_) => unreachable!("no metadata"),
                };
            }
            Item::Sample(value) => {
                let _ = write!(out, " {value}");
            }
            Item::Histogram => {
                let h = reader.read_histogram()?;
                let buckets: Vec<_> = h.positive.numbered().collect();
                let _ = write!(
                    out,
                    " schema={} count={} sum={} zero={} {buckets:?} {:?} {:?} {}",
                    h.schema, h.count, h.sum, h.zero_count, h.custom_values, h.reset_hint, h.integer
                );
            }
        }
        if item != Item::Metadata {
            if let Some(timestamp) = reader.timestamp() {
                let _ = write!(out, " @{timestamp}");
            }
            if let Some(created) = reader.created() {
                let _ = write!(out, " created={created}");
            }
            while let Some((value, timestamp)) = reader.next_exemplar(&mut labels) {
                let _ = write!(out, " # {} {value} {timestamp:?}", labels.to_labels());
            }
        }
        out.push('\n');
    }
    Ok(out)
}

fn check(body: &[u8], options: ReadOptions, expected: &[&str]) {
    let found = read(body, options).expect("valid");
    assert_eq!(found.lines().collect::<Vec<_>>(), expected);
}

const NATIVE: ReadOptions =
    ReadOptions { native_histograms: true, classic_too: false, convert_classic: false, created: false };

#[test]
fn reads_what_a_text_would_hold() {
    let counter = message(|out| {
        put_float(out, 1, 3.0);
        put_bytes(out, 2, &exemplar("x", 0.5, Some(1_500)));
        put_bytes(out, 3, &time(1_234));
    });
    let summary = message(|out| {
        put_varint(out, 1, 5);
        put_float(out, 2, 2.5);
        for (quantile, number) in [(0.5, 1.0), (1.0, 2.0)] {
            let row = message(|out| {
                put_float(out, 1, quantile);
                put_float(out, 2, number);
            });
            put_bytes(out, 3, &row);
        }
    });
    let body = [
        family("c_total", 0, "", &[metric(&[("b", "1"), ("a", "")], 3, &counter, 0)]),
        family("nothing", 1, "", &[]),
        family("g_bytes", 1, "bytes", &[metric(&[], 2, &value(-1.5), 7), metric(&[("x", "y")], 2, &[], 0)]),
        family("u.u", 3, "", &[metric(&[], 5, &value(f64::NAN), 0)]),
        family("s", 2, "", &[metric(&[("a", "b")], 4, &summary, 0)]),
    ]
    .concat();
    check(
        &body,
        ReadOptions::default(),
        &[
            "# HELP c_total About \\n it.",
            "# TYPE c_total counter",
            r#"c_total{a="", b="1"} 3 created=1234 # {trace_id="x"} 0.5 Some(1500)"#,
            "# HELP g_bytes About \\n it.",
            "# UNIT g_bytes bytes",
            "# TYPE g_bytes gauge",
            "g_bytes -1.5 @7",
            r#"g_bytes{x="y"} 0"#,
            "# HELP u.u About \\n it.",
            "# TYPE u.u unknown",
            r#"{"u.u"} NaN"#,
            "# HELP s About \\n it.",
            "# TYPE s summary",
            r#"s_count{a="b"} 5"#,
            r#"s_sum{a="b"} 2.5"#,
            r#"s{a="b", quantile="0.5"} 1"#,
            r#"s{a="b", quantile="1.0"} 2"#,
        ],
    );
}

#[test]
fn histograms_are_read_as_the_options_say() {
    let only_classic = classic(&[0.5, 1e6, f64::INFINITY], 4, 2.0);
    let both = message(|out| {
        out.extend_from_slice(&classic(&[0.5], 4, 2.0));
        add_native(out, 3);
    });
    let only_native = message(|out| {
        put_varint(out, 1, 4);
        put_float(out, 2, 2.0);
        add_native(out, 3);
    });
    let body = |kind, histogram: &[u8]| family("h", kind, "", &[metric(&[("a", "b")], 7, histogram, 0)]);
    let lines_after_type = |body: &[u8], options| -> Vec<String> {
        let lines = read(body, options).expect("valid");
        // Exemplars are looked at elsewhere.
        lines.lines().skip(2).map(|line| line.split(" # ").next().unwrap_or_default().to_owned()).collect()
    };
    let classic_lines = [
        r#"h_count{a="b"} 4"#,
        r#"h_sum{a="b"} 2"#,
        r#"h_bucket{a="b", le="0.5"} 1"#,
        r#"h_bucket{a="b", le="1e+06"} 2"#,
        r#"h_bucket{a="b", le="+Inf"} 4"#,
    ];
    let converted = r#"h{a="b"} schema=-53 count=4 sum=2 zero=0 [(0, 1.0), (1, 1.0), (2, 2.0)] [0.5, 1000000.0] Unknown true"#;
    let plain = ReadOptions::default();
    let convert = ReadOptions { convert_classic: true, ..plain };
    let all = ReadOptions { convert_classic: true, classic_too: true, ..NATIVE };
    for native_histograms in [false, true] {
        let with = |options: ReadOptions| ReadOptions { native_histograms, ..options };
        assert_eq!(lines_after_type(&body(4, &only_classic), with(plain)), classic_lines);
        assert_eq!(lines_after_type(&body(4, &only_classic), with(convert)), [converted]);
        assert_eq!(
            lines_after_type(&body(4, &only_classic), with(all)),
            [&classic_lines[..], &[converted]].concat()
        );
    }
    let created = " created=5000";
    let buckets = [
        r#"h_count{a="b"} 4 created=5000"#,
        r#"h_sum{a="b"} 2 created=5000"#,
        r#"h_bucket{a="b", le="0.5"} 1 created=5000"#,
        r#"h_bucket{a="b", le="+Inf"} 4 created=5000"#,
    ];
    let no_buckets = [buckets[0], buckets[1], buckets[3]];
    let native = |hint: &str| {
        format!(r#"h{{a="b"}} schema=3 count=4 sum=2 zero=1 [(1, 1.0), (2, 2.0)] [] {hint} true{created}"#)
    };
    assert_eq!(lines_after_type(&body(4, &only_native), plain), no_buckets);
    assert_eq!(lines_after_type(&body(4, &only_native), all), [native("Unknown")]);
    assert_eq!(lines_after_type(&body(5, &only_native), NATIVE), [native("Gauge")]);
    assert_eq!(lines_after_type(&body(4, &both), plain), buckets);
    assert_eq!(lines_after_type(&body(4, &both), NATIVE), [native("Unknown")]);
    assert_eq!(
        lines_after_type(&body(4, &both), all),
        [&[native("Unknown")], &buckets.map(str::to_owned)[..]].concat()
    );
    let converted =
        r#"h{a="b"} schema=-53 count=4 sum=2 zero=0 [(0, 1.0), (1, 3.0)] [0.5] Gauge true created=5000"#;
    assert_eq!(lines_after_type(&body(5, &both), convert), [converted]);
}

#[test]
fn native_histograms_have_the_exemplars_that_have_a_time() {
    let mut both = classic(&[0.5], 4, 2.0);
    add_native(&mut both, 0);
    let body = family("h", 4, "", &[metric(&[], 7, &both, 0)]);
    let found = read(&body, NATIVE).expect("valid");
    assert!(found.ends_with("created=5000 # {trace_id=\"timed\"} 1.5 Some(7000)\n"), "{found}");
    // Those of buckets stand in for them.
    let bucket = message(|out| {
        put_float(out, 2, 1.0);
        put_bytes(out, 3, &exemplar("bucket", 0.5, Some(9_000)));
    });
    let histogram = message(|out| {
        put_bytes(out, 3, &message(|out| put_bytes(out, 3, &exemplar("untimed", 0.5, None))));
        put_bytes(out, 3, &bucket);
        put_bytes(out, 12, &[]);
    });
    let found = read(&family("h", 4, "", &[metric(&[], 7, &histogram, 0)]), NATIVE).expect("valid");
    assert!(found.ends_with("# {trace_id=\"bucket\"} 0.5 Some(9000)\n"), "{found}");
}

#[test]
fn float_histograms_have_counts_instead_of_differences() {
    let histogram = message(|out| {
        put_float(out, 4, 2.5);
        put_float(out, 8, 0.5);
        put_bytes(out, 9, &message(|out| put_varint(out, 2, 2)));
        put_float(out, 11, 1.5);
        put_float(out, 11, 0.5);
        put_bytes(out, 12, &[]);
    });
    let found = read(&family("h", 4, "", &[metric(&[], 7, &histogram, 0)]), NATIVE).expect("valid");
    assert!(found.contains("count=2.5 sum=0 zero=0.5 [] [] Unknown false"), "{found}");
}

#[test]
fn keys_are_unlike_for_unlike_series_and_the_same_again() {
    let mut both = classic(&[0.5, 1.0], 4, 2.0);
    add_native(&mut both, 3);
    let quantile = message(|out| put_bytes(out, 3, &message(|out| put_float(out, 1, 0.5))));
    let body = [
        family("h", 4, "", &[metric(&[("a", "b")], 7, &both, 0), metric(&[("a", "c")], 7, &both, 0)]),
        family("h_count", 1, "", &[metric(&[("a", "b")], 2, &value(1.0), 0), metric(&[], 2, &value(1.0), 0)]),
        // A quantile of the same number as a bucket.
        family("h", 2, "", &[metric(&[("a", "b")], 4, &quantile, 0)]),
    ]
    .concat();
    let keys = || {
        let all = ReadOptions { classic_too: true, ..NATIVE };
        let mut reader = Protobuf::new(&body, all);
        let mut keys = Vec::new();
        while let Some(item) = reader.next().expect("valid") {
            if item != Item::Metadata {
                keys.push(reader.series().to_vec());
            }
        }
        keys
    };
    let first = keys();
    let mut unlike = first.clone();
    unlike.sort();
    unlike.dedup();
    // Its count and sum are series of the same names as those of the histogram.
    assert_eq!((first.len(), unlike.len()), (17, 15));
    assert_eq!(first, keys());
}

#[test]
fn tells_what_is_wrong_and_where() {
    let check = |body: &[u8], options, expected: &str| {
        let fault = read(body, options).expect_err(expected).to_string();
        assert!(fault.contains(expected), "{fault}");
        assert!(fault.len() < 600, "{fault}");
    };
    let plain = ReadOptions::default();
    let good = family("good", 1, "", &[metric(&[], 2, &value(1.0), 0)]);
    let after = |bad: &[u8]| [good.as_slice(), bad].concat();
    check(&after(&[0xff; 11]), plain, &format!("at byte {}: invalid varint", good.len()));
    check(&after(&[100, 1]), plain, "invalid length of a metric family");
    check(&after(&family("x", 6, "", &[vec![]])), plain, "metric family \"x\" at byte");
    check(&after(&family("x", 6, "", &[vec![]])), plain, "unknown metric type 6");
    check(&family("", 0, "", &[vec![]]), plain, "invalid metric name");
    check(&family("x", 0, "", &[vec![0x0b]]), plain, "protobuf wire type");
    check(&family(&"long".repeat(1000), 0, "", &[vec![1, 1]]), plain, "unexpected end");
    let utf8 = message(|out| {
        put_bytes(out, 1, b"\xff");
        put_bytes(out, 4, b"");
    });
    let utf8 = [&[u8::try_from(utf8.len()).expect("short")], utf8.as_slice()].concat();
    check(&utf8, plain, "invalid metric name");
    let mut wrong = classic(&[], 3, 2.0);
    add_native(&mut wrong, 3);
    check(&family("h", 4, "", &[metric(&[], 7, &wrong, 0)]), NATIVE, "4 observations found in buckets");
    let convert = ReadOptions { convert_classic: true, ..plain };
    let mismatch = classic(&[1.0, 2.0, 3.0], 1, 2.0);
    check(&family("h", 4, "", &[metric(&[], 7, &mismatch, 0)]), convert, "count is not cumulative");
    // Ten million empty buckets in as many bytes are not kept.
    let bomb = message(|out| {
        put_float(out, 6, 1.0);
        put_bytes(out, 13, &vec![0; 10_000_000]);
    });
    check(&family("h", 4, "", &[metric(&[], 7, &bomb, 0)]), NATIVE, "native histogram has 65540 buckets");
}

#[test]
fn labels_that_make_no_sense_are_refused() {
    let check = |labels: &[(&str, &str)], expected: SeriesError| {
        let body = family("x", 1, "", &[metric(labels, 2, &value(1.0), 0)]);
        let mut reader = Protobuf::new(&body, ReadOptions::default());
        while reader.next().expect("valid") == Some(Item::Metadata) {}
        assert_eq!(reader.labels(&mut LabelsBuf::new()), Err(expected));
    };
    check(&[("a", "1"), ("a", "2")], SeriesError::Duplicate("a".to_owned()));
    check(&[("__name__", "y")], SeriesError::Duplicate("__name__".to_owned()));
    check(&[("", "y")], SeriesError::Malformed("a label without a name".to_owned()));
}

proptest! {
    #[test]
    fn damaged_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), at in 0usize..1000, with: u8) {
        let all = ReadOptions { convert_classic: true, classic_too: true, created: true, ..NATIVE };
        let mut histogram = classic(&[0.5, 1.0], 4, 2.0);
        add_native(&mut histogram, 9);
        let mut body = family("h", 4, "s", &[metric(&[("a", "b")], 7, &histogram, 12)]);
        let at = at % body.len();
        body[at] ^= with;
        for body in [&bytes, &body] {
            let mut reader = Protobuf::new(body, all);
            let mut labels = LabelsBuf::new();
            while let Ok(Some(item)) = reader.next() {
                let _ = (reader.labels(&mut labels), reader.created(), reader.metadata());
                if item == Item::Histogram {
                    let _ = reader.read_histogram();
                }
                while reader.next_exemplar(&mut labels).is_some() {}
            }
        }
    }
}
