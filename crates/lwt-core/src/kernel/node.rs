//! Nodes: promises made by combinators. One allocation holds the continuation and, after it, the result.
//!
//! A combinator is a [`Continuation`]: which promises it waits for, when it has seen enough, and what it comes to
//! then. The rest (storage, panics, tying, counting) is the same for all and lives here, so that every
//! combinator above the kernel is safe code. Read `bind` in [`compose::bind`](crate::compose) first.

use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::cell::{self, CellRef, Kind, Place, ResultOf, Table, flag, none};
use super::handle::{Handle, Taken};
use super::ownership::release_owner;
use super::resolve::{self, Outcome};
use super::runtime;
use crate::error::{Error, Result};
use crate::promise::Promise;

/// The payload of a node.
pub(crate) trait Continuation: Sized + 'static {
    /// What the node's promise resolves to.
    type Output: 'static;
    /// Whether `cancel` resolves the node itself.
    const CANCELABLE: bool = false;

    /// Calls `register` with the handle of each pending promise that this waits for.
    fn members(&mut self, register: impl FnMut(&mut Handle));

    /// Takes the registrations with all members back; some may be resolved and not have told us yet.
    fn let_go(&mut self) {
        self.members(Handle::unregister);
    }

    /// The promises that a cancel goes on to.
    fn children(&self, visit: &mut dyn FnMut(&Handle));

    /// One of the members was resolved. Tells whether it is time to finish. Must not run foreign code.
    fn member_resolved(&mut self, member: CellRef) -> bool {
        let _ = member;
        true
    }

    /// The end of it. May run anything.
    fn finish(self) -> Outcome<Self::Output>;
}

struct Node<P>(PhantomData<P>);

impl<P: Continuation> Node<P> {
    const TABLE: Table = Table {
        kind: Kind::Node,
        prefix: 0,
        layout: Place::<P, P::Output>::layout(0),
        class: super::memory::class_of(Place::<P, P::Output>::layout(0)),
        plain: !std::mem::needs_drop::<P::Output>(),
        notify: Self::notify,
        resume: none::resume,
        drop_payload: Self::drop_payload,
        drop_value: ResultOf::<P::Output>::drop_value,
        write_error: ResultOf::<P::Output>::write_error,
        error: ResultOf::<P::Output>::error,
        children: Self::children,
        name: std::any::type_name::<P>,
    };

    /// # Safety
    /// The cell is a node of this payload; its `PAYLOAD` flag is set.
    unsafe fn payload<'a>(node: CellRef) -> &'a mut P {
        // SAFETY: the caller's promise; used for one statement that runs no foreign code.
        unsafe { node.payload::<P, P::Output>().as_mut() }
    }

    unsafe fn notify(node: CellRef, member: CellRef) {
        if node.has(flag::PAYLOAD) {
            // SAFETY: the flag is set; `member_resolved` runs no foreign code.
            if unsafe { Self::payload(node) }.member_resolved(member) {
                // SAFETY: the flag is cleared with the read, so the payload is moved out once.
                let payload = unsafe { node.payload::<P, P::Output>().read() };
                node.clear(flag::PAYLOAD);
                node.set_delegate(None);
                let outcome = resolve::run_continuation(node, || payload.finish());
                resolve::conclude(node, outcome);
            }
        }
        // Without its continuation it is finishing: something that it runs has resolved one more of its members.
        release_owner(node);
    }

    unsafe fn drop_payload(node: CellRef) {
        // SAFETY: the caller has just cleared `PAYLOAD`, so the payload is there and is moved out once.
        let mut payload = unsafe { node.payload::<P, P::Output>().read() };
        node.set_delegate(None);
        // Dropping it may run anything, which may resolve a member: this node must not be told any more.
        payload.let_go();
        drop(payload);
    }

    unsafe fn children(node: CellRef, visit: &mut dyn FnMut(CellRef)) {
        // SAFETY: the caller looked at the flag.
        unsafe { Self::payload(node) }.children(&mut |handle| visit(handle.cell));
    }
}

