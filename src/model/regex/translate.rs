//! From RE2's syntax to that of the `regex` crate, whose classes are wider (`\d` means any script's digits) and whose
//! syntax is both larger and smaller.

use super::RegexError;

/// Most repetitions one expression may ask for, as in RE2.
const MAX_REPEAT: u32 = 1000;

/// Most classes of Unicode in one expression: each takes some kilobytes while it is read.
const MAX_UNICODE_CLASSES: usize = 1000;

/// Rewrites an RE2 expression for the `regex` crate.
pub(super) fn translate(source: &str) -> Result<String, RegexError> {
    let out = String::with_capacity(source.len() + 8);
    let mut translator = Translator { source, rest: source, out, unicode_classes: 0, no_class_ends: false };
    translator.run()?;
    Ok(translator.out)
}

struct Translator<'a> {
    source: &'a str,
    rest: &'a str,
    out: String,
    unicode_classes: usize,
    /// Whether it is known that nothing ends a named class in what is left.
    no_class_ends: bool,
}

const DIGIT: &str = "0-9";
const WORD: &str = "0-9A-Za-z_";
const SPACE: &str = r"\t\n\x0C\r ";
/// Classes that are named inside of others, as in `[[:alpha:]]`.
const CLASS_NAMES: [&str; 14] = [
    "alnum", "alpha", "ascii", "blank", "cntrl", "digit", "graph", "lower", "print", "punct", "space",
    "upper", "word", "xdigit",
];

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
        let mut open_groups = 0usize;
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
                    open_groups += 1;
                    self.out.push('(');
                    self.group()?;
                }
                // It would close the group that the anchors stand around, and what follows would not be anchored.
                ')' if open_groups == 0 => return self.fail("unexpected )"),
                ')' => {
                    open_groups -= 1;
                    self.out.push(')');
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
        if open_groups == 0 { Ok(()) } else { self.fail("missing closing )") }
    }

    /// Length of `n}`, `n,}` or `n,m}` at the start of the rest.
    fn repeat_length(&self) -> Option<usize> {
        // Not further than what may stand there: a text may be nothing but braces.
        let end = self.rest.find(|c: char| !c.is_ascii_digit() && c != ',')?;
        self.rest[end..].strip_prefix('}')?;
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
        let end = flags.find(|c: char| !c.is_ascii_alphabetic() && c != '-').unwrap_or(0);
        if flags[end..].starts_with([')', ':', '<']) && flags[..end].contains(['x', 'u', 'R']) {
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
            'p' | 'P' => {
                self.unicode_classes += 1;
                if self.unicode_classes > MAX_UNICODE_CLASSES {
                    return self.fail("expression too large");
                }
                format!("\\{c}")
            }
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
                '[' if self.named_class()? => {}
                // These have a meaning of their own in the other syntax.
                '[' | '&' | '~' => {
                    self.out.push('\\');
                    self.out.push(c);
                }
                '-' if after_dash => self.out.push_str("\\-"),
                '\\' => self.escape(true)?,
                c => self.out.push(c),
            }
            after_dash = c == '-';
        }
    }

    /// A class such as `[:alpha:]`, if there is one; the opening bracket has been read.
    fn named_class(&mut self) -> Result<bool, RegexError> {
        let Some(inside) = self.rest.strip_prefix(':').filter(|_| !self.no_class_ends) else {
            return Ok(false);
        };
        let Some((name, rest)) = inside.split_once(":]") else {
            // Nor will there be one further on.
            self.no_class_ends = true;
            return Ok(false);
        };
        // The other syntax takes another name for single characters, and the class would end elsewhere.
        if !CLASS_NAMES.contains(&name.strip_prefix('^').unwrap_or(name)) {
            return self.fail("invalid character class range");
        }
        self.out.push_str("[:");
        self.out.push_str(name);
        self.out.push_str(":]");
        self.rest = rest;
        Ok(true)
    }
}
