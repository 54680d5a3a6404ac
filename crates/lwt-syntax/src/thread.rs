//! `#[lwt::thread]`: an `async fn` becomes a function that starts a thread and gives its promise.
//!
//! ```text
//! pub fn fetch<T: 'static>(mut url: Url, (a, b): (T, u8)) -> Result<Vec<T>> { … }
//! ```
//!
//! becomes, with the names of the standard library in full,
//!
//! ```text
//! #[track_caller]
//! pub fn fetch<T: 'static>(url: Url, argument_1: (T, u8)) -> ::lwt::Promise<Vec<T>> {
//!     ::lwt::__private::spawn::<Result<Vec<T>>, _, _>(async move {
//!         if let Some(output) = None::<Result<Vec<T>>> { return output; }
//!         let mut url = url;
//!         let argument_1 = argument_1;
//!         let (a, b) = argument_1;
//!         let output: Result<Vec<T>> = { … };
//!         output
//!     })
//! }
//! ```
//!
//! - Every parameter is moved into the thread by a `let`, used or not, so that it lives as long as in an `async fn`.
//! - The `if let` never runs; it fixes the type of the block for `?` and `return` before the compiler reads the body.
//! - `#[track_caller]` makes the place where a thread was launched that of the call.
//!
//! When parameters are refused, the errors come with a stub of the same signature, so that callers are not reported too.

use proc_macro2::{Span, TokenStream};
use quote::{ToTokens, format_ident, quote, quote_spanned};
use syn::spanned::Spanned;
use syn::visit::{self, Visit};
use syn::{
    Attribute, FnArg, GenericArgument, Ident, Pat, PatType, PathArguments, ReturnType, Signature,
    Type, TypeImplTrait, parse_quote,
};

use crate::arguments::{Arguments, Known};
use crate::borrow;
use crate::facade::{Facade, written_at};
use crate::function::Function;

