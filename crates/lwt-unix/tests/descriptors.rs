//! The rules of descriptors (FD-1 to FD-38), on pipes and pairs of sockets.

mod common;

use std::cell::RefCell;
use std::io::{ErrorKind, Read, Write};
use std::os::fd::AsFd;
use std::rc::Rc;

use common::{check, ms, system_error, text_of, virtually};
use lwt_core::{EndOfFile, Error, Result, State, all, both, join, pause, spawn};
use lwt_unix::{
    Buffer, DescriptorState, Domain, FileDescriptor, SocketKind, counters, pipe, pipe_in, pipe_out,
    run, sleep, socketpair,
};

fn pair() -> Result<(FileDescriptor, FileDescriptor)> {
    socketpair(Domain::Unix, SocketKind::Stream)
}

/// Fills a pipe or socket until it takes no more; tells how much went in.
fn fill(write: &FileDescriptor) -> Result<usize> {
    let mut total = 0;
    for size in [4096, 1] {
        loop {
            match write
                .with_descriptor(|descriptor| rustix::io::write(descriptor, &[7; 4096][..size]))?
            {
                Ok(count) => total += count,
                Err(rustix::io::Errno::AGAIN) => break,
                Err(errno) => return Err(errno.into()),
            }
        }
    }
    Ok(total)
}

/// FD-14: what is ready completes inside the call.
#[test]
fn a_ready_read_or_write_is_resolved_at_once() {
    check(|| {
        let (read, write) = pipe()?;
        let writing = write.write_bytes("hello");
        assert!(matches!(writing.state(), State::Return(())));
        let reading = read.read_some(100);
        assert!(matches!(reading.state(), State::Return(bytes) if bytes == b"hello"));
        run(write.write_bytes("however much is allowed"))?;
        assert_eq!(run(read.read_some(usize::MAX))?, b"however much is allowed");
        Ok(())
    });
}

/// FD-15: first come, first served, whichever family of functions is used.
#[test]
fn waiting_reads_are_served_in_order() {
    check(|| {
        let (read, write) = pipe()?;
        let log = Rc::new(RefCell::new(Vec::<(char, Vec<u8>)>::new()));
        let noting = |name: char| {
            let log = Rc::clone(&log);
            move |bytes: Vec<u8>| log.borrow_mut().push((name, bytes))
        };
        let borrowed = |name: char| {
            let (read, note) = (read.clone(), noting(name));
            spawn(async move {
                let mut buffer = [0; 2];
                let count = read.read(&mut buffer).await?;
                note(buffer[..count].to_vec());
                Ok(())
            })
        };
        let threads = [
            read.read_some(2).map(noting('a')),
            borrowed('b'),
            read.read_some(2).map(noting('c')),
            borrowed('d'),
            borrowed('e'),
        ];
        run(write.write_bytes("aabbccddee"))?;
        virtually(|| join(threads))?;
        let expected = [
            ('a', "aa"),
            ('b', "bb"),
            ('c', "cc"),
            ('d', "dd"),
            ('e', "ee"),
        ];
        assert_eq!(
            *log.borrow(),
            expected.map(|(name, text)| (name, text.as_bytes().to_vec()))
        );
        Ok(())
    });
}

/// FD-15: an operation that still cannot run keeps its place.
#[test]
fn a_write_that_must_wait_again_keeps_its_place() {
    check(|| {
        let (read, write) = pipe()?;
        let filled = fill(&write)?;
        let first = write.write_bytes(vec![1; 100_000]);
        let second = write.write_bytes(vec![2; 10]);
        let reading = spawn(async move {
            let mut rest = vec![0; filled + 100_010];
            read.read_exact(&mut rest).await?;
            Ok(rest[filled..].to_vec())
        });
        let (bytes, _) = virtually(|| both(reading, both(first, second)))?;
        assert!(
            bytes[..100_000].iter().all(|byte| *byte == 1),
            "not mixed with the second write"
        );
        assert_eq!(bytes[100_000..], [2; 10]);
        Ok(())
    });
}

