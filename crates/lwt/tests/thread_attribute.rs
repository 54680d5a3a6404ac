//! `#[lwt::thread]`: a call starts a thread, and parameters live as in an `async fn`.

use std::cell::RefCell;
use std::rc::Rc;

use lwt::{Promise, Result, State};

type Log = Rc<RefCell<Vec<&'static str>>>;

/// Writes its name into the log when it is dropped.
struct Trace(&'static str, Log);

impl Drop for Trace {
    fn drop(&mut self) {
        self.1.borrow_mut().push(self.0);
    }
}

#[lwt::thread]
async fn thread(
    first: Trace,
    _: Trace,
    (third, _): (Trace, Trace),
    log: Log,
    gate: Promise<()>,
) -> Result<&'static str> {
    log.borrow_mut().push("start");
    gate.await?;
    log.borrow_mut().push("end");
    let _ = (&first, &third);
    Ok("value")
}

async fn lazy(
    first: Trace,
    _: Trace,
    (third, _): (Trace, Trace),
    log: Log,
    gate: Promise<()>,
) -> Result<&'static str> {
    log.borrow_mut().push("start");
    gate.await?;
    log.borrow_mut().push("end");
    let _ = (&first, &third);
    Ok("value")
}

/// The parameters of both functions.
fn parameters(log: &Log) -> (Trace, Trace, (Trace, Trace)) {
    let trace = |name| Trace(name, log.clone());
    (
        trace("first"),
        trace("second"),
        (trace("third"), trace("fourth")),
    )
}

#[lwt::test]
async fn a_call_starts_the_thread() -> Result<()> {
    let log = Log::default();
    let (gate, resolver) = lwt::wait();
    let (first, second, pair) = parameters(&log);
    let promise = thread(first, second, pair, log.clone(), gate);
    assert_eq!(*log.borrow(), ["start"]);
    assert!(matches!(promise.state(), State::Sleep));
    resolver.resolve(());
    assert_eq!(promise.await?, "value");
    Ok(())
}

#[lwt::test]
async fn parameters_live_as_in_an_async_function() -> Result<()> {
    let mut logs = Vec::new();
    for is_thread in [true, false] {
        let log = Log::default();
        let (gate, resolver) = lwt::wait();
        let (first, second, pair) = parameters(&log);
        let promise = if is_thread {
            thread(first, second, pair, log.clone(), gate)
        } else {
            lwt::spawn(lazy(first, second, pair, log.clone(), gate))
        };
        assert_eq!(log.borrow().len(), 1, "a parameter was dropped early");
        resolver.resolve(());
        promise.await?;
        logs.push(log.take());
    }
    assert_eq!(logs[0].len(), 6, "{logs:?}");
    assert_eq!(logs[0], logs[1]);
    Ok(())
}

#[lwt::test]
async fn a_cancelled_thread_sees_it_and_drops_its_parameters() -> Result<()> {
    let log = Log::default();
    let (gate, _resolver) = lwt::task();
    let (first, second, pair) = parameters(&log);
    let promise = thread(first, second, pair, log.clone(), gate);
    promise.cancel();
    let State::Fail(error) = promise.state() else {
        panic!("the thread goes on");
    };
    assert!(error.is_canceled());
    assert_eq!(log.borrow().len(), 5, "{log:?}");
    Ok(())
}

#[lwt::thread]
async fn panics(text: &'static str) -> Result<()> {
    lwt::pause().await?;
    panic!("{text}")
}

#[lwt::test]
async fn a_panic_is_a_failure() -> Result<()> {
    let error = panics("the words of the panic")
        .await
        .expect_err("the thread panics");
    assert!(error.is_panic());
    assert!(
        error.to_string().contains("the words of the panic"),
        "{error}"
    );
    Ok(())
}

struct Counter {
    count: u32,
    log: Log,
}

impl Counter {
    /// Does not use the receiver as a whole: it lives until the end all the same.
    #[lwt::thread]
    async fn count(self: Box<Self>, gate: Promise<()>) -> Result<u32> {
        gate.await?;
        Ok(self.count)
    }
}

impl Drop for Counter {
    fn drop(&mut self) {
        self.log.borrow_mut().push("counter");
    }
}

#[lwt::test]
async fn a_receiver_lives_until_the_end() -> Result<()> {
    let log = Log::default();
    let (gate, resolver) = lwt::wait();
    let promise = Box::new(Counter {
        count: 7,
        log: log.clone(),
    })
    .count(gate);
    assert!(log.borrow().is_empty());
    resolver.resolve(());
    assert_eq!(promise.await?, 7);
    assert_eq!(*log.borrow(), ["counter"]);
    Ok(())
}
