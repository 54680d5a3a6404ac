use lwt_core::*;
use std::cell::{Cell, RefCell};
use std::rc::Rc;
fn balanced(f: impl FnOnce()) {
    let b = scheduler::counters();
    f();
    assert_eq!(scheduler::counters(), b);
}
#[test]
fn basics() {
    balanced(|| {
        let (p, r) = wait::<u32>();
        let t = spawn(async move { Ok(p.await? + 1) });
        assert!(t.is_sleeping());
        r.wakeup(1);
        assert!(matches!(t.state(), State::Return(2)));
        let (p, r) = task::<String>();
        let q = p.clone();
        let b = p.bind(|s| return_(s.len()));
        let c = q.map(|s| s + "x");
        r.resolve("abc".into());
        assert!(matches!(b.state(), State::Return(3)));
        assert!(matches!(c.state(), State::Return(s) if s == "abcx"));
    });
}
#[test]
fn chain_deep() {
    balanced(|| {
        let n = 100_000;
        let (p, r) = wait::<u64>();
        let mut p = p;
        for _ in 0..n {
            p = p.map(|x| x + 1);
        }
        r.wakeup(0);
        assert!(matches!(p.state(), State::Return(x) if *x==n));
        let (p, r) = task::<u64>();
        let mut p = p;
        for _ in 0..n {
            p = spawn(async move { Ok(p.await? + 1) });
        }
        r.wakeup(0);
        assert!(matches!(p.state(), State::Return(x) if *x==n));
        let (p, r) = task::<u64>();
        let mut p = p;
        for _ in 0..n {
            p = spawn(async move { Ok(p.await? + 1) });
        }
        p.cancel();
        assert!(matches!(p.state(), State::Fail(e) if e.is_canceled()));
        drop(r);
        let (p, r) = task::<u64>();
        let mut p = p;
        for _ in 0..n {
            p = spawn(async move { Ok(p.await? + 1) });
        }
        drop(p);
        drop(r);
        let (p, r) = task::<u64>();
        let mut p = p;
        for _ in 0..n {
            p = spawn(async move { Ok(p.await? + 1) });
        }
        drop(r);
        drop(p);
        let (p, r) = task::<u64>();
        let mut p = p;
        for _ in 0..n {
            p = return_(()).bind(move |_| p.map(|x| x));
        }
        drop(r);
        drop(p);
    });
}
#[test]
fn recursion() {
    balanced(|| {
        fn l(n: u32) -> Promise<u32> {
            if n == 0 {
                return_(7)
            } else {
                pause().bind(move |_| l(n - 1))
            }
        }
        let p = l(10_000);
        let before = scheduler::counters().cells;
        for _ in 0..5000 {
            wakeup_paused();
        }
        assert!(scheduler::counters().cells <= before + 3);
        for _ in 0..5001 {
            wakeup_paused();
        }
        assert!(matches!(p.state(), State::Return(7)));
    });
}
#[test]
fn tie_cases() {
    balanced(|| {
        let (p, r) = task::<u32>();
        let (q, s) = task::<u32>();
        let q2 = q.clone();
        let log = Rc::new(RefCell::new(vec![]));
        let l = log.clone();
        q2.on_success(move |v| l.borrow_mut().push(("inner", *v)));
        let t = p.bind(move |_| q);
        let l = log.clone();
        t.on_success(move |v| l.borrow_mut().push(("outer", *v)));
        let w = spawn(async move { q2.await });
        r.wakeup(1);
        let l = log.clone();
        t.on_success(move |v| l.borrow_mut().push(("late", *v)));
        s.wakeup(5);
        assert_eq!(*log.borrow(), [("outer", 5), ("inner", 5), ("late", 5)]);
        assert!(matches!(w.state(), State::Return(5)));
    });
}
#[test]
fn pick_choose() {
    balanced(|| {
        let (a, ra) = task::<u32>();
        let (b, rb) = task::<u32>();
        let b2 = b.clone();
        let p = pick([a, b]);
        ra.wakeup(1);
        assert!(matches!(p.state(), State::Return(1)));
        assert!(matches!(b2.state(), State::Fail(e) if e.is_canceled()));
        drop(rb);
        let (a, ra) = task::<u32>();
        for _ in 0..1000 {
            let c = choose([a.clone(), pause().map(|_| 1)]);
            wakeup_paused();
            assert!(!c.is_sleeping());
        }
        drop(ra);
        let c = Rc::new(Cell::new(0));
        let (p, r) = wait::<()>();
        let d = c.clone();
        struct D(Rc<Cell<i32>>);
        impl Drop for D {
            fn drop(&mut self) {
                self.0.set(self.0.get() + 1)
            }
        }
        let d = D(d);
        let t = spawn(async move {
            let _d = d;
            p.await
        });
        drop(t);
        assert_eq!(c.get(), 0);
        drop(r);
        assert_eq!(c.get(), 1);
    });
}
#[test]
fn foreign() {
    balanced(|| {
        use std::future::Future;
        use std::pin::Pin;
        use std::task::*;
        struct Y(bool);
        impl Future for Y {
            type Output = ();
            fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
                if self.0 {
                    Poll::Ready(())
                } else {
                    self.0 = true;
                    cx.waker().wake_by_ref();
                    Poll::Pending
                }
            }
        }
        let t = spawn(async {
            Y(false).await;
            Ok(3)
        });
        assert!(t.is_sleeping());
        wakeup_paused();
        assert!(matches!(t.state(), State::Return(3)));
        struct W(Rc<RefCell<Option<Waker>>>);
        impl Future for W {
            type Output = ();
            fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
                let mut s = self.0.borrow_mut();
                if s.is_some() {
                    Poll::Ready(())
                } else {
                    *s = Some(cx.waker().clone());
                    Poll::Pending
                }
            }
        }
        let s = Rc::new(RefCell::new(None));
        let w = W(s.clone());
        let t = spawn(async move {
            w.await;
            Ok(1)
        });
        let waker = s.borrow().clone().unwrap();
        let h = std::thread::spawn(move || waker.wake());
        h.join().unwrap();
        assert!(t.is_sleeping());
        scheduler::drain_inbox();
        assert!(matches!(t.state(), State::Return(1)));
        drop(s.borrow_mut().take());
        drop(t);
        let s = Rc::new(RefCell::new(None));
        let w = W(s.clone());
        let t = spawn(async move {
            w.await;
            Ok(1)
        });
        t.cancel();
        assert!(matches!(t.state(), State::Fail(e) if e.is_canceled()));
    });
}
#[test]
fn inline_pauses() {
    balanced(|| {
        let p = pause();
        assert!(p.is_sleeping());
        let q = p.clone();
        p.cancel();
        assert!(matches!(p.state(), State::Fail(e) if e.is_canceled()));
        wakeup_paused();
        assert!(!q.is_sleeping());
        let t = spawn(async {
            match pause().await {
                Ok(()) => Ok(1),
                Err(e) if e.is_canceled() => {
                    pause().await?;
                    Ok(2)
                }
                Err(e) => Err(e),
            }
        });
        t.cancel();
        assert!(t.is_sleeping());
        wakeup_paused();
        assert!(matches!(t.state(), State::Return(2)));
        wakeup_paused();
        let t = spawn(async {
            pause().await?;
            pause().await?;
            Ok(1)
        });
        wakeup_paused();
        assert!(t.is_sleeping());
        wakeup_paused();
        assert!(matches!(t.state(), State::Return(1)));
        let p = pause();
        abandon_paused();
        wakeup_paused();
        assert!(p.is_sleeping());
        let t = spawn(async { pause().await });
        abandon_paused();
        wakeup_paused();
        assert!(t.is_sleeping());
        let j = join([pause(), pause()]);
        wakeup_paused();
        assert!(!j.is_sleeping());
    });
}
