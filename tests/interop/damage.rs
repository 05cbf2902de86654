//! Blocks and logs of Prometheus with damaged bytes: an error, or what was there; never a panic.

use std::path::Path;
use std::sync::Arc;

use emberkeep::interop::gathered::Gathered;
use emberkeep::interop::prometheus::block_reader::Block;
use emberkeep::interop::prometheus::block_writer::BlockWriter;
use emberkeep::interop::prometheus::wal::{LogReader, LogReport};
use emberkeep::interop::prometheus::{Encoding, float_chunk, histogram_chunk};
use emberkeep::model::histogram::{Buckets, Span};
use emberkeep::model::{Histogram, Labels, Samples, TimeRange};
use emberkeep::storage::SeriesSet;
use proptest::prelude::*;

fn histogram(n: u32) -> Arc<Histogram> {
    let n = f64::from(n);
    let positive = Buckets {
        spans: vec![Span { offset: -2, length: 2 }, Span { offset: 3, length: 1 }],
        counts: vec![n, 2.0 * n, n],
    };
    Arc::new(Histogram {
        schema: 2,
        count: 4.0 * n,
        sum: n / 3.0,
        positive,
        integer: true,
        ..Histogram::default()
    })
}

/// A few series with floats, histograms and a change from one to the other.
fn series() -> Vec<(Labels, Samples)> {
    let mut out = Vec::new();
    for n in 0..6u32 {
        let mut samples = Samples::new();
        for scrape in 0..300u32 {
            let time = i64::from(scrape) * 15_000 + i64::from(n);
            match n {
                0 => samples.push_histogram(time, histogram(scrape % 100)),
                1 if scrape % 100 > 50 => samples.push_histogram(time, histogram(scrape)),
                _ => samples.push(time, f64::from(scrape * n).sqrt()),
            }
        }
        out.push((Labels::from_pairs([("__name__", "m"), ("n", &n.to_string())]), samples));
    }
    out
}

fn write(dir: &Path) -> std::path::PathBuf {
    let mut writer = BlockWriter::new(dir).expect("begin");
    for (labels, samples) in series() {
        writer.push(labels, &samples).expect("push");
    }
    let written = writer.finish().expect("finish").expect("samples");
    assert_eq!((written.series, written.samples, written.histograms), (6, 1800, 447));
    dir.join(written.ulid)
}

fn read_all(dir: &Path) -> Result<Vec<(Labels, Samples)>, String> {
    let block = Block::open(dir).map_err(|error| error.to_string())?;
    let mut out = Vec::new();
    for index in 0..block.len() {
        let mut samples = Samples::new();
        block.read(index, TimeRange::ALL, &mut samples).map_err(|error| error.to_string())?;
        out.push((block.labels(index), samples));
    }
    Ok(out)
}

