//! What belongs to one OS thread cannot be sent to another: checked by the compiler, this file only has to compile.

macro_rules! assert_neither_send_nor_sync {
    ($($type:ty),* $(,)?) => {
        $(const _: fn() = || {
            // If the type were `Send` or `Sync`, two implementations would fit and the call would be ambiguous.
            trait Ambiguous<A> {
                fn item() {}
            }
            impl<T: ?Sized> Ambiguous<()> for T {}
            struct IfSend;
            impl<T: ?Sized + Send> Ambiguous<IfSend> for T {}
            struct IfSync;
            impl<T: ?Sized + Sync> Ambiguous<IfSync> for T {}
            let _ = <$type as Ambiguous<_>>::item;
        };)*
    };
}

assert_neither_send_nor_sync!(
    lwt_unix::FileDescriptor,
    lwt_unix::Buffer,
    lwt_unix::Event,
    lwt_unix::Signals,
    lwt_unix::hooks::LoopHook,
    lwt_unix::ExitHookHandle,
);

const fn crosses<T: Send + Sync>() {}

/// What is only data does cross.
const _: () = {
    crosses::<lwt_unix::Address>();
    crosses::<lwt_unix::SystemError>();
    crosses::<lwt_unix::AddressInfo>();
    crosses::<lwt_unix::engine::Moment>();
};

#[test]
fn types_of_one_os_thread_stay_there() {}
