//! `doctor`: what this machine offers, what is in the way, and what to do about it.

use super::Global;
use crate::api::Client;
use crate::config::{self, Config};
use crate::error::{Error, Result};
use crate::node;
use crate::node_dir::NodeDir;
use crate::plugins;
use crate::show::{GREEN, RED, YELLOW, paint};
use keepwell_journal::measurements::TaskStateReader;
use keepwell_model::state::Exit;
use serde::Serialize;
use std::collections::BTreeSet;

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Exits 1 when something is bad and 3 when something could be better.\n\nExample:\n  keepwell doctor --only kernel"
)]
pub(crate) struct Args {
    /// Only checks whose id begins with this, for example `kernel`.
    #[arg(long)]
    only: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
enum Level {
    Ok,
    Warning,
    Bad,
}

#[derive(Debug, Serialize)]
struct Check {
    id: &'static str,
    level: Level,
    says: String,
    hint: Option<String>,
}

fn check(id: &'static str, level: Level, says: impl Into<String>, hint: Option<&str>) -> Check {
    Check {
        id,
        level,
        says: says.into(),
        hint: hint.map(str::to_owned),
    }
}

pub(super) fn doctor(global: &Global, args: &Args) -> Result<Exit> {
    let mut checks = kernel();
    checks.extend(node(global));
    if let Some(only) = &args.only {
        let known: BTreeSet<&str> = checks.iter().map(|c| c.id).collect();
        checks.retain(|c| c.id.starts_with(only.as_str()));
        if checks.is_empty() {
            let known: Vec<&str> = known.into_iter().collect();
            return Err(Error::usage(format!("no check begins with `{only}`"))
                .hint(format!("there are: {}", known.join(", "))));
        }
    }
    let worst = checks.iter().map(|c| c.level).max().unwrap_or(Level::Ok);
    global
        .out()
        .rows(&checks, &["check", "state", "says"], |c| {
            let word = match c.level {
                Level::Ok => paint("ok", GREEN),
                Level::Warning => paint("warning", YELLOW),
                Level::Bad => paint("bad", RED),
            };
            let hint = c
                .hint
                .as_ref()
                .map_or_else(String::new, |h| format!(" (hint: {h})"));
            vec![c.id.to_owned(), word, format!("{}{hint}", c.says)]
        });
    Ok(match worst {
        Level::Ok => Exit::Done,
        Level::Warning => Exit::Warned,
        Level::Bad => Exit::Failed,
    })
}

fn kernel() -> Vec<Check> {
    let landlock = match keepwell_sandbox::landlock_abi() {
        Some(abi) if abi >= 4 => check(
            "kernel.landlock",
            Level::Ok,
            format!("ABI {abi}: files and network"),
            None,
        ),
        Some(abi) => check(
            "kernel.landlock",
            Level::Warning,
            format!("ABI {abi}: files only, network is closed by seccomp alone"),
            Some("Linux 6.7 or later closes both"),
        ),
        None => check(
            "kernel.landlock",
            Level::Bad,
            "absent: plugins of third parties will not run",
            Some("a kernel of 5.13 or later with CONFIG_SECURITY_LANDLOCK=y"),
        ),
    };
    let seccomp = if keepwell_sandbox::seccomp_available() {
        check("kernel.seccomp", Level::Ok, "available", None)
    } else {
        check(
            "kernel.seccomp",
            Level::Bad,
            "absent",
            Some("a kernel with CONFIG_SECCOMP_FILTER=y"),
        )
    };
    let pressure = match keepwell_node::pressure::pressure(keepwell_node::pressure::Contended::Io) {
        Ok(Some(_)) => check(
            "kernel.pressure",
            Level::Ok,
            "pressure-stall information is there",
            None,
        ),
        Ok(None) => check(
            "kernel.pressure",
            Level::Warning,
            "no pressure-stall information",
            Some("boot with psi=1"),
        ),
        Err(e) => check("kernel.pressure", Level::Warning, e.message, None),
    };
    let in_use = if keepwell_node::in_use::in_use(&[]).complete() {
        check(
            "node.open-files",
            Level::Ok,
            "every process can be asked for its open files",
            None,
        )
    } else {
        check(
            "node.open-files",
            Level::Warning,
            "some processes cannot be asked for their open files",
            Some("run as root, or grant longer minimum ages"),
        )
    };
    vec![landlock, seccomp, pressure, in_use]
}

fn node(global: &Global) -> Vec<Check> {
    let dir = global.dir();
    if let Err(e) = dir.must_exist() {
        return vec![check(
            "node.directory",
            Level::Warning,
            e.message,
            e.hint.as_deref(),
        )];
    }
    let config = match config::load(&dir) {
        Ok(config) => config,
        Err(e) => {
            return vec![check(
                "node.config",
                Level::Bad,
                e.message,
                Some("`keepwell config check` shows where"),
            )];
        }
    };
    let mut checks = configured(&dir, &config);
    checks.push(key_mode(&dir));
    checks.push(match crate::pipeline::low(&dir) {
        None => check("node.room", Level::Ok, "the journal has room", None),
        Some(why) => check(
            "node.room",
            Level::Bad,
            why,
            Some("make room: until then nothing is changed"),
        ),
    });
    checks.push(journal(&dir));
    checks.push(daemon(&dir, &config));
    for (name, root) in &config.node.roots {
        let there = keepwell_node::root::Root::open(name, &root.path).map(drop);
        let place = format!("{name}: {}", root.path.display());
        checks.push(match there {
            Ok(()) => check("node.root", Level::Ok, place, None),
            Err(e) => {
                let says = format!("{name}: {e}");
                check("node.root", Level::Bad, says, e.hint.as_deref())
            }
        });
    }
    for (name, store) in &config.node.stores {
        let place = format!("{name}: {}", store.path.display());
        checks.push(match std::fs::read_dir(&store.path) {
            Ok(_) => check("node.store", Level::Ok, place, None),
            Err(e) => check(
                "node.store",
                Level::Bad,
                format!("{place}: {e}"),
                Some("mount it, or correct its path in keepwell.toml"),
            ),
        });
    }
    checks.extend(task_states(&dir));
    checks
}

/// What tasks keep for themselves; nothing while none keeps anything.
fn task_states(dir: &NodeDir) -> Option<Check> {
    let usage = match TaskStateReader::open(&dir.state()) {
        Ok(None) => return None,
        Ok(Some(reader)) => reader.usage(),
        Err(e) => Err(e),
    };
    Some(match usage {
        Ok(usage) => {
            let count = usage.iter().filter(|u| u.keys > 0).count();
            let says = format!("{count} tasks keep something for themselves");
            check("node.task-states", Level::Ok, says, None)
        }
        Err(e) => {
            let says = crate::error::chain(&e);
            check("node.task-states", Level::Bad, says, e.hint())
        }
    })
}

/// Configuration, trust and the installed bundles, which are verified again.
fn configured(dir: &NodeDir, config: &Config) -> Vec<Check> {
    let trust = match plugins::trust(dir) {
        Ok(trust) => trust,
        Err(e) => {
            return vec![check(
                "node.trust",
                Level::Bad,
                e.message,
                e.hint.as_deref(),
            )];
        }
    };
    let mut checks = vec![];
    let count = super::config::counted(config.tasks.len(), "tasks");
    checks.push(check("node.config", Level::Ok, count, None));
    for problem in config::check_all(dir, config, &trust) {
        let says = format!("{}: {}", problem.file, problem.message);
        checks.push(check(
            "node.config",
            Level::Bad,
            says,
            problem.hint.as_deref(),
        ));
    }
    checks.push(if trust.keys().is_empty() {
        check(
            "node.trust",
            Level::Warning,
            "no key is trusted: no plugin will run",
            Some("`keepwell trust add`"),
        )
    } else {
        let count = super::config::counted(trust.keys().len(), "keys");
        check("node.trust", Level::Ok, count, None)
    });
    checks
}

fn journal(dir: &NodeDir) -> Check {
    let size = node::reader(dir).and_then(|reader| Ok(reader.size()?));
    match size {
        Ok(size) => {
            let says = format!("{size} entries; `keepwell audit verify` recomputes them");
            check("node.journal", Level::Ok, says, None)
        }
        Err(e) => check("node.journal", Level::Bad, e.message, e.hint.as_deref()),
    }
}

/// Schedules without anybody who obeys them are a trap.
fn daemon(dir: &NodeDir, config: &Config) -> Check {
    let scheduled =
        config.tasks.values().any(|t| t.file.schedule.is_some()) || !config.schedules.is_empty();
    match (Client::connect(dir), scheduled) {
        (Ok(Some(_)), _) => check("node.daemon", Level::Ok, "answers at its socket", None),
        (Ok(None), false) => check(
            "node.daemon",
            Level::Ok,
            "none runs, nothing is scheduled",
            None,
        ),
        (Ok(None), true) => check(
            "node.daemon",
            Level::Warning,
            "none runs: nothing starts what is scheduled",
            Some("`keepwell daemon`, as a service"),
        ),
        (Err(e), _) => check("node.daemon", Level::Bad, e.message, e.hint.as_deref()),
    }
}

fn key_mode(dir: &NodeDir) -> Check {
    use std::os::unix::fs::MetadataExt as _;
    match std::fs::metadata(dir.node_key()) {
        Ok(meta) if meta.mode() & 0o077 == 0 => {
            check("node.key", Level::Ok, "readable by its owner alone", None)
        }
        Ok(_) => check(
            "node.key",
            Level::Bad,
            "others can read the node's key",
            Some("chmod 600 keys/node.key"),
        ),
        Err(e) => check(
            "node.key",
            Level::Bad,
            format!("cannot be read: {e}"),
            Some("restore it from your copy"),
        ),
    }
}
