//! Corpus tests of the parser: what parses, how it prints, which errors come where.

use super::ast::{BinaryOp, ExprKind};
use super::{pretty, to_json};
use crate::promql::{Error, Features, parse};

fn error_of(query: &str, features: &Features) -> (usize, String) {
    match parse(query, features) {
        Err(Error::Parse { message, span, .. }) => (span.start, message),
        other => panic!("{query:?} gives {other:?}"),
    }
}

#[test]
fn prints_the_canonical_form() {
    let check = |query: &str, expected: &str| {
        let expr = parse(query, &Features::all()).unwrap_or_else(|error| panic!("{query}: {error}"));
        assert_eq!(expr.to_string(), expected, "{query}");
        let again = parse(expected, &Features::all()).unwrap_or_else(|error| panic!("{expected}: {error}"));
        assert_eq!(again.to_string(), expected, "printing is stable");
        to_json(&expr);
    };
    check("1", "1");
    check("0x1F + 017 + 1e3", "31 + 15 + 1000");
    check("-1^2", "-1 ^ 2");
    check("1_000", "1000");
    check("1_000.5", "1000.5");
    check("5m30s", "5m30s");
    check("sum by() (x)", "sum(x)");
    check("sum by(b,a) (x)", "sum by (b, a) (x)");
    check("SUM(x) without()", "sum without () (x)");
    check("topk(5, x)", "topk(5, x)");
    check("a{c='d',b!=\"e\",}", "a{b!=\"e\",c=\"d\"}");
    check("{\"my.metric\", 'l.x'=~`y`}", "{\"l.x\"=~\"y\",__name__=\"my.metric\"}");
    check("a[5m] @ 100 offset 1h", "a[5m] @ 100.000 offset 1h");
    check("a offset -1h @ start()", "a @ start() offset -1h");
    check("a[5m] anchored", "a[5m] anchored");
    check("rate(a[1h:5m] offset 1m)[30m:]", "rate(a[1h:5m] offset 1m)[30m:]");
    check("a[step() * 2 + (1m)]", "a[step() * 2 + (1m)]");
    check("a offset min_of(step(), 5m)", "a offset min_of(step(), 5m)");
    check("a == bool on(x) group_left(y) b", "a == bool on (x) group_left (y) b");
    check("a + fill(1) b", "a + fill (1) b");
    check("a + on(l) fill_left(1) fill_right(2) b", "a + on (l) fill_left (1) fill_right (2) b");
    check("a + fill_left(0) fill_right(-0) b", "a + fill_left (0) fill_right (-0) b");
    check("fill + fill", "fill + fill");
    check("offset offset 5m", "offset offset 5m");
    check("a </ 2 >/ 3", "a </ 2 >/ 3");
    check("sum(by)", "sum(by)");
    check("x # comment\n + y", "x + y");
    check("label_replace(a, \"b\", '$1', `c`, \".*\")", "label_replace(a, \"b\", \"$1\", \"c\", \".*\")");
    check("a[300]", "a[5m]");
    check("a offset 1.5", "a offset 1s500ms");
}

#[test]
fn knows_how_tightly_operators_bind() {
    let root = |query: &str| match parse(query, &Features::all()).expect(query).kind {
        ExprKind::Binary(binary) => Some(binary.op),
        _ => None,
    };
    assert_eq!(root("a or b and c"), Some(BinaryOp::Or));
    assert_eq!(root("a == b + c"), Some(BinaryOp::Equal));
    assert_eq!(root("a + b * c"), Some(BinaryOp::Add));
    assert_eq!(root("-a * b"), Some(BinaryOp::Mul));
    assert_eq!(root("-a ^ b"), None);
    assert_eq!(root("foo offset -2^2"), Some(BinaryOp::Pow));
    // 2 ^ 3 ^ 2 is 2 ^ (3 ^ 2), 2 - 3 - 2 is (2 - 3) - 2.
    let ExprKind::Binary(power) = parse("2 ^ 3 ^ 2", &Features::all()).expect("a power").kind else {
        panic!("not binary")
    };
    assert_eq!((power.lhs.to_string(), power.rhs.to_string()), ("2".into(), "3 ^ 2".into()));
    let ExprKind::Binary(minus) = parse("2 - 3 - 2", &Features::all()).expect("a difference").kind else {
        panic!("not binary")
    };
    assert_eq!((minus.lhs.to_string(), minus.rhs.to_string()), ("2 - 3".into(), "2".into()));
}

