//! Lists of matchers as Alertmanager writes them: `severity=~"warning|critical", team = db`.

use super::{MatchOp, Matcher, RegexBudget};
use crate::util::brief;

/// Bytes of such a text at most.
const MAX_BYTES: usize = 16 << 10;

/// Matchers in one text at most.
const MAX_MATCHERS: usize = 64;

/// Reads matchers, with or without braces around them. Values may stand without quotes as long as they have no comma.
///
/// # Errors
/// A text saying what is wrong.
pub fn parse_matchers(text: &str) -> Result<Vec<Matcher>, String> {
    if text.len() > MAX_BYTES {
        return Err(format!("matchers of more than {MAX_BYTES} bytes"));
    }
    let trimmed = text.trim();
    let inside = match (trimmed.strip_prefix('{'), trimmed.ends_with('}')) {
        (Some(rest), true) => rest.strip_suffix('}').unwrap_or(rest),
        (None, false) => trimmed,
        (None, true) if trimmed.contains(['"', '=']) && !unquoted_brace(trimmed) => trimmed,
        _ => return Err(format!("braces do not match in {:?}", brief(text))),
    };
    let mut rest = inside.trim();
    let mut budget = RegexBudget::default();
    let mut found = Vec::new();
    while !rest.is_empty() {
        if found.len() == MAX_MATCHERS {
            return Err(format!("more than {MAX_MATCHERS} matchers"));
        }
        let (name, after) = read_name(rest)?;
        let (op, after) = read_op(after.trim_start()).ok_or_else(|| {
            format!("expected =, !=, =~ or !~ behind {:?} in {:?}", brief(&name), brief(text))
        })?;
        let (value, after) = read_value(after.trim_start())?;
        let matcher = Matcher::within(name, op, value, &mut budget).map_err(|error| error.to_string())?;
        found.push(matcher);
        rest = match after.trim_start().strip_prefix(',') {
            Some(next) => next.trim_start(),
            None if after.trim_start().is_empty() => "",
            None => return Err(format!("expected a comma before {:?}", brief(after.trim_start()))),
        };
    }
    Ok(found)
}

/// Reads one matcher and nothing else.
///
/// # Errors
/// As [`parse_matchers`], and when there is none or more than one.
pub fn parse_matcher(text: &str) -> Result<Matcher, String> {
    let mut all = parse_matchers(text)?;
    match all.len() {
        1 => Ok(all.remove(0)),
        _ => Err(format!("expected one matcher, not {:?}", brief(text))),
    }
}

/// Whether the brace at the end closes something: it is not part of a quoted value or a regular expression's `{2}`.
fn unquoted_brace(text: &str) -> bool {
    let opened = text.matches('{').count();
    opened != text.matches('}').count()
}

fn read_name(text: &str) -> Result<(String, &str), String> {
    if text.starts_with('"') {
        return read_quoted(text);
    }
    let end = text.find(['=', '!', '~', ',']).unwrap_or(text.len());
    let name = text[..end].trim_end();
    if name.is_empty() || name.contains(|c: char| c.is_whitespace() || c == '"' || c == '{' || c == '}') {
        return Err(format!("{:?} does not begin with a label name", brief(text)));
    }
    Ok((name.to_owned(), &text[end..]))
}

fn read_op(text: &str) -> Option<(MatchOp, &str)> {
    const OPS: [(&str, MatchOp); 4] =
        [("=~", MatchOp::Regex), ("!~", MatchOp::NotRegex), ("!=", MatchOp::NotEqual), ("=", MatchOp::Equal)];
    OPS.into_iter().find_map(|(sign, op)| text.strip_prefix(sign).map(|rest| (op, rest)))
}

fn read_value(text: &str) -> Result<(String, &str), String> {
    if text.starts_with('"') {
        return read_quoted(text);
    }
    let end = text.find(',').unwrap_or(text.len());
    let value = text[..end].trim_end();
    if value.contains('"') {
        return Err(format!("a quotation mark inside of the value {:?}", brief(value)));
    }
    Ok((value.to_owned(), &text[end..]))
}

/// Text in quotation marks, with `\"`, `\\` and `\n`.
fn read_quoted(text: &str) -> Result<(String, &str), String> {
    let mut out = String::new();
    let mut characters = text.char_indices().skip(1);
    while let Some((at, c)) = characters.next() {
        match c {
            '"' => return Ok((out, &text[at + 1..])),
            '\\' => match characters.next() {
                Some((_, 'n')) => out.push('\n'),
                Some((_, c @ ('"' | '\\'))) => out.push(c),
                // A backslash that escapes nothing is one: expressions are full of them.
                Some((_, c)) => out.extend(['\\', c]),
                None => break,
            },
            c => out.push(c),
        }
    }
    Err(format!("the quotation mark of {:?} is not closed", brief(text)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matchers_are_read_as_alertmanager_reads_them() {
        let check = |text: &str, expected: &[&str]| {
            let read = parse_matchers(text).expect(text);
            assert_eq!(read.iter().map(ToString::to_string).collect::<Vec<_>>(), expected, "{text}");
        };
        check(r#"{foo="bar", dings!="bums",}"#, &[r#"foo="bar""#, r#"dings!="bums""#]);
        check("foo = bar", &[r#"foo="bar""#]);
        check(r#"severity=~"a|b{2},c" , x!~"\d+""#, &[r#"severity=~"a|b{2},c""#, r#"x!~"\\d+""#]);
        check(r#"a="say \"hi\"\n\\""#, &[r#"a="say \"hi\"\n\\""#]);
        check(r#""odd name"="x""#, &[r#""odd name"="x""#]);
        check("a=", &[r#"a="""#]);
        check(r#"a=~"x{2}""#, &[r#"a=~"x{2}""#]);
        check("{}", &[]);
        check("", &[]);
    }

    #[test]
    fn what_is_no_matcher_is_refused() {
        for text in ["foo", "=x", "a=\"x", "a=\"x\" b=\"y\"", "{a=x", "a=~\"(\"", "a=b\"c", "a b=c", ","] {
            assert!(parse_matchers(text).is_err(), "{text}");
        }
        assert!(parse_matchers(&"a=b,".repeat(65)).is_err());
        assert!(parse_matchers(&"x".repeat(MAX_BYTES + 1)).is_err());
        assert!(parse_matcher("a=b,c=d").is_err() && parse_matcher("").is_err());
    }
}
