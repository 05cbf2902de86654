//! Tests of reading texts with native histograms made of classic ones, and with times when counting began.

use std::fmt::Write as _;

use super::*;

const CONVERT: ReadOptions =
    ReadOptions { native_histograms: false, classic_too: false, convert_classic: true, created: false };

fn read(body: &str, format: Format, options: ReadOptions) -> Vec<String> {
    let mut reader = Reader::new(body.as_bytes(), Encoding::Text(format), options);
    let mut lines = Vec::new();
    let mut labels = LabelsBuf::new();
    let mut keys = Vec::new();
    while let Some(read) = reader.next(None).expect("valid") {
        let mut line = String::new();
        if read != Read::Metadata {
            reader.labels(&mut labels).expect("labels");
            let _ = write!(line, "{}", labels.to_labels());
            assert!(!keys.contains(&reader.series().to_vec()), "{line}");
            keys.push(reader.series().to_vec());
        }
        let timestamp = match read {
            Read::Metadata => continue,
            Read::Sample { value, timestamp } => {
                let _ = write!(line, " {value}");
                timestamp
            }
            Read::Histogram { timestamp } => {
                assert_eq!(reader.kind(), MetricType::Histogram);
                let unit = String::from_utf8_lossy(reader.unit()).into_owned();
                let h = reader.histogram().expect("valid");
                let counts = &h.positive.counts;
                let _ = write!(line, " {} {} {:?} {counts:?} {unit}", h.count, h.sum, h.custom_values);
                timestamp
            }
        };
        if let Some(timestamp) = timestamp {
            let _ = write!(line, " @{timestamp}");
        }
        if options.created
            && let Some(created) = reader.created()
        {
            let _ = write!(line, " created={created}");
        }
        while let Some((value, timestamp)) = reader.next_exemplar(&mut labels) {
            let _ = write!(line, " # {} {value} {timestamp:?}", labels.to_labels());
        }
        lines.push(line);
    }
    lines
}

#[test]
fn classic_histograms_of_texts_become_native_ones() {
    let body = r#"# TYPE h histogram
h_bucket{a="x",le="1"} 1
h_bucket{a="x",le="2"} 3
h_bucket{a="x",le="+Inf"} 4
h_sum{a="x"} 5.5
h_count{a="x"} 4
h_bucket{le="1",a="y"} 2 1000
h_count{a="y"} 2 1000
# TYPE g gauge
g_bucket{le="1"} 1
# TYPE i histogram
i_bucket{le="1"} 3
i_bucket{le="2"} 2
i_other 1
j_count 1
# TYPE k histogram
k_count 0
"#;
    let histograms = [r#"h{a="x"} 4 5.5 [1.0, 2.0] [1.0, 2.0, 1.0] "#, r#"h{a="y"} 2 0 [1.0] [2.0]  @1000"#];
    let others = [r#"g_bucket{le="1"} 1"#, "i_other 1", "j_count 1", "k 0 0 [] [] "];
    assert_eq!(read(body, Format::Text, CONVERT), [&histograms[..], &others].concat());
    let both = read(body, Format::Text, ReadOptions { classic_too: true, ..CONVERT });
    assert_eq!(both.len(), 5 + 1 + 2 + 1 + 1 + 2 + 2 + 1 + 1);
    assert_eq!((both[5].as_str(), both[8].as_str()), (histograms[0], histograms[1]));
    assert_eq!(both[0], r#"h_bucket{a="x", le="1.0"} 1"#);
}

#[test]
fn exemplars_and_units_go_with_the_histogram() {
    let body = r#"# TYPE h_s histogram
# UNIT h_s s
h_s_bucket{le="1"} 1 # {t="a"} 0.5 12
h_s_bucket{le="+Inf"} 4 # {t="b"} 9
h_s_count 4
h_s_created 3.5
# EOF
"#;
    let found = read(body, Format::OpenMetrics, CONVERT);
    assert_eq!(found, [r#"h_s 4 0 [1.0] [1.0, 3.0] s # {t="a"} 0.5 Some(12000)"#, "h_s_created 3.5"]);
    let found = read(body, Format::OpenMetrics, ReadOptions { created: true, ..CONVERT });
    assert_eq!(found, [r#"h_s 4 0 [1.0] [1.0, 3.0] s created=3500 # {t="a"} 0.5 Some(12000)"#]);
}

#[test]
fn samples_know_when_counting_began() {
    let created = ReadOptions { created: true, ..ReadOptions::default() };
    let body = r#"# TYPE c counter
c_total{a="1"} 5
c_created{a="1"} 1.5
c_total{a="2"} 6
c_total{a="3"} 7
c_created{a="3"} 2
c_total{a="4"} 8
# TYPE s summary
s{a="1",quantile="0.5"} 1
s_count{a="1"} 2
s_sum{a="1"} 3
s_created{a="1"} 4
# TYPE g gauge
g 1
g_created 2
# TYPE "q.q" counter
{"q.q_total",a="b"} 1
{"q.q_created",a="b"} 3
# EOF
"#;
    let expected = [
        r#"c_total{a="1"} 5 created=1500"#,
        r#"c_total{a="2"} 6"#,
        r#"c_total{a="3"} 7 created=2000"#,
        r#"c_total{a="4"} 8"#,
        r#"s{a="1", quantile="0.5"} 1 created=4000"#,
        r#"s_count{a="1"} 2 created=4000"#,
        r#"s_sum{a="1"} 3 created=4000"#,
        "g 1",
        "g_created 2",
        r#"{"q.q_total", a="b"} 1 created=3000"#,
    ];
    assert_eq!(read(body, Format::OpenMetrics, created), expected);
    assert_eq!(read(body, Format::OpenMetrics, ReadOptions::default()).len(), 14);
    // Classic text has no such lines.
    let classic = "# TYPE c_total counter\nc_total 1\nc_created 2\n";
    assert_eq!(read(classic, Format::Text, created).len(), 2);
}

/// Searching anew from each of them would take minutes.
#[test]
fn a_family_that_does_not_say_when_counting_began_is_searched_once() {
    let mut body = String::from("# TYPE c counter\n");
    for n in 0..20_000 {
        let _ = writeln!(body, "c_total{{a=\"{n}\"}} 1");
    }
    body.push_str("c_created{a=\"none\"} 1\n# EOF\n");
    let created = ReadOptions { created: true, ..ReadOptions::default() };
    let mut reader = Reader::new(body.as_bytes(), Encoding::Text(Format::OpenMetrics), created);
    let mut samples = 0;
    while let Some(read) = reader.next(None).expect("valid") {
        if read != Read::Metadata {
            samples += 1;
            assert_eq!(reader.created(), None);
        }
    }
    assert_eq!(samples, 20_000);
}
