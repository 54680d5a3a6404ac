//! Thread-local storage in the sense of the manual (2.1.5): values that follow a *thread*, not an OS thread.
//!
//! There is one storage in force: a persistent map, here a short linked list, since programs use few keys.
//! Continuations and threads remember the one that was in force when they were made; pending promises
//! cost nothing for it while no key is set.

use std::any::Any;
use std::cell::Cell;
use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use crate::kernel::runtime;

/// The whole map; `None` is empty.
pub(crate) type Storage = Option<Rc<Entry>>;

pub(crate) struct Entry {
    key: u64,
    /// `None`: the key was removed.
    value: Option<Rc<dyn Any>>,
    rest: Storage,
}

/// A typed key of the storage that follows a thread; all keys are distinct.
///
/// # Examples
///
/// ```
/// use lwt_core::{join, Key, Promise};
///
/// let id: Key<&str> = Key::new();
/// let log = move |message: &str| println!("{}: {message}", id.get().unwrap_or("main"));
/// log("outside");
/// id.with_value(Some("thread 1"), || log("inside"));
/// assert_eq!(id.get(), None);
/// ```
#[doc(alias = "Lwt.key")]
pub struct Key<T> {
    number: u64,
    value: PhantomData<fn(T) -> T>,
}

impl<T> Clone for Key<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Key<T> {}

impl<T> fmt::Debug for Key<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({})", self.number)
    }
}

impl<T: Clone + 'static> Default for Key<T> {
    fn default() -> Self {
        Key::new()
    }
}

thread_local! {
    static NEXT_KEY: Cell<u64> = const { Cell::new(0) };
}

impl<T: Clone + 'static> Key<T> {
    /// A key that has no value anywhere yet.
    ///
    /// # Examples
    ///
    /// ```
    /// let key = lwt_core::Key::<u32>::new();
    /// assert_eq!(key.get(), None);
    /// ```
    #[doc(alias = "Lwt.new_key")]
    pub fn new() -> Key<T> {
        let number = NEXT_KEY.with(|next| next.replace(next.get() + 1));
        Key {
            number,
            value: PhantomData,
        }
    }

    /// The key's value in the thread that runs now, if it has one there.
    ///
    /// In a callback this is the value at the time when the callback was attached.
    ///
    /// # Examples
    ///
    /// ```
    /// use lwt_core::{wait, Key};
    ///
    /// let key = Key::new();
    /// let (promise, resolver) = wait::<()>();
    /// let seen = key.with_value(Some(7), || promise.map(move |()| key.get()));
    /// resolver.wakeup(());
    /// assert!(matches!(seen.state(), lwt_core::State::Return(Some(7))));
    /// ```
    #[doc(alias = "Lwt.get")]
    pub fn get(self) -> Option<T> {
        let storage = runtime::current_storage();
        let mut entry = storage.as_ref();
        while let Some(found) = entry {
            if found.key == self.number {
                return found.value.as_ref()?.downcast_ref::<T>().cloned();
            }
            entry = found.rest.as_ref();
        }
        None
    }

    /// Runs `f` with the key set to a value (or removed, with `None`), then puts the former storage back, also
    /// when `f` panics.
    ///
    /// Everything that `f` launches or attaches keeps the value; nothing waits for it.
    ///
    /// # Examples
    ///
    /// ```
    /// let key = lwt_core::Key::new();
    /// let doubled = key.with_value(Some(21), || key.get().map(|value| value * 2));
    /// assert_eq!(doubled, Some(42));
    /// ```
    #[doc(alias = "Lwt.with_value")]
    pub fn with_value<R>(self, value: Option<T>, f: impl FnOnce() -> R) -> R {
        runtime::with_storage(self.bound_to(value), f)
    }

    /// A future that runs with the key set to a value (or removed), and changes nothing outside it.
    ///
    /// Dropping it drops the inner future with the same storage in force as a poll would have.
    ///
    /// # Examples
    ///
    /// ```
    /// let key = lwt_core::Key::new();
    /// let promise = lwt_core::spawn(async move {
    ///     let inside = key.scope(Some("inside"), async { key.get() }).await;
    ///     Ok((inside, key.get()))
    /// });
    /// assert!(matches!(promise.state(), lwt_core::State::Return((Some("inside"), None))));
    /// ```
    pub fn scope<F: Future>(self, value: Option<T>, future: F) -> Scope<F> {
        Scope {
            storage: self.bound_to(value),
            future: Some(Box::pin(future)),
        }
    }

    fn bound_to(self, value: Option<T>) -> Storage {
        let value = value.map(|value| Rc::new(value) as Rc<dyn Any>);
        Some(Rc::new(Entry {
            key: self.number,
            value,
            rest: runtime::current_storage(),
        }))
    }
}

/// The future made by [`Key::scope`].
pub struct Scope<F> {
    storage: Storage,
    /// There until the end.
    future: Option<Pin<Box<F>>>,
}

impl<F> fmt::Debug for Scope<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scope").finish_non_exhaustive()
    }
}

impl<F: Future> Future for Scope<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let storage = self.storage.clone();
        let Some(future) = &mut self.future else {
            unreachable!("the future is there until the end")
        };
        runtime::with_storage(storage, || future.as_mut().poll(context))
    }
}

impl<F> Drop for Scope<F> {
    fn drop(&mut self) {
        let future = self.future.take();
        runtime::with_storage(self.storage.take(), || drop(future));
    }
}
