//! Holds what was measured against a row's target.

use std::cmp::Ordering;

use harness::catalogue::{Row, Target, Value};

use crate::results::Results;
use crate::runtimes::{Kind, Runtime};

/// Less than this apart is a tie.
const TIE: f64 = 0.03;

/// The judgement of one row.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    /// `None` where something needed was not measured.
    pub met: Option<bool>,
    /// In words, with how much.
    pub text: String,
}

impl Verdict {
    fn unknown(text: &str) -> Verdict {
        Verdict {
            met: None,
            text: text.to_owned(),
        }
    }
}

/// Our best competitor in a row.
#[derive(Clone, Debug)]
pub struct Best {
    /// Its name.
    pub name: &'static str,
    /// The row's value.
    pub value: Option<f64>,
    /// Its instructions per operation.
    pub instructions: Option<f64>,
}

/// The best of the others in a row: by the row's value where it was measured, else by instructions.
pub fn best_peer(row: &Row, runtimes: &[Runtime], results: &Results) -> Option<Best> {
    let others = runtimes
        .iter()
        .filter(|runtime| runtime.kind != Kind::Ours)
        .filter_map(|runtime| {
            let workload = crate::counterpart(runtime, row.workload)?;
            let shown = results.shown(workload, runtime, row.value);
            Some(Best {
                name: runtime.name,
                value: shown.value,
                instructions: shown.instructions,
            })
        });
    let others: Vec<Best> = others.collect();
    let least = |figure: fn(&Best) -> Option<f64>| {
        let measured = others.iter().filter(|best| figure(best).is_some());
        measured.min_by(|one, other| {
            figure(one)
                .unwrap_or(f64::MAX)
                .total_cmp(&figure(other).unwrap_or(f64::MAX))
        })
    };
    least(|best| best.value)
        .or_else(|| least(|best| best.instructions))
        .cloned()
}

/// Our CPU time as a part of the best of the others', where both were measured.
pub fn cpu_ratio(
    row: &Row,
    ours: &Runtime,
    runtimes: &[Runtime],
    results: &Results,
) -> Option<f64> {
    let best = best_peer(row, runtimes, results)?.value?;
    let own = results.shown(row.workload, ours, row.value).value?;
    (row.value != Value::Bytes).then_some(own / best)
}

/// Whether a ratio of CPU times is ahead (less), behind (greater), or a tie.
pub fn standing(ratio: f64) -> Ordering {
    if ratio <= 1.0 - TIE {
        Ordering::Less
    } else if ratio < 1.0 + TIE {
        Ordering::Equal
    } else {
        Ordering::Greater
    }
}

/// What the target is, in words.
pub fn target_text(target: Target) -> String {
    match target {
        Target::Instructions(limit) => format!("≤ {limit} instructions"),
        Target::OfBest(1.0) => "ahead of all".to_owned(),
        Target::OfBest(0.5) => "half of the best".to_owned(),
        Target::OfBest(part) => format!("{part} of the best"),
        Target::Bytes(limit) => format!("≤ {limit} bytes"),
        Target::Works => "works".to_owned(),
    }
}

/// Judges a row.
pub fn of(row: &Row, ours: &Runtime, runtimes: &[Runtime], results: &Results) -> Verdict {
    let shown = results.shown(row.workload, ours, row.value);
    if let Some(failure) = shown.failure {
        return Verdict {
            met: Some(false),
            text: format!("missed: {failure}"),
        };
    }
    match row.target {
        Target::Instructions(limit) => match shown.instructions {
            Some(instructions) => within(instructions, limit),
            None => Verdict::unknown("not counted"),
        },
        Target::Bytes(limit) => match shown.value {
            Some(bytes) => within(bytes, limit),
            None => Verdict::unknown("not measured"),
        },
        Target::Works => match shown.value {
            Some(_) => Verdict {
                met: Some(true),
                text: "met".to_owned(),
            },
            None => Verdict::unknown("not run"),
        },
        Target::OfBest(part) => match (shown.value, best_peer(row, runtimes, results)) {
            (
                Some(ours),
                Some(Best {
                    name,
                    value: Some(best),
                    ..
                }),
            ) => against(ours, best, name, part),
            _ => Verdict::unknown(if row.value == Value::Cpu {
                "not timed"
            } else {
                "not measured"
            }),
        },
    }
}

fn within(measured: f64, limit: f64) -> Verdict {
    let over = measured - limit;
    // Half a unit is rounding, not a miss.
    match over < 0.5 {
        true => Verdict {
            met: Some(true),
            text: format!("met, {:.0} % of it", measured / limit * 100.0),
        },
        false => Verdict {
            met: Some(false),
            text: format!("missed by {over:.0} ({:.0} %)", over / limit * 100.0),
        },
    }
}

fn against(ours: f64, best: f64, name: &str, part: f64) -> Verdict {
    let ratio = ours / best;
    let (met, word) = match (part == 1.0, standing(ratio)) {
        (true, Ordering::Less) => (true, "met"),
        (true, Ordering::Equal) => (false, "a tie"),
        (false, _) if ratio <= part => (true, "met"),
        _ => (false, "missed"),
    };
    Verdict {
        met: Some(met),
        text: format!("{word}: {ratio:.2} of {name}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_met_or_missed_by_so_much() {
        assert_eq!(within(100.4, 100.0).met, Some(true));
        assert_eq!(within(120.0, 100.0).text, "missed by 20 (20 %)");
    }

    #[test]
    fn less_than_three_percent_is_a_tie() {
        assert_eq!(
            against(96.0, 100.0, "monoio", 1.0).text,
            "met: 0.96 of monoio"
        );
        assert_eq!(
            against(99.0, 100.0, "monoio", 1.0).text,
            "a tie: 0.99 of monoio"
        );
        assert_eq!(against(104.0, 100.0, "monoio", 1.0).met, Some(false));
        assert_eq!(against(49.0, 100.0, "monoio", 0.5).met, Some(true));
    }
}
