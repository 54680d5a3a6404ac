//! The command line of the relay.

use std::time::Duration;

/// What `relay --help` prints.
pub const USAGE: &str = "\
usage: relay [--grace SECONDS] LISTEN TARGET

Relays TCP connections: whoever connects to LISTEN talks to TARGET.

  LISTEN            PORT (of 127.0.0.1), or ADDRESS:PORT; port 0 lets the system choose
  TARGET            HOST:PORT, by name or address
  --grace SECONDS   how long connections may go on after the first Ctrl-C (5)

  relay 8080 example.org:80
  relay [::1]:8080 localhost:3000
  relay 0.0.0.0:8080 [2001:db8::7]:80       reachable from other machines

Ctrl-C stops taking connections and waits for those that are there; a second one cuts them.
";

/// How long connections may go on after the relay has been told to end.
const GRACE: Duration = Duration::from_secs(5);

/// What the command line asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// To relay.
    Relay(Options),
    /// To be told how it is used.
    Help,
}

/// How to relay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Where to listen: host and port.
    pub listen: String,
    /// Where to connect to: host and port.
    pub target: String,
    /// How long connections may go on after the first Ctrl-C.
    pub grace: Duration,
}

impl Request {
    /// Reads the words after the program's name.
    ///
    /// # Errors
    /// A text that says what is wrong with them.
    pub fn parse(words: impl IntoIterator<Item = String>) -> Result<Request, String> {
        let mut grace = GRACE;
        let mut places = Vec::new();
        let mut words = words.into_iter();
        while let Some(word) = words.next() {
            match word.as_str() {
                "--help" | "-h" => return Ok(Request::Help),
                "--grace" => grace = seconds(words.next())?,
                option if option.starts_with('-') => {
                    return Err(format!("unknown option {option}"));
                }
                _ => places.push(word),
            }
        }
        let [listen, target] = <[String; 2]>::try_from(places)
            .map_err(|places| format!("two places are needed, not {}", places.len()))?;
        if !target.contains(':') {
            return Err(format!("{target} has no port: write HOST:PORT"));
        }
        let listen = if listen.contains(':') {
            listen
        } else {
            format!("127.0.0.1:{listen}")
        };
        Ok(Request::Relay(Options {
            listen,
            target,
            grace,
        }))
    }
}

fn seconds(word: Option<String>) -> Result<Duration, String> {
    let word = word.ok_or("--grace needs a number of seconds")?;
    let seconds = word
        .parse()
        .ok()
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    seconds.ok_or_else(|| format!("--grace {word}: not a number of seconds"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Request, String> {
        Request::parse(line.split_whitespace().map(String::from))
    }

    fn options(line: &str) -> Options {
        match parse(line) {
            Ok(Request::Relay(options)) => options,
            other => panic!("{line}: {other:?}"),
        }
    }

    #[test]
    fn a_port_alone_is_of_this_machine_only() {
        let options = options("8080 example.org:80");
        assert_eq!(
            (&*options.listen, &*options.target),
            ("127.0.0.1:8080", "example.org:80")
        );
        assert_eq!(options.grace, GRACE);
    }

    #[test]
    fn addresses_of_both_kinds() {
        assert_eq!(options("[::1]:8080 [::1]:80").listen, "[::1]:8080");
        assert_eq!(options("0.0.0.0:0 localhost:80").listen, "0.0.0.0:0");
    }

    #[test]
    fn the_grace_time() {
        assert_eq!(
            options("--grace 0.25 1 a:2").grace,
            Duration::from_millis(250)
        );
        for line in ["--grace", "1 a:2 --grace x", "--grace -1 1 a:2"] {
            assert!(
                parse(line).is_err_and(|text| text.starts_with("--grace")),
                "{line}"
            );
        }
    }

    #[test]
    fn what_is_refused_is_named() {
        assert_eq!(
            parse("8080 example.org").unwrap_err(),
            "example.org has no port: write HOST:PORT"
        );
        assert_eq!(parse("8080").unwrap_err(), "two places are needed, not 1");
        assert_eq!(
            parse("8080 a:1 b:2").unwrap_err(),
            "two places are needed, not 3"
        );
        assert_eq!(
            parse("--fast 8080 a:1").unwrap_err(),
            "unknown option --fast"
        );
        assert_eq!(parse("8080 a:1 --help"), Ok(Request::Help));
    }
}
