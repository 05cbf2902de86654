//! Expressions matched character by character: small where an engine over bytes is large.
//!
//! A class such as `\pL` is one instruction here and a thousand states there. All ways through the program are followed
//! at once, the preferred one first, so that the time is linear in the text whatever the expression.
//!
//! **Cost**: sixteen bytes an instruction; a match takes eight bytes for each instruction, and eight more for each of its
//! groups where they are asked for.

use std::sync::Arc;

use hashbrown::HashMap;
use regex_syntax::hir::{Capture, Class, Hir, HirKind, Look, Repetition};

use super::Stopped;

/// Most instructions of one program.
const MAX_INSTRUCTIONS: usize = 1 << 18;

/// Most groups that are followed at once, over all instructions: a match takes sixteen megabytes for them at most.
const MAX_SLOTS: usize = 1 << 19;

/// Steps between two looks whether to go on.
const STEPS: usize = 1 << 16;

/// No place in a text.
const NOWHERE: usize = usize::MAX;

#[derive(Debug, Clone, Copy)]
enum Instruction {
    /// One character that is this one.
    Is(char),
    /// One character of the class of this number.
    In(u32),
    /// Goes on at both places, at the first if that leads to a match.
    Split(u32, u32),
    Jump(u32),
    /// Notes where the text is.
    Save(u32),
    Look(Look),
    Match,
}

/// A compiled expression.
#[derive(Debug)]
pub(super) struct Program {
    instructions: Vec<Instruction>,
    classes: Vec<Box<[(char, char)]>>,
    names: Arc<[Option<Box<str>>]>,
}

/// An expression with more instructions than are allowed.
#[derive(Debug)]
pub(super) struct TooLarge;

impl Program {
    /// The program of an expression, which is to hold its own anchors.
    pub(super) fn new(hir: &Hir) -> Result<Self, TooLarge> {
        let mut builder = Builder::default();
        builder.names.push(None);
        builder.push(Instruction::Save(0))?;
        builder.add(hir)?;
        builder.push(Instruction::Save(1))?;
        builder.push(Instruction::Match)?;
        let Builder { instructions, classes, names, .. } = builder;
        if instructions.len().saturating_mul(names.len()) > MAX_SLOTS {
            return Err(TooLarge);
        }
        Ok(Self { instructions, classes, names: names.into() })
    }

    /// Names of the groups; the whole is the first.
    pub(super) fn names(&self) -> &Arc<[Option<Box<str>>]> {
        &self.names
    }

    /// Number of instructions.
    pub(super) fn len(&self) -> usize {
        self.instructions.len()
    }

    /// Bytes that the threads of a match with groups take.
    pub(super) fn groups_bytes(&self) -> usize {
        let per_thread = 2 * self.names.len() * size_of::<usize>();
        2 * self.instructions.len() * (per_thread + 2 * size_of::<u32>())
    }

    /// Bytes it takes.
    pub(super) fn bytes(&self) -> usize {
        let classes: usize = self.classes.iter().map(|class| class.len() * size_of::<(char, char)>()).sum();
        self.instructions.len() * size_of::<Instruction>() + classes + self.names.len() * 32
    }

    /// Bytes that an engine over bytes takes, roughly.
    pub(super) fn engine_bytes(&self) -> usize {
        /// What a state, and a range of a class, takes there.
        const PER_STATE: usize = 64;
        let of = |instruction: &Instruction| match instruction {
            Instruction::In(class) => 1 + self.classes[*class as usize].len(),
            _ => 1,
        };
        self.instructions.iter().map(of).sum::<usize>() * PER_STATE
    }

    /// Whether it matches, unless `go_on` says no before that is known.
    pub(super) fn is_match(&self, text: &str, go_on: &dyn Fn() -> bool) -> Result<bool, Stopped> {
        self.run(text, 0, go_on).map(|found| found.is_some())
    }

