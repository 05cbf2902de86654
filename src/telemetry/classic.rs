//! The classic text format 0.0.4, made of OpenMetrics text: for whoever does not ask for the latter.

/// Media type of [`from_openmetrics`].
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The same metrics in the classic format. Units and exemplars are left out, families of counters are called as their
/// samples are, types it does not know become those that are nearest.
pub fn from_openmetrics(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    // The help of a family comes before its type, on which its name depends.
    let mut help = None;
    for line in text.lines() {
        let mut words = line.splitn(4, ' ');
        match (words.next(), words.next(), words.next(), words.next()) {
            (Some("#"), Some("HELP"), Some(name), text) => help = Some((name, text.unwrap_or_default())),
            (Some("#"), Some("TYPE"), Some(name), Some(kind)) => {
                let (ending, kind) = match kind {
                    "counter" => ("_total", "counter"),
                    "info" => ("_info", "gauge"),
                    "stateset" => ("", "gauge"),
                    "gaugehistogram" => ("", "histogram"),
                    "unknown" => ("", "untyped"),
                    other => ("", other),
                };
                if let Some((_, text)) = help.take().filter(|(of, _)| *of == name) {
                    // Quotes are not escaped here.
                    let text = text.replace("\\\"", "\"");
                    out.extend(["# HELP ", name, ending, " ", &text, "\n"]);
                }
                out.extend(["# TYPE ", name, ending, " ", kind, "\n"]);
            }
            (Some("#"), ..) => {}
            _ => out.extend([without_exemplar(line), "\n"]),
        }
    }
    out
}

/// The line up to its exemplar, which begins with a hash outside of label values.
fn without_exemplar(line: &str) -> &str {
    let (mut quoted, mut escaped) = (false, false);
    for (at, byte) in line.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'#' if !quoted => return line[..at].trim_end(),
            _ => {}
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_called_as_their_samples_and_what_is_unknown_is_left_out() {
        let text = "# HELP a Some \\\"help\\\".\n# TYPE a counter\n# UNIT a bytes\n\
                    a_total{x=\"#\\\" 1\"} 1 # {trace=\"b\"} 0.5\n# HELP b B.\n# TYPE b gauge\nb 2.0\n\
                    # TYPE c unknown\nc 3\n# HELP d D.\n# TYPE d histogram\nd_bucket{le=\"+Inf\"} 1\n# EOF\n";
        let expected = "# HELP a_total Some \"help\".\n# TYPE a_total counter\na_total{x=\"#\\\" 1\"} 1\n\
                        # HELP b B.\n# TYPE b gauge\nb 2.0\n# TYPE c untyped\nc 3\n\
                        # HELP d D.\n# TYPE d histogram\nd_bucket{le=\"+Inf\"} 1\n";
        assert_eq!(from_openmetrics(text), expected);
    }
}
