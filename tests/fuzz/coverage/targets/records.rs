//! Payloads of log records: any bytes through every decoder; what can be read is written and read again.
#![no_main]

use std::collections::HashMap;

use arbitrary::{Result, Unstructured};
use emberkeep::codec::CodecError;
use emberkeep::model::{Labels, Metadata, MetricType};
use emberkeep::tsdb::SeriesRef;
use emberkeep::tsdb::record::exemplars::LoggedExemplar;
use emberkeep::tsdb::record::histograms::LoggedHistogram;
use emberkeep::tsdb::record::samples::{SampleSink, Scratch};
use emberkeep::tsdb::record::{
    self, LoggedSample, PairNames, exemplars, histograms, metadata, samples, starts, v1,
};
use emberkeep_fuzz::input::{self, histogram_bits};
use emberkeep_fuzz::{seeds, within};
use libfuzzer_sys::fuzz_target;

fuzz_target!(
    init: seeds::write(made_seeds()),
    |data: &[u8]| {
        within(256, || {
            let Some((choice, payload)) = data.split_first() else { return };
            let mut u = Unstructured::new(payload);
            let _ = match choice % 8 {
                0 => made_samples(&mut u),
                1 => made_histograms(&mut u),
                2 => made_exemplars(&mut u),
                3 => made_series(&mut u),
                _ => {
                    decode_all(payload);
                    Ok(())
                }
            };
        });
    }
);

/// Remembers everything, and the last bits of each series.
#[derive(Default)]
struct Sink {
    bases: HashMap<u64, u64>,
    found: Vec<(u64, i64, u64)>,
}

impl SampleSink for Sink {
    type Place = u64;

    fn find(&mut self, series: SeriesRef) -> u64 {
        series.0
    }

    fn base(&mut self, series: u64) -> u64 {
        self.bases.get(&series).copied().unwrap_or(0)
    }

    fn sample(&mut self, series: u64, timestamp: i64, bits: u64) {
        self.bases.insert(series, bits);
        self.found.push((series, timestamp, bits));
    }
}

fn read_samples(payload: &[u8]) -> std::result::Result<Vec<(u64, i64, u64)>, CodecError> {
    let mut sink = Sink::default();
    samples::each(payload, &mut Scratch::default(), &mut sink)?;
    Ok(sink.found)
}

fn check_samples(timeline: Option<u32>, all: &[(u64, i64, u64)]) {
    let mut bases: HashMap<u64, u64> = HashMap::new();
    let logged: Vec<LoggedSample> = all
        .iter()
        .map(|&(series, timestamp, bits)| {
            let base = bases.insert(series, bits).unwrap_or(0);
            LoggedSample { series: SeriesRef(series), timestamp, bits, base }
        })
        .collect();
    let mut out = Vec::new();
    samples::put(&mut out, timeline, &logged);
    if all.is_empty() {
        return assert!(out.is_empty());
    }
    assert_eq!(read_samples(&out).expect("own output"), all);
    let header = samples::header(&out).expect("own output");
    assert_eq!((header.timeline, header.count), (timeline, all.len()));
    assert_eq!(Some(header.newest), all.iter().map(|(_, time, _)| *time).max());
    assert_eq!(header.first, all[0].1);
}

fn read_histograms(payload: &[u8]) -> std::result::Result<Vec<LoggedHistogram>, CodecError> {
    let (mut found, mut damaged) = (Vec::new(), None);
    histograms::each(payload, |series, time, coded| match coded.decode() {
        Ok(histogram) => found.push((series, time, histogram)),
        Err(error) => damaged = Some(error),
    })?;
    damaged.map_or(Ok(found), Err)
}

fn check_histograms(all: &[LoggedHistogram]) {
    let mut out = Vec::new();
    histograms::put(&mut out, all);
    let plain = |all: &[LoggedHistogram]| {
        all.iter().map(|(series, time, h)| (*series, *time, histogram_bits(h))).collect::<Vec<_>>()
    };
    assert_eq!(plain(&read_histograms(&out).expect("own output")), plain(all));
    let newest = all.iter().map(|(_, time, _)| *time).max();
    assert_eq!(histograms::times(&out), Ok(all.first().map(|(_, time, _)| *time).zip(newest)));
}

fn read_exemplars(payload: &[u8]) -> std::result::Result<Vec<LoggedExemplar>, CodecError> {
    let mut found = Vec::new();
    exemplars::each(payload, |one| found.push(one))?;
    Ok(found)
}

fn check_exemplars(all: &[LoggedExemplar]) {
    let mut out = Vec::new();
    exemplars::put(&mut out, all);
    let plain = |all: &[LoggedExemplar]| {
        let plain = |one: &LoggedExemplar| {
            let exemplar = &one.exemplar;
            (one.series, exemplar.timestamp, exemplar.value.to_bits(), exemplar.labels.clone(), one.timed)
        };
        all.iter().map(plain).collect::<Vec<_>>()
    };
    assert_eq!(plain(&read_exemplars(&out).expect("own output")), plain(all));
}

fn check_families(all: &[(String, Metadata)]) {
    let mut out = Vec::new();
    metadata::put(&mut out, all.iter().map(|(name, said)| (name.as_str(), said)));
    let mut found = Vec::new();
    metadata::each(&out, |name, said| found.push((name.to_owned(), said))).expect("own output");
    assert_eq!(found, all);
}

