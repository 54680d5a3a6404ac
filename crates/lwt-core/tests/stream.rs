//! Section 9 of the behaviour of the core, as far as streams are built: sources, pushes, readers, clones, the end.
//! Cancel and drop at every suspension; random programs are in `stream_programs.rs`.
//!
//! Long because it is one section, statement by statement, in its order.

mod common;

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use common::{DropCount, Log, OnDrop, balanced, failure, is_canceled, sized, time_limit, value};
use lwt_core::stream::{Closed, Empty, Full, ReadersGone, SourceDropped};
use lwt_core::*;

/// A source that is answered by hand: each call waits for an entry of the list.
struct ByHand<T: 'static> {
    calls: Rc<RefCell<VecDeque<Resolver<Option<T>>>>>,
    made: Rc<Cell<usize>>,
}

impl<T> Clone for ByHand<T> {
    fn clone(&self) -> ByHand<T> {
        ByHand {
            calls: self.calls.clone(),
            made: self.made.clone(),
        }
    }
}

impl<T: 'static> ByHand<T> {
    fn new() -> ByHand<T> {
        ByHand {
            calls: Rc::default(),
            made: Rc::default(),
        }
    }

    fn stream(&self) -> Stream<T> {
        let source = self.clone();
        Stream::from(move || {
            let (promise, resolver) = task();
            source.calls.borrow_mut().push_back(resolver);
            source.made.set(source.made.get() + 1);
            promise
        })
    }

    fn outstanding(&self) -> usize {
        self.calls.borrow().len()
    }

    fn call(&self) -> Resolver<Option<T>> {
        let call = self.calls.borrow_mut().pop_front();
        call.expect("a call is outstanding")
    }

    fn answer(&self, element: T) {
        self.call().resolve(Some(element));
    }
}

#[test]
fn s9_1_clones_share_source_and_elements() {
    let _limit = time_limit(10);
    balanced(|| {
        let source = ByHand::new();
        let first = source.stream();
        let second = first.clone();
        let (a, b) = (first.get(), second.get());
        assert_eq!(source.made.get(), 1, "asked once for both");
        source.answer("x".to_owned());
        assert_eq!(value(&a).as_deref(), Some("x"));
        assert_eq!(value(&b).as_deref(), Some("x"));
        let a = first.get();
        source.answer("y".to_owned());
        assert_eq!(value(&a).as_deref(), Some("y"));
        assert_eq!(value(&second.get()).as_deref(), Some("y"));
        assert_eq!(source.made.get(), 2);
    });
}

#[test]
fn s9_1_the_last_reader_gets_the_element_itself() {
    let _limit = time_limit(10);
    balanced(|| {
        let count = DropCount::default();
        let (first, push) = Stream::create();
        for _ in 0..4 {
            push.push(count.value()).unwrap();
        }
        let second = first.clone();
        let third = second.clone();
        for stream in [&first, &second, &third] {
            drop(stream.get());
        }
        assert_eq!(count.made(), 4 + 2, "two clones of the first element");
        assert_eq!(count.alive(), 3);
        drop(first);
        drop(second.get());
        drop(third);
        assert_eq!(count.alive(), 2);
        drop(second);
        assert_eq!(count.alive(), 0);
        assert!(push.is_abandoned());
    });
}

#[test]
fn s9_2_a_clone_starts_at_the_position_of_the_original() {
    let _limit = time_limit(10);
    balanced(|| {
        let (first, push) = Stream::create();
        for number in 0..6 {
            push.push(number).unwrap();
        }
        drop(first.get());
        let second = first.clone();
        drop(first.get());
        let third = first.clone();
        drop(second.get());
        drop(second.get());
        let fourth = second.clone();
        push.close();
        assert_eq!(value(&first.to_vec()), [2, 3, 4, 5]);
        assert_eq!(value(&second.to_vec()), [3, 4, 5]);
        assert_eq!(value(&third.to_vec()), [2, 3, 4, 5]);
        assert_eq!(value(&fourth.to_vec()), [3, 4, 5]);
    });
}

#[test]
fn s9_3_waiting_readers_get_elements_of_their_own() {
    let _limit = time_limit(10);
    balanced(|| {
        // Pushed.
        let (stream, push) = Stream::create();
        let readers: Vec<_> = (0..3).map(|_| stream.get()).collect();
        push.push(1).unwrap();
        assert!(readers[1].is_sleeping());
        push.push(2).unwrap();
        push.push(3).unwrap();
        let got: Vec<_> = readers.iter().map(value).collect();
        assert_eq!(got, [Some(1), Some(2), Some(3)]);
        // Asked for: the source is called again for the second reader.
        let source = ByHand::new();
        let stream = source.stream();
        let readers: Vec<_> = (0..3).map(|_| stream.get()).collect();
        assert_eq!(source.made.get(), 1);
        source.answer(1);
        assert_eq!(source.made.get(), 2);
        source.answer(2);
        source.answer(3);
        assert_eq!(source.made.get(), 3, "nobody waits for a fourth");
        let got: Vec<_> = readers.iter().map(value).collect();
        assert_eq!(got, [Some(1), Some(2), Some(3)]);
    });
}

