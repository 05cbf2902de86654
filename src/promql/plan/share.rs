//! Equal parts of a plan, which can be computed once.
//!
//! Two nodes are equal when everything that decides their rows is: what they do, their grid, what they read, and their
//! inputs. Where they stand in the text does not count for their rows, but annotations carry positions: the positions of
//! two nodes of one group correspond one to one, so that annotations about one can be made about the other.
//!
//! **Cost**: each node is looked at once and its inputs are compared by number, so a plan is gone through in about
//! linear time.

use std::mem::{Discriminant, discriminant};

use hashbrown::HashMap;

use super::grid::{EvalTimes, Grid};
use super::node::{
    Aggregation, HistogramFunc, LabelFunc, Node, NodeKind, RangeSource, Reader, SortFunc, VectorBinary,
};
use crate::promql::syntax::ast::{Matching, Span};

/// Groups of equal nodes of one plan. Nodes are known by their address: the plan stays where it is as long as it is
/// evaluated.
#[derive(Debug, Default)]
pub(crate) struct Shares {
    groups: HashMap<usize, usize>,
    uses: Vec<usize>,
}

impl Shares {
    /// The groups of the plan below `root`. What is inside of the second and later nodes of a group is in no group.
    pub(crate) fn find(root: &Node) -> Self {
        let mut finder = Finder::default();
        finder.classify(root);
        if finder.compared > MAX_COMPARED {
            return Self::default();
        }
        if finder.known.iter().all(|class| class.count < 2) {
            return Self::default();
        }
        finder.group(root);
        let mut shares = Self::default();
        for users in finder.users.into_iter().filter(|users| users.len() > 1) {
            let group = shares.uses.len();
            shares.uses.push(users.len());
            shares.groups.extend(users.into_iter().map(|node| (address(node), group)));
        }
        shares
    }

    /// The group of `node`, if it has equals.
    pub(crate) fn of(&self, node: &Node) -> Option<usize> {
        if self.uses.is_empty() {
            return None;
        }
        self.groups.get(&address(node)).copied()
    }

    /// The number of nodes of each group, at least two.
    pub(crate) fn uses(&self) -> &[usize] {
        &self.uses
    }
}

impl Node {
    /// All positions that annotations about this node and those below it can have, in an order that is the same for
    /// equal nodes.
    pub(crate) fn spans(&self) -> Vec<Span> {
        let mut out = Vec::new();
        self.add_spans(&mut out);
        out
    }

    fn add_spans(&self, out: &mut Vec<Span>) {
        match &self.kind {
            NodeKind::Select { span, .. } | NodeKind::VectorScalar { span, .. } => out.push(*span),
            NodeKind::Rollup { span, first_span, .. } => out.extend([*span, *first_span]),
            NodeKind::Sort { func, .. } => out.push(func.span),
            NodeKind::Histogram { params, span, .. } => {
                out.push(*span);
                out.extend(params.iter().map(|(_, span)| *span));
            }
            NodeKind::Aggregate(aggregation) => {
                out.extend([aggregation.param_span, aggregation.input_span, aggregation.span]);
            }
            NodeKind::VectorVector(op) => out.push(op.span),
            _ => {}
        }
        self.inputs().into_iter().for_each(|input| input.add_spans(out));
    }

    /// Whether its rows are worth keeping: numbers cost nothing, and of what is repeated one step is enough.
    fn is_worth_sharing(&self) -> bool {
        !matches!(
            self.kind,
            NodeKind::Number(_)
                | NodeKind::Time
                | NodeKind::ScalarOf(_)
                | NodeKind::ScalarNegate(_)
                | NodeKind::ScalarBinary { .. }
                | NodeKind::ScalarPick { .. }
                | NodeKind::Repeat(_)
                | NodeKind::VectorOf(_)
                | NodeKind::Empty(_)
        )
    }

    fn reader(&self) -> Option<&Reader> {
        match &self.kind {
            NodeKind::Select { reader, .. }
            | NodeKind::Info { reader, .. }
            | NodeKind::Rollup { source: RangeSource::Select(reader, _), .. } => Some(reader),
            _ => None,
        }
    }
}

fn address(node: &Node) -> usize {
    std::ptr::from_ref(node).addr()
}

/// What is compared by hash; [`same`] compares the rest.
#[derive(PartialEq, Eq, Hash)]
struct Key {
    kind: Discriminant<NodeKind>,
    grid: Grid,
    distinct: bool,
    /// All of a [`Reader`].
    reads: Option<(usize, EvalTimes, (i64, i64), bool)>,
    /// The bits of a number, or the length of a window.
    number: u64,
    /// Numbers of the classes of the inputs.
    inputs: Vec<usize>,
}

