//! Columns, bundles, native histograms, timelines: any bytes are decoded or refused, a part of a column is that part of
//! the whole, and what is made of samples comes back.
#![no_main]

use arbitrary::{Result, Unstructured};
use emberkeep::codec::ByteReader;
use emberkeep::model::{Samples, is_stale};
use emberkeep::tsdb::chunk::bundle::{Bundle, BundleBuilder, MAX_COLUMNS};
use emberkeep::tsdb::chunk::column::{self, Effort, Scratch};
use emberkeep::storage::Fields;
use emberkeep::tsdb::chunk::content;
use emberkeep::tsdb::chunk::{MAX_COLUMN_SAMPLES, histogram, ints, timeline};
use emberkeep_fuzz::input::{self, assert_same, assert_same_values, bits, histogram_bits};
use emberkeep_fuzz::{seeds, within};
use libfuzzer_sys::fuzz_target;

fuzz_target!(
    init: seeds::write(made_seeds()),
    |data: &[u8]| {
        within(512, || {
            let Some((choice, rest)) = data.split_first() else { return };
            let mut u = Unstructured::new(rest);
            let _ = match choice % 10 {
                0..=2 => any_column(rest),
                3 => any_histograms(rest),
                4 => any_bundle(rest),
                5 => any_timeline(rest),
                6 => made_floats(&mut u),
                7 => made_samples(&mut u),
                8 => made_timeline(&mut u),
                _ => made_bundle(&mut u),
            };
        });
    }
);

/// Two bytes say how many samples the column should have, two more which of them are looked at.
fn any_column(data: &[u8]) -> Result<()> {
    let Some((head, bytes)) = data.split_first_chunk::<4>() else { return Ok(()) };
    let count = usize::from(u16::from_le_bytes([head[0], head[1]])) % (MAX_COLUMN_SAMPLES + 2);
    let start = usize::from(head[2]) * count / 255;
    let end = usize::from(head[3]) * count / 255;
    let _ = column::duplicate_distance(bytes);
    let mut whole = Samples::new();
    let decoded = content::decode(bytes, count, 0, count, Fields::ALL, &mut whole);
    let mut part = Samples::new();
    let part_decoded = content::decode(bytes, count, start, end, Fields::ALL, &mut part);
    let mut markers = Samples::new();
    let bare = content::decode(bytes, count, 0, count, Fields { values: false, starts: true }, &mut markers);
    if decoded.is_err() {
        return Ok(());
    }
    assert_eq!(whole.values.len(), count);
    // Less of it is read, so that damage elsewhere may go unseen, but never the other way round.
    part_decoded.expect("a part of what can be read");
    bare.expect("less of what can be read");
    let range = start.min(end)..end;
    assert_eq!(part.values.len(), range.len());
    let inside = |at: usize| range.contains(&at).then(|| at - range.start);
    let mut expected = Samples::new();
    expected.values.extend_from_slice(&whole.values[range.clone()]);
    let histograms = whole.histograms.iter();
    expected.histograms.extend(histograms.filter_map(|(at, h)| Some((inside(*at)?, h.clone()))));
    assert_same_values(&part, &expected);
    assert!(range.clone().all(|at| part.start(at - range.start) == whole.start(at)));
    assert_eq!((markers.values.len(), &markers.starts), (count, &whole.starts));
    for (with, without) in whole.values.iter().zip(&markers.values) {
        assert_eq!(is_stale(*with), is_stale(*without));
    }
    Ok(())
}

fn any_histograms(data: &[u8]) -> Result<()> {
    let Some((count, bytes)) = data.split_first() else { return Ok(()) };
    let Ok(all) = histogram::decode(bytes, usize::from(*count)) else { return Ok(()) };
    assert_eq!(all.len(), usize::from(*count));
    let mut out = Vec::new();
    histogram::encode(&all, &mut Scratch::default(), &mut out);
    let again = histogram::decode(&out, all.len()).expect("own output");
    for (a, b) in all.iter().zip(&again) {
        assert_eq!(histogram_bits(a), histogram_bits(b));
    }
    Ok(())
}

fn any_bundle(data: &[u8]) -> Result<()> {
    let Ok(bundle) = Bundle::open(data.to_vec()) else { return Ok(()) };
    let columns: Vec<_> = (0..=MAX_COLUMNS).map_while(|number| bundle.column(number).ok()).collect();
    assert!(columns.len() <= MAX_COLUMNS);
    assert!(bundle.column(usize::MAX - 1).is_err());
    let _ = bundle.memory_bytes();
    Ok(())
}

fn any_timeline(data: &[u8]) -> Result<()> {
    let Ok(all) = timeline::decode(&mut ByteReader::new(data), MAX_COLUMN_SAMPLES) else { return Ok(()) };
    assert!(all.is_sorted_by(|a, b| a < b) && all.len() <= MAX_COLUMN_SAMPLES);
    check_timeline(&all);
    Ok(())
}

fn check_timeline(all: &[i64]) {
    let mut out = Vec::new();
    timeline::encode(all, &mut ints::Scratch::default(), &mut out);
    let mut reader = ByteReader::new(&out);
    assert_eq!(timeline::decode(&mut reader, all.len()).expect("own output"), all);
    assert!(reader.is_empty());
}

