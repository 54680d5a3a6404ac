//! The runtimes that take part, their programs, and how these are built.
//!
//! To add one: a package beside this one that implements `harness::runtime::Runtime`, and an entry in [`CARGO_RUNTIMES`].

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::options::Options;
use crate::process::answer_of;
use crate::tools::OCAML_LWT;

/// Which workloads a runtime has a form of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// This library: all of them.
    Ours,
    /// A Rust runtime of tasks.
    Peer,
    /// OCaml Lwt.
    Original,
}

/// A runtime with its program, built.
#[derive(Clone, Debug)]
pub struct Runtime {
    /// Short, for the command line and the heads of columns.
    pub name: &'static str,
    /// What takes part, in words.
    pub about: &'static str,
    /// Which workloads it has.
    pub kind: Kind,
    /// The ways to run it; the best one is shown.
    pub variants: &'static [&'static str],
    /// The packages whose versions matter.
    packages: &'static [&'static str],
    /// What to start.
    pub program: PathBuf,
}

struct CargoRuntime {
    name: &'static str,
    about: &'static str,
    kind: Kind,
    package: &'static str,
    variants: &'static [&'static str],
    packages: &'static [&'static str],
}

const CARGO_RUNTIMES: [CargoRuntime; 6] = [
    CargoRuntime {
        name: "ours",
        about: "this library",
        kind: Kind::Ours,
        package: "ours",
        variants: &["core"],
        packages: &["lwt-core"],
    },
    CargoRuntime {
        name: "tokio",
        about: "tokio, current thread, the best of spawn, LocalSet and LocalRuntime",
        kind: Kind::Peer,
        package: "peer-tokio",
        variants: &["spawn", "local-set", "local-runtime"],
        packages: &["tokio"],
    },
    CargoRuntime {
        name: "smol",
        about: "async-executor under async-io or alone, the best",
        kind: Kind::Peer,
        package: "peer-smol",
        variants: &["reactor", "bare"],
        packages: &[
            "async-executor",
            "async-io",
            "async-channel",
            "async-lock",
            "event-listener",
            "oneshot",
        ],
    },
    CargoRuntime {
        name: "monoio",
        about: "monoio with local-sync, on the ring or on epoll, the best",
        kind: Kind::Peer,
        package: "peer-monoio",
        variants: &["ring", "epoll"],
        packages: &["monoio", "local-sync"],
    },
    CargoRuntime {
        name: "compio",
        about: "compio with the futures crate's channels",
        kind: Kind::Peer,
        package: "peer-compio",
        variants: &["ring"],
        packages: &["compio", "compio-runtime", "futures"],
    },
    CargoRuntime {
        name: "glommio",
        about: "glommio",
        kind: Kind::Peer,
        package: "peer-glommio",
        variants: &["ring"],
        packages: &["glommio"],
    },
];

/// The `benches` directory.
pub fn benches_directory() -> PathBuf {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.parent().unwrap_or(manifest).to_owned()
}

/// Where cargo put this program, and so the others.
pub fn build_directory() -> Result<PathBuf, String> {
    let program = std::env::current_exe()
        .map_err(|error| format!("cannot tell where this program lies: {error}"))?;
    program
        .parent()
        .map(Path::to_owned)
        .ok_or_else(|| "this program lies nowhere".to_owned())
}

/// Builds what was asked for. A runtime that cannot be built or found is left out with a line that says why; ours has to work.
pub fn prepare(options: &Options) -> Result<Vec<Runtime>, String> {
    let directory = build_directory()?;
    let mut runtimes = Vec::new();
    for runtime in CARGO_RUNTIMES
        .into_iter()
        .filter(|runtime| options.wants_runtime(runtime.name))
    {
        if options.build {
            eprintln!("building {}", runtime.name);
            let built = build_with_cargo(runtime.package);
            match (built, runtime.kind) {
                (Ok(()), _) => {}
                (Err(problem), Kind::Ours) => return Err(problem),
                (Err(problem), _) => {
                    eprintln!("left out {}: {problem}", runtime.name);
                    continue;
                }
            }
        }
        runtimes.push(Runtime {
            name: runtime.name,
            about: runtime.about,
            kind: runtime.kind,
            variants: runtime.variants,
            packages: runtime.packages,
            program: directory.join(runtime.package),
        });
    }
    if options.wants_runtime("ocaml") {
        match ocaml(options, &directory) {
            Ok(runtime) => runtimes.push(runtime),
            Err(problem) => eprintln!("left out OCaml Lwt: {problem}"),
        }
    }
    Ok(runtimes)
}

