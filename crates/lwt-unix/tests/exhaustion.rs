//! Running out of descriptors, and the check that the process as a whole leaks none.
//!
//! One test in one process: limits and open descriptors belong to the process.

mod common;

use std::cell::RefCell;
use std::io::ErrorKind;
use std::rc::Rc;

use common::{check, ms, system_error};
use lwt_core::{Result, State, all, both, spawn};
use lwt_unix::{
    Builder, Domain, FileDescriptor, SocketKind, VirtualTime, connect, error_kind, job, listen,
    pipe, resolve, run, set_warning_hook, sleep, socketpair,
};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

#[test]
fn descriptors() {
    check(accept_survives_running_out);
    check(making_fails_with_a_clear_error);
    let before = open_descriptors();
    for _ in 0..3 {
        check(a_bit_of_everything);
    }
    assert_eq!(
        open_descriptors(),
        before,
        "no descriptor of the process is left open"
    );
}

fn open_descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").map_or(0, Iterator::count)
}

/// Lowers the limit so far that no further descriptor can be opened, until it is dropped.
struct Exhausted {
    former: Rlimit,
}

impl Exhausted {
    fn new() -> Result<Exhausted> {
        let former = getrlimit(Resource::Nofile);
        let next = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stderr(), 0)?;
        let lowest_free = std::os::fd::AsRawFd::as_raw_fd(&next) as u64;
        setrlimit(
            Resource::Nofile,
            Rlimit {
                current: Some(lowest_free),
                maximum: former.maximum,
            },
        )?;
        Ok(Exhausted { former })
    }
}

impl Drop for Exhausted {
    fn drop(&mut self) {
        let _ = setrlimit(Resource::Nofile, self.former);
    }
}

/// Difference 10: it waits, tries again, reports once, and does not spin.
fn accept_survives_running_out() -> Result<()> {
    let warnings: Rc<RefCell<Vec<String>>> = Rc::default();
    let noting = Rc::clone(&warnings);
    set_warning_hook(move |error| noting.borrow_mut().push(format!("{error:#}")));
    let listener = listen(&"127.0.0.1:0".parse()?)?;
    let address = listener.local_address()?;
    let client = run(connect(&address))?;
    let accepted = Builder::new().engine(VirtualTime::new()).run(|| {
        spawn(async move {
            let exhausted = Exhausted::new()?;
            let accepting = listener.accept();
            assert!(accepting.is_sleeping());
            let turns = Rc::new(RefCell::new(0));
            let counting = Rc::clone(&turns);
            let hook =
                lwt_unix::hooks::enter_iteration().add_last(move || *counting.borrow_mut() += 1);
            sleep(ms(1050)).await?;
            hook.remove();
            assert!(accepting.is_sleeping());
            assert!(
                *turns.borrow() < 30,
                "it rests between the attempts: {} turns",
                turns.borrow()
            );
            drop(exhausted);
            accepting.await
        })
    })?;
    assert_eq!(warnings.borrow().len(), 1, "reported once: {warnings:?}");
    let text = warnings.borrow()[0].clone();
    assert!(
        text.contains("accept")
            && text.contains(&address.to_string())
            && text.contains("Too many open files"),
        "{text}"
    );
    run(client.write_bytes("hello"))?;
    assert_eq!(run(accepted.0.read_some(10))?, b"hello");
    Ok(())
}

fn making_fails_with_a_clear_error() -> Result<()> {
    let (read, _write) = pipe()?;
    let exhausted = Exhausted::new()?;
    let outcomes = [
        system_error(pipe().map(drop)).0,
        system_error(socketpair(Domain::Unix, SocketKind::Stream).map(drop)).0,
        system_error(read.duplicate().map(drop)).0,
        system_error(run(connect(&"127.0.0.1:1".parse()?)).map(drop)).0,
        system_error(listen(&"127.0.0.1:0".parse()?).map(drop)).0,
    ];
    let error = pipe().map(drop).expect_err("there is no descriptor left");
    drop(exhausted);
    assert_eq!(outcomes, ["pipe", "socketpair", "dup", "socket", "socket"]);
    assert_eq!(
        error.to_string(),
        "pipe: a new pipe: Too many open files (os error 24)"
    );
    assert!(error_kind(&error).is_some_and(|kind| kind != ErrorKind::NotFound));
    Ok(())
}

fn a_bit_of_everything() -> Result<()> {
    let listener = listen(&"127.0.0.1:0".parse()?)?;
    let address = listener.local_address()?;
    let clients: Vec<_> = (0..20).map(|_| connect(&address)).collect();
    let server = spawn(async move {
        let mut connections: Vec<FileDescriptor> = Vec::new();
        for _ in 0..20 {
            connections.push(listener.accept().await?.0);
        }
        Ok(connections)
    });
    let (clients, connections) = run(both(all(clients), server))?;
    let reading: Vec<_> = connections
        .iter()
        .map(|connection| connection.read_some(1))
        .collect();
    for client in clients.iter().take(10) {
        run(client.close())?;
    }
    drop(clients);
    for reading in reading {
        assert_eq!(run(reading)?, b"");
    }
    run(job::run(|| ()))?;
    let canceled = connections[0].accept();
    assert!(matches!(canceled.state(), State::Fail(_)));
    assert!(!run(resolve("127.0.0.1:1"))?.is_empty());
    std::thread::spawn(|| run(sleep(ms(1))))
        .join()
        .expect("another loop ends")
}
