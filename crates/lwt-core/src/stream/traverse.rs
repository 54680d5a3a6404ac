//! Reading a stream to its end.
//!
//! Each of these is a thread that holds the stream's position: it goes on when the [`Stream`] is dropped, and it takes
//! turns with other readers of the same stream.

use super::Stream;
use super::position::Taken;
use crate::compose::spawn;
use crate::promise::Promise;

impl<T> Stream<T> {
    /// Calls `f` with each element that is left; fulfilled at the end.
    ///
    /// # Errors
    ///
    /// Those of [`get`](Stream::get), and a panic of `f`. The traversal is over then; what was not read is still
    /// there.
    ///
    /// # Cancellation
    ///
    /// Ends the traversal while it waits for an element. Nothing is lost. Dropping the promise detaches the thread.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::{cell::Cell, rc::Rc};
    ///
    /// let sum = Rc::new(Cell::new(0));
    /// let stream = lwt_core::Stream::of_iter(1..=3);
    /// let done = stream.iter({ let sum = sum.clone(); move |x| sum.set(sum.get() + x) });
    /// assert!(!done.is_sleeping());
    /// assert_eq!(sum.get(), 6);
    /// ```
    #[doc(alias = "Lwt_stream.iter")]
    pub fn iter(&self, mut f: impl FnMut(T) + 'static) -> Promise<()> {
        let position = self.position.clone();
        spawn(async move {
            while let Some(element) = position.get().await? {
                f(element);
            }
            Ok(())
        })
    }

    /// Calls `f` with each element that is left, one after another: for the next one when the promise of the one before
    /// is fulfilled. The manual's `for_lwt` over a stream.
    ///
    /// # Errors
    ///
    /// Those of [`get`](Stream::get), and the failure of a call of `f`. The traversal is over then.
    ///
    /// # Cancellation
    ///
    /// Cancels what the traversal waits for: the call of `f`, or the read, which loses nothing. Dropping the promise
    /// detaches the thread.
    ///
    /// # Examples
    ///
    /// ```
    /// use lwt_core::{return_unit, wait, State, Stream};
    ///
    /// let (gate, open) = wait::<()>();
    /// let mut gate = Some(gate);
    /// let done = Stream::of_iter(0..2).iter_s(move |_| gate.take().unwrap_or_else(return_unit));
    /// assert!(done.is_sleeping());
    /// open.wakeup(());
    /// assert!(matches!(done.state(), State::Return(())));
    /// ```
    #[doc(alias = "Lwt_stream.iter_s")]
    #[doc(alias = "for_lwt")]
    pub fn iter_s(&self, mut f: impl FnMut(T) -> Promise<()> + 'static) -> Promise<()> {
        let position = self.position.clone();
        spawn(async move {
            while let Some(element) = position.get().await? {
                f(element).await?;
            }
            Ok(())
        })
    }

    /// All elements that are left, when the end is reached.
    ///
    /// # Errors
    ///
    /// Those of [`get`](Stream::get). The elements read so far go back to the front of the stream.
    ///
    /// # Cancellation
    ///
    /// The elements read so far go back to the front of the stream: nothing is lost. Dropping the promise detaches
    /// the thread.
    ///
    /// # Examples
    ///
    /// ```
    /// let stream = lwt_core::Stream::of_iter("abc".chars());
    /// assert!(matches!(stream.to_vec().state(), lwt_core::State::Return(all) if *all == ['a', 'b', 'c']));
    /// ```
    #[doc(alias = "Lwt_stream.to_list")]
    #[doc(alias = "Lwt_stream.to_string")]
    pub fn to_vec(&self) -> Promise<Vec<T>> {
        let position = self.position.clone();
        spawn(async move {
            let mut taken = Taken::new(&position);
            while let Some(element) = position.get().await? {
                taken.elements.push(element);
            }
            Ok(taken.keep())
        })
    }
}
