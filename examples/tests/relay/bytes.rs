//! What goes through the relay, and what becomes of connections that are refused or cut.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::common::{
    Accepting, Bytes, Relay, Watch, connect, echo, join, nobody, peer, peer_at, reset,
};

const LIMIT: Duration = Duration::from_secs(60);
const MEGABYTE: usize = 1 << 20;

/// A client and the peer that it is connected to, through a relay.
fn pair(relay: &Relay, peer: &Accepting) -> (TcpStream, TcpStream) {
    let mut client = relay.connect();
    client.write_all(b"*").unwrap();
    let mut server = peer.accept();
    server.read_exact(&mut [0]).unwrap();
    (client, server)
}

/// What reading gives, where nothing but the end is expected.
fn end_of(mut connection: &TcpStream) -> Result<usize, ErrorKind> {
    connection.read(&mut [0; 16]).map_err(|error| error.kind())
}

#[test]
fn a_hundred_megabytes_both_ways_at_once() {
    let watch = Watch::start(LIMIT);
    let (there, back) = (Bytes::seeded(1), Bytes::seeded(2));
    let count = 100 * MEGABYTE + 12_345;
    let (up, down) = (there.clone(), back.clone());
    let peer = peer(move |connection| {
        let (receiving, up, down) = (connection.try_clone().unwrap(), up.clone(), down.clone());
        let receiver = thread::spawn(move || up.expect(&receiving));
        down.send(&connection, count).unwrap();
        let received = join(receiver).unwrap();
        // The last word says what came through on the way there.
        connection.shutdown(Shutdown::Write).unwrap();
        assert_eq!(received, count);
    });
    let relay = Relay::to(&watch, peer);
    let client = relay.connect();
    let receiving = client.try_clone().unwrap();
    let receiver = thread::spawn(move || back.expect(&receiving));
    there.send(&client, count).unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    assert_eq!(join(receiver).unwrap(), count);
}

#[test]
fn each_side_can_end_first_and_the_other_goes_on() {
    let watch = Watch::start(LIMIT);
    let peer = Accepting::new();
    let relay = Relay::to(&watch, peer.address);

    let (mut client, mut server) = pair(&relay, &peer);
    client.write_all(b"question").unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    let mut question = String::new();
    server.read_to_string(&mut question).unwrap();
    server.write_all(b"answer").unwrap();
    drop(server);
    let mut answer = String::new();
    client.read_to_string(&mut answer).unwrap();
    assert_eq!((&*question, &*answer), ("question", "answer"));

    let (mut client, mut server) = pair(&relay, &peer);
    server.write_all(b"news").unwrap();
    server.shutdown(Shutdown::Write).unwrap();
    let mut news = String::new();
    client.read_to_string(&mut news).unwrap();
    client.write_all(b"thanks").unwrap();
    drop(client);
    let mut thanks = String::new();
    server.read_to_string(&mut thanks).unwrap();
    assert_eq!((&*news, &*thanks), ("news", "thanks"));
}

#[test]
fn a_reset_on_either_side_reaches_the_other_and_nobody_else() {
    let watch = Watch::start(LIMIT);
    let peer = Accepting::new();
    let relay = Relay::to(&watch, peer.address);
    let (mut bystander, mut her_peer) = pair(&relay, &peer);

    let (client, server) = pair(&relay, &peer);
    let address = client.local_addr().unwrap();
    reset(client);
    assert_eq!(end_of(&server), Err(ErrorKind::ConnectionReset));
    relay
        .process
        .error_with(&[&address.to_string(), "Connection reset by peer"]);

    let (client, server) = pair(&relay, &peer);
    let address = client.local_addr().unwrap();
    reset(server);
    assert_eq!(end_of(&client), Err(ErrorKind::ConnectionReset));
    relay
        .process
        .error_with(&[&address.to_string(), "Connection reset by peer"]);

    bystander.write_all(b"undisturbed").unwrap();
    drop(bystander);
    let mut text = String::new();
    her_peer.read_to_string(&mut text).unwrap();
    assert_eq!(text, "undisturbed");
}

/// Sends without end, until it is told to reset the connection, or cannot go on.
fn send_endlessly(
    mut connection: TcpStream,
    stop: Arc<AtomicBool>,
) -> JoinHandle<Option<ErrorKind>> {
    thread::spawn(move || {
        let mut bytes = Bytes::seeded(3);
        let mut buffer = [0; 1 << 16];
        while !stop.load(Ordering::Relaxed) {
            bytes.fill(&mut buffer);
            if let Err(error) = connection.write_all(&buffer) {
                return Some(error.kind());
            }
        }
        reset(connection);
        None
    })
}

/// Sends until there is no room left on the way.
fn fill(mut connection: &TcpStream) {
    // The wall clock: that nothing goes on shows only in time.
    connection
        .set_write_timeout(Some(Duration::from_millis(300)))
        .unwrap();
    while connection.write_all(&[0; 1 << 16]).is_ok() {}
}

