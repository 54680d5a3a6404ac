//! What a step wants to find on the machine beside Rust and a C compiler, and how to get it there.
//!
//! A need that is not met is installed if that takes no question: toolchains, components and targets through rustup,
//! programs through `apt-get` when we are root or `sudo` asks for no password. Otherwise the need is reported with the
//! one line that installs it, and the steps that have it are not run, which the summary says. Nothing is
//! installed for a step that does not run.

use std::process::ExitCode;

use crate::Context;
use crate::process::Call;
use crate::steps::Step;

/// Something that a step cannot do without.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Need {
    /// A component of the toolchain that runs this program, with the cargo command that proves it is there.
    Component(&'static str, &'static str),
    /// A component of the nightly toolchain; the toolchain itself comes with it.
    Nightly(&'static str),
    /// The standard library of another target for the toolchain that runs this program.
    Target(&'static str),
    /// A program on the path, and the Debian package that brings it.
    Program(&'static str, &'static str),
    /// The sanitizers exist for few targets; this one is not installed but given.
    LinuxX86,
}

impl Need {
    /// Sees to it that the need is met; the error is the line to show to who has to meet it.
    pub(crate) fn meet(self, context: &Context) -> Result<(), String> {
        if self.is_met(context) {
            return Ok(());
        }
        println!("installing {}", self.name());
        self.install(context);
        if self.is_met(context) {
            return Ok(());
        }
        Err(format!("needs {}: {}", self.name(), self.remedy()))
    }

    fn is_met(self, context: &Context) -> bool {
        match self {
            Need::Component(_, command) => Call::cargo(context)
                .words(&[command, "--version"])
                .succeeds(),
            Need::Nightly(component) => rustup(context)
                .words(&["component", "list", "--installed", "--toolchain", "nightly"])
                .output()
                .lines()
                // A component that is built for one machine is listed with its target behind its name.
                .any(|line| line.starts_with(component)),
            Need::Target(target) => {
                let libraries = Call::new(context, "rustc")
                    .words(&["--print", "target-libdir", "--target", target])
                    .output();
                !libraries.is_empty() && std::path::Path::new(libraries.trim_end()).is_dir()
            }
            Need::Program(program, _) => Call::new(context, "sh")
                .words(&["-c", "command -v \"$0\"", program])
                .succeeds(),
            Need::LinuxX86 => cfg!(all(target_os = "linux", target_arch = "x86_64")),
        }
    }

    /// Tries; whether it worked is for [`Need::is_met`] to say.
    fn install(self, context: &Context) {
        let run = |call: Call| {
            if let Err(failure) = call.run(context) {
                println!("{}", failure.reason);
            }
        };
        match self {
            Need::Component(component, _) => {
                run(rustup(context).words(&["component", "add", component]));
            }
            Need::Nightly(component) => {
                if !has_nightly(context) {
                    run(rustup(context).words(&NIGHTLY_INSTALL));
                }
                if !self.is_met(context) {
                    let add = ["component", "add", component, "--toolchain", "nightly"];
                    run(rustup(context).words(&add));
                }
            }
            Need::Target(target) => run(rustup(context).words(&["target", "add", target])),
            Need::Program(_, package) => {
                let Some(apt_get) = apt_get(context) else {
                    return;
                };
                run(apt_get().word("update"));
                run(apt_get().words(&["install", "--yes", "--no-install-recommends", package]));
            }
            Need::LinuxX86 => {}
        }
    }

    fn name(self) -> String {
        match self {
            Need::Component(component, _) => format!("the component {component}"),
            Need::Nightly(component) => format!("the nightly toolchain with {component}"),
            Need::Target(target) => format!("the target {target}"),
            Need::Program(program, _) => format!("the program {program}"),
            Need::LinuxX86 => String::from("Linux on x86-64"),
        }
    }

    fn remedy(self) -> String {
        match self {
            Need::Component(component, _) => format!("rustup component add {component}"),
            Need::Nightly(component) => format!(
                "rustup toolchain install nightly && rustup component add {component} --toolchain nightly"
            ),
            Need::Target(target) => format!("rustup target add {target}"),
            Need::Program(_, package) => format!("apt-get install {package}"),
            Need::LinuxX86 => String::from("run it on such a machine"),
        }
    }
}

/// Rustup itself is not ours to change.
const NIGHTLY_INSTALL: [&str; 5] = [
    "toolchain",
    "install",
    "nightly",
    "--profile=minimal",
    "--no-self-update",
];

fn rustup(context: &Context) -> Call {
    Call::new(context, "rustup")
}

fn has_nightly(context: &Context) -> bool {
    rustup(context)
        .words(&["run", "nightly", "rustc", "--version"])
        .succeeds()
}

/// A way to call `apt-get` that asks nothing, if there is one.
fn apt_get(context: &Context) -> Option<impl Fn() -> Call + '_> {
    if !Need::Program("apt-get", "apt").is_met(context) {
        return None;
    }
    let root = Call::new(context, "id").word("-u").output().trim_end() == "0";
    let sudo = Call::new(context, "sudo").words(&["-n", "true"]);
    if !root && !sudo.succeeds() {
        return None;
    }
    Some(move || {
        let words: &[&str] = if root { &[] } else { &["-n"] };
        let call = match root {
            true => Call::new(context, "env"),
            false => Call::new(context, "sudo").words(words).word("env"),
        };
        call.words(&["DEBIAN_FRONTEND=noninteractive", "apt-get"])
    })
}

/// `cargo xtask install-needs`: meets every need of every step.
pub(crate) fn install(context: &Context, steps: &[Step]) -> ExitCode {
    let mut seen = Vec::new();
    let mut code = ExitCode::SUCCESS;
    for need in steps.iter().flat_map(|step| step.needs) {
        if seen.contains(need) {
            continue;
        }
        seen.push(*need);
        match need.meet(context) {
            Ok(()) => println!("there: {}", need.name()),
            Err(line) => {
                println!("{line}");
                code = ExitCode::FAILURE;
            }
        }
    }
    code
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_is_there() {
        let context = Context::new();
        assert_eq!(Need::Program("sh", "dash").meet(&context), Ok(()));
    }

    #[test]
    fn a_target_that_does_not_exist_is_not_met() {
        let context = Context::new();
        assert!(!Need::Target("no-such-target").is_met(&context));
    }

    #[test]
    fn the_remedy_is_one_line_to_type() {
        let need = Need::Nightly("miri");
        assert!(
            need.remedy()
                .ends_with("rustup component add miri --toolchain nightly")
        );
    }
}
