//! Clocks and memory of this process, straight from the kernel.
//!
//! CPU time is the process's own (`CLOCK_PROCESS_CPUTIME_ID`), so a helper thread that a runtime starts is charged to it.

use std::io;

fn clock_ns(clock: libc::clockid_t) -> u64 {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: `time` is a valid, writable timespec for the duration of the call.
    let status = unsafe { libc::clock_gettime(clock, &mut time) };
    assert_eq!(status, 0, "clock_gettime: {}", io::Error::last_os_error());
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// A point in CPU time and in wall time.
#[derive(Clone, Copy, Debug)]
pub struct Instant {
    cpu_ns: u64,
    wall_ns: u64,
}

/// What passed between two instants.
#[derive(Clone, Copy, Debug)]
pub struct Elapsed {
    /// CPU time of the whole process, user and system.
    pub cpu_ns: u64,
    /// Time on the wall.
    pub wall_ns: u64,
}

impl Instant {
    /// Reads both clocks.
    pub fn now() -> Instant {
        Instant {
            cpu_ns: clock_ns(libc::CLOCK_PROCESS_CPUTIME_ID),
            wall_ns: clock_ns(libc::CLOCK_MONOTONIC),
        }
    }

    /// What passed since then.
    pub fn elapsed(self) -> Elapsed {
        let now = Instant::now();
        Elapsed {
            cpu_ns: now.cpu_ns - self.cpu_ns,
            wall_ns: now.wall_ns - self.wall_ns,
        }
    }
}

/// The greatest resident size this process ever had, in bytes.
pub fn peak_resident_bytes() -> u64 {
    // SAFETY: all-zero bytes are a valid `rusage`, a plain structure of numbers.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: `usage` is valid and writable for the duration of the call.
    unsafe { libc::getrusage(libc::RUSAGE_SELF, &mut usage) };
    usage.ru_maxrss as u64 * 1024
}

/// The resident size of this process now, in bytes; 0 where `/proc` does not tell.
pub fn resident_bytes() -> u64 {
    let pages = std::fs::read_to_string("/proc/self/statm")
        .ok()
        .and_then(|text| text.split_whitespace().nth(1)?.parse::<u64>().ok())
        .unwrap_or(0);
    pages * 4096
}
