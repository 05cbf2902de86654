//! Data of Prometheus: chunks, blocks and logs of any bytes give samples or an error; what is written is read again.
#![no_main]

use std::cell::OnceCell;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use arbitrary::{Result, Unstructured};
use emberkeep::interop::gathered::Gathered;
use emberkeep::interop::prometheus::block_reader::{self, Block};
use emberkeep::interop::prometheus::block_writer::BlockWriter;
use emberkeep::interop::prometheus::wal::LogReader;
use emberkeep::interop::prometheus::{Encoding, float_chunk, histogram_chunk};
use emberkeep::model::{Histogram, Labels, Samples, TimeRange};
use emberkeep::storage::SeriesSet;
use emberkeep_fuzz::input::{self, bits};
use emberkeep_fuzz::{seeds, within};
use libfuzzer_sys::fuzz_target;
use tempfile::TempDir;

thread_local! {
    static DIR: OnceCell<TempDir> = const { OnceCell::new() };
}

fuzz_target!(
    init: seeds::write(made_seeds()),
    |data: &[u8]| {
        let Some((choice, rest)) = data.split_first() else { return };
        DIR.with(|dir| {
            let dir = dir.get_or_init(|| tempfile::tempdir().expect("a folder")).path();
            within(512, || match choice % 8 {
                0 => drop(made_block(&mut Unstructured::new(rest), dir)),
                1 => {
                    let mut count = 0;
                    let _ = float_chunk::decode(rest, |_, _| count += 1);
                    assert!(count <= 1 << 16);
                }
                2 | 3 => {
                    let encoding = if choice % 8 == 2 { Encoding::Histogram } else { Encoding::FloatHistogram };
                    let _ = histogram_chunk::decode(rest, encoding, |_, h| {
                        assert_eq!(h.integer, encoding == Encoding::Histogram);
                    });
                }
                4 | 5 => any_log(rest, dir),
                _ => any_block(rest, dir),
            });
        });
    }
);

/// Takes a part off the front: two bytes of length, then that many bytes.
fn take<'a>(data: &mut &'a [u8]) -> &'a [u8] {
    let Some((len, rest)) = data.split_first_chunk::<2>() else { return std::mem::take(data) };
    let (value, rest) = rest.split_at(rest.len().min(usize::from(u16::from_le_bytes(*len))));
    *data = rest;
    value
}

/// Up to three segments; each is bytes as they are, or records that are framed here.
fn any_log(mut data: &[u8], dir: &Path) {
    let dir = dir.join("wal");
    let _ = fs::remove_dir_all(&dir);
    fs::create_dir(&dir).expect("a folder");
    for number in 0..3 {
        let Some((kind, rest)) = data.split_first() else { break };
        data = rest;
        let mut part = take(&mut data);
        let mut bytes = Vec::new();
        if kind & 1 == 0 {
            bytes.extend_from_slice(part);
        }
        while kind & 1 == 1 && !part.is_empty() {
            let record = take(&mut part);
            // Whole records, which have to end with their page; the checksum is zero.
            let left = (32 << 10) - bytes.len() % (32 << 10);
            if record.len() + 7 > left {
                bytes.resize(bytes.len() + left, 0);
            }
            let record = &record[..record.len().min((32 << 10) - 7)];
            bytes.push(1);
            bytes.extend_from_slice(&u16::try_from(record.len()).expect("small").to_be_bytes());
            bytes.extend_from_slice(&[0; 4]);
            bytes.extend_from_slice(record);
        }
        fs::write(dir.join(format!("{number:08}")), bytes).expect("memory");
    }
    let mut gathered = Gathered::default();
    let mut log = LogReader::new(&mut gathered, i64::MIN);
    let read = log.read(&dir);
    let report = log.report();
    assert!(read.is_err() || report.segments > 0 || data.is_empty());
    let mut set = gathered.finish();
    read_all(&set);
    set.take_exemplars(i64::MAX);
}

