//! `store create|import|export|status PATH`: native stores by hand, as their owner. What a task may
//! do to one goes through the gate and the journal like every other change.

use super::Global;
use super::keys::{KeyArgs, Signs};
use crate::clock;
use crate::error::{Error, Result, chain};
use crate::show;
use indicatif::{ProgressBar, ProgressStyle};
use keepwell_bundle::PublicKey;
use keepwell_model::state::Exit;
use keepwell_model::store::State;
use keepwell_model::units::Bytes;
use keepwell_store::{
    Hash, Imported, Importer, Object, ObjectKind, Scheme, Signer, Store, Survey, write_tree,
};
use std::collections::BTreeMap;
use std::io::{IsTerminal as _, Write};
use std::path::{Path, PathBuf};

#[derive(Debug, clap::Args)]
pub(crate) struct Create {
    /// An empty folder, or one that is not there yet.
    path: PathBuf,
    /// Data and parity shards of a group, or `xN` for N copies.
    #[arg(long, value_name = "K+M", default_value_t = Scheme::default())]
    scheme: Scheme,
    /// What names shards: blake3, or sha256 where other tools must verify them.
    #[arg(long, value_name = "DIGEST", default_value = "blake3")]
    digest: Hash,
    /// The most one shard holds.
    #[arg(long, value_name = "BYTES", default_value_t = Bytes(keepwell_store::SHARD_BYTES as u64))]
    shard_bytes: Bytes,
    #[command(flatten)]
    key: KeyArgs,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Import {
    /// The store.
    path: PathBuf,
    /// A file, or a folder with all below it.
    what: PathBuf,
    /// What the object is called. Default: the last part of its path.
    #[arg(long)]
    name: Option<String>,
    #[command(flatten)]
    key: KeyArgs,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Export {
    /// The store.
    path: PathBuf,
    /// The object's name or id.
    object: String,
    /// Where it comes back; nothing may be there yet.
    to: PathBuf,
}

impl Signer for Signs {
    fn public(&self) -> PublicKey {
        Self::public(self)
    }

    fn sign(&self, message: &[u8]) -> std::result::Result<Vec<u8>, String> {
        Self::sign(self, message).map_err(|e| e.message)
    }
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "used as the argument of map_err"
)]
fn failed(e: keepwell_store::Error) -> Error {
    use keepwell_store::Error as E;
    let hint = e.hint();
    let message = chain(&e);
    let error = match e {
        E::Scheme(_) | E::Limit(_) | E::NotEmpty { .. } | E::Exists(_) | E::Taken(_) => {
            Error::usage(message)
        }
        E::NoObject(_) | E::NoStore { .. } => Error::config(message),
        E::Unsigned { .. } => Error::denied(message),
        E::Io { .. }
        | E::Damaged { .. }
        | E::Lost { .. }
        | E::Incomplete { .. }
        | E::Changed(_)
        | E::Random
        | E::Signer(_) => Error::failed(message),
    };
    match hint {
        Some(hint) => error.hint(hint),
        None => error,
    }
}

pub(super) fn create(global: &Global, args: &Create) -> Result<Exit> {
    let signs = args.key.open()?;
    let bytes = usize::try_from(args.shard_bytes.0).unwrap_or(usize::MAX);
    let made = Store::create(
        &args.path,
        args.digest,
        args.scheme,
        bytes,
        &Signs::public(&signs),
    );
    let store = made.map_err(failed)?;
    let value = serde_json::json!({
        "store": store.id(), "path": args.path, "scheme": args.scheme, "digest": args.digest,
        "shard-bytes": args.shard_bytes, "signer": Signs::public(&signs).to_string(),
    });
    global.out().document(&value, || {
        format!(
            "store {} is ready at {}: {}, any {} of {} shards may be lost",
            store.id(),
            args.path.display(),
            args.scheme,
            args.scheme.m(),
            args.scheme.shards()
        )
    });
    Ok(Exit::Done)
}

pub(super) fn import(global: &Global, args: &Import) -> Result<Exit> {
    let signs = args.key.open()?;
    let store = Store::open(&args.path).map_err(failed)?;
    // A link that is named stands for what it leads to; one inside of a folder is kept as a link.
    let unread = |e: std::io::Error| Error::io("read", &args.what, &e);
    let what = args.what.canonicalize().map_err(unread)?;
    let meta = what.metadata().map_err(unread)?;
    let kind = match meta.is_dir() {
        true => ObjectKind::Tree,
        false if meta.is_file() => ObjectKind::File,
        false => {
            return Err(Error::usage(format!(
                "{} is neither a file nor a folder",
                args.what.display()
            )));
        }
    };
    let name = match &args.name {
        Some(name) => name.clone(),
        None => last_part(&what)?,
    };
    let bar = bar(meta.is_file().then_some(meta.len()));
    let importer = Importer::new(&store, &name, kind).map_err(failed)?;
    let done = fill(importer, kind, &what, bar.as_ref(), &signs);
    end(bar);
    let (imported, left) = done.map_err(failed)?;
    for it in &left {
        show::say(&format!("left out: {}: {}", it.path.display(), it.why));
    }
    let value = serde_json::json!({
        "object": imported.object, "groups": imported.groups, "shards": imported.shards,
        "stored-bytes": imported.stored_bytes,
        "left-out": left.iter().map(|it| &it.path).collect::<Vec<_>>(),
    });
    global.out().document(&value, || {
        format!(
            "imported {}: {} as {} shards in {} groups, {} on disk",
            imported.object.name,
            Bytes(imported.object.size),
            imported.shards,
            imported.groups,
            Bytes(imported.stored_bytes)
        )
    });
    Ok(match left.is_empty() {
        true => Exit::Done,
        false => Exit::Warned,
    })
}

type Filled = keepwell_store::Result<(Imported, Vec<keepwell_store::Left>)>;

fn fill(
    mut importer: Importer<'_>,
    kind: ObjectKind,
    what: &Path,
    bar: Option<&ProgressBar>,
    signs: &Signs,
) -> Filled {
    let mut to = Told {
        to: &mut importer,
        bar,
    };
    let left = match kind {
        ObjectKind::Tree => write_tree(what, &mut to)?,
        ObjectKind::File => keepwell_store::write_file(what, &mut to).map(|()| vec![])?,
    };
    Ok((importer.finish(signs, clock::now_ms())?, left))
}

pub(super) fn export(global: &Global, args: &Export) -> Result<Exit> {
    let store = Store::open(&args.path).map_err(failed)?;
    let listed = store.object(&args.object).map_err(failed)?;
    let bar = bar(Some(listed.object.size));
    let mut told = |bytes| {
        if let Some(bar) = &bar {
            bar.inc(bytes);
        }
    };
    let done = store.export(&listed, &args.to, &mut told);
    end(bar);
    let done = done.map_err(failed)?;
    let value = serde_json::json!({
        "object": listed.object, "to": args.to, "groups": done.groups,
        "bad-shards": done.bad_shards,
    });
    global.out().document(&value, || {
        let bad = match done.bad_shards {
            0 => String::new(),
            some => format!("; {some} bad shards were made good by others, and are bad still"),
        };
        format!(
            "{} is {}, verified: {}{bad}",
            args.to.display(),
            listed.object.name,
            listed.object.digest
        )
    });
    Ok(match done.bad_shards {
        0 => Exit::Done,
        _ => Exit::Warned,
    })
}

#[derive(serde::Serialize)]
#[serde(rename_all = "kebab-case")]
struct Row<'a> {
    #[serde(flatten)]
    object: &'a Object,
    groups: usize,
    /// Of its weakest group; `None` when that is lost.
    spare: Option<usize>,
    complete: bool,
}