/// Nodes that are equal to this one.
struct Class<'p> {
    node: &'p Node,
    count: usize,
    /// Its place in [`Finder::users`], once there is one.
    users: Option<usize>,
}

/// Comparisons after which nothing is shared: a plan with so many parts that are nearly equal is not worth more.
const MAX_COMPARED: usize = 1 << 22;

#[derive(Default)]
struct Finder<'p> {
    compared: usize,
    by_key: HashMap<Key, Vec<usize>>,
    known: Vec<Class<'p>>,
    classes: HashMap<usize, usize>,
    /// Nodes that can share, those that are evaluated first at the front.
    users: Vec<Vec<&'p Node>>,
}

impl<'p> Finder<'p> {
    /// The class of `node`, whose inputs get theirs first.
    fn classify(&mut self, node: &'p Node) -> usize {
        let inputs = node.inputs().into_iter().map(|input| self.classify(input)).collect();
        let number = match &node.kind {
            NodeKind::Number(value) => value.to_bits(),
            NodeKind::Rollup { range, .. } => range.cast_unsigned(),
            _ => 0,
        };
        let reads = node.reader().map(|reader| {
            let Reader { select, eval_times, range, totals_only } = *reader;
            (select, eval_times, (range.start, range.end), totals_only)
        });
        let key = Key {
            kind: discriminant(&node.kind),
            grid: node.grid,
            distinct: node.distinct,
            reads,
            number,
            inputs,
        };
        let alike = self.by_key.entry(key).or_default();
        let left = MAX_COMPARED.saturating_sub(self.compared);
        let mut candidates = alike.iter().copied().take(left);
        self.compared += alike.len().min(left + 1);
        let found = candidates.find(|class| same(&self.known[*class].node.kind, &node.kind));
        let class = found.unwrap_or_else(|| {
            self.known.push(Class { node, count: 0, users: None });
            alike.push(self.known.len() - 1);
            self.known.len() - 1
        });
        self.known[class].count += 1;
        self.classes.insert(address(node), class);
        class
    }

    /// Puts `node` and what is below it into groups.
    fn group(&mut self, node: &'p Node) {
        let class = self.classes[&address(node)];
        let class = &mut self.known[class];
        if class.count > 1 && node.is_worth_sharing() {
            match class.users {
                None => {
                    class.users = Some(self.users.len());
                    self.users.push(vec![node]);
                }
                Some(at) if correspond(&self.users[at][0].spans(), &node.spans()) => {
                    self.users[at].push(node);
                    return;
                }
                Some(_) => {}
            }
        }
        node.inputs().into_iter().for_each(|input| self.group(input));
    }
}

/// Whether equal positions of one list are equal in the other, both ways.
fn correspond(a: &[Span], b: &[Span]) -> bool {
    let (mut theirs, mut ours) = (HashMap::new(), HashMap::new());
    a.len() == b.len()
        && a.iter()
            .zip(b)
            .all(|(a, b)| *theirs.entry(*a).or_insert(*b) == *b && *ours.entry(*b).or_insert(*a) == *a)
}

