//! The index of a block, both versions: whatever opens agrees with itself, and what is built comes back.
#![no_main]

use std::ops::ControlFlow;

use arbitrary::{Result, Unstructured};
use emberkeep::model::{Labels, MatchOp, Matcher};
use emberkeep::storage::Watch;
use emberkeep::tsdb::chunk::ints;
use emberkeep::tsdb::index::LabelSource;
use emberkeep::tsdb::index::reader::{BlockIndex, IndexBuilder};
use emberkeep::tsdb::index::resolve::resolve;
use emberkeep_fuzz::{input, put_varint, seeds, within};
use libfuzzer_sys::fuzz_target;

fuzz_target!(
    init: seeds::write(made_seeds()),
    |data: &[u8]| {
        within(768, || {
            let Some((choice, rest)) = data.split_first() else { return };
            match choice % 8 {
                0 => {
                    let _ = made(&mut Unstructured::new(rest));
                }
                // As it is stored. What it claims to inflate to is not all looked at.
                1 => {
                    let _ = BlockIndex::open(rest);
                }
                version => {
                    let mut bytes = vec![1 + version % 2];
                    put_varint(&mut bytes, rest.len() as u64);
                    bytes.extend_from_slice(&zstd::bulk::compress(rest, 1).expect("memory"));
                    if let Ok(index) = BlockIndex::open(&bytes) {
                        check(&index);
                    }
                }
            }
        });
    }
);

/// More series than that are not looked at one by one.
const MOST: usize = 200;

