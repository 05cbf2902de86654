//! From tokens to a syntax tree.
//!
//! Recursive descent; [`MAX_NESTING`] bounds the depth.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::error::{Fault, Place, fail};
use super::function::{Dialect, Function};
use super::lexer::{Keyword, Kind, Lexed, Lexer, Token, unexpected};
use super::literal;
use super::syntax::{
    Body, Call, Choice, Command, MAX_NESTING, Name, Node, Number, Pipe, Range, Span, Term, TermKind,
};

/// What a text says: what is executed, and the templates it defines.
#[derive(Debug, Default)]
pub(super) struct Parsed {
    pub(super) root: Body,
    pub(super) defined: BTreeMap<Box<str>, Body>,
}

/// Reads a template in which the variables of these names are declared.
pub(super) fn parse(text: &str, declared: &[&str], dialect: Dialect) -> Lexed<Parsed> {
    let mut parser = Parser {
        text,
        lexer: Lexer::new(text),
        ahead: Vec::new(),
        scope: Scope::with(declared),
        nesting: 0,
        dialect,
        defined: BTreeMap::new(),
    };
    let root = parser.root()?;
    Ok(Parsed { root, defined: parser.defined })
}

/// What is known where the parser is; each definition has its own.
#[derive(Debug)]
struct Scope {
    variables: Vec<Name>,
    /// `range`s around.
    loops: usize,
}

impl Scope {
    fn with(declared: &[&str]) -> Self {
        let names = std::iter::once("$").chain(declared.iter().copied());
        Self { variables: names.map(Name::from).collect(), loops: 0 }
    }
}

struct Parser<'t> {
    text: &'t str,
    lexer: Lexer<'t>,
    /// Tokens that were put back, the next one last.
    ahead: Vec<Token<'t>>,
    scope: Scope,
    nesting: usize,
    dialect: Dialect,
    defined: BTreeMap<Box<str>, Body>,
}

