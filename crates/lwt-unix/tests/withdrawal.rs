//! Cancel and drop at every point where an operation waits (I5, M3): nothing is left behind, and the descriptor works on.
//!
//! Each operation is brought to its waiting state and then given up, in both ways, alone and among others that stay.

mod common;

use common::{check, ms, virtually};
use lwt_core::{Promise, Result, State, pause, spawn};
use lwt_unix::{
    Buffer, Domain, FileDescriptor, SocketKind, connect, counters, job, listen, pipe, run, signal,
    sleep, socket, socketpair, timeout, with_timeout,
};

/// One kind of waiting operation: a name, and what makes it wait. Whatever must live beside it is kept by the promise.
type Case = (
    &'static str,
    fn() -> Result<(Promise<()>, Box<dyn std::any::Any>)>,
);

fn waiting<T: 'static>(
    promise: Promise<T>,
    beside: impl std::any::Any,
) -> Result<(Promise<()>, Box<dyn std::any::Any>)> {
    Ok((promise.map(drop), Box::new(beside)))
}

fn full_pair() -> Result<(FileDescriptor, FileDescriptor)> {
    let (left, right) = socketpair(Domain::Unix, SocketKind::Stream)?;
    while left
        .with_descriptor(|socket| rustix::io::write(socket, &[0; 512]))?
        .is_ok()
    {}
    while left
        .with_descriptor(|socket| rustix::io::write(socket, &[0; 1]))?
        .is_ok()
    {}
    Ok((left, right))
}

const CASES: &[Case] = &[
    ("sleep", || waiting(sleep(ms(1000)), ())),
    ("timeout", || waiting(timeout::<()>(ms(1000)), ())),
    ("with_timeout", || {
        waiting(with_timeout(ms(1000), || sleep(ms(2000))), ())
    }),
    ("pause", || waiting(pause(), ())),
    ("read_some", || {
        let (read, write) = pipe()?;
        waiting(read.read_some(1), (read, write))
    }),
    ("read_buffer", || {
        let (read, write) = pipe()?;
        waiting(read.read_buffer(&Buffer::new(1)), (read, write))
    }),
    ("read", || {
        let (read, write) = pipe()?;
        waiting(spawn(async move { read.read(&mut [0]).await }), write)
    }),
    ("read_exact", || {
        let (read, write) = pipe()?;
        run(write.write_bytes("1"))?;
        waiting(
            spawn(async move { read.read_exact(&mut [0; 2]).await }),
            write,
        )
    }),
    ("wait_read", || {
        let (read, write) = pipe()?;
        waiting(read.wait_read(), (read, write))
    }),
    ("write_bytes", || {
        let (left, right) = full_pair()?;
        waiting(left.write_bytes("x"), (left, right))
    }),
    ("write_buffer", || {
        let (left, right) = full_pair()?;
        waiting(left.write_buffer(&Buffer::new(1), 0..1), (left, right))
    }),
    ("write_all", || {
        let (left, right) = full_pair()?;
        waiting(spawn(async move { left.write_all(b"x").await }), right)
    }),
    ("wait_write", || {
        let (left, right) = full_pair()?;
        waiting(left.wait_write(), (left, right))
    }),
    ("accept", || {
        let listener = listen(&"127.0.0.1:0".parse()?)?;
        waiting(listener.accept(), listener)
    }),
    ("connect", || {
        // A server whose queue of connections is full.
        let name = format!(
            "unix:@lwt-unix-withdrawal-{:?}",
            std::thread::current().id()
        );
        let address = name.parse()?;
        let listener = socket(Domain::Unix, SocketKind::Stream)?;
        listener.bind(&address)?;
        listener.listen(0)?;
        let mut before = Vec::new();
        loop {
            let connecting = connect(&address);
            if connecting.is_sleeping() {
                return waiting(connecting, (listener, before));
            }
            before.push(connecting);
        }
    }),
    ("job", || {
        let (release, gate) = std::sync::mpsc::channel::<()>();
        waiting(job::run(move || gate.recv().is_ok()), release)
    }),
    ("signal", || waiting(signal(libc::SIGUSR1), ())),
];

#[test]
fn every_waiting_operation_can_be_cancelled() {
    for (name, start) in CASES {
        check(|| {
            let (promise, beside) = start()?;
            assert!(promise.is_sleeping(), "{name} waits");
            promise.cancel();
            assert!(
                matches!(promise.state(), State::Fail(error) if error.is_canceled()),
                "{name} is cancelled"
            );
            promise.cancel();
            drop(beside);
            Ok(())
        });
    }
}

