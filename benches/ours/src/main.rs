//! The workloads of the catalogue, each as a user of this library would state it, with the operations that the catalogue tells.
//!
//! - [`promises`]: one promise and what hangs on it;
//! - [`threads`]: launching, joining, yielding, cancelling, sleeping;
//! - [`exchange`]: mailboxes, locks, streams;
//! - [`depth`]: chains of a million on a small stack;
//! - [`io`]: sockets and timers.
//!
//! Two variants: `core` is the scheduler in a bare loop without an engine, for what does not wait for the system (the
//! peers ask the system rarely or never while tasks are ready); `unix` is the real main loop with its default engine.
//! What waits for the system always runs in the latter.

mod depth;
mod exchange;
mod io;
mod promises;
mod threads;

use std::panic::Location;

use harness::program::report_means;
use harness::{Plan, Workload};
use lwt_core::{Promise, Result, State, scheduler, spawn, wakeup_paused};
use lwt_unix::Builder;

fn main() {
    let plan = Plan::from_arguments();
    report_means(means(plan.workload));
    let needs_system = matches!(plan.workload, Workload::SocketPingPong | Workload::Timers);
    let ended = match plan.variant.as_str() {
        _ if plan.workload == Workload::DeepChain => {
            depth::deep_chain(&plan);
            Ok(())
        }
        "core" if !needs_system => run_bare(async move { run_workload(&plan).await }),
        "core" | "unix" => {
            Builder::new().run(move || spawn(async move { run_workload(&plan).await }))
        }
        other => panic!("unknown variant {other:?}"),
    };
    if let Err(error) = ended {
        panic!("the workload failed: {error}");
    }
}

async fn run_workload(plan: &Plan) -> Result<()> {
    match plan.workload {
        Workload::BindReady => promises::bind_ready(plan).await,
        Workload::AwaitReady => promises::await_ready(plan).await,
        Workload::WaitCallback => promises::wait_callback(plan).await,
        Workload::WaitBind => promises::wait_bind(plan).await,
        Workload::WaitAwait => promises::wait_await(plan).await,
        Workload::WaitBindThousand => promises::wait_bind_batch(plan).await,
        Workload::WaitAwaitThousand => promises::wait_await_batch(plan).await,
        Workload::ChainThousand | Workload::ChainMillion => promises::chain_of_binds(plan).await,
        Workload::ChainAwaitThousand | Workload::ChainAwaitMillion => {
            promises::chain_of_threads(plan).await
        }
        Workload::PickReady => promises::pick_ready(plan).await,
        Workload::PickWoken => promises::pick_woken(plan).await,
        Workload::LaunchSpawn => threads::launch_spawn(plan).await,
        Workload::LaunchPromise => threads::launch_promise(plan).await,
        Workload::LaunchYieldThousand | Workload::LaunchYieldMillion => {
            threads::launch_yield(plan).await
        }
        Workload::YieldTwo => threads::yield_two(plan).await,
        Workload::CancelThousand | Workload::CancelMillion => threads::cancel_threads(plan).await,
        Workload::CancelBindThousand | Workload::CancelBindMillion => {
            threads::cancel_binds(plan).await
        }
        Workload::Sleepers => threads::sleepers(plan).await,
        Workload::SleepersBind => threads::sleeping_binds(plan).await,
        Workload::Mailbox => exchange::mailbox(plan).await,
        Workload::Mutex => exchange::mutex(plan).await,
        Workload::StreamBurst => exchange::stream(plan, 64).await,
        Workload::StreamOne => exchange::stream(plan, 1).await,
        Workload::StreamFilled => exchange::stream(plan, u64::MAX).await,
        Workload::SocketPingPong => io::socket_ping_pong(plan).await,
        Workload::Timers => io::timers(plan).await,
        Workload::DeepChain => unreachable!("runs without a loop"),
    }
}

fn means(workload: Workload) -> &'static str {
    use Workload::*;
    match workload {
        BindReady => "return_, bind",
        AwaitReady => "return_, await",
        WaitCallback => "wait, on_success, wakeup",
        WaitBind | WaitBindThousand => "wait, bind, wakeup",
        WaitAwait | WaitAwaitThousand => "wait, spawn, wakeup",
        LaunchSpawn => "spawn",
        LaunchPromise => "return_unit, bind",
        LaunchYieldThousand | LaunchYieldMillion => "spawn, pause, all",
        YieldTwo => "spawn, pause",
        Mailbox => "Mvar",
        Mutex => "Mutex",
        StreamBurst | StreamOne | StreamFilled => "Stream",
        Sleepers => "threads that await clones of one promise",
        SleepersBind => "bind on clones of one promise",
        CancelThousand | CancelMillion => "task, spawn, cancel",
        CancelBindThousand | CancelBindMillion => "task, bind, cancel",
        ChainThousand | ChainMillion => "bind",
        ChainAwaitThousand | ChainAwaitMillion => "spawn",
        PickReady | PickWoken => "task, pick",
        SocketPingPong => "socketpair, read_exact, write_all",
        Timers => "sleep, join",
        DeepChain => "bind, spawn, cancel, drop",
    }
}

/// Runs a thread in a loop that has no engine: what is ready, then what is paused, turn by turn.
#[track_caller]
fn run_bare(main: impl Future<Output = Result<()>> + 'static) -> Result<()> {
    let _this_loop = scheduler::enter(Location::caller())?;
    let main = spawn(main);
    while main.is_sleeping() {
        scheduler::begin_turn();
        wakeup_paused();
        scheduler::run_ready(scheduler::turn_limit());
    }
    match main.state() {
        State::Return(()) => Ok(()),
        State::Fail(error) => Err(error.clone()),
        State::Sleep => unreachable!("the loop ends when it is over"),
    }
}

/// Warm-up and timing around a thread that may fail. It is a thread of its own, so that a resumption does not pass through the
/// layers of this program.
async fn measure(plan: &Plan, launch: impl Fn(u64) -> Promise<()>) -> Result<()> {
    plan.measure(async |operations| match launch(operations).await {
        Ok(()) => {}
        Err(error) => panic!("the workload failed: {error}"),
    })
    .await;
    Ok(())
}

/// The number that a promise holds; the workload is wrong if it holds none.
#[inline(always)]
fn number_in(promise: &Promise<u64>) -> u64 {
    match promise.state() {
        State::Return(number) => *number,
        _ => panic!("still asleep"),
    }
}

/// Splits the operations into batches of the workload's size: (operations in a batch, number of batches).
fn batches(workload: Workload, operations: u64) -> (u64, u64) {
    let batch = workload.batch().min(operations);
    (batch, operations / batch)
}
