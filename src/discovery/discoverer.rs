//! The seam: a mechanism finds targets and hands them on, group by group.

use futures_util::future::BoxFuture;

use super::TargetGroup;

/// Finds targets in one way, for as long as somebody wants them.
pub trait Discoverer: Send + Sync {
    /// What it does, as logs name it.
    fn name(&self) -> String;

    /// Hands every group it knows to `groups`, and again each one that changes. Runs until it is dropped; when it
    /// fails, the groups that were handed on stay. It is begun anew should it end or panic.
    fn run<'a>(&'a self, groups: &'a GroupSender) -> BoxFuture<'a, ()>;
}

/// Takes a group of the mechanism that is named.
type Take = Box<dyn Fn(&str, TargetGroup) + Send + Sync>;

/// Where a discoverer hands its groups to.
pub struct GroupSender {
    /// Takes a group of a mechanism.
    pub(super) take: Take,
    /// Of the mechanism that the groups belong to.
    pub(super) identity: String,
}

impl GroupSender {
    /// Puts `group` in the place of the one that came from the same source; without targets it is as if there were
    /// none.
    pub fn send(&self, group: TargetGroup) {
        (self.take)(&self.identity, group);
    }
}

impl std::fmt::Debug for GroupSender {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GroupSender").field("identity", &self.identity).finish_non_exhaustive()
    }
}
