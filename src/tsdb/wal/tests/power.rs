//! Whole commits through the head on a disk that forgets: power cuts after every step, full disks, failed syncs.

use std::collections::BTreeSet;

use super::*;
use crate::model::{Exemplar, Labels, Metadata, Samples, TimeRange};
use crate::storage::{SelectRequest, Watch};
use crate::tsdb::head::appender::{Appender, CommitMode, TimeLimits};

const STEP: i64 = 1000;

fn value(number: i64, time: i64) -> f64 {
    match number % 4 {
        0 => 5.0,
        1 => time as f64 * 3.0,
        2 => (time.wrapping_mul(7919) % 1000) as f64 / 10.0,
        _ => f64::from_bits((time.cast_unsigned().wrapping_mul(0x9e37_79b9_7f4a_7c15)) >> 2),
    }
}

/// Numbers of the series in commit `commit`: some always, some now and then, new ones all the time.
fn series_of(commit: i64) -> Vec<i64> {
    (0..4).chain((4..8).filter(|n| (commit / 5) % 4 == n - 4)).chain([100 + commit / 7]).collect()
}

/// Commit number `commit`, at its own time.
fn commit(head: &Head, wal: &Wal, commit: i64) -> Result<()> {
    let limits = TimeLimits { min: i64::MIN, max: i64::MAX, out_of_order: 0 };
    let timeline = (commit % 3 > 0).then(|| head.create_timeline());
    let mut appender = Appender::new(head, wal, limits, timeline);
    for number in series_of(commit) {
        let series = appender.series(&Labels::from_pairs([("n", number.to_string())]));
        appender.append(series, commit * STEP, value(number, commit * STEP));
        if number == 0 {
            let labels = Labels::from_pairs([("id", commit.to_string())]);
            appender.append_exemplar(series, Exemplar { labels, value: 0.5, timestamp: commit * STEP }, true);
        }
    }
    appender.set_metadata("family", Metadata { help: commit.to_string(), ..Metadata::default() });
    let stats = appender.commit(CommitMode::Whole)?;
    assert_eq!(stats.first_refused, None);
    Ok(())
}

/// The commits that the log of `fs` holds from `floor` (milliseconds) on. Each is whole, and every value is right.
fn commits(fs: &ForgetfulFs, floor: i64, what: &str) -> (Vec<i64>, reader::ReplayReport) {
    let head = Head::new(floor);
    let report = replay(&head, fs).expect("replay");
    (held(&head, floor, what), report)
}

fn held(head: &Head, floor: i64, what: &str) -> Vec<i64> {
    let (set, ()) = head.select(SelectRequest::new(&[], TimeRange::ALL), || ()).expect("select");
    let mut found: BTreeMap<i64, BTreeSet<i64>> = BTreeMap::new();
    let mut samples = Samples::new();
    for at in 0..set.len() {
        let number: i64 = set.labels(at).get("n").and_then(|n| n.parse().ok()).expect("a number");
        samples.clear();
        set.read(at, TimeRange::ALL, &mut samples);
        for (time, found_value) in samples.iter() {
            let expected = value(number, time);
            assert_eq!(found_value.to_bits(), expected.to_bits(), "{what}: series {number} at {time}");
            assert!(found.entry(time / STEP).or_default().insert(number), "{what}: {number} at {time} twice");
        }
    }
    for (commit, numbers) in &found {
        assert_eq!(*numbers, series_of(*commit).into_iter().collect(), "{what}: commit {commit} is whole");
    }
    found.into_keys().filter(|commit| commit * STEP >= floor).collect()
}

fn open(fs: &ForgetfulFs, policy: SyncPolicy, segment_bytes: u64, floor: i64) -> (Head, Wal) {
    let head = Head::new(floor);
    head.set_max_exemplars(1000);
    // The new segment first, as at a real start.
    let files = reader::files(fs).expect("files");
    let wal = Wal::open(Arc::new(fs.clone()), &files, policy, segment_bytes).expect("open");
    let report = head.replay(fs, &files, || ()).expect("replay");
    wal.learn(&report.newest);
    (head, wal)
}