    /// What each group matched, if it matches, unless `go_on` says no before that is known.
    pub(super) fn groups<'t>(
        &self,
        text: &'t str,
        go_on: &dyn Fn() -> bool,
    ) -> Result<Option<Vec<Option<&'t str>>>, Stopped> {
        let slots = self.run(text, 2 * self.names.len(), go_on)?;
        Ok(slots.map(|slots| slots.chunks_exact(2).map(|ends| text.get(ends[0]..ends[1])).collect()))
    }

    /// The ends of the groups, as many as `slots`, of the preferred match.
    fn run(&self, text: &str, slots: usize, go_on: &dyn Fn() -> bool) -> Result<Option<Vec<usize>>, Stopped> {
        let mut steps = 0;
        let (mut now, mut next) = (Threads::new(self, slots), Threads::new(self, slots));
        let (mut stack, mut found) = (Vec::new(), None);
        let mut scratch = vec![NOWHERE; slots];
        let mut place = Place { at: 0, before: None, after: text.chars().next() };
        now.follow(self, 0, place, &mut scratch, &mut stack);
        loop {
            let read = place.after;
            let mut rest = text[place.at..].chars();
            rest.next();
            let behind =
                Place { at: place.at + read.map_or(0, char::len_utf8), before: read, after: rest.next() };
            steps += now.list.len();
            if steps >= STEPS {
                steps = 0;
                if !go_on() {
                    return Err(Stopped);
                }
            }
            for index in 0..now.list.len() {
                let at = now.list[index];
                let passes = match (self.instructions[at as usize], read) {
                    (Instruction::Match, _) => {
                        // Those behind are less preferred.
                        found = Some(now.slots_of(at).to_vec());
                        break;
                    }
                    (Instruction::Is(wanted), Some(c)) => c == wanted,
                    (Instruction::In(class), Some(c)) => self.is_in(class, c),
                    _ => false,
                };
                if passes {
                    scratch.copy_from_slice(now.slots_of(at));
                    next.follow(self, at + 1, behind, &mut scratch, &mut stack);
                }
            }
            if read.is_none() || next.list.is_empty() {
                return Ok(found);
            }
            place = behind;
            std::mem::swap(&mut now, &mut next);
            next.list.clear();
        }
    }

    fn is_in(&self, class: u32, c: char) -> bool {
        let ranges = &self.classes[class as usize];
        let at = ranges.partition_point(|(_, end)| *end < c);
        ranges.get(at).is_some_and(|(start, _)| *start <= c)
    }
}

/// Where in the text a thread is.
#[derive(Clone, Copy)]
struct Place {
    at: usize,
    before: Option<char>,
    after: Option<char>,
}

impl Place {
    fn holds(self, look: Look) -> bool {
        let is_word = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric() || c == '_');
        let at_edge = is_word(self.before) != is_word(self.after);
        match look {
            Look::Start => self.before.is_none(),
            Look::End => self.after.is_none(),
            Look::StartLF => matches!(self.before, None | Some('\n')),
            Look::EndLF => matches!(self.after, None | Some('\n')),
            Look::WordAscii => at_edge,
            Look::WordAsciiNegate => !at_edge,
            // Nothing that is translated asks for these.
            _ => false,
        }
    }
}

/// What is still to be followed, and what is to be as before then.
enum Step {
    Follow(u32),
    Restore(usize, usize),
}

/// The places of the program that are followed at once, the preferred first, with the ends of their groups.
struct Threads {
    list: Vec<u32>,
    /// Where in the list an instruction is, if it is there.
    known: Vec<u32>,
    slots: Vec<usize>,
    per_thread: usize,
}

impl Threads {
    fn new(program: &Program, per_thread: usize) -> Self {
        let count = program.instructions.len();
        Self { list: Vec::new(), known: vec![0; count], slots: vec![NOWHERE; count * per_thread], per_thread }
    }

    fn slots_of(&self, at: u32) -> &[usize] {
        let first = at as usize * self.per_thread;
        &self.slots[first..first + self.per_thread]
    }

    /// Adds what can be reached from `at` without reading on.
    fn follow(
        &mut self,
        program: &Program,
        at: u32,
        place: Place,
        slots: &mut [usize],
        stack: &mut Vec<Step>,
    ) {
        stack.push(Step::Follow(at));
        while let Some(step) = stack.pop() {
            let mut at = match step {
                Step::Follow(at) => at,
                Step::Restore(slot, before) => {
                    slots[slot] = before;
                    continue;
                }
            };
            loop {
                let index = at as usize;
                if self.list.get(self.known[index] as usize) == Some(&at) {
                    break;
                }
                self.known[index] = u32::try_from(self.list.len()).unwrap_or(u32::MAX);
                self.list.push(at);
                match program.instructions[index] {
                    Instruction::Jump(to) => at = to,
                    Instruction::Split(first, second) => {
                        stack.push(Step::Follow(second));
                        at = first;
                    }
                    Instruction::Save(slot) => {
                        if let Some(end) = slots.get_mut(slot as usize) {
                            stack.push(Step::Restore(slot as usize, *end));
                            *end = place.at;
                        }
                        at += 1;
                    }
                    Instruction::Look(look) if place.holds(look) => at += 1,
                    Instruction::Look(_) => break,
                    _ => {
                        let first = index * self.per_thread;
                        self.slots[first..first + self.per_thread].copy_from_slice(slots);
                        break;
                    }
                }
            }
        }
    }
}