/// The parts of a block: index, chunks, tombstones, and what the meta record says.
fn any_block(mut data: &[u8], dir: &Path) {
    let block = dir.join("01BKGV7JBM69T2G1BGBGM6KB12");
    fs::create_dir_all(block.join("chunks")).expect("a folder");
    for (name, head) in [
        ("index", &[0xba, 0xaa, 0xd7, 0x00, 2][..]),
        ("chunks/000001", &[0x85, 0xbd, 0x40, 0xdd, 1, 0, 0, 0]),
        ("tombstones", &[0x01, 0x30, 0xba, 0x30, 1]),
        ("meta.json", &[]),
    ] {
        let part = take(&mut data);
        if name == "meta.json" && part.is_empty() {
            let meta = br#"{"ulid":"01BKGV7JBM69T2G1BGBGM6KB12","minTime":0,"maxTime":9,"version":1}"#;
            fs::write(block.join(name), meta).expect("memory");
        } else {
            fs::write(block.join(name), [head, part].concat()).expect("memory");
        }
    }
    let _ = block_reader::find(dir);
    if let Ok(opened) = Block::open(&block) {
        read_all(&opened);
        let _ = opened.refused();
    }
}

/// Reads all of a few series, and a part of them.
fn read_all(set: &dyn SeriesSet) {
    let mut samples = Samples::new();
    for at in 0..set.len().min(50) {
        let _ = set.labels(at);
        for range in [TimeRange::ALL, TimeRange::new(0, 1_700_000_000_000)] {
            if set.read(at, range, &mut samples).is_ok() {
                assert_eq!(samples.timestamps.len(), samples.values.len());
                assert!(samples.timestamps.is_sorted_by(|a, b| a < b));
                assert!(samples.timestamps.iter().all(|time| range.contains(*time)));
            }
        }
    }
}

/// A block that is written here is read as it was.
fn made_block(u: &mut Unstructured<'_>, dir: &Path) -> Result<()> {
    let dir = dir.join("made");
    let _ = fs::remove_dir_all(&dir);
    fs::create_dir(&dir).expect("a folder");
    let mut all: Vec<(Labels, Samples)> = Vec::new();
    for _ in 0..u.int_in_range(1..=4)? {
        let (labels, mut samples) = (input::labels(u)?, input::samples(u, 300)?);
        for (_, histogram) in &mut samples.histograms {
            *histogram = Arc::new(sound(histogram));
        }
        all.push((labels, samples));
    }
    all.retain(|(labels, samples)| !labels.is_empty() && !samples.is_empty());
    all.sort_by(|a, b| a.0.cmp(&b.0));
    all.dedup_by(|a, b| a.0 == b.0);
    let mut writer = BlockWriter::new(&dir).expect("memory");
    for (labels, samples) in &all {
        writer.push(labels.clone(), samples).expect("memory");
    }
    let Some(written) = writer.finish().expect("memory") else {
        assert!(all.is_empty());
        return Ok(());
    };
    let block = Block::open(&dir.join(&written.ulid)).expect("own output");
    assert_eq!(block.len(), all.len());
    let mut found = Samples::new();
    for (at, (labels, samples)) in all.iter().enumerate() {
        assert_eq!(block.labels(at), *labels);
        block.read(at, TimeRange::ALL, &mut found).expect("own output");
        assert_eq!(found.timestamps, samples.timestamps);
        assert_eq!(found.histograms.len(), samples.histograms.len());
        for ((a, found), (b, given)) in found.histograms.iter().zip(&samples.histograms) {
            assert_eq!(a, b);
            assert_eq!(found.is_stale(), given.is_stale());
            if !given.is_stale() {
                assert_eq!((found.schema, found.integer), (given.schema, given.integer));
                assert_eq!(bits(&[found.count, found.sum]), bits(&[given.count, given.sum]));
                assert_eq!(bits(&found.positive.counts), bits(&given.positive.counts));
                assert_eq!(bits(&found.negative.counts), bits(&given.negative.counts));
            }
        }
        let floats = |samples: &Samples| {
            let mut values = samples.values.clone();
            samples.histograms.iter().for_each(|(at, _)| values[*at] = 0.0);
            bits(&values)
        };
        assert_eq!(floats(&found), floats(samples));
    }
    Ok(())
}

