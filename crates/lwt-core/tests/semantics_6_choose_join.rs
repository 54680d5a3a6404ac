//! Section 6 of the behaviour of the core: `choose`, `pick`, `join` and their kin.

mod common;

use common::{Log, balanced, failure, is_canceled, sized, time_limit, value};
use lwt_core::*;

fn error(text: &str) -> Error {
    Error::message(text)
}

#[test]
fn s6_1_join_and_all_of_nothing_are_fulfilled_at_once() {
    let _limit = time_limit(10);
    balanced(|| {
        value(&join([]));
        assert!(value(&all(Vec::<Promise<u32>>::new())).is_empty());
    });
}

#[test]
fn s6_2_choosing_from_nothing_is_an_invalid_argument() {
    let _limit = time_limit(10);
    // Ours: a failed promise, not a raise.
    fn none() -> Vec<Promise<u32>> {
        Vec::new()
    }
    let errors = [
        ("choose", failure(&choose(none()))),
        ("pick", failure(&pick(none()))),
        ("nchoose", failure(&nchoose(none()))),
        ("npick", failure(&npick(none()))),
        ("nchoose_split", failure(&nchoose_split(none()))),
    ];
    for (name, error) in errors {
        assert!(
            error.is::<InvalidArgument>() && error.to_string().contains(name),
            "{error}"
        );
    }
}

#[test]
fn s6_3_among_several_that_are_there_a_failure_wins_and_else_chance_decides_reproducibly() {
    let _limit = time_limit(30);
    balanced(|| {
        for way in [choose::<u32>, pick::<u32>] as [fn(Vec<Promise<u32>>) -> Promise<u32>; 2] {
            let draw = |seed| {
                scheduler::seed_random(seed);
                let members = || vec![return_(0), return_(1), forever(), return_(2)];
                (0..sized(300, 60))
                    .map(|_| value(&way(members())))
                    .collect::<Vec<_>>()
            };
            let first = draw(1);
            assert_eq!(first, draw(1));
            assert_ne!(first, draw(2));
            for candidate in 0..3 {
                let times = first.iter().filter(|drawn| **drawn == candidate).count();
                assert!(
                    times > first.len() / 6,
                    "{candidate} was drawn {times} times of {}",
                    first.len()
                );
            }
            // Failures win, and are drawn among themselves.
            let mut drawn = std::collections::HashSet::new();
            for _ in 0..60 {
                let members = vec![return_(0), fail(error("a")), return_(1), fail(error("b"))];
                drawn.insert(failure(&way(members)).to_string());
            }
            assert_eq!(drawn.len(), 2);
        }
    });
}

#[test]
fn s6_4_one_that_is_there_wins_at_any_position() {
    let _limit = time_limit(10);
    for way in [choose::<u32>, pick::<u32>] as [fn(Vec<Promise<u32>>) -> Promise<u32>; 2] {
        for position in 0..4 {
            balanced(|| {
                let members = |member: fn() -> Promise<u32>| {
                    let mut all: Vec<Promise<u32>> = (0..3).map(|_| forever()).collect();
                    all.insert(position, member());
                    all
                };
                assert_eq!(value(&way(members(|| return_(7)))), 7);
                assert!(failure(&way(members(|| fail(EndOfFile)))).is::<EndOfFile>());
            });
        }
    }
}

