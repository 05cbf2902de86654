//! Tests of the log over a disk that fails and forgets on demand.

mod power;

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex};

use super::fs::{LogFile, LogFs};
use super::*;
use crate::codec::{CodecError, frame};
use crate::tsdb::SeriesRef;
use crate::tsdb::head::Head;
use crate::tsdb::record::{self, LoggedSample, kind, samples};

/// What one file holds: what was written, and how much of it would survive a power cut.
#[derive(Debug, Default, Clone)]
struct Content {
    written: Vec<u8>,
    durable: usize,
}

#[derive(Default)]
struct Disk {
    files: BTreeMap<String, Content>,
    /// Names as the folder had them when it was last synced.
    durable_names: Vec<String>,
    /// Bytes that may still be written before the disk is full.
    room: Option<usize>,
    fail_sync: bool,
    /// The next append panics.
    panics: bool,
    /// Files whose removal or renaming is not durable yet.
    ghosts: BTreeMap<String, Content>,
    /// What the test knows at this moment: acknowledged commits, and where the head begins.
    known: (usize, i64),
    /// A power cut after each step, with what was known.
    cuts: Option<Vec<((usize, i64), ForgetfulFs)>>,
}

impl Disk {
    /// What a power cut would leave now; of what is not durable, `luck` says whether it is there.
    fn after_power_cut(&self, mut luck: impl FnMut() -> bool) -> Disk {
        let mut files = BTreeMap::new();
        for (name, content) in self.ghosts.iter().chain(&self.files) {
            if self.durable_names.contains(name) || luck() {
                let mut len = content.durable;
                while len < content.written.len() && luck() {
                    len += (content.written.len() - len).div_ceil(2);
                }
                files
                    .insert(name.clone(), Content { written: content.written[..len].to_vec(), durable: len });
            }
        }
        Disk { durable_names: files.keys().cloned().collect(), files, ..Disk::default() }
    }

    /// Notes what a power cut after this step would leave: without luck, and with some.
    fn step(&mut self) {
        let Some(mut cuts) = self.cuts.take() else { return };
        let mut state = cuts.len() as u64;
        let mut luck = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            state >> 63 == 1
        };
        for lucky in [false, true] {
            let left = self.after_power_cut(|| lucky && luck());
            cuts.push((self.known, ForgetfulFs(Arc::new(Mutex::new(left)))));
        }
        self.cuts = Some(cuts);
    }
}

/// A disk in memory that forgets what was not synced.
#[derive(Default, Clone)]
struct ForgetfulFs(Arc<Mutex<Disk>>);

struct ForgetfulFile(ForgetfulFs, String);

impl ForgetfulFs {
    fn disk(&self) -> MutexGuard<'_, Disk> {
        self.0.lock().expect("test lock")
    }

    /// What is left after a power cut.
    fn after_power_cut(&self) -> Self {
        let mut left = self.disk().after_power_cut(|| false);
        // What was removed and not forgotten is there again; without luck that is all there is to it.
        left.ghosts.clear();
        Self(Arc::new(Mutex::new(left)))
    }
}

impl LogFs for ForgetfulFs {
    fn list(&self) -> io::Result<Vec<String>> {
        Ok(self.disk().files.keys().cloned().collect())
    }
    fn create(&self, name: &str) -> io::Result<Arc<dyn LogFile>> {
        let mut disk = self.disk();
        disk.files.insert(name.to_owned(), Content::default());
        disk.step();
        Ok(Arc::new(ForgetfulFile(self.clone(), name.to_owned())))
    }
    fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        self.disk().files.get(name).map(|c| c.written.clone()).ok_or_else(|| io::ErrorKind::NotFound.into())
    }
    fn truncate(&self, name: &str, len: u64) -> io::Result<()> {
        let mut disk = self.disk();
        let content = disk.files.get_mut(name).ok_or(io::ErrorKind::NotFound)?;
        content.written.truncate(usize::try_from(len).expect("small"));
        content.durable = content.written.len();
        Ok(())
    }
    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut disk = self.disk();
        let content = disk.files.remove(from).ok_or(io::ErrorKind::NotFound)?;
        disk.ghosts.insert(from.to_owned(), content.clone());
        disk.files.insert(to.to_owned(), content);
        disk.step();
        Ok(())
    }
    fn sync(&self, name: &str) -> io::Result<()> {
        ForgetfulFile(self.clone(), name.to_owned()).sync()
    }
    fn remove(&self, name: &str) -> io::Result<()> {
        let mut disk = self.disk();
        let content = disk.files.remove(name).ok_or(io::ErrorKind::NotFound)?;
        disk.ghosts.insert(name.to_owned(), content);
        disk.step();
        Ok(())
    }
    fn sync_dir(&self) -> io::Result<()> {
        let mut disk = self.disk();
        disk.durable_names = disk.files.keys().cloned().collect();
        disk.ghosts.clear();
        disk.step();
        Ok(())
    }
    fn path(&self) -> &Path {
        Path::new("memory")
    }
}

