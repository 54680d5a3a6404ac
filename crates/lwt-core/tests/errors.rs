//! [`Error`]: conversions, chains, contexts, and what crosses OS threads.

mod common;

use std::error::Error as StdError;
use std::fmt;

use common::{failure, quietly, time_limit};
use lwt_core::*;

#[derive(Debug)]
struct Layer(&'static str, Option<Box<Layer>>);
impl fmt::Display for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}
impl StdError for Layer {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.1
            .as_deref()
            .map(|layer| layer as &(dyn StdError + 'static))
    }
}

#[test]
fn any_error_converts_by_the_question_mark_and_is_found_again() {
    let _limit = time_limit(10);
    fn parse(text: &str) -> Result<u32> {
        Ok(text.parse()?)
    }
    let error = parse("x").unwrap_err();
    assert!(error.is::<std::num::ParseIntError>());
    assert!(!error.is::<EndOfFile>() && !error.is_canceled() && !error.is_panic());
    assert_eq!(
        error.to_string(),
        "x".parse::<u32>().unwrap_err().to_string()
    );
}

#[test]
fn the_chain_of_sources_is_kept_printed_and_searched() {
    let _limit = time_limit(10);
    let error = Error::new(Layer("outer", Some(Box::new(Layer("inner", None)))))
        .context("reading")
        .context("serving");
    let texts: Vec<_> = error.chain().map(ToString::to_string).collect();
    assert_eq!(texts, ["serving", "reading", "outer", "inner"]);
    assert_eq!(error.to_string(), "serving");
    assert_eq!(format!("{error:#}"), "serving: reading: outer: inner");
    assert!(format!("{error:?}").contains("caused by: inner"));
    assert_eq!(error.downcast_ref::<Layer>().unwrap().0, "outer");
}

#[test]
fn the_frequent_ones_are_recognised_in_every_clothing() {
    let _limit = time_limit(10);
    assert!(Error::from(Canceled).is_canceled());
    assert!(Error::canceled().is::<Canceled>());
    let dressed = Error::from(Canceled).context("while waiting");
    assert!(dressed.is::<Canceled>() && !dressed.is_canceled());
    let boxed: Box<dyn StdError + Send + Sync> = Error::from(Timeout).into();
    assert!(Error::new(std::io::Error::other(boxed)).is::<Timeout>());
    let boxed: Box<dyn StdError> = Error::message("plain").into();
    assert_eq!(boxed.to_string(), "plain");
    assert!(Error::invalid_argument("negative").is::<InvalidArgument>());
}

#[test]
fn it_is_one_word_and_crosses_os_threads() {
    let _limit = time_limit(10);
    assert_eq!(size_of::<Error>(), size_of::<usize>());
    assert_eq!(size_of::<Result<()>>(), size_of::<usize>());
    assert_eq!(size_of::<Promise<u64>>(), 2 * size_of::<usize>());
    fn far<T: Send + Sync + 'static>(_: &T) {}
    let error = Error::message("text").context("around");
    far(&error);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let copy = error.clone();
                assert!(copy.is::<Failure>());
            });
        }
    });
    let panic = failure(&spawn::<_, ()>(async {
        std::panic::panic_any("far 1".to_owned())
    }));
    let payload = std::thread::spawn(move || quietly(|| panic.resume()).unwrap_err())
        .join()
        .unwrap();
    assert_eq!(*payload.downcast::<String>().unwrap(), "far 1");
}

#[test]
fn suppressed_errors_belong_to_one_failure_only() {
    let _limit = time_limit(10);
    let shared = Error::message("cleanup");
    let mut results = Vec::new();
    for body in ["one", "two"] {
        let cleanup = shared.clone();
        results.push(failure(
            &fail::<()>(Error::message(body)).finalize(move || fail(cleanup)),
        ));
    }
    for (error, body) in results.iter().zip(["one", "two"]) {
        assert_eq!(error.to_string(), "cleanup");
        assert!(error.is::<Failure>());
        let suppressed: Vec<_> = error.suppressed().iter().map(Error::to_string).collect();
        assert_eq!(suppressed, [body]);
        assert!(format!("{error:?}").contains(&format!("suppressed: {body}")));
    }
    assert!(shared.suppressed().is_empty());
    // The same error twice is one.
    let both = failure(&fail::<()>(shared.clone()).finalize(move || fail(shared)));
    assert!(both.suppressed().is_empty());
}
