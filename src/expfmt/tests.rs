//! Tests of the parser: entries, errors with their line, and that no bytes make it panic.

use super::*;
use crate::expfmt::{parse_series, unescape_help};
use crate::model::LabelsBuf;

/// All entries printed one per line, or the error.
fn read(body: &str, format: Format) -> Result<String, String> {
    let mut parser = Parser::new(body.as_bytes(), format);
    let mut out = String::new();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    while let Some(entry) = parser.next_entry(None).map_err(|e| e.to_string())? {
        let line = match entry {
            Entry::Sample(s) => {
                let exemplar = parser.exemplar().map_or_else(String::new, |e| {
                    format!(" # {} {} {:?}", text(e.labels), e.value, e.timestamp)
                });
                format!("{} {} {:?}{exemplar}\n", text(s.series), s.value, s.timestamp)
            }
            Entry::Type { name, kind } => format!("TYPE {} {}\n", text(name), kind.name()),
            Entry::Help { name, text: help } => format!("HELP {} {}\n", text(name), text(help)),
            Entry::Unit { name, unit } => format!("UNIT {} {}\n", text(name), text(unit)),
        };
        out.push_str(&line);
    }
    Ok(out)
}

#[test]
fn classic_text() {
    let check =
        |body: &str, expected: &str| assert_eq!(read(body, Format::Text).as_deref(), Ok(expected), "{body}");
    check("", "");
    check("# HELP a  some help \n# TYPE a counter\na 1\n", "HELP a some help \nTYPE a counter\na 1 None\n");
    check("# a comment\n# HELP a x\n\n\t \na{b=\"c\"} 1.5 123\n", "HELP a x\na{b=\"c\"} 1.5 Some(123)\n");
    // Comments that only begin as metadata does.
    check("#HELP a x\n#TYPE a nonsense\n# HELP\n# TYPE\n# TYPE\r\n# HELPER a\na 1\n", "a 1 None\n");
    check("a{b=\"c\nd\",e=\"\n\"} 1\n\nf 2\n", "a{b=\"c\nd\",e=\"\n\"} 1 None\nf 2 None\n");
    check("# HELP a \0x\na{b=\"\0\"} 1\n \0b 2\n<html>", "HELP a \0x\na{b=\"\0\"} 1 None\n");
    check("a{b=\"c d}\"}1", "a{b=\"c d}\"} 1 None\n");
    check("a {b=\"\\\"\"}\t2\r\n", "a {b=\"\\\"\"} 2 None\n");
    check("{\"a.b\",c=\"d\"} NaN", "{\"a.b\",c=\"d\"} NaN None\n");
    check("# TYPE \"a.b\" gauge\n", "TYPE a.b gauge\n");
    check("a -Inf\nb +Inf -5\n", "a -inf None\nb inf Some(-5)\n");
}

#[test]
fn classic_text_that_is_refused() {
    let check = |body: &str, expected: &str| {
        let error = read(body, Format::Text).expect_err(body);
        assert!(error.starts_with(expected), "{body}: {error}");
    };
    check("a 1\nb\n", "line 2: unexpected character in the metric name");
    check("a x", "line 1: value is not a number");
    check("a 1 1.5", "line 1: timestamp is not a whole number");
    check("a 1 1 1", "line 1: unexpected text after the timestamp");
    check("a{b=\"c} 1", "line 1: quote is not closed");
    check("a{b=c} 1", "line 1: label value must be in quotes");
    check("a{b=\"c\"d=\"e\"} 1", "line 1: expected a comma");
    check("1a 1", "line 1: metric name expected");
    check("# TYPE a wrong", "line 1: invalid metric type");
    check("<html>", "line 1: metric name expected");
    check("# TYPE \n", "line 1: metric name expected");
    check("\ra 1\n", "line 1: metric name expected");
    // Line breaks in values count as lines.
    check("a{b=\"c\n\nd\"} 1\ne{f=\"\n\"} x\n", "line 4: value is not a number, at \"e{f=\\\"\"");
    check("a 1\nb{c=\"d} 1\ne 2\n", "line 2: quote is not closed, at \"b{c=\\\"d} 1\"");
    check("a{b=\"c\",\nd=\"e\"} 1\n", "line 1: label name expected");
}