/// Sixty commits with a checkpoint and a killed process in between, and a power cut after every single step.
fn run(policy: SyncPolicy, sync_every: i64) -> Vec<((usize, i64), ForgetfulFs)> {
    let fs = ForgetfulFs::default();
    fs.disk().cuts = Some(Vec::new());
    let mut floor = i64::MIN;
    let (mut head, mut wal) = open(&fs, policy, 400, floor);
    for number in 0..60 {
        commit(&head, &wal, number).expect("commit");
        if policy == SyncPolicy::Always {
            fs.disk().known.0 += 1;
        } else if number % sync_every == sync_every - 1 {
            wal.sync().expect("sync");
            fs.disk().known.0 = usize::try_from(number).expect("small") + 1;
        }
        if number % 20 == 15 {
            // As a cut of the head does once its block is published; the samples before are in it.
            floor = (number - 8) * STEP;
            let segment = head.close_before(floor, || wal.current_segment());
            fs.disk().known.1 = floor;
            head.truncate(floor, 0, || 0, || {});
            let upto =
                wal.last_segment_before(floor).map(|upto| upto.min(segment - 1)).filter(|upto| *upto > 0);
            if let Some(upto) = upto {
                checkpoint::write(&fs, upto, &head).expect("checkpoint");
                wal.forget(upto);
            }
        }
        if number % 25 == 24 {
            // Killed and started again; what the system's memory has is still there.
            drop((head, wal));
            (head, wal) = open(&fs, policy, 400, floor);
            if policy != SyncPolicy::Never {
                fs.disk().known.0 = usize::try_from(number).expect("small") + 1;
            }
        }
    }
    let cuts = fs.disk().cuts.take().expect("recorded");
    assert!(cuts.len() > 200, "{} steps", cuts.len());
    cuts
}

/// The commits from `floor` on whose exemplar is there, and the last commit whose metadata is.
fn beside(head: &Head, floor: i64) -> (Vec<i64>, Option<i64>) {
    let range = TimeRange { start: floor, end: i64::MAX };
    let (found, ()) = head.exemplars(&[], range, Watch::NONE, || ()).expect("exemplars");
    let times = found.iter().flat_map(|(_, all)| all).map(|exemplar| exemplar.timestamp / STEP);
    let families = head.families(Some("family"));
    (times.collect(), families.first().and_then(|(_, said)| said.help.parse().ok()))
}

fn first_of(floor: i64) -> i64 {
    if floor == i64::MIN { 0 } else { floor / STEP }
}

#[test]
fn every_acknowledged_commit_survives_a_power_cut_after_every_step() {
    for (policy, sync_every) in [(SyncPolicy::Always, 1), (SyncPolicy::Interval(1000), 7)] {
        let cuts = run(policy, sync_every);
        let mut most_lost = 0;
        for (at, ((acknowledged, floor), left)) in cuts.iter().enumerate() {
            let what = format!("{policy:?}, power cut {at}");
            let (found, report) = commits(left, *floor, &what);
            assert_eq!(report.orphans, 0, "{what}");
            // All from the first on, without a gap: at most a suffix is lost.
            let first = first_of(*floor);
            let expected: Vec<i64> = (first..first + i64::try_from(found.len()).expect("small")).collect();
            assert_eq!(found, expected, "{what}");
            let end = first + i64::try_from(found.len()).expect("small");
            assert!(end >= i64::try_from(*acknowledged).expect("small"), "{what}: {end} of {acknowledged}");
            most_lost = most_lost.max(60 - end);
            // And it goes on from there.
            let (head, wal) = open(left, policy, 400, *floor);
            // What stands beside the samples comes behind them in the same write, so only the end may lack it.
            let (exemplars, said) = beside(&head, *floor);
            let whole = i64::try_from(*acknowledged).expect("small");
            assert!(found.starts_with(&exemplars), "{what}: {exemplars:?}");
            assert!(exemplars.len() + 1 >= found.len(), "{what}: {exemplars:?} of {found:?}");
            assert!(whole <= first || exemplars.last() >= Some(&(whole - 1)), "{what}: {exemplars:?}");
            assert!(whole == 0 || said >= Some(whole - 1), "{what}: {said:?}");
            commit(&head, &wal, 1000).expect("commit");
            assert_eq!(held(&head, *floor, &what).last(), Some(&1000), "{what}");
            drop((head, wal));
            assert_eq!(commits(left, *floor, &what).0.last(), Some(&1000), "{what}");
        }
        assert!(most_lost > 0, "early cuts lose what came later");
    }
}

