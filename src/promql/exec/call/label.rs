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
                    let Some(value) = regex.expand(source, replacement) else { continue };
                    (dst, value)
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
