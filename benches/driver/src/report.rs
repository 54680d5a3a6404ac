//! Writes down what was measured: the table for people, the JSON for programs.

use std::cmp::Ordering;
use std::fmt::Write;
use std::fs;
use std::path::PathBuf;

use harness::catalogue::{ROWS, Row, Target, Value};
use serde_json::{Map, Value as Json, json};

use crate::machine::Machine;
use crate::options::Options;
use crate::profile::Profile;
use crate::results::{Results, Shown};
use crate::runtimes::{Kind, Runtime, benches_directory, build_directory};
use crate::verdict::{self, Verdict};

/// Everything there is to tell.
#[derive(Debug)]
pub struct Report<'a> {
    /// Where and when.
    pub machine: Machine,
    /// What was asked for.
    pub options: &'a Options,
    /// Who took part.
    pub runtimes: &'a [Runtime],
    /// What was measured.
    pub results: &'a Results,
    /// Where the instructions of missed rows go.
    pub profiles: Vec<Profile>,
}

impl Report<'_> {
    /// The table, with what a reader needs to judge it.
    pub fn markdown(&self) -> String {
        let mut text = String::new();
        // Writing to a String cannot fail.
        let _ = self.write_head(&mut text);
        let _ = self.write_table(&mut text);
        let _ = self.write_missed(&mut text);
        let _ = self.write_means(&mut text);
        text
    }

    fn rows(&self) -> impl Iterator<Item = Row> {
        ROWS.into_iter()
            .filter(|row| self.options.wants(row.workload))
    }

    fn ours(&self) -> Option<&Runtime> {
        self.runtimes
            .iter()
            .find(|runtime| runtime.kind == Kind::Ours)
    }

    fn verdict(&self, row: &Row) -> Option<Verdict> {
        Some(verdict::of(row, self.ours()?, self.runtimes, self.results))
    }

    fn cpu_ratio(&self, row: &Row) -> Option<f64> {
        verdict::cpu_ratio(row, self.ours()?, self.runtimes, self.results)
    }

    fn shown(&self, row: &Row, runtime: &Runtime) -> Shown<'_> {
        match crate::counterpart(runtime, row.workload) {
            Some(workload) => self.results.shown(workload, runtime, row.value),
            None => Shown::default(),
        }
    }

    fn write_head(&self, text: &mut String) -> std::fmt::Result {
        let machine = &self.machine;
        writeln!(
            text,
            "# Benchmarks of {} {} UTC\n",
            machine.date, machine.time
        )?;
        writeln!(
            text,
            "Commit {}; {}; {} processors ({}), {} GiB, {}.",
            machine.commit,
            machine.rust,
            machine.processors,
            machine.processor,
            machine.memory_gib,
            machine.system
        )?;
        match self.options.time {
            true => writeln!(
                text,
                "CPU nanoseconds per operation: the least of {} interleaved rounds{}, one process each. In parentheses: \
                 instructions per operation.",
                self.options.rounds,
                if self.options.quick {
                    " of the quick sizes"
                } else {
                    ""
                }
            )?,
            false => writeln!(
                text,
                "Instructions per operation, in parentheses; nothing was timed."
            )?,
        }
        writeln!(text)?;
        for runtime in self.runtimes {
            let versions: Vec<String> = runtime
                .versions()
                .into_iter()
                .map(|(name, version)| format!("{name} {version}"))
                .collect();
            writeln!(
                text,
                "- {}: {} ({})",
                runtime.name,
                runtime.about,
                versions.join(", ")
            )?;
        }
        writeln!(text)
    }

    fn write_table(&self, text: &mut String) -> std::fmt::Result {
        write!(text, "| per operation |")?;
        for runtime in self.runtimes {
            write!(text, " {} |", runtime.name)?;
        }
        writeln!(
            text,
            " best of the others, our part of its time | target | |"
        )?;
        writeln!(
            text,
            "|---|{}---|---|---|",
            "---|".repeat(self.runtimes.len())
        )?;
        for row in self.rows() {
            write!(text, "| {} |", row.title)?;
            for runtime in self.runtimes {
                write!(text, " {} |", cell(&self.shown(&row, runtime), row.value))?;
            }
            let best = verdict::best_peer(&row, self.runtimes, self.results).map_or_else(
                || "–".to_owned(),
                |best| match self.cpu_ratio(&row) {
                    Some(ratio) => format!("{}, {ratio:.2}", best.name),
                    None => best.name.to_owned(),
                },
            );
            let verdict =
                self.verdict(&row)
                    .map_or_else(String::new, |verdict| match verdict.met {
                        Some(false) => format!("**{}**", verdict.text),
                        _ => verdict.text,
                    });
            writeln!(
                text,
                " {best} | {} | {verdict} |",
                verdict::target_text(row.target)
            )?;
        }
        writeln!(text)
    }

    fn write_missed(&self, text: &mut String) -> std::fmt::Result {
        let verdicts: Vec<(Row, Verdict)> = self
            .rows()
            .filter_map(|row| Some((row, self.verdict(&row)?)))
            .collect();
        let count = |met| {
            verdicts
                .iter()
                .filter(|(_, verdict)| verdict.met == met)
                .count()
        };
        writeln!(
            text,
            "{} targets met, {} missed, {} not measured.\n",
            count(Some(true)),
            count(Some(false)),
            count(None)
        )?;
        let ratios: Vec<f64> = self.rows().filter_map(|row| self.cpu_ratio(&row)).collect();
        if !ratios.is_empty() {
            let rows = |order| {
                let stands = |ratio: &&f64| verdict::standing(**ratio) == order;
                ratios.iter().filter(stands).count()
            };
            writeln!(
                text,
                "In CPU time we are ahead of all others in {} rows, level with the best in {}, behind it in {}.\n",
                rows(Ordering::Less),
                rows(Ordering::Equal),
                rows(Ordering::Greater)
            )?;
        }
        for profile in &self.profiles {
            writeln!(
                text,
                "Where the instructions of `{}` go, per operation, by source file:\n",
                profile.workload.id()
            )?;
            for (cost, name) in &profile.files {
                writeln!(text, "- {cost:.0} `{name}`")?;
            }
            writeln!(text)?;
        }
        Ok(())
    }

    fn write_means(&self, text: &mut String) -> std::fmt::Result {
        writeln!(
            text,
            "What an operation is, and what each runtime used for it:\n"
        )?;
        for workload in crate::chosen_workloads(self.options) {
            writeln!(text, "- `{}`: {}", workload.id(), workload.meaning())?;
            let mut seen: Vec<(String, Vec<&str>)> = Vec::new();
            for (measured_workload, runtime, _, measured) in self.results.iter() {
                let Some(means) = measured
                    .means
                    .clone()
                    .filter(|_| measured_workload == workload)
                else {
                    continue;
                };
                match seen.iter_mut().find(|(known, _)| *known == means) {
                    Some((_, runtimes)) if runtimes.contains(&runtime) => {}
                    Some((_, runtimes)) => runtimes.push(runtime),
                    None => seen.push((means, vec![runtime])),
                }
            }
            for (means, runtimes) in seen {
                writeln!(text, "  - {}: {means}", runtimes.join(", "))?;
            }
        }
        Ok(())
    }

    /// The full figures, every variant and every round.
    fn json(&self) -> Json {
        let machine = &self.machine;
        let versions: Map<String, Json> = machine
            .versions
            .iter()
            .map(|(runtime, versions)| {
                let versions = versions
                    .iter()
                    .map(|(name, version)| (name.clone(), json!(version)))
                    .collect();
                ((*runtime).to_owned(), Json::Object(versions))
            })
            .collect();
        json!({
            "format": 1,
            "date": machine.date,
            "time_utc": machine.time,
            "commit": machine.commit,
            "rust": machine.rust,
            "machine": {
                "processor": machine.processor,
                "processors": machine.processors,
                "memory_gib": machine.memory_gib,
                "system": machine.system,
            },
            "versions": versions,
            "quick": self.options.quick,
            "rounds": if self.options.time { self.options.rounds } else { 0 },
            "rows": self.rows().map(|row| self.row_json(&row)).collect::<Vec<_>>(),
            "measured": self.measured_json(),
            "profiles": self.profiles.iter().map(|profile| json!({
                "workload": profile.workload.id(),
                "files": profile.files.iter().map(|(cost, name)| json!([rounded(*cost), name])).collect::<Vec<_>>(),
            })).collect::<Vec<_>>(),
        })
    }

    fn row_json(&self, row: &Row) -> Json {
        let figures: Map<String, Json> = self
            .runtimes
            .iter()
            .map(|runtime| {
                let shown = self.shown(row, runtime);
                let figure = json!({
                    "value": shown.value.map(rounded),
                    "instructions": shown.instructions.map(rounded),
                    "failure": shown.failure,
                });
                (runtime.name.to_owned(), figure)
            })
            .collect();
        let verdict = self.verdict(row);
        json!({
            "title": row.title,
            "workload": row.workload.id(),
            "value": row.value.reported_as(),
            "figures": figures,
            "best_of_the_others": verdict::best_peer(row, self.runtimes, self.results).map(|best| best.name),
            "target": match row.target {
                Target::Instructions(limit) => json!({ "instructions": limit }),
                Target::OfBest(part) => json!({ "of_best": part }),
                Target::Bytes(limit) => json!({ "bytes": limit }),
                Target::Works => json!("works"),
            },
            "part_of_the_best": self.cpu_ratio(row).map(|ratio| (ratio * 100.0).round() / 100.0),
            "met": verdict.as_ref().and_then(|verdict| verdict.met),
            "verdict": verdict.map(|verdict| verdict.text),
        })
    }

    fn measured_json(&self) -> Vec<Json> {
        let figures = self
            .results
            .iter()
            .map(|(workload, runtime, variant, measured)| {
                let values: Map<String, Json> = measured
                    .values
                    .iter()
                    .map(|(name, rounds)| {
                        (
                            name.clone(),
                            rounds.iter().map(|value| rounded(*value)).collect(),
                        )
                    })
                    .collect();
                json!({
                    "workload": workload.id(),
                    "runtime": runtime,
                    "variant": variant,
                    "values": values,
                    "instructions": measured.instructions.map(rounded),
                    "means": measured.means,
                    "unsupported": measured.unsupported,
                    "failure": measured.failure,
                })
            });
        figures.collect()
    }

    /// Writes both files: under today's date into the record folder if asked, else beside the programs.
    ///
    /// # Errors
    /// What could not be written, and why.
    pub fn write(&self, markdown: &str) -> Result<Vec<PathBuf>, String> {
        let (directory, name) = match self.options.record {
            true => (
                benches_directory().join("record"),
                self.machine.date.clone(),
            ),
            false => (build_directory()?.join("results"), "latest".to_owned()),
        };
        let json = serde_json::to_string(&self.json())
            .map_err(|error| format!("cannot write JSON: {error}"))?;
        let files = [
            (format!("{name}.md"), markdown.to_owned()),
            (format!("{name}.json"), lines_of(&json)),
        ];
        let write = |(name, text): (String, String)| {
            let path = directory.join(name);
            fs::create_dir_all(&directory)
                .and_then(|()| fs::write(&path, text))
                .map(|()| path.clone())
                .map_err(|error| format!("cannot write {}: {error}", path.display()))
        };
        files.into_iter().map(write).collect()
    }
}

