//! `plugin`: make one, build it, install it.

mod dev;
mod inspect;
mod new;
mod test;
mod tighten;
mod versions;

use super::Global;
use super::bundle::describe;
use super::source;
use crate::api::{Answer, Request};
use crate::bill;
use crate::error::{Error, Result, chain};
use crate::node_dir::{make_private_dir, write_file};
use crate::plugins;
use keepwell_bundle::Bundle;
use keepwell_model::id::Digest;
use keepwell_model::state::Exit;
use keepwell_model::units::Bytes;
use std::path::{Path, PathBuf};

#[derive(Debug, clap::Subcommand)]
pub(crate) enum Verb {
    /// Make a new plugin in DIR, with a task and tests that pass at once.
    #[command(
        after_help = "Example:\n  keepwell plugin new tally --kind cleaner --sdk KEEPWELL/sdk"
    )]
    New {
        dir: PathBuf,
        /// What its task does: look and judge, propose for quarantine, or verify shards.
        #[arg(long, value_enum, default_value = "check")]
        kind: new::Kind,
        /// Where the SDK lies: `sdk` in a checkout of Keepwell. No registry has it yet.
        #[arg(long, value_name = "DIR")]
        sdk: PathBuf,
    },
    /// Build the plugin in DIR to a component, and hold its imports against its manifest.
    #[command(after_help = "Example:\n  keepwell plugin build tally --out tally.wasm")]
    Build {
        dir: PathBuf,
        /// Default: DIR/target/NAME.wasm.
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
        /// Where the source is kept, for the provenance: `git+https://…@COMMIT`.
        #[arg(long, value_name = "URI")]
        source: Option<String>,
    },
    /// Run the plugin's own tests, build it, and run each of its tasks in the real sandbox on a node made
    /// for each run: what `tests/node.toml` of the plugin says there is, or else a folder with old and young
    /// files, a store with a broken shard, a parameter.
    #[command(
        after_help = "A task may end in any way but a crash, whatever call fails: a panic or a limit makes the exit code 1, and\nso does a run without a failing call that ends other than the scenario says. 3: a call that should fail was\nnever made.\n\nExamples:\n  keepwell plugin test tally --fail-each\n  keepwell plugin test tally --fail storage.walker.next:2=gone\n  keepwell plugin test tally --apply --fail-each=cancelled"
    )]
    Test(test::Args),
    /// Build the plugin in DIR and try its tasks as `plugin test` does, and again whenever its source
    /// changes, until Ctrl-C, which exits with 0.
    #[command(after_help = "Example:\n  keepwell plugin dev tally --task load-check")]
    Dev(dev::Args),
    /// Verify a bundle, compile it in a limited process, install it. Another version of an installed
    /// plugin stands beside the active one, for tasks that name it: NAME@VERSION.
    #[command(after_help = "Example:\n  keepwell plugin install tally-0.1.0.kwb")]
    Install { file: PathBuf },
    /// Make a newer version the active one; the one before stays for as long as it may be needed. It
    /// comes from a file, or by NAME from a source.
    #[command(
        after_help = "One that asks for more than the active version, or is older, is held until somebody accepts it:\nwhat it asks for is printed, nothing of it runs, and the exit code is 4.\n\nExample:\n  keepwell plugin upgrade tally-0.2.0.kwb\n  keepwell plugin upgrade tally"
    )]
    Upgrade {
        #[arg(value_name = "FILE|NAME[@VERSION]")]
        file: PathBuf,
        /// The one of `[sources]` that is meant, where several offer it.
        #[arg(long, value_name = "NAME")]
        source: Option<String>,
    },
    /// Let a held version run, as the active one.
    #[command(
        after_help = "It asks for the first digits of the bundle's id, so that what was looked at is what runs.\n\nExample:\n  keepwell plugin accept tally@0.2.0"
    )]
    Accept {
        /// NAME, NAME@VERSION or a digest.
        plugin: String,
        /// The first digits of the bundle's id, at least 8, where nobody can be asked.
        #[arg(long, value_name = "DIGITS")]
        digest: Option<String>,
    },
    /// Turn a held version away.
    #[command(after_help = "Example:\n  keepwell plugin reject tally@0.2.0")]
    Reject { plugin: String },
    /// What the configured sources offer: plugins whose names contain every WORD, newest first.
    #[command(after_help = "Example:\n  keepwell plugin search clean")]
    Search {
        words: Vec<String>,
        /// Only this one of `[sources]`.
        #[arg(long, value_name = "NAME")]
        source: Option<String>,
    },
    /// Installed plugins of which a source offers a newer version.
    #[command(after_help = "Example:\n  keepwell plugin outdated")]
    Outdated {
        /// Only this one of `[sources]`.
        #[arg(long, value_name = "NAME")]
        source: Option<String>,
    },
    /// Bring the bundle of NAME or NAME@VERSION here from a source. Installs nothing.
    #[command(after_help = "Example:\n  keepwell plugin fetch tally@0.2.0")]
    Fetch {
        plugin: String,
        /// The one of `[sources]` that is meant, where several offer it.
        #[arg(long, value_name = "NAME")]
        source: Option<String>,
        /// Default: NAME-VERSION.kwb.
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// Remove an installed plugin: NAME with all its versions, NAME@VERSION or a digest.
    #[command(after_help = "Example:\n  keepwell plugin remove tally@0.1.0")]
    Remove { plugin: String },
    /// The installed plugins, and what becomes of each version.
    #[command(after_help = "Example:\n  keepwell plugin list")]
    List,
    /// An installed plugin, or a bundle in a file: for each task what it asks for and why, whether its
    /// signer may, what is granted, and what was used so far.
    #[command(
        after_help = "Example:\n  keepwell plugin inspect clean\n  keepwell plugin inspect ./tally-0.2.0.kwb"
    )]
    Inspect {
        /// NAME, NAME@VERSION, a digest, or a file that ends in `.kwb`.
        plugin: String,
    },
    /// Propose the smallest grant that would have been enough for what a task used.
    #[command(
        after_help = "It rests on the newest 200 whole runs of the version that the task runs now, and needs 5 of them. What a\nplugin cannot do without is left.\n\nExample:\n  keepwell plugin tighten temp-clean --write"
    )]
    Tighten {
        task: String,
        /// Edit the task's file so; its comments and order stay.
        #[arg(long)]
        write: bool,
    },
}

