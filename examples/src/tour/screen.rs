//! What the reader sees: chapters, explanations, rows of "what is done" and "what is seen", and one line that changes.
//!
//! The output is a descriptor like any other: it is written by threads, and nothing else stops meanwhile.

use std::cell::Cell;
use std::fmt::Debug;
use std::io::IsTerminal;
use std::time::Duration;

use lwt::unix::{FileDescriptor, error_kind, sleep};
use lwt::{Error, Promise, Result, State, Timeout};

/// Where the outcome of a row begins, unless it is so long that it would not end where the others do.
const OUTCOME_COLUMN: usize = 50;

/// The whole width.
const WIDTH: usize = 78;

/// How much time the tour takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// To be read: about fifteen seconds.
    Calm,
    /// To be tested: about two.
    Quick,
}

impl Pace {
    /// One of two, the first for readers.
    pub(super) fn either<T>(self, calm: T, quick: T) -> T {
        match self {
            Pace::Calm => calm,
            Pace::Quick => quick,
        }
    }
}

/// The output of the tour.
#[derive(Debug)]
pub struct Screen {
    output: FileDescriptor,
    pace: Pace,
    is_terminal: bool,
    colours: bool,
    chapters: Cell<usize>,
    /// Whether the line that changes is there.
    live: Cell<bool>,
}

/// Colours, as terminals number them.
#[derive(Clone, Copy)]
enum Colour {
    Bold = 1,
    Dim = 2,
    Red = 31,
    Green = 32,
    Yellow = 33,
    Cyan = 36,
}

impl Screen {
    /// The standard output. Colours are for terminals, and for those who did not set `NO_COLOR`.
    pub fn standard_output(pace: Pace) -> Screen {
        let is_set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let is_dumb = std::env::var_os("TERM").is_some_and(|value| value == "dumb");
        let is_terminal = std::io::stdout().is_terminal() && !is_dumb;
        Screen {
            output: FileDescriptor::stdout(),
            pace,
            is_terminal,
            colours: is_terminal && !is_set("NO_COLOR"),
            chapters: Cell::new(0),
            live: Cell::new(false),
        }
    }

    pub(super) fn pace(&self) -> Pace {
        self.pace
    }

    /// The first lines.
    pub(super) async fn title(&self) -> Result<()> {
        let rule = "=".repeat(WIDTH);
        let title = self.painted(Colour::Bold, "Lwt for Rust: the tour");
        let note = self.painted(
            Colour::Dim,
            "What is on the right was seen just now, on this machine.",
        );
        self.print(format!("{rule}\n  {title}\n  {note}\n{rule}\n"))
            .await
    }

    /// The last lines.
    pub(super) async fn end(&self, took: Duration) -> Result<()> {
        self.rest(300).await?;
        let seconds = took.as_secs_f64();
        let text = format!(
            "\n    That was {seconds:.1} seconds. The book tells more: book/src/SUMMARY.md\n"
        );
        self.print(text).await
    }

    /// Begins a chapter: its number, its title, where the manual tells of it, and what the reader is going to see.
    pub(super) async fn chapter(&self, title: &str, place: &str, text: &str) -> Result<()> {
        self.rest(350).await?;
        let number = self.chapters.get() + 1;
        self.chapters.set(number);
        let gap = WIDTH.saturating_sub(4 + title.chars().count());
        let heading = self.painted(Colour::Bold, &format!("{number:>2}  {title}"));
        let place = match place {
            "" => String::new(),
            place => self.painted(Colour::Dim, &format!("{place:>gap$}")),
        };
        self.print(format!("\n{heading}{place}\n{}\n", wrapped(4, text)))
            .await?;
        self.rest(150).await
    }

    /// One step: what is done, and what is seen.
    pub(super) async fn row(&self, what: &str, seen: impl AsRef<str>) -> Result<()> {
        let seen = seen.as_ref();
        let column = OUTCOME_COLUMN.min(WIDTH.saturating_sub(seen.chars().count()));
        let gap = column.saturating_sub(6 + what.chars().count()).max(2);
        let outcome = self.painted(colour_of(seen), seen);
        self.print(format!("      {what}{:gap$}{outcome}\n", ""))
            .await?;
        self.rest(65).await
    }

