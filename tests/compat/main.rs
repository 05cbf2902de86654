//! Data directories written by earlier versions open, with every sample they held.
//!
//! Each `<version>.tar.zst` beside this file is a data directory as that version left it when it was killed: blocks
//! of two levels, a checkpoint, segments of the log; from `log2-index2` on also tombstones, late samples and native
//! histograms, from `log3-meta2` on also exemplars and metadata, from `log4` on a position of the log and copies of the
//! catalog, from `log5` on also start timestamps. `<version>.txt` is what it held: for each series its
//! labels, the number of its samples and a digest of their timestamps, value bits and starts; then the exemplars and the
//! metadata themselves.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

use emberkeep::model::{Samples, TimeRange};
use emberkeep::storage::{Queryable as _, SelectRequest, Watch};
use emberkeep::telemetry::Registry;
use emberkeep::tsdb::{Limits, Tsdb, TsdbOptions};
use emberkeep::util::ManualClock;

/// The moment the files were written at, so that nothing in them is past its retention.
const NOW_MS: i64 = 1_700_200_000_000;

fn options(dir: &Path) -> TsdbOptions {
    TsdbOptions {
        limits: Limits { retention_ms: 0, ..Limits::default() },
        background: false,
        ..TsdbOptions::new(dir)
    }
}

/// One line for each series, in label order.
fn content(db: &Tsdb) -> String {
    let querier = db.querier(TimeRange::ALL).expect("querier");
    let set = querier.select(&SelectRequest::new(&[], TimeRange::ALL)).expect("select");
    let mut out = String::new();
    let mut samples = Samples::new();
    for index in 0..set.len() {
        set.read(index, TimeRange::ALL, &mut samples).expect("samples");
        let mut digest = crc32fast::Hasher::new();
        for (timestamp, value) in samples.iter() {
            digest.update(&timestamp.to_le_bytes());
            digest.update(&value.to_bits().to_le_bytes());
        }
        for (at, histogram) in &samples.histograms {
            let whole =
                [*at as u64, u64::from(histogram.integer), u64::from(histogram.schema.unsigned_abs())];
            let parts = [histogram.count, histogram.sum, histogram.zero_count, histogram.zero_threshold];
            let numbers = parts.iter().chain(&histogram.positive.counts).map(|number| number.to_bits());
            whole.into_iter().chain(numbers).for_each(|number| digest.update(&number.to_le_bytes()));
        }
        if samples.starts.iter().any(|start| *start != 0) {
            (0..samples.len()).for_each(|at| digest.update(&samples.start(at).to_le_bytes()));
        }
        let (labels, count, digest) = (set.labels(index), samples.len(), digest.finalize());
        writeln!(out, "{labels} {count} {digest:08x}").expect("text");
    }
    for (labels, exemplars) in db.exemplars(&[], TimeRange::ALL, Watch::NONE).expect("exemplars").series {
        for one in exemplars {
            writeln!(out, "{labels} # {} {} {}", one.labels, one.value, one.timestamp).expect("text");
        }
    }
    for (name, known) in db.metadata(None).expect("metadata") {
        writeln!(out, "{name}: {} {:?} {:?}", known.kind.name(), known.unit, known.help).expect("text");
    }
    out
}

#[test]
fn directories_of_earlier_versions_open() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/compat");
    let mut versions = 0;
    for entry in std::fs::read_dir(&here).expect("folder").flatten() {
        let name = entry.file_name().into_string().expect("name");
        let Some(version) = name.strip_suffix(".tar.zst") else { continue };
        versions += 1;
        let expected =
            std::fs::read_to_string(here.join(format!("{version}.txt"))).expect("expected content");
        let dir = tempfile::tempdir().expect("dir");
        let packed = std::fs::File::open(entry.path()).expect("archive");
        tar::Archive::new(zstd::Decoder::new(packed).expect("zstd")).unpack(dir.path()).expect("unpack");
        // Twice: the first open may bring the directory to today's form, which must then open as well.
        for round in ["first", "second"] {
            let clock = Arc::new(ManualClock::new(NOW_MS));
            let db = Tsdb::open(options(dir.path()), clock, &mut Registry::default()).expect("open");
            assert_eq!(db.status().corruptions, 0, "{version}, {round} open");
            assert_eq!(content(&db), expected, "{version}, {round} open");
            db.maintain().expect("maintain");
            assert_eq!(content(&db), expected, "{version}, after maintenance of the {round} open");
            db.close().expect("close");
        }
    }
    assert!(versions > 0, "no archive beside this test");
}
