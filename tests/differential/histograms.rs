//! Native histograms as messages of remote write: counters with resets and changing layouts, gauges, custom bounds.

use std::collections::BTreeMap;

use emberkeep::codec::protobuf::{put_bytes, put_float, put_varint};

use crate::support::Random;
use crate::{INTERVAL_MS, SCRAPES};

/// Labels, and messages of histograms with their times.
pub(crate) type HistogramSeries = (Vec<(String, String)>, Vec<(i64, Vec<u8>)>);

/// Custom bounds, in the schema that says so.
const CUSTOM: i64 = -53;
/// The hint that a histogram is a gauge.
const GAUGE: u64 = 3;

#[derive(Default)]
struct Shape {
    schema: i64,
    zero_threshold: f64,
    zero_count: f64,
    positive: BTreeMap<i64, f64>,
    negative: BTreeMap<i64, f64>,
    bounds: Vec<f64>,
    sum: f64,
    hint: u64,
}

/// As protobuf codes signed numbers.
fn signed(number: i64) -> u64 {
    (number << 1 ^ number >> 63).cast_unsigned()
}

impl Shape {
    fn add(&mut self, random: &mut Random, most: u64, negatives: bool) {
        let start = if self.schema == CUSTOM { 0 } else { -4 };
        let width = if self.schema == CUSTOM { self.bounds.len() as u64 + 1 } else { 9 };
        // Never a bucket without observations: Prometheus adds those of other samples in the same chunk.
        for _ in 0..=random.below(3) {
            let bucket = start + i64::try_from(random.below(width)).expect("small");
            let count = (random.below(most) + 1) as f64;
            *self.positive.entry(bucket).or_default() += count;
            self.sum += count * (bucket as f64 + 5.0) / 3.0;
            if negatives {
                *self.negative.entry(bucket).or_default() += 1.0;
                self.sum -= 0.7;
            }
        }
        if self.schema != CUSTOM {
            self.zero_count += random.below(2) as f64;
        }
    }

    fn message(&self, time: i64) -> Vec<u8> {
        let mut out = Vec::new();
        let count = self.positive.values().chain(self.negative.values()).sum::<f64>() + self.zero_count;
        put_float(&mut out, 2, count);
        put_float(&mut out, 3, self.sum);
        put_varint(&mut out, 4, signed(self.schema));
        put_float(&mut out, 5, self.zero_threshold);
        put_float(&mut out, 7, self.zero_count);
        for (field, buckets) in [(8, &self.negative), (11, &self.positive)] {
            let mut next = 0;
            for index in buckets.keys() {
                let mut span = Vec::new();
                put_varint(&mut span, 1, signed(index - next));
                put_varint(&mut span, 2, 1);
                put_bytes(&mut out, field, &span);
                next = index + 1;
            }
            buckets.values().for_each(|count| put_float(&mut out, field + 2, *count));
        }
        put_varint(&mut out, 14, self.hint);
        put_varint(&mut out, 15, time.cast_unsigned());
        self.bounds.iter().for_each(|bound| put_float(&mut out, 16, *bound));
        out
    }
}

pub(crate) fn generate(random: &mut Random, start: i64) -> Vec<HistogramSeries> {
    let mut out = Vec::new();
    for instance in 0..4u32 {
        for name in ["native", "native_gauge", "native_custom"] {
            let mut labels = vec![
                ("__name__".to_owned(), name.to_owned()),
                ("instance".to_owned(), format!("host{instance}")),
                ("job".to_owned(), format!("job{}", instance % 2)),
            ];
            labels.sort();
            let fresh = |schema: i64| Shape {
                schema: if name == "native_custom" { CUSTOM } else { schema },
                zero_threshold: if name == "native_custom" { 0.0 } else { 0.001 },
                bounds: match (name, instance) {
                    ("native_custom", 0 | 1) => vec![0.5, 1.0, 2.0, 5.0],
                    ("native_custom", _) => vec![0.5, 2.0, 5.0],
                    _ => Vec::new(),
                },
                hint: if name == "native_gauge" { GAUGE } else { 0 },
                ..Shape::default()
            };
            let mut shape = fresh(i64::from(instance % 3));
            let mut all = Vec::new();
            for scrape in 0..SCRAPES {
                if name == "native_gauge" || random.below(40) == 0 {
                    // A gauge begins anew each time; a counter is reset, maybe to another resolution.
                    shape = fresh(i64::from(instance % 3) + i64::from(random.below(3) == 0));
                }
                shape.add(random, 9, instance == 3 && name != "native_custom");
                // Now and then a scrape is missing.
                if random.below(15) > 0 {
                    let time = start + scrape * INTERVAL_MS + 11;
                    all.push((time, shape.message(time)));
                }
            }
            out.push((labels, all));
        }
    }
    out
}