/// Floats by their bits, histograms without what a chunk does not keep: what is known before its first.
fn shown(all: &[(Labels, Samples)]) -> String {
    let plain = |samples: &Samples| {
        let histograms = samples.histograms.iter().map(|(at, histogram)| {
            (
                *at,
                Histogram {
                    reset_hint: emberkeep::model::histogram::ResetHint::Unknown,
                    ..Histogram::clone(histogram)
                },
            )
        });
        format!("{:?} {:?} {:?}", samples.timestamps, samples.values, histograms.collect::<Vec<_>>())
    };
    let lines = all.iter().map(|(labels, samples)| format!("{labels} {}", plain(samples)));
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn a_block_comes_back_and_every_damaged_byte_is_noticed() {
    let dir = tempfile::tempdir().expect("dir");
    let block = write(dir.path());
    let whole = shown(&series());
    assert_eq!(shown(&read_all(&block).expect("reads")), whole);
    for file in ["index", "chunks/000001", "tombstones"] {
        let path = block.join(file);
        let bytes = std::fs::read(&path).expect("read");
        // Every byte of what is short, some of what is long.
        let step = (bytes.len() / 400).max(1);
        for at in (0..bytes.len()).step_by(step) {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1 << (at % 8);
            std::fs::write(&path, &damaged).expect("write");
            match read_all(&block) {
                Err(error) => {
                    assert!(error.contains("byte") || error.contains("version"), "{file} {at}: {error}");
                }
                // Padding, and label tables that nobody reads.
                Ok(found) => assert_eq!(shown(&found), whole, "{file} {at}"),
            }
            std::fs::write(&path, &bytes[..at]).expect("write");
            assert!(read_all(&block).is_err(), "{file} cut at {at}");
        }
        std::fs::write(&path, bytes).expect("write");
    }
    assert!(read_all(&block).is_ok());
}

/// A page of a log with whole records.
fn page(records: &[Vec<u8>]) -> Vec<u8> {
    let mut out = Vec::new();
    for record in records {
        out.push(1);
        out.extend(u16::try_from(record.len()).expect("short").to_be_bytes());
        out.extend(crc32c::crc32c(record).to_be_bytes());
        out.extend(record);
    }
    out.resize(32 << 10, 0);
    out
}

/// Two series, three samples each, the first sample of the second deleted.
fn log() -> Vec<u8> {
    let text = |out: &mut Vec<u8>, text: &str| {
        out.push(u8::try_from(text.len()).expect("short"));
        out.extend(text.as_bytes());
    };
    let mut definitions = vec![1];
    let mut samples = vec![2];
    samples.extend(1u64.to_be_bytes());
    samples.extend(1000i64.to_be_bytes());
    for series in 1..3u8 {
        definitions.extend(u64::from(series).to_be_bytes());
        definitions.push(1);
        text(&mut definitions, "__name__");
        text(&mut definitions, &format!("m{series}"));
        for sample in 0..3u8 {
            // Differences in zigzag.
            samples.extend([(series - 1) * 2, sample * 20]);
            samples.extend(f64::from(sample).to_be_bytes());
        }
    }
    let mut deleted = vec![3];
    deleted.extend(2u64.to_be_bytes());
    deleted.extend([0xd0, 0x0f, 0xd0, 0x0f]);
    page(&[definitions, samples, deleted])
}

fn read_log(dir: &Path, bytes: &[u8]) -> Result<(Vec<usize>, LogReport), String> {
    let wal = dir.join("wal");
    std::fs::create_dir_all(&wal).expect("create");
    std::fs::write(wal.join("00000000"), bytes).expect("write");
    let mut gathered = Gathered::default();
    let mut reader = LogReader::new(&mut gathered, i64::MIN);
    reader.read(&wal).map_err(|error| error.to_string())?;
    let report = reader.report();
    let set = gathered.finish();
    let mut samples = Samples::new();
    let mut lengths = Vec::new();
    for index in 0..set.len() {
        set.read(index, TimeRange::ALL, &mut samples).map_err(|error| error.to_string())?;
        lengths.push(samples.len());
    }
    Ok((lengths, report))
}

#[test]
fn a_log_comes_back_and_a_torn_end_is_told() {
    let dir = tempfile::tempdir().expect("dir");
    let log = log();
    let (lengths, report) = read_log(dir.path(), &log).expect("reads");
    assert_eq!((lengths, report.torn, report.segments), (vec![3, 2], None, 1));
    let used = log.iter().rposition(|byte| *byte != 0).expect("bytes") + 1;
    let (lengths, report) = read_log(dir.path(), &log[..used - 5]).expect("reads");
    assert_eq!(lengths, [3, 3]);
    assert!(report.torn.is_some());
    for at in 0..used {
        let mut damaged = log.clone();
        damaged[at] ^= 0x10;
        if let Err(error) = read_log(dir.path(), &damaged) {
            assert!(error.contains("00000000 is damaged at byte"), "{error}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn chunks_of_any_bytes_end(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = float_chunk::decode(&bytes, |_, _| {});
        let _ = histogram_chunk::decode(&bytes, Encoding::Histogram, |_, _| {});
        let _ = histogram_chunk::decode(&bytes, Encoding::FloatHistogram, |_, _| {});
    }

    #[test]
    fn records_of_any_bytes_end(kind in 0u8..14, bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let dir = tempfile::tempdir().expect("dir");
        let record = [&[kind][..], &bytes].concat();
        let _ = read_log(dir.path(), &page(&[record]));
    }
}
