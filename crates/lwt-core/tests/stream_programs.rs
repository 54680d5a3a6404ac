//! Random programs of pushes, reads, clones, cancels and drops on streams: nothing is lost or doubled, each reader sees
//! each element that it is due once, and every element is dropped exactly once.

mod common;

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

use common::{Counted, DropCount, balanced, sized};
use lwt_core::stream::{BoundedPush, Full, Push};
use lwt_core::*;
use proptest::prelude::*;

type Item = (u32, Counted);

fn config() -> ProptestConfig {
    ProptestConfig {
        cases: sized(192, 1) as u32,
        failure_persistence: None,
        rng_seed: common::rng_seed(),
        ..ProptestConfig::default()
    }
}

#[derive(Clone, Debug)]
enum Step {
    Push,
    Get(usize),
    Next(usize),
    Peek(usize),
    Available(usize),
    Collect(usize),
    Cancel(usize, usize),
    Drop(usize, usize),
    Clone(usize),
    Forget(usize),
    Traverse(usize),
    InFrame(Vec<Step>),
}

fn step() -> impl Strategy<Value = Step> {
    let which = any::<usize>;
    let plain = prop_oneof![
        8 => Just(Step::Push),
        5 => which().prop_map(Step::Get),
        3 => which().prop_map(Step::Next),
        1 => which().prop_map(Step::Peek),
        1 => which().prop_map(Step::Available),
        3 => which().prop_map(Step::Collect),
        2 => (which(), which()).prop_map(|(reader, read)| Step::Cancel(reader, read)),
        4 => (which(), which()).prop_map(|(reader, read)| Step::Drop(reader, read)),
        1 => which().prop_map(Step::Clone),
        1 => which().prop_map(Step::Forget),
        1 => which().prop_map(Step::Traverse),
    ];
    plain.prop_recursive(1, 10, 10, |step| {
        prop::collection::vec(step, 1..10).prop_map(Step::InFrame)
    })
}

enum Read {
    Get(Promise<Option<Item>>),
    Next(Promise<Item>),
}

impl Read {
    fn take(self) -> std::result::Result<Option<u32>, Read> {
        match self {
            Read::Get(promise) => match promise.try_take() {
                Ok(result) => Ok(result.ok().flatten().map(|(name, _)| name)),
                Err(promise) => Err(Read::Get(promise)),
            },
            Read::Next(promise) => match promise.try_take() {
                Ok(result) => Ok(result.ok().map(|(name, _)| name)),
                Err(promise) => Err(Read::Next(promise)),
            },
        }
    }

    fn cancel(&self) {
        match self {
            Read::Get(promise) => promise.cancel(),
            Read::Next(promise) => promise.cancel(),
        }
    }
}

/// One cursor, and what it should see.
struct Reader {
    stream: Stream<Item>,
    due: Vec<u32>,
    got: Vec<u32>,
    reads: Vec<Read>,
}

impl Reader {
    fn add(&mut self, read: Read) {
        match read.take() {
            Ok(name) => self.got.extend(name),
            Err(read) => self.reads.push(read),
        }
    }

    /// Looks at what was handed over.
    fn collect(&mut self) {
        for read in std::mem::take(&mut self.reads) {
            self.add(read);
        }
    }

    /// Reads the rest and checks that everything was seen once.
    fn finish(mut self) {
        self.collect();
        let rest = self.stream.get_available().expect("no source fails");
        self.got.extend(rest.into_iter().map(|(name, _)| name));
        self.got.sort_unstable();
        assert_eq!(self.got, self.due);
    }
}

struct Program {
    count: DropCount,
    push: Push<Item>,
    next: u32,
    readers: Vec<Reader>,
    traversals: Vec<Promise<Vec<Item>>>,
}

