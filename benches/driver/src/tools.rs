//! What is needed beside cargo: valgrind, and OCaml with Lwt. Missing ones are installed by apt where that needs no question to anybody,
//! else the caller is told in one line what to install.

use std::process::{Command, Stdio};
use std::sync::Once;

use crate::process::answer_of;

/// A program that has to be there, and the Debian packages that bring it.
#[derive(Clone, Copy, Debug)]
pub struct Tool {
    /// What it is for, to a person.
    pub name: &'static str,
    packages: &'static [&'static str],
    is_there: fn() -> bool,
}

/// Counts instructions.
pub const VALGRIND: Tool = Tool {
    name: "valgrind",
    packages: &["valgrind"],
    is_there: || answer_of("valgrind", &["--version"]).is_some(),
};

/// The original.
pub const OCAML_LWT: Tool = Tool {
    name: "OCaml Lwt",
    packages: &["ocaml-findlib", "ocaml-nox", "liblwt-ocaml-dev"],
    is_there: || {
        answer_of("ocamlfind", &["query", "lwt.unix"]).is_some()
            && answer_of("ocamlfind", &["ocamlopt", "-version"]).is_some()
    },
};

impl Tool {
    /// Makes sure the tool is there, by installing it if that is allowed and possible.
    ///
    /// # Errors
    /// The line to show to who has to install it.
    pub fn ensure(&self, may_install: bool) -> Result<(), String> {
        if (self.is_there)() {
            return Ok(());
        }
        if may_install {
            eprintln!("installing {} ({})", self.name, self.packages.join(" "));
            self.install();
            if (self.is_there)() {
                return Ok(());
            }
        }
        Err(format!(
            "no {}: apt-get install {}",
            self.name,
            self.packages.join(" ")
        ))
    }

    /// Tries; `ensure` looks whether it helped.
    fn install(&self) {
        static UPDATED: Once = Once::new();
        UPDATED.call_once(|| apt_get(&["update", "-qq"]));
        let mut words = vec!["install", "-qq", "--yes", "--no-install-recommends"];
        words.extend(self.packages);
        apt_get(&words);
    }
}

fn apt_get(words: &[&str]) {
    let is_root = answer_of("id", &["-u"]).as_deref() == Some("0");
    let mut command = match is_root {
        true => Command::new("apt-get"),
        false => {
            let mut sudo = Command::new("sudo");
            sudo.args(["--non-interactive", "apt-get"]);
            sudo
        }
    };
    command
        .args(words)
        .env("DEBIAN_FRONTEND", "noninteractive")
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    if let Err(error) = command.status() {
        eprintln!("cannot run apt-get: {error}");
    }
}
