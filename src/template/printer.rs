//! `printf` and its relatives: values as Go's `fmt` writes them.

use std::fmt::Write as _;

use super::budget::Sink;
use super::calendar;
use super::error::Fault;
use super::numbers::{float, is_printable, quote, quote_char};
use super::value::{QuerySample, Root, Value};
use crate::model::Labels;
use crate::model::histogram::Bucket;

/// The largest width or precision that is a value; a larger one is an error in the text. Where it is part of the format, one
/// digit more is read.
const MAX_NUMBER: usize = 1_000_000;

/// What stands between the percent sign and the verb.
#[derive(Debug, Default, Clone, Copy)]
#[expect(clippy::struct_excessive_bools, reason = "each is a character of the format")]
struct Flags {
    width: Option<usize>,
    precision: Option<usize>,
    minus: bool,
    plus: bool,
    sharp: bool,
    space: bool,
    zero: bool,
    /// `%+v`
    with_names: bool,
    /// `%#v`
    as_source: bool,
}

/// Writes values to a text.
struct Printer<'s> {
    out: &'s mut Sink,
    flags: Flags,
    /// Whether the value is part of an error in the text, which is printed without its methods.
    in_error: bool,
}

fn printer(out: &mut Sink) -> Printer<'_> {
    Printer { out, flags: Flags::default(), in_error: false }
}

/// What an action writes.
pub(super) fn action(value: &Value, out: &mut Sink) -> Result<(), Fault> {
    match value {
        Value::Nil => out.push("<no value>"),
        Value::Sample(sample) => printer(out).sample(sample, 'v'),
        value => printer(out).value(value, 'v', 0),
    }
}

/// `print`: spaces stand between values of which neither is a string. With `is_printable` each is written as an action
/// would write it.
pub(super) fn print(values: &[Value], is_printable: bool, out: &mut Sink) -> Result<(), Fault> {
    let mut was_text = false;
    for (number, value) in values.iter().enumerate() {
        let is_text = value.as_text().is_some() || is_printable && matches!(value, Value::Nil);
        if number > 0 && !is_text && !was_text {
            out.push(" ")?;
        }
        if is_printable {
            action(value, out)?;
        } else {
            printer(out).value(value, 'v', 0)?;
        }
        was_text = is_text;
    }
    Ok(())
}

/// `println`: with a space between all values and a newline at the end.
pub(super) fn println(values: &[Value], out: &mut Sink) -> Result<(), Fault> {
    for (number, value) in values.iter().enumerate() {
        if number > 0 {
            out.push(" ")?;
        }
        printer(out).value(value, 'v', 0)?;
    }
    out.push("\n")
}

/// `printf`. What does not fit together is told in the text, as Go does it.
pub(super) fn printf(format: &str, values: &[Value], out: &mut Sink) -> Result<(), Fault> {
    let mut rest = format;
    let mut arguments = Arguments { values, next: 0, is_reordered: false };
    while let Some(at) = rest.find('%') {
        out.push(&rest[..at])?;
        rest = directive(&rest[at + 1..], &mut arguments, out)?;
    }
    out.push(rest)?;
    if arguments.is_reordered || arguments.next >= values.len() {
        return Ok(());
    }
    out.push("%!(EXTRA ")?;
    for (number, value) in values[arguments.next..].iter().enumerate() {
        if number > 0 {
            out.push(", ")?;
        }
        if matches!(value, Value::Nil) {
            out.push("<nil>")?;
        } else {
            out.push(value.type_name())?;
            out.push("=")?;
            printer(out).value(value, 'v', 0)?;
        }
    }
    out.push(")")
}

/// The values of a format, and which is next.
struct Arguments<'v> {
    values: &'v [Value],
    next: usize,
    /// Whether some were asked for by number.
    is_reordered: bool,
}