impl Program {
    fn run(&mut self, step: &Step) {
        let readers = self.readers.len();
        match step {
            Step::Push => {
                let item = (self.next, self.count.value());
                if self.push.push(item).is_ok() {
                    for reader in &mut self.readers {
                        reader.due.push(self.next);
                    }
                }
                self.next += 1;
            }
            Step::InFrame(steps) => scheduler::frame(|| {
                for step in steps {
                    self.run(step);
                }
            }),
            _ if readers == 0 => {}
            Step::Get(which) => {
                let reader = &mut self.readers[which % readers];
                let read = Read::Get(reader.stream.get());
                reader.add(read);
            }
            Step::Next(which) => {
                let reader = &mut self.readers[which % readers];
                let read = Read::Next(reader.stream.next());
                reader.add(read);
            }
            Step::Peek(which) => {
                let peeked = self.readers[which % readers].stream.peek();
                if let State::Return(Some((name, _))) = peeked.state() {
                    assert!(self.readers[which % readers].due.contains(name));
                }
                peeked.cancel();
            }
            Step::Available(which) => {
                let reader = &mut self.readers[which % readers];
                let items = reader.stream.get_available().expect("no source fails");
                reader.got.extend(items.into_iter().map(|(name, _)| name));
            }
            Step::Collect(which) => self.readers[which % readers].collect(),
            Step::Cancel(which, read) => {
                let reader = &mut self.readers[which % readers];
                if !reader.reads.is_empty() {
                    let index = read % reader.reads.len();
                    let read = reader.reads.remove(index);
                    read.cancel();
                    reader.add(read);
                }
            }
            Step::Drop(which, read) => {
                let reader = &mut self.readers[which % readers];
                if !reader.reads.is_empty() {
                    let index = read % reader.reads.len();
                    drop(reader.reads.remove(index));
                }
            }
            Step::Clone(which) => {
                let reader = &mut self.readers[which % readers];
                reader.collect();
                let due = reader.due.iter().copied();
                let due = due.filter(|name| !reader.got.contains(name)).collect();
                let stream = reader.stream.clone();
                self.readers.push(Reader {
                    stream,
                    due,
                    got: Vec::new(),
                    reads: Vec::new(),
                });
            }
            Step::Forget(which) => {
                if readers > 1 {
                    drop(self.readers.remove(which % readers));
                }
            }
            Step::Traverse(which) => {
                // It gives everything back when it is cancelled.
                let collecting = self.readers[which % readers].stream.to_vec();
                collecting.cancel();
                self.traversals.push(collecting);
            }
        }
    }
}

#[derive(Clone, Debug)]
enum BoundedStep {
    Push,
    TryPush,
    CancelPush,
    DropPush,
    Get,
    DropReads,
    CancelRead,
    Resize(usize),
    InFrame(Vec<BoundedStep>),
}

fn bounded_step() -> impl Strategy<Value = BoundedStep> {
    let plain = prop_oneof![
        6 => Just(BoundedStep::Push),
        2 => Just(BoundedStep::TryPush),
        1 => Just(BoundedStep::CancelPush),
        1 => Just(BoundedStep::DropPush),
        6 => Just(BoundedStep::Get),
        1 => Just(BoundedStep::DropReads),
        1 => Just(BoundedStep::CancelRead),
        1 => (0..4usize).prop_map(BoundedStep::Resize),
    ];
    plain.prop_recursive(1, 8, 8, |step| {
        prop::collection::vec(step, 1..8).prop_map(BoundedStep::InFrame)
    })
}

struct Bounded {
    count: DropCount,
    stream: Stream<Item>,
    push: BoundedPush<Item>,
    next: u32,
    accepted: Vec<u32>,
    blocked: Option<(u32, Promise<()>)>,
    reads: VecDeque<Promise<Option<Item>>>,
    got: Vec<u32>,
}

