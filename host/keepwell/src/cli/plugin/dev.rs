//! `plugin dev`: builds a plugin and tries its tasks again whenever its source changes.

use super::make;
use super::test::{Chosen, Ended};
use crate::cli::Global;
use crate::error::{Error, Result};
use crate::rehearsal::Rehearsal;
use crate::show::{self, Format};
use keepwell_model::event::Mode;
use keepwell_model::manifest::Manifest;
use keepwell_model::state::Exit;
use keepwell_model::units::Bytes;
use signal_hook::consts::{SIGINT, SIGTERM};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

/// How often the source is looked at. A plugin has some files: to ask for all of them costs less than
/// a crate that has the kernel tell, with its limits on how much may be watched.
const EVERY: Duration = Duration::from_millis(300);
/// More files than any plugin has; a folder with more was hardly meant.
const FILES_MAX: usize = 10_000;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The plugin's folder. What it depends on elsewhere is not watched.
    #[arg(default_value = ".")]
    dir: PathBuf,
    #[command(flatten)]
    chosen: Chosen,
    /// Build and try once, then end.
    #[arg(long)]
    once: bool,
}

/// A file, its length, and when it was written.
type Seen = Vec<(PathBuf, u64, Option<SystemTime>)>;

/// What came of one build.
#[derive(Debug, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
struct Round {
    bytes: u64,
    /// Against the build before.
    grown: Option<i64>,
    /// Capabilities that a task asks for, as `TASK: CAPABILITY`.
    asks: BTreeSet<String>,
    build_ms: u128,
    tasks: Vec<Task>,
}

#[derive(Debug, serde::Serialize)]
struct Task {
    task: String,
    #[serde(flatten)]
    ended: Ended,
    ms: u128,
}

pub(super) fn dev(global: &Global, args: &Args) -> Result<Exit> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        signal_hook::flag::register(signal, Arc::clone(&stop))
            .map_err(|e| Error::failed(format!("cannot hear signals: {e}")))?;
    }
    let stopped = || stop.load(Ordering::Relaxed);
    let mut before: Option<Round> = None;
    loop {
        // Before the build: what changes meanwhile leads to one more.
        let seen = look(&args.dir)?;
        let round = round(args, before.as_ref());
        if stopped() {
            return Ok(Exit::Done);
        }
        match round {
            Ok(round) => {
                tell(global, &round, before.as_ref());
                let well = round.tasks.iter().all(|task| task.ended.well());
                if args.once {
                    return Ok(if well { Exit::Done } else { Exit::Failed });
                }
                before = Some(round);
            }
            Err(e) if args.once => return Err(e),
            Err(e) => global.out().error(&e),
        }
        show::say(&format!("watching {}; Ctrl-C ends it", args.dir.display()));
        let mut now = seen.clone();
        while now == seen {
            if stopped() {
                return Ok(Exit::Done);
            }
            std::thread::sleep(EVERY);
            now = look(&args.dir)?;
        }
        // Whoever saves several files saves them one after the other.
        loop {
            std::thread::sleep(EVERY);
            let settled = look(&args.dir)?;
            if settled == now || stopped() {
                break;
            }
            now = settled;
        }
    }
}

fn round(args: &Args, before: Option<&Round>) -> Result<Round> {
    let began = Instant::now();
    let built = make(&args.dir, None, None)?;
    let build_ms = began.elapsed().as_millis();
    let component = std::fs::read(&built.out).map_err(|e| Error::io("read", &built.out, &e))?;
    let scenario = args.chosen.scenario(&args.dir)?;
    let rehearsal = Rehearsal::new(&component, &built.manifest, scenario)?;
    let mut tasks = vec![];
    for task in args.chosen.tasks(&rehearsal)? {
        let began = Instant::now();
        let ended = Ended::of(&rehearsal.run(&task, &args.chosen.set, None, Mode::Plan)?);
        let ms = began.elapsed().as_millis();
        tasks.push(Task { task, ended, ms });
    }
    let bytes = component.len() as u64;
    Ok(Round {
        bytes,
        grown: before.map(|before| bytes.cast_signed() - before.bytes.cast_signed()),
        asks: asks(&built.manifest),
        build_ms,
        tasks,
    })
}

