//! Bad input and faults: every one has a clear error, loses nothing, leaks nothing, and makes nothing spin.

mod common;

use std::cell::Cell;
use std::io::ErrorKind;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use common::{check, ms, system_error, text_of, virtually};
use lwt_core::{Result, both, spawn};
use lwt_unix::{
    Builder, Domain, FileDescriptor, SocketKind, SystemError, VirtualTime, connect, hooks, listen,
    pipe, run, sleep, socketpair,
};

fn tcp_pair() -> Result<(FileDescriptor, FileDescriptor)> {
    let listener = listen(&"127.0.0.1:0".parse()?)?;
    let address = listener.local_address()?;
    let (client, (server, _)) = run(both(connect(&address), listener.accept()))?;
    Ok((client, server))
}

/// Counts the turns of the loop while `main` runs.
fn turns_of(main: impl Future<Output = Result<()>> + 'static) -> Result<usize> {
    let turns = Rc::new(Cell::new(0));
    let counting = Rc::clone(&turns);
    let hook = hooks::enter_iteration().add_last(move || counting.set(counting.get() + 1));
    let ran = virtually(|| spawn(main));
    hook.remove();
    ran.map(|()| turns.get())
}

#[test]
fn a_peer_that_resets_is_named() {
    check(|| {
        let (client, server) = tcp_pair()?;
        let peer = server.peer_address()?;
        let waiting = server.read_some(10);
        // A close that throws the connection away, instead of ending it.
        client.set_linger(Some(std::time::Duration::ZERO))?;
        run(client.close())?;
        let error = run(waiting).unwrap_err();
        let system = error
            .downcast_ref::<SystemError>()
            .expect("the error of a system call");
        assert_eq!(
            (system.operation(), system.kind()),
            ("read", ErrorKind::ConnectionReset)
        );
        assert!(
            system.object().ends_with(&format!("(connected to {peer})")),
            "{error}"
        );
        assert!(
            std::error::Error::source(system).is_some_and(|source| source.is::<std::io::Error>())
        );
        assert_eq!(
            lwt_unix::error_kind(&error),
            Some(ErrorKind::ConnectionReset)
        );
        Ok(())
    });
}

/// FD-37 and difference 11: no signal kills the program.
#[test]
fn writing_to_nobody_is_an_error_and_not_a_signal() {
    check(|| {
        let (read, write) = pipe()?;
        drop(read);
        assert_eq!(
            system_error(run(write.write_bytes("x"))),
            ("write", ErrorKind::BrokenPipe)
        );
        let (left, right) = socketpair(Domain::Unix, SocketKind::Stream)?;
        drop(right);
        assert_eq!(
            system_error(run(left.write_bytes("x"))),
            ("write", ErrorKind::BrokenPipe)
        );
        assert_eq!(run(left.read_some(10))?, b"");
        Ok(())
    });
}

#[test]
fn a_writer_that_waits_hears_that_the_reader_has_gone() {
    check(|| {
        let (read, write) = pipe()?;
        let writing = write.write_bytes(vec![0; 1_000_000]);
        assert!(writing.is_sleeping());
        drop(read);
        assert_eq!(system_error(run(writing)), ("write", ErrorKind::BrokenPipe));
        Ok(())
    });
}

/// One byte at a time through the smallest buffers the kernel gives: nothing is lost.
#[test]
fn short_reads_and_writes_lose_nothing() {
    check(|| {
        let (left, right) = socketpair(Domain::Unix, SocketKind::Stream)?;
        left.with_descriptor(|socket| {
            rustix::net::sockopt::set_socket_send_buffer_size(socket, 1)
        })??;
        let sending = spawn(async move {
            let bytes: Vec<u8> = (0..200_000_u32).map(|number| number as u8).collect();
            left.write_all(&bytes).await
        });
        let receiving = spawn(async move {
            let mut position = 0_u32;
            let mut buffer = [0; 3];
            loop {
                let size = 1 + (position as usize % 3);
                let count = right.read(&mut buffer[..size]).await?;
                if count == 0 {
                    return Ok(position);
                }
                for byte in &buffer[..count] {
                    assert_eq!(*byte, position as u8);
                    position += 1;
                }
            }
        });
        let ((), received) = virtually(|| both(sending, receiving))?;
        assert_eq!(received, 200_000);
        Ok(())
    });
}

/// A storm of signals at the loop's OS thread: calls are interrupted all the time, and nothing is lost.
#[test]
fn interrupted_calls_are_repeated() {
    check(|| {
        // SAFETY: the handler does nothing.
        let handler = unsafe { signal_hook_registry::register(libc::SIGUSR2, || ()) }?;
        // SAFETY: asks for the own identity only.
        let target = unsafe { libc::pthread_self() } as usize;
        let is_over = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&is_over);
        let storm = std::thread::spawn(move || {
            while !seen.load(Ordering::Acquire) {
                // SAFETY: that thread joins this one, so it lives.
                unsafe { libc::pthread_kill(target as libc::pthread_t, libc::SIGUSR2) };
                std::thread::yield_now();
            }
        });
        let (read, write) = pipe()?;
        let sending = spawn(async move {
            for piece in 0..500_u32 {
                write.write_all(&[piece as u8; 1000]).await?;
                if piece % 50 == 0 {
                    sleep(ms(0)).await?;
                }
            }
            Ok(())
        });
        let receiving = spawn(async move {
            let mut bytes = vec![0; 500_000];
            read.read_exact(&mut bytes).await?;
            for (number, piece) in bytes.chunks(1000).enumerate() {
                assert!(piece.iter().all(|byte| *byte == number as u8));
            }
            Ok(())
        });
        let ran = run(both(sending, receiving));
        is_over.store(true, Ordering::Release);
        storm.join().expect("the storm ends");
        signal_hook_registry::unregister(handler);
        ran.map(drop)
    });
}

