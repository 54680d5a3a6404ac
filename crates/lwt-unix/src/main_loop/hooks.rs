//! Functions that run in every turn of the loop.
//!
//! Two lists belong to each OS thread: [`enter_iteration`] runs before the engine looks at timers and descriptors,
//! [`leave_iteration`] at the end of the turn. They run for every turn of every run, and slow every turn down: keep them
//! short. A hook may add and remove hooks, itself included; one that was removed is not called again, one that was added
//! is first called in the next turn.
//!
//! A panic in a hook ends [`run`](crate::run) with that panic; the loop can be run again afterwards.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::fmt;
use std::rc::{Rc, Weak};
use std::thread::LocalKey;

type Function = Rc<RefCell<dyn FnMut()>>;

struct Entry {
    number: u64,
    function: Function,
}

#[derive(Default)]
struct List {
    entries: RefCell<VecDeque<Entry>>,
    next: Cell<u64>,
}

thread_local! {
    static ENTER: Rc<List> = Rc::new(List::default());
    static LEAVE: Rc<List> = Rc::new(List::default());
}

/// The hooks that run before the engine is asked, in every turn.
#[doc(alias = "Lwt_main.Enter_iter_hooks")]
pub fn enter_iteration() -> HookList {
    HookList { key: &ENTER }
}

/// The hooks that run at the end of every turn.
#[doc(alias = "Lwt_main.Leave_iter_hooks")]
pub fn leave_iteration() -> HookList {
    HookList { key: &LEAVE }
}

/// One of the two lists of this OS thread.
pub struct HookList {
    key: &'static LocalKey<Rc<List>>,
}

impl HookList {
    /// Adds a hook that runs before those that are there.
    #[doc(alias = "Lwt_main.Hooks.add_first")]
    pub fn add_first(&self, function: impl FnMut() + 'static) -> LoopHook {
        self.add(function, VecDeque::push_front)
    }

    /// Adds a hook that runs after those that are there.
    #[doc(alias = "Lwt_main.Hooks.add_last")]
    pub fn add_last(&self, function: impl FnMut() + 'static) -> LoopHook {
        self.add(function, VecDeque::push_back)
    }

    /// Removes all hooks of this list.
    #[doc(alias = "Lwt_main.Hooks.remove_all")]
    pub fn remove_all(&self) {
        let removed = self.key.try_with(|list| list.entries.take());
        drop(removed);
    }

    fn add(
        &self,
        function: impl FnMut() + 'static,
        place: fn(&mut VecDeque<Entry>, Entry),
    ) -> LoopHook {
        let added = self.key.try_with(|list| {
            let number = list.next.get();
            list.next.set(number + 1);
            place(
                &mut list.entries.borrow_mut(),
                Entry {
                    number,
                    function: Rc::new(RefCell::new(function)),
                },
            );
            LoopHook {
                number,
                list: Rc::downgrade(list),
            }
        });
        added.unwrap_or(LoopHook {
            number: 0,
            list: Weak::new(),
        })
    }

    /// Runs the hooks, in order.
    pub(super) fn run(&self) {
        let _ = self.key.try_with(|list| {
            if list.entries.borrow().is_empty() {
                return;
            }
            let numbers: Vec<u64> = list
                .entries
                .borrow()
                .iter()
                .map(|entry| entry.number)
                .collect();
            for number in numbers {
                let function = list.find(number);
                if let Some(function) = function
                    && let Ok(mut function) = function.try_borrow_mut()
                {
                    function();
                }
            }
        });
    }
}

impl List {
    fn find(&self, number: u64) -> Option<Function> {
        let entries = self.entries.borrow();
        entries
            .iter()
            .find(|entry| entry.number == number)
            .map(|entry| Rc::clone(&entry.function))
    }
}

impl fmt::Debug for HookList {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self
            .key
            .try_with(|list| list.entries.borrow().len())
            .unwrap_or(0);
        formatter
            .debug_struct("HookList")
            .field("hooks", &count)
            .finish()
    }
}

/// A hook of the loop. Dropping this handle leaves the hook in place.
#[doc(alias = "Lwt_main.Hooks.hook")]
pub struct LoopHook {
    number: u64,
    list: Weak<List>,
}

impl LoopHook {
    /// Removes the hook; removing it twice is harmless.
    #[doc(alias = "Lwt_main.Hooks.remove")]
    pub fn remove(&self) {
        let Some(list) = self.list.upgrade() else {
            return;
        };
        let mut entries = list.entries.borrow_mut();
        let removed = entries
            .iter()
            .position(|entry| entry.number == self.number)
            .and_then(|at| entries.remove(at));
        drop(entries);
        drop(removed);
    }
}

impl fmt::Debug for LoopHook {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("LoopHook")
            .field("number", &self.number)
            .finish_non_exhaustive()
    }
}
