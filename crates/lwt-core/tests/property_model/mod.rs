//! A model of the kernel that is as plain as possible: promises are entries of a vector, whoever waits stands in a list,
//! ties move lists, and what nobody can reach is found by tracing after every step. No counts, no loans, no flags.
//!
//! Long because it is one machine: its parts would have to open its cells to each other.

use std::collections::VecDeque;

pub type Value = Vec<u8>;
/// A result, with the failure as text.
pub type Followed = Result<Value, String>;
/// Who was called, and with what.
pub type Told = (usize, Followed);

const KEEPS_DELEGATES: bool = true;
const CANCELED: &str = "the thread was canceled";

/// What a continuation returns.
#[derive(Clone, Debug)]
pub enum Next {
    Value(u8),
    Fail(u8),
    /// The promise in a slot, and whether the handle there is used up.
    Slot(usize, bool),
}

#[derive(Clone, Debug)]
pub enum Action {
    Wait,
    Task,
    Return(u8),
    Fail(u8),
    Clone(usize),
    Bind(usize, bool, Next),
    Map(usize, bool),
    Catch(usize, bool, Next),
    TryBind(usize, bool, Next, Next),
    Finalize(usize, bool, Next),
    Protected(usize, bool),
    NoCancel(usize, bool),
    Wrap(usize, bool),
    All(Vec<(usize, bool)>),
    Both(Vec<(usize, bool)>),
    Choose(Vec<(usize, bool)>),
    Pick(Vec<(usize, bool)>),
    Nchoose(Vec<(usize, bool)>),
    Spawn(usize, bool, Next),
    SpawnBoth(Vec<(usize, bool)>),
    OnSuccess(usize),
    OnFailure(usize),
    OnCancel(usize),
    Wake(usize, bool),
    WakeError(usize, bool),
    Cancel(usize, bool),
    Drop(usize),
    DropResolver(usize),
}

/// A promise: its result, or the number of its cell.
#[derive(Clone, Debug)]
enum Handle {
    Inline(Followed),
    Cell(usize),
}

