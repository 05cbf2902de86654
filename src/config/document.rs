//! A YAML text to a value: what is wrong with the text and what is wrong with what it says is told together.

use super::Error;
use super::key::Path;
use super::section::{Item, Notes, UnknownKeys};
use super::tree;

/// Reads `text`, which messages call `name`, and gives its top to `read`; an empty text gives the default.
///
/// # Errors
/// When anything in it is refused; all that is wrong is told.
pub(super) fn read<T: Default>(
    text: &str,
    name: &str,
    unknown_keys: UnknownKeys,
    read: impl for<'a> FnOnce(&'a Notes<'a>, &Item<'a>) -> T,
) -> Result<T, Error> {
    // Some editors begin a file with a byte order mark.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let notes = Notes::new(name).with(unknown_keys);
    let mut value = T::default();
    match tree::read(text) {
        Err(fault) => notes.fault(fault),
        Ok((root, faults)) => {
            faults.into_iter().for_each(|fault| notes.fault(fault));
            if let Some(root) = root {
                value = read(&notes, &Item { node: &root, line: root.line, path: Path::new() });
            }
        }
    }
    notes.into_result().map(|()| value)
}
