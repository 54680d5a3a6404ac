//! A loop that needs no stack: what recursion in tail position is to OCaml (2.11).

use std::ops::ControlFlow;

use crate::promise::Promise;

/// Calls `step` with a state again and again: with the state that its promise gives in
/// [`ControlFlow::Continue`], until it gives [`ControlFlow::Break`].
///
/// Steps that are resolved at once cost a turn of a plain loop; pending ones suspend it. Any number of either runs in
/// constant stack and memory.
///
/// # Cancellation
///
/// Cancels the step that is pending.
///
/// # Examples
///
/// ```
/// use lwt_core::{iterate, return_, State};
/// use std::ops::ControlFlow::{Break, Continue};
///
/// let sum = iterate((0, 0), |(i, sum)| {
///     return_(if i == 1_000 { Break(sum) } else { Continue((i + 1, sum + i)) })
/// });
/// assert!(matches!(sum.state(), State::Return(499_500)));
/// ```
pub fn iterate<S, T, F>(state: S, step: F) -> Promise<T>
where
    S: 'static,
    T: 'static,
    F: FnMut(S) -> Promise<ControlFlow<T, S>> + 'static,
{
    crate::kernel::node::at_once(move || run(state, step).into_outcome())
}

fn run<S, T, F>(mut state: S, mut step: F) -> Promise<T>
where
    S: 'static,
    T: 'static,
    F: FnMut(S) -> Promise<ControlFlow<T, S>> + 'static,
{
    loop {
        match step(state).try_take() {
            Ok(Ok(ControlFlow::Continue(next))) => state = next,
            Ok(Ok(ControlFlow::Break(value))) => return Promise::from_result(Ok(value)),
            Ok(Err(error)) => return Promise::from_result(Err(error)),
            Err(pending) => {
                return pending.bind(move |flow| match flow {
                    ControlFlow::Continue(next) => run(next, step),
                    ControlFlow::Break(value) => Promise::from_result(Ok(value)),
                });
            }
        }
    }
}