#[derive(Clone, Debug)]
enum Then {
    Value(u8),
    Fail(u8),
    Promise(Handle),
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum FirstKind {
    Choose,
    Pick,
    Nchoose,
}

/// What a cell does when what it waits for is there.
#[derive(Clone, Debug)]
enum Work {
    Bind(Handle, Then),
    Map(Handle),
    Catch(Handle, Then),
    TryBind(Handle, Then, Then),
    Finalize(Handle, Then),
    /// The end of a clean-up: the body's result, unless this one failed.
    Cleaned(Handle, Followed),
    /// Passes the result on without telling anybody.
    Quiet(Handle),
    Copy {
        of: Handle,
        reaches: bool,
    },
    All {
        members: Vec<Handle>,
        missing: usize,
        failure: Option<String>,
    },
    First(Vec<Handle>, FirstKind),
    Thread(Handle, Then),
    /// A thread in its last wait.
    ThreadEnd(Handle),
    ThreadBoth {
        members: Vec<Handle>,
        results: Vec<Option<Followed>>,
    },
}

#[derive(Clone, Debug)]
enum Callback {
    Success,
    Failure,
}

#[derive(Default)]
struct Cell {
    state: Option<Followed>,
    tied_to: Option<usize>,
    delegate: Option<usize>,
    cancelable: bool,
    resolvers: usize,
    name: usize,
    work: Option<Work>,
    borrowers: VecDeque<(usize, Callback)>,
    consumers: VecDeque<usize>,
    on_cancel: Vec<usize>,
    /// Whether several have waited at once: the kernel then keeps a list, and queues the promise, not the waiter.
    listed: bool,
}

#[derive(Default)]
pub struct Model {
    cells: Vec<Cell>,
    slots: Vec<Option<Handle>>,
    resolvers: Vec<Option<usize>>,
    pub log: Vec<Told>,
    queue: VecDeque<Queued>,
    depth: usize,
}

/// What stands in the queue.
enum Queued {
    /// Those who wait for this are to be told.
    Told(usize),
    /// The only one who waited is a thread: it is to be polled, and nothing else wakes it meanwhile.
    Thread(usize, usize),
}

enum Outcome {
    Done(Followed),
    DoneLater(Followed),
    Tie(Handle),
}

impl Model {
    /// The action that a code stands for now, if there is one.
    pub fn decode(&self, [what, a, b, c]: [u8; 4]) -> Option<Action> {
        let full: Vec<usize> = (0..self.slots.len())
            .filter(|slot| self.slots[*slot].is_some())
            .collect();
        let live: Vec<usize> = (0..self.resolvers.len())
            .filter(|index| self.resolvers[*index].is_some())
            .collect();
        let slot = |code: u8| (!full.is_empty()).then(|| full[code as usize % full.len()]);
        let resolver = |code: u8| (!live.is_empty()).then(|| live[code as usize % live.len()]);
        let take = |code: u8| code & 128 != 0;
        // A handle that is used for two things in one action is cloned for the first.
        let alone = |code: u8, nexts: &[&Next]| {
            let index = slot(code);
            code & 128 != 0
                && !nexts
                    .iter()
                    .any(|next| matches!(next, Next::Slot(other, _) if Some(*other) == index))
        };
        let next = |code: u8, used: &[usize]| match code % 4 {
            0 => Some(Next::Value(code)),
            1 => Some(Next::Fail(code)),
            _ => {
                slot(code / 4).map(|index| Next::Slot(index, take(code) && !used.contains(&index)))
            }
        };
        let several = |count: usize| {
            let codes = [a, b, c];
            let mut members: Vec<(usize, bool)> = Vec::new();
            for code in &codes[..count] {
                let index = slot(*code / 2)?;
                members.push((index, false));
            }
            // The last mention of a slot may use the handle up.
            for position in 0..members.len() {
                let (index, _) = members[position];
                let last = members[position + 1..]
                    .iter()
                    .all(|(other, _)| *other != index);
                members[position].1 = last && codes[position] & 1 != 0;
            }
            Some(members)
        };
        let one_ready = |members: &[(usize, bool)]| {
            let ready = members
                .iter()
                .filter(|(slot, _)| self.state_of(*slot).is_some());
            ready.count() <= 1
        };
        let count = 2 + usize::from(what & 1);
        Some(match what % 46 {
            0..4 => Action::Task,
            4..6 => Action::Wait,
            6 => Action::Return(a),
            7 => Action::Fail(a),
            8 | 9 => Action::Clone(slot(a)?),
            10..14 => {
                let next = next(b, &[slot(a)?])?;
                Action::Bind(slot(a)?, alone(a, &[&next]), next)
            }
            14 => Action::Map(slot(a)?, take(a)),
            15 | 16 => {
                let next = next(b, &[slot(a)?])?;
                Action::Catch(slot(a)?, alone(a, &[&next]), next)
            }
            17 => {
                let success = next(b, &[slot(a)?])?;
                let mut used = vec![slot(a)?];
                if let Next::Slot(index, _) = success {
                    used.push(index);
                }
                let failure = next(c, &used)?;
                // The first may only be used up if the second does not need it.
                let success = match (success, &failure) {
                    (Next::Slot(index, _), Next::Slot(other, _)) if index == *other => {
                        Next::Slot(index, false)
                    }
                    (success, _) => success,
                };
                if matches!(&success, Next::Slot(index, true) if matches!(&failure, Next::Slot(other, _) if other == index))
                {
                    return None;
                }
                Action::TryBind(slot(a)?, alone(a, &[&success, &failure]), success, failure)
            }
            18 | 19 => {
                let next = next(b, &[slot(a)?])?;
                Action::Finalize(slot(a)?, alone(a, &[&next]), next)
            }
            20 => Action::Protected(slot(a)?, take(a)),
            21 => Action::NoCancel(slot(a)?, take(a)),
            22 => Action::Wrap(slot(a)?, take(a)),
            23 => Action::All(several(count)?),
            24 => Action::Both(several(2)?),
            25 => Action::Choose(several(count).filter(|members| one_ready(members))?),
            26 => Action::Pick(several(2).filter(|members| one_ready(members))?),
            27 => Action::Nchoose(several(count)?),
            28..31 => {
                let next = next(b, &[slot(a)?])?;
                Action::Spawn(slot(a)?, alone(a, &[&next]), next)
            }
            31 => Action::SpawnBoth(several(2)?),
            32 => Action::OnSuccess(slot(a)?),
            33 => Action::OnFailure(slot(a)?),
            34 => Action::OnCancel(slot(a)?),
            35..38 => Action::Wake(resolver(a)?, take(a)),
            38 => Action::WakeError(resolver(a)?, take(a)),
            39..42 => Action::Cancel(slot(a)?, take(a)),
            42..45 => Action::Drop(slot(a)?),
            _ => Action::DropResolver(resolver(a)?),
        })
    }