/// Everything in the middle of a transfer: who sends, who is cut off, and whether the way back is full.
#[test]
fn a_transfer_that_is_cut_in_the_middle() {
    let watch = Watch::start(LIMIT);
    let peer = Accepting::new();
    let relay = Relay::to(&watch, peer.address);
    let gone = [
        Some(ErrorKind::ConnectionReset),
        Some(ErrorKind::BrokenPipe),
    ];
    for case in 0..8 {
        let [client_sends, sender_goes, way_back_is_full] = [1, 2, 4].map(|bit| case & bit != 0);
        let (client, server) = pair(&relay, &peer);
        let (sender, mut receiver) = if client_sends {
            (client, server)
        } else {
            (server, client)
        };
        if way_back_is_full {
            fill(&receiver);
        }
        let stop = Arc::new(AtomicBool::new(false));
        let sending = send_endlessly(sender, Arc::clone(&stop));

        let some = (&receiver).take(3 * MEGABYTE as u64);
        assert_eq!(
            Bytes::seeded(3).expect(some).unwrap(),
            3 * MEGABYTE,
            "case {case}"
        );
        if sender_goes {
            stop.store(true, Ordering::Relaxed);
            // What was under way arrives, and then the reset.
            let end =
                std::io::copy(&mut receiver, &mut std::io::sink()).map_err(|error| error.kind());
            assert_eq!(end, Err(ErrorKind::ConnectionReset), "case {case}");
            assert_eq!(join(sending), None, "case {case}");
        } else {
            reset(receiver);
            assert!(gone.contains(&join(sending)), "case {case}");
        }
    }
    relay.process.error_with(&["Connection reset by peer"]);
}

/// A side that is gone does not keep its connection for ever when the other side does not read.
#[test]
fn a_dead_side_is_heard_for_a_while_only() {
    let watch = Watch::start(LIMIT);
    let peer = Accepting::new();
    let relay = Relay::to(&watch, peer.address);
    let (client, server) = pair(&relay, &peer);
    fill(&client); // its peer does not read
    reset(client);
    // Now the peer writes to somebody who is not there, and is told so although it never reads.
    let sent = join(send_endlessly(server, Arc::default()));
    assert!(
        matches!(
            sent,
            Some(ErrorKind::ConnectionReset | ErrorKind::BrokenPipe)
        ),
        "{sent:?}"
    );
}

#[test]
fn an_answer_that_was_sent_before_the_reset_is_delivered() {
    let watch = Watch::start(LIMIT);
    let peer = Accepting::new();
    let relay = Relay::to(&watch, peer.address);
    let (client, mut server) = pair(&relay, &peer);
    // As a server that refuses an upload: it answers, and closes with bytes unread.
    let sender = thread::spawn({
        let client = client.try_clone().unwrap();
        move || Bytes::seeded(4).send(&client, 1 << 40)
    });
    server.read_exact(&mut [0; 1000]).unwrap();
    server.write_all(b"too large").unwrap();
    let mut answer = [0; 9];
    (&client).read_exact(&mut answer).unwrap();
    drop(server);
    assert_eq!(&answer, b"too large");
    join(sender).unwrap_err();
}

#[test]
fn a_target_that_refuses() {
    let watch = Watch::start(LIMIT);
    let (_socket, nobody) = nobody();
    let relay = Relay::to(&watch, nobody);
    for _ in 0..3 {
        relay.turns_away();
    }
    let line = relay.process.error_with(&["relay: 127.0.0.1:", "refused"]);
    assert!(
        line.contains(&format!("{nobody} cannot be reached")),
        "{line}"
    );
    assert!(relay.process.is_running());
}

#[test]
fn a_target_that_is_no_host() {
    let watch = Watch::start(LIMIT);
    let relay = Relay::start(&watch, "0", "no-such-host.invalid:80");
    relay.turns_away();
    relay
        .process
        .error_with(&["no-such-host.invalid:80 cannot be reached"]);
}

#[test]
fn names_and_both_families() {
    let watch = Watch::start(LIMIT);
    let by_name = Relay::start(
        &watch,
        "localhost:0",
        &format!("localhost:{}", echo().port()),
    );
    by_name.still_works();
    if std::net::TcpListener::bind("[::1]:0").is_err() {
        eprintln!("this machine has no IPv6");
        return;
    }
    let echo_v6 = peer_at("[::1]:0", |connection| {
        let _ = std::io::copy(&mut &connection, &mut &connection);
    });
    let from_v6 = Relay::start(&watch, "[::1]:0", &echo().to_string());
    assert!(from_v6.address.is_ipv6());
    from_v6.still_works();
    let to_v6 = Relay::to(&watch, echo_v6);
    to_v6.still_works();
    // And one relay behind another.
    let chain = Relay::start(&watch, "[::1]:0", &to_v6.address.to_string());
    chain.still_works();
}

#[test]
fn what_cannot_be_listened_at_is_named() {
    let watch = Watch::start(LIMIT);
    let taken = echo().to_string();
    let run = |words: &[&str]| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_relay"));
        let piped = std::process::Stdio::piped;
        let mut process = watch.spawn(command.args(words).stdout(piped()).stderr(piped()));
        let line = process.error_with(&["relay: "]);
        (process.wait().code(), line)
    };
    let (code, line) = run(&[&taken, "127.0.0.1:1"]);
    assert_eq!(code, Some(1));
    assert!(line.contains(&taken) && line.contains("in use"), "{line}");
    let (code, line) = run(&["8080"]);
    assert_eq!(
        (code, &*line),
        (Some(2), "relay: two places are needed, not 1")
    );
}

#[test]
fn connecting_directly_and_through_the_relay_is_the_same() {
    let watch = Watch::start(LIMIT);
    let echo = echo();
    let relay = Relay::to(&watch, echo);
    for address in [echo, relay.address] {
        let mut connection = connect(address);
        for round in 0..200_u32 {
            connection.write_all(&round.to_be_bytes()).unwrap();
            let mut answer = [0; 4];
            connection.read_exact(&mut answer).unwrap();
            assert_eq!(u32::from_be_bytes(answer), round);
        }
        connection.shutdown(Shutdown::Write).unwrap();
        assert_eq!(end_of(&connection), Ok(0));
    }
}
