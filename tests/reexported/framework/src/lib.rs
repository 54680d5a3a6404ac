//! Plays a framework that has `lwt` inside and gives it to its users.

/// The facade as users of this framework reach it.
pub mod threads {
    pub use lwt;
}

/// Makes a thread that gives a number: a macro that uses a macro of `lwt`, for crates that need not know it.
#[macro_export]
macro_rules! number {
    ($(#[$attribute:meta])* $visibility:vis $name:ident = $number:expr) => {
        $(#[$attribute])*
        #[$crate::threads::lwt::thread(crate = $crate::threads::lwt)]
        $visibility async fn $name() -> $crate::threads::lwt::Result<u32> {
            Ok($number)
        }
    };
}
