//! Regular expressions as Prometheus means them: RE2 syntax, anchored at both ends, dot matches newline.
//!
//! The expression is rewritten for the `regex` crate, whose classes are wider (`\d` means any script's digits) and
//! whose syntax is both larger and smaller. Small sets of literals (`a|b|c`) and literals with wildcards around
//! them (`a.*`, `.*a`, `.*a.*`) are compared without the engine.

use std::fmt;

/// Most repetitions one expression may ask for, as in RE2.
const MAX_REPEAT: u32 = 1000;

/// Largest compiled form.
const SIZE_LIMIT: usize = 10 << 20;

/// A compiled, fully anchored regular expression.
#[derive(Clone)]
pub struct Anchored {
    source: String,
    compiled: regex::Regex,
    fast: Fast,
    /// Every text it matches starts so.
    prefix: String,
}

/// Forms that need no engine.
#[derive(Clone)]
enum Fast {
    None,
    /// Sorted, unique.
    Literals(Vec<String>),
    /// A literal with something before or behind it.
    Around {
        before: Wildcard,
        literal: String,
        behind: Wildcard,
    },
}

#[derive(Clone, Copy, PartialEq)]
enum Wildcard {
    Nothing,
    /// `.*`
    Anything,
    /// `.+`
    Something,
}

/// A regular expression that does not compile.
#[derive(Debug, Clone, thiserror::Error)]
#[error("error parsing regexp: {0}")]
pub struct RegexError(String);

impl Anchored {
    /// Compiles `source`, to match whole texts, with the dot matching newlines too.
    ///
    /// # Errors
    /// When `source` is not a regular expression, or too large once compiled.
    pub fn new(source: &str) -> Result<Self, RegexError> {
        let translated = translate(source)?;
        let compiled = regex::RegexBuilder::new(&format!("^(?s:{translated})$"))
            .size_limit(SIZE_LIMIT)
            .build()
            .map_err(|error| RegexError(format!("{}: `{source}`", reason(&error))))?;
        Ok(Self {
            source: source.to_owned(),
            compiled,
            fast: fast_form(source),
            prefix: literal_prefix(source).to_owned(),
        })
    }

    /// The text it was made from.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The complete, sorted list of texts it matches, when that is a small fixed set.
    pub fn literals(&self) -> Option<&[String]> {
        match &self.fast {
            Fast::Literals(set) => Some(set),
            _ => None,
        }
    }

    /// A text that all matching texts start with; may be shorter than the longest there is.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// Whether the whole of `text` matches.
    pub fn is_match(&self, text: &str) -> bool {
        match &self.fast {
            Fast::None => self.compiled.is_match(text),
            Fast::Literals(set) => set.binary_search_by(|l| l.as_str().cmp(text)).is_ok(),
            Fast::Around { before, literal, behind } => around(text, *before, literal, *behind),
        }
    }

    /// The template filled with the groups of the match, if the whole of `text` matches: `$1`, `$name`, `${name}`.
    /// Before it is filled `admit` is told how many bytes that makes; what it answers comes with the text.
    ///
    /// # Errors
    /// Those of `admit`.
    pub fn expand<T, E>(
        &self,
        text: &str,
        template: &str,
        admit: impl FnOnce(usize) -> Result<T, E>,
    ) -> Result<Option<(String, T)>, E> {
        let Some(found) = self.compiled.captures(text) else { return Ok(None) };
        let mut bytes = 0;
        each_part(template, &found, |part| bytes += part.len());
        let admitted = admit(bytes)?;
        let mut out = String::with_capacity(bytes);
        each_part(template, &found, |part| out.push_str(part));
        Ok(Some((out, admitted)))
    }

    /// The compiled expression, for captures.
    pub fn compiled(&self) -> &regex::Regex {
        &self.compiled
    }
}

impl PartialEq for Anchored {
    fn eq(&self, other: &Self) -> bool {
        self.source == other.source
    }
}

impl Eq for Anchored {}

impl fmt::Debug for Anchored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "/{}/", self.source)
    }
}

