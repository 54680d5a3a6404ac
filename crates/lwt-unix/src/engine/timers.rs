//! The queue of timers.
//!
//! A heap (four children to a node, see [`super::heap`]) ordered by due time, and among equal times by the order of creation. Stopping a timer does not look
//! for it in the heap: the registration it points to is gone (its generation has changed), the entry becomes stale
//! and is skipped when it comes up. When stale entries outnumber the live ones the heap is rebuilt without them, so
//! that a program that makes and stops timers for ever (a time-out around every request) stays at the size of what
//! is really waiting; the cost of a rebuild is spread over the stops that made it necessary.
//!
//! Invariants: `live` is the number of entries whose timer has neither fired nor been stopped; keys `(due, sequence)`
//! are unique, so the order of firing is total and does not depend on the heap's inner order.

use super::heap::Heap;
use super::moment::Moment;

/// Stale entries that are always tolerated, so that small queues are never rebuilt.
const STALE_ALLOWANCE: usize = 64;

/// One entry: when, and whose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Entry<K> {
    pub(super) due: Moment,
    pub(super) sequence: u64,
    pub(super) key: K,
}

/// The queue; `K` leads to the registration.
#[derive(Debug)]
pub(super) struct Timers<K> {
    heap: Heap<Entry<K>>,
    live: usize,
    next_sequence: u64,
}

impl<K: Copy + Ord> Timers<K> {
    pub(super) const fn new() -> Timers<K> {
        Timers {
            heap: Heap::new(),
            live: 0,
            next_sequence: 0,
        }
    }

    /// The number of timers that have neither fired nor been stopped.
    pub(super) fn live(&self) -> usize {
        self.live
    }

    /// The sequence number that the next timer will get: timers from here on belong to a later turn.
    pub(super) fn next_sequence(&self) -> u64 {
        self.next_sequence
    }

    /// Adds a timer.
    pub(super) fn insert(&mut self, due: Moment, key: K) {
        let sequence = self.next_sequence;
        self.next_sequence += 1;
        self.live += 1;
        self.heap.push(Entry { due, sequence, key });
    }

    /// Notes that the timer of one entry was stopped; `is_live` tells which keys still lead somewhere.
    pub(super) fn stopped_one(&mut self, is_live: impl Fn(K) -> bool) {
        self.live -= 1;
        if self.heap.len() > 2 * self.live + STALE_ALLOWANCE {
            self.heap.retain(|entry| is_live(entry.key));
            debug_assert_eq!(self.heap.len(), self.live, "every live timer has one entry");
        }
    }

    /// When the first live timer is due; stale entries before it are thrown away.
    pub(super) fn first_due(&mut self, is_live: impl Fn(K) -> bool) -> Option<Moment> {
        while let Some(entry) = self.heap.first() {
            if is_live(entry.key) {
                return Some(entry.due);
            }
            self.heap.pop();
        }
        None
    }

    /// Takes the first live timer that is due at `now` and older than `limit`.
    pub(super) fn take_due(
        &mut self,
        now: Moment,
        limit: u64,
        is_live: impl Fn(K) -> bool,
    ) -> Option<K> {
        loop {
            let entry = self.heap.first()?;
            if !is_live(entry.key) {
                self.heap.pop();
                continue;
            }
            if entry.due > now || entry.sequence >= limit {
                return None;
            }
            let key = entry.key;
            self.heap.pop();
            self.live -= 1;
            return Some(key);
        }
    }

    /// Moves every timer from the clock that shows `from` to the clock that shows `to`: what remains stays the same.
    ///
    /// Timers that are overdue become due now, and keep their order: the sequence numbers in use are handed out anew,
    /// ascending, in the order in which the timers were to fire.
    pub(super) fn move_clock(&mut self, from: Moment, to: Moment) {
        self.heap.change_ascending(|entries| {
            let mut sequences: Vec<u64> = entries.iter().map(|entry| entry.sequence).collect();
            sequences.sort_unstable();
            for (entry, sequence) in entries.iter_mut().zip(sequences) {
                entry.sequence = sequence;
                if entry.due != Moment::END {
                    entry.due = to + entry.due.since(from);
                }
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(nanoseconds: u64) -> Moment {
        Moment::from_nanoseconds(nanoseconds)
    }

    #[test]
    fn timers_come_in_order_of_time_and_then_of_creation() {
        let mut timers = Timers::new();
        for (due, key) in [(5, 'a'), (3, 'b'), (5, 'c'), (3, 'd'), (9, 'e')] {
            timers.insert(at(due), key);
        }
        let limit = timers.next_sequence();
        let mut order = String::new();
        while let Some(key) = timers.take_due(at(5), limit, |_| true) {
            order.push(key);
        }
        assert_eq!(order, "bdac");
        assert_eq!(timers.live(), 1);
        assert_eq!(timers.first_due(|_| true), Some(at(9)));
    }

    #[test]
    fn a_timer_made_while_firing_waits_for_the_next_turn() {
        let mut timers = Timers::new();
        timers.insert(at(0), 'a');
        let limit = timers.next_sequence();
        assert_eq!(timers.take_due(at(0), limit, |_| true), Some('a'));
        timers.insert(at(0), 'b');
        assert_eq!(timers.take_due(at(0), limit, |_| true), None);
        let limit = timers.next_sequence();
        assert_eq!(timers.take_due(at(0), limit, |_| true), Some('b'));
    }

    #[test]
    fn stopping_keeps_the_heap_in_proportion_to_what_is_live() {
        let mut timers = Timers::new();
        for key in 0..100_000_u32 {
            timers.insert(at(u64::from(key)), key);
            if key >= 10 {
                timers.stopped_one(|other| other < 10);
            }
        }
        assert_eq!(timers.live(), 10);
        assert!(
            timers.heap.len() <= 2 * 10 + STALE_ALLOWANCE + 1,
            "{} entries",
            timers.heap.len()
        );
    }

    #[test]
    fn moving_to_another_clock_keeps_what_remains() {
        let mut timers = Timers::new();
        timers.insert(at(100), 'a');
        timers.insert(at(90), 'b');
        timers.insert(at(80), 'c');
        timers.insert(Moment::END, 'z');
        timers.move_clock(at(95), at(1_000));
        assert_eq!(
            timers.first_due(|_| true),
            Some(at(1_000)),
            "the overdue ones are due at once"
        );
        assert_eq!(
            timers.take_due(at(1_000), u64::MAX, |_| true),
            Some('c'),
            "in their old order"
        );
        assert_eq!(timers.take_due(at(1_000), u64::MAX, |_| true), Some('b'));
        assert_eq!(timers.first_due(|_| true), Some(at(1_005)));
        assert_eq!(timers.take_due(at(1_005), u64::MAX, |_| true), Some('a'));
        assert_eq!(timers.first_due(|_| true), Some(Moment::END));
    }
}
