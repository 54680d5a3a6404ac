//! Where cells come from: free lists by size class, one set per OS thread.
//!
//! Cells are short-lived and of few sizes, so a general allocator is the largest cost of a promise: glibc's
//! `malloc` and `free` take 126 instructions a pair, a list in a thread-local about 16. Blocks are carved
//! from chunks; a chunk is returned to the system only when no block of this OS thread is in use, which is
//! when the OS thread ends or a main loop has ended (see [`trim`]).
//!
//! The thread-local has no destructor, so that handles may be dropped from any later destructor (M12). A second
//! one, touched on the slow path only, trims when the OS thread ends; blocks that are given back after it
//! trim by themselves when they were the last.
//!
//! The number of blocks taken minus returned is what [`live`] tells: the balance checks of the tests use
//! it, so tested and measured code are the same. Under Miri, and with `--cfg lwt_no_free_lists` (for the address
//! sanitizer), every cell is an allocation of its own, so that a use after free is seen.

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::cell::Cell;
use std::ptr::NonNull;

/// Blocks are multiples of this; also their alignment.
const STEP: usize = 16;
/// Larger cells come from the general allocator.
const LARGEST: usize = 512;
const CLASSES: usize = LARGEST / STEP + 1;
const CHUNK: usize = 64 * 1024;
const SEPARATE: bool = cfg!(any(miri, lwt_no_free_lists));

struct Block {
    next: Option<NonNull<Block>>,
}

#[repr(C, align(16))]
struct Chunk {
    next: Option<NonNull<Chunk>>,
}

struct Memory {
    free: [Cell<Option<NonNull<Block>>>; CLASSES],
    live: Cell<usize>,
    chunks: Cell<Option<NonNull<Chunk>>>,
    /// The unused rest of the newest chunk: blocks are carved from it one at a time, so that memory that
    /// was never needed is never touched.
    fresh: Cell<*mut u8>,
    fresh_bytes: Cell<usize>,
    /// The OS thread's destructors run: whoever returns the last block trims.
    ending: Cell<bool>,
}

thread_local! {
    static MEMORY: Memory = const {
        Memory {
            free: [const { Cell::new(None) }; CLASSES],
            live: Cell::new(0),
            chunks: Cell::new(None),
            fresh: Cell::new(std::ptr::null_mut()),
            fresh_bytes: Cell::new(0),
            ending: Cell::new(false),
        }
    };
    static TRIM_AT_END: TrimAtEnd = const { TrimAtEnd };
}

struct TrimAtEnd;

impl Drop for TrimAtEnd {
    fn drop(&mut self) {
        super::runtime::end_of_thread();
        MEMORY.with(|memory| memory.ending.set(true));
        trim();
    }
}

/// Makes sure that this OS thread cleans up when it ends.
pub(crate) fn clean_up_at_end() {
    // After the destructor ran there is nothing to register: `ending` is set.
    let _ = TRIM_AT_END.try_with(|_| ());
}

/// Number of cells of this OS thread that were taken and not returned.
pub(crate) fn live() -> usize {
    MEMORY.with(|memory| memory.live.get())
}

/// The free list for blocks of a layout; 0 when they come from the general allocator.
pub(crate) const fn class_of(layout: Layout) -> usize {
    if !SEPARATE && layout.size() <= LARGEST && layout.align() <= STEP {
        layout.size() / STEP
    } else {
        0
    }
}

/// The memory of this OS thread, as a plain address: what callers do with it is inlined where they are.
#[inline(always)]
fn here<'a>() -> &'a Memory {
    MEMORY.with(|memory| {
        // SAFETY: the thread-local has no destructor, so it lives as long as the OS thread, which the reference cannot
        // leave; callers use it within one call.
        unsafe { &*std::ptr::from_ref(memory) }
    })
}