#[test]
fn reports_the_first_error_where_it_is() {
    let check = |query: &str, start: usize, message: &str| {
        assert_eq!(error_of(query, &Features::all()), (start, message.to_owned()), "{query}");
    };
    check("", 0, "no expression found in input");
    check("1+", 2, "unexpected end of input");
    check("*1", 0, "unexpected <op:*>");
    check("(1", 2, "unclosed left parenthesis");
    check("foo bar", 4, "unexpected identifier \"bar\"");
    check("sum(foo bar)", 8, "unexpected identifier \"bar\" in aggregation");
    check("sum by foo", 7, "unexpected identifier \"foo\" in grouping opts, expected \"(\"");
    check("a{b}", 3, "unexpected \"}\" in label matching, expected label matching operator");
    check("a{b=1}", 4, "unexpected character inside braces: '1'");
    check("a[5m", 4, "unclosed left bracket");
    check(
        "a[]",
        2,
        "unexpected \"]\" in subquery or range selector, expected number, duration, step(), or range()",
    );
    check("a[5m:5m", 7, "unclosed left bracket");
    check("a offset", 8, "unexpected end of input in offset, expected number, duration, step(), or range()");
    check("a @ b", 4, "unexpected identifier \"b\" in @, expected timestamp");
    check("a[0]", 2, "duration must be greater than 0");
    check("(a)[5m]", 3, "ranges only allowed for vector selectors");
    check("a offset 1m offset 2m", 0, "offset may not be set multiple times");
    check(
        "1 offset 1m",
        0,
        "offset modifier must be preceded by an instant vector selector or range vector selector or a subquery",
    );
    check("{}", 0, "vector selector must contain at least one non-empty matcher");
    check("{a=~\".*\"}", 0, "vector selector must contain at least one non-empty matcher");
    check("a{__name__=\"b\"}", 0, "metric name must not be set twice: \"a\" or \"b\"");
    check("nope(a)", 0, "unknown function with name \"nope\"");
    check("rate(a)", 5, "expected type range vector in call to function \"rate\", got instant vector");
    check("abs()", 0, "expected 1 argument(s) in call to \"abs\", got 0");
    check("abs(a,)", 5, "trailing commas not allowed in function call args");
    check("1 == 1", 2, "comparisons between scalars must use BOOL modifier");
    check("a + bool b", 2, "bool modifier can only be used on comparison operators");
    check("a and 1", 0, "set operator \"and\" not allowed in binary scalar expression");
    check("a and on(x) group_left b", 0, "no grouping allowed for \"and\" operation");
    check(
        "-\"a\"",
        0,
        "unary expression only allowed on expressions of type scalar or instant vector, got \"string\"",
    );
    check("a[5m][1h:]", 0, "subquery is only allowed on instant vector, got matrix instead");
    check("sum()", 0, "no arguments for aggregate expression provided");
    check("topk(a)", 0, "wrong number of arguments for aggregate expression provided, expected 2, got 1");
    check("1e999", 0, "error parsing number: strconv.ParseFloat: parsing \"1e999\": value out of range");
    check("a @ Inf", 0, "timestamp out of bounds for @ modifier: +Inf");
}

#[test]
fn guards_what_has_to_be_switched_on() {
    let check = |query: &str, message: &str| {
        assert_eq!(error_of(query, &Features::default()).1, message, "{query}");
        parse(query, &Features::all()).unwrap_or_else(|error| panic!("{query}: {error}"));
    };
    check("a anchored", "anchored modifier is experimental and not enabled");
    check("a + fill(1) b", "binop fill modifiers are experimental and not enabled");
    check("mad_over_time(a[5m])", "function \"mad_over_time\" is not enabled");
    check(
        "limitk(1, a)",
        "limitk() is experimental and must be enabled with --enable-feature=promql-experimental-functions",
    );
}

#[test]
fn positions_count_lines_and_bytes() {
    let text = |query: &str| parse(query, &Features::all()).expect_err(query).to_string();
    assert_eq!(text(""), "unknown position: parse error: no expression found in input");
    assert_eq!(text("a +\n  b c"), "2:5: parse error: unexpected identifier \"c\"");
}