fn decode_all(payload: &[u8]) {
    let kind = record::kind_of(payload);
    let mut names = PairNames::default();
    let _ = names.add(payload);
    let mut references = Vec::new();
    let all = names.each_series(payload, |reference, labels| {
        references.push((reference, labels.to_labels()));
        Ok(())
    });
    let mut plain = Vec::new();
    let bare = record::each_new_series(payload, |reference| plain.push(reference));
    if all.is_ok() {
        assert_eq!(bare, Ok(()), "labels are read, so numbers are");
        assert!(references.iter().map(|(reference, _)| reference).eq(&plain));
    }
    if let Ok(deletion) = record::read_delete(payload) {
        let mut out = Vec::new();
        record::put_delete(&mut out, &deletion.series, deletion.start, deletion.end);
        assert_eq!(record::read_delete(&out), Ok(deletion));
    }
    if let Ok(found) = read_samples(payload) {
        let header = samples::header(payload).expect("all of it can be read");
        assert_eq!(header.count, found.len());
        check_samples(header.timeline, &found);
    }
    if let Ok(found) = read_histograms(payload) {
        check_histograms(&found);
    }
    if let Ok(found) = read_exemplars(payload) {
        check_exemplars(&found);
    }
    let mut families = Vec::new();
    if metadata::each(payload, |name, said| families.push((name.to_owned(), said))).is_ok() {
        check_families(&families);
    }
    let mut since = Vec::new();
    if starts::each(payload, |one| since.push(one)).is_ok() {
        let (mut out, mut found) = (Vec::new(), Vec::new());
        starts::put(&mut out, false, &since);
        starts::each(&out, |one| found.push(one)).expect("own output");
        assert_eq!(found, since);
    }
    let _ = exemplars::times(payload);
    let _ = histograms::times(payload);
    let _ = v1::each_series(payload, |_, _| Ok(()));
    let mut count = 0;
    let read = v1::each_sample(payload, |_, _, _| count += 1);
    if let Ok(header) = read {
        assert_eq!(header.count, count);
        assert_eq!(v1::start(payload), Ok((header.timeline, header.first)));
    }
    let _ = (v1::start(payload), kind);
}

fn series(u: &mut Unstructured<'_>) -> Result<u64> {
    Ok(if u.ratio(1, 8)? { u.arbitrary()? } else { u64::from(u.arbitrary::<u8>()?) })
}

fn made_samples(u: &mut Unstructured<'_>) -> Result<()> {
    let timeline = u.arbitrary::<Option<u32>>()?.filter(|number| *number < u32::MAX);
    let mut all = Vec::new();
    let (mut number, mut time) = (series(u)?, input::time(u)?);
    while !u.is_empty() && all.len() < 1000 {
        let kind = u.arbitrary::<u8>()?;
        if kind & 1 == 0 {
            number = number.wrapping_add(1);
        }
        if kind & 6 == 2 {
            number = series(u)?;
        }
        if kind & 24 == 8 {
            time = input::time(u)?;
        }
        all.push((number, time, input::float(u)?.to_bits()));
    }
    check_samples(timeline, &all);
    Ok(())
}

fn made_histograms(u: &mut Unstructured<'_>) -> Result<()> {
    let mut all: Vec<LoggedHistogram> = Vec::new();
    while !u.is_empty() && all.len() < 50 {
        all.push((SeriesRef(series(u)?), input::time(u)?, input::histogram(u)?.into()));
    }
    check_histograms(&all);
    Ok(())
}

fn made_exemplars(u: &mut Unstructured<'_>) -> Result<()> {
    let (mut all, mut families) = (Vec::new(), Vec::new());
    while !u.is_empty() && all.len() < 50 {
        let exemplar = input::exemplar(u)?;
        all.push(LoggedExemplar { series: SeriesRef(series(u)?), exemplar, timed: u.arbitrary()? });
        let kind = MetricType::from_number(u64::from(u.int_in_range(0..=9u8)?));
        families.push((input::text(u)?, Metadata { kind, unit: input::text(u)?, help: input::text(u)? }));
    }
    check_exemplars(&all);
    check_families(&families);
    Ok(())
}

fn made_series(u: &mut Unstructured<'_>) -> Result<()> {
    let (mut pairs, mut all) = (Vec::<(String, String)>::new(), Vec::<(SeriesRef, Labels)>::new());
    let mut rows = Vec::new();
    while !u.is_empty() && all.len() < 50 {
        let (reference, labels) = (SeriesRef(series(u)?), input::labels(u)?);
        let number_of = |(name, value): (&str, &str)| {
            let at = pairs.iter().position(|(n, v)| n == name && v == value).unwrap_or_else(|| {
                pairs.push((name.to_owned(), value.to_owned()));
                pairs.len() - 1
            });
            u32::try_from(at).expect("few")
        };
        rows.push((reference, labels.iter().map(number_of).collect::<Vec<u32>>()));
        all.push((reference, labels));
    }
    let (mut of_pairs, mut of_series, mut found) = (Vec::new(), Vec::new(), Vec::new());
    record::put_pairs(&mut of_pairs, pairs.iter().map(|(n, v)| (n.as_str(), v.as_str())));
    record::put_series(&mut of_series, &rows);
    let mut names = PairNames::default();
    names.add(&of_pairs).expect("own output");
    names
        .each_series(&of_series, |reference, labels| {
            found.push((reference, labels.to_labels()));
            Ok(())
        })
        .expect("own output");
    assert_eq!(found, all);
    Ok(())
}

/// A payload of each kind, and bytes to make others from.
fn made_seeds() -> Vec<Vec<u8>> {
    let bytes: Vec<u8> = (0..400u32).map(|n| (n * n % 251) as u8).collect();
    let mut all: Vec<Vec<u8>> = (0..4).map(|choice| [&[choice], &bytes[..]].concat()).collect();
    all.extend(seeds::payloads().into_iter().map(|payload| [&[4], &payload[..]].concat()));
    all
}
