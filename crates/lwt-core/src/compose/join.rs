//! Waiting for all: `join`, `all`, `both`.

use crate::error::{Error, Result};
use crate::kernel::cell::CellRef;
use crate::kernel::handle::Handle;
use crate::kernel::node::{Continuation, launch};
use crate::kernel::resolve::Outcome;
use crate::promise::{Promise, State};

/// What is common to the three: how many members are missing, and which failure came first.
struct Gather {
    missing: usize,
    first_failure: Option<Error>,
}

impl Gather {
    /// Looks at members that are resolved already; the first failure in the order of the list counts.
    fn look<T>(&mut self, member: &Promise<T>) {
        if !member.is_ready() {
            self.missing += 1;
        } else if let (None, State::Fail(error)) = (&self.first_failure, member.state()) {
            self.first_failure = Some(error.clone());
        }
    }

    /// A member was resolved just now. Tells whether it was the last.
    fn count(&mut self, member: CellRef) -> bool {
        self.missing -= 1;
        if self.first_failure.is_none() {
            self.first_failure = member.error().cloned();
        }
        self.missing == 0
    }
}

struct All<T, R, F> {
    members: Vec<Promise<T>>,
    gather: Gather,
    finish: F,
    result: std::marker::PhantomData<fn() -> R>,
}

impl<T: 'static, R: 'static, F> Continuation for All<T, R, F>
where
    F: FnOnce(Vec<Promise<T>>) -> Outcome<R> + 'static,
{
    type Output = R;

    fn members(&mut self, mut register: impl FnMut(&mut Handle)) {
        for member in self.members.iter_mut().filter(|member| !member.is_ready()) {
            if let Some(handle) = member.handle_mut() {
                register(handle);
            }
        }
    }

    fn let_go(&mut self) {
        self.members
            .iter_mut()
            .filter_map(Promise::handle_mut)
            .for_each(Handle::unregister);
    }

    fn children(&self, visit: &mut dyn FnMut(&Handle)) {
        self.members
            .iter()
            .filter_map(Promise::handle)
            .for_each(visit);
    }

    fn member_resolved(&mut self, member: CellRef) -> bool {
        self.gather.count(member)
    }

    fn finish(self) -> Outcome<R> {
        match self.gather.first_failure {
            Some(error) => Outcome::Done(Err(error)),
            None => (self.finish)(self.members),
        }
    }
}

fn gather<T: 'static, R: 'static>(
    members: Vec<Promise<T>>,
    finish: impl FnOnce(Vec<Promise<T>>) -> Outcome<R> + 'static,
) -> Promise<R> {
    let mut gather = Gather {
        missing: 0,
        first_failure: None,
    };
    members.iter().for_each(|member| gather.look(member));
    if gather.missing > 0 {
        return launch(All {
            members,
            gather,
            finish,
            result: std::marker::PhantomData,
        });
    }
    match gather.first_failure {
        Some(error) => Promise::from_result(Err(error)),
        None => crate::kernel::node::at_once(|| finish(members)),
    }
}

/// The values of promises that are all fulfilled.
fn values<T: 'static>(members: Vec<Promise<T>>) -> Outcome<Vec<T>> {
    let mut values = Vec::with_capacity(members.len());
    let mut members = members.into_iter();
    while let Some(member) = members.next() {
        match member.into_ready() {
            Ok(Ok(value)) => values.push(value),
            Ok(Err(error)) => return Outcome::Done(Err(error)),
            Err(handle) => {
                // Lent to a callback at this very moment: wait for that.
                let rest: Vec<Promise<T>> = members.collect();
                return Promise::from_handle(handle)
                    .bind(move |value| {
                        values.push(value);
                        all(rest).map(move |rest| {
                            values.extend(rest);
                            values
                        })
                    })
                    .into_outcome();
            }
        }
    }
    Outcome::Done(Ok(values))
}

