//! What the tests of the programs share: a time limit for each test, child processes that do not outlive it, peers made
//! of plain `std` threads (so that what is tested is not tested with itself), and bytes that can be recognised.
//!
//! Every wait is bounded: sockets have time limits, and when a test is over time its [`Watch`] kills its children and
//! aborts, with the name of the test.

#![allow(dead_code, reason = "each file of tests uses some of it")]

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// How long any single wait of a test may last.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// The time limit of one test, and the processes that it has started.
pub struct Watch {
    children: Arc<Mutex<Vec<Arc<Mutex<Child>>>>>,
    _over: Sender<()>,
}

impl Watch {
    /// Starts the clock. It stops when the value is dropped.
    pub fn start(limit: Duration) -> Watch {
        let (over, watched) = mpsc::channel::<()>();
        let children = Arc::new(Mutex::new(Vec::<Arc<Mutex<Child>>>::new()));
        let name = thread::current().name().unwrap_or("a test").to_owned();
        let started = Arc::clone(&children);
        thread::spawn(move || {
            if watched.recv_timeout(limit) == Err(RecvTimeoutError::Timeout) {
                eprintln!("{name}: not over after {limit:?}");
                for child in started.lock().unwrap().iter() {
                    let _ = child.lock().unwrap().kill();
                }
                std::process::abort();
            }
        });
        Watch {
            children,
            _over: over,
        }
    }

    /// Starts a process that ends with the test at the latest.
    pub fn spawn(&self, command: &mut Command) -> Process {
        let mut child = command
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let output = child.stdout.take();
        let errors = child.stderr.take().map(|errors| {
            let lines = Arc::new(Mutex::new(Vec::new()));
            let (kept, (sender, news)) = (Arc::clone(&lines), mpsc::channel());
            thread::spawn(move || {
                for line in BufReader::new(errors).lines().map_while(Result::ok) {
                    kept.lock().unwrap().push(line);
                    let _ = sender.send(());
                }
            });
            Errors { lines, news }
        });
        let id = child.id();
        let child = Arc::new(Mutex::new(child));
        self.children.lock().unwrap().push(Arc::clone(&child));
        Process {
            id,
            child,
            output,
            errors,
        }
    }
}

struct Errors {
    lines: Arc<Mutex<Vec<String>>>,
    news: Receiver<()>,
}

/// A child process; killed when it is dropped.
pub struct Process {
    pub id: u32,
    child: Arc<Mutex<Child>>,
    pub output: Option<ChildStdout>,
    errors: Option<Errors>,
}

impl Process {
    /// The first line that it prints.
    pub fn first_line(&mut self) -> String {
        let mut line = String::new();
        let output = self.output.as_mut().expect("the output is piped");
        BufReader::new(output).read_line(&mut line).unwrap();
        if line.is_empty() {
            panic!(
                "it ended without a word; standard error: {:?}",
                self.errors()
            );
        }
        line.trim_end().to_owned()
    }

    /// What it has written to its standard error so far.
    pub fn errors(&self) -> Vec<String> {
        self.errors
            .as_ref()
            .expect("the errors are piped")
            .lines
            .lock()
            .unwrap()
            .clone()
    }

    /// Waits for a line on its standard error that contains all of these.
    pub fn error_with(&self, parts: &[&str]) -> String {
        loop {
            let lines = self.errors();
            if let Some(line) = lines
                .iter()
                .find(|line| parts.iter().all(|part| line.contains(part)))
            {
                return line.clone();
            }
            let news = &self.errors.as_ref().expect("the errors are piped").news;
            if news.recv_timeout(PATIENCE).is_err() {
                panic!(
                    "no line with {parts:?} on the standard error: {:?}",
                    self.errors()
                );
            }
        }
    }

    pub fn signal(&self, signal: rustix::process::Signal) {
        let id = rustix::process::Pid::from_raw(self.id.cast_signed()).unwrap();
        rustix::process::kill_process(id, signal).unwrap();
    }

    pub fn is_running(&self) -> bool {
        self.child.lock().unwrap().try_wait().unwrap().is_none()
    }

    /// Waits until it has ended: its output ends with it.
    pub fn wait(&mut self) -> ExitStatus {
        if let Some(mut output) = self.output.take() {
            io::copy(&mut output, &mut io::sink()).unwrap();
        }
        self.child.lock().unwrap().wait().unwrap()
    }

    /// A figure of `/proc/<id>/status`, in KiB.
    pub fn memory_kib(&self, figure: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id)).unwrap();
        let line = status
            .lines()
            .find(|line| line.starts_with(figure))
            .unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }

    /// The processor time it has used, in hundredths of a second.
    pub fn ticks(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/stat", self.id)).unwrap();
        let after_name = status.rsplit_once(')').unwrap().1;
        after_name
            .split_whitespace()
            .skip(11)
            .take(2)
            .map(|ticks| ticks.parse::<u64>().unwrap())
            .sum()
    }

    /// How many descriptors it has open.
    pub fn descriptors(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.id))
            .unwrap()
            .count()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let mut child = self.child.lock().unwrap();
        let _ = child.kill();
        let _ = child.wait();
    }
}

/// A running relay.
pub struct Relay {
    pub process: Process,
    pub address: SocketAddr,
}

impl Relay {
    pub fn start(watch: &Watch, listen: &str, target: &str) -> Relay {
        Relay::run(
            watch,
            Command::new(env!("CARGO_BIN_EXE_relay")).args([listen, target]),
        )
    }

