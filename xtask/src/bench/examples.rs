//! The rooms' own benches: what is measured inside a process is measured there, in examples whose
//! lines are read here and held against the targets.

use super::setting::Setting;
use super::table::Row;
use crate::error::{Error, Result};
use crate::step::{cargo, expect_success, typed};

/// A line of an example, by how it begins, and what it means for the table.
#[derive(Debug)]
struct Figure {
    begins: &'static str,
    what: &'static str,
    target: Target,
}

#[derive(Debug)]
enum Target {
    Below(f64, &'static str),
    AtLeast(f64, &'static str),
    None(&'static str),
}

const SANDBOX: [Figure; 5] = [
    Figure {
        begins: "instantiate from the warm cache: p50",
        what: "instantiate from the warm cache, p50",
        target: Target::Below(30.0, "µs"),
    },
    Figure {
        begins: "spawn to exit, all walls up: p50",
        what: "worker process, spawn to exit, all walls up, p50",
        target: Target::Below(6.0, "ms"),
    },
    Figure {
        begins: "core.now:",
        what: "core.now, a call",
        target: Target::Below(1.0, "µs"),
    },
    Figure {
        begins: "permission check with 64 grants:",
        what: "a permission check with 64 grants, no allocation",
        target: Target::Below(1.0, "µs"),
    },
    Figure {
        begins: "storage.roots (checked, recorded, statvfs):",
        what: "storage.roots, a checked and recorded read call",
        target: Target::Below(1.0, "µs"),
    },
];

const JOURNAL: [Figure; 4] = [
    Figure {
        begins: "durable_commits_per_second",
        what: "journal, durable intents, 64 callers",
        target: Target::AtLeast(5_000.0, "/s"),
    },
    Figure {
        begins: "commit_p99_ms",
        what: "journal, a durable intent, p99",
        target: Target::None("ms"),
    },
    Figure {
        begins: "verified_entries",
        what: "entries verified",
        target: Target::None("entries"),
    },
    Figure {
        begins: "verify_seconds",
        what: "audit verify of them",
        target: Target::Below(10.0, "s"),
    },
];

/// Entries under `--quick`, instead of a million.
const QUICK_ENTRIES: &str = "50000";

pub(crate) fn sandbox(setting: &Setting) -> Result<Vec<Row>> {
    // The example starts the worker that is built beside it.
    let mut worker = example(setting, "build", "keepwell-sandbox", "worker");
    expect_success(&mut worker)?;
    let bench = example(setting, "run", "keepwell-sandbox", "sandbox_bench");
    measure(bench, &SANDBOX)
}

pub(crate) fn journal(setting: &Setting) -> Result<Vec<Row>> {
    let dir = setting.folder("journal")?;
    let mut bench = example(setting, "run", "keepwell-journal", "journal_bench");
    bench.arg("--").arg(&dir);
    if setting.quick {
        bench.arg(QUICK_ENTRIES);
    }
    let rows = measure(bench, &JOURNAL)?;
    setting.discard(&dir)?;
    Ok(rows)
}

fn example(setting: &Setting, verb: &str, package: &str, name: &str) -> std::process::Command {
    let mut it = cargo();
    it.current_dir(&setting.places.checkout)
        .args([verb, "--quiet", "--locked", "--release"])
        .args(["--package", package, "--example", name]);
    it
}

/// Runs it; every figure must be among its lines.
fn measure(mut bench: std::process::Command, figures: &[Figure]) -> Result<Vec<Row>> {
    println!("{}", typed(&bench));
    let said = expect_success(&mut bench)?;
    print!("{said}");
    figures.iter().map(|figure| read(&said, figure)).collect()
}

fn read(said: &str, figure: &Figure) -> Result<Row> {
    let absent = || Error::Unexpected(format!("the bench printed no `{}`", figure.begins));
    let rest = said
        .lines()
        .find_map(|line| line.trim().strip_prefix(figure.begins))
        .ok_or_else(absent)?;
    let unit = match figure.target {
        Target::Below(_, unit) | Target::AtLeast(_, unit) | Target::None(unit) => unit,
    };
    let value = number_in(rest, unit).ok_or_else(absent)?;
    Ok(match figure.target {
        Target::Below(target, unit) => Row::below(figure.what, value, target, unit),
        Target::AtLeast(target, unit) => Row::at_least(figure.what, value, target, unit),
        Target::None(unit) => Row::note(figure.what, format!("{value:.2} {unit}")),
    })
}

/// The first number of a text, in the unit wanted; a time beside it (`3.4ms`, `85 ns`) is
/// converted, a bare number is in that unit already.
fn number_in(text: &str, wanted: &str) -> Option<f64> {
    let text = text.trim();
    let end = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let value: f64 = text[..end].parse().ok()?;
    let unit: String = text[end..]
        .trim_start()
        .chars()
        .take_while(|c| c.is_alphabetic())
        .collect();
    let seconds = |unit: &str| match unit {
        "ns" => Some(1e-9),
        "µs" => Some(1e-6),
        "ms" => Some(1e-3),
        "s" => Some(1.0),
        _ => None,
    };
    match (seconds(&unit), seconds(wanted)) {
        (Some(from), Some(to)) => Some(value * from / to),
        (None, Some(_)) | (None, None) | (Some(_), None) => Some(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_come_in_the_unit_wanted() {
        let near = |text: &str, unit: &str, value: f64| {
            let got = number_in(text, unit).unwrap();
            assert!((got - value).abs() < 1e-9, "{text}: {got}");
        };
        near(" 3.4ms, p95 5ms", "ms", 3.4);
        near(" 850.5µs, p95 1ms", "ms", 0.8505);
        near(" 250 ns a call", "µs", 0.25);
        near(" 7321", "/s", 7321.0);
        near(" 4.2", "s", 4.2);
        assert_eq!(number_in("none", "s"), None);
    }

    #[test]
    fn figures_are_judged_and_an_absent_one_is_an_error() {
        let said = "durable_commits_per_second 4000\nverify_seconds 4.2\n";
        assert_eq!(read(said, &JOURNAL[0]).unwrap().met, Some(false));
        assert_eq!(read(said, &JOURNAL[3]).unwrap().met, Some(true));
        assert!(read(said, &JOURNAL[1]).is_err());
    }
}