/// Objects with what they can still lose, and what is wrong.
pub(super) fn status(global: &Global, path: &Path, verify: bool) -> Result<Exit> {
    let store = Store::open(path).map_err(failed)?;
    let bar = verify.then(|| bar(None)).flatten();
    let mut told = |bytes| {
        if let Some(bar) = &bar {
            bar.inc(bytes);
        }
    };
    let survey = store.survey(verify, &mut told);
    end(bar);
    let survey = survey.map_err(failed)?;
    let rows: Vec<Row<'_>> = survey
        .objects
        .iter()
        .map(|(object, complete)| row(&survey, object, *complete))
        .collect();
    let states: BTreeMap<&str, u64> = survey
        .states
        .iter()
        .map(|(s, n)| (s.as_str(), *n))
        .collect();
    let wrong: Vec<String> = survey.wrong.iter().map(|e| chain(e)).collect();
    let value = serde_json::json!({
        "store": store.id(), "scheme": store.scheme(), "digest": store.hash(), "objects": rows,
        "shards": states, "bytes": survey.bytes, "verified": verify, "lost-groups": survey.lost().count(),
        "degraded-groups": survey.degraded().count(), "extra": survey.extra, "wrong": wrong,
    });
    global
        .out()
        .document(&value, || text(&store, &survey, &rows, &wrong, verify));
    let warned = survey.degraded().next().is_some() || !survey.extra.is_empty();
    let bad = survey.lost().next().is_some() || !wrong.is_empty();
    let bad = bad || rows.iter().any(|row| !row.complete);
    Ok(match (bad, warned) {
        (true, _) => Exit::Failed,
        (false, true) => Exit::Warned,
        (false, false) => Exit::Done,
    })
}