/// Waits until all promises are resolved; then is fulfilled, or fails with the first failure: one that was there at
/// the call (the first in the list), else the first in time. Never ends early. Nothing to wait for: fulfilled
/// at once.
///
/// # Cancellation
///
/// Goes on to every member.
///
/// # Examples
///
/// ```
/// use lwt_core::{join, wait, State};
///
/// let (first, wake_first) = wait();
/// let (second, wake_second) = wait();
/// let both = join([first, second]);
/// wake_second.wakeup(());
/// assert!(both.is_sleeping());
/// wake_first.wakeup(());
/// assert!(matches!(both.state(), State::Return(())));
/// ```
#[doc(alias = "Lwt.join")]
#[doc(alias = "Lwt.<&>")]
pub fn join(promises: impl IntoIterator<Item = Promise<()>>) -> Promise<()> {
    gather(promises.into_iter().collect(), |_| Outcome::Done(Ok(())))
}

/// Like [`join`], and gives the values in the order of the list.
///
/// # Cancellation
///
/// Goes on to every member.
///
/// # Examples
///
/// ```
/// use lwt_core::{all, return_, State};
///
/// let promise = all([return_(1), return_(2)]);
/// assert!(matches!(promise.state(), State::Return(values) if *values == [1, 2]));
/// ```
#[doc(alias = "Lwt.all")]
pub fn all<T: 'static>(promises: impl IntoIterator<Item = Promise<T>>) -> Promise<Vec<T>> {
    gather(promises.into_iter().collect(), values)
}

struct Both<A, B> {
    left: Promise<A>,
    right: Promise<B>,
    gather: Gather,
}

impl<A: 'static, B: 'static> Continuation for Both<A, B> {
    type Output = (A, B);

    fn members(&mut self, mut register: impl FnMut(&mut Handle)) {
        if let (false, Some(handle)) = (self.left.is_ready(), self.left.handle_mut()) {
            register(handle);
        }
        if let (false, Some(handle)) = (self.right.is_ready(), self.right.handle_mut()) {
            register(handle);
        }
    }

    fn let_go(&mut self) {
        if let Some(handle) = self.left.handle_mut() {
            handle.unregister();
        }
        if let Some(handle) = self.right.handle_mut() {
            handle.unregister();
        }
    }

    fn children(&self, visit: &mut dyn FnMut(&Handle)) {
        self.left
            .handle()
            .into_iter()
            .chain(self.right.handle())
            .for_each(visit);
    }

    fn member_resolved(&mut self, member: CellRef) -> bool {
        self.gather.count(member)
    }

    fn finish(self) -> Outcome<(A, B)> {
        match self.gather.first_failure {
            Some(error) => Outcome::Done(Err(error)),
            None => pair(self.left, self.right),
        }
    }
}

fn pair<A: 'static, B: 'static>(left: Promise<A>, right: Promise<B>) -> Outcome<(A, B)> {
    match (left.into_ready(), right.into_ready()) {
        (Ok(left), Ok(right)) => Outcome::Done(combine(left, right)),
        // Lent to a callback at this very moment: wait for that.
        (left, right) => {
            let left = again(left);
            let right = again(right);
            left.bind(move |left| right.map(move |right| (left, right)))
                .into_outcome()
        }
    }
}

fn again<T>(taken: std::result::Result<Result<T>, Handle>) -> Promise<T> {
    taken.map_or_else(Promise::from_handle, Promise::from_result)
}

fn combine<A, B>(left: Result<A>, right: Result<B>) -> Result<(A, B)> {
    Ok((left?, right?))
}

/// Waits for two promises, even when one has failed; gives both values, or the failure that came first.
///
/// # Cancellation
///
/// Goes on to both.
///
/// # Examples
///
/// ```
/// use lwt_core::{both, return_, State};
///
/// assert!(matches!(both(return_(1), return_("a")).state(), State::Return((1, "a"))));
/// ```
#[doc(alias = "Lwt.both")]
pub fn both<A: 'static, B: 'static>(left: Promise<A>, right: Promise<B>) -> Promise<(A, B)> {
    let mut gather = Gather {
        missing: 0,
        first_failure: None,
    };
    gather.look(&left);
    gather.look(&right);
    if gather.missing > 0 {
        return launch(Both {
            left,
            right,
            gather,
        });
    }
    match gather.first_failure {
        Some(error) => Promise::from_result(Err(error)),
        None => crate::kernel::node::at_once(|| pair(left, right)),
    }
}
