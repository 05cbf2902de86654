//! Evaluating pipelines: commands, arguments, fields and methods.

use super::error::{Fault, fail};
use super::exec::{Executed, Executor};
use super::function::{Function, Param, Signature};
use super::functions;
use super::methods::Method;
use super::syntax::{Command, Name, Number, Pipe, Span, Term, TermKind};
use super::value::Value;
use crate::util::brief;

impl<'e> Executor<'e> {
    /// The value of a pipeline, whose variables are declared or assigned.
    pub(super) fn pipe(&mut self, pipe: &'e Pipe, dot: &Value) -> Executed<Value> {
        let mut value = None;
        for command in &pipe.commands {
            value = Some(self.command(command, dot, value)?);
        }
        let value = value.unwrap_or(Value::Nil);
        for name in &pipe.variables {
            if pipe.assigns {
                self.assign(name, value.clone(), pipe.span)?;
            } else {
                self.declare(name, value.clone());
            }
        }
        Ok(value)
    }

    /// The value of a command; `last` is that of the one before it, and its last argument.
    fn command(&mut self, command: &'e Command, dot: &Value, last: Option<Value>) -> Executed<Value> {
        self.step(command.span)?;
        let [word, arguments @ ..] = command.words.as_slice() else { return Ok(Value::Nil) };
        match &word.kind {
            TermKind::Function(function) => self.function(*function, command.span, arguments, dot, last),
            TermKind::Field(names) => self.fields(dot.clone(), names, word.span, arguments, dot, last),
            TermKind::Chain(term, names) => {
                let receiver = self.term(term, dot)?;
                self.fields(receiver, names, word.span, arguments, dot, last)
            }
            TermKind::Variable(name, names) if !names.is_empty() => {
                let receiver = self.variable(name, word.span)?;
                self.fields(receiver, names, word.span, arguments, dot, last)
            }
            _ if !arguments.is_empty() || last.is_some() => {
                let shown = self.source(word.span);
                self.at(word.span, fail!("can't give argument to non-function {shown}"))
            }
            TermKind::Nil => self.at(word.span, fail!("nil is not a command")),
            _ => self.term(word, dot),
        }
    }

    /// The text of what stands at `span`.
    fn source(&self, span: Span) -> String {
        brief(self.text.get(span.start..span.end).unwrap_or_default())
    }

    /// The value of a term that is given nothing.
    fn term(&mut self, term: &'e Term, dot: &Value) -> Executed<Value> {
        match &term.kind {
            TermKind::Dot => Ok(dot.clone()),
            TermKind::Nil => Ok(Value::Nil),
            TermKind::Bool(bool) => Ok(Value::Bool(*bool)),
            TermKind::Number(number) => Ok(constant(number)),
            TermKind::Text(text) => Ok(Value::Text(text.clone())),
            TermKind::Field(names) => self.fields(dot.clone(), names, term.span, &[], dot, None),
            TermKind::Variable(name, names) => {
                let receiver = self.variable(name, term.span)?;
                self.fields(receiver, names, term.span, &[], dot, None)
            }
            TermKind::Function(function) => self.function(*function, term.span, &[], dot, None),
            TermKind::Pipe(pipe) => self.deeper(term.span, |this| this.pipe(pipe, dot)),
            TermKind::Chain(inner, _) if matches!(inner.kind, TermKind::Nil) => {
                let shown = self.source(term.span);
                self.at(term.span, fail!("indirection through explicit nil in {shown}"))
            }
            TermKind::Chain(inner, names) => {
                let receiver = self.term(inner, dot)?;
                self.fields(receiver, names, term.span, &[], dot, None)
            }
        }
    }

    /// `.A.B.C`; the last one may be a method and have arguments.
    fn fields(
        &mut self,
        mut receiver: Value,
        names: &[Name],
        span: Span,
        arguments: &'e [Term],
        dot: &Value,
        last: Option<Value>,
    ) -> Executed<Value> {
        let Some((final_name, before)) = names.split_last() else { return Ok(receiver) };
        let was_nil = matches!(receiver, Value::Nil);
        let check = |receiver: &Value, name: &Name| match receiver {
            // A nil out of a map, not one that there was from the start.
            Value::Nil if !was_nil => fail!("nil pointer evaluating interface {{}}.{name}"),
            _ => Ok(()),
        };
        for name in before {
            self.at(span, check(&receiver, name))?;
            receiver = self.field(&receiver, name, span, &[], dot, None)?;
        }
        self.at(span, check(&receiver, final_name))?;
        self.field(&receiver, final_name, span, arguments, dot, last)
    }

    fn field(
        &mut self,
        receiver: &Value,
        name: &Name,
        span: Span,
        arguments: &'e [Term],
        dot: &Value,
        last: Option<Value>,
    ) -> Executed<Value> {
        self.step(span)?;
        if matches!(receiver, Value::Nil) {
            return Ok(Value::Nil);
        }
        if let Some(method) = self.at(span, Method::of(receiver, name))? {
            let values = self.arguments(name, &method.signature, span, arguments, dot, last)?;
            let result =
                method.run(receiver, &values).and_then(|made| functions::within_bounds(made, &mut self.cx));
            return self.called(name, span, result);
        }
        let has_arguments = !arguments.is_empty() || last.is_some();
        let type_name = receiver.type_name();
        let value = match receiver.field(name) {
            Some(_) if has_arguments && matches!(receiver, Value::Labels(_) | Value::Map(_)) => {
                fail!("{name} is not a method but has arguments")
            }
            Some(_) if has_arguments => fail!("{name} has arguments but cannot be invoked as function"),
            Some(value) => Ok(value),
            None => fail!("can't evaluate field {} in type {type_name}", brief(name)),
        };
        self.at(span, value)
    }

