//! The generic workloads: [`run_workload`] is the way in, one submodule per kind.
//!
//! What is measured is always a task of its own, so that a resumption does not pass through the layers of this program.

mod exchange;
mod io;
mod promises;
mod threads;

pub use io::Moments;

use crate::catalogue::Workload;
use crate::program::{Plan, report_means, report_unsupported};
use crate::runtime::{Io, Primitives, Runtime};

/// Runs the planned workload on a runtime and prints what was measured.
pub fn run_workload<R: Io>(plan: Plan) {
    report_means(&means::<R>(plan.workload));
    match plan.workload {
        Workload::WaitCallback
        | Workload::WaitAwait
        | Workload::WaitAwaitThousand
        | Workload::LaunchPromise
        | Workload::SleepersBind
        | Workload::CancelBindThousand
        | Workload::CancelBindMillion
        | Workload::ChainAwaitThousand
        | Workload::ChainAwaitMillion
        | Workload::DeepChain => {
            report_unsupported("a way of promises; see the row that tasks can express")
        }
        _ => R::run(async move {
            match plan.workload {
                Workload::BindReady => promises::kept_before::<R>(&plan).await,
                Workload::AwaitReady => promises::bare_ready::<R>(&plan).await,
                Workload::WaitBind => promises::wait_one::<R>(&plan).await,
                Workload::WaitBindThousand => promises::wait_batch::<R>(&plan).await,
                Workload::ChainThousand | Workload::ChainMillion => {
                    promises::chain::<R>(&plan).await
                }
                Workload::PickReady => promises::pick_ready::<R>(&plan).await,
                Workload::PickWoken => promises::pick_woken::<R>(&plan).await,
                Workload::LaunchSpawn => threads::launch::<R>(&plan, false).await,
                Workload::LaunchYieldThousand | Workload::LaunchYieldMillion => {
                    threads::launch::<R>(&plan, true).await
                }
                Workload::YieldTwo => threads::yield_two::<R>(&plan).await,
                Workload::CancelThousand | Workload::CancelMillion => {
                    threads::cancel::<R>(&plan).await
                }
                Workload::Sleepers => threads::sleepers::<R>(&plan).await,
                Workload::Mailbox => exchange::mailbox::<R>(&plan).await,
                Workload::Mutex => exchange::mutex::<R>(&plan).await,
                Workload::SocketPingPong => io::socket_ping_pong::<R>(&plan).await,
                Workload::Timers => io::timers::<R>(&plan).await,
                Workload::StreamBurst => exchange::stream::<R>(&plan, 64).await,
                Workload::StreamOne => exchange::stream::<R>(&plan, 1).await,
                Workload::StreamFilled => exchange::stream::<R>(&plan, u64::MAX).await,
                _ => unreachable!("answered above"),
            }
        }),
    }
}

/// Which primitives of the runtime a workload rests on.
fn means<R: Runtime>(workload: Workload) -> String {
    use Workload::*;
    match workload {
        AwaitReady => "std::future::ready".into(),
        LaunchSpawn | LaunchYieldThousand | LaunchYieldMillion | YieldTwo => "its own tasks".into(),
        SocketPingPong => "its own Unix-domain sockets".into(),
        Timers => "its own timers, a task each".into(),
        Mutex => R::Primitives::LOCK.into(),
        Sleepers => R::Primitives::EVENT.into(),
        CancelThousand | CancelMillion => format!("{}, {}", R::Primitives::CHANNELS, R::CANCELS_BY),
        PickReady | PickWoken => format!("{}, futures select", R::Primitives::CHANNELS),
        _ => R::Primitives::CHANNELS.into(),
    }
}

/// Splits `operations` into batches of the workload's size: (operations in a batch, number of batches).
fn batches(workload: Workload, operations: u64) -> (u64, u64) {
    let batch = workload.batch().min(operations);
    (batch, operations / batch)
}
