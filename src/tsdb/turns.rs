//! Whoever changes the catalog takes turns: in the order they came, so that a long series of cuts lets a deletion or a
//! snapshot that waits in between two of them. An ordinary lock would be taken again by the thread that just gave it up.

use std::sync::{Condvar, Mutex};

use crate::util::lock::lock;

#[derive(Debug, Default)]
struct State {
    /// Number of the next who comes.
    next: u64,
    /// Number of the one whose turn it is.
    serving: u64,
}

/// Gives out turns.
#[derive(Debug, Default)]
pub(super) struct Turns {
    state: Mutex<State>,
    changed: Condvar,
}

/// A turn; it ends when this is dropped.
#[must_use]
pub(super) struct Turn<'a>(&'a Turns);

impl Turns {
    /// Waits until everybody who came before is done.
    pub(super) fn take(&self) -> Turn<'_> {
        let mut state = lock(&self.state);
        let number = state.next;
        state.next += 1;
        while state.serving != number {
            state = self.changed.wait(state).unwrap_or_else(std::sync::PoisonError::into_inner);
        }
        Turn(self)
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        lock(&self.0.state).serving += 1;
        self.0.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turns_are_taken_in_the_order_of_coming() {
        let turns = Turns::default();
        let order = Mutex::new(Vec::new());
        let first = turns.take();
        std::thread::scope(|scope| {
            for number in 0..4u64 {
                let (turns, order) = (&turns, &order);
                scope.spawn(move || {
                    let _turn = turns.take();
                    lock(order).push(number);
                });
                // The next one comes only once this one waits.
                while lock(&turns.state).next < number + 2 {
                    std::thread::yield_now();
                }
            }
            drop(first);
            // Comes last, though the lock was free for a moment.
            let _turn = turns.take();
            assert_eq!(*lock(&order), [0, 1, 2, 3]);
        });
    }
}
