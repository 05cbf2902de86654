//! A fleet of hosts that replays one recorded host, each from another place and at another pace.
//!
//! A host walks over the recorded seconds in steps of 11 to 19, so that a step is worth about the 15 s between two
//! scrapes; at the end of the recording it starts again with another step. Steps and starts come from the number of
//! the host alone, so two fleets of the same recording are equal.
//! **Invariants**: a series that never fell in the recording never falls here: each lap starts where the last ended.
//! Recorded decimals stay decimals of the same length.
//! **Cost**: the recording of one host, 8 bytes a value; a value is one look-up.

use super::{Capture, CaptureError, Series, Target};
use crate::model::{Labels, LabelsBuf};

/// Target of the recording that every host is made of.
const HOST_TARGET: &str = "node";
/// Target that lends its histograms where the host has fewer series than asked for.
const HISTOGRAM_TARGET: &str = "prom";
/// Value of the label `job` of every series.
const JOB: &str = "node";
/// Longest decimal fraction that is looked for.
const MAX_DECIMALS: u32 = 9;
/// Integers up to here are exact as floats.
const MAX_EXACT: f64 = 9_007_199_254_740_992.0;

/// A fleet that cannot be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FleetError {
    /// The recording lacks a target.
    #[error("capture has no target {0:?}")]
    NoTarget(&'static str),
    /// The recording is too short to walk over.
    #[error("capture has {0} scrapes, at least 2 are required")]
    TooShort(usize),
    /// More series were asked for than the recording has.
    #[error("capture has {found} continuous series, {wanted} were requested")]
    TooFewSeries {
        /// Series of the recording that can be replayed.
        found: usize,
        /// Series asked for.
        wanted: usize,
    },
    /// The text of a series cannot be read.
    #[error(transparent)]
    Capture(#[from] CaptureError),
}

/// How the values of a series move.
#[derive(Debug)]
enum Course {
    /// Never falls; the values are integers after multiplication by `scale`.
    RisingDecimal { scaled: Vec<i64>, scale: f64 },
    /// Never falls; any values.
    Rising(Vec<f64>),
    /// Goes up and down.
    Free(Vec<f64>),
}

/// One series of every host.
#[derive(Debug)]
pub struct Template {
    /// Its labels, `job` among them and `instance` not.
    pub labels: Labels,
    /// Its text as exposed, without `job`.
    pub exposed: String,
    course: Course,
}

/// The recording of one host, ready to be replayed by many.
#[derive(Debug)]
pub struct Fleet {
    series: Vec<Template>,
    length: u32,
}

/// Where a host is in the recording.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    index: u32,
    lap: u32,
}

/// A host walking over the recording.
#[derive(Debug, Clone)]
pub struct Host {
    number: u32,
    place: Place,
    step: u32,
    length: u32,
}

/// Scrambles `seed`: the only source of chance here.
pub(super) fn scramble(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ z >> 31
}

/// A number below `bound` out of `random`.
fn below(random: u64, bound: u32) -> u32 {
    u32::try_from(((random >> 32) * u64::from(bound)) >> 32).unwrap_or(0)
}

/// When a host is scraped for the `scrape`th time, in milliseconds after the start of its slot: the host's own place
/// within the interval and a normal jitter of 3 ms.
pub(super) fn offset_ms(host: u32, scrape: u64, interval_ms: u32) -> i64 {
    let seed = u64::from(host) << 32;
    let phase = below(scramble(seed ^ 0x7068_6173_6500_0000), interval_ms);
    let noise = scramble(scramble(seed) ^ scrape);
    // Eight uniform bytes add up to a bell of mean 1020 and deviation 209.
    let sum: u32 = noise.to_le_bytes().iter().map(|byte| u32::from(*byte)).sum();
    let jitter = (i64::from(sum) - 1020) * 3 / 209;
    i64::from(phase) + jitter
}