#[test]
fn two_threads_that_write_all_do_not_mix_their_bytes() {
    check(|| {
        let (read, write) = pipe()?;
        let writer = |byte: u8| {
            let write = write.clone();
            spawn(async move { write.write_all(&vec![byte; 200_000]).await })
        };
        let writers = [writer(1), writer(2), writer(3)];
        drop(write);
        let reading = spawn(async move {
            let mut bytes = vec![0; 600_000];
            read.read_exact(&mut bytes).await?;
            Ok(bytes)
        });
        let (bytes, _) = virtually(|| both(reading, join(writers)))?;
        let mut order = bytes;
        order.dedup();
        assert_eq!(order, [1, 2, 3]);
        Ok(())
    });
}

#[test]
fn two_threads_that_read_exactly_do_not_mix_their_bytes() {
    check(|| {
        let (read, write) = pipe()?;
        let reader = || {
            let read = read.clone();
            spawn(async move {
                let mut bytes = [0; 4];
                read.read_exact(&mut bytes).await?;
                Ok(bytes)
            })
        };
        let readers = [reader(), reader()];
        let writing = spawn(async move {
            for byte in 0..8 {
                write.write_all(&[byte]).await?;
                pause().await?;
            }
            Ok(())
        });
        let (bytes, ()) = virtually(|| both(all(readers), writing))?;
        assert_eq!(bytes, [[0, 1, 2, 3], [4, 5, 6, 7]]);
        Ok(())
    });
}

/// FD-17, and "nothing is lost": a read that is cancelled or dropped has taken nothing, and the next in line is served.
#[test]
fn a_read_that_gives_up_takes_nothing() {
    check(|| {
        let (read, write) = pipe()?;
        let before = counters();
        let canceled = read.read_some(10);
        let dropped = read.read_some(10);
        let borrowed = {
            let read = read.clone();
            spawn(async move { read.read(&mut [0; 10]).await })
        };
        let kept = read.read_some(10);
        canceled.cancel();
        drop(dropped);
        borrowed.cancel();
        run(write.write_bytes("all of it"))?;
        assert_eq!(run(kept)?, b"all of it");
        assert!(matches!(canceled.state(), State::Fail(error) if error.is_canceled()));
        assert!(matches!(borrowed.state(), State::Fail(error) if error.is_canceled()));
        drop((canceled, borrowed));
        run(pause())?;
        assert_eq!(counters(), before);
        Ok(())
    });
}

#[test]
fn the_engine_is_told_at_once_when_the_last_waiter_gives_up() {
    check(|| {
        let (read, _write) = pipe()?;
        let before = counters().watchers;
        let first = read.read_some(10);
        let second = read.wait_read();
        assert_eq!(counters().watchers, before + 1, "one registration for both");
        first.cancel();
        assert_eq!(counters().watchers, before + 1);
        drop(second);
        assert_eq!(counters().watchers, before);
        Ok(())
    });
}

/// A buffer is its owner's again after every outcome.
#[test]
fn a_buffer_comes_back_after_a_value_an_error_a_cancel_and_a_drop() {
    check(|| {
        let (read, write) = pipe()?;
        let buffer = Buffer::new(8);

        let reading = read.read_buffer(&buffer);
        assert!(buffer.is_lent() && buffer.with(|_| ()).is_err() && buffer.take().is_err());
        assert!(
            text_of(run(write.write_buffer(&buffer, 0..1))).contains("lent"),
            "one operation at a time"
        );
        run(write.write_bytes("12345"))?;
        assert_eq!(run(reading)?, 5);
        assert_eq!(buffer.with(|bytes| bytes[..5].to_vec())?, b"12345");

        let reading = read.read_buffer(&buffer);
        reading.cancel();
        assert!(!buffer.is_lent());
        drop(read.read_buffer(&buffer));
        assert!(!buffer.is_lent());

        let reading = read.read_buffer(&buffer);
        run(read.close())?;
        assert!(!buffer.is_lent());
        assert!(run(reading).is_err());
        assert_eq!(buffer.take()?.len(), 8);
        assert!(buffer.is_empty());
        Ok(())
    });
}

