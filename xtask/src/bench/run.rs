//! A whole run of a trivial task, from the start of the command line to its exit.

use super::setting::Setting;
use super::table::Row;
use crate::demo::stage::{DONE, FAILED, Stage, WARNED};
use crate::error::{Error, Result};
use crate::figures::{median, quantile};
use crate::places::tool_is_there;
use crate::step::{capture, command, typed};
use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::time::Instant;

/// Runs that are measured, and file syncs that are timed.
const ROUNDS: usize = 30;
/// From the start to the exit, without what the disk takes for the durable commits.
const TARGET_MS: f64 = 25.0;

const TASK: &str = "plugin = \"disk\"\ntask = \"disk-usage\"\n\n[grant]\nmetrics = {}\n";

pub(crate) fn measure(setting: &Setting) -> Result<Vec<Row>> {
    let dir = setting.folder("run")?;
    let stage = setting.node(&dir.join("node"), &[], ("disk-usage", TASK))?;
    // The first run fills caches that every later one finds.
    one_run(&stage)?;
    let mut walls = Vec::new();
    for _ in 0..setting.size(ROUNDS, ROUNDS / 3) {
        walls.push(one_run(&stage)?);
    }
    let sync = sync_ms(&dir.join("synced"))?;
    let syncs = count_syncs(&stage, &dir.join("trace"))?;
    let whole = median(&walls);
    println!(
        "{}: median {whole:.1} ms, 90 % below {:.1} ms; one file sync on this disk {sync:.2} ms",
        typed(&stage.command(&["run", "disk-usage"])),
        quantile(&walls, 0.9)
    );
    let mut rows = vec![Row::note(
        "whole run, durable commits included",
        format!("{whole:.1} ms"),
    )];
    if let Some(syncs) = syncs {
        println!("file syncs in one run: {syncs}");
        let commits = syncs as f64 * sync;
        rows.push(Row::note(
            "its durable commits",
            format!("{syncs} x {sync:.2} ms"),
        ));
        rows.push(Row::below(
            "whole run without them",
            (whole - commits).max(0.0),
            TARGET_MS,
            "ms",
        ));
    } else {
        println!("strace is not installed: the file syncs of a run are not counted");
        rows.push(Row::below(
            "whole run, commits not taken off",
            whole,
            TARGET_MS,
            "ms",
        ));
    }
    setting.discard(&dir)?;
    Ok(rows)
}

fn one_run(stage: &Stage) -> Result<f64> {
    let mut it = stage.command(&["run", "disk-usage"]);
    let begun = Instant::now();
    let output = capture(&mut it)?;
    let took = begun.elapsed().as_secs_f64() * 1e3;
    match output.status.code() {
        Some(DONE | WARNED | FAILED) => Ok(took),
        Some(_) | None => {
            eprint!("{}", String::from_utf8_lossy(&output.stderr));
            Err(Error::Failed {
                command: typed(&it),
                status: output.status,
            })
        }
    }
}

/// Median time of writing a page to the end of a file and making it durable.
fn sync_ms(path: &Path) -> Result<f64> {
    let mut file = File::create(path).map_err(Error::io("create", path))?;
    let mut took = Vec::new();
    for _ in 0..ROUNDS {
        let begun = Instant::now();
        file.write_all(&[0x5a; 4096])
            .map_err(Error::io("write", path))?;
        file.sync_data().map_err(Error::io("sync", path))?;
        took.push(begun.elapsed().as_secs_f64() * 1e3);
    }
    Ok(median(&took))
}

/// How often a run waits for the disk, counted by strace when it is installed.
fn count_syncs(stage: &Stage, trace: &Path) -> Result<Option<usize>> {
    if !tool_is_there("strace") {
        return Ok(None);
    }
    let mut it = command("strace");
    it.args(["-f", "-qq", "-e", "trace=fsync,fdatasync", "-o"])
        .arg(trace)
        .arg(stage.keepwell())
        .args(["run", "disk-usage"])
        .env("KEEPWELL_NODE", stage.node());
    capture(&mut it)?;
    let Ok(text) = std::fs::read_to_string(trace) else {
        return Ok(None);
    };
    Ok(Some(syncs_in(&text)).filter(|count| *count > 0))
}

fn syncs_in(trace: &str) -> usize {
    trace
        .lines()
        .filter(|line| line.contains("fsync(") || line.contains("fdatasync("))
        .count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn syncs_are_counted_once_each() {
        let trace = "12 fdatasync(7) = 0\n12 fsync(8 <unfinished ...>\n13 +++ exited +++\n12 <... fsync resumed>) = 0\n";
        assert_eq!(syncs_in(trace), 2);
    }
}
