//! Workloads that wait for the system: sockets and timers.

use std::time::{Duration, Instant};

use crate::program::Plan;
use crate::runtime::{Io, Latch};

/// One byte goes to and fro between two tasks over a pair of sockets.
pub(super) async fn socket_ping_pong<R: Io>(plan: &Plan) {
    plan.measure(|operations| {
        R::spawn(async move {
            let (mut near, mut far) = R::socket_pair();
            let answering = R::spawn(async move {
                for _ in 0..operations {
                    let byte = R::receive_byte(&mut far).await;
                    R::send_byte(&mut far, byte).await;
                }
            });
            for round in 0..operations {
                R::send_byte(&mut near, round as u8).await;
                assert_eq!(R::receive_byte(&mut near).await, round as u8);
            }
            answering.await;
        })
    })
    .await;
}

/// Many tasks sleep until moments spread evenly over one second.
pub(super) async fn timers<R: Io>(plan: &Plan) {
    plan.measure(|operations| {
        R::spawn(async move {
            let start = Instant::now();
            let all_over = Latch::new(operations);
            let mut moments = Moments::new();
            for _ in 0..operations {
                let deadline = start + moments.next_within_second();
                let over = all_over.clone();
                R::detach(async move {
                    R::sleep_until(deadline).await;
                    over.count_down();
                });
            }
            all_over.open().await;
        })
    })
    .await;
}

/// The same sequence of moments within a second for every runtime (a 64-bit linear congruential generator).
#[derive(Debug)]
pub struct Moments(u64);

impl Moments {
    /// From the start.
    pub fn new() -> Moments {
        Moments(0x2545_f491_4f6c_dd1d)
    }

    /// The next one.
    pub fn next_within_second(&mut self) -> Duration {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        Duration::from_nanos(((self.0 >> 32) * 1_000_000_000) >> 32)
    }
}

impl Default for Moments {
    fn default() -> Moments {
        Moments::new()
    }
}
