//! Rules that neither the compiler nor clippy knows, checked over the text of every file of ours.
//!
//! Each rule is a function from a file to the complaints about it, or from the whole tree where a rule ties files
//! together (the book's table of contents, the reasons for dependencies). To add one, write the function, put it in
//! [`FILE_RULES`] or [`TREE_RULES`], and give it a test with a text that breaks it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::Context;
use crate::process::Failure;
use crate::tally::Tally;

/// Where our files are. Whatever else lies in the root (build directories above all) is not looked at.
const PLACES: [&str; 8] = [
    "crates", "tests", "examples", "book", "benches", "docs", "fuzz", "xtask",
];

/// A longer file is more than one thing, unless its header says why it is not.
const MOST_LINES: usize = 1_000;

/// With these words a header begins to say why.
const WHY_LONG: &str = "//! Long because ";

/// Where unsafe code may be, beside tests.
const UNSAFE_PLACES: [&str; 5] = [
    "crates/lwt-core/src/kernel/",
    "crates/lwt-core/src/promise.rs",
    "crates/lwt-core/src/error.rs",
    "crates/lwt-unix/src/sys/",
    "crates/lwt-unix/src/signal.rs",
];

const FILE_RULES: [fn(&File) -> Vec<String>; 6] = [
    opens_with_its_design,
    is_not_too_long,
    keeps_unsafe_code_in_its_place,
    is_finished,
    runs_its_examples,
    does_not_sleep_in_tests,
];

const TREE_RULES: [fn(&Tree) -> Vec<String>; 4] = [
    book_is_whole,
    crates_are_on_the_map,
    crates_share_the_lints,
    dependencies_have_reasons,
];

/// A text file, named by its path below the root, with `/` between the parts.
struct File {
    path: String,
    text: String,
}

struct Tree {
    files: Vec<File>,
}

pub(super) fn run(context: &Context) -> Result<Tally, Failure> {
    let tree = match Tree::read(&context.root) {
        Ok(tree) => tree,
        Err(error) => return Err(failure(format!("cannot read the sources: {error}"))),
    };
    let mut complaints: Vec<String> = Vec::new();
    for file in &tree.files {
        for rule in FILE_RULES {
            complaints.extend(
                rule(file)
                    .into_iter()
                    .map(|complaint| format!("{}: {complaint}", file.path)),
            );
        }
    }
    for rule in TREE_RULES {
        complaints.extend(rule(&tree));
    }
    for complaint in &complaints {
        println!("{complaint}");
    }
    match complaints.len() {
        0 => Ok(Tally::default()),
        number => Err(failure(format!("{number} complaints, see above"))),
    }
}

fn failure(reason: String) -> Failure {
    Failure {
        reason,
        tally: Tally::default(),
    }
}

impl File {
    fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    /// True for the inputs of compile-fail tests, which are as short and as wrong as they need to be.
    fn is_specimen(&self) -> bool {
        self.path.contains("/tests/ui/") || self.path.contains("/tests/fail/")
    }

    fn is_test(&self) -> bool {
        self.path.contains("/tests/")
            || self.path.starts_with("tests/")
            || self.path.ends_with("tests.rs")
    }

    /// The lines with their numbers, for complaints.
    fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.text
            .lines()
            .enumerate()
            .map(|(place, line)| (place + 1, line))
    }
}

impl Tree {
    fn read(root: &Path) -> io::Result<Tree> {
        let mut files = Vec::new();
        for place in PLACES {
            collect(&root.join(place), root, &mut files)?;
        }
        for entry in fs::read_dir(root)? {
            read_file(&entry?.path(), root, &mut files)?;
        }
        files.sort_by(|left, right| left.path.cmp(&right.path));
        Ok(Tree { files })
    }

    fn text(&self, path: &str) -> &str {
        self.files
            .iter()
            .find(|file| file.path == path)
            .map_or("", |file| &file.text)
    }

    /// The manifests of the packages in the main workspace.
    fn manifests(&self) -> impl Iterator<Item = &File> {
        self.files.iter().filter(|file| {
            file.path.ends_with("/Cargo.toml")
                && !file.path.starts_with("benches/")
                && !file.is_specimen()
        })
    }
}

