//! What targets and senders say about metric families: type, unit, help.

/// Label that says the type of the family a series is of, where types and units are labels.
pub const TYPE_LABEL: &str = "__type__";
/// Label that says its unit.
pub const UNIT_LABEL: &str = "__unit__";

/// The type of a metric family.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum MetricType {
    /// Nothing known (`untyped` or `unknown`).
    #[default]
    Unknown,
    /// Only goes up.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Buckets, sum and count.
    Histogram,
    /// A histogram that is no counter.
    GaugeHistogram,
    /// Quantiles, sum and count.
    Summary,
    /// Facts that do not change.
    Info,
    /// One of several states.
    StateSet,
}

impl MetricType {
    /// All of them with their names; the place of each is its number in remote write and in the log.
    const ALL: [(&'static str, Self); 8] = [
        ("unknown", Self::Unknown),
        ("counter", Self::Counter),
        ("gauge", Self::Gauge),
        ("histogram", Self::Histogram),
        ("gaugehistogram", Self::GaugeHistogram),
        ("summary", Self::Summary),
        ("info", Self::Info),
        ("stateset", Self::StateSet),
    ];

    /// The name the API shows.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, kind)| *kind == self).map_or("unknown", |(name, _)| name)
    }

    /// The type called `text`.
    pub fn from_text(text: &[u8]) -> Option<Self> {
        Self::ALL.iter().find(|(name, _)| name.as_bytes() == text).map(|(_, kind)| *kind)
    }

    /// Its number, 0 to 7.
    pub fn number(self) -> u8 {
        (0u8..).zip(Self::ALL).find(|(_, (_, kind))| *kind == self).map_or(0, |(number, _)| number)
    }

    /// The type of that number; of one that is not known nothing is known.
    pub fn from_number(number: u64) -> Self {
        usize::try_from(number).ok().and_then(|n| Self::ALL.get(n)).map_or(Self::Unknown, |(_, kind)| *kind)
    }
}

/// What is said of one metric family.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Metadata {
    /// Its type.
    pub kind: MetricType,
    /// Its unit, often empty.
    pub unit: String,
    /// Its help text.
    pub help: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_have_names_and_numbers() {
        for number in 0u8..8 {
            let kind = MetricType::from_number(u64::from(number));
            assert_eq!(kind.number(), number);
            assert_eq!(MetricType::from_text(kind.name().as_bytes()), Some(kind));
        }
        assert_eq!(MetricType::from_number(8), MetricType::Unknown);
    }
}