impl Bounded {
    fn run(&mut self, step: &BoundedStep) {
        match step {
            BoundedStep::Push => {
                let name = self.next;
                self.next += 1;
                let promise = self.push.push((name, self.count.value()));
                match promise.state() {
                    State::Return(()) => self.accepted.push(name),
                    State::Fail(error) => assert!(error.is::<Full>()),
                    State::Sleep => {
                        assert!(self.blocked.is_none());
                        self.blocked = Some((name, promise));
                    }
                }
            }
            BoundedStep::TryPush => {
                let name = self.next;
                self.next += 1;
                match self.push.try_push((name, self.count.value())) {
                    Ok(()) => self.accepted.push(name),
                    Err((back, _)) => assert_eq!(back, name),
                }
            }
            BoundedStep::CancelPush => {
                if let Some((_, promise)) = self.blocked.take() {
                    promise.cancel();
                    assert!(common::is_canceled(&promise));
                }
            }
            BoundedStep::DropPush => drop(self.blocked.take()),
            BoundedStep::Get => self.reads.push_back(self.stream.get()),
            BoundedStep::DropReads => self.reads.retain(|read| !read.is_sleeping()),
            BoundedStep::CancelRead => {
                if let Some(read) = self.reads.pop_back() {
                    read.cancel();
                    if let Ok(Ok(Some((name, _)))) = read.try_take() {
                        self.got.push(name);
                    }
                }
            }
            BoundedStep::Resize(size) => self.push.resize(*size),
            BoundedStep::InFrame(steps) => scheduler::frame(|| {
                for step in steps {
                    self.run(step);
                }
            }),
        }
        if let Some((name, promise)) = self.blocked.take_if(|(_, promise)| !promise.is_sleeping()) {
            common::value(&promise);
            self.accepted.push(name);
        }
        assert_eq!(self.push.is_blocked(), self.blocked.is_some());
    }

    fn collect(&mut self) {
        for read in std::mem::take(&mut self.reads) {
            match read.try_take() {
                Ok(Ok(Some((name, _)))) => self.got.push(name),
                Ok(other) => panic!("{:?}", other.map(|_| "the end")),
                Err(read) => self.reads.push_back(read),
            }
        }
    }
}

#[derive(Clone, Debug)]
enum SourceStep {
    Get(bool),
    Answer,
    Fail,
    Abandon,
    CancelRead(usize),
    DropRead(usize),
    InFrame(Vec<SourceStep>),
}

fn source_step() -> impl Strategy<Value = SourceStep> {
    let plain = prop_oneof![
        5 => any::<bool>().prop_map(SourceStep::Get),
        6 => Just(SourceStep::Answer),
        1 => Just(SourceStep::Fail),
        1 => Just(SourceStep::Abandon),
        2 => any::<usize>().prop_map(SourceStep::CancelRead),
        2 => any::<usize>().prop_map(SourceStep::DropRead),
    ];
    plain.prop_recursive(1, 8, 8, |step| {
        prop::collection::vec(step, 1..8).prop_map(SourceStep::InFrame)
    })
}

#[derive(Default)]
struct Asked {
    calls: Rc<RefCell<VecDeque<Resolver<Option<Item>>>>>,
    streams: Vec<Stream<Item>>,
    reads: Vec<Vec<Promise<Option<Item>>>>,
    got: Vec<Vec<u32>>,
    next: u32,
    count: DropCount,
}

impl Asked {
    fn run(&mut self, step: &SourceStep) {
        assert!(self.calls.borrow().len() <= 1, "one call at a time");
        match step {
            SourceStep::Get(second) => {
                let which = usize::from(*second);
                self.reads[which].push(self.streams[which].get());
            }
            SourceStep::Answer => {
                if let Some(call) = self.call() {
                    call.resolve(Some((self.next, self.count.value())));
                    self.next += 1;
                }
            }
            SourceStep::Fail => {
                if let Some(call) = self.call() {
                    call.reject(Error::message("no"));
                }
            }
            SourceStep::Abandon => drop(self.call()),
            SourceStep::CancelRead(read) => {
                if let Some((which, read)) = self.choose(*read) {
                    read.cancel();
                    self.take(which, read);
                }
            }
            SourceStep::DropRead(read) => {
                if let Some((which, read)) = self.choose(*read) {
                    if read.is_sleeping() {
                        drop(read);
                    } else {
                        self.take(which, read);
                    }
                }
            }
            SourceStep::InFrame(steps) => scheduler::frame(|| {
                for step in steps {
                    self.run(step);
                }
            }),
        }
    }

    fn call(&self) -> Option<Resolver<Option<Item>>> {
        self.calls.borrow_mut().pop_front()
    }

    fn choose(&mut self, read: usize) -> Option<(usize, Promise<Option<Item>>)> {
        let which = read % 2;
        let reads = &mut self.reads[which];
        (!reads.is_empty()).then(|| (which, reads.remove(read / 2 % reads.len())))
    }

