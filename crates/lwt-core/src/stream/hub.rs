//! What the readers of a stream and its source share.
//!
//! A *cursor* is a position in the stream: that of a [`Stream`](super::Stream) and of what was launched from it. While there
//! is one, the elements lie in a plain queue, and those that arrive one by one cost no allocation. From the
//! first clone on they lie in a [`Log`].
//!
//! Invariants between two calls:
//!
//! - a live reader waits at a cursor only while the cursor has nothing to read and the stream has not ended;
//! - while live readers wait and the source is a function, a call of it is outstanding;
//! - [`direct`](Hub::direct) and [`plain`](Hub::plain) are only set when the shortest ways of push and read are right.
//!
//! Nothing foreign runs while the hub is borrowed: not the source, no `clone` or `drop` of an element, nobody who waits.
//! So every function here looks at the state afresh after each step that may run something, and takes out what is
//! to be dropped.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

use super::bounded::Blocked;
use super::error::{ReadersGone, SourceDropped};
use super::log::Log;
use super::queue::Queue;
use super::source::SourceFn;
use super::waiter::{Reader, fail};
use crate::error::Error;
use crate::resolver::Resolver;
use crate::scheduler;
use crate::wait_queue::{WaitQueue, Waiter};

pub(super) type Shared<T> = Rc<RefCell<Hub<T>>>;

/// Whether more elements may come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Open,
    /// The end was announced.
    Closed,
    /// The source went away.
    Dropped,
}

/// Where the elements come from.
pub(super) enum Source<T> {
    /// Pushed, without limit.
    Push,
    /// Pushed, with a limit.
    Bounded {
        capacity: usize,
        blocked: Option<Blocked<T>>,
    },
    /// Asked for. The function is taken out while it runs.
    Function {
        function: Option<SourceFn<T>>,
        /// Whether an answer is outstanding.
        asked: bool,
    },
}

pub(super) struct Cursor<T> {
    /// Streams and traversals at this position. Without any, the cursor stays for as long as readers wait.
    pub(super) handles: usize,
    /// Tells a reader of this cursor from one of an earlier cursor in the same slot.
    pub(super) generation: u32,
    /// Whether the slot is taken.
    pub(super) exists: bool,
    /// In the log, if there is one.
    pub(super) position: u64,
    /// Elements that come before those at the position, by the numbers of the readers who gave them back.
    pub(super) returned: VecDeque<(u64, Rc<T>)>,
    /// The number of the next reader.
    pub(super) arrival: u64,
    pub(super) readers: WaitQueue<Reader<T>>,
    /// Those who wait for an element to be there, without taking it.
    pub(super) observers: WaitQueue<Resolver<()>>,
}

pub(super) struct Hub<T> {
    /// The elements, while there is one cursor.
    pub(super) queue: Queue<T>,
    /// The elements, since there was a second one.
    pub(super) log: Option<Log<T>>,
    /// A push may simply append to `queue`.
    pub(super) direct: bool,
    /// A read may simply take from `queue`.
    pub(super) plain: bool,
    pub(super) end: End,
    pub(super) cursors: Vec<Cursor<T>>,
    pub(super) source: Source<T>,
    /// Stored by the first function that needs it and may (M2).
    pub(super) clone: Option<fn(&T) -> T>,
    pub(super) closing: WaitQueue<Resolver<()>>,
}

/// What was taken out of the hub, to be dropped when it is not borrowed any more.
pub(super) struct Leavings<T> {
    queue: Queue<T>,
    elements: Vec<Rc<T>>,
    returned: VecDeque<(u64, Rc<T>)>,
    readers: VecDeque<Reader<T>>,
    observers: VecDeque<Resolver<()>>,
    source: Option<Source<T>>,
}

/// An element on its way to a reader.
pub(super) enum Element<T> {
    Own(T),
    Lent(Rc<T>, Option<fn(&T) -> T>),
}

impl<T> Element<T> {
    /// The element itself for the last who has it, a clone for others. May run foreign code, and panic.
    pub(super) fn into_value(self) -> T {
        match self {
            Element::Own(value) => value,
            Element::Lent(value, clone) => {
                Rc::try_unwrap(value).unwrap_or_else(|value| match clone {
                    Some(clone) => clone(&value),
                    None => unreachable!("an element is lent only where it can be cloned"),
                })
            }
        }
    }
}

