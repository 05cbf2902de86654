//! `label_replace` and `label_join`.

use crate::model::{LabelsBuf, METRIC_NAME};
use crate::promql::error::Error;
use crate::promql::exec::batch::Batch;
use crate::promql::exec::build::Opened;
use crate::promql::exec::{Context, Operator};
use crate::promql::plan::LabelFunc;

/// Rewrites the labels of every row.
pub(crate) struct LabelOp<'p> {
    func: &'p LabelFunc,
    input: Opened<'p>,
    buf: LabelsBuf,
}

impl<'p> LabelOp<'p> {
    pub(crate) fn new(func: &'p LabelFunc, input: Opened<'p>) -> Self {
        Self { func, input, buf: LabelsBuf::new() }
    }
}

impl Operator for LabelOp<'_> {
    fn next(&mut self, cx: &Context<'_>) -> Result<Option<Batch>, Error> {
        let Some(mut batch) = self.input.next(cx)? else { return Ok(None) };
        for row in &mut batch {
            let (dst, value) = match self.func {
                LabelFunc::Replace { dst, replacement, src, regex } => {
                    let source = row.labels.get(src).unwrap_or("");
                    let Some(found) = regex.compiled().captures(source) else { continue };
                    (dst, expand(replacement, &found))
                }
                LabelFunc::Join { dst, separator, src } => {
                    let parts: Vec<&str> =
                        src.iter().map(|name| row.labels.get(name).unwrap_or("")).collect();
                    (dst, parts.join(separator))
                }
            };
            self.buf.reset_to(&row.labels);
            self.buf.set(dst, &value);
            row.labels = self.buf.to_labels();
            if dst == METRIC_NAME {
                row.drop_name = false;
            }
        }
        Ok(Some(batch))
    }
}

/// Fills `$1`, `$name` and `${name}` of a template; groups that are unknown or took no part are empty.
fn expand(template: &str, found: &regex::Captures<'_>) -> String {
    let mut out = String::with_capacity(template.len());
    let mut rest = template;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let after = &rest[1..];
        if after.starts_with('$') {
            out.push('$');
            rest = &rest[2..];
            continue;
        }
        let word = |text: &str| text.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(text.len());
        let reference = if let Some(braced) = after.strip_prefix('{') {
            let end = word(braced);
            (end > 0 && braced[end..].starts_with('}')).then(|| (&braced[..end], end + 3))
        } else {
            let end = word(after);
            (end > 0).then(|| (&after[..end], end + 1))
        };
        let Some((name, length)) = reference else {
            // Not a reference: the dollar stands for itself.
            out.push('$');
            rest = after;
            continue;
        };
        let group = if name.bytes().all(|b| b.is_ascii_digit()) {
            name.parse().ok().and_then(|index: usize| found.get(index))
        } else {
            found.name(name)
        };
        out.push_str(group.map_or("", |g| g.as_str()));
        rest = &rest[length..];
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expands_references() {
        let regex = regex::Regex::new("(?P<first>[a-z]+)-([0-9]+)(x)?").expect("a good expression");
        let found = regex.captures("abc-42").expect("a match");
        let check = |template: &str, expected: &str| assert_eq!(expand(template, &found), expected);
        check("$1", "abc");
        check("${2}0", "420");
        check("$20", "");
        check("$first-$2", "abc-42");
        check("$3|$9|${nope}", "||");
        check("a$$b$", "a$b$");
        check("${1", "${1");
    }
}
