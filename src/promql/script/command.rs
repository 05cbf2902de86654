//! A script as a list of commands.

use super::number::parse_number;
use super::series::{SeriesLine, parse_series};
use super::starts::{is_start_line, parse_starts};
use crate::model::{Labels, parse_duration};
use crate::promql::syntax::quote::unquote;

/// A script that does not follow the language.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {message}")]
pub struct ScriptError {
    /// Line of the command, from 1.
    pub line: usize,
    /// What is wrong.
    pub message: String,
}

/// A parsed script.
#[derive(Debug, Clone, Default)]
pub struct Script {
    /// The commands with the lines they start at.
    pub commands: Vec<(usize, Command)>,
}

/// One command.
#[derive(Debug, Clone)]
pub enum Command {
    /// Start over with an empty storage.
    Clear,
    /// Add series.
    Load {
        /// Distance of points in milliseconds.
        gap_ms: i64,
        /// The series.
        series: Vec<SeriesLine>,
        /// Whether histograms are to be made of classic buckets too.
        with_nhcb: bool,
    },
    /// Evaluate an expression.
    Eval {
        /// The expression.
        expr: String,
        /// Start in milliseconds; the only time of instant queries.
        start_ms: i64,
        /// End in milliseconds.
        end_ms: i64,
        /// Step in milliseconds; none for instant queries.
        step_ms: Option<i64>,
        /// What must come out.
        expect: Box<Expectations>,
    },
}

/// One `expect` line that an error or annotation can be held against.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expectation {
    /// Anything will do.
    Any,
    /// The whole text.
    Text(String),
    /// An expression found somewhere in the text.
    Regex(String),
}

/// Everything an evaluation must yield.
#[derive(Debug, Clone, Default)]
pub struct Expectations {
    /// The query must fail.
    pub fail: Option<Expectation>,
    /// Warnings that must be there, and no others.
    pub warn: Vec<Expectation>,
    /// Infos that must be there, and no others.
    pub info: Vec<Expectation>,
    /// There must be no warning.
    pub no_warn: bool,
    /// There must be no info.
    pub no_info: bool,
    /// Elements must come in the listed order.
    pub ordered: bool,
    /// The result is this text.
    pub string: Option<String>,
    /// The result is this number.
    pub scalar: Option<f64>,
    /// Raw ranges: start, end and step in milliseconds.
    pub range_vector: Option<(i64, i64, i64)>,
    /// The series of the result.
    pub series: Vec<SeriesLine>,
}

struct Lines<'a> {
    lines: Vec<&'a str>,
    next: usize,
}

type Parsed<T> = Result<T, String>;

/// Parses a whole script.
///
/// # Errors
/// When a line does not follow the language.
pub fn parse_script(text: &str) -> Result<Script, ScriptError> {
    let lines = text.split('\n').map(str::trim).map(|l| if l.starts_with('#') { "" } else { l }).collect();
    let mut lines = Lines { lines, next: 0 };
    let mut script = Script::default();
    while lines.next < lines.lines.len() {
        let at = lines.next;
        let line = lines.lines[at];
        lines.next += 1;
        if line.is_empty() {
            continue;
        }
        let word = line.split_whitespace().next().unwrap_or("").to_ascii_lowercase();
        let command = if word == "clear" {
            Ok(Command::Clear)
        } else if word.starts_with("load") {
            parse_load(line, &word, &mut lines)
        } else if word.starts_with("eval") {
            parse_eval(line, &word, &mut lines)
        } else {
            Err(format!("unknown command {word:?}"))
        };
        match command {
            Ok(command) => script.commands.push((at + 1, command)),
            Err(message) => return Err(ScriptError { line: at + 1, message }),
        }
    }
    Ok(script)
}

impl<'a> Lines<'a> {
    /// The next line of the block, if the block goes on.
    fn block_line(&mut self) -> Option<&'a str> {
        let line = self.lines.get(self.next).copied().filter(|l| !l.is_empty())?;
        self.next += 1;
        Some(line)
    }
}

