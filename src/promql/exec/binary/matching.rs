//! Arithmetic and comparison between two vectors: one-to-one, many-to-one, one-to-many, with fill values.

use hashbrown::HashMap;
use hashbrown::hash_map::Entry;

use super::element::{LastRemarks, combine};
use super::signature::{Pairing, pair};
use crate::model::{Labels, LabelsBuf};
use crate::promql::annotations::Annotation;
use crate::promql::error::Error;
use crate::promql::exec::batch::{Batch, Element, Presence, ROW_WORK, Row, braced, is_metadata};
use crate::promql::exec::{Context, math};
use crate::promql::memory::Ticket;
use crate::promql::plan::VectorBinary;
use crate::promql::syntax::ast::{BinaryOp, Cardinality, Matching};

/// The rows of an operation. The sides are turned so that the right one is always the "one" side.
pub(super) fn run(
    op: &VectorBinary,
    lhs: &[Row],
    rhs: &[Row],
    steps: usize,
    cx: &Context<'_>,
) -> Result<Batch, Error> {
    let swapped = op.matching.card == Cardinality::OneToMany;
    let (many, one) = if swapped { (rhs, lhs) } else { (lhs, rhs) };
    let any = |rows: &[Row]| {
        let mut any = Presence::none(steps);
        for row in rows {
            any.union(&row.present);
        }
        any
    };
    let fills = op.matching.fill_left.is_some() || op.matching.fill_right.is_some();
    // At steps where a side is empty nothing matches, and nothing is checked either.
    let (mut active, one_any) = (any(many), any(one));
    if fills {
        active.union(&one_any);
    } else {
        active.intersect(&one_any);
    }
    let mut join = Join {
        op,
        many,
        one,
        swapped,
        steps,
        active,
        out: Vec::new(),
        annotations: LastRemarks::default(),
        cx,
    };
    for pairing in pair(many, one, &op.matching, cx)?.pairings {
        cx.check()?;
        join.pairing(&pairing)?;
    }
    join.annotations.finish(op.span, cx);
    let mut out = join.out;
    out.retain(|row| !row.is_empty());
    Ok(out)
}

struct Join<'a> {
    op: &'a VectorBinary,
    many: &'a [Row],
    one: &'a [Row],
    swapped: bool,
    steps: usize,
    active: Presence,
    out: Batch,
    annotations: LastRemarks,
    cx: &'a Context<'a>,
}

/// Result rows of one signature, by their labels.
struct Results {
    by_labels: HashMap<Labels, usize>,
    /// Steps at which a one-to-one match was made.
    matched: Presence,
    /// Steps already used, per result row: rejected elements count too.
    used: HashMap<usize, Presence>,
    /// What that takes.
    memory: Ticket,
}

impl Results {
    /// Marks step `at` of a result row as used; says whether it was not before.
    fn use_up(&mut self, row: usize, at: usize, steps: usize, cx: &Context<'_>) -> Result<bool, Error> {
        if let Some(used) = self.used.get_mut(&row) {
            return Ok(used.set(at));
        }
        cx.grow(&mut self.memory, steps / 8 + size_of::<(usize, Presence)>())?;
        let mut used = Presence::none(steps);
        used.set(at);
        self.used.insert(row, used);
        Ok(true)
    }
}

