//! `topk`, `bottomk`, `limitk` and `limit_ratio`: members are kept as they are, or not at all.
//!
//! **Cost**: only members that can still stay are held. `topk` looks for those that lost each time their number has
//! doubled, and remembers the best values of each step from then on.

use std::cmp::Ordering;

use super::Groups;
use crate::promql::annotations::Annotation;
use crate::promql::error::Error;
use crate::promql::exec::batch::{Batch, Presence, Row};
use crate::promql::exec::call::sample_offset;
use crate::promql::exec::operator::Opened;
use crate::promql::exec::{Context, math};
use crate::promql::memory::Ticket;
use crate::promql::plan::Aggregation;
use crate::promql::syntax::ast::AggregateOp;
use crate::promql::syntax::quote::short_float;

/// Smallest and largest parameter. A NaN makes both NaN, but for an infinite one that nothing can go beyond.
pub(super) fn bounds(param: &[f64]) -> (f64, f64) {
    let all = || param.iter().copied();
    (all().fold(f64::MAX, math::min_of), all().fold(f64::MIN, math::max_of))
}

/// The members that stay.
pub(super) fn run(
    aggregation: &Aggregation,
    mut groups: Groups<'_>,
    param: &[f64],
    mut input: Opened<'_>,
    steps: usize,
    cx: &Context<'_>,
) -> Result<Batch, Error> {
    let _counts = cx.reserve(steps * size_of::<usize>())?;
    let counts: Vec<usize> = param.iter().take(steps).map(|k| count(*k)).collect();
    let one_group = aggregation.grouping.is_empty() && !aggregation.without;
    let may_end = cx.may_end_early() && one_group && aggregation.input.is_quiet();
    let mut ranks: Vec<Ranking> = Vec::new();
    let mut number = 0;
    while let Some(batch) = input.next(cx)? {
        cx.check()?;
        for mut row in batch {
            cx.work(steps)?;
            if aggregation.op == AggregateOp::LimitRatio {
                limit_ratio(&mut row, param, cx);
            }
            let (group, _) = groups.find(&row.labels);
            if group == ranks.len() {
                ranks.push(Ranking::new(aggregation.op, steps, cx)?);
            }
            ranks[group].add(number, row, &counts, cx)?;
            number += 1;
        }
        if may_end && ranks.first().is_some_and(|group| group.is_full(&counts)) {
            break;
        }
    }
    if !check_params(aggregation, param, cx)? {
        cx.release(ranks.iter().map(Ranking::held).sum());
        return Ok(Vec::new());
    }
    let mut out = Vec::new();
    for group in ranks {
        cx.check()?;
        let held = group.held();
        if counts
            .iter()
            .enumerate()
            .any(|(at, k)| *k > 0 && group.ignored.as_ref().is_some_and(|i| i.get(at)))
        {
            cx.annotate(Annotation::IgnoredInAggregation(aggregation.op.as_str()), aggregation.span);
        }
        let first = out.len();
        group.finish(&counts, &mut out, cx)?;
        cx.release(held);
        cx.hold(out[first..].iter().map(Row::count).sum())?;
    }
    Ok(out)
}

/// The members of one group that can still stay.
struct Ranking {
    op: AggregateOp,
    /// What makes the best values the greatest.
    sign: f64,
    /// With their numbers, which rise in the order of the input.
    members: Vec<(usize, Row)>,
    /// `topk`, `bottomk`: the best of each step so far. Empty as long as nearly all members can stay.
    heaps: Vec<Heap>,
    /// What a value must exceed to be among them; NaN where any value is.
    floors: Vec<f64>,
    /// How many of the members are in the heaps, or have been.
    ranked: usize,
    /// Members at which it is worth to look again for those that lost.
    look_again: usize,
    /// `limitk`: how many members each step has.
    taken: Vec<usize>,
    /// Steps with histograms that do not take part.
    ignored: Option<Presence>,
    /// What the heaps take.
    memory: Ticket,
    /// What the numbers of members take.
    _taken: Ticket,
}

