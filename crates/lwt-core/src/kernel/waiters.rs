//! Who is told when a promise is resolved: one word in the usual case, an indexed list beyond it.
//!
//! The word is empty, or one waiter, or a boxed [`List`]. A waiter is a cell; a *borrower* (a callback that is
//! lent the value) is marked, since borrowers are served before consumers (M2). In a forwarding cell the word
//! leads to the cell that it forwards to.
//!
//! * Order is the order of attachment. A list is a plain vector while nobody leaves it from the middle;
//!   when too many have, it gets links and reuses places. Either way leaving takes constant time, and a list
//!   never holds more than twice its live waiters (plus a constant).
//! * An index stays valid until its holder gives it back: only the handle that registered frees its place
//!   (a waiter that must go before its handle leaves a [`TOMBSTONE`]), so nothing stale is ever removed.
//! * Tying (M5) keeps the inner cell's list as it is, since handles hold indexes into it, and puts it as one
//!   entry into the outer cell's list: the outer's waiters, then the inner's, then later ones.

use std::ptr::NonNull;

use super::cell::{CellRef, Header, flag};

/// Marks a borrower.
const BORROWER: usize = 1;
/// Marks a list: in the word, the cell's own; in a place, that of a tied cell.
const LIST: usize = 2;
/// A place whose waiter is gone while its handle still holds the index.
const TOMBSTONE: usize = 4;
const TAGS: usize = 7;
/// No place.
pub(crate) const NOWHERE: u32 = u32::MAX;
/// Empty places that a list tolerates beside its live ones before it starts to reuse them.
const TOLERATED: u32 = 32;

/// A pointer whose low bits say what it leads to; null when there is nothing.
pub(crate) type Word = *mut ();

#[inline(always)]
fn tagged<X>(pointer: NonNull<X>, tag: usize) -> Word {
    pointer
        .as_ptr()
        .cast::<()>()
        .map_addr(|address| address | tag)
}

#[inline(always)]
fn untagged<X>(word: Word) -> Option<NonNull<X>> {
    NonNull::new(word.map_addr(|address| address & !TAGS).cast())
}

const NOTHING: Word = std::ptr::null_mut();

/// A registered waiter.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Waiter {
    pub(crate) cell: CellRef,
    pub(crate) borrows: bool,
}

impl Waiter {
    #[inline(always)]
    fn encode(self) -> Word {
        tagged(self.cell.0, if self.borrows { BORROWER } else { 0 })
    }

    #[inline(always)]
    fn decode(word: Word) -> Option<Waiter> {
        let cell = CellRef(untagged::<Header>(word)?);
        let tags = word.addr() & TAGS;
        (tags & LIST == 0).then_some(Waiter {
            cell,
            borrows: tags & BORROWER != 0,
        })
    }
}

#[derive(Default)]
struct Links {
    next: Vec<u32>,
    previous: Vec<u32>,
    head: u32,
    tail: u32,
    free: u32,
}

/// The waiters of one cell, when there are several.
pub(crate) struct List {
    places: Vec<Word>,
    links: Option<Box<Links>>,
    /// Places whose waiter is gone.
    empty: u32,
    borrowers: u32,
    /// Whether an entry is the list of a tied cell.
    nested: bool,
    /// The cell whose word leads here, while it lives.
    owner: Option<CellRef>,
    /// Set when that cell forwards.
    forward: Option<CellRef>,
    /// The list that this one is an entry of since, and its place there.
    parent: Option<(NonNull<List>, u32)>,
}

#[inline(always)]
fn list_of(word: Word) -> Option<NonNull<List>> {
    if word.addr() & LIST == 0 {
        None
    } else {
        untagged(word)
    }
}

fn own_list(cell: CellRef) -> Option<NonNull<List>> {
    list_of(cell.header().waiters.get())
}

/// Access to a list for one statement.
#[inline(always)]
fn at<'a>(list: NonNull<List>) -> &'a mut List {
    // SAFETY: lists live until the cell that owns the entry frees them, and every function here lets the
    // reference go before it calls anything that could reach the same list.
    unsafe { &mut *list.as_ptr() }
}

/// Where a forwarding cell leads.
pub(crate) fn forward_target(cell: CellRef) -> CellRef {
    debug_assert!(cell.has(flag::FORWARD));
    let word = cell.header().waiters.get();
    let target = match list_of(word) {
        Some(list) => at(list).forward,
        None => Waiter::decode(word).map(|waiter| waiter.cell),
    };
    match target {
        Some(target) => target,
        None => unreachable!("a forwarding cell leads somewhere"),
    }
}