/// FD-5: the range is checked before anything else.
#[test]
fn a_range_outside_the_buffer_is_refused() {
    check(|| {
        let (_read, write) = pipe()?;
        let buffer = Buffer::from(b"abc".to_vec());
        for range in [0..4, 4..4, usize::MAX..usize::MAX] {
            let error = run(write.write_buffer(&buffer, range)).unwrap_err();
            assert!(error.is::<lwt_core::InvalidArgument>(), "{error}");
        }
        #[expect(clippy::reversed_empty_ranges, reason = "that is what is refused")]
        let reversed = run(write.write_buffer(&buffer, 2..1));
        assert!(reversed.unwrap_err().is::<lwt_core::InvalidArgument>());
        assert_eq!(run(write.write_buffer(&buffer, 1..3))?, 2);
        Ok(())
    });
}

#[test]
fn write_all_from_tells_what_the_kernel_has_not_taken() {
    check(|| {
        let (read, write) = pipe()?;
        let rest_length = Rc::new(RefCell::new(0));
        let (telling, writer) = (Rc::clone(&rest_length), write.clone());
        let writing = spawn(async move {
            let bytes = vec![1_u8; 1_000_000];
            let mut rest = &bytes[..];
            let outcome = writer.write_all_from(&mut rest).await;
            *telling.borrow_mut() = rest.len();
            outcome
        });
        run(pause())?;
        writing.cancel();
        drop(write);
        let mut taken = 0;
        loop {
            let bytes = run(read.read_some(65_536))?;
            if bytes.is_empty() {
                break;
            }
            taken += bytes.len();
        }
        assert!(taken > 0);
        assert_eq!(taken + *rest_length.borrow(), 1_000_000);
        Ok(())
    });
}

#[test]
fn the_end_of_the_file_is_an_empty_read_and_not_sticky_in_the_wrapper() {
    check(|| {
        let (read, write) = pipe()?;
        run(write.write_bytes("abc"))?;
        drop(write);
        let mut exactly = [0; 4];
        let error = virtually(|| {
            spawn(async move {
                assert_eq!(read.read_some(0).await?, b"");
                let outcome = read.read_exact(&mut exactly).await;
                assert_eq!(exactly[..3], *b"abc", "what was read is in the buffer");
                assert_eq!(read.read(&mut [0; 4]).await?, 0);
                assert_eq!(read.read(&mut [0; 4]).await?, 0);
                outcome
            })
        })
        .unwrap_err();
        assert!(error.is::<EndOfFile>());
        Ok(())
    });
}

/// FD-3: the error of a closed descriptor names the operation and the descriptor.
#[test]
fn a_closed_descriptor_refuses_everything_with_a_clear_error() {
    check(|| {
        let (read, write) = pipe()?;
        let number = read.raw();
        run(read.close())?;
        assert!(matches!(read.state(), DescriptorState::Closed));
        assert_eq!(
            read.raw(),
            number,
            "the number can be asked for in any state"
        );
        let expected = ("read", rustix::io::Errno::BADF.kind());
        assert_eq!(system_error(run(read.read_some(1))), expected);
        assert_eq!(
            system_error(run(read.read_buffer(&Buffer::new(1)))),
            expected
        );
        assert_eq!(
            system_error(run(spawn({
                let read = read.clone();
                async move { read.read(&mut [0]).await }
            }))),
            expected
        );
        assert_eq!(system_error(run(read.wait_read())).0, "wait_read");
        assert_eq!(system_error(read.readable()).0, "readable");
        assert_eq!(system_error(read.is_blocking()).0, "is_blocking");
        assert_eq!(system_error(read.duplicate().map(|_| ())).0, "dup");
        let text = text_of(run(read.read_some(1)));
        assert!(
            text.starts_with("read: descriptor ") && text.contains("which has been closed"),
            "{text}"
        );
        drop(write);
        Ok(())
    });
}

