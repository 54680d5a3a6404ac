//! Holds the page `correspondence` against the list of names of OCaml Lwt, and the sources against the page: no name is
//! missing, and the search of the documentation finds the original name of every item that stands for one.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

const PAGE: &str = include_str!("../src/correspondence.md");
/// Name and kind of every row, separated by a tabulator.
const NAMES: &str = include_str!("data/lwt-rows.txt");

/// The sources of the crates behind the facade.
const SOURCES: [&str; 3] = ["../lwt-core/src", "../lwt-unix/src", "../lwt-syntax/src"];

/// A row of the page.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Row {
    name: String,
    kind: String,
    rust: String,
    remark: String,
}

fn rows() -> Vec<Row> {
    PAGE.lines()
        .filter(|line| line.starts_with("| `"))
        .map(|line| {
            // A vertical bar inside a cell is written `\|`.
            let line = line.replace("\\|", "\0");
            let cells: Vec<String> = line
                .trim_matches('|')
                .split('|')
                .map(|cell| cell.trim().replace('\0', "|"))
                .collect();
            assert_eq!(cells.len(), 4, "{line}");
            Row {
                name: cells[0].trim_matches('`').to_owned(),
                kind: cells[1].clone(),
                rust: cells[2].clone(),
                remark: cells[3].clone(),
            }
        })
        .collect()
}

#[test]
fn every_name_has_one_row_in_the_order_of_the_list() {
    let on_page: Vec<String> = rows()
        .iter()
        .map(|row| format!("{}\t{}", row.name, row.kind))
        .collect();
    let listed: Vec<&str> = NAMES.lines().collect();
    assert_eq!(on_page, listed);
}

#[test]
fn every_row_has_a_link_or_a_reason() {
    for row in rows() {
        if row.rust == "none" {
            assert!(row.remark.ends_with('.'), "no reason is given: {row:?}");
        } else {
            // That the links lead somewhere is checked when the documentation is built.
            for link in row.rust.split(", ") {
                let target = link.split("](crate::").nth(1);
                assert!(
                    link.starts_with("[`") && target.is_some(),
                    "not a link: {row:?}"
                );
            }
        }
    }
}

#[test]
fn the_search_finds_every_original_name() {
    let aliases = aliases();
    let missing: BTreeSet<String> = rows()
        .into_iter()
        // Submodules hold copies of names of the module.
        .filter(|row| row.rust != "none" && row.name.matches('.').count() == 1)
        .map(|row| row.name)
        .filter(|name| !aliases.contains(name) && !aliases.contains(operator(name)))
        .collect();
    assert!(
        missing.is_empty(),
        "no item has #[doc(alias = …)] for {missing:?}"
    );
}

#[test]
fn every_alias_is_a_name_that_exists() {
    let rows: BTreeSet<String> = rows().into_iter().map(|row| row.name).collect();
    let unknown: BTreeSet<String> = aliases()
        .into_iter()
        .filter(|alias| alias.starts_with("Lwt.") && !rows.contains(alias))
        .collect();
    assert!(unknown.is_empty(), "misspelt: {unknown:?}");
}

/// An operator as it is searched for, without its module; a name as it is.
fn operator(name: &str) -> &str {
    let short = name.trim_start_matches("Lwt.");
    if short.starts_with(|first: char| first.is_ascii_alphabetic()) {
        name
    } else {
        short
    }
}

/// The aliases in all sources.
fn aliases() -> BTreeSet<String> {
    let mut aliases = BTreeSet::new();
    for folder in SOURCES {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
        collect_aliases(&folder, &mut aliases);
    }
    aliases
}

/// Collects what stands in `#[doc(alias = "…")]` and `#[doc(alias("…", "…"))]` in all sources of a folder.
fn collect_aliases(folder: &Path, aliases: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).expect("the folder of sources can be read") {
        let path = entry.expect("an entry can be read").path();
        if path.is_dir() {
            collect_aliases(&path, aliases);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let source = fs::read_to_string(&path).expect("a source can be read");
            for part in source.split("doc(alias").skip(1) {
                let arguments = part.split(")]").next().unwrap_or_default();
                // Every second piece stands between quotes.
                aliases.extend(arguments.split('"').skip(1).step_by(2).map(str::to_owned));
            }
        }
    }
}