fn check(index: &BlockIndex) {
    let count = index.series_count();
    let number = |at: usize| u32::try_from(at).expect("few");
    let series: Vec<Vec<(&str, &str)>> =
        (0..count.min(MOST)).map(|at| index.label_pairs(number(at)).collect()).collect();
    assert_eq!(index.all().len(), count as u64);
    let _ = (index.sample_count(), index.memory_bytes(), index.pair_count());
    for (at, pairs) in series.iter().enumerate() {
        // The last of two of the same name counts, if there should be two.
        for (name, _) in pairs {
            let value = index.label_value(number(at), name);
            assert!(pairs.iter().any(|(n, v)| n == name && Some(*v) == value), "{pairs:?}");
        }
        assert_eq!(index.label_value(number(at), "no such label"), None);
        for (column, timeline) in index.columns(number(at)).take(50) {
            assert_eq!(index.column_len(column), Some(timeline.len()));
            let (first, last) = timeline.bounds();
            if let Ok(times) = timeline.timestamps() {
                assert_eq!((times.first(), times.last()), (Some(&first), Some(&last)));
                assert!(times.len() == timeline.len() && times.is_sorted_by(|a, b| a < b));
            }
            let _ = index.locate(column);
        }
    }
    assert!(
        index.label_pairs(number(count)).next().is_none() && index.columns(number(count)).next().is_none()
    );
    if count > MOST {
        return;
    }
    let mut names = Vec::new();
    index.each_name(&mut |name| names.push(name.to_owned()));
    assert!(names.is_sorted_by(|a, b| a < b), "{names:?}");
    for name in names.iter().take(50) {
        let mut last: Option<String> = None;
        let mut left = 50;
        index.each_value(name, "", &mut |value, postings| {
            assert!(last.as_deref().is_none_or(|last| last < value), "{last:?} {value:?}");
            let found: Vec<u32> = postings().iter().collect();
            assert_eq!(found, index.postings(name, value).iter().collect::<Vec<_>>());
            let expected = (0u32..).zip(&series).filter(|(_, pairs)| pairs.contains(&(name, value)));
            assert!(found.iter().copied().eq(expected.map(|(at, _)| at)), "{name:?}={value:?}: {found:?}");
            last = Some(value.to_owned());
            left -= 1;
            if left == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
    }
}

fn made(u: &mut Unstructured<'_>) -> Result<()> {
    let mut builder = IndexBuilder::default();
    let mut scratch = ints::Scratch::default();
    let mut timelines: Vec<Vec<i64>> = Vec::new();
    for _ in 0..u.int_in_range(1..=4)? {
        let mut times = Vec::new();
        for _ in 0..u.int_in_range(1..=5)? {
            times.push(input::time(u)?);
        }
        times.sort_unstable();
        times.dedup();
        builder.add_timeline(&times, &mut scratch);
        timelines.push(times);
    }
    let mut all: Vec<(Labels, Vec<u32>)> = Vec::new();
    while !u.is_empty() && all.len() < 100 {
        let labels = input::labels(u)?;
        let mut columns = Vec::new();
        for _ in 0..u.int_in_range(0..=3)? {
            columns.push(u32::try_from(u.choose_index(timelines.len())?).expect("few"));
        }
        all.push((labels, columns));
    }
    all.sort_by(|a, b| a.0.cmp(&b.0));
    all.dedup_by(|a, b| a.0 == b.0);
    let mut column = 0;
    for (at, (labels, columns)) in all.iter().enumerate() {
        if at % 7 == 0 {
            builder.add_bundle(column);
        }
        column += columns.len() as u64;
        builder.add_series(labels.clone(), columns.clone());
    }
    let index = BlockIndex::open(&builder.finish().expect("it comes back")).expect("own output");
    check(&index);
    let mut column = 0;
    for ((number, (labels, columns)), bundle) in (0u32..).zip(&all).zip(0u32..) {
        assert_eq!(index.labels(number), *labels);
        let found: Vec<_> = index.columns(number).collect();
        assert_eq!(found.len(), columns.len());
        for ((at, times), expected) in found.into_iter().zip(columns) {
            assert_eq!(at, column);
            assert_eq!(index.locate(at).map(|(bundle, _)| bundle), Some(bundle / 7));
            column += 1;
            assert_eq!(times.timestamps().expect("own output"), timelines[*expected as usize]);
        }
    }
    let ops = [MatchOp::Equal, MatchOp::NotEqual, MatchOp::Regex, MatchOp::NotRegex];
    let mut matchers = Vec::new();
    for (at, (labels, _)) in all.iter().enumerate().take(4) {
        let pattern = ["", "a|b", ".*", "u.*", "__.*", "[^b]+"][at % 6];
        for (name, value) in labels {
            let op = ops[(at + value.len() + name.len()) % 4];
            let value = if matches!(op, MatchOp::Equal | MatchOp::NotEqual) { value } else { pattern };
            matchers.push(Matcher::new(name, op, value).expect("sound"));
        }
    }
    for taken in matchers.chunks(1).chain(matchers.chunks(2)) {
        let expected: Vec<u32> = (0u32..)
            .zip(&all)
            .filter(|(_, (labels, _))| taken.iter().all(|matcher| matcher.matches_labels(labels)))
            .map(|(number, _)| number)
            .collect();
        let found = resolve(&index, taken, Watch::NONE).expect("nobody says no");
        assert_eq!(found.iter().collect::<Vec<_>>(), expected, "{taken:?}");
    }
    Ok(())
}

/// The body of an index that was built, that of the first version, and bytes to make others from.
fn made_seeds() -> Vec<Vec<u8>> {
    let bytes: Vec<u8> = (0..300u32).map(|n| (n * n % 251) as u8).collect();
    let built = seeds::index();
    let first = include_bytes!("../../../../src/tsdb/index/version_1.bin");
    let body = |version: u8, packed: &[u8]| {
        let packed = &packed[1 + packed[1..].iter().take_while(|byte| **byte >= 0x80).count() + 1..];
        let body = zstd::bulk::decompress(packed, 1 << 16).expect("own output");
        [&[if version == 1 { 2 } else { 3 }], &body[..]].concat()
    };
    vec![
        [&[0], &bytes[..]].concat(),
        [&[1], &built[..]].concat(),
        [&[1], &first[..]].concat(),
        body(2, &built),
        body(1, first),
    ]
}
