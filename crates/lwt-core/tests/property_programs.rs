//! Random programs of combinators, run by the kernel and by a plain model of it (`property_model/mod.rs`) side by side.
//! After every step all states and the order of everything that was called so far must agree.
//!
//! One thing the model does not follow: it finds what nobody can wake any more after a whole step, the kernel at once. A
//! thread that is given up and then cancelled within one step (about one program in a hundred thousand) is
//! cancelled in the model and gone in the kernel.
#![allow(
    clippy::unwrap_used,
    reason = "the generator only writes programs that are whole"
)]

mod common;
mod property_model;

use common::{Log, balanced, time_limit};
use lwt_core::*;
use property_model::{Action, Followed, Model, Told, Value};
use proptest::prelude::*;

/// The same programs, run by the kernel.
#[derive(Default)]
struct Real {
    slots: Vec<Option<Promise<Value>>>,
    resolvers: Vec<Option<Resolver<Value>>>,
    log: Log<Told>,
}

fn plain(result: Result<&Value, &Error>) -> Followed {
    result.cloned().map_err(Error::to_string)
}

/// What a continuation returns in the end.
enum Next {
    Value(u8),
    Fail(u8),
    Promise(Promise<Value>),
}

impl Next {
    fn promise(self, mut value: Value) -> Promise<Value> {
        match self {
            Next::Value(more) => {
                value.push(more);
                return_(value)
            }
            Next::Fail(name) => fail(Error::message(format!("failure {name}"))),
            Next::Promise(promise) => promise,
        }
    }
}

impl Real {
    fn get(&mut self, slot: usize, take: bool) -> Promise<Value> {
        let place = &mut self.slots[slot];
        if take {
            place.take().unwrap()
        } else {
            place.as_ref().unwrap().clone()
        }
    }

    fn next(&mut self, next: &property_model::Next) -> Next {
        match next {
            property_model::Next::Value(more) => Next::Value(*more),
            property_model::Next::Fail(name) => Next::Fail(*name),
            property_model::Next::Slot(slot, take) => Next::Promise(self.get(*slot, *take)),
        }
    }

