//! Sockets: every domain, connecting, accepting, shutting down, names.

mod common;

use std::cell::RefCell;
use std::io::ErrorKind;
use std::rc::Rc;

use common::{check, ms, system_error, text_of, virtually};
use lwt_core::{Promise, Result, State, all, both, join, pause, pick, spawn};
use lwt_unix::{
    Address, Domain, FileDescriptor, Lookup, Shutdown, SocketKind, UnixAddress, connect,
    connect_to_host, counters, getaddrinfo, listen, resolve, run, sleep, socket,
};

/// A fresh address of each domain to listen at, and the path to remove afterwards.
fn addresses() -> Result<Vec<(Address, Option<Directory>)>> {
    let directory = Directory::new()?;
    let mut addresses = vec![("127.0.0.1:0".parse()?, None)];
    if std::net::TcpListener::bind("[::1]:0").is_ok() {
        addresses.push(("[::1]:0".parse()?, None));
    }
    let abstract_name = format!("unix:@lwt test {}", directory.0.display());
    addresses.push((abstract_name.parse()?, None));
    addresses.push((Address::unix(directory.0.join("socket")), Some(directory)));
    Ok(addresses)
}

/// A directory that goes when this is dropped.
struct Directory(std::path::PathBuf);

impl Directory {
    fn new() -> Result<Directory> {
        static NEXT: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
        let number = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("lwt-unix-{}-{number}", std::process::id()));
        std::fs::create_dir(&path)?;
        Ok(Directory(path))
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

async fn echo(connection: FileDescriptor) -> Result<()> {
    let mut buffer = [0; 1000];
    loop {
        match connection.read(&mut buffer).await? {
            0 => return connection.shutdown(Shutdown::Send),
            count => connection.write_all(&buffer[..count]).await?,
        }
    }
}

#[test]
fn a_connection_in_every_domain_echoes_and_ends() {
    check(|| {
        for (address, _directory) in addresses()? {
            let listener = listen(&address)?;
            let bound = listener.local_address()?;
            assert_eq!(bound.domain(), address.domain());
            let server = spawn(async move {
                let (connection, _peer) = listener.accept().await?;
                echo(connection).await
            });
            let client = spawn(async move {
                let connection = connect(&bound).await?;
                assert_eq!(connection.peer_address()?, bound);
                connection.write_all(b"there and back").await?;
                connection.shutdown(Shutdown::Send)?;
                let mut all = Vec::new();
                loop {
                    let piece = connection.read_some(5).await?;
                    if piece.is_empty() {
                        return Ok(all);
                    }
                    all.extend(piece);
                }
            });
            let ((), bytes) = run(both(server, client))?;
            assert_eq!(bytes, b"there and back");
        }
        Ok(())
    });
}

#[test]
fn two_hundred_clients_at_once() {
    check(|| {
        let listener = listen(&"127.0.0.1:0".parse()?)?;
        let address = listener.local_address()?;
        let server = spawn(async move {
            let mut connections = Vec::new();
            for _ in 0..200 {
                let (connection, _) = listener.accept().await?;
                connections.push(spawn(echo(connection)));
            }
            join(connections).await
        });
        let clients = (0..200_u32).map(|number| {
            let address = address.clone();
            spawn(async move {
                let connection = connect(&address).await?;
                for round in 0..5 {
                    let message = [number.to_be_bytes(), (round as u32).to_be_bytes()].concat();
                    connection.write_all(&message).await?;
                    let mut back = [0; 8];
                    connection.read_exact(&mut back).await?;
                    assert_eq!(back[..], message);
                }
                Ok(())
            })
        });
        let clients: Vec<_> = clients.collect();
        run(both(server, join(clients))).map(drop)
    });
}

#[test]
fn a_connection_that_waits_is_accepted_at_once() {
    check(|| {
        let listener = listen(&"127.0.0.1:0".parse()?)?;
        let client = std::net::TcpStream::connect((
            "127.0.0.1",
            listener.local_address()?.port().unwrap_or(0),
        ))?;
        let accepting = listener.accept();
        let State::Return((_, peer)) = accepting.state() else {
            panic!("the connection was waiting")
        };
        assert_eq!(*peer, Address::from(client.local_addr()?));
        Ok(())
    });
}

/// Sockets of the standard library are blocking when they are wrapped; they do not block the loop.
#[test]
fn wrapped_sockets_of_the_standard_library_do_not_block() {
    check(|| {
        let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let listener = FileDescriptor::from(listener);
        let accepting = listener.accept();
        assert!(accepting.is_sleeping());
        let client = FileDescriptor::from(std::net::TcpStream::connect(address)?);
        let reading = client.read_some(10);
        assert!(reading.is_sleeping());
        let (server, _) = run(accepting)?;
        run(server.write_bytes("hello"))?;
        assert_eq!(run(reading)?, b"hello");

        let blocking = listener.duplicate()?;
        blocking.set_blocking(true, true)?;
        let accepting = blocking.accept();
        assert!(
            accepting.is_sleeping(),
            "not even one that is told to block"
        );
        let _client = std::net::TcpStream::connect(address)?;
        run(accepting).map(drop)
    });
}

/// FD-28: what accept makes is non-blocking and close-on-exec.
#[test]
fn an_accepted_socket_is_ours_in_every_respect() {
    check(|| {
        let listener = listen(&"127.0.0.1:0".parse()?)?;
        let address = listener.local_address()?;
        let (_client, (server, _)) = run(both(connect(&address), listener.accept()))?;
        let (flags, descriptor_flags) = server.with_descriptor(|descriptor| {
            (
                rustix::fs::fcntl_getfl(descriptor),
                rustix::io::fcntl_getfd(descriptor),
            )
        })?;
        assert!(flags?.contains(rustix::fs::OFlags::NONBLOCK));
        assert!(descriptor_flags?.contains(rustix::io::FdFlags::CLOEXEC));
        assert!(!server.is_blocking()?);
        Ok(())
    });
}

#[test]
fn accepts_are_served_in_order_and_one_that_gives_up_takes_no_connection() {
    check(|| {
        let listener = listen(&"127.0.0.1:0".parse()?)?;
        let address = listener.local_address()?;
        let order: Rc<RefCell<Vec<u32>>> = Rc::default();
        let accept = |number: u32| {
            let order = Rc::clone(&order);
            listener
                .accept()
                .map(move |_| order.borrow_mut().push(number))
        };
        let first = accept(1);
        let canceled = listener.accept();
        drop(listener.accept());
        let second = accept(2);
        canceled.cancel();
        let clients = [connect(&address), connect(&address)];
        run(both(all(clients), join([first, second])))?;
        assert_eq!(*order.borrow(), [1, 2]);
        assert!(!listener.readable()?, "nobody was swallowed");
        Ok(())
    });
}

#[test]
fn an_address_in_use_is_named() {
    check(|| {
        let listener = listen(&"127.0.0.1:0".parse()?)?;
        let address = listener.local_address()?;
        let again = listen(&address).map(|_| ());
        assert_eq!(
            text_of(again),
            format!("bind: {address}: Address already in use (os error 98)")
        );
        assert_eq!(
            system_error(listen(&address).map(|_| ())),
            ("bind", ErrorKind::AddrInUse)
        );
        Ok(())
    });
}

#[test]
fn a_refused_connection_names_the_address_and_leaves_no_descriptor() {
    check(|| {
        let address = {
            let listener = listen(&"127.0.0.1:0".parse()?)?;
            listener.local_address()?
        };
        let before = counters().descriptors;
        let refused = run(connect(&address)).map(|_| ());
        let text = text_of(refused);
        assert!(
            text.contains(&address.to_string()) && text.contains("refused"),
            "{text}"
        );
        assert_eq!(
            system_error(run(connect(&address)).map(|_| ())),
            ("connect", ErrorKind::ConnectionRefused)
        );
        assert_eq!(counters().descriptors, before);

        let missing = Address::unix("/no/such/directory/socket");
        assert_eq!(
            system_error(run(connect(&missing)).map(|_| ())),
            ("connect", ErrorKind::NotFound)
        );
        assert_eq!(
            system_error(listen(&missing).map(|_| ())),
            ("bind", ErrorKind::NotFound)
        );
        let too_long = Address::unix("x".repeat(300));
        assert_eq!(
            system_error(run(connect(&too_long)).map(|_| ())).0,
            "connect"
        );
        assert_eq!(system_error(listen(&too_long).map(|_| ())).0, "bind");
        Ok(())
    });
}

/// A Unix-domain server whose queue is full: the client waits and asks again, and gets in when there is room.
#[test]
fn a_full_queue_of_connections_is_waited_out() {
    check(|| {
        let directory = Directory::new()?;
        let address = Address::unix(directory.0.join("socket"));
        let listener = socket(Domain::Unix, SocketKind::Stream)?;
        listener.bind(&address)?;
        listener.listen(0)?;
        let clients: Vec<Promise<FileDescriptor>> = (0..4).map(|_| connect(&address)).collect();
        assert!(
            clients.iter().any(Promise::is_sleeping),
            "more than the queue takes"
        );
        let server = spawn(async move {
            let mut connections = Vec::new();
            for _ in 0..4 {
                connections.push(listener.accept().await?);
            }
            Ok(connections)
        });
        virtually(|| both(all(clients), server)).map(drop)
    });
}

#[test]
fn a_connection_under_way_can_be_cancelled() {
    check(|| {
        let directory = Directory::new()?;
        let address = Address::unix(directory.0.join("socket"));
        let listener = socket(Domain::Unix, SocketKind::Stream)?;
        listener.bind(&address)?;
        listener.listen(0)?;
        let before = counters();
        let clients: Vec<Promise<FileDescriptor>> = (0..4).map(|_| connect(&address)).collect();
        for client in &clients {
            client.cancel();
        }
        assert!(
            clients
                .iter()
                .any(|client| matches!(client.state(), State::Fail(error) if error.is_canceled()))
        );
        drop(clients);
        assert_eq!(counters(), before, "sockets closed, timers stopped");
        Ok(())
    });
}

#[test]
fn messages_keep_their_borders() {
    check(|| {
        let (left, right) = lwt_unix::socketpair(Domain::Unix, SocketKind::SeqPacket)?;
        run(left.write_bytes("one"))?;
        run(left.write_bytes("two"))?;
        assert_eq!(run(right.read_some(100))?, b"one");
        assert_eq!(run(right.read_some(100))?, b"two");
        Ok(())
    });
}

#[test]
fn datagrams_come_one_by_one_with_their_senders() {
    check(|| {
        let directory = Directory::new()?;
        for receiver_at in [
            "127.0.0.1:0".parse()?,
            Address::unix(directory.0.join("receiver")),
        ] {
            let receiver = socket(receiver_at.domain(), SocketKind::Datagram)?;
            receiver.bind(&receiver_at)?;
            let sender = socket(receiver_at.domain(), SocketKind::Datagram)?;
            let waiting = receiver.receive_from(3);
            assert!(waiting.is_sleeping());
            drop(receiver.receive_from(100));
            let at = receiver.local_address()?;
            run(sender.send_to("first", &at))?;
            run(sender.send_to("second", &at))?;
            assert_eq!(
                run(waiting)?.0,
                b"fir",
                "the rest of a message is thrown away"
            );
            let (message, from) = run(receiver.receive_from(100))?;
            assert_eq!(
                (message, from.domain()),
                (b"second".to_vec(), receiver_at.domain())
            );
        }
        let sender = socket(Domain::Ipv4, SocketKind::Datagram)?;
        let too_long = run(sender.send_to(vec![0; 100_000], &"127.0.0.1:9".parse()?));
        assert_eq!(system_error(too_long).0, "sendto");
        Ok(())
    });
}

#[test]
fn shutting_down_one_direction_leaves_the_other() {
    check(|| {
        let (left, right) = lwt_unix::socketpair(Domain::Unix, SocketKind::Stream)?;
        left.shutdown(Shutdown::Send)?;
        assert_eq!(run(right.read_some(10))?, b"");
        assert_eq!(
            system_error(run(left.write_bytes("x"))).1,
            ErrorKind::BrokenPipe
        );
        run(right.write_bytes("the other way"))?;
        assert_eq!(run(left.read_some(100))?, b"the other way");
        let lonely = socket(Domain::Ipv4, SocketKind::Stream)?;
        assert_eq!(
            system_error(lonely.shutdown(Shutdown::All)),
            ("shutdown", ErrorKind::NotConnected)
        );
        assert_eq!(
            system_error(lonely.peer_address().map(drop)),
            ("getpeername", ErrorKind::NotConnected)
        );
        Ok(())
    });
}

#[test]
fn addresses_of_unbound_unix_sockets_are_unnamed() {
    check(|| {
        let (left, _right) = lwt_unix::socketpair(Domain::Unix, SocketKind::Stream)?;
        assert_eq!(left.local_address()?, Address::Unix(UnixAddress::Unnamed));
        assert_eq!(left.peer_address()?, Address::Unix(UnixAddress::Unnamed));
        Ok(())
    });
}

/// Closing with a linger time waits on a worker, not on the loop.
#[test]
fn a_socket_that_lingers_is_closed_by_a_job() {
    check(|| {
        let (left, right) = lwt_unix::socketpair(Domain::Unix, SocketKind::Stream)?;
        left.set_linger(Some(std::time::Duration::from_secs(1)))?;
        let closing = left.close();
        assert_eq!((closing.is_sleeping(), counters().jobs), (true, 1));
        run(closing)?;
        assert_eq!(run(right.read_some(1))?, b"");
        right.set_linger(Some(std::time::Duration::from_secs(1)))?;
        drop(right);
        Ok(())
    });
}

#[test]
fn options_are_refused_by_sockets_that_do_not_have_them() {
    check(|| {
        let tcp = socket(Domain::Ipv4, SocketKind::Stream)?;
        tcp.set_no_delay(true)?;
        tcp.set_reuse_address(true)?;
        tcp.set_reuse_port(true)?;
        tcp.set_keep_alive(true)?;
        tcp.set_linger(None)?;
        let unix = socket(Domain::Unix, SocketKind::Stream)?;
        assert_eq!(system_error(unix.set_no_delay(true)).0, "setsockopt");
        Ok(())
    });
}

#[test]
fn names_are_looked_up_by_a_job() {
    check(|| {
        let numeric = Lookup::new().stream().numeric();
        let found = run(getaddrinfo("127.0.0.1", "80", numeric))?;
        assert_eq!(found.len(), 1);
        assert_eq!(
            (found[0].address.to_string().as_str(), found[0].kind),
            ("127.0.0.1:80", Some(SocketKind::Stream))
        );
        assert!(
            run(getaddrinfo("not-a-number", "80", numeric))?.is_empty(),
            "unknown names give no answer"
        );
        let everywhere = run(getaddrinfo(
            "",
            "0",
            Lookup::new().stream().passive().family(Domain::Ipv4),
        ))?;
        assert_eq!(everywhere[0].address.to_string(), "0.0.0.0:0");
        assert_eq!(run(resolve("[::1]:443"))?, ["[::1]:443".parse()?]);
        assert!(
            run(resolve("localhost")).is_err_and(|error| error.to_string().contains("has no port"))
        );
        let error = run(getaddrinfo("nul\0byte", "80", Lookup::new())).unwrap_err();
        assert!(
            error.to_string().starts_with("getaddrinfo: nul\0byte:80: "),
            "{error}"
        );
        Ok(())
    });
}

#[test]
fn a_host_is_connected_by_name() {
    check(|| {
        let listener = listen(&"127.0.0.1:0".parse()?)?;
        let port = listener.local_address()?.port().unwrap_or(0);
        let connecting = connect_to_host(&format!("localhost:{port}"));
        let (client, (server, _)) = run(both(connecting, listener.accept()))?;
        run(client.write_bytes("by name"))?;
        assert_eq!(run(server.read_some(100))?, b"by name");
        Ok(())
    });
}

#[test]
fn a_lookup_can_lose_a_race() {
    check(|| {
        let looking = getaddrinfo("localhost", "80", Lookup::new().stream()).map(|_| ());
        run(pick([looking, pause()]))?;
        run(sleep(ms(1)))
    });
}