#[test]
fn s6_5_the_first_to_resolve_wins_and_later_ones_are_ignored() {
    let _limit = time_limit(10);
    balanced(|| {
        for fails in [false, true] {
            for winner in 0..3 {
                let (promises, resolvers): (Vec<_>, Vec<_>) = (0..3).map(|_| wait::<u32>()).unzip();
                let originals: Vec<_> = promises.clone();
                let chosen = choose(promises);
                let mut resolvers: Vec<_> = resolvers.into_iter().map(Some).collect();
                let mut wake = |index: usize, result: Result<u32>| {
                    resolvers[index].take().unwrap().wakeup_result(result)
                };
                wake(winner, if fails { Err(EndOfFile.into()) } else { Ok(10) });
                wake((winner + 1) % 3, Ok(11));
                wake((winner + 2) % 3, Err(error("late")));
                match chosen.state() {
                    State::Return(10) => assert!(!fails),
                    State::Fail(error) => assert!(fails && error.is::<EndOfFile>()),
                    state => panic!("{state:?}"),
                }
                assert_eq!(value(&originals[(winner + 1) % 3]), 11);
            }
        }
        // A promise may stand twice.
        for way in [choose::<u32>, pick::<u32>] as [fn(Vec<Promise<u32>>) -> Promise<u32>; 2] {
            let (promise, resolver) = task::<u32>();
            let chosen = way(vec![promise.clone(), promise]);
            resolver.wakeup(3);
            assert_eq!(value(&chosen), 3);
        }
    });
}

#[test]
fn s6_6_pick_cancels_the_losers_whose_callbacks_run_before_those_of_the_result() {
    let _limit = time_limit(10);
    // Ours (M9): all states are set at once, so the losers' callbacks see the result resolved; its own callbacks follow.
    for many in [false, true] {
        for winner in 0..3 {
            balanced(|| {
                let log = Log::new();
                let (promises, mut resolvers): (Vec<_>, Vec<_>) =
                    (0..3).map(|_| task::<u32>()).unzip();
                let watched: Vec<_> = promises.clone();
                for (index, promise) in watched.iter().enumerate() {
                    let (l, all) = (log.clone(), watched.clone());
                    promise.on_cancel(move || {
                        assert!(all.iter().all(|promise| !promise.is_sleeping()));
                        l.push(format!("loser {index}"));
                    });
                }
                let picked = if many {
                    npick(promises).map(|values| values[0])
                } else {
                    pick(promises).map(|x| x)
                };
                picked.on_success({
                    let l = log.clone();
                    move |_| l.push("result".to_owned())
                });
                resolvers.remove(winner).wakeup(5);
                let mut seen = log.take();
                assert_eq!(
                    seen.pop().as_deref(),
                    Some("result"),
                    "many: {many}, winner {winner}"
                );
                seen.sort();
                let losers = (0..3)
                    .filter(|index| *index != winner)
                    .map(|index| format!("loser {index}"));
                assert_eq!(
                    seen,
                    losers.collect::<Vec<_>>(),
                    "many: {many}, winner {winner}"
                );
                assert_eq!(value(&picked), 5);
                for (index, promise) in watched.iter().enumerate() {
                    assert_eq!(is_canceled(promise), index != winner);
                }
                drop(resolvers);
            });
        }
    }
}

#[test]
fn s6_7_with_an_immediate_winner_every_pending_member_is_cancelled() {
    let _limit = time_limit(10);
    balanced(|| {
        for many in [false, true] {
            let (promises, resolvers): (Vec<_>, Vec<_>) = (0..3).map(|_| task::<u32>()).unzip();
            let watched = promises.clone();
            let mut members = promises;
            members.insert(1, return_(4));
            let (fixed, fixed_resolver) = wait::<u32>();
            members.insert(3, fixed.clone());
            // The values are collected first, so that a loser's `Canceled` does not become the result.
            if many {
                assert_eq!(value(&npick(members)), [4]);
            } else {
                assert_eq!(value(&pick(members)), 4);
            }
            assert!(watched.iter().all(is_canceled));
            assert!(fixed.is_sleeping());
            drop((resolvers, fixed_resolver));
        }
        // The same after a wait.
        let (first, resolver) = task::<u32>();
        let (second, kept) = task::<u32>();
        let loser = second.clone();
        let picked = npick([second, first]);
        resolver.wakeup(1);
        assert_eq!(value(&picked), [1]);
        assert!(is_canceled(&loser));
        drop(kept);
    });
}

