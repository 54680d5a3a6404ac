//! What stands between the parentheses of an attribute: `#[lwt::test(virtual_clock, seed = 7, time_limit = "10s")]`.
//!
//! All attributes share one reader; each says which options it knows. An unknown option, one given twice, and one that
//! belongs to another attribute are errors at the option's own name.

use std::time::Duration;

use proc_macro2::{Span, TokenStream};
use syn::ext::IdentExt;
use syn::parse::{ParseStream, Parser};
use syn::{Ident, LitInt, LitStr, Path, Token};

/// The options of an attribute, as far as they were given.
#[derive(Debug, Default)]
pub(crate) struct Arguments {
    /// `crate = "path"` or `crate = path`: where the facade is.
    pub(crate) facade: Option<Path>,
    /// `virtual_clock`.
    pub(crate) virtual_clock: bool,
    /// `seed = N`.
    pub(crate) seed: Option<u64>,
    /// `time_limit = "10s"`.
    pub(crate) time_limit: Option<Duration>,
}

/// An option that an attribute may know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Known {
    Crate,
    VirtualClock,
    Seed,
    TimeLimit,
}

impl Known {
    fn name(self) -> &'static str {
        match self {
            Known::Crate => "crate",
            Known::VirtualClock => "virtual_clock",
            Known::Seed => "seed",
            Known::TimeLimit => "time_limit",
        }
    }
}

impl Arguments {
    /// Reads the options in `tokens`; only those in `known` are accepted. `attribute` is the name used in messages.
    pub(crate) fn read(tokens: TokenStream, attribute: &str, known: &[Known]) -> syn::Result<Self> {
        let parser = |input: ParseStream<'_>| Self::parse(input, attribute, known);
        parser.parse2(tokens)
    }

    fn parse(input: ParseStream<'_>, attribute: &str, known: &[Known]) -> syn::Result<Self> {
        let mut arguments = Arguments::default();
        let mut seen: Vec<Known> = Vec::new();
        while !input.is_empty() {
            // `crate` is a keyword: `parse_any` takes it as a name.
            let name = input.call(Ident::parse_any)?;
            let option = Self::lookup(&name, attribute, known)?;
            if seen.contains(&option) {
                let message = format!("`{name}` is given twice");
                return Err(syn::Error::new(name.span(), message));
            }
            seen.push(option);
            arguments.take_value(option, input)?;
            if !input.is_empty() {
                input.parse::<Token![,]>()?;
            }
        }
        Ok(arguments)
    }

    fn lookup(name: &Ident, attribute: &str, known: &[Known]) -> syn::Result<Known> {
        let found = known.iter().find(|option| name == option.name());
        found.copied().ok_or_else(|| {
            let names: Vec<String> = known.iter().map(|o| format!("`{}`", o.name())).collect();
            let message = format!(
                "`#[{attribute}]` has no option `{name}`; it knows {}",
                names.join(", ")
            );
            syn::Error::new(name.span(), message)
        })
    }

    fn take_value(&mut self, option: Known, input: ParseStream<'_>) -> syn::Result<()> {
        if option == Known::VirtualClock {
            self.virtual_clock = true;
            return Ok(());
        }
        input.parse::<Token![=]>()?;
        match option {
            Known::Crate => self.facade = Some(parse_path(input)?),
            Known::Seed => self.seed = Some(input.parse::<LitInt>()?.base10_parse()?),
            Known::TimeLimit => self.time_limit = Some(parse_duration(&input.parse::<LitStr>()?)?),
            Known::VirtualClock => {}
        }
        Ok(())
    }
}

/// A path, written bare or as a string.
fn parse_path(input: ParseStream<'_>) -> syn::Result<Path> {
    if input.peek(LitStr) {
        let text: LitStr = input.parse()?;
        text.parse_with(Path::parse_mod_style)
    } else {
        input.call(Path::parse_mod_style)
    }
}

