//! The relay under load, and at its end: idle connections, peers that do not read, no descriptors left, Ctrl-C.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::process::Command;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::common::{
    Accepting, Bytes, Relay, Watch, bounded, echo, join, nobody, raise_descriptor_limit, reset,
};
use rustix::process::Signal;

const LIMIT: Duration = Duration::from_secs(120);

/// Sends and expects the same back.
fn speaks(mut connection: &TcpStream, words: &[u8]) {
    connection.write_all(words).unwrap();
    let mut answer = vec![0; words.len()];
    connection.read_exact(&mut answer).unwrap();
    assert_eq!(answer, words);
}

#[test]
fn a_thousand_idle_connections() {
    let watch = Watch::start(LIMIT);
    raise_descriptor_limit();
    let relay = Relay::to(&watch, echo());
    let descriptors = relay.process.descriptors();
    let mut idle = vec![relay.connect()];
    speaks(&idle[0], b"the first, which costs more");
    let memory = relay.process.memory_kib("VmRSS");

    idle.extend((0..999).map(|_| relay.connect()));
    for (number, connection) in idle.iter().enumerate() {
        speaks(connection, &number.to_be_bytes());
    }
    assert_eq!(relay.process.descriptors(), descriptors + 2_000);
    let each = (relay.process.memory_kib("VmRSS").saturating_sub(memory)) as f64 / 999.0;
    println!("an idle connection takes {each:.1} KiB of the relay");
    assert!(each < 16.0, "{each} KiB");

    // New ones are served as ever, and those that wait do not cost anything.
    let start = Instant::now();
    for _ in 0..20 {
        relay.still_works();
    }
    println!("20 new connections beside them took {:?}", start.elapsed());
    for (number, connection) in idle.iter().enumerate().rev() {
        speaks(connection, &number.to_be_bytes());
    }
    for connection in &idle {
        connection.shutdown(Shutdown::Write).unwrap();
    }
    for connection in &idle {
        assert_eq!((&*connection).read(&mut [0]).unwrap(), 0);
    }
    drop(idle);
    relay.still_works();
    let in_order = stop(relay);
    assert!(
        in_order.contains("1021 served, 0 of them cut"),
        "{in_order}"
    );
}

/// Ends it by Ctrl-C, which must take no time; returns its last line.
fn stop(mut relay: Relay) -> String {
    relay.process.signal(Signal::INT);
    assert!(relay.process.wait().success());
    relay.process.error_with(&["relay: ended"])
}

/// Sends, after one byte that says who it is, until there is no room left on the way; returns how much that was.
fn send_until_blocked(mut connection: &TcpStream, number: u8) -> usize {
    connection.write_all(&[number]).unwrap();
    let (mut bytes, mut sent, mut buffer) = (Bytes::seeded(number.into()), 0, [0; 1 << 16]);
    // The wall clock: that nothing goes on shows only in time.
    connection
        .set_write_timeout(Some(Duration::from_millis(500)))
        .unwrap();
    loop {
        bytes.fill(&mut buffer);
        let mut rest = &buffer[..];
        while !rest.is_empty() {
            match connection.write(rest) {
                Ok(count) => (rest, sent) = (&rest[count..], sent + count),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return sent,
                Err(error) => panic!("{error}"),
            }
        }
    }
}

