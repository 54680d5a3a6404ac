//! What is ready costs no memory: no allocation on the path of a read or write that completes at once.

mod common;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use common::check;
use lwt_core::{State, spawn};
use lwt_unix::{Buffer, Domain, SocketKind, pipe, run, sleep, socketpair};

/// The system's allocator, counting the allocations of each OS thread.
struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: every call is passed on unchanged; counting touches a constant-initialised thread-local only.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let _ = ALLOCATIONS.try_with(|count| count.set(count.get() + 1));
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise is passed on.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        let _ = ALLOCATIONS.try_with(|count| count.set(count.get() + 1));
        // SAFETY: the caller's promise is passed on.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn allocations() -> usize {
    ALLOCATIONS.with(Cell::get)
}

#[test]
fn a_ready_transfer_on_borrowed_memory_allocates_nothing() {
    check(|| {
        run(spawn(async {
            for (read, write) in [pipe()?, socketpair(Domain::Unix, SocketKind::Stream)?] {
                let mut buffer = [0; 16];
                let before = allocations();
                for _ in 0..30 {
                    write.write_all(b"0123456789").await?;
                    assert_eq!(write.write(b"0123456789").await?, 10);
                    assert_eq!(read.read(&mut buffer).await?, 16);
                    read.read_exact(&mut buffer[..4]).await?;
                }
                assert_eq!(allocations() - before, 0);
            }
            Ok(())
        }))
    });
}

#[test]
fn a_ready_transfer_of_an_owned_buffer_allocates_nothing() {
    check(|| {
        let (read, write) = pipe()?;
        let buffer = Buffer::new(16);
        let before = allocations();
        for _ in 0..30 {
            assert!(matches!(
                write.write_buffer(&buffer, 0..10).state(),
                State::Return(10)
            ));
            assert!(matches!(
                read.read_buffer(&buffer).state(),
                State::Return(10)
            ));
        }
        assert_eq!(allocations() - before, 0);
        Ok(())
    });
}

/// A turn of the loop with nothing but a timer and a descriptor to look at allocates nothing of its own.
#[test]
fn an_idle_turn_allocates_next_to_nothing() {
    check(|| {
        run(spawn(async {
            let (read, _write) = pipe()?;
            let waiting = read.read_some(1);
            sleep(std::time::Duration::ZERO).await?;
            let before = allocations();
            for _ in 0..100 {
                sleep(std::time::Duration::ZERO).await?;
            }
            // The sleeps themselves: a few boxes each until their source lies in their cell.
            assert!(
                allocations() - before <= 100 * 4,
                "{} for a hundred turns",
                allocations() - before
            );
            drop(waiting);
            Ok(())
        }))
    });
}