/// Whether anybody waits.
#[inline(always)]
pub(crate) fn any(cell: CellRef) -> bool {
    !cell.header().waiters.get().is_null()
}

/// Whether anybody waits who has not left: a list may have nothing but empty places.
pub(crate) fn any_live(cell: CellRef) -> bool {
    let mut anybody = false;
    for_each(cell, |_| anybody = true);
    anybody
}

/// The only waiter, if there is exactly one and it is no borrower.
#[inline(always)]
pub(crate) fn sole_consumer(cell: CellRef) -> Option<CellRef> {
    let word = cell.header().waiters.get();
    if word.addr() & TAGS != 0 {
        None
    } else {
        Waiter::decode(word).map(|waiter| waiter.cell)
    }
}

/// Takes the only waiter out, if there is exactly one and it is a borrower.
#[inline(always)]
pub(crate) fn take_sole_borrower(cell: CellRef) -> Option<CellRef> {
    let word = cell.header().waiters.get();
    if word.addr() & TAGS != BORROWER {
        return None;
    }
    clear_sole(cell);
    Waiter::decode(word).map(|waiter| waiter.cell)
}

/// Whether a borrower waits, also one of a tied cell.
#[inline(always)]
pub(crate) fn any_borrower(cell: CellRef) -> bool {
    cell.header().waiters.get().addr() & TAGS != 0 && find_borrower(cell)
}

#[cold]
fn find_borrower(cell: CellRef) -> bool {
    let mut stack = vec![cell.header().waiters.get()];
    while let Some(word) = stack.pop() {
        let Some(list) = list_of(word) else {
            if Waiter::decode(word).is_some_and(|waiter| waiter.borrows) {
                return true;
            }
            continue;
        };
        let list = at(list);
        if list.borrowers > 0 {
            return true;
        }
        if list.nested {
            let nested = list.places.iter().copied();
            stack.extend(nested.filter(|entry| entry.addr() & LIST != 0));
        }
    }
    false
}

/// Forgets the sole consumer.
#[inline(always)]
pub(crate) fn clear_sole(cell: CellRef) {
    cell.header().waiters.set(NOTHING);
}

/// Adds a waiter at the end; gives its place.
#[inline(always)]
pub(crate) fn push(cell: CellRef, waiter: Waiter) -> u32 {
    debug_assert!(!cell.has(flag::FORWARD));
    let word = &cell.header().waiters;
    if word.get().is_null() {
        word.set(waiter.encode());
        return 0;
    }
    at(make_list(cell)).push(waiter.encode())
}

#[inline(never)]
fn make_list(cell: CellRef) -> NonNull<List> {
    let word = &cell.header().waiters;
    if let Some(list) = list_of(word.get()) {
        return list;
    }
    let mut list = Box::new(List {
        places: Vec::with_capacity(4),
        links: None,
        empty: 0,
        borrowers: 0,
        nested: false,
        owner: Some(cell),
        forward: None,
        parent: None,
    });
    if !word.get().is_null() {
        list.push(word.get());
    }
    let list = NonNull::from(Box::leak(list));
    word.set(tagged(list, LIST));
    list
}

impl List {
    fn push(&mut self, entry: Word) -> u32 {
        self.borrowers += u32::from(entry.addr() & (LIST | BORROWER) == BORROWER);
        if let Some(links) = &mut self.links {
            let place = if links.free == NOWHERE {
                let place = place_number(self.places.len());
                self.places.push(entry);
                links.next.push(NOWHERE);
                links.previous.push(NOWHERE);
                place
            } else {
                let place = links.free;
                links.free = links.next[place as usize];
                self.places[place as usize] = entry;
                self.empty -= 1;
                place
            };
            links.append(place);
            return place;
        }
        let place = place_number(self.places.len());
        self.places.push(entry);
        place
    }

    fn has_entries(&self) -> bool {
        match &self.links {
            Some(links) => links.head != NOWHERE,
            None => self.places.iter().any(|entry| !entry.is_null()),
        }
    }

    /// Empties a place; `reusable` when its holder gives the index back.
    fn take(&mut self, place: u32, reusable: bool) -> Word {
        let entry = std::mem::replace(&mut self.places[place as usize], NOTHING);
        self.borrowers -= u32::from(entry.addr() & (LIST | BORROWER) == BORROWER);
        if let Some(links) = &mut self.links {
            links.unlink(place);
            if reusable {
                links.next[place as usize] = links.free;
                links.free = place;
                self.empty += 1;
            }
            return entry;
        }
        self.empty += 1;
        if reusable {
            self.tidy();
        }
        entry
    }

