//! Waiting for the first: `choose`, `pick` and their kin.
//!
//! A tie at the call is broken thus: a failure wins over a value, and among equals the loop's own generator
//! decides. The losers' registrations are taken back at once, in constant time each, so a promise that is
//! chosen from again and again accumulates nothing.

use std::marker::PhantomData;

use smallvec::SmallVec;

use crate::error::{Error, Result};
use crate::kernel::cell::CellRef;
use crate::kernel::handle::Handle;
use crate::kernel::node::{Continuation, at_once, launch};
use crate::kernel::resolve::Outcome;
use crate::kernel::runtime;
use crate::promise::{Promise, State};

/// What is chosen from. Few at most, so usually no allocation of its own.
type Members<T> = SmallVec<[Promise<T>; 4]>;

/// A node that ends with the first member that is resolved.
struct First<T, R, F> {
    members: Members<T>,
    winner: Option<CellRef>,
    finish: F,
    result: PhantomData<fn() -> R>,
}

impl<T: 'static, R: 'static, F> Continuation for First<T, R, F>
where
    F: FnOnce(Members<T>, usize) -> Outcome<R> + 'static,
{
    type Output = R;

    fn members(&mut self, register: impl FnMut(&mut Handle)) {
        self.members
            .iter_mut()
            .filter_map(Promise::handle_mut)
            .for_each(register);
    }

    fn children(&self, visit: &mut dyn FnMut(&Handle)) {
        self.members
            .iter()
            .filter_map(Promise::handle)
            .for_each(visit);
    }

    fn member_resolved(&mut self, member: CellRef) -> bool {
        self.winner = Some(member);
        true
    }

    fn finish(mut self) -> Outcome<R> {
        // The others are told nothing by what happens to the losers now.
        self.members(Handle::unregister);
        let winner = self.members.iter().position(|member| {
            member
                .handle()
                .is_some_and(|handle| Some(handle.cell.root()) == self.winner)
        });
        (self.finish)(self.members, winner.unwrap_or(0))
    }
}

fn first<T: 'static, R: 'static>(
    members: Members<T>,
    finish: impl FnOnce(Members<T>, usize) -> Outcome<R> + 'static,
) -> Promise<R> {
    launch(First {
        members,
        winner: None,
        finish,
        result: PhantomData,
    })
}

fn empty<R>(operation: &str) -> Promise<R> {
    Promise::from_result(Err(Error::invalid_argument(format!(
        "{operation}: there is no promise to choose from"
    ))))
}

/// The member that wins at the call, if any is resolved.
fn winner_at_once<T>(members: &[Promise<T>]) -> Option<usize> {
    let mut best: Option<(bool, usize)> = None;
    let mut equals = 0;
    for (index, member) in members.iter().enumerate() {
        if !member.is_ready() {
            continue;
        }
        let failed = matches!(member.state(), State::Fail(_));
        match best {
            Some((true, _)) if !failed => {}
            Some((best_failed, _)) if best_failed == failed => {
                equals += 1;
                // Each of the equals is kept with the same probability.
                if runtime::random().is_multiple_of(equals) {
                    best = Some((failed, index));
                }
            }
            _ => {
                best = Some((failed, index));
                equals = 1;
            }
        }
    }
    best.map(|(_, index)| index)
}

/// The result of the first promise that is resolved; the others go on.
///
/// If several are resolved already a failure wins over a value, and among equals chance decides (the loop's own
/// generator, which tests seed).
///
/// # Errors
///
/// Fails with [`InvalidArgument`](crate::InvalidArgument) when there is no promise.
///
/// # Cancellation
///
/// Goes on to every member. What is only chosen from and held nowhere else is dropped when another one wins.
///
/// # Examples
///
/// ```
/// use lwt_core::{choose, wait, State};
///
/// let (first, _first) = wait::<u32>();
/// let (second, wake_second) = wait();
/// let either = choose([first, second]);
/// wake_second.wakeup(42);
/// assert!(matches!(either.state(), State::Return(42)));
/// ```
#[doc(alias = "Lwt.choose")]
#[doc(alias = "Lwt.<?>")]
pub fn choose<T: 'static>(promises: impl IntoIterator<Item = Promise<T>>) -> Promise<T> {
    let mut members: Members<T> = promises.into_iter().collect();
    if members.is_empty() {
        return empty("choose");
    }
    match winner_at_once(&members) {
        Some(index) => members.swap_remove(index),
        None => first(members, |mut members, winner| {
            members.swap_remove(winner).into_outcome()
        }),
    }
}

/// Like [`choose`], and cancels all the others.
///
/// The losers become cancelled before the result is there; what waits for them is told before what waits for
/// the result.
///
/// # Errors
///
/// Fails with [`InvalidArgument`](crate::InvalidArgument) when there is no promise.
///
/// # Cancellation
///
/// Goes on to every member.
///
/// # Examples
///
/// ```
/// use lwt_core::{pick, return_, task, State};
///
/// let (slow, _resolver) = task::<&str>();
/// let watched = slow.clone();
/// let picked = pick([slow, return_("fast")]);
/// assert!(matches!(picked.state(), State::Return(&"fast")));
/// assert!(matches!(watched.state(), State::Fail(error) if error.is_canceled()));
/// ```
#[doc(alias = "Lwt.pick")]
pub fn pick<T: 'static>(promises: impl IntoIterator<Item = Promise<T>>) -> Promise<T> {
    let mut members: Members<T> = promises.into_iter().collect();
    if members.is_empty() {
        return empty("pick");
    }
    match winner_at_once(&members) {
        Some(index) => {
            let winner = members.swap_remove(index);
            cancel_all(&members);
            winner
        }
        None => first(members, |mut members, winner| {
            let winner = members.swap_remove(winner);
            cancel_all(&members);
            later(winner)
        }),
    }
}