    pub fn to(watch: &Watch, target: SocketAddr) -> Relay {
        Relay::start(watch, "127.0.0.1:0", &target.to_string())
    }

    /// A command that becomes a relay.
    pub fn run(watch: &Watch, command: &mut Command) -> Relay {
        let mut process = watch.spawn(command.stdout(Stdio::piped()).stderr(Stdio::piped()));
        let line = process.first_line();
        let rest = line
            .strip_prefix("relay: listening at ")
            .unwrap_or_else(|| panic!("{line}"));
        let address = rest.split_once(',').unwrap().0.parse().unwrap();
        Relay { process, address }
    }

    pub fn connect(&self) -> TcpStream {
        connect(self.address)
    }

    /// A new connection is reset. That may happen so early that connecting fails.
    pub fn turns_away(&self) {
        let end =
            TcpStream::connect(self.address).and_then(|client| bounded(client).read(&mut [0]));
        assert_eq!(
            end.map_err(|error| error.kind()),
            Err(io::ErrorKind::ConnectionReset)
        );
    }

    /// A new connection goes through, and what comes back is right.
    pub fn still_works(&self) {
        let mut connection = self.connect();
        let words = b"still there?";
        connection.write_all(words).unwrap();
        let mut answer = [0; 12];
        connection.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, words);
    }
}

/// A connection whose waits are bounded.
pub fn connect(address: SocketAddr) -> TcpStream {
    bounded(TcpStream::connect(address).unwrap())
}

pub fn bounded(connection: TcpStream) -> TcpStream {
    connection.set_read_timeout(Some(PATIENCE)).unwrap();
    connection.set_write_timeout(Some(PATIENCE)).unwrap();
    connection
}

/// Closes with a reset.
pub fn reset(connection: TcpStream) {
    rustix::net::sockopt::set_socket_linger(&connection, Some(Duration::ZERO)).unwrap();
}

/// A peer: each connection is given to `body` in a thread of its own. Ends with the test process.
pub fn peer(body: impl Fn(TcpStream) + Clone + Send + 'static) -> SocketAddr {
    peer_at("127.0.0.1:0", body)
}

pub fn peer_at(address: &str, body: impl Fn(TcpStream) + Clone + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind(address).unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for connection in listener.incoming().map_while(Result::ok) {
            let body = body.clone();
            thread::spawn(move || body(bounded(connection)));
        }
    });
    address
}

/// A peer that sends back what it receives, and ends when its client does.
pub fn echo() -> SocketAddr {
    peer(|connection| {
        let _ = io::copy(&mut &connection, &mut &connection);
    })
}

/// A listener whose connections the test takes one by one.
pub struct Accepting {
    listener: TcpListener,
    pub address: SocketAddr,
}

impl Accepting {
    pub fn new() -> Accepting {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        Accepting { listener, address }
    }

    pub fn accept(&self) -> TcpStream {
        bounded(self.listener.accept().unwrap().0)
    }
}

/// A port that is taken, and at which nobody listens while the value lives.
pub fn nobody() -> (TcpListener, SocketAddr) {
    use rustix::net::{AddressFamily, SocketType, bind, socket};
    let socket = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
    bind(&socket, &SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    let socket = TcpListener::from(socket);
    let address = socket.local_addr().unwrap();
    (socket, address)
}

/// An endless sequence of bytes in which every place is different enough; the same for the same seed.
#[derive(Clone)]
pub struct Bytes(u64);

impl Bytes {
    pub fn seeded(seed: u64) -> Bytes {
        Bytes(seed)
    }

    pub fn fill(&mut self, buffer: &mut [u8]) {
        for chunk in buffer.chunks_mut(8) {
            self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut word = self.0;
            word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            chunk.copy_from_slice(&(word ^ (word >> 31)).to_le_bytes()[..chunk.len()]);
        }
    }

    /// Sends this many of them.
    pub fn send(mut self, mut connection: &TcpStream, count: usize) -> io::Result<()> {
        let mut buffer = vec![0; 1 << 16];
        for start in (0..count).step_by(buffer.len()) {
            let length = buffer.len().min(count - start);
            self.fill(&mut buffer[..length]);
            connection.write_all(&buffer[..length])?;
        }
        Ok(())
    }

    /// Receives until the end, and compares each byte; returns how many came.
    pub fn expect(mut self, mut connection: impl Read) -> io::Result<usize> {
        let (mut buffer, mut wanted, mut received) = (vec![0; 1 << 16], vec![0; 1 << 16], 0);
        loop {
            // Whole chunks only, so that the sequence stays aligned.
            let mut length = 0;
            while length < buffer.len() {
                match connection.read(&mut buffer[length..])? {
                    0 => break,
                    count => length += count,
                }
            }
            self.fill(&mut wanted);
            if let Some(place) = (0..length).find(|&place| buffer[place] != wanted[place]) {
                return Err(io::Error::other(format!(
                    "byte {} is wrong",
                    received + place
                )));
            }
            received += length;
            if length < buffer.len() {
                return Ok(received);
            }
        }
    }
}

/// Joins a thread; its panic becomes ours.
pub fn join<T>(thread: JoinHandle<T>) -> T {
    thread
        .join()
        .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// As many descriptors as the system allows.
pub fn raise_descriptor_limit() {
    let mut limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    limit.current = limit.maximum;
    rustix::process::setrlimit(rustix::process::Resource::Nofile, limit).unwrap();
}