impl Arguments<'_> {
    /// Reads `[n]`, if that is there. The second says whether it was, the third whether it was right.
    fn index<'t>(&mut self, text: &'t str) -> (&'t str, bool, bool) {
        let Some(inside) = text.strip_prefix('[') else { return (text, false, true) };
        self.is_reordered = true;
        let Some((number, rest)) = inside.split_once(']') else { return (inside, false, false) };
        let is_number = !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit());
        match number.parse::<usize>() {
            Ok(number @ 1..) if is_number && number <= self.values.len() => {
                self.next = number - 1;
                (rest, true, true)
            }
            _ => (rest, is_number, false),
        }
    }

    /// The next value as a width or precision.
    fn number(&mut self) -> Option<i64> {
        let value = self.values.get(self.next)?;
        self.next += 1;
        let largest = i64::try_from(MAX_NUMBER).unwrap_or(i64::MAX);
        value.as_int().filter(|number| (-largest..=largest).contains(number))
    }
}

/// Digits at the start of a text as a number. One that is too large takes the rest of the text with it.
fn leading_number(text: &str) -> (Option<usize>, &str) {
    let mut number = None;
    for (at, byte) in text.bytes().enumerate() {
        if !byte.is_ascii_digit() {
            return (number, &text[at..]);
        }
        let so_far = number.unwrap_or(0);
        if so_far > MAX_NUMBER {
            return (None, "");
        }
        number = Some(so_far * 10 + usize::from(byte - b'0'));
    }
    (number, "")
}

/// Writes what stands behind a percent sign; gives what is behind that.
fn directive<'t>(text: &'t str, arguments: &mut Arguments<'_>, out: &mut Sink) -> Result<&'t str, Fault> {
    let mut flags = Flags::default();
    let mut rest = text;
    while let Some(c @ ('#' | '0' | '+' | '-' | ' ')) = rest.chars().next() {
        match c {
            '#' => flags.sharp = true,
            '0' => flags.zero = true,
            '+' => flags.plus = true,
            '-' => flags.minus = true,
            _ => flags.space = true,
        }
        rest = &rest[1..];
    }
    let (behind, mut is_indexed, mut is_good) = arguments.index(rest);
    rest = behind;
    if let Some(behind) = rest.strip_prefix('*') {
        rest = behind;
        match arguments.number() {
            Some(width) => {
                flags.minus |= width < 0;
                flags.width = usize::try_from(width.unsigned_abs()).ok();
            }
            None => out.push("%!(BADWIDTH)")?,
        }
        is_indexed = false;
    } else {
        let (width, behind) = leading_number(rest);
        is_good &= !(is_indexed && width.is_some());
        (flags.width, rest) = (width, behind);
    }
    if rest.len() > 1
        && let Some(behind) = rest.strip_prefix('.')
    {
        is_good &= !is_indexed;
        let (behind, indexed, good) = arguments.index(behind);
        (rest, is_indexed) = (behind, indexed);
        is_good &= good;
        if let Some(behind) = rest.strip_prefix('*') {
            rest = behind;
            flags.precision = arguments.number().and_then(|precision| usize::try_from(precision).ok());
            if flags.precision.is_none() {
                out.push("%!(BADPREC)")?;
            }
            is_indexed = false;
        } else {
            let (precision, behind) = leading_number(rest);
            (flags.precision, rest) = (Some(precision.unwrap_or(0)), behind);
        }
    }
    if !is_indexed {
        let (behind, _, good) = arguments.index(rest);
        rest = behind;
        is_good &= good;
    }
    let mut characters = rest.chars();
    let Some(verb) = characters.next() else {
        out.push("%!(NOVERB)")?;
        return Ok("");
    };
    let rest = characters.as_str();
    if verb == '%' {
        out.push("%")?;
    } else if !is_good {
        out.push(&format!("%!{verb}(BADINDEX)"))?;
    } else if let Some(value) = arguments.values.get(arguments.next) {
        arguments.next += 1;
        if verb == 'v' {
            (flags.as_source, flags.with_names) = (flags.sharp, flags.plus);
            (flags.sharp, flags.plus) = (false, false);
        }
        Printer { out, flags, in_error: false }.value(value, verb, 0)?;
    } else {
        out.push(&format!("%!{verb}(MISSING)"))?;
    }
    Ok(rest)
}