fn collect(directory: &Path, root: &Path, files: &mut Vec<File>) -> io::Result<()> {
    if !directory.is_dir() {
        return Ok(());
    }
    for entry in fs::read_dir(directory)? {
        let path: PathBuf = entry?.path();
        if path.is_dir() {
            if !path.ends_with("target") {
                collect(&path, root, files)?;
            }
        } else {
            read_file(&path, root, files)?;
        }
    }
    Ok(())
}

fn read_file(path: &Path, root: &Path, files: &mut Vec<File>) -> io::Result<()> {
    let extension = path.extension().and_then(|extension| extension.to_str());
    if !path.is_file() || !matches!(extension, Some("rs" | "md" | "toml" | "ml" | "sh")) {
        return Ok(());
    }
    let below = path.strip_prefix(root).unwrap_or(path);
    files.push(File {
        path: below.to_string_lossy().replace('\\', "/"),
        text: fs::read_to_string(path)?,
    });
    Ok(())
}

/// Every source file says what it is for before any code.
fn opens_with_its_design(file: &File) -> Vec<String> {
    let exempt = !file.is_rust() || file.is_specimen();
    match exempt || file.text.starts_with("//!") {
        true => Vec::new(),
        false => vec![String::from("does not open with `//!` and what it is for")],
    }
}

fn is_not_too_long(file: &File) -> Vec<String> {
    let lines = file.text.lines().count();
    let too_long = file.is_rust() && lines > MOST_LINES && !file.text.contains(WHY_LONG);
    match too_long {
        true => vec![format!(
            "{lines} lines; above {MOST_LINES} a line of the header says `{WHY_LONG}…`"
        )],
        false => Vec::new(),
    }
}

fn keeps_unsafe_code_in_its_place(file: &File) -> Vec<String> {
    let library = file.path.starts_with("crates/") && file.is_rust() && !file.is_test();
    if !library
        || UNSAFE_PLACES
            .iter()
            .any(|place| file.path.starts_with(place))
    {
        return Vec::new();
    }
    let starts = ["unsafe {", "unsafe fn ", "unsafe impl", "unsafe extern"];
    file.lines()
        .filter(|(_, line)| !line.trim_start().starts_with("//"))
        .filter(|(_, line)| starts.iter().any(|start| line.contains(start)))
        .map(|(number, _)| format!("{number}: unsafe code outside of its places"))
        .collect()
}

/// Nothing is left for later in the sources: what is missing is an issue.
fn is_finished(file: &File) -> Vec<String> {
    const MARKS: [&str; 3] = [
        concat!("TO", "DO"),
        concat!("FIX", "ME"),
        concat!("XX", "X:"),
    ];
    file.lines()
        .filter(|(_, line)| MARKS.iter().any(|mark| line.contains(mark)))
        .map(|(number, line)| format!("{number}: unfinished: {}", line.trim()))
        .collect()
}

/// An example in the documentation that does not run proves nothing, nor does a test that is ignored without a reason.
fn runs_its_examples(file: &File) -> Vec<String> {
    if file.path.starts_with("docs/") {
        return Vec::new();
    }
    let unrun = |line: &str| {
        let line = line.trim_start_matches(['/', '!', ' ', '*']);
        let words = line.strip_prefix("```").unwrap_or("");
        let unrun_block = words
            .split([',', ' '])
            .any(|word| word == "ignore" || word == "no_run");
        unrun_block || line.starts_with("#[ignore]")
    };
    file.lines()
        .filter(|(_, line)| unrun(line))
        .map(|(number, line)| format!("{number}: is not run: {}", line.trim()))
        .collect()
}

/// Time in tests is virtual. A test of what real time does says so in a comment right above: `// The wall clock: …`.
fn does_not_sleep_in_tests(file: &File) -> Vec<String> {
    if !file.is_rust() || !file.is_test() {
        return Vec::new();
    }
    let mut before = "";
    let mut complaints = Vec::new();
    for (number, line) in file.lines() {
        if line.contains("thread::sleep") && !before.contains("// The wall clock: ") {
            complaints.push(format!("{number}: a test sleeps on the wall clock"));
        }
        before = line;
    }
    complaints
}

