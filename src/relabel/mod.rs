//! Compiled relabelling: rewriting, keeping and dropping label sets by rules.
//!
//! Read `rule` (what a rule is and when it is refused), then `apply` (what each action does).
//! It knows nothing of configuration files; `config` hands it the fields of a rule.

mod apply;
mod rule;

pub use apply::{apply, apply_steps};
pub use rule::{Action, Rule, RuleError, RuleSpec};