/// Whether two nodes of the same form, whose [`Key`]s are equal, do the same. Every field is named here: one that is
/// added must be judged.
fn same(a: &NodeKind, b: &NodeKind) -> bool {
    match (a, b) {
        (
            NodeKind::ScalarBinary { op: a, lhs: _, rhs: _ },
            NodeKind::ScalarBinary { op: b, lhs: _, rhs: _ },
        ) => a == b,
        (
            NodeKind::ScalarPick { max: a, lhs: _, rhs: _ },
            NodeKind::ScalarPick { max: b, lhs: _, rhs: _ },
        ) => a == b,
        (
            NodeKind::Select { reader: _, lookback, shows, span: _, smoothed },
            NodeKind::Select {
                reader: _,
                lookback: b_lookback,
                shows: b_shows,
                span: _,
                smoothed: b_smoothed,
            },
        ) => (lookback, shows, smoothed) == (b_lookback, b_shows, b_smoothed),
        (
            NodeKind::Rollup { func: a, source: from, range: _, params: _, span: _, first_span: _ },
            NodeKind::Rollup { func: b, source: b_from, range: _, params: _, span: _, first_span: _ },
        ) => a == b && same_source(from, b_from),
        (NodeKind::Absent { input: _, labels: a }, NodeKind::Absent { input: _, labels: b }) => a == b,
        (NodeKind::Map { func: a, input: _, params: _ }, NodeKind::Map { func: b, input: _, params: _ }) => {
            a == b
        }
        (NodeKind::Label { func: a, input: _ }, NodeKind::Label { func: b, input: _ }) => {
            same_labelling(a, b)
        }
        (NodeKind::Sort { func: a, input: _ }, NodeKind::Sort { func: b, input: _ }) => same_order(a, b),
        (
            NodeKind::Histogram { func: a, input: _, params: _, span: _ },
            NodeKind::Histogram { func: b, input: _, params: _, span: _ },
        ) => match (a, b) {
            (HistogramFunc::Quantiles { label: a }, HistogramFunc::Quantiles { label: b }) => a == b,
            _ => discriminant(a) == discriminant(b),
        },
        (
            NodeKind::Info { input: _, reader: _, lookback, names, data },
            NodeKind::Info { input: _, reader: _, lookback: b_lookback, names: b_names, data: b_data },
        ) => (lookback, names, data) == (b_lookback, b_names, b_data),
        (NodeKind::Aggregate(a), NodeKind::Aggregate(b)) => same_aggregation(a, b),
        (
            NodeKind::VectorScalar { op, vector: _, scalar: _, scalar_left, return_bool, span: _ },
            NodeKind::VectorScalar {
                op: b_op,
                vector: _,
                scalar: _,
                scalar_left: b_left,
                return_bool: b_bool,
                span: _,
            },
        ) => (op, scalar_left, return_bool) == (b_op, b_left, b_bool),
        (NodeKind::VectorVector(a), NodeKind::VectorVector(b)) => {
            let VectorBinary { op, lhs: _, rhs: _, return_bool, matching, span: _ } = &**a;
            (op, return_bool) == (&b.op, &b.return_bool) && same_matching(matching, &b.matching)
        }
        // These have nothing of their own beside their inputs and what is in the key.
        (NodeKind::Number(_), NodeKind::Number(_))
        | (NodeKind::Time, NodeKind::Time)
        | (NodeKind::ScalarOf(_), NodeKind::ScalarOf(_))
        | (NodeKind::ScalarNegate(_), NodeKind::ScalarNegate(_))
        | (NodeKind::Repeat(_), NodeKind::Repeat(_))
        | (NodeKind::VectorOf(_), NodeKind::VectorOf(_))
        | (NodeKind::Empty(_), NodeKind::Empty(_))
        | (NodeKind::EvaluationTime(_), NodeKind::EvaluationTime(_)) => true,
        _ => false,
    }
}

fn same_source(a: &RangeSource, b: &RangeSource) -> bool {
    match (a, b) {
        (RangeSource::Select(_, a), RangeSource::Select(_, b)) => a == b,
        (
            RangeSource::Subquery { inner: a, eval_times: a_moments },
            RangeSource::Subquery { inner: b, eval_times: b_moments },
        ) => a.is_some() == b.is_some() && a_moments == b_moments,
        _ => false,
    }
}

fn same_labelling(a: &LabelFunc, b: &LabelFunc) -> bool {
    match (a, b) {
        (
            LabelFunc::Replace { dst, replacement, src, regex },
            LabelFunc::Replace { dst: b_dst, replacement: b_replacement, src: b_src, regex: b_regex },
        ) => (dst, replacement, src) == (b_dst, b_replacement, b_src) && regex.source() == b_regex.source(),
        (
            LabelFunc::Join { dst, separator, src },
            LabelFunc::Join { dst: b_dst, separator: b_separator, src: b_src },
        ) => (dst, separator, src) == (b_dst, b_separator, b_src),
        _ => false,
    }
}

/// Values that fill are compared as numbers of a plan are, by their bits: zeros of both signs are no equals.
fn same_matching(a: &Matching, b: &Matching) -> bool {
    let Matching { card, on, labels, include, fill_left, fill_right } = a;
    let bits = |fill: &Option<f64>| fill.map(f64::to_bits);
    (card, on, labels, include) == (&b.card, &b.on, &b.labels, &b.include)
        && (bits(fill_left), bits(fill_right)) == (bits(&b.fill_left), bits(&b.fill_right))
}

fn same_order(a: &SortFunc, b: &SortFunc) -> bool {
    let SortFunc { order, descending, in_range, span: _ } = a;
    (order, descending, in_range) == (&b.order, &b.descending, &b.in_range)
}