/// A length of time: a whole number and its unit.
fn parse_duration(text: &LitStr) -> syn::Result<Duration> {
    let value = text.value();
    let wrong = |span: Span| {
        let message = format!(
            "`{value}` is not a length of time: write a whole number above zero and one of `ms`, `s`, `min`, `h`, \
             as in \"10s\""
        );
        syn::Error::new(span, message)
    };
    let digits = value.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = value.split_at(digits);
    let number: u64 = number.parse().map_err(|_| wrong(text.span()))?;
    let milliseconds_per_unit = match unit.trim() {
        "ms" => 1,
        "s" => 1_000,
        "min" => 60_000,
        "h" => 3_600_000,
        _ => return Err(wrong(text.span())),
    };
    match number.checked_mul(milliseconds_per_unit) {
        Some(milliseconds) if milliseconds > 0 => Ok(Duration::from_millis(milliseconds)),
        _ => Err(wrong(text.span())),
    }
}

#[cfg(test)]
mod tests {
    use quote::quote;

    use super::*;

    const ALL: &[Known] = &[
        Known::VirtualClock,
        Known::Seed,
        Known::TimeLimit,
        Known::Crate,
    ];

    fn read(tokens: TokenStream) -> Result<Arguments, String> {
        Arguments::read(tokens, "lwt::test", ALL).map_err(|error| error.to_string())
    }

    #[test]
    fn every_option_is_read() -> Result<(), String> {
        let arguments = read(quote!(
            virtual_clock,
            seed = 7,
            time_limit = "10s",
            crate = "a::b",
        ))?;
        assert!(arguments.virtual_clock);
        assert_eq!(arguments.seed, Some(7));
        assert_eq!(arguments.time_limit, Some(Duration::from_secs(10)));
        let facade = arguments.facade.ok_or("no path")?;
        assert_eq!(quote!(#facade).to_string(), quote!(a::b).to_string());
        Ok(())
    }

    #[test]
    fn nothing_given_is_nothing_set() -> Result<(), String> {
        let arguments = read(quote!())?;
        assert!(!arguments.virtual_clock);
        assert_eq!(arguments.seed, None);
        assert_eq!(arguments.time_limit, None);
        assert!(arguments.facade.is_none());
        Ok(())
    }

    #[test]
    fn the_path_may_stand_without_quotes() -> Result<(), String> {
        let arguments = read(quote!(crate = ::a::b))?;
        let facade = arguments.facade.ok_or("no path")?;
        assert_eq!(quote!(#facade).to_string(), quote!(::a::b).to_string());
        Ok(())
    }

    #[test]
    fn units_of_time() -> Result<(), String> {
        for (text, milliseconds) in [
            ("250ms", 250),
            ("1s", 1_000),
            ("2 min", 120_000),
            ("1h", 3_600_000),
        ] {
            let arguments = read(quote!(time_limit = #text))?;
            assert_eq!(
                arguments.time_limit,
                Some(Duration::from_millis(milliseconds)),
                "{text}"
            );
        }
        Ok(())
    }

    #[test]
    fn bad_lengths_of_time_are_refused() {
        for text in [
            "",
            "s",
            "10",
            "0s",
            "-1s",
            "1.5s",
            "10 parsecs",
            "99999999999999999999s",
        ] {
            let message = read(quote!(time_limit = #text)).err();
            assert!(
                message.is_some_and(|text| text.contains("is not a length of time")),
                "{text}"
            );
        }
    }

    #[test]
    fn mistakes_name_the_option() {
        let twice = read(quote!(seed = 1, seed = 2)).err();
        assert_eq!(twice.as_deref(), Some("`seed` is given twice"));
        let unknown = Arguments::read(quote!(virtual_clock), "lwt::main", &[Known::Crate])
            .err()
            .map(|error| error.to_string());
        assert_eq!(
            unknown.as_deref(),
            Some("`#[lwt::main]` has no option `virtual_clock`; it knows `crate`")
        );
    }
}
