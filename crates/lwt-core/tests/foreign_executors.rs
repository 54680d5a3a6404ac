//! Promises awaited by executors that are not ours: no loop of ours runs, and what needs one says so.

mod common;

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake};

use common::{balanced, time_limit};
use futures::executor::{LocalPool, block_on};
use futures::task::LocalSpawnExt;
use lwt_core::*;

/// The smallest executor: parks the OS thread.
fn park_on<F: Future>(future: F) -> F::Output {
    struct Unpark(std::thread::Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Arc::new(Unpark(std::thread::current())).into();
    let mut context = Context::from_waker(&waker);
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return output;
        }
        std::thread::park();
    }
}

#[test]
fn a_resolved_promise_is_there_at_once() {
    let _limit = time_limit(10);
    balanced(|| {
        assert_eq!(block_on(return_(1)).unwrap(), 1);
        assert_eq!(park_on(return_(1).map(|x| x + 1)).unwrap(), 2);
        assert!(
            block_on(fail::<()>(EndOfFile))
                .unwrap_err()
                .is::<EndOfFile>()
        );
        assert_eq!(park_on(spawn(async { return_(3).await })).unwrap(), 3);
    });
}

#[test]
fn a_foreign_task_is_woken_by_a_resolver() {
    let _limit = time_limit(10);
    balanced(|| {
        let mut pool = LocalPool::new();
        let (promise, resolver) = wait::<u32>();
        let (mapped, thread) = (promise.clone().map(|x| x + 1), {
            let promise = promise.clone();
            spawn(async move { Ok(promise.await? + 2) })
        });
        let results = pool.spawner();
        let sum = std::rc::Rc::new(std::cell::Cell::new(0));
        for promise in [promise, mapped, thread] {
            let sum = sum.clone();
            let task = async move {
                let value = promise.await.unwrap();
                sum.set(sum.get() + value);
            };
            results.spawn_local(task).unwrap();
        }
        results
            .spawn_local(async move { resolver.resolve(10) })
            .unwrap();
        pool.run();
        assert_eq!(sum.get(), 10 + 11 + 12);
    });
}

#[test]
fn a_message_from_another_os_thread_wakes_a_parked_one() {
    let _limit = time_limit(20);
    balanced(|| {
        // Our thread awaits a foreign channel; the executor drains the inbox when the bell has woken it.
        let (sender, receiver) = futures::channel::oneshot::channel::<u32>();
        let thread = spawn(async move { Ok(receiver.await?) });
        let here = std::thread::current();
        scheduler::inbox().set_bell(Some(Box::new(move || here.unpark())));
        let far = std::thread::spawn(move || sender.send(4));
        let mut thread = thread;
        let value = park_on(std::future::poll_fn(|context| {
            scheduler::drain_inbox();
            std::pin::Pin::new(&mut thread).poll(context)
        }));
        assert_eq!(value.unwrap(), 4);
        assert!(far.join().unwrap().is_ok());
        scheduler::drain_inbox();
        scheduler::inbox().set_bell(None);
    });
}

#[test]
fn what_needs_a_loop_fails_with_a_message_where_none_runs() {
    let _limit = time_limit(10);
    balanced(|| {
        let error = block_on(pause()).unwrap_err();
        assert!(
            error.is::<NoLoop>() && error.to_string().contains("pause"),
            "{error}"
        );
        let (leaf, resolver) = scheduler::leaf::<u32>("sleep of 3 seconds");
        let error = park_on(leaf).unwrap_err();
        assert!(
            error.is::<NoLoop>() && error.to_string().contains("sleep of 3 seconds"),
            "{error}"
        );
        drop(resolver);
        // Resolved meanwhile, it is fine.
        let paused = pause();
        wakeup_paused();
        assert!(block_on(paused).is_ok());
        // A foreign future inside a thread of ours that runs in a loop may wait.
        let guard = scheduler::enter(std::panic::Location::caller()).unwrap();
        let mut polled = pause();
        let mut context = Context::from_waker(std::task::Waker::noop());
        assert!(
            std::pin::Pin::new(&mut polled)
                .poll(&mut context)
                .is_pending()
        );
        drop(guard);
        wakeup_paused();
    });
}

#[test]
fn a_foreign_poll_has_no_storage_and_no_thread() {
    let _limit = time_limit(10);
    balanced(|| {
        let key = Key::new();
        let (promise, resolver) = wait::<()>();
        let thread = key.with_value(Some(1), || {
            spawn(async move {
                promise.await?;
                Ok(key.get())
            })
        });
        resolver.wakeup(());
        assert_eq!(
            block_on(async { (key.get(), thread.await.unwrap()) }),
            (None, Some(1))
        );
    });
}