pub(super) fn plugin(global: &Global, verb: &Verb) -> Result<Exit> {
    match verb {
        Verb::New { dir, kind, sdk } => new::new(global, dir, *kind, sdk),
        Verb::Build { dir, out, source } => build(global, dir, out.as_deref(), source.as_deref()),
        Verb::Test(args) => test::test(global, args),
        Verb::Dev(args) => dev::dev(global, args),
        Verb::Install { file } => install(global, file, false),
        Verb::Accept { plugin, digest } => versions::accept(global, plugin, digest.as_deref()),
        Verb::Reject { plugin } => versions::reject(global, plugin),
        Verb::Upgrade { file, source } => upgrade(global, file, source.as_deref()),
        Verb::Search { words, source } => source::search(global, words, source.as_deref()),
        Verb::Outdated { source } => source::outdated(global, source.as_deref()),
        Verb::Fetch {
            plugin,
            source,
            out,
        } => source::fetch(global, plugin, source.as_deref(), out.as_deref()),
        Verb::Remove { plugin } => remove(global, plugin),
        Verb::List => versions::list(global),
        Verb::Inspect { plugin } => inspect::inspect(global, plugin),
        Verb::Tighten { task, write } => tighten::tighten(global, task, *write),
    }
}

struct Built {
    out: PathBuf,
    manifest: keepwell_model::manifest::Manifest,
    scan: keepwell_bundle::Scan,
    module_bytes: usize,
    sizes: keepwell_bundle::Sizes,
}

/// Writes what the component was built from and how beside it, for `bundle build`.
fn tell(dir: &Path, component: &Path, bytes: &[u8], source: Option<&str>) -> Result<()> {
    let (metadata, lock, rustc) = crate::cargo::describe(dir)?;
    let facts = bill::Facts {
        metadata: &metadata,
        lock: &lock,
        rustc: &rustc,
        target: crate::cargo::TARGET,
        component: Digest::of(bytes),
        source,
    };
    let beside = |ending| component.with_extension(ending);
    write_file(&beside(bill::SBOM_ENDING), &bill::sbom(&facts)?, 0o644)?;
    write_file(
        &beside(bill::PROVENANCE_ENDING),
        &bill::provenance(&facts),
        0o644,
    )
}