    fn state_of(&self, slot: usize) -> Option<&Followed> {
        self.slots[slot]
            .as_ref()
            .and_then(|handle| self.there(handle))
    }

    pub fn states(&self) -> Vec<Option<Option<Followed>>> {
        self.slots
            .iter()
            .map(|slot| slot.as_ref().map(|handle| self.look(handle).cloned()))
            .collect()
    }

    fn root(&self, mut cell: usize) -> usize {
        while let Some(outer) = self.cells[cell].tied_to {
            cell = outer;
        }
        cell
    }

    fn look<'a>(&'a self, handle: &'a Handle) -> Option<&'a Followed> {
        match handle {
            Handle::Inline(result) => Some(result),
            Handle::Cell(cell) => self.cells[self.root(*cell)].state.as_ref(),
        }
    }

    /// The result, unless somebody who only looks at it is to be told before those who take it.
    fn there<'a>(&'a self, handle: &'a Handle) -> Option<&'a Followed> {
        match handle {
            Handle::Cell(cell) if !self.cells[self.root(*cell)].borrowers.is_empty() => None,
            handle => self.look(handle),
        }
    }

    fn get(&mut self, slot: usize, take: bool) -> Handle {
        if take {
            self.slots[slot].take()
        } else {
            self.slots[slot].clone()
        }
        .unwrap()
    }

    fn then(&mut self, next: &Next) -> Then {
        match next {
            Next::Value(more) => Then::Value(*more),
            Next::Fail(name) => Then::Fail(*name),
            Next::Slot(slot, take) => Then::Promise(self.get(*slot, *take)),
        }
    }

    fn cell(&mut self, cell: Cell) -> usize {
        self.cells.push(cell);
        self.cells.len() - 1
    }

    /// Makes the promise of some work: does it now if it can be done, else has it wait.
    fn launch(&mut self, name: usize, work: Work) -> Handle {
        let mut work = work;
        let waits_for: Vec<Handle> = match &mut work {
            Work::All {
                members,
                missing,
                failure,
            } => {
                let mut pending = Vec::new();
                for member in members.iter() {
                    match self.there(member) {
                        None => pending.push(member.clone()),
                        Some(Err(text)) if failure.is_none() => *failure = Some(text.clone()),
                        Some(_) => {}
                    }
                }
                *missing = pending.len();
                pending
            }
            Work::First(members, _) => {
                if members.iter().any(|member| self.there(member).is_some()) {
                    Vec::new()
                } else {
                    members.clone()
                }
            }
            Work::ThreadBoth { members, results } => {
                for (member, result) in members.iter().zip(results.iter_mut()) {
                    *result = self.there(member).cloned();
                }
                let all = members.iter().zip(results.iter());
                all.filter(|(_, result)| result.is_none())
                    .map(|(member, _)| member.clone())
                    .collect()
            }
            work => {
                let of = Self::subject(work).unwrap().clone();
                if self.there(&of).is_some() {
                    Vec::new()
                } else {
                    vec![of]
                }
            }
        };
        if waits_for.is_empty() {
            let first = matches!(work, Work::First(..));
            return match self.finish(name, work, None) {
                Outcome::Done(result) | Outcome::DoneLater(result) => Handle::Inline(result),
                Outcome::Tie(handle) => match self.there(&handle) {
                    Some(result) if first => Handle::Inline(result.clone()),
                    _ => handle,
                },
            };
        }
        let cancelable = matches!(&work, Work::Copy { .. }) && name & (1 << 20) == 0;
        let cell = self.cell(Cell {
            name: name & !(1 << 20),
            work: Some(work),
            cancelable,
            ..Cell::default()
        });
        self.wait_for(cell, &waits_for);
        Handle::Cell(cell)
    }

    fn note_list(&mut self, root: usize) {
        let cell = &mut self.cells[root];
        cell.listed |= !cell.borrowers.is_empty() || !cell.consumers.is_empty();
    }

