//! Executing the syntax tree: control structures, variables and what is written.
//!
//! **Invariant**: recursion is bounded, by the depth of the tree, the calls of templates and [`MAX_LEVELS`].

use std::sync::Arc;

use super::budget::Sink;
use super::data::Context;
use super::error::{Error, Fault, Place, fail};
use super::escape;
use super::parser::Parsed;
use super::printer;
use super::syntax::{Body, Call, Choice, Name, Node, Range, Span};
use super::value::Value;
use crate::util::brief;

/// Control structures and brackets inside of each other, over all templates that are being executed.
const MAX_LEVELS: usize = 256;

/// The names that are declared at the start, each with the field of the dot that it stands for.
pub(super) const DECLARED: [(&str, &str); 4] = [
    ("$labels", "Labels"),
    ("$externalLabels", "ExternalLabels"),
    ("$externalURL", "ExternalURL"),
    ("$value", "Value"),
];

/// Expands a template.
pub(super) fn execute(name: &str, text: &str, parsed: &Parsed, cx: Context<'_>) -> Result<String, Error> {
    let root = cx.root();
    let is_message = matches!(root, Value::Record(_));
    let declared = DECLARED
        .iter()
        .filter(|_| !is_message)
        .map(|(name, field)| (Name::from(*name), root.field(field).unwrap_or(Value::Nil)));
    let variables = std::iter::once((Name::from("$"), root.clone())).chain(declared).collect();
    let mut executor = Executor {
        name,
        text,
        parsed,
        out: Sink::new(cx.budget.limits.max_output_bytes),
        cx,
        variables,
        inside: name,
        calls: 0,
        levels: 0,
    };
    match executor.walk(&parsed.root, &root) {
        Ok(_) => Ok(executor.out.into_text()),
        Err(Failure(failure)) => Err(Error::Execute {
            name: name.into(),
            place: Place::of(text, failure.span.start),
            inside: brief(failure.inside).into(),
            what: brief(text.get(failure.span.start..failure.span.end).unwrap_or_default()),
            reason: failure.fault.0,
        }),
    }
}

/// A fault, where it stands. Failures are rare, and small this way.
#[derive(Debug)]
pub(super) struct Failure(Box<Failed>);

#[derive(Debug)]
struct Failed {
    span: Span,
    fault: Fault,
    /// The template that was being executed.
    inside: String,
}

/// The result of a step.
pub(super) type Executed<T> = Result<T, Failure>;

/// What comes behind a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flow {
    Next,
    Break,
    Continue,
}

/// The state of an expansion.
pub(super) struct Executor<'e> {
    name: &'e str,
    pub(super) text: &'e str,
    parsed: &'e Parsed,
    pub(super) cx: Context<'e>,
    out: Sink,
    /// Those of the template that is being executed, the innermost last.
    variables: Vec<(Name, Value)>,
    inside: &'e str,
    calls: usize,
    levels: usize,
}

impl<'e> Executor<'e> {
    /// The failure of what stands at `span`.
    pub(super) fn failed(&self, span: Span, fault: Fault) -> Failure {
        Failure(Box::new(Failed { span, fault, inside: self.inside.to_owned() }))
    }

    /// The result, with the place of what failed.
    pub(super) fn at<T>(&self, span: Span, result: Result<T, Fault>) -> Executed<T> {
        result.map_err(|fault| self.failed(span, fault))
    }

    /// Takes a step for what stands at `span`.
    pub(super) fn step(&mut self, span: Span) -> Executed<()> {
        let taken = self.cx.budget.step();
        self.at(span, taken)
    }

    /// Goes one level deeper for the time of `work`.
    pub(super) fn deeper<T>(
        &mut self,
        span: Span,
        work: impl FnOnce(&mut Self) -> Executed<T>,
    ) -> Executed<T> {
        if self.levels >= MAX_LEVELS {
            return self.at(
                span,
                fail!("more than {MAX_LEVELS} control structures and parentheses inside of each other"),
            );
        }
        self.levels += 1;
        let result = work(self);
        self.levels -= 1;
        result
    }

