//! The figures of a measurement and how they are printed.

use super::output;

/// One line of a report.
pub(super) type Figure = (String, f64);

/// A line of a report out of its parts.
pub(super) fn figure(name: impl Into<String>, value: f64) -> Figure {
    (name.into(), value)
}

/// A number with three digits behind the point where it is small.
pub(super) fn number(value: f64) -> String {
    if value.abs() >= 100.0 { format!("{value:.0}") } else { format!("{value:.3}") }
}

/// Prints figures as a table, or as one JSON object.
pub(super) fn report(json: bool, figures: &[Figure]) {
    if json {
        let map: serde_json::Map<String, serde_json::Value> =
            figures.iter().map(|(name, value)| (name.clone(), (*value).into())).collect();
        output::line(&serde_json::Value::Object(map).to_string());
        return;
    }
    output::table(&figures.iter().map(|(n, v)| vec![n.clone(), number(*v)]).collect::<Vec<_>>());
}