#[test]
fn s9_3_two_traversals_share_the_elements() {
    let _limit = time_limit(10);
    balanced(|| {
        let (stream, push) = Stream::create();
        let (a, b) = (stream.to_vec(), stream.to_vec());
        for number in 0..10 {
            push.push(number).unwrap();
        }
        push.close();
        let mut all = value(&a);
        all.extend(value(&b));
        all.sort_unstable();
        assert_eq!(all, (0..10).collect::<Vec<_>>());
    });
}

#[test]
fn s9_5_at_most_one_call_is_outstanding() {
    let _limit = time_limit(10);
    balanced(|| {
        let source = ByHand::new();
        let stream = source.stream();
        let readers: Vec<_> = (0..3).map(|_| stream.get()).collect();
        let peeking = stream.peek();
        assert_eq!(source.outstanding(), 1);
        for number in 0..4 {
            assert_eq!(source.outstanding(), 1);
            source.answer(number);
        }
        assert_eq!(source.outstanding(), 0);
        let got: Vec<_> = readers.iter().map(value).collect();
        assert_eq!(got, [Some(0), Some(1), Some(2)]);
        assert_eq!(value(&peeking), Some(3));
        assert_eq!(value(&stream.get()), Some(3));
    });
}

#[test]
fn s9_5_cancelling_or_dropping_a_reader_leaves_the_call_alone() {
    let _limit = time_limit(10);
    balanced(|| {
        let source = ByHand::new();
        let stream = source.stream();
        let reader = stream.get();
        reader.cancel();
        assert!(is_canceled(&reader));
        assert!(source.calls.borrow()[0].is_pending());
        drop(stream.get());
        assert_eq!(source.made.get(), 1);
        source.answer("kept");
        assert_eq!(value(&stream.get()), Some("kept"));
        assert_eq!(source.made.get(), 1);
    });
}

#[test]
fn s9_6_after_the_end_the_source_is_not_called_again() {
    let _limit = time_limit(10);
    balanced(|| {
        let source = ByHand::<u32>::new();
        let stream = source.stream();
        let (a, b) = (stream.get(), stream.next());
        let (peeking, empty, closed) = (stream.peek(), stream.is_empty(), stream.closed());
        assert!(!stream.is_closed());
        source.call().resolve(None);
        assert_eq!(value(&a), None);
        assert!(failure(&b).is::<Empty>());
        assert_eq!(value(&peeking), None);
        assert!(value(&empty));
        value(&closed);
        for _ in 0..3 {
            assert_eq!(value(&stream.get()), None);
            assert!(failure(&stream.next()).is::<Empty>());
        }
        assert!(stream.is_closed());
        assert_eq!(source.made.get(), 1);
    });
}

#[test]
fn s9_6_the_source_is_dropped_at_the_end() {
    let _limit = time_limit(10);
    balanced(|| {
        let log = Log::new();
        let guard = OnDrop::new(log.note("dropped"));
        let stream = Stream::<u32>::from(move || {
            let _ = &guard;
            return_none()
        });
        assert_eq!(value(&stream.get()), None);
        assert_eq!(log.take(), ["dropped"]);
    });
}

#[test]
fn s9_7_a_failing_call_fails_all_who_wait_and_is_not_remembered() {
    let _limit = time_limit(10);
    balanced(|| {
        let source = ByHand::new();
        let stream = source.stream();
        let other = stream.clone();
        let readers = [stream.get(), stream.get(), other.get()];
        let (next, peeking) = (stream.next(), stream.peek());
        source.call().reject(Error::message("no"));
        for reader in &readers {
            assert_eq!(failure(reader).to_string(), "no");
        }
        assert_eq!(failure(&next).to_string(), "no");
        assert_eq!(failure(&peeking).to_string(), "no");
        assert!(!stream.is_closed());
        let again = stream.get();
        assert_eq!(source.made.get(), 2);
        source.answer(1);
        assert_eq!(value(&again), Some(1));
        assert_eq!(value(&other.get()), Some(1));
    });
}

