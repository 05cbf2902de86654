//! Values with a syntax of their own: durations and sizes.

use std::time::Duration;

use serde::{Serialize, Serializer};

use crate::model::format_duration;

/// A duration such as `1h30m`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::config) struct Time(pub(in crate::config) Duration);

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&format_duration(self.0))
    }
}

/// Prints a duration.
pub(in crate::config) fn time<S: Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    Time(*time).serialize(serializer)
}

/// Whether a port is none.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks like this")]
pub(in crate::config) fn is_zero(port: &u16) -> bool {
    *port == 0
}

/// A size such as `15MB`, to the base of two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::config) struct Size(pub(in crate::config) u64);

const UNITS: [&str; 7] = ["B", "KB", "MB", "GB", "TB", "PB", "EB"];

impl Size {
    /// One number with a unit, or several: `1.5MB`, `1GB512MB`. Nothing but `0` goes without.
    pub(in crate::config) fn parse(text: &str) -> Option<Self> {
        if text == "0" {
            return Some(Self(0));
        }
        let (mut total, mut rest) = (0u64, text);
        while !rest.is_empty() || text.is_empty() {
            let digits = rest.bytes().take_while(|b| b.is_ascii_digit() || *b == b'.').count();
            let (number, after) = rest.split_at(digits);
            let letters = after.bytes().take_while(u8::is_ascii_alphabetic).count();
            let (unit, after) = after.split_at(letters);
            total = total.checked_add(part(number, unit)?)?;
            rest = after;
        }
        Some(Self(total)).filter(|size| i64::try_from(size.0).is_ok())
    }

    fn format(self) -> String {
        if self.0 == 0 {
            return "0B".to_owned();
        }
        let power = (self.0.trailing_zeros() / 10).min(6);
        format!("{}{}", self.0 >> (10 * power), UNITS[power as usize])
    }
}

impl Serialize for Size {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.format())
    }
}

/// A list as printed: an empty one is left out.
pub(in crate::config) fn list<'a, T, R: From<&'a T>>(items: &'a [T]) -> Option<Vec<R>> {
    (!items.is_empty()).then(|| items.iter().map(R::from).collect())
}

/// The bytes of a number with a unit; what is less than a byte is left out.
fn part(number: &str, unit: &str) -> Option<u64> {
    let power = UNITS.iter().position(|name| {
        unit.eq_ignore_ascii_case(name)
            || (unit.len() == 3 && unit.eq_ignore_ascii_case(&[&name[..1], "ib"].concat()))
    })?;
    let factor = 1u64 << (10 * power);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    if matches!(number, "" | ".") || fraction.contains('.') {
        return None;
    }
    let whole = if whole.is_empty() { 0 } else { whole.parse::<u64>().ok()? };
    // Nine digits tell bytes apart up to gigabytes; what follows them is of no account.
    let places = fraction.len().min(9);
    let digits = if places == 0 { 0 } else { fraction[..places].parse::<u64>().ok()? };
    let scale = 10u128.pow(u32::try_from(places).ok()?);
    let part = u64::try_from(u128::from(factor) * u128::from(digits) / scale).ok()?;
    whole.checked_mul(factor)?.checked_add(part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_prints_sizes() {
        let check = |text: &str, expected: Option<(u64, &str)>| {
            let got = Size::parse(text).map(|size| (size.0, size.format()));
            assert_eq!(got, expected.map(|(n, s)| (n, s.to_owned())), "{text}");
        };
        check("0", Some((0, "0B")));
        check("15MB", Some((15 << 20, "15MB")));
        check("15MiB", Some((15 << 20, "15MB")));
        check("1536KB", Some((1536 << 10, "1536KB")));
        check("7B", Some((7, "7B")));
        check("1.5MB", Some((1536 << 10, "1536KB")));
        check("0.1KB", Some((102, "102B")));
        check("1MiB512KiB", Some((1536 << 10, "1536KB")));
        for text in ["100", "", "MB", ".MB", "1.2.3MB", "1MB5", "-1MB", "1XB", "99999999999EB", "1\u{e9}B"] {
            check(text, None);
        }
    }
}