/// The best values of one step and the numbers of their members, the worst on top.
type Heap = Vec<(f64, usize)>;

impl Ranking {
    fn new(op: AggregateOp, steps: usize, cx: &Context<'_>) -> Result<Self, Error> {
        let counted = if op == AggregateOp::LimitK { steps * size_of::<usize>() } else { 0 };
        let memory = cx.reserve(counted + size_of::<Self>())?;
        let taken = if op == AggregateOp::LimitK { vec![0; steps] } else { Vec::new() };
        Ok(Self {
            op,
            sign: if op == AggregateOp::BottomK { -1.0 } else { 1.0 },
            members: Vec::new(),
            heaps: Vec::new(),
            floors: Vec::new(),
            ranked: 0,
            look_again: 0,
            taken,
            ignored: None,
            memory: cx.reserve(0)?,
            _taken: memory,
        })
    }

    /// Adds a member, which comes after all others.
    fn add(&mut self, number: usize, mut row: Row, counts: &[usize], cx: &Context<'_>) -> Result<(), Error> {
        let before = row.count();
        match self.op {
            AggregateOp::LimitRatio => {}
            AggregateOp::LimitK => {
                for (at, (taken, most)) in self.taken.iter_mut().zip(counts).enumerate() {
                    if !row.present.get(at) {
                        continue;
                    }
                    if *taken < *most {
                        *taken += 1;
                    } else {
                        row.present.clear(at);
                    }
                }
            }
            _ if row.may_have_histograms() => {
                let steps = row.histogram_steps();
                row.drop_histograms();
                match &mut self.ignored {
                    Some(ignored) => ignored.union(&steps),
                    None => self.ignored = Some(steps),
                }
            }
            _ => {}
        }
        cx.release(before - row.count());
        if row.is_empty() {
            return Ok(());
        }
        self.members.push((number, row));
        if matches!(self.op, AggregateOp::TopK | AggregateOp::BottomK) {
            self.drop_losers(counts, cx)?;
        }
        Ok(())
    }

    /// Forgets members that are beaten at every step. Looking costs, so it waits until there may be many of them.
    fn drop_losers(&mut self, counts: &[usize], cx: &Context<'_>) -> Result<(), Error> {
        if self.look_again == 0 {
            let most = counts.iter().max().copied().unwrap_or(0);
            // Heaps take less than that many rows.
            self.look_again = most.saturating_add(1).saturating_mul(4).max(64);
        }
        if self.members.len() < self.look_again {
            return Ok(());
        }
        self.rank(counts, cx)?;
        let mut numbers: Vec<usize> = self.heaps.iter().flatten().map(|(_, number)| *number).collect();
        numbers.sort_unstable();
        numbers.dedup();
        let mut freed = 0;
        self.members.retain(|(number, row)| {
            let stays = numbers.binary_search(number).is_ok();
            freed += if stays { 0 } else { row.count() };
            stays
        });
        cx.release(freed);
        self.ranked = self.members.len();
        self.look_again = self.look_again.max(self.members.len() * 2);
        Ok(())
    }

    /// Puts members that are not there yet into the heaps.
    fn rank(&mut self, counts: &[usize], cx: &Context<'_>) -> Result<(), Error> {
        if self.heaps.is_empty() {
            cx.grow(&mut self.memory, counts.len() * (size_of::<Heap>() + size_of::<f64>()))?;
        }
        // No heap grows beyond its count, nor by more than there are new members.
        let new = self.members.len() - self.ranked;
        let room = |heap: usize, k: usize| (k - heap.min(k)).min(new);
        let heaps = self.heaps.iter().map(Vec::len).chain(std::iter::repeat(0));
        let more: usize = heaps.zip(counts).map(|(heap, k)| room(heap, *k)).sum();
        cx.grow(&mut self.memory, more * size_of::<(f64, usize)>())?;
        self.heaps.resize_with(counts.len(), Heap::new);
        self.floors.resize(counts.len(), f64::NAN);
        for (number, row) in &self.members[self.ranked..] {
            cx.work(counts.len())?;
            for (at, (value, floor)) in row.values.iter().zip(&mut self.floors).enumerate() {
                let value = self.sign * value;
                // Nearly all values lose, and nothing is as cheap as this.
                if value <= *floor || !row.present.get(at) {
                    continue;
                }
                let (heap, k) = (&mut self.heaps[at], counts[at]);
                offer(heap, (value, *number), k);
                if heap.len() >= k {
                    *floor = heap.first().map_or(f64::INFINITY, |(worst, _)| *worst);
                }
            }
        }
        self.ranked = self.members.len();
        Ok(())
    }