#[test]
fn s6_8_nchoose_of_what_is_there_gives_the_first_failure_or_all_values_in_order() {
    let _limit = time_limit(10);
    for way in [nchoose::<u32>, npick::<u32>] as [fn(Vec<Promise<u32>>) -> Promise<Vec<u32>>; 2] {
        balanced(|| {
            assert_eq!(
                value(&way(vec![forever(), return_(1), forever(), return_(2)])),
                [1, 2]
            );
            let failed = way(vec![
                return_(1),
                fail(error("first")),
                return_(2),
                fail(error("second")),
            ]);
            assert_eq!(failure(&failed).to_string(), "first");
            let failed = way(vec![forever(), fail(error("only")), return_(2)]);
            assert_eq!(failure(&failed).to_string(), "only");
        });
    }
}

#[test]
fn s6_9_nchoose_looks_at_the_members_when_the_first_of_them_resolves() {
    let _limit = time_limit(10);
    balanced(|| {
        // Ours: in the order of attachment, so what was mapped before is there already (OCaml: one value only).
        let (promise, resolver) = wait::<u32>();
        let mapped = promise.clone().map(|x| x + 1);
        let chosen = nchoose([promise, mapped]);
        resolver.wakeup(1);
        assert_eq!(value(&chosen), [1, 2]);
        // What is mapped later is not.
        let (promise, resolver) = wait::<u32>();
        let (other, other_resolver) = wait::<u32>();
        let chosen = nchoose([promise.clone(), other]);
        let mapped = promise.map(|x| x + 1);
        let another = chosen.clone();
        resolver.wakeup(1);
        assert_eq!(value(&another), [1]);
        assert_eq!(value(&mapped), 2);
        drop(other_resolver);
        // Several at one moment.
        let (promise, resolver) = wait::<u32>();
        let chosen = nchoose([promise.clone(), forever(), promise]);
        resolver.wakeup(3);
        assert_eq!(value(&chosen), [3, 3]);
    });
}

#[test]
fn s6_10_nchoose_split_keeps_the_order_of_values_and_of_the_pending() {
    let _limit = time_limit(10);
    balanced(|| {
        for immediate in [false, true] {
            let (promises, resolvers): (Vec<_>, Vec<_>) = (0..5).map(|_| wait::<usize>()).unzip();
            let mut resolvers: Vec<_> = resolvers.into_iter().map(Some).collect();
            let source = if immediate { None } else { resolvers[3].take() };
            if immediate {
                resolvers[3].take().unwrap().wakeup(3);
            }
            let mut members = promises;
            members.insert(
                0,
                if immediate {
                    return_(10)
                } else {
                    members[3].clone()
                },
            );
            let split = nchoose_split(members);
            if let Some(source) = source {
                source.wakeup(3);
            }
            let Ok(Ok((values, pending))) = split.try_take() else {
                panic!("split")
            };
            assert_eq!(values, if immediate { [10, 3] } else { [3, 3] });
            assert_eq!(pending.len(), 4);
            for (position, index) in [0, 1, 2, 4].into_iter().enumerate() {
                resolvers[index].take().unwrap().wakeup(index);
                assert_eq!(value(&pending[position]), index);
            }
        }
    });
}

#[test]
fn s6_11_join_waits_for_all_and_keeps_the_first_failure() {
    let _limit = time_limit(10);
    balanced(|| {
        // Failures found at the call, in the order of the list, before later ones.
        let (promise, resolver) = wait::<()>();
        let joined = join([
            return_(()),
            fail(error("first")),
            promise,
            fail(error("second")),
        ]);
        assert!(joined.is_sleeping());
        resolver.wakeup_exn(error("later"));
        assert_eq!(failure(&joined).to_string(), "first");
        // Among later ones, the first in time.
        let (promises, mut resolvers): (Vec<_>, Vec<_>) = (0..3).map(|_| wait::<()>()).unzip();
        let joined = join(promises);
        resolvers.remove(1).wakeup_exn(error("one"));
        assert!(joined.is_sleeping());
        resolvers.remove(0).wakeup_exn(error("zero"));
        assert!(joined.is_sleeping());
        resolvers.remove(0).wakeup(());
        assert_eq!(failure(&joined).to_string(), "one");
        // All there.
        assert_eq!(
            failure(&join([fail(error("x")), fail(error("y"))])).to_string(),
            "x"
        );
        value(&join([return_(()), return_(())]));
    });
}