#[test]
fn s9_8_an_immediate_failure_is_a_failed_promise() {
    let _limit = time_limit(10);
    balanced(|| {
        let calls = Rc::new(Cell::new(0));
        let stream = Stream::from({
            let calls = calls.clone();
            move || {
                calls.set(calls.get() + 1);
                match calls.get() {
                    1 => fail_with("no"),
                    2 => panic!("boom"),
                    3 => return_some(3),
                    _ => return_none(),
                }
            }
        });
        assert_eq!(failure(&stream.get()).to_string(), "no");
        assert!(failure(&stream.next()).is_panic());
        assert_eq!(value(&stream.get()), Some(3));
        assert_eq!(value(&stream.get()), None);
    });
}

#[test]
fn s9_10_pushes_are_queued_without_limit_and_refused_after_the_end() {
    let _limit = time_limit(10);
    balanced(|| {
        let (stream, push) = Stream::create();
        for number in 0..10_000 {
            push.push(number).unwrap();
        }
        push.close();
        push.close();
        assert!(push.push(0).unwrap_err().is::<Closed>());
        assert_eq!(value(&stream.to_vec()), (0..10_000).collect::<Vec<_>>());
        assert_eq!(value(&stream.get()), None);
    });
}

#[test]
fn s9_11_readers_are_told_of_the_end_before_closed() {
    let _limit = time_limit(10);
    balanced(|| {
        let log = Log::new();
        let (stream, push) = Stream::<u32>::create();
        let closed = stream.closed();
        closed.on_success({
            let log = log.clone();
            move |()| log.push("closed")
        });
        let reader = stream.get();
        reader.on_success({
            let log = log.clone();
            move |_| log.push("reader")
        });
        closed.cancel();
        assert!(closed.is_sleeping(), "it cannot be cancelled");
        push.close();
        assert_eq!(log.take(), ["reader", "closed"]);
        value(&stream.closed());
    });
}

#[test]
fn s9_12_pushing_keeps_no_unread_elements() {
    let _limit = time_limit(10);
    balanced(|| {
        let count = DropCount::default();
        let (stream, push) = Stream::create();
        let other = stream.clone();
        push.push(count.value()).unwrap();
        drop(stream);
        assert_eq!(count.alive(), 1);
        drop(other);
        assert_eq!(count.alive(), 0);
        assert!(push.push(count.value()).unwrap_err().is::<ReadersGone>());
        assert_eq!(count.alive(), 0);
        push.close();
    });
}

#[test]
fn s9_13_closed_is_announced_while_elements_are_unread() {
    let _limit = time_limit(10);
    balanced(|| {
        let (stream, push) = Stream::create();
        push.push(1).unwrap();
        assert!(!stream.is_closed());
        push.close();
        assert!(stream.is_closed() && push.is_closed());
        assert!(!value(&stream.is_empty()));
        assert_eq!(value(&stream.get()), Some(1));
        assert!(value(&stream.is_empty()));
        assert!(Stream::of_vec(vec![1]).is_closed());
        let asked = Stream::of_iter([1]);
        assert_eq!(value(&asked.get()), Some(1));
        assert!(!asked.is_closed());
        assert_eq!(value(&asked.get()), None);
        assert!(asked.is_closed());
    });
}

#[test]
fn d5_a_dropped_source_is_not_the_end() {
    let _limit = time_limit(10);
    balanced(|| {
        let (stream, push) = Stream::create();
        let another = push.clone();
        push.push(1).unwrap();
        drop(push);
        assert_eq!(value(&stream.get()), Some(1));
        let (reader, next) = (stream.get(), stream.next());
        let (peeking, closed) = (stream.peek(), stream.closed());
        assert!(reader.is_sleeping());
        another.push(2).unwrap();
        assert_eq!(value(&reader), Some(2));
        drop(another);
        assert!(failure(&next).is::<SourceDropped>());
        assert!(failure(&peeking).is::<SourceDropped>());
        assert!(failure(&closed).is::<SourceDropped>());
        assert!(failure(&stream.get()).is::<SourceDropped>());
        assert!(failure(&stream.to_vec()).is::<SourceDropped>());
        assert!(!stream.is_closed());
        assert!(stream.get_available().unwrap().is_empty());
    });
}

#[test]
fn d5_a_call_that_nothing_can_answer_fails_and_the_next_read_asks_again() {
    let _limit = time_limit(10);
    balanced(|| {
        let source = ByHand::new();
        let stream = source.stream();
        let (a, b) = (stream.get(), stream.peek());
        drop(source.call());
        assert!(failure(&a).is::<SourceDropped>());
        assert!(failure(&b).is::<SourceDropped>());
        let again = stream.get();
        source.answer(1);
        assert_eq!(value(&again), Some(1));
        // Dropped before the call even returned.
        let stream = Stream::<u32>::from(forever);
        assert!(failure(&stream.get()).is::<SourceDropped>());
        assert!(failure(&stream.is_empty()).is::<SourceDropped>());
        assert!(stream.get_available().unwrap_err().is::<SourceDropped>());
    });
}

