//! `#[lwt::main]` and `#[lwt::test]`: an `async fn` without parameters becomes a plain function that runs it.
//!
//! The user's function stays whole, as an item inside the one that replaces it:
//!
//! ```text
//! fn main() -> Result<()> {
//!     async fn main() -> Result<()> { … }
//!     ::lwt::__private::main(main)
//! }
//! ```
//!
//! so `?`, `return` and every diagnostic of the compiler work on it as on any `async fn`.

use proc_macro2::{Span, TokenStream};
use quote::{ToTokens, quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{ReturnType, Signature};

use crate::arguments::{Arguments, Known};
use crate::facade::{Facade, written_at};
use crate::function::Function;

/// Milliseconds that a test may take when it does not say.
const DEFAULT_TIME_LIMIT_MS: u64 = 30_000;

/// Writes `#[lwt::main]`.
pub(crate) fn main(arguments: TokenStream, item: TokenStream) -> syn::Result<TokenStream> {
    let arguments = Arguments::read(arguments, "lwt::main", &[Known::Crate])?;
    let function = Function::read(item, "lwt::main")?;
    check(&function, "lwt::main")?;
    let place = written_at(output_span(&function.signature));
    let facade = Facade::find(arguments.facade.as_ref())?.at(place);
    let name = &function.signature.ident;
    let call = quote_spanned!(place=> #facade::__private::main(#name));
    Ok(wrap(&function, &TokenStream::new(), &call))
}

/// Writes `#[lwt::test]`.
pub(crate) fn test(arguments: TokenStream, item: TokenStream) -> syn::Result<TokenStream> {
    let known = [
        Known::VirtualClock,
        Known::Seed,
        Known::TimeLimit,
        Known::Crate,
    ];
    let arguments = Arguments::read(arguments, "lwt::test", &known)?;
    let function = Function::read(item, "lwt::test")?;
    check(&function, "lwt::test")?;
    let place = written_at(output_span(&function.signature));
    let facade = Facade::find(arguments.facade.as_ref())?.at(place);
    let name = &function.signature.ident;
    let options = options(&arguments, &facade, &name.to_string());
    let call = quote_spanned! {place=>
        #facade::__private::test::run(#options, #name)
    };
    Ok(wrap(
        &function,
        &quote!(#[::core::prelude::v1::test]),
        &call,
    ))
}

/// The options of a test as an expression.
fn options(arguments: &Arguments, facade: &TokenStream, name: &str) -> TokenStream {
    let virtual_clock = arguments.virtual_clock;
    let seed = match arguments.seed {
        Some(seed) => quote!(::core::option::Option::Some(#seed)),
        None => quote!(::core::option::Option::None),
    };
    let time_limit_ms = match arguments.time_limit {
        // The reader refuses what does not fit.
        Some(limit) => u64::try_from(limit.as_millis()).unwrap_or(u64::MAX),
        None => DEFAULT_TIME_LIMIT_MS,
    };
    quote! {
        #facade::__private::test::Options {
            name: ::core::concat!(::core::module_path!(), "::", #name),
            virtual_clock: #virtual_clock,
            seed: #seed,
            time_limit_ms: #time_limit_ms,
        }
    }
}

/// Refuses what an entry point cannot have.
fn check(function: &Function, attribute: &str) -> syn::Result<()> {
    let signature = &function.signature;
    let wrong = |tokens: &dyn ToTokens, what: &str| {
        let message = format!("a function under `#[{attribute}]` has no {what}");
        Err(syn::Error::new_spanned(tokens.to_token_stream(), message))
    };
    if !signature.inputs.is_empty() {
        return wrong(&signature.inputs, "parameters: nobody could pass them");
    }
    if !signature.generics.params.is_empty() {
        return wrong(
            &signature.generics,
            "type parameters: nobody could choose them",
        );
    }
    if let Some(clause) = &signature.generics.where_clause {
        return wrong(clause, "where clause");
    }
    if function.body.is_none() {
        let message = format!("a function under `#[{attribute}]` has a body");
        return Err(syn::Error::new_spanned(signature, message));
    }
    Ok(())
}

/// Where a mistake in the type of the result is reported.
fn output_span(signature: &Signature) -> Span {
    match &signature.output {
        ReturnType::Type(_, output) => output.span(),
        ReturnType::Default => signature.ident.span(),
    }
}

/// The function that replaces the user's: the same head without `async`, and the user's function inside it.
fn wrap(function: &Function, attribute: &TokenStream, call: &TokenStream) -> TokenStream {
    let Function {
        attributes,
        visibility,
        signature,
        body,
    } = function;
    let mut head = signature.clone();
    head.asyncness = None;
    quote! {
        #(#attributes)*
        #attribute
        #visibility #head {
            #signature #body
            #call
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(result: syn::Result<TokenStream>) -> String {
        match result {
            Ok(tokens) => tokens.to_string(),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn main_keeps_the_function_inside() {
        let written = text(main(
            quote!(crate = "a::b"),
            quote! {
                /// Documentation.
                pub(crate) async fn main() -> a::Result<()> { work().await }
            },
        ));
        let expected = quote! {
            /// Documentation.
            pub(crate) fn main() -> a::Result<()> {
                async fn main() -> a::Result<()> { work().await }
                a::b::__private::main(main)
            }
        };
        assert_eq!(written, expected.to_string());
    }

    #[test]
    fn test_passes_its_options_on() {
        let written = text(test(
            quote!(virtual_clock, seed = 3, time_limit = "2s", crate = l),
            quote! {
                #[should_panic]
                async fn works() {}
            },
        ));
        let expected = quote! {
            #[should_panic]
            #[::core::prelude::v1::test]
            fn works() {
                async fn works() {}
                l::__private::test::run(
                    l::__private::test::Options {
                        name: ::core::concat!(::core::module_path!(), "::", "works"),
                        virtual_clock: true,
                        seed: ::core::option::Option::Some(3u64),
                        time_limit_ms: 2000u64,
                    },
                    works
                )
            }
        };
        assert_eq!(written, expected.to_string());
    }

    #[test]
    fn a_test_may_take_thirty_seconds_unless_it_says_otherwise() {
        let written = text(test(
            quote!(crate = l),
            quote!(
                async fn works() {}
            ),
        ));
        assert!(written.contains("time_limit_ms : 30000u64"), "{written}");
        assert!(written.contains("virtual_clock : false"), "{written}");
    }

    #[test]
    fn what_an_entry_point_cannot_have_is_refused() {
        for (item, message) in [
            (
                quote!(
                    fn main() {}
                ),
                "add `async` before `fn`",
            ),
            (
                quote!(
                    async fn main(n: u32) {}
                ),
                "has no parameters",
            ),
            (
                quote!(
                    async fn main<T>() {}
                ),
                "has no type parameters",
            ),
            (
                quote!(
                    async fn main()
                    where
                        u8: Copy,
                    {
                    }
                ),
                "has no where clause",
            ),
            (
                quote!(
                    async fn main();
                ),
                "has a body",
            ),
            (
                quote!(
                    struct Main;
                ),
                "stands on an `async fn`",
            ),
        ] {
            let written = text(main(quote!(crate = l), item));
            assert!(written.contains(message), "{written}");
        }
    }
}