    /// Whether no further member can stay.
    fn is_full(&self, counts: &[usize]) -> bool {
        self.op == AggregateOp::LimitK && self.taken.iter().zip(counts).all(|(taken, most)| taken >= most)
    }

    /// Samples in the members.
    fn held(&self) -> usize {
        self.members.iter().map(|(_, row)| row.count()).sum()
    }

    /// Appends the members that stay to `out`.
    fn finish(mut self, counts: &[usize], out: &mut Batch, cx: &Context<'_>) -> Result<(), Error> {
        if matches!(self.op, AggregateOp::LimitK | AggregateOp::LimitRatio) {
            out.extend(self.members.into_iter().map(|(_, row)| row));
            return Ok(());
        }
        let steps = counts.len();
        let _kept =
            cx.reserve(self.members.len() * (size_of::<Presence>() + size_of::<Row>() + steps / 8))?;
        let mut kept: Vec<Presence> = self.members.iter().map(|_| Presence::none(steps)).collect();
        let lasting = !self.heaps.is_empty();
        if lasting {
            self.rank(counts, cx)?;
        }
        let (mut heap, mut best) = (Heap::new(), Vec::new());
        for (at, k) in counts.iter().enumerate() {
            cx.work(self.members.len())?;
            if lasting {
                heap = std::mem::take(&mut self.heaps[at]);
            } else {
                heap.clear();
                for (number, row) in &self.members {
                    if row.present.get(at) {
                        offer(&mut heap, (self.sign * row.values[at], *number), *k);
                    }
                }
            }
            sort_best(&mut heap);
            for (_, number) in &heap {
                if let Ok(index) = self.members.binary_search_by_key(number, |(number, _)| *number) {
                    kept[index].set(at);
                    // An instant query shows each group from its best member on.
                    if steps == 1 {
                        best.push(index);
                    }
                }
            }
        }
        let mut rows: Vec<Option<Row>> = Vec::with_capacity(self.members.len());
        for ((_, mut row), kept) in self.members.into_iter().zip(kept) {
            row.present.intersect(&kept);
            rows.push((!row.is_empty()).then_some(row));
        }
        if steps == 1 {
            out.extend(best.into_iter().filter_map(|index| rows[index].take()));
        } else {
            out.extend(rows.into_iter().flatten());
        }
        Ok(())
    }
}

/// Puts a member among the `k` greatest; NaN is least.
///
/// Which of several equal members stay is part of the behaviour: it follows from a heap with the worst on top,
/// whose top goes when a better one comes.
#[inline]
fn offer(heap: &mut Heap, member: (f64, usize), k: usize) {
    let below = |heap: &[(f64, usize)], a: usize, b: usize| heap[a].0.is_nan() || heap[a].0 < heap[b].0;
    if heap.len() < k {
        heap.push(member);
        let mut at = heap.len() - 1;
        while at > 0 {
            let parent = (at - 1) / 2;
            if !below(heap, at, parent) {
                break;
            }
            heap.swap(at, parent);
            at = parent;
        }
        return;
    }
    let Some(top) = heap.first_mut() else { return };
    if !(top.0 < member.0 || (top.0.is_nan() && !member.0.is_nan())) {
        return;
    }
    *top = member;
    let mut at = 0;
    loop {
        let mut child = 2 * at + 1;
        if child >= heap.len() {
            break;
        }
        if child + 1 < heap.len() && below(heap, child + 1, child) {
            child += 1;
        }
        if !below(heap, child, at) {
            break;
        }
        heap.swap(at, child);
        at = child;
    }
}

