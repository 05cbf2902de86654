//! Functions a template may call, and what they take.

/// A function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Function {
    // Those of the language.
    And,
    Call,
    Eq,
    Ge,
    Gt,
    Html,
    Index,
    Js,
    Le,
    Len,
    Lt,
    Ne,
    Not,
    Or,
    Print,
    Printf,
    Println,
    Slice,
    Urlquery,
    // Those of Prometheus.
    Args,
    ExternalUrl,
    First,
    GraphLink,
    Humanize,
    Humanize1024,
    HumanizeDuration,
    HumanizePercentage,
    HumanizeTimestamp,
    Label,
    Match,
    Now,
    ParseDuration,
    PathPrefix,
    Query,
    ReReplaceAll,
    SafeHtml,
    SortByLabel,
    StripDomain,
    StripPort,
    StrValue,
    TableLink,
    Title,
    ToDuration,
    ToLower,
    ToTime,
    ToUpper,
    UrlQueryEscape,
    Value,
    // Those that only templates of notifications know.
    Date,
    Join,
    SafeUrl,
    Since,
    StringSlice,
    TrimSpace,
}

/// Which functions there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialect {
    /// In rules: those of Prometheus.
    Rules,
    /// In notifications: those of Alertmanager, and those of Prometheus that need nothing but their arguments.
    Messages,
}

impl Dialect {
    fn has(self, function: Function) -> bool {
        use Function as F;
        let is_for_messages = function as usize >= F::Date as usize;
        let needs_samples = matches!(
            function,
            F::ExternalUrl
                | F::First
                | F::GraphLink
                | F::Label
                | F::PathPrefix
                | F::Query
                | F::SortByLabel
                | F::StrValue
                | F::TableLink
                | F::Value
        );
        match self {
            Self::Rules => !is_for_messages,
            Self::Messages => !needs_samples,
        }
    }
}

/// The type of a parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Param {
    Any,
    Text,
    Int,
    Duration,
    Time,
    Sample,
    Samples,
}

impl Param {
    /// The name of the type in messages.
    pub(super) fn type_name(self) -> &'static str {
        match self {
            Self::Any => "interface {}",
            Self::Text => "string",
            Self::Int => "int",
            Self::Duration => "time.Duration",
            Self::Time => "time.Time",
            Self::Sample => "*template.sample",
            Self::Samples => "template.queryResult",
        }
    }
}

/// What a function or method takes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Signature {
    pub(super) fixed: &'static [Param],
    /// Whether any number of further values may follow.
    pub(super) is_variadic: bool,
}

impl Signature {
    pub(super) const fn of(fixed: &'static [Param]) -> Self {
        Self { fixed, is_variadic: false }
    }

    const fn variadic(fixed: &'static [Param]) -> Self {
        Self { fixed, is_variadic: true }
    }

    /// The type of the parameter of this number.
    pub(super) fn param(&self, number: usize) -> Param {
        self.fixed.get(number).copied().unwrap_or(Param::Any)
    }
}

impl Function {
    /// Name, function and what it takes.
    const ALL: &[(&str, Self, Signature)] = {
        use Param::{Any, Sample, Samples, Text, Time};
        const NONE: Signature = Signature::of(&[]);
        const TEXT: Signature = Signature::of(&[Text]);
        const ANY: Signature = Signature::of(&[Any]);
        const TWO: Signature = Signature::of(&[Any, Any]);
        const SOME: Signature = Signature::variadic(&[Any]);
        const MANY: Signature = Signature::variadic(&[]);
        &[
            ("and", Self::And, SOME),
            ("call", Self::Call, SOME),
            ("eq", Self::Eq, SOME),
            ("ge", Self::Ge, TWO),
            ("gt", Self::Gt, TWO),
            ("html", Self::Html, MANY),
            ("index", Self::Index, SOME),
            ("js", Self::Js, MANY),
            ("le", Self::Le, TWO),
            ("len", Self::Len, ANY),
            ("lt", Self::Lt, TWO),
            ("ne", Self::Ne, TWO),
            ("not", Self::Not, ANY),
            ("or", Self::Or, SOME),
            ("print", Self::Print, MANY),
            ("printf", Self::Printf, Signature::variadic(&[Text])),
            ("println", Self::Println, MANY),
            ("slice", Self::Slice, SOME),
            ("urlquery", Self::Urlquery, MANY),
            ("args", Self::Args, MANY),
            ("externalURL", Self::ExternalUrl, NONE),
            ("first", Self::First, Signature::of(&[Samples])),
            ("graphLink", Self::GraphLink, TEXT),
            ("humanize", Self::Humanize, ANY),
            ("humanize1024", Self::Humanize1024, ANY),
            ("humanizeDuration", Self::HumanizeDuration, ANY),
            ("humanizePercentage", Self::HumanizePercentage, ANY),
            ("humanizeTimestamp", Self::HumanizeTimestamp, ANY),
            ("label", Self::Label, Signature::of(&[Text, Sample])),
            ("match", Self::Match, Signature::of(&[Text, Text])),
            ("now", Self::Now, NONE),
            ("parseDuration", Self::ParseDuration, TEXT),
            ("pathPrefix", Self::PathPrefix, NONE),
            ("query", Self::Query, TEXT),
            ("reReplaceAll", Self::ReReplaceAll, Signature::of(&[Text, Text, Text])),
            ("safeHtml", Self::SafeHtml, TEXT),
            ("sortByLabel", Self::SortByLabel, Signature::of(&[Text, Samples])),
            ("stripDomain", Self::StripDomain, TEXT),
            ("stripPort", Self::StripPort, TEXT),
            ("strvalue", Self::StrValue, Signature::of(&[Sample])),
            ("tableLink", Self::TableLink, TEXT),
            ("title", Self::Title, TEXT),
            ("toDuration", Self::ToDuration, ANY),
            ("toLower", Self::ToLower, TEXT),
            ("toTime", Self::ToTime, ANY),
            ("toUpper", Self::ToUpper, TEXT),
            ("urlQueryEscape", Self::UrlQueryEscape, TEXT),
            ("value", Self::Value, Signature::of(&[Sample])),
            ("date", Self::Date, Signature::of(&[Text, Time])),
            ("join", Self::Join, Signature::of(&[Text, Any])),
            ("safeUrl", Self::SafeUrl, TEXT),
            ("since", Self::Since, Signature::of(&[Time])),
            ("stringSlice", Self::StringSlice, MANY),
            ("trimSpace", Self::TrimSpace, TEXT),
        ]
    };

    /// The function of that name, if the dialect has it.
    pub(super) fn of(name: &str, dialect: Dialect) -> Option<Self> {
        let found = Self::ALL.iter().find(|(known, ..)| *known == name).map(|(_, function, _)| *function);
        found.filter(|function| dialect.has(*function))
    }

    /// Its name and what it takes.
    pub(super) fn entry(self) -> (&'static str, &'static Signature) {
        // All are in the table, in the order of their numbers.
        let (name, _, signature) = &Self::ALL[self as usize];
        (name, signature)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_order() {
        for (number, (name, function, _)) in Function::ALL.iter().enumerate() {
            assert_eq!(*function as usize, number, "{name}");
            assert_eq!(function.entry().0, *name);
        }
    }

    #[test]
    fn every_function_is_on_the_page() {
        let page = include_str!("../../docs/templates.md");
        for (name, ..) in Function::ALL {
            assert!(page.contains(&format!("`{name}")), "{name}");
        }
    }
}
