//! `init`: a node directory that works at once.

use super::Global;
use super::template::TASKS;
use crate::clock;
use crate::config;
use crate::error::{Error, Result};
use crate::new_node;
use crate::node_dir::{NodeDir, write_file};
use crate::plugins;
use crate::show;
use keepwell_bundle::{Against, PublicKey, Trust};
use keepwell_model::id::{RootName, StoreName};
use keepwell_model::state::Exit;
use keepwell_model::store::StoreKind;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  keepwell init /etc/keepwell --root tmp=/var/tmp/app --store backup=restic:/srv/restic"
)]
pub(crate) struct Args {
    /// The directory to make; it must not exist or be empty.
    dir: PathBuf,
    /// Where the plugins' bundles and `publisher.pub` lie. Default: `bundles` beside the program.
    #[arg(long, value_name = "DIR")]
    bundles: Option<PathBuf>,
    /// How reports and the journal call this node. Default: the directory's name.
    #[arg(long)]
    name: Option<String>,
    /// A directory tree that tasks may look at and clean.
    #[arg(long = "root", value_name = "NAME=PATH", value_parser = parse_root)]
    roots: Vec<(RootName, PathBuf)>,
    /// A shard store to verify; KIND is restic, borg1, borg2, oci, git, git-loose, ostree-meta, casync,
    /// flatfs, garage, sha256sums, shard-table, bagit or native.
    #[arg(long = "store", value_name = "NAME=KIND:PATH", value_parser = parse_store)]
    stores: Vec<(StoreName, StoreKind, PathBuf)>,
}

fn parse_root(text: &str) -> Result<(RootName, PathBuf), String> {
    let (name, path) = text.split_once('=').ok_or("expected NAME=PATH")?;
    Ok((
        name.parse()
            .map_err(|e: keepwell_model::id::BadId| e.to_string())?,
        absolute(path)?,
    ))
}

fn parse_store(text: &str) -> Result<(StoreName, StoreKind, PathBuf), String> {
    let expected = "expected NAME=KIND:PATH, for example backup=restic:/srv/restic";
    let (name, rest) = text.split_once('=').ok_or(expected)?;
    let (kind, path) = rest.split_once(':').ok_or(expected)?;
    // A `cas` store needs a layout, too, which is written into `keepwell.toml`.
    let kinds = StoreKind::ALL
        .into_iter()
        .filter(|it| *it != StoreKind::Cas);
    let Some(kind) = kinds.clone().find(|it| it.as_str() == kind) else {
        let all: Vec<&str> = kinds.map(StoreKind::as_str).collect();
        return Err(format!("`{kind}` is none of the kinds {}", all.join(", ")));
    };
    let name = name
        .parse()
        .map_err(|e: keepwell_model::id::BadId| e.to_string())?;
    Ok((name, kind, absolute(path)?))
}

fn absolute(path: &str) -> Result<PathBuf, String> {
    let path = std::path::absolute(path).map_err(|e| e.to_string())?;
    // The configuration is text; a replacement character would name another directory.
    if path.to_str().is_none() {
        return Err("the path is not UTF-8, which the configuration is".into());
    }
    Ok(path)
}

/// What is given twice would make a configuration that nobody can read.
fn refuse_twice(args: &Args) -> Result<()> {
    let roots = args.roots.iter().map(|root| root.0.as_str());
    let stores = args.stores.iter().map(|store| store.0.as_str());
    for (what, names) in [
        ("root", roots.collect::<Vec<_>>()),
        ("store", stores.collect()),
    ] {
        let mut seen = BTreeSet::new();
        if let Some(twice) = names.into_iter().find(|name| !seen.insert(*name)) {
            return Err(Error::usage(format!("{what} `{twice}` is given twice"))
                .hint("each needs a name of its own; nothing was changed"));
        }
    }
    Ok(())
}

pub(super) fn init(global: &Global, args: &Args) -> Result<Exit> {
    let dir =
        NodeDir::new(std::path::absolute(&args.dir).map_err(|e| Error::io("find", &args.dir, &e))?);
    // All that can be refused is, before anything is made.
    refuse_existing(dir.path())?;
    refuse_twice(args)?;
    let name = node_name(args, dir.path());
    let text = config_text(&name, args);
    config::parse_node(&dir.config_file(), &text)?;
    let (bundles, found) = find_bundles(args.bundles.as_deref())?;
    let trust = trust(bundles.as_deref())?;
    let mut opened = vec![];
    for file in &found {
        let bytes = plugins::read_bundle(file)?;
        let against = Against {
            trust: &trust,
            now_ms: clock::now_ms(),
            endorsement: None,
        };
        let bundle =
            keepwell_bundle::open(&bytes, against).map_err(|e| plugins::refused(file, &e))?;
        opened.push((bytes, bundle));
    }
    new_node::create(&dir, &name, &text, &trust, &opened)?;
    for (_, bundle) in &opened {
        show::say(&format!(
            "installed {}@{}",
            bundle.manifest.name, bundle.manifest.version
        ));
    }
    let installed: Vec<_> = opened.into_iter().map(|(_, bundle)| bundle).collect();
    let tasks = write_tasks(&dir, args, &installed)?;
    let value = serde_json::json!({
        "node": name, "dir": dir.path(), "tasks": tasks,
        "plugins": installed.iter().map(|b| b.manifest.name.to_string()).collect::<Vec<_>>(),
    });
    global.out().document(&value, || {
        let at = dir.path().display();
        let next = match tasks.iter().find(|task| *task == "quick-check") {
            Some(task) => format!("run {task}"),
            None => "doctor".to_owned(),
        };
        let tasks = super::config::counted(tasks.len(), "tasks");
        format!("node `{name}` is ready at {at} with {tasks}\nnext: keepwell --node {at} {next}")
    });
    Ok(Exit::Done)
}

