//! How what targets expose is asked for and read: protocols, histograms, names.

use crate::model::name::NameScheme;

/// A format a target can be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScrapeProtocol {
    /// Delimited protobuf, the only one with native histograms.
    Protobuf,
    /// OpenMetrics text 1.0.0.
    OpenMetrics1_0_0,
    /// OpenMetrics text 0.0.1.
    OpenMetrics0_0_1,
    /// Classic text 1.0.0.
    Text1_0_0,
    /// Classic text 0.0.4.
    Text0_0_4,
}

const PROTOCOLS: [(&str, ScrapeProtocol); 5] = [
    ("PrometheusProto", ScrapeProtocol::Protobuf),
    ("OpenMetricsText1.0.0", ScrapeProtocol::OpenMetrics1_0_0),
    ("OpenMetricsText0.0.1", ScrapeProtocol::OpenMetrics0_0_1),
    ("PrometheusText1.0.0", ScrapeProtocol::Text1_0_0),
    ("PrometheusText0.0.4", ScrapeProtocol::Text0_0_4),
];

impl ScrapeProtocol {
    /// All of them, in the order of preference where protobuf is wanted first.
    pub const PROTOBUF_FIRST: [Self; 5] =
        [Self::Protobuf, Self::OpenMetrics1_0_0, Self::OpenMetrics0_0_1, Self::Text1_0_0, Self::Text0_0_4];

    /// The order of preference where nothing is configured.
    pub const DEFAULT_ORDER: [Self; 4] =
        [Self::OpenMetrics1_0_0, Self::OpenMetrics0_0_1, Self::Text1_0_0, Self::Text0_0_4];

    /// The protocol called `text`; the case of letters counts.
    pub fn from_name(text: &str) -> Option<Self> {
        PROTOCOLS.iter().find(|(name, _)| *name == text).map(|(_, protocol)| *protocol)
    }

    /// The name it has in a configuration file.
    pub fn name(self) -> &'static str {
        PROTOCOLS.iter().find(|(_, protocol)| *protocol == self).map_or("", |(name, _)| name)
    }
}

/// How targets are asked to write names that are not plain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum NameEscaping {
    /// As they are.
    #[default]
    AllowUtf8,
    /// With an underscore for each character that is not plain.
    Underscores,
    /// With `_dot_` for dots, two underscores for one.
    Dots,
    /// With the numbers of characters.
    Values,
}

const ESCAPINGS: [(&str, NameEscaping); 4] = [
    ("allow-utf-8", NameEscaping::AllowUtf8),
    ("underscores", NameEscaping::Underscores),
    ("dots", NameEscaping::Dots),
    ("values", NameEscaping::Values),
];

impl NameEscaping {
    /// The name it has in a configuration file and in a request.
    pub fn name(self) -> &'static str {
        ESCAPINGS.iter().find(|(_, escaping)| *escaping == self).map_or("", |(name, _)| name)
    }

    /// The escaping called `text`.
    pub(super) fn from_name(text: &str) -> Option<Self> {
        ESCAPINGS.iter().find(|(name, _)| *name == text).map(|(_, escaping)| *escaping)
    }

    /// The names of all of them.
    pub(super) fn names() -> [&'static str; 4] {
        ESCAPINGS.map(|(name, _)| name)
    }

    /// What is asked for where only the names that are valid are configured.
    pub(super) fn of(names: NameScheme) -> Self {
        if names == NameScheme::Legacy { Self::Underscores } else { Self::AllowUtf8 }
    }
}

/// How what targets expose is read; of `global` what jobs do that do not say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[expect(clippy::struct_excessive_bools, reason = "the switches are independent keys of the file")]
pub struct FormatConfig {
    /// Native histograms are taken, and asked for first. Default false.
    pub scrape_native_histograms: bool,
    /// Classic histograms become native ones with the same bounds. Default false.
    pub convert_classic_histograms_to_nhcb: bool,
    /// Classic histograms are taken also where native ones are. Default false.
    pub always_scrape_classic_histograms: bool,
    /// Three more series about each scrape. Default false.
    pub extra_scrape_metrics: bool,
    /// Which names of metrics and labels are valid. Default any of UTF-8.
    pub names: NameScheme,
    /// How targets are asked to write names. Default as `names` allow it.
    pub escaping: NameEscaping,
}