impl Fleet {
    /// A fleet whose hosts have `series_per_host` series each: those of the recorded node exporter that were there
    /// all the time, then histograms of another target, then whatever else that target has.
    ///
    /// # Errors
    /// When the recording has too few series, or none of these targets.
    pub fn new(capture: &Capture, series_per_host: usize) -> Result<Self, FleetError> {
        let host = capture.target(HOST_TARGET).ok_or(FleetError::NoTarget(HOST_TARGET))?;
        let length = host.scrape_count();
        let is_whole = |series: &&Series| series.values.len() == length;
        let mut chosen: Vec<&Series> = host.series.iter().filter(is_whole).take(series_per_host).collect();
        if chosen.len() < series_per_host {
            let lent = capture.target(HISTOGRAM_TARGET).map_or(&[][..], |target: &Target| &target.series);
            let whole = |buckets: bool| {
                let is_wanted = move |series: &&Series| series.name.contains("_bucket{") == buckets;
                lent.iter().filter(is_whole).filter(is_wanted)
            };
            chosen.extend(whole(true).chain(whole(false)).take(series_per_host - chosen.len()));
        }
        if chosen.len() < series_per_host {
            return Err(FleetError::TooFewSeries { found: chosen.len(), wanted: series_per_host });
        }
        let steps = u32::try_from(length).ok().filter(|length| *length >= 2);
        let length = steps.ok_or(FleetError::TooShort(length))?;
        let mut scratch = LabelsBuf::new();
        let series = chosen.into_iter().map(|series| {
            scratch.reset_to(&series.labels(&mut LabelsBuf::new())?);
            scratch.remove("instance");
            scratch.set("job", JOB);
            let exposed = series.name.clone();
            Ok(Template { labels: scratch.to_labels(), exposed, course: Course::of(&series.values) })
        });
        Ok(Self { series: series.collect::<Result<_, FleetError>>()?, length })
    }

    /// The series of every host.
    pub fn series(&self) -> &[Template] {
        &self.series
    }

    /// Host `number` at its first scrape.
    pub fn host(&self, number: u32) -> Host {
        let random = scramble(u64::from(number));
        let place = Place { index: below(random, self.length), lap: below(scramble(random), 50) };
        Host { number, place, step: Host::step(number, place.lap), length: self.length }
    }

    /// The value of series number `series` for a host that is at `place`.
    pub fn value(&self, series: usize, place: Place) -> f64 {
        let index = place.index as usize;
        match &self.series[series].course {
            Course::Free(values) => values[index],
            Course::Rising(values) => {
                let lap = values[values.len() - 1] - values[0];
                lap.mul_add(f64::from(place.lap), values[index])
            }
            Course::RisingDecimal { scaled, scale } => {
                let lap = scaled[scaled.len() - 1] - scaled[0];
                exact(scaled[index] + lap * i64::from(place.lap)) / scale
            }
        }
    }
}

/// An integer that may have grown past what a float holds exactly; nearest then, which never makes a sequence fall.
#[expect(clippy::cast_precision_loss, reason = "rounding is monotone")]
fn exact(value: i64) -> f64 {
    value as f64
}

impl Course {
    fn of(values: &[f64]) -> Self {
        let rises = values.windows(2).all(|pair| pair[0] <= pair[1]) && values[0] < values[values.len() - 1];
        if !rises {
            return Self::Free(values.to_vec());
        }
        for decimals in 0..=MAX_DECIMALS {
            let scale = f64::from(10u32.pow(decimals));
            let scaled: Option<Vec<i64>> = values.iter().map(|value| integer(*value, scale)).collect();
            if let Some(scaled) = scaled {
                return Self::RisingDecimal { scaled, scale };
            }
        }
        Self::Rising(values.to_vec())
    }
}

/// `value * scale` if that is an integer which gives `value` again.
#[expect(clippy::cast_possible_truncation, reason = "checked to be an integer in range")]
fn integer(value: f64, scale: f64) -> Option<i64> {
    let scaled = (value * scale).round();
    (scaled.abs() < MAX_EXACT / 1000.0 && scaled / scale == value).then_some(scaled as i64)
}

impl Host {
    fn step(number: u32, lap: u32) -> u32 {
        11 + below(scramble(u64::from(number) << 32 | u64::from(lap)), 9)
    }

    /// Its number.
    pub fn number(&self) -> u32 {
        self.number
    }

    /// Its value of the label `instance`.
    pub fn instance(&self) -> String {
        instance(self.number)
    }

    /// Where it is.
    pub fn place(&self) -> Place {
        self.place
    }

    /// Goes on to its next scrape.
    pub fn advance(&mut self) {
        self.place.index += self.step;
        if self.place.index >= self.length {
            self.place.index %= self.length;
            self.place.lap += 1;
            self.step = Self::step(self.number, self.place.lap);
        }
    }
}