/// One line for each element of the long arrays: small, and still readable in a comparison of two records.
fn lines_of(json: &str) -> String {
    json.replace("},{\"", "},\n{\"").replace("\":[{", "\":[\n{") + "\n"
}

fn rounded(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

fn cell(shown: &Shown<'_>, value: Value) -> String {
    let number = |value: f64| match value < 99.95 {
        true => format!("{value:.1}"),
        false => thousands(value),
    };
    match (shown.value, shown.instructions, shown.failure, value) {
        (_, _, Some(_), _) => "fails".to_owned(),
        (Some(nanoseconds), Some(instructions), _, _) => {
            format!("{} ({})", number(nanoseconds), thousands(instructions))
        }
        (Some(bytes), None, _, Value::Bytes) => format!("{bytes:.0} B"),
        (Some(nanoseconds), None, _, _) => number(nanoseconds),
        (None, Some(instructions), _, _) => format!("({})", thousands(instructions)),
        (None, None, None, _) => "–".to_owned(),
    }
}

/// A whole number with separators, as in 12,345.
fn thousands(value: f64) -> String {
    let digits = format!("{value:.0}");
    let (sign, digits) = digits
        .strip_prefix('-')
        .map_or(("", digits.as_str()), |rest| ("-", rest));
    let mut text = String::from(sign);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_for_people() {
        assert_eq!(thousands(1234567.2), "1,234,567");
        assert_eq!(thousands(-12.0), "-12");
        let shown = Shown {
            value: Some(12.34),
            instructions: Some(1034.0),
            failure: None,
        };
        assert_eq!(cell(&shown, Value::Cpu), "12.3 (1,034)");
        assert_eq!(cell(&Shown::default(), Value::Cpu), "–");
    }
}