#[test]
fn a_series_of_several_lines_is_found_again() {
    let body = b"a{b=\"c\nd\"} 1\n";
    let mut parser = Parser::new(body, Format::Text);
    let Ok(Some(Entry::Sample(sample))) = parser.next_entry(Some(b"a{b=\"c\nd\"}")) else {
        panic!("a sample")
    };
    assert_eq!((sample.series, sample.value), (&body[..10], 1.0));
    assert_eq!((parser.line(), parser.next_entry(None)), (1, Ok(None)));
    assert_eq!(parser.line(), 3);
}

#[test]
fn help_texts_lose_their_escapes_in_one_pass() {
    let check = |text: &str, classic: &str, open_metrics: &str| {
        assert_eq!(unescape_help(text.as_bytes(), Format::Text), classic);
        assert_eq!(unescape_help(text.as_bytes(), Format::OpenMetrics), open_metrics);
    };
    check("C:\\\\new\\nline", "C:\\new\nline", "C:\\new\nline");
    check("say \\\"x\\\" \\q\\", "say \\\"x\\\" \\q\\", "say \"x\" \\q\\");
}

#[test]
fn open_metrics() {
    let check = |body: &str, expected: &str| {
        assert_eq!(read(body, Format::OpenMetrics).as_deref(), Ok(expected), "{body}");
    };
    check("# EOF", "");
    check(
        "# TYPE a counter\n# UNIT a_seconds seconds\na_total 1.0 1.5 # {id=\"x\"} 0.5 12.3\n# EOF\n",
        "TYPE a counter\nUNIT a_seconds seconds\na_total 1 Some(1500) # id=\"x\" 0.5 Some(12300)\n",
    );
    check("a{le=\"1\"} 1 # {} 2\n# EOF\n", "a{le=\"1\"} 1 None #  2 None\n");
    let refuse = |body: &str, expected: &str| {
        let error = read(body, Format::OpenMetrics).expect_err(body);
        assert!(error.starts_with(expected), "{body}: {error}");
    };
    refuse("", "line 1: data does not end with # EOF");
    refuse("a 1\n", "line 2: data does not end with # EOF");
    refuse("# EOF\na 1\n", "line 2: unexpected data after # EOF");
    refuse("# EOF\n\n", "line 2: unexpected data after # EOF");
    refuse("\n# EOF\n", "line 1: empty line");
    refuse("a  1\n# EOF\n", "line 1: value is not a number");
    refuse("#comment\n# EOF\n", "line 1: metric name expected");
    refuse("a 1 # 5\n# EOF\n", "line 1: exemplar has no labels");
}

/// Reads entries and labels to the first fault.
fn is_refused(body: &[u8], format: Format) -> bool {
    let mut parser = Parser::new(body, format);
    let mut labels = LabelsBuf::new();
    loop {
        match parser.next_entry(None) {
            Ok(None) => return false,
            Ok(Some(Entry::Sample(sample))) => {
                if parse_series(sample.series, parser.kind(), &mut labels).is_err() {
                    return true;
                }
            }
            Ok(Some(_)) => {}
            Err(_) => return true,
        }
    }
}