#[derive(Default)]
struct Builder<'h> {
    instructions: Vec<Instruction>,
    classes: Vec<Box<[(char, char)]>>,
    /// Classes by where they stand in the expression: those that are repeated are there once.
    known: HashMap<*const Class, u32>,
    names: Vec<Option<Box<str>>>,
    _of: std::marker::PhantomData<&'h Hir>,
}

impl<'h> Builder<'h> {
    fn here(&self) -> u32 {
        u32::try_from(self.instructions.len()).unwrap_or(u32::MAX)
    }

    fn push(&mut self, instruction: Instruction) -> Result<usize, TooLarge> {
        if self.instructions.len() >= MAX_INSTRUCTIONS {
            return Err(TooLarge);
        }
        self.instructions.push(instruction);
        Ok(self.instructions.len() - 1)
    }

    fn add(&mut self, hir: &'h Hir) -> Result<(), TooLarge> {
        match hir.kind() {
            HirKind::Empty => {}
            HirKind::Literal(literal) => {
                for c in String::from_utf8_lossy(&literal.0).chars() {
                    self.push(Instruction::Is(c))?;
                }
            }
            HirKind::Class(class) => {
                let number = self.class(class);
                self.push(Instruction::In(number))?;
            }
            HirKind::Look(look) => {
                self.push(Instruction::Look(*look))?;
            }
            HirKind::Repetition(repetition) => self.repetition(repetition)?,
            HirKind::Capture(Capture { index, name, sub }) => {
                let slot = index.saturating_mul(2);
                self.names.resize(self.names.len().max(*index as usize + 1), None);
                self.names[*index as usize].clone_from(name);
                self.push(Instruction::Save(slot))?;
                self.add(sub)?;
                self.push(Instruction::Save(slot + 1))?;
            }
            HirKind::Concat(parts) => {
                for part in parts {
                    self.add(part)?;
                }
            }
            HirKind::Alternation(parts) => {
                let mut ends = Vec::new();
                for (number, part) in parts.iter().enumerate() {
                    if number + 1 == parts.len() {
                        self.add(part)?;
                        continue;
                    }
                    let split = self.push(Instruction::Match)?;
                    let first = self.here();
                    self.add(part)?;
                    ends.push(self.push(Instruction::Match)?);
                    self.instructions[split] = Instruction::Split(first, self.here());
                }
                let end = self.here();
                ends.into_iter().for_each(|at| self.instructions[at] = Instruction::Jump(end));
            }
        }
        Ok(())
    }

    fn repetition(&mut self, repetition: &'h Repetition) -> Result<(), TooLarge> {
        let Repetition { min, max, greedy, sub } = repetition;
        let split = |first: u32, second: u32| {
            if *greedy { Instruction::Split(first, second) } else { Instruction::Split(second, first) }
        };
        // Without a maximum the last one that must be there is the one that is repeated.
        let apart = if max.is_none() { min.saturating_sub(1) } else { *min };
        for _ in 0..apart {
            let before = self.instructions.len();
            self.add(sub)?;
            if self.instructions.len() == before {
                // Nothing, however often.
                return Ok(());
            }
        }
        let Some(max) = max else {
            // The choice stands behind what is repeated. Before it, where that can match nothing, it would come up a
            // second time at the same place, and the way out would be less preferred than it is.
            let optional = if *min == 0 { Some(self.push(Instruction::Match)?) } else { None };
            let inside = self.here();
            self.add(sub)?;
            let again = self.push(Instruction::Match)?;
            let end = self.here();
            for at in optional.into_iter().chain([again]) {
                self.instructions[at] = split(inside, end);
            }
            return Ok(());
        };
        let mut splits = Vec::new();
        for _ in *min..*max {
            splits.push(self.push(Instruction::Match)?);
            self.add(sub)?;
        }
        let end = self.here();
        for at in splits {
            self.instructions[at] = split(u32::try_from(at + 1).unwrap_or(u32::MAX), end);
        }
        Ok(())
    }

    fn class(&mut self, class: &'h Class) -> u32 {
        let next = u32::try_from(self.classes.len()).unwrap_or(u32::MAX);
        let number = *self.known.entry(std::ptr::from_ref(class)).or_insert(next);
        if number == next {
            self.classes.push(match class {
                Class::Unicode(class) => class.iter().map(|range| (range.start(), range.end())).collect(),
                // Of bytes there are but those of ASCII.
                Class::Bytes(class) => {
                    class.iter().map(|range| (char::from(range.start()), char::from(range.end()))).collect()
                }
            });
        }
        number
    }
}
