//! Results of tests as JUnit XML, in the form promtool writes them.

use std::fmt::Write as _;

/// What became of a file of tests.
#[derive(Debug)]
pub(super) struct Suite {
    /// The file.
    pub(super) name: String,
    /// When it was run, RFC 3339 without a zone.
    pub(super) timestamp: String,
    /// Tests, each with what failed.
    pub(super) cases: Vec<(String, Vec<String>)>,
    /// Why it could not be run.
    pub(super) error: Option<String>,
}

/// The whole document.
pub(super) fn document(suites: &[Suite]) -> String {
    let mut out = String::from("<testsuites>");
    for Suite { name, timestamp, cases, error } in suites {
        let failures: usize = cases.iter().map(|(_, failures)| failures.len()).sum();
        // An error needs a case to stand in.
        let tests = cases.len() + usize::from(error.is_some());
        let errors = usize::from(error.is_some());
        let (name, timestamp) = (escaped(name), escaped(timestamp));
        // Writing to text cannot fail.
        let _ = write!(
            out,
            "<testsuite name=\"{name}\" tests=\"{tests}\" failures=\"{failures}\" errors=\"{errors}\" skipped=\"0\" \
             timestamp=\"{timestamp}\">"
        );
        if let Some(error) = error {
            let _ = write!(out, "<testcase name=\"unknown\"><error>{}</error></testcase>", escaped(error));
        }
        for (name, failures) in cases {
            let _ = write!(out, "<testcase name=\"{}\">", escaped(name));
            for failure in failures {
                let _ = write!(out, "<failure>{}</failure>", escaped(failure));
            }
            out.push_str("</testcase>");
        }
        out.push_str("</testsuite>");
    }
    out.push_str("</testsuites>");
    out
}

/// Text as XML takes it.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&#34;"),
            '\'' => out.push_str("&#39;"),
            '\n' => out.push_str("&#xA;"),
            '\t' => out.push_str("&#x9;"),
            '\r' => out.push_str("&#xD;"),
            // No document may hold these.
            '\0'..='\x1f' | '\u{fffe}' | '\u{ffff}' => out.push('\u{fffd}'),
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_is_counted_and_escaped() {
        let suite = |cases, error| Suite {
            name: "a&b.yml".to_owned(),
            timestamp: "2026-01-31T12:00:00".to_owned(),
            cases,
            error,
        };
        let cases = vec![("one".to_owned(), Vec::new()), ("<2>".to_owned(), vec!["x\n\u{1}".to_owned()])];
        let expected = "<testsuites><testsuite name=\"a&amp;b.yml\" tests=\"2\" failures=\"1\" errors=\"0\" skipped=\"0\" \
                        timestamp=\"2026-01-31T12:00:00\"><testcase name=\"one\"></testcase><testcase \
                        name=\"&lt;2&gt;\"><failure>x&#xA;\u{fffd}</failure></testcase></testsuite></testsuites>";
        assert_eq!(document(&[suite(cases, None)]), expected);
        let broken = document(&[suite(Vec::new(), Some("why".to_owned()))]);
        assert!(broken.contains("tests=\"1\" failures=\"0\" errors=\"1\""), "{broken}");
        assert!(broken.contains("<error>why</error>"), "{broken}");
    }
}
