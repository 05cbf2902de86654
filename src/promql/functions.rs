//! The one table of functions: names, argument types, arity, result type and what each does.

use super::value_type::ValueType;
use ValueType::{Matrix, Scalar, String, Vector};

/// One function of the query language.
#[derive(Debug)]
pub struct Function {
    /// Its name; case matters.
    pub name: &'static str,
    /// Types of its arguments. The last one repeats when the function takes more.
    pub args: &'static [ValueType],
    /// How many arguments may be left out or added.
    pub arity: Arity,
    /// Type of its result.
    pub returns: ValueType,
    /// Whether it needs the switch for experimental functions.
    pub experimental: bool,
    /// What it computes, in one line.
    pub doc: &'static str,
}

impl PartialEq for Function {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

/// How the number of arguments relates to the list of types.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arity {
    /// Exactly as many as types.
    Fixed,
    /// All but the last type are required; up to this many of the last one may follow.
    UpTo(usize),
    /// All but the last type are required; any number of the last one may follow.
    Any,
}

const fn plain(
    name: &'static str,
    args: &'static [ValueType],
    returns: ValueType,
    doc: &'static str,
) -> Function {
    Function { name, args, arity: Arity::Fixed, returns, experimental: false, doc }
}

const fn experimental(
    name: &'static str,
    args: &'static [ValueType],
    returns: ValueType,
    doc: &'static str,
) -> Function {
    Function { name, args, arity: Arity::Fixed, returns, experimental: true, doc }
}

const fn variadic(mut function: Function, arity: Arity) -> Function {
    function.arity = arity;
    function
}

const V: &[ValueType] = &[Vector];
const M: &[ValueType] = &[Matrix];