/// The outcome of a winner, told behind the losers.
fn later<T: 'static>(winner: Promise<T>) -> Outcome<T> {
    match winner.into_outcome() {
        Outcome::Tie(handle) => match crate::kernel::node::take_outcome(handle) {
            Outcome::Done(result) => Outcome::DoneLater(result),
            other => other,
        },
        other => other,
    }
}

fn cancel_all<T: 'static>(losers: &[Promise<T>]) {
    losers.iter().for_each(Promise::cancel_later);
}

/// The values of all members that are resolved now, in list order, with those that are not; or the first failure
/// in list order.
fn split<T: 'static>(members: Members<T>) -> Result<(Vec<T>, Vec<Promise<T>>)> {
    let mut values = Vec::new();
    let mut pending = Vec::new();
    let mut failure = None;
    for member in members {
        match member.into_ready() {
            Ok(Ok(value)) => values.push(value),
            Ok(Err(error)) => failure = failure.or(Some(error)),
            Err(handle) => pending.push(Promise::from_handle(handle)),
        }
    }
    match failure {
        Some(error) => Err(error),
        None => Ok((values, pending)),
    }
}

fn any_ready<T>(members: &[Promise<T>]) -> bool {
    members.iter().any(Promise::is_ready)
}

/// Waits for at least one promise, then gives the values of all that are fulfilled at that moment, in list order;
/// if one of them has failed, the first failure in list order.
///
/// # Errors
///
/// Fails with [`InvalidArgument`](crate::InvalidArgument) when there is no promise.
///
/// # Cancellation
///
/// Goes on to every member.
///
/// # Examples
///
/// ```
/// use lwt_core::{nchoose, return_, wait, State};
///
/// let (pending, _resolver) = wait::<u32>();
/// let promise = nchoose([return_(1), pending, return_(3)]);
/// assert!(matches!(promise.state(), State::Return(values) if *values == [1, 3]));
/// ```
#[doc(alias = "Lwt.nchoose")]
pub fn nchoose<T: 'static>(promises: impl IntoIterator<Item = Promise<T>>) -> Promise<Vec<T>> {
    let members: Members<T> = promises.into_iter().collect();
    if members.is_empty() {
        return empty("nchoose");
    }
    let finish = |members, _| Outcome::Done(split(members).map(|(values, _)| values));
    if any_ready(&members) {
        at_once(|| finish(members, 0))
    } else {
        first(members, finish)
    }
}

/// Like [`nchoose`], and gives the promises that are still pending, in list order.
///
/// # Errors
///
/// Fails with [`InvalidArgument`](crate::InvalidArgument) when there is no promise.
///
/// # Cancellation
///
/// Goes on to every member.
///
/// # Examples
///
/// ```
/// use lwt_core::{nchoose_split, return_, wait, State};
///
/// let (pending, _resolver) = wait::<u32>();
/// let promise = nchoose_split([pending, return_(2)]);
/// assert!(matches!(promise.state(), State::Return((values, rest)) if *values == [2] && rest.len() == 1));
/// ```
#[doc(alias = "Lwt.nchoose_split")]
pub fn nchoose_split<T: 'static>(
    promises: impl IntoIterator<Item = Promise<T>>,
) -> Promise<(Vec<T>, Vec<Promise<T>>)> {
    let members: Members<T> = promises.into_iter().collect();
    if members.is_empty() {
        return empty("nchoose_split");
    }
    let finish = |members, _| Outcome::Done(split(members));
    if any_ready(&members) {
        at_once(|| finish(members, 0))
    } else {
        first(members, finish)
    }
}

/// Like [`nchoose`], and cancels the others. The values are collected before that.
///
/// # Errors
///
/// Fails with [`InvalidArgument`](crate::InvalidArgument) when there is no promise.
///
/// # Cancellation
///
/// Goes on to every member.
///
/// # Examples
///
/// ```
/// use lwt_core::{npick, return_, task, State};
///
/// let (slow, _resolver) = task::<u32>();
/// let promise = npick([return_(1), slow]);
/// assert!(matches!(promise.state(), State::Return(values) if *values == [1]));
/// ```
#[doc(alias = "Lwt.npick")]
pub fn npick<T: 'static>(promises: impl IntoIterator<Item = Promise<T>>) -> Promise<Vec<T>> {
    let members: Members<T> = promises.into_iter().collect();
    if members.is_empty() {
        return empty("npick");
    }
    if any_ready(&members) {
        return at_once(|| Outcome::Done(pick_values(members)));
    }
    first(members, |members, _| {
        Outcome::DoneLater(pick_values(members))
    })
}

/// The values of the resolved members; the others are cancelled.
fn pick_values<T: 'static>(members: Members<T>) -> Result<Vec<T>> {
    let (ready, pending): (Members<T>, Members<T>) =
        members.into_iter().partition(Promise::is_ready);
    let values = split(ready).map(|(values, _)| values);
    cancel_all(&pending);
    values
}