    /// Drops empty places at the end; gives the list links when too many are empty elsewhere.
    fn tidy(&mut self) {
        while self.places.last().is_some_and(|entry| entry.is_null()) {
            self.places.pop();
            self.empty -= 1;
        }
        let live = place_number(self.places.len()) - self.empty;
        if self.empty <= live + TOLERATED {
            return;
        }
        let mut links = Links {
            next: vec![NOWHERE; self.places.len()],
            previous: vec![NOWHERE; self.places.len()],
            head: NOWHERE,
            tail: NOWHERE,
            free: NOWHERE,
        };
        for (place, entry) in self.places.iter().enumerate() {
            let place = place_number(place);
            if entry.is_null() {
                links.next[place as usize] = links.free;
                links.free = place;
            } else {
                links.append(place);
            }
        }
        self.links = Some(Box::new(links));
    }
}

/// The number of places is bounded by the number of handles, which is a `u32`.
fn place_number(place: usize) -> u32 {
    match u32::try_from(place) {
        Ok(place) if place != NOWHERE => place,
        _ => panic!("more than four thousand million waiters on one promise"),
    }
}

impl Links {
    fn append(&mut self, place: u32) {
        self.next[place as usize] = NOWHERE;
        self.previous[place as usize] = self.tail;
        if self.tail == NOWHERE {
            self.head = place;
        } else {
            self.next[self.tail as usize] = place;
        }
        self.tail = place;
    }

    fn unlink(&mut self, place: u32) {
        let (next, previous) = (self.next[place as usize], self.previous[place as usize]);
        if previous == NOWHERE {
            self.head = next
        } else {
            self.next[previous as usize] = next
        }
        if next == NOWHERE {
            self.tail = previous
        } else {
            self.previous[next as usize] = previous
        }
    }
}

/// Who stands at a place; `None` if it is empty (the waiter was told) or a tombstone.
pub(crate) fn get(cell: CellRef, place: u32) -> Option<Waiter> {
    match own_list(cell) {
        Some(list) => Waiter::decode(*at(list).places.get(place as usize)?),
        None if cell.has(flag::FORWARD) => None,
        None => Waiter::decode(cell.header().waiters.get()),
    }
}

/// Gives a place back; tells who stood there.
#[inline(always)]
pub(crate) fn remove(cell: CellRef, place: u32) -> Option<Waiter> {
    let word = &cell.header().waiters;
    if word.get().addr() & LIST == 0 {
        if cell.has(flag::FORWARD) || word.get().is_null() {
            return None;
        }
        return Waiter::decode(word.replace(NOTHING));
    }
    remove_from_list(cell, place)
}

#[inline(never)]
fn remove_from_list(cell: CellRef, place: u32) -> Option<Waiter> {
    let list = at(own_list(cell)?);
    // Empty: the waiter was told already, and the whole list goes when everybody was.
    if list.places.get(place as usize)?.is_null() {
        return None;
    }
    Waiter::decode(list.take(place, true))
}

/// Puts another waiter at a place that its holder keeps; tells who stood there.
pub(crate) fn replace(cell: CellRef, place: u32, waiter: Option<Waiter>) -> Option<Waiter> {
    let entry = waiter.map_or(std::ptr::without_provenance_mut(TOMBSTONE), Waiter::encode);
    let Some(list) = own_list(cell) else {
        if cell.has(flag::FORWARD) || cell.header().waiters.get().is_null() {
            return None;
        }
        return Waiter::decode(cell.header().waiters.replace(entry));
    };
    let old = at(list)
        .places
        .get_mut(place as usize)
        .filter(|old| !old.is_null())?;
    Waiter::decode(std::mem::replace(old, entry))
}

/// Calls `visit` for each waiter of the cell, those of tied cells included. `visit` must not change any list.
pub(crate) fn for_each(cell: CellRef, mut visit: impl FnMut(CellRef)) {
    if cell.has(flag::FORWARD) && own_list(cell).is_none() {
        return;
    }
    let word = cell.header().waiters.get();
    if word.addr() & LIST == 0 {
        if let Some(waiter) = Waiter::decode(word) {
            visit(waiter.cell);
        }
        return;
    }
    let mut stack = vec![word];
    while let Some(entry) = stack.pop() {
        if let Some(list) = list_of(entry) {
            stack.extend(
                at(list)
                    .places
                    .iter()
                    .copied()
                    .filter(|entry| !entry.is_null()),
            );
        } else if let Some(waiter) = Waiter::decode(entry) {
            visit(waiter.cell);
        }
    }
}