    fn wait_for(&mut self, cell: usize, members: &[Handle]) {
        for member in members {
            if let Handle::Cell(member) = member {
                let root = self.root(*member);
                self.note_list(root);
                self.cells[root].consumers.push_back(cell);
            }
        }
    }

    /// The one promise that the work waits for.
    fn subject(work: &Work) -> Option<&Handle> {
        match work {
            Work::Bind(of, _)
            | Work::Map(of)
            | Work::Catch(of, _)
            | Work::TryBind(of, ..)
            | Work::Finalize(of, _)
            | Work::Cleaned(of, _)
            | Work::Quiet(of)
            | Work::Copy { of, .. }
            | Work::Thread(of, _)
            | Work::ThreadEnd(of) => Some(of),
            Work::All { .. } | Work::First(..) | Work::ThreadBoth { .. } => None,
        }
    }

    fn members(work: &Work) -> Vec<Handle> {
        match work {
            Work::All { members, .. }
            | Work::First(members, _)
            | Work::ThreadBoth { members, .. } => members.clone(),
            work => Self::subject(work).cloned().into_iter().collect(),
        }
    }

    /// Promises that the work keeps for later.
    fn kept(work: &Work) -> Vec<Handle> {
        let thens: Vec<&Then> = match work {
            Work::Bind(_, next)
            | Work::Catch(_, next)
            | Work::Finalize(_, next)
            | Work::Thread(_, next) => vec![next],
            Work::TryBind(_, success, failure) => vec![success, failure],
            _ => Vec::new(),
        };
        thens
            .into_iter()
            .filter_map(|then| {
                if let Then::Promise(handle) = then {
                    Some(handle.clone())
                } else {
                    None
                }
            })
            .collect()
    }

    fn go_on(then: Then, mut value: Value) -> Outcome {
        match then {
            Then::Value(more) => {
                value.push(more);
                Outcome::Done(Ok(value))
            }
            Then::Fail(name) => Outcome::Done(Err(format!("failure {name}"))),
            Then::Promise(handle) => Outcome::Tie(handle),
        }
    }

    fn finish(&mut self, name: usize, work: Work, winner: Option<usize>) -> Outcome {
        let result = Self::subject(&work).and_then(|of| self.there(of)).cloned();
        let mut note = |result: &Followed| self.log.push((name & !(1 << 20), result.clone()));
        match (work, result) {
            (Work::Bind(_, next), Some(Ok(value))) => {
                note(&Ok(value.clone()));
                Self::go_on(next, value)
            }
            (Work::Map(_), Some(Ok(mut value))) => {
                note(&Ok(value.clone()));
                value.push(0);
                Outcome::Done(Ok(value))
            }
            (Work::Catch(_, next), Some(Err(text))) => {
                note(&Err(text));
                Self::go_on(next, Vec::new())
            }
            (Work::TryBind(_, success, failure), Some(result)) => {
                note(&result);
                match result {
                    Ok(value) => Self::go_on(success, value),
                    Err(_) => Self::go_on(failure, Vec::new()),
                }
            }
            (Work::Finalize(_, next), Some(body)) => {
                note(&Ok(Vec::new()));
                let cleanup = match Self::go_on(next, Vec::new()) {
                    Outcome::Tie(handle) => handle,
                    Outcome::Done(result) | Outcome::DoneLater(result) => Handle::Inline(result),
                };
                let cleaned = self.launch(name, Work::Quiet(cleanup));
                Outcome::Tie(self.launch(name, Work::Cleaned(cleaned, body)))
            }
            (Work::Cleaned(_, body), Some(result)) => Outcome::Done(result.and(body)),
            (
                Work::All {
                    members, failure, ..
                },
                _,
            ) => Outcome::Done(match failure {
                Some(text) => Err(text),
                None => members
                    .iter()
                    .map(|member| self.there(member).unwrap().clone())
                    .collect::<Result<Vec<_>, _>>()
                    .map(|all| all.concat()),
            }),
            (Work::First(members, kind), _) => self.first(members, kind, winner),
            (Work::Thread(_, next), Some(result)) => {
                note(&result);
                match result {
                    Ok(value) => match Self::go_on(next, value) {
                        Outcome::Tie(handle) => {
                            Outcome::Tie(self.launch(name, Work::ThreadEnd(handle)))
                        }
                        other => other,
                    },
                    Err(text) => Outcome::Done(Err(text)),
                }
            }
            (Work::ThreadBoth { members, .. }, _) => {
                let results: Vec<Followed> = members
                    .iter()
                    .map(|member| self.there(member).unwrap().clone())
                    .collect();
                let result = results
                    .into_iter()
                    .collect::<Result<Vec<_>, _>>()
                    .map(|all| all.concat());
                self.log.push((name, result.clone()));
                Outcome::Done(result)
            }
            // The others pass the result on.
            (_, result) => Outcome::Done(result.unwrap()),
        }
    }

