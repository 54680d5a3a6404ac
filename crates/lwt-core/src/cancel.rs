//! [`Canceler`]: cancelling from elsewhere, and the combinators that limit how far a cancel reaches.

use std::cell::Cell;
use std::fmt;
use std::marker::PhantomData;
use std::rc::Rc;

use crate::kernel::cell::flag;
use crate::kernel::extras::WeakLink;
use crate::kernel::handle::Handle;
use crate::kernel::node::{Continuation, launch, take_outcome};
use crate::kernel::ownership::{add_owner, release_owner};
use crate::kernel::resolve::{Outcome, When};
use crate::promise::Promise;

/// A means to cancel a promise that is no consumer of it and keeps nothing alive; made by
/// [`Promise::canceler`].
///
/// Cancelling a promise that is resolved or gone does nothing.
#[derive(Clone)]
pub struct Canceler {
    link: WeakLink,
}

impl Canceler {
    pub(crate) fn of(handle: Option<&Handle>) -> Canceler {
        let Some(handle) = handle.filter(|handle| handle.peek::<()>().is_none()) else {
            return Canceler {
                link: Rc::new(Cell::new(None)),
            };
        };
        let root = handle.cell.root();
        let link = root.make_extras(|extras| match extras.weak.first() {
            Some(link) => link.clone(),
            None => {
                let link = Rc::new(Cell::new(Some(root)));
                extras.weak.push(link.clone());
                link
            }
        });
        Canceler { link }
    }

    /// Like [`Promise::cancel`]: runs what waits inside this call.
    ///
    /// # Examples
    ///
    /// ```
    /// let (promise, _resolver) = lwt_core::task::<()>();
    /// promise.canceler().cancel();
    /// assert!(!promise.is_sleeping());
    /// ```
    pub fn cancel(&self) {
        self.cancel_when(When::Now);
    }

    /// Like [`Promise::cancel_later`].
    pub fn cancel_later(&self) {
        self.cancel_when(When::Later);
    }

    fn cancel_when(&self, when: When) {
        if let Some(cell) = self.link.get() {
            // The link is dead before the cell goes, so the cell is there; the count keeps it until the end.
            add_owner(cell);
            crate::kernel::cancel::cancel(cell, when);
            release_owner(cell);
        }
    }

    /// Whether the promise is gone or resolved.
    pub fn is_over(&self) -> bool {
        self.link
            .get()
            .is_none_or(|cell| cell.root().has(flag::RESOLVED))
    }
}

impl fmt::Debug for Canceler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Canceler")
            .field("is_over", &self.is_over())
            .finish()
    }
}

/// A copy of a promise with its own answer to `cancel`.
struct Copy<T, const CANCELABLE: bool, const REACHES: bool> {
    handle: Handle,
    types: PhantomData<fn() -> T>,
}

impl<T: 'static, const CANCELABLE: bool, const REACHES: bool> Continuation
    for Copy<T, CANCELABLE, REACHES>
{
    type Output = T;
    const CANCELABLE: bool = CANCELABLE;

    fn members(&mut self, mut register: impl FnMut(&mut Handle)) {
        register(&mut self.handle);
    }

    fn children(&self, visit: &mut dyn FnMut(&Handle)) {
        if REACHES {
            visit(&self.handle);
        }
    }

    fn finish(self) -> Outcome<T> {
        take_outcome::<T>(self.handle)
    }
}

fn copy<T: 'static, const CANCELABLE: bool, const REACHES: bool>(
    promise: Promise<T>,
) -> Promise<T> {
    match promise.into_ready() {
        Ok(result) => Promise::from_result(result),
        Err(handle) => launch(Copy::<T, CANCELABLE, REACHES> {
            handle,
            types: PhantomData,
        }),
    }
}

impl<T: 'static> Promise<T> {
    /// A cancelable copy: it follows the original, but cancelling the copy fails only the copy and detaches it.
    ///
    /// # Examples
    ///
    /// ```
    /// use lwt_core::{task, State};
    ///
    /// let (original, _resolver) = task::<u32>();
    /// let copy = original.clone().protected();
    /// copy.cancel();
    /// assert!(matches!(copy.state(), State::Fail(_)));
    /// assert!(matches!(original.state(), State::Sleep));
    /// ```
    #[doc(alias = "Lwt.protected")]
    pub fn protected(self) -> Promise<T> {
        copy::<T, true, false>(self)
    }

    /// A copy that cannot be cancelled: cancelling it does nothing at all.
    ///
    /// # Examples
    ///
    /// ```
    /// let (original, _resolver) = lwt_core::task::<u32>();
    /// let copy = original.no_cancel();
    /// copy.cancel();
    /// assert!(copy.is_sleeping());
    /// ```
    #[doc(alias = "Lwt.no_cancel")]
    pub fn no_cancel(self) -> Promise<T> {
        copy::<T, false, false>(self)
    }

    /// A cancelable copy whose cancel also goes on to the original, which may not be cancelable.
    ///
    /// # Examples
    ///
    /// ```
    /// use lwt_core::{wait, State};
    ///
    /// let (original, _resolver) = wait::<u32>();
    /// let copy = original.clone().wrap_in_cancelable();
    /// copy.cancel();
    /// assert!(matches!(copy.state(), State::Fail(_)));
    /// assert!(original.is_sleeping());
    /// ```
    #[doc(alias = "Lwt.wrap_in_cancelable")]
    pub fn wrap_in_cancelable(self) -> Promise<T> {
        copy::<T, true, true>(self)
    }
}
