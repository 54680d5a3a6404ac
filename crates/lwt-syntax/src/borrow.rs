//! What a thread cannot borrow: references and lifetimes in the parameters of a function under `#[lwt::thread]`.
//!
//! The compiler would find these too, but late, at the call of `spawn`, in words about `'static`. Here they are found at
//! the parameter, and the message says what to write instead.
//!
//! Only what can be read off the tokens is judged: `&T`, `Name<'a>`, `Name<'_>`, `dyn Trait + 'a`. A lifetime that is
//! elided without a trace (`Ref<T>` for `Ref<'_, T>`) is left to the compiler. `'static` is no borrow; neither are
//! lifetimes that belong to a function type (`fn(&str)`, `impl Fn(&str)`, `for<'a> …`).

use quote::ToTokens;
use syn::visit::{self, Visit};
use syn::{
    BoundLifetimes, FnArg, GenericParam, Lifetime, ParenthesizedGenericArguments, Pat, Receiver,
    Signature, Type, TypeBareFn, TypeReference,
};

/// Refuses the borrowed parameters of a thread, all of them at once.
pub(crate) fn refuse(signature: &Signature) -> syn::Result<()> {
    let mut refusal: Option<syn::Error> = None;
    let mut add = |error: syn::Error| match &mut refusal {
        Some(first) => first.combine(error),
        None => refusal = Some(error),
    };
    for input in &signature.inputs {
        let error = match input {
            FnArg::Receiver(receiver) => of_receiver(receiver),
            FnArg::Typed(input) => remedy_for(&input.ty).map(|remedy| {
                let message = format!(
                    "a thread outlives the call that starts it, so {} cannot be borrowed: {}",
                    described(&input.pat),
                    remedy
                );
                syn::Error::new_spanned(input, message)
            }),
        };
        error.into_iter().for_each(&mut add);
    }
    if let syn::ReturnType::Type(_, output) = &signature.output
        && let Some(remedy) = remedy_for(output)
    {
        let message = format!(
            "a thread outlives the call that starts it, so its result cannot be borrowed: {}",
            remedy
        );
        add(syn::Error::new_spanned(output, message));
    }
    refusal.map_or(Ok(()), Err)
}

/// The refusal of `&self`, `&mut self`, `self: &Self`, `self: Pin<&mut Self>`; `None` for an owned receiver.
fn of_receiver(receiver: &Receiver) -> Option<syn::Error> {
    if receiver.reference.is_none() && remedy_for(&receiver.ty).is_none() {
        return None;
    }
    Some(syn::Error::new_spanned(
        receiver,
        "a thread outlives the call that starts it, so `self` cannot be borrowed: take `self: std::rc::Rc<Self>` (or \
         `self`), or write a plain `fn` that gives `lwt::spawn(async move { … })` what it needs of `self`",
    ))
}

/// How a message names a parameter.
fn described(pattern: &Pat) -> String {
    match pattern {
        Pat::Ident(pattern) => format!("`{}`", pattern.ident),
        _ => "this parameter".to_owned(),
    }
}

/// What to write instead of the first borrow in a type, if there is one.
fn remedy_for(ty: &Type) -> Option<String> {
    let mut finder = Finder::default();
    finder.visit_type(ty);
    finder.remedy
}

/// Walks through a type up to the first borrow.
#[derive(Default)]
struct Finder {
    remedy: Option<String>,
    /// Lifetimes bound by a `for<…>` on the way.
    bound: Vec<Lifetime>,
}

impl<'ast> Visit<'ast> for Finder {
    fn visit_type_reference(&mut self, reference: &'ast TypeReference) {
        let lifetime = reference.lifetime.as_ref();
        if lifetime.is_some_and(|l| l.ident == "static" || self.bound.contains(l)) {
            self.visit_type(&reference.elem);
        } else {
            self.remedy = Some(remedy(reference));
        }
    }

    fn visit_lifetime(&mut self, lifetime: &'ast Lifetime) {
        let borrows = lifetime.ident != "static" && !self.bound.contains(lifetime);
        if self.remedy.is_none() && borrows {
            self.remedy = Some(format!(
                "take a type without `{lifetime}`, or with `'static` in its place"
            ));
        }
    }

    fn visit_bound_lifetimes(&mut self, bound: &'ast BoundLifetimes) {
        self.bound
            .extend(bound.lifetimes.iter().filter_map(|p| match p {
                GenericParam::Lifetime(parameter) => Some(parameter.lifetime.clone()),
                _ => None,
            }));
    }