#[test]
fn s9_15_a_bounded_stream_takes_n_and_blocks_one_more() {
    let _limit = time_limit(10);
    balanced(|| {
        let (stream, push) = Stream::create_bounded(2);
        assert_eq!(push.size(), 2);
        value(&push.push(1));
        value(&push.push(2));
        assert!(!push.is_blocked());
        let third = push.push(3);
        assert!(third.is_sleeping() && push.is_blocked());
        assert_eq!(push.count(), 2);
        assert!(failure(&push.push(4)).is::<Full>());
        assert_eq!(push.try_push(5), Err(5));
        assert_eq!(value(&stream.get()), Some(1));
        value(&third);
        assert_eq!((push.count(), push.is_blocked()), (2, false));
        assert_eq!(stream.get_available().unwrap(), [2, 3]);
        value(&push.push(6));
        assert_eq!(value(&stream.next()), 6);
    });
}

#[test]
fn s9_15_a_waiting_reader_gets_a_bounded_push_at_once() {
    let _limit = time_limit(10);
    balanced(|| {
        let (stream, push) = Stream::create_bounded(1);
        let (a, b) = (stream.get(), stream.next());
        value(&push.push(1));
        value(&push.push(2));
        assert_eq!(push.count(), 0);
        assert_eq!((value(&a), value(&b)), (Some(1), 2));
    });
}

#[test]
fn s9_16_withdrawing_the_blocked_push_frees_the_place() {
    let _limit = time_limit(10);
    balanced(|| {
        let count = DropCount::default();
        let (stream, push) = Stream::create_bounded(1);
        value(&push.push((1, count.value())).map(drop));
        let cancelled = push.push((2, count.value()));
        cancelled.cancel();
        assert!(is_canceled(&cancelled));
        assert!(!push.is_blocked());
        assert_eq!(count.alive(), 1);
        drop(push.push((3, count.value())));
        let kept = push.push((4, count.value()));
        assert!(kept.is_sleeping());
        let mut names = Vec::new();
        for _ in 0..2 {
            names.push(stream.next().try_take().ok().unwrap().unwrap().0);
        }
        assert_eq!(names, [1, 4]);
        assert!(stream.get().is_sleeping());
        assert_eq!(count.alive(), 0);
    });
}

#[test]
fn s9_17_close_refuses_the_blocked_push_and_keeps_the_queue() {
    let _limit = time_limit(10);
    balanced(|| {
        let count = DropCount::default();
        let (stream, push) = Stream::create_bounded(1);
        drop(push.push(count.value()));
        let blocked = push.push(count.value());
        push.close();
        push.close();
        assert!(failure(&blocked).is::<Closed>());
        assert_eq!(count.alive(), 1);
        assert!(failure(&push.push(count.value())).is::<Closed>());
        assert!(push.try_push(count.value()).is_err());
        assert!(push.is_closed() && stream.is_closed());
        assert!(matches!(stream.get().state(), State::Return(Some(_))));
        assert!(matches!(stream.get().state(), State::Return(None)));
        assert_eq!(count.alive(), 0);

        let (stream, push) = Stream::<u32>::create_bounded(1);
        let (reader, next) = (stream.get(), stream.next());
        push.close();
        assert_eq!(value(&reader), None);
        assert!(failure(&next).is::<Empty>());
        assert_eq!(push.size(), 1);
    });
}

#[test]
fn s9_18_resize_lets_in_and_keeps_what_is_there() {
    let _limit = time_limit(10);
    balanced(|| {
        let (stream, push) = Stream::create_bounded(3);
        for number in 0..3 {
            value(&push.push(number));
        }
        let blocked = push.push(3);
        push.resize(4);
        value(&blocked);
        assert_eq!(push.count(), 4);
        push.resize(1);
        assert_eq!((push.size(), push.count()), (1, 4));
        let blocked = push.push(4);
        assert!(blocked.is_sleeping());
        // Each read lets the blocked one in at once, though there are more than the new size.
        assert_eq!(value(&stream.get()), Some(0));
        value(&blocked);
        assert_eq!(push.count(), 4);
        for expected in 1..4 {
            assert!(push.try_push(9).is_err());
            assert_eq!(value(&stream.get()), Some(expected));
        }
        assert_eq!(push.count(), 1);
        assert!(push.try_push(9).is_err());
        assert_eq!(value(&stream.get()), Some(4));
        assert_eq!(push.try_push(9), Ok(()));
    });
}