#[test]
fn peers_that_never_read_stop_their_senders_and_cost_little() {
    const SENDERS: u8 = 30;
    let watch = Watch::start(LIMIT);
    let peer = Accepting::new();
    let relay = Relay::to(&watch, peer.address);
    let before = relay.process.memory_kib("VmRSS");

    let senders = (0..SENDERS).map(|number| {
        let connection = relay.connect();
        thread::spawn(move || (send_until_blocked(&connection, number), connection))
    });
    let senders: Vec<JoinHandle<(usize, TcpStream)>> = senders.collect();
    let receivers: Vec<TcpStream> = (0..SENDERS).map(|_| peer.accept()).collect();
    let senders: Vec<(usize, TcpStream)> = senders.into_iter().map(join).collect();
    let sent = senders.iter().map(|(sent, _)| sent).sum::<usize>() / 1024;
    let grown = relay.process.memory_kib("VmRSS").saturating_sub(before);
    println!("{SENDERS} blocked senders: {sent} KiB in the kernel, {grown} KiB in the relay");
    assert!(grown < u64::from(SENDERS) * 128 + 2_048, "{grown} KiB");

    // A relay that can do nothing does nothing. The wall clock: for half a second.
    let (ticks, mut client) = (relay.process.ticks(), &senders[0].1);
    client
        .set_read_timeout(Some(Duration::from_millis(500)))
        .unwrap();
    assert_eq!(
        client.read(&mut [0]).unwrap_err().kind(),
        ErrorKind::WouldBlock
    );
    let spent = relay.process.ticks() - ticks;
    assert!(
        spent <= 10,
        "{spent} hundredths of a second of the processor"
    );

    // Once they read, everything arrives, each byte where it belongs.
    let receivers = receivers.into_iter().map(|mut receiver| {
        thread::spawn(move || {
            let mut number = [0];
            receiver.read_exact(&mut number).unwrap();
            (
                number[0],
                Bytes::seeded(number[0].into()).expect(receiver).unwrap(),
            )
        })
    });
    let receivers: Vec<JoinHandle<(u8, usize)>> = receivers.collect();
    senders
        .iter()
        .for_each(|(_, connection)| connection.shutdown(Shutdown::Write).unwrap());
    for (number, received) in receivers.into_iter().map(join) {
        assert_eq!(received, senders[usize::from(number)].0);
    }
}

#[test]
fn a_half_closed_connection_costs_no_processor_time() {
    let watch = Watch::start(LIMIT);
    let peer = Accepting::new();
    let relay = Relay::to(&watch, peer.address);
    let mut client = relay.connect();
    client.write_all(b"?").unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    let mut server = peer.accept();
    assert_eq!(server.read_to_end(&mut Vec::new()).unwrap(), 1);
    // The wall clock: that nothing goes on shows only in time.
    let ticks = relay.process.ticks();
    client
        .set_read_timeout(Some(Duration::from_millis(500)))
        .unwrap();
    assert_eq!(
        client.read(&mut [0]).unwrap_err().kind(),
        ErrorKind::WouldBlock
    );
    let spent = relay.process.ticks() - ticks;
    assert!(
        spent <= 10,
        "{spent} hundredths of a second of the processor"
    );
    server.write_all(b"!").unwrap();
    assert_eq!(client.read(&mut [0]).unwrap(), 1);
}

#[test]
fn connections_leave_nothing_behind() {
    let watch = Watch::start(LIMIT);
    let relay = Relay::to(&watch, echo());
    let descriptors = relay.process.descriptors();
    let some = |count| {
        for number in 0..count {
            let connection = relay.connect();
            speaks(&connection, b"in passing");
            match number % 3 {
                0 => reset(connection),
                1 => connection.shutdown(Shutdown::Write).unwrap(),
                _ => {}
            }
        }
    };
    some(500);
    let memory = relay.process.memory_kib("VmRSS");
    some(2_000);
    let grown = relay.process.memory_kib("VmRSS").saturating_sub(memory);
    println!("2,000 connections that are over: {grown} KiB");
    assert!(grown < 512, "{grown} KiB");
    // It may still be closing the last ones.
    let deadline = Instant::now() + Duration::from_secs(20);
    while relay.process.descriptors() != descriptors {
        assert!(
            Instant::now() < deadline,
            "{} descriptors",
            relay.process.descriptors()
        );
        thread::yield_now();
    }
}

#[test]
fn it_survives_running_out_of_descriptors() {
    let watch = Watch::start(LIMIT);
    let target = echo().to_string();
    let mut shell = Command::new("sh");
    shell.args(["-c", "ulimit -n 40; exec \"$0\" 127.0.0.1:0 \"$1\""]);
    let relay = Relay::run(&watch, shell.arg(env!("CARGO_BIN_EXE_relay")).arg(&target));
    let many = (0..60).filter_map(|_| TcpStream::connect(relay.address).ok().map(bounded));
    let many: Vec<TcpStream> = many.collect();
    relay.process.error_with(&["Too many open files"]);
    // Those who came first are served.
    for connection in many.iter().take(10) {
        speaks(connection, b"served");
    }
    drop(many);
    // Whatever is left in the queue of the kernel is turned away; then it serves again.
    let deadline = Instant::now() + Duration::from_secs(20);
    while Instant::now() < deadline {
        let served = TcpStream::connect(relay.address)
            .map(bounded)
            .and_then(|mut connection| {
                connection.write_all(b"!")?;
                connection.read_exact(&mut [0])
            });
        if served.is_ok() {
            relay.still_works();
            return;
        }
    }
    panic!("it serves nobody any more: {:?}", relay.process.errors());
}