    // Lifetimes of a function type are those of its calls.
    fn visit_type_bare_fn(&mut self, _: &'ast TypeBareFn) {}
    fn visit_parenthesized_generic_arguments(&mut self, _: &'ast ParenthesizedGenericArguments) {}

    fn visit_type(&mut self, ty: &'ast Type) {
        if self.remedy.is_none() {
            visit::visit_type(self, ty);
        }
    }
}

/// The owned type to write instead of a reference.
fn remedy(reference: &TypeReference) -> String {
    let element = reference.elem.to_token_stream().to_string();
    if reference.mutability.is_some() {
        let remedy = format!(
            "take `{element}` itself and give it back in the result, or share a `std::rc::Rc<std::cell::RefCell<{element}>>`"
        );
        return spaced(&remedy);
    }
    let owned = match &*reference.elem {
        Type::Slice(slice) => Some(format!("Vec<{}>", slice.elem.to_token_stream())),
        Type::Path(path) => path.path.segments.last().and_then(|name| {
            let owned = match name.ident.to_string().as_str() {
                "str" => "String",
                "Path" => "std::path::PathBuf",
                "OsStr" => "std::ffi::OsString",
                "CStr" => "std::ffi::CString",
                _ => return None,
            };
            Some(owned.to_owned())
        }),
        _ => None,
    };
    let remedy = match owned {
        Some(owned) => format!("take an owned `{owned}`"),
        None => format!("take an owned `{element}`, or a shared `std::rc::Rc<{element}>`"),
    };
    spaced(&remedy)
}

/// Removes the spaces that printing tokens puts around angle brackets and paths.
fn spaced(text: &str) -> String {
    text.replace(" :: ", "::")
        .replace(" < ", "<")
        .replace("< ", "<")
        .replace(" >", ">")
        .replace(" ,", ",")
}

#[cfg(test)]
mod tests {
    use quote::quote;

    use super::*;

    fn messages(signature: proc_macro2::TokenStream) -> Vec<String> {
        let Ok(signature) = syn::parse2::<Signature>(signature) else {
            return vec!["not a signature".to_owned()];
        };
        match refuse(&signature) {
            Ok(()) => Vec::new(),
            Err(error) => error.into_iter().map(|e| e.to_string()).collect(),
        }
    }

    #[test]
    fn owned_parameters_pass() {
        let none: Vec<String> = Vec::new();
        for signature in [
            quote!(fn f()),
            quote!(fn f(self, a: String, b: Vec<u8>)),
            quote!(fn f(self: Rc<Self>)),
            quote!(fn f(mut self: Box<Self>)),
            quote!(fn f(a: &'static str, b: Cow<'static, str>)),
            quote!(fn f(g: fn(&str) -> &str, h: impl Fn(&str) -> &str + 'static)),
            quote!(fn f(g: Box<dyn for<'a> Fn(Name<'a>) -> &'a str>)),
            quote!(fn f(g: Box<dyn for<'a> Visit<'a>>)),
            quote!(fn f() -> Result<&'static str>),
        ] {
            assert_eq!(messages(signature.clone()), none, "{signature}");
        }
    }

    #[test]
    fn each_borrow_has_its_remedy() {
        for (signature, remedy) in [
            (
                quote!(fn f(&self)),
                "take `self: std::rc::Rc<Self>` (or `self`)",
            ),
            (quote!(fn f(&mut self)), "`self` cannot be borrowed"),
            (quote!(fn f(self: &Self)), "`self` cannot be borrowed"),
            (
                quote!(fn f(self: Pin<&mut Self>)),
                "`self` cannot be borrowed",
            ),
            (quote!(fn f(a: &str)), "take an owned `String`"),
            (
                quote!(fn f(a: &std::path::Path)),
                "take an owned `std::path::PathBuf`",
            ),
            (quote!(fn f(a: &[u8])), "take an owned `Vec<u8>`"),
            (
                quote!(fn f(a: Option<&Map<K, V>>)),
                "an owned `Map<K, V>`, or a shared `std::rc::Rc<Map<K, V>>`",
            ),
            (
                quote!(fn f(a: &mut State)),
                "share a `std::rc::Rc<std::cell::RefCell<State>>`",
            ),
            (quote!(fn f(a: Cow<'_, str>)), "take a type without `'_`"),
            (
                quote!(fn f<'a>(a: Box<dyn Read + 'a>)),
                "take a type without `'a`",
            ),
            (
                quote!(fn f((a, b): (&'a str, u8))),
                "this parameter cannot be borrowed",
            ),
            (
                quote!(fn f() -> Result<&'a str>),
                "its result cannot be borrowed: take an owned `String`",
            ),
        ] {
            let messages = messages(signature.clone());
            assert_eq!(messages.len(), 1, "{signature}: {messages:?}");
            assert!(
                messages.iter().all(|text| text.contains(remedy)),
                "{signature}: {messages:?}"
            );
        }
    }

    #[test]
    fn all_borrows_are_reported_at_once() {
        assert_eq!(
            messages(quote!(fn f(&self, a: &str, b: u8, c: Name<'_>))).len(),
            3
        );
    }
}