/// Every chapter is in the table of contents, and its code is run by `book/lib.rs`.
fn book_is_whole(tree: &Tree) -> Vec<String> {
    let contents = tree.text("book/src/SUMMARY.md");
    let library = tree.text("book/lib.rs");
    let mut complaints = Vec::new();
    for file in &tree.files {
        let Some(chapter) = file.path.strip_prefix("book/src/") else {
            continue;
        };
        if chapter == "SUMMARY.md" || !chapter.ends_with(".md") {
            continue;
        }
        if !contents.contains(&format!("({chapter})")) {
            complaints.push(format!("book/src/SUMMARY.md: does not list {chapter}"));
        }
        if !library.contains(&format!("\"src/{chapter}\"")) {
            complaints.push(format!("book/lib.rs: does not run the code of {chapter}"));
        }
    }
    for chapter in links(contents) {
        if tree.text(&format!("book/src/{chapter}")).is_empty() {
            complaints.push(format!("book/src/SUMMARY.md: there is no {chapter}"));
        }
    }
    complaints
}

/// The targets of the Markdown links in a text.
fn links(text: &str) -> impl Iterator<Item = &str> {
    text.split("](")
        .skip(1)
        .filter_map(|rest| Some(rest.split_once(')')?.0))
}

/// Whoever looks for a crate finds it in the README's table and in the map of the code.
fn crates_are_on_the_map(tree: &Tree) -> Vec<String> {
    let mut complaints = Vec::new();
    for file in tree.manifests() {
        let Some((directory, _)) = file.path.rsplit_once('/') else {
            continue;
        };
        // The packages of tests that need one of their own are one place on the map.
        let place = match directory.starts_with("tests/") {
            true => "tests",
            false => directory,
        };
        let mark = format!("`{place}`");
        for map in ["README.md", "ARCHITECTURE.md"] {
            if !tree.text(map).contains(&mark) {
                complaints.push(format!("{map}: does not mention {mark}"));
            }
        }
    }
    complaints
}

/// One table of lints for all packages, and a description in each that is published.
fn crates_share_the_lints(tree: &Tree) -> Vec<String> {
    let mut complaints = Vec::new();
    for file in tree.manifests() {
        if !file.text.contains("[lints]\nworkspace = true") {
            complaints.push(format!(
                "{}: does not take the workspace's lints",
                file.path
            ));
        }
        let described = file.text.contains("description = \"") && !file.text.contains("= \"\"");
        if !described && !file.text.contains("publish = false") {
            complaints.push(format!("{}: has no description", file.path));
        }
    }
    complaints
}

/// Each library we depend on has its reason written down.
fn dependencies_have_reasons(tree: &Tree) -> Vec<String> {
    const REASONS: &str = "docs/decisions/dependencies.md";
    let reasons = tree.text(REASONS);
    let mut complaints = Vec::new();
    for file in tree.manifests() {
        for name in dependencies(&file.text) {
            let ours = name == "lwt" || name.starts_with("lwt-");
            if !ours && !reasons.contains(&format!("`{name}`")) {
                complaints.push(format!(
                    "{}: no reason for `{name}` in {REASONS}",
                    file.path
                ));
            }
        }
    }
    complaints
}

