//! # The model of the core, on one page
//!
//! Everything else in this crate can be held against this page. It restates the rules that the kernel follows; the
//! numbers M1 to M13 are used in comments and in the names of tests (`tests/model.rs`).
//!
//! ## A cell's states
//!
//! A promise is *inline* (born resolved, no cell) or a handle to a cell. A cell is in one of these states:
//!
//! | state | flags | slot holds | waiters word | leaves it by |
//! |---|---|---|---|---|
//! | **waiting**, by continuation or future | `PAYLOAD` | closure or future | waiters | member resolved, cancel, settle |
//! | **waiting**, by resolver | – | nothing | waiters | resolver, cancel, settle |
//! | **delegating** (a node whose continuation returned a pending promise, M5) | – | the delegate | waiters | the delegate |
//! | **forwarding** (a tied inner cell) | `FORWARD` | what it is itself | the way to the outer cell | settle |
//! | **telling** | `RESOLVED` `VALUE` | result | those not told yet | all told |
//! | **lent** | … and `LENT` | result | consumers wait on | borrowers told |
//! | **resolved** | `RESOLVED` `VALUE` | result | empty | last consumer, settle |
//! | **taken** | `RESOLVED` | nothing | empty | settle |
//!
//! Two counts decide how long it lives. **Handles** are consumers, **owners** are producers: resolvers, entries of
//! queues, registrations with a promise that is itself owned, live wakers, a poll that is going on.
//!
//! | owners | handles | what holds |
//! |---|---|---|
//! | > 0 | > 0 | alive; it owns its waiters |
//! | > 0 | 0 | a thread: detached, goes on. A leaf wait: withdrawn |
//! | 0 | > 0 | nobody can wake it; it owns its waiters no more; can still be cancelled |
//! | 0 | 0 | freed: payload or value dropped in place, memory back to the free list |
//!
//! ## The rules
//!
//! * **M1** A cell owns its waiters only while it has an owner. Losing the last one cascades, iteratively.
//! * **M2** The value moves to the last consumer; others get clones. While it is lent it does not move. Borrowers are told
//!   before consumers, cancel callbacks first of all. No `&mut` to a slot is held across user code.
//! * **M3** Dropping the promise of a thread detaches it; dropping a leaf wait withdraws it, and a value that was
//!   handed over but not taken goes back where it came from.
//! * **M4** A registration belongs to the handle that made it. One waiter is one word in the cell. Leaving is O(1).
//! * **M5** Tying makes the inner cell forward to the outer root, which keeps recursion through `bind` in constant memory.
//! * **M6** A thread is polled by one at a time, never inside its own poll; see `kernel/thread.rs` for the table.
//! * **M7** Wakers may be used from any OS thread; a foreign one touches only what is atomic or immutable.
//! * **M8** `Promise` and `Resolver` are invariant; cell pointers keep the allocation's provenance.
//! * **M9** Library primitives set states at once and tell waiters when the outermost frame ends. `wakeup`, `cancel` and
//!   propagation tell inside the call, nested up to 16 deep, then through the queue.
//! * **M10** At most 4,096 resumptions in a turn; a thread's 128th completed operation in a row waits for the next turn.
//! * **M11** A cancel walks with a stack of its own and a mark: all states first, then the callbacks.
//! * **M12** Depth, current thread, storage and loans are restored by guards; a panic of user code never stops the others
//!   from being told. A panic while unwinding aborts.
//! * **M13** A loop that nothing can wake any more fails with `Deadlock`.
//!
//! ## Order
//!
//! Waiters are told in the order in which they were attached: cancel callbacks, then borrowers, then consumers. A
//! tied promise's waiters come after those of the outer one and before later ones. Queued work is first in,
//! first out. What is paused runs in the order of pausing, once per turn.