    fn function(
        &mut self,
        function: Function,
        span: Span,
        arguments: &'e [Term],
        dot: &Value,
        last: Option<Value>,
    ) -> Executed<Value> {
        let (name, signature) = function.entry();
        if matches!(function, Function::And | Function::Or) {
            return self.short_circuit(function, signature, span, arguments, dot, last);
        }
        let values = self.arguments(name, signature, span, arguments, dot, last)?;
        let result = functions::call(function, &values, &mut self.cx);
        self.called(name, span, result)
    }

    /// `and`, `or`: what stands behind the value that decides is not evaluated.
    fn short_circuit(
        &mut self,
        function: Function,
        signature: &Signature,
        span: Span,
        arguments: &'e [Term],
        dot: &Value,
        last: Option<Value>,
    ) -> Executed<Value> {
        self.check_count(function.entry().0, signature, span, arguments.len(), last.is_some())?;
        let mut value = Value::Nil;
        for argument in arguments {
            value = self.argument(Param::Any, argument, dot)?;
            if value.is_true() == (function == Function::Or) {
                return Ok(value);
            }
        }
        Ok(last.unwrap_or(value))
    }

    fn called(&self, name: &str, span: Span, result: Result<Value, Fault>) -> Executed<Value> {
        result.map_err(|Fault(reason)| self.failed(span, Fault(format!("error calling {name}: {reason}"))))
    }

    fn check_count(
        &self,
        name: &str,
        signature: &Signature,
        span: Span,
        written: usize,
        has_last: bool,
    ) -> Executed<()> {
        let wanted = signature.fixed.len();
        let given = written + usize::from(has_last);
        let result = if signature.is_variadic && given < wanted {
            fail!("wrong number of args for {name}: want at least {wanted} got {written}")
        } else if !signature.is_variadic && given != wanted {
            fail!("wrong number of args for {name}: want {wanted} got {given}")
        } else {
            Ok(())
        };
        self.at(span, result)
    }

    /// The values of a call, each of the type that is asked for.
    fn arguments(
        &mut self,
        name: &str,
        signature: &Signature,
        span: Span,
        arguments: &'e [Term],
        dot: &Value,
        last: Option<Value>,
    ) -> Executed<Vec<Value>> {
        self.check_count(name, signature, span, arguments.len(), last.is_some())?;
        let mut values = Vec::with_capacity(arguments.len() + 1);
        for (number, argument) in arguments.iter().enumerate() {
            values.push(self.argument(signature.param(number), argument, dot)?);
        }
        if let Some(last) = last {
            let param = signature.param(arguments.len());
            values.push(self.at(span, checked(param, last))?);
        }
        Ok(values)
    }

    fn argument(&mut self, param: Param, term: &'e Term, dot: &Value) -> Executed<Value> {
        self.step(term.span)?;
        let is_literal = matches!(term.kind, TermKind::Bool(_) | TermKind::Number(_) | TermKind::Text(_));
        if !is_literal && !matches!(term.kind, TermKind::Nil) {
            let value = self.term(term, dot)?;
            return self.at(term.span, checked(param, value));
        }
        let shown = || self.source(term.span);
        let value = match (param, &term.kind) {
            (Param::Any | Param::Sample | Param::Samples, TermKind::Nil) => Ok(Value::Nil),
            (_, TermKind::Nil) => fail!("cannot assign nil to {}", param.type_name()),
            (Param::Any, TermKind::Bool(bool)) => Ok(Value::Bool(*bool)),
            (Param::Any, TermKind::Number(number)) => Ok(constant(number)),
            (Param::Any | Param::Text, TermKind::Text(text)) => Ok(Value::Text(text.clone())),
            (Param::Text, _) => fail!("expected string; found {}", shown()),
            (Param::Int, TermKind::Number(Number { int: Some(int), .. })) => Ok(Value::Int(*int)),
            (Param::Duration, TermKind::Number(Number { int: Some(int), .. })) => Ok(Value::Duration(*int)),
            (Param::Int | Param::Duration, _) => fail!("expected integer; found {}", shown()),
            (Param::Time | Param::Sample | Param::Samples, _) => {
                fail!("can't handle {} for arg of type {}", shown(), param.type_name())
            }
            (Param::Any, _) => Ok(Value::Nil),
        };
        self.at(term.span, value)
    }
}

/// A constant where no type is asked for.
fn constant(number: &Number) -> Value {
    match number.int {
        Some(int) if !number.is_float => Value::Int(int),
        _ => Value::Float(number.float),
    }
}

/// A value as what a parameter asks for.
fn checked(param: Param, value: Value) -> Result<Value, Fault> {
    Ok(match (param, value) {
        (Param::Any, value)
        | (Param::Text, value @ Value::Text(_))
        | (Param::Int, value @ Value::Int(_))
        | (Param::Duration, value @ Value::Duration(_))
        | (Param::Time, value @ Value::Time(_))
        | (Param::Sample, value @ (Value::Sample(_) | Value::Nil))
        | (Param::Samples, value @ (Value::Samples(_) | Value::Nil)) => value,
        // What a pointer points to.
        (Param::Duration, Value::DurationPointer(nanoseconds)) => Value::Duration(nanoseconds),
        (Param::Time, Value::TimePointer(time)) => Value::Time(time),
        (param, Value::Nil) => return fail!("invalid value; expected {}", param.type_name()),
        (param, value) => {
            return fail!("wrong type for value; expected {}; got {}", param.type_name(), value.type_name());
        }
    })
}
