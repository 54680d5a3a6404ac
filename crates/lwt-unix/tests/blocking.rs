//! Blocking descriptors, read and written by jobs (FD-7, FD-8, FD-11 to FD-13, FD-18).

mod common;

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::fd::OwnedFd;

use common::{check, system_error};
use lwt_core::{Result, State, both, pause, spawn};
use lwt_unix::{FileDescriptor, counters, pipe, run};

/// A pipe whose read end is told to be blocking: it behaves like a terminal, and needs none.
fn blocking_pipe() -> Result<(FileDescriptor, File)> {
    let (read, write) = rustix::pipe::pipe()?;
    let read = FileDescriptor::from(read);
    read.set_blocking(true, true)?;
    Ok((read, File::from(write)))
}

fn temporary_file() -> Result<(FileDescriptor, File)> {
    static NEXT: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
    let number = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let path = std::env::temp_dir().join(format!("lwt-unix-file-{}-{number}", std::process::id()));
    let file = File::options()
        .read(true)
        .write(true)
        .create_new(true)
        .open(&path)?;
    std::fs::remove_file(&path)?;
    Ok((FileDescriptor::from(OwnedFd::from(file.try_clone()?)), file))
}

/// FD-12: no worker sits in a read where nothing is to be read.
#[test]
fn a_blocking_read_waits_with_the_engine_and_then_reads_by_a_job() {
    check(|| {
        let (read, mut write) = blocking_pipe()?;
        let reading = read.read_some(100);
        run(pause())?;
        assert_eq!((reading.is_sleeping(), counters().jobs), (true, 0));
        write.write_all(b"typed")?;
        assert_eq!(run(reading)?, b"typed");
        drop(write);
        assert_eq!(run(read.read_some(100))?, b"");
        assert_eq!(run(read.read_some(100))?, b"", "asked again");
        Ok(())
    });
}

#[test]
fn blocking_reads_and_writes_by_borrowed_memory() {
    check(|| {
        let (read, write) = rustix::pipe::pipe()?;
        let (read, write) = (FileDescriptor::from(read), FileDescriptor::from(write));
        read.set_blocking(true, true)?;
        write.set_blocking(true, true)?;
        let sending = spawn(async move {
            for piece in 0..100_u8 {
                write.write_all(&[piece; 1000]).await?;
            }
            Ok(())
        });
        let receiving = spawn(async move {
            let mut bytes = vec![0; 100_000];
            read.read_exact(&mut bytes).await?;
            assert!(
                bytes
                    .chunks(1000)
                    .zip(0..)
                    .all(|(piece, number)| piece.iter().all(|byte| *byte == number))
            );
            assert_eq!(read.read(&mut [0; 10]).await?, 0);
            Ok(())
        });
        run(both(sending, receiving)).map(drop)
    });
}

/// FD-18, and the rule that nothing is lost: what a job has read for a reader that gave up waits for the next.
#[test]
fn bytes_that_arrive_after_their_reader_gave_up_are_kept() {
    check(|| {
        let (read, mut write) = blocking_pipe()?;
        write.write_all(b"kept")?;
        let reading = read.read_some(100);
        assert_eq!(counters().jobs, 1, "something is there, so a job reads it");
        reading.cancel();
        assert!(matches!(reading.state(), State::Fail(error) if error.is_canceled()));
        let borrowed = {
            let read = read.clone();
            spawn(async move {
                let mut two = [0; 2];
                read.read_exact(&mut two).await?;
                Ok(two)
            })
        };
        assert_eq!(&run(borrowed)?, b"ke");
        assert_eq!(run(read.read_some(100))?, b"pt");
        Ok(())
    });
}

/// FD-13: files go directly to the job.
#[test]
fn files_are_read_and_written_by_jobs() {
    check(|| {
        let (descriptor, mut file) = temporary_file()?;
        assert!(descriptor.is_blocking()?);
        let content: Vec<u8> = (0..700_000_u32).map(|number| number as u8).collect();
        run(descriptor.write_bytes(content.clone()))?;
        file.seek(SeekFrom::Start(0))?;
        let mut back = Vec::new();
        file.read_to_end(&mut back)?;
        assert!(back == content);
        file.seek(SeekFrom::Start(0))?;
        let mut again = Vec::new();
        loop {
            let piece = run(descriptor.read_some(100_000))?;
            if piece.is_empty() {
                break;
            }
            again.extend(piece);
        }
        assert!(again == content);
        run(descriptor.close())
    });
}

/// The kernel's descriptor is not closed under a job's feet.
#[test]
fn closing_while_a_job_runs_fails_the_reader_and_waits_for_the_job_to_let_go() {
    check(|| {
        let (descriptor, _file) = temporary_file()?;
        let reading = descriptor.read_some(100);
        run(descriptor.close())?;
        assert_eq!(system_error(run(reading)).0, "read");
        while counters().jobs > 0 {
            run(pause())?;
        }
        Ok(())
    });
}

/// FD-8: the standard descriptors' flags are never changed.
#[test]
fn standard_output_is_written_by_jobs() {
    check(|| {
        let flags = rustix::fs::fcntl_getfl(rustix::stdio::stderr())?;
        run(FileDescriptor::stderr().write_bytes(""))?;
        run(FileDescriptor::stderr().write_bytes("a line of a test\n"))?;
        assert_eq!(rustix::fs::fcntl_getfl(rustix::stdio::stderr())?, flags);
        Ok(())
    });
}

/// A blocking writer beside a reader of ours, both in one loop: neither holds the other up.
#[test]
fn a_blocking_write_larger_than_the_pipe_ends_when_it_is_read() {
    check(|| {
        let (read, write) = pipe()?;
        write.set_blocking(true, true)?;
        let writing = write.write_bytes(vec![1; 300_000]);
        drop(write);
        let reading = spawn(async move {
            let mut total = 0;
            loop {
                match read.read_some(10_000).await?.len() {
                    0 => return Ok(total),
                    count => total += count,
                }
            }
        });
        assert_eq!(run(both(reading, writing))?.0, 300_000);
        Ok(())
    });
}
