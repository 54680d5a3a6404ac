//! The book: the README and every chapter as the documentation of a module, so that `cargo test --package lwt-book --doc` compiles and
//! runs each code block in them.
//!
//! A new chapter `src/x.md` gets a line here and a line in `src/SUMMARY.md`; `cargo xtask tidy` fails without them. The
//! order is that of the table of contents.

/// Makes a module of each chapter, documented by its text.
macro_rules! chapters {
    ($($name:ident: $file:literal,)*) => {
        $(
            #[doc = include_str!($file)]
            pub mod $name {}
        )*
    };
}

chapters! {
    readme: "../README.md",
    introduction: "src/introduction.md",
    threads: "src/threads.md",
    composition: "src/composition.md",
    errors: "src/errors.md",
    cancelling: "src/cancelling.md",
    several: "src/several.md",
    storage: "src/storage.md",
    order: "src/order.md",
    rules: "src/rules.md",
    dropping: "src/dropping.md",
    locks: "src/locks.md",
    mailboxes: "src/mailboxes.md",
    streams: "src/streams.md",
    main_loop: "src/loop.md",
    descriptors: "src/descriptors.md",
    testing: "src/testing.md",
    foreign: "src/foreign.md",
    ocaml: "src/ocaml.md",
}