fn row<'a>(survey: &Survey, object: &'a Object, complete: bool) -> Row<'a> {
    let groups = || {
        survey
            .groups
            .iter()
            .filter(|g| g.manifest.object.id == object.id)
    };
    Row {
        object,
        groups: groups().count(),
        spare: groups().map(keepwell_store::Group::spare).min().flatten(),
        complete,
    }
}

fn text(
    store: &Store,
    survey: &Survey,
    rows: &[Row<'_>],
    wrong: &[String],
    verify: bool,
) -> String {
    let table = show::table(
        &["object", "kind", "bytes", "groups", "can lose"],
        rows.iter().map(|row| {
            let spare = match (row.complete, row.spare) {
                (false, _) => "incomplete".to_owned(),
                (true, None) => "lost".to_owned(),
                (true, Some(spare)) => format!("{spare} of {}", store.scheme().shards()),
            };
            vec![
                row.object.name.clone(),
                match row.object.kind {
                    ObjectKind::File => "file".to_owned(),
                    ObjectKind::Tree => "tree".to_owned(),
                },
                Bytes(row.object.size).to_string(),
                row.groups.to_string(),
                spare,
            ]
        }),
    );
    let count = |state: State| survey.states.get(&state).copied().unwrap_or_default();
    let shards: u64 = survey.states.values().sum();
    let good = count(State::Ok) + count(State::Unverifiable);
    let mut bad: Vec<String> = survey
        .states
        .iter()
        .filter(|(state, _)| !matches!(state, State::Ok | State::Unverifiable))
        .map(|(state, n)| format!("{n} {}", state.as_str()))
        .collect();
    if !survey.extra.is_empty() {
        bad.push(format!("{} that no manifest names", survey.extra.len()));
    }
    let how = match verify {
        true => "verified",
        false => "there with the right length (`--verify` reads them)",
    };
    let mut lines = vec![
        table,
        format!("{good} of {shards} shards, {}: {how}", Bytes(survey.bytes)),
    ];
    if !bad.is_empty() {
        lines.push(format!("in doubt: {}", bad.join(", ")));
    }
    lines.extend(wrong.iter().cloned());
    lines.retain(|line| !line.is_empty());
    lines.join("\n")
}

fn last_part(path: &Path) -> Result<String> {
    let name = path.file_name().and_then(|name| name.to_str());
    name.map(str::to_owned).ok_or_else(|| {
        Error::usage(format!("{} has no name that is text", path.display())).hint("--name NAME")
    })
}

/// On a terminal; of how many bytes, where that is known.
fn bar(bytes: Option<u64>) -> Option<ProgressBar> {
    if !std::io::stderr().is_terminal() {
        return None;
    }
    let (bar, line) = match bytes {
        Some(bytes) => (
            ProgressBar::new(bytes),
            "{wide_bar} {bytes}/{total_bytes} {bytes_per_sec} {eta}",
        ),
        None => (
            ProgressBar::no_length(),
            "{bytes} {bytes_per_sec} {elapsed}",
        ),
    };
    Some(match ProgressStyle::with_template(line) {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    })
}

fn end(bar: Option<ProgressBar>) {
    if let Some(bar) = bar {
        bar.finish_and_clear();
    }
}

/// Passes on what is written, and says how much.
struct Told<'a, W> {
    to: W,
    bar: Option<&'a ProgressBar>,
}

impl<W: Write> Write for Told<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let written = self.to.write(bytes)?;
        if let Some(bar) = self.bar {
            bar.inc(written as u64);
        }
        Ok(written)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.to.flush()
    }
}
