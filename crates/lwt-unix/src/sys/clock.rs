//! The system's monotonic clock.
//!
//! Through the C library and not through `rustix`, whose own search for the kernel's fast clock reads memory that
//! instruction-counting tools hide from the program: under valgrind it crashed (rustix 1.1.6, valgrind 3.19).

/// Nanoseconds since an origin in the past that stays the same while the machine is up.
pub(crate) fn monotonic_nanoseconds() -> u64 {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: `time` is a place for one `timespec`, which the call fills in. CLOCK_MONOTONIC exists everywhere, so the call
    // cannot fail; if it did, the time would stand at zero.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut time) };
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    let nanoseconds = u64::try_from(time.tv_nsec).unwrap_or(0);
    seconds
        .saturating_mul(1_000_000_000)
        .saturating_add(nanoseconds)
}
