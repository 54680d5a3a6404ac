//! The elements of a stream that was cloned.
//!
//! Each element is kept once, with the number of cursors that stand right before it. A cursor that moves on takes itself
//! from one count to the next, and what lies before all cursors goes. So reading and cloning take constant time, and
//! the last cursor that passes an element gets the element itself, the others get clones. (A list of linked nodes
//! would do the same with one allocation for each element, and would have to be taken apart with care, lest a long
//! one be dropped by recursion.)

use std::collections::VecDeque;
use std::rc::Rc;

struct Entry<T> {
    /// Lent for as long as user code clones it, hence counted.
    value: Rc<T>,
    /// Cursors whose next element this is.
    cursors: usize,
}

/// See the head of this module.
pub(super) struct Log<T> {
    entries: VecDeque<Entry<T>>,
    /// The position of the first entry.
    first: u64,
    /// Cursors that have read everything.
    at_end: usize,
}

impl<T> Log<T> {
    /// The log that one cursor has before it, at position zero.
    pub(super) fn new(elements: impl IntoIterator<Item = T>) -> Log<T> {
        let mut log = Log {
            entries: VecDeque::new(),
            first: 0,
            at_end: 1,
        };
        for element in elements {
            log.push(element);
        }
        log
    }

    pub(super) fn push(&mut self, element: T) {
        self.entries.push_back(Entry {
            value: Rc::new(element),
            cursors: std::mem::take(&mut self.at_end),
        });
    }

    /// The element at a position that some cursor has.
    pub(super) fn get(&self, position: u64) -> Option<&Rc<T>> {
        self.entries
            .get(self.index(position))
            .map(|entry| &entry.value)
    }

    /// Takes the element at `position` for one cursor, which stands at the next one from now on.
    pub(super) fn advance(&mut self, position: u64) -> Option<Rc<T>> {
        let index = self.index(position);
        let entry = self.entries.get_mut(index)?;
        entry.cursors -= 1;
        let value = if index == 0 && entry.cursors == 0 {
            self.first += 1;
            self.entries.pop_front()?.value
        } else {
            entry.value.clone()
        };
        *self.count(position + 1) += 1;
        Some(value)
    }

    /// One more cursor at a position that some cursor has.
    pub(super) fn enter(&mut self, position: u64) {
        *self.count(position) += 1;
    }

    /// A cursor goes. What nobody can read any more is handed over, to be dropped outside of all borrows.
    #[must_use]
    pub(super) fn leave(&mut self, position: u64) -> Vec<Rc<T>> {
        *self.count(position) -= 1;
        let unread = self
            .entries
            .iter()
            .take_while(|entry| entry.cursors == 0)
            .count();
        self.first += unread as u64;
        self.entries
            .drain(..unread)
            .map(|entry| entry.value)
            .collect()
    }

    fn index(&self, position: u64) -> usize {
        debug_assert!(position >= self.first);
        (position - self.first) as usize
    }

    fn count(&mut self, position: u64) -> &mut usize {
        let index = self.index(position);
        match self.entries.get_mut(index) {
            Some(entry) => &mut entry.cursors,
            None => &mut self.at_end,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_cursor_gets_the_element_itself() {
        let mut log = Log::new(["a", "b"]);
        log.enter(0);
        let first = log.advance(0).unwrap();
        assert_eq!(Rc::strong_count(&first), 2);
        let second = log.advance(0).unwrap();
        drop(first);
        assert_eq!(Rc::try_unwrap(second), Ok("a"));
        assert_eq!(log.entries.len(), 1);
        assert_eq!(log.first, 1);
    }

    #[test]
    fn what_nobody_can_read_goes_with_the_slowest_cursor() {
        let mut log = Log::new([0, 1, 2, 3]);
        log.enter(0);
        for position in 0..3 {
            assert_eq!(log.advance(position).as_deref(), Some(&(position as i32)));
        }
        assert_eq!(log.entries.len(), 4);
        assert_eq!(log.leave(0).len(), 3);
        assert_eq!(log.get(3).map(|value| **value), Some(3));
        assert_eq!(log.leave(3).len(), 1);
        assert!(log.entries.is_empty());
    }

    #[test]
    fn cursors_at_the_end_stand_before_the_next_element() {
        let mut log = Log::new([]);
        log.enter(0);
        assert!(log.advance(0).is_none());
        log.push("x");
        assert!(log.advance(0).is_some());
        assert_eq!(log.entries.len(), 1);
        assert!(log.advance(0).is_some());
        assert!(log.entries.is_empty());
    }
}