fn made_floats(u: &mut Unstructured<'_>) -> Result<()> {
    let mut values = Vec::new();
    let mut value = input::float(u)?;
    let mut step = 1.0;
    while !u.is_empty() && values.len() < MAX_COLUMN_SAMPLES {
        let kind = u.arbitrary::<u8>()?;
        match kind & 7 {
            0 => value = input::float(u)?,
            1 => step = input::float(u)?,
            2 => value += f64::from(u.arbitrary::<i8>()?) / 10.0,
            _ => {}
        }
        for _ in 0..=kind >> 2 {
            value += if kind & 7 == 7 { 0.0 } else { step };
            values.push(value);
        }
    }
    values.truncate(MAX_COLUMN_SAMPLES);
    for effort in [Effort::Quick, Effort::Thorough] {
        let (mut out, mut back) = (Vec::new(), Vec::new());
        column::encode(&values, &mut Scratch::new(effort), &mut out);
        column::decode(&out, values.len(), &mut back).expect("own output");
        assert_eq!(bits(&back), bits(&values));
        if column::is_plain(&out) {
            assert!(!values.iter().any(|value| is_stale(*value)));
        }
    }
    Ok(())
}

fn made_samples(u: &mut Unstructured<'_>) -> Result<()> {
    let samples = input::samples(u, 3000)?;
    let mut back = Samples::new();
    let mut scratch = Scratch::new(if u.arbitrary()? { Effort::Quick } else { Effort::Thorough });
    let mut next = 0;
    for (start, end) in content::parts(&samples) {
        assert!(start == next && end > start && end - start <= MAX_COLUMN_SAMPLES);
        next = end;
        let mut bytes = Vec::new();
        content::encode(&samples, start, end, &mut scratch, &mut bytes);
        let (count, middle) = (end - start, (end - start) / 3);
        back.timestamps.extend_from_slice(&samples.timestamps[start..end]);
        content::decode(&bytes, count, 0, middle, Fields::ALL, &mut back).expect("own output");
        content::decode(&bytes, count, middle, count, Fields::ALL, &mut back).expect("own output");
    }
    assert_eq!(next, samples.len());
    assert_same(&back, &samples);
    Ok(())
}

fn made_timeline(u: &mut Unstructured<'_>) -> Result<()> {
    let mut all = vec![input::time(u)?];
    while !u.is_empty() && all.len() < MAX_COLUMN_SAMPLES {
        let kind = u.arbitrary::<u8>()?;
        let step = match kind & 3 {
            0 => input::time(u)?,
            1 => i64::from(u.arbitrary::<u16>()?),
            _ => 15_000,
        };
        for _ in 0..=kind >> 3 {
            all.push(all[all.len() - 1].wrapping_add(step));
        }
    }
    all.truncate(MAX_COLUMN_SAMPLES);
    all.sort_unstable();
    all.dedup();
    check_timeline(&all);
    Ok(())
}

fn made_bundle(u: &mut Unstructured<'_>) -> Result<()> {
    let mut builder = BundleBuilder::default();
    let mut columns: Vec<&[u8]> = Vec::new();
    let mut complete = false;
    while !u.is_empty() && !complete {
        let column = u.arbitrary()?;
        builder.buffer().extend_from_slice(column);
        assert_eq!(builder.open_column(), column);
        complete = builder.end_column();
        columns.push(column);
    }
    let bundle = Bundle::open(builder.finish()).expect("own output");
    for (number, column) in columns.iter().enumerate() {
        assert_eq!(bundle.column(number).expect("own output"), *column);
    }
    assert!(bundle.column(columns.len()).is_err());
    Ok(())
}

/// Columns of every mode with the numbers before them, and bytes to make others from.
fn made_seeds() -> Vec<Vec<u8>> {
    let bytes: Vec<u8> = (0..300u32).map(|n| (n * n % 251) as u8).collect();
    let mut all: Vec<Vec<u8>> = (3..10).map(|choice| [&[choice], &bytes[..]].concat()).collect();
    for samples in seeds::samples() {
        for effort in [Effort::Quick, Effort::Thorough] {
            let mut builder = BundleBuilder::default();
            for (start, end) in content::parts(&samples) {
                let mut column = Vec::new();
                content::encode(&samples, start, end, &mut Scratch::new(effort), &mut column);
                builder.buffer().extend_from_slice(&column);
                builder.end_column();
                let [low, high, ..] = (end - start).to_le_bytes();
                all.push([&[0, low, high, 50, 200], &column[..]].concat());
            }
            all.push([&[4], &builder.finish()[..]].concat());
        }
        let mut times = vec![5];
        timeline::encode(&samples.timestamps, &mut ints::Scratch::default(), &mut times);
        all.push(times);
        let histograms: Vec<_> = samples.histograms.iter().take(40).map(|(_, h)| h.clone()).collect();
        let mut column = vec![3, u8::try_from(histograms.len()).expect("few")];
        histogram::encode(&histograms, &mut Scratch::default(), &mut column);
        all.push(column);
    }
    all
}
