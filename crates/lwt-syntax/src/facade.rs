//! The path under which the calling crate knows the facade.
//!
//! What a procedural macro writes is resolved where it is called, and there is no `$crate` for it. The facade may be
//! called otherwise there (`threads = { package = "lwt", … }`), or not be a dependency at all, because a framework
//! re-exports it. So:
//!
//! 1. `crate = "path"`, when given, is taken as it is;
//! 2. else the name is looked up in the manifest of the crate being compiled. This uses `proc-macro-crate`, not a reader of
//!    our own: names may come from `[dependencies]`, `[dev-dependencies]`, tables per target, or be inherited from the
//!    workspace, and a half-right reader would fail in just the cases that it exists for;
//! 3. without a manifest (a build system other than Cargo) it is `::lwt`;
//! 4. with a manifest that does not mention the facade, the macro stops with an error that names the option.
//!
//! Inside the package `lwt` itself (its library, tests, doc tests) the path is `::lwt` too: the library calls itself so
//! (`extern crate self as lwt`).

use proc_macro_crate::{Error, FoundCrate, crate_name};
use proc_macro2::{Span, TokenStream};
use quote::ToTokens;
use syn::{Ident, Path, parse_quote};

/// The path of the facade.
#[derive(Clone, Debug)]
pub(crate) struct Facade {
    path: Path,
}

impl Facade {
    /// The path for a crate that gave `given` as the option `crate`.
    pub(crate) fn find(given: Option<&Path>) -> syn::Result<Self> {
        let path = match given {
            Some(path) => path.clone(),
            None => from_manifest(crate_name("lwt"))?,
        };
        Ok(Facade { path })
    }

    /// The path as the macro writes it: errors about what follows it are reported at `place`.
    pub(crate) fn at(&self, place: Span) -> TokenStream {
        let mut path = self.path.clone();
        if let Some(colons) = &mut path.leading_colon {
            colons.spans = [written_at(place); 2];
        }
        for mut pair in path.segments.pairs_mut() {
            let name = &mut pair.value_mut().ident;
            // `$crate` means what its own place says.
            if name != "$crate" {
                name.set_span(written_at(place));
            }
            if let Some(colons) = pair.punct_mut() {
                colons.spans = [written_at(place); 2];
            }
        }
        path.into_token_stream()
    }
}

/// The span of what a macro writes, reported at `place`. It counts as written by a macro, so lints about style let it be.
pub(crate) fn written_at(place: Span) -> Span {
    Span::call_site().located_at(place)
}

fn from_manifest(found: Result<FoundCrate, Error>) -> syn::Result<Path> {
    match found {
        Ok(FoundCrate::Name(name)) => {
            let name = Ident::new(&name, Span::call_site());
            Ok(parse_quote!(::#name))
        }
        Ok(FoundCrate::Itself) => Ok(parse_quote!(::lwt)),
        Err(Error::CrateNotFound { .. }) => Err(syn::Error::new(
            Span::call_site(),
            "cannot find `lwt` in Cargo.toml: add it to the dependencies, or, when another crate re-exports it, give \
             its path with the option `crate = \"framework::lwt\"`",
        )),
        Err(_) => Ok(parse_quote!(::lwt)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(found: Result<FoundCrate, Error>) -> String {
        match from_manifest(found) {
            Ok(path) => Facade { path }
                .at(Span::call_site())
                .to_string()
                .replace(' ', ""),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn names_come_from_the_manifest() {
        assert_eq!(text(Ok(FoundCrate::Name("threads".into()))), "::threads");
        assert_eq!(text(Ok(FoundCrate::Itself)), "::lwt");
    }

    #[test]
    fn without_a_manifest_it_is_the_usual_name() {
        assert_eq!(text(Err(Error::CargoManifestDirNotSet)), "::lwt");
    }

    #[test]
    fn a_manifest_without_the_facade_names_the_option() {
        let missing = text(Err(Error::CrateNotFound {
            crate_name: "lwt".into(),
            path: "Cargo.toml".into(),
        }));
        assert!(missing.contains("crate = \"framework::lwt\""), "{missing}");
    }
}