/// Puts the best first.
fn sort_best(heap: &mut Heap) {
    heap.sort_by(|a, b| match (a.0.is_nan(), b.0.is_nan()) {
        (true, false) => Ordering::Greater,
        (false, true) => Ordering::Less,
        (false, false) if b.0 < a.0 => Ordering::Less,
        (false, false) if a.0 < b.0 => Ordering::Greater,
        _ => Ordering::Equal,
    });
}

/// A parameter as a count.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "not negative; casts saturate")]
fn count(k: f64) -> usize {
    if k < 1.0 { 0 } else { k as usize }
}

/// Whether there is anything to keep.
fn check_params(aggregation: &Aggregation, param: &[f64], cx: &Context<'_>) -> Result<bool, Error> {
    let (min, max) = bounds(param);
    let has_nan = param.iter().any(|p| p.is_nan());
    let fail = |text: String| Err(Error::Execution(text));
    if aggregation.op == AggregateOp::LimitRatio {
        if has_nan {
            return fail("Ratio value is NaN".to_owned());
        }
        for (got, capped, beyond) in [(max, 1.0, max > 1.0), (min, -1.0, min < -1.0)] {
            if beyond {
                cx.annotate(Annotation::InvalidRatio { got, capped }, aggregation.param_span);
            }
        }
        return Ok(!(min == 0.0 && max == 0.0));
    }
    if has_nan {
        return fail("Parameter value is NaN".to_owned());
    }
    if max < 1.0 {
        return Ok(false);
    }
    let limit = i64::MAX as f64;
    if min <= -limit {
        return fail(format!("Scalar value {} underflows int64", short_float(min)));
    }
    if max >= limit {
        return fail(format!("Scalar value {} overflows int64", short_float(max)));
    }
    Ok(true)
}