impl LogFile for ForgetfulFile {
    fn append(&self, bytes: &[u8]) -> io::Result<()> {
        let panics = std::mem::take(&mut self.0.disk().panics);
        assert!(!panics, "injected");
        let mut disk = self.0.disk();
        let room = disk.room.unwrap_or(usize::MAX);
        let take = room.min(bytes.len());
        if let Some(left) = &mut disk.room {
            *left -= take;
        }
        disk.files.get_mut(&self.1).ok_or(io::ErrorKind::NotFound)?.written.extend_from_slice(&bytes[..take]);
        disk.step();
        if take < bytes.len() { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }
    fn truncate(&self, len: u64) -> io::Result<()> {
        let mut disk = self.0.disk();
        let content = disk.files.get_mut(&self.1).ok_or(io::ErrorKind::NotFound)?;
        content.written.truncate(usize::try_from(len).expect("small"));
        content.durable = content.durable.min(content.written.len());
        Ok(())
    }
    fn sync(&self) -> io::Result<()> {
        let mut disk = self.0.disk();
        if disk.fail_sync {
            return Err(io::Error::other("injected"));
        }
        let content = disk.files.get_mut(&self.1).ok_or(io::ErrorKind::NotFound)?;
        content.durable = content.written.len();
        disk.step();
        Ok(())
    }
}

fn sample(number: i64) -> Vec<u8> {
    let mut out = Vec::new();
    let one = LoggedSample { series: SeriesRef(1), timestamp: number, bits: 1, base: 0 };
    frame::put_record(&mut out, |o| samples::put(o, None, &[one]));
    out
}

/// One commit of one sample.
fn append(wal: &Wal, number: i64) -> Result<()> {
    wal.begin()?;
    let number = wal.append(&sample(number), Some(number))?;
    wal.acknowledge(number)
}

/// The timestamps of all samples, and what was found.
fn replayed(fs: &ForgetfulFs) -> (Vec<i64>, reader::ReplayReport) {
    let mut times = Vec::new();
    let mut report = reader::ReplayReport::default();
    for entry in reader::files(fs).expect("files").entries {
        let (mut newest, mut oldest) = (None, None);
        let file = reader::load(fs, &entry, |payload| {
            if record::kind_of(payload)? == kind::SAMPLES {
                let header = samples::header(payload)?;
                times.push(header.first);
                newest = newest.max(Some(header.newest));
                oldest.get_or_insert(header.first);
            }
            Ok(())
        });
        report.note(&file.expect("file"), newest, oldest);
    }
    (times, report)
}

#[test]
fn acknowledged_appends_survive_a_power_cut_at_every_point() {
    let fs = ForgetfulFs::default();
    let wal = Wal::open(Arc::new(fs.clone()), &LogFiles::default(), SyncPolicy::Always, 100).expect("open");
    for number in 0..50 {
        append(&wal, number).expect("append");
        let (times, report) = replayed(&fs.after_power_cut());
        assert_eq!(times, (0..=number).collect::<Vec<_>>());
        assert!(report.damage.is_empty());
    }
    assert!(wal.current_segment() > 3, "segments were rotated");
}

#[test]
fn without_sync_only_a_tail_is_lost_in_a_power_cut() {
    let fs = ForgetfulFs::default();
    let wal =
        Wal::open(Arc::new(fs.clone()), &LogFiles::default(), SyncPolicy::Interval(1000), 100).expect("open");
    for number in 0..20 {
        append(&wal, number).expect("append");
    }
    wal.sync().expect("sync");
    append(&wal, 20).expect("append");
    let (times, _) = replayed(&fs.after_power_cut());
    assert_eq!(times, (0..20).collect::<Vec<_>>());
    assert_eq!(replayed(&fs).0, (0..=20).collect::<Vec<_>>(), "a kill alone loses nothing");
}

#[test]
fn append_to_a_full_disk_is_cut_off_and_later_ones_survive() {
    let fs = ForgetfulFs::default();
    let wal =
        Wal::open(Arc::new(fs.clone()), &LogFiles::default(), SyncPolicy::Always, 1 << 20).expect("open");
    append(&wal, 0).expect("append");
    fs.disk().room = Some(5);
    assert!(matches!(append(&wal, 1), Err(Error::Io { .. })));
    fs.disk().room = None;
    append(&wal, 2).expect("space is back");
    let (times, report) = replayed(&fs.after_power_cut());
    assert_eq!(times, [0, 2]);
    assert!(report.damage.is_empty());
}

#[test]
fn refuses_appends_after_a_failed_sync() {
    let fs = ForgetfulFs::default();
    let wal =
        Wal::open(Arc::new(fs.clone()), &LogFiles::default(), SyncPolicy::Always, 1 << 20).expect("open");
    fs.disk().fail_sync = true;
    assert!(matches!(append(&wal, 0), Err(Error::Io { .. })));
    fs.disk().fail_sync = false;
    assert!(matches!(append(&wal, 1), Err(Error::LogPoisoned { .. })));
}

#[test]
fn a_damaged_tail_is_kept_aside_and_the_rest_is_replayed() {
    let fs = ForgetfulFs::default();
    for first in [0, 10] {
        let earlier = reader::files(&fs).expect("files");
        let wal = Wal::open(Arc::new(fs.clone()), &earlier, SyncPolicy::Never, 1 << 20).expect("open");
        for number in first..first + 10 {
            append(&wal, number).expect("append");
        }
    }
    let record_len = sample(0).len();
    let damaged_at = HEADER_LEN + 7 * record_len + 9;
    fs.disk().files.get_mut("00000001").expect("segment").written[damaged_at] ^= 0x10;
    let (times, report) = replayed(&fs);
    assert_eq!(times, (0..7).chain(10..20).collect::<Vec<_>>());
    assert_eq!(report.damage.len(), 1);
    assert_eq!(report.damage[0].lost_bytes, 3 * record_len);
    assert_eq!((report.damage[0].after, report.damage[0].before), (Some(6), Some(10)));
    assert!(fs.list().expect("list").iter().any(|n| n.starts_with("damaged-00000001-")));
    // The second start finds nothing wrong and the same records.
    let (again, report) = replayed(&fs);
    assert_eq!((again, report.damage.len()), (times, 0));
}

#[test]
fn every_damaged_byte_and_every_cut_still_starts() {
    let fs = ForgetfulFs::default();
    let wal =
        Wal::open(Arc::new(fs.clone()), &LogFiles::default(), SyncPolicy::Never, 1 << 20).expect("open");
    for number in 0..4 {
        append(&wal, number).expect("append");
    }
    let whole = fs.read("00000001").expect("read");
    for at in 0..whole.len() {
        for cut in [false, true] {
            let mut bytes = whole.clone();
            if cut {
                bytes.truncate(at);
            } else {
                bytes[at] ^= 0x41;
            }
            let durable = bytes.len();
            let damaged = ForgetfulFs::default();
            damaged.disk().files.insert("00000001".to_owned(), Content { written: bytes, durable });
            let (times, _) = replayed(&damaged);
            assert_eq!(
                times,
                (0..i64::try_from(times.len()).expect("few")).collect::<Vec<_>>(),
                "byte {at}, cut {cut}"
            );
        }
    }
}

#[test]
fn a_file_of_an_unknown_version_is_kept_aside_whole() {
    let fs = ForgetfulFs::default();
    let wal =
        Wal::open(Arc::new(fs.clone()), &LogFiles::default(), SyncPolicy::Never, 1 << 20).expect("open");
    append(&wal, 1).expect("append");
    fs.disk().files.get_mut("00000001").expect("segment").written[SEGMENT_MAGIC.len()] = VERSION + 1;
    let before = fs.read("00000001").expect("read");
    let (times, report) = replayed(&fs);
    assert_eq!((times.len(), report.damage.len()), (0, 1));
    assert!(report.damage[0].cause.to_string().contains("version"), "{}", report.damage[0].cause);
    assert_eq!(fs.read("damaged-00000001-0").expect("kept"), before);
}

fn replay(head: &Head, fs: &ForgetfulFs) -> Result<reader::ReplayReport> {
    head.replay(fs, &reader::files(fs)?, || ())
}

#[test]
fn a_checkpoint_replaces_segments_by_the_series_that_live() {
    let fs = ForgetfulFs::default();
    let wal = Wal::open(Arc::new(fs.clone()), &LogFiles::default(), SyncPolicy::Always, 200).expect("open");
    let (mut pairs, mut series) = (Vec::new(), Vec::new());
    frame::put_record(&mut pairs, |o| record::put_pairs(o, [("__name__", "up")].into_iter()));
    frame::put_record(&mut series, |o| record::put_series(o, &[(SeriesRef(1), vec![0])]));
    wal.append(&[pairs, series].concat(), None).expect("append");
    for number in 0..30 {
        append(&wal, number).expect("append");
    }
    let ended = wal.cut().expect("cut");
    append(&wal, 30).expect("append");
    assert_eq!(wal.last_segment_before(30), Some(ended));
    assert_eq!(wal.last_segment_before(0), None);
    let head = Head::new(30);
    replay(&head, &fs).expect("replay");
    for _ in 0..2 {
        checkpoint::write(&fs, ended, &head).expect("checkpoint");
        let (times, report) = replayed(&fs.after_power_cut());
        assert_eq!((times, report.files), (vec![30], 2));
        let again = Head::new(30);
        replay(&again, &fs.after_power_cut()).expect("replay");
        assert!(again.is_known(SeriesRef(1)));
        assert_eq!(again.time_range().map(|r| (r.start, r.end)), Some((30, 30)));
    }
}

/// The damage that the next start tells of.
fn told(fs: &ForgetfulFs) -> Vec<(String, usize, CodecError)> {
    replayed(fs).1.damage.into_iter().map(|damage| (damage.file, damage.lost_bytes, damage.cause)).collect()
}

#[test]
fn a_segment_that_vanished_is_told_once() {
    let missing = |name: &str| vec![(name.to_owned(), 0, CodecError::Missing)];
    for lost in ["00000001", "00000003", "the newest"] {
        let fs = ForgetfulFs::default();
        let wal =
            Wal::open(Arc::new(fs.clone()), &LogFiles::default(), SyncPolicy::Always, 100).expect("open");
        for number in 0..40 {
            append(&wal, number).expect("append");
        }
        let newest = segment_name(wal.current_segment());
        assert!(wal.current_segment() > 3);
        drop(wal);
        let lost = if lost == "the newest" { newest.as_str() } else { lost };
        fs.remove(lost).expect("remove");
        // A new process begins a segment behind the one that is gone before it reads the log.
        let files = reader::files(&fs).expect("files");
        let wal = Wal::open(Arc::new(fs.clone()), &files, SyncPolicy::Always, 100).expect("open");
        assert!(segment_name(wal.current_segment()) > newest);
        assert_eq!(told(&fs), missing(lost));
        assert_eq!(told(&fs), [], "{lost}");
    }
}

#[test]
fn a_closed_log_that_lost_its_end_is_told() {
    let fs = ForgetfulFs::default();
    let wal =
        Wal::open(Arc::new(fs.clone()), &LogFiles::default(), SyncPolicy::Never, 1 << 20).expect("open");
    (0..3).for_each(|number| append(&wal, number).expect("append"));
    wal.close().expect("close");
    assert_eq!(told(&fs), []);
    // Cut where a record ends: nothing in the file itself shows it.
    let whole = fs.read("00000001").expect("read").len();
    let lost = sample(2).len();
    fs.truncate("00000001", (whole - lost) as u64).expect("cut");
    assert_eq!(told(&fs), [("00000001".to_owned(), lost, CodecError::UnexpectedEnd { at: whole - lost })]);
}
