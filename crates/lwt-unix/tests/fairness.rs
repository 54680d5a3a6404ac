//! Nobody starves (M10, I7): whatever is always ready, timers fire and pauses go on.

mod common;

use std::cell::Cell;
use std::rc::Rc;

use common::{check, ms, turns};
use lwt_core::{Group, Result, Timeout, pause, spawn};
use lwt_unix::{
    Builder, Domain, FileDescriptor, Poll, SocketKind, VirtualTime, loop_time, sleep, socketpair,
    with_timeout,
};

/// Two threads that send to each other as fast as they can: both ends are always readable or writable.
async fn chatter(end: FileDescriptor) -> Result<()> {
    let mut buffer = [0; 1024];
    end.write_all(&[1; 1024]).await?;
    loop {
        end.read(&mut buffer).await?;
        end.write_all(&buffer).await?;
    }
}

fn two_busy_sockets(group: &Group) -> Result<()> {
    let (left, right) = socketpair(Domain::Unix, SocketKind::Stream)?;
    drop(group.spawn(chatter(left)));
    drop(group.spawn(chatter(right)));
    Ok(())
}

/// The real clock: the timer must come although the sockets never rest.
#[test]
fn a_timer_fires_beside_two_sockets_that_never_rest() {
    check(|| {
        Builder::new().engine(Poll::new()).run(|| {
            spawn(async {
                let group = Group::new();
                two_busy_sockets(&group)?;
                sleep(ms(5)).await
            })
        })
    });
}

#[test]
fn pauses_go_on_beside_two_sockets_that_never_rest() {
    check(|| {
        Builder::new().engine(VirtualTime::new()).run(|| {
            spawn(async {
                let group = Group::new();
                two_busy_sockets(&group)?;
                for _ in 0..100 {
                    pause().await?;
                }
                Ok(())
            })
        })
    });
}

/// A descriptor that is always ready: a reader that never waits is made to wait by the limit of a streak.
#[test]
fn a_reader_that_is_never_refused_lets_others_run() {
    check(|| {
        Builder::new().engine(VirtualTime::new()).run(|| {
            spawn(async {
                let zero = FileDescriptor::from(std::fs::File::open("/dev/zero")?);
                zero.set_blocking(false, false)?;
                let reads = Rc::new(Cell::new(0_u64));
                let counting = Rc::clone(&reads);
                let group = Group::new();
                drop(group.spawn::<()>(async move {
                    loop {
                        zero.read(&mut [0; 16]).await?;
                        counting.set(counting.get() + 1);
                    }
                }));
                let before = reads.get();
                turns(9).await?;
                let in_ten_turns = reads.get() - before;
                assert!(in_ten_turns > 0, "it goes on");
                assert!(in_ten_turns <= 11 * 129, "and is bounded: {in_ten_turns}");
                Ok(())
            })
        })
    });
}

/// M10 under the virtual clock: time passes for those who are never idle, too.
#[test]
fn a_timer_fires_beside_busy_sockets_under_the_virtual_clock() {
    check(|| {
        Builder::new().virtual_time(0).run(|| {
            spawn(async {
                let group = Group::new();
                two_busy_sockets(&group)?;
                sleep(ms(5)).await?;
                sleep(ms(5)).await?;
                assert_eq!(loop_time(), ms(10));
                Ok(())
            })
        })
    });
}

/// A thread that is busy with a descriptor that is always ready can be cancelled, and so ended by a time-out.
#[test]
fn a_busy_copy_is_ended_by_a_time_out() {
    async fn copy_for_ever() -> Result<()> {
        let (read, write) = lwt_unix::pipe()?;
        let mut buffer = [0; 100];
        loop {
            write.write_all(&buffer).await?;
            read.read_exact(&mut buffer).await?;
        }
    }
    check(|| {
        let limited = || with_timeout(ms(2), || spawn(copy_for_ever()));
        let error = Builder::new().engine(Poll::new()).run(limited).unwrap_err();
        assert!(error.is::<Timeout>());
        let error = Builder::new().virtual_time(0).run(limited).unwrap_err();
        assert!(error.is::<Timeout>());
        Ok(())
    });
}

/// One large operation whose data never runs out: it works in pieces.
#[test]
fn a_large_read_lets_others_run() {
    const TOTAL: usize = 64 << 20;
    check(|| {
        let (read, write) = lwt_unix::pipe_in()?;
        let flood = std::thread::spawn(move || {
            use std::io::Write;
            let mut write = std::fs::File::from(write);
            for _ in 0..TOTAL / 65_536 {
                write.write_all(&[1; 65_536]).expect("somebody reads");
            }
        });
        let ticks = Builder::new().engine(Poll::new()).run(|| {
            spawn(async move {
                let ticks = Rc::new(Cell::new(0));
                let counting = Rc::clone(&ticks);
                let group = Group::new();
                drop(group.spawn::<()>(async move {
                    loop {
                        pause().await?;
                        counting.set(counting.get() + 1);
                    }
                }));
                read.read_exact(&mut vec![0; TOTAL]).await?;
                Ok(ticks.get())
            })
        })?;
        assert!(ticks >= TOTAL / 65_536 / 32, "{ticks} turns for the others");
        flood.join().expect("the flood ends");
        Ok(())
    });
}

/// A thread that wakes itself for ever through the library: timers still fire.
#[test]
fn a_timer_fires_beside_a_thread_that_wakes_itself() {
    check(|| {
        Builder::new().engine(Poll::new()).run(|| {
            spawn(async {
                // Waiting for what is resolved already cannot be cancelled: this thread has to be told.
                let is_over = Rc::new(Cell::new(false));
                let told = Rc::clone(&is_over);
                let busy = spawn(async move {
                    while !told.get() {
                        let (promise, resolver) = lwt_core::wait::<()>();
                        let waking = spawn(async move {
                            promise.await?;
                            Ok(())
                        });
                        resolver.resolve(());
                        waking.await?;
                    }
                    Ok(())
                });
                let group = Group::new();
                drop(group.spawn::<()>(async {
                    loop {
                        pause().await?;
                    }
                }));
                sleep(ms(3)).await?;
                is_over.set(true);
                busy.await
            })
        })
    });
}

/// A timer of no delay that makes another for ever: descriptors are still served.
#[test]
fn a_read_ends_beside_timers_that_never_end() {
    check(|| {
        Builder::new().engine(VirtualTime::new()).run(|| {
            spawn(async {
                let group = Group::new();
                drop(group.spawn::<()>(async {
                    loop {
                        sleep(ms(0)).await?;
                    }
                }));
                let (read, write) = lwt_unix::pipe()?;
                let reading = read.read_some(10);
                write.write_all(b"x").await?;
                assert_eq!(reading.await?, b"x");
                Ok(())
            })
        })
    });
}

/// With a turn limit of one, everything still runs, only in smaller turns.
#[test]
fn a_small_turn_limit_only_makes_smaller_turns() {
    check(|| {
        Builder::new().virtual_time(0).turn_limit(1).run(|| {
            let threads = (0..50).map(|number| sleep(ms(number % 5)).map(|()| ()));
            lwt_core::join(threads.collect::<Vec<_>>())
        })
    });
}
