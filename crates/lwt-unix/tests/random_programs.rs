//! Random programs of readers, writers, cancels and time-outs on one connection: every byte that is sent is received, once
//! and in order, whatever gives up in between.
//!
//! Each program is made from its seed and runs under the virtual clock, so a failure can be repeated: its message names
//! the seed.

mod common;

use std::cell::RefCell;
use std::rc::Rc;

use common::{check, ms};
use lwt_core::{Promise, Result, spawn};
use lwt_unix::{
    Buffer, Builder, Domain, FileDescriptor, SocketKind, loop_time, pipe, sleep, socketpair,
    with_timeout,
};

/// How many programs run, unless the environment variable `LWT_TEST_PROGRAMS` says otherwise.
const PROGRAMS: u64 = 300;

fn programs() -> u64 {
    let wanted = std::env::var("LWT_TEST_PROGRAMS").ok();
    wanted
        .and_then(|text| text.parse().ok())
        .unwrap_or(PROGRAMS)
}

/// A small generator of random numbers, the same everywhere.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        (self.0 >> 33) % limit
    }
}

/// The pieces that the readers got, in the order in which they noted them: a reader that is served at once may note its piece
/// before one that was served earlier in the same turn and has yet to run.
type Received = Rc<RefCell<Vec<Vec<u8>>>>;

/// One reader, of a random kind, that notes what it gets.
fn reader(random: &mut Random, read: &FileDescriptor, received: &Received) -> Promise<()> {
    let size = 1 + random.below(200) as usize;
    let received = Rc::clone(received);
    match random.below(4) {
        0 => read
            .read_some(size)
            .map(move |bytes| received.borrow_mut().push(bytes)),
        1 => {
            let buffer = Buffer::new(size);
            let bytes = buffer.clone();
            read.read_buffer(&buffer).and_then(move |count| {
                bytes.with(|bytes| received.borrow_mut().push(bytes[..count].to_vec()))
            })
        }
        2 => {
            let read = read.clone();
            spawn(async move {
                let mut buffer = vec![0; size];
                let count = read.read(&mut buffer).await?;
                received.borrow_mut().push(buffer[..count].to_vec());
                Ok(())
            })
        }
        _ => {
            // A reader that loses its own race now and then, and tries again.
            let read = read.clone();
            spawn(async move {
                for patience in 1..6 {
                    match with_timeout(ms(patience), || read.read_some(size)).await {
                        Ok(bytes) => {
                            received.borrow_mut().push(bytes);
                            return Ok(());
                        }
                        Err(error) if error.is::<lwt_core::Timeout>() => {}
                        Err(error) => return Err(error),
                    }
                }
                Ok(())
            })
        }
    }
}

/// The writer: pieces of random length at random times; gives what it has sent.
fn writer(seed: u64, write: FileDescriptor) -> Promise<usize> {
    spawn(async move {
        let mut random = Random(seed);
        let mut sent = 0;
        for _ in 0..40 {
            let length = 1 + random.below(300) as usize;
            let bytes: Vec<u8> = (sent..sent + length).map(|number| number as u8).collect();
            match random.below(3) {
                0 => write.write_bytes(bytes).await?,
                1 => write.write_all(&bytes).await?,
                _ => {
                    let buffer = Buffer::from(bytes);
                    let mut written = 0;
                    while written < length {
                        written += write.write_buffer(&buffer, written..length).await?;
                    }
                }
            }
            sent += length;
            if random.below(2) == 0 {
                sleep(ms(random.below(4))).await?;
            }
        }
        Ok(sent)
    })
}

async fn program(seed: u64) -> Result<()> {
    let mut random = Random(seed);
    let (read, write) = match random.below(2) {
        0 => pipe()?,
        _ => socketpair(Domain::Unix, SocketKind::Stream)?,
    };
    let received: Received = Rc::default();
    let writing = writer(seed ^ 0x5555, write);
    let mut readers: Vec<Promise<()>> = Vec::new();
    while writing.is_sleeping() || readers.iter().any(Promise::is_sleeping) {
        match random.below(6) {
            0 | 1 if writing.is_sleeping() => readers.push(reader(&mut random, &read, &received)),
            2 if !readers.is_empty() => {
                let victim = random.below(readers.len() as u64) as usize;
                readers[victim].cancel();
            }
            _ => sleep(ms(random.below(3))).await?,
        }
        readers.retain(Promise::is_sleeping);
        assert!(loop_time() < ms(100_000), "seed {seed}: it comes to an end");
    }
    let sent = writing.await?;
    // What nobody has read yet is still there.
    loop {
        let rest = read.read_some(1000).await?;
        if rest.is_empty() {
            break;
        }
        received.borrow_mut().push(rest);
    }
    check_received(seed, &received.borrow(), sent);
    Ok(())
}

/// The bytes count upwards: each piece must be consecutive, and all together must be each byte as often as it was sent.
fn check_received(seed: u64, received: &[Vec<u8>], sent: usize) {
    let mut counts = [0_usize; 256];
    for piece in received {
        assert!(
            piece
                .windows(2)
                .all(|pair| pair[1] == pair[0].wrapping_add(1)),
            "seed {seed}: in order"
        );
        for byte in piece {
            counts[usize::from(*byte)] += 1;
        }
    }
    for (value, count) in counts.iter().enumerate() {
        let expected = (sent + 255 - value) / 256;
        assert_eq!(
            *count, expected,
            "seed {seed}: nothing is lost and nothing comes twice"
        );
    }
}

#[test]
fn every_byte_arrives_once_and_in_order() {
    check(|| {
        for seed in 0..programs() {
            Builder::new()
                .virtual_time(seed)
                .run(|| spawn(program(seed)))?;
        }
        Ok(())
    });
}

/// The same on a descriptor that is read by jobs: what a job has read for a reader that gave up goes to the next.
#[test]
fn every_byte_arrives_through_jobs_too() {
    check(|| {
        for seed in 0..20 {
            Builder::new().virtual_time(seed).run(|| {
                spawn(async move {
                    let (read, write) = pipe()?;
                    read.set_blocking(true, true)?;
                    let mut random = Random(seed);
                    let received: Received = Rc::default();
                    let writing = writer(seed, write);
                    while writing.is_sleeping() {
                        let reading = reader(&mut random, &read, &received);
                        sleep(ms(random.below(3))).await?;
                        if random.below(3) == 0 {
                            reading.cancel();
                        }
                        if let Err(error) = reading.await {
                            assert!(error.is_canceled(), "seed {seed}: {error}");
                        }
                    }
                    let sent = writing.await?;
                    loop {
                        let rest = read.read_some(1000).await?;
                        if rest.is_empty() {
                            break;
                        }
                        received.borrow_mut().push(rest);
                    }
                    check_received(seed, &received.borrow(), sent);
                    Ok(())
                })
            })?;
        }
        Ok(())
    });
}
