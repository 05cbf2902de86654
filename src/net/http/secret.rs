//! Texts that stand in the configuration or in files, which are read again when they change.

use std::fs::File;
use std::io::Read as _;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use hyper::header::HeaderValue;

use super::error::HttpError;
use crate::config::{Secret, Source};
use crate::util::Stamp;
use crate::util::lock::lock;

/// Nothing that is kept secret, and no chain of certificates, is longer.
const MAX_FILE_BYTES: u64 = 4 << 20;

/// Reads the whole file at `path`.
///
/// # Errors
/// When it cannot be read or is larger than anything of the kind.
pub fn read_file(path: &PathBuf) -> Result<Vec<u8>, HttpError> {
    let failed = |source| HttpError::File { path: path.clone(), source };
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes));
    read.map_err(failed)?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(failed(std::io::Error::other(format!("larger than {MAX_FILE_BYTES} bytes"))));
    }
    Ok(bytes)
}

/// The text that `source` has now; of a file without the white space around it.
///
/// # Errors
/// When the file cannot be read or is no text.
pub fn read_source(source: &Source) -> Result<Arc<Secret>, HttpError> {
    LiveText::new(source).read()
}

/// The value of the header for a name and a password.
pub(super) fn basic(username: &str, password: &str) -> String {
    use base64::Engine as _;
    format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(format!("{username}:{password}")))
}

/// The same as it is sent.
///
/// # Errors
/// When a name has characters that no header has.
pub(super) fn basic_header(username: &str, password: &str) -> Result<HeaderValue, HttpError> {
    let value = HeaderValue::from_str(&basic(username, password));
    let mut value = value.map_err(|_| HttpError::Setup("invalid user information in a URL".to_owned()))?;
    value.set_sensitive(true);
    Ok(value)
}

/// A text as it is now.
#[derive(Debug)]
pub(super) enum LiveText {
    /// It stands in the configuration.
    Fixed(Secret),
    /// It stands in a file; what it was when the file was read last.
    File(PathBuf, Mutex<Option<(Stamp, Arc<Secret>)>>),
}

impl LiveText {
    pub(super) fn new(source: &Source) -> Self {
        match source {
            Source::Text(text) => Self::Fixed(text.clone()),
            Source::File(path) => Self::file(path.clone()),
        }
    }

    pub(super) fn file(path: PathBuf) -> Self {
        Self::File(path, Mutex::default())
    }

    /// The text; of a file without the white space around it.
    ///
    /// # Errors
    /// When the file cannot be read or is no text.
    pub(super) fn read(&self) -> Result<Arc<Secret>, HttpError> {
        let (path, known) = match self {
            Self::Fixed(text) => return Ok(Arc::new(text.clone())),
            Self::File(path, known) => (path, known),
        };
        // Looked at before it is read: a change in between is seen the next time.
        let stamp = Stamp::of(path);
        if let Some((of, text)) = &*lock(known)
            && Some(of) == stamp.as_ref()
        {
            return Ok(Arc::clone(text));
        }
        let text = String::from_utf8(read_file(path)?).map_err(|_| HttpError::File {
            path: path.clone(),
            source: std::io::Error::new(std::io::ErrorKind::InvalidData, "not valid UTF-8"),
        })?;
        let text = Arc::new(Secret::new(text.trim()));
        *lock(known) = stamp.map(|stamp| (stamp, Arc::clone(&text)));
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_again_when_it_changes_and_missed_when_it_is_gone() {
        let dir = tempfile::tempdir().expect("dir");
        let path = dir.path().join("token");
        let text = LiveText::file(path.clone());
        let told = text.read().expect_err("no file").to_string();
        assert!(told.starts_with(&format!("cannot read {}: ", path.display())), "{told}");
        std::fs::write(&path, " a\n").expect("written");
        assert_eq!(text.read().expect("a text").reveal(), "a");
        std::fs::write(&path, "longer\n").expect("written");
        assert_eq!(text.read().expect("a text").reveal(), "longer");
        std::fs::write(&path, [0xff]).expect("written");
        assert!(text.read().expect_err("no text").to_string().ends_with("not valid UTF-8"));
        std::fs::remove_file(&path).expect("removed");
        assert!(text.read().is_err());
    }
}
