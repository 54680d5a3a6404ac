//! Dispositions and masks of signals.
//!
//! Handlers themselves are installed through `signal-hook-registry`, which chains ours with those of other libraries
//! in the process. What it does not do is here: ignoring SIGPIPE, giving a signal its default effect once nobody
//! listens any more, and starting worker threads with everything masked so that signals reach the loop's thread.

use std::io;
use std::mem::MaybeUninit;
use std::sync::Once;

/// Makes sure that writing to a pipe without a reader fails with `EPIPE` instead of killing the process.
///
/// Rust's runtime does this before `main`; a program whose `main` is not Rust's (this library inside a C program) has
/// the default disposition. Only the default is replaced: a handler that somebody has installed stays.
pub(crate) fn ignore_broken_pipes() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        if has_default_disposition(libc::SIGPIPE) {
            // SAFETY: SIG_IGN is a valid disposition of SIGPIPE and runs no code.
            unsafe { libc::signal(libc::SIGPIPE, libc::SIG_IGN) };
        }
    });
}

/// Gives `signal` its default effect, and keeps the handler wherever the program goes on after it.
///
/// Called from inside a signal handler, where the signal is blocked: an effect that ends the process comes when the
/// handler returns.
pub(crate) fn take_default_effect(signal: libc::c_int) {
    match signal {
        libc::SIGCHLD | libc::SIGURG | libc::SIGWINCH | libc::SIGCONT => {}
        // SAFETY: `raise` is async-signal-safe; SIGSTOP has the very effect of these signals.
        libc::SIGTSTP | libc::SIGTTIN | libc::SIGTTOU => unsafe {
            libc::raise(libc::SIGSTOP);
        },
        // SAFETY: `signal` and `raise` are async-signal-safe, and SIG_DFL is a valid disposition of every signal for
        // which a handler can have been installed.
        _ => unsafe {
            libc::signal(signal, libc::SIG_DFL);
            libc::raise(signal);
        },
    }
}

/// Runs `body` with every signal blocked in this OS thread and restores the mask afterwards.
///
/// A thread that is started inside inherits the full mask, so signals are never delivered to it.
pub(crate) fn with_all_blocked<R>(body: impl FnOnce() -> R) -> R {
    let former = block_all().ok();
    let result = body();
    if let Some(former) = former {
        // SAFETY: `former` was filled in by `pthread_sigmask`; the third argument may be null.
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &former, std::ptr::null_mut()) };
    }
    result
}

fn block_all() -> io::Result<libc::sigset_t> {
    let mut all = MaybeUninit::<libc::sigset_t>::uninit();
    let mut former = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: `sigfillset` initialises the set it is given; `pthread_sigmask` reads that set and, when it returns
    // zero, has initialised `former`.
    unsafe {
        libc::sigfillset(all.as_mut_ptr());
        match libc::pthread_sigmask(libc::SIG_SETMASK, all.as_ptr(), former.as_mut_ptr()) {
            0 => Ok(former.assume_init()),
            code => Err(io::Error::from_raw_os_error(code)),
        }
    }
}

/// Whether the signal has its default disposition now (nobody has installed a handler or ignored it).
pub(crate) fn has_default_disposition(signal: libc::c_int) -> bool {
    let mut current = MaybeUninit::<libc::sigaction>::uninit();
    // SAFETY: with a null new action `sigaction` only writes the current one to the given place; zero says that it was
    // written, and only then is it read.
    unsafe {
        libc::sigaction(signal, std::ptr::null(), current.as_mut_ptr()) == 0
            && current.assume_init().sa_sigaction == libc::SIG_DFL
    }
}