impl<T> Cursor<T> {
    fn new(generation: u32, position: u64) -> Cursor<T> {
        Cursor {
            handles: 1,
            generation,
            exists: true,
            position,
            returned: VecDeque::new(),
            arrival: 0,
            readers: WaitQueue::new(),
            observers: WaitQueue::new(),
        }
    }
}

impl<T: 'static> Hub<T> {
    /// A stream with one cursor.
    pub(super) fn new(source: Source<T>, queue: Queue<T>, end: End) -> Shared<T> {
        let mut hub = Hub {
            queue,
            log: None,
            direct: false,
            plain: true,
            end,
            cursors: vec![Cursor::new(0, 0)],
            source,
            clone: None,
            closing: WaitQueue::new(),
        };
        hub.choose_ways();
        Rc::new(RefCell::new(hub))
    }

    /// Whether somebody could read what comes.
    pub(super) fn is_read(&self) -> bool {
        self.cursors.iter().any(|cursor| cursor.exists)
    }

    /// Number of elements that the first cursor has before it (for bounded streams, which have no other).
    pub(super) fn count(&self) -> usize {
        self.queue.len()
            + self
                .cursors
                .first()
                .map_or(0, |cursor| cursor.returned.len())
    }

    #[inline]
    pub(super) fn cursor(&mut self, slot: u32) -> &mut Cursor<T> {
        &mut self.cursors[slot as usize]
    }

    /// Whether there is nothing to read, and nobody to be asked. Only looks at the usual case: of a stream with one
    /// reader, into which elements are pushed.
    #[inline(always)]
    pub(super) fn is_silent(&self) -> bool {
        self.plain
            && self.end == End::Open
            && self.queue.is_empty()
            && matches!(self.source, Source::Push)
    }

    pub(super) fn is_available(&self, slot: u32) -> bool {
        let cursor = &self.cursors[slot as usize];
        if !cursor.exists {
            return false;
        }
        !cursor.returned.is_empty()
            || match &self.log {
                Some(log) => log.get(cursor.position).is_some(),
                None => !self.queue.is_empty(),
            }
    }

    /// Takes the next element of a cursor.
    pub(super) fn take(&mut self, slot: u32) -> Option<Element<T>> {
        let cursor = &mut self.cursors[slot as usize];
        if let Some((_, value)) = cursor.returned.pop_front() {
            return Some(Element::Lent(value, self.clone));
        }
        match &mut self.log {
            Some(log) => {
                let value = log.advance(cursor.position)?;
                cursor.position += 1;
                Some(Element::Lent(value, self.clone))
            }
            None => self.queue.pop().map(Element::Own),
        }
    }

    /// The next element of a cursor, which stays there.
    pub(super) fn front(&mut self, slot: u32, clone: fn(&T) -> T) -> Option<Rc<T>> {
        self.clone = Some(clone);
        let cursor = &mut self.cursors[slot as usize];
        if let Some((_, value)) = cursor.returned.front() {
            return Some(value.clone());
        }
        if let Some(log) = &self.log {
            return log.get(cursor.position).cloned();
        }
        // To be lent, it must be counted. It stands behind everything that may come back.
        let value = Rc::new(self.queue.pop()?);
        cursor.returned.push_back((u64::MAX, value.clone()));
        self.choose_ways();
        Some(value)
    }

    /// A second cursor at the position of the first.
    pub(super) fn split(&mut self, slot: u32, clone: fn(&T) -> T) -> u32 {
        self.clone = Some(clone);
        let queue = &mut self.queue;
        let log = self.log.get_or_insert_with(|| {
            Log::new(std::mem::replace(queue, Queue::new()).into_elements())
        });
        let original = &self.cursors[slot as usize];
        log.enter(original.position);
        let vacant = self.cursors.iter().position(|cursor| !cursor.exists);
        let generation = vacant.map_or(0, |vacant| self.cursors[vacant].generation + 1);
        let mut cursor = Cursor::new(generation, original.position);
        cursor.returned = original.returned.clone();
        cursor.arrival = original.arrival;
        let slot = match vacant {
            Some(vacant) => {
                self.cursors[vacant] = cursor;
                vacant
            }
            None => {
                self.cursors.push(cursor);
                self.cursors.len() - 1
            }
        };
        self.choose_ways();
        slot as u32
    }

    /// Whether somebody waits and is to be told when an element comes.
    pub(super) fn is_awaited(&self) -> bool {
        self.cursors.iter().any(|cursor| {
            cursor.exists && (cursor.readers.has_live() || cursor.observers.has_live())
        })
    }

    /// Sets the two flags by the state.
    #[inline]
    pub(super) fn choose_ways(&mut self) {
        let Some(cursor) = self.cursors.first() else {
            return;
        };
        let alone = self.log.is_none() && cursor.exists;
        self.direct = alone
            && self.end == End::Open
            && matches!(self.source, Source::Push)
            && cursor.readers.is_empty()
            && cursor.observers.is_empty();
        self.plain = alone
            && cursor.returned.is_empty()
            && !matches!(
                self.source,
                Source::Bounded {
                    blocked: Some(_),
                    ..
                }
            );
    }

    /// Frees the slot of a cursor that nobody has any more.
    #[must_use]
    pub(super) fn remove(&mut self, slot: u32) -> Leavings<T> {
        let cursor = &mut self.cursors[slot as usize];
        cursor.exists = false;
        let mut leavings = Leavings {
            queue: Queue::new(),
            elements: Vec::new(),
            returned: std::mem::take(&mut cursor.returned),
            readers: cursor.readers.take(),
            observers: cursor.observers.take(),
            source: None,
        };
        match &mut self.log {
            Some(log) => leavings.elements = log.leave(cursor.position),
            None => leavings.queue = std::mem::replace(&mut self.queue, Queue::new()),
        }
        if !self.is_read() {
            leavings.source = Some(match &mut self.source {
                Source::Push => Source::Push,
                Source::Bounded { blocked, .. } => Source::Bounded {
                    capacity: 0,
                    blocked: blocked.take(),
                },
                Source::Function { function, .. } => Source::Function {
                    function: function.take(),
                    asked: false,
                },
            });
        }
        self.choose_ways();
        leavings
    }
}

