//! The output of another process, read while everything else goes on.

use std::cell::Cell;
use std::process::{Command, Stdio};
use std::rc::Rc;
use std::time::{Duration, Instant};

use lwt::unix::{FileDescriptor, job, sleep};
use lwt::{Error, Group, Result};

use super::screen::Screen;
use crate::ending::cancel_all;

/// A child counts slowly, a clock ticks fast.
pub(super) async fn output(screen: &Screen) -> Result<()> {
    let text = "A child process prints a line now and then. Its pipe is a descriptor like any other, and while a thread waits for lines, another one ticks every 10 ms.";
    screen
        .chapter("A pipe to a child", "manual 3.1", text)
        .await?;

    let nap = screen.pace().either("0.2", "0.02");
    let script = format!("for word in a child wrote this; do sleep {nap}; echo $word; done");
    let mut child = Command::new("sh")
        .args(["-c", &script])
        .stdout(Stdio::piped())
        .spawn()?;
    let pipe = child
        .stdout
        .take()
        .ok_or_else(|| Error::message("the child's output is piped"))?;
    let mut lines = Lines::of(FileDescriptor::from(pipe));

    let ticks = Rc::new(Cell::new(0));
    let clock = Group::new();
    drop(clock.spawn(tick(Rc::clone(&ticks)))); // it goes on by itself
    let start = Instant::now();
    while let Some(line) = lines.next().await? {
        let (after, ticks) = (start.elapsed().as_millis(), ticks.get());
        screen
            .row(
                &format!("{line:?}"),
                format!("after {after} ms, and {ticks} ticks"),
            )
            .await?;
    }
    cancel_all(&clock).await?;

    // `wait` blocks, so another OS thread does it.
    let status = job::try_run(move || child.wait()).await?;
    screen
        .row("the end of the pipe, and of the child", status.to_string())
        .await
}

async fn tick(ticks: Rc<Cell<u32>>) -> Result<()> {
    loop {
        sleep(Duration::from_millis(10)).await?;
        ticks.set(ticks.get() + 1);
    }
}

/// Lines, as bytes arrive.
struct Lines {
    source: FileDescriptor,
    /// What has arrived and was not asked for yet.
    bytes: Vec<u8>,
}

impl Lines {
    fn of(source: FileDescriptor) -> Lines {
        Lines {
            source,
            bytes: Vec::new(),
        }
    }

    /// The next line without its end; `None` at the end of the file.
    async fn next(&mut self) -> Result<Option<String>> {
        loop {
            if let Some(end) = self.bytes.iter().position(|&byte| byte == b'\n') {
                let line: Vec<u8> = self.bytes.drain(..=end).collect();
                return Ok(Some(String::from_utf8_lossy(&line).trim_end().to_owned()));
            }
            let more = self.source.read_some(4096).await?;
            if more.is_empty() {
                return Ok(None);
            }
            self.bytes.extend(more);
        }
    }
}