/// The label `instance` of host `number`.
pub(super) fn instance(number: u32) -> String {
    format!("host-{number:05}.example.com:9100")
}

/// A small recording for tests: one host of four series and one histogram, 40 scrapes.
#[cfg(test)]
pub(crate) fn small_capture() -> Capture {
    let series = |name: &str, value: &dyn Fn(u32) -> f64| Series {
        name: name.to_owned(),
        runs: vec![super::capture::Run { first: 0, len: 40 }],
        values: (0..40).map(value).collect(),
    };
    let times: Vec<i64> = (0..40).map(|i| 1000 * i).collect();
    let mut gone = series("gone", &|_| 1.0);
    gone.values.truncate(3);
    gone.runs[0].len = 3;
    let host = vec![
        gone,
        series("cpu_seconds_total{cpu=\"0\"}", &|i| f64::from(i * 7 + i % 3) / 100.0),
        series("zone_info{zone=\"b\"}", &|_| 1.0),
        series("load1", &|i| f64::from(i % 5) / 4.0),
        series("odd_seconds_total", &|i| f64::from(i).sqrt()),
    ];
    let lent = vec![series("up", &|_| 1.0), series("wait_bucket{le=\"+Inf\"}", &|i| f64::from(i / 2))];
    let target = |name: &str, series| Target { name: name.to_owned(), times: times.clone(), series };
    Capture { targets: vec![target("node", host), target("prom", lent)] }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_whole_series_of_the_host_and_then_histograms() {
        let capture = small_capture();
        let fleet = Fleet::new(&capture, 5).expect("fleet");
        let names: Vec<&str> = fleet.series().iter().map(|s| s.labels.metric_name()).collect();
        assert_eq!(names, ["cpu_seconds_total", "zone_info", "load1", "odd_seconds_total", "wait_bucket"]);
        assert!(fleet.series().iter().all(|s| s.labels.get("job") == Some("node")));
        let error = Fleet::new(&capture, 7).expect_err("too many");
        assert!(matches!(error, FleetError::TooFewSeries { found: 6, wanted: 7 }), "{error}");
    }

    #[test]
    fn counters_never_fall_and_gauges_keep_their_values() {
        let capture = small_capture();
        let fleet = Fleet::new(&capture, 5).expect("fleet");
        for number in 0..20 {
            let mut host = fleet.host(number);
            let mut before = [f64::MIN; 5];
            let first_lap = host.place().lap;
            for _ in 0..200 {
                for (series, before) in before.iter_mut().enumerate() {
                    let value = fleet.value(series, host.place());
                    if matches!(series, 0 | 3 | 4) {
                        assert!(value >= *before, "host {number} series {series}: {before} then {value}");
                    } else {
                        assert!(capture.targets[0].series[series + 1].values.contains(&value));
                    }
                    *before = value;
                }
                // Two decimals in the recording are two decimals ever after.
                assert!(
                    before[0].to_string().split('.').nth(1).is_none_or(|d| d.len() <= 2),
                    "{}",
                    before[0]
                );
                host.advance();
            }
            assert!(host.place().lap > first_lap + 10, "the walk must start again many times");
        }
    }

    #[test]
    fn two_fleets_of_a_recording_are_equal_and_two_hosts_are_not() {
        let (a, b) = (Fleet::new(&small_capture(), 5), Fleet::new(&small_capture(), 5));
        let (a, b) = (a.expect("fleet"), b.expect("fleet"));
        let walk = |fleet: &Fleet, number| {
            let mut host = fleet.host(number);
            let mut out = Vec::new();
            for scrape in 0..100 {
                out.push((fleet.value(0, host.place()).to_bits(), offset_ms(number, scrape, 15_000)));
                host.advance();
            }
            out
        };
        assert_eq!(walk(&a, 3), walk(&b, 3));
        assert_ne!(walk(&a, 3), walk(&a, 4));
    }

    #[test]
    fn jitter_is_a_few_milliseconds_around_the_place_of_the_host() {
        let all: Vec<i64> = (0..10_000).map(|scrape| offset_ms(7, scrape, 15_000)).collect();
        let mean = all.iter().sum::<i64>() as f64 / all.len() as f64;
        let square = |value: &i64| (*value as f64 - mean).powi(2);
        let deviation = (all.iter().map(square).sum::<f64>() / all.len() as f64).sqrt();
        assert!((2.5..3.5).contains(&deviation), "{deviation}");
    }
}
