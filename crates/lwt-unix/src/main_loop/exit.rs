//! Threads that run at the end of the program.
//!
//! Exit hooks run one after another, the newest first; each is taken off the list before it runs, so none runs twice; the
//! failure of one is ignored (it goes to the warning hook) and does not stop the others; a hook may add hooks, and those
//! run too. They belong to the process that registered them: a child made by `fork` has none of its parent's.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::marker::PhantomData;
use std::panic::Location;

use lwt_core::{Promise, Result, scheduler};

use super::run::drive;
use crate::failure;

type ExitHook = Box<dyn FnOnce() -> Promise<()>>;

struct Registered {
    number: u64,
    process: u32,
    hook: ExitHook,
}

#[derive(Default)]
struct Hooks {
    list: VecDeque<Registered>,
    next: u64,
}

thread_local! {
    static HOOKS: RefCell<Hooks> = RefCell::new(Hooks::default());
}

/// Adds a thread to be run at the end of the program, before those that are there.
///
/// Exit hooks run when [`exit`] is called, and when a program with `#[lwt::main]` ends. Whoever calls [`run`](crate::run)
/// himself calls [`run_exit_hooks`] afterwards.
///
/// # Examples
/// ```
/// use std::{cell::RefCell, rc::Rc};
///
/// let order = Rc::new(RefCell::new(Vec::new()));
/// for name in ["first", "second"] {
///     let order = Rc::clone(&order);
///     lwt_unix::at_exit(move || {
///         order.borrow_mut().push(name);
///         lwt_core::return_unit()
///     });
/// }
/// lwt_unix::run_exit_hooks()?;
/// assert_eq!(*order.borrow(), ["second", "first"]);
/// # Ok::<(), lwt_core::Error>(())
/// ```
#[doc(alias = "Lwt_main.at_exit")]
pub fn at_exit(hook: impl FnOnce() -> Promise<()> + 'static) -> ExitHookHandle {
    exit_hooks().add_first(hook)
}

/// The list of exit hooks of this OS thread.
#[doc(alias = "Lwt_main.Exit_hooks")]
pub fn exit_hooks() -> ExitHooks {
    ExitHooks(())
}

/// The list of exit hooks, to add at either end.
#[derive(Debug)]
pub struct ExitHooks(());

impl ExitHooks {
    /// Adds a hook that runs before those that are there.
    pub fn add_first(&self, hook: impl FnOnce() -> Promise<()> + 'static) -> ExitHookHandle {
        add(Box::new(hook), VecDeque::push_front)
    }

    /// Adds a hook that runs after those that are there.
    pub fn add_last(&self, hook: impl FnOnce() -> Promise<()> + 'static) -> ExitHookHandle {
        add(Box::new(hook), VecDeque::push_back)
    }

    /// Removes all exit hooks without running them.
    pub fn remove_all(&self) {
        let removed = HOOKS.try_with(|hooks| std::mem::take(&mut hooks.borrow_mut().list));
        drop(removed);
    }
}

/// An exit hook. Dropping this handle leaves the hook in place.
#[derive(Debug)]
pub struct ExitHookHandle {
    number: u64,
    /// Hooks belong to their OS thread.
    local: PhantomData<*const ()>,
}

impl ExitHookHandle {
    const fn new(number: u64) -> ExitHookHandle {
        ExitHookHandle {
            number,
            local: PhantomData,
        }
    }

    /// Removes the hook, if it has not run; removing it twice is harmless.
    pub fn remove(&self) {
        let removed = HOOKS.try_with(|hooks| {
            let list = &mut hooks.borrow_mut().list;
            let place = list
                .iter()
                .position(|registered| registered.number == self.number)?;
            list.remove(place)
        });
        drop(removed);
    }
}

fn add(hook: ExitHook, place: fn(&mut VecDeque<Registered>, Registered)) -> ExitHookHandle {
    let added = HOOKS.try_with(|hooks| {
        let mut hooks = hooks.borrow_mut();
        let number = hooks.next;
        hooks.next += 1;
        place(
            &mut hooks.list,
            Registered {
                number,
                process: std::process::id(),
                hook,
            },
        );
        ExitHookHandle::new(number)
    });
    added.unwrap_or(ExitHookHandle::new(u64::MAX))
}

fn take_next() -> Option<ExitHook> {
    let this_process = std::process::id();
    loop {
        let next = HOOKS
            .try_with(|hooks| hooks.borrow_mut().list.pop_front())
            .ok()
            .flatten()?;
        if next.process == this_process {
            return Some(next.hook);
        }
    }
}

/// Runs the exit hooks, each to its end, driving the loop; nothing at all happens if there are none.
///
/// # Errors
/// [`NestedRun`](lwt_core::NestedRun) when the loop is running: inside it, use [`exit`].
#[track_caller]
pub fn run_exit_hooks() -> Result<()> {
    let Some(first) = take_next() else {
        return Ok(());
    };
    let _entered = scheduler::enter(Location::caller())?;
    run_all(first);
    Ok(())
}

fn run_all(first: ExitHook) {
    let mut next = Some(first);
    while let Some(hook) = next {
        if let Err(error) = drive(lwt_core::catch(hook, lwt_core::fail)) {
            failure::warn(&error.context("an exit hook failed"));
        }
        next = take_next();
    }
}

/// Runs the exit hooks and ends the process with this code.
///
/// It may be called anywhere, also in a thread or a callback inside the loop: wake-ups that are being delivered are given
/// up, and the hooks get the loop to themselves.
pub fn exit(code: i32) -> ! {
    if let Some(first) = take_next() {
        lwt_core::abandon_wakeups();
        // Inside a loop entering is refused, and that is fine: this call never returns to it.
        let _entered = scheduler::enter(Location::caller());
        run_all(first);
    }
    std::process::exit(code)
}