/// The names in the tables of dependencies of a manifest, except those of packages in this tree.
fn dependencies(manifest: &str) -> Vec<&str> {
    let mut inside = false;
    let mut names = Vec::new();
    for line in manifest.lines() {
        if let Some(table) = line.strip_prefix('[') {
            let table = table.trim_end_matches(']');
            inside = table.ends_with("dependencies");
            if let Some((_, name)) = table.rsplit_once("dependencies.") {
                names.push(name);
            }
        } else if inside && !line.trim_start().starts_with('#') {
            let name = line.split(['=', '.', ' ']).next().unwrap_or("");
            let ours = line.contains("path = ");
            if !name.is_empty() && line.contains('=') && !ours {
                names.push(name);
            }
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, text: &str) -> File {
        File {
            path: path.into(),
            text: text.into(),
        }
    }

    fn tree(files: &[(&str, &str)]) -> Tree {
        let files = files.iter().map(|(path, text)| file(path, text)).collect();
        Tree { files }
    }

    #[test]
    fn a_source_file_without_header() {
        assert_eq!(
            opens_with_its_design(&file("a.rs", "fn main() {}")).len(),
            1
        );
        assert_eq!(opens_with_its_design(&file("a.rs", "//! For b.")).len(), 0);
        let specimen = file("crates/a/tests/ui/b.rs", "fn main() {}");
        assert_eq!(opens_with_its_design(&specimen).len(), 0);
    }

    #[test]
    fn a_long_file() {
        let text = "//\n".repeat(MOST_LINES + 1);
        assert_eq!(is_not_too_long(&file("a.rs", &text)).len(), 1);
        let text = format!("{WHY_LONG}it is one table.\n{text}");
        assert_eq!(is_not_too_long(&file("a.rs", &text)).len(), 0);
    }

    #[test]
    fn unsafe_code_in_the_wrong_place() {
        let complaints = |path| keeps_unsafe_code_in_its_place(&file(path, "unsafe { f() }")).len();
        assert_eq!(complaints("crates/lwt-core/src/mutex.rs"), 1);
        assert_eq!(complaints("crates/lwt-core/src/kernel/cell.rs"), 0);
        assert_eq!(complaints("crates/lwt-core/tests/deep.rs"), 0);
    }

    #[test]
    fn an_unfinished_line() {
        let text = concat!("// TO", "DO: the rest");
        assert_eq!(is_finished(&file("a.rs", text)).len(), 1);
    }

    #[test]
    fn examples_that_do_not_run() {
        for line in [
            "/// ```ignore",
            "//! ```rust,no_run",
            "```no_run",
            "    #[ignore]",
        ] {
            assert_eq!(runs_its_examples(&file("a.rs", line)).len(), 1, "{line}");
        }
        for line in ["```", "/// ```compile_fail", "#[ignore = \"slow\"]"] {
            assert_eq!(runs_its_examples(&file("a.rs", line)).len(), 0, "{line}");
        }
    }

    #[test]
    fn a_test_that_sleeps() {
        let complaints = |path, text| does_not_sleep_in_tests(&file(path, text)).len();
        let text = "std::thread::sleep(second);";
        assert_eq!(complaints("crates/a/tests/b.rs", text), 1);
        assert_eq!(complaints("tests/b.rs", text), 1);
        assert_eq!(complaints("crates/a/src/b.rs", text), 0);
        let text = "// The wall clock: too long a computation.\nthread::sleep(second);";
        assert_eq!(complaints("crates/a/tests/b.rs", text), 0);
    }

    #[test]
    fn a_chapter_that_nobody_runs_or_lists() {
        let tree = tree(&[
            ("book/src/SUMMARY.md", "- [Gone](gone.md)"),
            ("book/src/new.md", "# New"),
        ]);
        assert_eq!(book_is_whole(&tree).len(), 3);
    }

    #[test]
    fn a_crate_that_is_on_no_map() {
        let tree = tree(&[
            ("crates/a/Cargo.toml", ""),
            ("README.md", "| `crates/a` |"),
            ("ARCHITECTURE.md", ""),
        ]);
        assert_eq!(
            crates_are_on_the_map(&tree),
            ["ARCHITECTURE.md: does not mention `crates/a`"]
        );
    }

    #[test]
    fn a_crate_with_lints_of_its_own() {
        let tree = tree(&[("crates/a/Cargo.toml", "description = \"A\"")]);
        assert_eq!(crates_share_the_lints(&tree).len(), 1);
    }

    #[test]
    fn a_dependency_without_a_reason() {
        let manifest = "[dependencies]\nlwt.workspace = true\nrustix = \"1\"\n[target.x.dev-dependencies.loom]\n";
        assert_eq!(dependencies(manifest), ["lwt", "rustix", "loom"]);
        let tree = tree(&[
            ("crates/a/Cargo.toml", manifest),
            (
                "docs/decisions/dependencies.md",
                "- `rustix`: for the calls",
            ),
        ]);
        assert_eq!(
            dependencies_have_reasons(&tree),
            ["crates/a/Cargo.toml: no reason for `loom` in docs/decisions/dependencies.md"]
        );
    }
}
