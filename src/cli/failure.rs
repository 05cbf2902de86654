//! What a command ends with when it cannot do its work.

/// Something a person has to be told; printed after `error: `.
pub(super) type Failure = Box<dyn std::error::Error>;

/// Files are valid, but a lint that must find nothing found something; the exit code is [`LINT_EXIT_CODE`].
#[derive(Debug, thiserror::Error)]
#[error("{files} files with lint findings")]
pub(super) struct LintFindings {
    pub(super) files: usize,
}

/// As promtool has it.
pub(super) const LINT_EXIT_CODE: u8 = 3;
