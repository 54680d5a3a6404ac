//! Chains of a million on a stack of one mebibyte: resolved, cancelled, dropped.

use harness::program::report;
use harness::{Plan, measure::Instant};
use lwt_core::{Promise, Resolver, return_, spawn, task};

const STACK_BYTES: usize = 1 << 20;

/// Builds each kind of chain and ends it in each way; an overflow of the stack ends the process, which the driver reports.
pub(crate) fn deep_chain(plan: &Plan) {
    let links = plan.operations;
    let start = Instant::now();
    let checks = std::thread::Builder::new()
        .stack_size(STACK_BYTES)
        .spawn(move || {
            for build in [chain_of_binds, chain_of_threads] {
                let (last, resolver) = build(links);
                resolver.wakeup(0);
                assert_eq!(crate::number_in(&last), links);

                let (last, _resolver) = build(links);
                last.cancel();
                assert!(!last.is_sleeping());

                let (last, resolver) = build(links);
                drop(resolver);
                drop(last);

                let (last, resolver) = build(links);
                drop(last);
                drop(resolver);
            }
        });
    let ended = checks.map(|thread| thread.join());
    assert!(matches!(ended, Ok(Ok(()))), "the chains did not end well");
    // Two kinds of chains, four ways to end each.
    report("cpu_ns", start.elapsed().cpu_ns as f64 / (8 * links) as f64);
}

fn chain_of_binds(links: u64) -> (Promise<u64>, Resolver<u64>) {
    let (mut last, resolver) = task();
    for _ in 0..links {
        last = last.bind(|sum: u64| return_(sum + 1));
    }
    (last, resolver)
}

fn chain_of_threads(links: u64) -> (Promise<u64>, Resolver<u64>) {
    let (mut last, resolver) = task::<u64>();
    for _ in 0..links {
        last = spawn(async move { Ok(last.await? + 1) });
    }
    (last, resolver)
}