/// FD-20.
#[test]
fn closing_twice_is_an_error() {
    check(|| {
        let (read, _write) = pipe()?;
        run(read.close())?;
        assert_eq!(system_error(run(read.close())).0, "close");
        Ok(())
    });
}

/// FD-21: what waits fails before the descriptor is closed, in both directions and in every family.
#[test]
fn closing_fails_what_waits() {
    check(|| {
        let (left, _right) = pair()?;
        fill(&left)?;
        let reading = left.read_some(10);
        let writing = left.write_bytes("x");
        let observing = left.wait_write();
        let borrowed = {
            let left = left.clone();
            spawn(async move { left.read(&mut [0; 10]).await.map(|_| ()) })
        };
        let before = counters().watchers;
        run(left.close())?;
        assert_eq!(counters().watchers, before - 2);
        for (waiting, operation) in [
            (reading.map(|_| ()), "read"),
            (writing, "write"),
            (observing, "wait_write"),
            (borrowed, "read"),
        ] {
            assert_eq!(
                system_error(run(waiting)),
                (operation, rustix::io::Errno::BADF.kind())
            );
        }
        Ok(())
    });
}

/// M9: closing from inside a thread does not run the threads that wait on the descriptor in the middle of the call.
#[test]
fn closing_does_not_re_enter_a_running_thread() {
    check(|| {
        let (read, _write) = pipe()?;
        let log: Rc<RefCell<Vec<&'static str>>> = Rc::default();
        let (noting, reading) = (Rc::clone(&log), read.clone());
        let waiting = spawn(async move {
            let outcome = reading.read(&mut [0; 10]).await;
            noting.borrow_mut().push("the reader failed");
            assert!(outcome.is_err());
            Ok(())
        });
        let closing = Rc::clone(&log);
        virtually(|| {
            spawn(async move {
                {
                    let mut borrowed = closing.borrow_mut();
                    drop(read.close());
                    borrowed.push("closed");
                }
                waiting.await
            })
        })?;
        assert_eq!(*log.borrow(), ["closed", "the reader failed"]);
        Ok(())
    });
}

/// FD-22 and FD-3.
#[test]
fn an_aborted_descriptor_fails_with_exactly_that_error() {
    check(|| {
        let (left, _right) = pair()?;
        let waiting = left.read_some(10);
        left.abort(Error::message("the peer is not welcome"));
        assert_eq!(text_of(run(waiting)), "the peer is not welcome");
        assert_eq!(text_of(run(left.read_some(1))), "the peer is not welcome");
        left.abort(Error::message("another reason"));
        assert!(
            matches!(left.state(), DescriptorState::Aborted(error) if error.to_string() == "another reason")
        );
        run(left.close())?;
        left.abort(Error::message("too late"));
        assert!(matches!(left.state(), DescriptorState::Closed));
        Ok(())
    });
}

/// FD-2: the state is the wrapper's.
#[test]
fn two_wrappers_do_not_see_each_others_closing() {
    check(|| {
        let (read, write) = pipe()?;
        let again = read.duplicate()?;
        run(read.close())?;
        run(write.write_bytes("x"))?;
        assert_eq!(run(again.read_some(1))?, b"x");
        Ok(())
    });
}

#[test]
fn clones_are_the_same_descriptor_and_the_last_one_closes() {
    check(|| {
        let (read, write) = pipe()?;
        let again = write.clone();
        assert_eq!(again.raw(), write.raw());
        drop(write);
        run(again.write_bytes("x"))?;
        drop(again);
        assert_eq!(run(read.read_some(10))?, b"x");
        assert_eq!(run(read.read_some(10))?, b"", "the writer is closed");
        Ok(())
    });
}

