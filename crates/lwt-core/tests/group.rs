//! [`Group`]: threads that are cancelled when their group is dropped.

mod common;

use std::cell::RefCell;
use std::rc::Rc;

use common::{DropCount, Log, OnDrop, balanced, is_canceled, sized, time_limit, value};
use lwt_core::*;

#[test]
fn dropping_the_group_cancels_its_members() {
    let _limit = time_limit(10);
    balanced(|| {
        let count = DropCount::default();
        let group = Group::new();
        let (promise, resolver) = task::<u32>();
        let guard = count.value();
        let thread = group.spawn(async move {
            let _guard = guard;
            promise.await
        });
        let guard = count.value();
        // Also one whose promise nobody holds.
        drop(group.spawn(async move {
            let _guard = guard;
            std::future::pending::<()>().await;
            Ok(())
        }));
        assert_eq!(count.alive(), 1, "nothing could ever wake the second");
        drop(group);
        assert!(is_canceled(&thread));
        assert_eq!(count.alive(), 0);
        drop(resolver);
    });
}

#[test]
fn members_that_ended_are_forgotten() {
    let _limit = time_limit(10);
    balanced(|| {
        let group = Group::new();
        for index in 0..sized(1_000, 100) {
            let (promise, resolver) = task::<usize>();
            let thread = group.spawn(async move { promise.await });
            assert_eq!(group.running(), 1);
            resolver.resolve(index);
            assert_eq!(value(&thread), index);
            assert_eq!(group.running(), 0);
        }
        let done = group.spawn(async { Ok(1) });
        assert_eq!((group.running(), value(&done)), (0, 1));
        group.add(&return_(1));
        assert_eq!(group.running(), 0);
    });
}

#[test]
fn waiting_for_all_members_however_they_end() {
    let _limit = time_limit(10);
    balanced(|| {
        let group = Group::new();
        let (promises, mut resolvers): (Vec<_>, Vec<_>) = (0..4).map(|_| task::<u32>()).unzip();
        let threads: Vec<_> = promises
            .into_iter()
            .map(|promise| group.spawn(async move { promise.await }))
            .collect();
        let all = group.wait();
        let abandoned = group.wait();
        drop(abandoned);
        let cancelled = group.wait();
        cancelled.cancel();
        resolvers.remove(0).wakeup(1);
        resolvers.remove(0).wakeup_exn(EndOfFile);
        threads[2].cancel();
        assert!(all.is_sleeping() && is_canceled(&cancelled));
        // The last one goes without a word.
        drop(threads);
        drop(resolvers);
        assert!(!all.is_sleeping());
        assert_eq!(group.running(), 0);
    });
}

#[test]
fn a_member_that_answers_the_cancel_with_more_work_stays_a_member() {
    let _limit = time_limit(10);
    balanced(|| {
        let group = Group::new();
        let (cleanup, cleaned) = task::<()>();
        let thread = group.spawn(async move {
            let result = forever::<()>().await;
            cleanup.await?;
            result
        });
        group.cancel();
        assert!(thread.is_sleeping());
        assert_eq!(group.running(), 1);
        cleaned.wakeup(());
        assert!(is_canceled(&thread));
        assert_eq!(group.running(), 0);
    });
}

#[test]
fn members_may_use_their_group_at_their_end() {
    let _limit = time_limit(10);
    balanced(|| {
        let log = Log::new();
        let group = Rc::new(Group::new());
        let slot: Rc<RefCell<Option<Rc<Group>>>> = Rc::new(RefCell::new(Some(group.clone())));
        for index in 0..3 {
            let (inside, l) = (slot.clone(), log.clone());
            let guard = OnDrop::new(move || {
                let group = inside.borrow().clone();
                if let Some(group) = group {
                    l.push((index, group.running()));
                    let _ = group.wait();
                    drop(group.spawn(async { Ok(()) }));
                    group.add(&return_(()));
                }
            });
            let thread = group.spawn(async move {
                let _guard = guard;
                std::future::pending::<()>().await;
                Ok(())
            });
            thread.ignore_result();
        }
        group.cancel();
        assert_eq!(log.take().len(), 3);
        slot.borrow_mut().take();
        assert_eq!(group.running(), 0);
    });
}