fn make(dir: &Path, out: Option<&Path>, source: Option<&str>) -> Result<Built> {
    let module = crate::cargo::build_wasm(dir)?;
    let component = keepwell_bundle::encode(&module).map_err(|e| {
        Error::failed(format!(
            "the module does not make a component: {}",
            chain(&e)
        ))
    })?;
    let scan = keepwell_bundle::scan(&component).map_err(|e| Error::denied(chain(&e)))?;
    let manifest = describe(&component)?;
    keepwell_bundle::check_against(&scan, &manifest).map_err(|e| Error::denied(chain(&e)))?;
    let out = match out {
        Some(out) => out.to_owned(),
        None => {
            make_private_dir(&dir.join("target"))?;
            dir.join("target").join(format!("{}.wasm", manifest.name))
        }
    };
    write_file(&out, &component, 0o644)?;
    tell(dir, &out, &component, source)?;
    Ok(Built {
        out,
        manifest,
        scan,
        module_bytes: module.len(),
        sizes: keepwell_bundle::sizes(&component).map_err(|e| Error::denied(chain(&e)))?,
    })
}

fn build(global: &Global, dir: &Path, out: Option<&Path>, source: Option<&str>) -> Result<Exit> {
    report_build(global, &make(dir, out, source)?);
    Ok(Exit::Done)
}

fn report_build(global: &Global, built: &Built) {
    let imports: Vec<&str> = built
        .scan
        .imports
        .iter()
        .map(|i| i.interface.as_str())
        .collect();
    let value = serde_json::json!({
        "file": built.out, "module_bytes": built.module_bytes, "component_bytes": built.sizes.all, "sizes": built.sizes,
        "imports": imports, "manifest": built.manifest,
    });
    global.out().document(&value, || {
        let bytes = |n: usize| Bytes(n as u64);
        let sizes = built.sizes;
        let mut text = format!("{} ({})", built.out.display(), bytes(sizes.all));
        text.push_str(&format!(
            "\n  code {}, data {}, names {}, the rest {}",
            bytes(sizes.code),
            bytes(sizes.data),
            bytes(sizes.custom),
            bytes(sizes.rest())
        ));
        for import in &built.scan.imports {
            text.push_str(&format!(
                "\n  imports {}: {}",
                import.interface,
                import.functions.join(", ")
            ));
        }
        text
    });
}

fn import_lines(bundle: &Bundle) -> Vec<String> {
    bundle
        .scan
        .imports
        .iter()
        .flat_map(keepwell_bundle::Import::lines)
        .collect()
}

/// What is no file and could be a plugin's name is one.
fn upgrade(global: &Global, file: &Path, source: Option<&str>) -> Result<Exit> {
    let name = file
        .to_str()
        .filter(|name| !name.contains(['/', '.']) || name.contains('@'));
    let Some(name) = name.filter(|_| source.is_some() || !file.is_file()) else {
        return install(global, file, true);
    };
    global.dir().must_exist()?;
    let got = source::fetched(global, name, source)?;
    let from = format!(
        "{}@{} from source {}",
        got.offered.plugin, got.offered.version, got.source
    );
    hand_over(global, from, &got.bytes, got.endorsement, true)
}

fn install(global: &Global, file: &Path, upgrade: bool) -> Result<Exit> {
    let bytes = plugins::read_bundle(file)?;
    let endorsement = plugins::endorsement_of(file, None)?;
    hand_over(
        global,
        file.display().to_string(),
        &bytes,
        endorsement,
        upgrade,
    )
}

fn hand_over(
    global: &Global,
    source: String,
    bytes: &[u8],
    endorsement: Option<Vec<u8>>,
    upgrade: bool,
) -> Result<Exit> {
    let answer = global.ask(Request::Install {
        source,
        bundle: data_encoding::BASE64.encode(bytes),
        endorsement: endorsement.map(|bytes| data_encoding::BASE64.encode(&bytes)),
        upgrade,
    })?;
    global.show(&answer);
    Ok(match answer {
        Answer::Held { .. } => Exit::Denied,
        _ => Exit::Done,
    })
}

fn remove(global: &Global, wanted: &str) -> Result<Exit> {
    let plugin = wanted.to_owned();
    global.show(&global.ask(Request::Remove { plugin })?);
    Ok(Exit::Done)
}
