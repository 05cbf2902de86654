//! A whole log through the replay of the head: it never fails, and what it repaired is sound the second time.
//!
//! The input is a list of steps: begin a file, add a framed record, add bytes as they are.
#![no_main]

use std::collections::BTreeMap;

use emberkeep::codec::{ByteReader, frame};
use emberkeep::model::{Labels, Samples, TimeRange};
use emberkeep::storage::SelectRequest;
use emberkeep::tsdb::head::Head;
use emberkeep::tsdb::wal::fs::LogFs;
use emberkeep::tsdb::wal::reader::{self, Damage, ReplayReport};
use emberkeep::tsdb::wal::{SEGMENT_MAGIC, VERSION};
use emberkeep_fuzz::fs::MemoryFs;
use emberkeep_fuzz::input::assert_same;
use emberkeep_fuzz::{seeds, within};
use libfuzzer_sys::fuzz_target;

fuzz_target!(
    init: seeds::write(made_seeds()),
    |data: &[u8]| {
        // A page of series takes some hundred kilobytes however few it holds.
        within(1024, || {
            let fs = MemoryFs::new(files(data));
            let (report, first) = replay(&fs);
            // What was said of the length of the log is no longer so once it was repaired.
            let _ = fs.remove("position");
            let (again, second) = replay(&fs);
            assert!(again.damage.is_empty(), "{again:?} after {report:?}");
            assert_eq!(again.records, report.records);
            // A record that ends in the middle of a series, though its checksum says that it is whole, has done a part
            // of its work before it is left out.
            let by_content = |damage: &Damage| {
                let aside = fs.read(&format!("damaged-{}-{}", damage.file, damage.offset));
                aside.is_ok_and(|bytes| frame::read_record(&mut ByteReader::new(&bytes)).is_ok())
            };
            if report.damage.iter().any(by_content) {
                return;
            }
            assert_eq!((again.orphans, again.undecodable), (report.orphans, report.undecodable));
            assert_eq!(first.len(), second.len());
            for ((labels, samples), (other, others)) in first.iter().zip(&second) {
                assert_eq!(labels, other);
                assert_same(samples, others);
            }
        });
    }
);

fn files(mut data: &[u8]) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    let (mut number, mut name) = (0u64, "00000001".to_owned());
    while let Some((step, rest)) = data.split_first() {
        data = rest;
        let file: &mut Vec<u8> = files.entry(name.clone()).or_default();
        let mut take = |more: usize| {
            let (taken, rest) = data.split_at(more.min(data.len()));
            data = rest;
            taken
        };
        let begin = match step % 8 {
            0 => {
                number += 1 + u64::from(step >> 6);
                Some(format!("{number:08}"))
            }
            1 => Some(format!("checkpoint.{:08}", step >> 5)),
            2 => {
                file.extend_from_slice(take(usize::from(step >> 3)));
                None
            }
            3 if *step == 0xfb => Some("position".to_owned()),
            _ => {
                let len = usize::from(take(1).first().copied().unwrap_or(0)) | usize::from(step >> 3) << 8;
                frame::put_record(file, |out| out.extend_from_slice(take(len)));
                None
            }
        };
        if let Some(begin) = begin {
            let begun = files.entry(begin.clone()).or_default();
            if begun.is_empty() && begin == "position" {
                begun.extend_from_slice(b"EKWP\x01\0\0\0\0");
            } else if begun.is_empty() {
                begun.extend_from_slice(&SEGMENT_MAGIC);
                begun.extend_from_slice(&[step >> 3 & 7, 0, 0]);
                if begun[5] == 7 {
                    begun[5] = VERSION;
                }
            }
            name = begin;
        }
    }
    files
}

fn replay(fs: &MemoryFs) -> (ReplayReport, Vec<(Labels, Samples)>) {
    let head = Head::new(i64::MIN);
    let files = reader::files(fs).expect("memory can be read");
    let report = head.replay(fs, &files, || ()).expect("damage is no error");
    let (set, ()) = head.select(SelectRequest::new(&[], TimeRange::ALL), || ()).expect("nobody says no");
    assert!(set.len() <= head.series_count());
    let mut all = Vec::new();
    for at in 0..set.len() {
        let mut samples = Samples::new();
        set.read(at, TimeRange::ALL, &mut samples);
        assert!(samples.timestamps.is_sorted_by(|a, b| a < b), "times rise");
        assert_eq!(samples.timestamps.len(), samples.values.len());
        all.push((set.labels(at), samples));
    }
    (report, all)
}

/// Logs of the payloads of every kind, in one file, in several, behind a checkpoint, and with damage between.
fn made_seeds() -> Vec<Vec<u8>> {
    let record = |payload: Vec<u8>| {
        let step = 4 | u8::try_from(payload.len() >> 8).expect("seeds are small") << 3;
        [&[step, (payload.len() & 0xff) as u8], &payload[..]].concat()
    };
    let all: Vec<Vec<u8>> = seeds::payloads().into_iter().map(record).collect();
    let new = 7 << 3;
    let whole = [&[new], &all.concat()[..]].concat();
    let apart: Vec<u8> = all.iter().flat_map(|record| [&[new], &record[..]].concat()).collect();
    let position = [&[0xfb], &[2 | 2 << 3, 9, 0][..]].concat();
    vec![
        whole.clone(),
        apart.clone(),
        [&[1 | 2 << 5 | new][..], &whole[1..], &apart].concat(),
        [&whole[..], &[2 | 8 << 3, 1, 2, 3, 4, 5, 6, 7, 8, new], &apart].concat(),
        [&whole[..], &[0xc0 | new], &apart, &position].concat(),
    ]
}