/// Ties the waiters of `inner` to those of `outer`, and turns `inner`'s word into the way to `outer`.
pub(crate) fn tie(inner: CellRef, outer: CellRef) {
    let word = &inner.header().waiters;
    if word.get().is_null() {
        inner.set(flag::FORWARD);
        word.set(tagged(outer.0, 0));
        return;
    }
    let list = make_list(inner);
    at(list).forward = Some(outer);
    inner.set(flag::FORWARD);
    let parent = make_list(outer);
    at(parent).nested = true;
    let place = at(parent).push(tagged(list, LIST));
    at(list).parent = Some((parent, place));
}

/// The cell is being freed: its list stays with the cell that it was tied to, else goes, and the callbacks
/// in it are given to `drop_callback`.
pub(crate) fn abandon(cell: CellRef, mut drop_callback: impl FnMut(CellRef)) {
    let word = cell.header().waiters.replace(NOTHING);
    if let Some(list) = list_of(word) {
        if let Some(target) = at(list).forward {
            at(list).owner = None;
            // While a resolved promise tells its waiters, its lists stay as they are.
            if !at(list).has_entries()
                && !target.root().has(flag::RESOLVED)
                && let Some((parent, place)) = at(list).parent
            {
                // Nobody waits in it any more, and nobody can come: endless recursion must not collect such lists.
                at(parent).take(place, true);
                free(list, &mut drop_callback);
            }
            return;
        }
        free(list, &mut drop_callback);
    } else if !cell.has(flag::FORWARD)
        && let Some(waiter) = Waiter::decode(word)
    {
        drop_callback(waiter.cell);
    }
}

fn free(list: NonNull<List>, drop_callback: &mut dyn FnMut(CellRef)) {
    let mut lists = vec![list];
    while let Some(list) = lists.pop() {
        // SAFETY: lists are boxed when made, and this one's only entry is gone.
        let mut list = unsafe { Box::from_raw(list.as_ptr()) };
        if let (Some(owner), Some(target)) = (list.owner, list.forward) {
            owner.header().waiters.set(tagged(target.0, 0));
        }
        for entry in list.places.drain(..) {
            if let Some(list) = list_of(entry) {
                lists.push(list);
            } else if let Some(waiter) = Waiter::decode(entry) {
                drop_callback(waiter.cell);
            }
        }
    }
}

/// The delivery of a resolved cell's waiters, one at a time: borrowers first, then consumers, each in order of
/// attachment. Anything may happen to the lists between two calls of [`Delivery::next`].
pub(crate) struct Delivery {
    cell: CellRef,
    /// With links or nested lists: the places, fixed when a pass begins.
    pass: Vec<(NonNull<List>, u32)>,
    position: usize,
    borrowers: bool,
    snapshot: bool,
}

impl Delivery {
    /// Begins the pass over the borrowers, or over the consumers.
    pub(crate) fn new(cell: CellRef, borrowers: bool) -> Delivery {
        let mut delivery = Delivery {
            cell,
            pass: Vec::new(),
            position: 0,
            borrowers,
            snapshot: false,
        };
        if let Some(list) = own_list(cell) {
            let list_ref = at(list);
            if list_ref.nested || list_ref.links.is_some() {
                delivery.snapshot = true;
                delivery.fix(list);
            } else if borrowers && list_ref.borrowers == 0 {
                delivery.position = usize::MAX;
            }
        }
        delivery
    }

    /// Fixes the order of all places, the nested lists in the place of their entries.
    fn fix(&mut self, list: NonNull<List>) {
        let mut stack: Vec<(NonNull<List>, Option<u32>)> = vec![(list, None)];
        while let Some((list, place)) = stack.pop() {
            if let Some(place) = place {
                match list_of(at(list).places[place as usize]) {
                    Some(inner) => stack.push((inner, None)),
                    None => self.pass.push((list, place)),
                }
                continue;
            }
            let from = stack.len();
            let list_ref = at(list);
            if let Some(links) = &list_ref.links {
                let mut place = links.head;
                while place != NOWHERE {
                    stack.push((list, Some(place)));
                    place = links.next[place as usize];
                }
            } else {
                for place in 0..place_number(list_ref.places.len()) {
                    stack.push((list, Some(place)));
                }
            }
            stack[from..].reverse();
        }
    }