/// Every function, sorted by name.
pub static FUNCTIONS: &[Function] = &[
    plain("abs", V, Vector, "absolute value"),
    plain("absent", V, Vector, "1 when the vector is empty"),
    plain("absent_over_time", M, Vector, "1 when no series has a sample in the window"),
    plain("acos", V, Vector, "arccosine in radians"),
    plain("acosh", V, Vector, "inverse hyperbolic cosine"),
    plain("asin", V, Vector, "arcsine in radians"),
    plain("asinh", V, Vector, "inverse hyperbolic sine"),
    plain("atan", V, Vector, "arctangent in radians"),
    plain("atanh", V, Vector, "inverse hyperbolic tangent"),
    plain("avg_over_time", M, Vector, "mean of the window"),
    plain("ceil", V, Vector, "rounds up"),
    plain("changes", M, Vector, "how often the value changed in the window"),
    plain("clamp", &[Vector, Scalar, Scalar], Vector, "limits values to a range"),
    plain("clamp_max", &[Vector, Scalar], Vector, "limits values from above"),
    plain("clamp_min", &[Vector, Scalar], Vector, "limits values from below"),
    plain("cos", V, Vector, "cosine"),
    plain("cosh", V, Vector, "hyperbolic cosine"),
    plain("count_over_time", M, Vector, "number of samples in the window"),
    variadic(plain("day_of_month", V, Vector, "day of the month, from 1, UTC"), Arity::UpTo(1)),
    variadic(plain("day_of_week", V, Vector, "day of the week, Sunday is 0, UTC"), Arity::UpTo(1)),
    variadic(plain("day_of_year", V, Vector, "day of the year, from 1, UTC"), Arity::UpTo(1)),
    variadic(plain("days_in_month", V, Vector, "number of days of the month, UTC"), Arity::UpTo(1)),
    plain("deg", V, Vector, "radians to degrees"),
    plain("delta", M, Vector, "difference of last and first value, extrapolated to the window"),
    plain("deriv", M, Vector, "slope per second by least squares"),
    experimental(
        "double_exponential_smoothing",
        &[Matrix, Scalar, Scalar],
        Vector,
        "smoothed value with trend",
    ),
    experimental("end", &[], Scalar, "end of the query in seconds"),
    plain("exp", V, Vector, "e to the power of the value"),
    plain("first_over_time", M, Vector, "oldest value of the window"),
    plain("floor", V, Vector, "rounds down"),
    plain("histogram_avg", V, Vector, "mean of native histograms"),
    plain("histogram_count", V, Vector, "number of observations of native histograms"),
    plain("histogram_fraction", &[Scalar, Scalar, Vector], Vector, "share of observations between bounds"),
    plain("histogram_quantile", &[Scalar, Vector], Vector, "quantile estimated from buckets"),
    variadic(
        experimental(
            "histogram_quantiles",
            &[Vector, String, Scalar, Scalar],
            Vector,
            "several quantiles estimated from buckets",
        ),
        Arity::UpTo(9),
    ),
    plain("histogram_stddev", V, Vector, "standard deviation of native histograms"),
    plain("histogram_stdvar", V, Vector, "variance of native histograms"),
    plain("histogram_sum", V, Vector, "sum of observations of native histograms"),
    variadic(plain("hour", V, Vector, "hour of the day, UTC"), Arity::UpTo(1)),
    plain("idelta", M, Vector, "difference of the last two values"),
    plain("increase", M, Vector, "increase of a counter over the window"),
    variadic(experimental("info", &[Vector, Vector], Vector, "adds labels from info series"), Arity::UpTo(1)),
    plain("irate", M, Vector, "per-second increase between the last two samples"),
    variadic(
        plain(
            "label_join",
            &[Vector, String, String, String],
            Vector,
            "joins label values into another label",
        ),
        Arity::Any,
    ),
    plain(
        "label_replace",
        &[Vector, String, String, String, String],
        Vector,
        "sets a label from a regular expression match on another",
    ),
    plain("last_over_time", M, Vector, "newest value of the window"),
    plain("ln", V, Vector, "natural logarithm"),
    plain("log10", V, Vector, "decimal logarithm"),
    plain("log2", V, Vector, "binary logarithm"),
    experimental("mad_over_time", M, Vector, "median absolute deviation of the window"),
    experimental("max_of", &[Scalar, Scalar], Scalar, "the larger of two scalars"),
    plain("max_over_time", M, Vector, "largest value of the window"),
    experimental("min_of", &[Scalar, Scalar], Scalar, "the smaller of two scalars"),
    plain("min_over_time", M, Vector, "smallest value of the window"),
    variadic(plain("minute", V, Vector, "minute of the hour, UTC"), Arity::UpTo(1)),
    variadic(plain("month", V, Vector, "month of the year, from 1, UTC"), Arity::UpTo(1)),
    plain("pi", &[], Scalar, "the circle constant"),
    plain("predict_linear", &[Matrix, Scalar], Vector, "value expected in the given number of seconds"),
    plain("present_over_time", M, Vector, "1 when the window has a sample"),
    plain("quantile_over_time", &[Scalar, Matrix], Vector, "quantile of the window"),
    plain("rad", V, Vector, "degrees to radians"),
    experimental("range", &[], Scalar, "length of the query in seconds"),
    plain("rate", M, Vector, "per-second increase of a counter over the window"),
    plain("resets", M, Vector, "how often a counter was reset in the window"),
    variadic(plain("round", &[Vector, Scalar], Vector, "rounds to a multiple"), Arity::UpTo(1)),
    plain("scalar", V, Scalar, "the value of a vector of one element"),
    plain("sgn", V, Vector, "sign of the value"),
    plain("sin", V, Vector, "sine"),
    plain("sinh", V, Vector, "hyperbolic sine"),
    plain("sort", V, Vector, "sorts by value, rising"),
    variadic(
        experimental("sort_by_label", &[Vector, String], Vector, "sorts by label values, rising"),
        Arity::Any,
    ),
    variadic(
        experimental("sort_by_label_desc", &[Vector, String], Vector, "sorts by label values, falling"),
        Arity::Any,
    ),
    plain("sort_desc", V, Vector, "sorts by value, falling"),
    plain("sqrt", V, Vector, "square root"),
    experimental("start", &[], Scalar, "start of the query in seconds"),
    experimental("start_timestamp", V, Vector, "start timestamp of the sample in seconds"),
    plain("stddev_over_time", M, Vector, "population standard deviation of the window"),
    plain("stdvar_over_time", M, Vector, "population variance of the window"),
    experimental("step", &[], Scalar, "step of the query in seconds"),
    plain("sum_over_time", M, Vector, "sum of the window"),
    plain("tan", V, Vector, "tangent"),
    plain("tanh", V, Vector, "hyperbolic tangent"),
    plain("time", &[], Scalar, "evaluation time in seconds"),
    plain("timestamp", V, Vector, "timestamp of the sample in seconds"),
    experimental("ts_of_first_over_time", M, Vector, "time of the oldest sample of the window"),
    experimental("ts_of_last_over_time", M, Vector, "time of the newest sample of the window"),
    experimental("ts_of_max_over_time", M, Vector, "time of the largest value of the window"),
    experimental("ts_of_min_over_time", M, Vector, "time of the smallest value of the window"),
    plain("vector", &[Scalar], Vector, "a scalar as a vector without labels"),
    variadic(plain("year", V, Vector, "year, UTC"), Arity::UpTo(1)),
];

/// The function of this name.
pub fn find(name: &str) -> Option<&'static Function> {
    FUNCTIONS.binary_search_by(|f| f.name.cmp(name)).ok().map(|at| &FUNCTIONS[at])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table_is_sorted_and_complete() {
        assert!(FUNCTIONS.is_sorted_by(|a, b| a.name < b.name));
        assert_eq!(FUNCTIONS.len(), 90);
        assert!(find("rate").is_some());
        assert!(find("Rate").is_none());
    }
}