/// The last line of the engine's message: what is wrong, without the drawing.
fn reason(error: &regex::Error) -> String {
    let text = error.to_string();
    let last = text.lines().last().unwrap_or("").trim();
    last.strip_prefix("error: ").unwrap_or(last).to_owned()
}

fn around(text: &str, before: Wildcard, literal: &str, behind: Wildcard) -> bool {
    // A wildcard that needs a character needs a whole one: bytes will not do.
    let first = text.chars().next().map_or(0, char::len_utf8);
    let last = text.chars().next_back().map_or(0, char::len_utf8);
    match (before, behind) {
        (Wildcard::Nothing, Wildcard::Nothing) => text == literal,
        (Wildcard::Nothing, Wildcard::Anything) => text.starts_with(literal),
        (Wildcard::Nothing, Wildcard::Something) => text.len() > literal.len() && text.starts_with(literal),
        (Wildcard::Anything, Wildcard::Nothing) => text.ends_with(literal),
        (Wildcard::Something, Wildcard::Nothing) => text.len() > literal.len() && text.ends_with(literal),
        (before, behind) => {
            let start = if before == Wildcard::Something { first } else { 0 };
            let end = text.len() - if behind == Wildcard::Something { last } else { 0 };
            let empty = text.is_empty() && (before, behind) != (Wildcard::Anything, Wildcard::Anything);
            !empty && start <= end && text[start..end].contains(literal)
        }
    }
}

fn is_literal(text: &str) -> bool {
    !text.contains(|c: char| r"\.+*?()[]{}^$|".contains(c))
}

/// What stands before the first special character, without a character that a repetition follows.
fn literal_prefix(source: &str) -> &str {
    let end = source.find(|c: char| r"\.+*?()[]{}^$|".contains(c)).unwrap_or(source.len());
    let (plain, rest) = source.split_at(end);
    // An alternative outside of all groups makes the beginning optional; classes and escapes are not looked into.
    let mut depth = 0i32;
    let unclear = rest.contains('|') && rest.contains(['[', '\\']);
    let alternative = rest.chars().any(|c| {
        depth += i32::from(c == '(') - i32::from(c == ')');
        c == '|' && depth == 0
    });
    if unclear || alternative {
        return "";
    }
    match rest.chars().next() {
        Some('*' | '?' | '{' | '+') => {
            let last = plain.chars().next_back().map_or(0, char::len_utf8);
            &plain[..plain.len() - last]
        }
        _ => plain,
    }
}

fn fast_form(source: &str) -> Fast {
    if source.split('|').all(is_literal) {
        let mut set: Vec<String> = source.split('|').map(str::to_owned).collect();
        set.sort_unstable();
        set.dedup();
        return Fast::Literals(set);
    }
    let (before, rest) = match (source.strip_prefix(".*"), source.strip_prefix(".+")) {
        (Some(rest), _) => (Wildcard::Anything, rest),
        (_, Some(rest)) => (Wildcard::Something, rest),
        _ => (Wildcard::Nothing, source),
    };
    let (behind, literal) = match (rest.strip_suffix(".*"), rest.strip_suffix(".+")) {
        (Some(rest), _) => (Wildcard::Anything, rest),
        (_, Some(rest)) => (Wildcard::Something, rest),
        _ => (Wildcard::Nothing, rest),
    };
    // `.*` alone, and two wildcards in a row, are left to the engine unless they are the plain forms.
    if !is_literal(literal) || (literal.is_empty() && !rest.is_empty()) {
        return Fast::None;
    }
    Fast::Around { before, literal: literal.to_owned(), behind }
}

