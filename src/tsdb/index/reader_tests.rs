//! Tests of the stored index: both versions, against plain matching, and damaged bytes.

use std::ops::ControlFlow;

use proptest::prelude::*;

use super::*;
use crate::model::{MatchOp, Matcher};
use crate::storage::Watch;
use crate::tsdb::chunk::ints;
use crate::tsdb::index::resolve::resolve;

/// As version 1 wrote it: the series of [`sample_index`].
const VERSION_1: &[u8] = include_bytes!("version_1.bin");

fn sample_index() -> Vec<u8> {
    let mut builder = IndexBuilder::default();
    builder.add_timeline(&[1000, 2000, 3000], &mut ints::Scratch::default());
    builder.add_timeline(&[5, 7], &mut ints::Scratch::default());
    builder.add_bundle(0);
    builder.add_series(Labels::from_pairs([("__name__", "a"), ("job", "j\u{e9}")]), vec![0, 1]);
    builder.add_bundle(2);
    builder.add_series(Labels::from_pairs([("__name__", "b"), ("job", "j\u{e8}")]), vec![1]);
    builder.finish().expect("finish")
}

#[test]
fn what_is_almost_the_same_can_be_read_again() {
    // Values of 20 KB that differ at the end only, and series of 5,000 labels that differ in one: a few bytes each.
    let prefix = "v".repeat(20_000);
    let mut builder = IndexBuilder::default();
    for n in 0..1000 {
        builder.add_series(Labels::from_pairs([("name", format!("{prefix}{n:04}"))]), Vec::new());
    }
    let index = BlockIndex::open(&builder.finish().expect("finish")).expect("own output");
    assert_eq!(index.label_value(999, "name"), Some(format!("{prefix}0999").as_str()));

    let shared: Vec<(String, String)> = (0..5000).map(|n| (format!("l{n:05}"), "v".to_owned())).collect();
    let mut builder = IndexBuilder::default();
    for n in 0..200 {
        let own = ("z".to_owned(), format!("{n:04}"));
        builder.add_series(Labels::from_pairs(shared.iter().cloned().chain([own])), Vec::new());
    }
    let bytes = builder.finish().expect("finish");
    let index = BlockIndex::open(&bytes).expect("own output");
    assert_eq!((index.series_count(), index.label_value(199, "z")), (200, Some("0199")));
    assert!(bytes.len() < 60_000, "{} bytes", bytes.len());
}

#[test]
fn comes_back_whole() {
    for bytes in [sample_index().as_slice(), VERSION_1] {
        let index = BlockIndex::open(bytes).expect("own output");
        assert_eq!(index.series_count(), 2);
        assert_eq!(index.pair_count(), 4);
        assert_eq!(index.sample_count(), 7);
        assert_eq!(index.labels(1), Labels::from_pairs([("__name__", "b"), ("job", "j\u{e8}")]));
        assert_eq!(index.label_value(0, "job"), Some("j\u{e9}"));
        assert_eq!(index.label_value(0, "jo"), None);
        let columns = |number| {
            let all = index.columns(number).map(|(column, t)| (column, t.timestamps().expect("timeline")));
            all.collect::<Vec<_>>()
        };
        assert_eq!(columns(0), [(0, &[1000i64, 2000, 3000][..]), (1, &[5, 7])]);
        assert_eq!(columns(1), [(2, &[5i64, 7][..])]);
        assert_eq!((index.column_len(0), index.column_len(9)), (Some(3), None));
        assert_eq!((index.locate(1), index.locate(2)), (Some((0, 1)), Some((1, 0))));
        assert_eq!(index.labels(9), Labels::empty());
        let mut values = Vec::new();
        index.each_value("job", "j", &mut |value, postings| {
            values.push((value.to_owned(), postings().iter().collect::<Vec<_>>()));
            ControlFlow::Continue(())
        });
        assert_eq!(values, [("j\u{e8}".to_owned(), vec![1]), ("j\u{e9}".to_owned(), vec![0])]);
        let mut names = Vec::new();
        index.each_name(&mut |name| names.push(name.to_owned()));
        assert_eq!(names, ["__name__", "job"]);
    }
}

#[test]
fn values_out_of_order_are_refused() {
    // One label name with two values and no series.
    let check = |values: &[&[u8]], expected: bool| {
        let body = [&b"\x01\x01a\x02"[..], &values.concat(), &[0; 8]].concat();
        assert_eq!(BlockIndex::read(&body, VERSION).is_ok(), expected, "{values:?}");
    };
    check(&[b"\0\x01x", b"\x01\x01y"], true);
    check(&[b"\0\x01x", b"\0\x01y"], true);
    check(&[b"\0\x01x", b"\0\x01x"], false);
    check(&[b"\0\x01y", b"\0\x01x"], false);
}