#[test]
fn s9_19_at_capacity_zero_only_a_resize_lets_in() {
    let _limit = time_limit(10);
    balanced(|| {
        let (stream, push) = Stream::create_bounded(0);
        let reader = stream.get();
        let blocked = push.push(1);
        assert!(reader.is_sleeping() && blocked.is_sleeping());
        assert!(stream.get_available().unwrap().is_empty());
        push.resize(1);
        value(&blocked);
        assert_eq!(value(&reader), Some(1));
        assert_eq!(push.count(), 0);
    });
}

#[test]
fn s9_20_a_bounded_stream_cannot_be_cloned() {
    let _limit = time_limit(10);
    balanced(|| {
        let (stream, push) = Stream::<u32>::create_bounded(1);
        let panic = common::quietly(|| drop(stream.clone())).unwrap_err();
        let text = panic.downcast_ref::<String>().unwrap();
        assert!(text.starts_with("invalid argument: "), "{text}");
        assert!(text.contains("stream.rs"), "{text}");
        // Nothing is broken by that.
        value(&push.push(1));
        assert_eq!(value(&stream.get()), Some(1));
    });
}

#[test]
fn d5_a_dropped_bounded_source_lets_the_blocked_push_in_first() {
    let _limit = time_limit(10);
    balanced(|| {
        let (stream, push) = Stream::create_bounded(1);
        value(&push.push(1));
        let blocked = push.push(2);
        drop(push);
        value(&blocked);
        assert_eq!(value(&stream.get()), Some(1));
        assert_eq!(value(&stream.get()), Some(2));
        assert!(failure(&stream.get()).is::<SourceDropped>());
    });
}

#[test]
fn a_blocked_push_fails_when_the_readers_go() {
    let _limit = time_limit(10);
    balanced(|| {
        let count = DropCount::default();
        let (stream, push) = Stream::create_bounded(1);
        drop(push.push(count.value()));
        let blocked = push.push(count.value());
        drop(stream);
        assert!(failure(&blocked).is::<ReadersGone>());
        assert!(failure(&push.push(count.value())).is::<ReadersGone>());
        assert_eq!(count.alive(), 0);
    });
}

#[test]
fn s9_22_peek_does_not_move() {
    let _limit = time_limit(10);
    balanced(|| {
        let (stream, push) = Stream::create();
        let (early, later) = (stream.peek(), stream.peek());
        push.push("a").unwrap();
        push.push("b").unwrap();
        assert_eq!((value(&early), value(&later)), (Some("a"), Some("a")));
        assert_eq!(value(&stream.peek()), Some("a"));
        let other = stream.clone();
        assert_eq!(value(&other.peek()), Some("a"));
        assert_eq!(value(&stream.get()), Some("a"));
        assert_eq!(value(&stream.peek()), Some("b"));
        assert_eq!(value(&other.get()), Some("a"));
        // A peek that was woken for an element which somebody took waits on.
        assert_eq!(value(&stream.get()), Some("b"));
        let waiting = scheduler::frame(|| {
            let waiting = stream.peek();
            push.push("c").unwrap();
            assert_eq!(value(&stream.get()), Some("c"));
            waiting
        });
        assert!(waiting.is_sleeping());
        push.push("d").unwrap();
        assert_eq!(value(&waiting), Some("d"));
        push.close();
        assert_eq!(value(&other.to_vec()), ["b", "c", "d"]);
    });
}

#[test]
fn s9_25_get_available_never_waits_and_loses_nothing() {
    let _limit = time_limit(10);
    balanced(|| {
        let mut calls = 0;
        let stream = Stream::from(move || {
            calls += 1;
            match calls {
                4 => fail_with("no"),
                7 => task().0,
                _ => return_some(calls),
            }
        });
        assert_eq!(stream.get_available().unwrap_err().to_string(), "no");
        // What was taken before the failure is there again.
        assert_eq!(value(&stream.get()), Some(1));
        assert!(stream.get_available().unwrap_err().is::<SourceDropped>());
        for expected in [2, 3, 5, 6, 8] {
            assert_eq!(value(&stream.get()), Some(expected));
        }
        let source = ByHand::<u32>::new();
        let stream = source.stream();
        assert!(stream.get_available().unwrap().is_empty());
        source.answer(1);
        assert_eq!(stream.get_available().unwrap(), [1]);
        assert_eq!(source.outstanding(), 1);
    });
}

