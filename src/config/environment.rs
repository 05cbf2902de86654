//! `${NAME}` in the text of a configuration, replaced from the environment before the YAML is read; and the same in
//! external labels, where Prometheus does it too, and `$NAME` besides.
//!
//! `$${` stands for a plain `${`. Text inside comments is left alone, and so is `${1}`, which belongs to relabelling.
//! Lines keep their numbers.

use std::borrow::Cow;

use super::Error;

/// Replaces every reference in `text`; `lookup` is the environment.
pub(super) fn expand<'a>(
    text: &'a str,
    file: &str,
    lookup: &dyn Fn(&str) -> Option<String>,
) -> Result<Cow<'a, str>, Error> {
    if !text.contains("${") {
        return Ok(Cow::Borrowed(text));
    }
    let mut out = String::with_capacity(text.len());
    for (at, line) in text.split_inclusive('\n').enumerate() {
        let (mut rest, comment) = line.split_at(comment_start(line));
        let error = |name: &str, reason| {
            let (file, name) = (file.to_owned(), name.to_owned());
            Err(Error::Environment { file, line: at + 1, name, reason })
        };
        while let Some(start) = rest.find("${") {
            let (before, after) = rest.split_at(start);
            let after = &after[2..];
            if let Some(before) = before.strip_suffix('$') {
                out.push_str(before);
                out.push_str("${");
                rest = after;
                continue;
            }
            out.push_str(before);
            let Some((name, tail)) = after.split_once('}') else {
                return error(after.trim_end(), "has no closing brace");
            };
            rest = tail;
            if name.starts_with(|c: char| c.is_ascii_digit()) {
                out.push_str("${");
                out.push_str(name);
                out.push('}');
                continue;
            }
            if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
                return error(name, "is not a valid name");
            }
            match lookup(name) {
                Some(value) if !value.contains('\n') => out.push_str(&value),
                Some(_) => return error(name, "holds more than one line"),
                None => return error(name, "is not set"),
            }
        }
        out.push_str(rest);
        out.push_str(comment);
    }
    Ok(Cow::Owned(out))
}

/// Replaces `$NAME` and `${NAME}` in a label value; `$$` is a plain `$`. A variable that is not set or empty is told to
/// `missing`.
pub(super) fn expand_value(
    text: &str,
    lookup: &dyn Fn(&str) -> Option<String>,
    missing: &dyn Fn(&str),
) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        out.push_str(before);
        let (name, tail) = reference(after);
        rest = tail;
        match name {
            // A dollar that begins no name is left alone.
            None | Some("$") => out.push('$'),
            Some("") => {}
            Some(name) => match lookup(name).filter(|value| !value.is_empty()) {
                Some(value) => out.push_str(&value),
                None => missing(name),
            },
        }
    }
    out.push_str(rest);
    out
}

/// The name after a dollar, and what follows it. One that is empty is to be left out: braces around nothing, or without
/// an end.
fn reference(after: &str) -> (Option<&str>, &str) {
    if let Some(inside) = after.strip_prefix('{') {
        return match inside.split_once('}') {
            Some((name, tail)) => (Some(name), tail),
            None => (Some(""), inside),
        };
    }
    let special = |c: char| c.is_ascii_digit() || "*#$@!?-".contains(c);
    if let Some(first) = after.chars().next().filter(|c| special(*c)) {
        let (name, tail) = after.split_at(first.len_utf8());
        return (Some(name), tail);
    }
    let length = after.bytes().take_while(|b| b.is_ascii_alphanumeric() || *b == b'_').count();
    let (name, tail) = after.split_at(length);
    (Some(name).filter(|name| !name.is_empty()), tail)
}

/// Where the comment of a line starts: at a `#` outside quotes with a blank before it.
fn comment_start(line: &str) -> usize {
    let mut quote = None;
    let mut before = b' ';
    for (at, byte) in line.bytes().enumerate() {
        match (quote, byte) {
            (None, b'#') if before.is_ascii_whitespace() => return at,
            // A quote inside a plain word, as in "it's", opens nothing.
            (None, b'"' | b'\'') if !before.is_ascii_alphanumeric() => quote = Some(byte),
            (Some(b'"'), b'"') if before != b'\\' => quote = None,
            (Some(b'\''), b'\'') => quote = None,
            _ => {}
        }
        before = byte;
    }
    line.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn label_values_take_both_forms() {
        let lookup = |name: &str| (name == "HOST").then(|| "box".to_owned());
        let check = |text: &str, expected: &str, absent: &[&str]| {
            let told = std::cell::RefCell::new(Vec::new());
            let missing = |name: &str| told.borrow_mut().push(name.to_owned());
            assert_eq!(expand_value(text, &lookup, &missing), expected, "{text}");
            assert_eq!(told.into_inner(), absent, "{text}");
        };
        check("a-$HOST-${HOST}.b", "a-box-box.b", &[]);
        check("$$HOST $", "$HOST $", &[]);
        check("x$NOPE-${NOPE}y", "x-y", &["NOPE", "NOPE"]);
        check("${}a ${HOST", "a HOST", &[]);
        check("100% $ of", "100% $ of", &[]);
    }

    #[test]
    fn replaces_outside_comments_only() {
        let lookup = |name: &str| (name == "HOST").then(|| "box".to_owned());
        let check = |text: &str, expected: &str| {
            assert_eq!(expand(text, "f.yml", &lookup).unwrap_or_else(|e| e.to_string().into()), expected);
        };
        check("a: ${HOST}:9323 # ${NOPE}\n", "a: box:9323 # ${NOPE}\n");
        check("# ${NOPE}\nb: \"#${HOST}\"", "# ${NOPE}\nb: \"#box\"");
        check("a: $${HOST} ${1} $HOST", "a: ${HOST} ${1} $HOST");
        check("x: 1\na: ${NOPE}", "f.yml:2: environment variable \"NOPE\" is not set");
        check("a: ${A B}", "f.yml:1: environment variable \"A B\" is not a valid name");
        check("a: ${HOST", "f.yml:1: environment variable \"HOST\" has no closing brace");
    }
}
