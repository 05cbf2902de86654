//! What an import brings in, and what becomes of one that does not end.

use std::fmt::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use emberkeep::interop::prometheus::block_writer::BlockWriter;
use emberkeep::model::{Labels, Samples};

use crate::command_line::filled;
use crate::support::server::wait_for;
use crate::{failure, ok, tsdb};

/// A log of Prometheus being made.
#[derive(Default)]
struct Log(Vec<u8>);

impl Log {
    fn record(&mut self, record: &[u8]) {
        self.0.push(1);
        self.0.extend(u16::try_from(record.len()).expect("short").to_be_bytes());
        self.0.extend(crc32c::crc32c(record).to_be_bytes());
        self.0.extend(record);
    }

    fn series(&mut self, reference: u64, name: &str) {
        let mut record = vec![1];
        record.extend(reference.to_be_bytes());
        record.push(1);
        for text in ["__name__", name] {
            record.push(u8::try_from(text.len()).expect("short"));
            record.extend(text.as_bytes());
        }
        self.record(&record);
    }

    fn sample(&mut self, reference: u64, time: i64) {
        let mut record = vec![2];
        record.extend(reference.to_be_bytes());
        record.extend(time.to_be_bytes());
        record.extend([0, 0]);
        record.extend(1f64.to_be_bytes());
        self.record(&record);
    }

    /// Deletes from 1 to 100 milliseconds.
    fn delete(&mut self, reference: u64) {
        let mut record = vec![3];
        record.extend(reference.to_be_bytes());
        record.extend([2, 0xc8, 1]);
        self.record(&record);
    }

    fn write(&self, source: &Path) {
        std::fs::create_dir_all(source.join("wal")).expect("create");
        std::fs::write(source.join("wal/00000000"), &self.0).expect("write");
    }
}

fn dump(data: &Path) -> Vec<String> {
    ok(&tsdb(&["dump"], &[data])).lines().map(str::to_owned).collect()
}

#[test]
fn a_block_of_some_series_does_not_hide_the_log() {
    for hint in ["from-stale-series", "from-selected-series", "from-out-of-order"] {
        let dir = tempfile::tempdir().expect("dir");
        let (source, data) = (dir.path().join("theirs"), dir.path().join("data"));
        let mut log = Log::default();
        log.series(1, "live");
        (0..95).for_each(|time| log.sample(1, time));
        log.write(&source);
        let mut writer = BlockWriter::new(&source).expect("begin");
        let mut samples = Samples::new();
        samples.push(200, 1.0);
        writer.push(Labels::from_pairs([("__name__", "stale")]), &samples).expect("push");
        let block = source.join(writer.finish().expect("finish").expect("samples").ulid);
        let meta = std::fs::read_to_string(block.join("meta.json")).expect("read");
        let mut meta: serde_json::Value = serde_json::from_str(&meta).expect("json");
        meta["compaction"]["hints"] = serde_json::json!([hint]);
        std::fs::write(block.join("meta.json"), meta.to_string()).expect("write");
        ok(&tsdb(&["import", "prometheus"], &[&source, &data]));
        assert_eq!(dump(&data).len(), 96, "{hint}");
    }
}

#[test]
fn what_was_deleted_of_a_series_stays_away_from_one_that_came_back() {
    let dir = tempfile::tempdir().expect("dir");
    let (source, data) = (dir.path().join("theirs"), dir.path().join("data"));
    let mut log = Log::default();
    log.series(1, "a");
    log.sample(1, 10);
    log.sample(1, 110);
    log.delete(1);
    // As a checkpoint or a start says it again.
    log.series(1, "a");
    log.sample(1, 20);
    // The series left the head and came back.
    log.series(2, "a");
    log.sample(2, 30);
    log.sample(2, 120);
    log.write(&source);
    ok(&tsdb(&["import", "prometheus"], &[&source, &data]));
    let expected = [30, 110, 120].map(|time| format!("{{__name__=\"a\"}} 1 {time}"));
    assert_eq!(dump(&data), expected);
}

#[test]
fn source_and_target_of_an_import_differ() {
    let dir = tempfile::tempdir().expect("dir");
    let source = dir.path().join("theirs");
    let mut log = Log::default();
    log.series(1, "a");
    log.sample(1, 10);
    log.write(&source);
    let bytes = std::fs::read(source.join("wal/00000000")).expect("read");
    for target in [source.clone(), source.join("new"), dir.path().to_owned(), source.join("../theirs")] {
        let told = failure(&tsdb(&["import", "prometheus"], &[&source, &target]));
        assert!(told.contains("are the same directory, or one is inside the other"), "{told}");
        assert!(!source.join("new").exists() && !source.join("lock").exists());
        assert_eq!(std::fs::read(source.join("wal/00000000")).expect("read"), bytes);
    }
    // And it can be read again afterwards.
    for name in ["one", "two"] {
        let data = dir.path().join(name);
        ok(&tsdb(&["import", "prometheus"], &[&source, &data]));
        assert_eq!(dump(&data).len(), 1);
    }
}

#[test]
fn exemplars_of_a_file_are_imported() {
    let dir = tempfile::tempdir().expect("dir");
    let (file, data) = (dir.path().join("in.om"), dir.path().join("data"));
    let text = "# TYPE a counter\na_total 1 10 # {trace_id=\"x\"} 0.5 9.5\na_total 2 90000 # {trace_id=\"y\"} 1\n# EOF\n";
    std::fs::write(&file, text).expect("write");
    ok(&tsdb(&["import", "openmetrics"], &[&file, &data]));
    let printed = ok(&tsdb(&["dump", "--exemplars"], &[&data]));
    let expected = "{__name__=\"a_total\"} # {trace_id=\"x\"} 0.5 9500\n{__name__=\"a_total\"} # {trace_id=\"y\"} 1 90000000\n";
    assert_eq!(printed, expected);
}

#[test]
fn an_import_that_is_killed_leaves_nothing_visible() {
    let dir = tempfile::tempdir().expect("dir");
    let (file, fresh) = (dir.path().join("many.om"), dir.path().join("fresh"));
    // A block for each of forty days.
    let mut text = String::new();
    for day in 0..40 {
        for series in 0..20 {
            let _ = writeln!(text, "many{{n=\"{series}\"}} {day} {}", 1_700_000_000 + day * 86_400);
        }
    }
    std::fs::write(&file, text + "# EOF\n").expect("write");
    for (data, before) in [(fresh, 0), (filled(&dir), 7200)] {
        let blocks = data.join("blocks");
        let count = || std::fs::read_dir(&blocks).map_or(0, Iterator::count);
        let already = count();
        let mut command = Command::new(env!("CARGO_BIN_EXE_emberkeep"));
        command.args(["tsdb", "import", "openmetrics"]).args([&file, &data]).stdout(Stdio::null());
        let mut child = command.spawn().expect("start");
        // Some of its blocks are there, and it has more to write.
        wait_for("blocks of the import", || (count() > already + 2).then_some(()));
        child.kill().expect("kill");
        child.wait().expect("end");
        assert_eq!(dump(&data).len(), before);
        // The next one is whole.
        ok(&tsdb(&["import", "openmetrics"], &[&file, &data]));
        assert_eq!(dump(&data).len(), before + 800);
        ok(&tsdb(&["verify"], &[&data]));
    }
}