/// Writes `#[lwt::thread]`.
pub(crate) fn expand(arguments: TokenStream, item: TokenStream) -> syn::Result<TokenStream> {
    let arguments = Arguments::read(arguments, "lwt::thread", &[Known::Crate])?;
    let function = Function::read(item, "lwt::thread")?;
    let output = output(&function.signature)?;
    let facade = Facade::find(arguments.facade.as_ref())?.at(output.span());
    let refusal = borrow::refuse(&function.signature)
        .err()
        .map(syn::Error::into_compile_error);

    let mut signature = function.signature.clone();
    signature.asyncness = None;
    signature.output = promise_of(&facade, &output);
    let moves = take_parameters(&mut signature);

    let Function {
        attributes,
        visibility,
        ..
    } = &function;
    let head = quote!(#(#attributes)*);
    Ok(match (&function.body, refusal) {
        (None, refusal) => quote!(#refusal #head #visibility #signature;),
        (Some(_), Some(refusal)) => quote! {
            #refusal
            #head
            #[allow(unused)]
            #visibility #signature { ::core::panic!() }
        },
        (Some(body), None) => {
            let track_caller = track_caller(attributes);
            let thread = thread(&facade, &output, &moves, body);
            quote! {
                #head
                #track_caller
                #visibility #signature { #thread }
            }
        }
    })
}

/// The type that the user's function returns.
fn output(signature: &Signature) -> syn::Result<Type> {
    match &signature.output {
        ReturnType::Type(_, output) => Ok((**output).clone()),
        ReturnType::Default => Err(syn::Error::new_spanned(
            signature,
            "a thread gives a result: write `-> lwt::Result<()>`, and end the body with `Ok(())`",
        )),
    }
}

/// `-> Promise<T>` for the output `Result<T>`. Where the type does not show its `T`, a trait finds it.
fn promise_of(facade: &TokenStream, output: &Type) -> ReturnType {
    let span = written_at(output.span());
    let value = match value_of(output) {
        Some(value) => value.to_token_stream(),
        None => quote_spanned!(span=> <#output as #facade::__private::ThreadOutput>::Value),
    };
    parse_quote!(-> #facade::Promise<#value>)
}

/// The `T` of `Result<T>` or `Result<T, E>`, by the look of it.
fn value_of(output: &Type) -> Option<&Type> {
    let Type::Path(path) = output else {
        return None;
    };
    let last = path.path.segments.last()?;
    let PathArguments::AngleBracketed(arguments) = &last.arguments else {
        return None;
    };
    match arguments.args.first()? {
        GenericArgument::Type(value) if last.ident == "Result" => Some(value),
        _ => None,
    }
}

/// Replaces the patterns of the parameters by plain names, and gives the statements that move the parameters into the
/// thread and take them apart there.
fn take_parameters(signature: &mut Signature) -> Vec<TokenStream> {
    let mut moves = Vec::new();
    for (index, input) in signature.inputs.iter_mut().enumerate() {
        match input {
            // A use of the whole of `self`, so that all of it moves into the thread.
            FnArg::Receiver(receiver) => {
                let conditions = conditions(&receiver.attrs);
                let token = &receiver.self_token;
                moves.push(quote!(#(#conditions)* let _ = &#token;));
            }
            FnArg::Typed(input) => moves.push(take_parameter(index, input)),
        }
    }
    moves
}

fn take_parameter(index: usize, input: &mut PatType) -> TokenStream {
    let conditions = conditions(&input.attrs);
    let (name, whole) = match &*input.pat {
        Pat::Ident(pattern) if pattern.subpat.is_none() && pattern.by_ref.is_none() => {
            (pattern.ident.clone(), None)
        }
        // A name made at the place of the macro: the body cannot see it. The parameter moves into the thread before the
        // pattern takes it apart, since a pattern such as `_` moves nothing.
        pattern => {
            let name = format_ident!("argument_{index}", span = mixed_site(pattern.span()));
            let whole = quote!(#(#conditions)* let #name = #name;);
            (name, Some(whole))
        }
    };
    let plain: Pat = parse_quote!(#name);
    let pattern = std::mem::replace(&mut *input.pat, plain);
    quote!(#whole #(#conditions)* let #pattern = #name;)
}

/// The attributes of a parameter that hold for its `let` too: `cfg`, and the levels of lints.
fn conditions(attributes: &[Attribute]) -> Vec<&Attribute> {
    let holds = |attribute: &&Attribute| {
        ["cfg", "cfg_attr", "allow", "expect", "warn", "deny"]
            .iter()
            .any(|name| attribute.path().is_ident(name))
    };
    attributes.iter().filter(holds).collect()
}

fn mixed_site(span: Span) -> Span {
    Span::mixed_site().located_at(span)
}

/// `#[track_caller]`, unless the user has written it.
fn track_caller(attributes: &[Attribute]) -> Option<TokenStream> {
    let given = attributes
        .iter()
        .any(|attribute| attribute.path().is_ident("track_caller"));
    (!given).then(|| quote!(#[track_caller]))
}

/// The expression that starts the thread.
fn thread(
    facade: &TokenStream,
    output: &Type,
    moves: &[TokenStream],
    body: &proc_macro2::Group,
) -> TokenStream {
    let span = written_at(output.span());
    let value = Ident::new("output", mixed_site(span));
    // A type with `impl` in it cannot be written down inside the function.
    let (start, hint, annotation) = if has_impl(output) {
        (quote_spanned!(span=> #facade::spawn), quote!(), quote!())
    } else {
        let start = quote_spanned!(span=> #facade::__private::spawn::<#output, _, _>);
        let hint = quote_spanned! {span=>
            #[allow(unreachable_code, clippy::diverging_sub_expression)]
            if let ::core::option::Option::Some(#value) = ::core::option::Option::None::<#output> {
                return #value;
            }
        };
        (start, hint, quote_spanned!(span=> : #output))
    };
    let block = quote! {
        {
            #hint
            #(#moves)*
            #[allow(clippy::diverging_sub_expression, clippy::let_and_return, clippy::let_unit_value)]
            let #value #annotation = #body;
            #[allow(unreachable_code)]
            #value
        }
    };
    quote_spanned!(span=> #start(async move #block))
}

/// Whether `impl Trait` occurs in a type.
fn has_impl(ty: &Type) -> bool {
    #[derive(Default)]
    struct Finder(bool);
    impl<'ast> Visit<'ast> for Finder {
        fn visit_type_impl_trait(&mut self, found: &'ast TypeImplTrait) {
            self.0 = true;
            visit::visit_type_impl_trait(self, found);
        }
    }
    let mut finder = Finder::default();
    finder.visit_type(ty);
    finder.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(item: TokenStream) -> String {
        match expand(quote!(crate = l), item) {
            Ok(tokens) => tokens.to_string(),
            Err(error) => error.to_string(),
        }
    }

    /// `text` contains the tokens of `part`.
    #[track_caller]
    fn contains(text: &str, part: TokenStream) {
        let (text, part) = (text.replace(' ', ""), part.to_string().replace(' ', ""));
        assert!(text.contains(&part), "{part} is not in {text}");
    }

    #[test]
    fn the_head_stays_as_it_is() {
        let written = text(quote! {
            /// Documentation.
            #[inline]
            pub(crate) async fn f<T, const N: usize>(a: T) -> l::Result<[T; N]> where T: 'static { body() }
        });
        contains(
            &written,
            quote! {
                /// Documentation.
                #[inline]
                #[track_caller]
                pub(crate) fn f<T, const N: usize>(a: T) -> l::Promise<[T; N]> where T: 'static
            },
        );
    }

    #[test]
    fn patterns_move_into_the_thread() {
        let written = text(quote! {
            async fn f(mut a: u8, (b, c): (u8, u8), _: u8, #[cfg(unix)] d: u8) -> Result<()> { body() }
        });
        contains(
            &written,
            quote!(fn f(a: u8, argument_1: (u8, u8), argument_2: u8, #[cfg(unix)] d: u8)),
        );
        contains(&written, quote!(let mut a = a;));
        contains(&written, quote!(let (b, c) = argument_1;));
        contains(
            &written,
            quote!(let argument_2 = argument_2; let _ = argument_2;),
        );
        contains(&written, quote!(#[cfg(unix)] let d = d;));
    }

    #[test]
    fn the_value_is_found_by_look_or_by_trait() {
        contains(
            &text(quote!(
                async fn f() -> Result<u8, l::Error> {
                    body()
                }
            )),
            quote!(fn f() -> l::Promise<u8>),
        );
        contains(
            &text(quote!(
                async fn f() -> Answer {
                    body()
                }
            )),
            quote!(fn f() -> l::Promise<<Answer as l::__private::ThreadOutput>::Value>),
        );
    }

    #[test]
    fn a_declaration_in_a_trait_has_no_body() {
        let written = text(quote!(
            async fn f(self: Rc<Self>) -> Result<u8>;
        ));
        assert_eq!(
            written,
            quote!(
                fn f(self: Rc<Self>) -> l::Promise<u8>;
            )
            .to_string()
        );
    }

    #[test]
    fn a_refused_function_leaves_a_stub() {
        let written = text(quote!(
            async fn f(a: &str) -> Result<u8> {
                body()
            }
        ));
        contains(&written, quote!(fn f(a: &str) -> l::Promise<u8>));
        assert!(written.contains("compile_error"), "{written}");
        assert!(!written.contains("body"), "{written}");
    }

    #[test]
    fn a_thread_gives_a_result() {
        let written = text(quote!(
            async fn f() {
                body()
            }
        ));
        assert!(written.contains("write `-> lwt::Result<()>`"), "{written}");
    }
}
