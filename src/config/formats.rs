//! How what targets expose is asked for and read: protocols, histograms, names.

use super::keys;
use super::loader::Loader;
use super::section::{Item, Section};
use super::tree::Value;
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

impl<'a> Loader<'a> {
    /// The settings of `global`; `base` is what they are where it does not say.
    pub(super) fn global_formats(&self, raw: &Section<'a>, base: &FormatConfig) -> FormatConfig {
        let names = self.names(raw).unwrap_or(base.names);
        let escaping = self.escaping(raw).unwrap_or_else(|| NameEscaping::of(names));
        FormatConfig { names, escaping, ..Self::switches(raw, base) }
    }

    /// The settings of a job.
    pub(super) fn job_formats(&self, raw: &Section<'a>, global: &FormatConfig) -> FormatConfig {
        let own_names = self.names(raw);
        let names = own_names.unwrap_or(global.names);
        // A job that names neither asks as all others do.
        let escaping = self.escaping(raw);
        let escaping = escaping.unwrap_or_else(|| own_names.map_or(global.escaping, NameEscaping::of));
        if names == NameScheme::Legacy && escaping == NameEscaping::AllowUtf8 {
            let reason = "names of UTF-8 are requested, but metric_name_validation_scheme is legacy";
            self.complain(raw, "metric_name_escaping_scheme", reason);
        }
        FormatConfig { names, escaping, ..Self::switches(raw, global) }
    }

    fn switches(raw: &Section<'a>, base: &FormatConfig) -> FormatConfig {
        // A switch that says nothing is as good as none.
        let switch = |key: &str, base: bool| match raw.get(key) {
            Some(item) if !item.node.is_null() => raw.boolean(key, base),
            _ => base,
        };
        FormatConfig {
            scrape_native_histograms: switch("scrape_native_histograms", base.scrape_native_histograms),
            convert_classic_histograms_to_nhcb: switch(
                "convert_classic_histograms_to_nhcb",
                base.convert_classic_histograms_to_nhcb,
            ),
            always_scrape_classic_histograms: switch(
                "always_scrape_classic_histograms",
                base.always_scrape_classic_histograms,
            ),
            extra_scrape_metrics: switch("extra_scrape_metrics", base.extra_scrape_metrics),
            ..*base
        }
    }

    fn names(&self, raw: &Section<'a>) -> Option<NameScheme> {
        let text = raw.text("metric_name_validation_scheme").filter(|text| !text.is_empty())?;
        let names = NameScheme::from_name(&text);
        if names.is_none() {
            let reason = format!("unknown validation scheme {text:?}: utf8 or legacy");
            self.complain(raw, "metric_name_validation_scheme", reason);
        }
        names
    }

    fn escaping(&self, raw: &Section<'a>) -> Option<NameEscaping> {
        let text = raw.text("metric_name_escaping_scheme").filter(|text| !text.is_empty())?;
        let found = ESCAPINGS.iter().find(|(name, _)| *name == text).map(|(_, escaping)| *escaping);
        if found.is_none() {
            let known = ESCAPINGS.map(|(name, _)| name).join(", ");
            let reason = format!("unknown escaping scheme {text:?}: one of {known}");
            self.complain(raw, "metric_name_escaping_scheme", reason);
        }
        found
    }

    /// A protocol by its name.
    pub(super) fn protocol(&self, name: &str, item: &Item<'a>) -> Option<ScrapeProtocol> {
        let protocol = ScrapeProtocol::from_name(name);
        if protocol.is_none() {
            let known = ScrapeProtocol::PROTOBUF_FIRST.map(ScrapeProtocol::name).join(", ");
            let reason = format!("unknown scrape protocol {name:?}, supported: {known}");
            self.notes.value(item.line, &item.path, reason);
        }
        protocol
    }

    /// The protocols of a section, if it names any.
    pub(super) fn protocols(&self, raw: &Section<'a>) -> Option<Vec<ScrapeProtocol>> {
        let item = raw.get("scrape_protocols").filter(|item| !item.node.is_null())?;
        let names = raw.texts("scrape_protocols")?;
        if matches!(&item.node.value, Value::List(items) if items.is_empty()) {
            self.notes.value(item.line, &item.path, "must name at least one protocol");
        }
        let mut out = Vec::new();
        for (name, item) in names {
            let Some(protocol) = self.protocol(&name, &item) else { continue };
            if out.contains(&protocol) {
                let reason = format!("scrape protocol {name:?} is named twice");
                self.notes.value(item.line, &item.path, reason);
                continue;
            }
            out.push(protocol);
        }
        Some(out)
    }

    /// The least factor between the bounds of two buckets; 0 is none.
    pub(super) fn bucket_factor(&self, raw: &Section<'a>) -> f64 {
        let factor = raw.number("native_histogram_min_bucket_factor");
        if factor.is_finite() {
            return factor;
        }
        if let Some(item) = raw.get("native_histogram_min_bucket_factor") {
            self.notes.value(
                item.line,
                &keys::with_key(&raw.path, "native_histogram_min_bucket_factor"),
                "must be finite",
            );
        }
        0.0
    }
}