/// Hands over the parts of a template one by one, with groups in place of `$1`, `$name` and `${name}`; those that are
/// unknown or took no part are empty.
fn each_part(template: &str, found: &regex::Captures<'_>, mut part: impl FnMut(&str)) {
    let mut rest = template;
    while let Some(at) = rest.find('$') {
        part(&rest[..at]);
        rest = &rest[at..];
        let after = &rest[1..];
        if after.starts_with('$') {
            part("$");
            rest = &rest[2..];
            continue;
        }
        let word = |text: &str| text.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(text.len());
        let reference = if let Some(braced) = after.strip_prefix('{') {
            let end = word(braced);
            (end > 0 && braced[end..].starts_with('}')).then(|| (&braced[..end], end + 3))
        } else {
            let end = word(after);
            (end > 0).then(|| (&after[..end], end + 1))
        };
        let Some((name, length)) = reference else {
            // Not a reference: the dollar stands for itself.
            part("$");
            rest = after;
            continue;
        };
        let group = if name.bytes().all(|b| b.is_ascii_digit()) {
            name.parse().ok().and_then(|index: usize| found.get(index))
        } else {
            found.name(name)
        };
        part(group.map_or("", |g| g.as_str()));
        rest = &rest[length..];
    }
    part(rest);
}

/// Rewrites an RE2 expression for the `regex` crate.
fn translate(source: &str) -> Result<String, RegexError> {
    let mut translator = Translator { source, rest: source, out: String::with_capacity(source.len() + 8) };
    translator.run()?;
    Ok(translator.out)
}

struct Translator<'a> {
    source: &'a str,
    rest: &'a str,
    out: String,
}

const DIGIT: &str = "0-9";
const WORD: &str = "0-9A-Za-z_";
const SPACE: &str = r"\t\n\x0C\r ";