/// Makes the promise of a continuation and registers it with its members.
#[inline(always)]
pub(crate) fn launch<P: Continuation>(payload: P) -> Promise<P::Output> {
    let word = flag::PAYLOAD | if P::CANCELABLE { flag::CANCELABLE } else { 0 };
    // SAFETY: the table fits the payload, which is written right below.
    let node = unsafe { cell::allocate(const { &Node::<P>::TABLE }, 1, word) };
    // SAFETY: fresh memory of the right layout.
    unsafe { node.payload::<P, P::Output>().write(payload) };
    // SAFETY: the payload was just written; registering runs no foreign code.
    unsafe { Node::<P>::payload(node) }.members(|handle| {
        handle.register(node);
    });
    runtime::remember_storage(node);
    Promise::from_handle(Handle::adopt(node))
}

/// A continuation that passes a result on.
struct Follow<T> {
    handle: Handle,
    types: PhantomData<fn() -> T>,
}

impl<T: 'static> Continuation for Follow<T> {
    type Output = T;

    fn members(&mut self, mut register: impl FnMut(&mut Handle)) {
        register(&mut self.handle);
    }

    fn children(&self, visit: &mut dyn FnMut(&Handle)) {
        visit(&self.handle);
    }

    fn finish(self) -> Outcome<T> {
        take_outcome(self.handle)
    }
}

/// What a member that is known to be resolved came to.
#[inline(always)]
pub(crate) fn take_outcome<T>(handle: Handle) -> Outcome<T> {
    match handle.take::<T>() {
        Taken::Result(result) => Outcome::Done(result),
        Taken::Pending(handle) => Outcome::Tie(handle),
    }
}

/// The result of a member that is known to be resolved; the handle back if its value is lent right now.
#[inline(always)]
pub(crate) fn take_result<T>(handle: Handle) -> std::result::Result<Result<T>, Handle> {
    match handle.take::<T>() {
        Taken::Result(result) => Ok(result),
        Taken::Pending(handle) => Err(handle),
    }
}

/// Ties `outer` to a promise whose value is lent right now, through a node of its own.
#[cold]
pub(crate) fn follow<T: 'static>(outer: CellRef, handle: Handle) {
    let promise = launch(Follow::<T> {
        handle,
        types: PhantomData,
    });
    if let Some(handle) = promise.into_handle() {
        resolve::tie::<T>(outer, handle);
    }
}

/// A continuation that runs a closure on the result of one promise.
struct Then<A, U, F> {
    handle: Handle,
    f: F,
    types: PhantomData<fn(A) -> U>,
}

/// Runs `f` on the promise's result: at once if it is there (2.10), else when it comes. A panic of `f` is a
/// failure in either case.
#[inline(always)]
pub(crate) fn then<A, U, F>(promise: Promise<A>, f: F) -> Promise<U>
where
    A: 'static,
    U: 'static,
    F: FnOnce(Result<A>) -> Outcome<U> + 'static,
{
    match promise.into_value() {
        Ok(value) => at_once(|| f(Ok(value))),
        Err(promise) => then_later(promise, f),
    }
}

/// The same for a promise that was not born with a value.
#[inline]
fn then_later<A, U, F>(promise: Promise<A>, f: F) -> Promise<U>
where
    A: 'static,
    U: 'static,
    F: FnOnce(Result<A>) -> Outcome<U> + 'static,
{
    match promise.into_ready() {
        Ok(result) => at_once(|| f(result)),
        Err(handle) => launch(Then {
            handle,
            f,
            types: PhantomData,
        }),
    }
}

/// Runs a continuation whose promise was resolved already.
#[inline(always)]
pub(crate) fn at_once<U: 'static>(f: impl FnOnce() -> Outcome<U>) -> Promise<U> {
    match catch_unwind(AssertUnwindSafe(f)) {
        Ok(outcome) => Promise::from_outcome(outcome),
        Err(payload) => Promise::from_result(Err(Error::from_panic(payload))),
    }
}

impl<A, U, F> Continuation for Then<A, U, F>
where
    A: 'static,
    U: 'static,
    F: FnOnce(Result<A>) -> Outcome<U> + 'static,
{
    type Output = U;

    fn members(&mut self, mut register: impl FnMut(&mut Handle)) {
        register(&mut self.handle);
    }

    fn children(&self, visit: &mut dyn FnMut(&Handle)) {
        visit(&self.handle);
    }

    fn finish(self) -> Outcome<U> {
        match take_result::<A>(self.handle) {
            Ok(result) => (self.f)(result),
            Err(handle) => launch(Then {
                handle,
                f: self.f,
                types: PhantomData,
            })
            .into_outcome(),
        }
    }
}

/// The table of `wait`, `task` and kin.
pub(crate) struct Wait<T>(PhantomData<T>);

