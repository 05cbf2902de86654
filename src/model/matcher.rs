//! Label matchers: `=`, `!=`, `=~`, `!~`.

use std::fmt;

use super::name::{Quoted, is_plain_label_name};
use super::{Anchored, Labels, RegexBudget, RegexError, Stopped};

/// The four comparison operators of a matcher.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MatchOp {
    /// `=`
    Equal,
    /// `!=`
    NotEqual,
    /// `=~`
    Regex,
    /// `!~`
    NotRegex,
}

impl MatchOp {
    /// The operator as written in PromQL.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Equal => "=",
            Self::NotEqual => "!=",
            Self::Regex => "=~",
            Self::NotRegex => "!~",
        }
    }
}

/// One condition on one label. A label that is absent has the empty value. Equal are those of equal text.
#[derive(Debug, Clone)]
pub struct Matcher {
    name: String,
    op: MatchOp,
    value: String,
    regex: Option<Anchored>,
}

impl Matcher {
    /// A matcher of `op` between label `name` and `value`.
    ///
    /// # Errors
    /// When `op` is a regular expression operator and `value` does not compile.
    pub fn new(name: impl Into<String>, op: MatchOp, value: impl Into<String>) -> Result<Self, RegexError> {
        Self::within(name, op, value, &mut RegexBudget::default())
    }

    /// The same for one of several matchers of a request.
    ///
    /// # Errors
    /// Those of [`Matcher::new`], and when the expressions of the request are too much together.
    pub fn within(
        name: impl Into<String>,
        op: MatchOp,
        value: impl Into<String>,
        budget: &mut RegexBudget,
    ) -> Result<Self, RegexError> {
        let value = value.into();
        let regex = match op {
            MatchOp::Equal | MatchOp::NotEqual => None,
            MatchOp::Regex | MatchOp::NotRegex => Some(Anchored::within(&value, budget)?),
        };
        Ok(Self { name: name.into(), op, value, regex })
    }

    /// The same within another budget; see [`Anchored::admitted`].
    ///
    /// # Errors
    /// When there is no room for its expression.
    pub fn admitted(&self, budget: &mut RegexBudget) -> Result<Self, RegexError> {
        let regex = self.regex.as_ref().map(|regex| regex.admitted(budget)).transpose()?;
        Ok(Self { regex, ..self.text() })
    }

    /// Takes from `budget` what its expression has.
    pub fn charge(&self, budget: &mut RegexBudget) {
        if let Some(regex) = &self.regex {
            regex.charge(budget);
        }
    }

    /// The same without its expression, for those who only show it: no value passes one that would need it.
    #[must_use]
    pub fn text(&self) -> Self {
        Self { name: self.name.clone(), op: self.op, value: self.value.clone(), regex: None }
    }

    /// The matcher `name="value"`.
    pub fn equal(name: impl Into<String>, value: impl Into<String>) -> Self {
        Self { name: name.into(), op: MatchOp::Equal, value: value.into(), regex: None }
    }

    /// The label it looks at.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its operator.
    pub fn op(&self) -> MatchOp {
        self.op
    }

    /// The text on its right-hand side.
    pub fn value(&self) -> &str {
        &self.value
    }

    /// The compiled expression of a regular expression matcher.
    pub fn regex(&self) -> Option<&Anchored> {
        self.regex.as_ref()
    }

    /// Whether a label of this value passes.
    pub fn matches(&self, value: &str) -> bool {
        match self.op {
            MatchOp::Equal => self.value == value,
            MatchOp::NotEqual => self.value != value,
            MatchOp::Regex => self.regex.as_ref().is_some_and(|r| r.is_match(value)),
            MatchOp::NotRegex => self.regex.as_ref().is_some_and(|r| !r.is_match(value)),
        }
    }

    /// Steps it takes at most to say that of a value of `len` bytes; see [`Anchored::effort`].
    pub fn effort(&self, len: usize) -> usize {
        self.regex.as_ref().map_or(len / 8 + 1, |regex| regex.effort(len))
    }

    /// As [`Matcher::matches`]. `go_on` is asked every now and then.
    ///
    /// # Errors
    /// When it says no.
    pub fn matches_while(&self, value: &str, go_on: &dyn Fn() -> bool) -> Result<bool, Stopped> {
        match (self.op, &self.regex) {
            (MatchOp::Regex, Some(regex)) => regex.is_match_while(value, go_on),
            (MatchOp::NotRegex, Some(regex)) => regex.is_match_while(value, go_on).map(|found| !found),
            _ => Ok(self.matches(value)),
        }
    }

    /// Whether a series without the label passes.
    pub fn matches_empty(&self) -> bool {
        self.matches("")
    }

    /// Whether `labels` pass.
    pub fn matches_labels(&self, labels: &Labels) -> bool {
        self.matches(labels.get(&self.name).unwrap_or(""))
    }
}

impl PartialEq for Matcher {
    fn eq(&self, other: &Self) -> bool {
        (&self.name, self.op, &self.value) == (&other.name, other.op, &other.value)
    }
}

impl Eq for Matcher {}

impl fmt::Display for Matcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if is_plain_label_name(&self.name) {
            f.write_str(&self.name)?;
        } else {
            write!(f, "{}", Quoted(&self.name))?;
        }
        write!(f, "{}{}", self.op.as_str(), Quoted(&self.value))
    }
}
