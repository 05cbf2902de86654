//! What a command ends with when it cannot do its work.

/// Something a person has to be told; printed after `error: `.
pub(super) type Failure = Box<dyn std::error::Error>;
