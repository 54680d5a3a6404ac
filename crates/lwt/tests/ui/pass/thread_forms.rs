//! Every form of function that `#[lwt::thread]` takes.

#![deny(warnings, missing_docs)]

use std::collections::HashMap;
use std::fmt::Display;
use std::rc::Rc;

use lwt::{Promise, Result};

/// A generic function with bounds, a where clause and a constant.
#[lwt::thread]
pub async fn generic<T: 'static, const N: usize>(value: T) -> Result<[T; N]>
where
    T: Clone,
{
    lwt::pause().await?;
    Ok(std::array::from_fn(|_| value.clone()))
}

/// Patterns, `mut`, and a parameter that the body does not use.
#[lwt::thread]
async fn patterns(
    mut count: u32,
    (left, right): (u32, u32),
    [first, ..]: [u32; 3],
    _: Rc<()>,
    #[allow(unused_variables)] unused: String,
) -> Result<u32> {
    count += left + right + first;
    Ok(count)
}

/// `impl Trait` as a parameter and in the result.
#[lwt::thread]
async fn opaque(text: impl Display + 'static) -> Result<impl Display + 'static> {
    lwt::pause().await?;
    let number: u8 = text.to_string().parse()?;
    Ok(format!("<{number}>"))
}

/// Function types carry references that are no borrows.
#[lwt::thread]
async fn functions(
    plain: fn(&str) -> &str,
    boxed: Box<dyn for<'a> Fn(&'a str) -> usize>,
    text: &'static str,
) -> Result<usize> {
    Ok(boxed(plain(text)))
}

/// `return`, `?` with a conversion, and a body without an end.
#[lwt::thread]
async fn leaves_early(text: String) -> Result<u32, lwt::Error> {
    if text.is_empty() {
        return Ok(0);
    }
    let number: u32 = text.parse()?;
    if number > 100 {
        return Err(lwt::Error::message("too big"));
    }
    loop {
        lwt::pause().await?;
        if number > 0 {
            return Ok(number);
        }
    }
}

/// A type whose name does not show that it is a result.
type Answer = Result<u32>;

#[lwt::thread]
async fn by_another_name() -> Answer {
    Ok(42)
}

/// Attributes stay: this one is a condition.
#[cfg(any())]
#[lwt::thread]
async fn not_compiled() -> Nonsense {}

#[lwt::thread]
#[must_use]
#[inline]
async unsafe fn not_safe() -> Result<()> {
    Ok(())
}

/// A service that owns itself.
#[derive(Debug)]
pub struct Service {
    names: HashMap<u32, String>,
}

impl Service {
    /// `Self` in the result.
    #[lwt::thread]
    pub async fn open(name: String) -> Result<Rc<Self>> {
        Ok(Rc::new(Service { names: HashMap::from([(1, name)]) }))
    }

    /// A shared receiver.
    #[lwt::thread]
    pub async fn name(self: Rc<Self>, number: u32) -> Result<String> {
        lwt::pause().await?;
        Ok(self.names[&number].clone())
    }

    /// A receiver that is consumed, and changed on the way.
    #[lwt::thread]
    async fn close(mut self) -> Result<usize> {
        self.names.clear();
        Ok(self.names.len())
    }

    /// A receiver that the body does not use.
    #[lwt::thread]
    async fn unused(self: Box<Self>) -> Result<()> {
        Ok(())
    }
}

/// A trait that is fit for `dyn`.
pub trait Source {
    /// A declaration.
    #[lwt::thread]
    async fn next(self: Rc<Self>) -> Result<u32>;

    /// A method with a body of its own.
    #[lwt::thread]
    async fn skip(self: Rc<Self>, _count: u32) -> Result<()>
    where
        Self: 'static,
    {
        Ok(())
    }
}

impl Source for u32 {
    #[lwt::thread]
    async fn next(self: Rc<Self>) -> Result<u32> {
        Ok(*self + 1)
    }
}

macro_rules! made_by_a_macro {
    ($name:ident, $value:ty, $number:expr) => {
        #[lwt::thread]
        async fn $name(value: $value) -> Result<$value> {
            Ok(value + $number)
        }
    };
}
made_by_a_macro!(add_two, u32, 2);

#[lwt::main]
async fn main() -> Result<()> {
    let threes: Promise<[u8; 3]> = generic(3);
    assert_eq!(threes.await?, [3, 3, 3]);
    let tuple = (2, 3);
    assert_eq!(patterns(1, tuple, [4, 0, 0], Rc::new(()), String::new()).await?, 10);
    assert_eq!(opaque(7).await?.to_string(), "<7>");
    assert_eq!(functions(str::trim, Box::new(str::len), " ab ").await?, 2);
    assert_eq!(leaves_early("17".to_owned()).await?, 17);
    assert!(leaves_early("170".to_owned()).await.is_err());
    assert!(leaves_early("x".to_owned()).await.is_err());
    assert_eq!(by_another_name().await?, 42);
    // SAFETY: the function asks for nothing.
    unsafe { not_safe() }.await?;
    let service = Service::open("one".to_owned()).await?;
    assert_eq!(service.clone().name(1).await?, "one");
    let service = Rc::into_inner(service).ok_or(lwt::Error::message("somebody holds the service"))?;
    Box::new(Service { names: HashMap::new() }).unused().await?;
    assert_eq!(service.close().await?, 0);
    let source: Rc<dyn Source> = Rc::new(6);
    assert_eq!(source.next().await?, 7);
    Rc::new(6).skip(1).await?;
    assert_eq!(add_two(40).await?, 42);
    Ok(())
}