/// Keeps a member, or not, by nothing but its labels.
fn limit_ratio(row: &mut Row, param: &[f64], cx: &Context<'_>) {
    let offset = sample_offset(&row.labels);
    let before = row.count();
    for (at, ratio) in param.iter().enumerate().take(row.values.len()) {
        let ratio = ratio.clamp(-1.0, 1.0);
        let keep = if ratio >= 0.0 { offset < ratio } else { offset >= 1.0 + ratio };
        if !keep {
            row.present.clear(at);
        }
    }
    cx.release(before - row.count());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Labels;
    use crate::promql::{Engine, EngineOptions, Features, QueryOptions, Value};
    use crate::storage::fixed::FixedStorage;

    /// A mixing function: numbers that look random but are the same each time.
    fn mixed(number: usize) -> usize {
        let mut bits = (number as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        bits ^= bits >> 29;
        usize::try_from(bits.wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 40).expect("24 bits")
    }

    /// The `k` best of all members at once, of whom nobody is forgotten.
    fn plainly(rows: &[Row], op: AggregateOp, k: usize, at: usize) -> Vec<usize> {
        let sign = if op == AggregateOp::BottomK { -1.0 } else { 1.0 };
        let mut heap = Heap::new();
        for (number, row) in rows.iter().enumerate() {
            if let Some(value) = row.get(at) {
                offer(&mut heap, (sign * value, number), k);
            }
        }
        sort_best(&mut heap);
        heap.into_iter().map(|(_, number)| number).collect()
    }

    fn storage(series: usize) -> FixedStorage {
        let mut storage = FixedStorage::new();
        for number in 0..series {
            let text = format!("{number:06}");
            let labels = Labels::from_pairs([("__name__", "m"), ("n", text.as_str())]);
            for at in 0..5 {
                // Few values, so that many are equal, and gaps.
                let value = mixed(number * 7 + at) % 40;
                if value > 0 {
                    let value = if value == 1 { f64::NAN } else { value as f64 };
                    storage.add(&labels, i64::try_from(at).expect("small") * 400_000, value);
                }
            }
        }
        storage
    }

    fn engine(max_memory: usize) -> Engine {
        Engine::new(EngineOptions { max_memory, features: Features::all(), ..EngineOptions::default() })
    }

    #[test]
    fn members_that_lose_are_forgotten_without_a_trace() {
        let storage = storage(3000);
        for (op, name) in [(AggregateOp::TopK, "topk"), (AggregateOp::BottomK, "bottomk")] {
            for k in [1, 3, 17] {
                let counts = [k; 5];
                let mut rows = Vec::new();
                for number in 0..3000 {
                    let mut row = Row::empty(Labels::from_pairs([("n", format!("{number:06}").as_str())]), 5);
                    for at in 0..5 {
                        let value = mixed(number * 7 + at) % 40;
                        if value > 0 {
                            row.put(at, if value == 1 { f64::NAN } else { value as f64 });
                        }
                    }
                    rows.push(row);
                }
                let query = format!("{name}({k}, m)");
                let result = engine(1 << 30).range(
                    &storage,
                    &query,
                    0,
                    1_600_000,
                    400_000,
                    &QueryOptions { lookback_ms: Some(1000), ..QueryOptions::default() },
                );
                let Value::Matrix(series) = result.expect("a good query").value else { panic!("a matrix") };
                for at in 0..counts.len() {
                    let mut expected = plainly(&rows, op, k, at);
                    expected.sort_unstable();
                    let time = i64::try_from(at).expect("small") * 400_000;
                    let there = series.iter().filter(|s| s.samples.timestamps.contains(&time));
                    let found: Vec<usize> =
                        there.map(|s| s.labels.get("n").expect("n").parse().expect("a number")).collect();
                    assert_eq!(found, expected, "{query} at step {at}");
                }
            }
        }
    }

    #[test]
    fn what_is_held_does_not_grow_with_the_members() {
        let storage = storage(20_000);
        let ask = |query: &str, max_memory: usize| {
            let options = QueryOptions { lookback_ms: Some(1000), ..QueryOptions::default() };
            let result = engine(max_memory).range(&storage, query, 0, 1_600_000, 16_000, &options);
            result.map(|result| result.stats.peak_bytes).map_err(|error| error.to_string())
        };
        let all = ask("m", 1 << 30).expect("room enough");
        for query in ["topk(2, m)", "bottomk(2, m)", "limitk(2, m)", "limit_ratio(0.001, m)"] {
            let held = ask(query, 1 << 30).expect("room enough");
            assert!(held * 5 < all, "{query} holds {held} bytes, all are {all}");
        }
        // Everything can stay: nothing is lost.
        assert!(ask("topk(100000, m)", 1 << 30).expect("room enough") > all / 2);
    }

    #[test]
    fn reading_ends_when_nothing_more_can_stay() {
        let storage = storage(20_000);
        let looked_at = |query: &str, step_stats: bool| {
            let options = QueryOptions { step_stats, ..QueryOptions::default() };
            let result = engine(1 << 30).instant(&storage, query, 1_600_000, &options).expect("a good query");
            result.stats.total_samples
        };
        let all = looked_at("m", false);
        assert!(looked_at("limitk(3, m)", false) < all / 2);
        assert_eq!(looked_at("limitk(3, m)", true), all, "who asks wants to know of all");
        assert_eq!(looked_at("limitk by (n) (3, m)", false), all, "the last one may be a group of its own");
        assert_eq!(looked_at("limitk(3, m > 2)", false), all, "what could be annotated is");
        assert_eq!(looked_at("nothing and m", false), 0);
        assert_eq!(looked_at("nothing unless count(m)", false), 0);
        assert_eq!(looked_at("nothing * m", false), 0);
        assert_eq!(looked_at("nothing and m", true), all);
        assert!(looked_at("absent(m)", false) < all && looked_at("absent_over_time(m[5s])", false) < all);
        assert_eq!(looked_at("absent(m)", true), all);
        assert_eq!(looked_at("absent(m > 0)", false), all, "what could be annotated is");
        for query in ["nothing or m", "nothing + fill (0) m", "nothing and (m > 2)"] {
            assert_eq!(looked_at(query, false), all, "{query}");
        }
    }
}
