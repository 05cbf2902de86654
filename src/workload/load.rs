//! Remote write bodies of a fleet, made before they are sent.
//!
//! Bodies come in rounds: a round holds the next few samples of every series, cut into bodies of so many series. The
//! bodies of one part follow each other in time, so whoever sends the parts in order sends every series in order.
//! **Cost**: a round is in memory at once; making it costs some 50 ns a sample, mostly compression.

use bytes::Bytes;

use super::fleet::{Fleet, Host, Place, instance, offset_ms};
use crate::codec::ByteWriter as _;

/// What is to be sent.
#[derive(Debug, Clone, Copy)]
pub struct LoadPlan {
    /// Hosts at any time.
    pub hosts: u32,
    /// Scrapes of each host.
    pub scrapes: u32,
    /// Samples of a series in one body.
    pub samples_per_series: u32,
    /// Series in one body.
    pub series_per_body: u32,
    /// Milliseconds between two scrapes of a host.
    pub interval_ms: u32,
    /// Time of the last scrape, in milliseconds since the Unix epoch; no sample is later.
    pub end_ms: i64,
    /// Share of the hosts that is replaced by new ones in each interval, 0 to 1.
    pub churn: f64,
}

/// One request.
#[derive(Debug, Clone)]
pub struct Body {
    /// Which part of the series it is about; bodies of one part must be sent in order.
    pub part: usize,
    /// Samples inside.
    pub samples: u64,
    /// The message, compressed.
    pub bytes: Bytes,
}

/// The labels of a series as they stand in a message, before and after `instance`.
#[derive(Debug)]
struct Encoded {
    before: Vec<u8>,
    after: Vec<u8>,
}

/// Makes the bodies of a plan, round by round.
#[derive(Debug)]
pub struct Load<'a> {
    fleet: &'a Fleet,
    plan: LoadPlan,
    encoded: Vec<Encoded>,
    hosts: Vec<Host>,
    next_scrape: u32,
    series_made: u64,
}

/// Longer than jitter ever is, so that no sample lies after the end.
const MARGIN_MS: i64 = 100;

impl<'a> Load<'a> {
    /// A load at its first round.
    pub fn new(fleet: &'a Fleet, plan: LoadPlan) -> Self {
        let encode = |labels: &mut dyn Iterator<Item = (&str, &str)>| {
            let mut out = Vec::new();
            labels.for_each(|(name, value)| put_label(&mut out, name, value));
            out
        };
        let encoded = fleet.series().iter().map(|series| Encoded {
            before: encode(&mut series.labels.iter().filter(|(name, _)| *name < "instance")),
            after: encode(&mut series.labels.iter().filter(|(name, _)| *name > "instance")),
        });
        Self {
            fleet,
            plan,
            encoded: encoded.collect(),
            hosts: (0..plan.hosts).map(|number| fleet.host(number)).collect(),
            next_scrape: 0,
            series_made: u64::from(plan.hosts) * fleet.series().len() as u64,
        }
    }

    /// Series at any time.
    pub fn active_series(&self) -> u64 {
        u64::from(self.plan.hosts) * self.fleet.series().len() as u64
    }

    /// Series in all rounds so far, those of replaced hosts included.
    pub fn series_made(&self) -> u64 {
        self.series_made
    }

    /// Samples of the whole plan.
    pub fn samples(&self) -> u64 {
        self.active_series() * u64::from(self.plan.scrapes)
    }

    /// The bodies of the next round, by part; `None` after the last.
    pub fn next_round(&mut self) -> Option<Vec<Body>> {
        let plan = self.plan;
        let left = plan.scrapes - self.next_scrape;
        let count = plan.samples_per_series.max(1).min(left);
        if count == 0 {
            return None;
        }
        self.replace_hosts();
        let mut bodies = Bodies { series_per_body: plan.series_per_body.max(1), ..Bodies::default() };
        let mut samples: Vec<(i64, Place)> = Vec::new();
        let (mut series, mut instance_label, mut points) = (Vec::new(), Vec::new(), Vec::new());
        for host in &mut self.hosts {
            samples.clear();
            for scrape in self.next_scrape..self.next_scrape + count {
                samples.push((plan.time_ms(host.number(), scrape), host.place()));
                host.advance();
            }
            instance_label.clear();
            put_label(&mut instance_label, "instance", &host.instance());
            for (number, labels) in self.encoded.iter().enumerate() {
                points.clear();
                for (time, place) in &samples {
                    put_sample(&mut points, *time, self.fleet.value(number, *place));
                }
                series.clear();
                let parts = [&labels.before[..], &instance_label, &labels.after, &points];
                parts.iter().for_each(|part| series.put_bytes(part));
                bodies.add(&series, u64::from(count));
            }
        }
        self.next_scrape += count;
        Some(bodies.finish())
    }

    /// Puts new hosts where old ones leave: as many as the share says for the scrapes so far, one place after another.
    fn replace_hosts(&mut self) {
        let places = u64::from(self.plan.hosts);
        let share = f64::from(self.next_scrape) * self.plan.churn.clamp(0.0, 1.0);
        let replaced = whole(share * f64::from(self.plan.hosts));
        for (place, host) in (0u64..).zip(&mut self.hosts) {
            let generation = (replaced + places - 1 - place) / places;
            let number = u32::try_from(place + generation * places).unwrap_or(u32::MAX);
            if host.number() != number {
                *host = self.fleet.host(number);
                self.series_made += self.fleet.series().len() as u64;
            }
        }
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a count below 2^64, never negative"
)]
fn whole(value: f64) -> u64 {
    value as u64
}