#[test]
fn m3_an_element_that_was_not_looked_at_goes_back_to_the_front() {
    let _limit = time_limit(10);
    balanced(|| {
        let count = DropCount::default();
        let (stream, push) = Stream::create();
        let (first, second) = (stream.get(), stream.next());
        for name in 0..3 {
            push.push((name, count.value())).unwrap();
        }
        drop(first);
        drop(second);
        for expected in 0..3 {
            let (name, _) = stream.next().try_take().ok().unwrap().unwrap();
            assert_eq!(name, expected);
        }
        let (first, second) = (stream.next(), stream.next());
        push.push((3, count.value())).unwrap();
        drop(first);
        assert!(!second.is_sleeping(), "the next reader gets it");
        drop((second, push, stream));
        assert_eq!((count.made(), count.alive()), (4, 0));
    });
}

#[test]
fn m3_an_element_goes_back_to_its_own_reader_only() {
    let _limit = time_limit(10);
    balanced(|| {
        let (first, push) = Stream::create();
        let second = first.clone();
        let reading = first.get();
        push.push(1).unwrap();
        drop(reading);
        assert_eq!(first.get_available().unwrap(), [1]);
        assert_eq!(second.get_available().unwrap(), [1]);
        // A clone made while it was back sees it once.
        let reading = first.get();
        push.push(2).unwrap();
        drop(reading);
        let third = first.clone();
        for stream in [first, second, third] {
            assert_eq!(stream.get_available().unwrap(), [2]);
        }
        assert!(push.is_abandoned());
    });
}

#[test]
fn cancel_and_drop_at_each_suspension() {
    let _limit = time_limit(10);
    balanced(|| {
        let (stream, push) = Stream::create();
        // Reads.
        let (get, next) = (stream.get(), stream.next());
        let (peek, empty) = (stream.peek(), stream.is_empty());
        get.cancel();
        next.cancel();
        peek.cancel();
        empty.cancel();
        assert!(is_canceled(&get) && is_canceled(&next));
        assert!(is_canceled(&peek) && is_canceled(&empty));
        drop((
            stream.get(),
            stream.next(),
            stream.peek(),
            stream.is_empty(),
        ));
        push.push(1).unwrap();
        assert_eq!(value(&stream.get()), Some(1));
        // Traversals: while they wait for an element …
        let seen = Log::new();
        let launch = |gate: Option<Promise<()>>| {
            let seen = seen.clone();
            let mut gate = gate;
            stream.iter_s(move |number| {
                seen.push(number);
                gate.take().unwrap_or_else(return_unit)
            })
        };
        let traversal = launch(None);
        push.push(2).unwrap();
        traversal.cancel();
        assert!(is_canceled(&traversal));
        push.push(3).unwrap();
        // … and while their function runs.
        let traversal = launch(Some(task().0));
        traversal.cancel();
        assert!(is_canceled(&traversal));
        assert_eq!(seen.take(), [2, 3]);
        // What was collected goes back.
        let collecting = stream.to_vec();
        push.push(4).unwrap();
        push.push(5).unwrap();
        collecting.cancel();
        assert!(is_canceled(&collecting));
        assert_eq!(stream.get_available().unwrap(), [4, 5]);
        // A dropped traversal is detached.
        drop(launch(None));
        push.push(6).unwrap();
        assert_eq!(seen.take(), [6]);
    });
}

#[test]
fn a_reader_is_served_when_the_stream_itself_was_dropped() {
    let _limit = time_limit(10);
    balanced(|| {
        let count = DropCount::default();
        let (stream, push) = Stream::create();
        let (first, second) = (stream.get(), stream.next());
        drop(stream);
        assert!(!push.is_abandoned());
        push.push(count.value()).unwrap();
        push.push(count.value()).unwrap();
        assert!(matches!(first.state(), State::Return(Some(_))));
        assert!(!second.is_sleeping());
        assert!(push.is_abandoned());
        drop((first, second));
        assert_eq!(count.alive(), 0);

        let source = ByHand::new();
        let reader = source.stream().get();
        source.answer(1);
        assert_eq!(value(&reader), Some(1));

        let (stream, push) = Stream::<u32>::create();
        let reader = stream.get();
        drop(stream);
        push.close();
        assert_eq!(value(&reader), None);
    });
}

#[test]
fn traversals_hold_the_stream_and_end_with_it() {
    let _limit = time_limit(10);
    balanced(|| {
        let (stream, push) = Stream::create();
        let sum = Rc::new(Cell::new(0));
        let done = stream.iter({
            let sum = sum.clone();
            move |number: i32| sum.set(sum.get() + number)
        });
        drop(stream);
        for number in 1..=10 {
            push.push(number).unwrap();
        }
        assert!(done.is_sleeping());
        push.close();
        value(&done);
        assert_eq!(sum.get(), 55);

        let failing = Stream::of_iter(1..).iter_s(|number| match number {
            5 => fail_with("five"),
            _ => return_unit(),
        });
        assert_eq!(failure(&failing).to_string(), "five");
        let panicking = Stream::of_iter(1..).iter(|number| assert!(number < 5));
        assert!(failure(&panicking).is_panic());
    });
}