#[test]
fn what_prometheus_refuses_is_refused() {
    let open_metrics: [&[u8]; 49] = [
        b"a\n# EOF\n",
        b" a 1\n# EOF\n",
        b"9\n# EOF\n",
        b"# TYPE u untyped\n# EOF\n",
        b"# TYPE c counter \n# EOF\n",
        b"#  TYPE c counter\n# EOF\n",
        b"# TYPE \n# EOF\n",
        b"# TYPE m\n# EOF\n",
        b"# UNIT metric suffix\n# EOF\n",
        b"# UNIT metricsuffix suffix\n# EOF\n",
        b"# UNIT m suffix\n# EOF\n",
        b"# UNIT \n# EOF\n",
        b"# HELP \n# EOF\n",
        b"a\t1\n# EOF\n",
        b"a 1\t2\n# EOF\n",
        b"a 1 2 \n# EOF\n",
        b"a 1 2 #\n# EOF\n",
        b"a 1 1z\n# EOF\n",
        b" # EOF\n",
        b"# EOFa 1",
        b"#\tTYPE c counter\n# EOF\n",
        b"# TYPE c  counter\n# EOF\n",
        b"a 1 1 1\n# EOF\n",
        b"a{b='c'} 1\n# EOF\n",
        b"a{,b=\"c\"} 1\n# EOF\n",
        b"a{b=\"c\",,d=\"e\"} 1\n# EOF\n",
        b"a{b=\n# EOF\n",
        b"a{\xff=\"foo\"} 1\n# EOF\n",
        b"a{b=\"\xff\"} 1\n# EOF\n",
        b"{\"a\",\"b = \"c\"}\n# EOF\n",
        b"{\"a\",b\nc=\"d\"} 1\n# EOF\n",
        b"a true\n# EOF\n",
        b"something_weird{problem=\"\n# EOF\n",
        b"empty_label_name{=\"\"} 0\n# EOF\n",
        b"{A}0\n# EOF\n",
        b"foo 1_2\n# EOF\n",
        b"foo 0x1p-3\n# EOF\n",
        b"foo 0 1_2\n# EOF\n",
        b"a_total 1 # {aa=bb}\n# EOF\n",
        b"a_total 1 # {aa=\"bb\"}\n# EOF\n",
        b"a_total 1 # {bb}\n# EOF\n",
        b"a_total 1 # {bb, a=\"dd\"}\n# EOF\n",
        b"a_total 1 # {aa=\"bb\",,cc=\"dd\"} 1\n# EOF\n",
        b"a_total 1 # {aa=\"bb\"} true\n# EOF\n",
        b"a_total 1 # {aa=\"\xff\"} 9.0\n# EOF\n",
        b"{b=\"c\",} 1\n# EOF\n",
        b"a 1 NaN\n# EOF\n",
        b"a_total 1 # {aa=\"bb\"} 4 NaN\n# EOF\n",
        b"a{b\x00=\"hiih\"} 1\n# EOF\n",
    ];
    let mut accepted = Vec::new();
    for body in open_metrics {
        if !is_refused(body, Format::OpenMetrics) {
            accepted.push(String::from_utf8_lossy(body));
        }
    }
    let classic: [&[u8]; 13] = [
        b"a",
        b"a{b='c'} 1\n",
        b"a{b=\n",
        b"a{\xff=\"foo\"} 1\n",
        b"a{b=\"\xff\"} 1\n",
        b"{\"a\", \"b = \"c\"}",
        b"a true\n",
        b"{A}0\n",
        b"foo 1_2\n",
        b"foo 0x1p-3\n",
        b"foo 0 1_2\n",
        b"{a=\"ok\"} 1",
        b"# TYPE #\n",
    ];
    for body in classic {
        if !is_refused(body, Format::Text) {
            accepted.push(String::from_utf8_lossy(body));
        }
    }
    assert!(accepted.is_empty(), "accepted: {accepted:?}");
    assert!(!is_refused(b"a{b=\"\x00ss\"} 1\n# EOF\n", Format::OpenMetrics));
}

