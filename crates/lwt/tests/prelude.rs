//! The prelude has no name of the standard prelude. (`ui/pass/prelude.rs` shows the same by using them side by side.)

use std::collections::BTreeSet;

const PRELUDE: &str = include_str!("../src/prelude.rs");

/// The names of `std::prelude::rust_2024`: types, traits, variants, functions, macros and attributes.
const STANDARD: &str = "
    Send Sync Sized Copy Unpin Drop Fn FnMut FnOnce AsyncFn AsyncFnMut AsyncFnOnce drop align_of align_of_val size_of
    size_of_val Box ToOwned Clone PartialEq PartialOrd Eq Ord AsRef AsMut Into From Default Iterator Extend IntoIterator
    DoubleEndedIterator ExactSizeIterator Option Some None Result Ok Err String ToString Vec TryFrom TryInto FromIterator
    Future IntoFuture
    assert assert_eq assert_ne cfg column compile_error concat debug_assert debug_assert_eq debug_assert_ne dbg env
    eprint eprintln file format format_args include include_bytes include_str line matches module_path option_env
    panic print println stringify thread_local todo try unimplemented unreachable vec write writeln
    Debug Hash derive bench global_allocator test test_case cfg_accessible cfg_eval type_ascribe derive_const
    allow warn deny forbid expect cold inline main must_use no_mangle path repr should_panic ignore target_feature
    track_caller
";

#[test]
fn no_name_is_one_of_the_standard_prelude() {
    let standard: BTreeSet<&str> = STANDARD.split_whitespace().collect();
    let names: BTreeSet<&str> = PRELUDE
        .split("pub use crate::{")
        .skip(1)
        .filter_map(|part| part.split('}').next())
        .flat_map(|list| list.split(','))
        .map(str::trim)
        .filter(|name| !name.is_empty())
        .collect();
    assert!(
        names.contains("Promise") && names.contains("spawn"),
        "{names:?}"
    );
    let both: Vec<&&str> = names.intersection(&standard).collect();
    assert!(both.is_empty(), "{both:?}");
}

#[test]
fn everything_is_exported_by_name() {
    assert_eq!(
        PRELUDE.matches("pub use").count(),
        PRELUDE.matches("pub use crate::{").count()
    );
}
