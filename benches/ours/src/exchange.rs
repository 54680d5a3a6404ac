//! Workloads in which threads hand things to each other: mailbox variables, locks, streams.

use harness::{Plan, opaque};
use lwt_core::{Mutex, Mvar, Result, Stream, pause, spawn};

use crate::measure;

/// A number goes to and fro between two threads.
pub(crate) async fn mailbox(plan: &Plan) -> Result<()> {
    measure(plan, |operations| {
        spawn(async move {
            let (there, back) = (Mvar::new_empty(), Mvar::new_empty());
            let asking = spawn({
                let (there, back) = (there.clone(), back.clone());
                async move {
                    for number in 0..operations / 2 {
                        there.put(number).await?;
                        opaque(back.take().await?);
                    }
                    Ok(())
                }
            });
            let answering = spawn(async move {
                for _ in 0..operations / 2 {
                    let number = there.take().await?;
                    back.put(number).await?;
                }
                Ok(())
            });
            asking.await?;
            answering.await
        })
    })
    .await
}

/// A hundred threads count under one lock; every sixteenth count is spread over a pause.
pub(crate) async fn mutex(plan: &Plan) -> Result<()> {
    measure(plan, |operations| {
        spawn(async move {
            let counter = Mutex::new(0_u64);
            let threads: Vec<_> = (0..100)
                .map(|_| {
                    let counter = counter.clone();
                    spawn(async move {
                        for turn in 0..operations / 100 {
                            let mut guard = counter.lock().await?;
                            let count = *guard;
                            if turn % 16 == 0 {
                                pause().await?;
                            }
                            *guard = count + 1;
                        }
                        Ok(())
                    })
                })
                .collect();
            for thread in threads {
                thread.await?;
            }
            assert_eq!(*counter.lock().await?, operations / 100 * 100);
            Ok(())
        })
    })
    .await
}

/// One thread reads what the main one pushes, which lets the reader run after every `burst` elements.
pub(crate) async fn stream(plan: &Plan, burst: u64) -> Result<()> {
    measure(plan, |operations| {
        spawn(async move {
            let (stream, push) = Stream::create();
            let reader = async move {
                let mut sum = 0_u64;
                while let Some(number) = stream.get().await? {
                    sum += number;
                }
                Ok(sum)
            };
            let sum = if burst > operations {
                for number in 0..operations {
                    push.push(number)?;
                }
                push.close();
                spawn(reader).await?
            } else {
                let reading = spawn(reader);
                for number in 0..operations {
                    push.push(number)?;
                    if number % burst == burst - 1 {
                        pause().await?;
                    }
                }
                push.close();
                reading.await?
            };
            assert_eq!(sum, operations * (operations - 1) / 2);
            Ok(())
        })
    })
    .await
}
