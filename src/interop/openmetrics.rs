//! An OpenMetrics file, with a timestamp on every line, into the database.
//!
//! **Cost**: holds the file, and its samples once more in one to two bytes each.

use std::path::Path;

use super::error::{Error, IoContext as _, Result};
use super::gathered::Gathered;
use super::import::{self, ImportReport};
use crate::expfmt::{Entry, Format, Parser, parse_labels, parse_series};
use crate::model::{Exemplar, LabelsBuf};
use crate::tsdb::Tsdb;

/// What an import of a file did.
#[derive(Debug)]
pub struct FileReport {
    /// Samples in the file. More than were written when a series has a timestamp twice.
    pub read: u64,
    /// What was written.
    pub import: ImportReport,
}

/// Imports the file at `path`: all of it, or nothing in the case of an error.
///
/// # Errors
/// When the disk refuses, or naming the line that is malformed or has no timestamp.
pub fn import(path: &Path, db: &Tsdb) -> Result<FileReport> {
    let body = std::fs::read(path).at("read", path)?;
    let gathered = read(path, &body)?;
    let read = gathered.samples();
    Ok(FileReport { read, import: import::gathered(&mut gathered.finish(), db)? })
}

/// The samples in `body`, which is what `path` holds.
fn read(path: &Path, body: &[u8]) -> Result<Gathered> {
    let mut gathered = Gathered::default();
    let mut labels = LabelsBuf::new();
    let mut parser = Parser::new(body, Format::OpenMetrics);
    let mut last: Option<(&[u8], usize)> = None;
    let at_line = |line: usize, reason: String| Error::Line { path: path.to_owned(), line, reason };
    loop {
        let entry = parser
            .next_entry(last.map(|(text, _)| text))
            .map_err(|error| at_line(error.line, format!("{}, at {:?}", error.reason, error.near)))?;
        let sample = match entry {
            None => return Ok(gathered),
            Some(Entry::Sample(sample)) => sample,
            Some(_) => {
                // The type of a family says how its bounds are written.
                last = None;
                continue;
            }
        };
        let Some(timestamp) = sample.timestamp else {
            return Err(at_line(parser.line(), "the sample has no timestamp".to_owned()));
        };
        let number = match last {
            Some((text, number)) if text == sample.series => number,
            _ => {
                parse_series(sample.series, parser.kind(), &mut labels)
                    .map_err(|error| at_line(parser.line(), error.to_string()))?;
                gathered.series(labels.to_labels())
            }
        };
        last = Some((sample.series, number));
        gathered.push(number, timestamp, sample.value);
        if let Some(text) = parser.exemplar() {
            parse_labels(text.labels, &mut labels)
                .map_err(|error| at_line(parser.line(), error.to_string()))?;
            let timestamp = text.timestamp.unwrap_or(timestamp);
            gathered
                .push_exemplar(number, Exemplar { labels: labels.to_labels(), value: text.value, timestamp });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(body: &str, expected: std::result::Result<u64, &str>) {
        let found = read(Path::new("f"), body.as_bytes()).map(|g| g.samples()).map_err(|e| e.to_string());
        assert_eq!(found, expected.map_err(str::to_owned));
    }

    #[test]
    fn lines_need_a_timestamp() {
        check("# TYPE a counter\na_total 1 10\na_total 2 11.5\n# EOF\n", Ok(2));
        check("# TYPE a gauge\na 1 10\na 2\n# EOF\n", Err("f: line 3: the sample has no timestamp"));
        check("a{b=\"c\",b=\"d\"} 1 10\n# EOF\n", Err("f: line 1: duplicate label \"b\""));
        check("a 1 10\n", Err("f: line 2: data does not end with # EOF, at \"\""));
    }
}