#[test]
fn i1_a_million_elements_need_no_stack() {
    let _limit = time_limit(60);
    balanced(|| {
        let size = sized(1_000_000, 1_000) as u64;
        let (stream, push) = Stream::create();
        for number in 0..size {
            push.push(number).unwrap();
        }
        let other = stream.clone();
        drop(stream);
        push.close();
        let sum = Rc::new(Cell::new(0));
        let done = other.iter({
            let sum = sum.clone();
            move |number| sum.set(sum.get() + number)
        });
        while done.is_sleeping() {
            wakeup_paused();
        }
        assert_eq!(sum.get(), size * (size - 1) / 2);
        // Through a source, and by `bind`s that wait.
        let (stream, push) = Stream::create();
        let mapped = Stream::from(move || stream.get());
        let sum = mapped.to_vec();
        for number in 0..size {
            push.push(number).unwrap();
        }
        push.close();
        assert_eq!(value(&sum).len() as u64, size);
    });
}

#[test]
fn m9_push_never_re_enters_a_running_thread() {
    let _limit = time_limit(10);
    balanced(|| {
        let (stream, push) = Stream::create();
        let shared = Rc::new(RefCell::new(Vec::new()));
        let reader = stream.iter({
            let shared = shared.clone();
            move |number| shared.borrow_mut().push(number)
        });
        let writer = spawn({
            let shared = shared.clone();
            async move {
                for number in 0..10 {
                    let borrowed = shared.borrow();
                    push.push(number)?;
                    drop(borrowed);
                }
                push.close();
                Ok(())
            }
        });
        value(&writer);
        value(&reader);
        assert_eq!(*shared.borrow(), (0..10).collect::<Vec<_>>());
    });
}

#[test]
fn i4_elements_may_use_the_stream_when_cloned_and_dropped() {
    let _limit = time_limit(10);
    type Ends = (Stream<Meddler>, stream::Push<Meddler>);
    struct Meddler(Rc<RefCell<Option<Ends>>>);
    impl Meddler {
        fn meddle(&self) {
            let taken = self.0.borrow_mut().take();
            if let Some((stream, push)) = taken {
                let _ = push.push(Meddler(Rc::default()));
                drop(stream.get());
                drop(stream.clone());
                drop((stream, push));
            }
        }
    }
    impl Clone for Meddler {
        fn clone(&self) -> Meddler {
            self.meddle();
            Meddler(Rc::default())
        }
    }
    impl Drop for Meddler {
        fn drop(&mut self) {
            self.meddle();
        }
    }
    balanced(|| {
        let (stream, push) = Stream::create();
        let other = stream.clone();
        let arm = || Meddler(Rc::new(RefCell::new(Some((stream.clone(), push.clone())))));
        let waiting = (stream.get(), other.get());
        push.push(arm()).unwrap();
        drop(waiting);
        push.push(arm()).unwrap();
        drop(stream.peek());
        drop((stream.get(), other.get(), other.get()));
        push.push(arm()).unwrap();
        drop(stream.get_available());
        push.close();
        drop((stream.to_vec(), other.to_vec()));
        drop((stream, other, push));
    });
}

#[test]
fn i4_the_source_may_read_its_own_stream() {
    let _limit = time_limit(10);
    balanced(|| {
        let own: Rc<RefCell<Option<Rc<Stream<u32>>>>> = Rc::default();
        let nested = Log::new();
        let stream = Rc::new(Stream::from({
            let (own, nested) = (own.clone(), nested.clone());
            let mut number = 0;
            move || {
                number += 1;
                if number == 1
                    && let Some(stream) = own.borrow().as_ref()
                {
                    nested.push(stream.get());
                }
                return_some(number)
            }
        }));
        *own.borrow_mut() = Some(stream.clone());
        assert_eq!(value(&stream.get()), Some(2));
        let nested = nested.take();
        assert_eq!(value(&nested[0]), Some(1), "it came first");
        own.borrow_mut().take();
    });
}