#[test]
fn deep_nesting_is_an_error_and_not_a_crash() {
    for query in [
        "(".repeat(100_000),
        "-".repeat(100_000) + "a",
        "sum(".repeat(50_000),
        "1+".repeat(100_000) + "1",
        "2^".repeat(100_000) + "1",
        format!("a[{}1", "(".repeat(100_000)),
        format!("a offset {}1", "-".repeat(100_000)),
        format!("a{}", "[1m:1m]".repeat(100_000)),
    ] {
        assert!(parse(&query, &Features::all()).is_err());
    }
    for long in ["a or ".repeat(1900) + "a", "1+".repeat(1900) + "1"] {
        let expr = parse(&long, &Features::all()).expect("a long chain");
        assert_eq!(expr.height(), 1901);
        assert_eq!(expr.to_string().replace(' ', ""), long.replace(' ', ""));
        assert!(crate::promql::to_json(&expr).expect("a thread").get().len() > long.len());
        assert_eq!(crate::promql::selectors(&expr).expect("a thread").len(), long.matches('a').count());
    }
    let long = parse(&("a + ".repeat(240) + "a"), &Features::all()).expect("a chain");
    let printed = crate::promql::format(&long).expect("a thread");
    assert_eq!(parse(&printed, &Features::all()).expect("the same").to_string(), long.to_string());
    let long = parse(&("a + ".repeat(300) + "a"), &Features::all()).expect("a chain");
    let refused = crate::promql::format(&long).expect_err("it would be far longer than the query");
    assert_eq!(refused.to_string(), "expression is nested too deeply to be formatted");
}

/// A small generator of numbers, so that failures can be repeated from the seed.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap_or(0) % limit
    }
}

#[test]
fn random_texts_parse_or_fail_but_never_crash() {
    const WORDS: [&str; 64] = [
        "a",
        "b:c",
        "sum",
        "topk",
        "by",
        "without",
        "(",
        ")",
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        "=",
        "=~",
        "!~",
        "!=",
        "\"x\"",
        "'y'",
        "`z`",
        "1",
        "5m",
        "0x1f",
        "1e9",
        "Inf",
        "NaN",
        "+",
        "-",
        "*",
        "/",
        "%",
        "^",
        "==",
        "<",
        ">=",
        "</",
        ">/",
        "and",
        "or",
        "unless",
        "bool",
        "on",
        "ignoring",
        "group_left",
        "group_right",
        "fill",
        "offset",
        "@",
        "start",
        "end",
        "step",
        "range",
        "min_of",
        "anchored",
        "smoothed",
        "rate",
        "time",
        "#",
        "\n",
        " ",
        "\u{e4}",
        "\\",
        "__name__",
    ];
    for seed in 0..4000 {
        let mut random = Random(seed);
        let mut text = String::new();
        for _ in 0..random.below(24) {
            text.push_str(WORDS[random.below(WORDS.len())]);
            if random.below(2) == 0 {
                text.push(' ');
            }
        }
        if let Ok(expr) = parse(&text, &Features::all()) {
            let printed = expr.to_string();
            let again = parse(&printed, &Features::all());
            let again = again.unwrap_or_else(|e| panic!("seed {seed}: {text:?} prints as {printed:?}: {e}"));
            assert_eq!(again.to_string(), printed, "seed {seed}: {text:?}");
            pretty(&expr);
        }
        // Errors must be printable whatever the text.
        if let Err(error) = parse(&text, &Features::default()) {
            assert!(!error.to_string().is_empty());
        }
    }
}

/// Time in the square of the length would be minutes and more.
#[test]
fn long_lists_are_read_in_one_go() {
    let many = |text: &str| vec![text; 200_000].join(",");
    let query = format!("a * on({}) group_left({}) d", many("b"), many("c"));
    assert!(parse(&query, &Features::all()).is_ok());
    let query = format!("a * on({}) group_left({}) d", many("b"), many("b"));
    let error = parse(&query, &Features::all()).expect_err("it is in both");
    assert!(error.to_string().contains("label \"b\" must not occur"));
}
