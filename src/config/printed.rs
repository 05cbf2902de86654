//! The configuration as text: YAML with the defaults filled in.

use super::{Config, load, raw};

/// A size such as `15MB`, to the base of two, in bytes; none if `text` is not one.
pub fn parse_size(text: &str) -> Option<u64> {
    raw::Size::parse(text).map(|size| size.0)
}

impl Config {
    /// The configuration as YAML, defaults filled in and secrets hidden. Loading it again gives an equal value, but for
    /// those.
    pub fn to_yaml(&self) -> String {
        load::print(&raw::File::from(self))
    }

    /// The section `notifications` as YAML, if there is one.
    pub fn notifications_yaml(&self) -> Option<String> {
        raw::File::from(self).notifications.map(|section| load::print(&section))
    }
}