    fn first(&mut self, members: Vec<Handle>, kind: FirstKind, winner: Option<usize>) -> Outcome {
        let ready = |model: &Model, member: &Handle| match (winner, member) {
            (Some(winner), Handle::Cell(cell)) => model.root(*cell) == winner,
            (Some(_), Handle::Inline(_)) => false,
            (None, member) => model.there(member).is_some(),
        };
        if kind == FirstKind::Nchoose {
            let there: Vec<Followed> = members
                .iter()
                .filter_map(|member| self.there(member).cloned())
                .collect();
            return Outcome::Done(
                there
                    .into_iter()
                    .collect::<Result<Vec<_>, _>>()
                    .map(|all| all.concat()),
            );
        }
        let index = members
            .iter()
            .position(|member| ready(self, member))
            .unwrap();
        let result = self.there(&members[index]).unwrap().clone();
        if kind == FirstKind::Pick {
            for (other, member) in members.iter().enumerate() {
                if let (true, Handle::Cell(cell)) = (other != index, member) {
                    self.cancel(*cell, true);
                }
            }
            return Outcome::DoneLater(result);
        }
        Outcome::Done(result)
    }

    fn is_queued(&self, cell: usize) -> bool {
        self.queue
            .iter()
            .any(|entry| matches!(entry, Queued::Thread(thread, _) if *thread == cell))
    }

    fn is_idle_thread(&self, cell: usize) -> bool {
        matches!(
            &self.cells[cell].work,
            Some(Work::Thread(..) | Work::ThreadEnd(_) | Work::ThreadBoth { .. })
        ) && !self.is_queued(cell)
    }

    /// Whether a thread awaits this as the first of what it awaits at once.
    fn is_direct(&self, thread: usize, root: usize) -> bool {
        let Some(Work::ThreadBoth { members, results }) = &self.cells[thread].work else {
            return true;
        };
        // The results are those that were there at the launch.
        let first = results.iter().position(Option::is_none);
        match first.map(|first| &members[first]) {
            Some(Handle::Cell(cell)) => self.root(*cell) == root,
            _ => false,
        }
    }

    /// A member of this cell is there.
    fn told(&mut self, cell: usize, member: usize) {
        if self.is_queued(cell) {
            return;
        }
        match &mut self.cells[cell].work {
            None => return,
            Some(Work::All {
                missing, failure, ..
            }) => {
                *missing -= 1;
                let last = *missing == 0;
                if failure.is_none() {
                    let text = self.cells[member].state.clone().and_then(Result::err);
                    if let Some(Work::All { failure, .. }) = &mut self.cells[cell].work {
                        *failure = text;
                    }
                }
                if !last {
                    return;
                }
            }
            Some(Work::ThreadBoth { members, .. }) => {
                let members = members.clone();
                if members.iter().any(|member| self.there(member).is_none()) {
                    return;
                }
            }
            Some(_) => {}
        }
        let work = self.cells[cell].work.take().unwrap();
        self.leave(cell);
        let name = self.cells[cell].name;
        let is_thread = matches!(work, Work::Thread(..));
        match self.finish(name, work, Some(member)) {
            Outcome::Tie(Handle::Cell(next)) if is_thread && self.cells[next].work.is_some() => {
                // The thread itself waits on: no second cell.
                let work = self.cells[next].work.take();
                self.leave(next);
                let members = work.as_ref().map(Self::members).unwrap_or_default();
                self.cells[cell].work = work;
                self.wait_for(cell, &members);
            }
            outcome => self.conclude(cell, outcome),
        }
    }

