//! Types of values, as functions take and give them.

/// Type of the value an expression yields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ValueType {
    /// One number per step.
    Scalar,
    /// A text.
    String,
    /// Series with one value per step.
    Vector,
    /// Series with a window of samples per step.
    Matrix,
}

impl ValueType {
    /// The name used in messages for users.
    pub fn documented(self) -> &'static str {
        match self {
            Self::Scalar => "scalar",
            Self::String => "string",
            Self::Vector => "instant vector",
            Self::Matrix => "range vector",
        }
    }

    /// The short name used on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Scalar => "scalar",
            Self::String => "string",
            Self::Vector => "vector",
            Self::Matrix => "matrix",
        }
    }
}