/// A descriptor that hung up, and that nobody reads, costs no turns.
#[test]
fn a_hung_up_descriptor_does_not_make_the_loop_spin() {
    check(|| {
        let (left, right) = socketpair(Domain::Unix, SocketKind::Stream)?;
        let turns = turns_of(async move {
            assert!(
                lwt_core::pick([left.wait_write(), sleep(ms(1))])
                    .await
                    .is_ok()
            );
            let reading = left.read_some(1);
            drop(right);
            assert_eq!(reading.await?, b"");
            for _ in 0..10 {
                sleep(ms(10)).await?;
            }
            drop(left);
            Ok(())
        })?;
        assert!(turns <= 40, "{turns} turns for ten sleeps");
        Ok(())
    });
}

/// A number that is not open at all, wrapped: its operations fail at once, and the loop goes on.
#[test]
fn a_wrapped_number_that_is_not_open_fails_with_ebadf() {
    check(|| {
        // SAFETY: the number is never open (far above every limit), so nobody else's file is touched; the kernel refuses
        // to close it, which is what the end of the test looks at.
        let bad: std::os::fd::OwnedFd = unsafe { std::os::fd::FromRawFd::from_raw_fd(700_000) };
        let bad = FileDescriptor::from(bad);
        bad.set_blocking(false, false)?;
        assert_eq!(
            system_error(run(bad.read_some(1))),
            ("read", rustix::io::Errno::BADF.kind())
        );
        assert_eq!(system_error(run(bad.write_bytes("x"))).0, "write");
        assert_eq!(system_error(bad.local_address().map(drop)).0, "getsockname");
        assert_eq!(system_error(run(bad.close())).0, "close");
        Ok(())
    });
}

/// Accepting on a socket that cannot accept is told, not tried for ever.
#[test]
fn accepting_where_nothing_can_be_accepted_ends() {
    check(|| {
        let datagram = lwt_unix::socket(Domain::Unix, SocketKind::Datagram)?;
        assert_eq!(system_error(run(datagram.accept()).map(drop)).0, "accept");
        let silent = lwt_unix::socket(Domain::Ipv4, SocketKind::Stream)?;
        assert_eq!(system_error(run(silent.accept()).map(drop)).0, "accept");
        Ok(())
    });
}

#[test]
fn operations_that_make_no_sense_say_so() {
    check(|| {
        let (read, write) = pipe()?;
        assert_eq!(system_error(run(read.write_bytes("x"))).0, "write");
        assert_eq!(system_error(run(write.read_some(1))).0, "read");
        assert_eq!(
            system_error(run(read.accept()).map(drop)),
            ("accept", rustix::io::Errno::NOTSOCK.kind())
        );
        assert_eq!(system_error(read.listen(1)).0, "listen");
        let text = text_of(read.bind(&"127.0.0.1:0".parse()?));
        assert_eq!(
            text,
            "bind: 127.0.0.1:0: Socket operation on non-socket (os error 88)"
        );
        let text = text_of(run(read.connect(&"127.0.0.1:1".parse()?)));
        assert!(
            text.starts_with("connect: descriptor ") && text.contains("127.0.0.1:1"),
            "{text}"
        );
        Ok(())
    });
}

#[test]
fn addresses_that_are_none_are_told_with_their_text() {
    check(|| {
        for text in [
            "",
            "localhost",
            "127.0.0.1",
            "1.2.3.4:99999",
            "[::1]",
            "unix",
        ] {
            let error = text.parse::<lwt_unix::Address>().unwrap_err().to_string();
            assert!(error.contains(&format!("{text:?}")), "{error}");
        }
        Ok(())
    });
}

/// A peer that never answers: the time-out ends the read, and nothing of what comes later is lost.
#[test]
fn a_read_that_times_out_loses_nothing() {
    check(|| {
        let (left, right) = socketpair(Domain::Unix, SocketKind::Stream)?;
        virtually(|| {
            spawn(async move {
                for _ in 0..3 {
                    let error = lwt_unix::with_timeout(ms(10), || left.read_some(100))
                        .await
                        .unwrap_err();
                    assert!(error.is::<lwt_core::Timeout>());
                }
                right.write_all(b"late, but complete").await?;
                assert_eq!(left.read_some(100).await?, b"late, but complete");
                Ok(())
            })
        })
    });
}

/// A connection cut in the middle of a large transfer: both ends hear of it.
#[test]
fn a_connection_cut_in_the_middle_ends_both_transfers() {
    check(|| {
        let (client, server) = tcp_pair()?;
        let sending = spawn(async move { client.write_all(&vec![0; 50_000_000]).await });
        let receiving = spawn(async move {
            let mut buffer = vec![0; 10_000];
            server.read_exact(&mut buffer).await?;
            server.close().await
        });
        let grace = VirtualTime::new().grace(ms(1000));
        let outcome = Builder::new().engine(grace).run(|| {
            spawn(async move {
                receiving.await?;
                sending.await
            })
        });
        let (operation, kind) = system_error(outcome);
        assert_eq!(operation, "write");
        assert!(
            matches!(kind, ErrorKind::ConnectionReset | ErrorKind::BrokenPipe),
            "{kind:?}"
        );
        Ok(())
    });
}