impl<T: 'static> Leavings<T> {
    /// Drops it all; tells a blocked push that nobody will ever read.
    pub(super) fn discard(self) {
        let Leavings {
            queue,
            elements,
            returned,
            readers,
            observers,
            mut source,
        } = self;
        if let Some(Source::Bounded { blocked, .. }) = &mut source
            && let Some(blocked) = blocked.take()
        {
            blocked.refuse(ReadersGone.into());
        }
        drop((queue, elements, returned, readers, observers, source));
    }
}

/// One more element came from the source.
#[inline]
pub(super) fn deliver<T: 'static>(shared: &Shared<T>, mut value: T) {
    let mut hub = shared.borrow_mut();
    while hub.plain && hub.end == End::Open {
        // One cursor, which has nothing before it if anybody waits.
        let cursor = hub.cursor(0);
        let is_held = cursor.handles > 0;
        let Some(reader) = cursor.readers.pop() else {
            let is_observed = !cursor.observers.is_empty();
            hub.queue.push(value);
            hub.choose_ways();
            drop(hub);
            if is_observed || !is_held {
                serve(shared);
            }
            return;
        };
        if cursor.readers.is_empty() && cursor.observers.is_empty() {
            hub.direct = matches!(hub.source, Source::Push);
        }
        drop(hub);
        match reader.hand(value) {
            Ok(()) if is_held => return,
            Ok(()) => return serve(shared),
            Err(back) => value = back,
        }
        hub = shared.borrow_mut();
    }
    if !hub.is_read() {
        drop(hub);
        drop(value);
        return;
    }
    match &mut hub.log {
        Some(log) => log.push(value),
        None => hub.queue.push(value),
    }
    drop(hub);
    serve(shared);
}

/// Gives everybody who waits what is there for them, and removes cursors that nobody has any more.
pub(super) fn serve<T: 'static>(shared: &Shared<T>) {
    let mut slot = 0;
    while (slot as usize) < shared.borrow().cursors.len() {
        serve_readers(shared, slot);
        let mut hub = shared.borrow_mut();
        let mut observers = VecDeque::new();
        if hub.is_available(slot) {
            observers = hub.cursor(slot).observers.take();
        }
        let cursor = hub.cursor(slot);
        let over = cursor.exists
            && cursor.handles == 0
            && !cursor.readers.has_live()
            && !cursor.observers.has_live();
        let leavings = over.then(|| hub.remove(slot));
        hub.choose_ways();
        drop(hub);
        if let Some(leavings) = leavings {
            leavings.discard();
        }
        for observer in observers {
            let _ = observer.try_wakeup(());
        }
        slot += 1;
    }
}