#[test]
fn an_expected_series_is_taken_only_when_it_is_the_one() {
    let check = |line: &str, expected: &str, series: &str| {
        let entry = Parser::new(line.as_bytes(), Format::Text).next_entry(Some(expected.as_bytes()));
        let Ok(Some(Entry::Sample(sample))) = entry else { panic!("{line}: {entry:?}") };
        assert_eq!(String::from_utf8_lossy(sample.series), series, "{line}");
    };
    check("a{b=\"c\"} 1", "a{b=\"c\"}", "a{b=\"c\"}");
    check("a 1", "a", "a");
    check("ab 1", "a", "ab");
    check("a {b=\"c\"} 1", "a", "a {b=\"c\"}");
    check("a{b=\"c\"} 1", "a", "a{b=\"c\"}");
}

#[test]
fn no_bytes_make_it_panic() {
    let seed_text = b"# TYPE a histogram\n# HELP a x\na_bucket{le=\"1\",x=\"\\n\\\"\"} 1 # {a=\"b\"} 2\n{\"q.r\",y=\"z\"} NaN 12\n# EOF\n";
    // A fixed seed, so that a failure repeats.
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    let mut random = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let interesting = b"\"\\{}=,# \n\t\r\x00\xff\xc3a1.eN+-";
    let mut buf = LabelsBuf::new();
    for _ in 0..20_000 {
        let mut body = seed_text.to_vec();
        for _ in 0..=random() % 6 {
            let at = usize::try_from(random()).expect("64 bits") % body.len();
            let byte = interesting[usize::try_from(random()).expect("64 bits") % interesting.len()];
            match random() % 3 {
                0 => body[at] = byte,
                1 => body.insert(at, byte),
                _ => {
                    body.remove(at);
                }
            }
        }
        for format in [Format::Text, Format::OpenMetrics] {
            let mut parser = Parser::new(&body, format);
            while let Ok(Some(entry)) = parser.next_entry(Some(b"a_bucket{")) {
                if let Entry::Sample(sample) = entry {
                    let _ = parse_series(sample.series, parser.kind(), &mut buf);
                }
            }
        }
    }
}

#[test]
fn types_and_units_are_those_of_the_family_at_hand() {
    let told = |body: &str, format| {
        let mut parser = Parser::new(body.as_bytes(), format);
        let mut out = Vec::new();
        while let Some(entry) = parser.next_entry(None).expect("sound") {
            if let Entry::Sample(sample) = entry {
                let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
                out.push(format!("{} {} {}", text(sample.series), parser.kind().name(), text(parser.unit())));
            }
        }
        out
    };
    let body = "# UNIT a_seconds seconds\n# TYPE a_seconds histogram\na_seconds_sum 1\n# HELP a_seconds x\n\
                a_seconds_count 1\n# TYPE b counter\nb_total 1\n# HELP c x\nc 1\nd 1\n# EOF\n";
    assert_eq!(
        told(body, Format::OpenMetrics),
        [
            "a_seconds_sum histogram seconds",
            "a_seconds_count histogram seconds",
            "b_total counter ",
            "c unknown ",
            "d unknown ",
        ]
    );
    let body = "# UNIT a_s s\na_s 1\n# UNIT a_s \na_s 2\n# EOF\n";
    assert_eq!(told(body, Format::OpenMetrics), ["a_s unknown s", "a_s unknown "]);
    let body = "# TYPE a gauge\na 1\n# HELP a x\na{b=\"c\"} 1\n# UNIT a_s s\nb 1\n# TYPE b untyped\nb 1\n";
    assert_eq!(told(body, Format::Text), ["a gauge ", "a{b=\"c\"} gauge ", "b gauge ", "b unknown "]);
}

