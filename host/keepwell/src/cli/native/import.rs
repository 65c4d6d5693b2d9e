//! `store import`: a file or a folder into a native store.

use super::progress::{self, Told};
use super::{Global, failed};
use crate::cli::keys::{KeyArgs, Signs};
use crate::clock;
use crate::error::{Error, Result};
use crate::show;
use indicatif::ProgressBar;
use keepwell_model::state::Exit;
use keepwell_model::units::Bytes;
use keepwell_store::{Imported, Importer, ObjectKind, Store, write_tree};
use std::path::{Path, PathBuf};

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

pub(crate) fn import(global: &Global, args: &Import) -> Result<Exit> {
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
    let bar = progress::bar(meta.is_file().then_some(meta.len()));
    let importer = Importer::new(&store, &name, kind).map_err(failed)?;
    let done = fill(importer, kind, &what, bar.as_ref(), &signs);
    progress::end(bar);
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

fn last_part(path: &Path) -> Result<String> {
    let name = path.file_name().and_then(|name| name.to_str());
    name.map(str::to_owned).ok_or_else(|| {
        Error::usage(format!("{} has no name that is text", path.display())).hint("--name NAME")
    })
}
