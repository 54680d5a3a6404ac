//! An `async fn` taken apart as far as the macros need it.
//!
//! The signature is parsed; the body stays a group of tokens. Mistakes in the body are thus reported by the compiler, not
//! by us, and an editor still completes inside a body that is half written.

use proc_macro2::{Delimiter, Group, TokenStream};
use syn::parse::{Parse, ParseStream};
use syn::{Attribute, Signature, Token, Visibility, braced};

/// A function as it stands in the source.
pub(crate) struct Function {
    /// All attributes, the inner ones (`#![…]`) included.
    pub(crate) attributes: Vec<Attribute>,
    pub(crate) visibility: Visibility,
    pub(crate) signature: Signature,
    /// The body with its braces; `None` for a declaration in a trait.
    pub(crate) body: Option<Group>,
}

impl Parse for Function {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let mut attributes = input.call(Attribute::parse_outer)?;
        let visibility = input.parse()?;
        let signature = input.parse()?;
        let body = if input.peek(Token![;]) {
            input.parse::<Token![;]>()?;
            None
        } else {
            let content;
            let braces = braced!(content in input);
            attributes.extend(content.call(Attribute::parse_inner)?.into_iter().map(outer));
            let mut body = Group::new(Delimiter::Brace, content.parse::<TokenStream>()?);
            body.set_span(braces.span.join());
            Some(body)
        };
        Ok(Function {
            attributes,
            visibility,
            signature,
            body,
        })
    }
}

impl Function {
    /// Reads the item that an attribute stands on.
    pub(crate) fn read(item: TokenStream, attribute: &str) -> syn::Result<Self> {
        let function: Function = syn::parse2(item).map_err(|error| {
            syn::Error::new(
                error.span(),
                format!("`#[{attribute}]` stands on an `async fn`: {error}"),
            )
        })?;
        if function.signature.asyncness.is_none() {
            let message = format!("`#[{attribute}]` needs an `async fn`: add `async` before `fn`");
            return Err(syn::Error::new_spanned(
                function.signature.fn_token,
                message,
            ));
        }
        Ok(function)
    }
}

/// The same attribute written outside the braces.
fn outer(mut attribute: Attribute) -> Attribute {
    attribute.style = syn::AttrStyle::Outer;
    attribute
}