impl Printer<'_> {
    fn value(&mut self, value: &Value, verb: char, depth: usize) -> Result<(), Fault> {
        match (verb, value) {
            ('T' | 'v', Value::Nil) if depth == 0 => return self.padded("<nil>"),
            (_, Value::Nil) if depth > 0 && self.flags.as_source => {
                return self.out.push("interface {}(nil)");
            }
            (_, Value::Nil) if depth > 0 => return self.out.push("<nil>"),
            ('T', _) => return self.string(value.type_name(), 's', value),
            ('p' | 'w', _) => return self.bad_verb(value, verb),
            _ => {}
        }
        if !self.in_error
            && (self.flags.as_source || matches!(verb, 'v' | 's' | 'x' | 'X' | 'q'))
            && let Some(text) = self.own_text(value)
        {
            return if self.flags.as_source { self.out.push(&text) } else { self.string(&text, verb, value) };
        }
        match value {
            Value::Nil => self.bad_verb(value, verb),
            Value::Bool(bool) if matches!(verb, 't' | 'v') => {
                self.padded(if *bool { "true" } else { "false" })
            }
            Value::Float(float) => self.float(*float, verb, value),
            Value::Text(text) | Value::Html(text) => self.string(text, verb, value),
            Value::Labels(labels) | Value::KeyValues(labels) => self.labels(labels, verb),
            Value::List(list) => {
                self.out.push("[")?;
                for (number, item) in list.items.iter().enumerate() {
                    self.out.push(if number > 0 { " " } else { "" })?;
                    self.value(item, verb, depth + 1)?;
                }
                self.out.push("]")
            }
            Value::Record(record) => {
                self.out.push("{")?;
                for (number, (name, value)) in record.fields.iter().enumerate() {
                    self.field(number, name)?;
                    self.value(value, verb, depth + 1)?;
                }
                self.out.push("}")
            }
            Value::Map(map) => {
                let pairs = map.entries.iter().map(|(name, value)| (&**name, value.clone()));
                self.map(value.type_name(), pairs, verb, depth)
            }
            Value::Sample(sample) => {
                if depth == 0 {
                    self.out.push("&")?;
                }
                self.sample(sample, verb)
            }
            Value::Samples(samples) => {
                let (open, between, close) = if self.flags.as_source {
                    self.out.push(value.type_name())?;
                    ("{", ", ", "}")
                } else {
                    ("[", " ", "]")
                };
                self.out.push(open)?;
                for (number, sample) in samples.iter().enumerate() {
                    if number > 0 {
                        self.out.push(between)?;
                    }
                    if matches!(verb, 'v' | 'd' | 'b' | 'o' | 'x' | 'X') {
                        self.sample(sample, verb)?;
                    } else {
                        self.bad_verb(&Value::Sample(sample.clone()), verb)?;
                    }
                }
                self.out.push(close)
            }
            Value::Root(root) => self.root(root, value.type_name(), verb),
            Value::Time(_) | Value::TimePointer(_) | Value::Histogram(_) if self.in_error => {
                let text = self.own_text(value).unwrap_or_default();
                self.out.push(&text)
            }
            Value::DurationPointer(nanoseconds) => self.integer(*nanoseconds, verb, value),
            value => match value.as_int() {
                Some(int) => self.integer(int, verb, value),
                None => self.bad_verb(value, verb),
            },
        }
    }

    /// The text of a value that has one of its own.
    fn own_text(&self, value: &Value) -> Option<String> {
        let as_source = self.flags.as_source;
        Some(match value {
            Value::Month(month) if !as_source => calendar::month_name(*month).to_owned(),
            Value::Weekday(day) if !as_source => calendar::weekday_name(*day).to_owned(),
            Value::Duration(nanoseconds) | Value::DurationPointer(nanoseconds) if !as_source => {
                calendar::duration_text(*nanoseconds)
            }
            Value::Time(time) | Value::TimePointer(time) if as_source => calendar::time_source(*time),
            Value::Time(time) | Value::TimePointer(time) => calendar::time_text(*time),
            Value::Histogram(histogram) => {
                let total = |value| float(value, 'g', None);
                let mut text = format!("{{count:{}, sum:{}", total(histogram.count), total(histogram.sum));
                for bucket in histogram.all_buckets().filter(|bucket| bucket.count != 0.0) {
                    text.push_str(", ");
                    text.push_str(&bucket_text(&bucket));
                }
                text + "}"
            }
            _ => return None,
        })
    }

    fn labels(&mut self, labels: &Labels, verb: char) -> Result<(), Fault> {
        let pairs = labels.iter().map(|(name, value)| (name, Value::text(value)));
        self.map("map[string]string", pairs, verb, 0)
    }

    fn map<'v>(
        &mut self,
        type_name: &str,
        pairs: impl Iterator<Item = (&'v str, Value)>,
        verb: char,
        depth: usize,
    ) -> Result<(), Fault> {
        let (open, between, close) =
            if self.flags.as_source { (&*format!("{type_name}{{"), ", ", "}") } else { ("map[", " ", "]") };
        self.out.push(open)?;
        for (number, (name, value)) in pairs.enumerate() {
            if number > 0 {
                self.out.push(between)?;
            }
            self.value(&Value::text(name), verb, depth + 1)?;
            self.out.push(":")?;
            self.value(&value, verb, depth + 1)?;
        }
        self.out.push(close)
    }

    /// The beginning of a field of a struct.
    fn field(&mut self, number: usize, name: &str) -> Result<(), Fault> {
        if number > 0 {
            self.out.push(if self.flags.as_source { ", " } else { " " })?;
        }
        if self.flags.as_source || self.flags.with_names {
            self.out.push(name)?;
            self.out.push(":")?;
        }
        Ok(())
    }

    fn sample(&mut self, sample: &QuerySample, verb: char) -> Result<(), Fault> {
        self.out.push(if self.flags.as_source { "template.sample{" } else { "{" })?;
        self.field(0, "Labels")?;
        self.labels(&sample.labels, verb)?;
        self.field(1, "Value")?;
        self.value(&sample.value.clone().into(), verb, 1)?;
        self.out.push("}")
    }

    fn root(&mut self, root: &Root, type_name: &str, verb: char) -> Result<(), Fault> {
        if self.flags.as_source {
            self.out.push(type_name)?;
        }
        self.out.push("{")?;
        self.field(0, "Labels")?;
        self.labels(&root.labels, verb)?;
        self.field(1, "ExternalLabels")?;
        self.labels(&root.external_labels, verb)?;
        self.field(2, "ExternalURL")?;
        self.value(&Value::Text(root.external_url.clone()), verb, 1)?;
        self.field(3, "Value")?;
        self.value(&root.value.clone().into(), verb, 1)?;
        self.out.push("}")
    }

    fn bad_verb(&mut self, value: &Value, verb: char) -> Result<(), Fault> {
        self.out.push(&format!("%!{verb}("))?;
        if matches!(value, Value::Nil) {
            self.out.push("<nil>")?;
        } else {
            self.out.push(value.type_name())?;
            self.out.push("=")?;
            let was_in_error = std::mem::replace(&mut self.in_error, true);
            // A value that cannot be written at all would come back here.
            if !was_in_error {
                self.value(value, 'v', 0)?;
            }
            self.in_error = was_in_error;
        }
        self.out.push(")")
    }

    fn padded(&mut self, text: &str) -> Result<(), Fault> {
        let width = self.flags.width.unwrap_or(0).saturating_sub(text.chars().count());
        if self.flags.minus {
            self.out.push(text)?;
            return self.out.fill(' ', width);
        }
        self.out.fill(if self.flags.zero { '0' } else { ' ' }, width)?;
        self.out.push(text)
    }

    /// As [`Printer::padded`], never with zeros.
    fn padded_with_spaces(&mut self, text: &str) -> Result<(), Fault> {
        let zero = std::mem::replace(&mut self.flags.zero, false);
        let result = self.padded(text);
        self.flags.zero = zero;
        result
    }

    fn string(&mut self, text: &str, verb: char, value: &Value) -> Result<(), Fault> {
        let cut = |precision: Option<usize>| match precision {
            Some(count) => text.char_indices().nth(count).map_or(text, |(at, _)| &text[..at]),
            None => text,
        };
        match verb {
            'v' if self.flags.as_source => self.quoted(cut(self.flags.precision)),
            'v' | 's' => self.padded(cut(self.flags.precision)),
            'q' => self.quoted(cut(self.flags.precision)),
            'x' | 'X' => self.hexadecimal(text.as_bytes(), verb),
            _ => self.bad_verb(value, verb),
        }
    }

    fn quoted(&mut self, text: &str) -> Result<(), Fault> {
        let can_backquote =
            !text.contains(|c: char| c.is_control() && c != '\t' || c == '`' || c == '\u{feff}');
        if self.flags.sharp && can_backquote {
            return self.padded(&format!("`{text}`"));
        }
        self.padded(&quote(text, self.flags.plus))
    }

    /// The bytes of a text, two digits each.
    fn hexadecimal(&mut self, bytes: &[u8], verb: char) -> Result<(), Fault> {
        let bytes = &bytes[..bytes.len().min(self.flags.precision.unwrap_or(usize::MAX))];
        let Flags { sharp, space, .. } = self.flags;
        let mut text = String::with_capacity(bytes.len() * 2);
        for (number, byte) in bytes.iter().enumerate() {
            if space && number > 0 {
                text.push(' ');
            }
            if sharp && (space || number == 0) {
                text.push_str("0x");
            }
            let _ = write!(text, "{byte:02x}");
        }
        if verb == 'X' {
            text.make_ascii_uppercase();
        }
        self.padded(&text)
    }

    fn float(&mut self, value: f64, verb: char, whole: &Value) -> Result<(), Fault> {
        let precision = match verb {
            'v' | 'b' | 'g' | 'G' | 'x' | 'X' => self.flags.precision,
            'f' | 'F' | 'e' | 'E' => Some(self.flags.precision.unwrap_or(6)),
            _ => return self.bad_verb(whole, verb),
        };
        let text = float(value, verb, precision);
        let (sign, mut digits) = match text.strip_prefix(['-', '+']) {
            Some(digits) => (if text.starts_with('-') { "-" } else { "+" }, digits.to_owned()),
            None => ("+", text),
        };
        // Without a flag a plus is not written, but that of infinity.
        let sign = match sign {
            "-" => "-",
            _ if self.flags.plus => "+",
            _ if self.flags.space => " ",
            _ if value.is_infinite() => "+",
            _ => "",
        };
        if !value.is_finite() {
            return self.padded_with_spaces(&format!("{sign}{digits}"));
        }
        if self.flags.sharp && verb != 'b' {
            digits = with_point(&digits, verb, self.flags.precision);
        }
        let text = format!("{sign}{digits}");
        if self.flags.zero && !self.flags.minus && !sign.is_empty() {
            let zeros = self.flags.width.unwrap_or(0).saturating_sub(text.len());
            self.out.push(sign)?;
            self.out.fill('0', zeros)?;
            return self.out.push(&digits);
        }
        self.padded(&text)
    }

    fn integer(&mut self, value: i64, verb: char, whole: &Value) -> Result<(), Fault> {
        let magnitude = value.unsigned_abs();
        let is_byte_source = self.flags.as_source && matches!(whole, Value::Byte(_));
        let (digits, prefix) = match verb {
            'v' if is_byte_source => (format!("{magnitude:x}"), "0x"),
            'v' | 'd' => (magnitude.to_string(), ""),
            'b' => (format!("{magnitude:b}"), if self.flags.sharp { "0b" } else { "" }),
            'o' => (format!("{magnitude:o}"), if self.flags.sharp { "0" } else { "" }),
            'O' => (format!("{magnitude:o}"), "0o"),
            'x' => (format!("{magnitude:x}"), if self.flags.sharp { "0x" } else { "" }),
            'X' => (format!("{magnitude:X}"), if self.flags.sharp { "0X" } else { "" }),
            'c' | 'q' => {
                let code = u32::try_from(value).ok();
                let c = code.and_then(char::from_u32).unwrap_or(char::REPLACEMENT_CHARACTER);
                let text = if verb == 'c' { c.to_string() } else { quote_char(c, self.flags.plus) };
                return self.padded(&text);
            }
            'U' => return self.unicode(value),
            _ => return self.bad_verb(whole, verb),
        };
        let sign = match value {
            ..0 => "-",
            _ if self.flags.plus => "+",
            _ if self.flags.space => " ",
            _ => "",
        };
        let least_digits = match self.flags.precision {
            Some(0) if value == 0 => return self.out.fill(' ', self.flags.width.unwrap_or(0)),
            Some(precision) => precision,
            None if self.flags.zero && !self.flags.minus => {
                self.flags.width.unwrap_or(0).saturating_sub(sign.len())
            }
            None => 0,
        };
        let zeros = least_digits.saturating_sub(digits.len());
        // The zero of an octal number is one of the digits.
        let prefix = if prefix == "0" && (zeros > 0 || digits == "0") { "" } else { prefix };
        let mut number = self.out.another();
        number.push(sign)?;
        number.push(prefix)?;
        number.fill('0', zeros)?;
        number.push(&digits)?;
        self.padded_with_spaces(&number.into_text())
    }

    fn unicode(&mut self, value: i64) -> Result<(), Fault> {
        #[expect(clippy::cast_sign_loss, reason = "negative numbers are shown as their bits")]
        let code = value as u64;
        let digits = self.flags.precision.unwrap_or(4).max(4);
        let hex = format!("{code:X}");
        let mut text = format!("U+{}{hex}", "0".repeat(digits.saturating_sub(hex.len())));
        let c = u32::try_from(code).ok().and_then(char::from_u32);
        if let Some(c) = c.filter(|c| self.flags.sharp && is_printable(*c)) {
            let _ = write!(text, " '{c}'");
        }
        self.padded_with_spaces(&text)
    }
}

