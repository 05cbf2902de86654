//! Values with a syntax of their own: durations and sizes.

use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use crate::model::{format_duration, parse_duration};

/// A duration such as `1h30m`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::config) struct Time(pub(in crate::config) Duration);

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        parse_duration(&text).map(Self).map_err(D::Error::custom)
    }
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&format_duration(self.0))
    }
}

/// A size such as `15MB`, to the base of two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::config) struct Size(pub(in crate::config) u64);

const UNITS: [&str; 7] = ["B", "KB", "MB", "GB", "TB", "PB", "EB"];

impl Size {
    pub(in crate::config) fn parse(text: &str) -> Option<Self> {
        if text == "0" {
            return Some(Self(0));
        }
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = text.split_at(digits);
        let power = UNITS.iter().position(|name| {
            unit.eq_ignore_ascii_case(name)
                || (unit.len() == 3 && unit.eq_ignore_ascii_case(&[&name[..1], "ib"].concat()))
        })?;
        let factor = 1u64 << (10 * power);
        number.parse::<u64>().ok()?.checked_mul(factor).filter(|n| i64::try_from(*n).is_ok()).map(Self)
    }

    fn format(self) -> String {
        if self.0 == 0 {
            return "0B".to_owned();
        }
        let power = (self.0.trailing_zeros() / 10).min(6);
        format!("{}{}", self.0 >> (10 * power), UNITS[power as usize])
    }
}

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| {
            D::Error::custom(format!("not a valid size: {text:?} (a whole number with a unit such as 15MB)"))
        })
    }
}

impl Serialize for Size {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.format())
    }
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
        for text in ["100", "", "MB", "-1MB", "1.5MB", "1XB", "99999999999EB", "1\u{e9}B"] {
            check(text, None);
        }
    }
}
