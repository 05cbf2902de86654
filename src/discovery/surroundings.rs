//! What the process finds around it: variables, files, the clock, servers of the machine.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use crate::config::HttpConfig;
use crate::net::{Dialer, HttpClient, HttpError, read_file};
use crate::util::{Clock, SystemClock};

/// Gives the value of a variable.
type Variables = dyn Fn(&str) -> Option<String> + Send + Sync;

/// Clones share everything.
#[derive(Clone)]
pub(super) struct Surroundings {
    variables: Arc<Variables>,
    pub(super) clock: Arc<dyn Clock>,
    /// For servers that are near: without a proxy and without redirects.
    pub(super) near: HttpClient,
}

impl Surroundings {
    /// Those of the process.
    ///
    /// # Errors
    /// When the client cannot be set up.
    pub(super) fn of_process(dialer: &Arc<Dialer>) -> Result<Self, HttpError> {
        Self::new(dialer, |name| std::env::var(name).ok(), Arc::new(SystemClock))
    }

    /// Made-up ones.
    ///
    /// # Errors
    /// When the client cannot be set up.
    pub(super) fn new(
        dialer: &Arc<Dialer>,
        variables: impl Fn(&str) -> Option<String> + Send + Sync + 'static,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, HttpError> {
        let http = HttpConfig { follow_redirects: false, ..HttpConfig::default() };
        let near = HttpClient::new(&http, Arc::clone(dialer))?;
        Ok(Self { variables: Arc::new(variables), clock, near })
    }

    /// A variable that is not empty.
    pub(super) fn variable(&self, name: &str) -> Option<String> {
        (self.variables)(name).filter(|value| !value.is_empty())
    }

    /// The first of several that is not empty.
    pub(super) fn first_of(&self, names: &[&str]) -> Option<String> {
        names.iter().find_map(|name| self.variable(name))
    }

    /// The file that a variable names, or one in the folder of the user.
    pub(super) fn file_at(&self, variable: &str, below_home: &str) -> Option<PathBuf> {
        let at_home = || Some(PathBuf::from(self.variable("HOME")?).join(below_home));
        self.variable(variable).map(PathBuf::from).or_else(at_home)
    }
}

/// The text of a file without the white space around it.
///
/// # Errors
/// When it cannot be read.
pub(super) fn read_text(path: &PathBuf) -> Result<String, String> {
    let bytes = read_file(path).map_err(|error| error.to_string())?;
    Ok(String::from_utf8_lossy(&bytes).trim().to_owned())
}

impl fmt::Debug for Surroundings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Variables may hold secrets.
        f.write_str("Surroundings")
    }
}
