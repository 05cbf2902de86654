//! How what targets expose is read, as printed.

use serde::Serialize;

use crate::config::{FormatConfig, NameEscaping};

/// See [`FormatConfig`].
#[derive(Debug, Default, Serialize)]
pub(in crate::config) struct Formats {
    pub(in crate::config) scrape_native_histograms: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::config) always_scrape_classic_histograms: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::config) convert_classic_histograms_to_nhcb: Option<bool>,
    pub(in crate::config) metric_name_validation_scheme: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::config) metric_name_escaping_scheme: Option<String>,
    pub(in crate::config) extra_scrape_metrics: bool,
}

impl Formats {
    /// Of a job: everything is said.
    pub(super) fn of_job(formats: FormatConfig) -> Self {
        Self {
            scrape_native_histograms: formats.scrape_native_histograms,
            always_scrape_classic_histograms: Some(formats.always_scrape_classic_histograms),
            convert_classic_histograms_to_nhcb: Some(formats.convert_classic_histograms_to_nhcb),
            metric_name_validation_scheme: formats.names.name().to_owned(),
            metric_name_escaping_scheme: Some(formats.escaping.name().to_owned()),
            extra_scrape_metrics: formats.extra_scrape_metrics,
        }
    }

    /// Of `global`: what is as it would be anyhow is mostly left out.
    pub(super) fn of_global(formats: FormatConfig) -> Self {
        let mut out = Self::of_job(formats);
        let on = |switch: Option<bool>| switch.filter(|on| *on);
        out.always_scrape_classic_histograms = on(out.always_scrape_classic_histograms);
        out.convert_classic_histograms_to_nhcb = on(out.convert_classic_histograms_to_nhcb);
        if formats.escaping == NameEscaping::of(formats.names) {
            out.metric_name_escaping_scheme = None;
        }
        out
    }
}