fn serve_readers<T: 'static>(shared: &Shared<T>, slot: u32) {
    loop {
        let mut hub = shared.borrow_mut();
        if !hub.is_available(slot) {
            return;
        }
        let Some(reader) = hub.cursor(slot).readers.pop() else {
            return;
        };
        if !reader.is_live() {
            drop(hub);
            drop(reader);
            continue;
        }
        let generation = hub.cursor(slot).generation;
        let Some(element) = hub.take(slot) else {
            return;
        };
        hub.choose_ways();
        drop(hub);
        match catch_unwind(AssertUnwindSafe(|| element.into_value())) {
            // Cloning the element may have cancelled the reader.
            Ok(value) => {
                if let Err(back) = reader.hand(value) {
                    give_back(shared, slot, generation, 0, back);
                }
            }
            Err(panic) => reader.fail(Error::from_panic(panic)),
        }
    }
}

/// An element that was handed over and not taken stands at the front again.
pub(super) fn give_back<T: 'static>(
    shared: &Shared<T>,
    slot: u32,
    generation: u32,
    arrival: u64,
    value: T,
) {
    let mut hub = shared.borrow_mut();
    let cursor = hub.cursor(slot);
    if !cursor.exists || cursor.generation != generation {
        drop(hub);
        drop(value);
        return;
    }
    let place = cursor
        .returned
        .partition_point(|(before, _)| *before < arrival);
    cursor.returned.insert(place, (arrival, Rc::new(value)));
    hub.choose_ways();
    drop(hub);
    serve(shared);
}

/// Several elements, in order, stand at the front again.
pub(super) fn give_back_all<T: 'static>(shared: &Shared<T>, slot: u32, elements: Vec<T>) {
    if elements.is_empty() {
        return;
    }
    let mut hub = shared.borrow_mut();
    for element in elements.into_iter().rev() {
        hub.cursor(slot).returned.push_front((0, Rc::new(element)));
    }
    hub.choose_ways();
    drop(hub);
    serve(shared);
}

/// The stream ends, in one way or the other: all who wait are told.
pub(super) fn finish<T: 'static>(shared: &Shared<T>, end: End) {
    let mut hub = shared.borrow_mut();
    if hub.end != End::Open {
        return;
    }
    hub.end = end;
    let mut readers = Vec::new();
    let mut observers = Vec::new();
    for cursor in &mut hub.cursors {
        readers.extend(cursor.readers.take());
        observers.extend(cursor.observers.take());
    }
    let closing = hub.closing.take();
    let function = match &mut hub.source {
        Source::Function { function, .. } => function.take(),
        _ => None,
    };
    hub.choose_ways();
    drop(hub);
    scheduler::frame(|| {
        for reader in readers {
            reader.end(end);
        }
        for observer in observers {
            let _ = observer.try_wakeup(());
        }
        for closing in closing {
            match end {
                End::Dropped => fail(closing, SourceDropped.into()),
                _ => drop(closing.try_wakeup(())),
            }
        }
    });
    drop(function);
    // Cursors that stayed for their readers' sake go.
    serve(shared);
}

/// A call of the source failed: so do all who waited for it (9.7).
pub(super) fn fail_waiting<T: 'static>(shared: &Shared<T>, error: &Error) {
    let mut hub = shared.borrow_mut();
    let mut readers = Vec::new();
    let mut observers = Vec::new();
    for cursor in &mut hub.cursors {
        readers.extend(cursor.readers.take());
        observers.extend(cursor.observers.take());
    }
    hub.choose_ways();
    drop(hub);
    if readers.is_empty() && observers.is_empty() {
        return;
    }
    scheduler::frame(|| {
        for reader in readers {
            reader.fail(error.clone());
        }
        for observer in observers {
            fail(observer, error.clone());
        }
    });
    serve(shared);
}
