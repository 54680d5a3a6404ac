//! Which types stay on their operating-system thread, and which may leave it.
//!
//! The checks are made by the compiler: this file compiles only if they hold. (A file of `ui/fail` would show the private
//! fields of each type in its text.)

use std::rc::Rc;

/// Compiles only if the types are neither `Send` nor `Sync`: if one were, two implementations would fit, and `_` could not
/// be inferred.
macro_rules! stays {
    ($($type:ty),+ $(,)?) => {$(
        const _: () = {
            trait Fits<Which> {
                fn here() {}
            }
            struct BySend;
            struct BySync;
            impl<T: ?Sized> Fits<()> for T {}
            impl<T: ?Sized + Send> Fits<BySend> for T {}
            impl<T: ?Sized + Sync> Fits<BySync> for T {}
            let _ = <$type as Fits<_>>::here;
        };
    )+};
}

/// Compiles only if the types are `Send` and `Sync`.
macro_rules! may_leave {
    ($($type:ty),+ $(,)?) => {$(
        const _: () = {
            const fn leaves<T: Send + Sync + 'static>() {}
            leaves::<$type>()
        };
    )+};
}

stays!(
    lwt::Promise<()>,
    lwt::Promise<Rc<u32>>,
    lwt::Resolver<()>,
    lwt::Resolver<Rc<u32>>,
    lwt::Canceler,
    lwt::Group,
    lwt::unix::FileDescriptor,
    lwt::unix::Buffer,
    lwt::unix::Event,
);

may_leave!(
    lwt::Error,
    lwt::Result<()>,
    lwt::Canceled,
    lwt::Timeout,
    lwt::EndOfFile,
    lwt::Failure,
    lwt::InvalidArgument,
    lwt::Panic,
    lwt::NoLoop,
    lwt::NestedRun,
    lwt::scheduler::Inbox,
    lwt::unix::Deadlock,
    lwt::unix::SystemError,
    lwt::unix::Address,
);

/// Errors go through the other libraries' errors and come back.
#[test]
fn errors_travel() {
    let error = std::io::Error::other(lwt::Error::from(lwt::Timeout));
    assert!(lwt::Error::from(error).is::<lwt::Timeout>());
}