    pub(super) fn declare(&mut self, name: &Name, value: Value) {
        self.variables.push((Arc::clone(name), value));
    }

    /// Where the innermost variable of that name is. Looking for it counts as work.
    fn find(&mut self, name: &str, span: Span) -> Executed<usize> {
        let Some(place) = self.variables.iter().rposition(|(known, _)| **known == *name) else {
            return self.at(span, fail!("undefined variable: {name}"));
        };
        let taken = self.cx.budget.made(self.variables.len() - place);
        self.at(span, taken)?;
        Ok(place)
    }

    pub(super) fn assign(&mut self, name: &str, value: Value, span: Span) -> Executed<()> {
        let place = self.find(name, span)?;
        self.variables[place].1 = value;
        Ok(())
    }

    pub(super) fn variable(&mut self, name: &str, span: Span) -> Executed<Value> {
        let place = self.find(name, span)?;
        Ok(self.variables[place].1.clone())
    }

    fn walk(&mut self, body: &'e Body, dot: &Value) -> Executed<Flow> {
        for node in body {
            let flow = match node {
                Node::Text(span) => self
                    .write(*span, |text, out| out.push(text.get(span.start..span.end).unwrap_or_default()))?,
                Node::Action(pipe) => {
                    let value = self.pipe(pipe, dot)?;
                    if pipe.variables.is_empty() {
                        let escapes = self.cx.escapes_html && !matches!(value, Value::Html(_));
                        self.write(pipe.span, |_, out| {
                            if !escapes {
                                return printer::action(&value, out);
                            }
                            let mut plain = out.another();
                            printer::action(&value, &mut plain)?;
                            out.push(&escape::html(&plain.into_text()))
                        })?;
                    }
                    Flow::Next
                }
                Node::If(choice) => self.choice(choice, dot, false)?,
                Node::With(choice) => self.choice(choice, dot, true)?,
                Node::Range(range) => self.range(range, dot)?,
                Node::Call(call) => self.call_template(call, dot)?,
                Node::Break => Flow::Break,
                Node::Continue => Flow::Continue,
            };
            if flow != Flow::Next {
                return Ok(flow);
            }
        }
        Ok(Flow::Next)
    }

    /// Writes to the output.
    fn write(
        &mut self,
        span: Span,
        write: impl FnOnce(&str, &mut Sink) -> Result<(), Fault>,
    ) -> Executed<Flow> {
        let before = self.out.len();
        let written = write(self.text, &mut self.out)
            .and_then(|()| self.cx.budget.step())
            .and_then(|()| self.cx.budget.made(self.out.len() - before));
        self.at(span, written)?;
        Ok(Flow::Next)
    }

    fn choice(&mut self, choice: &'e Choice, dot: &Value, is_with: bool) -> Executed<Flow> {
        let declared = self.variables.len();
        let mut chosen = (&choice.otherwise, None);
        for (pipe, body) in &choice.arms {
            let value = self.pipe(pipe, dot)?;
            if value.is_true() {
                chosen = (body, Some(value).filter(|_| is_with));
                break;
            }
        }
        let (body, value) = chosen;
        let span = choice.arms.first().map_or(Span { start: 0, end: 0 }, |(pipe, _)| pipe.span);
        let flow = self.deeper(span, |this| this.walk(body, value.as_ref().unwrap_or(dot)))?;
        self.variables.truncate(declared);
        Ok(flow)
    }

    fn range(&mut self, range: &'e Range, dot: &Value) -> Executed<Flow> {
        let declared = self.variables.len();
        let value = self.pipe(&range.pipe, dot)?;
        let rounds = self.rounds(range, &value)?;
        if !rounds {
            let flow = self.deeper(range.pipe.span, |this| this.walk(&range.otherwise, dot))?;
            self.variables.truncate(declared);
            return Ok(flow);
        }
        self.variables.truncate(declared);
        Ok(Flow::Next)
    }

