//! The queue behind every primitive: who waits, in order of arrival.
//!
//! A waiter goes without a word: its promise is cancelled or dropped, and nothing tells the queue. So a place is
//! looked at when its turn comes, and passed over if nobody stands behind it. So that waiters who come and go while
//! nothing is ever handed out do not pile up, an arrival that finds the queue twice as long as it was after the
//! last sweep (and a constant) sweeps it: constant time for each arrival, on average, and never more than twice the
//! live waiters of the last sweep plus [`TOLERATED`] places.
//!
//! What is swept out is handed to the caller, never dropped here: dropping a waiter may run foreign code, and
//! the caller has the primitive's state borrowed.

use std::collections::VecDeque;

use crate::resolver::Resolver;

/// Dead places that a queue tolerates beside its live ones.
const TOLERATED: usize = 32;

/// Something that stands in a queue.
pub(crate) trait Waiter {
    /// Whether somebody still waits behind it.
    fn is_live(&self) -> bool;
}

impl<T: 'static> Waiter for Resolver<T> {
    #[inline(always)]
    fn is_live(&self) -> bool {
        self.is_pending() && !self.is_abandoned()
    }
}

/// A writer with what it wants to hand over.
impl<V, T: 'static> Waiter for (V, Resolver<T>) {
    #[inline(always)]
    fn is_live(&self) -> bool {
        self.1.is_live()
    }
}

/// See the head of this module.
pub(crate) struct WaitQueue<W> {
    /// The oldest; the usual case of a single waiter touches nothing else.
    first: Option<W>,
    /// The others; empty if there is no first.
    places: VecDeque<W>,
    /// The length of `places` at which the next arrival sweeps.
    sweep_at: usize,
}

/// What was swept out, to be dropped when no borrow is held. One word's test in the usual case of nothing.
pub(crate) type Swept<W> = Option<Box<[W]>>;

impl<W> WaitQueue<W> {
    pub(crate) const fn new() -> WaitQueue<W> {
        WaitQueue {
            first: None,
            places: VecDeque::new(),
            sweep_at: TOLERATED,
        }
    }

    /// Whether no place is taken, by a live waiter or a dead one.
    #[inline(always)]
    pub(crate) fn is_empty(&self) -> bool {
        self.first.is_none()
    }

    /// The next in the queue, live or not.
    #[inline(always)]
    pub(crate) fn pop(&mut self) -> Option<W> {
        let next = self.first.take()?;
        if !self.places.is_empty() {
            self.first = self.places.pop_front();
        }
        Some(next)
    }

    /// All of them.
    pub(crate) fn take(&mut self) -> VecDeque<W> {
        self.sweep_at = TOLERATED;
        let mut all = std::mem::take(&mut self.places);
        if let Some(first) = self.first.take() {
            all.push_front(first);
        }
        all
    }
}

impl<W: Waiter> WaitQueue<W> {
    /// Adds a waiter at the end.
    #[must_use]
    #[inline(always)]
    pub(crate) fn push(&mut self, waiter: W) -> Swept<W> {
        if self.first.is_none() {
            self.first = Some(waiter);
            return None;
        }
        self.push_behind(waiter)
    }

    #[inline]
    fn push_behind(&mut self, waiter: W) -> Swept<W> {
        let length = self.places.len();
        let mut swept = None;
        if length >= self.sweep_at {
            swept = Some(self.sweep());
        } else if 4 * length + 2 * TOLERATED < self.sweep_at {
            self.adapt();
        }
        self.places.push_back(waiter);
        swept
    }

    /// Whether anybody waits.
    pub(crate) fn has_live(&self) -> bool {
        self.first.iter().chain(&self.places).any(Waiter::is_live)
    }

    #[cold]
    fn sweep(&mut self) -> Box<[W]> {
        let (live, dead): (Vec<W>, Vec<W>) = std::mem::take(&mut self.places)
            .into_iter()
            .partition(Waiter::is_live);
        self.places = live.into();
        self.adapt();
        dead.into()
    }

    /// Sets the length at which the next arrival sweeps by the present one, and gives memory back.
    #[cold]
    fn adapt(&mut self) {
        self.sweep_at = 2 * self.places.len() + TOLERATED;
        self.places.shrink_to(self.sweep_at);
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::rc::Rc;

    use super::*;

    /// Enough to be swept many times over.
    const MANY: usize = if cfg!(miri) { 1_000 } else { 100_000 };

    struct Place(usize, Rc<Cell<bool>>);

    impl Waiter for Place {
        fn is_live(&self) -> bool {
            self.1.get()
        }
    }

    fn place(name: usize) -> (Place, Rc<Cell<bool>>) {
        let live = Rc::new(Cell::new(true));
        (Place(name, live.clone()), live)
    }

    #[test]
    fn keeps_the_order_of_arrival_over_sweeps() {
        let mut queue = WaitQueue::new();
        let mut kept = Vec::new();
        for name in 0..1_000 {
            let (place, live) = place(name);
            drop(queue.push(place));
            live.set(name % 7 == 0);
            kept.push(live);
        }
        let mut names = Vec::new();
        while let Some(place) = queue.pop() {
            if place.is_live() {
                names.push(place.0);
            }
        }
        let expected: Vec<usize> = (0..1_000).filter(|name| name % 7 == 0).collect();
        assert_eq!(names, expected);
    }

    #[test]
    fn never_holds_more_than_twice_the_live_ones_and_a_constant() {
        let mut queue = WaitQueue::new();
        let mut kept = Vec::new();
        for name in 0..100 {
            let (place, live) = place(name);
            drop(queue.push(place));
            kept.push(live);
        }
        for name in 0..MANY {
            let (place, live) = place(name);
            drop(queue.push(place));
            live.set(false);
            assert!(
                queue.places.len() <= 2 * 100 + 2 * TOLERATED,
                "{}",
                queue.places.len()
            );
        }
        assert!(queue.has_live());
        kept.iter().for_each(|live| live.set(false));
        assert!(!queue.has_live());
    }

    #[test]
    fn forgets_how_long_it_once_was() {
        let mut queue = WaitQueue::new();
        let (_, live) = place(0);
        for name in 0..MANY {
            drop(queue.push(Place(name, live.clone())));
        }
        while queue.pop().is_some() {}
        let dead = Rc::new(Cell::new(false));
        for name in 0..MANY {
            drop(queue.push(Place(name, dead.clone())));
            assert!(queue.places.len() <= 2 * TOLERATED);
        }
        assert!(queue.places.capacity() <= 8 * TOLERATED);
    }

    #[test]
    fn what_is_swept_out_is_handed_over() {
        let mut queue = WaitQueue::new();
        let mut swept = 0;
        for name in 0..=TOLERATED {
            let (place, live) = place(name);
            live.set(false);
            swept += queue.push(place).map_or(0, |dead| dead.len());
        }
        assert_eq!(swept, 0);
        swept += queue.push(place(0).0).map_or(0, |dead| dead.len());
        assert_eq!(swept, TOLERATED);
        assert_eq!(queue.take().len(), 2);
    }
}
