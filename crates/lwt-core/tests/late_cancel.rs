//! A cancel that finds a thread queued (woken, not resumed yet) reaches what the thread awaits next.

mod common;

use std::future::poll_fn;
use std::task::Poll;

use common::balanced;
use lwt_core::{
    Group, State, pause, return_, scheduler, spawn, spawn_detached, task, wait, wakeup_paused,
};

#[test]
fn a_queued_thread_is_cancelled_at_its_next_suspension() {
    balanced(|| {
        let (first, resolver) = wait::<()>();
        let (second, _second) = task::<()>();
        let thread = spawn(async move {
            first.await?;
            second.await
        });
        scheduler::frame(|| {
            resolver.resolve(());
            thread.cancel();
        });
        assert!(matches!(thread.state(), State::Fail(error) if error.is_canceled()));
    });
}

#[test]
fn a_member_of_a_group_that_is_dropped_while_it_is_queued_does_not_outlive_it() {
    balanced(|| {
        let group = Group::new();
        let (first, resolver) = wait::<()>();
        let thread = group.spawn(async move {
            first.await?;
            loop {
                pause().await?;
            }
            #[allow(unreachable_code)]
            Ok(())
        });
        scheduler::frame(|| {
            resolver.resolve(());
            drop(group);
        });
        wakeup_paused();
        assert!(matches!(thread.state(), State::Fail(error) if error.is_canceled()));
    });
}

#[test]
fn a_thread_that_ends_first_is_not_cancelled() {
    balanced(|| {
        let (first, resolver) = wait::<u32>();
        let thread = spawn(first);
        scheduler::frame(|| {
            resolver.resolve(7);
            thread.cancel();
        });
        assert!(matches!(thread.state(), State::Return(7)));
    });
}

#[test]
fn a_thread_that_wakes_itself_for_ever_can_be_cancelled() {
    balanced(|| {
        let thread = spawn(async {
            poll_fn::<(), _>(|context| {
                context.waker().wake_by_ref();
                Poll::Pending
            })
            .await;
            Ok(())
        });
        wakeup_paused();
        thread.cancel();
        wakeup_paused();
        assert!(matches!(thread.state(), State::Fail(error) if error.is_canceled()));
    });
}

#[test]
fn m10_a_busy_thread_gives_way_and_can_be_cancelled() {
    balanced(|| {
        let guard = scheduler::enter(std::panic::Location::caller());
        let thread = spawn(async {
            loop {
                return_(1).await?;
            }
            #[allow(unreachable_code)]
            Ok(())
        });
        assert!(thread.is_sleeping());
        thread.cancel();
        for _ in 0..2 {
            scheduler::begin_turn();
            wakeup_paused();
        }
        assert!(matches!(thread.state(), State::Fail(error) if error.is_canceled()));
        drop(guard);
    });
}

#[test]
fn a_detached_thread_that_is_cancelled_is_not_reported() {
    balanced(|| {
        let before = lwt_core::set_async_exception_hook(|error| panic!("reported: {error}"));
        let (promise, _resolver) = task::<()>();
        let canceler = promise.canceler();
        spawn_detached(async move { promise.await });
        canceler.cancel();
        lwt_core::restore_async_exception_hook(before);
    });
}

#[test]
fn a_thread_whose_promise_is_resolved_but_not_told_yet_is_cancelled_at_its_next_suspension() {
    for mode in 0..3 {
        balanced(|| {
            let group = Group::new();
            let (first, resolver) = task::<()>();
            match mode {
                0 => first.on_cancel(|| {}),
                1 => first.on_success(|()| {}),
                _ => resolver.on_withdrawn(|| {}),
            }
            let thread = group.spawn(async move {
                first.await?;
                let (second, _second) = task::<()>();
                second.await
            });
            scheduler::frame(|| {
                resolver.resolve(());
                drop(group);
            });
            assert!(matches!(thread.state(), State::Fail(error) if error.is_canceled()));
        });
    }
}