#[test]
fn an_operation_that_waits_keeps_the_descriptor_open() {
    check(|| {
        let (read, write) = pipe()?;
        let reading = read.read_some(20);
        drop(read);
        run(write.write_bytes("still there"))?;
        assert_eq!(run(reading)?, b"still there");
        run(pause())?;
        assert_eq!(
            system_error(run(write.write_bytes("x"))).1,
            ErrorKind::BrokenPipe,
            "now it is closed"
        );
        Ok(())
    });
}

/// The handle is dropped by a thread that has just been served: closed now, not at the loop's next sweep.
#[test]
fn dropping_the_last_handle_closes_at_once() {
    check(|| {
        let (read, write) = pipe()?;
        let echo = spawn(async move {
            let bytes = read.read_some(10).await?;
            drop(read);
            Ok(bytes)
        });
        let writer = write.clone();
        let check = spawn(async move {
            writer.write_all(b"x").await?;
            echo.await?;
            assert_eq!(
                system_error(writer.write_all(b"y").await).1,
                ErrorKind::BrokenPipe
            );
            Ok(())
        });
        virtually(|| check)
    });
}

/// FD-6, FD-7, FD-9.
#[test]
fn pipes_and_sockets_become_non_blocking_at_their_first_use_and_files_do_not() {
    check(|| {
        let (read, write) = rustix::pipe::pipe()?;
        let flags = |descriptor: &FileDescriptor| {
            descriptor
                .with_descriptor(|descriptor| rustix::fs::fcntl_getfl(descriptor).expect("flags"))
        };
        let read = FileDescriptor::from(read);
        assert!(!flags(&read)?.contains(rustix::fs::OFlags::NONBLOCK));
        let reading = read.read_some(1);
        assert!(flags(&read)?.contains(rustix::fs::OFlags::NONBLOCK));
        assert!(reading.is_sleeping());
        drop((reading, write));

        let socket = FileDescriptor::from(std::os::unix::net::UnixStream::pair()?.0);
        assert!(!socket.is_blocking()?);
        let file = FileDescriptor::from(std::fs::File::open("/dev/null")?);
        assert!(file.is_blocking()?);
        file.set_blocking(false, false)?;
        assert!(!file.is_blocking()?);
        assert!(
            !flags(&file)?.contains(rustix::fs::OFlags::NONBLOCK),
            "only our idea of it"
        );
        file.set_blocking(false, true)?;
        assert!(!file.is_blocking()?);
        assert!(flags(&file)?.contains(rustix::fs::OFlags::NONBLOCK));
        Ok(())
    });
}

/// FD-25 and FD-36.
#[test]
fn waiting_for_readiness_consumes_nothing_and_wakes_everybody() {
    check(|| {
        let (read, write) = pipe()?;
        assert!(!read.readable()? && write.writable()?);
        let waiting = [read.wait_read(), read.wait_read()];
        run(write.write_bytes("x"))?;
        virtually(|| join(waiting))?;
        assert!(read.readable()?);
        assert!(!read.wait_read().is_sleeping());
        assert_eq!(run(read.read_some(10))?, b"x");
        drop(write);
        assert!(read.readable()?, "the end of the file counts as readable");
        Ok(())
    });
}

/// FD-27, and close-on-exec for all that is made here.
#[test]
fn pipes_for_children_have_one_raw_blocking_end() {
    check(|| {
        let (ours, mut theirs) =
            pipe_in().map(|(ours, theirs)| (ours, std::fs::File::from(theirs)))?;
        theirs.write_all(b"from the child")?;
        assert_eq!(run(ours.read_some(100))?, b"from the child");
        assert!(!rustix::fs::fcntl_getfl(&theirs)?.contains(rustix::fs::OFlags::NONBLOCK));

        let (theirs, ours) =
            pipe_out().map(|(theirs, ours)| (std::fs::File::from(theirs), ours))?;
        run(ours.write_bytes("to the child"))?;
        drop(ours);
        let mut text = String::new();
        (&theirs).read_to_string(&mut text)?;
        assert_eq!(text, "to the child");
        assert!(is_close_on_exec(&theirs)?);

        let (left, right) = pair()?;
        let (read, write) = pipe()?;
        let copy = read.duplicate()?;
        for descriptor in [&left, &right, &read, &write, &copy] {
            assert!(descriptor.with_descriptor(|descriptor| is_close_on_exec(&descriptor))??);
        }
        Ok(())
    });
}

