//! The settings of `formats` from the file.

use super::key;
use super::loader::Loader;
use super::section::{Item, Section};
use super::tree::Value;
use super::{FormatConfig, NameEscaping, ScrapeProtocol};
use crate::model::name::NameScheme;

impl<'a> Loader<'a> {
    /// The settings of `global`; `base` is what they are where it does not say.
    pub(super) fn global_formats(&self, raw: &Section<'a>, base: FormatConfig) -> FormatConfig {
        let names = self.names(raw).unwrap_or(base.names);
        let escaping = self.escaping(raw).unwrap_or_else(|| NameEscaping::of(names));
        FormatConfig { names, escaping, ..Self::switches(raw, base) }
    }

    /// The settings of a job.
    pub(super) fn job_formats(&self, raw: &Section<'a>, global: FormatConfig) -> FormatConfig {
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

    fn switches(raw: &Section<'a>, base: FormatConfig) -> FormatConfig {
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
            ..base
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
        let found = NameEscaping::from_name(&text);
        if found.is_none() {
            let known = NameEscaping::names().join(", ");
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
                &key::with_key(&raw.path, "native_histogram_min_bucket_factor"),
                "must be finite",
            );
        }
        0.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, LoadOptions, parse};

    fn load(text: &str) -> Result<Config, String> {
        parse(text, "f.yml", &LoadOptions::default()).map_err(|error| error.to_string())
    }

    fn job(global: &str, job: &str) -> crate::config::ScrapeConfig {
        let text = format!("global:\n  {global}\nscrape_configs:\n- job_name: j\n  {job}\n");
        let config = load(&text).unwrap_or_else(|error| panic!("{text}: {error}"));
        // What is printed means the same.
        assert_eq!(load(&config.to_yaml()).as_ref(), Ok(&config), "{}", config.to_yaml());
        (*config.scrape_configs[0]).clone()
    }

    #[test]
    fn protobuf_is_asked_for_first_where_native_histograms_are_wanted() {
        let check = |global: &str, own: &str, first: ScrapeProtocol, count: usize| {
            let protocols = job(global, own).scrape_protocols;
            assert_eq!((protocols[0], protocols.len()), (first, count), "{global} {own}");
        };
        check("", "", ScrapeProtocol::OpenMetrics1_0_0, 4);
        check("", "scrape_native_histograms: true", ScrapeProtocol::Protobuf, 5);
        check("scrape_native_histograms: true", "", ScrapeProtocol::Protobuf, 5);
        check(
            "scrape_native_histograms: true",
            "scrape_native_histograms: false",
            ScrapeProtocol::OpenMetrics1_0_0,
            4,
        );
        check(
            "scrape_protocols: [PrometheusText1.0.0]",
            "scrape_native_histograms: true",
            ScrapeProtocol::Text1_0_0,
            1,
        );
        check("", "scrape_protocols: [PrometheusProto]", ScrapeProtocol::Protobuf, 1);
        let fallback = job("", "fallback_scrape_protocol: PrometheusProto").fallback_scrape_protocol;
        assert_eq!(fallback, Some(ScrapeProtocol::Protobuf));
        let options =
            LoadOptions { protobuf_first: true, extra_scrape_metrics: true, ..LoadOptions::default() };
        let config = parse("scrape_configs: [{job_name: j}]", "f", &options).expect("valid");
        assert_eq!(config.scrape_configs[0].scrape_protocols, ScrapeProtocol::PROTOBUF_FIRST);
        assert!(config.scrape_configs[0].formats.extra_scrape_metrics);
    }

    #[test]
    fn jobs_inherit_switches_and_schemes() {
        let on = "scrape_native_histograms: true\n  convert_classic_histograms_to_nhcb: true\n  \
                  always_scrape_classic_histograms: true\n  extra_scrape_metrics: true";
        let all = FormatConfig {
            scrape_native_histograms: true,
            convert_classic_histograms_to_nhcb: true,
            always_scrape_classic_histograms: true,
            extra_scrape_metrics: true,
            ..FormatConfig::default()
        };
        assert_eq!(job(on, "").formats, all);
        assert_eq!(job("", on).formats, all);
        assert_eq!(job(on, &on.replace("true", "false")).formats, FormatConfig::default());
        assert_eq!(job(on, "extra_scrape_metrics:").formats, all);
        let check = |global: &str, own: &str, names, escaping| {
            let formats = job(global, own).formats;
            assert_eq!((formats.names, formats.escaping), (names, escaping), "{global} {own}");
        };
        let (validation, escaping) = ("metric_name_validation_scheme:", "metric_name_escaping_scheme:");
        let legacy = format!("{validation} legacy");
        check("", "", NameScheme::Utf8, NameEscaping::AllowUtf8);
        check("", &legacy, NameScheme::Legacy, NameEscaping::Underscores);
        check(&legacy, "", NameScheme::Legacy, NameEscaping::Underscores);
        check(&legacy, &format!("{validation} utf8"), NameScheme::Utf8, NameEscaping::AllowUtf8);
        check(&format!("{escaping} dots"), "", NameScheme::Utf8, NameEscaping::Dots);
        check(&format!("{escaping} dots"), &legacy, NameScheme::Legacy, NameEscaping::Underscores);
        check("", &format!("{escaping} values"), NameScheme::Utf8, NameEscaping::Values);
        let limits = job("", "native_histogram_bucket_limit: 7\n  native_histogram_min_bucket_factor: 1.1");
        assert_eq!(limits.native_histogram_bucket_limit, 7);
        assert!((limits.native_histogram_min_bucket_factor - 1.1).abs() < f64::EPSILON);
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        let check = |global: &str, own: &str, expected: &str| {
            let text = format!("global:\n  {global}\nscrape_configs:\n- job_name: j\n  {own}\n");
            let error = load(&text).expect_err(&text);
            assert!(error.contains(expected), "{error}");
        };
        check("metric_name_validation_scheme: UTF8", "", "unknown validation scheme \"UTF8\"");
        check("", "metric_name_escaping_scheme: none", "unknown escaping scheme \"none\"");
        let legacy = "metric_name_validation_scheme: legacy";
        let both = format!("{legacy}\n  metric_name_escaping_scheme: allow-utf-8");
        check("", &both, "names of UTF-8 are requested");
        check(&both, "", "names of UTF-8 are requested");
        check("metric_name_escaping_scheme: allow-utf-8", &both, "names of UTF-8 are requested");
        check(&format!("{legacy}\n  external_labels: {{a.b: c}}"), "", "\"a.b\" is not a valid label name");
        check(legacy, "relabel_configs: [{target_label: a.b}]", "\"a.b\" is not a valid label name");
        check("", &format!("{legacy}\n  metric_relabel_configs: [{{target_label: a.b}}]"), "f.yml:6: ");
        check("", "native_histogram_min_bucket_factor: .nan", "must be finite");
        check("", "native_histogram_bucket_limit: -1", "not negative");
        check("", "scrape_protocols: [PrometheusProto, PrometheusProto]", "named twice");
        check("", "scrape_protocols: [prometheusproto]", "supported: PrometheusProto, OpenMetricsText1.0.0");
    }
}