    fn note(&self, name: usize) -> impl FnOnce(Result<&Value, &Error>) + 'static {
        let log = self.log.clone();
        move |result| log.push((name, plain(result)))
    }

    fn gathered(&mut self, slots: &[(usize, bool)]) -> Vec<Promise<Value>> {
        slots
            .iter()
            .map(|(slot, take)| self.get(*slot, *take))
            .collect()
    }

    fn apply(&mut self, name: usize, action: &Action) {
        let made = match action {
            Action::Wait | Action::Task => {
                let (promise, resolver) = if matches!(action, Action::Wait) {
                    wait()
                } else {
                    task()
                };
                self.resolvers.push(Some(resolver));
                promise
            }
            Action::Return(value) => return_(vec![*value]),
            Action::Fail(name) => fail(Error::message(format!("failure {name}"))),
            Action::Clone(slot) => self.get(*slot, false),
            Action::Bind(slot, take, next) => {
                let (promise, note) = (self.get(*slot, *take), self.note(name));
                let next = self.next(next);
                promise.bind(move |value| {
                    note(Ok(&value));
                    next.promise(value)
                })
            }
            Action::Map(slot, take) => {
                let (promise, note) = (self.get(*slot, *take), self.note(name));
                promise.map(move |mut value| {
                    note(Ok(&value));
                    value.push(0);
                    value
                })
            }
            Action::Catch(slot, take, next) => {
                let (promise, note) = (self.get(*slot, *take), self.note(name));
                let next = self.next(next);
                promise.catch(move |error| {
                    note(Err(&error));
                    next.promise(Vec::new())
                })
            }
            Action::TryBind(slot, take, success, failure) => {
                let (promise, note, other) =
                    (self.get(*slot, *take), self.note(name), self.note(name));
                let (success, failure) = (self.next(success), self.next(failure));
                promise.try_bind(
                    move |value| {
                        note(Ok(&value));
                        success.promise(value)
                    },
                    move |error| {
                        other(Err(&error));
                        failure.promise(Vec::new())
                    },
                )
            }
            Action::Finalize(slot, take, next) => {
                let (promise, note) = (self.get(*slot, *take), self.note(name));
                let next = self.next(next);
                promise.finalize(move || {
                    note(Ok(&Vec::new()));
                    next.promise(Vec::new()).map(|_| ())
                })
            }
            Action::Protected(slot, take) => self.get(*slot, *take).protected(),
            Action::NoCancel(slot, take) => self.get(*slot, *take).no_cancel(),
            Action::Wrap(slot, take) => self.get(*slot, *take).wrap_in_cancelable(),
            Action::All(slots) => all(self.gathered(slots)).map(|values| values.concat()),
            Action::Both(slots) => {
                let mut members = self.gathered(slots).into_iter();
                let (left, right) = (members.next().unwrap(), members.next().unwrap());
                both(left, right).map(|(left, right)| [left, right].concat())
            }
            Action::Choose(slots) => choose(self.gathered(slots)),
            Action::Pick(slots) => pick(self.gathered(slots)),
            Action::Nchoose(slots) => nchoose(self.gathered(slots)).map(|values| values.concat()),
            Action::Spawn(slot, take, next) => {
                let (promise, note) = (self.get(*slot, *take), self.note(name));
                let next = self.next(next);
                spawn(async move {
                    let value = promise.await;
                    note(value.as_ref());
                    next.promise(value?).await
                })
            }
            Action::SpawnBoth(slots) => {
                let members = self.gathered(slots);
                let note = self.note(name);
                spawn(async move {
                    let mut members = members.into_iter();
                    let (left, right) = (members.next().unwrap(), members.next().unwrap());
                    let (left, right) = futures::join!(left, right);
                    let result = left.and_then(|left| right.map(|right| [left, right].concat()));
                    note(result.as_ref());
                    result
                })
            }
            Action::OnSuccess(slot) => {
                let note = self.note(name);
                self.slots[*slot]
                    .as_ref()
                    .unwrap()
                    .on_success(move |value| note(Ok(value)));
                return;
            }
            Action::OnFailure(slot) => {
                let note = self.note(name);
                self.slots[*slot]
                    .as_ref()
                    .unwrap()
                    .on_failure(move |error| note(Err(error)));
                return;
            }
            Action::OnCancel(slot) => {
                let note = self.note(name);
                self.slots[*slot]
                    .as_ref()
                    .unwrap()
                    .on_cancel(move || note(Ok(&Vec::new())));
                return;
            }
            Action::Wake(resolver, later) => {
                let resolver = self.resolvers[*resolver].take().unwrap();
                let value = vec![name as u8];
                if *later {
                    resolver.resolve(value)
                } else {
                    resolver.wakeup(value)
                }
                return;
            }
            Action::WakeError(resolver, canceled) => {
                let resolver = self.resolvers[*resolver].take().unwrap();
                resolver.wakeup_exn(if *canceled {
                    Error::canceled()
                } else {
                    Error::message(format!("failure {name}"))
                });
                return;
            }
            Action::Cancel(slot, later) => {
                let promise = self.slots[*slot].as_ref().unwrap();
                if *later {
                    promise.cancel_later()
                } else {
                    promise.cancel()
                }
                return;
            }
            Action::Drop(slot) => {
                self.slots[*slot] = None;
                return;
            }
            Action::DropResolver(resolver) => {
                self.resolvers[*resolver] = None;
                return;
            }
        };
        self.slots.push(Some(made));
    }

    fn states(&self) -> Vec<Option<Option<Followed>>> {
        let state = |promise: &Promise<Value>| match promise.state() {
            State::Return(value) => Some(Ok(value.clone())),
            State::Fail(error) => Some(Err(error.to_string())),
            State::Sleep => None,
        };
        self.slots
            .iter()
            .map(|slot| slot.as_ref().map(state))
            .collect()
    }
}

fn run(program: &[[u8; 4]]) -> std::result::Result<(), TestCaseError> {
    // Without the limit the order of nested resumptions is that of plain calls.
    scheduler::set_nesting_limit(100_000);
    let mut done = Vec::new();
    balanced(|| {
        let (mut real, mut model) = (Real::default(), Model::default());
        let mut told: Vec<Told> = Vec::new();
        for (name, code) in program.iter().enumerate() {
            let Some(action) = model.decode(*code) else {
                continue;
            };
            done.push(format!("{name}: {action:?}"));
            real.apply(name, &action);
            model.apply(name, &action);
            told.extend(real.log.take());
            prop_assert_eq!(&told, &model.log, "order of calls after {:#?}", &done);
            prop_assert_eq!(&real.states(), &model.states(), "states after {:#?}", &done);
        }
        Ok(())
    })
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: if cfg!(miri) { 30 } else { 20_000 },
        failure_persistence: None,
        max_shrink_iters: 100_000,
        rng_seed: common::rng_seed(),
        ..ProptestConfig::default()
    })]

    #[test]
    fn the_kernel_agrees_with_the_model(program in prop::collection::vec(any::<[u8; 4]>(), 1..40)) {
        let _limit = time_limit(300);
        run(&program)?;
    }
}