/// A bucket of a native histogram: its bounds, as a mathematician writes them, and its count.
fn bucket_text(bucket: &Bucket) -> String {
    let text = |value| float(value, 'g', None);
    format!(
        "{}{},{}{}:{}",
        if bucket.lower_inclusive { '[' } else { '(' },
        text(bucket.lower),
        text(bucket.upper),
        if bucket.upper_inclusive { ']' } else { ')' },
        text(bucket.count)
    )
}

/// The digits of a float with a point in any case, for `g` with as many digits as the precision says.
fn with_point(digits: &str, verb: char, precision: Option<usize>) -> String {
    let is_hex = matches!(verb, 'x' | 'X');
    let tail_at = digits.find(if is_hex { ['p', 'P'] } else { ['e', 'E'] }).unwrap_or(digits.len());
    let (number, tail) = digits.split_at(tail_at);
    let mut out = number.to_owned();
    let wanted = match verb {
        'v' | 'g' | 'G' | 'x' => precision.unwrap_or(6),
        _ => 0,
    };
    // Of a hexadecimal number the `x` counts too.
    let significant =
        if is_hex { number.get(1..).unwrap_or_default() } else { number.trim_start_matches(['0', '.']) };
    let mut there = significant.chars().filter(|c| *c != '.').count();
    if !number.contains('.') {
        out.push('.');
        there += usize::from(number == "0");
    }
    out.extend(std::iter::repeat_n('0', wanted.saturating_sub(there)));
    out + tail
}
