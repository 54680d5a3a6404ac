//! Instruction counts of the others from an earlier result: they have no noise, and change only with the versions.

use std::collections::BTreeMap;
use std::path::Path;

use harness::Workload;
use serde_json::Value as Json;

use crate::results::Results;
use crate::runtimes::{Kind, Runtime};

/// Takes over what an earlier JSON file says of every other runtime whose versions are still the same.
///
/// # Errors
/// The file cannot be read or is not one of ours.
pub fn take_counts(file: &Path, runtimes: &[Runtime], results: &mut Results) -> Result<(), String> {
    let text = std::fs::read_to_string(file)
        .map_err(|error| format!("cannot read {}: {error}", file.display()))?;
    let json: Json = serde_json::from_str(&text)
        .map_err(|error| format!("{} is not JSON: {error}", file.display()))?;
    for runtime in runtimes.iter().filter(|runtime| runtime.kind != Kind::Ours) {
        if !has_versions(&json["versions"][runtime.name], runtime) {
            eprintln!(
                "the versions of {} have changed: counting again",
                runtime.name
            );
            continue;
        }
        for measured in json["measured"].as_array().into_iter().flatten() {
            take_one(measured, runtime, results);
        }
    }
    Ok(())
}

fn has_versions(known: &Json, runtime: &Runtime) -> bool {
    let known: BTreeMap<String, String> = serde_json::from_value(known.clone()).unwrap_or_default();
    known == runtime.versions().into_iter().collect()
}

fn take_one(measured: &Json, runtime: &Runtime, results: &mut Results) {
    let text = |name: &str| measured[name].as_str();
    let workload = text("workload").and_then(Workload::from_id);
    let variant = runtime
        .variants
        .iter()
        .find(|variant| text("variant") == Some(variant));
    let (Some(workload), Some(variant)) = (workload, variant) else {
        return;
    };
    if text("runtime") != Some(runtime.name) || !workload.is_countable() {
        return;
    }
    if let Some(instructions) = measured["instructions"].as_f64() {
        let entry = results.entry(workload, runtime.name, variant);
        entry.instructions = Some(instructions);
        entry.means = text("means").map(str::to_owned);
    }
}