impl<T> Wait<T> {
    const TABLE: Table = Self::table(Kind::Wait);
    const OF_LOOP: Table = Self::table(Kind::LoopWait);

    const fn table(kind: Kind) -> Table {
        Table {
            kind,
            prefix: 0,
            layout: Place::<(), T>::layout(0),
            class: super::memory::class_of(Place::<(), T>::layout(0)),
            plain: !std::mem::needs_drop::<T>(),
            notify: none::notify,
            resume: none::resume,
            drop_payload: none::drop_payload,
            drop_value: ResultOf::<T>::drop_value,
            write_error: ResultOf::<T>::write_error,
            error: ResultOf::<T>::error,
            children: none::children,
            name: std::any::type_name::<T>,
        }
    }

    /// A pending cell with one handle and one owner (its resolver).
    #[inline(always)]
    pub(crate) fn allocate(flags: u32) -> CellRef {
        let word = flag::OWNER | flag::OWNING | flags;
        // SAFETY: no payload; the table fits the result.
        unsafe { cell::allocate(const { &Self::TABLE }, 1, word) }
    }

    /// The same for something that only a running loop resolves.
    #[inline(always)]
    pub(crate) fn allocate_of_loop(flags: u32) -> CellRef {
        let word = flag::OWNER | flag::OWNING | flags;
        // SAFETY: as above.
        unsafe { cell::allocate(const { &Self::OF_LOOP }, 1, word) }
    }
}

/// Where a leaf wait's value goes when it was handed over but never taken (M3). Dropping the way home itself must run no
/// foreign code: it leads to the primitive weakly.
pub(crate) trait Home<T>: 'static {
    /// The promise was dropped with this value in it.
    fn give_back(&self, value: T);
}

/// A leaf wait whose untaken value goes back to where it came from.
struct HomingWait<T, H>(PhantomData<(T, H)>);

/// The way home lies behind the result, and stays there as long as the cell.
#[repr(C)]
struct Homing<T, H> {
    result: std::mem::MaybeUninit<Result<T>>,
    home: H,
}

impl<T: 'static, H: Home<T>> HomingWait<T, H> {
    const TABLE: Table = Table {
        kind: Kind::HomingWait,
        prefix: 0,
        layout: Place::<Homing<T, H>, T>::layout(0),
        class: super::memory::class_of(Place::<Homing<T, H>, T>::layout(0)),
        plain: false,
        notify: none::notify,
        resume: none::resume,
        drop_payload: Self::drop_payload,
        drop_value: Self::drop_value,
        write_error: ResultOf::<T>::write_error,
        error: ResultOf::<T>::error,
        children: none::children,
        name: std::any::type_name::<T>,
    };
    /// The result must begin where `Homing` does.
    const FITS: () = assert!(align_of::<H>() <= align_of::<usize>());

    /// # Safety
    /// The cell is of this type and not freed yet.
    unsafe fn home(cell: CellRef) -> std::ptr::NonNull<H> {
        let homing = cell.payload::<Homing<T, H>, T>();
        // SAFETY: only an address inside the allocation is computed.
        unsafe { std::ptr::NonNull::new_unchecked(&raw mut (*homing.as_ptr()).home) }
    }

    unsafe fn drop_payload(cell: CellRef) {
        // SAFETY: called once, when the cell is freed.
        unsafe { Self::home(cell).drop_in_place() }
    }

    unsafe fn drop_value(cell: CellRef) {
        // SAFETY: the caller has just cleared `VALUE`: the result is there and is moved out once.
        let result = unsafe { cell.result::<T>().read() };
        if let Ok(value) = result {
            // SAFETY: the way home lives until `drop_payload`, which comes after this.
            unsafe { Self::home(cell).as_ref() }.give_back(value);
        }
    }
}

/// A pending leaf wait with one handle and one owner, whose untaken value goes home.
#[inline(always)]
pub(crate) fn homing_wait<T: 'static, H: Home<T>>(home: H) -> CellRef {
    const { HomingWait::<T, H>::FITS };
    let word = flag::OWNER | flag::OWNING | flag::CANCELABLE;
    // SAFETY: the layout has room for the result and the way home, which is written right below.
    unsafe {
        let cell = cell::allocate(const { &HomingWait::<T, H>::TABLE }, 1, word);
        HomingWait::<T, H>::home(cell).write(home);
        cell
    }
}