fn milliseconds(text: &str) -> Parsed<i64> {
    let duration = parse_duration(text).map_err(|error| error.to_string())?;
    i64::try_from(duration.as_millis()).map_err(|error| error.to_string())
}

/// The lines of a load block: series, each perhaps after a line that says when what it counts began.
#[derive(Debug, Default)]
pub struct LoadBlock {
    series: Vec<SeriesLine>,
    pending: Option<(Labels, Vec<Option<i64>>)>,
}

const NO_SAMPLE_LINE: &str = "@st line has no following sample line";

impl LoadBlock {
    /// Reads the next line. Returns how many points it has, if it is a series.
    ///
    /// # Errors
    /// When it has another form, or does not fit the one before.
    pub fn push(&mut self, line: &str) -> Result<Option<usize>, String> {
        if is_start_line(line) {
            let before = self.pending.replace(parse_starts(line)?);
            return if before.is_some() { Err(NO_SAMPLE_LINE.to_owned()) } else { Ok(None) };
        }
        let mut parsed = parse_series(line)?;
        if let Some((labels, starts)) = self.pending.take() {
            if labels != parsed.labels || starts.len() != parsed.points.len() {
                return Err(format!("@st line does not fit the sample line of {}", parsed.labels));
            }
            parsed.starts = starts;
        }
        let points = parsed.points.len();
        self.series.push(parsed);
        Ok(Some(points))
    }

    /// All series.
    ///
    /// # Errors
    /// When the last line wants another one.
    pub fn finish(self) -> Result<Vec<SeriesLine>, String> {
        if self.pending.is_some() { Err(NO_SAMPLE_LINE.to_owned()) } else { Ok(self.series) }
    }
}

fn parse_load(line: &str, word: &str, lines: &mut Lines<'_>) -> Parsed<Command> {
    let gap = line.split_whitespace().nth(1).ok_or("load needs a distance")?;
    let gap_ms = milliseconds(gap)?;
    let mut block = LoadBlock::default();
    while let Some(line) = lines.block_line() {
        block.push(line)?;
    }
    let series = block.finish()?;
    let with_nhcb = match word {
        "load" => false,
        "load_with_nhcb" => true,
        other => return Err(format!("unknown command {other:?}")),
    };
    Ok(Command::Load { gap_ms, series, with_nhcb })
}

fn parse_eval(line: &str, word: &str, lines: &mut Lines<'_>) -> Parsed<Command> {
    let rest = line[word.len()..].trim_start();
    let (kind, rest) = rest.split_once(char::is_whitespace).ok_or("eval needs a kind")?;
    let mut rest = rest.trim_start();
    let mut keyword = |name: &str| -> Parsed<i64> {
        let after = rest.strip_prefix(name).ok_or_else(|| format!("expected {name:?} at {rest:?}"))?;
        let (time, after) = after.trim_start().split_once(char::is_whitespace).ok_or("expected a time")?;
        rest = after.trim_start();
        milliseconds(time)
    };
    let (start_ms, end_ms, step_ms) = match kind {
        "instant" => {
            let at = keyword("at")?;
            (at, at, None)
        }
        "range" => {
            let (start, end, step) = (keyword("from")?, keyword("to")?, keyword("step")?);
            (start, end, Some(step))
        }
        other => return Err(format!("unknown kind {other:?}")),
    };
    let expr = rest.to_owned();
    let mut expect = Expectations::default();
    match word {
        "eval_fail" => expect.fail = Some(Expectation::Any),
        "eval_warn" => expect.warn.push(Expectation::Any),
        "eval_info" => expect.info.push(Expectation::Any),
        "eval_ordered" => expect.ordered = true,
        _ => {}
    }
    while let Some(line) = lines.block_line() {
        if let Some(text) = line.strip_prefix("expected_fail_message") {
            expect.fail = Some(Expectation::Text(text.trim().to_owned()));
        } else if let Some(text) = line.strip_prefix("expected_fail_regexp") {
            expect.fail = Some(Expectation::Regex(text.trim().to_owned()));
        } else if line.split(' ').next() == Some("expect") {
            parse_expect(line["expect".len()..].trim(), &mut expect)?;
        } else if let Some(value) = parse_bare_number(line) {
            expect.scalar = Some(value);
        } else {
            expect.series.push(parse_series(line)?);
        }
    }
    Ok(Command::Eval { expr, start_ms, end_ms, step_ms, expect: Box::new(expect) })
}

