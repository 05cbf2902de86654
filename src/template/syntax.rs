//! The syntax tree of a template.
//!
//! **Invariant**: no deeper than [`MAX_NESTING`] levels of control structures and brackets together, so that walking and
//! dropping it may recurse.

use std::sync::Arc;

use super::function::Function;

/// Levels of control structures and brackets inside of each other.
pub(super) const MAX_NESTING: usize = 64;

/// A range of bytes of the text of a template.
#[derive(Debug, Clone, Copy)]
pub(super) struct Span {
    pub(super) start: usize,
    pub(super) end: usize,
}

impl Span {
    /// From the start of this one to the end of `last`.
    pub(super) fn to(self, last: Self) -> Self {
        Self { start: self.start, end: last.end }
    }
}

/// What is executed one after another.
pub(super) type Body = Vec<Node>;

#[derive(Debug)]
pub(super) enum Node {
    Text(Span),
    Action(Pipe),
    If(Choice),
    With(Choice),
    Range(Range),
    Call(Call),
    Break,
    Continue,
}

/// `if`, `else if` and `else`; or the same with `with`.
#[derive(Debug)]
pub(super) struct Choice {
    pub(super) arms: Vec<(Pipe, Body)>,
    pub(super) otherwise: Body,
}

#[derive(Debug)]
pub(super) struct Range {
    pub(super) pipe: Pipe,
    pub(super) body: Body,
    pub(super) otherwise: Body,
}

/// `{{template "name" pipeline}}`, also in place of a `{{block}}`.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) span: Span,
    pub(super) name: Box<str>,
    pub(super) pipe: Option<Pipe>,
}

/// `$a, $b := command | command`.
#[derive(Debug)]
pub(super) struct Pipe {
    pub(super) span: Span,
    pub(super) variables: Vec<Name>,
    /// Whether the variables are assigned to, not declared.
    pub(super) assigns: bool,
    /// Never empty.
    pub(super) commands: Vec<Command>,
}

/// A word and its arguments.
#[derive(Debug)]
pub(super) struct Command {
    pub(super) span: Span,
    /// Never empty.
    pub(super) words: Vec<Term>,
}

/// A name of a variable, with its dollar, or of a field, without its dot.
pub(super) type Name = Arc<str>;

#[derive(Debug)]
pub(super) struct Term {
    pub(super) span: Span,
    pub(super) kind: TermKind,
}

#[derive(Debug)]
pub(super) enum TermKind {
    Dot,
    Nil,
    Bool(bool),
    Number(Number),
    Text(Arc<str>),
    /// `.A.B`; never empty.
    Field(Vec<Name>),
    /// `$x.A.B`
    Variable(Name, Vec<Name>),
    Function(Function),
    Pipe(Box<Pipe>),
    /// `(pipeline).A.B`; never without fields.
    Chain(Box<Term>, Vec<Name>),
}

/// A constant, which takes the type that is asked for if it can be represented in it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Number {
    pub(super) int: Option<i64>,
    pub(super) float: f64,
    /// Whether it is a float where no type is asked for.
    pub(super) is_float: bool,
}