    /// Takes the next waiter out of its place.
    #[inline]
    pub(crate) fn next(&mut self) -> Option<CellRef> {
        if self.snapshot {
            while let Some((list, place)) = self.pass.get(self.position).copied() {
                self.position += 1;
                if let Some(waiter) = self.take_from(list, place) {
                    return Some(waiter);
                }
            }
            return None;
        }
        let Some(list) = own_list(self.cell) else {
            let word = &self.cell.header().waiters;
            let waiter = Waiter::decode(word.get());
            return match waiter {
                Some(waiter) if waiter.borrows == self.borrowers => {
                    word.set(NOTHING);
                    Some(waiter.cell)
                }
                Some(_) => None,
                None => {
                    word.set(NOTHING);
                    None
                }
            };
        };
        while self.position < at(list).places.len() {
            let place = place_number(self.position);
            self.position += 1;
            if let Some(waiter) = self.take_from(list, place) {
                return Some(waiter);
            }
            if at(list).links.is_some() {
                // Somebody left in the middle and the list got links: start over with fixed places.
                *self = Delivery::new(self.cell, self.borrowers);
                return self.next();
            }
        }
        None
    }

    fn take_from(&self, list: NonNull<List>, place: u32) -> Option<CellRef> {
        let list = at(list);
        let waiter = Waiter::decode(*list.places.get(place as usize)?)?;
        if waiter.borrows != self.borrowers {
            return None;
        }
        list.take(place, false);
        Some(waiter.cell)
    }
}

/// Everybody was told: frees the list if nothing was added meanwhile. Tells whether it is done.
pub(crate) fn finish(cell: CellRef) -> bool {
    let Some(list) = own_list(cell) else {
        return cell.header().waiters.get().is_null();
    };
    let mut anybody = false;
    for_each(cell, |_| anybody = true);
    if !anybody {
        cell.header().waiters.set(NOTHING);
        free(list, &mut |_| {});
    }
    !anybody
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place_of(list: &mut List, name: usize) -> u32 {
        list.push(std::ptr::without_provenance_mut(name * 8))
    }

    fn names(list: &List) -> Vec<usize> {
        match &list.links {
            None => list
                .places
                .iter()
                .filter(|entry| !entry.is_null())
                .map(|entry| entry.addr() / 8)
                .collect(),
            Some(links) => {
                std::iter::successors((links.head != NOWHERE).then_some(links.head), |place| {
                    Some(links.next[*place as usize]).filter(|next| *next != NOWHERE)
                })
                .map(|place| list.places[place as usize].addr() / 8)
                .collect()
            }
        }
    }

    fn empty() -> List {
        List {
            places: Vec::new(),
            links: None,
            empty: 0,
            borrowers: 0,
            nested: false,
            owner: None,
            forward: None,
            parent: None,
        }
    }

    #[test]
    fn order_is_kept_when_places_are_reused() {
        let mut list = empty();
        let places: Vec<u32> = (1..=200).map(|name| place_of(&mut list, name)).collect();
        for place in &places[10..190] {
            list.take(*place, true);
        }
        assert!(list.links.is_some());
        for name in 1000..1050 {
            place_of(&mut list, name);
        }
        let expected: Vec<usize> = (1..=10).chain(191..=200).chain(1000..1050).collect();
        assert_eq!(names(&list), expected);
        assert!(list.places.len() <= 200);
    }

    #[test]
    fn attach_and_leave_in_turn_takes_constant_room() {
        // The first waiter stays; the others come and go in the order of a queue.
        let mut list = empty();
        place_of(&mut list, 1);
        let mut last = place_of(&mut list, 2);
        for name in 3..10_000 {
            let next = place_of(&mut list, name);
            list.take(last, true);
            last = next;
        }
        assert!(list.places.len() < 100, "{}", list.places.len());
        assert_eq!(names(&list), [1, 9_999]);
    }

    #[test]
    fn delivered_places_are_not_reused() {
        let mut list = empty();
        let places: Vec<u32> = (1..=100).map(|name| place_of(&mut list, name)).collect();
        for place in &places[..90] {
            list.take(*place, true);
        }
        assert!(list.links.is_some());
        list.take(places[95], false);
        for name in 200..400 {
            assert_ne!(place_of(&mut list, name), places[95]);
        }
    }
}