fn parse_bare_number(line: &str) -> Option<f64> {
    if let Some(hex) = line.strip_prefix("0x") {
        return u32::from_str_radix(hex, 16).ok().map(f64::from);
    }
    match parse_number(line) {
        Ok((value, "")) => Some(value),
        _ => None,
    }
}

fn parse_expect(text: &str, expect: &mut Expectations) -> Parsed<()> {
    if let Some(literal) = text.strip_prefix("string") {
        expect.string = Some(unquote(literal.trim())?);
        return Ok(());
    }
    if let Some(range) = text.strip_prefix("range vector") {
        let words: Vec<&str> = range.split_whitespace().collect();
        let ["from", start, "to", end, "step", step] = words.as_slice() else {
            return Err(format!("cannot read {text:?}"));
        };
        expect.range_vector = Some((milliseconds(start)?, milliseconds(end)?, milliseconds(step)?));
        return Ok(());
    }
    let (word, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    let rest = rest.trim();
    let expectation = if let Some(text) = rest.strip_prefix("msg:") {
        Expectation::Text(text.trim().to_owned())
    } else if let Some(text) = rest.strip_prefix("regex:") {
        Expectation::Regex(text.trim().to_owned())
    } else if rest.is_empty() {
        Expectation::Any
    } else {
        return Err(format!("cannot read {text:?}"));
    };
    match word {
        "fail" => expect.fail = Some(expectation),
        "warn" => expect.warn.push(expectation),
        "info" => expect.info.push(expectation),
        "no_warn" => expect.no_warn = true,
        "no_info" => expect.no_info = true,
        "ordered" => expect.ordered = true,
        _ => return Err(format!("cannot expect {word:?}")),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_commands_and_blocks() {
        // A block swallows everything up to the next empty line.
        assert!(parse_script("load 5m\n  a 1 2\nclear{\n").is_err());
        let script =
            parse_script("load 5m\n a 1 2\n\nclear\neval_fail instant at 1m sum(a\n").expect("a good script");
        assert_eq!(script.commands.len(), 3);
        let (line, Command::Eval { expr, start_ms, expect, .. }) = &script.commands[2] else {
            panic!("not an eval: {script:?}")
        };
        assert_eq!((*line, expr.as_str(), *start_ms), (5, "sum(a", 60_000));
        assert_eq!(expect.fail, Some(Expectation::Any));
    }

    #[test]
    fn reads_expectations() {
        let check = |line: &str| {
            let script = parse_script(&format!("eval instant at 0 x\n{line}\n")).expect(line);
            match &script.commands[0].1 {
                Command::Eval { expect, .. } => (**expect).clone(),
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(check("expect warn msg: a b").warn, [Expectation::Text("a b".to_owned())]);
        assert_eq!(check("expect fail").fail, Some(Expectation::Any));
        assert_eq!(check("expect string \"x\"").string.as_deref(), Some("x"));
        assert_eq!(check("-1.5").scalar, Some(-1.5));
        let range = check("expect range vector from 0 to 1m step 10s");
        assert_eq!(range.range_vector, Some((0, 60_000, 10_000)));
        assert_eq!(check("expect{} 1").series.len(), 1);
    }
}