    /// One figure: numbers end below each other.
    pub(super) async fn figure(&self, what: &str, figure: &str) -> Result<()> {
        self.row(what, format!("{figure:>12}")).await
    }

    /// A remark below the rows.
    pub(super) async fn remark(&self, text: &str) -> Result<()> {
        self.print(self.painted(Colour::Dim, &wrapped(6, text)))
            .await
    }

    /// The line that changes: takes the place of the one before. Where the output is no terminal, only those that are
    /// `lasting` are printed.
    pub(super) async fn live(&self, text: &str, lasting: bool) -> Result<()> {
        match (self.is_terminal, lasting) {
            (true, _) => {
                self.write(format!("\r\x1b[K      {text}")).await?;
                self.live.set(true);
                Ok(())
            }
            (false, true) => self.write(format!("      {text}\n")).await,
            (false, false) => Ok(()),
        }
    }

    /// Time to read.
    pub(super) async fn rest(&self, milliseconds: u64) -> Result<()> {
        sleep(Duration::from_millis(
            self.pace.either(milliseconds, milliseconds / 50),
        ))
        .await
    }

    async fn print(&self, text: String) -> Result<()> {
        let end_of_live_line = if self.live.take() { "\n" } else { "" };
        self.write(format!("{end_of_live_line}{text}")).await
    }

    async fn write(&self, text: String) -> Result<()> {
        self.output.write_all(text.as_bytes()).await
    }

    fn painted(&self, colour: Colour, text: &str) -> String {
        match self.colours {
            true => format!("\x1b[{}m{text}\x1b[0m", colour as u8),
            false => text.to_owned(),
        }
    }
}

/// Lines of words, as long as the screen is wide, each after some space.
fn wrapped(space: usize, text: &str) -> String {
    let mut lines = String::new();
    let mut length = 0;
    for word in text.split_whitespace() {
        let word_length = word.chars().count();
        if length > 0 && length + 1 + word_length > WIDTH {
            lines.push('\n');
            length = 0;
        }
        if length == 0 {
            lines.push_str(&" ".repeat(space));
            length = space;
        } else {
            lines.push(' ');
            length += 1;
        }
        lines.push_str(word);
        length += word_length;
    }
    lines.push('\n');
    lines
}

/// States have colours; everything else has one.
fn colour_of(seen: &str) -> Colour {
    match seen.split(['(', ' ']).next() {
        Some("Sleep") => Colour::Yellow,
        Some("Return") => Colour::Green,
        Some("Fail") => Colour::Red,
        _ => Colour::Cyan,
    }
}

/// The state of a thread as the manual writes it.
pub(super) fn state<T: Debug + 'static>(promise: &Promise<T>) -> String {
    match promise.state() {
        State::Sleep => String::from("Sleep"),
        State::Return(value) => format!("Return({value:?})"),
        State::Fail(error) => format!("Fail({})", name(error)),
    }
}

/// An error in a word, where it has one.
fn name(error: &Error) -> String {
    match error_kind(error) {
        Some(kind) => format!("{kind:?}"),
        None if error.is_canceled() => String::from("Canceled"),
        None if error.is::<Timeout>() => String::from("Timeout"),
        None => error.to_string(),
    }
}

/// The states of several threads.
pub(super) fn states<T: Debug + 'static>(promises: &[Promise<T>]) -> String {
    promises.iter().map(state).collect::<Vec<_>>().join(" ")
}

/// A number with its thousands apart.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_wrapped() {
        let text = wrapped(4, &"four ".repeat(20));
        let lengths: Vec<usize> = text.lines().map(str::len).collect();
        assert_eq!(lengths, [78, 28]);
        assert!(text.lines().all(|line| line.starts_with("    four")));
    }

    #[test]
    fn thousands_are_apart() {
        let texts = [0, 999, 1_000, 1_234_567].map(grouped);
        assert_eq!(texts, ["0", "999", "1,000", "1,234,567"]);
    }

    #[test]
    fn states_as_the_manual_writes_them() {
        let promises = [lwt::return_(1), lwt::fail_with("no"), lwt::forever()];
        assert_eq!(states(&promises), "Return(1) Fail(no) Sleep");
    }
}