fn refuse_existing(path: &Path) -> Result<()> {
    match std::fs::read_dir(path) {
        Ok(mut entries) => match entries.next() {
            None => Ok(()),
            Some(_) => Err(
                Error::usage(format!("{} exists and is not empty", path.display()))
                    .hint("name another directory; nothing was changed"),
            ),
        },
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(e) => Err(Error::io("read", path, &e)),
    }
}

/// The folder of bundles, and the bundles in it. Without one the node starts with no plugins.
fn find_bundles(given: Option<&Path>) -> Result<(Option<PathBuf>, Vec<PathBuf>)> {
    let dir = match given {
        Some(dir) => dir.to_owned(),
        None => {
            let program = std::env::current_exe()
                .map_err(|e| Error::failed(format!("cannot tell where this program lies: {e}")))?;
            let Some(dir) = program
                .parent()
                .and_then(Path::parent)
                .map(|p| p.join("bundles"))
            else {
                return Ok((None, vec![]));
            };
            if !dir.is_dir() {
                show::say(
                    "no bundles beside the program: the node starts without plugins (see --bundles)",
                );
                return Ok((None, vec![]));
            }
            dir
        }
    };
    let mut found = vec![];
    for entry in std::fs::read_dir(&dir).map_err(|e| Error::io("read", &dir, &e))? {
        let path = entry.map_err(|e| Error::io("read", &dir, &e))?.path();
        if path.extension().is_some_and(|e| e == "kwb") {
            found.push(path);
        }
    }
    found.sort();
    Ok((Some(dir), found))
}

/// The key that lies beside the bundles becomes the node's own: whoever gave the program gave both.
fn trust(bundles: Option<&Path>) -> Result<Trust> {
    let Some(dir) = bundles else {
        return Ok(Trust::default());
    };
    let path = dir.join("publisher.pub");
    let text = std::fs::read_to_string(&path).map_err(|e| {
        Error::io("read", &path, &e)
            .hint("it is the key that the bundles are signed with; `cargo xtask dist` makes both")
    })?;
    let public: PublicKey = text
        .trim()
        .parse()
        .map_err(|e| Error::config(format!("{}: {}", path.display(), crate::error::chain(&e))))?;
    new_node::trusting("bundled", public)
}

fn node_name(args: &Args, path: &Path) -> String {
    let of_dir = || path.file_name().map(|n| n.to_string_lossy().into_owned());
    args.name
        .clone()
        .or_else(of_dir)
        .unwrap_or_else(|| "node".into())
}

fn config_text(name: &str, args: &Args) -> String {
    let quoted = |text: &str| toml::Value::String(text.to_owned()).to_string();
    let mut text = String::from(
        "# What this node is and what its tasks may be granted.\n# `keepwell config schema` describes every key.\n\n",
    );
    let _ = writeln!(text, "[node]\nname = {}\n", quoted(name));
    for (root, path) in &args.roots {
        let _ = writeln!(
            text,
            "[roots.{root}]\npath = {}\n",
            quoted(&path.to_string_lossy())
        );
    }
    for (store, kind, path) in &args.stores {
        let _ = writeln!(
            text,
            "[stores.{store}]\nkind = \"{}\"\npath = {}\n",
            kind.as_str(),
            quoted(&path.to_string_lossy())
        );
    }
    text.push_str("[quarantine]\nkeep = \"7d\"\n");
    text
}

/// The tasks that can be granted with what there is.
fn write_tasks(
    dir: &NodeDir,
    args: &Args,
    installed: &[keepwell_bundle::Bundle],
) -> Result<Vec<String>> {
    let names = |all: Vec<String>| {
        format!(
            "[{}]",
            all.iter()
                .map(|n| format!("\"{n}\""))
                .collect::<Vec<_>>()
                .join(", ")
        )
    };
    let roots = names(args.roots.iter().map(|r| r.0.to_string()).collect());
    let stores = names(args.stores.iter().map(|s| s.0.to_string()).collect());
    let mut written = vec![];
    for task in TASKS {
        let there = installed.iter().any(|b| {
            b.manifest.name.as_str() == task.plugin && b.manifest.task(task.name).is_some()
        });
        let grantable = (!task.text.contains("{roots}") || !args.roots.is_empty())
            && (!task.text.contains("{stores}") || !args.stores.is_empty());
        if there && grantable {
            let text = task
                .text
                .replace("{roots}", &roots)
                .replace("{stores}", &stores);
            let path = dir.tasks().join(format!("{}.toml", task.name));
            write_file(&path, text.as_bytes(), 0o644)?;
            written.push(task.name.to_owned());
        }
    }
    Ok(written)
}