impl Join<'_> {
    fn pairing(&mut self, pairing: &Pairing) -> Result<(), Error> {
        let (fill_many, fill_one) = (self.op.matching.fill_left, self.op.matching.fill_right);
        let _only = self.cx.reserve_buffer(self.steps * size_of::<usize>())?;
        let only = self.only_one(pairing)?;
        let mut results = Results {
            by_labels: HashMap::new(),
            matched: Presence::none(self.steps),
            used: HashMap::new(),
            memory: self.cx.reserve(0)?,
        };
        for index in &pairing.left {
            self.cx.work(self.steps)?;
            let many = &self.many[*index];
            // Which row of the one side is there can change from step to step.
            let mut target: Option<(usize, usize)> = None;
            for at in self.active_steps(many).iter() {
                let partner = only[at];
                let one = self.one;
                let (value, partner_key) = if partner == usize::MAX {
                    let Some(fill) = fill_one else { continue };
                    (Element::Float(fill), usize::MAX)
                } else {
                    (one[partner].existing(at), partner)
                };
                let row = match target {
                    Some((key, row)) if key == partner_key => row,
                    _ => {
                        let one = self.one.get(partner).map_or(&pairing.signature, |row| &row.labels);
                        let row = self.target(&many.labels, one, &mut results)?;
                        target = Some((partner_key, row));
                        row
                    }
                };
                self.element((at, *index), many.existing(at), value, row, &mut results)?;
            }
        }
        let Some(fill) = fill_many else { return Ok(()) };
        for index in &pairing.right {
            self.cx.work(self.steps)?;
            let one = &self.one[*index];
            let row = self.target(&pairing.signature, &one.labels, &mut results)?;
            for at in self.active_steps(one).iter() {
                if !results.matched.get(at) {
                    let place = (at, self.many.len() + index);
                    self.element(place, Element::Float(fill), one.existing(at), row, &mut results)?;
                }
            }
        }
        Ok(())
    }

    fn active_steps(&self, row: &Row) -> Presence {
        let mut steps = row.present.clone();
        steps.intersect(&self.active);
        steps
    }

    /// For each step the row of the one side that is there, or `usize::MAX`.
    fn only_one(&self, pairing: &Pairing) -> Result<Vec<usize>, Error> {
        let mut only = vec![usize::MAX; self.steps];
        for index in &pairing.right {
            self.cx.work(self.steps)?;
            for at in self.one[*index].present.iter().filter(|at| self.active.get(*at)) {
                if only[at] != usize::MAX {
                    return Err(self.duplicate(&self.one[*index], &self.one[only[at]], pairing));
                }
                only[at] = *index;
            }
        }
        Ok(only)
    }

    fn duplicate(&self, a: &Row, b: &Row, pairing: &Pairing) -> Error {
        let (mut a, mut b) = (braced(&a.labels), braced(&b.labels));
        if a > b {
            std::mem::swap(&mut a, &mut b);
        }
        let side = if self.swapped { "left" } else { "right" };
        Error::Execution(format!(
            "found duplicate series for the match group {} on the {side} hand-side of the operation: [{a}, {b}]\
             ;many-to-many matching not allowed: matching labels must be unique on one side",
            braced(&pairing.signature)
        ))
    }

    /// The result row for these two elements.
    fn target(&mut self, many: &Labels, one: &Labels, results: &mut Results) -> Result<usize, Error> {
        let drop_name = !self.cx.delayed_names && self.op.return_bool;
        let labels = result_labels(many, one, self.op.op.changes_schema() || drop_name, &self.op.matching);
        self.cx.work(ROW_WORK)?;
        Ok(match results.by_labels.entry(labels) {
            Entry::Occupied(slot) => *slot.get(),
            Entry::Vacant(slot) => {
                let mut row = self.cx.row(slot.key().clone(), self.steps)?;
                row.drop_name = self.op.return_bool && self.cx.delayed_names;
                self.out.push(row);
                slot.insert(self.out.len() - 1);
                self.out.len() - 1
            }
        })
    }

    /// The result of two elements at a step; `place` is the step and where in the vector the element stands.
    fn element(
        &mut self,
        place: (usize, usize),
        many: Element<'_>,
        one: Element<'_>,
        row: usize,
        results: &mut Results,
    ) -> Result<(), Error> {
        let (op, (at, rank)) = (self.op.op, place);
        let (left, right) = if self.swapped { (one, many) } else { (many, one) };
        if !matches!((left, right), (Element::Float(_), Element::Float(_))) {
            self.cx.work(ROW_WORK)?;
        }
        let mut histogram = None;
        let (mut value, holds) = match (left, right) {
            (Element::Float(left), Element::Float(right)) => {
                if matches!(op, BinaryOp::TrimUpper | BinaryOp::TrimLower) {
                    let annotation =
                        Annotation::IncompatibleTypes { op: op.as_str(), left: "float", right: "float" };
                    self.annotations.note(at, rank, annotation, self.cx)?;
                    return Ok(());
                }
                math::binary(op, left, right)
            }
            _ => match combine(op, left, right) {
                Ok(combined) => {
                    if let Some(info) = combined.info {
                        self.annotations.note(at, rank, info, self.cx)?;
                    }
                    histogram = Some(combined.histogram);
                    (0.0, combined.keep)
                }
                Err(annotation) => {
                    self.annotations.note(at, rank, annotation, self.cx)?;
                    return Ok(());
                }
            },
        };
        if self.op.return_bool {
            value = f64::from(u8::from(holds));
            histogram = None;
        }
        let fresh = results.matched.set(at);
        if self.op.matching.card == Cardinality::OneToOne {
            if !fresh {
                return Err(Error::Execution(
                    "multiple matches for labels: many-to-one matching must be explicit (group_left/group_right)"
                        .to_owned(),
                ));
            }
        } else if !results.use_up(row, at, self.steps, self.cx)? {
            return Err(Error::Execution(
                "multiple matches for labels: grouping labels must ensure unique matches".to_owned(),
            ));
        }
        if holds || self.op.return_bool {
            match histogram {
                Some(histogram) => self.out[row].put_histogram(at, histogram, self.cx)?,
                None => self.out[row].put(at, value),
            }
        }
        Ok(())
    }
}

fn result_labels(many: &Labels, one: &Labels, drop_name: bool, matching: &Matching) -> Labels {
    let listed = |name: &str| matching.labels.iter().any(|l| l == name);
    let one_to_one = matching.card == Cardinality::OneToOne;
    let goes = |name: &str| (drop_name && is_metadata(name)) || (one_to_one && listed(name) != matching.on);
    if matching.include.is_empty() {
        return many.without(goes);
    }
    let mut buf = LabelsBuf::new();
    buf.reset_to(many);
    buf.remove_where(|name, _| goes(name));
    for label in &matching.include {
        buf.set(label, one.get(label).unwrap_or(""));
    }
    buf.to_labels()
}
