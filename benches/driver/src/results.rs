//! What was measured, before any judgement.

use std::collections::BTreeMap;

use harness::Workload;
use harness::catalogue::Value;

use crate::runtimes::Runtime;

/// Everything one variant of one runtime showed on one workload.
#[derive(Clone, Debug, Default)]
pub struct Measured {
    /// The reported values by name, one per round.
    pub values: BTreeMap<String, Vec<f64>>,
    /// Instructions per operation.
    pub instructions: Option<f64>,
    /// Which primitives the program used.
    pub means: Option<String>,
    /// Why the runtime has no form of this workload.
    pub unsupported: Option<String>,
    /// How the program failed, last.
    pub failure: Option<String>,
}

impl Measured {
    /// The least value over the rounds.
    pub fn least(&self, name: &str) -> Option<f64> {
        self.values
            .get(name)?
            .iter()
            .copied()
            .min_by(f64::total_cmp)
    }

    /// Takes in what a program printed; a failed program says why.
    pub fn take_in(&mut self, output: Result<&str, &str>) {
        let text = match output {
            Ok(text) => text,
            Err(problem) => {
                self.failure = Some(problem.to_owned());
                return;
            }
        };
        for (name, value) in text.lines().filter_map(|line| line.split_once('\t')) {
            match name {
                "means" => self.means = Some(value.to_owned()),
                "unsupported" => self.unsupported = Some(value.to_owned()),
                _ => {
                    if let Ok(number) = value.parse() {
                        self.values.entry(name.to_owned()).or_default().push(number);
                    }
                }
            }
        }
    }
}

/// All of it, by workload, runtime and variant.
#[derive(Clone, Debug, Default)]
pub struct Results {
    measured: BTreeMap<(Workload, &'static str, &'static str), Measured>,
}

/// What a runtime shows in a row: its best variant.
#[derive(Clone, Copy, Debug, Default)]
pub struct Shown<'a> {
    /// The row's value: nanoseconds or bytes.
    pub value: Option<f64>,
    /// Instructions per operation, for rows of CPU time.
    pub instructions: Option<f64>,
    /// How it failed, if no variant gave a value.
    pub failure: Option<&'a str>,
}

impl Results {
    /// The place for one variant's figures.
    pub fn entry(
        &mut self,
        workload: Workload,
        runtime: &'static str,
        variant: &'static str,
    ) -> &mut Measured {
        self.measured
            .entry((workload, runtime, variant))
            .or_default()
    }

    /// Everything, for the record.
    pub fn iter(&self) -> impl Iterator<Item = (Workload, &'static str, &'static str, &Measured)> {
        self.measured
            .iter()
            .map(|(&(workload, runtime, variant), measured)| (workload, runtime, variant, measured))
    }

    /// The best variant's figures: value and instructions each the least of all variants.
    pub fn shown(&self, workload: Workload, runtime: &Runtime, value: Value) -> Shown<'_> {
        let variants = || {
            runtime
                .variants
                .iter()
                .filter_map(|variant| self.measured.get(&(workload, runtime.name, *variant)))
        };
        let least = |numbers: &mut dyn Iterator<Item = f64>| numbers.min_by(f64::total_cmp);
        let found =
            least(&mut variants().filter_map(|measured| measured.least(value.reported_as())));
        let instructions = match value {
            Value::Cpu => least(&mut variants().filter_map(|measured| measured.instructions)),
            _ => None,
        };
        let failure = match found {
            None => variants().find_map(|measured| measured.failure.as_deref()),
            Some(_) => None,
        };
        Shown {
            value: found,
            instructions,
            failure,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_of_the_rounds_counts() {
        let mut measured = Measured::default();
        measured.take_in(Ok("means\tits own\ncpu_ns\t12.5\n"));
        measured.take_in(Ok("means\tits own\ncpu_ns\t11.5\n"));
        assert_eq!(measured.least("cpu_ns"), Some(11.5));
        assert_eq!(measured.means.as_deref(), Some("its own"));
        measured.take_in(Err("signal 11"));
        assert_eq!(measured.failure.as_deref(), Some("signal 11"));
    }
}