#[inline(always)]
pub(crate) fn allocate(layout: Layout, class: usize) -> NonNull<u8> {
    let memory = here();
    memory.live.set(memory.live.get() + 1);
    if class != 0 {
        let list = &memory.free[class];
        if let Some(block) = list.get() {
            // SAFETY: blocks in a list are free, at least `STEP` bytes, and hold a valid `next`.
            list.set(unsafe { block.as_ref().next });
            return block.cast();
        }
        return memory.carve(layout.size());
    }
    separate(layout)
}

/// # Safety
/// `block` came from [`allocate`] with the same layout on this OS thread, and is not used any more.
#[inline(always)]
pub(crate) unsafe fn deallocate(block: NonNull<u8>, layout: &Layout, class: usize) {
    let memory = here();
    let live = memory.live.get() - 1;
    memory.live.set(live);
    if let (true, Some(list)) = (class != 0, memory.free.get(class)) {
        let block = block.cast::<Block>();
        // SAFETY: the caller gives the block up; it is large enough and aligned for a `Block`.
        unsafe { block.write(Block { next: list.get() }) };
        list.set(Some(block));
    } else {
        // SAFETY: made by `separate` with the same layout.
        unsafe { dealloc(block.as_ptr(), *layout) };
    }
    if live == 0 {
        memory.last_block();
    }
}

#[cold]
fn separate(layout: Layout) -> NonNull<u8> {
    clean_up_at_end();
    // SAFETY: a cell is never of size zero.
    let block = unsafe { alloc(layout) };
    NonNull::new(block).unwrap_or_else(|| handle_alloc_error(layout))
}

impl Memory {
    #[cold]
    fn last_block(&self) {
        if self.ending.get() {
            trim();
        }
    }

    #[inline(never)]
    fn carve(&self, size: usize) -> NonNull<u8> {
        if self.fresh_bytes.get() < size {
            self.new_chunk();
        }
        let block = self.fresh.get();
        // SAFETY: at least `size` bytes are left in the chunk; chunks and sizes are multiples of `STEP`.
        unsafe {
            self.fresh.set(block.add(size));
            self.fresh_bytes.set(self.fresh_bytes.get() - size);
            NonNull::new_unchecked(block)
        }
    }

    #[cold]
    fn new_chunk(&self) {
        clean_up_at_end();
        let layout = chunk_layout();
        // SAFETY: the layout is not of size zero.
        let Some(chunk) = NonNull::new(unsafe { alloc(layout) }) else {
            handle_alloc_error(layout)
        };
        let chunk = chunk.cast::<Chunk>();
        // SAFETY: a fresh allocation, large enough and aligned for the head.
        unsafe {
            chunk.write(Chunk {
                next: self.chunks.get(),
            })
        };
        self.chunks.set(Some(chunk));
        // SAFETY: the head is smaller than the chunk.
        self.fresh.set(unsafe { chunk.add(1).cast().as_ptr() });
        self.fresh_bytes.set(CHUNK - size_of::<Chunk>());
    }
}

const fn chunk_layout() -> Layout {
    match Layout::from_size_align(CHUNK, align_of::<Chunk>()) {
        Ok(layout) => layout,
        Err(_) => panic!("the chunk size is valid"),
    }
}

/// Returns all chunks to the system, if no cell of this OS thread is in use.
pub(crate) fn trim() {
    MEMORY.with(|memory| {
        if memory.live.get() != 0 {
            return;
        }
        if memory.ending.get() {
            super::waker::give_up();
            super::runtime::free_buffers();
        }
        for list in &memory.free {
            list.set(None);
        }
        memory.fresh.set(std::ptr::null_mut());
        memory.fresh_bytes.set(0);
        let mut next = memory.chunks.take();
        while let Some(chunk) = next {
            // SAFETY: no block is live and the lists were emptied, so nothing points into the chunk; it was
            // allocated with this layout.
            unsafe {
                next = chunk.as_ref().next;
                dealloc(chunk.cast().as_ptr(), chunk_layout());
            }
        }
    });
}