fn same_aggregation(a: &Aggregation, b: &Aggregation) -> bool {
    let Aggregation { op, input: _, param, label, grouping, without, param_span: _, input_span: _, span: _ } =
        a;
    (op, param.is_some(), label, grouping, without)
        == (&b.op, b.param.is_some(), &b.label, &b.grouping, &b.without)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::promql::Features;
    use crate::promql::parse;
    use crate::promql::plan::{Planner, QueryTimes, SelectSet, Wanted};

    /// How many uses each group of the plan of `query` has.
    fn uses(query: &str) -> Vec<usize> {
        let expr = parse(query, &Features::all()).unwrap_or_else(|error| panic!("{query}: {error}"));
        let mut planner = Planner {
            times: QueryTimes { start: 0, end: 600_000, step: 60_000 },
            lookback: 300_000,
            default_step: 60_000,
            max_steps: 1000,
            selects: SelectSet::default(),
            wanted: Wanted::default(),
            patterns: crate::model::RegexBudget::default(),
            single: false,
        };
        let grid = Grid::spanning(0, 600_000, 60_000).expect("steps");
        let node = planner.build(&expr, grid).unwrap_or_else(|error| panic!("{query}: {error}"));
        let mut uses = Shares::find(&node).uses().to_vec();
        uses.sort_unstable();
        uses
    }

    #[test]
    fn equal_parts_share_and_others_do_not() {
        let check = |query: &str, expected: &[usize]| assert_eq!(uses(query), expected, "{query}");
        check("rate(a[5m]) / (rate(a[5m]) + rate(b[5m]))", &[2]);
        check("sum(x) / sum( x )", &[2]);
        check("(size - avail) / size", &[2]);
        check("x + x + x", &[3]);
        // The greatest equal parts share; what is inside of them shares only with what is outside.
        check("sum(rate(a[5m])) / sum(rate(a[5m]))", &[2]);
        check("sum(rate(a[5m])) / sum(rate(a[5m])) + avg(rate(a[5m]))", &[2, 2]);
        check("topk(3, x) / topk(3.0, x)", &[2]);
        check("(x @ 100) / (x @ 100)", &[2]);
        check("max_over_time((x > 1)[5m:1m]) - max_over_time((x > 1)[5m:1m])", &[2]);
        for query in [
            "rate(a[5m]) / rate(a[6m])",
            "rate(a[5m]) / increase(a[5m])",
            "x / x offset 1m",
            "x @ 100 / x @ 200",
            "x / (x @ 100)",
            "sum by (a) (x) / sum by (b) (x offset 1m)",
            "sum by (a) (x) / sum without (a) (x offset 1m)",
            "count_values(\"a\", x) / count_values(\"b\", x offset 1m)",
            "topk(3, x) / topk(4, x offset 1m)",
            "label_replace(x, \"a\", \"$1\", \"b\", \"(.*)\") + label_replace(x offset 1m, \"a\", \"$1\", \"b\", \"(.+)\")",
            "max_over_time(x[5m:1m]) - max_over_time(x[5m:30s])",
            // Totals only on one side, whole histograms on the other.
            "histogram_count(x) / histogram_quantile(0.5, x)",
            "1 + 1",
            "vector(1) + vector(1)",
        ] {
            check(query, &[]);
        }
        // Of parts that differ their inputs may be equal.
        check("sum by (a) (x) / sum by (b) (x)", &[2]);
        check("(x > 1) / (x > bool 1)", &[2]);
        check("quantile_over_time(0.5, x[5m]) / quantile_over_time(0.6, x[5m])", &[]);
    }

    #[test]
    fn values_that_fill_are_equal_when_their_bits_are() {
        for (a, b, expected) in [("1", "1.0", &[2][..]), ("0", "-0", &[2, 2]), ("NaN", "NaN", &[2])] {
            for side in ["fill", "fill_left", "fill_right"] {
                let query = format!("(1 / (x + {side}({a}) y)) or (1 / (x + {side}({b}) y))");
                assert_eq!(uses(&query), expected, "{query}");
            }
        }
    }

    #[test]
    fn positions_must_correspond() {
        // The sum on the right stands around a sign, so what it sums is at two positions.
        assert_eq!(uses("sum(rate(x[5m])) / sum(+rate(x[5m]))"), [2], "only the rate");
        let span = Span::new;
        assert!(correspond(&[span(0, 1), span(0, 1)], &[span(4, 5), span(4, 5)]));
        assert!(!correspond(&[span(0, 1), span(0, 1)], &[span(4, 5), span(3, 5)]));
        assert!(!correspond(&[span(0, 1), span(0, 2)], &[span(4, 5), span(4, 5)]));
        assert!(!correspond(&[span(0, 1)], &[]));
    }
}
