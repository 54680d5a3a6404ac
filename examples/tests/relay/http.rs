//! The relay between real programs: `curl` and an HTTP/1.1 server of Python.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::common::{Bytes, Process, Relay, Watch};

const LIMIT: Duration = Duration::from_secs(120);

/// A directory that is removed when the test is over.
struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> Directory {
        let path =
            Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Directory(path)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// A file of this many bytes.
    fn fill(&self, name: &str, seed: u64, count: usize) -> PathBuf {
        let mut bytes = vec![0; count];
        Bytes::seeded(seed).fill(&mut bytes);
        fs::write(self.path(name), bytes).unwrap();
        self.path(name)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The server, and a relay in front of it.
struct Site {
    relay: Relay,
    _server: Process,
    files: Directory,
}

impl Site {
    fn start(watch: &Watch, name: &str) -> Site {
        let files = Directory::new(name);
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/http_server.py");
        let mut python = Command::new("python3");
        python
            .arg(script)
            .arg(&files.0)
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        let mut server = watch.spawn(&mut python);
        let target = format!("127.0.0.1:{}", server.first_line());
        let relay = Relay::start(watch, "127.0.0.1:0", &target);
        Site {
            relay,
            _server: server,
            files,
        }
    }

    fn url(&self, name: &str) -> String {
        format!("http://{}/{name}", self.relay.address)
    }
}

fn curl() -> Command {
    let mut curl = Command::new("curl");
    curl.args([
        "--silent",
        "--show-error",
        "--noproxy",
        "*",
        "--max-time",
        "60",
    ]);
    curl
}

/// Runs it, and returns what it printed.
fn run(watch: &Watch, command: &mut Command) -> String {
    use std::io::Read;
    let mut process = watch.spawn(command.stdout(Stdio::piped()).stderr(Stdio::piped()));
    let mut printed = String::new();
    process
        .output
        .as_mut()
        .unwrap()
        .read_to_string(&mut printed)
        .unwrap();
    let status = process.wait();
    assert!(
        status.success(),
        "{command:?}: {status}: {:?}",
        process.errors()
    );
    printed
}

fn assert_same(left: &Path, right: &Path, count: usize) {
    let (left, right) = (fs::read(left).unwrap(), fs::read(right).unwrap());
    assert_eq!((left.len(), right.len()), (count, count));
    assert!(left == right, "the bytes differ");
}

#[test]
fn a_hundred_megabytes_up_and_down() {
    let watch = Watch::start(LIMIT);
    let site = Site::start(&watch, "megabytes");
    let count = 100_000_000;
    let original = site.files.fill("original", 5, count);

    let upload = [
        "--output",
        "/dev/null",
        "--write-out",
        "%{http_code}",
        "--upload-file",
    ];
    let code = run(
        &watch,
        curl().args(upload).arg(&original).arg(site.url("uploaded")),
    );
    assert_eq!(code, "201");
    assert_same(&original, &site.files.path("uploaded"), count);

    let downloaded = site.files.path("downloaded");
    run(
        &watch,
        curl()
            .arg("--output")
            .arg(&downloaded)
            .arg(site.url("uploaded")),
    );
    assert_same(&original, &downloaded, count);
}

#[test]
fn several_requests_on_one_connection_and_many_at_once() {
    let watch = Watch::start(LIMIT);
    let site = Site::start(&watch, "requests");
    for number in 0..20 {
        site.files.fill(
            &format!("file{number}"),
            number,
            100_000 + 1_000 * number as usize,
        );
    }
    let report = [
        "--write-out",
        "%{http_code} %{num_connects} %{size_download}\n",
        "--output",
        "/dev/null",
    ];

    let mut one_after_another = curl();
    for number in 0..3 {
        one_after_another
            .args(report)
            .arg(site.url(&format!("file{number}")))
            .arg("--next");
        one_after_another.args(["--silent", "--noproxy", "*", "--max-time", "60"]);
    }
    one_after_another.args(report).arg(site.url("nothing"));
    let printed = run(&watch, &mut one_after_another);
    let lines: Vec<&str> = printed.lines().collect();
    assert_eq!(lines[..3], ["200 1 100000", "200 0 101000", "200 0 102000"]);
    assert!(lines[3].starts_with("404 "), "{lines:?}");

    let copies = Directory::new("copies");
    let mut at_once = curl();
    at_once.args([
        "--parallel",
        "--parallel-immediate",
        "--parallel-max",
        "20",
        "--output-dir",
    ]);
    at_once.arg(&copies.0).args(["--remote-name-all"]);
    for number in 0..20 {
        at_once.arg(site.url(&format!("file{number}")));
    }
    run(&watch, &mut at_once);
    for number in 0..20 {
        let name = format!("file{number}");
        assert_same(
            &site.files.path(&name),
            &copies.path(&name),
            100_000 + 1_000 * number,
        );
    }
}

#[test]
fn a_download_that_is_killed_and_one_whose_server_dies() {
    let watch = Watch::start(LIMIT);
    let mut site = Site::start(&watch, "killed");
    // A hole: nothing but length.
    File::create(site.files.path("endless"))
        .unwrap()
        .set_len(1 << 40)
        .unwrap();
    site.files.fill("small", 6, 1_000);
    let endless = |site: &Site| {
        let mut curl = curl();
        curl.arg(site.url("endless"))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut download = watch.spawn(&mut curl);
        // It is under way.
        std::io::Read::read_exact(download.output.as_mut().unwrap(), &mut [0; 1_000_000]).unwrap();
        download
    };

    drop(endless(&site));
    site.relay
        .process
        .error_with(&["relay: 127.0.0.1:", "os error"]);
    let head = [
        "--head",
        "--output",
        "/dev/null",
        "--write-out",
        "%{http_code}",
    ];
    assert_eq!(run(&watch, curl().args(head).arg(site.url("small"))), "200");

    let mut download = endless(&site);
    let server = std::mem::replace(&mut site._server, watch.spawn(&mut Command::new("true")));
    drop(server);
    let ended = download.wait();
    assert!(
        matches!(ended.code(), Some(18 | 56)),
        "curl did not notice: {ended}"
    );
    site.relay.turns_away();
    site.relay.process.error_with(&["cannot be reached"]);
}
