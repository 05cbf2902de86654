//! What a template reads: whether its text can differ between two moments of the same series.

use super::function::Function;
use super::parser::Parsed;
use super::syntax::{Body, Choice, Command, Name, Node, Pipe, Term, TermKind};

/// Whether the text is the same as long as the labels of the series are. The answer may be no where it is: a dot by
/// itself stands for all data.
pub(super) fn reads_labels_alone(parsed: &Parsed) -> bool {
    body(&parsed.root) && parsed.defined.values().all(body)
}

fn body(nodes: &Body) -> bool {
    nodes.iter().all(|node| match node {
        Node::Text(_) | Node::Break | Node::Continue => true,
        Node::Action(one) => pipe(one),
        Node::If(choice) | Node::With(choice) => arms(choice),
        Node::Range(range) => pipe(&range.pipe) && body(&range.body) && body(&range.otherwise),
        Node::Call(call) => call.pipe.as_ref().is_none_or(pipe),
    })
}

fn arms(choice: &Choice) -> bool {
    choice.arms.iter().all(|(one, inside)| pipe(one) && body(inside)) && body(&choice.otherwise)
}

fn pipe(pipe: &Pipe) -> bool {
    pipe.commands.iter().all(command)
}

fn command(command: &Command) -> bool {
    command.words.iter().all(term)
}

fn term(term: &Term) -> bool {
    match &term.kind {
        TermKind::Nil | TermKind::Bool(_) | TermKind::Number(_) | TermKind::Text(_) => true,
        TermKind::Dot => false,
        TermKind::Field(names) => field(names),
        TermKind::Variable(name, names) => match &**name {
            "$" => field(names),
            "$value" => false,
            _ => true,
        },
        TermKind::Function(function) => !matches!(function, Function::Query | Function::Now),
        TermKind::Pipe(inner) => pipe(inner),
        TermKind::Chain(inner, _) => self::term(inner),
    }
}

fn field(names: &[Name]) -> bool {
    names.first().is_some_and(|first| &**first != "Value")
}

#[cfg(test)]
mod tests {
    use crate::template::Template;

    #[test]
    fn values_times_and_queries_are_noticed() {
        let check = |text: &str, expected: bool| {
            let template = Template::parse("t", text).expect("a template");
            assert_eq!(template.reads_labels_alone(), expected, "{text}");
        };
        check("page", true);
        check("{{ $labels.job }}-{{ .Labels.instance | toUpper }}", true);
        check("{{ if eq $labels.env \"prod\" }}page{{ else }}ticket{{ end }}", true);
        check("{{ $x := $labels.job }}{{ $x }} {{ $.ExternalLabels.dc }}", true);
        check("{{ $value }}", false);
        check("{{ if gt .Value 9.0 }}critical{{ else }}warning{{ end }}", false);
        check("{{ $x := $value }}{{ $x }}", false);
        check("{{ printf \"%v\" . }}", false);
        check("{{ $.Value }}", false);
        check("{{ query \"up\" | len }}", false);
        check("{{ now }}", false);
        check("{{ define \"v\" }}{{ .Value }}{{ end }}{{ template \"v\" . }}", false);
    }
}
