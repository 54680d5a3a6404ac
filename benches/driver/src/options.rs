//! The command line.

use std::path::PathBuf;

use harness::Workload;

const USAGE: &str = "\
cargo xtask bench [OPTIONS]      compare with the other runtimes, in instructions and CPU time per operation

    --quick             fewer rounds (3) and smaller sizes
    --rounds N          that many rounds of timing (10 unless said)
    --only TEXT         only workloads whose name contains TEXT; may be given again
    --runtimes A,B      only these runtimes (ours, tokio, smol, monoio, compio, glommio, ocaml)
    --no-time           count instructions only; may run while the machine is busy
    --no-count          time only
    --counts-from FILE  take the others' instruction counts from an earlier JSON file, where the versions are the same
    --no-build          take the programs as they lie there
    --no-install        install nothing; leave out what is missing
    --profile           add where the instructions of our missed rows go
    --record            write the results into benches/record under today's date
    --list              the workloads and what they do";

/// What the command line asks for.
#[derive(Clone, Debug)]
pub struct Options {
    /// Smaller and fewer.
    pub quick: bool,
    /// Rounds of timing.
    pub rounds: usize,
    /// Parts of names of workloads; none means all.
    pub only: Vec<String>,
    /// Names of runtimes; none means all.
    pub runtimes: Vec<String>,
    /// Whether to time.
    pub time: bool,
    /// Whether to count instructions.
    pub count: bool,
    /// An earlier result to take the others' instruction counts from.
    pub counts_from: Option<PathBuf>,
    /// Whether to build first.
    pub build: bool,
    /// Whether missing tools may be installed.
    pub install: bool,
    /// Whether to profile missed rows.
    pub profile: bool,
    /// Whether to keep the results in the record folder.
    pub record: bool,
    /// Only list the workloads.
    pub list: bool,
}

impl Options {
    /// Reads the process's arguments; the error is the text to show.
    pub fn from_arguments() -> Result<Options, String> {
        Options::parse(std::env::args().skip(1))
    }

    fn parse(arguments: impl Iterator<Item = String>) -> Result<Options, String> {
        let mut options = Options {
            quick: false,
            rounds: 0,
            only: Vec::new(),
            runtimes: Vec::new(),
            time: true,
            count: true,
            counts_from: None,
            build: true,
            install: true,
            profile: false,
            record: false,
            list: false,
        };
        let mut arguments = arguments;
        while let Some(argument) = arguments.next() {
            let mut value = || {
                arguments
                    .next()
                    .ok_or_else(|| format!("{argument} needs a value\n\n{USAGE}"))
            };
            match argument.as_str() {
                "--quick" => options.quick = true,
                "--rounds" => {
                    let text = value()?;
                    options.rounds = text
                        .parse()
                        .map_err(|_| format!("not a number of rounds: {text}\n\n{USAGE}"))?;
                }
                "--counts-from" => options.counts_from = Some(value()?.into()),
                "--only" => options.only.push(value()?),
                "--runtimes" => options
                    .runtimes
                    .extend(value()?.split(',').map(str::to_owned)),
                "--no-time" => options.time = false,
                "--no-count" => options.count = false,
                "--no-build" => options.build = false,
                "--no-install" => options.install = false,
                "--profile" => options.profile = true,
                "--record" => options.record = true,
                "--list" => options.list = true,
                "--help" | "-h" => return Err(USAGE.to_owned()),
                other => return Err(format!("unknown option {other}\n\n{USAGE}")),
            }
        }
        if options.rounds == 0 {
            options.rounds = if options.quick { 3 } else { 10 };
        }
        Ok(options)
    }

    /// Whether the workload is asked for.
    pub fn wants(&self, workload: Workload) -> bool {
        self.only.is_empty()
            || self
                .only
                .iter()
                .any(|part| workload.id().contains(part.as_str()))
    }

    /// Whether the runtime is asked for.
    pub fn wants_runtime(&self, name: &str) -> bool {
        self.runtimes.is_empty() || self.runtimes.iter().any(|wanted| wanted == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Options, String> {
        Options::parse(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn quick_means_fewer_rounds_unless_they_are_given() {
        assert_eq!(parse("").unwrap().rounds, 10);
        assert_eq!(parse("--quick").unwrap().rounds, 3);
        assert_eq!(parse("--quick --rounds 5").unwrap().rounds, 5);
    }

    #[test]
    fn only_takes_parts_of_names() {
        let options = parse("--only stream --only mutex").unwrap();
        assert!(options.wants(Workload::StreamOne) && options.wants(Workload::Mutex));
        assert!(!options.wants(Workload::Mailbox));
    }

    #[test]
    fn a_mistake_shows_the_usage() {
        assert!(parse("--onyl x").unwrap_err().contains("cargo xtask bench"));
        assert!(parse("--rounds many").unwrap_err().contains("many"));
    }
}