#[test]
fn a_lost_middle_never_shifts_values() {
    let cuts = run(SyncPolicy::Never, i64::MAX);
    let mut gaps = 0;
    for (at, ((_, floor), left)) in cuts.iter().enumerate() {
        // Samples of series whose definition is lost are left out; what is there is right.
        let head = Head::new(*floor);
        replay(&head, left).expect("replay");
        let (set, ()) = head.select(SelectRequest::new(&[], TimeRange::ALL), || ()).expect("select");
        let mut samples = Samples::new();
        let mut seen = BTreeSet::new();
        for index in 0..set.len() {
            let number: i64 = set.labels(index).get("n").and_then(|n| n.parse().ok()).expect("a number");
            samples.clear();
            set.read(index, TimeRange::ALL, &mut samples);
            for (time, found) in samples.iter() {
                assert_eq!(
                    found.to_bits(),
                    value(number, time).to_bits(),
                    "cut {at}: series {number} at {time}"
                );
                seen.insert(time);
            }
        }
        let span = seen.last().zip(seen.first()).map_or(0, |(last, first)| (last - first) / STEP + 1);
        gaps += usize::from(span != i64::try_from(seen.len()).expect("small"));
    }
    assert!(gaps > 0, "some cuts lost the middle");
}

#[test]
fn a_full_disk_refuses_commits_whole_and_takes_the_next() {
    for room in 0..160 {
        let fs = ForgetfulFs::default();
        let (head, wal) = open(&fs, SyncPolicy::Always, 300, i64::MIN);
        let (mut next, mut refused) = (0, 0);
        let mut kept = Vec::new();
        for round in 0..24 {
            fs.disk().room = (round % 6 == 3).then_some(room);
            match commit(&head, &wal, next) {
                Ok(()) => kept.push(next),
                Err(Error::Io { .. }) => refused += 1,
                Err(error) => panic!("room {room}: {error}"),
            }
            assert_eq!(
                held(&head, i64::MIN, "in memory"),
                kept,
                "room {room}: nothing of a refused one shows"
            );
            next += 1;
        }
        assert!(refused > 0 || room > 60, "room {room}");
        let (found, report) = commits(&fs.after_power_cut(), i64::MIN, "after the power cut");
        assert_eq!((found, report.damage.len()), (kept, 0), "room {room}");
    }
}

#[test]
fn a_failed_sync_closes_the_log_and_keeps_what_was_acknowledged() {
    let fs = ForgetfulFs::default();
    let (head, wal) = open(&fs, SyncPolicy::Always, 1 << 20, i64::MIN);
    (0..20).for_each(|number| commit(&head, &wal, number).expect("commit"));
    fs.disk().fail_sync = true;
    let error = commit(&head, &wal, 20).expect_err("the sync fails").to_string();
    assert!(error.contains("sync") && error.contains("memory"), "it says what and where: {error}");
    fs.disk().fail_sync = false;
    for number in 21..25 {
        let error = commit(&head, &wal, number).expect_err("closed");
        assert!(matches!(&error, Error::LogPoisoned { reason } if reason.contains("injected")), "{error}");
    }
    assert_eq!(held(&head, i64::MIN, "in memory").len(), 21, "queries go on");
    let left = fs.after_power_cut();
    assert_eq!(commits(&left, i64::MIN, "after the power cut").0, (0..20).collect::<Vec<_>>());
    let (head, wal) = open(&left, SyncPolicy::Always, 1 << 20, i64::MIN);
    commit(&head, &wal, 30).expect("open again");
}

#[test]
fn a_commit_that_panics_leaves_no_trace_and_those_after_it_can_be_read() {
    let fs = ForgetfulFs::default();
    let (head, wal) = open(&fs, SyncPolicy::Always, 1 << 20, i64::MIN);
    let mut kept = Vec::new();
    for number in 0..40 {
        fs.disk().panics = number % 7 == 5;
        let committed =
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| commit(&head, &wal, number)));
        match committed {
            Ok(committed) => committed.map(|()| kept.push(number)).expect("commit"),
            Err(_) => assert_eq!(number % 7, 5),
        }
    }
    assert_eq!(held(&head, i64::MIN, "in memory"), kept);
    let (found, report) = commits(&fs.after_power_cut(), i64::MIN, "after the power cut");
    assert_eq!((found, report.damage.len(), report.orphans), (kept, 0, 0));
}

/// Resident memory of this process at its highest, in bytes.
fn peak_bytes() -> u64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or("0 kB");
    line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") * 1024
}

#[test]
fn a_small_record_does_not_take_much_memory() {
    let before = peak_bytes();
    for (slot, damaged) in [(1 << 26, 0), ((1 << 28) - 1, 0), (1 << 28, 1), (u64::from(u32::MAX), 1)] {
        let fs = ForgetfulFs::default();
        let wal =
            Wal::open(Arc::new(fs.clone()), &LogFiles::default(), SyncPolicy::Never, 1 << 20).expect("open");
        let mut records = Vec::new();
        frame::put_record(&mut records, |o| record::put_series(o, &[(SeriesRef(slot), vec![])]));
        wal.append(&records, None).expect("append");
        append(&wal, 5).expect("append");
        let head = Head::new(i64::MIN);
        let report = replay(&head, &fs).expect("replay");
        assert_eq!((report.damage.len(), head.series_count()), (damaged, 1 - damaged), "slot {slot}");
        assert!(peak_bytes() < before.max(1 << 28) + (512 << 20), "slot {slot}: {} bytes", peak_bytes());
    }
}

