//! What a host of a fleet answers to a scrape: the classic text format, as a node exporter writes it.
//!
//! The recording holds no metadata, so help is one sentence for all and the type is guessed from the name.

use std::fmt::Write as _;

use super::fleet::{Fleet, Place};

/// Appends the exposition of a host at `place` to `out`.
pub fn put_exposition(fleet: &Fleet, place: Place, out: &mut String) {
    let mut family = "";
    for (number, series) in fleet.series().iter().enumerate() {
        let name = series.labels.metric_name();
        let (own_family, kind) = family_of(name);
        if own_family != family {
            family = own_family;
            let _ = writeln!(out, "# HELP {family} Recorded from a real exporter.\n# TYPE {family} {kind}");
        }
        out.push_str(&series.exposed);
        out.push(' ');
        put_value(out, fleet.value(number, place));
        out.push('\n');
    }
}

/// The family a series belongs to, and its type.
fn family_of(name: &str) -> (&str, &'static str) {
    match name.strip_suffix("_bucket") {
        Some(family) => (family, "histogram"),
        None if name.ends_with("_total") => (name, "counter"),
        None => (name, "gauge"),
    }
}

/// Appends a value as exporters in Go write it: shortest digits, an exponent below 1e-04 and from 1e+06 on.
fn put_value(out: &mut String, value: f64) {
    if value.is_nan() {
        out.push_str("NaN");
    } else if value.is_infinite() {
        out.push_str(if value > 0.0 { "+Inf" } else { "-Inf" });
    } else if value == 0.0 || (1e-4..1e6).contains(&value.abs()) {
        let _ = write!(out, "{value}");
    } else {
        let text = format!("{value:e}");
        let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        let (sign, exponent) = exponent.strip_prefix('-').map_or(('+', exponent), |rest| ('-', rest));
        let _ = write!(out, "{digits}e{sign}{exponent:0>2}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expfmt::{Entry, Format, Parser};
    use crate::workload::fleet::small_capture;

    #[test]
    fn values_look_like_those_of_exporters() {
        let check = |value, expected: &str| {
            let mut out = String::new();
            put_value(&mut out, value);
            assert_eq!(out, expected);
            assert!(value.is_nan() || out.parse::<f64>() == Ok(value), "{out}");
        };
        check(0.0, "0");
        check(12.5, "12.5");
        check(999_999.0, "999999");
        check(12_345_678.0, "1.2345678e+07");
        check(1.5e300, "1.5e+300");
        check(-0.000_02, "-2e-05");
        check(f64::INFINITY, "+Inf");
        check(f64::NAN, "NaN");
    }

    #[test]
    fn the_parser_reads_every_series_and_value() {
        let fleet = Fleet::new(&small_capture(), 5).expect("fleet");
        let host = fleet.host(2);
        let mut text = String::new();
        put_exposition(&fleet, host.place(), &mut text);
        let mut parser = Parser::new(text.as_bytes(), Format::Text);
        let mut values = Vec::new();
        while let Some(entry) = parser.next_entry(None).expect("readable") {
            if let Entry::Sample(sample) = entry {
                values.push(sample.value);
            }
        }
        let expected: Vec<f64> = (0..5).map(|series| fleet.value(series, host.place())).collect();
        assert_eq!(values, expected);
        assert!(text.contains("# TYPE wait histogram\nwait_bucket{le=\"+Inf\"} "), "{text}");
    }
}
