//! The text formats: a body reads the same whether the next series is guessed or not, and its entries lie within it.
#![no_main]

use emberkeep::expfmt::{
    Encoding, Entry, ExemplarText, Format, KnownFamily, ParseError, Parser, Read, ReadOptions, Reader, parse_labels,
    parse_series,
};
use emberkeep::model::{LabelsBuf, MetricType};
use emberkeep_fuzz::{seeds, within};
use libfuzzer_sys::fuzz_target;

fuzz_target!(
    init: seeds::write(made_seeds()),
    |data: &[u8]| {
        let Some((choice, body)) = data.split_first() else { return };
        let format = if choice & 1 == 0 { Format::Text } else { Format::OpenMetrics };
        within(64, || {
            let plain = read(body, format, |_| None);
            for (line, entry, exemplar) in &plain.0 {
                check(body, *line, entry, exemplar.as_ref());
            }
            // Once with the right guess, once with the series before it, once with the first one.
            let series: Vec<&[u8]> = plain.0.iter().filter_map(|(_, entry, _)| series_of(entry)).collect();
            same(&plain, &read(body, format, |at| series.get(at).copied()));
            same(&plain, &read(body, format, |at| series.get(at.wrapping_sub(1)).copied()));
            same(&plain, &read(body, format, |_| series.first().copied()));
            // With what the families say known before.
            assert_eq!(samples(body, format, &families(&plain)), samples(body, format, &[]));
        });
    }
);

type Found<'a> = (usize, Entry<'a>, Option<ExemplarText<'a>>);
type All<'a> = (Vec<Found<'a>>, Option<ParseError>);

fn series_of<'a>(entry: &Entry<'a>) -> Option<&'a [u8]> {
    match entry {
        Entry::Sample(sample) => Some(sample.series),
        _ => None,
    }
}

fn read<'a>(body: &'a [u8], format: Format, guess: impl Fn(usize) -> Option<&'a [u8]>) -> All<'a> {
    let mut parser = Parser::new(body, format);
    let (mut all, mut samples) = (Vec::new(), 0);
    loop {
        match parser.next_entry(guess(samples)) {
            Ok(None) => return (all, None),
            Err(error) => return (all, Some(error)),
            Ok(Some(entry)) => {
                let is_sample = series_of(&entry).is_some();
                samples += usize::from(is_sample);
                let exemplar = parser.exemplar().filter(|_| is_sample);
                all.push((parser.line(), entry, exemplar));
                let mut labels = LabelsBuf::new();
                if let Entry::Sample(sample) = &entry {
                    let _ = parse_series(sample.series, parser.kind(), &mut labels);
                }
            }
        }
    }
}

/// What families say of themselves, in their order, the way they say it first and last.
fn families(all: &All<'_>) -> Vec<(String, MetricType, String)> {
    let mut families: Vec<(String, MetricType, String)> = Vec::new();
    for (_, entry, _) in &all.0 {
        let (name, kind, help) = match entry {
            Entry::Type { name, kind } => (name, *kind, None),
            Entry::Help { name, text } => (name, MetricType::Unknown, Some(*text)),
            _ => continue,
        };
        let (Ok(name), Ok(help)) = (std::str::from_utf8(name), std::str::from_utf8(help.unwrap_or_default())) else {
            continue;
        };
        match families.last_mut().filter(|family| family.0 == name) {
            Some(family) if help.is_empty() => family.1 = kind,
            Some(family) => family.2 = help.to_owned(),
            None => families.push((name.to_owned(), kind, help.to_owned())),
        }
    }
    families
}

/// The samples, with type and unit of their family, and how reading ends.
fn samples(body: &[u8], format: Format, known: &[(String, MetricType, String)]) -> Vec<String> {
    let mut reader = Reader::new(body, Encoding::Text(format), ReadOptions::default());
    let mut known = known.iter().filter(|(name, _, help)| KnownFamily::is_plain(name, help)).peekable();
    let mut all = Vec::new();
    loop {
        let next = || known.peek().map(|(name, kind, help)| KnownFamily { name, kind: *kind, help });
        if reader.pass(next) {
            known.next();
        }
        match reader.next(None) {
            Ok(None) => return all,
            Ok(Some(Read::Metadata)) => {}
            Ok(Some(read)) => all.push(format!("{read:?} {:?} {:?} {:?}", reader.series(), reader.kind(), reader.unit())),
            Err(error) => {
                all.push(error.to_string());
                return all;
            }
        }
    }
}

fn same(a: &All<'_>, b: &All<'_>) {
    // Not a number is written the same.
    assert_eq!(format!("{:?}", a), format!("{:?}", b));
}

fn check(body: &[u8], line: usize, entry: &Entry<'_>, exemplar: Option<&ExemplarText<'_>>) {
    assert!(line >= 1 && line <= body.iter().filter(|byte| **byte == b'\n').count() + 1);
    let inside = |part: &[u8]| {
        body.as_ptr_range().start <= part.as_ptr() && part.as_ptr_range().end <= body.as_ptr_range().end
    };
    let mut labels = LabelsBuf::new();
    match entry {
        Entry::Sample(sample) => assert!(inside(sample.series) && !sample.series.is_empty()),
        Entry::Type { name, .. } => assert!(inside(name)),
        Entry::Help { name, text } => assert!(inside(name) && inside(text)),
        Entry::Unit { name, unit } => assert!(inside(name) && inside(unit)),
    }
    if let Some(exemplar) = exemplar {
        assert!(inside(exemplar.labels));
        let _ = parse_labels(exemplar.labels, &mut labels);
    }
}

/// Bodies in both formats, and those of the conformance data where it is at hand.
fn made_seeds() -> Vec<Vec<u8>> {
    let text = "# HELP a_total Help \\\\ \\n.\n# TYPE a_total counter\na_total{b=\"c\\\"\\n\",d=\"\"} 1e3 1700000000000\n\
        a_total 2\n{\"x.y\",le=\"+Inf\"} NaN\n# TYPE h histogram\nh_bucket{le=\"1\"} 3\nh_sum -Inf\n  \n# plain\n";
    let open = "# TYPE a counter\n# UNIT a seconds\n# HELP a Help.\na_total{b=\"c\"} 1.5 1.5 # {trace_id=\"x\"} 0.5 2.25\n\
        a_created 1\n# TYPE i info\ni_info{v=\"1\"} 1\n# TYPE s stateset\ns{s=\"x\"} 0\n# EOF\n";
    let mut all = vec![[&[0], text.as_bytes()].concat(), [&[1], open.as_bytes()].concat()];
    for body in seeds::conformance("exposition").into_iter().filter(|body| body.len() < 4096) {
        all.push([&[0], body.as_bytes()].concat());
        all.push([&[1], body.as_bytes()].concat());
    }
    all
}