#[test]
fn m12_a_panic_of_clone_fails_that_read_alone() {
    let _limit = time_limit(10);
    struct Fussy(Rc<Cell<bool>>);
    impl Clone for Fussy {
        fn clone(&self) -> Fussy {
            assert!(!self.0.get(), "no clones now");
            Fussy(self.0.clone())
        }
    }
    balanced(|| {
        let angry = Rc::new(Cell::new(true));
        let (first, push) = Stream::create();
        let second = first.clone();
        let third = second.clone();
        let waiting = first.get();
        push.push(Fussy(angry.clone())).unwrap();
        assert!(failure(&waiting).is_panic());
        assert!(failure(&second.get()).is_panic());
        assert!(failure(&third.peek()).is_panic());
        assert!(matches!(third.get().state(), State::Return(Some(_))));
    });
}

#[test]
fn d7_it_is_a_stream_of_the_futures_crates() {
    let _limit = time_limit(10);
    fn poll<T>(stream: &mut Stream<T>) -> Poll<Option<Result<T>>> {
        let mut context = Context::from_waker(Waker::noop());
        futures_core::Stream::poll_next(Pin::new(stream), &mut context)
    }
    balanced(|| {
        let (mut stream, push) = Stream::create();
        assert!(poll(&mut stream).is_pending());
        assert!(poll(&mut stream).is_pending());
        push.push(1).unwrap();
        push.push(2).unwrap();
        assert!(matches!(poll(&mut stream), Poll::Ready(Some(Ok(1)))));
        assert!(matches!(poll(&mut stream), Poll::Ready(Some(Ok(2)))));
        assert!(poll(&mut stream).is_pending());
        push.push(3).unwrap();
        // Not looked at: it is there for other readers once the poller is gone.
        let other = stream.clone();
        push.close();
        assert!(matches!(poll(&mut stream), Poll::Ready(Some(Ok(3)))));
        assert!(matches!(poll(&mut stream), Poll::Ready(None)));
        assert!(matches!(poll(&mut stream), Poll::Ready(None)));
        drop(other);

        let (mut stream, push) = Stream::<u32>::create();
        assert!(poll(&mut stream).is_pending());
        drop(push);
        let Poll::Ready(Some(Err(error))) = poll(&mut stream) else {
            panic!("told once");
        };
        assert!(error.is::<SourceDropped>());
        assert!(matches!(poll(&mut stream), Poll::Ready(None)));

        let mut calls = 0;
        let mut stream = Stream::from(move || {
            calls += 1;
            match calls {
                1 => fail_with("no"),
                2 => return_some(2),
                _ => return_none(),
            }
        });
        assert!(matches!(poll(&mut stream), Poll::Ready(Some(Err(_)))));
        assert!(matches!(poll(&mut stream), Poll::Ready(Some(Ok(2)))));
        assert!(matches!(poll(&mut stream), Poll::Ready(None)));
    });
}

#[test]
fn waiters_who_come_and_go_do_not_pile_up() {
    let _limit = time_limit(20);
    balanced(|| {
        let (stream, push) = Stream::<u32>::create();
        let before = scheduler::counters().cells;
        for _ in 0..sized(50_000, 300) {
            drop(stream.get());
            stream.next().cancel();
            stream.peek().cancel();
            drop(stream.closed());
            assert!(scheduler::counters().cells - before < 300);
        }
        drop(push);
    });
}

#[test]
fn i2_everything_goes_with_the_last_handles() {
    let _limit = time_limit(10);
    balanced(|| {
        let count = DropCount::default();
        let (stream, push) = Stream::create();
        for _ in 0..10 {
            push.push(count.value()).unwrap();
        }
        let other = stream.clone();
        drop(other.get());
        drop((stream, push, other));
        assert_eq!(count.alive(), 0);

        let captured = count.value();
        let (gate, _open) = wait::<()>();
        let mut gate = Some(gate);
        let stream = Stream::from(move || {
            let _ = &captured;
            match gate.take() {
                Some(gate) => gate.map(|()| Some(1)),
                None => return_none(),
            }
        });
        let reading = stream.get();
        drop(stream);
        drop(reading);
        drop(_open);
        assert_eq!(count.alive(), 0);
    });
}
#[test]
fn m10_a_reader_that_always_finds_an_element_lets_others_run() {
    let _limit = time_limit(20);
    balanced(|| {
        let guard = scheduler::enter(std::panic::Location::caller()).unwrap();
        let seen = Rc::new(Cell::new(0u64));
        let endless = Stream::of_iter(0u64..).iter({
            let seen = seen.clone();
            move |number| seen.set(number)
        });
        assert!(
            endless.is_sleeping(),
            "it was made to wait for the next turn"
        );
        let before = seen.get();
        wakeup_paused();
        assert!(seen.get() > before);
        endless.cancel();
        wakeup_paused();
        drop(endless);
        drop(guard);
        abandon_paused();
    });
}