    /// The rounds of a loop; gives whether there was one.
    fn rounds(&mut self, range: &'e Range, value: &Value) -> Executed<bool> {
        let span = range.pipe.span;
        let number = |number: usize| Value::Int(i64::try_from(number).unwrap_or(i64::MAX));
        let pointed_to = match value {
            Value::DurationPointer(nanoseconds) => Some(Value::Duration(*nanoseconds)),
            _ => None,
        };
        match pointed_to.as_ref().unwrap_or(value) {
            Value::Nil => Ok(false),
            Value::Samples(samples) => {
                for (place, sample) in samples.iter().enumerate() {
                    if !self.round(range, &number(place), &Value::Sample(Arc::clone(sample)))? {
                        break;
                    }
                }
                Ok(!samples.is_empty())
            }
            Value::List(list) => {
                for (place, item) in list.items.iter().enumerate() {
                    if !self.round(range, &number(place), item)? {
                        break;
                    }
                }
                Ok(!list.items.is_empty())
            }
            Value::Labels(labels) | Value::KeyValues(labels) => {
                for (name, value) in labels {
                    if !self.round(range, &Value::text(name), &Value::text(value))? {
                        break;
                    }
                }
                Ok(!labels.is_empty())
            }
            Value::Map(map) => {
                for (name, value) in &map.entries {
                    if !self.round(range, &Value::text(&**name), value)? {
                        break;
                    }
                }
                Ok(!map.entries.is_empty())
            }
            value => match value.as_int() {
                Some(_) if range.pipe.variables.len() > 1 => {
                    let shown = self.shown(value);
                    self.at(span, fail!("can't use {shown} to iterate over more than one variable"))
                }
                Some(count) => {
                    for place in 0..count {
                        if !self.round(range, &Value::Nil, &value.with_int(place))? {
                            break;
                        }
                    }
                    Ok(count > 0)
                }
                None => {
                    let shown = self.shown(value);
                    self.at(span, fail!("range can't iterate over {shown}"))
                }
            },
        }
    }

    /// A value as a message shows it.
    fn shown(&self, value: &Value) -> String {
        let mut out = Sink::new(self.cx.budget.limits.max_output_bytes);
        match printer::action(value, &mut out) {
            Ok(()) => brief(out.into_text()),
            Err(_) => value.type_name().to_owned(),
        }
    }

    /// One round of a loop; gives whether the next one is to come.
    fn round(&mut self, range: &'e Range, key: &Value, element: &Value) -> Executed<bool> {
        let pipe = &range.pipe;
        self.step(pipe.span)?;
        let mark = self.variables.len();
        let values: &[&Value] = if pipe.variables.len() > 1 { &[key, element] } else { &[element] };
        for (number, (name, value)) in pipe.variables.iter().zip(values).enumerate() {
            if pipe.assigns {
                self.assign(name, (*value).clone(), pipe.span)?;
            } else if let Some(place) = (mark + number).checked_sub(pipe.variables.len()) {
                // The pipeline has declared them last.
                self.variables[place].1 = (*value).clone();
            }
        }
        let flow = self.deeper(pipe.span, |this| this.walk(&range.body, element))?;
        self.variables.truncate(mark);
        Ok(flow != Flow::Break)
    }

    fn call_template(&mut self, call: &'e Call, dot: &Value) -> Executed<Flow> {
        let parsed = self.parsed;
        let body = match parsed.defined.get(&call.name) {
            Some(body) => body,
            None if *call.name == *self.name => &parsed.root,
            None => return self.at(call.span, fail!("template {:?} not defined", brief(&call.name))),
        };
        let max_depth = self.cx.budget.limits.max_depth;
        if self.calls >= max_depth {
            return self.at(call.span, fail!("exceeded maximum template depth ({max_depth})"));
        }
        // Variables that the pipeline declares stay.
        let dot = match &call.pipe {
            Some(pipe) => self.pipe(pipe, dot)?,
            None => Value::Nil,
        };
        self.step(call.span)?;
        // Variables are seen in their own template only.
        let variables = std::mem::replace(&mut self.variables, vec![(Name::from("$"), dot.clone())]);
        let inside = std::mem::replace(&mut self.inside, &call.name);
        self.calls += 1;
        self.deeper(call.span, |this| this.walk(body, &dot))?;
        self.calls -= 1;
        self.inside = inside;
        self.variables = variables;
        Ok(Flow::Next)
    }
}