    fn conclude(&mut self, cell: usize, outcome: Outcome) {
        let outer = self.root(cell);
        let (result, later) = match outcome {
            Outcome::Done(result) => (result, false),
            // With nothing queued there is nothing to go behind.
            Outcome::DoneLater(result) => (result, !self.queue.is_empty()),
            Outcome::Tie(handle) => match self.there(&handle) {
                Some(result) => (result.clone(), false),
                None => {
                    // Lent right now: waited for by a cell in between.
                    let lent = self.look(&handle).is_some();
                    let handle = if lent {
                        self.launch(0, Work::Quiet(handle))
                    } else {
                        handle
                    };
                    let Handle::Cell(inner) = handle else {
                        unreachable!()
                    };
                    return self.tie(self.root(inner), outer);
                }
            },
        };
        if self.cells[outer].state.is_none() {
            self.cells[outer].state = Some(result);
            self.tell(outer, later);
        }
    }

    fn tie(&mut self, inner: usize, outer: usize) {
        if inner == outer || self.cells[outer].state.is_some() {
            return;
        }
        let from = &mut self.cells[inner];
        let listed = from.listed || !from.borrowers.is_empty() || !from.consumers.is_empty();
        from.tied_to = Some(outer);
        let borrowers = std::mem::take(&mut from.borrowers);
        let consumers = std::mem::take(&mut from.consumers);
        let on_cancel = std::mem::take(&mut from.on_cancel);
        let to = &mut self.cells[outer];
        to.delegate = Some(inner);
        to.listed |= listed;
        to.borrowers.extend(borrowers);
        to.consumers.extend(consumers);
        to.on_cancel.extend(on_cancel);
    }

    /// Takes the cell out of all lists.
    fn leave(&mut self, cell: usize) {
        for other in &mut self.cells {
            other.consumers.retain(|consumer| *consumer != cell);
        }
    }

    fn frame(&mut self, f: impl FnOnce(&mut Model)) {
        self.depth += 1;
        f(self);
        if self.depth == 1 {
            while let Some(entry) = self.queue.pop_front() {
                match entry {
                    Queued::Told(root) => self.notify(root),
                    Queued::Thread(thread, member) => self.told(thread, member),
                }
            }
        }
        self.depth -= 1;
    }

    fn tell(&mut self, root: usize, later: bool) {
        let entry = &self.cells[root];
        if entry.borrowers.is_empty() && entry.consumers.is_empty() && entry.on_cancel.is_empty() {
            return;
        }
        if later && self.depth > 0 {
            let only =
                (self.cells[root].consumers.len() == 1).then(|| self.cells[root].consumers[0]);
            match only {
                Some(thread)
                    if self.is_idle_thread(thread)
                        && self.is_direct(thread, root)
                        && !self.cells[root].listed
                        && self.cells[root].borrowers.is_empty()
                        && self.cells[root].on_cancel.is_empty() =>
                {
                    self.cells[root].consumers.clear();
                    self.queue.push_back(Queued::Thread(thread, root));
                }
                _ => self.queue.push_back(Queued::Told(root)),
            }
        } else {
            self.frame(|model| model.notify(root));
        }
    }

    fn notify(&mut self, root: usize) {
        let result = self.cells[root].state.clone().unwrap();
        let on_cancel = std::mem::take(&mut self.cells[root].on_cancel);
        if result == Err(CANCELED.to_owned()) {
            self.log
                .extend(on_cancel.into_iter().map(|name| (name, Ok(Vec::new()))));
        }
        while let Some((name, callback)) = self.cells[root].borrowers.pop_front() {
            if matches!(
                (callback, &result),
                (Callback::Success, Ok(_)) | (Callback::Failure, Err(_))
            ) {
                self.log.push((name, result.clone()));
            }
        }
        while let Some(consumer) = self.cells[root].consumers.pop_front() {
            self.told(consumer, root);
        }
    }

    fn children(&self, cell: usize) -> Vec<usize> {
        match &self.cells[cell].work {
            Some(Work::Copy { reaches: false, .. }) => Vec::new(),
            Some(work) => {
                let cells = Self::members(work).into_iter();
                cells
                    .filter_map(|member| {
                        if let Handle::Cell(cell) = member {
                            Some(self.root(cell))
                        } else {
                            None
                        }
                    })
                    .collect()
            }
            None => self.cells[cell].delegate.into_iter().collect(),
        }
    }

