//! Streams whose elements are asked for one by one.
//!
//! At most one call of the function is outstanding (9.5). Its answer belongs to the stream, not to the reader who caused
//! the call: cancelling the reader leaves the call alone, and the element waits for the next one.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::error::SourceDropped;
use super::hub::{End, Shared, Source, deliver, fail_waiting, finish};
use crate::error::{Error, Result};
use crate::kernel::node::then;
use crate::kernel::resolve::Outcome;
use crate::promise::Promise;

pub(super) type SourceFn<T> = Box<dyn FnMut() -> Promise<Option<T>>>;

/// What asking the source for an element came to.
pub(super) enum Asked {
    /// Something has changed: look again.
    Answered,
    /// It failed at once.
    Failed(Error),
    /// Nothing comes at once.
    Outstanding,
}

/// Asks the source for one more element, if it is one that can be asked.
pub(super) fn ask<T: 'static>(shared: &Shared<T>) -> Asked {
    let mut hub = shared.borrow_mut();
    let Source::Function { function, asked } = &mut hub.source else {
        return Asked::Outstanding;
    };
    if *asked {
        return Asked::Outstanding;
    }
    let Some(mut source) = function.take() else {
        return Asked::Outstanding;
    };
    *asked = true;
    drop(hub);
    let promise = catch_unwind(AssertUnwindSafe(&mut source));
    let mut hub = shared.borrow_mut();
    let (over, read) = (hub.end != End::Open, hub.is_read());
    match &mut hub.source {
        Source::Function { function, .. } if !over && read => {
            *function = Some(source);
            drop(hub);
        }
        // The call itself ended the stream, or dropped its last reader.
        _ => {
            drop(hub);
            drop(source);
        }
    }
    let pending = match promise.map(Promise::try_take) {
        Ok(Ok(result)) => return answer(shared, result),
        Ok(Err(pending)) => pending,
        Err(panic) => return answer(shared, Err(Error::from_panic(panic))),
    };
    let call = Call {
        shared: Some(shared.clone()),
    };
    drop(then(pending, move |result| {
        call.end(result);
        Outcome::Done(Ok(()))
    }));
    match &shared.borrow().source {
        // Nothing could ever resolve the promise, so the call was dropped in place.
        Source::Function { asked: false, .. } => Asked::Failed(SourceDropped.into()),
        _ => Asked::Outstanding,
    }
}

/// The call is over.
fn answer<T: 'static>(shared: &Shared<T>, result: Result<Option<T>>) -> Asked {
    if let Source::Function { asked, .. } = &mut shared.borrow_mut().source {
        *asked = false;
    }
    match result {
        Ok(Some(value)) => deliver(shared, value),
        Ok(None) => finish(shared, End::Closed),
        Err(error) => {
            fail_waiting(shared, &error);
            return Asked::Failed(error);
        }
    }
    Asked::Answered
}

/// Asks again for as long as somebody waits and nothing is there.
fn go_on<T: 'static>(shared: &Shared<T>) {
    while shared.borrow().is_awaited() {
        if let Asked::Outstanding = ask(shared) {
            return;
        }
    }
}

/// A call whose answer is outstanding; dropped without one, it has failed.
struct Call<T: 'static> {
    shared: Option<Shared<T>>,
}

impl<T: 'static> Call<T> {
    fn end(mut self, result: Result<Option<T>>) {
        self.settle(result);
    }

    fn settle(&mut self, result: Result<Option<T>>) {
        if let Some(shared) = self.shared.take() {
            answer(&shared, result);
            go_on(&shared);
        }
    }
}

impl<T: 'static> Drop for Call<T> {
    fn drop(&mut self) {
        self.settle(Err(SourceDropped.into()));
    }
}