fn many_series() -> Vec<Labels> {
    let mut series = Vec::new();
    for metric in 0..40 {
        for host in 0..20 {
            let mut pairs = vec![("__name__", format!("metric_{metric}")), ("job", "node".to_owned())];
            pairs.push(("instance", format!("host-{host}:9100")));
            if metric % 3 == 0 {
                pairs.push(("device", format!("sd{}", host % 4)));
            }
            series.push(Labels::from_pairs(pairs));
        }
    }
    series.sort();
    series
}

#[test]
fn matchers_agree_with_matching_every_series() {
    let series = many_series();
    let mut builder = IndexBuilder::default();
    builder.add_timeline(&(0..480).map(|i| i * 15_000).collect::<Vec<_>>(), &mut ints::Scratch::default());
    series.iter().for_each(|labels| builder.add_series(labels.clone(), vec![0]));
    let bytes = builder.finish().expect("finish");
    // About a hundredth of a byte for each of 480 samples.
    assert!(bytes.len() < 4 * series.len(), "{} bytes", bytes.len());
    let index = BlockIndex::open(&bytes).expect("own output");
    assert!(index.memory_bytes() < 100 * series.len());
    for (number, labels) in (0u32..).zip(&series) {
        assert_eq!(index.labels(number), *labels);
    }
    use MatchOp::{Equal, NotEqual, NotRegex, Regex};
    let check = |matchers: &[(&str, MatchOp, &str)]| {
        let matchers: Vec<Matcher> =
            matchers.iter().map(|(n, op, v)| Matcher::new(*n, *op, *v).expect("matcher")).collect();
        let all = (0u32..).zip(&series);
        let expected: Vec<u32> =
            all.filter(|(_, l)| matchers.iter().all(|m| m.matches_labels(l))).map(|(n, _)| n).collect();
        let found = resolve(&index, &matchers, Watch::NONE).expect("nobody says no");
        assert_eq!(found.iter().collect::<Vec<_>>(), expected, "{matchers:?}");
    };
    check(&[]);
    check(&[("__name__", Equal, "metric_7")]);
    check(&[("__name__", Equal, "metric_")]);
    check(&[("instance", Equal, "host-3:9100"), ("device", NotEqual, "")]);
    check(&[("device", Regex, "sd[12]"), ("__name__", Regex, "metric_1.*")]);
    check(&[("device", Equal, "")]);
    check(&[("job", Equal, "node"), ("instance", NotRegex, "host-1.*")]);
    check(&[("absent", NotEqual, "x")]);
    check(&[("absent", Equal, "x")]);
}

fn try_everything(body: &[u8], version: u8) {
    let Ok(index) = BlockIndex::read(body, version) else { return };
    for number in 0..3 {
        let _ = (index.labels(number), index.locate(u64::from(number)), index.label_value(number, "job"));
        index.columns(number).for_each(|(_, timeline)| {
            let _ = timeline.timestamps();
        });
    }
    index.each_value("job", "", &mut |_, postings| {
        assert!(postings().iter().all(|number| (number as usize) < index.series_count()));
        ControlFlow::Continue(())
    });
}

proptest! {
    #[test]
    fn any_labels_come_back(sets in prop::collection::vec(
        prop::collection::vec(("[a-d]{1,2}", "[x-z\u{e9}]{0,3}"), 0..6), 0..40
    )) {
        let mut series: Vec<Labels> = sets.into_iter().map(Labels::from_pairs).collect();
        series.sort();
        let mut builder = IndexBuilder::default();
        builder.add_timeline(&[1], &mut ints::Scratch::default());
        series.iter().for_each(|labels| builder.add_series(labels.clone(), vec![0]));
        let index = BlockIndex::open(&builder.finish().expect("finish")).expect("own output");
        for (number, labels) in (0u32..).zip(&series) {
            prop_assert_eq!(&index.labels(number), labels);
        }
    }

    #[test]
    fn damaged_bytes_never_panic(first: bool, at in 0usize..400, byte: u8, cut: bool) {
        let bytes = if first { VERSION_1.to_vec() } else { sample_index() };
        let mut reader = ByteReader::new(&bytes);
        let version = reader.u8().expect("version");
        let len = reader.varint().expect("length");
        let packed = reader.bytes(reader.remaining()).expect("body");
        let mut body = zstd::bulk::decompress(packed, usize::try_from(len).expect("small")).expect("zstd");
        let at = at % body.len();
        body[at] ^= byte;
        if cut {
            body.truncate(at);
        }
        try_everything(&body, version);
    }
}