#[test]
fn the_first_interrupt_lets_connections_end_by_themselves() {
    let watch = Watch::start(LIMIT);
    let peer = Accepting::new();
    let mut relay = Relay::to(&watch, peer.address);
    let mut client = relay.connect();
    client.write_all(b"begin, ").unwrap();
    let mut server = peer.accept();
    relay.process.signal(Signal::INT);
    relay.process.error_with(&["ending; 1 open"]);
    assert_eq!(
        TcpStream::connect(relay.address).unwrap_err().kind(),
        ErrorKind::ConnectionRefused
    );
    client.write_all(b"and end").unwrap();
    drop(client);
    let mut text = String::new();
    server.read_to_string(&mut text).unwrap();
    assert_eq!(text, "begin, and end");
    drop(server);
    assert!(relay.process.wait().success());
    relay
        .process
        .error_with(&["ended; connections: 1 served, 0 of them cut; 14 bytes there, 0 back"]);
}

/// Two connections that say nothing are cut by whatever `tell` does, and see it.
fn cut_by(watch: &Watch, grace: &str, tell: impl FnOnce(&Relay)) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_relay"));
    let mut relay = Relay::run(
        watch,
        command.args(["--grace", grace, "127.0.0.1:0", &echo().to_string()]),
    );
    let connections = [relay.connect(), relay.connect()];
    connections
        .iter()
        .for_each(|connection| speaks(connection, b"here"));
    let start = Instant::now();
    tell(&relay);
    for mut connection in connections {
        let end = connection.read(&mut [0]).map_err(|error| error.kind());
        assert_eq!(end, Err(ErrorKind::ConnectionReset));
    }
    assert!(relay.process.wait().success());
    relay.process.error_with(&["2 served, 2 of them cut"]);
    assert!(start.elapsed() < Duration::from_secs(20));
}

#[test]
fn connections_are_cut_when_the_grace_time_is_over() {
    let watch = Watch::start(LIMIT);
    cut_by(&watch, "0.2", |relay| relay.process.signal(Signal::INT));
    cut_by(&watch, "0", |relay| relay.process.signal(Signal::TERM));
}

#[test]
fn the_second_interrupt_cuts_at_once() {
    let watch = Watch::start(LIMIT);
    cut_by(&watch, "3600", |relay| {
        relay.process.signal(Signal::INT);
        relay.process.error_with(&["ending; 2 open"]);
        relay.process.signal(Signal::INT);
    });
}

#[test]
fn the_second_interrupt_also_cuts_those_whose_target_does_not_answer() {
    let watch = Watch::start(LIMIT);
    // A listener that accepts nobody: its queue is full after the first one or two, and the rest is not answered.
    let (deaf, address) = nobody();
    rustix::net::listen(&deaf, 0).unwrap();
    let mut relay = Relay::to(&watch, address);
    let clients: Vec<TcpStream> = (0..5).map(|_| relay.connect()).collect();
    relay.process.signal(Signal::INT);
    relay.process.error_with(&["ending; 5 open"]);
    relay.process.signal(Signal::INT);
    for mut client in clients {
        let end = client.read(&mut [0]).map_err(|error| error.kind());
        assert_eq!(end, Err(ErrorKind::ConnectionReset));
    }
    assert!(relay.process.wait().success());
    relay.process.error_with(&["5 served, 5 of them cut"]);
}

#[test]
fn without_connections_it_ends_at_once() {
    let watch = Watch::start(LIMIT);
    let relay = Relay::to(&watch, echo());
    assert_eq!(
        stop(relay),
        "relay: ended; connections: 0 served, 0 of them cut; 0 bytes there, 0 back"
    );
}