impl Translator<'_> {
    fn fail<T>(&self, what: &str) -> Result<T, RegexError> {
        Err(RegexError(format!("{what}: `{}`", self.source)))
    }

    fn next(&mut self) -> Option<char> {
        let c = self.rest.chars().next()?;
        self.rest = &self.rest[c.len_utf8()..];
        Some(c)
    }

    fn run(&mut self) -> Result<(), RegexError> {
        // Whether a repetition came right before, which another one must not follow.
        let mut repeated = false;
        while let Some(c) = self.next() {
            let is_repeat = match c {
                '*' | '+' | '?' => true,
                '{' => self.repeat_length().is_some(),
                _ => false,
            };
            if is_repeat && repeated {
                return self.fail("invalid nested repetition operator");
            }
            match c {
                '\\' => self.escape(false)?,
                '[' => self.class()?,
                '{' => self.brace()?,
                '}' => self.out.push_str("\\}"),
                '(' => {
                    self.out.push('(');
                    self.group()?;
                }
                c => self.out.push(c),
            }
            repeated = is_repeat;
            // The lazy form is part of the repetition.
            if is_repeat && self.rest.starts_with('?') {
                self.next();
                self.out.push('?');
            }
        }
        Ok(())
    }

    /// Length of `n}`, `n,}` or `n,m}` at the start of the rest.
    fn repeat_length(&self) -> Option<usize> {
        let end = self.rest.find('}')?;
        let (from, to) = self.rest[..end].split_once(',').unwrap_or((&self.rest[..end], ""));
        let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
        (!from.is_empty() && digits(from) && digits(to)).then_some(end + 1)
    }

    fn brace(&mut self) -> Result<(), RegexError> {
        let Some(length) = self.repeat_length() else {
            self.out.push_str("\\{");
            return Ok(());
        };
        let (inside, rest) = self.rest.split_at(length);
        let too_many = |n: &str| !n.is_empty() && n.parse::<u32>().map_or(true, |n| n > MAX_REPEAT);
        if inside[..length - 1].split(',').any(too_many) {
            return self.fail("invalid repeat count");
        }
        self.out.push('{');
        self.out.push_str(inside);
        self.rest = rest;
        Ok(())
    }

    /// What follows an opening bracket: flags that only one side knows are refused.
    fn group(&mut self) -> Result<(), RegexError> {
        let Some(flags) = self.rest.strip_prefix('?') else { return Ok(()) };
        let end = flags.find([')', ':', '<']).unwrap_or(0);
        if flags[..end].contains(['x', 'u', 'R']) {
            return self.fail("invalid or unsupported Perl syntax");
        }
        self.out.push('?');
        self.rest = flags;
        Ok(())
    }

    fn escape(&mut self, in_class: bool) -> Result<(), RegexError> {
        let Some(c) = self.next() else { return self.fail("trailing backslash at end of expression") };
        let set = |inside: &str, negated: bool| match (in_class, negated) {
            (true, false) => inside.to_owned(),
            (_, true) => format!("[^{inside}]"),
            (false, false) => format!("[{inside}]"),
        };
        let text = match c {
            'd' | 'D' => set(DIGIT, c == 'D'),
            'w' | 'W' => set(WORD, c == 'W'),
            's' | 'S' => set(SPACE, c == 'S'),
            'b' | 'B' if !in_class => format!("(?-u:\\{c})"),
            'Q' if !in_class => {
                let (literal, rest) = self.rest.split_once("\\E").unwrap_or((self.rest, ""));
                let escaped = regex::escape(literal);
                self.rest = rest;
                escaped
            }
            'E' if !in_class => String::new(),
            '0'..='7' => self.octal(c)?,
            'C' | 'Z' | 'u' | 'U' => return self.fail("invalid escape sequence"),
            // Escaped they would be word boundaries.
            '<' | '>' => c.to_string(),
            c => format!("\\{c}"),
        };
        self.out.push_str(&text);
        Ok(())
    }

    fn octal(&mut self, first: char) -> Result<String, RegexError> {
        let mut value = first.to_digit(8).unwrap_or(0);
        let mut digits = 1;
        while digits < 3
            && let Some(digit) = self.rest.chars().next().and_then(|c| c.to_digit(8))
        {
            value = value * 8 + digit;
            digits += 1;
            self.next();
        }
        // A single digit that is not zero would be a reference to a group.
        if first != '0' && digits == 1 {
            return self.fail("invalid escape sequence");
        }
        Ok(format!("\\x{{{value:x}}}"))
    }

    /// A class in square brackets; the opening one has been read.
    fn class(&mut self) -> Result<(), RegexError> {
        self.out.push('[');
        if self.rest.starts_with('^') {
            self.next();
            self.out.push('^');
        }
        // A closing bracket right at the start is a member.
        if self.rest.starts_with(']') {
            self.next();
            self.out.push_str("\\]");
        }
        let mut after_dash = false;
        loop {
            let Some(c) = self.next() else { return self.fail("missing closing ]") };
            match c {
                ']' => {
                    self.out.push(']');
                    return Ok(());
                }
                '[' if self.rest.starts_with(':') && self.rest.contains(":]") => self.out.push('['),
                // These have a meaning of their own in the other syntax.
                '[' | '&' | '~' => {
                    self.out.push('\\');
                    self.out.push(c);
                }
                '-' if after_dash => self.out.push_str("\\-"),
                '\\' => self.escape(true)?,
                ':' if self.rest.starts_with(']') && self.out.rfind("[:").is_some_and(|at| at > 0) => {
                    // The end of a named class such as `[:alpha:]`.
                    self.next();
                    self.out.push_str(":]");
                }
                c => self.out.push(c),
            }
            after_dash = c == '-';
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_is_one_of_every_match() {
        let check =
            |source: &str, prefix: &str| assert_eq!(Anchored::new(source).expect(source).prefix(), prefix);
        check("abc", "abc");
        check("abc.*", "abc");
        check("ab(c|d)", "ab");
        check("abc?", "ab");
        check("abc{0}", "ab");
        check("ab|ac", "");
        check("a(b)|c", "");
        check("a[|]b|c", "");
        check(r"a\|b", "");
        check("(?i)abc", "");
        check("\u{e9}*", "");
    }

    fn check(source: &str, text: &str, expected: bool) {
        let regex = Anchored::new(source).unwrap_or_else(|error| panic!("{source}: {error}"));
        assert_eq!(regex.is_match(text), expected, "{source} on {text:?}");
        assert_eq!(regex.compiled().is_match(text), expected, "{source} on {text:?} by the engine");
    }

    #[test]
    fn anchors_and_lets_the_dot_match_newlines() {
        check("a", "a", true);
        check("a", "ab", false);
        check("a|b", "b", true);
        check("a|bc", "abc", false);
        check("a.c", "a\nc", true);
        check("", "", true);
        check("", "x", false);
        check("a|", "", true);
        assert!(Anchored::new("(").is_err());
    }

    #[test]
    fn classes_are_ascii() {
        let arabic_four = "\u{664}";
        check(r"\d", "4", true);
        check(r"\d", arabic_four, false);
        check(r"[\d]", arabic_four, false);
        check(r"\D", arabic_four, true);
        check(r"\w+", "a_1", true);
        check(r"\w+", "\u{e4}", false);
        check(r"[^\w]", "\u{e4}", true);
        check(r"[\W]", "-", true);
        check(r"\s", "\u{a0}", false);
        check(r"\s", "\u{b}", false);
        check(r"a\b.*", "a-b", true);
        check(r"[[:alpha:]]+", "ab", true);
        check(r"[[:alpha:]x-z0]+", "a0", true);
    }

    #[test]
    fn reads_what_only_one_syntax_knows() {
        check(r"\Qa.b\E.", "a.bc", true);
        check(r"\Qa.b\E.", "axbc", false);
        check("a{", "a{", true);
        check("a{,2}", "a{,2}", true);
        check("a{2}", "aa", true);
        check("[a[b]+", "a[b", true);
        check("[a&&b]+", "a&b", true);
        check("[]a]+", "a]", true);
        check("[+--]+", ",", true);
        check(r"\101", "A", true);
        check(r"\<", "<", true);
        check("a}", "a}", true);
        check(r"a\Bb", "ab", true);
        check("(?i)AbC", "aBc", true);
        check("(?i:a)b", "Ab", true);
        check("(?U)a+b", "aab", true);
        check(r"\pL+", "a\u{e4}", true);
        check(r"\x41\x{42}", "AB", true);
        check(r"a\.b\-c\_d\/", "a.b-c_d/", true);
        check("a*?b+?", "aab", true);
        check("[a-c-e]+", "-b", true);
        check(r"[\]\[]+", "[]", true);
        check("(a|b){2,3}", "aba", true);
        check("a{0}b", "b", true);
        for bad in ["a**", "a{1001}", "a{2,1001}", r"\C", r"\Z", r"\1", "(?x)a", "[a", "a\\", "*a", "(?=a)"] {
            assert!(Anchored::new(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn shortcuts_agree_with_the_engine() {
        let texts = ["", "a", "ab", "ba", "bab", "abc", "xabcx", "\u{e4}", "\u{e4}a", "a\u{e4}", "aa", "\n"];
        for source in
            [".*", ".+", "a.*", "a.+", ".*a", ".+a", ".*a.*", ".+a.*", ".*a.+", ".+a.+", "a|ab", ".*.*"]
        {
            let regex = Anchored::new(source).expect(source);
            for text in texts {
                assert_eq!(regex.is_match(text), regex.compiled().is_match(text), "{source} on {text:?}");
            }
        }
    }

    #[test]
    fn expands_references() {
        let regex = Anchored::new("(?P<first>[a-z]+)-([0-9]+)(x)?").expect("a good expression");
        let check = |template: &str, expected: &str| {
            let filled = regex.expand("abc-42", template, Ok::<_, ()>);
            assert_eq!(filled, Ok(Some((expected.to_owned(), expected.len()))));
        };
        assert_eq!(regex.expand("abc", "x", Ok::<_, ()>), Ok(None));
        assert_eq!(regex.expand("abc-42", "x", |_| Err::<(), _>("too long")), Err("too long"));
        check("$1", "abc");
        check("${2}0", "420");
        check("$20", "");
        check("$first-$2", "abc-42");
        check("$3|$9|${nope}", "||");
        check("a$$b$", "a$b$");
        check("${1", "${1");
    }
}