#[test]
fn s6_12_both_and_all_behave_like_join_and_a_member_may_stand_twice() {
    let _limit = time_limit(10);
    balanced(|| {
        for late in 0..2 {
            let (left, left_resolver) = wait::<u32>();
            let (right, right_resolver) = wait::<&str>();
            let pair = both(left, right);
            if late == 0 {
                right_resolver.wakeup("r");
                assert!(pair.is_sleeping());
                left_resolver.wakeup(1);
            } else {
                left_resolver.wakeup(1);
                assert!(pair.is_sleeping());
                right_resolver.wakeup("r");
            }
            assert_eq!(value(&pair), (1, "r"));
        }
        let (left, left_resolver) = wait::<u32>();
        let (right, right_resolver) = wait::<u32>();
        let pair = both(left, right);
        right_resolver.wakeup_exn(error("right"));
        left_resolver.wakeup_exn(error("left"));
        assert_eq!(failure(&pair).to_string(), "right");
        let (left, resolver) = wait::<u32>();
        let pair = both(left, fail::<u32>(error("there")));
        assert!(pair.is_sleeping());
        resolver.wakeup(1);
        assert_eq!(failure(&pair).to_string(), "there");

        let (promise, resolver) = wait::<u32>();
        let gathered = all([promise.clone(), return_(5), promise.clone(), promise]);
        resolver.wakeup(2);
        assert_eq!(value(&gathered), [2, 5, 2, 2]);
        let (promise, resolver) = wait::<u32>();
        let pair = both(promise.clone(), promise);
        resolver.wakeup(2);
        assert_eq!(value(&pair), (2, 2));
        let (promise, resolver) = wait::<u32>();
        let gathered = all([
            promise,
            fail(error("there")),
            fail(error("later in the list")),
        ]);
        assert!(gathered.is_sleeping());
        resolver.wakeup(2);
        assert_eq!(failure(&gathered).to_string(), "there");
    });
}

#[test]
fn s6_13_the_failure_that_was_there_first_in_time_is_kept_by_both() {
    let _limit = time_limit(10);
    // `Lwt_result.both` belongs to a later part of the library; the rule is `both`'s.
    balanced(|| {
        let (left, left_resolver) = wait::<u32>();
        let pair = both(left, fail::<u32>(error("earlier")));
        left_resolver.wakeup_exn(error("later"));
        assert_eq!(failure(&pair).to_string(), "earlier");
    });
}

#[test]
fn s6_14_choose_and_join_of_two() {
    let _limit = time_limit(10);
    balanced(|| {
        let (left, left_resolver) = wait::<()>();
        let (right, right_resolver) = wait::<()>();
        let either = choose([left.clone(), right.clone()]);
        let together = join([left, right]);
        right_resolver.wakeup(());
        assert!(!either.is_sleeping() && together.is_sleeping());
        left_resolver.wakeup(());
        assert!(!together.is_sleeping());
    });
}

#[test]
fn s6_15_they_do_not_change_the_storage() {
    let _limit = time_limit(10);
    balanced(|| {
        let key: Key<u32> = Key::new();
        key.with_value(Some(1), || {
            let (promise, resolver) = task::<u32>();
            let seen = Log::new();
            let l = seen.clone();
            promise.on_success(move |_| l.push(key.get()));
            let chosen = choose([promise.clone()]);
            let picked = pick([promise.clone()]);
            let joined = all([promise.clone()]);
            let many = nchoose([promise]);
            key.with_value(Some(2), || resolver.wakeup(1));
            assert_eq!(key.get(), Some(1));
            assert_eq!(seen.take(), [Some(1)]);
            assert_eq!((value(&chosen), value(&picked)), (1, 1));
            assert_eq!((value(&joined), value(&many)), (vec![1], vec![1]));
        });
    });
}