impl LoadPlan {
    /// When `host` is scraped for the `scrape`th time, in milliseconds since the Unix epoch.
    pub fn time_ms(&self, host: u32, scrape: u32) -> i64 {
        let interval = i64::from(self.interval_ms);
        let slot = self.end_ms - MARGIN_MS - (i64::from(self.scrapes) - i64::from(scrape)) * interval;
        slot + offset_ms(host, u64::from(scrape), self.interval_ms)
    }

    /// The value of the label `instance` of `host`.
    pub fn instance(host: u32) -> String {
        instance(host)
    }
}

/// Series collected into bodies.
#[derive(Default)]
struct Bodies {
    series_per_body: u32,
    done: Vec<Body>,
    open: Vec<u8>,
    open_series: u32,
    open_samples: u64,
}

impl Bodies {
    fn add(&mut self, series: &[u8], samples: u64) {
        self.open.put_u8(1 << 3 | 2);
        self.open.put_len(series.len());
        self.open.put_bytes(series);
        self.open_series += 1;
        self.open_samples += samples;
        if self.open_series == self.series_per_body {
            self.close();
        }
    }

    fn close(&mut self) {
        let packed = snap::raw::Encoder::new().compress_vec(&self.open);
        let bytes = Bytes::from(packed.expect("a body is far below the 4 GiB that snappy takes"));
        self.done.push(Body { part: self.done.len(), samples: self.open_samples, bytes });
        self.open.clear();
        self.open_series = 0;
        self.open_samples = 0;
    }

    fn finish(mut self) -> Vec<Body> {
        if self.open_series > 0 {
            self.close();
        }
        self.done
    }
}

fn varint_len(value: usize) -> usize {
    (usize::BITS - (value | 1).leading_zeros()).div_ceil(7) as usize
}

fn put_label(out: &mut Vec<u8>, name: &str, value: &str) {
    let part = |text: &str| 1 + varint_len(text.len()) + text.len();
    out.put_u8(1 << 3 | 2);
    out.put_len(part(name) + part(value));
    for (number, text) in [(1u8, name), (2, value)] {
        out.put_u8(number << 3 | 2);
        out.put_text(text);
    }
}

fn put_sample(out: &mut Vec<u8>, time_ms: i64, value: f64) {
    // Times since 1970 take at most six bytes; earlier ones, ten.
    let time = time_ms.cast_unsigned();
    let time_len = (u64::BITS - (time | 1).leading_zeros()).div_ceil(7);
    out.put_u8(2 << 3 | 2);
    out.put_varint(u64::from(1 + 8 + 1 + time_len));
    out.put_u8(1 << 3 | 1);
    out.put_f64(value);
    out.put_u8(2 << 3);
    out.put_varint(time);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::remote::message;
    use crate::workload::fleet::small_capture;
    use std::collections::BTreeMap;

    const PLAN: LoadPlan = LoadPlan {
        hosts: 7,
        scrapes: 25,
        samples_per_series: 4,
        series_per_body: 3,
        interval_ms: 15_000,
        end_ms: 1_700_000_000_000,
        churn: 0.0,
    };

    type Sent = BTreeMap<String, Vec<(i64, f64)>>;

    /// All that a load sends, by series; checks order, sizes and counts on the way.
    fn sent(plan: LoadPlan) -> Sent {
        let fleet = Fleet::new(&small_capture(), 5).expect("fleet");
        let mut load = Load::new(&fleet, plan);
        let mut out = Sent::new();
        let mut samples = 0;
        while let Some(bodies) = load.next_round() {
            for (part, body) in bodies.iter().enumerate() {
                assert_eq!(body.part, part);
                let bytes = snap::raw::Decoder::new().decompress_vec(&body.bytes).expect("snappy");
                let (mut series, mut inside) = (0, 0);
                message::each_series(&bytes, |one| {
                    let names: Vec<&[u8]> = one.labels.iter().map(|(name, _)| *name).collect();
                    assert!(
                        names.is_sorted()
                            && [&b"instance"[..], b"job"].iter().all(|name| names.contains(name))
                    );
                    series += 1;
                    inside += one.samples.len() as u64;
                    out.entry(format!("{:?}", one.labels)).or_default().extend(&one.samples);
                })
                .expect("a message");
                assert!(series <= plan.series_per_body);
                assert_eq!(inside, body.samples);
                samples += inside;
            }
        }
        assert_eq!((samples, out.len() as u64), (load.samples(), load.series_made()));
        out
    }

    #[test]
    fn every_series_gets_its_samples_in_order_and_none_after_the_end() {
        let all = sent(PLAN);
        assert_eq!(all.len(), 35);
        for (series, samples) in &all {
            assert_eq!(samples.len(), 25, "{series}");
            assert!(samples.is_sorted_by_key(|(time, _)| *time), "{series}");
            assert!(samples.iter().all(|(time, _)| *time <= PLAN.end_ms));
            assert!(samples[24].0 > PLAN.end_ms - 15_200, "{series}");
            if series.contains("_total") {
                assert!(samples.is_sorted_by(|a, b| a.1 <= b.1), "{series}");
            }
        }
    }

    #[test]
    fn the_cut_into_bodies_changes_no_sample() {
        let expected = sent(PLAN);
        for (samples_per_series, series_per_body) in [(1, 2000), (100, 1), (25, 35)] {
            assert_eq!(sent(LoadPlan { samples_per_series, series_per_body, ..PLAN }), expected);
        }
    }

    #[test]
    fn churn_replaces_its_share_of_hosts() {
        // A tenth of ten hosts in each of 20 intervals, looked at after every interval but the last.
        let plan = LoadPlan { hosts: 10, scrapes: 20, samples_per_series: 1, churn: 0.1, ..PLAN };
        assert_eq!(sent(plan).len(), 5 * (10 + 19));
    }
}