fn is_close_on_exec(descriptor: &impl AsFd) -> Result<bool> {
    Ok(rustix::io::fcntl_getfd(descriptor)?.contains(rustix::io::FdFlags::CLOEXEC))
}

#[test]
fn the_output_of_a_child_is_read_as_it_comes() {
    check(|| {
        let mut child = std::process::Command::new("sh")
            .args(["-c", "for i in 1 2 3; do echo line $i; done"])
            .stdout(std::process::Stdio::piped())
            .spawn()?;
        let output = FileDescriptor::from(child.stdout.take().expect("piped"));
        let text = run(spawn(async move {
            let mut text = Vec::new();
            loop {
                let piece = output.read_some(4).await?;
                if piece.is_empty() {
                    return Ok(text);
                }
                text.extend(piece);
            }
        }))?;
        assert_eq!(text, b"line 1\nline 2\nline 3\n");
        child.wait()?;
        Ok(())
    });
}

/// A thousand bytes at a time through a pair, both ways at once, with time-outs around every read.
#[test]
fn data_arrives_complete_and_in_order_in_both_directions() {
    check(|| {
        const TOTAL: usize = 2_000_000;
        let (left, right) = pair()?;
        let send = |end: &FileDescriptor, factor: usize| {
            let end = end.clone();
            spawn(async move {
                let bytes: Vec<u8> = (0..TOTAL).map(|number| (number * factor) as u8).collect();
                for piece in bytes.chunks(1000) {
                    end.write_all(piece).await?;
                }
                Ok(())
            })
        };
        let receive = |end: &FileDescriptor, factor: usize| {
            let end = end.clone();
            spawn(async move {
                let mut position = 0;
                let mut buffer = [0; 777];
                while position < TOTAL {
                    let count = end.read(&mut buffer).await?;
                    for byte in &buffer[..count] {
                        assert_eq!(*byte, (position * factor) as u8);
                        position += 1;
                    }
                }
                Ok(())
            })
        };
        let threads = [
            send(&left, 3),
            receive(&right, 3),
            send(&right, 7),
            receive(&left, 7),
        ];
        drop((left, right));
        virtually(|| join(threads))
    });
}

/// A future that has been offered its turn and is not polled delays those behind it, and does not make the loop spin.
#[test]
fn a_turn_that_nobody_takes_does_not_make_the_loop_spin() {
    check(|| {
        virtually(|| {
            spawn(async {
                let (read, write) = pipe()?;
                let mut buffer = [0; 4];
                let mut sitting = Box::pin(read.read(&mut buffer));
                // Polled once, so that it queues, and then left alone.
                lwt_core::pick([sleep(ms(1)), poll_once(sitting.as_mut()).await]).await?;
                write.write_all(b"abcd").await?;
                let turns = Rc::new(std::cell::Cell::new(0));
                let counting = Rc::clone(&turns);
                let hook = lwt_unix::hooks::enter_iteration()
                    .add_last(move || counting.set(counting.get() + 1));
                for _ in 0..10 {
                    sleep(ms(5)).await?;
                }
                hook.remove();
                assert!(turns.get() <= 30, "{} turns for ten sleeps", turns.get());
                assert_eq!(sitting.await?, 4, "its turn was kept");
                Ok(())
            })
        })
    });
}

/// Polls a future once inside a thread; gives a promise that never ends.
async fn poll_once(mut future: std::pin::Pin<&mut impl Future>) -> lwt_core::Promise<()> {
    std::future::poll_fn(|context| {
        let _ = future.as_mut().poll(context);
        std::task::Poll::Ready(lwt_core::forever())
    })
    .await
}
