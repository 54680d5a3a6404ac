//! Workloads that wait for the system, under the real main loop.

use std::time::Instant;

use harness::{Moments, Plan};
use lwt_core::{Result, join, spawn};
use lwt_unix::{Domain, SocketKind, sleep, socketpair};

use crate::measure;

/// One byte goes to and fro between two threads over a pair of sockets.
pub(crate) async fn socket_ping_pong(plan: &Plan) -> Result<()> {
    measure(plan, |operations| {
        spawn(async move {
            let (near, far) = socketpair(Domain::Unix, SocketKind::Stream)?;
            let answering = spawn(async move {
                let mut byte = [0];
                for _ in 0..operations {
                    far.read_exact(&mut byte).await?;
                    far.write_all(&byte).await?;
                }
                far.close().await
            });
            let mut byte = [0];
            for round in 0..operations {
                near.write_all(&[round as u8]).await?;
                near.read_exact(&mut byte).await?;
                assert_eq!(byte, [round as u8]);
            }
            near.close().await?;
            answering.await
        })
    })
    .await
}

/// Many threads sleep until moments spread evenly over one second.
pub(crate) async fn timers(plan: &Plan) -> Result<()> {
    measure(plan, |operations| {
        spawn(async move {
            let start = Instant::now();
            let mut moments = Moments::new();
            join((0..operations).map(|_| {
                let deadline = start + moments.next_within_second();
                sleep(deadline.saturating_duration_since(Instant::now()))
            }))
            .await
        })
    })
    .await
}
