//! `label_replace` and `label_join`.

use std::cell::Cell;

use crate::model::{LabelsBuf, METRIC_NAME};
use crate::promql::error::Error;
use crate::promql::exec::batch::{Batch, ROW_WORK};
use crate::promql::exec::operator::Opened;
use crate::promql::exec::{Context, Operator};
use crate::promql::plan::LabelFunc;

/// How often the labels of a row are there at most while they are rewritten.
const COPIES: usize = 4;

/// Steps of matching a regular expression that count as a unit of work.
const STEPS_PER_UNIT: usize = 4;

/// The work of looking a label up, twice, in steps.
const LOOKUPS_WORK: usize = 32;

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
            cx.work(ROW_WORK + row.labels.packed_len())?;
            // The text, and the labels with it: in the buffer, packed, and as they stay.
            let admit = |bytes: usize| {
                cx.work(bytes)?;
                cx.reserve(bytes.saturating_add(row.labels.packed_len()).saturating_mul(COPIES))
            };
            let (dst, value, _memory) = match self.func {
                LabelFunc::Replace { dst, replacement, src, regex } => {
                    let source = row.labels.get(src).unwrap_or("");
                    cx.work(regex.effort(source.len()) / STEPS_PER_UNIT)?;
                    let _threads = cx.reserve_buffer(regex.groups_bytes())?;
                    let ended = Cell::new(None);
                    let go_on = || cx.check().map_err(|error| ended.set(Some(error))).is_ok();
                    let found = regex.groups_while(source, &go_on).unwrap_or_default();
                    if let Some(error) = ended.take() {
                        return Err(error);
                    }
                    let Some(groups) = found else { continue };
                    let bytes = groups.expanded_len(replacement);
                    let memory = admit(bytes)?;
                    let mut value = String::with_capacity(bytes);
                    groups.expand(replacement, &mut value);
                    (dst, value, memory)
                }
                LabelFunc::Join { dst, separator, src } => {
                    let parts = || src.iter().map(|name| row.labels.get(name).unwrap_or(""));
                    let mut bytes = 0;
                    for part in parts() {
                        cx.work(LOOKUPS_WORK)?;
                        bytes += part.len() + separator.len();
                    }
                    let memory = admit(bytes)?;
                    let mut value = String::with_capacity(bytes);
                    for (number, part) in parts().enumerate() {
                        value.push_str(if number == 0 { "" } else { separator });
                        value.push_str(part);
                    }
                    (dst, value, memory)
                }
            };
            self.buf.reset_to(&row.labels);
            self.buf.set(dst, &value);
            let labels = self.buf.to_labels();
            row.relabel(labels, cx)?;
            if dst == METRIC_NAME {
                row.drop_name = false;
            }
        }
        Ok(Some(batch))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Labels;
    use crate::promql::exec::batch::Row;
    use crate::promql::exec::operator::Ready;

    #[test]
    fn a_join_of_many_labels_ends_with_its_query() {
        let joined = |names: usize| {
            let cx = Context::unlimited();
            cx.stop().stop();
            let src = (0..names).map(|name| format!("l{name}")).collect();
            let func = LabelFunc::Join { dst: "x".to_owned(), separator: String::new(), src };
            let row = Row::empty(Labels::from_pairs([("l1", "v")]), 1);
            let rows = LabelOp::new(&func, Box::new(Ready::new(vec![row]))).next(&cx)?;
            let rows = rows.expect("a batch");
            Ok::<_, Error>(rows[0].labels.get("x").unwrap_or_default().to_owned())
        };
        // So little work is not worth a look at the clock.
        assert_eq!(joined(10).expect("is done first"), "v");
        assert!(matches!(joined(10_000), Err(Error::Canceled(_))));
    }
}