#[test]
fn a_checkpoint_takes_few_series_with_much_text_at_once() {
    let fs = ForgetfulFs::default();
    let (head, wal) = open(&fs, SyncPolicy::Never, 1 << 30, i64::MIN);
    let limits = TimeLimits { min: i64::MIN, max: i64::MAX, out_of_order: 0 };
    let mut appender = Appender::new(&head, &wal, limits, None);
    for n in 0..24 {
        let labels = if n < 12 {
            Labels::from_pairs([("n", n.to_string()), ("text", format!("{n}").repeat(500_000))])
        } else {
            Labels::from_pairs((0..60_000).map(|l| (format!("l{l}"), n.to_string())))
        };
        let series = appender.series(&labels);
        appender.append(series, 5, 1.0);
    }
    appender.commit(CommitMode::Whole).expect("commit");
    let (mut seen, mut most) = (BTreeSet::new(), (0, 0));
    head.each_logged(|all| {
        let labels = all.iter().flat_map(|series| &series.labels);
        let bytes: usize = labels.clone().map(|(_, text)| text.name.len() + text.value.len()).sum();
        most = (most.0.max(bytes), most.1.max(labels.count()));
        all.iter().for_each(|series| assert!(seen.insert(series.reference)));
    });
    assert_eq!(seen.len(), 24);
    // What a slice may have, and the series that goes beyond it.
    assert!(most.0 <= 5 << 20 && most.1 <= (4 << 20) / 32 + 60_000, "{most:?}");
    checkpoint::write(&fs, 0, &head).expect("checkpoint");
    let again = Head::new(i64::MIN);
    let report = replay(&again, &fs).expect("replay");
    assert_eq!((report.damage.len(), again.series_count()), (0, 24));
}

#[test]
fn series_far_apart_do_not_take_much_memory() {
    const COUNT: u32 = 20_000;
    let before = peak_bytes();
    let fs = ForgetfulFs::default();
    let wal =
        Wal::open(Arc::new(fs.clone()), &LogFiles::default(), SyncPolicy::Never, 1 << 20).expect("open");
    let names: Vec<String> = (0..COUNT).map(|n| n.to_string()).collect();
    let series: Vec<_> = (0..COUNT).map(|n| (SeriesRef::new(1, n * 1024 + 1023), vec![n])).collect();
    let mut records = Vec::new();
    frame::put_record(&mut records, |o| record::put_pairs(o, names.iter().map(|n| ("n", n.as_str()))));
    frame::put_record(&mut records, |o| record::put_series(o, &series));
    assert!(records.len() < 1 << 18, "{} bytes", records.len());
    wal.append(&records, None).expect("append");
    drop(wal);
    let (head, wal) = open(&fs, SyncPolicy::Never, 1 << 20, i64::MIN);
    assert_eq!(head.series_count(), COUNT as usize);
    // Old and new ones take samples and come back; a new one gets a number that no record names.
    for time in 0..2 {
        let limits = TimeLimits { min: i64::MIN, max: i64::MAX, out_of_order: 0 };
        let mut appender = Appender::new(&head, &wal, limits, None);
        for n in (0..2 * COUNT).step_by(100) {
            let series = appender.series(&Labels::from_pairs([("n", n.to_string())]));
            assert_eq!(series.generation(), if n < COUNT { 1 } else { 2 });
            appender.append(series, time, f64::from(n));
        }
        appender.commit(CommitMode::Whole).expect("commit");
    }
    drop((head, wal));
    let (head, _wal) = open(&fs, SyncPolicy::Never, 1 << 20, i64::MIN);
    let (set, ()) = head.select(SelectRequest::new(&[], TimeRange::ALL), || ()).expect("select");
    let mut samples = Samples::new();
    let found = (0..set.len()).filter(|at| {
        samples.clear();
        set.read(*at, TimeRange::ALL, &mut samples);
        let n: f64 = set.labels(*at).get("n").and_then(|n| n.parse().ok()).expect("a number");
        samples.iter().eq([(0, n), (1, n)])
    });
    assert_eq!(found.count(), 400);
    assert!(peak_bytes() < before.max(1 << 28) + (512 << 20), "{} bytes", peak_bytes());
}
