//! What a table of keys says of a section, and where in the file a value stands.

/// The keys of one kind of section.
#[derive(Debug)]
pub(super) struct Keys {
    /// Keys that work, each with the section below it, if it is one.
    pub(super) supported: &'static [(&'static str, Below)],
    /// More of them, in lists that several sections share.
    pub(super) shared: &'static [&'static [(&'static str, Below)]],
    /// Keys that Prometheus has and this server does not, in lists that several sections may share.
    pub(super) unsupported: &'static [&'static [&'static str]],
    /// Values at which an unsupported key may stand, because they change nothing.
    pub(super) harmless: &'static [(&'static str, &'static str)],
    /// Keys among those above that are read like any other, so that all that is wrong with them is told, and refused
    /// nevertheless: nothing follows them yet.
    pub(super) refused: &'static [&'static str],
}

/// A section without keys, for all that a table does not say.
pub(super) const NONE: Keys =
    Keys { supported: &[], shared: &[], unsupported: &[], harmless: &[], refused: &[] };

/// What a key holds.
#[derive(Debug, Clone, Copy)]
pub(super) enum Below {
    /// A value, or a mapping with free keys.
    Value,
    /// A section.
    Section(&'static Keys),
    /// A list of sections.
    List(&'static Keys),
    /// Sections by free names.
    Named(&'static Keys),
}

impl Keys {
    /// All keys that work.
    pub(super) fn all(&self) -> impl Iterator<Item = &'static (&'static str, Below)> {
        self.supported.iter().chain(self.shared.iter().copied().flatten())
    }
}

#[cfg(test)]
impl Keys {
    /// All keys from here on, as they are called in the file.
    pub(super) fn names(&self) -> Vec<&'static str> {
        let mut out = self.unsupported.concat();
        for (name, below) in self.all() {
            out.push(name);
            // Routes have routes below them.
            if let Below::Section(keys) | Below::List(keys) | Below::Named(keys) = below
                && !std::ptr::eq(*keys, self)
            {
                out.extend(keys.names());
            }
        }
        out
    }
}

/// A step from the top of the file to a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Segment {
    Key(String),
    Index(usize),
}

/// A key path from the top of the file.
pub(super) type Path = Vec<Segment>;

/// `path` with one more key.
pub(super) fn with_key(path: &[Segment], key: &str) -> Path {
    [path, &[Segment::Key(key.to_owned())]].concat()
}

/// `path` with one more index.
pub(super) fn with_index(path: &[Segment], index: usize) -> Path {
    [path, &[Segment::Index(index)]].concat()
}

/// `scrape_configs[0].job_name`; the top is called `configuration`.
pub(super) fn show(path: &[Segment]) -> String {
    let mut out = String::new();
    for segment in path {
        match segment {
            Segment::Index(index) => out.push_str(&["[", &index.to_string(), "]"].concat()),
            Segment::Key(key) => {
                if !out.is_empty() {
                    out.push('.');
                }
                out.push_str(key);
            }
        }
    }
    if out.is_empty() { "configuration".to_owned() } else { out }
}