/// The same with what Prometheus has no place for changed.
fn sound(h: &Histogram) -> Histogram {
    let mut out = h.clone();
    if out.integer && !out.is_stale() {
        out.count = out.count.trunc().abs().min(1e9);
        out.zero_count = out.zero_count.trunc().abs().min(1e9);
    }
    if !out.zero_threshold.is_finite() {
        out.zero_threshold = 0.0;
    }
    for buckets in [&mut out.positive, &mut out.negative] {
        buckets.spans.iter_mut().skip(1).for_each(|span| span.offset = span.offset.abs());
    }
    out
}

/// Chunks, a block as it is written, a log of every kind of record, and bytes to make others from.
fn made_seeds() -> Vec<Vec<u8>> {
    let bytes: Vec<u8> = (0..600u32).map(|n| (n * n % 251) as u8).collect();
    let mut all = vec![[&[0], &bytes[..]].concat()];
    let dir = tempfile::tempdir().expect("a folder");
    let mut writer = BlockWriter::new(dir.path()).expect("memory");
    for (at, samples) in seeds::samples().iter().enumerate() {
        let mut part = Samples::new();
        let few = TimeRange::new(i64::MIN, samples.timestamps[samples.len().min(9)]);
        part.extend_from(samples, few);
        writer.push(Labels::from_pairs([("__name__", format!("m{at}"))]), &part).expect("memory");
        if part.histograms.is_empty() {
            let mut chunk = float_chunk::FloatChunk::default();
            part.iter().for_each(|(time, value)| chunk.push(time, value));
            all.push([&[1], &chunk.finish()[..]].concat());
        } else if let Some((_, first)) = part.histograms.first() {
            let mut chunk = histogram_chunk::HistogramChunk::new(0, first);
            for (time, (_, next)) in (1..).zip(&part.histograms[1..]) {
                if chunk.takes(next) {
                    chunk.push(time, next);
                }
            }
            let choice = if chunk.encoding() == Encoding::Histogram { 2 } else { 3 };
            all.push([&[choice], &chunk.finish()[..]].concat());
        }
    }
    let written = writer.finish().expect("memory").expect("some");
    let file = |name: &str| fs::read(dir.path().join(&written.ulid).join(name)).expect("written");
    let block = [
        seeds::part(&file("index")[5..]),
        seeds::part(&file("chunks/000001")[8..]),
        seeds::part(&file("tombstones")[5..]),
        seeds::part(&file("meta.json")),
    ];
    all.push([&[6], &block.concat()[..]].concat());
    // A series, then of it: a sample, an exemplar, a tombstone, a native histogram.
    let records: [&[u8]; 5] = [
        b"\x01\0\0\0\0\0\0\0\x01\x01\x08__name__\x02up",
        b"\x02\0\0\0\0\0\0\0\x01\0\0\x01\x8b\xcf\xe5\x68\0\0\0\x3f\xf0\0\0\0\0\0\0",
        b"\x04\0\0\0\0\0\0\0\x01\0\0\x01\x8b\xcf\xe5\x68\0\0\0\x3f\xf0\0\0\0\0\0\0\x01\x01a\x01b",
        b"\x03\0\0\0\0\0\0\0\x01\x02\x04",
        b"\x07\0\0\0\0\0\0\0\x01\0\0\x01\x8b\xcf\xe5\x68\0\0\0\x01\x06\x3f\xf0\0\0\0\0\0\0\x02\x05\x3f\xf8\0\0\0\0\0\0\x01\x02\x02\0\x02\x04\x01\0",
    ];
    let log = records.iter().flat_map(|record| seeds::part(record)).collect::<Vec<u8>>();
    all.push([&[4, 1], &seeds::part(&log)[..]].concat());
    all
}