/// What ended a list of nodes.
enum Terminator<'t> {
    End(Token<'t>),
    /// The token behind the `else`, if that was not the end of the action.
    Else(Token<'t>, Option<Keyword>),
}

fn at<T>(place: usize, result: Result<T, Fault>) -> Lexed<T> {
    result.map_err(|fault| (place, fault))
}

impl<'t> Parser<'t> {
    fn next(&mut self) -> Lexed<Token<'t>> {
        match self.ahead.pop() {
            Some(token) => Ok(token),
            None => self.lexer.next(),
        }
    }

    fn put_back(&mut self, token: Token<'t>) {
        self.ahead.push(token);
    }

    fn peek(&mut self) -> Lexed<Token<'t>> {
        let token = self.next()?;
        self.put_back(token);
        Ok(token)
    }

    fn next_word(&mut self) -> Lexed<Token<'t>> {
        loop {
            let token = self.next()?;
            if token.kind != Kind::Space {
                return Ok(token);
            }
        }
    }

    fn peek_word(&mut self) -> Lexed<Token<'t>> {
        let token = self.next_word()?;
        self.put_back(token);
        Ok(token)
    }

    fn expect(&mut self, kind: Kind, context: &str) -> Lexed<Token<'t>> {
        let token = self.next_word()?;
        if token.kind == kind { Ok(token) } else { unexpected(&token, context) }
    }

    /// Goes one level deeper for the time of `read`.
    fn deeper<T>(&mut self, place: usize, read: impl FnOnce(&mut Self) -> Lexed<T>) -> Lexed<T> {
        if self.nesting == MAX_NESTING {
            return at(place, fail!("more than {MAX_NESTING} levels of control structures and parentheses"));
        }
        self.nesting += 1;
        let result = read(self);
        self.nesting -= 1;
        result
    }

    fn root(&mut self) -> Lexed<Body> {
        let mut body = Body::new();
        loop {
            let token = self.next()?;
            match token.kind {
                Kind::End => return Ok(body),
                Kind::Text => body.push(Node::Text(token.span())),
                _ => {
                    let word = self.next_word()?;
                    if word.kind == Kind::Keyword(Keyword::Define) {
                        self.definition(&token)?;
                        continue;
                    }
                    self.put_back(word);
                    match self.action(&token)? {
                        Ok(node) => body.push(node),
                        Err(Terminator::End(word)) => return at(word.at, fail!("unexpected {{{{end}}}}")),
                        Err(Terminator::Else(word, _)) => {
                            return at(word.at, fail!("unexpected {{{{else}}}}"));
                        }
                    }
                }
            }
        }
    }

    /// A `define`, whose keyword has been read.
    fn definition(&mut self, open: &Token<'t>) -> Lexed<()> {
        let context = "define clause";
        let (name, place) = self.template_name(context)?;
        self.expect(Kind::RightDelim, context)?;
        let body = self.isolated(open, context)?;
        self.define(name, place, body)
    }

    /// What a `define` or `block` encloses: no variable and no loop around it is seen inside.
    fn isolated(&mut self, open: &Token<'t>, context: &str) -> Lexed<Body> {
        let around = std::mem::replace(&mut self.scope, Scope::with(&[]));
        let body = self.deeper(open.at, |this| this.body(open))?;
        self.scope = around;
        match body {
            (body, Terminator::End(_)) => Ok(body),
            (_, Terminator::Else(word, _)) => at(word.at, fail!("unexpected {{{{else}}}} in {context}")),
        }
    }

    fn define(&mut self, name: Box<str>, place: usize, body: Body) -> Lexed<()> {
        let text = self.text;
        let is_blank = |body: &Body| {
            body.iter().all(|node| match node {
                Node::Text(span) => text[span.start..span.end].trim_ascii().is_empty(),
                _ => false,
            })
        };
        match self.defined.get(&name) {
            // An empty definition gives way to another one.
            Some(known) if !is_blank(known) => {
                if !is_blank(&body) {
                    return at(place, fail!("multiple definition of template {name:?}"));
                }
            }
            _ => {
                self.defined.insert(name, body);
            }
        }
        Ok(())
    }

    /// Nodes up to an `end` or `else`; `open` is the beginning of the action that these are to end.
    fn body(&mut self, open: &Token<'t>) -> Lexed<(Body, Terminator<'t>)> {
        let mut body = Body::new();
        loop {
            let token = self.next_word()?;
            match token.kind {
                Kind::Text => body.push(Node::Text(token.span())),
                Kind::LeftDelim => match self.action(&token)? {
                    Ok(node) => body.push(node),
                    Err(terminator) => return Ok((body, terminator)),
                },
                Kind::End => {
                    let place = Place::of(self.text, open.at);
                    return at(token.at, fail!("unexpected EOF: the action of {place} has no {{{{end}}}}"));
                }
                _ => return unexpected(&token, "input"),
            }
        }
    }

    /// An action, whose delimiter has been read.
    fn action(&mut self, open: &Token<'t>) -> Lexed<Result<Node, Terminator<'t>>> {
        let word = self.next_word()?;
        let Kind::Keyword(keyword) = word.kind else {
            self.put_back(word);
            // Its variables stay until the next end.
            return Ok(Ok(Node::Action(self.pipe("command", Kind::RightDelim)?)));
        };
        Ok(Ok(match keyword {
            Keyword::If => Node::If(self.choice(open, Keyword::If)?),
            Keyword::With => Node::With(self.choice(open, Keyword::With)?),
            Keyword::Range => Node::Range(self.range(open)?),
            Keyword::Template => Node::Call(self.call(&word)?),
            Keyword::Block => Node::Call(self.block(open, &word)?),
            Keyword::Break | Keyword::Continue => {
                let context = format!("{{{{{}}}}}", word.text);
                self.expect(Kind::RightDelim, &context)?;
                if self.scope.loops == 0 {
                    return at(word.at, fail!("{context} outside {{{{range}}}}"));
                }
                if keyword == Keyword::Break { Node::Break } else { Node::Continue }
            }
            Keyword::End => {
                self.expect(Kind::RightDelim, "end")?;
                return Ok(Err(Terminator::End(word)));
            }
            Keyword::Else => {
                let behind = self.next_word()?;
                return match behind.kind {
                    Kind::RightDelim => Ok(Err(Terminator::Else(word, None))),
                    Kind::Keyword(keyword @ (Keyword::If | Keyword::With)) => {
                        Ok(Err(Terminator::Else(behind, Some(keyword))))
                    }
                    _ => unexpected(&behind, "else"),
                };
            }
            Keyword::Define => return unexpected(&word, "command"),
        }))
    }

    /// `if` or `with`, up to its end.
    fn choice(&mut self, open: &Token<'t>, keyword: Keyword) -> Lexed<Choice> {
        let context = if keyword == Keyword::If { "if" } else { "with" };
        let declared = self.scope.variables.len();
        let mut choice = Choice { arms: Vec::new(), otherwise: Body::new() };
        loop {
            let pipe = self.pipe(context, Kind::RightDelim)?;
            let (body, terminator) = self.deeper(open.at, |this| this.body(open))?;
            choice.arms.push((pipe, body));
            match terminator {
                Terminator::End(_) => break,
                Terminator::Else(_, Some(next)) if next == keyword => {}
                Terminator::Else(word, Some(_)) => return unexpected(&word, "input"),
                Terminator::Else(_, None) => {
                    choice.otherwise = self.otherwise(open)?;
                    break;
                }
            }
        }
        self.scope.variables.truncate(declared);
        Ok(choice)
    }

    /// What stands behind an `else`, up to the end.
    fn otherwise(&mut self, open: &Token<'t>) -> Lexed<Body> {
        match self.deeper(open.at, |this| this.body(open))? {
            (body, Terminator::End(_)) => Ok(body),
            (_, Terminator::Else(word, _)) => at(word.at, fail!("expected end; found {{{{else}}}}")),
        }
    }

    fn range(&mut self, open: &Token<'t>) -> Lexed<Range> {
        let declared = self.scope.variables.len();
        let pipe = self.pipe("range", Kind::RightDelim)?;
        self.scope.loops += 1;
        let (body, terminator) = self.deeper(open.at, |this| this.body(open))?;
        self.scope.loops -= 1;
        let otherwise = match terminator {
            Terminator::End(_) => Body::new(),
            Terminator::Else(_, None) => self.otherwise(open)?,
            Terminator::Else(word, Some(_)) => return unexpected(&word, "input"),
        };
        self.scope.variables.truncate(declared);
        Ok(Range { pipe, body, otherwise })
    }

    fn call(&mut self, keyword: &Token<'t>) -> Lexed<Call> {
        let context = "template clause";
        let (name, place) = self.template_name(context)?;
        let behind = self.next_word()?;
        let pipe = if behind.kind == Kind::RightDelim {
            None
        } else {
            self.put_back(behind);
            Some(self.pipe(context, Kind::RightDelim)?)
        };
        let end = pipe.as_ref().map_or(place + 1, |pipe| pipe.span.end);
        Ok(Call { span: Span { start: keyword.at, end }, name, pipe })
    }

    /// A `block`: a definition that is executed where it stands.
    fn block(&mut self, open: &Token<'t>, keyword: &Token<'t>) -> Lexed<Call> {
        let context = "block clause";
        let (name, place) = self.template_name(context)?;
        let pipe = self.pipe(context, Kind::RightDelim)?;
        let body = self.isolated(open, context)?;
        self.define(name.clone(), place, body)?;
        Ok(Call { span: Span { start: keyword.at, end: pipe.span.end }, name, pipe: Some(pipe) })
    }

    fn template_name(&mut self, context: &str) -> Lexed<(Box<str>, usize)> {
        let token = self.next_word()?;
        match token.kind {
            Kind::Quoted | Kind::Raw => {
                Ok((at(token.at, literal::unquote(token.text))?.into(), token.span().end - 1))
            }
            _ => unexpected(&token, context),
        }
    }

    /// A pipeline up to a token of the kind `end`, which is read too.
    fn pipe(&mut self, context: &str, end: Kind) -> Lexed<Pipe> {
        let first = self.peek_word()?;
        let mut pipe =
            Pipe { span: first.span(), variables: Vec::new(), assigns: false, commands: Vec::new() };
        self.declarations(&mut pipe, context)?;
        loop {
            let token = self.next_word()?;
            match token.kind {
                kind if kind == end => break,
                Kind::Bool
                | Kind::Char
                | Kind::Dot
                | Kind::Field
                | Kind::Identifier
                | Kind::Number
                | Kind::Nil
                | Kind::Raw
                | Kind::Quoted
                | Kind::Variable
                | Kind::LeftParen => {
                    self.put_back(token);
                    let command = self.command()?;
                    pipe.span = pipe.span.to(command.span);
                    pipe.commands.push(command);
                }
                _ => return unexpected(&token, context),
            }
        }
        if pipe.commands.is_empty() {
            return at(first.at, fail!("missing value for {context}"));
        }
        for (number, command) in pipe.commands.iter().enumerate().skip(1) {
            let word = &command.words[0];
            if matches!(
                word.kind,
                TermKind::Bool(_) | TermKind::Dot | TermKind::Nil | TermKind::Number(_) | TermKind::Text(_)
            ) {
                return at(word.span.start, fail!("non executable command in pipeline stage {}", number + 1));
            }
        }
        Ok(pipe)
    }

    /// The variables at the start of a pipeline, if there are any.
    fn declarations(&mut self, pipe: &mut Pipe, context: &str) -> Lexed<()> {
        loop {
            let variable = self.peek_word()?;
            if variable.kind != Kind::Variable {
                return Ok(());
            }
            self.next_word()?;
            let behind = self.next()?;
            let operator = if behind.kind == Kind::Space { self.next_word()? } else { behind };
            match operator.kind {
                Kind::Assign | Kind::Declare => pipe.assigns = operator.kind == Kind::Assign,
                Kind::Comma if context == "range" && pipe.variables.is_empty() => {
                    let next = self.peek_word()?;
                    if !matches!(next.kind, Kind::Variable | Kind::RightDelim | Kind::RightParen) {
                        return at(next.at, fail!("range can only initialize variables"));
                    }
                }
                Kind::Comma => return at(operator.at, fail!("too many declarations in {context}")),
                // It is the first word of a command.
                _ => {
                    self.put_back(operator);
                    if behind.kind == Kind::Space {
                        self.put_back(behind);
                    }
                    self.put_back(variable);
                    return Ok(());
                }
            }
            let name = Name::from(variable.text);
            pipe.variables.push(Arc::clone(&name));
            self.scope.variables.push(name);
            if operator.kind != Kind::Comma {
                return Ok(());
            }
        }
    }

    fn check_declared(&self, variable: &Token<'t>) -> Lexed<()> {
        if self.scope.variables.iter().any(|known| **known == *variable.text) {
            return Ok(());
        }
        at(variable.at, fail!("undefined variable {:?}", variable.text))
    }

    /// Words up to a pipe, which is read too, or what ends the pipeline.
    fn command(&mut self) -> Lexed<Command> {
        let first = self.peek_word()?;
        let mut words = Vec::new();
        loop {
            self.peek_word()?;
            if let Some(operand) = self.operand()? {
                words.push(operand);
            }
            let token = self.next()?;
            match token.kind {
                Kind::Space => {}
                Kind::Pipe => break,
                Kind::RightDelim | Kind::RightParen => {
                    self.put_back(token);
                    break;
                }
                _ => return unexpected(&token, "operand"),
            }
        }
        let Some(last) = words.last() else { return at(first.at, fail!("empty command")) };
        Ok(Command { span: first.span().to(last.span), words })
    }

    /// A term and the fields behind it.
    fn operand(&mut self) -> Lexed<Option<Term>> {
        let Some(term) = self.term()? else { return Ok(None) };
        let mut fields = Vec::new();
        let mut span = term.span;
        while self.peek()?.kind == Kind::Field {
            let field = self.next()?;
            span = span.to(field.span());
            fields.push(Name::from(&field.text[1..]));
        }
        if fields.is_empty() {
            return Ok(Some(term));
        }
        let kind = match term.kind {
            TermKind::Field(mut names) => {
                names.append(&mut fields);
                TermKind::Field(names)
            }
            TermKind::Variable(name, _) => TermKind::Variable(name, fields),
            TermKind::Bool(_) | TermKind::Text(_) | TermKind::Number(_) | TermKind::Nil | TermKind::Dot => {
                let shown = crate::util::brief(&self.text[term.span.start..term.span.end]);
                return at(term.span.end, fail!("unexpected . after term {shown:?}"));
            }
            _ => TermKind::Chain(Box::new(term), fields),
        };
        Ok(Some(Term { span, kind }))
    }

    fn term(&mut self) -> Lexed<Option<Term>> {
        let token = self.next_word()?;
        let mut span = token.span();
        let kind = match token.kind {
            Kind::Identifier => match Function::of(token.text, self.dialect) {
                Some(function) => TermKind::Function(function),
                None if token.text == "tmpl" => {
                    return at(token.at, fail!("function \"tmpl\" not defined: it is for consoles only"));
                }
                None => {
                    let name = crate::util::brief(token.text);
                    return at(token.at, fail!("function {name:?} not defined"));
                }
            },
            Kind::Dot => TermKind::Dot,
            Kind::Nil => TermKind::Nil,
            Kind::Variable => {
                self.check_declared(&token)?;
                TermKind::Variable(token.text.into(), Vec::new())
            }
            Kind::Field => TermKind::Field(vec![token.text[1..].into()]),
            Kind::Bool => TermKind::Bool(token.text == "true"),
            Kind::Number => TermKind::Number(at(token.at, literal::number(token.text))?),
            Kind::Char => {
                let code = at(token.at, literal::character(token.text))?;
                #[expect(clippy::cast_precision_loss, reason = "codes of characters are small")]
                TermKind::Number(Number { int: Some(code), float: code as f64, is_float: false })
            }
            Kind::LeftParen => {
                let read = |this: &mut Self| this.pipe("parenthesized pipeline", Kind::RightParen);
                let pipe = self.deeper(token.at, read)?;
                span.end =
                    self.text[pipe.span.end..].find(')').map_or(pipe.span.end, |n| pipe.span.end + n + 1);
                TermKind::Pipe(Box::new(pipe))
            }
            Kind::Quoted | Kind::Raw => TermKind::Text(at(token.at, literal::unquote(token.text))?.into()),
            _ => {
                self.put_back(token);
                return Ok(None);
            }
        };
        Ok(Some(Term { span, kind }))
    }
}