/// Samples with type and unit of their family, then the error, if families that are known are passed over.
fn read_passing(body: &str, format: Format, known: &[(&str, MetricType, &str)]) -> (Vec<String>, usize) {
    let mut parser = Parser::new(body.as_bytes(), format);
    let (mut all, mut passed) = (Vec::new(), 0);
    loop {
        for (name, kind, help) in known {
            assert!(KnownFamily::is_plain(name, help));
            if parser.is_at_metadata() {
                passed += usize::from(parser.pass(KnownFamily { name, kind: *kind, help }));
            }
        }
        match parser.next_entry(None) {
            Ok(None) => return (all, passed),
            Ok(Some(Entry::Sample(sample))) => {
                all.push(format!("{sample:?} {:?} {:?} {}", parser.kind(), parser.unit(), parser.line()));
            }
            Ok(Some(_)) => {}
            Err(error) => {
                all.push(error.to_string());
                return (all, passed);
            }
        }
    }
}

#[test]
fn families_that_are_known_are_passed_over_without_a_difference() {
    let known = [("a", MetricType::Counter, "Help, of a."), ("b", MetricType::Unknown, "b")];
    let check = |format: Format, expected: usize, body: &str| {
        let (all, passed) = read_passing(body, format, &known);
        assert_eq!(all, read_passing(body, format, &[]).0, "{body}");
        assert_eq!(passed, expected, "{body}");
    };
    let classic = |expected, body: &str| check(Format::Text, expected, body);
    classic(1, "# HELP a Help, of a.\n# TYPE a counter\na 1\n");
    classic(2, "# HELP a Help, of a.\n# TYPE a counter\na 1\n# TYPE b untyped\n# HELP b b\nb 2\n");
    classic(1, "# TYPE c gauge\n# HELP a Help, of a.\na 1\nb 2\n");
    classic(1, "# HELP a Help, of a.\n# TYPE a gauge\na 1\n");
    classic(1, "# HELP a Help, of a.\n# TYPE a nonsense\na 1\n");
    // What says something else, or the same in another way.
    classic(
        0,
        "# HELP a Help, of a. \n# HELP a Help, of a.x\n# HELP a Help, of\n# HELP a Help, of a.\r\na 1\n",
    );
    classic(
        0,
        "# HELP ab Help, of a.\n# HELP  a Help, of a.\n#  HELP a Help, of a.\n# HELP a\tHelp, of a.\n",
    );
    classic(0, "# HELP \"a\" Help, of a.\n# TYPE a counter \n# TYPE b unknown\n# TYPE a countern\n# TYPE a");
    classic(0, "# a\n#\n# HELP\n# TYPE\n# HELP a\n# HELP a Help, of a.");
    let open = |expected, body: &str| check(Format::OpenMetrics, expected, body);
    open(1, "# HELP a Help, of a.\n# TYPE a counter\na_total 1\n# EOF\n");
    open(2, "# TYPE a counter\n# UNIT a_s s\n# HELP a Help, of a.\na_total 1\n# EOF\n");
    open(2, "# UNIT c_s s\n# TYPE b unknown\nb 2\n# TYPE a counter\n# EOF\n");
    open(0, "# TYPE b untyped\nb 2\n# EOF\n");
    open(0, "# EOF\n# TYPE a counter\n");
}

#[test]
fn what_is_not_plain_may_be_said_in_several_ways() {
    for (name, help) in
        [("a", ""), ("a", " x"), ("a", "x\t"), ("a", r"\\"), ("a", "x\ny"), ("a b", "x"), ("\u{e4}", "x")]
    {
        assert!(!KnownFamily::is_plain(name, help), "{name} {help:?}");
    }
    assert!(KnownFamily::is_plain("a:b_9", "\u{c4} \"x\" # HELP"));
}

#[test]
fn values_end_at_the_first_blank_or_control_character() {
    for length in 0..40u8 {
        for end in 0..=b' ' {
            let text: Vec<u8> =
                (0..length).map(|at| b'!' + at.wrapping_mul(37) % 94).chain([end, b'1', 0xff]).collect();
            assert_eq!(visible(&text), usize::from(length), "{text:?}");
        }
        assert_eq!(visible(&vec![0xa0; usize::from(length)]), usize::from(length));
    }
}