fn asks(manifest: &Manifest) -> BTreeSet<String> {
    let of = |task: &keepwell_model::manifest::TaskInfo| {
        let name = task.name.clone();
        let needs = task.needs.iter().map(|need| need.capability);
        needs
            .map(|capability| format!("{name}: {capability}"))
            .collect::<Vec<_>>()
    };
    manifest.tasks.iter().flat_map(of).collect()
}

fn tell(global: &Global, round: &Round, before: Option<&Round>) {
    if global.out().format != Format::Table {
        global.out().document(round, String::new);
        return;
    }
    let grown = match round.grown {
        None | Some(0) => String::new(),
        Some(more) if more > 0 => format!(", {} more", Bytes(more.unsigned_abs())),
        Some(less) => format!(", {} less", Bytes(less.unsigned_abs())),
    };
    show::line(&format!(
        "built in {} ms: {}{grown}",
        round.build_ms,
        Bytes(round.bytes)
    ));
    if let Some(before) = before {
        for more in round.asks.difference(&before.asks) {
            show::line(&format!("  asks anew    {more}"));
        }
        for less in before.asks.difference(&round.asks) {
            show::line(&format!("  asks no more {less}"));
        }
    }
    for task in &round.tasks {
        show::line(&format!(
            "  {} in {} ms, {}",
            task.task,
            task.ms,
            task.ended.line()
        ));
    }
}

/// The source as it is. Left out are what builds write (`target`, `Cargo.lock`) and what is hidden.
fn look(dir: &Path) -> Result<Seen> {
    let mut seen = vec![];
    let mut folders = vec![dir.to_owned()];
    while let Some(folder) = folders.pop() {
        let entries = match std::fs::read_dir(&folder) {
            Ok(entries) => entries,
            // Gone since it was listed; the folder above says so the next time.
            Err(e) if e.kind() == std::io::ErrorKind::NotFound && folder != dir => continue,
            Err(e) => return Err(Error::io("read", &folder, &e)),
        };
        for entry in entries.filter_map(std::result::Result::ok) {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            if name.starts_with('.') || ["target", "Cargo.lock"].contains(&&*name) {
                continue;
            }
            // What is gone meanwhile is seen the next time.
            let Ok(meta) = entry.metadata() else { continue };
            if meta.is_dir() {
                folders.push(entry.path());
            } else {
                seen.push((entry.path(), meta.len(), meta.modified().ok()));
            }
        }
        if seen.len() > FILES_MAX {
            return Err(Error::usage(format!(
                "{} holds more than {FILES_MAX} files",
                dir.display()
            ))
            .hint("name the folder of a plugin"));
        }
    }
    seen.sort();
    Ok(seen)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_seen_and_what_is_built_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str| {
            let path = dir.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, name).unwrap();
        };
        write("src/lib.rs");
        let before = look(dir.path()).unwrap();
        assert_eq!(before.len(), 1);
        write("target/x.wasm");
        write("Cargo.lock");
        write(".git/index");
        assert_eq!(look(dir.path()).unwrap(), before);
        write("src/more.rs");
        assert_ne!(look(dir.path()).unwrap(), before);
    }

    /// Such as a home folder, named by mistake.
    #[test]
    fn a_folder_of_very_many_files_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let first = dir.path().join("0");
        std::fs::write(&first, "").unwrap();
        for n in 1..FILES_MAX {
            std::fs::hard_link(&first, dir.path().join(n.to_string())).unwrap();
        }
        assert_eq!(look(dir.path()).unwrap().len(), FILES_MAX);
        std::fs::hard_link(&first, dir.path().join("one more")).unwrap();
        let refused = look(dir.path()).unwrap_err();
        assert!(refused.message.contains("more than"), "{refused:?}");
    }
}