    fn cancel(&mut self, cell: usize, later: bool) {
        let root = self.root(cell);
        if self.cells[root].state.is_some() {
            return;
        }
        let (mut seen, mut found, mut stack) = (Vec::new(), Vec::new(), vec![root]);
        while let Some(cell) = stack.pop() {
            if seen.contains(&cell) || self.cells[self.root(cell)].state.is_some() {
                continue;
            }
            seen.push(cell);
            if self.cells[cell].cancelable {
                found.push(cell);
            }
            stack.extend(self.children(cell).into_iter().rev());
        }
        self.frame(|model| {
            for cell in &found {
                let root = model.root(*cell);
                if model.cells[root].state.is_none() {
                    model.cells[*cell].work = None;
                    model.leave(*cell);
                    model.cells[root].state = Some(Err(CANCELED.to_owned()));
                }
            }
            for cell in found.iter().rev() {
                let root = model.root(*cell);
                model.tell(root, later);
            }
        });
    }

    /// Whether something can still resolve what this cell waits for.
    fn is_owned(&self, cell: usize, way: &mut Vec<usize>) -> bool {
        if way.contains(&cell) {
            return false;
        }
        way.push(cell);
        let entry = &self.cells[cell];
        let owned = entry.resolvers > 0
            || match &entry.work {
                Some(work) => Self::members(work).iter().any(|member| match member {
                    Handle::Cell(member) if self.look(&Handle::Cell(*member)).is_none() => {
                        self.is_owned(self.root(*member), way)
                    }
                    _ => false,
                }),
                None => entry
                    .delegate
                    .is_some_and(|delegate| self.is_owned(delegate, way)),
            };
        way.pop();
        owned
    }

    /// Takes whatever nothing holds any more out of the lists.
    fn collect(&mut self) {
        let mut live = vec![false; self.cells.len()];
        let mut stack: Vec<usize> = self
            .slots
            .iter()
            .flatten()
            .filter_map(|handle| {
                if let Handle::Cell(cell) = handle {
                    Some(self.root(*cell))
                } else {
                    None
                }
            })
            .collect();
        stack.extend((0..self.cells.len()).filter(|cell| self.is_owned(*cell, &mut Vec::new())));
        while let Some(cell) = stack.pop() {
            if std::mem::replace(&mut live[cell], true) {
                continue;
            }
            let held = self.cells[cell]
                .work
                .iter()
                .flat_map(|work| [Self::members(work), Self::kept(work)].concat());
            let held: Vec<usize> = held
                .filter_map(|handle| {
                    if let Handle::Cell(cell) = handle {
                        Some(self.root(cell))
                    } else {
                        None
                    }
                })
                .collect();
            stack.extend(held);
            stack.extend(self.cells[cell].delegate.filter(|_| KEEPS_DELEGATES));
            stack.extend(self.cells[cell].tied_to);
        }
        for (cell, live) in live.into_iter().enumerate() {
            if !live && self.cells[cell].work.take().is_some() {
                self.leave(cell);
            }
            if !live {
                for other in &mut self.cells {
                    other.delegate = other.delegate.filter(|delegate| *delegate != cell);
                }
            }
        }
    }

    pub fn apply(&mut self, name: usize, action: &Action) {
        if let Some(made) = self.step(name, action) {
            self.slots.push(Some(made));
        }
        self.collect();
    }