fn build_with_cargo(package: &str) -> Result<(), String> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo)
        .args(["build", "--quiet", "--release", "--package", package])
        .current_dir(benches_directory())
        .status()
        .map_err(|error| format!("cannot start cargo: {error}"))?;
    status
        .success()
        .then_some(())
        .ok_or_else(|| format!("cargo build of {package}: {status}"))
}

/// OCaml's compiler leaves its products beside the sources, so these are copied to the build directory first.
fn ocaml(options: &Options, directory: &Path) -> Result<Runtime, String> {
    let place = directory.join("ocaml");
    if options.build {
        OCAML_LWT.ensure(options.install)?;
        eprintln!("building ocaml");
        std::fs::create_dir_all(&place)
            .map_err(|error| format!("cannot make {}: {error}", place.display()))?;
        for file in ["program.ml", "clocks.c"] {
            let source = benches_directory().join("ocaml").join(file);
            std::fs::copy(&source, place.join(file))
                .map_err(|error| format!("cannot copy {}: {error}", source.display()))?;
        }
        let words = "ocamlopt -thread -O3 -inline 200 -unsafe -package lwt.unix -linkpkg clocks.c program.ml -o program";
        let status = Command::new("ocamlfind")
            .args(words.split_whitespace())
            .current_dir(&place)
            .status()
            .map_err(|error| format!("cannot start ocamlfind: {error}"))?;
        if !status.success() {
            return Err(format!("ocamlfind ocamlopt: {status}"));
        }
    }
    let program = place.join("program");
    if !program.exists() {
        return Err("it has not been built".to_owned());
    }
    Ok(Runtime {
        name: "ocaml",
        about: "OCaml Lwt, paused threads resumed by hand or under its main loop (libev, epoll), the best",
        kind: Kind::Original,
        variants: &["core", "engine"],
        packages: &[],
        program,
    })
}

impl Runtime {
    /// The versions of what takes part: (package, version).
    pub fn versions(&self) -> Vec<(String, String)> {
        if self.kind == Kind::Original {
            let lwt = answer_of("ocamlfind", &["query", "-format", "%v", "lwt"]);
            let ocaml = answer_of("ocamlfind", &["ocamlopt", "-version"]);
            let named = [("lwt", lwt), ("ocaml", ocaml)];
            return named
                .into_iter()
                .filter_map(|(name, version)| Some((name.to_owned(), version?)))
                .collect();
        }
        let lock =
            std::fs::read_to_string(benches_directory().join("Cargo.lock")).unwrap_or_default();
        self.packages
            .iter()
            .filter_map(|package| Some(((*package).to_owned(), locked_version(&lock, package)?)))
            .collect()
    }
}

/// The version of a package in the text of a `Cargo.lock`.
fn locked_version(lock: &str, package: &str) -> Option<String> {
    let name = format!("name = \"{package}\"");
    let mut lines = lock.lines().skip_while(|line| *line != name).skip(1);
    let version = lines
        .next()?
        .strip_prefix("version = \"")?
        .strip_suffix('"')?;
    Some(version.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_come_from_the_lock_file() {
        let lock = "[[package]]\nname = \"tokio-util\"\nversion = \"0.7.0\"\n\n[[package]]\nname = \"tokio\"\nversion = \"1.2.3\"\n";
        assert_eq!(locked_version(lock, "tokio").as_deref(), Some("1.2.3"));
        assert_eq!(locked_version(lock, "smol"), None);
    }
}
