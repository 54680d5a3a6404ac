//! Who waits for an element: a `get` or a `next`, in one queue.

use std::cell::RefCell;
use std::rc::Weak;

use super::error::{Empty, SourceDropped};
use super::hub::{End, Hub, give_back};
use crate::error::Error;
use crate::kernel::node::Home;
use crate::resolver::Resolver;
use crate::wait_queue::Waiter;

pub(super) enum Reader<T> {
    Get(Resolver<Option<T>>),
    Next(Resolver<T>),
}

impl<T: 'static> Waiter for Reader<T> {
    #[inline(always)]
    fn is_live(&self) -> bool {
        match self {
            Reader::Get(resolver) => resolver.is_live(),
            Reader::Next(resolver) => resolver.is_live(),
        }
    }
}

impl<T: 'static> Reader<T> {
    /// Hands an element over; gives it back if nobody waits any more.
    #[inline(always)]
    pub(super) fn hand(self, value: T) -> Result<(), T> {
        match self {
            Reader::Get(resolver) => match resolver.try_wakeup(Some(value)) {
                Err(Some(back)) => Err(back),
                _ => Ok(()),
            },
            Reader::Next(resolver) => resolver.try_wakeup(value),
        }
    }

    /// Tells that no element comes any more.
    pub(super) fn end(self, end: End) {
        match (end, self) {
            (End::Dropped, reader) => reader.fail(SourceDropped.into()),
            (_, Reader::Get(resolver)) => drop(resolver.try_wakeup(None)),
            (_, Reader::Next(resolver)) => fail(resolver, Empty.into()),
        }
    }

    pub(super) fn fail(self, error: Error) {
        match self {
            Reader::Get(resolver) => fail(resolver, error),
            Reader::Next(resolver) => fail(resolver, error),
        }
    }
}

/// Fails whoever still waits.
pub(super) fn fail<T: 'static>(resolver: Resolver<T>, error: Error) {
    if resolver.is_live() {
        resolver.reject(error);
    }
}

/// The way back for an element that was handed over and not taken (M3).
pub(super) struct Back<T> {
    pub(super) hub: Weak<RefCell<Hub<T>>>,
    pub(super) slot: u32,
    pub(super) generation: u32,
    pub(super) arrival: u64,
}

impl<T: 'static> Home<T> for Back<T> {
    fn give_back(&self, value: T) {
        if let Some(hub) = self.hub.upgrade() {
            give_back(&hub, self.slot, self.generation, self.arrival, value);
        }
    }
}

/// `Option` of an element: the end is nothing that could be lost.
pub(super) struct BackOptional<T>(pub(super) Back<T>);

impl<T: 'static> Home<Option<T>> for BackOptional<T> {
    fn give_back(&self, value: Option<T>) {
        if let Some(value) = value {
            self.0.give_back(value);
        }
    }
}
