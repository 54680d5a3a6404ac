//! How fast and how small it is, measured on the spot.
//!
//! The figures are for a first impression: one run, with the clock on the wall. The benchmarks of the repository
//! measure with care, and beside other libraries.

use std::cell::Cell;
use std::process::Command;
use std::rc::Rc;
use std::time::Instant;

use lwt::unix::job;
use lwt::{Error, Mvar, Result};

use super::screen::{Screen, grouped};

/// Measures, and prints the table; `messages` is what the network chapter measured.
pub(super) async fn figures(screen: &Screen, messages: f64) -> Result<()> {
    let text = "Launched: each runs up to its first wait. Asleep: all wait for one event. A switch: from one thread that pauses to the next. A message: from one thread to another.";
    screen.chapter("Measured on this machine", "", text).await?;

    let crowd = crowd(screen.pace().either(1_000_000, 200_000)).await?;
    let count = grouped(crowd.count);
    screen
        .figure("threads launched per second", &rounded(crowd.launched))
        .await?;
    let asleep = format!("bytes per sleeping thread, of {count}");
    screen
        .figure(&asleep, &format!("{:.0}", crowd.bytes))
        .await?;
    screen
        .figure("threads woken per second", &rounded(crowd.woken))
        .await?;
    let rounds = screen.pace().either(1_000_000, 100_000);
    screen
        .figure("switches per second", &rounded(switches(rounds).await?))
        .await?;
    screen
        .figure(
            "messages per second through a mailbox",
            &rounded(mailbox(rounds).await?),
        )
        .await?;
    screen
        .figure("messages per second over TCP and back", &rounded(messages))
        .await
}

/// What a crowd of threads that sleep at the same time costs.
struct Crowd {
    count: u64,
    launched: f64,
    bytes: f64,
    woken: f64,
}

async fn crowd(count: u64) -> Result<Crowd> {
    let (event, wakener) = lwt::wait::<()>();
    let awake = Rc::new(Cell::new(0_u64));
    let memory = resident_memory().await?;
    let start = Instant::now();
    for _ in 0..count {
        let (event, awake) = (event.clone(), Rc::clone(&awake));
        let thread = lwt::spawn(async move {
            event.await?;
            awake.set(awake.get() + 1);
            Ok(())
        });
        drop(thread); // it goes on by itself
    }
    let launched = per_second(count, start);
    let bytes = resident_memory().await?.saturating_sub(memory) as f64 / count as f64;
    let start = Instant::now();
    wakener.wakeup(());
    while awake.get() < count {
        lwt::pause().await?;
    }
    Ok(Crowd {
        count,
        launched,
        bytes,
        woken: per_second(count, start),
    })
}

/// Two threads that let each other go first, `rounds` times in all.
async fn switches(rounds: u64) -> Result<f64> {
    let polite = || {
        lwt::spawn(async move {
            for _ in 0..rounds / 2 {
                lwt::pause().await?;
            }
            Ok(())
        })
    };
    let start = Instant::now();
    lwt::join([polite(), polite()]).await?;
    Ok(per_second(rounds, start))
}

/// One thread puts numbers into a mailbox, another one takes them out.
async fn mailbox(rounds: u64) -> Result<f64> {
    let mailbox = Mvar::new_empty();
    let box_of_the_reader = mailbox.clone();
    let start = Instant::now();
    let reader = lwt::spawn(async move {
        let mut sum = 0;
        for _ in 0..rounds {
            sum += box_of_the_reader.take().await?;
        }
        Ok(sum)
    });
    for number in 0..rounds {
        mailbox.put(number).await?;
    }
    let figure = match reader.await? == rounds * (rounds - 1) / 2 {
        true => per_second(rounds, start),
        false => return Err(Error::message("numbers were lost in a mailbox")),
    };
    Ok(figure)
}

fn per_second(count: u64, start: Instant) -> f64 {
    count as f64 / start.elapsed().as_secs_f64()
}

/// Three digits are as many as one run can claim.
fn rounded(figure: f64) -> String {
    let unit = 10_f64.powi((figure.max(1.0).log10() as i32 - 2).max(0));
    grouped(((figure / unit).round() * unit) as u64)
}

/// How many bytes of memory the process has, as the system counts them.
async fn resident_memory() -> Result<u64> {
    // Reading a file and running a program block, so another OS thread does it.
    let kibibytes = job::run(|| from_proc().or_else(from_ps)).await?;
    kibibytes
        .map(|kibibytes| kibibytes * 1024)
        .ok_or_else(|| Error::message("no way to see the process's memory"))
}

fn from_proc() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

fn from_ps() -> Option<u64> {
    let output = Command::new("ps")
        .args(["-o", "rss=", "-p"])
        .arg(std::process::id().to_string())
        .output()
        .ok()?;
    String::from_utf8_lossy(&output.stdout).trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_digits() {
        let texts = [7.4, 999.6, 1_234.0, 98_765_432.0].map(rounded);
        assert_eq!(texts, ["7", "1,000", "1,230", "98,800,000"]);
    }
}