    fn step(&mut self, name: usize, action: &Action) -> Option<Handle> {
        let gathered = |model: &mut Model, slots: &[(usize, bool)]| -> Vec<Handle> {
            slots
                .iter()
                .map(|(slot, take)| model.get(*slot, *take))
                .collect()
        };
        let work = match action {
            Action::Wait | Action::Task => {
                let cancelable = matches!(action, Action::Task);
                let cell = self.cell(Cell {
                    cancelable,
                    resolvers: 1,
                    ..Cell::default()
                });
                self.resolvers.push(Some(cell));
                return Some(Handle::Cell(cell));
            }
            Action::Return(value) => return Some(Handle::Inline(Ok(vec![*value]))),
            Action::Fail(name) => return Some(Handle::Inline(Err(format!("failure {name}")))),
            Action::Clone(slot) => return self.slots[*slot].clone(),
            Action::Bind(slot, take, next) => Work::Bind(self.get(*slot, *take), self.then(next)),
            Action::Map(slot, take) => Work::Map(self.get(*slot, *take)),
            Action::Catch(slot, take, next) => Work::Catch(self.get(*slot, *take), self.then(next)),
            Action::TryBind(slot, take, success, failure) => Work::TryBind(
                self.get(*slot, *take),
                self.then(success),
                self.then(failure),
            ),
            Action::Finalize(slot, take, next) => {
                Work::Finalize(self.get(*slot, *take), self.then(next))
            }
            Action::Protected(slot, take) => Work::Copy {
                of: self.get(*slot, *take),
                reaches: false,
            },
            Action::NoCancel(slot, take) => {
                let of = self.get(*slot, *take);
                // The mark says: not cancelable.
                return Some(self.launch(name | 1 << 20, Work::Copy { of, reaches: false }));
            }
            Action::Wrap(slot, take) => Work::Copy {
                of: self.get(*slot, *take),
                reaches: true,
            },
            Action::All(slots) | Action::Both(slots) => {
                let members = gathered(self, slots);
                let all = self.launch(
                    name,
                    Work::All {
                        members,
                        missing: 0,
                        failure: None,
                    },
                );
                Work::Quiet(all)
            }
            Action::Choose(slots) => Work::First(gathered(self, slots), FirstKind::Choose),
            Action::Pick(slots) => Work::First(gathered(self, slots), FirstKind::Pick),
            Action::Nchoose(slots) => {
                let members = gathered(self, slots);
                let many = self.launch(name, Work::First(members, FirstKind::Nchoose));
                Work::Quiet(many)
            }
            Action::Spawn(slot, take, next) => {
                Work::Thread(self.get(*slot, *take), self.then(next))
            }
            Action::SpawnBoth(slots) => Work::ThreadBoth {
                members: gathered(self, slots),
                results: vec![None; slots.len()],
            },
            Action::OnSuccess(slot) | Action::OnFailure(slot) => {
                let callback = if matches!(action, Action::OnSuccess(_)) {
                    Callback::Success
                } else {
                    Callback::Failure
                };
                let handle = self.slots[*slot].clone().unwrap();
                match (self.there(&handle).cloned(), handle) {
                    (Some(result), _) => {
                        if matches!(
                            (callback, &result),
                            (Callback::Success, Ok(_)) | (Callback::Failure, Err(_))
                        ) {
                            self.log.push((name, result));
                        }
                    }
                    (None, Handle::Cell(cell)) => {
                        let root = self.root(cell);
                        self.note_list(root);
                        self.cells[root].borrowers.push_back((name, callback));
                    }
                    _ => unreachable!(),
                }
                return None;
            }
            Action::OnCancel(slot) => {
                let handle = self.slots[*slot].clone().unwrap();
                match (self.there(&handle), &handle) {
                    (Some(Err(text)), _) if text == CANCELED => {
                        self.log.push((name, Ok(Vec::new())))
                    }
                    (None, Handle::Cell(cell)) => {
                        let root = self.root(*cell);
                        self.cells[root].on_cancel.push(name);
                    }
                    _ => {}
                }
                return None;
            }
            Action::Wake(resolver, later) => {
                self.wake(*resolver, Ok(vec![name as u8]), *later);
                return None;
            }
            Action::WakeError(resolver, canceled) => {
                let text = if *canceled {
                    CANCELED.to_owned()
                } else {
                    format!("failure {name}")
                };
                self.wake(*resolver, Err(text), false);
                return None;
            }
            Action::Cancel(slot, later) => {
                if let Some(Handle::Cell(cell)) = self.slots[*slot].clone() {
                    self.cancel(cell, *later);
                }
                return None;
            }
            Action::Drop(slot) => {
                self.slots[*slot] = None;
                return None;
            }
            Action::DropResolver(resolver) => {
                let cell = self.resolvers[*resolver].take().unwrap();
                self.cells[cell].resolvers = 0;
                return None;
            }
        };
        Some(self.launch(name, work))
    }

    fn wake(&mut self, resolver: usize, result: Followed, later: bool) {
        let cell = self.resolvers[resolver].take().unwrap();
        let root = self.root(cell);
        // A wake-up after a cancel is ignored.
        if self.cells[root].state.is_none() {
            self.cells[root].state = Some(result);
            self.tell(root, later);
        }
        self.cells[cell].resolvers = 0;
    }
}