/// The same after turns of the loop: what was registered meanwhile goes as well.
#[test]
fn every_waiting_operation_can_be_cancelled_after_some_turns() {
    for (name, start) in CASES.iter().filter(|(name, _)| *name != "pause") {
        check(|| {
            let (promise, beside) = start()?;
            run(pause())?;
            run(sleep(ms(0)))?;
            assert!(promise.is_sleeping(), "{name} waits");
            promise.cancel();
            assert!(!promise.is_sleeping(), "{name} is cancelled");
            drop(beside);
            Ok(())
        });
    }
}

/// What each leaf wait leaves behind when its promise is dropped: nothing. (The cases above are threads, which go on when
/// they are dropped; here the leaves themselves are.)
#[test]
fn every_leaf_wait_can_be_dropped() {
    let leaves: &[fn() -> Result<()>] = &[
        || {
            drop(sleep(ms(1000)));
            Ok(())
        },
        || {
            drop(timeout::<()>(ms(1000)));
            Ok(())
        },
        || {
            let (read, _write) = pipe()?;
            drop(read.read_some(1));
            drop(read.read_buffer(&Buffer::new(1)));
            drop(read.wait_read());
            Ok(())
        },
        || {
            let (left, _right) = full_pair()?;
            drop(left.write_bytes("x"));
            drop(left.write_buffer(&Buffer::new(1), 0..1));
            drop(left.wait_write());
            Ok(())
        },
        || {
            let listener = listen(&"127.0.0.1:0".parse()?)?;
            drop(listener.accept());
            Ok(())
        },
        || {
            let (_release, gate) = std::sync::mpsc::channel::<()>();
            drop(job::run(move || gate.recv().is_ok()));
            Ok(())
        },
        || {
            drop(signal(libc::SIGUSR1));
            Ok(())
        },
    ];
    for leaf in leaves {
        check(|| {
            let before = counters();
            leaf()?;
            assert_eq!(counters(), before, "at once, without a turn of the loop");
            Ok(())
        });
    }
}

/// A future that is dropped while it waits, as the losing arm of a `select!`: it has taken nothing.
#[test]
fn the_losing_arms_of_a_race_swallow_nothing() {
    check(|| {
        let (read, write) = pipe()?;
        virtually(|| {
            spawn(async move {
                for round in 0..20_u8 {
                    let mut buffer = [0; 8];
                    {
                        let reading = std::pin::pin!(read.read(&mut buffer));
                        let waiting = sleep(ms(1));
                        race(reading, waiting).await;
                    }
                    write.write_all(&[round]).await?;
                    let count = read.read(&mut buffer).await?;
                    assert_eq!(buffer[..count], [round], "exactly what was written");
                }
                Ok(())
            })
        })
    });
}

/// Waits for whichever of two futures ends first, and leaves the other one as it is.
async fn race(mut left: impl Future + Unpin, mut right: impl Future + Unpin) {
    std::future::poll_fn(|context| {
        let over = std::pin::Pin::new(&mut left).poll(context).is_ready()
            || std::pin::Pin::new(&mut right).poll(context).is_ready();
        if over {
            std::task::Poll::Ready(())
        } else {
            std::task::Poll::Pending
        }
    })
    .await;
}

/// An operation that is cancelled in the very moment in which it could have been served: either it has the bytes, or they
/// are still there.
#[test]
fn a_cancel_in_the_turn_of_the_arrival_loses_nothing() {
    check(|| {
        for cancel_first in [true, false] {
            let (read, write) = pipe()?;
            virtually(|| {
                spawn(async move {
                    let reading = read.read_some(10);
                    let canceler = reading.canceler();
                    if cancel_first {
                        canceler.cancel_later();
                        write.write_all(b"bytes").await?;
                    } else {
                        write.write_all(b"bytes").await?;
                        canceler.cancel_later();
                    }
                    match reading.await {
                        Ok(bytes) => assert_eq!(bytes, b"bytes"),
                        Err(error) => {
                            assert!(error.is_canceled());
                            assert_eq!(read.read_some(10).await?, b"bytes");
                        }
                    }
                    Ok(())
                })
            })?;
        }
        Ok(())
    });
}