    fn take(&mut self, which: usize, read: Promise<Option<Item>>) {
        if let Ok(Ok(Some((name, _)))) = read.try_take() {
            self.got[which].push(name);
        }
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn each_reader_sees_each_element_once(steps in prop::collection::vec(step(), 0..80)) {
        balanced(|| {
            let count = DropCount::default();
            let (stream, push) = Stream::create();
            let mut program = Program {
                count: count.clone(),
                push,
                next: 0,
                readers: vec![Reader { stream, due: Vec::new(), got: Vec::new(), reads: Vec::new() }],
                traversals: Vec::new(),
            };
            for step in &steps {
                program.run(step);
            }
            program.push.close();
            assert!(program.traversals.iter().all(|traversal| !traversal.is_sleeping()));
            // One that read to the end before it was cancelled has its elements.
            let Program { readers, traversals, .. } = program;
            drop(traversals);
            readers.into_iter().for_each(Reader::finish);
            assert_eq!(count.alive(), 0);
        });
    }

    #[test]
    fn one_reader_sees_the_elements_in_order(
        script in prop::collection::vec((0..4u8, any::<bool>()), 0..120)
    ) {
        balanced(|| {
            let (stream, push) = Stream::create();
            let mut seen = Vec::new();
            let mut waiting: Option<Promise<Option<u32>>> = None;
            let mut next = 0u32;
            for (action, drops) in script {
                match action {
                    0 | 1 => {
                        push.push(next).unwrap();
                        next += 1;
                        if drops {
                            // What it was handed goes back to the front.
                            drop(waiting.take_if(|read| !read.is_sleeping()));
                        }
                    }
                    _ if waiting.is_none() => {
                        let read = stream.get();
                        match read.try_take() {
                            Ok(result) => seen.extend(result.unwrap()),
                            Err(read) => waiting = Some(read),
                        }
                    }
                    _ => {
                        if let Some(read) = waiting.take() {
                            match read.try_take() {
                                Ok(result) => seen.extend(result.unwrap()),
                                Err(read) if drops => drop(read),
                                Err(read) => read.cancel(),
                            }
                        }
                    }
                }
            }
            drop(waiting);
            seen.extend(stream.get_available().unwrap());
            assert_eq!(seen, (0..next).collect::<Vec<_>>());
        });
    }

    #[test]
    fn a_bounded_stream_gives_what_it_accepted_in_order(
        size in 0..4usize,
        steps in prop::collection::vec(bounded_step(), 0..80)
    ) {
        balanced(|| {
            let count = DropCount::default();
            let (stream, push) = Stream::create_bounded(size);
            let mut program = Bounded {
                count: count.clone(),
                stream,
                push,
                next: 0,
                accepted: Vec::new(),
                blocked: None,
                reads: VecDeque::new(),
                got: Vec::new(),
            };
            for step in &steps {
                program.run(step);
            }
            program.collect();
            drop(program.blocked.take());
            program.reads.clear();
            let rest = program.stream.get_available().unwrap();
            program.got.extend(rest.into_iter().map(|(name, _)| name));
            program.got.sort_unstable();
            assert_eq!(program.got, program.accepted);
            drop(program);
            assert_eq!(count.alive(), 0);
        });
    }

    #[test]
    fn each_answer_of_a_source_is_seen_once_by_each_reader(
        steps in prop::collection::vec(source_step(), 0..80)
    ) {
        balanced(|| {
            let mut program = Asked::default();
            let count = program.count.clone();
            let calls = program.calls.clone();
            let stream = Stream::from(move || {
                let (promise, resolver) = task();
                calls.borrow_mut().push_back(resolver);
                promise
            });
            program.streams = vec![stream.clone(), stream];
            program.reads = vec![Vec::new(), Vec::new()];
            program.got = vec![Vec::new(), Vec::new()];
            for step in &steps {
                program.run(step);
            }
            for which in 0..2 {
                for read in std::mem::take(&mut program.reads[which]) {
                    program.take(which, read);
                }
                let rest = program.streams[which].get_available().unwrap();
                let got = &mut program.got[which];
                got.extend(rest.into_iter().map(|(name, _)| name));
                got.sort_unstable();
                assert_eq!(*got, (0..program.next).collect::<Vec<_>>());
            }
            drop(program);
            assert_eq!(count.alive(), 0);
        });
    }
}
